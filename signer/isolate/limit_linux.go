package isolate

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits of the kernel, behind the child's own watch. A Go program needs much
// address space that it never touches, so that bound is wide (design D15).
const (
	addressSpace = 4 << 30 // bytes
	openFiles    = 16
	// dataSlack is what the runtime maps for writing beside the heap, and what
	// it may have mapped and not touched.
	dataSlack = 256 << 20
	// cpuSlack is what the kernel's bound leaves to the watch: it counts in whole
	// seconds, and kills.
	cpuSlack = time.Second
)

// setLimits bounds this process. Hard limits equal soft ones: nothing in it can
// lift them again.
func setLimits(b bounds) error {
	// If memory runs out for all, let it be this process. Raising the score needs
	// no privilege, and where /proc is closed nothing is lost.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	limits := []struct {
		what  string
		which int
		most  uint64
	}{
		{"core", syscall.RLIMIT_CORE, 0},
		{"file size", syscall.RLIMIT_FSIZE, 0},
		{"open files", syscall.RLIMIT_NOFILE, openFiles},
		{"cpu", syscall.RLIMIT_CPU, uint64((b.cpu + cpuSlack + time.Second - 1) / time.Second)},
	}
	if !instrumented { // the race detector maps terabytes
		limits = append(limits, []struct {
			what  string
			which int
			most  uint64
		}{
			{"address space", syscall.RLIMIT_AS, max(addressSpace, 4*uint64(b.memory))},
			{"data", syscall.RLIMIT_DATA, 2*uint64(b.memory) + dataSlack},
		}...)
	}
	for _, l := range limits {
		var have syscall.Rlimit
		if err := syscall.Getrlimit(l.which, &have); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
		most := min(l.most, have.Max)
		if err := syscall.Setrlimit(l.which, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("%s: %w", l.what, err)
		}
	}
	return nil
}

// usage tells what this process uses. It is safe for concurrent use.
type usage struct {
	statm *os.File
	page  int64
}

func newUsage() (*usage, error) {
	f, err := os.Open("/proc/self/statm")
	if err != nil {
		return nil, err
	}
	u := &usage{f, int64(os.Getpagesize())}
	_, _, err = u.read()
	return u, err
}

// read returns the resident memory, in bytes, and the time on processors.
func (u *usage) read() (memory int64, cpu time.Duration, err error) {
	var buf [128]byte // "size resident shared text lib data dt", in pages
	n, err := u.statm.ReadAt(buf[:], 0)
	if n == 0 {
		return 0, 0, err
	}
	fields := strings.Fields(string(buf[:n]))
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("statm: %q", buf[:n])
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, 0, err
	}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, 0, err
	}
	return pages * u.page, time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}

// detach gives the child a process group of its own, to be ended as one, and has
// the kernel end it if this process dies. The kernel takes the thread that
// started the child for the parent, so the caller keeps it: hold returns its release.
func detach(cmd *exec.Cmd) (hold func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}

// killed reports whether a signal ended a process. (What the kernel says of an ended
// child's greatest memory counts the parent's, before the program was started.)
func killed(s *os.ProcessState) bool {
	w, ok := s.Sys().(syscall.WaitStatus)
	return ok && w.Signaled()
}
