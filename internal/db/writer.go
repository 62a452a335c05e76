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

// serve runs one batch in one transaction and answers its callers.
func (w *writer) serve(batch []*request) {
	w.last = len(batch)
	if err := w.d.Err(); err != nil {
		answer(batch, result{err: err})
		return
	}
	if err := w.begin(len(batch) > 1); err != nil {
		w.lost(batch, err)
		return
	}
	for i, r := range batch {
		if i > 0 {
			if err := w.s.control(context.Background(), sqlSave); err != nil {
				w.lost(batch, err)
				return
			}
		}
		if !w.step(batch, r) {
			return
		}
	}
	w.finish(batch)
}

// begin opens a transaction, on a new connection if need be.
func (w *writer) begin(save bool) error {
	if w.s == nil {
		s, err := w.d.newSession()
		if err != nil {
			return fmt.Errorf("%w: %w", errConnect, err)
		}
		w.s = s
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*w.d.cfg.StatementTimeout)
	defer cancel()
	q := sqlBegin
	if w.d.Engine() == SQLite {
		q = sqlBeginIm
	}
	if save {
		return w.s.control(ctx, q, sqlSave)
	}
	return w.s.control(ctx, q)
}

// errConnect marks a failure to get a connection at all.
var errConnect = errors.New("db: no connection")

// step lets one caller run its closure. It reports false if the whole batch is
// over, in which case everybody has been answered.
func (w *writer) step(batch []*request, r *request) bool {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), txKey{w.d}, true))
	defer cancel()
	tx := &Tx{d: w.d, ctx: joined{ctx, r.ctx}, conn: w.s, write: true, deadline: time.Now().Add(w.d.cfg.ClosureTimeout)}
	r.turn <- tx
	watchdog := time.NewTimer(w.d.cfg.ClosureTimeout + grace)
	defer watchdog.Stop()
	select {
	case <-r.back:
	case <-watchdog.C:
		cancel()
		_ = tx.finish(ErrDeadline)
		w.d.cfg.Logger.Error("closure abandoned", "after", (w.d.cfg.ClosureTimeout + grace).String())
		r.done <- result{err: ErrDeadline}
		w.lostBut(batch, r, ErrDeadline)
		return false
	}
	failed := tx.finish(ErrTxDone)
	if failed != nil && r.err == nil && r.panic == nil {
		r.err = fmt.Errorf("%w: %w", ErrAborted, w.d.mapError(failed))
	}
	if failed == nil && r.err == nil && r.panic == nil {
		if len(batch) == 1 {
			return true
		}
		err := w.s.control(context.Background(), sqlRelease)
		if err == nil {
			return true
		}
		failed = err
		r.err = fmt.Errorf("%w: %w", ErrAborted, w.d.mapError(err))
	}
	return w.undo(batch, r, failed)
}

// undo rolls back one closure after it failed. Its caller is answered with the
// others, because it may have failed for what a neighbour wrote.
func (w *writer) undo(batch []*request, r *request, failed error) bool {
	if failed != nil {
		switch classify(failed) {
		case classIO:
			w.d.markBroken(failed)
			w.lost(batch, failed)
			return false
		case classLost:
			w.lost(batch, failed)
			return false
		}
	}
	back := []string{sqlBack, sqlRelease}
	if len(batch) == 1 {
		back = []string{sqlRollback}
	}
	ctx, cancel := context.WithTimeout(context.Background(), w.d.cfg.StatementTimeout)
	defer cancel()
	if err := w.s.control(ctx, back...); err != nil {
		// The engine has rolled back everything (SQLite does on a full disk or an
		// interrupt), or the connection is gone.
		if failed != nil && classify(failed) != classRetry {
			r.done <- r.result()
			w.lostBut(batch, r, err)
		} else {
			w.lost(batch, err)
		}
		return false
	}
	if failed != nil && classify(failed) == classRetry {
		r.err = fmt.Errorf("%w: %w", errRetry, failed)
		r.panic = nil
	}
	return true
}

// errRetry marks a closure that lost a lock, a race or its plan.
var errRetry = errors.New("db: run again")

func (r *request) result() result {
	if errors.Is(r.err, errRetry) {
		return result{err: r.err, again: true}
	}
	return result{err: r.err, panic: r.panic}
}

func (r *request) succeeded() bool { return r.err == nil && r.panic == nil }

// finish commits and answers.
func (w *writer) finish(batch []*request) {
	good := 0
	for _, r := range batch {
		if r.succeeded() {
			good++
		}
	}
	if good == 0 {
		if len(batch) > 1 {
			if err := w.s.control(context.Background(), sqlRollback); err != nil {
				w.drop()
			}
		}
		w.answerEach(batch)
		return
	}
	err := w.s.commit()
	if errors.Is(err, errAmbiguous) {
		w.settle(batch, err)
		return
	}
	if err != nil {
		w.commitFailed(batch, err)
		return
	}
	w.committed(batch, good)
}

func (w *writer) committed(batch []*request, good int) {
	w.d.stats.commit(good, len(batch))
	w.answerEach(batch)
}

func (w *writer) answerEach(batch []*request) {
	for _, r := range batch {
		r.done <- r.result()
	}
}

// settle learns the outcome of a commit that was not confirmed.
func (w *writer) settle(batch []*request, cause error) {
	w.d.stats.ambiguous.Add(1)
	w.d.cfg.Logger.Warn("commit not confirmed; looking up its outcome", "error", w.d.target.redact(cause.Error()))
	s := w.s
	w.drop()
	ok, err := s.settle()
	switch {
	case err != nil:
		w.d.cfg.Logger.Error("outcome of a commit is unknown", "callers", len(batch), "error", err)
		answer(batch, result{err: err})
	case ok:
		good := 0
		for _, r := range batch {
			if r.succeeded() {
				good++
			}
		}
		w.committed(batch, good)
	default:
		answer(batch, result{err: cause, again: true})
	}
}

// commitFailed deals with a commit that certainly did not take effect on
// PostgreSQL, and on SQLite unless storage failed.
func (w *writer) commitFailed(batch []*request, err error) {
	c := classify(err)
	if c == classIO {
		w.d.markBroken(err)
		w.drop()
		answer(batch, result{err: fmt.Errorf("%w: %w", w.d.Err(), ErrOutcomeUnknown)})
		return
	}
	if rerr := w.s.control(context.Background(), sqlRollback); rerr != nil {
		w.drop()
	}
	if len(batch) > 1 {
		answer(batch, result{err: err, again: true, alone: true})
		return
	}
	if c == classRetry || c == classLost {
		answer(batch, result{err: err, again: true})
		return
	}
	answer(batch, result{err: w.d.mapError(err)})
}

// lost answers a batch whose transaction is gone before its commit.
func (w *writer) lost(batch []*request, err error) { w.lostBut(batch, nil, err) }

// lostBut is lost for all but one request, which has been answered.
func (w *writer) lostBut(batch []*request, but *request, err error) {
	w.drop()
	if classify(err) == classIO {
		w.d.markBroken(err)
	}
	res := result{err: w.d.mapError(err), again: true}
	if broken := w.d.Err(); broken != nil {
		res = result{err: broken}
	}
	for _, r := range batch {
		if r != but {
			r.done <- res
		}
	}
}

func (w *writer) drop() {
	if w.s != nil {
		w.s.discard()
		w.s = nil
	}
}

func answer(batch []*request, res result) {
	for _, r := range batch {
		r.done <- res
	}
}
