package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/outbox"
)

// clock is a settable time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// each runs fn on both engines with a clock that the database and the workers share.
func each(t *testing.T, fn func(t *testing.T, d *db.DB, clk *clock)) {
	t.Helper()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			clk := &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
			d := dbtest.OpenConfig(t, db.Config{URL: dbtest.URL(t, e), Now: clk.Now})
			if err := d.Migrate(t.Context(), outbox.Migrations); err != nil {
				t.Fatal(err)
			}
			fn(t, d, clk)
		})
	}
}

func put(t testing.TB, d *db.DB, ms ...outbox.Message) {
	t.Helper()
	err := d.Write(context.Background(), func(tx *db.Tx) error {
		for _, m := range ms {
			if err := outbox.Put(tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// record is a handler that keeps what it got and answers as told.
type record struct {
	mu     sync.Mutex
	got    []outbox.Message
	answer func(m outbox.Message) error
}

func (r *record) handle(_ context.Context, m outbox.Message) error {
	r.mu.Lock()
	r.got = append(r.got, m)
	answer := r.answer
	r.mu.Unlock()
	if answer == nil {
		return nil
	}
	return answer(m)
}

func (r *record) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, m := range r.got {
		out = append(out, m.ID)
	}
	return out
}

func worker(t testing.TB, d *db.DB, clk *clock, r *record, change func(*outbox.Config)) *outbox.Worker {
	t.Helper()
	c := outbox.Config{DB: d, Now: clk.Now, Handlers: map[string]outbox.Handler{"t": r.handle},
		Backoff: outbox.Exponential(time.Second, time.Minute, func() float64 { return 1 })}
	if change != nil {
		change(&c)
	}
	w, err := outbox.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func step(t testing.TB, w *outbox.Worker) int {
	t.Helper()
	n, err := w.Step(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func drain(t testing.TB, w *outbox.Worker) {
	t.Helper()
	for step(t, w) > 0 { //nolint:revive // until nothing is due
	}
}

func backlog(t testing.TB, d *db.DB) (waiting, dead int64) {
	t.Helper()
	bs, err := outbox.Backlogs(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bs {
		waiting += b.Waiting
		dead += b.Dead
	}
	return waiting, dead
}

func TestDeliversWhatWasCommittedAndNothingElse(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		r := &record{}
		w := worker(t, d, clk, r, nil)
		boom := errors.New("boom")
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := outbox.Put(tx, outbox.Message{Topic: "t", ID: "rolled-back"}); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		put(t, d, outbox.Message{Topic: "t", ID: "a", Payload: []byte("x")}, outbox.Message{Topic: "t", ID: "empty"},
			outbox.Message{Topic: "other", ID: "b"}, outbox.Message{Topic: "t", ID: "later", NotBefore: clk.Now().Add(time.Minute)})
		drain(t, w)
		got := r.ids()
		slices.Sort(got)
		if diff := cmp.Diff(got, []string{"a", "empty"}); diff != "" {
			t.Errorf("delivered (-got +want):\n%s", diff)
		}
		if r.got[0].Attempt != 1 || !r.got[0].CreatedAt.Equal(clk.Now()) {
			t.Errorf("got %+v", r.got[0])
		}
		clk.Add(time.Minute)
		drain(t, w)
		if got := r.ids(); got[len(got)-1] != "later" {
			t.Errorf("after its time: got %v", got)
		}
		if waiting, dead := backlog(t, d); waiting != 1 || dead != 0 {
			t.Errorf("backlog: got %d waiting, %d dead; want the other topic's message", waiting, dead)
		}
	})
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, _ *clock) {
		put(t, d, outbox.Message{Topic: "t", ID: "twice"})
		for name, c := range map[string]struct {
			m    outbox.Message
			want error
		}{
			"no topic":   {outbox.Message{}, outbox.ErrMessage},
			"long topic": {outbox.Message{Topic: string(make([]byte, 101))}, outbox.ErrMessage},
			"long key":   {outbox.Message{Topic: "t", Key: string(make([]byte, 201))}, outbox.ErrMessage},
			"long id":    {outbox.Message{Topic: "t", ID: string(make([]byte, 101))}, outbox.ErrMessage},
			"payload":    {outbox.Message{Topic: "t", Payload: make([]byte, outbox.MaxPayload+1)}, outbox.ErrMessage},
			"same id":    {outbox.Message{Topic: "t", ID: "twice"}, outbox.ErrDuplicate},
			"NUL in key": {outbox.Message{Topic: "t", Key: "a\x00b"}, db.ErrArgument},
		} {
			err := d.Write(t.Context(), func(tx *db.Tx) error { return outbox.Put(tx, c.m) })
			if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
	})
}

func TestFailureBacksOffThenDies(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		r := &record{answer: func(outbox.Message) error { return errors.New("no\x00 \xff luck") }}
		w := worker(t, d, clk, r, func(c *outbox.Config) { c.MaxAttempts = 4 })
		put(t, d, outbox.Message{Topic: "t", ID: "a", Payload: []byte("p")})
		for attempt, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second} {
			if n := step(t, w); n != 1 {
				t.Fatalf("attempt %d: claimed %d, want 1", attempt+1, n)
			}
			clk.Add(wait - time.Microsecond)
			if n := step(t, w); n != 0 {
				t.Fatalf("attempt %d: delivered before its back-off of %s", attempt+1, wait)
			}
			clk.Add(time.Microsecond)
		}
		step(t, w)
		clk.Add(time.Hour)
		if n := step(t, w); n != 0 || len(r.got) != 4 {
			t.Errorf("dead letter: claimed %d, delivered %d times; want 0 and 4", n, len(r.got))
		}
		dead, err := outbox.Dead(t.Context(), d, "", 10)
		if err != nil || len(dead) != 1 {
			t.Fatalf("dead letters: got %v, %v", dead, err)
		}
		if l := dead[0]; l.ID != "a" || string(l.Payload) != "p" || l.LastError != "no? ? luck" || l.Attempt != 4 {
			t.Errorf("dead letter: got %+v", l)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return outbox.Requeue(tx, "a") }); err != nil {
			t.Fatal(err)
		}
		r.answer = nil
		drain(t, w)
		if waiting, deadN := backlog(t, d); waiting != 0 || deadN != 0 || len(r.got) != 5 {
			t.Errorf("put back: got %d waiting, %d dead, %d deliveries", waiting, deadN, len(r.got))
		}
		for name, fn := range map[string]func(*db.Tx, string) error{"requeue": outbox.Requeue, "discard": outbox.Discard} {
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return fn(tx, "a") }); !errors.Is(err, outbox.ErrNotDead) {
				t.Errorf("%s of nothing: got %v, want ErrNotDead", name, err)
			}
		}
	})
}

func TestPermanentFailureDiesAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		r := &record{answer: func(outbox.Message) error { return fmt.Errorf("gone: %w", outbox.ErrPermanent) }}
		w := worker(t, d, clk, r, nil)
		put(t, d, outbox.Message{Topic: "t", ID: "a"})
		step(t, w)
		if waiting, dead := backlog(t, d); waiting != 0 || dead != 1 {
			t.Errorf("got %d waiting, %d dead; want 0, 1", waiting, dead)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return outbox.Discard(tx, "a") }); err != nil {
			t.Error(err)
		}
		if _, dead := backlog(t, d); dead != 0 {
			t.Errorf("discarded: %d dead left", dead)
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		r := &record{answer: func(outbox.Message) error { panic("kaputt") }}
		w := worker(t, d, clk, r, func(c *outbox.Config) { c.MaxAttempts = 1 })
		put(t, d, outbox.Message{Topic: "t"})
		step(t, w)
		if waiting, dead := backlog(t, d); waiting != 0 || dead != 1 {
			t.Errorf("got %d waiting, %d dead; want 0, 1", waiting, dead)
		}
	})
}

// Several workers with contending producers: each message is handled at least
// once, no message twice within its lease, and each key in order.
func TestWorkersShareWithoutOverlapAndKeepOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		const keys, perKey, loose = 6, 12, 40
		var mu sync.Mutex
		running, done := map[string]bool{}, map[string]int{}
		order := map[string][]string{}
		r := &record{answer: func(m outbox.Message) error {
			busy := m.ID
			if m.Key != "" {
				busy = m.Key
			}
			mu.Lock()
			if running[busy] {
				t.Errorf("%s handled by two workers at a time", busy)
			}
			running[busy] = true
			done[m.ID]++
			order[m.Key] = append(order[m.Key], string(m.Payload))
			mu.Unlock()
			mu.Lock()
			running[busy] = false
			mu.Unlock()
			return nil
		}}
		w := []*outbox.Worker{worker(t, d, clk, r, nil), worker(t, d, clk, r, nil), worker(t, d, clk, r, nil)}
		dbtest.Contend(t, keys+len(w)+1, func(i int) {
			switch {
			case i < keys:
				for k := range perKey {
					put(t, d, outbox.Message{Topic: "t", Key: fmt.Sprint("k", i), ID: fmt.Sprintf("k%d-%d", i, k), Payload: fmt.Appendf(nil, "%03d", k)})
				}
			case i == keys:
				for k := range loose {
					put(t, d, outbox.Message{Topic: "t", ID: fmt.Sprint("loose", k)})
				}
			default:
				for {
					if _, err := w[i-keys-1].Step(context.Background()); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					n := len(done)
					mu.Unlock()
					if n == keys*perKey+loose {
						return
					}
				}
			}
		})
		for id, n := range done {
			if n != 1 {
				t.Errorf("%s: handled %d times within one lease, want 1", id, n)
			}
		}
		for k := range keys {
			if got := order[fmt.Sprint("k", k)]; !slices.IsSorted(got) || len(got) != perKey {
				t.Errorf("key %d: got order %v", k, got)
			}
		}
	})
}

func TestKeyWaitsForItsOldest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		fail := true
		r := &record{}
		r.answer = func(m outbox.Message) error {
			if m.ID == "k1" && fail {
				return errors.New("not yet")
			}
			return nil
		}
		w := worker(t, d, clk, r, func(c *outbox.Config) { c.MaxAttempts = 2 })
		put(t, d, outbox.Message{Topic: "t", Key: "k", ID: "k1"}, outbox.Message{Topic: "t", Key: "k", ID: "k2"},
			outbox.Message{Topic: "t", Key: "j", ID: "j1"}, outbox.Message{Topic: "other", Key: "k", ID: "o1"})
		drain(t, w)
		if got := r.ids(); slices.Contains(got, "k2") || !slices.Contains(got, "j1") {
			t.Errorf("first in back-off: got %v; want k2 held back and j1 delivered", got)
		}
		clk.Add(time.Hour)
		drain(t, w) // the second failure makes it a dead letter
		if got := r.ids(); got[len(got)-1] != "k2" {
			t.Errorf("first dead: got %v, want k2 last", got)
		}
	})
}

// The process ends after the handler's effect and before its record: the
// message comes again after the lease, and Once keeps the effect single.
func TestCrashRedelivers(t *testing.T) {
	// Not parallel: failpoints are global.
	for _, point := range []string{failpoint.OutboxBeforeHandle, failpoint.OutboxAfterHandle} {
		t.Run(point, func(t *testing.T) {
			each(t, func(t *testing.T, d *db.DB, clk *clock) {
				effects := 0
				r := &record{answer: func(m outbox.Message) error {
					return d.Write(context.Background(), func(tx *db.Tx) error {
						first, err := outbox.Once(tx, "consumer", m.ID)
						if err == nil && first {
							effects++
						}
						return err
					})
				}}
				w := worker(t, d, clk, r, func(c *outbox.Config) { c.Lease = time.Minute })
				put(t, d, outbox.Message{Topic: "t", ID: "a"})
				disarm := failpoint.Arm(point, func() error { return failpoint.ErrInjected })
				_, err := w.Step(t.Context())
				disarm()
				if !errors.Is(err, failpoint.ErrInjected) {
					t.Fatalf("got %v, want the injected crash", err)
				}
				other := worker(t, d, clk, r, nil)
				clk.Add(time.Minute - time.Microsecond)
				if n := step(t, other); n != 0 {
					t.Fatal("claimed within the lease of the crashed worker")
				}
				clk.Add(time.Microsecond)
				if n := step(t, other); n != 1 {
					t.Fatal("not redelivered after the lease")
				}
				if waiting, dead := backlog(t, d); effects != 1 || waiting != 0 || dead != 0 {
					t.Errorf("got %d effects, %d waiting, %d dead; want 1, 0, 0", effects, waiting, dead)
				}
			})
		})
	}
}

// A message that ends the process each time must not do so for ever.
func TestCrashLoopEndsInADeadLetter(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		r := &record{}
		w := worker(t, d, clk, r, func(c *outbox.Config) { c.MaxAttempts = 3 })
		put(t, d, outbox.Message{Topic: "t", ID: "a"})
		disarm := failpoint.Arm(failpoint.OutboxAfterHandle, func() error { return failpoint.ErrInjected })
		for range 3 {
			if _, err := w.Step(t.Context()); !errors.Is(err, failpoint.ErrInjected) {
				t.Fatal(err)
			}
			clk.Add(time.Hour)
		}
		disarm()
		drain(t, w)
		if _, dead := backlog(t, d); dead != 1 || len(r.got) != 3 {
			t.Errorf("got %d dead after %d deliveries, want 1 after 3", dead, len(r.got))
		}
	})
}

// A worker that lost its lease must not remove the message from its successor.
func TestLateOutcomeIsIgnored(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		r := &record{}
		second := worker(t, d, clk, r, nil)
		slow := worker(t, d, clk, &record{answer: func(outbox.Message) error {
			clk.Add(time.Hour) // the lease runs out while it is being handled
			r.answer = func(outbox.Message) error { return errors.New("second worker fails") }
			step(t, second)
			return nil
		}}, nil)
		put(t, d, outbox.Message{Topic: "t", ID: "a"})
		step(t, slow)
		if waiting, _ := backlog(t, d); waiting != 1 {
			t.Errorf("got %d waiting, want 1: the second worker's failure stands", waiting)
		}
	})
}

func TestStoppingDoesNotCountAsAnAttempt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		ctx, cancel := context.WithCancel(t.Context())
		r := &record{}
		r.answer = func(m outbox.Message) error {
			if len(r.got) == 1 {
				cancel()
				return ctx.Err()
			}
			return nil
		}
		w := worker(t, d, clk, r, func(c *outbox.Config) { c.MaxAttempts = 1 })
		put(t, d, outbox.Message{Topic: "t", ID: "a"})
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		<-done
		drain(t, w)
		if waiting, dead := backlog(t, d); waiting != 0 || dead != 0 || len(r.got) != 2 {
			t.Errorf("got %d waiting, %d dead, %d deliveries; want 0, 0, 2", waiting, dead, len(r.got))
		}
	})
}

func TestOncePerConsumer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		once := func(consumer string) bool {
			var first bool
			if err := d.Write(context.Background(), func(tx *db.Tx) (err error) {
				first, err = outbox.Once(tx, consumer, "m")
				return err
			}); err != nil {
				t.Error(err)
			}
			return first
		}
		var mu sync.Mutex
		firsts := 0
		dbtest.Contend(t, 24, func(int) {
			if once("a") {
				mu.Lock()
				firsts++
				mu.Unlock()
			}
		})
		if firsts != 1 || !once("b") {
			t.Errorf("got %d firsts for one consumer, want 1, and 1 for another", firsts)
		}
		put(t, d, outbox.Message{Topic: "t", Key: "k", ID: "m"})
		clk.Add(time.Hour)
		if err := outbox.Purge(t.Context(), d, clk.Now()); err != nil {
			t.Fatal(err)
		}
		if once("a") {
			t.Error("purge forgot a message that is still waiting")
		}
		drain(t, worker(t, d, clk, &record{}, nil))
		clk.Add(time.Hour)
		if err := outbox.Purge(t.Context(), d, clk.Now()); err != nil {
			t.Fatal(err)
		}
		if !once("a") {
			t.Error("purge kept what is no longer needed")
		}
	})
}

func TestExponentialStaysInBounds(t *testing.T) {
	t.Parallel()
	for _, rnd := range []float64{0, 0.5, 0.999} {
		b := outbox.Exponential(time.Second, time.Minute, func() float64 { return rnd })
		for attempt := 1; attempt < 200; attempt++ {
			full := time.Minute
			if attempt < 7 {
				full = time.Second << (attempt - 1)
			}
			if got := b(attempt); got < full/2 || got > full {
				t.Errorf("attempt %d: got %s, want within %s and %s", attempt, got, full/2, full)
			}
		}
	}
}

// Quiet waits for the deliveries under way, and says if more is due.
func TestQuietWaitsForDeliveriesUnderWay(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, clk *clock) {
		begun, release := make(chan struct{}), make(chan struct{})
		var delivered atomic.Bool
		r := &record{answer: func(outbox.Message) error {
			close(begun)
			<-release
			delivered.Store(true)
			return nil
		}}
		w := worker(t, d, clk, r, nil)
		put(t, d, outbox.Message{Topic: "t", ID: "a"})
		if quiet, err := w.Quiet(t.Context()); err != nil || quiet {
			t.Errorf("with a message due: got %v, %v", quiet, err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { step(t, w) })
		<-begun
		time.AfterFunc(10*time.Millisecond, func() { close(release) })
		if quiet, err := w.Quiet(t.Context()); err != nil || !quiet || !delivered.Load() {
			t.Errorf("beside a delivery: got %v, %v, delivered %v", quiet, err, delivered.Load())
		}
		wg.Wait()
	})
}
