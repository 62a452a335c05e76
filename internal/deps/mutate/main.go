// Mutate measures what the tests of this module notice: it makes small faults in chosen source files, one at a time, and runs the
// tests that reach the fault. A fault that no test notices is a survivor.
//
// All faults are compiled in at once, each behind a switch that an environment variable sets, so that thousands of them cost one
// compilation; the sources stay untouched, an overlay of the compiler replaces them. Which tests reach which fault is recorded
// before, test by test. Nothing imports this package; .ci/mutate.sh runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	var o options
	flag.StringVar(&o.out, "out", "out/mutate", "folder for binaries, results and the list of survivors")
	flag.StringVar(&o.equivalent, "equivalent", "", "file of faults that change no behaviour, with reasons")
	flag.StringVar(&o.only, "only", "", "regular expression: judge only faults whose key matches")
	flag.IntVar(&o.sample, "sample", 1, "judge only one in so many faults, always the same ones")
	flag.BoolVar(&o.again, "again", false, "keep what earlier runs killed, judge the rest again")
	flag.IntVar(&o.workers, "p", 2, "how many tests run at once")
	flag.Float64Var(&o.need, "need", 0, "least share of killed faults in percent, in all; exit code 1 below it")
	flag.Float64Var(&o.needFile, "need-file", 0, "the same for each file")
	flag.Func("test", "package whose tests run (repeatable)", func(s string) error { o.tests = append(o.tests, s); return nil })
	flag.Func("skip", "test that does not run (repeatable)", func(s string) error { o.skip = append(o.skip, s); return nil })
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: mutate [flags] FILE.go …\nexample: mutate -test ./internal/cms internal/cms/verify.go\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	o.files = flag.Args()
	if len(o.files) == 0 || len(o.tests) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

type options struct {
	out, equivalent, only string
	again                 bool
	workers, sample       int
	need, needFile        float64
	tests, skip, files    []string
}

func (o *options) run(ctx context.Context) error {
	var err error
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	p, err := load(ctx, o.files)
	if err != nil {
		return err
	}
	overlay, err := p.write(o.out)
	if err != nil {
		return err
	}
	fmt.Printf("%d faults in %d files\n", len(p.mutants), len(o.files))
	r := &runner{out: o.out, overlay: overlay, mutants: p.mutants, skip: o.skip, workers: max(o.workers, 1)}
	if err := r.build(ctx, o.tests); err != nil {
		return err
	}
	if err := r.record(ctx); err != nil {
		return err
	}
	if err := o.choose(p.mutants); err != nil {
		return err
	}
	judged := r.judge(ctx)
	if err := o.save(p.mutants); err != nil || judged != nil {
		return errors.Join(judged, err)
	}
	return o.report(p.mutants)
}

// relative returns a path as it is written in keys.
func relative(path string) string {
	wd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(wd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.ToSlash(rel)
	}
	return path
}
