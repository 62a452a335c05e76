package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Fault is one thing wrong with a configuration.
type Fault struct {
	Where string // "suti.toml:12", "SUTI_DATA_DIR", "--set" or the name of the file
	What  string
	Next  string // what to do; may be empty
}

func (f Fault) String() string {
	s := f.Where + ": " + f.What
	if f.Next != "" {
		s += "; " + f.Next
	}
	return s
}

// Faults is every fault of a configuration.
type Faults []Fault

// Error lists all faults, a line each.
func (f Faults) Error() string {
	if len(f) == 1 {
		return "configuration: " + f[0].String()
	}
	lines := []string{fmt.Sprintf("configuration: %d faults", len(f))}
	for _, one := range f {
		lines = append(lines, "  "+one.String())
	}
	return strings.Join(lines, "\n")
}

// Options say where to read. Getenv is required.
type Options struct {
	// Path of the file; empty reads none.
	Path string
	// Set are key=value pairs of the command line.
	Set    []string
	Getenv func(string) string
}

// Load reads and checks a configuration. The error is Faults, or that the file
// cannot be read.
func Load(o Options) (*Config, error) {
	c := &Config{Sources: map[string]string{}, credentials: o.Getenv("CREDENTIALS_DIRECTORY")}
	var faults Faults
	known := map[string]setting{}
	for _, s := range settings() {
		known[s.key] = s
		c.Sources[s.key] = "default"
		if s.def != "" {
			if err := s.set(c, value{text: s.def, kind: s.kind}); err != nil {
				return nil, fmt.Errorf("default of %s: %w", s.key, err)
			}
		}
	}
	if o.Path != "" {
		src, err := readFile(o.Path)
		if err != nil {
			return nil, err
		}
		entries, bad := scan(filepath.Base(o.Path), src)
		faults = append(faults, bad...)
		for _, e := range entries {
			faults = append(faults, c.apply(known, e.key, e.val, fmt.Sprintf("%s:%d", filepath.Base(o.Path), e.line))...)
		}
	}
	for _, s := range settings() {
		name := EnvName(s.key)
		if raw := o.Getenv(name); raw != "" {
			faults = append(faults, c.apply(known, s.key, valueOf(s.kind, raw), name)...)
		}
	}
	for _, pair := range o.Set {
		key, raw, ok := strings.Cut(pair, "=")
		if !ok {
			faults = append(faults, Fault{Where: "--set", What: fmt.Sprintf("%q is not key=value", pair)})
			continue
		}
		k := kindText
		if s, ok := known[key]; ok {
			k = s.kind
		}
		faults = append(faults, c.apply(known, key, valueOf(k, raw), "--set")...)
	}
	faults = append(faults, c.check()...)
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w; deploy/config holds examples to start from", err)
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	return string(b), err
}

// EnvName is the environment variable of a key: SUTI_ and the key in upper
// case, with "_" for ".".
func EnvName(key string) string {
	return "SUTI_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// valueOf reads a value as environment and command line spell it.
func valueOf(k kind, raw string) value {
	switch {
	case k == kindList:
		v := value{kind: kindList}
		for _, s := range strings.Split(raw, ",") {
			if s = strings.TrimSpace(s); s != "" {
				v.list = append(v.list, s)
			}
		}
		return v
	case k == kindBool && (raw == "true" || raw == "false"):
		return value{kind: kindBool, text: raw}
	case k == kindInt && digits(raw):
		return value{kind: kindInt, text: raw}
	default:
		return value{kind: kindText, text: raw}
	}
}

func digits(s string) bool {
	return s != "" && len(s) < 10 && strings.Trim(s, "0123456789") == ""
}

// apply sets one key.
func (c *Config) apply(known map[string]setting, key string, v value, where string) Faults {
	s, ok := known[key]
	if !ok {
		f := Fault{Where: where, What: fmt.Sprintf("there is no key %q", key)}
		if near := nearest(key, known); near != "" {
			f.Next = "did you mean " + near + "?"
		}
		return Faults{f}
	}
	if s.kind != v.kind {
		return Faults{{Where: where, What: fmt.Sprintf("%s takes %s", key, s.kind)}}
	}
	if err := s.set(c, v); err != nil {
		return Faults{{Where: where, What: fmt.Sprintf("%s: %v", key, err)}}
	}
	c.Sources[key] = where
	return nil
}

// nearest returns the known key that key was most likely meant to be, or "".
func nearest(key string, known map[string]setting) string {
	best, at := "", 4
	for _, k := range slices.Sorted(mapKeys(known)) {
		if d := distance(key, k); d < at {
			best, at = k, d
		}
		// The right name in the wrong section.
		if _, name, ok := strings.Cut(k, "."); ok && name == key && at > 1 {
			best, at = k, 1
		}
	}
	return best
}

func mapKeys(m map[string]setting) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// distance is the number of single-byte edits between two short texts.
func distance(a, b string) int {
	if len(a) > 64 {
		a = a[:64]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// Item is one key as "suti config show" tells it.
type Item struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
	Env    string `json:"env"`
	Doc    string `json:"doc"`
}

// Items lists all keys with their values and where these came from. There is
// no secret among them.
func (c *Config) Items() []Item {
	var out []Item
	for _, s := range settings() {
		out = append(out, Item{Key: s.key, Value: s.get(c), Source: c.Sources[s.key], Env: EnvName(s.key), Doc: s.doc})
	}
	return out
}

func joined(list []string) string { return strings.Join(list, ", ") }
