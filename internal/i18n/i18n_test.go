package i18n_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"

	"oruro.gob.bo/suti/internal/i18n"
)

func file(lang string, reviewed bool, body string) string {
	return fmt.Sprintf(`{"@meta":{"lang":%q,"reviewed":%v}%s}`, lang, reviewed, body)
}

func source(files map[string]string) fs.FS {
	fsys := fstest.MapFS{}
	for name, data := range files {
		fsys[name+".json"] = &fstest.MapFile{Data: []byte(data)}
	}
	return fsys
}

const (
	bodyES = `,"a.hello":"Hola, {name}","a.files":{"one":"Un archivo de {who}","many":"{n} de archivos de {who}","other":"{n} archivos de {who}"},"a.brace":"{{x}} 100 %","a.at":"El {when}"`
	bodyEN = `,"a.hello":"Hello {name}","a.files":{"one":"{n} file of {who}","other":"{n} files of {who}"},"a.brace":"{{x}} 100%","a.at":"On {when}"`
	bodyQU = `,"a.files":{"other":"{n} TEST {who}"}`
)

func catalog(t *testing.T, reviewedQU bool) (*i18n.Catalog, *faults) {
	t.Helper()
	f := &faults{}
	c, err := i18n.New(map[string]fs.FS{"a": source(map[string]string{
		"es": file("es", true, bodyES), "en": file("en", true, bodyEN),
		"qu": file("qu", reviewedQU, bodyQU), "ay": file("ay", false, ""),
	})}, i18n.OnFault(f.add))
	if err != nil {
		t.Fatal(err)
	}
	return c, f
}

type faults struct {
	mu  sync.Mutex
	all []string
}

func (f *faults) add(x i18n.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, x.Key+": "+x.What)
}

func TestTexts(t *testing.T) {
	t.Parallel()
	c, f := catalog(t, true)
	es, en, qu := c.Printer(i18n.ES), c.Printer(i18n.EN), c.Printer(i18n.QU)
	at := time.Date(2026, 11, 24, 19, 4, 59, 0, time.UTC)
	for _, tc := range []struct{ got, want string }{
		{es.T("a.hello", "name", "<b>Ñusta</b>"), "Hola, <b>Ñusta</b>"}, // escaping is the template's
		{en.T("a.hello", "name", "{name}"), "Hello {name}"},             // values are not read again
		{es.T("a.brace"), "{x} 100 %"},
		{es.T("a.at", "when", at), "El 24 de noviembre de 2026, 15:04"},
		{en.T("a.at", "when", at), "On 24 November 2026, 15:04"},
		{es.N("a.files", 1, "who", "Eva"), "Un archivo de Eva"},
		{es.N("a.files", 0, "who", "Eva"), "0 archivos de Eva"},
		{es.N("a.files", 1234, "who", "Eva"), "1.234 archivos de Eva"},
		{es.N("a.files", 2_000_000, "who", "Eva"), "2.000.000 de archivos de Eva"},
		{en.N("a.files", 1, "who", "Eva"), "1 file of Eva"},
		{en.N("a.files", 2_000_000, "who", "Eva"), "2,000,000 files of Eva"},
		{qu.N("a.files", 1, "who", "Eva"), "1 TEST Eva"},
		{qu.T("a.hello", "name", "Eva"), "Hola, Eva"},
		{c.Printer("xx").T("a.brace"), "{x} 100 %"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
	if _, l := qu.Parts("a.hello", "name", "x"); l != i18n.ES {
		t.Errorf("fallback: got %s, want it marked as es", l)
	}
	if _, l := qu.PluralParts("a.files", 3, "who", "x"); l != i18n.QU {
		t.Errorf("own text: got %s, want qu", l)
	}
	if len(f.all) != 0 {
		t.Errorf("faults: %v", f.all)
	}
}

func TestMistakesAreReportedAndVisible(t *testing.T) {
	t.Parallel()
	c, f := catalog(t, true)
	p := c.Printer(i18n.EN)
	for _, tc := range []struct{ got, want string }{
		{p.T("a.nope"), "[a.nope]"},
		{p.T("a.hello"), "Hello {name}"},
		{p.T("a.hello", "name", "x", "nam", "y"), "Hello x"},
		{p.T("a.hello", "name"), "Hello {name}"},
		{p.T("a.hello", 1, "x"), "Hello {name}"},
		{p.T("a.files", "n", 1, "who", "x"), "1 files of x"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
	want := []string{
		"a.nope: no such key",
		"a.hello: argument name is missing",
		"a.hello: argument nam is not in the text",
		"a.hello: argument without a value", "a.hello: argument name is missing",
		"a.hello: argument name is a int", "a.hello: argument name is missing",
		"a.files: plural text used without a number",
	}
	if d := cmp.Diff(f.all, want); d != "" {
		t.Errorf("faults (-got +want):\n%s", d)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	es, en := file("es", true, `,"a.x":"Hola {n}"`), file("en", true, `,"a.x":"Hello {n}"`)
	good := map[string]string{"es": es, "en": en}
	with := func(name, data string) map[string]string {
		return map[string]string{"es": es, "en": en, name: data}
	}
	for name, files := range map[string]map[string]string{
		"no English":            {"es": es},
		"no Spanish":            {"en": en},
		"English lacks a key":   with("es", file("es", true, `,"a.x":"Hola {n}","a.y":"Sí"`)),
		"Spanish lacks a key":   with("en", file("en", true, `,"a.x":"Hello {n}","a.y":"Yes"`)),
		"Quechua has more":      with("qu", file("qu", false, `,"a.y":"TEST"`)),
		"other arguments":       with("en", file("en", true, `,"a.x":"Hello {m}"`)),
		"plural in one":         with("en", file("en", true, `,"a.x":{"one":"{n}","other":"{n}"}`)),
		"unreviewed Spanish":    with("es", file("es", false, `,"a.x":"Hola {n}"`)),
		"repeated key":          with("es", file("es", true, `,"a.x":"Hola {n}","a.x":"Hola {n}"`)),
		"repeated form":         with("es", file("es", true, `,"a.x":{"one":"{n}","one":"{n}","other":"{n}"}`)),
		"form missing":          with("es", file("es", true, `,"a.x":{"other":"{n}"}`)),
		"form unknown":          with("en", file("en", true, `,"a.x":{"one":"{n}","many":"{n}","other":"{n}"}`)),
		"argument in one form":  with("es", file("es", true, `,"a.x":{"one":"{n} {z}","other":"{n}"}`)),
		"wrong language":        with("es", file("en", true, `,"a.x":"Hola {n}"`)),
		"no meta":               with("es", `{"a.x":"Hola {n}"}`),
		"meta with more":        with("es", `{"@meta":{"lang":"es","reviewed":true,"by":"x"},"a.x":"Hola {n}"}`),
		"bad key":               with("es", file("es", true, `,"A.x":"Hola {n}"`)),
		"one word key":          with("es", file("es", true, `,"ax":"Hola {n}"`)),
		"empty text":            with("es", file("es", true, `,"a.x":""`)),
		"space around":          with("es", file("es", true, `,"a.x":"Hola {n} "`)),
		"open brace":            with("es", file("es", true, `,"a.x":"Hola {n"`)),
		"bad argument":          with("es", file("es", true, `,"a.x":"Hola {N}"`)),
		"close brace":           with("es", file("es", true, `,"a.x":"Hola } {n}"`)),
		"markup":                with("es", file("es", true, `,"a.x":"<b>Hola</b> {n}"`)),
		"entity":                with("es", file("es", true, `,"a.x":"Hola&nbsp;{n}"`)),
		"line break":            with("es", file("es", true, `,"a.x":"Hola\n{n}"`)),
		"number for text":       with("es", file("es", true, `,"a.x":7`)),
		"array":                 with("es", `[]`),
		"something after":       with("es", es+"{}"),
		"cut off":               with("es", es[:len(es)-1]),
		"not UTF-8":             with("es", strings.Replace(es, "Hola", "Hola\xff", 1)),
		"bad JSON in a Quechua": with("qu", "{"),
	} {
		if _, err := i18n.New(map[string]fs.FS{"a": source(files)}); !errors.Is(err, i18n.ErrCatalog) {
			t.Errorf("%s: got %v, want ErrCatalog", name, err)
		}
	}
	if _, err := i18n.New(map[string]fs.FS{"a": source(good)}); err != nil {
		t.Errorf("good: %v", err)
	}
	_, err := i18n.New(map[string]fs.FS{"a": source(good), "b": source(good)})
	if !errors.Is(err, i18n.ErrCatalog) || !strings.Contains(err.Error(), "a.x") {
		t.Errorf("key in two packages: got %v", err)
	}
}

func TestUnreviewedTextIsNeverShown(t *testing.T) {
	t.Parallel()
	c, _ := catalog(t, false)
	if got := c.Printer(i18n.QU).N("a.files", 2, "who", "x"); got != "2 archivos de x" {
		t.Errorf("got %q, want the Spanish text", got)
	}
	if d := cmp.Diff(c.Offered(), []i18n.Lang{i18n.ES, i18n.EN}); d != "" {
		t.Errorf("offered (-got +want):\n%s", d)
	}
	if got := c.Match("qu-BO"); got != i18n.ES {
		t.Errorf("Match(qu-BO): got %s, want es", got)
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	c, err := i18n.New(map[string]fs.FS{"a": source(map[string]string{
		"es": file("es", true, `,"a.x":"Hola"`), "en": file("en", true, `,"a.x":"Hello"`),
		"qu": file("qu", true, `,"a.x":"TEST"`), "ay": file("ay", true, `,"a.x":"TEST"`),
	})})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		prefs []string
		want  i18n.Lang
	}{
		{[]string{"quz"}, i18n.QU}, {[]string{"quz-PE"}, i18n.QU}, {[]string{"qu"}, i18n.QU},
		{[]string{"ayr"}, i18n.AY}, {[]string{"ay-BO"}, i18n.AY},
		{[]string{"es-419"}, i18n.ES}, {[]string{"es-AR,es;q=0.9,en;q=0.8"}, i18n.ES},
		{[]string{"en-US,en;q=0.5"}, i18n.EN}, {[]string{"de,en;q=0.5"}, i18n.EN},
		{[]string{"fr"}, i18n.ES}, {[]string{"*"}, i18n.ES}, {nil, i18n.ES}, {[]string{""}, i18n.ES},
		{[]string{"en;q=0, ay;q=0.1"}, i18n.AY},
		{[]string{"", "en"}, i18n.EN}, {[]string{"fr", "en"}, i18n.EN}, {[]string{"ay", "en"}, i18n.AY},
		{[]string{"fr-CA ayr es"}, i18n.AY}, // ui_locales
		{[]string{"en;q=x"}, i18n.ES}, {[]string{"\x00"}, i18n.ES},
		{[]string{strings.Repeat("en,", 100), "ay"}, i18n.AY}, // too long to be read
	} {
		if got := c.Match(tc.prefs...); got != tc.want {
			t.Errorf("Match(%.40q): got %s, want %s", tc.prefs, got, tc.want)
		}
	}
}

// The plural rules of Spanish and English and the numbers agree with CLDR.
func TestAgreesWithCLDR(t *testing.T) {
	t.Parallel()
	c, _ := catalog(t, false)
	for l, tag := range map[i18n.Lang]language.Tag{i18n.ES: language.MustParse("es-BO"), i18n.EN: language.English} {
		p, cldr := c.Printer(l), message.NewPrinter(tag)
		for _, n := range []int64{0, 1, -1, 12, 999, 1000, 9999, 10000, 123456, -1234567, 1 << 62, -1 << 63} {
			if got, want := p.Number(n), cldr.Sprint(number.Decimal(n)); got != want {
				t.Errorf("%s: Number(%d): got %q, want %q", l, n, got, want)
			}
		}
		for _, f := range []float64{0, 0.5, -0.25, 1234.5, 999999.99} {
			want := cldr.Sprint(number.Decimal(f, number.MinFractionDigits(2), number.MaxFractionDigits(2)))
			if got := p.Decimal(f, 2); got != want {
				t.Errorf("%s: Decimal(%v): got %q, want %q", l, f, got, want)
			}
		}
		if got := p.Decimal(1234.5, 0); got != cldr.Sprint(number.Decimal(1234)) {
			t.Errorf("%s: Decimal without places: got %q", l, got)
		}
		for n := range 300 {
			one := plural.Cardinal.MatchPlural(tag, n, 0, 0, 0, 0) == plural.One
			text := p.N("a.files", n, "who", "x")
			if got := strings.HasPrefix(text, "Un ") || strings.HasSuffix(text, " file of x"); got != one {
				t.Errorf("%s: %d: got %q, CLDR says one=%v", l, n, text, one)
			}
		}
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	c, _ := catalog(t, false)
	es := c.Printer(i18n.ES)
	midnight := time.Date(2026, 1, 1, 3, 59, 0, 0, time.UTC) // still the old year in Bolivia
	for _, tc := range []struct{ got, want string }{
		{es.DateTime(midnight), "31 de diciembre de 2025, 23:59"},
		{es.DateTime(midnight.Add(time.Minute)), "1 de enero de 2026, 00:00"},
		{es.ShortDate(midnight), "31/12/2025"},
		{es.Machine(midnight), "2025-12-31T23:59:00-04:00"},
		{c.Printer(i18n.QU).Date(midnight), "31 de diciembre de 2025"},
		{c.Printer(i18n.EN).Date(midnight), "31 December 2025"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

func TestLanguagesNameThemselves(t *testing.T) {
	t.Parallel()
	for _, l := range i18n.Langs() {
		if !l.Valid() || l.Name() == string(l) {
			t.Errorf("%s: no name of its own", l)
		}
	}
	if i18n.Lang("xx").Valid() || i18n.Lang("xx").Name() != "xx" {
		t.Error("unknown language passed")
	}
}
