package cachetest_test

import (
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cache/cachetest"
	"oruro.gob.bo/suti/internal/cache/memory"
)

func TestForgetfulForgets(t *testing.T) {
	t.Parallel()
	m, err := memory.New(memory.Config{})
	if err != nil {
		t.Fatal(err)
	}
	always := cachetest.NewForgetful(m, 1, 1)
	for range 3 {
		if ok, err := always.SetNX(t.Context(), "k", []byte("v"), time.Minute); !ok || err != nil {
			t.Errorf("SetNX: got %v, %v; want it to win each time", ok, err)
		}
		if _, ok, err := always.Get(t.Context(), "k"); ok || err != nil {
			t.Errorf("Get: got %v, %v; want a miss", ok, err)
		}
		if n, err := always.Incr(t.Context(), "k", time.Minute); n != 1 || err != nil {
			t.Errorf("Incr: got %d, %v; want 1", n, err)
		}
	}
	if always.Forgotten() == 0 {
		t.Error("nothing was forgotten")
	}
	never := cachetest.NewForgetful(m, 1, 0)
	if err := never.Set(t.Context(), "x", nil, time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := never.Get(t.Context(), "x"); !ok {
		t.Error("forgot with p = 0")
	}
	if err := never.ForgetAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := never.Get(t.Context(), "x"); ok {
		t.Error("remembered after ForgetAll")
	}
}
