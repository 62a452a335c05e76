package keystore

import "container/list"

// lru keeps the values of the most recently used keys. It is not safe for
// concurrent use.
type lru[V any] struct {
	capacity int
	order    *list.List // of pair[V], the most recently used first
	byKey    map[string]*list.Element
}

type pair[V any] struct {
	key   string
	value V
}

func newLRU[V any](capacity int) *lru[V] {
	return &lru[V]{capacity: capacity, order: list.New(), byKey: map[string]*list.Element{}}
}

func (l *lru[V]) get(key string) (v V, ok bool) {
	e, ok := l.byKey[key]
	if !ok {
		return v, false
	}
	l.order.MoveToFront(e)
	return e.Value.(pair[V]).value, true
}

func (l *lru[V]) put(key string, v V) {
	if e, ok := l.byKey[key]; ok {
		e.Value = pair[V]{key, v}
		l.order.MoveToFront(e)
		return
	}
	l.byKey[key] = l.order.PushFront(pair[V]{key, v})
	if l.order.Len() > l.capacity {
		last := l.order.Back()
		delete(l.byKey, last.Value.(pair[V]).key)
		l.order.Remove(last)
	}
}

func (l *lru[V]) drop(key string) {
	if e, ok := l.byKey[key]; ok {
		delete(l.byKey, key)
		l.order.Remove(e)
	}
}
