package deps

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"
)

//go:embed policy.txt
var policyText string

// policy is the parsed form of policy.txt. Names are paths within the module.
type policy struct {
	anyone  []string
	allowed map[string]map[string]bool // node -> nodes it may import, closed under "<"
	doors   []door
}

type door struct {
	modules []string
	users   []string
}

// parsePolicy reads the statements, each ended by ";".
func parsePolicy(text string) (*policy, error) {
	var clean strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		clean.WriteString(strings.TrimSpace(line) + " ")
	}
	p := &policy{allowed: map[string]map[string]bool{"NONE": {}}}
	direct := map[string][]string{}
	for st := range strings.SplitSeq(clean.String(), ";") {
		st = strings.TrimSpace(st)
		switch {
		case st == "":
		case strings.HasPrefix(st, "anyone "):
			p.anyone = append(p.anyone, list(strings.TrimPrefix(st, "anyone "))...)
		case strings.HasPrefix(st, "door "):
			mods, users, ok := strings.Cut(strings.TrimPrefix(st, "door "), "<")
			if !ok {
				return nil, fmt.Errorf("door without users: %q", st)
			}
			p.doors = append(p.doors, door{list(mods), list(users)})
		default:
			chain := strings.Split(st, "<")
			if len(chain) < 2 {
				return nil, fmt.Errorf("no \"<\" in %q", st)
			}
			for i := 1; i < len(chain); i++ {
				for _, high := range list(chain[i]) {
					direct[high] = append(direct[high], list(chain[i-1])...)
				}
			}
		}
	}
	for node := range direct {
		if err := p.close(node, direct, nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// close computes what node may import, following "<" down.
func (p *policy) close(node string, direct map[string][]string, path []string) error {
	if slices.Contains(path, node) {
		return fmt.Errorf("circle: %s", strings.Join(append(path, node), " < "))
	}
	if _, done := p.allowed[node]; done {
		return nil
	}
	lows, known := direct[node]
	if !known {
		return fmt.Errorf("%q is used but never placed above anything", node)
	}
	set := map[string]bool{}
	for _, low := range lows {
		if err := p.close(low, direct, append(path, node)); err != nil {
			return err
		}
		set[low] = true
		for n := range p.allowed[low] {
			set[n] = true
		}
	}
	p.allowed[node] = set
	return nil
}

// list splits "a, b/{c, d}" into a, b/c, b/d.
func list(s string) []string {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(s), ",")) {
		end := strings.IndexAny(s, ",{")
		if end >= 0 && s[end] == '{' {
			shut := strings.IndexByte(s, '}')
			if shut < 0 {
				return append(out, s) // an unclosed brace matches no package and so fails
			}
			for _, alt := range strings.Split(s[end+1:shut], ",") {
				out = append(out, strings.TrimSpace(s[:end])+strings.TrimSpace(alt))
			}
			s = s[shut+1:]
			continue
		}
		if end < 0 {
			end = len(s)
		}
		out = append(out, strings.TrimSpace(s[:end]))
		s = s[end:]
	}
	return out
}

// node returns the most specific name of the policy that covers pkg, or "".
func (p *policy) node(pkg string) string {
	for at := pkg; at != "" && at != "."; {
		if _, ok := p.allowed[at]; ok || slices.Contains(p.anyone, at) {
			return at
		}
		cut := strings.LastIndexByte(at, '/')
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	return ""
}

// mayImport reports whether package from may import package to, both paths within the module.
func (p *policy) mayImport(from, to string) bool {
	f, t := p.node(from), p.node(to)
	if f == "" || t == "" {
		return false
	}
	return f == t || slices.Contains(p.anyone, t) || p.allowed[f][t]
}

// doorOpen reports whether package from may import the foreign path, and whether any door names it.
func (p *policy) doorOpen(from, path string) (open, named bool) {
	for _, d := range p.doors {
		for _, m := range d.modules {
			if !covers(m, path) {
				continue
			}
			named = true
			for _, u := range d.users {
				if covers(u, from) {
					return true, true
				}
			}
		}
	}
	return false, named
}

func covers(prefix, path string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

func TestPolicyParserRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"circle":     "a < b; b < a;",
		"no less":    "NONE a;",
		"unplaced":   "ghost < b;",
		"door alone": "door x/y;",
	} {
		if _, err := parsePolicy(text); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPolicyDecides(t *testing.T) {
	t.Parallel()
	p, err := parsePolicy("anyone w; NONE < a, b; a < c/{d, e}; c/d < f; door ext.org/m < c/d;")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"c/d", "a", true}, {"c/e/sub", "a", true}, {"f", "a", true}, {"f", "c/d", true}, {"a", "w", true}, {"w", "w", true},
		{"a", "b", false}, {"f", "b", false}, {"c/d", "c/e", false}, {"a", "f", false}, {"w", "a", false}, {"new", "a", false}, {"a", "new", false},
	} {
		if got := p.mayImport(c.from, c.to); got != c.want {
			t.Errorf("%s imports %s: got %v, want %v", c.from, c.to, got, c.want)
		}
	}
	for from, want := range map[string]bool{"c/d": true, "c/d/x": true, "c/e": false, "f": false} {
		if got, named := p.doorOpen(from, "ext.org/m/v9"); got != want || !named {
			t.Errorf("door for %s: got %v, named %v; want %v", from, got, named, want)
		}
	}
}
