package pades

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// maxChanges is how many changes a report lists.
const maxChanges = 1000

// compare judges every revision after the first signature: each is compared
// with the one before it, and every object that it adds or changes must be
// explained by a rule. What no rule explains is forbidden.
func (v *verifier) compare(ctx context.Context) error {
	revs, err := v.f.Revisions()
	if err != nil {
		return err
	}
	first := v.first(len(revs))
	v.worst = make([]ChangeClass, len(revs))
	if first+1 >= len(revs) {
		return nil
	}
	refs := v.refs
	if refs == nil {
		var objects view
		if refs, objects, err = newRefIndex(v.f, first); err == nil {
			err = walk(ctx, objects.f, objects.fn)
		}
		if err != nil {
			return v.unreadable(first+1, err)
		}
	}
	var before *cos.File
	for i := first + 1; i < len(revs); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := v.step(ctx, i, refs, before)
		if err == nil {
			err = s.run()
		}
		if err != nil {
			return v.unreadable(i, err)
		}
		before = s.b
		v.record(s)
		if err := refs.add(s.b, i); err != nil {
			return v.unreadable(i, err)
		}
	}
	return nil
}

// first returns the first revision that a signature ends, n if none does.
func (v *verifier) first(n int) int {
	for _, c := range v.sigs {
		if c.Revision >= 0 {
			n = min(n, c.Revision)
		}
	}
	return n
}

// unreadable marks all revisions from i on as not understood, if the cause
// lies in the file.
func (v *verifier) unreadable(i int, err error) error {
	if !inFile(err) {
		return err
	}
	for k := i; k < len(v.worst); k++ {
		v.worst[k] = Forbidden
	}
	v.changes = append(v.changes, Change{Revision: i + 1, Class: Forbidden, Kind: "unreadable", Detail: err.Error()})
	return nil
}

// inFile reports whether the cause of an error lies in the file.
func inFile(err error) bool {
	var c *cos.Error
	var r *RefusedError
	return errors.As(err, &c) || errors.As(err, &r)
}

func (v *verifier) record(s *step) {
	class := Extension
	rank := []ChangeClass{Extension, Allowed, Unproven, Forbidden}
	for _, c := range s.changes {
		if slices.Index(rank, c.Class) > slices.Index(rank, class) {
			class = c.Class
		}
		switch {
		case len(v.changes) < maxChanges:
			v.changes = append(v.changes, c)
		case len(v.changes) == maxChanges:
			v.changes = append(v.changes, Change{Revision: c.Revision, Class: c.Class, Kind: "structure", Detail: "more changes follow"})
			v.Warn(WarnTruncated, "not all changes are listed")
		}
	}
	v.worst[s.rev] = class
}

// step is the comparison of one revision with the one before it.
type step struct {
	ctx     context.Context // of Verify; a step lives no longer
	v       *verifier
	rev     int // of b, from 0
	a, b    *cos.File
	refs    *refIndex
	added   map[uint32]bool // objects that a does not define
	changed map[uint32]bool // objects that both define, differently
	claimed map[uint32]string
	perm    Permission // that signatures in a leave
	sigsA   []existing
	fresh   map[uint32]bool // new signature fields
	widgets map[uint32]bool // and their widgets
	changes []Change
}

// step begins the comparison of revision i with the one before it, which is
// opened unless it is given.
func (v *verifier) step(ctx context.Context, i int, refs *refIndex, a *cos.File) (*step, error) {
	var err error
	if a == nil {
		if a, err = v.f.AtRevision(i - 1); err != nil {
			return nil, err
		}
	}
	b, err := v.f.AtRevision(i)
	if err != nil {
		return nil, err
	}
	s := &step{
		ctx: ctx, v: v, rev: i, a: a, b: b, refs: refs, added: map[uint32]bool{}, changed: map[uint32]bool{},
		claimed: map[uint32]string{}, fresh: map[uint32]bool{}, widgets: map[uint32]bool{},
	}
	if s.sigsA, _, err = signatureFields(a); err != nil {
		return nil, err
	}
	s.perm = strictest(s.sigsA)
	return s, nil
}

func (s *step) run() error {
	for _, rule := range []func() error{s.entries, s.unambiguous, s.tiling, s.trailer, s.fields, s.catalog, s.pages, s.leftovers} {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

func (s *step) note(class ChangeClass, kind, field string, object uint32, format string, args ...any) {
	s.changes = append(s.changes, Change{Revision: s.rev + 1, Class: class, Kind: kind, Field: field, Object: object, Detail: fmt.Sprintf(format, args...)})
}

func (s *step) forbid(kind string, object uint32, format string, args ...any) {
	s.note(Forbidden, kind, "", object, format, args...)
}

// allow notes a change that needs a permission of a certification.
func (s *step) allow(class ChangeClass, kind, field string, object uint32, format string, args ...any) {
	if s.perm == NoChanges {
		s.note(Forbidden, kind, field, object, "the certification allows no changes: "+format, args...)
		return
	}
	s.note(class, kind, field, object, format, args...)
}

// entries sorts the objects that the revision lists into new and changed ones.
func (s *step) entries() error {
	return s.v.f.Added(s.rev, func(num uint32, _ cos.Entry) error {
		old, err := s.a.Lookup(num)
		if err != nil {
			return err
		}
		now, err := s.b.Lookup(num)
		if err != nil {
			return err
		}
		gone := func(e cos.Entry) bool { return e.Kind == cos.Absent || e.Kind == cos.Free }
		switch {
		case old == now || gone(old) && gone(now):
		case gone(now):
			s.forbid("structure", num, "object is deleted")
		case gone(old):
			s.added[num] = true
			if s.refs.any(num) {
				s.forbid("structure", num, "defines an object that was referred to before")
			}
		default:
			same, err := s.rewritten(num, old, now)
			if !same {
				s.changed[num] = true
			}
			return err
		}
		return nil
	})
}

// unambiguous forbids new and changed objects in which a key is written twice,
// before or after: readers disagree about which one counts.
func (s *step) unambiguous() error {
	for _, n := range slices.Sorted(maps.Keys(s.changed)) {
		if err := s.once(s.a, n); err != nil {
			return err
		}
	}
	for _, set := range []map[uint32]bool{s.added, s.changed} {
		for _, n := range slices.Sorted(maps.Keys(set)) {
			if err := s.once(s.b, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *step) once(f *cos.File, n uint32) error {
	o, err := objectNumbered(f, n)
	if err != nil {
		return err
	}
	if _, dup := o.Value.Duplicate(); dup {
		s.forbid("structure", n, "a key is written twice")
	}
	return nil
}

// rewritten reports whether an object is written again with the same content.
func (s *step) rewritten(num uint32, old, now cos.Entry) (bool, error) {
	a, err := s.a.Get(cos.Ref{Num: num, Gen: old.Gen})
	if err != nil {
		return false, err
	}
	b, err := s.b.Get(cos.Ref{Num: num, Gen: now.Gen})
	if err != nil {
		return false, err
	}
	if old.Gen != now.Gen || (a.Stream == nil) != (b.Stream == nil) || !cos.Equal(a.Value, b.Value) {
		return false, nil
	}
	if a.Stream == nil {
		return true, nil
	}
	return sameStream(s.a, a, s.b, b)
}

// sameStream compares the data of two streams as they are stored.
func sameStream(fa *cos.File, a *cos.Object, fb *cos.File, b *cos.Object) (bool, error) {
	if a.Stream.Length != b.Stream.Length {
		return false, nil
	}
	const chunk = 64 << 10
	for off := int64(0); off < a.Stream.Length; off += chunk {
		n := int(min(chunk, a.Stream.Length-off))
		x, err := readAt(fa.Reader(), a.Stream.Offset+off, n)
		if err != nil {
			return false, err
		}
		y, err := readAt(fb.Reader(), b.Stream.Offset+off, n)
		if err != nil || !bytes.Equal(x, y) {
			return false, err
		}
	}
	return true, nil
}

// claim explains an object by a role. It reports whether the object is one of
// this revision. An older object that plays two roles is forbidden.
func (s *step) claim(num uint32, role string) bool {
	if !s.added[num] && !s.changed[num] {
		return false
	}
	if old, ok := s.claimed[num]; ok && old != role && s.changed[num] {
		s.forbid("structure", num, "object is both %s and %s", old, role)
	}
	s.claimed[num] = role
	return true
}

// claimOnly claims a changed object if nothing but the owners referred to it
// before: it could otherwise also be something else.
func (s *step) claimOnly(num uint32, role string, owners ...uint32) {
	if s.changed[num] && !s.refs.only(num, owners...) {
		s.forbid("structure", num, "%s is also used elsewhere", role)
	}
	s.claim(num, role)
}

// claimNew claims the new objects that v refers to, and those that they refer
// to. Objects that were there before are no part of it.
func (s *step) claimNew(v cos.Value, role string) error {
	for todo := []cos.Value{v}; len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		var refs []cos.Ref
		d.Refs(func(r cos.Ref) bool {
			if s.added[r.Num] && s.claimed[r.Num] == "" {
				s.claimed[r.Num] = role
				refs = append(refs, r)
			}
			return true
		})
		for _, r := range refs {
			o, err := s.b.Get(r)
			if err != nil {
				return err
			}
			todo = append(todo, o.Value)
		}
	}
	return nil
}

// leftovers forbids what no rule has explained.
func (s *step) leftovers() error {
	var nums []uint32
	for _, set := range []map[uint32]bool{s.added, s.changed} {
		for n := range set {
			if s.claimed[n] == "" {
				nums = append(nums, n)
			}
		}
	}
	slices.Sort(nums)
	for _, n := range nums {
		e, err := s.b.Lookup(n)
		if err != nil {
			return err
		}
		o, err := s.b.Get(cos.Ref{Num: n, Gen: e.Gen})
		if err != nil {
			return err
		}
		kind := "content"
		what := o.Value.Get("Type").Name()
		if what == "" {
			what = o.Value.Kind().String()
		}
		switch {
		case s.added[n] && unused(o):
			s.note(Extension, "structure", "", n, "object that nothing refers to")
		case s.added[n]:
			s.forbid(kind, n, "new object that nothing harmless needs: %s", printable(what))
		default:
			s.forbid(kind, n, "changed object: %s", printable(what))
		}
	}
	return nil
}

// unused reports whether a new object that no rule explains can be let pass.
// Nothing reachable refers to it: what was there before does not (that is
// checked where new objects are found), and the rules claim all that they
// follow. Still, only such objects pass as careless programs leave behind, and
// none that a repairing reader could take for part of a document.
func unused(o *cos.Object) bool {
	t := o.Value.Get("Type").Name()
	if o.Stream != nil {
		return t == "XRef" || t == "" && !o.Value.Has("Subtype")
	}
	switch t {
	case "Catalog", "Pages", "Page", "Annot", "Sig", "DocTimeStamp", "OCG":
		return false
	}
	return !o.Value.Has("Kids") && !o.Value.Has("Contents") && !o.Value.Has("Root") && !o.Value.Has("Subtype")
}

// trailer compares what the trailers say of the document.
func (s *step) trailer() error {
	old, now := s.a.Trailer(), s.b.Trailer()
	if !cos.Equal(old.Get("Root"), now.Get("Root")) {
		s.forbid("structure", 0, "another catalog")
	}
	return s.info(old.Get("Info"), now.Get("Info"))
}
