package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// pauseAfterFailure is how long a failed shared backend is left alone, so that
// an outage costs one time-out now and then and not one per request.
const pauseAfterFailure = time.Second

// LimiterConfig configures a [Limiter].
type LimiterConfig struct {
	// Local is the node's own counter, normally a memory cache. Required.
	Local Taker
	// Shared is the counter of all nodes. Nil means that Local alone decides.
	Shared Taker
	// OnFallback, if set, is told of every failure of Shared, for a log line or a metric.
	OnFallback func(error)
	// Now is the clock of the pause after a failure; time.Now by default.
	Now func() time.Time
}

// Limiter decides rate limits for all nodes and keeps deciding without them.
//
// Every event is first put to the node's own counter with the full rate. As
// what one node sees is part of what all see, a local refusal is a true
// refusal. Then the shared counter decides. While it cannot be reached, the
// local decision stands: the limit becomes "per node", with what this node
// has already counted, and is never open.
type Limiter struct {
	c LimiterConfig

	mu        sync.Mutex // guards downUntil
	downUntil time.Time
}

// NewLimiter checks c and returns a limiter.
func NewLimiter(c LimiterConfig) (*Limiter, error) {
	if c.Local == nil {
		return nil, errors.New("cache: limiter needs a local counter")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Limiter{c: c}, nil
}

// Take implements [Taker]. It fails only on bad arguments, on a done ctx, or
// if the local counter fails; a failure of the shared one is not an error.
func (l *Limiter) Take(ctx context.Context, key string, r Rate, cost int) (Decision, error) {
	local, err := l.c.Local.Take(ctx, key, r, cost)
	if err != nil {
		return Decision{}, fmt.Errorf("local rate counter: %w", err)
	}
	if !local.Allowed || l.c.Shared == nil || l.paused() {
		return local, nil
	}
	shared, err := l.c.Shared.Take(ctx, key, r, cost)
	if err == nil {
		return stricter(local, shared), nil
	}
	if ctx.Err() != nil {
		return Decision{}, ctx.Err()
	}
	l.pause()
	if l.c.OnFallback != nil {
		l.c.OnFallback(err)
	}
	return local, nil
}

func (l *Limiter) paused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.c.Now().Before(l.downUntil)
}

func (l *Limiter) pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.downUntil = l.c.Now().Add(pauseAfterFailure)
}

// stricter joins two decisions about the same event.
func stricter(a, b Decision) Decision {
	return Decision{
		Allowed:    a.Allowed && b.Allowed,
		Limit:      min(a.Limit, b.Limit),
		Remaining:  min(a.Remaining, b.Remaining),
		RetryAfter: max(a.RetryAfter, b.RetryAfter),
		ResetAfter: max(a.ResetAfter, b.ResetAfter),
	}
}
