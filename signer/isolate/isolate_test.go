package isolate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// TestMain makes this program its own child.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "verify-worker":
			os.Exit(Work(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		case "parent":
			os.Exit(parent(os.Args[2]))
		case "misbehave":
			os.Exit(misbehave(os.Args[2], os.Args[3:]))
		}
	}
	os.Exit(m.Run())
}

// secret is text that a file might hold.
const secret = "texto-del-archivo"

// misbehave is a child that does the worst it can, within its bounds.
func misbehave(how string, args []string) int {
	b, err := parseBounds(args)
	if err != nil {
		return exitAsked
	}
	if how, found := strings.CutPrefix(how, "unwatched-"); found { // the kernel's bounds alone
		if err := setLimits(b); err != nil {
			return exitBounds
		}
		return doHarm(how)
	}
	if _, err := confine(b); err != nil {
		return exitBounds
	}
	return doHarm(how)
}

var sink [][]byte

func doHarm(how string) int {
	switch how {
	case "spin":
		sink = append(sink, nil)
		for sinkAt(0) == 0 { // the first is empty
		}
	case "allocate":
		for {
			page := make([]byte, 1<<20)
			for i := range page {
				page[i] = 1
			}
			sink = append(sink, page)
		}
	case "huge":
		sink = append(sink, make([]byte, 640<<30))
		for i := 0; ; i += 4096 {
			sink[0][i] = 1
		}
	case "recurse":
		return recurse([128]int{})
	case "panic":
		panic(secret)
	case "index":
		return sinkAt(len(os.Args) + 5)
	case "flood":
		for {
			if _, err := os.Stdout.WriteString(secret); err != nil {
				return exitParent
			}
		}
	case "lie":
		fmt.Print(`{"report":{"signatures":[{"signer":{"subject":"CN=Nadie","sha256":"00"}}]}}`)
	case "many":
		fmt.Print(`{"report":{"signatures":[` + strings.Repeat("{},", maxNodes) + `{}]}}`)
	case "wait": // and says so
		_, _ = os.NewFile(fileDescriptor, "file").Write([]byte("x"))
		select {}
	case "sleep":
		select {}
	case "tell":
		return tell()
	}
	return 0
}

func sinkAt(i int) int { return len(sink[i]) }

func recurse(x [128]int) int {
	if x[0] < 0 {
		return 0
	}
	return recurse(x) + x[0]
}

// tell answers with what this process can do, as an error.
func tell() int {
	var out []string
	score, err := os.ReadFile("/proc/self/oom_score_adj")
	out = append(out, fmt.Sprintf("oom=%s %v", strings.TrimSpace(string(score)), err))
	out = append(out, "env="+strings.Join(os.Environ(), ","))
	if _, err := os.Create(filepath.Join(os.TempDir(), "verify-worker-test")); err == nil {
		err = os.WriteFile(filepath.Join(os.TempDir(), "verify-worker-test"), []byte("x"), 0o600)
		out = append(out, fmt.Sprintf("write=%v", err))
	}
	_, err = os.NewFile(fileDescriptor, "file").Write([]byte("x"))
	out = append(out, fmt.Sprintf("upload=%v", errors.Is(err, syscall.EBADF)))
	for n := 0; ; n++ {
		if _, err := os.Open("/"); err != nil || n > 16 {
			out = append(out, fmt.Sprintf("files<=16=%v", n < 16))
			break
		}
	}
	var core syscall.Rlimit
	err = syscall.Setrlimit(syscall.RLIMIT_CPU, &syscall.Rlimit{Cur: 1 << 30, Max: 1 << 30})
	out = append(out, fmt.Sprintf("raise=%v group=%v", os.Geteuid() != 0 && err == nil, syscall.Getpgrp() == os.Getpid()))
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &core); err == nil {
		out = append(out, fmt.Sprintf("core=%d", core.Max))
	}
	b, err := encode(nil, errors.New(strings.Join(out, "\n")))
	if err != nil {
		return exitAsked
	}
	fmt.Print(string(b))
	return 0
}

// child returns a verifier whose children are this program.
func child(t testing.TB, l Limits, words ...string) (*Verifier, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if len(words) == 0 {
		words = []string{"verify-worker"}
	}
	var log bytes.Buffer
	v, err := New(Config{Command: append([]string{self}, words...), Limits: l, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return v, &log
}

// counted reads a counter of a verifier.
func counted(t testing.TB, v *Verifier, outcome string) float64 {
	t.Helper()
	families, err := v.c.Metrics.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); len(l) == 1 && l[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// file is an upload as the service hands it over: nameless, for reading only.
func file(t testing.TB, b []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func limitOf(err error) Limit {
	var l *LimitError
	if errors.As(err, &l) {
		return l.Limit
	}
	return ""
}

// TestHarm: whatever the child does, the parent gets a typed error, and the next
// file is judged as if nothing had been.
func TestHarm(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the kernel's limits are those of Linux")
	}
	for how, want := range map[string]struct {
		limit   Limit
		err     error
		outcome string
	}{
		"spin":               {limit: CPU},
		"unwatched-spin":     {limit: CPU},
		"allocate":           {limit: Memory},
		"huge":               {limit: Memory},
		"recurse":            {limit: Memory},
		"flood":              {limit: Report, outcome: "report_size"},
		"sleep":              {limit: Wall},
		"panic":              {err: ErrCrashed, outcome: "crashed"},
		"index":              {err: ErrCrashed, outcome: "crashed"},
		"lie":                {err: ErrCrashed, outcome: "crashed"},
		"many":               {err: ErrCrashed, outcome: "crashed"},
		"nothing":            {err: ErrCrashed, outcome: "crashed"},
		"unwatched-recurse":  {limit: Memory},
		"unwatched-allocate": {limit: Memory},
		"unwatched-huge":     {limit: Memory},
	} {
		if instrumented && strings.HasPrefix(how, "unwatched-") && want.limit == Memory {
			continue // no such bounds there
		}
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			l := Limits{Memory: 200 << 20, CPU: 500 * time.Millisecond, Wall: time.Minute, Report: 2 << 20}
			if want.limit == Wall {
				l.Wall = 200 * time.Millisecond
			}
			if want.limit == Memory || want.limit == Report {
				l.CPU = 30 * time.Second
			}
			v, log := child(t, l, "misbehave", how)
			_, err := v.Verify(t.Context(), file(t, nil), 0)
			if limitOf(err) != want.limit || want.err != nil && !errors.Is(err, want.err) {
				t.Errorf("got %v, want %v%v\n%s", err, want.limit, want.err, log)
			}
			if want.outcome == "" {
				want.outcome = string(want.limit)
			}
			if n := counted(t, v, want.outcome); n != 1 {
				t.Errorf("%v counted as %s", n, want.outcome)
			}
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log quotes the file: %s", log)
			}
			if errors.Is(err, ErrCrashed) && log.Len() == 0 {
				t.Error("nothing was logged")
			}
			next, _ := child(t, Limits{})
			pdf := costest.Sample(costest.Options{})
			if r, err := next.Verify(t.Context(), file(t, pdf), int64(len(pdf))); err != nil || len(r.Signatures) != 0 {
				t.Errorf("the next file: %+v, %v", r, err)
			}
		})
	}
}

// TestNothingToTake: the child has no environment of its parent's, cannot write,
// and cannot leave its bounds.
func TestNothingToTake(t *testing.T) {
	t.Setenv("SUTI_PASSPHRASE", secret)
	v, _ := child(t, Limits{Memory: 100 << 20}, "misbehave", "tell")
	_, err := v.Verify(t.Context(), file(t, []byte("x")), 1)
	var failed *failedError
	if !errors.As(err, &failed) {
		t.Fatal(err)
	}
	for _, want := range []string{"env=GOMEMLIMIT=78643200,GOMAXPROCS=2,GOTRACEBACK=single\n", "upload=true", "files<=16=true", "raise=false group=true", "core=0", "oom=1000"} {
		if !strings.Contains(failed.text, want) {
			t.Errorf("no %q in\n%s", want, failed.text)
		}
	}
	if strings.Contains(failed.text, secret) || strings.Contains(failed.text, "write=<nil>") {
		t.Errorf("got\n%s", failed.text)
	}
	if n := counted(t, v, "failed"); n != 1 {
		t.Errorf("%v counted as failed", n)
	}
}

// TestTightLimits: an ordinary file is refused where the limits are tight, by the
// real child.
func TestTightLimits(t *testing.T) {
	t.Parallel()
	pdf := costest.Sample(costest.Options{})
	for want, l := range map[Limit]Limits{Memory: {Memory: 1 << 20}, CPU: {CPU: time.Microsecond}, Report: {Report: 10}} {
		v, _ := child(t, l)
		if _, err := v.Verify(t.Context(), file(t, pdf), int64(len(pdf))); limitOf(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestEndedFromOutside: a child that somebody kills is no statement about the file.
func TestEndedFromOutside(t *testing.T) {
	t.Parallel()
	v, log := child(t, Limits{})
	v.c.Command = []string{"/bin/sh", "-c", `kill -9 $$`}
	_, err := v.Verify(t.Context(), file(t, nil), 0)
	if !errors.Is(err, ErrInterrupted) || !strings.Contains(log.String(), "ended from outside") {
		t.Errorf("got %v\n%s", err, log)
	}
	v.c.Command = []string{filepath.Join(t.TempDir(), "absent")}
	if _, err := v.Verify(t.Context(), file(t, nil), 0); !errors.Is(err, ErrInterrupted) {
		t.Errorf("absent program: got %v", err)
	}
	if n := counted(t, v, "interrupted"); n != 2 {
		t.Errorf("%v counted as interrupted", n)
	}
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// TestCancelEndsTheChild: who waits no longer leaves no child behind. The child
// holds the other end of a pipe as its file.
func TestCancelEndsTheChild(t *testing.T) {
	t.Parallel()
	r, w := pipe(t)
	v, _ := child(t, Limits{}, "misbehave", "sleep")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, w, 0)
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	w.Close()
	if _, err := io.ReadAll(r); err != nil { // ends when no process holds it
		t.Error(err)
	}
}

// parent is a server whose one child waits.
func parent(self string) int {
	v, err := New(Config{Command: []string{self, "misbehave", "wait"}})
	if err == nil {
		_, err = v.Verify(context.Background(), os.NewFile(fileDescriptor, "pipe"), 0)
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestParentKilled: no child outlives a killed server. The child here does not even
// read its standard input.
func TestParentKilled(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere the child notices it by its standard input alone")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w := pipe(t)
	cmd := exec.Command(self, "parent", self)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{w}, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil { // ends when no process holds the pipe
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the server ended well")
	}
}

// TestOrphansEnd: a child that is asked nothing ends with its standard input.
func TestOrphansEnd(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w := pipe(t)
	in, hold := pipe(t)
	cmd := exec.Command(self, "verify-worker", "-memory=268435456", "-cpu=10s")
	cmd.Stdin, cmd.ExtraFiles = in, []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	w.Close()
	hold.Close() // as the kernel does for a dead parent
	if _, err := io.ReadAll(r); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it ended well")
	}
}

// TestByHand: the child refuses to be anything else.
func TestByHand(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-memory=1"}, {"-memory=1", "-cpu=1s", "x"}, {"-memory=-1", "-cpu=1s"}, {"-x"}} {
		if code := Work(args, os.Stdin, io.Discard, io.Discard); code != exitAsked {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a verifier without a command")
	}
	if _, err := New(Config{Command: []string{"x"}, Limits: Limits{CPU: -1}}); err == nil {
		t.Error("a negative limit")
	}
	v, _ := child(t, Limits{})
	if _, err := v.Verify(t.Context(), bytes.NewReader(nil), 0); err == nil {
		t.Error("what is no file")
	}
}

// TestHostileFiles: none breaks the child, and each is refused as it is in process.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	v, log := child(t, Limits{})
	for name, b := range costest.Hostile() {
		_, err := v.Verify(t.Context(), file(t, b), int64(len(b)))
		_, want := pades.Verify(t.Context(), bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{At: time.Now()})
		if fmt.Sprint(err) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
}

func BenchmarkChild(b *testing.B) {
	v, _ := child(b, Limits{})
	pdf := costest.Sample(costest.Options{})
	f := file(b, pdf)
	for b.Loop() {
		if _, err := v.Verify(b.Context(), f, int64(len(pdf))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInProcess(b *testing.B) {
	pdf := costest.Sample(costest.Options{})
	f := file(b, pdf)
	for b.Loop() {
		if _, err := pades.Verify(b.Context(), f, int64(len(pdf)), pades.VerifyOptions{At: time.Now()}); err != nil {
			b.Fatal(err)
		}
	}
}
