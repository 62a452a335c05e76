package report

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"oruro.gob.bo/suti/signer/pdffont"
)

// The paper is A4; lengths are in points.
const (
	paperWidth, paperHeight = 595.28, 841.89
	margin                  = 56.0
	footer                  = 36.0 // above the edge
	labelWidth              = 142.0
	gutter                  = 12.0
	bodySize                = 9.5
	codeSize                = 8.0 // at which 64 hexadecimal digits fit on a line
	lineFactor              = 1.38
)

// color is red, green and blue, each from 0 to 1.
type color [3]float64

var (
	inkBlack = color{0.1, 0.1, 0.1}
	inkSoft  = color{0.32, 0.32, 0.32}
	inkLine  = color{0.75, 0.75, 0.73}
	inks     = map[string]color{toneGood: {0.05, 0.33, 0.15}, toneWarn: {0.42, 0.25, 0}, toneBad: {0.6, 0.05, 0.05}, "": inkLine}
)

// typeface measures and writes text in a face; characters that it lacks are
// replaced.
type typeface struct {
	face  *pdffont.Face
	name  string // in the resources
	width map[rune]float64
}

// glyphs returns text in characters that the face has.
func (t *typeface) glyphs(s string) (string, error) {
	var b strings.Builder
	for _, r := range s {
		if _, known := t.width[r]; !known {
			w, err := t.face.Width(string(r), 1)
			var missing *pdffont.GlyphError
			switch {
			case errors.As(err, &missing):
				w = -1
			case err != nil:
				return "", err
			}
			t.width[r] = w
		}
		if t.width[r] < 0 {
			r = '?'
			if _, err := t.glyphs("?"); err != nil {
				return "", err
			}
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}

func (t *typeface) measure(s string, size float64) float64 {
	total := 0.0
	for _, r := range s {
		total += t.width[r]
	}
	return total * size
}

// wrap breaks text that glyphs returned into lines, between words and within
// words that are too long.
func (t *typeface) wrap(s string, size, width float64) []string {
	var out []string
	line := ""
	flush := func() {
		if line != "" {
			out = append(out, line)
		}
		line = ""
	}
	for _, word := range strings.Fields(s) {
		try := word
		if line != "" {
			try = line + " " + word
		}
		if t.measure(try, size) <= width {
			line = try
			continue
		}
		flush()
		for t.measure(word, size) > width {
			n, used := 0, 0.0
			for i, r := range word {
				if used += t.width[r] * size; used > width && i > 0 {
					break
				}
				n = i + utf8.RuneLen(r)
			}
			out = append(out, word[:n])
			word = word[n:]
		}
		line = word
	}
	flush()
	return out
}

// mark is a piece of marked content.
type mark struct{ page, id int }

// element is a structure element (ISO 32000-1 §14.7.2).
type element struct {
	kind  string
	marks []mark
}

// layout fills pages with lines of text.
type layout struct {
	regular, bold *typeface
	pages         []*bytes.Buffer
	marks         [][]int // of each page: the element of each marked content
	elements      []element
	y             float64 // of the next line's top
	bar           string  // tone of the bar beside the text; "-" for none
}

func newLayout() (*layout, error) {
	regular, err := pdffont.Regular()
	if err != nil {
		return nil, err
	}
	bold, err := pdffont.Bold()
	if err != nil {
		return nil, err
	}
	l := &layout{
		regular: &typeface{regular, "F1", map[rune]float64{}}, bold: &typeface{bold, "F2", map[rune]float64{}}, bar: "-",
	}
	for _, t := range []*typeface{l.regular, l.bold} {
		if _, err := t.glyphs(" "); err != nil {
			return nil, err
		}
	}
	l.newPage()
	return l, nil
}

func (l *layout) newPage() {
	l.pages = append(l.pages, &bytes.Buffer{})
	l.marks = append(l.marks, nil)
	l.y = paperHeight - margin
}

// need begins a new page unless height is left on this one.
func (l *layout) need(height float64) {
	if l.y-height < margin {
		l.newPage()
	}
}

// element begins a structure element and returns its index.
func (l *layout) element(kind string) int {
	l.elements = append(l.elements, element{kind: kind})
	return len(l.elements) - 1
}

// line writes a line at x whose top is at y, as part of an element.
func (l *layout) line(e int, t *typeface, size, x float64, c color, text string) (mark, error) {
	enc, err := t.face.Encode(text)
	if err != nil {
		return mark{}, err
	}
	page := len(l.pages) - 1
	m := mark{page, len(l.marks[page])}
	l.marks[page] = append(l.marks[page], e)
	n := pdffont.Number
	fmt.Fprintf(l.pages[page], "/%s <</MCID %d>> BDC\nBT /CS0 cs %s %s %s sc /%s %s Tf %s %s Td %s Tj ET\nEMC\n", l.elements[e].kind, m.id,
		n(c[0]), n(c[1]), n(c[2]), t.name, n(size), n(x), n(l.y-size), enc)
	return m, nil
}

// down goes to the next line, drawing the bar beside the one that is left.
func (l *layout) down(height float64) {
	if l.bar != "-" {
		c, n := inks[l.bar], pdffont.Number
		fmt.Fprintf(l.pages[len(l.pages)-1], "/Artifact BMC\n/CS0 cs %s %s %s sc %s %s 3 %s re f\nEMC\n", n(c[0]), n(c[1]), n(c[2]),
			n(margin-12), n(l.y-height), n(height+0.5))
	}
	l.y -= height
}

// paragraph writes text over the whole width.
func (l *layout) paragraph(kind string, t *typeface, size float64, c color, text string) error {
	text, err := t.glyphs(text)
	if err != nil {
		return err
	}
	e := l.element(kind)
	lines := t.wrap(text, size, paperWidth-2*margin)
	for i, s := range lines {
		l.need(size * lineFactor)
		if i < len(lines)-1 {
			s += " "
		}
		m, err := l.line(e, t, size, margin, c, s)
		if err != nil {
			return err
		}
		l.elements[e].marks = append(l.elements[e].marks, m)
		l.down(size * lineFactor)
	}
	return nil
}

// row writes a fact: its name at the left, what it is at the right.
func (l *layout) row(label, value string, size float64) error {
	label, err := l.regular.glyphs(label)
	if err != nil {
		return err
	}
	if value, err = l.regular.glyphs(value); err != nil {
		return err
	}
	left := l.regular.wrap(label, bodySize, labelWidth)
	right := l.regular.wrap(value, size, paperWidth-2*margin-labelWidth-gutter)
	e := l.element("P")
	var first, second []mark
	const height = bodySize * lineFactor
	l.need(float64(min(max(len(left), len(right)), 3)) * height)
	for i := range max(len(left), len(right)) {
		l.need(height)
		if i < len(left) {
			m, err := l.line(e, l.regular, bodySize, margin, inkSoft, left[i]+" ")
			if err != nil {
				return err
			}
			first = append(first, m)
		}
		if i < len(right) {
			m, err := l.line(e, l.regular, size, margin+labelWidth+gutter, inkBlack, right[i]+" ")
			if err != nil {
				return err
			}
			second = append(second, m)
		}
		l.down(height)
	}
	l.elements[e].marks = append(first, second...)
	l.down(2.5)
	return nil
}

// footers writes a line at the foot of every page, which is no part of the text.
func (l *layout) footers(text func(page int) string) error {
	for i, p := range l.pages {
		s, err := l.regular.glyphs(text(i + 1))
		if err != nil {
			return err
		}
		enc, err := l.regular.face.Encode(s)
		if err != nil {
			return err
		}
		n := pdffont.Number
		fmt.Fprintf(p, "/Artifact <</Type /Pagination /Subtype /Footer>> BDC\nBT /CS0 cs %s %s %s sc /%s 8 Tf %s %s Td %s Tj ET\nEMC\n",
			n(inkSoft[0]), n(inkSoft[1]), n(inkSoft[2]), l.regular.name, n(margin), n(footer), enc)
	}
	return nil
}
