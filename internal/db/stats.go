package db

import "sync/atomic"

// Stats are counts since Open. They only rise.
type Stats struct {
	Commits   int64 // transactions committed by Write
	Writes    int64 // closures whose effect was committed
	Refused   int64 // closures that failed and were rolled back beside a commit
	Retries   int64 // closures run again after lock or connection failures
	Ambiguous int64 // commits whose outcome had to be looked up
	Deadlocks int64 // statements that the server ended to break a deadlock
	MaxBatch  int64 // most closures in one commit

	// Statements are those that callers ran: in closures, in reads, and alone. The
	// frame of a transaction (begin, savepoint, commit) is not among them.
	Statements int64
}

type stats struct {
	commits, writes, refused, retries, ambiguous, deadlocks, maxBatch, statements atomic.Int64
}

func (s *stats) commit(good, all int) {
	s.commits.Add(1)
	s.writes.Add(int64(good))
	s.refused.Add(int64(all - good))
	for {
		old := s.maxBatch.Load()
		if int64(good) <= old || s.maxBatch.CompareAndSwap(old, int64(good)) {
			return
		}
	}
}

// Stats returns the counts, for metrics and tests.
func (d *DB) Stats() Stats {
	return Stats{
		Commits: d.stats.commits.Load(), Writes: d.stats.writes.Load(), Refused: d.stats.refused.Load(),
		Retries: d.stats.retries.Load(), Ambiguous: d.stats.ambiguous.Load(),
		Deadlocks: d.stats.deadlocks.Load(), MaxBatch: d.stats.maxBatch.Load(),
		Statements: d.stats.statements.Load(),
	}
}
