package safehttp

import "time"

// Policy is when a host is left alone.
type Policy struct {
	// Failures in a row that open the circuit; 5 if zero.
	Failures int
	// Pause is the first time the host is left alone; 30 s if zero. It doubles
	// with each failed trial up to MaxPause; 10 min if zero.
	Pause, MaxPause time.Duration
}

func (p Policy) withDefaults() Policy {
	if p.Failures == 0 {
		p.Failures = 5
	}
	if p.Pause == 0 {
		p.Pause = 30 * time.Second
	}
	if p.MaxPause == 0 {
		p.MaxPause = 10 * time.Minute
	}
	return p
}

// Circuit is the state of one host. The zero value is a host in good standing.
type Circuit struct {
	failures int           // in a row
	pause    time.Duration // of the present opening; 0 if closed
	until    time.Time     // end of the pause
	trial    time.Time     // when the one trial after the pause began; zero if none
}

// trialLimit is how long a trial may stay unanswered before another may try.
const trialLimit = 2 * time.Minute

// Event is what happened to a request.
type Event int

// The events of [Circuit.Step].
const (
	// Ask is the wish to send a request.
	Ask Event = iota
	// Succeeded: the host answered.
	Succeeded
	// Failed: it did not, or answered that it cannot.
	Failed
	// Abandoned: the caller gave up, which says nothing about the host.
	Abandoned
)

// Step returns the state after an event at the time now. For Ask it also says
// whether the request may go out and, if not, how long to wait. It is pure.
func (c Circuit) Step(e Event, now time.Time, p Policy) (next Circuit, allowed bool, wait time.Duration) {
	p = p.withDefaults()
	switch e {
	case Ask:
		if c.pause == 0 {
			return c, true, 0
		}
		if now.Before(c.until) {
			return c, false, c.until.Sub(now)
		}
		if !c.trial.IsZero() && now.Before(c.trial.Add(trialLimit)) {
			return c, false, c.trial.Add(trialLimit).Sub(now)
		}
		c.trial = now
		return c, true, 0
	case Succeeded:
		return Circuit{}, true, 0
	case Abandoned:
		c.trial = time.Time{}
		return c, true, 0
	}
	c.failures++
	switch {
	case c.pause == 0 && c.failures >= p.Failures:
		c.pause = p.Pause
		c.until = now.Add(c.pause)
	case c.pause > 0 && !c.trial.IsZero():
		c.pause = min(2*c.pause, p.MaxPause)
		c.until = now.Add(c.pause)
	}
	c.trial = time.Time{}
	return c, false, 0
}

// idle reports whether the state may be forgotten.
func (c Circuit) idle(now time.Time) bool {
	return c.pause == 0 || now.After(c.until.Add(c.pause))
}
