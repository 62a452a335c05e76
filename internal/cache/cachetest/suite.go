package cachetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cache"
)

// Backend is one implementation under test.
type Backend struct {
	// Cache and Taker are the implementation; empty, and used by nobody else.
	Cache cache.Cache
	Taker cache.Taker
	// Advance makes d pass for the backend.
	Advance func(d time.Duration)
}

// Run runs the whole suite; open must return a fresh backend for each test and
// register its end with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	t.Helper()
	for _, c := range []struct {
		name string
		fn   func(*testing.T, Backend)
	}{
		{"values", testValues},
		{"expiry", testExpiry},
		{"counter", testCounter},
		{"namespaces", testNamespaces},
		{"copies", testCopies},
		{"bounds", testBounds},
		{"context", testContext},
		{"setnx contention", testSetNXContention},
		{"getdel contention", testGetDelContention},
		{"incr contention", testIncrContention},
		{"pubsub", testPubSub},
		{"model", testModel},
		{"rate", testRate},
		{"rate refuses bad rates", testRateBounds},
		{"rate contention", testRateContention},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.fn(t, open(t))
		})
	}
}

const ttl = time.Minute

func testValues(t *testing.T, b Backend) {
	ctx := t.Context()
	wantGet(t, b.Cache, "a", "", false)
	noErr(t, b.Cache.Set(ctx, "a", []byte("1"), ttl))
	wantGet(t, b.Cache, "a", "1", true)
	noErr(t, b.Cache.Set(ctx, "a", []byte("2"), ttl))
	wantGet(t, b.Cache, "a", "2", true)
	if ok, err := b.Cache.SetNX(ctx, "a", []byte("3"), ttl); ok || err != nil {
		t.Errorf("SetNX over a live entry: got %v, %v", ok, err)
	}
	wantGet(t, b.Cache, "a", "2", true)
	val, ok, err := b.Cache.GetDel(ctx, "a")
	if string(val) != "2" || !ok || err != nil {
		t.Errorf("GetDel: got %q, %v, %v", val, ok, err)
	}
	if _, ok, err := b.Cache.GetDel(ctx, "a"); ok || err != nil {
		t.Errorf("GetDel twice: got %v, %v", ok, err)
	}
	if ok, err := b.Cache.SetNX(ctx, "a", nil, ttl); !ok || err != nil {
		t.Errorf("SetNX after GetDel: got %v, %v", ok, err)
	}
	wantGet(t, b.Cache, "a", "", true) // an empty value is not a miss
	noErr(t, b.Cache.Del(ctx, "a"))
	noErr(t, b.Cache.Del(ctx, "a"))
	wantGet(t, b.Cache, "a", "", false)

	odd := "k\x00\xff\n{tag} \r\n" // keys and values are bytes
	noErr(t, b.Cache.Set(ctx, odd, []byte(odd), ttl))
	wantGet(t, b.Cache, odd, odd, true)
	big := strings.Repeat("x", cache.MaxValue)
	longest := strings.Repeat("k", cache.MaxKey)
	noErr(t, b.Cache.Set(ctx, longest, []byte(big), ttl))
	wantGet(t, b.Cache, longest, big, true)
}

func testExpiry(t *testing.T, b Backend) {
	ctx := t.Context()
	noErr(t, b.Cache.Set(ctx, "short", []byte("s"), 10*time.Second))
	noErr(t, b.Cache.Set(ctx, "long", []byte("l"), time.Hour))
	noErr(t, b.Cache.Set(ctx, "renewed", []byte("r"), 10*time.Second))
	noErr(t, b.Cache.Set(ctx, "renewed", []byte("r2"), time.Hour))
	if ok, err := b.Cache.SetNX(ctx, "nx", []byte("1"), 10*time.Second); !ok || err != nil {
		t.Fatalf("SetNX: got %v, %v", ok, err)
	}
	b.Advance(5 * time.Second)
	if ok, err := b.Cache.SetNX(ctx, "nx", []byte("2"), time.Hour); ok || err != nil {
		t.Fatalf("SetNX before the end: got %v, %v", ok, err)
	}
	b.Advance(6 * time.Second) // a losing SetNX has not lengthened the life
	wantGet(t, b.Cache, "short", "", false)
	wantGet(t, b.Cache, "long", "l", true)
	wantGet(t, b.Cache, "renewed", "r2", true)
	if _, ok, err := b.Cache.GetDel(ctx, "nx"); ok || err != nil {
		t.Errorf("GetDel of an expired entry: got %v, %v", ok, err)
	}
	if ok, err := b.Cache.SetNX(ctx, "nx", []byte("3"), ttl); !ok || err != nil {
		t.Errorf("SetNX after the end: got %v, %v", ok, err)
	}
}

func testCounter(t *testing.T, b Backend) {
	ctx := t.Context()
	for want := int64(1); want <= 3; want++ {
		wantIncr(t, b.Cache, "n", 10*time.Second, want)
		b.Advance(3 * time.Second)
	}
	wantIncr(t, b.Cache, "n", 10*time.Second, 4) // at 9 s
	b.Advance(2 * time.Second)                   // 11 s after the first: the later ones moved nothing
	wantIncr(t, b.Cache, "n", 10*time.Second, 1)
	noErr(t, b.Cache.Del(ctx, "n"))
	wantIncr(t, b.Cache, "n", 10*time.Second, 1)
}

func testNamespaces(t *testing.T, b Backend) {
	ctx := t.Context()
	wantIncr(t, b.Cache, "k", ttl, 1)
	wantGet(t, b.Cache, "k", "", false)
	noErr(t, b.Cache.Set(ctx, "k", []byte("v"), ttl))
	wantIncr(t, b.Cache, "k", ttl, 2)
	wantGet(t, b.Cache, "k", "v", true)
	if _, err := b.Taker.Take(ctx, "k", cache.Rate{Count: 1, Per: ttl}, 1); err != nil {
		t.Errorf("Take beside a value: %v", err)
	}
	noErr(t, b.Cache.Del(ctx, "k"))
	wantGet(t, b.Cache, "k", "", false)
	wantIncr(t, b.Cache, "k", ttl, 1)
	if d, err := b.Taker.Take(ctx, "k", cache.Rate{Count: 1, Per: ttl}, 1); err != nil || d.Allowed {
		t.Errorf("Del reopened a rate cell: %+v, %v", d, err)
	}
}

func testCopies(t *testing.T, b Backend) {
	in := []byte("abc")
	noErr(t, b.Cache.Set(t.Context(), "k", in, ttl))
	in[0] = 'X'
	out, _, err := b.Cache.Get(t.Context(), "k")
	noErr(t, err)
	out[1] = 'Y'
	wantGet(t, b.Cache, "k", "abc", true)
}

func testBounds(t *testing.T, b Backend) {
	ctx := t.Context()
	long := strings.Repeat("k", cache.MaxKey+1)
	big := make([]byte, cache.MaxValue+1)
	setnx := func(k string, v []byte, d time.Duration) error {
		_, err := b.Cache.SetNX(ctx, k, v, d)
		return err
	}
	set := func(k string, v []byte, d time.Duration) error { return b.Cache.Set(ctx, k, v, d) }
	for name, put := range map[string]func(string, []byte, time.Duration) error{"SetNX": setnx, "Set": set} {
		for _, c := range []struct {
			key  string
			val  []byte
			ttl  time.Duration
			want error
		}{
			{"", nil, ttl, cache.ErrKey},
			{long, nil, ttl, cache.ErrKey},
			{"k", big, ttl, cache.ErrValue},
			{"k", nil, 0, cache.ErrTTL},
			{"k", nil, -time.Second, cache.ErrTTL},
			{"k", nil, time.Microsecond, cache.ErrTTL},
			{"k", nil, cache.MaxTTL + 1, cache.ErrTTL},
		} {
			if err := put(c.key, c.val, c.ttl); !errors.Is(err, c.want) {
				t.Errorf("%s(%d bytes, %d bytes, %v): got %v, want %v", name, len(c.key), len(c.val), c.ttl, err, c.want)
			}
		}
	}
	for _, k := range []string{"", long} {
		_, _, getErr := b.Cache.Get(ctx, k)
		_, _, getDelErr := b.Cache.GetDel(ctx, k)
		_, incrErr := b.Cache.Incr(ctx, k, ttl)
		_, subErr := b.Cache.Subscribe(ctx, k)
		_, takeErr := b.Taker.Take(ctx, k, cache.Rate{Count: 1, Per: ttl}, 1)
		for _, err := range []error{getErr, getDelErr, incrErr, subErr, takeErr, b.Cache.Del(ctx, k), b.Cache.Publish(ctx, k, []byte("m"))} {
			if !errors.Is(err, cache.ErrKey) {
				t.Errorf("key of %d bytes: got %v, want ErrKey", len(k), err)
			}
		}
	}
	if _, err := b.Cache.Incr(ctx, "k", 0); !errors.Is(err, cache.ErrTTL) {
		t.Errorf("Incr without ttl: got %v, want ErrTTL", err)
	}
	for _, m := range [][]byte{nil, big} {
		if err := b.Cache.Publish(ctx, "t", m); !errors.Is(err, cache.ErrValue) {
			t.Errorf("message of %d bytes: got %v, want ErrValue", len(m), err)
		}
	}
	wantGet(t, b.Cache, "k", "", false)
}

func testContext(t *testing.T, b Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, nxErr := b.Cache.SetNX(ctx, "k", nil, ttl)
	_, _, getErr := b.Cache.Get(ctx, "k")
	_, _, getDelErr := b.Cache.GetDel(ctx, "k")
	_, incrErr := b.Cache.Incr(ctx, "k", ttl)
	_, subErr := b.Cache.Subscribe(ctx, "k")
	_, takeErr := b.Taker.Take(ctx, "k", cache.Rate{Count: 1, Per: ttl}, 1)
	for i, err := range []error{nxErr, getErr, getDelErr, incrErr, subErr, takeErr,
		b.Cache.Set(ctx, "k", nil, ttl), b.Cache.Del(ctx, "k"), b.Cache.Publish(ctx, "k", []byte("m"))} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("operation %d: got %v, want context.Canceled", i, err)
		}
	}
	wantGet(t, b.Cache, "k", "", false)
	wantIncr(t, b.Cache, "k", ttl, 1)
}

func wantGet(t *testing.T, c cache.Cache, key, want string, wantOK bool) {
	t.Helper()
	got, ok, err := c.Get(t.Context(), key)
	if string(got) != want || ok != wantOK || err != nil {
		t.Errorf("Get(%.40q): got %.40q, %v, %v; want %.40q, %v", key, got, ok, err, want, wantOK)
	}
}

func wantIncr(t *testing.T, c cache.Cache, key string, ttl time.Duration, want int64) {
	t.Helper()
	if got, err := c.Incr(t.Context(), key, ttl); got != want || err != nil {
		t.Errorf("Incr(%q): got %d, %v; want %d", key, got, err, want)
	}
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// together runs fn n times at once and waits.
func together(n int, fn func(i int)) {
	var start, done sync.WaitGroup
	start.Add(1)
	for i := range n {
		done.Go(func() {
			start.Wait()
			fn(i)
		})
	}
	start.Done()
	done.Wait()
}
