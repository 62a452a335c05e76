package pades

import (
	"context"
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// refIndex knows, for every object that a later revision defines, which
// objects of the revisions so far refer to it.
type refIndex struct {
	of      map[uint32][]uint32
	watches int
}

// trailerNum stands for the trailer as a referrer, and tooMany for more
// referrers than are kept.
const (
	trailerNum   = ^uint32(0)
	tooMany      = ^uint32(0) - 1
	maxReferrers = 64
	maxWatches   = 16
)

// newRefIndex begins an index: what the view shows it must still be read.
func newRefIndex(f *cos.File, first int) (*refIndex, view, error) {
	x := &refIndex{of: map[uint32][]uint32{}}
	revs, err := f.Revisions()
	if err != nil {
		return nil, view{}, err
	}
	for i := first + 1; i < len(revs); i++ {
		if err := f.Added(i, func(num uint32, _ cos.Entry) error {
			x.of[num] = nil
			return nil
		}); err != nil {
			return nil, view{}, err
		}
	}
	a, err := f.AtRevision(first)
	if err != nil {
		return nil, view{}, err
	}
	x.trailer(a.Trailer())
	return x, view{a, func(o *cos.Object) error {
		if !a.IsSection(o.Header) { // a trailer
			x.note(o.Ref.Num, o.Value)
		}
		return nil
	}}, nil
}

// trailer notes what a trailer refers to. Other entries than these two have no
// meaning for what a document shows.
func (x *refIndex) trailer(t cos.Value) {
	x.note(trailerNum, t.Get("Root"))
	x.note(trailerNum, t.Get("Info"))
}

// add reads the objects that revision i brings.
func (x *refIndex) add(f *cos.File, i int) error {
	x.trailer(f.Trailer())
	return f.Added(i, func(num uint32, _ cos.Entry) error {
		e, err := f.Lookup(num)
		if err != nil || e.Kind == cos.Free || e.Kind == cos.Absent {
			return err
		}
		o, err := f.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil {
			return err
		}
		if f.IsSection(o.Header) {
			return nil
		}
		x.note(num, o.Value)
		return nil
	})
}

// note enters the references of one object. An object that refers twice to
// another may use it in two ways.
func (x *refIndex) note(from uint32, v cos.Value) {
	var here map[uint32]int
	v.Refs(func(r cos.Ref) bool {
		list, watched := x.of[r.Num]
		if !watched {
			return true
		}
		if here == nil {
			here = map[uint32]int{}
		}
		here[r.Num]++
		switch {
		case len(list) >= maxReferrers || here[r.Num] > 1:
			x.of[r.Num] = append(list[:0], tooMany)
		case !slices.Contains(list, from):
			x.of[r.Num] = append(list, from)
		}
		return true
	})
}

// watch makes the index know the referrers of one more object, which no
// revision changes. It reads the file up to the revision again, and does so a
// few times at most.
func (x *refIndex) watch(ctx context.Context, f *cos.File, rev int, num uint32) error {
	if _, known := x.of[num]; known {
		return nil
	}
	if x.watches++; x.watches > maxWatches {
		return refuse(CodeLimit, "more than %d shared objects to look for", maxWatches)
	}
	y := &refIndex{of: map[uint32][]uint32{num: nil}}
	a, err := f.AtRevision(rev)
	if err != nil {
		return err
	}
	y.trailer(a.Trailer())
	err = walk(ctx, a, func(o *cos.Object) error {
		if !a.IsSection(o.Header) {
			y.note(o.Ref.Num, o.Value)
		}
		return nil
	})
	x.of[num] = y.of[num]
	return err
}

// any reports whether anything refers to the object.
func (x *refIndex) any(num uint32) bool { return len(x.of[num]) > 0 }

// only reports whether nothing but the owners refers to the object.
func (x *refIndex) only(num uint32, owners ...uint32) bool {
	for _, from := range x.of[num] {
		ok := false
		for _, o := range owners {
			ok = ok || from == o && o != 0
		}
		if !ok {
			return false
		}
	}
	return true
}

// referrers returns the objects that refer to num.
func (x *refIndex) referrers(num uint32) []uint32 { return x.of[num] }
