package pades

import (
	"bytes"
	"regexp"
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
	if _, dup := b.Value.Duplicate(); dup {
		s.forbid("structure", b.Ref.Num, "a key is written twice in the catalog")
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
	if old < 0 || now < old || !b.IsNull() && now == 0 {
		s.forbid("content", catalog, "declared version changes")
	}
}

// form compares the interactive form dictionaries.
func (s *step) form(a, b place, catalog uint32) error {
	if b.v.Kind() != cos.Dict || !a.v.IsNull() && a.v.Kind() != cos.Dict {
		s.forbid("form", b.num, "the form is removed or replaced")
		return nil
	}
	if _, dup := b.v.Duplicate(); dup {
		s.forbid("structure", b.num, "a key is written twice in the form")
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
			err = s.evidence(x, y, orNum(b.num, catalog))
		case "VRI":
			err = s.vri(x, y, orNum(b.num, catalog))
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
// the same object or one with the same content.
func (s *step) evidence(a, b place, owner uint32) error {
	if b.v.Kind() != cos.Array && !b.v.IsNull() {
		s.forbid("evidence", b.num, "list of evidence of another type")
		return nil
	}
	if b.num != 0 {
		s.claimOnly(b.num, "evidence", owner)
	}
	have := map[cos.Ref]bool{}
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
			if err := s.newEvidence(r); err != nil {
				return err
			}
		}
	}
	for _, e := range a.v.Elems() {
		r, _ := e.Ref()
		if have[r] {
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

// newEvidence claims a stream and, where it is one, the object of its length.
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

// vri compares the dictionaries of validation-related information.
func (s *step) vri(a, b place, owner uint32) error {
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
		if y.v.IsNull() && !x.v.IsNull() {
			s.forbid("evidence", b.num, "validation-related information is removed")
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
			if err := s.evidence(p, q, orNum(y.num, orNum(b.num, owner))); err != nil {
				return err
			}
		}
		if err := s.claimNew(y.v.Get("TS"), "evidence"); err != nil {
			return err
		}
	}
	return nil
}

// info compares the document information dictionaries: only the date of
// modification and the program's name may change.
func (s *step) info(a, b cos.Value) error {
	x, y, err := s.pair(a, b)
	if err != nil {
		return err
	}
	if y.v.IsNull() && !x.v.IsNull() {
		s.forbid("metadata", y.num, "the document information is removed")
		return nil
	}
	if y.num != 0 {
		s.claimOnly(y.num, "document information", trailerNum)
	}
	changed := false
	for _, k := range keysOf(x.v, y.v) {
		if cos.Equal(x.v.Get(k), y.v.Get(k)) {
			continue
		}
		changed = true
		if k != "ModDate" && k != "Producer" {
			s.forbid("metadata", y.num, "document information /%s changes", printable(k))
		}
		if err := s.claimNew(y.v.Get(k), "document information"); err != nil {
			return err
		}
	}
	if changed {
		s.allow(Extension, "metadata", "", y.num, "date of modification")
	}
	return nil
}

// maxMetadata is the greatest size of metadata that are compared, in bytes.
const maxMetadata = 4 << 20

// metadata compares the document's XMP metadata: dates, identifiers and
// histories of the file may change.
func (s *step) metadata(a, b place, catalog uint32) error {
	if !s.added[b.num] && !s.changed[b.num] && a.num == b.num {
		return nil
	}
	if b.obj == nil || b.obj.Stream == nil || !a.v.IsNull() && (a.obj == nil || a.obj.Stream == nil) {
		s.forbid("metadata", b.num, "metadata of another type")
		return nil
	}
	s.claimOnly(b.num, "metadata", catalog)
	if a.v.IsNull() {
		s.allow(Allowed, "metadata", "", b.num, "metadata are added")
		return nil
	}
	if a.obj.Stream.Length > maxMetadata || b.obj.Stream.Length > maxMetadata {
		s.forbid("metadata", b.num, "metadata too long to be compared")
		return nil
	}
	old, err := s.a.Decode(a.obj)
	if err != nil {
		return err
	}
	now, err := s.b.Decode(b.obj)
	if err != nil {
		return err
	}
	if !bytes.Equal(steadyXMP(old), steadyXMP(now)) {
		s.forbid("metadata", b.num, "metadata change")
		return nil
	}
	s.allow(Extension, "metadata", "", b.num, "dates in metadata")
	return nil
}

// steadyXMP returns XMP without what programs change when they save a file,
// and without white space.
func steadyXMP(b []byte) []byte {
	const names = `(?:xmp:ModifyDate|xmp:MetadataDate|pdf:Producer|xmpMM:InstanceID|xmpMM:History|xmpMM:VersionID|xmpMM:RenditionClass)`
	element := regexp.MustCompile(`(?s)<` + names + `(?:\s[^>]*)?(?:/>|>.*?</` + names + `>)`)
	attribute := regexp.MustCompile(`\s` + names + `\s*=\s*(?:"[^"]*"|'[^']*')`)
	toolkit := regexp.MustCompile(`\sx:xmptk\s*=\s*(?:"[^"]*"|'[^']*')`)
	for _, re := range []*regexp.Regexp{element, attribute, toolkit} {
		b = re.ReplaceAll(b, nil)
	}
	return bytes.Join(bytes.Fields(b), nil)
}
