// Package envelope seals small secrets with AES-256-GCM and keeps the one
// file that opens everything else: the key file, which holds the key
// encryption keys (KEK) and the node's identity under a passphrase.
//
// Invariants:
//   - A sealed box opens only with the same key and the same associated data,
//     which names the place it belongs to ("table.column:row", see [Place]).
//   - Every box has its own key and nonce, both derived from 192 random bits,
//     so that one [Key] may seal any number of boxes.
//   - A [Key] does not show its bytes through fmt, slog or encoding/json, also
//     as an unexported field of someone else's struct; the zero Key seals and
//     opens nothing.
//   - The key file is readable by its owner alone, is never overwritten by
//     creation and is replaced atomically.
//
// The formats, byte by byte and with test vectors, stand in
// docs/design/0004-keystore-and-envelope.md. Anyone may import this package;
// it imports the standard library and golang.org/x/crypto/argon2 only.
package envelope
