// Package db is the only door to the database: SQLite as the embedded default,
// PostgreSQL in production, one SQL text for both.
//
// Writes are group-committed. [DB.Write] queues the caller; a writer (one on
// SQLite, a few on PostgreSQL) gathers waiting callers into one transaction,
// lets each run its closure on its own goroutine in turn, commits once, and only
// then answers them. If a closure fails, the batch is rolled back and run again
// with a savepoint for each. The rules a closure must keep follow from that:
//
//   - It may run more than once: a lost connection, a deadlock or a neighbour's
//     failure reruns it. It may only use tx and variables it assigns afresh.
//   - It does no I/O, no cryptography and no waiting: others wait behind it.
//   - It holds rows until the whole batch commits: rows that everybody changes
//     (counters) are slow on PostgreSQL.
//   - It decides by one conditional statement (UPDATE … WHERE … RETURNING),
//     never by reading first and writing then: on PostgreSQL other writers
//     commit in between.
//   - After a statement error it can only fail. That is how PostgreSQL behaves;
//     SQLite is held to the same, so a closure that passes on one engine passes
//     on the other. Use ON CONFLICT where a conflict is expected.
//   - It does not keep tx, and does not call Write.
//
// Invariants: no caller is told of success before the commit is durable; no
// caller's error, cancellation or panic changes another caller's rows; a commit
// whose outcome was lost with its connection is looked up, never repeated
// blindly; after a failed write to stable storage nothing is written any more
// and [DB.Broken] is closed, so that the process can stop.
//
// SQL is portable: $1 parameters, BIGINT microseconds made in Go ([Micros]),
// TEXT identifiers made in Go, BYTEA, ON CONFLICT, RETURNING. Migrations are
// per [Line], forward only.
//
// This package and its tests are the only importers of the drivers and of the
// migration library. Any other package may import it where design §2 allows.
package db
