package pdffont

import (
	"testing"

	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

func TestSubsetIsAFontWithTheSameOutlines(t *testing.T) {
	t.Parallel()
	f, err := Regular()
	if err != nil {
		t.Fatal(err)
	}
	const text = "Aáñ Ü€—ő1" // with composite glyphs
	for _, r := range text {
		if _, err := f.glyph(r); err != nil {
			t.Fatalf("%q: %v", r, err)
		}
	}
	small, count, err := subset(f.ttf, f.gids)
	if err != nil {
		t.Fatal(err)
	}
	full, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		t.Fatal(err)
	}
	sub, err := sfnt.Parse(withCmap(small))
	if err != nil {
		t.Fatal(err)
	}
	if sub.NumGlyphs() != count || len(small) > 8000 {
		t.Errorf("%d glyphs in %d bytes", sub.NumGlyphs(), len(small))
	}
	for i, gid := range f.gids {
		var b1, b2 sfnt.Buffer
		a, err := full.LoadGlyph(&b1, sfnt.GlyphIndex(gid), fixed.I(1000), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := sub.LoadGlyph(&b2, sfnt.GlyphIndex(i), fixed.I(1000), nil)
		if err != nil {
			t.Fatalf("glyph %d: %v", i, err)
		}
		if len(a) != len(b) {
			t.Errorf("glyph %d: %d segments, want %d", i, len(b), len(a))
			continue
		}
		for k := range a {
			if a[k] != b[k] {
				t.Errorf("glyph %d differs", i)
				break
			}
		}
		w1, _ := full.GlyphAdvance(&b1, sfnt.GlyphIndex(gid), fixed.I(1000), 0)
		w2, _ := sub.GlyphAdvance(&b2, sfnt.GlyphIndex(i), fixed.I(1000), 0)
		if w1 != w2 {
			t.Errorf("glyph %d: advance %v, want %v", i, w2, w1)
		}
	}
}

// withCmap returns the font with empty tables that PDF does not need but the
// parser of this test does.
func withCmap(ttf []byte) []byte {
	t, err := tables(ttf)
	if err != nil {
		panic(err)
	}
	add := map[string][]byte{
		"cmap": {0, 0, 0, 1, 0, 3, 0, 1, 0, 0, 0, 12, 0, 4, 0, 24, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0, 1, 0, 0},
		"name": {0, 0, 0, 0, 0, 6},
		"post": append([]byte{0, 3, 0, 0}, make([]byte, 28)...),
		"OS/2": make([]byte, 96),
	}
	for k, v := range add {
		t[k] = v
	}
	out := []byte{0, 1, 0, 0, 0, byte(len(t)), 0, 0, 0, 0, 0, 0}
	names := []string{"OS/2", "cmap", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "name", "post"}
	at := 12 + 16*len(names)
	for _, n := range names {
		l := len(t[n])
		out = append(out, n...)
		out = append(out, 0, 0, 0, 0, byte(at>>24), byte(at>>16), byte(at>>8), byte(at), byte(l>>24), byte(l>>16), byte(l>>8), byte(l))
		at += (l + 3) &^ 3
	}
	for _, n := range names {
		out = append(out, t[n]...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
}
