package db

import (
	"errors"
	"fmt"
)

// errRetry marks a closure that lost a lock, a race or its plan.
var errRetry = errors.New("db: run again")

func (r *request) result() result {
	if errors.Is(r.err, errRetry) {
		return result{err: r.err, again: true, alone: true}
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
		if err := w.control(sqlRollback); err != nil {
			w.drop()
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
	if rerr := w.control(sqlRollback); rerr != nil {
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
	answer(batch, result{err: w.d.commitError(err)})
}

// lost answers a batch whose transaction is gone before its commit.
func (w *writer) lost(batch []*request, err error) { w.lostBut(batch, nil, err) }

// lostBut is lost for all but one request, which has been answered.
func (w *writer) lostBut(batch []*request, but *request, err error) {
	w.drop()
	if err == nil {
		err = ErrUnavailable
	}
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
