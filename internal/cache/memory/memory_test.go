package memory_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/cache/cachetest"
	"oruro.gob.bo/suti/internal/cache/memory"
)

// clock is a settable clock.
type clock struct{ us atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.us.Store(time.Date(2026, 11, 24, 15, 4, 0, 0, time.UTC).UnixMicro())
	return c
}
func (c *clock) Now() time.Time          { return time.UnixMicro(c.us.Load()) }
func (c *clock) Advance(d time.Duration) { c.us.Add(d.Microseconds()) }

func open(t *testing.T, c memory.Config) (*memory.Cache, *clock) {
	t.Helper()
	clk := newClock()
	c.Now = clk.Now
	m, err := memory.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, clk
}

func TestConformance(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t *testing.T) cachetest.Backend {
		m, clk := open(t, memory.Config{})
		return cachetest.Backend{Cache: m, Taker: m, Advance: clk.Advance}
	})
}

func TestForgetfulStillConformsWhenItForgetsNothing(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t *testing.T) cachetest.Backend {
		m, clk := open(t, memory.Config{})
		return cachetest.Backend{Cache: cachetest.NewForgetful(m, 1, 0), Taker: m, Advance: clk.Advance}
	})
}

// Under pressure an entry is either itself or missing, and the bounds hold.
func TestEvictionIsAMissNeverWrongData(t *testing.T) {
	t.Parallel()
	m, clk := open(t, memory.Config{MaxEntries: 50, MaxBytes: 40_000})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range 4000 {
				k := fmt.Sprintf("key %d", rng.IntN(400))
				switch rng.IntN(3) {
				case 0:
					val := bytes.Repeat([]byte(k+";"), 1+rng.IntN(200))
					if err := m.Set(t.Context(), k, val, time.Duration(1+rng.IntN(60))*time.Second); err != nil {
						t.Error(err)
					}
				case 1:
					if val, ok, err := m.Get(t.Context(), k); err != nil || (ok && !bytes.HasPrefix(val, []byte(k+";"))) {
						t.Errorf("Get(%s): got %.30q, %v", k, val, err)
					}
				default:
					clk.Advance(10 * time.Millisecond)
				}
				if n, size := m.Len(); n > 50 || size > 40_000 {
					t.Errorf("bounds: %d entries, %d bytes", n, size)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestEvictionDropsTheEntryNearestToItsEnd(t *testing.T) {
	t.Parallel()
	m, _ := open(t, memory.Config{MaxEntries: 2})
	for key, ttl := range map[string]time.Duration{"long": time.Hour, "short": time.Minute} {
		if err := m.Set(t.Context(), key, nil, ttl); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Set(t.Context(), "new", nil, time.Second); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"long": true, "short": false, "new": true} {
		if _, ok, _ := m.Get(t.Context(), key); ok != want {
			t.Errorf("%s: got %v, want %v", key, ok, want)
		}
	}
}

func TestFlushForgetsValuesButDoesNotOpenLimits(t *testing.T) {
	t.Parallel()
	m, _ := open(t, memory.Config{})
	r := cache.Rate{Count: 1, Per: time.Minute}
	if err := m.Set(t.Context(), "k", nil, time.Minute); err != nil {
		t.Fatal(err)
	}
	if d, err := m.Take(t.Context(), "k", r, 1); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
	m.Flush()
	if _, ok, _ := m.Get(t.Context(), "k"); ok {
		t.Error("value survived the flush")
	}
	if d, err := m.Take(t.Context(), "k", r, 1); err != nil || d.Allowed {
		t.Errorf("limit opened by the flush: %+v, %v", d, err)
	}
}

// Filling the table of rate cells must never give anyone a second burst.
func TestFullRateTableBecomesStricterNotLaxer(t *testing.T) {
	t.Parallel()
	m, clk := open(t, memory.Config{MaxCells: 100})
	r := cache.Rate{Count: 2, Per: time.Hour}
	used := map[string]int{}
	rng := rand.New(rand.NewPCG(3, 4))
	refused := 0
	for range 30_000 {
		k := fmt.Sprintf("victim %d", rng.IntN(5000))
		d, err := m.Take(t.Context(), k, r, 1)
		if err != nil {
			t.Fatal(err)
		}
		if d.Allowed {
			used[k]++
		} else {
			refused++
		}
		clk.Advance(time.Millisecond) // 30 s in all: no refill
	}
	for k, n := range used {
		if n > 2 {
			t.Errorf("%s: %d allowed, want at most 2", k, n)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused: the test filled no table")
	}
	clk.Advance(2 * time.Hour)
	if d, err := m.Take(t.Context(), "later", r, 2); err != nil || !d.Allowed {
		t.Errorf("after the pressure: got %+v, %v", d, err)
	}
}

// A key counted in a shared cell stays there, although a cell of its own is free
// again: moving would give it a second burst.
func TestKeyStaysInItsSharedCell(t *testing.T) {
	t.Parallel()
	m, clk := open(t, memory.Config{MaxCells: 1})
	if d, err := m.Take(t.Context(), "first", cache.Rate{Count: 1, Per: time.Second}, 1); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
	slow := cache.Rate{Count: 1, Per: time.Hour}
	if d, err := m.Take(t.Context(), "second", slow, 1); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
	clk.Advance(time.Minute) // the cell of "first" is spent
	if d, err := m.Take(t.Context(), "second", slow, 1); err != nil || d.Allowed {
		t.Errorf("got %+v, %v; want a refusal within the hour", d, err)
	}
}

func TestClockSetBackDoesNotLockOut(t *testing.T) {
	t.Parallel()
	m, clk := open(t, memory.Config{})
	r := cache.Rate{Count: 1, Per: time.Second}
	if d, err := m.Take(t.Context(), "k", r, 1); err != nil || !d.Allowed {
		t.Fatal(d, err)
	}
	clk.Advance(-24 * time.Hour)
	if d, _ := m.Take(t.Context(), "k", r, 1); d.Allowed || d.RetryAfter > time.Second {
		t.Errorf("just after: got %+v, want to wait a second at most", d)
	}
	clk.Advance(time.Second)
	if d, _ := m.Take(t.Context(), "k", r, 1); !d.Allowed {
		t.Errorf("a second later: got %+v", d)
	}
}

func TestSlowSubscriberIsToldOfTheGap(t *testing.T) {
	t.Parallel()
	m, _ := open(t, memory.Config{})
	ch, err := m.Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if err := m.Publish(t.Context(), "t", []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	gap, last := false, ""
	for last != "999" {
		msg := <-ch
		if len(msg) == 0 {
			gap = true
		} else {
			last = string(msg)
		}
	}
	if !gap {
		t.Error("messages were lost without a sign")
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	m, _ := open(t, memory.Config{})
	ch, err := m.Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, open := <-ch; open {
		t.Error("subscription survived Close")
	}
	if _, _, err := m.Get(t.Context(), "k"); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("Get: got %v, want ErrClosed", err)
	}
	if _, err := memory.New(memory.Config{MaxEntries: -1}); err == nil {
		t.Error("negative bound accepted")
	}
}
