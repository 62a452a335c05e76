// Package redis is the implementation of [cache.Cache] and [cache.Taker] that
// several nodes share: one server, Sentinel or Cluster, chosen by the address.
//
// Every operation touches one key, so that it works in a cluster. Every stored
// value carries the name it was stored under, and every changing operation is a
// script that gives back a number drawn for that call; an answer that belongs
// to another question is a miss or [cache.ErrUnavailable], never data. Set the
// server to maxmemory-policy noeviction. This is the only package that imports
// the Redis client.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"oruro.gob.bo/suti/internal/cache"
)

// Defaults of [Config].
const (
	DefaultPrefix  = "suti:"
	DefaultTimeout = 250 * time.Millisecond
	defaultPool    = 32
)

// Config configures a [Cache].
type Config struct {
	// URL is the address, required:
	//
	//	redis://[user[:password]@]host[:port][/db]
	//	redis+sentinel://[user[:password]@]host[:port][/db]?master=NAME[&addr=host:port…]
	//	redis+cluster://[user[:password]@]host[:port][?addr=host:port…]
	//
	// and the same with rediss for TLS.
	URL string
	// Password overrides the one in URL, so that it can come from a secret file.
	Password string
	// SentinelUsername and SentinelPassword are for the Sentinels themselves.
	SentinelUsername, SentinelPassword string
	// Prefix begins every key and topic; [DefaultPrefix] if empty.
	Prefix string
	// Timeout bounds the dial, each read and each write; [DefaultTimeout] if zero.
	Timeout time.Duration
	// PoolSize is the number of connections per server; 32 if zero.
	PoolSize int
	// TLS replaces the TLS settings of a rediss address, for a private root.
	TLS *tls.Config
	// Logger receives the remarks of the client library on connections and
	// failovers, at level Debug. Nil drops them. The library has one logger per
	// process: the first New decides.
	Logger *slog.Logger
	// OnForeign is told when an answer belonged to another question.
	OnForeign func()
	// Now is the clock of rate cells. Nil means the server's clock, which all
	// nodes share; set it only in tests.
	Now func() time.Time
}

// Cache is a client of a shared server. Create it with [New], end it with Close.
type Cache struct {
	c      Config
	client goredis.UniversalClient

	mu     sync.Mutex // guards feeds and closed
	feeds  map[*subscription]struct{}
	closed bool
}

var (
	_ cache.Cache = (*Cache)(nil)
	_ cache.Taker = (*Cache)(nil)
)

// New checks c and returns a client. It does not connect: a server that is away
// at start is the same as one that goes away later. Use Ping to ask.
func New(c Config) (*Cache, error) {
	o, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.PoolSize == 0 {
		c.PoolSize = defaultPool
	}
	if c.Timeout < 0 || c.PoolSize < 0 || len(c.Prefix) > cache.MaxKey {
		return nil, errors.New("redis: timeout, pool size or prefix out of bounds")
	}
	if c.Password != "" {
		o.Password = c.Password
	}
	o.SentinelUsername, o.SentinelPassword = c.SentinelUsername, c.SentinelPassword
	if c.TLS != nil && o.TLSConfig != nil {
		o.TLSConfig = c.TLS.Clone()
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.ContextTimeoutEnabled = true
	o.PoolSize = c.PoolSize
	o.DialerRetries = 1
	o.MaxRetries = -1 // a repeated question could be answered twice; the caller decides
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	setLogger.Do(func() { goredis.SetLogger(remarks{c.Logger}) })
	return &Cache{c: c, client: goredis.NewUniversalClient(o), feeds: map[*subscription]struct{}{}}, nil
}

var setLogger sync.Once

// remarks passes the client library's text on as one attribute.
type remarks struct{ to *slog.Logger }

// Printf implements the library's logger.
func (l remarks) Printf(ctx context.Context, format string, v ...any) {
	if l.to != nil {
		l.to.DebugContext(ctx, "redis client", "remark", fmt.Sprintf(format, v...))
	}
}

// Ping asks the server for a sign of life.
func (r *Cache) Ping(ctx context.Context) error {
	return r.fail(ctx, "ping", r.client.Ping(ctx).Err())
}

// SetNX implements [cache.Cache].
func (r *Cache) SetNX(ctx context.Context, key string, val []byte, ttl time.Duration) (bool, error) {
	if err := cache.CheckEntry(key, val, ttl); err != nil {
		return false, err
	}
	name := r.name(kindValue, key)
	n, err := r.number(ctx, "setnx", scriptSetNX, name, wrap(name, val), millis(ttl))
	return n == 1, err
}

// Set implements [cache.Cache].
func (r *Cache) Set(ctx context.Context, key string, val []byte, ttl time.Duration) error {
	if err := cache.CheckEntry(key, val, ttl); err != nil {
		return err
	}
	name := r.name(kindValue, key)
	_, err := r.number(ctx, "set", scriptSet, name, wrap(name, val), millis(ttl))
	return err
}

// Get implements [cache.Cache].
func (r *Cache) Get(ctx context.Context, key string) ([]byte, bool, error) {
	if err := cache.CheckKey(key); err != nil {
		return nil, false, err
	}
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	name := r.name(kindValue, key)
	b, err := r.client.Get(ctx, name).Bytes()
	if errors.Is(err, goredis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, r.fail(ctx, "get", err)
	}
	return r.own(name, b)
}

// GetDel implements [cache.Cache].
func (r *Cache) GetDel(ctx context.Context, key string) ([]byte, bool, error) {
	if err := cache.CheckKey(key); err != nil {
		return nil, false, err
	}
	name := r.name(kindValue, key)
	answer, err := r.run(ctx, "getdel", scriptGetDel, name)
	if err != nil || len(answer) == 0 {
		return nil, false, err
	}
	s, ok := answer[0].(string)
	if !ok {
		r.foreign()
		return nil, false, fmt.Errorf("%w: getdel: answer of another kind", cache.ErrUnavailable)
	}
	return r.own(name, []byte(s))
}

// Del implements [cache.Cache].
func (r *Cache) Del(ctx context.Context, key string) error {
	if err := cache.CheckKey(key); err != nil {
		return err
	}
	for _, kind := range []string{kindValue, kindCounter} {
		if _, err := r.number(ctx, "del", scriptDel, r.name(kind, key)); err != nil {
			return err
		}
	}
	return nil
}

// Incr implements [cache.Cache].
func (r *Cache) Incr(ctx context.Context, key string, ttl time.Duration) (int64, error) {
	if err := cache.CheckEntry(key, nil, ttl); err != nil {
		return 0, err
	}
	return r.number(ctx, "incr", scriptIncr, r.name(kindCounter, key), millis(ttl))
}

// Close ends the subscriptions and the connections.
func (r *Cache) Close() error {
	r.mu.Lock()
	r.closed = true
	feeds := r.feeds
	r.feeds = map[*subscription]struct{}{}
	r.mu.Unlock()
	for s := range feeds {
		s.stop()
	}
	return r.client.Close()
}

// The three name spaces and the topics, as the part of a name after the prefix.
const (
	kindValue   = "v:"
	kindCounter = "c:"
	kindRate    = "r:"
	kindTopic   = "t:"
)

func (r *Cache) name(kind, key string) string { return r.c.Prefix + kind + key }

func millis(d time.Duration) int64 { return d.Milliseconds() }

// wrapVersion begins every wrapped value.
const wrapVersion = 1

// wrap puts the name before the value: version byte, length of the name as
// 16 bits big-endian, name, value.
func wrap(name string, val []byte) []byte {
	b := make([]byte, 0, 3+len(name)+len(val))
	b = append(b, wrapVersion)
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	return append(b, val...)
}

// unwrap returns the value if b was wrapped under name.
func unwrap(name string, b []byte) ([]byte, bool) {
	if len(b) < 3 || b[0] != wrapVersion {
		return nil, false
	}
	n := int(binary.BigEndian.Uint16(b[1:]))
	if len(b) < 3+n || string(b[3:3+n]) != name || len(b)-3-n > cache.MaxValue {
		return nil, false
	}
	return b[3+n:], true
}

// own returns the wrapped value, or a miss if it is another entry's.
func (r *Cache) own(name string, b []byte) ([]byte, bool, error) {
	val, ok := unwrap(name, b)
	if !ok {
		r.foreign()
		return nil, false, nil
	}
	return val, true, nil
}

func (r *Cache) foreign() {
	if r.c.OnForeign != nil {
		r.c.OnForeign()
	}
}

// run runs a script on one key and returns what it gives back beyond the number
// drawn for this call. Scripts return an array of integers and strings.
func (r *Cache) run(ctx context.Context, op string, s *goredis.Script, name string, args ...any) ([]any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	draw := rand.Text()
	answer, err := s.Run(ctx, r.client, []string{name}, append([]any{draw}, args...)...).Slice()
	if err != nil {
		return nil, r.fail(ctx, op, err)
	}
	if len(answer) == 0 || answer[0] != draw {
		r.foreign()
		return nil, fmt.Errorf("%w: %s: answer to another question", cache.ErrUnavailable, op)
	}
	return answer[1:], nil
}

// number is run for a script that gives back one integer.
func (r *Cache) number(ctx context.Context, op string, s *goredis.Script, name string, args ...any) (int64, error) {
	answer, err := r.run(ctx, op, s, name, args...)
	if err != nil {
		return 0, err
	}
	if len(answer) == 1 {
		if n, ok := answer[0].(int64); ok {
			return n, nil
		}
	}
	r.foreign()
	return 0, fmt.Errorf("%w: %s: answer of another kind", cache.ErrUnavailable, op)
}

// fail maps the client's errors to those of the contract.
func (r *Cache) fail(ctx context.Context, op string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, goredis.ErrClosed):
		return cache.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: %s: %w", cache.ErrUnavailable, op, err)
}
