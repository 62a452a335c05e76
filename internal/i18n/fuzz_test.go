package i18n_test

import (
	"io/fs"
	"testing"

	"oruro.gob.bo/suti/internal/i18n"
)

// What New accepts, every printer can write.
func FuzzCatalog(f *testing.F) {
	f.Add(bodyES, bodyEN)
	f.Add(`,"a.x":"{{}}"`, `,"a.x":"x"`)
	f.Add(`,"a.x":{"one":"{n}","other":"{n} {y}"}`, `,"a.x":{"one":"{y}","other":"{y}{n}"}`)
	f.Fuzz(func(t *testing.T, es, en string) {
		c, err := i18n.New(map[string]fs.FS{"a": source(map[string]string{
			"es": file("es", true, es), "en": file("en", true, en),
		})})
		if err != nil {
			return
		}
		for _, key := range c.Keys() {
			for _, l := range i18n.Langs() {
				if c.Printer(l).T(key) == "" || c.Printer(l).N(key, 1) == "" {
					t.Errorf("%s in %s is empty", key, l)
				}
			}
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add("es-BO,es;q=0.9", "quz ayr")
	f.Add("x-y;q=1.0000", "*;q=0")
	c, err := i18n.New(map[string]fs.FS{"a": source(map[string]string{
		"es": file("es", true, ""), "en": file("en", true, `` /* nothing */),
	})})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if l := c.Match(a, b); !l.Valid() {
			t.Errorf("Match(%q, %q): got %q", a, b, l)
		}
	})
}
