package i18n

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
)

// Lang is a language of the catalogues, as a BCP 47 tag.
type Lang string

// The languages. Spanish is the default and the one that is always complete.
const (
	ES Lang = "es"
	EN Lang = "en"
	QU Lang = "qu"
	AY Lang = "ay"
)

// Langs returns all languages, in the order in which a switch shows them.
func Langs() []Lang { return []Lang{ES, QU, AY, EN} }

// Name returns what the language calls itself.
func (l Lang) Name() string {
	switch l {
	case ES:
		return "Español"
	case EN:
		return "English"
	case QU:
		return "Runasimi"
	case AY:
		return "Aymar aru"
	}
	return string(l)
}

// Valid reports whether l is one of the four languages.
func (l Lang) Valid() bool { return slices.Contains(Langs(), l) }

// ErrCatalog is wrapped by every fault of a catalogue file found by [New].
var ErrCatalog = errors.New("i18n: bad catalogue")

// Fault is a mistake found while a text was being made: a key that no
// catalogue has, or arguments that do not fit.
type Fault struct {
	Lang Lang
	Key  string
	What string
}

func (f Fault) String() string { return fmt.Sprintf("i18n: %s in %s: %s", f.Key, f.Lang, f.What) }

// Catalog is the joined catalogues of all packages. It is immutable.
type Catalog struct {
	texts   map[Lang]map[string]message
	offered []Lang
	onFault func(Fault)
}

// Option changes how [New] works.
type Option func(*Catalog)

// OnFault sets what is told of every [Fault]: a log line in production, a
// failed test in tests. It must be safe for concurrent use.
func OnFault(fn func(Fault)) Option { return func(c *Catalog) { c.onFault = fn } }

// New joins the catalogues of the named packages; each file system has es.json
// and en.json and may have qu.json and ay.json at its root. It refuses a key
// that two packages define, English that differs from Spanish in keys or
// arguments, keys that Spanish lacks, and malformed texts.
func New(sources map[string]fs.FS, opts ...Option) (*Catalog, error) {
	c := &Catalog{texts: map[Lang]map[string]message{}}
	for _, l := range Langs() {
		c.texts[l] = map[string]message{}
	}
	owner := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		files, err := readSource(sources[name])
		if err != nil {
			return nil, fmt.Errorf("%w: package %s: %w", ErrCatalog, name, err)
		}
		for key := range files[ES].messages {
			if other, taken := owner[key]; taken {
				return nil, fmt.Errorf("%w: key %s is in packages %s and %s", ErrCatalog, key, other, name)
			}
			owner[key] = name
		}
		for l, f := range files {
			if f.reviewed {
				maps.Copy(c.texts[l], f.messages)
			}
		}
	}
	for _, l := range Langs() {
		if l == ES || len(c.texts[l]) > 0 {
			c.offered = append(c.offered, l)
		}
	}
	for _, o := range opts {
		o(c)
	}
	return c, nil
}

// readSource reads and cross-checks the files of one package.
func readSource(fsys fs.FS) (map[Lang]*file, error) {
	files := map[Lang]*file{}
	for _, l := range Langs() {
		f, err := readFile(fsys, l)
		if errors.Is(err, fs.ErrNotExist) && l != ES && l != EN {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s.json: %w", l, err)
		}
		files[l] = f
	}
	es := files[ES]
	for _, l := range []Lang{ES, EN} {
		if !files[l].reviewed {
			return nil, fmt.Errorf("%s.json: must be reviewed", l)
		}
	}
	for key := range es.messages {
		if _, ok := files[EN].messages[key]; !ok {
			return nil, fmt.Errorf("en.json: key %s is missing", key)
		}
	}
	for l, f := range files {
		for key, m := range f.messages {
			want, ok := es.messages[key]
			if !ok {
				return nil, fmt.Errorf("%s.json: key %s is not in es.json", l, key)
			}
			if !slices.Equal(m.args(), want.args()) {
				return nil, fmt.Errorf("%s.json: key %s has arguments %v, es.json has %v", l, key, m.args(), want.args())
			}
			if m.plural != want.plural {
				return nil, fmt.Errorf("%s.json: key %s is a plural in one language only", l, key)
			}
		}
	}
	return files, nil
}

// Offered returns the languages that have reviewed text, Spanish first.
func (c *Catalog) Offered() []Lang { return slices.Clone(c.offered) }

// Has reports whether key exists.
func (c *Catalog) Has(key string) bool {
	_, ok := c.texts[ES][key]
	return ok
}

// Keys returns all keys in order.
func (c *Catalog) Keys() []string { return slices.Sorted(maps.Keys(c.texts[ES])) }

// Printer returns the printer of a language; an unknown language gives Spanish.
func (c *Catalog) Printer(l Lang) *Printer {
	if !l.Valid() {
		l = ES
	}
	return &Printer{c: c, lang: l}
}

func (c *Catalog) fault(l Lang, key, what string) {
	if c.onFault != nil {
		c.onFault(Fault{Lang: l, Key: key, What: what})
	}
}
