package appearance

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"oruro.gob.bo/suti/signer/pdffont"
)

// ErrPlacement reports a seal that does not fit where it is to stand.
var ErrPlacement = errors.New("appearance: the seal does not fit there")

// Rect is a rectangle in points (1/72 inch).
type Rect struct{ LLX, LLY, URX, URY float64 }

// NewRect returns the rectangle with two opposite corners in any order, as PDF
// allows them (ISO 32000-2 §7.9.5).
func NewRect(x0, y0, x1, y1 float64) Rect {
	return Rect{math.Min(x0, x1), math.Min(y0, y1), math.Max(x0, x1), math.Max(y0, y1)}
}

// Width and Height are in points.
func (r Rect) Width() float64 { return r.URX - r.LLX }

// Height is in points.
func (r Rect) Height() float64 { return r.URY - r.LLY }

// String writes the four numbers as PDF has them, without brackets.
func (r Rect) String() string {
	return strings.Join([]string{pdffont.Number(r.LLX), pdffont.Number(r.LLY), pdffont.Number(r.URX), pdffont.Number(r.URY)}, " ")
}

// Corner is a corner of the page as it is shown.
type Corner uint8

// Corners; the default is the lower right one.
const (
	BottomRight Corner = iota
	BottomLeft
	TopRight
	TopLeft
)

// Placement says where a seal stands.
type Placement struct {
	// Page counts from 0; negative numbers count from the end, -1 is the last.
	Page int
	// Rect, if not nil, is the place in the page's own coordinates, in its
	// units, and the fields below are not used.
	Rect *[4]float64
	// At, if not nil, is where the lower left corner of the seal stands, in
	// points from the lower left corner of the page as it is shown; Corner,
	// Margin and Slot are then not used.
	At *[2]float64
	// Free puts the seal where nothing is painted, as near to the corner as
	// there is room, Margin away from the edges; Slot is then not used. Where
	// there is no room, or the page cannot be understood, that is an error.
	Free bool
	// Corner of the page, as it is shown, that the seal stands in.
	Corner Corner
	// Width and Height in points, as shown: 220 by 80 by default.
	Width, Height float64
	// Margin to the two edges in points: 36 by default.
	Margin float64
	// Slot moves the seal up (or down, from a top corner) by so many times its
	// height, so that several signers do not cover each other.
	Slot int
}

const (
	defaultWidth  = 220
	defaultHeight = 80
	defaultMargin = 36
	maxSide       = 14_400 // ISO 32000-1 annex C
)

// On returns the place on a page with the given visible box and /Rotate, in
// the page's own coordinates.
func (p Placement) On(box Rect, rotate int) (Rect, error) {
	rotate = normal(rotate)
	if rotate%90 != 0 {
		return Rect{}, fmt.Errorf("%w: page rotated by %d degrees", ErrPlacement, rotate)
	}
	if p.Rect != nil {
		r := NewRect(p.Rect[0], p.Rect[1], p.Rect[2], p.Rect[3])
		return r, checkInside(r, box)
	}
	p.setDefaults()
	shownW, shownH := box.Width(), box.Height()
	if rotate%180 != 0 {
		shownW, shownH = shownH, shownW
	}
	x, y := p.Margin, p.Margin+float64(p.Slot)*p.Height
	if p.Corner == BottomRight || p.Corner == TopRight {
		x = shownW - p.Margin - p.Width
	}
	if p.Corner == TopRight || p.Corner == TopLeft {
		y = shownH - p.Margin - p.Height - float64(p.Slot)*p.Height
	}
	if p.At != nil {
		x, y = p.At[0], p.At[1]
	}
	r := toPage(box, rotate, NewRect(x, y, x+p.Width, y+p.Height))
	return r, checkInside(r, box)
}

func (p *Placement) setDefaults() {
	def := func(v *float64, d float64) {
		if *v == 0 {
			*v = d
		}
	}
	def(&p.Width, defaultWidth)
	def(&p.Height, defaultHeight)
	def(&p.Margin, defaultMargin)
}

// Area is where a seal with Free may stand on a page, in the page's own
// coordinates.
type Area struct {
	Rect
	SealWidth, SealHeight float64 // of the seal on the page before it is rotated
	Right, Top            bool    // the corner of the area to be near to
}

// Area returns where the seal may stand; box and rotate are those of [Placement.On].
func (p Placement) Area(box Rect, rotate int) (Area, error) {
	rotate = normal(rotate)
	if rotate%90 != 0 {
		return Area{}, fmt.Errorf("%w: page rotated by %d degrees", ErrPlacement, rotate)
	}
	p.setDefaults()
	a := Area{SealWidth: p.Width, SealHeight: p.Height}
	a.Rect = Rect{box.LLX + p.Margin, box.LLY + p.Margin, box.URX - p.Margin, box.URY - p.Margin}
	if rotate%180 != 0 {
		a.SealWidth, a.SealHeight = a.SealHeight, a.SealWidth
	}
	right, top := p.Corner == BottomRight || p.Corner == TopRight, p.Corner == TopLeft || p.Corner == TopRight
	switch rotate { // clockwise: what is shown below was on the right, and so on
	case 90:
		a.Right, a.Top = !top, right
	case 180:
		a.Right, a.Top = !right, !top
	case 270:
		a.Right, a.Top = top, !right
	default:
		a.Right, a.Top = right, top
	}
	if !(p.Width >= 1 && p.Height >= 1 && p.Margin >= 0) || a.Width() < a.SealWidth || a.Height() < a.SealHeight {
		return Area{}, fmt.Errorf("%w: the page is too small", ErrPlacement)
	}
	return a, nil
}

func normal(rotate int) int { return ((rotate % 360) + 360) % 360 }

func checkInside(r, box Rect) error {
	const slack = 0.01
	for _, v := range []float64{r.LLX, r.LLY, r.URX, r.URY} {
		if math.IsNaN(v) || math.Abs(v) > maxSide*10 {
			return fmt.Errorf("%w: coordinates out of range", ErrPlacement)
		}
	}
	if r.Width() < 1 || r.Height() < 1 || r.LLX < box.LLX-slack || r.LLY < box.LLY-slack || r.URX > box.URX+slack || r.URY > box.URY+slack {
		return fmt.Errorf("%w: it is outside the page", ErrPlacement)
	}
	return nil
}

// toPage maps a rectangle of the page as shown, with the origin at its lower
// left, to the page's own coordinates. /Rotate turns the page clockwise.
func toPage(box Rect, rotate int, r Rect) Rect {
	point := func(x, y float64) (float64, float64) {
		switch rotate {
		case 90:
			return box.URX - y, box.LLY + x
		case 180:
			return box.URX - x, box.URY - y
		case 270:
			return box.LLX + y, box.URY - x
		default:
			return box.LLX + x, box.LLY + y
		}
	}
	x0, y0 := point(r.LLX, r.LLY)
	x1, y1 := point(r.URX, r.URY)
	return NewRect(x0, y0, x1, y1)
}

// matrix turns the seal so that it stands upright on a page with /Rotate.
func matrix(rotate int) string {
	switch rotate {
	case 90:
		return "[0 1 -1 0 0 0]"
	case 180:
		return "[-1 0 0 -1 0 0]"
	case 270:
		return "[0 -1 1 0 0 0]"
	default:
		return "[1 0 0 1 0 0]"
	}
}
