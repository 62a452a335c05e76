package redis

import (
	"context"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"oruro.gob.bo/suti/internal/cache"
)

// subscription is one Subscribe call.
type subscription struct {
	ps   *goredis.PubSub
	feed *cache.Feed
	once sync.Once
}

func (s *subscription) stop() {
	s.once.Do(func() { _ = s.ps.Close() }) // ends pump, which closes the feed
}

// Publish implements [cache.Cache].
func (r *Cache) Publish(ctx context.Context, topic string, msg []byte) error {
	if err := cache.CheckMessage(topic, msg); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	name := r.name(kindTopic, topic)
	return r.fail(ctx, "publish", r.client.Publish(ctx, name, wrap(name, msg)).Err())
}

// Subscribe implements [cache.Cache].
func (r *Cache) Subscribe(ctx context.Context, topic string) (<-chan []byte, error) {
	if err := cache.CheckKey(topic); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	name := r.name(kindTopic, topic)
	s := &subscription{ps: r.client.Subscribe(ctx, name), feed: cache.NewFeed()}
	if _, err := s.ps.ReceiveTimeout(ctx, 4*r.c.Timeout); err != nil {
		_ = s.ps.Close()
		return nil, r.fail(ctx, "subscribe", err)
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		_ = s.ps.Close()
		return nil, cache.ErrClosed
	}
	r.feeds[s] = struct{}{}
	r.mu.Unlock()
	events := s.ps.ChannelWithSubscriptions(goredis.WithChannelSize(256))
	stop := context.AfterFunc(ctx, s.stop)
	go func() {
		r.pump(name, s.feed, events)
		stop()
		r.mu.Lock()
		delete(r.feeds, s)
		r.mu.Unlock()
	}()
	return s.feed.C(), nil
}

// pump moves messages until the subscription ends. A confirmation that arrives
// later than the first means that the connection was lost in between.
func (r *Cache) pump(name string, f *cache.Feed, events <-chan any) {
	defer f.Close()
	for ev := range events {
		switch ev := ev.(type) {
		case *goredis.Subscription:
			f.Gap()
		case *goredis.Message:
			msg, ok := unwrap(name, []byte(ev.Payload))
			if ev.Channel != name || !ok || len(msg) == 0 {
				r.foreign()
				f.Gap()
				continue
			}
			f.Offer(msg)
		default:
			f.Gap()
		}
	}
}
