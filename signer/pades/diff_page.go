package pades

import (
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// pages explains changed pages and lists of annotations: only widgets of new
// signature fields may be added to them.
func (s *step) pages() error {
	nums := make([]uint32, 0, len(s.changed))
	for n := range s.changed {
		if s.claimed[n] == "" {
			nums = append(nums, n)
		}
	}
	slices.Sort(nums)
	for _, n := range nums {
		a, err := objectNumbered(s.a, n)
		if err != nil {
			return err
		}
		switch {
		case a.Value.Get("Type").Name() == "Page" && a.Stream == nil:
			err = s.page(a)
		case a.Value.Get("Type").Name() == "Pages" && a.Stream == nil:
			err = s.pageNode(a)
		case a.Value.Kind() == cos.Array:
			err = s.annots(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func objectNumbered(f *cos.File, n uint32) (*cos.Object, error) {
	e, err := f.Lookup(n)
	if err != nil {
		return nil, err
	}
	return f.Get(cos.Ref{Num: n, Gen: e.Gen})
}

func (s *step) page(a *cos.Object) error {
	b, err := objectNumbered(s.b, a.Ref.Num)
	if err != nil {
		return err
	}
	if b.Ref != a.Ref {
		s.forbid("structure", a.Ref.Num, "page changes its generation")
	}
	s.compareDicts(a, b, "", "Annots", "Tabs")
	s.claim(a.Ref.Num, "page")
	if old, now := a.Value.Get("Tabs"), b.Value.Get("Tabs"); !old.IsNull() && !cos.Equal(old, now) {
		s.forbid("content", a.Ref.Num, "tab order changes")
	}
	return s.list(a.Value.Get("Annots"), b.Value.Get("Annots"), "annotations", s.widgets, a.Ref.Num)
}

// pageNode explains a node of the page tree in which a program has only put its
// own mark.
func (s *step) pageNode(a *cos.Object) error {
	b, err := objectNumbered(s.b, a.Ref.Num)
	if err != nil {
		return err
	}
	s.compareDicts(a, b, "", "ITXT")
	s.claim(a.Ref.Num, "page tree")
	return nil
}

// annots explains a changed list of annotations that is an object of its own:
// it must belong to exactly one page, which names it as such in both revisions.
func (s *step) annots(n uint32) error {
	from := s.refs.referrers(n)
	if len(from) != 1 || from[0] == trailerNum || from[0] == tooMany {
		return nil // stays unexplained
	}
	a, err := objectNumbered(s.a, from[0])
	if err != nil {
		return err
	}
	b, err := objectNumbered(s.b, from[0])
	if err != nil {
		return err
	}
	x, _ := a.Value.Get("Annots").Ref()
	y, _ := b.Value.Get("Annots").Ref()
	if a.Value.Get("Type").Name() != "Page" || x.Num != n || x != y {
		return nil
	}
	return s.list(a.Value.Get("Annots"), b.Value.Get("Annots"), "annotations", s.widgets, from[0])
}
