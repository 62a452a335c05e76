package isolate

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oruro.gob.bo/suti/signer/pades"
)

// Limits bounds one verification. Zero values mean the defaults.
type Limits struct {
	// Memory is what the child may have resident, in bytes; 256 MiB. The program
	// itself is some 40 MiB of it.
	Memory int64
	// CPU is its time on processors; 10 s. Wall is the time that passes; 30 s.
	CPU, Wall time.Duration
	// Report is the greatest length of its answer, in bytes; 4 MiB.
	Report int
}

func (l *Limits) fill() error {
	if l.Memory < 0 || l.CPU < 0 || l.Wall < 0 || l.Report < 0 {
		return errors.New("isolate: negative limit")
	}
	if l.Memory == 0 {
		l.Memory = 256 << 20
	}
	if l.CPU == 0 {
		l.CPU = 10 * time.Second
	}
	if l.Wall == 0 {
		l.Wall = 30 * time.Second
	}
	if l.Report == 0 {
		l.Report = 4 << 20
	}
	return nil
}

// Limit names the limit that a file exceeded. The values are stable.
type Limit string

// The limits.
const (
	Memory Limit = "memory"
	CPU    Limit = "cpu"
	Wall   Limit = "wall"
	Report Limit = "report"
)

// LimitError says that a file is too large or too complex to be judged.
type LimitError struct{ Limit Limit }

// Error implements error.
func (e *LimitError) Error() string {
	return "isolate: the file exceeds the limit of " + string(e.Limit)
}

// ErrCrashed says that the child broke down over the file, which is a fault of
// ours. Nothing is known about the file.
var ErrCrashed = errors.New("isolate: the child broke down")

// ErrInterrupted says that the child could not be started, or was ended from
// outside. The same file may be judged at the next try.
var ErrInterrupted = errors.New("isolate: the child was interrupted")

// Config configures [New]. Command is required.
type Config struct {
	// Command is a program that calls [Work] with what it is started with after
	// these words.
	Command []string
	// Roots and TimestampRoots return the trust anchors of the moment; nil: none.
	Roots, TimestampRoots func() []*x509.Certificate
	Limits                Limits
	Metrics               prometheus.Registerer // nil: not registered
	Logger                *slog.Logger
	Now                   func() time.Time
}

// Verifier judges each file in a child of its own. It is safe for concurrent
// use; how many children there are at a time is its caller's matter.
type Verifier struct {
	c Config
	m *counters
}

// New checks the configuration.
func New(c Config) (*Verifier, error) {
	if len(c.Command) == 0 {
		return nil, errors.New("isolate: no command")
	}
	if err := c.Limits.fill(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	m, err := newCounters(c.Metrics)
	if err != nil {
		return nil, err
	}
	return &Verifier{c, m}, nil
}

// Verify judges the signatures of a file, as [pades.Verify] does; revocation is
// not checked. base MUST be an [*os.File]; the child can do with it what its
// mode allows, so it should be opened for reading only.
//
// It returns the error of pades ([*pades.RefusedError]), a [*LimitError],
// [ErrCrashed], [ErrInterrupted] or ctx's error. The last ends the child.
func (v *Verifier) Verify(ctx context.Context, base io.ReaderAt, size int64) (*pades.Report, error) {
	began := time.Now()
	r, err := v.verify(ctx, base, size)
	v.m.count(err, time.Since(began))
	return r, err
}

func (v *Verifier) verify(ctx context.Context, base io.ReaderAt, size int64) (*pades.Report, error) {
	file, ok := base.(*os.File)
	if !ok {
		return nil, fmt.Errorf("isolate: %T is no file that a child could have", base)
	}
	q := request{Size: size, At: v.c.Now(), Report: v.c.Limits.Report}
	if v.c.Roots != nil {
		q.Roots = ders(v.c.Roots())
	}
	if v.c.TimestampRoots != nil {
		q.TimestampRoots = ders(v.c.TimestampRoots())
	}
	line, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if len(line) >= maxRequest {
		return nil, errors.New("isolate: too many roots")
	}
	b, err := v.run(ctx, file, append(line, '\n'))
	if err != nil {
		return nil, err
	}
	r, err := decode(b)
	var no *pades.RefusedError
	var failed *failedError
	if err != nil && !errors.As(err, &no) && !errors.As(err, &failed) { // it answered, but not sensibly
		v.c.Logger.ErrorContext(ctx, "verification child answered wrongly", "error", err.Error(), "file_bytes", size)
		return nil, fmt.Errorf("%w: %w", ErrCrashed, err)
	}
	return r, err
}

// run starts a child, asks it and returns its answer.
func (v *Verifier) run(ctx context.Context, file *os.File, line []byte) ([]byte, error) {
	l := v.c.Limits
	within, cancel := context.WithTimeout(ctx, l.Wall)
	defer cancel()
	cmd := exec.CommandContext(within, v.c.Command[0], append(slices.Clone(v.c.Command[1:]), bounds{l.Memory, l.CPU}.args()...)...)
	cmd.Args[0] = filepath.Base(os.Args[0]) // the command may be an address of this very program
	cmd.Dir = string(filepath.Separator)
	cmd.Env = []string{"GOMEMLIMIT=" + strconv.FormatInt(l.Memory/4*3, 10), "GOMAXPROCS=2", "GOTRACEBACK=single"}
	cmd.ExtraFiles = []*os.File{file}
	out, told := &head{max: l.Report}, &head{max: maxTold, lossy: true}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = out, told, time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	defer detach(cmd)()
	if err := cmd.Start(); err != nil {
		if ctx.Err() == nil && within.Err() != nil {
			return nil, &LimitError{Wall}
		}
		v.c.Logger.ErrorContext(ctx, "verification child cannot be started", "error", err.Error())
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrInterrupted, err), ctx.Err())
	}
	_, _ = in.Write(line) // a child that did not take it says so by its end
	err = cmd.Wait()
	switch {
	case err == nil:
		return out.buf.Bytes(), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case within.Err() != nil:
		return nil, &LimitError{Wall}
	case out.over:
		return nil, &LimitError{Report}
	case cmd.ProcessState == nil:
		return nil, fmt.Errorf("%w: %w", ErrInterrupted, err)
	}
	return nil, v.diagnose(ctx, cmd.ProcessState, told.buf.Bytes())
}

// diagnose says what ended a child.
func (v *Verifier) diagnose(ctx context.Context, s *os.ProcessState, told []byte) error {
	l := v.c.Limits
	switch s.ExitCode() {
	case exitMemory:
		return &LimitError{Memory}
	case exitCPU:
		return &LimitError{CPU}
	case exitReport:
		return &LimitError{Report}
	}
	signalled := killed(s)
	switch {
	case signalled && s.UserTime()+s.SystemTime() >= l.CPU:
		return &LimitError{CPU} // by the kernel's bound
	case exhausted(told):
		return &LimitError{Memory}
	case signalled || bytes.Contains(told, []byte("failed to create new OS thread")):
		v.c.Logger.WarnContext(ctx, "verification child was ended from outside", "state", s.String())
		return fmt.Errorf("%w: %s", ErrInterrupted, s)
	}
	v.c.Logger.ErrorContext(ctx, "verification child broke down", "state", s.String(), "trace", trace(told))
	return fmt.Errorf("%w: %s", ErrCrashed, s)
}

// exhausted reports whether the Go runtime of the child gave up for want of
// memory or stack.
func exhausted(told []byte) bool {
	for _, s := range []string{"out of memory", "cannot allocate memory", "stack overflow", "cannot map pages"} {
		for line := range bytes.Lines(told) {
			if (bytes.HasPrefix(line, []byte("fatal error: ")) || bytes.HasPrefix(line, []byte("runtime: "))) && bytes.Contains(line, []byte(s)) {
				return true
			}
		}
	}
	return false
}

// trace is what may be logged of a child's last words: where it broke, and not
// what it had in hand, which is from the file.
func trace(told []byte) string {
	var out []string
	for line := range strings.Lines(string(told)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "panic: ") && !strings.HasPrefix(line, "panic: runtime error: ") {
			line = "panic"
		}
		for _, p := range []string{"panic", "fatal error: ", "goroutine ", "oruro.gob.bo/", "verify-worker: bounds: "} {
			if strings.HasPrefix(line, p) {
				out = append(out, line)
				break
			}
		}
		if len(out) == 20 {
			break
		}
	}
	return strings.Join(out, "\n")
}

// head keeps the first max bytes that are written to it. What is more is an
// error, or lost. It MUST NOT be an io.ReaderFrom: that would know no bound.
type head struct {
	buf         bytes.Buffer
	max         int
	lossy, over bool
}

// Write implements io.Writer.
func (h *head) Write(p []byte) (int, error) {
	room := h.max - h.buf.Len()
	if len(p) <= room {
		return h.buf.Write(p)
	}
	h.over = true
	h.buf.Write(p[:room])
	if h.lossy {
		return len(p), nil
	}
	return room, errors.New("isolate: answer too long")
}
