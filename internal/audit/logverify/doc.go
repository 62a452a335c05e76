// Package logverify holds the public half of Suti's transparency log: the
// format of a leaf and of the commitment in it, checkpoints, tiles, entry
// bundles and proofs, and the functions that verify them offline.
//
// Everything here can be checked by someone who holds only the published
// bytes and the log's verifier key: the package knows no database, no
// configuration and no clock. Formats follow C2SP signed-note,
// tlog-checkpoint, tlog-tiles and tlog-proof@v1; the Merkle tree is that of
// RFC 6962 §2.1 with SHA-256. What Suti adds, the leaf, is specified with
// vectors in docs/log-format.md.
//
// Invariants: every parser bounds its input before it allocates and accepts
// exactly one spelling of each value, so that parse and format are inverse to
// each other; a function named Verify… returns nil, or a value, only if the
// signature was checked with the key given.
//
// It imports the standard library and golang.org/x/mod/sumdb. Anyone may import it.
package logverify
