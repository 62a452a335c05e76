package pades

import (
	"strings"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// existing is a signature field of a file.
type existing struct {
	field  *cos.Field
	dict   *cos.Object // the signature dictionary; nil if the field is empty
	holder *cos.Object // the object in whose bytes the dictionary stands
	docMDP Permission  // of a DocMDP reference in it, Uncertified if none
	perm   Permission  // the strictest that it sets in any way, Uncertified if none
	locks  []fieldLock // of FieldMDP references in it, and of the field's /Lock
}

// fieldLock is a FieldMDP transform or a /Lock dictionary (§12.8.2.4).
type fieldLock struct {
	action  string // All, Include, Exclude
	fields  []string
	strange bool // its names are not all texts; it then locks everything
}

// covers reports whether a lock forbids changes to the field. A locked field
// locks the fields below it.
func (l fieldLock) covers(name string) bool {
	if l.strange {
		return true
	}
	named := false
	for _, f := range l.fields {
		named = named || name == f || strings.HasPrefix(name, f+".")
	}
	switch l.action {
	case "All":
		return true
	case "Include":
		return named
	case "Exclude":
		return !named
	default:
		return true // an action that is not known forbids everything
	}
}

// maxSignatures is how many signature fields with a value a file may have.
const maxSignatures = 128

// signatureFields returns the signature fields of f in the order of the form.
func signatureFields(f *cos.File) (all []existing, names map[string]int, err error) {
	names = map[string]int{}
	var inner error
	signed := 0
	err = f.Fields(func(field *cos.Field) bool {
		names[field.Name]++
		if field.Type != "Sig" {
			return true
		}
		var e existing
		if e, inner = readSignature(f, field); inner != nil {
			return false
		}
		if e.dict != nil {
			signed++
		}
		if signed > maxSignatures {
			inner = refuse(CodeLimit, "more than %d signatures", maxSignatures)
			return false
		}
		all = append(all, e)
		return true
	})
	if err == nil {
		err = inner
	}
	return all, names, err
}

func readSignature(f *cos.File, field *cos.Field) (existing, error) {
	e := existing{field: field}
	v, err := f.ResolveObject(field.Value)
	if err != nil {
		return e, err
	}
	if v.Value.IsNull() {
		return e, nil
	}
	if v.Value.Kind() != cos.Dict || v.Stream != nil {
		return e, refuse(CodeDamaged, "signature field whose value is a %v", v.Value.Kind())
	}
	e.dict, e.holder = v, v
	if v.Ref.Num == 0 {
		e.holder = field.Object // written directly in the field
	}
	own, err := f.Resolve(field.Object.Value.Get("Lock"))
	if err != nil {
		return e, err
	}
	if err := e.addLock(f, own); err != nil {
		return e, err
	}
	return e, e.readReferences(f)
}

// addLock takes the /Lock of the field or the parameters of a FieldMDP
// transform, if d is one, and the permission in it.
func (e *existing) addLock(f *cos.File, d cos.Value) error {
	lock, err := readLock(f, d)
	if err != nil || lock == nil {
		return err
	}
	e.locks = append(e.locks, *lock)
	if !d.Has("P") {
		return nil
	}
	p, err := readPermission(f, d)
	e.perm = stricter(e.perm, p)
	return err
}

// readReferences reads the transforms of a signature dictionary (§12.8.2).
func (e *existing) readReferences(f *cos.File) error {
	refs, err := f.Resolve(e.dict.Value.Get("Reference"))
	if err != nil {
		return err
	}
	for _, r := range refs.Elems() {
		d, err := f.Resolve(r)
		if err != nil {
			return err
		}
		params, err := f.Resolve(d.Get("TransformParams"))
		if err != nil {
			return err
		}
		switch d.Get("TransformMethod").Name() {
		case "DocMDP":
			if e.docMDP, err = readPermission(f, params); err != nil {
				return err
			}
			e.perm = stricter(e.perm, e.docMDP)
		case "FieldMDP":
			if params.Kind() != cos.Dict {
				e.locks = append(e.locks, fieldLock{action: "All"})
			}
			if err := e.addLock(f, params); err != nil {
				return err
			}
		}
	}
	return nil
}

func readPermission(f *cos.File, params cos.Value) (Permission, error) {
	p, err := f.Resolve(params.Get("P"))
	if err != nil {
		return 0, err
	}
	n, ok := p.Int()
	switch {
	case p.IsNull():
		return defaultDocMDP, nil
	case !ok || n < 1 || n > int64(maxPermission):
		return NoChanges, nil // not known: the strictest
	default:
		return Permission(n), nil
	}
}

func readLock(f *cos.File, v cos.Value) (*fieldLock, error) {
	d, err := f.Resolve(v)
	if err != nil || d.Kind() != cos.Dict {
		return nil, err
	}
	action, err := f.Resolve(d.Get("Action"))
	if err != nil {
		return nil, err
	}
	list, err := f.Resolve(d.Get("Fields"))
	if err != nil {
		return nil, err
	}
	l := &fieldLock{action: action.Name()}
	for _, n := range list.Elems() {
		s, err := f.Resolve(n)
		if err != nil {
			return nil, err
		}
		t, ok := s.Text()
		if !ok {
			l.strange = true
			continue
		}
		l.fields = append(l.fields, cos.TextString(t))
	}
	return l, nil
}

// stricter returns the lesser of two permissions.
func stricter(a, b Permission) Permission {
	if a == Uncertified || b != Uncertified && b < a {
		return b
	}
	return a
}

// strictest returns the least permission of the signatures of a file.
func strictest(all []existing) Permission {
	p := Uncertified
	for _, e := range all {
		p = stricter(p, e.perm)
	}
	return p
}

// locked reports whether a signature of the file locks the field.
func locked(all []existing, name string) bool {
	for _, e := range all {
		if e.dict == nil {
			continue
		}
		for _, l := range e.locks {
			if l.covers(name) {
				return true
			}
		}
	}
	return false
}
