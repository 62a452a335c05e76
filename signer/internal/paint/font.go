package paint

import (
	"math"
	"strings"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// font is what is needed to know where text goes. Lengths are in the unit of
// text space, of which the font's size is a multiple.
type font struct {
	unknown bool
	// box is how far a glyph reaches around the place where it begins (left,
	// below, above) and where the next one begins (right).
	box    Rect
	bytes  int // of a code; 0 if codes are 1 to 4 bytes long
	widths map[int]float64
	other  span // width of codes that widths lacks
	three  *typeThree
}

// typeThree is a font whose glyphs are content streams.
type typeThree struct {
	dict   cos.Value
	matrix matrix
	names  [256]string
	boxes  map[int]Rect
}

const (
	maxWidths = 1 << 17
	// Accents reach above, and italic letters beside, what they stand on.
	above, below, beside = 1.0, 0.3, 0.25
	widest               = 1.1 // of the glyphs of the 14 standard fonts
)

// each calls fn for every code of a string, with how wide it is and whether it
// is a code of one byte.
func (f *font) each(s string, fn func(code int, w span, single bool) error) error {
	for len(s) > 0 {
		n := f.bytes
		if n == 0 {
			n = 1
		}
		code := 0
		for i := range min(n, len(s)) {
			code = code<<8 | int(s[i])
		}
		w := f.other
		if f.bytes == 0 {
			w = span{0, f.other.hi} // a quarter of a code, or all of it
		} else if x, ok := f.widths[code]; ok {
			w = span{x, x}
		}
		if err := fn(code, w, n == 1); err != nil {
			return err
		}
		s = s[min(n, len(s)):]
	}
	return nil
}

// loadFont reads a font, once.
func (in *run) loadFont(v cos.Value) (*font, error) {
	ref, indirect := v.Ref()
	if f := in.fonts[ref]; indirect && f != nil {
		return f, nil
	}
	o, err := in.f.Resolve(v)
	if err != nil {
		return nil, err
	}
	f := &font{bytes: 1, widths: map[int]float64{}}
	switch o.Get("Subtype").Name() {
	case "Type1", "MMType1", "TrueType":
		err = in.simpleFont(f, o)
	case "Type0":
		err = in.compositeFont(f, o)
	case "Type3":
		err = in.typeThree(f, o)
	default:
		f.unknown = true
	}
	if err != nil {
		return nil, err
	}
	if indirect {
		in.fonts[ref] = f
	}
	return f, nil
}

// simpleFont reads the widths of a font with codes of one byte (§9.6).
func (in *run) simpleFont(f *font, o cos.Value) error {
	desc, err := in.describe(f, o)
	if err != nil {
		return err
	}
	f.other = span{0, widest}
	if x, ok := desc.Get("MissingWidth").Number(); ok {
		f.other.hi = math.Max(f.other.hi, x/1000)
	}
	return in.listWidths(f, o, 0.001)
}

// listWidths reads /FirstChar and /Widths.
func (in *run) listWidths(f *font, o cos.Value, unit float64) error {
	first, err := in.f.Resolve(o.Get("FirstChar"))
	if err != nil {
		return err
	}
	list, err := in.f.Resolve(o.Get("Widths"))
	if err != nil {
		return err
	}
	code, _ := first.Int()
	for i, e := range list.Elems() {
		if e, err = in.f.Resolve(e); err != nil {
			return err
		}
		if x, ok := e.Number(); ok && i < 256 && code >= 0 && code < 256 {
			f.widths[int(code)+i] = x * unit
		}
	}
	return nil
}

// describe reads the font descriptor for how far glyphs reach.
func (in *run) describe(f *font, o cos.Value) (cos.Value, error) {
	f.box = Rect{-beside, -below, beside, above}
	desc, err := in.f.Resolve(o.Get("FontDescriptor"))
	if err != nil {
		return cos.Value{}, err
	}
	box, ok, err := in.rect(desc.Get("FontBBox"))
	if err != nil {
		return cos.Value{}, err
	}
	if ok {
		f.box.Y0, f.box.Y1 = math.Min(f.box.Y0, box.Y0/1000), math.Max(f.box.Y1, box.Y1/1000)
		f.box.X0 = math.Min(f.box.X0, math.Max(box.X0/1000, -2))
	}
	return desc, nil
}

// compositeFont reads a font with codes of several bytes (§9.7). Only the
// predefined CMap Identity-H says how long they are and which widths they have.
func (in *run) compositeFont(f *font, o cos.Value) error {
	enc, err := in.f.Resolve(o.Get("Encoding"))
	if err != nil {
		return err
	}
	kids, err := in.f.Resolve(o.Get("DescendantFonts"))
	if err != nil {
		return err
	}
	if kids.Kind() != cos.Array || kids.Len() != 1 || strings.HasSuffix(enc.Name(), "V") || enc.Kind() != cos.Name && !in.level(enc) {
		f.unknown = true
		return nil
	}
	d, err := in.f.Resolve(kids.Elem(0))
	if err != nil {
		return err
	}
	if _, err := in.describe(f, d); err != nil {
		return err
	}
	f.bytes = 0
	if enc.Name() == "Identity-H" {
		f.bytes = 2
	}
	def := 1.0
	if v, err := in.f.Resolve(d.Get("DW")); err != nil {
		return err
	} else if x, ok := v.Number(); ok {
		def = x / 1000
	}
	f.other = span{def, def}
	list, err := in.f.Resolve(d.Get("W"))
	if err != nil {
		return err
	}
	if err := in.cidWidths(f, list.Elems()); err != nil {
		return err
	}
	if f.bytes == 0 {
		for _, x := range f.widths {
			f.other.hi = math.Max(f.other.hi, x)
		}
	}
	return nil
}

// level reports whether an embedded CMap writes from left to right.
func (in *run) level(cmap cos.Value) bool {
	mode, err := in.f.Resolve(cmap.Get("WMode"))
	n, ok := mode.Int()
	return err == nil && cmap.Kind() == cos.Dict && (mode.IsNull() || ok && n == 0)
}

// cidWidths reads /W: "first [widths]" and "first last width".
func (in *run) cidWidths(f *font, list []cos.Value) error {
	for i := 0; i+1 < len(list); {
		first, ok := list[i].Int()
		next, err := in.f.Resolve(list[i+1])
		if err != nil {
			return err
		}
		if !ok || first < 0 || first > 65535 {
			return opaque("widths of a font")
		}
		if next.Kind() == cos.Array {
			for k, e := range next.Elems() {
				if e, err = in.f.Resolve(e); err != nil {
					return err
				}
				x, _ := e.Number()
				f.widths[int(first)+k] = x / 1000
			}
			i += 2
		} else {
			last, ok := next.Int()
			if !ok || i+2 >= len(list) || last < first || last > 65535 {
				return opaque("widths of a font")
			}
			x, _ := list[i+2].Number()
			for c := first; c <= last; c++ {
				f.widths[int(c)] = x / 1000
			}
			if err := in.spend(int(last-first) / 8); err != nil {
				return err
			}
			i += 3
		}
		if len(f.widths) > maxWidths {
			return opaque("more than %d widths in a font", maxWidths)
		}
	}
	return nil
}

// typeThree reads a font whose glyphs are content streams (§9.6.4).
func (in *run) typeThree(f *font, o cos.Value) error {
	mv, err := in.f.Resolve(o.Get("FontMatrix"))
	if err != nil {
		return err
	}
	n, ok, err := in.numbers(mv, 6)
	if err != nil {
		return err
	}
	if !ok {
		f.unknown = true
		return nil
	}
	t := &typeThree{dict: o, boxes: map[int]Rect{}}
	copy(t.matrix[:], n)
	f.three = t
	if err := in.listWidths(f, o, t.matrix[0]); err != nil {
		return err
	}
	enc, err := in.f.Resolve(o.Get("Encoding"))
	if err != nil {
		return err
	}
	diffs, err := in.f.Resolve(enc.Get("Differences"))
	if err != nil {
		return err
	}
	code := int64(0)
	for _, e := range diffs.Elems() {
		if n, ok := e.Int(); ok {
			code = n
		} else if code >= 0 && code < 256 {
			t.names[code] = e.Name()
			code++
		}
	}
	return nil
}

// glyph returns what a glyph of a Type 3 font paints, in text space.
func (l *level) glyph(f *font, code int) (Rect, error) {
	t := f.three
	if r, ok := t.boxes[code]; ok {
		return r, nil
	}
	t.boxes[code] = nothing // also for a glyph that shows itself
	procs, err := l.f.Resolve(t.dict.Get("CharProcs"))
	if err != nil {
		return nothing, err
	}
	o, err := l.f.ResolveObject(procs.Get(t.names[code]))
	if err != nil || o.Stream == nil {
		return nothing, err
	}
	data, err := l.f.DecodeContent(o)
	if err != nil {
		return nothing, err
	}
	res, err := l.f.Resolve(t.dict.Get("Resources"))
	if err != nil {
		return nothing, err
	}
	if res.IsNull() {
		res = l.res
	}
	box := nothing
	inner := *l.run
	inner.mark = func(r Rect) { box = box.join(r) }
	inner.point = 1e-3 // of the size: renderers' blur is added where the glyph is shown
	err = inner.content(data, res, newState(t.matrix, everywhere))
	l.ops = inner.ops
	t.boxes[code] = box
	return box, err
}
