package pades

import (
	"fmt"
	"strings"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// LockAction says which fields a lock names (ISO 32000-2 §12.7.5.5).
type LockAction uint8

// Lock actions.
const (
	LockAll     LockAction = iota // every field
	LockInclude                   // those named, and the fields below them
	LockExclude                   // all but those
)

func (a LockAction) name() string { return [...]string{"All", "Include", "Exclude"}[a] }

// Lock says what may no longer change once a field is signed. It is written as
// the field's /Lock and as the FieldMDP transform of the signature.
type Lock struct {
	Action LockAction
	// Fields are fully qualified names; none for LockAll.
	Fields []string
	// Permission is what the signature leaves of the whole document to others,
	// besides the fields locked: Uncertified for no change. It can only make an
	// earlier permission stricter.
	Permission Permission
}

const maxLockFields = 1000

func (l *Lock) check() error {
	switch {
	case l.Action > LockExclude:
		return fmt.Errorf("%w: lock action %d", ErrOptions, l.Action)
	case (l.Action == LockAll) != (len(l.Fields) == 0):
		return fmt.Errorf("%w: a lock of all fields names none, another one some", ErrOptions)
	case len(l.Fields) > maxLockFields:
		return fmt.Errorf("%w: lock of %d fields", ErrOptions, len(l.Fields))
	case l.Permission > maxPermission:
		return fmt.Errorf("%w: permission %d", ErrOptions, l.Permission)
	}
	return nil
}

// entries writes what /Lock and the FieldMDP parameters have in common. /P in
// the latter is not in the standard's table; the common viewers write it there.
func (l *Lock) entries() string {
	out := "/Action /" + l.Action.name()
	if l.Action != LockAll {
		var names []string
		for _, n := range l.Fields {
			names = append(names, cos.EncodeText(n))
		}
		out += " /Fields [" + strings.Join(names, " ") + "]"
	}
	if l.Permission != Uncertified {
		out += fmt.Sprintf(" /P %d", l.Permission)
	}
	return out
}

// dict writes the field's /Lock.
func (l *Lock) dict() string { return "<</Type /SigFieldLock " + l.entries() + ">>" }

// fieldsLock reads the /Lock of a field of the document, nil if it has none.
// What signing would not fulfil is refused.
func fieldsLock(f *cos.File, field cos.Value) (*Lock, error) {
	d, err := f.Resolve(field.Get("Lock"))
	if err != nil || d.IsNull() {
		return nil, err
	}
	l, err := readLock(f, d)
	if err != nil {
		return nil, err
	}
	out := &Lock{}
	known := false
	for a := LockAll; a <= LockExclude; a++ {
		if l != nil && l.action == a.name() {
			out.Action, known = a, true
		}
	}
	if !known || l.strange {
		return nil, refuse(CodeDamaged, "malformed /Lock")
	}
	if out.Action != LockAll {
		out.Fields = l.fields
	}
	if d.Has("P") {
		p, err := f.Resolve(d.Get("P"))
		if err != nil {
			return nil, err
		}
		n, ok := p.Int()
		if !ok || n < 1 || n > int64(maxPermission) {
			return nil, refuse(CodeDamaged, "malformed /Lock")
		}
		out.Permission = Permission(n)
	}
	return out, nil
}
