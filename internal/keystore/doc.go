// Package keystore keeps private keys and data keys as sealed rows of the
// database, so that all nodes share them, and hands private keys out only as
// [crypto.Signer].
//
// Rows are sealed under a key encryption key (KEK) that the key file of each
// node holds (internal/envelope); key_kek records its generations, so that a
// node with the wrong file refuses to start and a re-wrap can be resumed.
//
// Invariants:
//   - A private key has one id, one purpose and one owner. They are bound in
//     the associated data of its box, and the public part is unique over all
//     rows, so neither a moved row nor an imported copy serves two purposes.
//   - A key that is not yet or no longer in use does not sign. [Store.Signer]
//     asks the database each time; a signer that is kept asks again when it
//     last asked more than [Config.MaxStale] ago (1 s unless configured), on
//     this node at once.
//   - Nothing leaves a signer that does not verify under the stored public key.
//   - Each owner has at most one data key, ever. Once it is erased
//     ([Store.DestroyDataKey]) it is refused with [ErrErased]: at once on this
//     node, within [Config.MaxStale] on others. The tombstone stays.
//   - No secret is in an error, a log line, or a formatted value.
//
// Key generation, sealing and opening happen outside transactions; what takes
// a *db.Tx only writes. The design and its limits stand in
// docs/design/0004-keystore-and-envelope.md. Any context may import this
// package; it imports db, envelope and identity.
package keystore
