// Package incr writes incremental updates to PDF files (ISO 32000-2 §7.5.6):
// bytes that are put after a file which itself is neither changed nor held in
// memory.
//
// Objects that exist are edited by splicing their bytes; what is not meant to
// change stays as it was written, comments and spacing included. They keep
// their numbers. An update continues the file in its own kind: a table after a
// table (or a hybrid section), a stream after a stream; trailer entries are
// copied as they are. Objects that lay in object streams are written as plain
// objects.
//
// It may be imported below signer/ only.
package incr
