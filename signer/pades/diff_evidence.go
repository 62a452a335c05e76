package pades

import (
	"bytes"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// dss compares the document security stores, which may only grow (ISO 32000-2
// §12.8.4.3).
func (s *step) dss(a, b place, catalog uint32) error {
	if b.v.Kind() != cos.Dict || !a.v.IsNull() && a.v.Kind() != cos.Dict {
		s.forbid("evidence", b.num, "the document security store is removed or replaced")
		return nil
	}
	before := len(s.changes)
	s.claimOnly(b.num, "evidence", catalog)
	for _, k := range keysOf(a.v, b.v) {
		x, y, err := s.pair(a.v.Get(k), b.v.Get(k))
		if err != nil {
			return err
		}
		switch k {
		case "Certs", "CRLs", "OCSPs":
			err = s.evidence(x, y, orNum(b.num, catalog), nil)
		case "VRI":
			var main map[cos.Ref]bool
			if main, err = s.mainLists(b.v); err == nil {
				err = s.vri(x, y, orNum(b.num, catalog), main)
			}
		case "Type":
		default:
			if !cos.Equal(x.v, y.v) {
				s.forbid("evidence", b.num, "entry /%s of the document security store changes", printable(k))
			}
		}
		if err != nil {
			return err
		}
	}
	if len(s.changes) == before && (s.claimedRole("evidence") || !cos.Equal(a.v, b.v)) {
		s.note(Extension, "evidence", "", b.num, "evidence for signatures")
	}
	return nil
}

func (s *step) claimedRole(role string) bool {
	for _, r := range s.claimed {
		if r == role {
			return true
		}
	}
	return false
}

// evidence compares arrays of streams: all that were there must still be, as
// the same object or one with the same content, or in the lists that elsewhere
// names.
func (s *step) evidence(a, b place, owner uint32, elsewhere map[cos.Ref]bool) error {
	if b.v.Kind() != cos.Array && !b.v.IsNull() {
		s.forbid("evidence", b.num, "list of evidence of another type")
		return nil
	}
	if b.num != 0 {
		s.claimOnly(b.num, "evidence", owner)
	}
	had, have := map[cos.Ref]bool{}, map[cos.Ref]bool{}
	for _, e := range a.v.Elems() {
		if r, ok := e.Ref(); ok {
			had[r] = true
		}
	}
	var fresh []cos.Ref
	for _, e := range b.v.Elems() {
		r, ok := e.Ref()
		if !ok {
			s.forbid("evidence", b.num, "evidence that is no reference")
			return nil
		}
		have[r] = true
		if s.added[r.Num] {
			fresh = append(fresh, r)
		}
		if !had[r] {
			if err := s.newEvidence(r); err != nil {
				return err
			}
		}
	}
	for _, e := range a.v.Elems() {
		r, _ := e.Ref()
		if have[r] || elsewhere[r] {
			continue
		}
		kept, err := s.keptAs(r, fresh)
		if err != nil {
			return err
		}
		if !kept {
			s.forbid("evidence", b.num, "evidence is removed")
			return nil
		}
	}
	return nil
}

// newEvidence wants a stream and claims it where it is new, and the object of
// its length.
func (s *step) newEvidence(r cos.Ref) error {
	o, err := s.b.Get(r)
	if err != nil {
		return err
	}
	if o.Stream == nil {
		s.forbid("evidence", r.Num, "evidence that is no stream")
		return nil
	}
	s.claim(r.Num, "evidence")
	if n, ok := o.Value.Get("Length").Ref(); ok && s.added[n.Num] {
		s.claim(n.Num, "evidence")
	}
	return nil
}

// keptAs reports whether one of the new streams has the content of an old one.
func (s *step) keptAs(r cos.Ref, fresh []cos.Ref) (bool, error) {
	a, err := s.a.Get(r)
	if err != nil {
		return false, err
	}
	if a.Stream == nil {
		return !a.Exists(), nil
	}
	old, err := s.a.Decode(a)
	if err != nil {
		return false, err
	}
	for _, n := range fresh {
		b, err := s.b.Get(n)
		if err != nil {
			return false, err
		}
		if b.Stream == nil {
			continue
		}
		now, err := s.b.Decode(b)
		if err != nil {
			return false, err
		}
		if bytes.Equal(old, now) {
			return true, nil
		}
	}
	return false, nil
}

// mainLists returns what the lists of a document security store refer to.
func (s *step) mainLists(dss cos.Value) (map[cos.Ref]bool, error) {
	m := map[cos.Ref]bool{}
	for _, k := range []string{"Certs", "CRLs", "OCSPs"} {
		list, err := s.b.Resolve(dss.Get(k))
		if err != nil {
			return nil, err
		}
		for _, e := range list.Elems() {
			if r, ok := e.Ref(); ok {
				m[r] = true
			}
		}
	}
	return m, nil
}

// vri compares the dictionaries of validation-related information. They are an
// index of the lists of the store: some writers make an entry anew, with the
// latest evidence alone, and what it named before stays in those lists.
func (s *step) vri(a, b place, owner uint32, main map[cos.Ref]bool) error {
	if b.v.Kind() != cos.Dict && !b.v.IsNull() {
		s.forbid("evidence", b.num, "validation-related information of another type")
		return nil
	}
	if b.num != 0 {
		s.claimOnly(b.num, "evidence", owner)
	}
	for _, k := range keysOf(a.v, b.v) {
		x, y, err := s.pair(a.v.Get(k), b.v.Get(k))
		if err != nil {
			return err
		}
		if y.v.Kind() != cos.Dict && !(x.v.IsNull() && y.v.IsNull()) {
			s.forbid("evidence", b.num, "validation-related information is removed or of another type")
			continue
		}
		if y.num != 0 {
			s.claimOnly(y.num, "evidence", orNum(b.num, owner))
		}
		for _, list := range []string{"Cert", "CRL", "OCSP"} {
			p, q, err := s.pair(x.v.Get(list), y.v.Get(list))
			if err != nil {
				return err
			}
			if err := s.evidence(p, q, orNum(y.num, orNum(b.num, owner)), main); err != nil {
				return err
			}
		}
		if err := s.claimNew(y.v.Get("TS"), "evidence"); err != nil {
			return err
		}
	}
	return nil
}
