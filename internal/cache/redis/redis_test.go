package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/cache/cachetest"
	"oruro.gob.bo/suti/internal/cache/redis"
)

// clock is a settable clock.
type clock struct{ us atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.us.Store(time.Date(2026, 11, 24, 15, 4, 0, 0, time.UTC).UnixMicro())
	return c
}
func (c *clock) Now() time.Time          { return time.UnixMicro(c.us.Load()) }
func (c *clock) Advance(d time.Duration) { c.us.Add(d.Microseconds()) }

// server returns the address in the variable env, or skips; it fails instead
// when the run requires every service.
func server(t *testing.T, env string) string {
	t.Helper()
	u := os.Getenv(env)
	if u != "" {
		return u
	}
	if os.Getenv("SUTI_TEST_REQUIRE") == "1" && env == "SUTI_TEST_REDIS" {
		t.Fatalf("%s is not set", env)
	}
	t.Skipf("%s is not set", env)
	return ""
}

func open(t *testing.T, c redis.Config) *redis.Cache {
	t.Helper()
	r, err := redis.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

var prefixes atomic.Int64

func conform(t *testing.T, url string) {
	cachetest.Run(t, func(t *testing.T) cachetest.Backend {
		clk := newClock()
		r := open(t, redis.Config{
			URL: url, Now: clk.Now, Timeout: 5 * time.Second,
			Prefix: fmt.Sprintf("test%d-%d:", os.Getpid(), prefixes.Add(1)),
		})
		if err := r.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Age(context.Background(), 2*cache.MaxTTL) })
		return cachetest.Backend{Cache: r, Taker: r, Advance: func(d time.Duration) {
			clk.Advance(d)
			if err := r.Age(t.Context(), d); err != nil {
				t.Error(err)
			}
		}}
	})
}

func TestConformance(t *testing.T) { t.Parallel(); conform(t, server(t, "SUTI_TEST_REDIS")) }

// These two run where a cluster or Sentinels are at hand.
func TestConformanceOnCluster(t *testing.T) {
	t.Parallel()
	conform(t, server(t, "SUTI_TEST_REDIS_CLUSTER"))
}

func TestConformanceOnSentinel(t *testing.T) {
	t.Parallel()
	conform(t, server(t, "SUTI_TEST_REDIS_SENTINEL"))
}

func TestConformanceOnMiniredis(t *testing.T) {
	t.Parallel()
	cachetest.Run(t, func(t *testing.T) cachetest.Backend {
		mr := miniredis.RunT(t)
		clk := newClock()
		r := open(t, redis.Config{URL: "redis://" + mr.Addr(), Now: clk.Now, Timeout: 5 * time.Second})
		return cachetest.Backend{Cache: r, Taker: r, Advance: func(d time.Duration) {
			clk.Advance(d)
			mr.FastForward(d)
		}}
	})
}

// Without a clock of its own the rate cell uses the server's.
func TestRateUsesTheServerClock(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	mr.SetTime(at)
	r := open(t, redis.Config{URL: "redis://" + mr.Addr()})
	limit := cache.Rate{Count: 1, Per: time.Minute}
	for i, want := range []bool{true, false} {
		if d, err := r.Take(t.Context(), "k", limit, 1); err != nil || d.Allowed != want {
			t.Errorf("take %d: got %+v, %v; want %v", i, d, err, want)
		}
	}
	mr.SetTime(at.Add(time.Minute))
	if d, err := r.Take(t.Context(), "k", limit, 1); err != nil || !d.Allowed {
		t.Errorf("a minute later: got %+v, %v", d, err)
	}
}

func TestValueOfAnotherKeyIsAMiss(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	var foreign atomic.Int64
	r := open(t, redis.Config{URL: "redis://" + mr.Addr(), OnForeign: func() { foreign.Add(1) }})
	if err := r.Set(t.Context(), "ana", []byte("datos de Ana"), time.Minute); err != nil {
		t.Fatal(err)
	}
	raw, err := mr.Get("suti:v:ana")
	if err != nil {
		t.Fatal(err)
	}
	for name, stored := range map[string]string{
		"other key": raw, "empty": "", "short": "\x01\x00", "bare": "datos de Ana", "version": "\x02" + raw[1:], "cut": raw[:8],
	} {
		foreign.Store(0)
		if err := mr.Set("suti:v:bruno", stored); err != nil {
			t.Fatal(err)
		}
		if v, ok, err := r.Get(t.Context(), "bruno"); ok || err != nil {
			t.Errorf("%s: Get: got %q, %v, %v; want a miss", name, v, ok, err)
		}
		if v, ok, err := r.GetDel(t.Context(), "bruno"); ok || err != nil {
			t.Errorf("%s: GetDel: got %q, %v, %v; want a miss", name, v, ok, err)
		}
		if foreign.Load() != 2 {
			t.Errorf("%s: reported %d times, want 2", name, foreign.Load())
		}
	}
}

func TestOutageIsUnavailableWithinTheTimeout(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	r := open(t, redis.Config{URL: "redis://:hunter2@" + mr.Addr(), Timeout: 200 * time.Millisecond})
	mr.RequireAuth("hunter2")
	if err := r.Set(t.Context(), "k", []byte("v"), time.Minute); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		_, nx := r.SetNX(t.Context(), "k", nil, time.Minute)
		_, _, get := r.Get(t.Context(), "k")
		_, _, gd := r.GetDel(t.Context(), "k")
		_, incr := r.Incr(t.Context(), "k", time.Minute)
		d, take := r.Take(t.Context(), "k", cache.Rate{Count: 1, Per: time.Minute}, 1)
		_, sub := r.Subscribe(t.Context(), "k")
		for i, err := range []error{nx, get, gd, incr, take, sub, r.Set(t.Context(), "k", nil, time.Minute),
			r.Del(t.Context(), "k"), r.Publish(t.Context(), "k", []byte("m")), r.Ping(t.Context())} {
			if !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("%s: operation %d: got %v, want ErrUnavailable", when, i, err)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: the password is in the error", when)
			}
		}
		if d.Allowed {
			t.Errorf("%s: an event was allowed without a decision", when)
		}
	}
	mr.SetError("LOADING dataset")
	check("server refuses")
	mr.SetError("")
	addr := mr.Addr()
	mr.Close()
	start := time.Now()
	check("server gone")
	if d := time.Since(start); d > 30*time.Second {
		t.Errorf("ten failures took %v", d)
	}
	if err := mr.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	if err := r.Set(t.Context(), "k", []byte("v2"), time.Minute); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

func TestSubscriberLearnsOfAReconnection(t *testing.T) {
	t.Parallel()
	mr := miniredis.RunT(t)
	r := open(t, redis.Config{URL: "redis://" + mr.Addr()})
	ch, err := r.Subscribe(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	addr := mr.Addr()
	mr.Close()
	if err := mr.StartAddr(addr); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-ch:
		if len(m) != 0 {
			t.Errorf("got %q, want the empty message of a gap", m)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no sign of the gap")
	}
	// Foreign messages on the channel are not delivered as data.
	mr.Publish("suti:t:t", "bare")
	if m := <-ch; len(m) != 0 {
		t.Errorf("got %q, want the empty message of a gap", m)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for m := range ch {
		if len(m) != 0 {
			t.Errorf("after Close: %q", m)
		}
	}
	if err := r.Set(t.Context(), "k", nil, time.Minute); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
	if _, err := r.Subscribe(t.Context(), "t"); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"redis://h", "redis://u:p@h:1/3", "rediss://h:1", "redis://[::1]:6379/0",
		"redis+sentinel://h:26379/2?master=suti&addr=h2:26379&addr=h3",
		"redis+cluster://h1:7000?addr=h2:7000", "rediss+cluster://h1",
	} {
		r, err := redis.New(redis.Config{URL: good})
		if err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		_ = r.Close()
	}
	for _, bad := range []string{
		"", "h:6379", "http://h", "redis://", "redis://h/x", "redis://h/-1", "redis://h?db=1", "redis://h?skip_verify=true",
		"redis+sentinel://h", "redis+sentinel://h?master=a&master=b", "redis+cluster://h/1", "redis+cluster://h?master=x",
		"redis+ring://h", "redis://h?addr=h2", "redis+cluster://h?addr=", "redis+cluster://h?addr=/x", "redis://u:hunter2@h:port", "redis://h#f",
	} {
		r, err := redis.New(redis.Config{URL: bad})
		if !errors.Is(err, redis.ErrURL) {
			t.Errorf("%s: got %v, want ErrURL", bad, err)
		}
		if err == nil {
			_ = r.Close()
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
	if _, err := redis.New(redis.Config{URL: "redis://h", Timeout: -1}); err == nil {
		t.Error("negative timeout accepted")
	}
}
