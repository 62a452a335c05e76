package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

const (
	modulePath = "oruro.gob.bo/suti"
	// maxFileLines is the length past which a file wants a split by flow.
	maxFileLines = 600
)

// listed is the part of `go list -json` that the rules need.
type listed struct {
	ImportPath                         string
	Dir                                string
	Doc                                string
	Standard                           bool
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports                            []string
	TestImports, XTestImports          []string
	CgoFiles                           []string
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// packages lists every package of the module and of the SDK's own module.
func packages(t *testing.T) []listed {
	t.Helper()
	var all []listed
	for _, dir := range []string{root(t), filepath.Join(root(t), "sdk")} {
		cmd := exec.Command("go", "list", "-json", "./...")
		cmd.Dir = dir
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v\n%s", filepath.Base(dir), err, stderr.Bytes())
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var p listed
			if err := dec.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	if len(all) < 3 {
		t.Fatalf("only %d packages found", len(all))
	}
	return all
}

func local(path string) (string, bool) {
	return strings.CutPrefix(path, modulePath+"/")
}

// isTestSupport reports whether a package exists for tests of other packages.
func isTestSupport(pkg string) bool {
	return strings.HasSuffix(pkg, "test") && pkg != "sdk/sdktest"
}

func TestImportPolicy(t *testing.T) {
	t.Parallel()
	p, err := parsePolicy(policyText)
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range packages(t) {
		from, ok := local(pkg.ImportPath)
		if !ok {
			t.Errorf("%s lies at the top of the module", pkg.ImportPath)
			continue
		}
		if p.node(from) == "" {
			t.Errorf("%s is not placed in policy.txt", from)
		}
		for _, imp := range pkg.Imports {
			checkImport(t, p, from, imp)
		}
	}
}

func checkImport(t *testing.T, p *policy, from, imp string) {
	t.Helper()
	if to, ok := local(imp); ok {
		if isTestSupport(to) && !isTestSupport(from) {
			t.Errorf("%s imports %s, which is for tests only", from, to)
		}
		if !isTestSupport(from) && !p.mayImport(from, to) {
			t.Errorf("%s may not import %s", from, to)
		}
		return
	}
	if isTestSupport(from) {
		return
	}
	if imp == "testing" || strings.HasPrefix(imp, "testing/") {
		t.Errorf("%s imports %s outside a test", from, imp)
	}
	open, named := p.doorOpen(from, imp)
	foreign := strings.Contains(strings.SplitN(imp, "/", 2)[0], ".")
	if (named || foreign) && !open {
		t.Errorf("%s may not import %s: no door of policy.txt lets it", from, imp)
	}
}

// Peers may not know each other even in tests: a test that needs two contexts belongs to cmd.
func TestPeersStayApartInTests(t *testing.T) {
	t.Parallel()
	peers := []string{"idp", "ca", "signer", "enrolment"}
	context := func(pkg string) string {
		for _, c := range peers {
			if covers(c, pkg) {
				return c
			}
		}
		return ""
	}
	for _, pkg := range packages(t) {
		from, _ := local(pkg.ImportPath)
		for _, imp := range append(pkg.TestImports, pkg.XTestImports...) {
			to, ok := local(imp)
			if a, b := context(from), context(to); ok && a != "" && b != "" && a != b {
				t.Errorf("a test of %s imports %s of another context", from, to)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	for _, pkg := range packages(t) {
		if len(pkg.GoFiles)+len(pkg.CgoFiles) > 0 && len(strings.Fields(pkg.Doc)) < 5 {
			t.Errorf("%s: package comment missing or empty: %q", pkg.ImportPath, pkg.Doc)
		}
	}
}

func TestSourceRules(t *testing.T) {
	t.Parallel()
	star := regexp.MustCompile(`(?i)\bselect\s+\*`)
	for _, pkg := range packages(t) {
		for _, name := range append(append(pkg.GoFiles, pkg.TestGoFiles...), pkg.XTestGoFiles...) {
			checkSource(t, filepath.Join(pkg.Dir, name), star)
		}
		if len(pkg.CgoFiles) > 0 && !strings.HasSuffix(pkg.ImportPath, "cmd/suti-hsm") {
			t.Errorf("%s uses cgo", pkg.ImportPath)
		}
	}
}

func checkSource(t *testing.T, path string, star *regexp.Regexp) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, path, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	isTest := strings.HasSuffix(path, "_test.go")
	rel, _ := filepath.Rel(root(t), path)
	if n := bytes.Count(src, []byte("\n")); !isTest && n > maxFileLines {
		t.Errorf("%s has %d lines: split it by flow", rel, n)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				t.Errorf("%s: init function", rel)
			}
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && isTest && sel.Sel.Name == "Sleep" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s:%d: time.Sleep in a test", rel, fset.Position(n.Pos()).Line)
				}
			}
		case *ast.BasicLit:
			if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && star.MatchString(s) && !strings.Contains(path, "internal/deps") {
				t.Errorf("%s:%d: SELECT * in a string", rel, fset.Position(n.Pos()).Line)
			}
		}
		return true
	})
}

// TestMigrationsRules holds for every SQL file: forward only, spelled out.
func TestMigrationsRules(t *testing.T) {
	t.Parallel()
	star := regexp.MustCompile(`(?i)\bselect\s+\*`)
	serial := regexp.MustCompile(`(?i)\b(big)?serial\b|\bidentity\b|\btimestamptz\b|\bnow\(\)|current_timestamp`)
	err := filepath.WalkDir(root(t), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".sql" {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root(t), path)
		if star.Match(src) {
			t.Errorf("%s: SELECT *", rel)
		}
		if m := serial.Find(src); m != nil {
			t.Errorf("%s: %q does not mean the same on both engines", rel, m)
		}
		if bytes.Contains(src, []byte("+goose Down")) {
			t.Errorf("%s: migrations go forward only", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every module that ours requires by itself has a line that says what for.
func TestEveryDependencyIsDocumented(t *testing.T) {
	t.Parallel()
	read := func(path ...string) string {
		raw, err := os.ReadFile(filepath.Join(append([]string{root(t)}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	mod, err := modfile.Parse("go.mod", []byte(read("go.mod")), nil)
	if err != nil {
		t.Fatal(err)
	}
	doc := regexp.MustCompile(`[\s,:]`).Split(read("docs", "dependencies.md"), -1)
	direct := map[string]bool{}
	for _, r := range mod.Require {
		if direct[r.Mod.Path] = !r.Indirect; !r.Indirect && !slices.Contains(doc, r.Mod.Path) {
			t.Errorf("docs/dependencies.md has no line about %s", r.Mod.Path)
		}
	}
	for _, word := range doc {
		if strings.Count(word, "/") > 1 && strings.HasPrefix(word, "github.com/") && !direct[word] {
			t.Errorf("docs/dependencies.md tells of %s, which is not required directly", word)
		}
	}
}
