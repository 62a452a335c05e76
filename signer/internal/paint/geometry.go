package paint

import "math"

// Rect is a rectangle in the units of the page's user space; empty unless
// X0 < X1 and Y0 < Y1.
type Rect struct{ X0, Y0, X1, Y1 float64 }

// everywhere is what is painted without a bound that is known.
var everywhere = Rect{-1e9, -1e9, 1e9, 1e9}

// nothing grows to whatever is added.
var nothing = Rect{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}

func (r Rect) empty() bool { return !(r.X0 < r.X1 && r.Y0 < r.Y1) }

// clip returns the part of r within c. A rectangle without width keeps its place.
func (r Rect) clip(c Rect) Rect {
	return Rect{math.Max(r.X0, c.X0), math.Max(r.Y0, c.Y0), math.Min(r.X1, c.X1), math.Min(r.Y1, c.Y1)}
}

func (r Rect) grow(by float64) Rect { return Rect{r.X0 - by, r.Y0 - by, r.X1 + by, r.Y1 + by} }

func (r Rect) join(o Rect) Rect {
	return Rect{math.Min(r.X0, o.X0), math.Min(r.Y0, o.Y0), math.Max(r.X1, o.X1), math.Max(r.Y1, o.Y1)}
}

func (r Rect) add(x, y float64) Rect { return r.join(Rect{x, y, x, y}) }

// sound reports whether all four are numbers.
func (r Rect) sound() bool {
	return !math.IsNaN(r.X0) && !math.IsNaN(r.Y0) && !math.IsNaN(r.X1) && !math.IsNaN(r.Y1)
}

// matrix is a transformation (ISO 32000-2 §8.3.3): x' = a x + c y + e, y' = b x + d y + f.
type matrix [6]float64

var identity = matrix{1, 0, 0, 1, 0, 0}

// mul returns the transformation that does m first and n then.
func (m matrix) mul(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

func (m matrix) apply(x, y float64) (float64, float64) {
	return m[0]*x + m[2]*y + m[4], m[1]*x + m[3]*y + m[5]
}

// box is the smallest upright rectangle around the image of r.
func (m matrix) box(r Rect) Rect {
	out := nothing
	for _, p := range [4][2]float64{{r.X0, r.Y0}, {r.X1, r.Y0}, {r.X0, r.Y1}, {r.X1, r.Y1}} {
		x, y := m.apply(p[0], p[1])
		out = out.add(x, y)
	}
	return out
}

// scale bounds by how much m lengthens.
func (m matrix) scale() float64 {
	return math.Hypot(math.Hypot(m[0], m[1]), math.Hypot(m[2], m[3]))
}
