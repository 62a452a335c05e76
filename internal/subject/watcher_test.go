package subject_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// clock is a settable time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

func newWatcher(t testing.TB, c subject.WatcherConfig) *subject.Watcher {
	t.Helper()
	w, err := subject.NewWatcher(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func step(t testing.TB, w *subject.Watcher) int {
	t.Helper()
	n, err := w.Step(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func epochOf(t testing.TB, w *subject.Watcher, p identity.PersonID) subject.Epoch {
	t.Helper()
	s, err := w.Current(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	return s.Epoch
}

func TestCachedStandingCountsHalfASecond(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		clk := &clock{now: t0}
		w := newWatcher(t, subject.WatcherConfig{DB: d, Now: clk.Now})
		p := newPerson(t, d)
		if w.Fresh() {
			t.Error("fresh before the first read")
		}
		step(t, w)
		if got := epochOf(t, w, p); got != 1 {
			t.Fatalf("got epoch %d, want 1", got)
		}
		bump(t, d, p, subject.Suspended) // this node has not read the feed since
		clk.Add(subject.MaxAge)
		if got := epochOf(t, w, p); got != 1 {
			t.Errorf("within %s: got epoch %d, want the cached 1", subject.MaxAge, got)
		}
		clk.Add(time.Microsecond)
		if got := epochOf(t, w, p); got != 2 {
			t.Errorf("past %s: got epoch %d, want 2 from the database", subject.MaxAge, got)
		}
		if err := w.Check(t.Context(), p, 2); !errors.Is(err, subject.ErrNotActive) {
			t.Errorf("got %v, want ErrNotActive", err)
		}
		clk.Add(-time.Hour) // the clock was put back: the age is unknown
		bump(t, d, p, subject.Active)
		if got := epochOf(t, w, p); got != 3 {
			t.Errorf("clock put back: got epoch %d, want 3 from the database", got)
		}
	})
}

func TestStepAppliesChanges(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		clk := &clock{now: t0}
		var told []subject.Change
		w := newWatcher(t, subject.WatcherConfig{DB: d, Now: clk.Now,
			OnChange: func(c []subject.Change, _ bool) { told = append(told, c...) }})
		p, q := newPerson(t, d), newPerson(t, d)
		step(t, w)
		epochOf(t, w, p)
		bump(t, d, p, subject.Active)
		bump(t, d, q, subject.Active)
		if n := step(t, w); n != 2 {
			t.Errorf("changes: got %d, want 2", n)
		}
		if got := epochOf(t, w, p); got != 2 {
			t.Errorf("got epoch %d, want 2", got)
		}
		if err := w.Check(t.Context(), p, 1); !errors.Is(err, subject.ErrStale) {
			t.Errorf("old epoch: got %v, want ErrStale", err)
		}
		if err := w.Check(t.Context(), p, 2); err != nil {
			t.Errorf("new epoch: %v", err)
		}
		if len(told) != 2 || told[0].Who.Person != p || told[1].Who.Person != q {
			t.Errorf("told of %+v, want p and q in order", told)
		}
		if _, err := w.Current(t.Context(), "per_nobody"); !errors.Is(err, subject.ErrUnknown) {
			t.Errorf("stranger: got %v, want ErrUnknown", err)
		}
	})
}

// While the feed is read and people change, a watcher asked within the age of
// its last read must never lag behind that read.
func TestWatcherNeverKeepsAStaleLoad(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		clk := &clock{now: t0}
		w := newWatcher(t, subject.WatcherConfig{DB: d, Now: clk.Now, MaxEntries: 2})
		people := []identity.PersonID{newPerson(t, d), newPerson(t, d), newPerson(t, d)}
		step(t, w)
		dbtest.Contend(t, 8, func(i int) {
			p := people[i%len(people)]
			for range 20 {
				switch i {
				case 0, 1, 2:
					if err := d.Write(context.Background(), func(tx *db.Tx) error {
						_, err := subject.Advance(tx, p, "test", t0)
						return err
					}); err != nil {
						t.Error(err)
					}
				case 3:
					if _, err := w.Step(context.Background()); err != nil {
						t.Error(err)
					}
				default:
					if _, err := w.Current(context.Background(), p); err != nil {
						t.Error(err)
					}
				}
			}
		})
		step(t, w)
		for _, p := range people {
			if got, want := epochOf(t, w, p), current(t, d, p).Epoch; got != want {
				t.Errorf("after the last read: got epoch %d, want %d", got, want)
			}
		}
	})
}

func TestWatcherForgetsAfterARestore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		clk := &clock{now: t0}
		resets := 0
		w := newWatcher(t, subject.WatcherConfig{DB: d, Now: clk.Now, OnChange: func(_ []subject.Change, reset bool) {
			if reset {
				resets++
			}
		}})
		p := newPerson(t, d)
		bump(t, d, p, subject.Active)
		step(t, w)
		if got := epochOf(t, w, p); got != 2 {
			t.Fatalf("got epoch %d, want 2", got)
		}
		write(t, d, func(tx *db.Tx) error { // an older state comes back
			for _, q := range []string{
				`DELETE FROM subject_change WHERE seq = 2`,
				`UPDATE subject_feed SET last = 1`, `UPDATE subject SET epoch = 1`,
			} {
				if _, err := tx.Exec(q); err != nil {
					return err
				}
			}
			return nil
		})
		step(t, w)
		if got := epochOf(t, w, p); got != 1 || resets != 1 {
			t.Errorf("got epoch %d and %d resets, want 1 and 1", got, resets)
		}
	})
}

func TestRunReadsUntilCancelled(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, db.SQLite, lines())
	p := newPerson(t, d)
	seen := make(chan struct{})
	w := newWatcher(t, subject.WatcherConfig{DB: d, Interval: time.Millisecond,
		OnChange: func([]subject.Change, bool) { close(seen) }})
	step(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	bump(t, d, p, subject.Active)
	<-seen
	cancel()
	<-done
}
