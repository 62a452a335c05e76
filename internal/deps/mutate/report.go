package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
)

// choose decides which mutants are judged, and takes the others' status from the last run.
func (o *options) choose(mutants []*mutant) error {
	re, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	before := map[string]*mutant{}
	if o.again || o.only != "" {
		b, err := os.ReadFile(o.results())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		var old []*mutant
		if err == nil {
			if err := json.Unmarshal(b, &old); err != nil {
				return fmt.Errorf("%s: %w", o.results(), err)
			}
		}
		for _, m := range old {
			before[m.key()] = m
		}
	}
	for _, m := range mutants {
		m.skip = !re.MatchString(m.key()) || m.hash()%uint32(max(o.sample, 1)) != 0
		old := before[m.key()]
		if old == nil {
			continue
		}
		died := old.Status == killed || old.Status == timedOut
		if o.again && died || m.skip {
			m.Status, m.By, m.skip = old.Status, old.By, true
		}
	}
	return nil
}

// save keeps what is known for later runs.
func (o *options) save(mutants []*mutant) error {
	b, err := json.MarshalIndent(mutants, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.results(), b, 0o644)
}

func (o *options) results() string { return filepath.Join(o.out, "results.json") }

// readEquivalent reads the list of faults that change no behaviour: a key and, after " | ", the reason.
func readEquivalent(path string) (map[string]string, error) {
	reasons := map[string]string{}
	if path == "" {
		return reasons, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line := strings.TrimSpace(sc.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndex(line, " | ")
		if i < 0 || strings.TrimSpace(line[i+3:]) == "" {
			return nil, fmt.Errorf("%s: no reason in %q", path, line)
		}
		reasons[line[:i]] = line[i+3:]
	}
	return reasons, nil
}

// tally counts the mutants of a file. Those that time out count as killed, those listed as equivalent as alive.
type tally struct{ all, killed, survived, uncovered, equivalent int }

func (t *tally) add(m *mutant) {
	t.all++
	switch m.Status {
	case killed, timedOut:
		t.killed++
	case survived:
		t.survived++
	case uncovered:
		t.uncovered++
	case equivalent:
		t.equivalent++
	}
}

func (t *tally) percent() float64 { return 100 * float64(t.killed) / float64(max(t.all, 1)) }

func (o *options) report(mutants []*mutant) error {
	reasons, err := readEquivalent(o.equivalent)
	if err != nil {
		return err
	}
	var stale []string
	byFile, byOp, sum := map[string]*tally{}, map[string]*tally{}, &tally{}
	var files, ops []string
	alive := &strings.Builder{}
	for _, m := range mutants {
		if m.Status == unjudged {
			continue
		}
		if _, ok := reasons[m.key()]; ok {
			delete(reasons, m.key())
			if m.Status == killed || m.Status == timedOut {
				stale = append(stale, m.key())
			} else {
				m.Status = equivalent
			}
		}
		op, _, _ := strings.Cut(m.Op, " &&")
		op, _, _ = strings.Cut(op, " ||")
		if byFile[m.File] == nil {
			byFile[m.File], files = &tally{}, append(files, m.File)
		}
		if byOp[op] == nil {
			byOp[op], ops = &tally{}, append(ops, op)
		}
		for _, t := range []*tally{byFile[m.File], byOp[op], sum} {
			t.add(m)
		}
		if m.Status == survived || m.Status == uncovered {
			fmt.Fprintf(alive, "%s:%d: %s: %s\n", m.File, m.Line, m.Status, m.key())
		}
	}
	for k := range reasons {
		if o.only == "" {
			stale = append(stale, k)
		}
	}
	slices.Sort(files)
	slices.Sort(ops)
	o.table("operator", ops, byOp, nil)
	o.table("file", files, byFile, sum)
	if err := os.WriteFile(filepath.Join(o.out, "survivors.txt"), []byte(alive.String()), 0o644); err != nil {
		return err
	}
	return o.verdict(stale, files, byFile, sum)
}

func (o *options) table(head string, keys []string, rows map[string]*tally, sum *tally) {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nfaults\tkilled\t%%\tsurvived\tnot reached\tequivalent\t %s\n", head)
	row := func(name string, t *tally) {
		fmt.Fprintf(w, "%d\t%d\t%.1f\t%d\t%d\t%d\t %s\n", t.all, t.killed, t.percent(), t.survived, t.uncovered, t.equivalent, name)
	}
	for _, k := range keys {
		row(k, rows[k])
	}
	if sum != nil {
		row("all", sum)
	}
	_ = w.Flush()
}

func (o *options) verdict(stale, files []string, byFile map[string]*tally, sum *tally) error {
	var faults []string
	for _, k := range stale {
		faults = append(faults, "listed as equivalent, but killed or gone: "+k)
	}
	if sum.percent() < o.need {
		faults = append(faults, fmt.Sprintf("%.1f %% killed, %.0f %% needed", sum.percent(), o.need))
	}
	for _, f := range files {
		if p := byFile[f].percent(); p < o.needFile {
			faults = append(faults, fmt.Sprintf("%s: %.1f %% killed, %.0f %% needed", f, p, o.needFile))
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "\n"))
	}
	return nil
}
