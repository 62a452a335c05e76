package memory

import (
	"context"
	"hash/maphash"

	"oruro.gob.bo/suti/internal/cache"
)

// sweepCells is how many cells one insertion looks at for spent ones.
const sweepCells = 16

// cell is the state of one rate key: the theoretical arrival time in unix
// microseconds. A cell whose time has passed is equal to no cell at all.
type cell struct{ tat int64 }

// Take implements [cache.Taker].
func (m *Cache) Take(ctx context.Context, key string, r cache.Rate, cost int) (cache.Decision, error) {
	if err := cache.CheckKey(key); err != nil {
		return cache.Decision{}, err
	}
	interval, tolerance, burst, err := r.Cells(cost)
	if err != nil {
		return cache.Decision{}, err
	}
	unlock, err := m.begin(ctx)
	if err != nil {
		return cache.Decision{}, err
	}
	defer unlock()
	now := m.c.Now().UnixMicro()
	tat, own := m.slot(key, now)
	d, next := cache.Step(*tat, now, interval, tolerance, burst, cost)
	// In a shared cell another key's longer rate may have set a later time,
	// which Step bounds for this key only.
	if own || next > *tat {
		*tat = next
	}
	return d, nil
}

// slot returns where the arrival time of key is kept: in a cell of its own if
// there is one or room for one, else in a cell shared by hash.
func (m *Cache) slot(key string, now int64) (tat *int64, own bool) {
	if c := m.cells[key]; c != nil {
		return &c.tat, true
	}
	seen := 0
	for k, c := range m.cells {
		if c.tat <= now {
			delete(m.cells, k)
		}
		if seen++; seen == sweepCells {
			break
		}
	}
	shared := &m.overflow[maphash.String(m.seed, key)%overflowCells]
	// A key that has been counted in a shared cell goes on there until that
	// cell is spent; moving it earlier would give it a second burst.
	if len(m.cells) >= m.c.MaxCells || *shared > now {
		return shared, false
	}
	c := &cell{}
	m.cells[key] = c
	return &c.tat, true
}

// Publish implements [cache.Cache].
func (m *Cache) Publish(ctx context.Context, topic string, msg []byte) error {
	if err := cache.CheckMessage(topic, msg); err != nil {
		return err
	}
	unlock, err := m.begin(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for f := range m.feeds[topic] {
		f.Offer(append([]byte{}, msg...))
	}
	return nil
}

// Subscribe implements [cache.Cache].
func (m *Cache) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	if err := cache.CheckKey(topic); err != nil {
		return nil, err
	}
	unlock, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	f := cache.NewFeed()
	if m.feeds[topic] == nil {
		m.feeds[topic] = map[*cache.Feed]struct{}{}
	}
	m.feeds[topic][f] = struct{}{}
	context.AfterFunc(ctx, func() {
		m.mu.Lock()
		delete(m.feeds[topic], f)
		if len(m.feeds[topic]) == 0 {
			delete(m.feeds, topic)
		}
		m.mu.Unlock()
		f.Close()
	})
	return f.C(), nil
}

// Close ends all subscriptions. Every later call fails with [cache.ErrClosed].
func (m *Cache) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, feeds := range m.feeds {
		for f := range feeds {
			f.Close()
		}
	}
	m.feeds = map[string]map[*cache.Feed]struct{}{}
	return nil
}
