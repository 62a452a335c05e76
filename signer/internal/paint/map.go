package paint

import "math"

// Map says which places of a page are painted, in cells of a grid.
type Map struct {
	box     Rect
	cell    float64
	w, h    int
	sums    []int32 // (w+1) by (h+1): before [Map.settle] differences, then the painted cells below and left
	all     bool
	settled bool
	// Reason says why the whole page counts as painted, "" if it does not.
	Reason string
}

const (
	maxCells = 1500 // along a side
	edge     = 1.0  // points by which renderers blur what they paint
)

// newMap is for a page with that visible box; point is one point in its units.
func newMap(box Rect, point float64) *Map {
	m := &Map{box: box}
	wide, high := box.X1-box.X0, box.Y1-box.Y0
	m.cell = math.Max(2*point, math.Max(wide, high)/maxCells)
	m.w, m.h = int(math.Ceil(wide/m.cell)), int(math.Ceil(high/m.cell))
	m.sums = make([]int32, (m.w+1)*(m.h+1))
	return m
}

// cells returns the range of cells [x0, x1) by [y0, y1) that r touches.
func (m *Map) cells(r Rect) (x0, y0, x1, y1 int) {
	at := func(v, from float64, n int) (int, int) {
		v = (v - from) / m.cell
		v = math.Max(0, math.Min(v, float64(n)))
		return int(math.Floor(v)), int(math.Ceil(v))
	}
	x0, _ = at(r.X0, m.box.X0, m.w)
	_, x1 = at(r.X1, m.box.X0, m.w)
	y0, _ = at(r.Y0, m.box.Y0, m.h)
	_, y1 = at(r.Y1, m.box.Y0, m.h)
	return x0, y0, x1, y1
}

// mark notes that r is painted.
func (m *Map) mark(r Rect) {
	if !r.sound() {
		m.all = true
		return
	}
	x0, y0, x1, y1 := m.cells(r)
	if m.all || x0 >= x1 || y0 >= y1 {
		return
	}
	row := m.w + 1
	m.sums[y0*row+x0]++
	m.sums[y0*row+x1]--
	m.sums[y1*row+x0]--
	m.sums[y1*row+x1]++
}

// settle turns the differences into the numbers of painted cells below and
// left of each corner.
func (m *Map) settle() {
	if m.settled {
		return
	}
	m.settled = true
	row := m.w + 1
	for y := range m.h + 1 {
		for x := range row {
			if x > 0 {
				m.sums[y*row+x] += m.sums[y*row+x-1]
			}
		}
	}
	for y := 1; y <= m.h; y++ {
		for x := range row {
			m.sums[y*row+x] += m.sums[(y-1)*row+x]
		}
	}
	out := make([]int32, len(m.sums))
	for y := range m.h {
		line := int32(0)
		for x := range m.w {
			if m.sums[y*row+x] > 0 {
				line++
			}
			out[(y+1)*row+x+1] = out[y*row+x+1] + line
		}
	}
	m.sums = out
}

// Free reports whether nothing is painted within r, as far as it is on the page.
func (m *Map) Free(r Rect) bool {
	m.settle()
	if m.all || !r.sound() {
		return false
	}
	x0, y0, x1, y1 := m.cells(r)
	if x0 >= x1 || y0 >= y1 {
		return true
	}
	row := m.w + 1
	return m.sums[y1*row+x1]-m.sums[y0*row+x1]-m.sums[y1*row+x0]+m.sums[y0*row+x0] == 0
}

// Find returns the rectangle of that width and height within area that is
// nearest to a corner of area, and has nothing painted in it or within gap of
// it. right and top say which corner.
func (m *Map) Find(area Rect, width, height, gap float64, right, top bool) (Rect, bool) {
	m.settle()
	roomX, roomY := area.X1-area.X0-width, area.Y1-area.Y0-height
	if m.all || roomX < -1e-6 || roomY < -1e-6 || width <= 0 || height <= 0 {
		return Rect{}, false
	}
	best, found := Rect{}, false
	nearest := math.Inf(1)
	for dy := 0.0; dy <= math.Max(roomY, 0) && dy*dy < nearest; dy += m.cell {
		for dx := 0.0; dx <= math.Max(roomX, 0) && dx*dx+dy*dy < nearest; dx += m.cell {
			r := Rect{X0: area.X0 + dx, Y0: area.Y0 + dy}
			if right {
				r.X0 = area.X1 - width - dx
			}
			if top {
				r.Y0 = area.Y1 - height - dy
			}
			r.X1, r.Y1 = r.X0+width, r.Y0+height
			if m.Free(r.grow(gap)) {
				best, found, nearest = r, true, dx*dx+dy*dy
				break
			}
		}
	}
	return best, found
}
