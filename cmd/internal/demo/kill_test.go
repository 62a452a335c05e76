package demo_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/audit"
)

// Environment of the process that is killed.
const (
	envFolder = "SUTI_DEMO_CHILD"
	envPort   = "SUTI_DEMO_PORT"
)

// TestChild is the process that the tests here kill. By itself it does nothing.
func TestChild(t *testing.T) {
	dir := os.Getenv(envFolder)
	if dir == "" {
		t.Skip("only as a child of the tests that kill it")
	}
	port, err := strconv.Atoi(os.Getenv(envPort))
	if err != nil {
		t.Fatal(err)
	}
	i, err := demo.Start(t.Context(), demo.Config{Dir: dir, FirstPort: port})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent lets go
	if err := i.Close(); err != nil {
		t.Error(err)
	}
}

// found starts a demo in a process of its own and kills it after a time, or
// once it is ready if there is none. It reports whether it was ready.
func found(t *testing.T, dir string, port int, kill time.Duration) (ready bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), envFolder+"="+dir, envPort+"="+strconv.Itoa(port))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if kill > 0 {
		defer time.AfterFunc(kill, func() { _ = cmd.Process.Kill() }).Stop()
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if lines.Text() == "ready" {
			ready = true
			if kill == 0 {
				_ = cmd.Process.Kill()
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("it ended by itself: %v\n%s", err, said.String())
	}
	return ready
}

// TestKillDuringFounding kills the first start at random moments, several times
// over, and starts again: the demo founds itself without being asked anything,
// and what a finished founding made stays as it is.
func TestKillDuringFounding(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	began := time.Now()
	found(t, t.TempDir(), 19900, 0)
	length := time.Since(began)
	for n := range 8 {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "with [odd] name*")
			for range 3 {
				at := time.Millisecond + rand.N(length)
				if found(t, dir, 19910+10*n, at) {
					t.Logf("ready before %v", at)
					break
				}
			}
			founded(t, demo.Config{Dir: dir, FirstPort: 19910 + 10*n})
		})
	}
}

// founded starts the demo twice, checks that it is whole, and that the second
// start, and a first one after a finished founding, change nothing.
func founded(t *testing.T, c demo.Config) {
	t.Helper()
	ctx, dir := t.Context(), c.Dir
	before, err := os.ReadFile(filepath.Join(dir, "demo.state.json"))
	finished := err == nil && bytes.Contains(before, []byte(`"seeded": true`))
	known, _ := os.ReadFile(filepath.Join(dir, demo.FileName))
	for range 2 {
		i, err := demo.Start(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		whole(t, i)
		if err := i.Close(); err != nil {
			t.Fatal(err)
		}
		now, err := os.ReadFile(filepath.Join(dir, demo.FileName))
		if err != nil {
			t.Fatal(err)
		}
		if finished && !bytes.Equal(now, known) {
			t.Error("a start changed what a finished founding had written")
		}
		finished, known = true, now
	}
}

// whole checks that a demo is complete and holds nothing twice.
func whole(t *testing.T, i *demo.Instance) {
	t.Helper()
	ctx := t.Context()
	if err := i.App.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	if got := len(i.File.People); got != 5 {
		t.Fatalf("%d people, want 5", got)
	}
	if got := len(i.File.Clients); got != 6 {
		t.Errorf("%d clients, want 6", got)
	}
	for _, p := range i.File.People {
		if p.Level != "N2" && p.Level != "N3" || len(p.CodeCard) == 0 {
			t.Errorf("%s: level %s, %d cells", p.Names, p.Level, len(p.CodeCard))
		}
		if _, err := os.Stat(p.PasskeyFile); err != nil {
			t.Error(err)
		}
	}
	if p, _ := i.Person("secretario"); p.Post == "" {
		t.Error("the official has no post")
	}
	var people int
	if err := i.App.DB.QueryRow(ctx, "SELECT COUNT(person) FROM subject").Scan(&people); err != nil || people != 5 {
		t.Errorf("%d people in the database, %v", people, err)
	}
	if strings.HasPrefix(i.File.Issuer, "https:") != (i.File.TLSRootPEM != "") {
		t.Errorf("%s with the root %q", i.File.Issuer, i.File.TLSRootPEM)
	}
	if _, err := i.App.Enrolment.Genesis(ctx); err != nil {
		t.Errorf("founding act: %v", err)
	}
	if r, err := i.App.Audit.Check(ctx, audit.CheckOptions{}); err != nil || !r.OK() {
		t.Errorf("record: %+v, %v", r, err)
	}
	if n, faults, err := i.App.CA.Inspect(ctx); err != nil || n == 0 || len(faults) > 0 {
		t.Errorf("%d certificates, faults %v, %v", n, faults, err)
	}
}

// TestInterruptDuringFounding is the same by Ctrl-C, which ends the context,
// over http and over https.
func TestInterruptDuringFounding(t *testing.T) {
	t.Parallel()
	for _, c := range []demo.Config{{FirstPort: 19800}, {FirstPort: 19780, TLS: true}} {
		t.Run(fmt.Sprintf("TLS %v", c.TLS), func(t *testing.T) {
			t.Parallel()
			c.Dir = t.TempDir()
			for range 3 {
				ctx, cancel := context.WithTimeout(t.Context(), rand.N(time.Second))
				i, err := demo.Start(ctx, c)
				cancel()
				if err == nil {
					if err := i.Close(); err != nil {
						t.Fatal(err)
					}
					break
				}
			}
			founded(t, c)
		})
	}
}

// TestFolderOfAnother refuses what must not be emptied, and a second process.
func TestFolderOfAnother(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "suti.db"), []byte("of somebody"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Start(t.Context(), demo.Config{Dir: dir, FirstPort: 19850}); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a database without its state: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "suti.db")); err != nil || string(b) != "of somebody" {
		t.Errorf("the file is %q, %v", b, err)
	}
	dir = t.TempDir()
	i, err := demo.Start(t.Context(), demo.Config{Dir: dir, FirstPort: 19850})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if _, err := demo.Start(t.Context(), demo.Config{Dir: dir, FirstPort: 19860}); err == nil || !strings.Contains(err.Error(), "another demo runs") {
		t.Errorf("two in one folder: %v", err)
	}
}
