package paint

import (
	"math"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// text is the text state (§9.3).
type text struct {
	tm     matrix // at the beginning of the line
	at     span   // how far along the line the next glyph stands, before tm
	font   *font
	size   float64
	chars  float64 // Tc
	words  float64 // Tw
	scale  float64 // Tz / 100
	lead   float64
	rise   float64
	render float64
}

// span is a length that is known to lie between two.
type span struct{ lo, hi float64 }

func (s span) plus(o span) span {
	return span{s.lo + math.Min(o.lo, o.hi), s.hi + math.Max(o.lo, o.hi)}
}

// doText runs the operators of text.
func (l *level) doText(op cos.Operation, a [6]float64) error {
	switch op.Operator {
	case "BT":
		l.setLine(identity)
	case "Tc":
		l.chars = a[0]
	case "Tw":
		l.words = a[0]
	case "Tz":
		l.scale = a[0] / 100
	case "TL":
		l.lead = a[0]
	case "Tr":
		l.render = a[0]
	case "Ts":
		l.rise = a[0]
	case "Tf":
		return l.setFont(op)
	case "TD":
		l.lead = -a[1]
		l.nextLine(a[0], a[1])
	case "Td":
		l.nextLine(a[0], a[1])
	case "Tm":
		l.setLine(matrix(a))
	case "T*":
		l.nextLine(0, -l.lead)
	case "Tj", "TJ", "'", `"`:
		return l.showOp(op)
	}
	return nil
}

func (l *level) setLine(m matrix) { l.tm, l.at = m, span{} }

func (l *level) nextLine(x, y float64) { l.setLine(matrix{1, 0, 0, 1, x, y}.mul(l.tm)) }

func (l *level) setFont(op cos.Operation) error {
	n := len(op.Operands)
	if n < 2 || op.Operands[n-2].Kind() != cos.Name {
		return opaque("font without a name")
	}
	size, ok := op.Operands[n-1].Number()
	if !ok {
		return opaque("font without a size")
	}
	fonts, err := l.f.Resolve(l.res.Get("Font"))
	if err != nil {
		return err
	}
	l.size = size
	l.font, err = l.loadFont(fonts.Get(op.Operands[n-2].Name()))
	return err
}

func (l *level) showOp(op cos.Operation) error {
	n := len(op.Operands)
	switch {
	case n == 0 || op.Operator == `"` && n < 3:
		return opaque("text without a string")
	case op.Operator == `"`:
		l.words, _ = op.Operands[n-3].Number()
		l.chars, _ = op.Operands[n-2].Number()
		l.nextLine(0, -l.lead)
	case op.Operator == "'":
		l.nextLine(0, -l.lead)
	}
	last := op.Operands[n-1]
	if op.Operator != "TJ" {
		s, ok := last.Text()
		if !ok {
			return opaque("text that is no string")
		}
		return l.show(s)
	}
	for _, e := range last.Elems() {
		if s, ok := e.Text(); ok {
			if err := l.show(s); err != nil {
				return err
			}
		} else if x, ok := e.Number(); ok {
			d := -x / 1000 * l.size * l.scale
			l.at = l.at.plus(span{d, d})
		}
	}
	return nil
}

// show notes the box of a string, and moves on behind it.
func (l *level) show(s string) error {
	if err := l.spend(len(s)); err != nil {
		return err
	}
	f := l.font
	if f == nil || f.unknown {
		return l.paintAll()
	}
	if s == "" {
		return nil
	}
	before := l.at
	glyphs := nothing
	if err := f.each(s, func(code int, w span, single bool) error {
		if f.three != nil {
			g, err := l.glyph(f, code)
			if err != nil {
				return err
			}
			if !g.empty() {
				glyphs = glyphs.join(g)
			}
		}
		d := span{w.lo*l.size + l.chars, w.hi*l.size + l.chars}
		if single && code == ' ' {
			d = span{d.lo + l.words, d.hi + l.words}
		}
		if f.bytes == 0 { // the byte may not be a code of its own
			d = span{math.Min(0, d.lo), math.Max(0, math.Max(d.hi, d.hi-l.words))}
		}
		l.at = l.at.plus(span{d.lo * l.scale, d.hi * l.scale})
		// Spacing may run backwards: every glyph's place counts.
		before = span{math.Min(before.lo, l.at.lo), math.Max(before.hi, l.at.hi)}
		return nil
	}); err != nil {
		return err
	}
	box := f.box
	if f.three != nil {
		if glyphs.empty() {
			return nil
		}
		box = glyphs
	}
	x0, x1 := box.X0*l.size*l.scale, box.X1*l.size*l.scale
	r := nothing.add(before.lo+math.Min(x0, x1), l.rise+box.Y0*l.size).add(before.hi+math.Max(x0, x1), l.rise+box.Y1*l.size)
	m := l.tm.mul(l.ctm)
	out := m.box(r)
	if l.render == 1 || l.render == 2 || l.render == 5 || l.render == 6 {
		out = out.grow(math.Abs(l.line) * l.ctm.scale() * 2)
	}
	l.paint(out)
	return nil
}
