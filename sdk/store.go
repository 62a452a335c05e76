package sdk

import (
	"container/list"
	"context"
	"strings"
	"sync"
	"time"
)

// Store keeps small values for a time. An application of several processes
// gives one that they share. Keys hold no secret; values do.
type Store interface {
	// Put keeps value under key for ttl, replacing what was there.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Get returns the value, or false when there is none or its time is over.
	Get(ctx context.Context, key string) ([]byte, bool, error)
	// Take returns the value and removes it. Of several callers at once, at
	// most one MUST get it.
	Take(ctx context.Context, key string) ([]byte, bool, error)
}

// Bounds of the in-process store; the oldest entry gives way. Anybody can begin
// a login, so those have a bound of their own and never push out a session.
const (
	maxMemoryEntries = 100_000
	maxMemoryLogins  = 20_000
)

type memoryStore struct {
	now func() time.Time

	mu      sync.Mutex // guards entries, orders
	entries map[string]*list.Element
	orders  map[bool]*list.List // oldest first; logins under way (true) and all else
}

// isLogin reports whether a key is one of a login under way.
func isLogin(key string) bool { return strings.HasPrefix(key, "login:") }

type memoryEntry struct {
	key     string
	value   []byte
	expires time.Time
}

// NewMemoryStore returns a Store for one process, bounded to 100,000 entries
// and 20,000 logins under way.
func NewMemoryStore(now func() time.Time) Store {
	return &memoryStore{now: now, entries: map[string]*list.Element{}, orders: map[bool]*list.List{true: list.New(), false: list.New()}}
}

func (m *memoryStore) Put(_ context.Context, key string, value []byte, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(key)
	order, limit := m.orders[isLogin(key)], maxMemoryEntries
	if isLogin(key) {
		limit = maxMemoryLogins
	}
	for order.Len() >= limit {
		oldest, _ := order.Front().Value.(*memoryEntry)
		m.drop(oldest.key)
	}
	m.entries[key] = order.PushBack(&memoryEntry{key, append([]byte(nil), value...), m.now().Add(ttl)})
	return nil
}

func (m *memoryStore) Get(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live(key)
}

func (m *memoryStore) Take(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok, err := m.live(key)
	m.drop(key)
	return value, ok, err
}

func (m *memoryStore) live(key string) ([]byte, bool, error) {
	el, ok := m.entries[key]
	if !ok {
		return nil, false, nil
	}
	e, _ := el.Value.(*memoryEntry)
	if !m.now().Before(e.expires) {
		m.drop(key)
		return nil, false, nil
	}
	return append([]byte(nil), e.value...), true, nil
}

func (m *memoryStore) drop(key string) {
	if el, ok := m.entries[key]; ok {
		m.orders[isLogin(key)].Remove(el)
		delete(m.entries, key)
	}
}
