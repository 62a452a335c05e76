package pades

import (
	"errors"

	"oruro.gob.bo/suti/signer/internal/appearance"
	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/paint"
)

// spot is where a field stands: a rectangle in the page's own units, each of
// which is so many points, on a page rotated by so many degrees.
type spot struct {
	rect   appearance.Rect
	rotate int
	unit   float64
}

// gap is the least distance, in points, of a seal in free space from what is painted.
const gap = 3

// place computes the rectangle of a new field on a page.
func (p *preparation) place(page *cos.Page) (spot, error) {
	s := spot{}
	box, err := visibleBox(p.f, page)
	if err != nil {
		return s, err
	}
	rv, err := p.f.Resolve(page.Attribute("Rotate"))
	if err != nil {
		return s, err
	}
	n, _ := rv.Int()
	s.rotate = int(n % 360)
	if s.unit, err = userUnit(p.f, page.Value); err != nil {
		return s, err
	}
	switch {
	case p.Placement.Rect != nil:
		s.rect, err = p.Placement.On(box, s.rotate)
	case p.Placement.Free:
		s.rect, err = p.freeSpace(page, box, s)
	default:
		s.rect, err = p.Placement.On(scaled(box, s.unit), s.rotate)
		s.rect = scaled(s.rect, 1/s.unit)
	}
	if err != nil {
		return s, sealFault(err)
	}
	if p.taken == nil {
		p.taken = map[cos.Ref][]paint.Rect{}
	}
	p.taken[page.Ref] = append(p.taken[page.Ref], painted(s.rect))
	return s, nil
}

// freeSpace finds room for a seal where nothing is painted.
func (p *preparation) freeSpace(page *cos.Page, box appearance.Rect, s spot) (appearance.Rect, error) {
	area, err := p.Placement.Area(scaled(box, s.unit), s.rotate)
	if err != nil {
		return appearance.Rect{}, err
	}
	m, err := paint.Page(p.ctx, p.f, page, painted(box), 1/s.unit, p.taken[page.Ref]...)
	if err != nil {
		return appearance.Rect{}, err
	}
	r, ok := m.Find(painted(scaled(area.Rect, 1/s.unit)), area.SealWidth/s.unit, area.SealHeight/s.unit, gap/s.unit, area.Right, area.Top)
	switch {
	case m.Reason != "":
		return appearance.Rect{}, refuse(CodeNoRoom, "what is on the page cannot be told: %s", m.Reason)
	case !ok:
		return appearance.Rect{}, refuse(CodeNoRoom, "no free space of %.0f by %.0f points", area.SealWidth, area.SealHeight)
	}
	return appearance.Rect{LLX: r.X0, LLY: r.Y0, URX: r.X1, URY: r.Y1}, nil
}

func sealFault(err error) error {
	if errors.Is(err, appearance.ErrPlacement) {
		return &RefusedError{Code: CodeSeal, Detail: err.Error(), Err: err}
	}
	return err
}

func painted(r appearance.Rect) paint.Rect {
	return paint.Rect{X0: r.LLX, Y0: r.LLY, X1: r.URX, Y1: r.URY}
}

func scaled(r appearance.Rect, by float64) appearance.Rect {
	return appearance.Rect{LLX: r.LLX * by, LLY: r.LLY * by, URX: r.URX * by, URY: r.URY * by}
}

// visibleBox is what of a page is shown: its crop box, as far as it lies in the
// media box (ISO 32000-2 §14.11.2).
func visibleBox(f *cos.File, page *cos.Page) (appearance.Rect, error) {
	box, err := readRect(f, page.Attribute("MediaBox"))
	if err != nil {
		return box, err
	}
	crop := page.Attribute("CropBox")
	if crop.IsNull() {
		return box, nil
	}
	c, err := readRect(f, crop)
	if err != nil {
		return box, err
	}
	c = appearance.Rect{LLX: max(c.LLX, box.LLX), LLY: max(c.LLY, box.LLY), URX: min(c.URX, box.URX), URY: min(c.URY, box.URY)}
	if c.Width() <= 0 || c.Height() <= 0 {
		return box, refuse(CodeSeal, "nothing of the page is shown")
	}
	return c, nil
}

// userUnit is how many points a unit of the page is (§14.11.2, table 31).
func userUnit(f *cos.File, page cos.Value) (float64, error) {
	v, err := f.Resolve(page.Get("UserUnit"))
	if err != nil || v.IsNull() {
		return 1, err
	}
	const largest = 10_000
	n, ok := v.Number()
	if !ok || n < 1.0/largest || n > largest {
		return 1, refuse(CodeSeal, "page with units that make no sense")
	}
	return n, nil
}
