package cache_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/cache/memory"
)

// faulty is a shared counter that can be switched off.
type faulty struct {
	inner cache.Taker
	down  atomic.Bool
	calls atomic.Int64
}

func (f *faulty) Take(ctx context.Context, key string, r cache.Rate, cost int) (cache.Decision, error) {
	f.calls.Add(1)
	if f.down.Load() {
		return cache.Decision{Allowed: true}, cache.ErrUnavailable // the decision beside an error must not be used
	}
	return f.inner.Take(ctx, key, r, cost)
}

type rig struct {
	now    time.Time
	shared *faulty
}

func newRig(t *testing.T) *rig {
	g := &rig{now: time.Unix(1_800_000_000, 0)}
	g.shared = &faulty{inner: g.memory(t)}
	return g
}

func (g *rig) memory(t *testing.T) *memory.Cache {
	t.Helper()
	m, err := memory.New(memory.Config{Now: func() time.Time { return g.now }})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (g *rig) node(t *testing.T) (*cache.Limiter, *atomic.Int64) {
	t.Helper()
	var fell atomic.Int64
	l, err := cache.NewLimiter(cache.LimiterConfig{
		Local: g.memory(t), Shared: g.shared, Now: func() time.Time { return g.now },
		OnFallback: func(error) { fell.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, &fell
}

var rate = cache.Rate{Count: 4, Per: time.Minute}

func allowed(t *testing.T, l *cache.Limiter, tries int) (n int) {
	t.Helper()
	for range tries {
		d, err := l.Take(t.Context(), "person", rate, 1)
		if err != nil {
			t.Fatal(err)
		}
		if d.Allowed {
			n++
		}
	}
	return n
}

func TestLimiterSharesTheLimitBetweenNodes(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	a, _ := g.node(t)
	b, _ := g.node(t)
	if n := allowed(t, a, 3) + allowed(t, b, 10); n != 4 {
		t.Errorf("two nodes together: %d allowed, want 4", n)
	}
	// 3 events of the first node, 4 of the second until its own counter refused.
	if n := g.shared.calls.Load(); n != 7 {
		t.Errorf("the shared counter was asked %d times, want 7", n)
	}
}

func TestLimiterNeverOpensWhenTheSharedCounterIsAway(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	l, fell := g.node(t)
	if n := allowed(t, l, 3); n != 3 {
		t.Fatalf("before: %d allowed", n)
	}
	g.shared.down.Store(true)
	calls := g.shared.calls.Load()
	if n := allowed(t, l, 20); n != 1 {
		t.Errorf("during the outage: %d allowed, want the 1 that is left", n)
	}
	if got := g.shared.calls.Load() - calls; got != 1 {
		t.Errorf("the dead counter was asked %d times within its pause, want once", got)
	}
	if fell.Load() != 1 {
		t.Errorf("fallbacks reported: %d, want 1", fell.Load())
	}
	g.now = g.now.Add(15 * time.Second)
	if n := allowed(t, l, 5); n != 1 {
		t.Errorf("after one interval: %d allowed, want 1", n)
	}
	g.shared.down.Store(false)
	g.now = g.now.Add(15 * time.Second)
	if n := allowed(t, l, 5); n != 1 {
		t.Errorf("after the outage: %d allowed, want 1", n)
	}
}

func TestLimiterReportsBadArgumentsAndDoneContexts(t *testing.T) {
	t.Parallel()
	g := newRig(t)
	l, _ := g.node(t)
	if _, err := l.Take(t.Context(), "k", cache.Rate{}, 1); !errors.Is(err, cache.ErrRate) {
		t.Errorf("got %v, want ErrRate", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := l.Take(ctx, "k", rate, 1); !errors.Is(err, context.Canceled) || d.Allowed {
		t.Errorf("got %+v, %v; want context.Canceled", d, err)
	}
	if _, err := cache.NewLimiter(cache.LimiterConfig{}); err == nil {
		t.Error("limiter without a local counter accepted")
	}
}
