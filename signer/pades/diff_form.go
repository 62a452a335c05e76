package pades

import (
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// fields compares the form fields of the two revisions.
func (s *step) fields() error {
	names := map[uint32]string{}
	touched := map[uint32]*cos.Field{}
	count := map[string]int{}
	var inner error
	err := s.b.Fields(func(f *cos.Field) bool {
		count[f.Name]++
		if f.Object.Ref.Num != 0 {
			names[f.Object.Ref.Num] = f.Name
		}
		var hit bool
		if hit, inner = s.touches(f); hit && f.Object.Ref.Num != 0 {
			touched[f.Object.Ref.Num] = f
		}
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return err
	}
	err = s.a.Fields(func(f *cos.Field) bool {
		num := f.Object.Ref.Num
		if name, ok := names[num]; num != 0 && (!ok || name != f.Name) {
			s.note(Forbidden, "form", f.Name, num, "field is removed or renamed")
			return true
		}
		if now := touched[num]; now != nil {
			inner = s.field(f, now)
			delete(touched, num)
		}
		return inner == nil
	})
	if err == nil {
		err = inner
	}
	if err != nil {
		return err
	}
	return s.newFields(touched, count)
}

// touches reports whether the revision brings anything of a field.
func (s *step) touches(f *cos.Field) (bool, error) {
	mine := func(n uint32) bool { return s.added[n] || s.changed[n] }
	if mine(f.Object.Ref.Num) {
		return true, nil
	}
	if r, ok := f.Value.Ref(); ok && mine(r.Num) {
		return true, nil
	}
	for _, w := range f.Widgets {
		hit := mine(w.Ref.Num)
		ap := w.Value.Get("AP")
		if r, ok := ap.Ref(); ok && !hit {
			hit = mine(r.Num)
			o, err := s.b.Get(r)
			if err != nil {
				return false, err
			}
			ap = o.Value
		}
		ap.Refs(func(r cos.Ref) bool {
			hit = hit || mine(r.Num)
			return !hit
		})
		if hit {
			return true, nil
		}
	}
	return false, nil
}

// newFields takes the fields that only the later revision has.
func (s *step) newFields(touched map[uint32]*cos.Field, count map[string]int) error {
	nums := make([]uint32, 0, len(touched))
	for n := range touched {
		nums = append(nums, n)
	}
	slices.Sort(nums)
	for _, n := range nums {
		f := touched[n]
		if !s.added[n] || f.Type != "Sig" || count[f.Name] != 1 || f.Name == "" || f.Object.Value.Has("Parent") {
			s.note(Forbidden, "form", f.Name, n, "new field that is no signature field of its own name")
			continue
		}
		if err := s.newSignatureField(f); err != nil {
			return err
		}
	}
	return nil
}

// Keys that a new signature field and its widget may have.
var widgetKeys = []string{
	"Type", "Subtype", "FT", "T", "TU", "TM", "F", "Ff", "Rect", "P", "V", "AP", "AS", "Kids", "Parent", "Lock", "SV", "MK", "DA", "DR", "Q", "H",
	"BS", "Border", "M", "NM", "StructParent", "Contents",
}

func (s *step) newSignatureField(f *cos.Field) error {
	if locked(s.sigsA, f.Name) && !s.isStamp(f) {
		s.note(Forbidden, "form", f.Name, f.Object.Ref.Num, "an earlier signature locks all fields")
	}
	objs := append([]*cos.Object{f.Object}, f.Widgets...)
	for _, o := range objs {
		if !s.added[o.Ref.Num] {
			s.note(Forbidden, "form", f.Name, o.Ref.Num, "new field with an older widget")
			return nil
		}
		for i := range o.Value.Len() {
			if k, _ := o.Value.Entry(i); !slices.Contains(widgetKeys, k.Name()) {
				s.note(Forbidden, "form", f.Name, o.Ref.Num, "new signature field with an entry that is not known to be harmless: /%s", printable(k.Name()))
				return nil
			}
		}
		kind, sub := o.Value.Get("Type"), o.Value.Get("Subtype")
		if !kind.IsNull() && kind.Name() != "Annot" || !sub.IsNull() && sub.Name() != "Widget" {
			s.note(Forbidden, "form", f.Name, o.Ref.Num, "new signature field that is another kind of annotation too")
			return nil
		}
		s.claim(o.Ref.Num, "signature field")
		for _, key := range []string{"AP", "Lock", "SV", "MK", "DR", "BS", "Kids"} {
			if err := s.claimNew(o.Value.Get(key), "signature field"); err != nil {
				return err
			}
		}
	}
	s.fresh[f.Object.Ref.Num] = true
	for _, w := range f.Widgets {
		s.widgets[w.Ref.Num] = w.Value.Get("Subtype").Name() == "Widget" // a page may list no other
	}
	visible, err := s.visible(f)
	if err != nil {
		return err
	}
	if !f.Value.IsNull() {
		return s.signing(f, visible, true)
	}
	return s.newEmptyField(f, visible)
}

// newEmptyField judges a signature field that is made but not signed. Nobody
// answers for what it shows, so it must show nothing.
func (s *step) newEmptyField(f *cos.Field, visible bool) error {
	num := f.Object.Ref.Num
	if s.perm != Uncertified && s.perm != AlsoAnnotations {
		s.note(Forbidden, "form", f.Name, num, "the certification allows no new field")
		return nil
	}
	for _, w := range f.Widgets {
		empty, err := emptyLooks(s.b, w)
		if err != nil {
			return err
		}
		if visible && !empty {
			s.note(Forbidden, "form", f.Name, num, "new field that shows something and that nobody signed")
			return nil
		}
	}
	s.allow(Allowed, "form", f.Name, num, "new empty signature field")
	return nil
}

// isStamp reports whether the field holds a document time-stamp, which no lock
// is about.
func (s *step) isStamp(f *cos.Field) bool {
	for _, x := range s.v.sigs {
		if x.field.Object.Ref == f.Object.Ref && x.token != nil {
			return true
		}
	}
	return false
}

// visible reports whether any widget of a field shows on a page.
func (s *step) visible(f *cos.Field) (bool, error) {
	const hidden = 1 << 1 // NoView is not enough: such a widget is printed
	for _, w := range f.Widgets {
		flags, err := s.b.Resolve(w.Value.Get("F"))
		if err != nil {
			return false, err
		}
		if n, _ := flags.Int(); n&hidden != 0 {
			continue
		}
		r, err := readRect(s.b, w.Value.Get("Rect"))
		if err != nil {
			return false, err
		}
		if r.Width() != 0 && r.Height() != 0 {
			return true, nil
		}
	}
	return false, nil
}

// signing judges that a field has got a signature: it must be the one that
// ends this revision.
func (s *step) signing(f *cos.Field, visible, isNew bool) error {
	num := f.Object.Ref.Num
	r, ok := f.Value.Ref()
	if !ok || !s.added[r.Num] {
		s.note(Forbidden, "signature", f.Name, num, "signature field gets a value that is not a new object")
		return nil
	}
	if err := s.claimNew(f.Value, "signature"); err != nil {
		return err
	}
	var c *candidate
	for _, x := range s.v.sigs {
		if x.field.Object.Ref == f.Object.Ref && x.dict.Ref == r && x.Revision == s.rev {
			c = x
		}
	}
	switch {
	case c == nil, c.Indication == TotalFailed && !(c.Intact && c.SubIndication == SubRevoked):
		s.note(Forbidden, "signature", f.Name, num, "the later signature is not valid")
	case !c.Intact:
		s.note(Unproven, "signature", f.Name, num, "the later signature cannot be judged")
	case c.token != nil && !visible:
		s.note(Extension, "document-timestamp", f.Name, num, "document time-stamp")
	case isNew && visible && s.perm == FormsAndSigning:
		s.note(Forbidden, "signature", f.Name, num, "the certification allows no new visible field")
	case visible && c.Indication != TotalPassed:
		// Its seal may hide what was signed before.
		s.allow(Unproven, "signature", f.Name, num, "visible signature of somebody who is not proven")
	case visible:
		s.allow(Extension, "signature", f.Name, num, "visible signature")
	default:
		s.allow(Extension, "signature", f.Name, num, "signature")
	}
	return nil
}

// field compares a field that both revisions have.
func (s *step) field(a, b *cos.Field) error {
	num := b.Object.Ref.Num
	if a.Type != b.Type {
		s.note(Forbidden, "form", b.Name, num, "field changes its type")
		return nil
	}
	visual, err := s.widgetsOf(a, b)
	if err != nil {
		return err
	}
	if a.Type == "Sig" {
		return s.signatureField(a, b, visual)
	}
	if s.changed[num] {
		s.compareDicts(a.Object, b.Object, b.Name, "V", "AP", "AS", "I", "F", "Ff")
		s.claim(num, "form field")
	}
	if err := s.claimNew(b.Value, "form field value"); err != nil {
		return err
	}
	if cos.Equal(a.Value, b.Value) && !visual && !s.changed[num] {
		return nil
	}
	if locked(s.sigsA, b.Name) {
		s.note(Forbidden, "field", b.Name, num, "an earlier signature locks the field")
		return nil
	}
	const pushButton = 1 << 16
	if b.Type == "Btn" && b.Flags&pushButton != 0 {
		s.note(Forbidden, "field", b.Name, num, "a push button, which has nothing to fill in, changes")
		return nil
	}
	s.allow(Allowed, "field", b.Name, num, "form field filled in")
	return nil
}

func (s *step) signatureField(a, b *cos.Field, visual bool) error {
	num := b.Object.Ref.Num
	if s.changed[num] {
		s.compareDicts(a.Object, b.Object, b.Name, "V", "AP", "AS", "F", "Ff")
		s.claim(num, "signature field")
	}
	if !a.Value.IsNull() {
		if !cos.Equal(a.Value, b.Value) || s.changed[num] || visual {
			s.note(Forbidden, "signature", b.Name, num, "an earlier signature is replaced or changed")
		}
		return nil
	}
	if b.Value.IsNull() {
		s.note(Forbidden, "form", b.Name, num, "an empty signature field is changed")
		return nil
	}
	if locked(s.sigsA, b.Name) {
		s.note(Forbidden, "field", b.Name, num, "an earlier signature locks the field")
		return nil
	}
	visible, err := s.visible(b)
	if err != nil {
		return err
	}
	return s.signing(b, visible, false)
}

// compareDicts forbids differences in other keys than those given.
func (s *step) compareDicts(a, b *cos.Object, field string, except ...string) {
	if a.Value.Kind() != cos.Dict || b.Value.Kind() != cos.Dict || a.Stream != nil || b.Stream != nil {
		s.note(Forbidden, "structure", field, b.Ref.Num, "object changes its type")
		return
	}
	for _, k := range keysOf(a.Value, b.Value) {
		if slices.Contains(except, k) && s.harmless(k, a.Value.Get(k), b.Value.Get(k)) {
			continue
		}
		if !cos.Equal(a.Value.Get(k), b.Value.Get(k)) {
			s.note(Forbidden, "content", field, b.Ref.Num, "entry /%s changes", printable(k))
		}
	}
}

// printable returns a key for a report.
func printable(key string) string {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' || i > 40 {
			return "?"
		}
	}
	return key
}

// harmless restricts how the flags of fields and widgets may change: bits may
// be set that print or lock, none that hides or reveals.
func (s *step) harmless(key string, a, b cos.Value) bool {
	var may int64
	switch key {
	case "F":
		const print, readOnly, locks = 1 << 2, 1 << 6, 1<<7 | 1<<9
		may = print | readOnly | locks
	case "Ff":
		may = 1 // ReadOnly
	default:
		return true
	}
	x, _ := a.Int()
	y, ok := b.Int()
	return ok && x&^y == 0 && y&^x&^may == 0 || cos.Equal(a, b)
}

// widgetsOf compares the widgets of a field and reports whether its looks change.
func (s *step) widgetsOf(a, b *cos.Field) (bool, error) {
	if len(a.Widgets) != len(b.Widgets) {
		s.note(Forbidden, "form", b.Name, b.Object.Ref.Num, "field gains or loses widgets")
		return false, nil
	}
	visual := false
	for i, w := range b.Widgets {
		old := a.Widgets[i]
		if old.Ref != w.Ref {
			s.note(Forbidden, "form", b.Name, w.Ref.Num, "field gets another widget")
			continue
		}
		if s.changed[w.Ref.Num] && w.Ref != b.Object.Ref {
			s.compareDicts(old, w, b.Name, "AP", "AS", "F")
			s.claim(w.Ref.Num, "widget")
			visual = true
		}
		hit, err := s.appearance(w)
		if err != nil {
			return false, err
		}
		visual = visual || hit || !cos.Equal(old.Value.Get("AS"), w.Value.Get("AS"))
	}
	return visual, nil
}

// appearance claims the appearance streams of a widget. One that is changed in
// place must have been used by this widget only.
func (s *step) appearance(w *cos.Object) (bool, error) {
	owners := []uint32{w.Ref.Num}
	ap := w.Value.Get("AP")
	hit := false
	if r, ok := ap.Ref(); ok {
		o, err := s.b.Get(r)
		if err != nil {
			return false, err
		}
		if s.added[r.Num] || s.changed[r.Num] {
			hit = true
			s.claimOnly(r.Num, "appearance", w.Ref.Num)
		}
		owners = append(owners, r.Num)
		ap = o.Value
	}
	var changed []cos.Ref
	ap.Refs(func(r cos.Ref) bool {
		hit = hit || s.added[r.Num]
		if s.changed[r.Num] {
			changed = append(changed, r)
		}
		return true
	})
	for _, r := range changed {
		hit = true
		o, err := s.b.Get(r)
		if err != nil {
			return false, err
		}
		if o.Stream == nil {
			continue // stays unexplained
		}
		if dict := owners[len(owners)-1]; dict != w.Ref.Num {
			// The dictionary between widget and stream must not be shared either.
			if err := s.refs.watch(s.ctx, s.v.f, s.rev-1, dict); err != nil {
				return false, err
			}
			if !s.refs.only(dict, w.Ref.Num) {
				s.forbid("structure", dict, "appearance is also used elsewhere")
			}
		}
		s.claimOnly(r.Num, "appearance", owners...)
		if err := s.claimNew(o.Value, "appearance"); err != nil {
			return false, err
		}
	}
	return hit, s.claimNew(ap, "appearance")
}
