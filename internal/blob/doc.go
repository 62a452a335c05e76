// Package blob keeps documents: content-addressed by the SHA-256 of their
// plaintext, sealed in chunks of 1 MiB, in the database or in a directory.
//
// Each blob has a key of its own, sealed under the data key of its owner
// together with owner, hash and size. The same content put by two owners is
// stored twice, so that erasing the key of one leaves the other's readable;
// put twice by one owner it is stored once.
//
// Invariants:
//   - A blob is there if and only if its row in blob_object is, which is
//     written last. A crash leaves only what [Store.Sweep] collects.
//   - A chunk that was changed, moved, swapped, left out or cut off is
//     refused with [ErrCorrupt]; no byte of it is returned.
//   - Neither Put nor a reader holds more than a few chunks in memory.
//   - Nothing is readable once the owner's data key is erased; readers that
//     are open notice within the bound of the keystore.
//
// The package decides nothing about who may read what: callers do. The design
// stands in docs/design/0005-blob-store.md. Any context may import this
// package; it imports db, envelope, identity and failpoint.
package blob
