package evidence

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
)

const maxCacheEntries = 4096

// item is something fetched and verified.
type item struct {
	der        []byte
	status     *revocation.Status // of an OCSP response
	crl        *revocation.CRL    // or a list
	asked      time.Time          // when the request went out
	thisUpdate time.Time
	expires    time.Time
}

// fresh reports whether the item answers a question of a moment: it is from
// after since, or was at least fetched after it, so that asking again gains nothing.
func (i *item) fresh(now, since time.Time) bool {
	return now.Before(i.expires) && (since.IsZero() || !i.asked.Before(since) || !i.thisUpdate.Before(since))
}

// cache keeps items until they expire, within a bound of octets, and lets
// callers who want the same item share one fetch.
type cache struct {
	now      func() time.Time
	maxBytes int64
	flights  singleflight.Group

	mu    sync.Mutex // guards items and bytes
	items map[string]*item
	bytes int64
}

func newCache(now func() time.Time, maxBytes int64) *cache {
	return &cache{now: now, maxBytes: maxBytes, items: map[string]*item{}}
}

// get returns the item under key, from the cache if it is fresh with regard to
// since, else from load. load runs detached from ctx, which cancels only the
// wait, and must bound itself.
func (c *cache) get(ctx context.Context, key string, since time.Time, load func(context.Context) (*item, error)) (*item, error) {
	for try := 0; ; try++ {
		if it := c.lookup(key); it != nil && it.fresh(c.now(), since) {
			return it, nil
		}
		ch := c.flights.DoChan(key, func() (any, error) {
			asked := c.now()
			it, err := load(context.WithoutCancel(ctx))
			if err != nil {
				return nil, err
			}
			it.asked = asked
			c.store(key, it)
			return it, nil
		})
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case r := <-ch:
			if r.Err != nil {
				return nil, r.Err
			}
			it := r.Val.(*item)
			// A flight that had begun before since may have brought something
			// older; one's own, or a later one, is as new as can be had.
			if !r.Shared || try > 0 || since.IsZero() || !it.asked.Before(since) || !it.thisUpdate.Before(since) {
				return it, nil
			}
		}
	}
}

func (c *cache) lookup(key string) *item {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.items[key]
}

// store puts an item in and drops what has expired or would expire first until
// the bounds hold. An item over the bound by itself is not kept.
func (c *cache) store(key string, it *item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	if int64(len(it.der)) > c.maxBytes {
		return
	}
	for len(c.items) >= maxCacheEntries || c.bytes+int64(len(it.der)) > c.maxBytes {
		first := ""
		for k, v := range c.items {
			if first == "" || v.expires.Before(c.items[first].expires) {
				first = k
			}
		}
		c.drop(first)
	}
	c.items[key] = it
	c.bytes += int64(len(it.der))
}

// drop removes an item; c.mu is held.
func (c *cache) drop(key string) {
	if old := c.items[key]; old != nil {
		c.bytes -= int64(len(old.der))
		delete(c.items, key)
	}
}
