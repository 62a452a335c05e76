package live

import (
	"sync"
	"time"
)

// Cache keeps values of one kind. What it returns is shared: it MUST NOT be
// changed. It is safe for concurrent use.
type Cache[V any] struct {
	f   *Follower
	max int

	mu   sync.Mutex // guards kept
	kept map[string]entry[V]
}

type entry[V any] struct {
	value V
	tick  int64
	until time.Time
	needs []string
}

// NewCache returns an empty cache of at most max values.
func NewCache[V any](f *Follower, max int) *Cache[V] {
	return &Cache[V]{f: f, max: max, kept: map[string]entry[V]{}}
}

// Value is what a reading gives to keep: at most until a time (a minute if it is
// zero or later), while nothing that Needs names has changed.
type Value[V any] struct {
	Value V
	Until time.Time
	Needs []string
}

// Get returns what is kept under key, or what read gives. An error is not kept.
func (c *Cache[V]) Get(key string, read func() (Value[V], error)) (V, error) {
	now := c.f.cfg.Now()
	c.mu.Lock()
	e, ok := c.kept[key]
	c.mu.Unlock()
	if ok && now.Before(e.until) && c.f.stands(e.tick, e.needs) {
		return e.value, nil
	}
	tick := c.f.now() // before reading: a change that the reading misses has a later one
	v, err := read()
	if err != nil {
		var none V
		return none, err
	}
	if until := now.Add(maxLife); v.Until.IsZero() || v.Until.After(until) {
		v.Until = until
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.kept[key]; !ok && len(c.kept) >= c.max {
		c.drop(now)
	}
	c.kept[key] = entry[V]{v.Value, tick, v.Until, v.Needs}
	return v.Value, nil
}

// drop makes room: what is over goes, and if that is nothing, any eighth.
func (c *Cache[V]) drop(now time.Time) {
	for k, e := range c.kept {
		if !now.Before(e.until) {
			delete(c.kept, k)
		}
	}
	for k := range c.kept {
		if len(c.kept) <= c.max-c.max/8-1 {
			return
		}
		delete(c.kept, k)
	}
}
