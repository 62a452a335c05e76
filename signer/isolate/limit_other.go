//go:build !linux

package isolate

import (
	"os"
	"os/exec"
	"runtime/metrics"
	"time"
)

// setLimits does nothing here: the child's own watch, GOMEMLIMIT and the
// parent's time-out bound it.
func setLimits(bounds) error { return nil }

// usage tells what the Go runtime of this process uses.
type usage struct{}

func newUsage() (*usage, error) { return &usage{}, nil }

// read returns the memory, in bytes, and the time on processors.
func (u *usage) read() (memory int64, cpu time.Duration, err error) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(s)
	busy := s[1].Value.Float64() - s[2].Value.Float64()
	return int64(s[0].Value.Uint64()), time.Duration(busy * float64(time.Second)), nil
}

func detach(*exec.Cmd) (hold func()) { return func() {} }

func killed(s *os.ProcessState) bool { return s.ExitCode() < 0 }
