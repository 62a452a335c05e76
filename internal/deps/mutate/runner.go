package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// test is one test of one package.
type test struct {
	bin, dir, name string
	took           time.Duration
	kills          atomic.Int64
}

type runner struct {
	out, overlay string
	mutants      []*mutant
	skip         []string
	workers      int
	bins         [][2]string // binary and folder
	tests        []*test
}

// build compiles one test binary for each package.
func (r *runner) build(ctx context.Context, pkgs []string) error {
	for i, pkg := range pkgs {
		dir, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", pkg).Output()
		if err != nil {
			return fmt.Errorf("go list %s: %w", pkg, err)
		}
		bin := filepath.Join(r.out, fmt.Sprintf("test%02d", i))
		cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", r.overlay, "-o", bin, pkg)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compile %s with faults: %w\n%s", pkg, err, out)
		}
		r.bins = append(r.bins, [2]string{bin, strings.TrimSpace(string(dir))})
	}
	return nil
}

// command runs tests of one binary. Programs of others are out of reach: what counts is what our tests see.
func (r *runner) command(ctx context.Context, bin, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=/nonexistent", "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "SUTI_TEST_TOOLS=none", "GOTRACEBACK=none"}, env...)
	cmd.WaitDelay = time.Second
	return cmd
}

// record runs every test by itself and notes which faults it reaches.
func (r *runner) record(ctx context.Context) error {
	for _, b := range r.bins {
		out, err := r.command(ctx, b[0], b[1], nil, "-test.list", "^(Test|Example|Fuzz)").Output()
		if err != nil {
			return fmt.Errorf("list tests of %s: %w", b[1], err)
		}
		for _, name := range strings.Fields(string(out)) {
			if !slices.Contains(r.skip, name) {
				r.tests = append(r.tests, &test{bin: b[0], dir: b[1], name: name})
			}
		}
	}
	var mu sync.Mutex
	err := r.each(ctx, len(r.tests), func(ctx context.Context, i int) error {
		t := r.tests[i]
		hits := filepath.Join(r.out, fmt.Sprintf("hits%04d", i))
		if err := os.WriteFile(hits, make([]byte, len(r.mutants)+1), 0o644); err != nil {
			return err
		}
		defer func() { _ = os.Remove(hits) }()
		start := time.Now()
		cmd := r.command(ctx, t.bin, t.dir, []string{"SUTI_MUTANT_HITS=" + hits}, "-test.run", "^"+t.name+"$")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s fails without a fault: %w\n%s", t.name, err, out)
		}
		t.took = time.Since(start)
		b, err := os.ReadFile(hits)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for id, m := range r.mutants {
			if b[id] != 0 {
				m.reached = append(m.reached, t)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slow := slices.SortedFunc(slices.Values(r.tests), func(a, b *test) int { return cmp.Compare(b.took, a.took) })
	fmt.Printf("%d tests recorded; the slowest:", len(r.tests))
	for _, t := range slow[:min(8, len(slow))] {
		fmt.Printf(" %s %s", t.name, t.took.Round(10*time.Millisecond))
	}
	fmt.Println()
	return nil
}

// each calls f for 0 … n-1 on the workers until one fails.
func (r *runner) each(ctx context.Context, n int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range r.workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// judge runs for every mutant the tests that reach it, the quick and the successful ones first.
func (r *runner) judge(ctx context.Context) error {
	var todo []*mutant
	for _, m := range r.mutants {
		if !m.skip {
			todo = append(todo, m)
		}
	}
	// In an order without meaning, so that a run that is broken off is a fair sample.
	slices.SortFunc(todo, func(a, b *mutant) int { return cmp.Or(cmp.Compare(a.hash(), b.hash()), cmp.Compare(a.ID, b.ID)) })
	var done atomic.Int64
	start := time.Now()
	return r.each(ctx, len(todo), func(ctx context.Context, i int) error {
		m := todo[i]
		if err := r.try(ctx, m); err != nil {
			return err
		}
		if n := done.Add(1); n%100 == 0 || int(n) == len(todo) {
			fmt.Printf("%5d of %d judged, %s\n", n, len(todo), time.Since(start).Round(time.Second))
		}
		return nil
	})
}

// try sets the status of a mutant.
func (r *runner) try(ctx context.Context, m *mutant) error {
	if len(m.reached) == 0 {
		m.Status = uncovered
		return nil
	}
	tests := slices.Clone(m.reached)
	slices.SortStableFunc(tests, func(a, b *test) int {
		return cmp.Or(cmp.Compare(b.kills.Load()/(1+b.took.Milliseconds()/20), a.kills.Load()/(1+a.took.Milliseconds()/20)), cmp.Compare(a.took, b.took))
	})
	for limit := 300 * time.Millisecond; len(tests) > 0; limit *= 4 {
		// A batch: tests of one binary whose times do not exceed the limit together.
		var names []string
		var rest []*test
		var total time.Duration
		first := tests[0]
		batch := []*test{}
		for _, t := range tests {
			if t == first || t.bin == first.bin && total+t.took <= limit {
				names, total, batch = append(names, t.name), total+t.took, append(batch, t)
			} else {
				rest = append(rest, t)
			}
		}
		tests = rest
		status, err := r.attempt(ctx, m, first, names, total)
		if err != nil {
			return err
		}
		if status != survived {
			m.Status, m.By = status, strings.Join(names, " ")
			for _, t := range batch {
				t.kills.Add(1)
			}
			return nil
		}
	}
	m.Status = survived
	return nil
}

func (r *runner) attempt(ctx context.Context, m *mutant, t *test, names []string, usual time.Duration) (string, error) {
	limit := 10*time.Second + 10*usual
	sub, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := r.command(sub, t.bin, t.dir, []string{"SUTI_MUTANT=" + strconv.Itoa(m.ID), "GOMEMLIMIT=1GiB"}, "-test.failfast", "-test.run", "^("+strings.Join(names, "|")+")$")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case sub.Err() != nil:
		return timedOut, nil
	case errors.As(err, &exit):
		return killed, nil
	case err != nil:
		return "", err
	}
	return survived, nil
}
