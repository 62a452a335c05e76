// Package failpoint names the places where the process may be stopped or made
// to fail between two durable steps, so that crash tests can enumerate them.
// Nothing is armed unless a test calls [Arm] or the command line calls
// [ArmFromEnv]; an unarmed [Hit] costs one atomic load. Anyone may import it.
package failpoint

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// EnvVar is the environment variable read by [ArmFromEnv]. Its value is
// NAME=ACTION or NAME=ACTION@N, several separated by commas; ACTION is kill
// (SIGKILL to the own process) or error; N, from 1, counts the hit that acts.
const EnvVar = "SUTI_FAILPOINT"

// ErrInjected is what an armed failpoint with action "error" returns.
var ErrInjected = errors.New("failpoint: injected failure")

// ErrUnknown reports a name that is not in [Names].
var ErrUnknown = errors.New("failpoint: unknown name")

type action struct {
	fn   func() error
	at   int64
	hits atomic.Int64
}

type table struct{ byName map[string]*action }

var (
	armed atomic.Pointer[table]
	mu    sync.Mutex // serialises Arm and the functions it returns
)

// Hit runs what is armed under name: it returns the injected error, or does
// not return because the process was killed. It returns nil when nothing is
// armed. Callers MUST treat an error as a failure of the step that follows.
func Hit(name string) error {
	t := armed.Load()
	if t == nil {
		return nil
	}
	a, ok := t.byName[name]
	if !ok {
		return nil
	}
	if n := a.hits.Add(1); a.at != 0 && n != a.at {
		return nil
	}
	return a.fn()
}

// Arm makes every hit of name run fn, until the returned function is called.
// It panics on a name that is not in [Names]: that is a mistake in the test.
// Armed failpoints are global to the process, so such tests must not be parallel.
func Arm(name string, fn func() error) (disarm func()) {
	if !known(name) {
		panic(fmt.Sprintf("failpoint: %q is not in the catalogue", name))
	}
	set(name, &action{fn: fn})
	return func() { set(name, nil) }
}

// ArmFromEnv arms what [EnvVar] asks for. An empty variable arms nothing; a
// malformed one or an unknown name is an error, so that a crash test cannot
// silently test nothing.
func ArmFromEnv(getenv func(string) string) error {
	spec := getenv(EnvVar)
	if spec == "" {
		return nil
	}
	for item := range strings.SplitSeq(spec, ",") {
		name, act, ok := strings.Cut(item, "=")
		if !ok {
			return fmt.Errorf("%s: want NAME=ACTION, got %q", EnvVar, item)
		}
		if !known(name) {
			return fmt.Errorf("%w: %q", ErrUnknown, name)
		}
		act, count, counted := strings.Cut(act, "@")
		a := &action{}
		if counted {
			n, err := strconv.ParseInt(count, 10, 64)
			if err != nil || n < 1 {
				return fmt.Errorf("%s: count of %q must be 1 or more", EnvVar, name)
			}
			a.at = n
		}
		switch act {
		case "kill":
			a.fn = kill
		case "error":
			a.fn = func() error { return fmt.Errorf("%w at %s", ErrInjected, name) }
		default:
			return fmt.Errorf("%s: unknown action %q", EnvVar, act)
		}
		set(name, a)
	}
	return nil
}

func kill() error {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way; nothing after this point may run
}

func set(name string, a *action) {
	mu.Lock()
	defer mu.Unlock()
	next := &table{byName: map[string]*action{}}
	if old := armed.Load(); old != nil {
		for k, v := range old.byName {
			next.byName[k] = v
		}
	}
	if a == nil {
		delete(next.byName, name)
	} else {
		next.byName[name] = a
	}
	if len(next.byName) == 0 {
		armed.Store(nil)
		return
	}
	armed.Store(next)
}
