package audit

import "time"

// SetTick replaces the ticker of Run.
func SetTick(c *SequencerConfig, tick <-chan time.Time) { c.tick = tick }
