package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Rate is a limit in the sense of the generic cell rate algorithm (ITU-T
// I.371): Count events per Per on average, and up to Burst at once.
type Rate struct {
	// Count is the sustained number of events per Per; at least 1.
	Count int
	// Per is the time in which Count events are allowed; at most [MaxTTL].
	Per time.Duration
	// Burst is how many events may come at once after a quiet time. Zero means Count.
	Burst int
}

// ErrRate reports a rate that cannot be computed with, or a cost outside 1 to Burst.
var ErrRate = errors.New("cache: rate or cost out of bounds")

// Decision is the answer to one request for permission.
type Decision struct {
	// Allowed says whether the event may happen. Only then was it counted.
	Allowed bool
	// Limit is the burst, for the RateLimit headers.
	Limit int
	// Remaining is how many events of cost 1 would be allowed right now.
	Remaining int
	// RetryAfter is how long to wait until the same request would be allowed;
	// zero if it was.
	RetryAfter time.Duration
	// ResetAfter is how long until the whole burst is available again.
	ResetAfter time.Duration
}

// Taker decides rate limits. It is implemented by every backend and by
// [Limiter]. Take MUST be atomic per key: of concurrent calls no more are
// allowed than the rate permits. It returns [ErrKey] or [ErrRate] on bad
// arguments, and an error matching [ErrUnavailable] when the backend fails,
// in which case the caller MUST NOT treat the event as allowed. When a backend
// runs out of room it MUST become stricter, not laxer.
type Taker interface {
	Take(ctx context.Context, key string, r Rate, cost int) (Decision, error)
}

// Cells returns the two times of the algorithm: the emission interval between
// two events, and the tolerance, which is burst times that interval. It also
// returns the burst with its default applied. The error is [ErrRate].
func (r Rate) Cells(cost int) (interval, tolerance time.Duration, burst int, err error) {
	burst = r.Burst
	if burst == 0 {
		burst = r.Count
	}
	if r.Count < 1 || burst < 1 || r.Per < MinTTL || r.Per > MaxTTL {
		return 0, 0, 0, fmt.Errorf("%w: %d per %v, burst %d", ErrRate, r.Count, r.Per, burst)
	}
	if cost < 1 || cost > burst {
		return 0, 0, 0, fmt.Errorf("%w: cost %d of burst %d", ErrRate, cost, burst)
	}
	interval = r.Per / time.Duration(r.Count)
	if interval < time.Microsecond {
		return 0, 0, 0, fmt.Errorf("%w: more than one event per microsecond", ErrRate)
	}
	interval = interval.Truncate(time.Microsecond)
	if int64(burst) > int64(MaxTTL/interval) {
		return 0, 0, 0, fmt.Errorf("%w: burst %d lasts longer than %v", ErrRate, burst, MaxTTL)
	}
	return interval, time.Duration(burst) * interval, burst, nil
}

// Step is one step of the algorithm in whole microseconds. tat is the
// theoretical arrival time kept from before (0 if none), now the present. It
// returns the decision and the arrival time to keep, which is unchanged when
// the event is refused. Implementations that compute elsewhere must agree with it.
func Step(tat, now int64, interval, tolerance time.Duration, burst, cost int) (Decision, int64) {
	iv, tol := interval.Microseconds(), tolerance.Microseconds()
	// A time further ahead than the tolerance can only come from a clock that
	// was set back; without the bound it would lock the key out.
	tat = min(max(tat, now), now+tol)
	next := tat + iv*int64(cost)
	d := Decision{Limit: burst}
	if next-now > tol {
		d.RetryAfter = micros(next - tol - now)
	} else {
		d.Allowed = true
		tat = next
	}
	d.Remaining = int((tol - (tat - now)) / iv)
	d.ResetAfter = micros(tat - now)
	return d, tat
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
