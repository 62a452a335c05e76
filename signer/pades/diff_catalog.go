package pades

import (
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// place is a value and the object that holds it, 0 if it is written directly.
type place struct {
	num uint32
	v   cos.Value
	obj *cos.Object
}

// at follows one reference.
func at(f *cos.File, v cos.Value) (place, error) {
	r, ok := v.Ref()
	if !ok {
		return place{v: v}, nil
	}
	o, err := f.Get(r)
	if err != nil {
		return place{}, err
	}
	if o.Value.Kind() == cos.Reference {
		return place{}, refuse(CodeAmbiguous, "reference to a reference")
	}
	return place{num: r.Num, v: o.Value, obj: o}, nil
}

// pair follows the values of a key in both revisions.
func (s *step) pair(a, b cos.Value) (place, place, error) {
	x, err := at(s.a, a)
	if err != nil {
		return x, x, err
	}
	y, err := at(s.b, b)
	return x, y, err
}

// keysOf returns the keys of two dictionaries, sorted.
func keysOf(a, b cos.Value) []string {
	var keys []string
	for _, d := range []cos.Value{a, b} {
		for i := range d.Len() {
			if d.Kind() == cos.Dict {
				k, _ := d.Entry(i)
				keys = append(keys, k.Name())
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// catalog compares the document catalogs.
func (s *step) catalog() error {
	a, err := s.a.Catalog()
	if err != nil {
		return err
	}
	b, err := s.b.Catalog()
	if err != nil {
		return err
	}
	s.claim(b.Ref.Num, "catalog")
	for _, k := range keysOf(a.Value, b.Value) {
		x, y, err := s.pair(a.Value.Get(k), b.Value.Get(k))
		if err != nil {
			return err
		}
		switch k {
		case "AcroForm":
			err = s.form(x, y, b.Ref.Num)
		case "DSS":
			err = s.dss(x, y, b.Ref.Num)
		case "Extensions":
			_, err = s.additive(x, y, "extensions", b.Ref.Num, 3)
		case "Metadata":
			err = s.metadata(x, y, b.Ref.Num)
		case "Version":
			s.version(x.v, y.v, b.Ref.Num)
		default:
			if !cos.Equal(a.Value.Get(k), b.Value.Get(k)) {
				s.forbid("content", b.Ref.Num, "catalog entry /%s changes", printable(k))
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// version compares the versions of PDF that the catalogs declare, which may rise.
func (s *step) version(a, b cos.Value, catalog uint32) {
	known := []string{"", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "2.0"}
	old, now := slices.Index(known, a.Name()), slices.Index(known, b.Name())
	if !cos.Equal(a, b) && (old < 0 || now < old || !b.IsNull() && now == 0) {
		s.forbid("content", catalog, "declared version changes")
	}
}

// form compares the interactive form dictionaries.
func (s *step) form(a, b place, catalog uint32) error {
	if b.v.Kind() != cos.Dict || !a.v.IsNull() && a.v.Kind() != cos.Dict {
		s.forbid("form", b.num, "the form is removed or replaced")
		return nil
	}
	s.claimOnly(b.num, "form", catalog)
	for _, k := range keysOf(a.v, b.v) {
		x, y := a.v.Get(k), b.v.Get(k)
		switch k {
		case "Fields":
			if err := s.list(x, y, "fields", s.fresh, orNum(b.num, catalog), orNum(a.num, catalog)); err != nil {
				return err
			}
		case "SigFlags":
			n, _ := x.Int()
			m, ok := y.Int()
			if !ok || n&^m != 0 || m&^n&^3 != 0 {
				s.forbid("form", b.num, "signature flags change")
			}
		case "DR":
			if err := s.resources(x, y, orNum(b.num, catalog)); err != nil {
				return err
			}
		case "DA":
			if !x.IsNull() && !cos.Equal(x, y) {
				s.forbid("form", b.num, "default appearance changes")
			}
		case "NeedAppearances":
			if now, _ := y.Bool(); now && !cos.Equal(x, y) {
				s.forbid("form", b.num, "viewers are told to draw the fields anew")
			}
		default:
			if !cos.Equal(x, y) {
				s.forbid("form", b.num, "form entry /%s changes", printable(k))
			}
		}
	}
	return nil
}

// resources compares the form's default resources. Fonts and the like may only
// be added. Form XObjects there are used by nothing (default appearances can
// name fonts only, §12.7.4.3), but some programs keep their newest seal there.
func (s *step) resources(a, b cos.Value, owner uint32) error {
	x, y, err := s.pair(a, b)
	if err != nil {
		return err
	}
	if x.v.Kind() != cos.Dict || y.v.Kind() != cos.Dict {
		_, err = s.additive(x, y, "form resources", owner, 4)
		return err
	}
	if y.num != 0 {
		s.claimOnly(y.num, "form resources", owner)
	}
	for _, k := range keysOf(x.v, y.v) {
		p, q, err := s.pair(x.v.Get(k), y.v.Get(k))
		if err != nil {
			return err
		}
		if k == "XObject" && q.v.Kind() == cos.Dict {
			if q.num != 0 {
				s.claimOnly(q.num, "form resources", orNum(y.num, owner))
			}
			err = s.claimNew(q.v, "form resources")
		} else {
			_, err = s.additive(p, q, "form resources", orNum(y.num, owner), 3)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func orNum(n, other uint32) uint32 {
	if n != 0 {
		return n
	}
	return other
}

// list compares arrays of references that may only grow at their end. What is
// new in them must be in fresh, and is there once.
func (s *step) list(a, b cos.Value, role string, fresh map[uint32]bool, owners ...uint32) error {
	x, y, err := s.pair(a, b)
	if err != nil {
		return err
	}
	if !x.v.IsNull() && x.v.Kind() != cos.Array || !y.v.IsNull() && y.v.Kind() != cos.Array {
		s.forbid("structure", y.num, "list of %s of another type", role)
		return nil
	}
	if s.changed[y.num] || s.added[y.num] {
		if s.claimed[y.num] == role && x.num == y.num {
			return nil // reached by way of its page already
		}
		s.claimOnly(y.num, role, owners...)
	}
	old, now := x.v.Elems(), y.v.Elems()
	if len(now) < len(old) {
		s.forbid("content", y.num, "list of %s loses elements", role)
		return nil
	}
	for i, e := range old {
		if !cos.Equal(e, now[i]) {
			s.forbid("content", y.num, "list of %s changes", role)
			return nil
		}
	}
	for _, e := range now[len(old):] {
		r, ok := e.Ref()
		if !ok || !fresh[r.Num] {
			s.forbid("content", y.num, "list of %s gets something else than a signature field", role)
		}
		delete(fresh, r.Num)
	}
	return nil
}

// additive compares dictionaries to which entries may be added, down to a
// depth. Entries that were there must stay. It reports whether anything is new.
func (s *step) additive(a, b place, role string, owner uint32, depth int) (bool, error) {
	if b.v.IsNull() && !a.v.IsNull() || depth < 0 {
		s.forbid("content", b.num, "%s: entries are removed", role)
		return false, nil
	}
	if a.v.IsNull() && !b.v.IsNull() {
		if b.num != 0 && !s.added[b.num] {
			s.forbid("content", b.num, "%s: an older object gets a new role", role)
		}
		s.claim(b.num, role)
		return true, s.claimNew(b.v, role)
	}
	if a.v.Kind() != cos.Dict || b.v.Kind() != cos.Dict || b.obj != nil && b.obj.Stream != nil {
		if a.num != b.num || s.changed[b.num] || !cos.Equal(a.v, b.v) {
			s.forbid("content", b.num, "%s: an entry changes", role)
		}
		return false, nil
	}
	if b.num != 0 {
		s.claimOnly(b.num, role, owner)
	}
	grown := false
	for _, k := range keysOf(a.v, b.v) {
		if cos.Equal(a.v.Get(k), b.v.Get(k)) {
			if r, ok := b.v.Get(k).Ref(); !ok || !s.changed[r.Num] {
				continue
			}
		}
		x, y, err := s.pair(a.v.Get(k), b.v.Get(k))
		if err != nil {
			return false, err
		}
		hit, err := s.additive(x, y, role, orNum(b.num, owner), depth-1)
		if err != nil {
			return false, err
		}
		grown = grown || hit
	}
	return grown, nil
}
