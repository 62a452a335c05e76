package safehttp

import (
	"testing"
	"time"
)

func TestCircuitStep(t *testing.T) {
	t.Parallel()
	p := Policy{Failures: 3, Pause: 10 * time.Second, MaxPause: 30 * time.Second}
	now := time.Unix(1_800_000_000, 0)
	var c Circuit
	for i, step := range []struct {
		after   time.Duration
		e       Event
		allowed bool
		wait    time.Duration
	}{
		{0, Ask, true, 0}, {0, Failed, false, 0},
		{0, Ask, true, 0}, {0, Failed, false, 0},
		{0, Ask, true, 0}, {0, Abandoned, true, 0}, // says nothing
		{0, Ask, true, 0}, {0, Failed, false, 0}, // third in a row: open
		{0, Ask, false, 10 * time.Second},
		{4 * time.Second, Ask, false, 6 * time.Second},
		{0, Failed, false, 0},           // a straggler sent before the opening lengthens nothing
		{6 * time.Second, Ask, true, 0}, // the trial
		{0, Ask, false, trialLimit},     // one at a time
		{0, Abandoned, true, 0},
		{0, Ask, true, 0}, {0, Failed, false, 0}, // trial failed: 20 s
		{0, Ask, false, 20 * time.Second},
		{20 * time.Second, Ask, true, 0}, {0, Failed, false, 0},
		{0, Ask, false, 30 * time.Second}, // the most
		{30 * time.Second, Ask, true, 0},
		{trialLimit, Ask, true, 0}, // the trial was lost: another
		{0, Succeeded, true, 0},
		{0, Ask, true, 0}, {0, Failed, false, 0}, {0, Ask, true, 0}, // counting begins anew
	} {
		now = now.Add(step.after)
		var allowed bool
		var wait time.Duration
		c, allowed, wait = c.Step(step.e, now, p)
		if allowed != step.allowed || wait != step.wait {
			t.Fatalf("step %d (%v): got %v, %v; want %v, %v", i, step.e, allowed, wait, step.allowed, step.wait)
		}
	}
}

func TestCircuitDefaults(t *testing.T) {
	t.Parallel()
	var c Circuit
	now := time.Unix(0, 0)
	for range 5 {
		if _, ok, _ := c.Step(Ask, now, Policy{}); !ok {
			t.Fatal("opened early")
		}
		c, _, _ = c.Step(Failed, now, Policy{})
	}
	if _, ok, wait := c.Step(Ask, now, Policy{}); ok || wait != 30*time.Second {
		t.Errorf("after 5 failures: got %v, %v; want a pause of 30 s", ok, wait)
	}
	if c.idle(now) || !c.idle(now.Add(2*time.Minute)) || !(Circuit{failures: 2}).idle(now) {
		t.Error("idle is wrong")
	}
}
