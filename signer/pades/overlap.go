package pades

import (
	"slices"

	"oruro.gob.bo/suti/signer/internal/appearance"
	"oruro.gob.bo/suti/signer/internal/cos"
)

// A form field can be filled in after a signature that does not forbid it, and
// then looks otherwise. That is harmless where the field is seen as what it is,
// not where it lies over other fields or over much of the page.
const (
	maxPlaces = 20_000 // fields looked at
	maxPairs  = 1000   // overlaps counted
)

// widgetPlace is where a field stands.
type widgetPlace struct {
	page  cos.Ref
	field uint32
	rect  appearance.Rect
}

// overlaps counts fields that cover another by a fifth of the smaller one, and
// fields that cover half of an ordinary page.
func (v *inspector) overlaps() error {
	var places []widgetPlace
	var inner error
	err := v.f.Fields(func(f *cos.Field) bool {
		for _, w := range f.Widgets {
			var p widgetPlace
			var shown bool
			if p, shown, inner = v.place(f, w); inner != nil {
				return false
			}
			if shown {
				places = append(places, p)
			}
		}
		return len(places) < maxPlaces
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return err
	}
	slices.SortFunc(places, func(a, b widgetPlace) int {
		switch {
		case a.page.Num != b.page.Num:
			return int(a.page.Num) - int(b.page.Num)
		case a.rect.LLX < b.rect.LLX:
			return -1
		case a.rect.LLX > b.rect.LLX:
			return 1
		}
		return 0
	})
	const halfPage = 595 * 842 / 2 // of A4, in square points
	work := 0
	for i, a := range places {
		if area(a.rect) >= halfPage {
			v.counts[FindCovering]++
		}
		for _, b := range places[i+1:] {
			if b.page != a.page || b.rect.LLX >= a.rect.URX || work >= 50*maxPlaces {
				break
			}
			work++
			if a.field != b.field && v.counts[FindOverlap] < maxPairs && common(a.rect, b.rect) > min(area(a.rect), area(b.rect))/5 {
				v.counts[FindOverlap]++
			}
		}
	}
	return nil
}

// place returns where a widget stands, and whether it is shown at all.
func (v *inspector) place(f *cos.Field, w *cos.Object) (widgetPlace, bool, error) {
	p := widgetPlace{field: f.Object.Ref.Num}
	flags, err := v.f.Resolve(w.Value.Get("F"))
	if err != nil {
		return p, false, err
	}
	const hidden = 1 << 1
	if n, _ := flags.Int(); n&hidden != 0 {
		return p, false, nil
	}
	box, err := v.f.Resolve(w.Value.Get("Rect"))
	if err != nil || box.Len() != 4 {
		return p, false, err // not this check's to complain of
	}
	if p.rect, err = readRect(v.f, box); err != nil {
		return p, false, nil
	}
	p.page, _ = w.Value.Get("P").Ref() // where it is missing, all such count as one page
	return p, p.rect.Width() > 0 && p.rect.Height() > 0, nil
}

func area(r appearance.Rect) float64 { return r.Width() * r.Height() }

// common is the area that two rectangles share.
func common(a, b appearance.Rect) float64 {
	w := min(a.URX, b.URX) - max(a.LLX, b.LLX)
	h := min(a.URY, b.URY) - max(a.LLY, b.LLY)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h
}
