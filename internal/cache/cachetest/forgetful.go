package cachetest

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/cache"
)

// Forgetful wraps a cache and forgets: before each operation it drops the entry
// concerned with probability P, and ForgetAll drops everything it has seen.
// What a context accepts over a Forgetful cache it must be right to accept over
// any cache.
type Forgetful struct {
	inner cache.Cache
	p     float64

	mu   sync.Mutex // guards rng, keys and forgotten
	rng  *rand.Rand
	keys map[string]struct{}
	// forgotten counts entries dropped on purpose.
	forgotten int
}

var _ cache.Cache = (*Forgetful)(nil)

// NewForgetful wraps inner. p is between 0 (never forgets) and 1 (a cache that
// remembers nothing); seed makes the run repeatable.
func NewForgetful(inner cache.Cache, seed uint64, p float64) *Forgetful {
	return &Forgetful{inner: inner, p: p, rng: rand.New(rand.NewPCG(seed, 0x5017)), keys: map[string]struct{}{}}
}

// ForgetAll drops every entry stored through f, as a flush would.
func (f *Forgetful) ForgetAll(ctx context.Context) error {
	f.mu.Lock()
	keys := f.keys
	f.keys = map[string]struct{}{}
	f.forgotten += len(keys)
	f.mu.Unlock()
	for k := range keys {
		if err := f.inner.Del(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// Forgotten returns how many times an entry was dropped on purpose, so that a
// test can tell that it tested something.
func (f *Forgetful) Forgotten() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.forgotten
}

func (f *Forgetful) maybe(ctx context.Context, key string) error {
	f.mu.Lock()
	f.keys[key] = struct{}{}
	forget := f.rng.Float64() < f.p
	if forget {
		f.forgotten++
	}
	f.mu.Unlock()
	if !forget || cache.CheckKey(key) != nil {
		return nil
	}
	return f.inner.Del(ctx, key)
}

// SetNX implements [cache.Cache].
func (f *Forgetful) SetNX(ctx context.Context, key string, val []byte, ttl time.Duration) (bool, error) {
	if err := f.maybe(ctx, key); err != nil {
		return false, err
	}
	return f.inner.SetNX(ctx, key, val, ttl)
}

// Get implements [cache.Cache].
func (f *Forgetful) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := f.maybe(ctx, key); err != nil {
		return nil, false, err
	}
	return f.inner.Get(ctx, key)
}

// GetDel implements [cache.Cache].
func (f *Forgetful) GetDel(ctx context.Context, key string) ([]byte, bool, error) {
	if err := f.maybe(ctx, key); err != nil {
		return nil, false, err
	}
	return f.inner.GetDel(ctx, key)
}

// Set implements [cache.Cache]. It may forget right after storing.
func (f *Forgetful) Set(ctx context.Context, key string, val []byte, ttl time.Duration) error {
	if err := f.inner.Set(ctx, key, val, ttl); err != nil {
		return err
	}
	return f.maybe(ctx, key)
}

// Del implements [cache.Cache].
func (f *Forgetful) Del(ctx context.Context, key string) error { return f.inner.Del(ctx, key) }

// Incr implements [cache.Cache].
func (f *Forgetful) Incr(ctx context.Context, key string, ttl time.Duration) (int64, error) {
	if err := f.maybe(ctx, key); err != nil {
		return 0, err
	}
	return f.inner.Incr(ctx, key, ttl)
}

// Publish implements [cache.Cache]. It may lose the message.
func (f *Forgetful) Publish(ctx context.Context, topic string, msg []byte) error {
	f.mu.Lock()
	lose := f.rng.Float64() < f.p
	f.mu.Unlock()
	if lose && cache.CheckMessage(topic, msg) == nil {
		return nil
	}
	return f.inner.Publish(ctx, topic, msg)
}

// Subscribe implements [cache.Cache].
func (f *Forgetful) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	return f.inner.Subscribe(ctx, topic)
}
