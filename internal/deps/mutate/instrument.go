package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"hash/fnv"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is one small fault.
type mutant struct {
	ID     int
	File   string // relative to the module
	Line   int
	Func   string
	Op     string
	Text   string // what is changed, on one line
	Nth    int    // of those with the same File, Func, Op and Text, from 1
	Status string // see the constants
	By     string // the tests that were run when it died
	skip   bool   // judged before

	reached []*test
}

// The states of a mutant.
const (
	unjudged   = ""
	killed     = "killed"
	timedOut   = "timed out"
	survived   = "survived"
	uncovered  = "not reached"
	equivalent = "equivalent"
)

// key names a mutant so that it is found again when lines move.
func (m *mutant) key() string {
	return fmt.Sprintf("%s %s %s `%s` %d", m.File, m.Func, m.Op, m.Text, m.Nth)
}

// hash is a number without meaning that stays the same.
func (m *mutant) hash() uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(m.key()))
	return h.Sum32()
}

// wrap replaces the text of a node: f gets it with the faults within and as written.
type wrap struct {
	start, end int
	f          func(faulty, plain string) string
}

// file is one source file under change.
type file struct {
	path  string // absolute
	rel   string
	src   []byte
	ast   *ast.File
	tok   *token.File
	wraps []wrap
}

type program struct {
	fset    *token.FileSet
	dirs    map[string][]*file // by folder
	info    map[string]*types.Info
	pkgs    map[string]*types.Package
	mutants []*mutant
	nth     map[string]int
}

// listed is the part of go list's answer that is used.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// load parses and type-checks the packages of the files and finds all faults.
func load(ctx context.Context, paths []string) (*program, error) {
	p := &program{fset: token.NewFileSet(), dirs: map[string][]*file{}, info: map[string]*types.Info{}, pkgs: map[string]*types.Package{}, nth: map[string]int{}}
	var dirs []string
	want := map[string]bool{}
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		want[abs] = true
		if d := filepath.Dir(abs); !slices.Contains(dirs, d) {
			dirs = append(dirs, d)
		}
	}
	pkgs, err := list(ctx, dirs)
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	for _, l := range pkgs {
		exports[l.ImportPath] = l.Export
	}
	imp := importer.ForCompiler(p.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	})
	for _, dir := range dirs {
		i := slices.IndexFunc(pkgs, func(l listed) bool { return l.Dir == dir })
		if i < 0 {
			return nil, fmt.Errorf("%s holds no package", dir)
		}
		if err := p.check(pkgs[i], imp, want); err != nil {
			return nil, err
		}
	}
	for f := range want {
		return nil, fmt.Errorf("%s is no source file of its package", f)
	}
	return p, nil
}

func list(ctx context.Context, dirs []string) ([]listed, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles"}, dirs...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := dec.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
}

func (p *program) check(l listed, imp types.Importer, want map[string]bool) error {
	var asts []*ast.File
	var targets []*file
	for _, name := range l.GoFiles {
		path := filepath.Join(l.Dir, name)
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(p.fset, path, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		asts = append(asts, f)
		if want[path] {
			delete(want, path)
			targets = append(targets, &file{path: path, rel: relative(path), src: src, ast: f, tok: p.fset.File(f.Pos())})
		}
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	pkg, err := (&types.Config{Importer: imp}).Check(l.ImportPath, p.fset, asts, info)
	if err != nil {
		return err
	}
	p.dirs[l.Dir], p.info[l.Dir], p.pkgs[l.Dir] = targets, info, pkg
	for _, f := range targets {
		(&finder{p: p, f: f, info: info, pkg: pkg}).find()
	}
	return nil
}

// write puts the changed files into out and returns the path of an overlay.
func (p *program) write(out string) (string, error) {
	replace := map[string]string{}
	n := 0
	put := func(as string, b []byte) error {
		n++
		path := filepath.Join(out, fmt.Sprintf("src%03d.txt", n))
		replace[as] = path
		return os.WriteFile(path, b, 0o644)
	}
	for dir, files := range p.dirs {
		for _, f := range files {
			if err := put(f.path, f.render()); err != nil {
				return "", err
			}
		}
		switches := strings.Replace(switchesSource, "package switches", "package "+p.pkgs[dir].Name(), 1)
		if err := put(filepath.Join(dir, "mutate_switches.go"), []byte(switches)); err != nil {
			return "", err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(out, "overlay.json")
	return path, os.WriteFile(path, b, 0o644)
}

// render returns the source with all faults built in.
func (f *file) render() []byte {
	// Outer before inner; of those with one range, the one added first is the inner one.
	order := make([]int, len(f.wraps))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := f.wraps[a], f.wraps[b]
		switch {
		case x.start != y.start:
			return x.start - y.start
		case (x.start == x.end) != (y.start == y.end): // an insertion stands before what begins there
			return (x.end - x.start) - (y.end - y.start)
		case x.end != y.end:
			return y.end - x.end
		}
		return b - a
	})
	sorted := make([]wrap, len(order))
	for i, k := range order {
		sorted[i] = f.wraps[k]
	}
	text, _ := f.renderRange(0, len(f.src), sorted)
	return []byte(text)
}

// renderRange renders [lo,hi), whose wraps come first in ws; it returns how many of them it used.
func (f *file) renderRange(lo, hi int, ws []wrap) (string, int) {
	var b strings.Builder
	used := 0
	for used < len(ws) && ws[used].start < hi && ws[used].end <= hi {
		w := ws[used]
		b.Write(f.src[lo:w.start])
		inner, n := f.renderRange(w.start, w.end, ws[used+1:])
		b.WriteString(w.f(inner, string(f.src[w.start:w.end])))
		lo = w.end
		used += 1 + n
	}
	b.Write(f.src[lo:hi])
	return b.String(), used
}
