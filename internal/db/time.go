package db

import "time"

// Micros returns t as microseconds since the Unix epoch, UTC: the only form in
// which times are stored. The zero time gives 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the inverse of [Micros], in UTC. 0 gives the zero time.
func Time(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
