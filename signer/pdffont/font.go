package pdffont

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// Object is an object to be put into a file. "{key}" in Dict stands for a
// reference to the object with index Uses[key]. Data, if not nil, makes it a
// stream; Dict is then without /Length.
type Object struct {
	Dict string
	Data []byte
	Uses map[string]int
}

// Number writes a number with at most three decimals and no exponent.
func Number(f float64) string {
	s := strconv.FormatFloat(f, 'f', 3, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "-0" || s == "" {
		return "0"
	}
	return s
}

// GlyphError reports a character that the font does not have.
type GlyphError struct{ Rune rune }

// Error implements error.
func (e *GlyphError) Error() string {
	return fmt.Sprintf("pdffont: the font has no character U+%04X", e.Rune)
}

// Face is a font with the glyphs used so far.
type Face struct {
	name  string
	ttf   []byte
	font  *sfnt.Font
	buf   sfnt.Buffer
	upem  int
	gids  []uint16 // in the order of use; their new numbers are the indices
	runes []rune   // of each glyph
	index map[rune]uint16
}

func newFace(name string, ttf []byte) (*Face, error) {
	f, err := sfnt.Parse(ttf)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errFont, err)
	}
	return &Face{name: name, ttf: ttf, font: f, upem: int(f.UnitsPerEm()), gids: []uint16{0}, runes: []rune{0}, index: map[rune]uint16{}}, nil
}

// Regular returns the upright face, Go Regular.
func Regular() (*Face, error) { return newFace("GoRegular", goregular.TTF) }

// Bold returns the heavy face, Go Bold.
func Bold() (*Face, error) { return newFace("GoBold", gobold.TTF) }

// glyph returns the new number of a character's glyph.
func (f *Face) glyph(r rune) (uint16, error) {
	if g, ok := f.index[r]; ok {
		return g, nil
	}
	gid, err := f.font.GlyphIndex(&f.buf, r)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errFont, err)
	}
	if gid == 0 {
		return 0, &GlyphError{Rune: r}
	}
	n := uint16(len(f.gids))
	f.gids = append(f.gids, uint16(gid))
	f.runes = append(f.runes, r)
	f.index[r] = n
	return n, nil
}

// advance returns the width of a glyph, by its new number, in 1/1000 of the size.
func (f *Face) advance(n uint16) (float64, error) {
	a, err := f.font.GlyphAdvance(&f.buf, sfnt.GlyphIndex(f.gids[n]), fixed.I(f.upem), 0)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errFont, err)
	}
	return float64(a) / 64 * 1000 / float64(f.upem), nil
}

// Width returns the width of text in points at the given size.
func (f *Face) Width(text string, size float64) (float64, error) {
	total := 0.0
	for _, r := range text {
		g, err := f.glyph(r)
		if err != nil {
			return 0, err
		}
		a, err := f.advance(g)
		if err != nil {
			return 0, err
		}
		total += a
	}
	return total * size / 1000, nil
}

// Encode writes text as the hexadecimal string that shows it.
func (f *Face) Encode(text string) (string, error) {
	var b strings.Builder
	b.WriteByte('<')
	for _, r := range text {
		g, err := f.glyph(r)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%04X", g)
	}
	b.WriteByte('>')
	return b.String(), nil
}

// Used reports whether any character was shown in the face.
func (f *Face) Used() bool { return len(f.gids) > 1 }

// Objects returns the font's objects; the first is the Type 0 font (ISO
// 32000-2 §9.7).
func (f *Face) Objects() ([]Object, error) {
	ttf, count, err := subset(f.ttf, f.gids)
	if err != nil {
		return nil, err
	}
	name := tag(ttf) + "+" + f.name
	m, err := f.descriptorMetrics()
	if err != nil {
		return nil, err
	}
	var widths strings.Builder
	for i := range f.gids {
		a, err := f.advance(uint16(i))
		if err != nil {
			return nil, err
		}
		widths.WriteString(Number(a) + " ")
	}
	cids := make([]byte, (count+7)/8) // one bit a glyph, the first is the high one
	for i := range count {
		cids[i/8] |= 0x80 >> (i % 8)
	}
	return []Object{
		{Dict: "<</Type /Font /Subtype /Type0 /BaseFont /" + name + " /Encoding /Identity-H /DescendantFonts [{cid}] /ToUnicode {map}>>", Uses: map[string]int{"cid": 1, "map": 4}},
		{Dict: "<</Type /Font /Subtype /CIDFontType2 /BaseFont /" + name + " /CIDSystemInfo <</Registry (Adobe) /Ordering (Identity) /Supplement 0>> /CIDToGIDMap /Identity /DW 0 /W [0 [" +
			strings.TrimSpace(widths.String()) + "]] /FontDescriptor {desc}>>", Uses: map[string]int{"desc": 2}},
		{Dict: "<</Type /FontDescriptor /FontName /" + name + " /Flags 4 " + m + " /FontFile2 {file} /CIDSet {set}>>", Uses: map[string]int{"file": 3, "set": 5}},
		Deflated(fmt.Sprintf("/Length1 %d", len(ttf)), ttf),
		Deflated("", f.toUnicode()),
		Deflated("", cids),
	}, nil
}

func (f *Face) descriptorMetrics() (string, error) {
	ppem := fixed.I(1000)
	m, err := f.font.Metrics(&f.buf, ppem, 0)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errFont, err)
	}
	b, err := f.font.Bounds(&f.buf, ppem, 0)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errFont, err)
	}
	// sfnt's y axis points down.
	return fmt.Sprintf("/FontBBox [%d %d %d %d] /ItalicAngle 0 /Ascent %d /Descent %d /CapHeight %d /StemV 80",
		b.Min.X.Floor(), -b.Max.Y.Ceil(), b.Max.X.Ceil(), -b.Min.Y.Floor(), m.Ascent.Ceil(), -m.Descent.Ceil(), m.CapHeight.Ceil()), nil
}

// toUnicode writes the map from glyphs to characters (ISO 32000-2 §9.10.3).
func (f *Face) toUnicode() []byte {
	var b bytes.Buffer
	b.WriteString("/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def\n" +
		"/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n1 begincodespacerange\n<0000> <FFFF>\nendcodespacerange\n")
	for from := 1; from < len(f.runes); from += 100 {
		part := f.runes[from:min(from+100, len(f.runes))]
		fmt.Fprintf(&b, "%d beginbfchar\n", len(part))
		for i, r := range part {
			fmt.Fprintf(&b, "<%04X> <%04X>\n", from+i, r)
		}
		b.WriteString("endbfchar\n")
	}
	b.WriteString("endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n")
	return b.Bytes()
}

// tag is the prefix of a subset font's name: six letters that depend on its content.
func tag(font []byte) string {
	sum := sha256.Sum256(font)
	out := make([]byte, 6)
	for i := range out {
		out[i] = 'A' + sum[i]%26
	}
	return string(out)
}

// writers keeps compressors, which are large, for the next stream.
var writers sync.Pool

// Deflated returns a compressed stream whose dictionary has the entries given
// beside its filter.
func Deflated(extra string, data []byte) Object {
	var buf bytes.Buffer
	w, ok := writers.Get().(*zlib.Writer)
	if !ok {
		w = zlib.NewWriter(&buf)
	}
	w.Reset(&buf)
	_, _ = w.Write(data) // a bytes.Buffer does not fail
	_ = w.Close()
	writers.Put(w)
	return Object{Dict: strings.TrimSpace("<<"+extra) + " /Filter /FlateDecode>>", Data: buf.Bytes()}
}
