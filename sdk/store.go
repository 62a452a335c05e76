package sdk

import (
	"container/list"
	"context"
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

// maxMemoryEntries bounds the in-process store; the oldest entry gives way.
const maxMemoryEntries = 100_000

type memoryStore struct {
	now func() time.Time

	mu      sync.Mutex // guards entries, order
	entries map[string]*list.Element
	order   *list.List // oldest first
}

type memoryEntry struct {
	key     string
	value   []byte
	expires time.Time
}

// NewMemoryStore returns a Store for one process, bounded to 100,000 entries.
func NewMemoryStore(now func() time.Time) Store {
	return &memoryStore{now: now, entries: map[string]*list.Element{}, order: list.New()}
}

func (m *memoryStore) Put(_ context.Context, key string, value []byte, ttl time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(key)
	for len(m.entries) >= maxMemoryEntries {
		oldest, _ := m.order.Front().Value.(*memoryEntry)
		m.drop(oldest.key)
	}
	m.entries[key] = m.order.PushBack(&memoryEntry{key, append([]byte(nil), value...), m.now().Add(ttl)})
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
		m.order.Remove(el)
		delete(m.entries, key)
	}
}
