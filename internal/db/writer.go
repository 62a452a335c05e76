package db

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// writer gathers requests into commits. All its methods run on its goroutine.
type writer struct {
	d    *DB
	s    *session
	held *request // wants a batch of its own; comes next
	last int      // size of the last batch
	// careful is how many more batches set savepoints from the start.
	careful int
}

// grace is how long past its deadline a closure may run before the writer
// abandons its transaction.
const grace = 2 * time.Second

// run serves the queue until it is closed and empty.
func (w *writer) run() {
	for {
		batch := w.gather()
		if batch == nil {
			break
		}
		if len(batch) > 0 {
			w.serve(batch)
		}
	}
	if w.s != nil {
		w.s.release()
	}
}

// gather waits for a request and takes what else is waiting. It returns nil
// when the queue is closed.
func (w *writer) gather() []*request {
	first := w.held
	w.held = nil
	if first == nil {
		r, ok := <-w.d.queue
		if !ok {
			return nil
		}
		first = r
	}
	batch := make([]*request, 0, max(1, w.last))
	if first.take() {
		batch = append(batch, first)
	}
	if first.alone {
		return batch
	}
	// Callers just answered may be about to ask again: let them, a few times.
	yields := 0
	if w.last > 1 {
		yields = 3
	}
	for len(batch) < w.d.cfg.MaxBatch {
		select {
		case r, ok := <-w.d.queue:
			if !ok {
				return batch
			}
			if r.alone {
				w.held = r
				return batch
			}
			if r.take() {
				batch = append(batch, r)
			}
		default:
			if yields == 0 {
				return batch
			}
			yields--
			runtime.Gosched()
		}
	}
	return batch
}

// carefulBatches is for how many batches savepoints are set after a closure failed.
const carefulBatches = 16

// serve runs one batch and answers its callers. Savepoints cost a round trip
// and, on PostgreSQL, a transaction number for each closure, and are needed
// only if a closure fails. So a batch first runs without; if a closure fails,
// all is rolled back and the batch runs again with a savepoint for each.
func (w *writer) serve(batch []*request) {
	w.last = len(batch)
	careful := len(batch) > 1 && w.careful > 0
	if careful {
		w.careful--
	}
	for w.attempt(batch, careful) == rerun {
		w.careful = carefulBatches
		careful = true
		batch = reset(batch)
		if len(batch) == 0 {
			return
		}
	}
}

// verdict is what becomes of a batch after a closure.
type verdict int

const (
	proceed verdict = iota // go on with the next closure
	settled                // everybody has been answered
	rerun                  // rolled back; run again with savepoints
)

// reset prepares a batch for another run, without callers whose goroutine ended.
func reset(batch []*request) []*request {
	kept := batch[:0]
	for _, r := range batch {
		if !r.gone {
			r.err, r.panic = nil, nil
			kept = append(kept, r)
		}
	}
	return kept
}

// attempt runs one batch in one transaction.
func (w *writer) attempt(batch []*request, careful bool) verdict {
	if err := w.d.Err(); err != nil {
		answer(batch, result{err: err})
		return settled
	}
	if err := w.begin(batch[0].alone); err != nil {
		w.lost(batch, err)
		return settled
	}
	for i, r := range batch {
		if careful {
			frame := []string{sqlSave}
			if i > 0 && batch[i-1].succeeded() {
				frame = []string{sqlRelease, sqlSave}
			}
			if err := w.control(frame...); err != nil {
				w.lost(batch, err)
				return settled
			}
		}
		if v := w.step(batch, r, careful); v != proceed {
			return v
		}
	}
	w.finish(batch)
	return settled
}

// control runs framing statements within the time of one statement.
func (w *writer) control(stmts ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*w.d.cfg.StatementTimeout)
	defer cancel()
	return w.s.control(ctx, stmts...)
}

// begin opens a transaction, on a new connection if need be.
func (w *writer) begin(alone bool) error {
	if w.s == nil {
		s, err := w.d.newSession()
		if err != nil {
			return fmt.Errorf("%w: %w", errConnect, err)
		}
		w.s = s
	}
	if w.d.Engine() == SQLite {
		return w.control(sqlBeginIm)
	}
	if alone {
		return w.control(sqlBegin, "SET LOCAL lock_timeout = "+millis(w.d.cfg.StatementTimeout/2))
	}
	return w.control(sqlBegin)
}

// errConnect marks a failure to get a connection at all.
var errConnect = errors.New("db: no connection")

// step lets one caller run its closure.
func (w *writer) step(batch []*request, r *request, careful bool) verdict {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), txKey{w.d}, true))
	defer cancel()
	tx := &Tx{d: w.d, ctx: joined{ctx, r.ctx}, conn: w.s, write: true, deadline: time.Now().Add(w.d.cfg.ClosureTimeout)}
	r.turn <- tx
	if !w.await(r, cancel) {
		_ = tx.finish(ErrDeadline)
		w.d.cfg.Logger.Error("closure abandoned", "after", (w.d.cfg.ClosureTimeout + grace).String())
		r.done <- result{err: ErrDeadline}
		w.lostBut(batch, r, ErrDeadline)
		return settled
	}
	failed := tx.finish(ErrTxDone)
	if failed == nil && w.s.aborted() {
		failed = ErrAborted
	}
	if failed != nil && r.err == nil && r.panic == nil {
		r.err = fmt.Errorf("%w: %w", ErrAborted, w.d.mapError(failed))
	}
	if r.succeeded() {
		return proceed
	}
	return w.undo(batch, r, failed, careful)
}

// await waits for the caller to hand the transaction back. It reports false if
// the closure has to be abandoned, having cancelled its statements.
func (w *writer) await(r *request, cancel func()) bool {
	watchdog := time.NewTimer(w.d.cfg.ClosureTimeout)
	defer watchdog.Stop()
	select {
	case <-r.back:
		return true
	case <-watchdog.C:
	}
	if w.d.Engine() == SQLite {
		cancel() // interrupts a statement; PostgreSQL has statement_timeout, which keeps the connection
	}
	watchdog.Reset(grace)
	select {
	case <-r.back:
		return true
	case <-watchdog.C:
		cancel()
		return false
	}
}

// undo rolls back one closure after it failed, failed being the statement error
// if there was one. Its caller is answered with the others, because it may have
// failed for what a neighbour wrote.
func (w *writer) undo(batch []*request, r *request, failed error, careful bool) verdict {
	c := classOther
	if failed != nil {
		c = classify(failed)
	}
	if c == classReadOnly && w.d.Engine() == Postgres {
		c = classLost // the server has become a standby: look for the primary
	}
	if c == classIO || c == classLost || !w.s.alive() {
		w.lost(batch, failed)
		return settled
	}
	if c == classRetry {
		w.d.stats.retryable(failed)
		r.err = fmt.Errorf("%w: %w", errRetry, failed)
		r.panic = nil
	}
	if !careful {
		err := w.control(sqlRollback)
		if err != nil {
			w.drop() // SQLite has rolled back by itself, or the connection is gone
		}
		if len(batch) > 1 && c == classTimeout {
			r.done <- r.result() // do not let it hold the others up twice
			r.gone = true
			return rerun
		}
		if len(batch) > 1 {
			return rerun
		}
		r.done <- r.result()
		return settled
	}
	if err := w.control(sqlBack, sqlRelease); err != nil {
		// The engine has rolled back everything (SQLite does on a full disk or an
		// interrupt), or the connection is gone.
		if failed == nil || c == classRetry {
			w.lost(batch, err)
			return settled
		}
		r.done <- r.result()
		w.lostBut(batch, r, err)
		return settled
	}
	return proceed
}
