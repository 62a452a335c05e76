package paint

import (
	"math"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// path is the current path, in the page's space.
type path struct {
	subs         []subpath
	x, y         float64 // current point, in user space
	startX, star float64 // where the subpath began
}

// subpath keeps the box for filling and the pieces for stroking.
type subpath struct {
	box    Rect
	pieces []piece
	slant  bool // not all pieces are upright or level
}

// piece is a straight piece, or a bit of a curve that strays by slack from it.
type piece struct{ x0, y0, x1, y1, slack float64 }

const (
	curvePieces = 16
	linePieces  = 64
	lineLength  = 8 // points: slanted lines are noted in pieces about so long
)

// doPath runs the operators of paths and those that paint without text.
func (l *level) doPath(op cos.Operation, a [6]float64) error {
	p := &l.path
	switch op.Operator {
	case "m":
		l.moveTo(a[0], a[1])
	case "l":
		l.lineTo(a[0], a[1])
	case "c":
		l.curveTo(a[0], a[1], a[2], a[3], a[4], a[5])
	case "v":
		l.curveTo(p.x, p.y, a[0], a[1], a[2], a[3])
	case "y":
		l.curveTo(a[0], a[1], a[2], a[3], a[2], a[3])
	case "h":
		l.lineTo(p.startX, p.star)
	case "re":
		x, y, w, h := a[0], a[1], a[2], a[3]
		l.moveTo(x, y)
		l.lineTo(x+w, y)
		l.lineTo(x+w, y+h)
		l.lineTo(x, y+h)
		l.lineTo(x, y)
	case "W", "W*":
		l.clipped = true
	case "s", "b", "b*":
		l.lineTo(p.startX, p.star)
		l.paintPath(op.Operator[0] == 'b', true)
	case "S":
		l.paintPath(false, true)
	case "f", "F", "f*":
		l.paintPath(true, false)
	case "B", "B*":
		l.paintPath(true, true)
	case "n":
		l.paintPath(false, false)
	case "sh":
		return l.paintAll()
	case "BI":
		l.paint(l.ctm.box(Rect{0, 0, 1, 1}))
	case "Do":
		name, err := oneName(op)
		if err != nil {
			return err
		}
		return l.external(name)
	}
	return nil
}

func (l *level) moveTo(x, y float64) {
	p := &l.path
	p.x, p.y, p.startX, p.star = x, y, x, y
	dx, dy := l.ctm.apply(x, y)
	p.subs = append(p.subs, subpath{box: nothing.add(dx, dy)})
}

// last returns the subpath that grows; one without a beginning begins where the
// current point is.
func (l *level) last() *subpath {
	if len(l.path.subs) == 0 {
		l.moveTo(l.path.x, l.path.y)
	}
	return &l.path.subs[len(l.path.subs)-1]
}

func (l *level) lineTo(x, y float64) {
	s := l.last()
	x0, y0 := l.ctm.apply(l.path.x, l.path.y)
	x1, y1 := l.ctm.apply(x, y)
	s.box = s.box.add(x1, y1)
	const level = 1e-3
	if math.Abs(x1-x0) > level && math.Abs(y1-y0) > level {
		s.slant = true
	}
	s.pieces = append(s.pieces, piece{x0, y0, x1, y1, 0})
	l.path.x, l.path.y = x, y
}

func (l *level) curveTo(x1, y1, x2, y2, x3, y3 float64) {
	s := l.last()
	s.slant = true
	var px, py [4]float64
	px[0], py[0] = l.ctm.apply(l.path.x, l.path.y)
	px[1], py[1] = l.ctm.apply(x1, y1)
	px[2], py[2] = l.ctm.apply(x2, y2)
	px[3], py[3] = l.ctm.apply(x3, y3)
	long := 0.0
	for i := 1; i < 4; i++ {
		s.box = s.box.add(px[i], py[i])
		long += math.Hypot(px[i]-px[i-1], py[i]-py[i-1])
	}
	fromX, fromY := px[0], py[0]
	for i := 1; i <= curvePieces; i++ {
		t := float64(i) / curvePieces
		u := 1 - t
		b := [4]float64{u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t}
		toX := b[0]*px[0] + b[1]*px[1] + b[2]*px[2] + b[3]*px[3]
		toY := b[0]*py[0] + b[1]*py[1] + b[2]*py[2] + b[3]*py[3]
		s.pieces = append(s.pieces, piece{fromX, fromY, toX, toY, long / 64})
		fromX, fromY = toX, toY
	}
	l.path.x, l.path.y = x3, y3
}

// paintPath paints the path, applies it as a clip where that was said, and
// begins a new one.
func (l *level) paintPath(fill, stroke bool) {
	box := nothing
	for i := range l.path.subs {
		s := &l.path.subs[i]
		box = box.join(s.box)
		if fill && !(l.white && l.normal) {
			l.paint(s.box)
		}
		if stroke {
			l.stroke(s)
		}
	}
	if l.clipped && len(l.path.subs) > 0 {
		l.clip = box.clip(l.clip)
	}
	l.clipped, l.path = false, path{}
}

// stroke notes the pieces of a subpath, as wide as the line and its joins.
func (l *level) stroke(s *subpath) {
	half := math.Max(math.Abs(l.line)*l.ctm.scale()/2, edge*l.point/2)
	switch {
	case s.slant && l.join == 0 && len(s.pieces) > 1:
		half *= math.Max(1.5, math.Abs(l.miter))
	default:
		half *= 1.5 // corners, and ends that stick out
	}
	if len(s.pieces) == 0 {
		l.paint(s.box.grow(half))
	}
	for _, p := range s.pieces {
		n := 1
		if s.slant {
			long := math.Hypot(p.x1-p.x0, p.y1-p.y0)
			n = int(math.Max(1, math.Min(linePieces, math.Ceil(long/(lineLength*l.point)))))
		}
		for i := range n {
			t0, t1 := float64(i)/float64(n), float64(i+1)/float64(n)
			r := nothing.add(p.x0+t0*(p.x1-p.x0), p.y0+t0*(p.y1-p.y0)).add(p.x0+t1*(p.x1-p.x0), p.y0+t1*(p.y1-p.y0))
			l.paint(r.grow(half + p.slack))
		}
	}
}
