// Package memory is the in-process implementation of [cache.Cache] and
// [cache.Taker]: the default of a single node and the local half of every rate
// limiter. It holds a bounded number of entries and bytes. When it is full, the
// entry nearest to its end is dropped, which callers see as a miss. Rate cells
// are never dropped: when their table is full, new keys share one of a fixed
// number of cells, so that pressure makes limits stricter and never opens them.
package memory

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/cache"
)

// Defaults of [Config].
const (
	DefaultMaxEntries = 100_000
	DefaultMaxBytes   = 64 << 20
	DefaultMaxCells   = 50_000
	// overflowCells is the number of shared rate cells used once MaxCells are in use.
	overflowCells = 1024
	// entryOverhead is added to key and value when bytes are counted.
	entryOverhead = 160
)

// Config bounds a [Cache]. The zero value is usable.
type Config struct {
	// MaxEntries bounds values and counters together.
	MaxEntries int
	// MaxBytes bounds their keys, values and bookkeeping together.
	MaxBytes int64
	// MaxCells bounds the rate cells that have a key of their own.
	MaxCells int
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// Cache is an in-process cache. Create it with [New].
type Cache struct {
	c    Config
	seed maphash.Seed

	mu       sync.Mutex // guards everything below
	entries  map[string]*entry
	byExpiry expiryHeap
	bytes    int64
	cells    map[string]*cell
	overflow [overflowCells]int64
	feeds    map[string]map[*cache.Feed]struct{}
	closed   bool
}

var (
	_ cache.Cache = (*Cache)(nil)
	_ cache.Taker = (*Cache)(nil)
)

// Names of values and counters live in one map, told apart by this first byte.
const (
	kindValue   = "v"
	kindCounter = "c"
)

type entry struct {
	name   string // kind and key
	val    []byte
	count  int64
	expiry time.Time
	index  int // in byExpiry
}

// New returns an empty cache. A negative bound is an error.
func New(c Config) (*Cache, error) {
	if c.MaxEntries < 0 || c.MaxBytes < 0 || c.MaxCells < 0 {
		return nil, errors.New("cache: negative bound")
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = DefaultMaxEntries
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	if c.MaxCells == 0 {
		c.MaxCells = DefaultMaxCells
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Cache{
		c: c, seed: maphash.MakeSeed(),
		entries: map[string]*entry{}, cells: map[string]*cell{},
		feeds: map[string]map[*cache.Feed]struct{}{},
	}, nil
}

// SetNX implements [cache.Cache].
func (m *Cache) SetNX(ctx context.Context, key string, val []byte, ttl time.Duration) (bool, error) {
	if err := cache.CheckEntry(key, val, ttl); err != nil {
		return false, err
	}
	unlock, err := m.begin(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	now := m.c.Now()
	if m.live(kindValue+key, now) != nil {
		return false, nil
	}
	m.put(&entry{name: kindValue + key, val: bytes.Clone(val), expiry: now.Add(ttl)}, now)
	return true, nil
}

// Get implements [cache.Cache].
func (m *Cache) Get(ctx context.Context, key string) ([]byte, bool, error) {
	return m.get(ctx, key, false)
}

// GetDel implements [cache.Cache].
func (m *Cache) GetDel(ctx context.Context, key string) ([]byte, bool, error) {
	return m.get(ctx, key, true)
}

func (m *Cache) get(ctx context.Context, key string, remove bool) ([]byte, bool, error) {
	if err := cache.CheckKey(key); err != nil {
		return nil, false, err
	}
	unlock, err := m.begin(ctx)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	e := m.live(kindValue+key, m.c.Now())
	if e == nil {
		return nil, false, nil
	}
	if remove {
		m.drop(e)
	}
	return append([]byte{}, e.val...), true, nil
}

// Set implements [cache.Cache].
func (m *Cache) Set(ctx context.Context, key string, val []byte, ttl time.Duration) error {
	if err := cache.CheckEntry(key, val, ttl); err != nil {
		return err
	}
	unlock, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	now := m.c.Now()
	m.put(&entry{name: kindValue + key, val: bytes.Clone(val), expiry: now.Add(ttl)}, now)
	return nil
}

// Del implements [cache.Cache].
func (m *Cache) Del(ctx context.Context, key string) error {
	if err := cache.CheckKey(key); err != nil {
		return err
	}
	unlock, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for _, kind := range []string{kindValue, kindCounter} {
		if e := m.entries[kind+key]; e != nil {
			m.drop(e)
		}
	}
	return nil
}

// Incr implements [cache.Cache].
func (m *Cache) Incr(ctx context.Context, key string, ttl time.Duration) (int64, error) {
	if err := cache.CheckEntry(key, nil, ttl); err != nil {
		return 0, err
	}
	unlock, err := m.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	now := m.c.Now()
	if e := m.live(kindCounter+key, now); e != nil {
		e.count++
		return e.count, nil
	}
	m.put(&entry{name: kindCounter + key, count: 1, expiry: now.Add(ttl)}, now)
	return 1, nil
}

// Flush forgets every value and counter, as an operator's FLUSHALL would. Rate
// cells stay: a limit must not open.
func (m *Cache) Flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries, m.byExpiry, m.bytes = map[string]*entry{}, nil, 0
}

// Len returns how many values and counters are held, and their bytes with
// bookkeeping. Expired ones that were not yet met are included.
func (m *Cache) Len() (entries int, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.entries), m.bytes
}

// begin locks m unless ctx is done or the cache is closed.
func (m *Cache) begin(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, cache.ErrClosed
	}
	return m.mu.Unlock, nil
}

// live returns the entry of that name, or nil if there is none or it has expired.
func (m *Cache) live(name string, now time.Time) *entry {
	e := m.entries[name]
	if e == nil {
		return nil
	}
	if !now.Before(e.expiry) {
		m.drop(e)
		return nil
	}
	return e
}

// put stores e, replacing its namesake, and drops others until the bounds hold:
// the expired ones first, as they are the nearest to their end.
func (m *Cache) put(e *entry, now time.Time) {
	if old := m.entries[e.name]; old != nil {
		m.drop(old)
	}
	if size(e) > m.c.MaxBytes {
		return // larger than the whole cache: forgotten at once
	}
	for len(m.entries) > 0 && (len(m.entries) >= m.c.MaxEntries || m.bytes+size(e) > m.c.MaxBytes) {
		m.drop(m.byExpiry[0])
	}
	m.entries[e.name] = e
	heap.Push(&m.byExpiry, e)
	m.bytes += size(e)
	for len(m.byExpiry) > 0 && !now.Before(m.byExpiry[0].expiry) {
		m.drop(m.byExpiry[0])
	}
}

func (m *Cache) drop(e *entry) {
	delete(m.entries, e.name)
	heap.Remove(&m.byExpiry, e.index)
	m.bytes -= size(e)
}

func size(e *entry) int64 { return int64(len(e.name)+len(e.val)) + entryOverhead }

// expiryHeap is a min-heap of entries by the end of their life.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].expiry.Before(h[j].expiry) }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.index = len(*h)
	*h = append(*h, e)
}
func (h *expiryHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}
