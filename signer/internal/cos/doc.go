// Package cos reads the object layer of PDF files (ISO 32000-2 §7): tokens,
// objects, cross-reference tables and streams, object streams and incremental
// revisions. It reads lazily through an [io.ReaderAt] and keeps the byte span
// of everything it reads, so that callers can splice bytes instead of writing
// objects anew.
//
// It reads strictly. A file that another reader would have to repair, guess at
// or might read in a second way is refused with a typed [*Error]; nothing is
// repaired here. Every size is bounded by [Limits] before memory is taken, and
// no function recurses on the nesting, the length or the links of its input.
//
// It imports only the standard library. Only packages below signer/ may import
// it. A [File] is not safe for concurrent use.
package cos
