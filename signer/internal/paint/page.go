package paint

import (
	"context"
	"errors"
	"fmt"
	"io"

	"oruro.gob.bo/suti/signer/internal/cos"
)

const (
	maxOps    = 2_000_000 // operations and characters of one page
	maxDepth  = 12        // forms within forms
	maxStates = 256       // graphics states saved
	maxAnnots = 20_000
)

// errOpaque is the reason why reading cannot go on.
type errOpaque struct{ why string }

func (e errOpaque) Error() string { return "paint: " + e.why }

func opaque(format string, args ...any) error { return errOpaque{fmt.Sprintf(format, args...)} }

// Page returns what of a page is painted. box is the visible part of it and
// point what one point (1/72 inch) is in its units: 1, unless it has a /UserUnit.
// taken is what counts as painted besides.
//
// Errors are ctx's and those of reading; what the file holds is never an error.
func Page(ctx context.Context, f *cos.File, page *cos.Page, box Rect, point float64, taken ...Rect) (*Map, error) {
	m := newMap(box, point)
	for _, r := range taken {
		m.mark(r)
	}
	in := &run{ctx: ctx, f: f, point: point, mark: m.mark, fonts: map[cos.Ref]*font{}}
	err := in.page(page)
	if err == nil {
		err = in.annotations(page)
	}
	var bad *cos.Error
	var why errOpaque
	switch {
	case err == nil:
	case errors.As(err, &why):
		m.all, m.Reason = true, why.why
	case errors.As(err, &bad):
		m.all, m.Reason = true, bad.Error()
	default:
		return nil, err
	}
	if m.all && m.Reason == "" {
		m.Reason = "coordinates out of range"
	}
	m.settle()
	return m, nil
}

// run interprets content streams.
type run struct {
	ctx   context.Context
	f     *cos.File
	point float64
	mark  func(Rect)
	fonts map[cos.Ref]*font
	ops   int
	depth int
}

func (in *run) spend(n int) error {
	in.ops += n
	if in.ops > maxOps {
		return opaque("more than %d operations", maxOps)
	}
	return in.ctx.Err()
}

// page runs the page's own content.
func (in *run) page(p *cos.Page) error {
	contents, err := in.f.ResolveObject(p.Value.Get("Contents"))
	if err != nil {
		return err
	}
	streams := []*cos.Object{contents}
	if contents.Stream == nil {
		streams = nil
		for _, v := range contents.Value.Elems() {
			o, err := in.f.ResolveObject(v)
			if err != nil {
				return err
			}
			if o.Stream == nil && !o.Value.IsNull() {
				return opaque("content that is no stream")
			}
			if o.Stream != nil {
				streams = append(streams, o)
			}
		}
		if k := contents.Value.Kind(); k != cos.Array && k != cos.Null {
			return opaque("content that is no stream")
		}
	}
	var data []byte
	for _, o := range streams {
		b, err := in.f.DecodeContent(o)
		if err != nil {
			return err
		}
		data = append(append(data, b...), '\n')
	}
	res, err := in.f.Resolve(p.Attribute("Resources"))
	if err != nil {
		return err
	}
	return in.content(data, res, newState(identity, everywhere))
}

// annotations notes where annotations stand, whether they are shown or not.
func (in *run) annotations(p *cos.Page) error {
	list, err := in.f.Resolve(p.Value.Get("Annots"))
	if err != nil {
		return err
	}
	if list.Len() > maxAnnots || list.Kind() != cos.Array && !list.IsNull() {
		return opaque("annotations that are no list, or too many")
	}
	for _, v := range list.Elems() {
		a, err := in.f.Resolve(v)
		if err != nil {
			return err
		}
		if a.Kind() != cos.Dict {
			continue
		}
		r, ok, err := in.rect(a.Get("Rect"))
		if err != nil {
			return err
		}
		if !ok {
			return opaque("annotation without a rectangle")
		}
		if !r.empty() {
			in.mark(r.grow(2 * in.point))
		}
	}
	return nil
}

// rect reads a rectangle in any order of its corners.
func (in *run) rect(v cos.Value) (Rect, bool, error) {
	v, err := in.f.Resolve(v)
	if err != nil {
		return Rect{}, false, err
	}
	n, ok, err := in.numbers(v, 4)
	if err != nil || !ok {
		return Rect{}, false, err
	}
	return nothing.add(n[0], n[1]).add(n[2], n[3]), true, nil
}

// numbers reads an array of n numbers.
func (in *run) numbers(v cos.Value, n int) ([]float64, bool, error) {
	if v.Kind() != cos.Array || v.Len() != n {
		return nil, false, nil
	}
	out := make([]float64, n)
	for i, e := range v.Elems() {
		e, err := in.f.Resolve(e)
		if err != nil {
			return nil, false, err
		}
		x, ok := e.Number()
		if !ok {
			return nil, false, nil
		}
		out[i] = x
	}
	return out, true, nil
}

// state is the part of the graphics state that says where paint goes.
type state struct {
	ctm    matrix
	clip   Rect
	line   float64 // width
	miter  float64
	join   int64
	space  string // of the fill colour: its name, "" for one that is not known
	white  bool   // the fill colour is
	normal bool   // paint covers what is below: no blend mode, no transfer function
	text
}

func newState(ctm matrix, clip Rect) state {
	return state{ctm: ctm, clip: clip, line: 1, miter: 10, space: "DeviceGray", normal: true, text: text{scale: 1, tm: identity}}
}

// level is a content stream that is being run.
type level struct {
	*run
	state
	res     cos.Value
	saved   []state
	path    path
	clipped bool // W or W* was said: the path clips once it is painted
	unknown int  // BX without EX
}

func (in *run) content(data []byte, res cos.Value, s state) error {
	if in.depth++; in.depth > maxDepth {
		return opaque("forms nested deeper than %d", maxDepth)
	}
	defer func() { in.depth-- }()
	l := &level{run: in, state: s, res: res}
	c := in.f.Content(data)
	for {
		op, err := c.Next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = in.spend(1)
		}
		if err == nil {
			err = l.do(op)
		}
		if err != nil {
			return err
		}
	}
}

// paintAll notes that everything within the clipping box is painted.
func (l *level) paintAll() error {
	l.paint(everywhere)
	return nil
}

// paint notes a box in the page's space.
func (l *level) paint(r Rect) {
	if r = r.grow(edge * l.point).clip(l.clip.grow(edge * l.point)); !r.empty() && r.sound() {
		l.mark(r)
	} else if !r.sound() {
		l.mark(everywhere)
	}
}

// resource looks up a resource of the stream that is run.
func (l *level) resource(category, name string) (*cos.Object, error) {
	dict, err := l.f.Resolve(l.res.Get(category))
	if err != nil {
		return nil, err
	}
	return l.f.ResolveObject(dict.Get(name))
}

// external runs the operator Do.
func (l *level) external(name string) error {
	o, err := l.resource("XObject", name)
	if err != nil {
		return err
	}
	kind := o.Value.Get("Subtype").Name()
	switch {
	case o.Stream != nil && kind == "Image":
		l.paint(l.ctm.box(Rect{0, 0, 1, 1}))
		return nil
	case o.Stream == nil || kind != "Form" || !l.normal:
		return l.paintAll()
	}
	box, ok, err := l.rect(o.Value.Get("BBox"))
	if err != nil {
		return err
	}
	m := identity
	mv, err := l.f.Resolve(o.Value.Get("Matrix"))
	if err != nil {
		return err
	}
	if !mv.IsNull() && ok {
		var n []float64
		if n, ok, err = l.numbers(mv, 6); err != nil {
			return err
		}
		copy(m[:], n)
	}
	if !ok {
		return l.paintAll()
	}
	data, err := l.f.DecodeContent(o)
	if err != nil {
		return err
	}
	if err := l.spend(len(data) / 64); err != nil {
		return err
	}
	res, err := l.f.Resolve(o.Value.Get("Resources"))
	if err != nil {
		return err
	}
	if res.IsNull() {
		res = l.res // as in files of PDF 1.1
	}
	s := l.state
	s.ctm = m.mul(l.ctm)
	s.clip = s.ctm.box(box).clip(l.clip)
	return l.content(data, res, s)
}

// setState applies a graphics state parameter dictionary (§8.4.5).
func (l *level) setState(name string) error {
	o, err := l.resource("ExtGState", name)
	if err != nil {
		return err
	}
	for i := range o.Value.Len() {
		if o.Value.Kind() != cos.Dict {
			break
		}
		key, v := o.Value.Entry(i)
		if v, err = l.f.Resolve(v); err != nil {
			return err
		}
		switch key.Name() {
		case "LW":
			l.line, _ = v.Number()
		case "ML":
			l.miter, _ = v.Number()
		case "LJ":
			l.join, _ = v.Int()
		case "BM":
			l.normal = l.normal && (v.Name() == "Normal" || v.Name() == "Compatible")
		case "TR", "TR2":
			l.normal = l.normal && (v.Name() == "Identity" || v.Name() == "Default")
		case "Font":
			if v.Len() != 2 || v.Kind() != cos.Array {
				return opaque("font of a graphics state")
			}
			l.size, _ = v.Elem(1).Number()
			if l.font, err = l.loadFont(v.Elem(0)); err != nil {
				return err
			}
		}
	}
	return nil
}
