package db

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// Write runs fn inside a shared, group-committed transaction (a savepoint for
// each caller) and returns after the commit is durable. See the package
// documentation for what fn may do. ctx cancels only the wait in the queue:
// once fn has begun, Write returns fn's true outcome. An error from fn rolls
// back only fn's work and is returned as it is; a panic likewise, re-raised
// here as [*Panic]. Other errors: ErrBusy, ErrUnavailable, ErrDeadline,
// ErrFull, [*ConstraintError] (of a deferred constraint), ErrOutcomeUnknown,
// ErrStopped, ErrClosed, ErrReentrant.
func (d *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	if d.reentrant(ctx) {
		return ErrReentrant
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.enter(); err != nil {
		return err
	}
	defer d.pending.Done()
	fn = required(ctx, fn)
	begun := time.Now()
	alone := false
	for attempt := 0; ; attempt++ {
		res := d.submit(ctx, fn, alone)
		if !res.again {
			return res.deliver()
		}
		d.stats.retries.Add(1)
		alone = alone || res.alone || attempt >= 2
		wait := backoff(attempt)
		if time.Since(begun)+wait > d.cfg.RetryFor {
			return fmt.Errorf("%w: %w", ErrUnavailable, res.err)
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// Panic carries a closure's panic to the goroutine that called Write.
type Panic struct {
	Value any
	Stack []byte
}

// Error describes the panic with its stack.
func (p *Panic) Error() string { return fmt.Sprintf("db: panic in closure: %v\n%s", p.Value, p.Stack) }

// Unwrap returns the panic's value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// backoff grows from about 2 ms to about 1 s, with full jitter above half.
func backoff(attempt int) time.Duration {
	base := min(2*time.Millisecond<<min(attempt, 9), time.Second)
	return base/2 + rand.N(base)
}

func sleep(ctx context.Context, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The states of a request.
const (
	waiting   int32 = iota // in the queue; the caller may leave
	taken                  // a writer has it; the caller waits for the outcome
	abandoned              // the caller has left; a writer skips it
)

// request is one attempt of one Write.
type request struct {
	ctx   context.Context
	fn    func(*Tx) error
	alone bool // wants a transaction of its own
	state atomic.Int32
	turn  chan *Tx      // the writer hands over the transaction
	back  chan struct{} // the caller hands it back
	done  chan result   // the outcome, after the commit

	// Set by the caller's goroutine before back, read by the writer after it.
	err   error
	panic *Panic
	gone  bool // the caller's goroutine has ended
}

// result is the outcome of a request.
type result struct {
	err   error
	panic *Panic
	again bool // nothing was written; try again
	alone bool // … in a transaction of its own
}

func (r result) deliver() error {
	if r.panic != nil {
		panic(r.panic)
	}
	return r.err
}

func (r *request) take() bool { return r.state.CompareAndSwap(waiting, taken) }

func (r *request) leave() bool { return r.state.CompareAndSwap(waiting, abandoned) }

// submit queues fn once and waits for its outcome.
func (d *DB) submit(ctx context.Context, fn func(*Tx) error, alone bool) result {
	r := &request{ctx: ctx, fn: fn, alone: alone,
		turn: make(chan *Tx, 1), back: make(chan struct{}, 1), done: make(chan result, 1)}
	limit := time.NewTimer(d.cfg.QueueTimeout)
	defer limit.Stop()
	select {
	case d.queue <- r:
	case <-ctx.Done():
		return result{err: ctx.Err()}
	case <-d.broken:
		return result{err: d.cause}
	case <-limit.C:
		return result{err: ErrBusy}
	}
	cancelled, broken, late := ctx.Done(), d.broken, limit.C
	for {
		select {
		case tx := <-r.turn:
			r.run(tx)
		case res := <-r.done:
			return res
		case <-cancelled:
			if r.leave() {
				return result{err: ctx.Err()}
			}
			cancelled = nil
		case <-broken:
			if r.leave() {
				return result{err: d.cause}
			}
			broken = nil
		case <-late:
			if r.leave() {
				return result{err: ErrBusy}
			}
			late = nil
		}
	}
}

var errGoexit = errors.New("db: closure ended its goroutine")

// run calls fn on the caller's own goroutine and hands the transaction back,
// whether fn returns, panics or ends the goroutine (runtime.Goexit).
func (r *request) run(tx *Tx) {
	r.err, r.gone = errGoexit, true
	defer func() {
		if v := recover(); v != nil {
			r.panic, r.gone = &Panic{Value: v, Stack: debug.Stack()}, false
		}
		r.back <- struct{}{}
	}()
	r.err = r.fn(tx)
	r.gone = false
}
