package tsa

import (
	"context"
	"errors"
	"time"
)

// ErrTime reports that no trustworthy time can be given now.
var ErrTime = errors.New("tsa: time is not available")

// Clock is a source of time that knows how far off it may be.
//
// Now MUST return an error if it cannot tell, for instance because its
// references disagree or have been silent for too long. The true time MUST lie
// within bound of t. It MUST be safe for concurrent use.
type Clock interface {
	Now(ctx context.Context) (t time.Time, bound time.Duration, err error)
}

// SystemClock trusts the operating system's clock: whoever runs this must keep
// it in step (NTP or better) and answers for Bound. It is the default of the
// embedded mode; it cannot notice a clock that is wrong from the start.
type SystemClock struct {
	// Source gives the time; nil: time.Now.
	Source func() time.Time
	// Bound is the error that the operator answers for; zero: 100 ms.
	Bound time.Duration
}

// Now implements [Clock].
func (c SystemClock) Now(context.Context) (time.Time, time.Duration, error) {
	bound := c.Bound
	if bound <= 0 {
		bound = 100 * time.Millisecond
	}
	if c.Source == nil {
		return time.Now(), bound, nil
	}
	return c.Source(), bound, nil
}
