package i18n

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Lint checks one package's use of its catalogue; it is meant for a test:
//
//	if err := i18n.Lint(os.DirFS("."), catalogFS, web.Texts); err != nil { t.Error(err) }
//
// code holds the package's Go files and templates (.html) at any depth, catalog
// its es.json and so on, others the catalogues of packages whose texts it also
// uses. Lint returns all of the following, joined:
//
//   - a key that a template passes to t, tt, tn or th, or that Go code passes
//     to T, N, Parts or PluralParts or puts into a field that [Fields] names,
//     and that no catalogue has;
//   - in a template, any other quoted word that begins like a key of these
//     catalogues and is none;
//   - a key of catalog that nothing in code mentions;
//   - words in a template that do not come from a catalogue.
//
// A key put together at run time is declared in a comment of a Go file or of a
// template: "i18n:use web.level.*".
func Lint(code, catalog fs.FS, others ...fs.FS) error {
	l := &linter{own: map[string]bool{}, known: map[string]bool{}, heads: map[string]bool{}, used: map[string]bool{}}
	if err := l.load(catalog, others); err != nil {
		return err
	}
	err := fs.WalkDir(code, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		isGo := path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go")
		if !isGo && path.Ext(name) != ".html" {
			return nil
		}
		b, err := fs.ReadFile(code, name)
		if err != nil {
			return err
		}
		if isGo {
			return l.goFile(name, b)
		}
		l.template(name, string(b))
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(l.own)) {
		if !l.used[key] {
			l.report("es.json", "key %s is not used", key)
		}
	}
	return errors.Join(l.problems...)
}

// Fields returns the names of struct fields whose string values [Lint] takes
// for keys if they look like one.
func Fields() []string {
	return []string{"Title", "Label", "Hint", "Detail", "Text", "Key", "Legend", "Lead", "Help"}
}

type linter struct {
	own, known, heads, used map[string]bool
	problems                []error
}

func (l *linter) report(where, format string, args ...any) {
	l.problems = append(l.problems, fmt.Errorf("%s: "+format, append([]any{where}, args...)...))
}

func (l *linter) load(catalog fs.FS, others []fs.FS) error {
	for i, fsys := range append([]fs.FS{catalog}, others...) {
		files, err := readSource(fsys)
		if err != nil {
			return fmt.Errorf("catalogue %d: %w", i, err)
		}
		for key := range files[ES].messages {
			l.known[key] = true
			l.own[key] = l.own[key] || i == 0
			head, _, _ := strings.Cut(key, ".")
			l.heads[head] = true
			if i > 0 {
				delete(l.own, key)
			}
		}
	}
	return nil
}

var (
	usePattern     = regexp.MustCompile(`i18n:use ([a-z0-9_.]+\.(?:\*|[a-z0-9_]+))`)
	actionPattern  = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
	callPattern    = regexp.MustCompile(`\b(?:t|tt|tn|th)\s+"([^"]*)"`)
	quotedPattern  = regexp.MustCompile(`"([^"]*)"`)
	commentPattern = regexp.MustCompile(`(?s)<!--.*?-->|<(?:style|script)\b.*?</(?:style|script)>`)
	tagPattern     = regexp.MustCompile(`(?s)<[^>]*>`)
	spokenPattern  = regexp.MustCompile(`(?s)\s(?:alt|title|placeholder|aria-label)="[^"]*\p{L}[^"]*"`)
	attrPattern    = regexp.MustCompile(`\b[a-z-]+="[^"]*"`) // of templates that hold only attributes
	letterPattern  = regexp.MustCompile(`\p{L}{2,}`)
	entityPattern  = regexp.MustCompile(`&[a-zA-Z0-9#]+;`)
)

// declared notes the keys that comments declare.
func (l *linter) declared(text string) {
	for _, m := range usePattern.FindAllStringSubmatch(text, -1) {
		prefix, all := strings.CutSuffix(m[1], "*")
		for key := range l.known {
			if key == m[1] || all && strings.HasPrefix(key, prefix) {
				l.used[key] = true
			}
		}
	}
}

func (l *linter) goFile(name string, src []byte) error {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, src, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, c := range f.Comments {
		l.declared(c.Text())
		for _, line := range c.List { // Text leaves out directives
			l.declared(line.Text)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			if s, ok := literal(n); ok && l.known[s] {
				l.used[s] = true
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if ok && len(n.Args) > 0 && slices.Contains([]string{"T", "N", "Parts", "PluralParts"}, sel.Sel.Name) {
				l.must(set.Position(n.Pos()).String(), n.Args[0])
			}
		case *ast.KeyValueExpr:
			if id, ok := n.Key.(*ast.Ident); ok && slices.Contains(Fields(), id.Name) {
				l.must(set.Position(n.Pos()).String(), n.Value)
			}
		}
		return true
	})
	return nil
}

// must reports e if it is a literal that looks like a key and is none.
func (l *linter) must(where string, e ast.Expr) {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		return
	}
	if s, ok := literal(lit); ok && keyPattern.MatchString(s) && !l.known[s] {
		l.report(where, "no catalogue has the key %s", s)
	}
}

func literal(lit *ast.BasicLit) (string, bool) {
	if lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

func (l *linter) template(name, src string) {
	l.declared(src)
	reported := map[string]bool{}
	bad := func(key string) {
		if !reported[key] {
			reported[key] = true
			l.report(name, "no catalogue has the key %s", key)
		}
	}
	for _, action := range actionPattern.FindAllString(src, -1) {
		if strings.HasPrefix(strings.TrimLeft(action, "{- "), "/*") {
			continue
		}
		for _, m := range callPattern.FindAllStringSubmatch(action, -1) {
			if !l.known[m[1]] {
				bad(m[1])
			}
		}
		for _, m := range quotedPattern.FindAllStringSubmatch(action, -1) {
			head, _, _ := strings.Cut(m[1], ".")
			if l.known[m[1]] {
				l.used[m[1]] = true
			} else if keyPattern.MatchString(m[1]) && l.heads[head] {
				bad(m[1])
			}
		}
	}
	text := actionPattern.ReplaceAllString(commentPattern.ReplaceAllString(src, ""), "")
	for _, m := range spokenPattern.FindAllString(text, -1) {
		l.report(name, "attribute %q does not come from a catalogue", strings.TrimSpace(m))
	}
	text = attrPattern.ReplaceAllString(tagPattern.ReplaceAllString(text, "\n"), "")
	text = entityPattern.ReplaceAllString(text, "")
	for line := range strings.Lines(text) {
		if letterPattern.MatchString(line) {
			l.report(name, "words %q do not come from a catalogue", strings.TrimSpace(line))
		}
	}
}
