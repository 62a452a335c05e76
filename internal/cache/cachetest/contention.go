package cachetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cache"
)

const (
	rounds  = 40
	workers = 32
)

func testSetNXContention(t *testing.T, b Backend) {
	for round := range rounds {
		key := fmt.Sprintf("nx%d", round)
		var winners atomic.Int64
		var winner atomic.Value
		together(workers, func(i int) {
			val := fmt.Sprintf("worker %d", i)
			ok, err := b.Cache.SetNX(t.Context(), key, []byte(val), ttl)
			if err != nil {
				t.Error(err)
			}
			if ok {
				winners.Add(1)
				winner.Store(val)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Fatalf("round %d: %d winners, want 1", round, n)
		}
		wantGet(t, b.Cache, key, winner.Load().(string), true)
	}
}

func testGetDelContention(t *testing.T, b Backend) {
	for round := range rounds {
		key := fmt.Sprintf("gd%d", round)
		noErr(t, b.Cache.Set(t.Context(), key, []byte(key), ttl))
		var winners atomic.Int64
		together(workers, func(int) {
			val, ok, err := b.Cache.GetDel(t.Context(), key)
			if err != nil {
				t.Error(err)
			}
			if ok {
				winners.Add(1)
				if string(val) != key {
					t.Errorf("got the value %q of another key", val)
				}
			}
		})
		if n := winners.Load(); n != 1 {
			t.Fatalf("round %d: %d winners, want 1", round, n)
		}
	}
}

func testIncrContention(t *testing.T, b Backend) {
	const each = 20
	var seen [workers*each + 1]atomic.Int64
	together(workers, func(int) {
		for range each {
			n, err := b.Cache.Incr(t.Context(), "n", ttl)
			if err != nil || n < 1 || n > workers*each {
				t.Errorf("Incr: got %d, %v", n, err)
				return
			}
			seen[n].Add(1)
		}
	})
	for n := 1; n < len(seen); n++ {
		if c := seen[n].Load(); c != 1 {
			t.Errorf("count %d was given %d times, want once", n, c)
		}
	}
}

func testPubSub(t *testing.T, b Backend) {
	ctx, cancel := context.WithCancel(t.Context())
	one, err := b.Cache.Subscribe(ctx, "one")
	noErr(t, err)
	also, err := b.Cache.Subscribe(t.Context(), "one")
	noErr(t, err)
	other, err := b.Cache.Subscribe(t.Context(), "other")
	noErr(t, err)
	for i := range 20 {
		noErr(t, b.Cache.Publish(t.Context(), "one", []byte{byte(i + 1)}))
	}
	noErr(t, b.Cache.Publish(t.Context(), "other", []byte("o")))
	for _, c := range []<-chan []byte{one, also} {
		seen := map[byte]bool{}
		for i := range 20 {
			m := receive(t, c)
			if len(m) != 1 || m[0] < 1 || m[0] > 20 || seen[m[0]] {
				t.Fatalf("message %d: got %v after %v", i, m, seen)
			}
			seen[m[0]] = true
		}
	}
	if m := receive(t, other); string(m) != "o" {
		t.Errorf("other topic: got %q", m)
	}
	cancel()
	if m, open := <-one; open {
		t.Errorf("after the end of ctx: got %q, want a closed channel", m)
	}
	noErr(t, b.Cache.Publish(t.Context(), "one", []byte("z")))
	if m := receive(t, also); string(m) != "z" {
		t.Errorf("second subscriber after the first left: got %q", m)
	}
}

func receive(t *testing.T, c <-chan []byte) []byte {
	t.Helper()
	select {
	case m, open := <-c:
		if !open {
			t.Fatal("channel closed")
		}
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message within 10 s")
		return nil
	}
}

// testModel runs random operations against the backend and a simple map.
func testModel(t *testing.T, b Backend) {
	type item struct {
		val []byte
		end time.Duration
	}
	var now time.Duration
	model := map[string]item{}
	alive := func(k string) (item, bool) {
		it, ok := model[k]
		return it, ok && now < it.end
	}
	rng := rand.New(rand.NewPCG(7, 11))
	for i := range 600 {
		k := fmt.Sprintf("k%d", rng.IntN(6))
		v := []byte(fmt.Sprint(i))
		life := time.Duration(1+rng.IntN(16)) * 10 * time.Hour
		want, wantOK := alive(k)
		switch rng.IntN(6) {
		case 0:
			ok, err := b.Cache.SetNX(t.Context(), k, v, life)
			if ok == wantOK || err != nil {
				t.Fatalf("step %d: SetNX(%s): got %v, %v; want %v", i, k, ok, err, !wantOK)
			}
			if ok {
				model[k] = item{v, now + life}
			}
		case 1:
			noErr(t, b.Cache.Set(t.Context(), k, v, life))
			model[k] = item{v, now + life}
		case 2:
			got, ok, err := b.Cache.GetDel(t.Context(), k)
			if ok != wantOK || err != nil || (ok && string(got) != string(want.val)) {
				t.Fatalf("step %d: GetDel(%s): got %q, %v, %v; want %q, %v", i, k, got, ok, err, want.val, wantOK)
			}
			delete(model, k)
		case 3:
			noErr(t, b.Cache.Del(t.Context(), k))
			delete(model, k)
		case 4:
			// Lives are multiples of 10 h, steps 7 h 1 min: no step ends within
			// minutes of a life, so a server whose clock runs meanwhile agrees.
			d := 7*time.Hour + time.Minute
			b.Advance(d)
			now += d
		default:
			got, ok, err := b.Cache.Get(t.Context(), k)
			if ok != wantOK || err != nil || (ok && string(got) != string(want.val)) {
				t.Fatalf("step %d: Get(%s): got %q, %v, %v; want %q, %v", i, k, got, ok, err, want.val, wantOK)
			}
		}
	}
}

func testRate(t *testing.T, b Backend) {
	r := cache.Rate{Count: 5, Per: 10 * time.Second, Burst: 3} // one each 2 s, 3 at once
	take := func(cost int) cache.Decision {
		t.Helper()
		d, err := b.Taker.Take(t.Context(), "r", r, cost)
		noErr(t, err)
		return d
	}
	for want := 2; want >= 0; want-- {
		if d := take(1); !d.Allowed || d.Remaining != want || d.Limit != 3 || d.RetryAfter != 0 {
			t.Fatalf("within the burst: got %+v, want allowed with %d remaining", d, want)
		}
	}
	d := take(1)
	if d.Allowed || d.RetryAfter != 2*time.Second || d.ResetAfter != 6*time.Second || d.Remaining != 0 {
		t.Fatalf("after the burst: got %+v, want to wait 2 s and 6 s", d)
	}
	b.Advance(2*time.Second - time.Millisecond)
	if d := take(1); d.Allowed {
		t.Errorf("1 ms early: got %+v", d)
	}
	b.Advance(time.Millisecond)
	if d := take(1); !d.Allowed {
		t.Errorf("in time, though refused before: got %+v", d)
	}
	b.Advance(5 * time.Second)
	if d := take(3); d.Allowed || d.RetryAfter != time.Second {
		t.Errorf("cost 3 after 5 s: got %+v, want to wait 1 s", d)
	}
	if d := take(2); !d.Allowed {
		t.Errorf("cost 2 after 5 s: got %+v", d)
	}
	b.Advance(time.Hour)
	if d := take(1); !d.Allowed || d.Remaining != 2 {
		t.Errorf("after a long rest: got %+v, want the burst and no more", d)
	}
	if d, err := b.Taker.Take(t.Context(), "another", r, 3); err != nil || !d.Allowed {
		t.Errorf("another key: got %+v, %v", d, err)
	}
}

func testRateBounds(t *testing.T, b Backend) {
	for _, c := range []struct {
		r    cache.Rate
		cost int
	}{
		{cache.Rate{}, 1},
		{cache.Rate{Count: 1}, 1},
		{cache.Rate{Count: 1, Per: -time.Second}, 1},
		{cache.Rate{Count: -1, Per: time.Second}, 1},
		{cache.Rate{Count: 1, Per: time.Second, Burst: -1}, 1},
		{cache.Rate{Count: 1, Per: cache.MaxTTL + 1}, 1},
		{cache.Rate{Count: 1, Per: cache.MaxTTL, Burst: 2}, 1},
		{cache.Rate{Count: 1e9, Per: time.Second}, 1},
		{cache.Rate{Count: 5, Per: time.Second}, 0},
		{cache.Rate{Count: 5, Per: time.Second}, 6},
	} {
		if d, err := b.Taker.Take(t.Context(), "k", c.r, c.cost); !errors.Is(err, cache.ErrRate) || d.Allowed {
			t.Errorf("%+v cost %d: got %+v, %v; want ErrRate", c.r, c.cost, d, err)
		}
	}
}

func testRateContention(t *testing.T, b Backend) {
	r := cache.Rate{Count: 10, Per: time.Hour}
	for round := range 10 {
		var allowed atomic.Int64
		together(workers, func(int) {
			d, err := b.Taker.Take(t.Context(), fmt.Sprintf("c%d", round), r, 1)
			if err != nil {
				t.Error(err)
			}
			if d.Allowed {
				allowed.Add(1)
			}
		})
		if n := allowed.Load(); n != 10 {
			t.Fatalf("round %d: %d allowed, want 10", round, n)
		}
	}
}
