// Package audit owns the record of who did what to whose datum, and the
// append-only Merkle log that makes the record tamper-evident.
//
// An entry is made in two steps: [Log.Prepare] does the cryptography outside
// any transaction, [Log.Append] writes the row inside the caller's, so that
// no act commits without its entry and no entry without its act. An entry
// whose outcome is [OutcomeIntent] announces an effect outside the database
// (a signature, an issued certificate); exactly one later entry closes it, and
// recovery closes those that a crash left open ([Log.OpenIntents]).
//
// A [Sequencer], of which one at a time leads by a fenced lease, gives every
// committed entry a place in the log, whenever it was committed, stores the
// tree's tiles in the same database and signs checkpoints. The public half,
// that is formats and offline verification, is in package logverify;
// docs/log-format.md describes it for outsiders.
//
// Invariants:
//
//   - each row is one leaf: the rows with a place in a log are as many as its tree's size;
//   - a leaf is a salted commitment, never a personal datum. Erasing an entry's
//     content leaves its leaf, its proof and its clear columns verifiable;
//   - the tree only grows: a write is conditional on the fence and on the head
//     that was read, and tiles are only ever lengthened;
//   - no checkpoint is signed before its tree is durable, nor for a tree that
//     does not extend everything signed before, as told by the database and by
//     a high-water file outside it.
//
// Audit is not logging: this package writes no log lines about entries.
// It imports identity, db, envelope, failpoint and its own logverify; any
// context may import it.
package audit
