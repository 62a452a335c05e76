package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const judged = `package judged

import "errors"

var errLate = errors.New("late")

var kinds = []string{"a", "b"}

func Judge(kind string, n, limit int, sealed bool) (int, error) {
	known := false
	for _, k := range kinds {
		if k == kind {
			known = true
		}
	}
	if n > limit {
		return 0, errLate
	}
	if known && sealed {
		return n + 1, nil
	}
	switch kind {
	case "c":
		return 2, nil
	}
	return 0, nil
}

func Unused() bool { return true }
`

const judgedTest = `package judged

import "testing"

func TestJudge(t *testing.T) {
	if n, err := Judge("a", 3, 5, true); n != 4 || err != nil {
		t.Error(n, err)
	}
	if _, err := Judge("a", 6, 5, true); err == nil {
		t.Error("no error")
	}
	if n, _ := Judge("z", 3, 5, true); n != 0 {
		t.Error(n)
	}
}
`

// The faults of a small program: those that its test notices die, the others
// live, and what the test does not reach is told apart.
func TestFaultsLiveAndDie(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{"go.mod": "module example.test/judged\n\ngo 1.26\n", "judged.go": judged, "judged_test.go": judgedTest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := options{out: "out", workers: 2, tests: []string{"."}, files: []string{"judged.go"}}
	if err := o.run(context.Background()); err != nil {
		t.Fatal(err)
	}
	got := results(t)
	for key, want := range map[string]string{
		"Judge negate `n > limit` 1":                  killed,
		"Judge leave out if `n > limit` 1":            killed,
		"Judge boundary `n > limit` 1":                survived, // nothing tries n == limit
		"Judge return no error `return 0, errLate` 1": killed,
		"Judge swap && `known && sealed` 1":           killed,
		"Judge leave out && `known` 1":                killed,
		"Judge leave out && `sealed` 1":               survived, // nothing is unsealed
		"Judge arithmetic + `n + 1` 1":                killed,
		"Judge constant `1` 1":                        killed,
		"Judge delete `known = true` 1":               killed,
		"Judge delete `for _, k := range kinds {` 1":  killed,
		"- leave out element `\"a\"` 1":               killed,
		"- leave out element `\"b\"` 1":               survived,
		"Judge leave out case `\"c\"` 1":              survived,
		"Judge constant `2` 1":                        uncovered,
		"Judge return zero `Judge` 1":                 killed,
		"Unused return zero `Unused` 1":               uncovered,
		"Unused constant `true` 1":                    uncovered,
		"Unused return true `Unused` 1":               uncovered,
		"Judge constant `false` 1":                    killed,
		"Judge constant `true` 1":                     killed,
		"Judge negate `k == kind` 1":                  killed,
		"Judge leave out if `k == kind` 1":            killed,
		"Judge leave out if `known && sealed` 1":      killed,
		"Judge constant `0` 1":                        killed,
		"Judge negate `known` 1":                      killed,
		"Judge negate `sealed` 1":                     killed,
	} {
		if got["judged.go "+key] != want {
			t.Errorf("%s: %q, want %q", key, got["judged.go "+key], want)
		}
		delete(got, "judged.go "+key)
	}
	for key, status := range got {
		t.Errorf("%s: %q was not expected", key, status)
	}

	// A floor that is not reached, and a list that is out of date, are errors.
	o.again, o.need = true, 90
	if err := o.run(context.Background()); err == nil || !strings.Contains(err.Error(), "90 % needed") {
		t.Errorf("floor: %v", err)
	}
	o.need, o.equivalent = 0, "equivalent.txt"
	list := "judged.go Judge boundary `n > limit` 1 | reason\njudged.go Judge negate `known` 1 | reason\n"
	if err := os.WriteFile(o.equivalent, []byte(list), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := o.run(context.Background()); err == nil || !strings.Contains(err.Error(), "`known` 1") || strings.Contains(err.Error(), "n > limit") {
		t.Errorf("list of equivalents: %v", err)
	}
}

func results(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("out", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*mutant
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, a := range all {
		m[a.key()] = a.Status
	}
	return m
}
