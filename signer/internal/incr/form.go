package incr

import (
	"fmt"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// FormError reports a catalog, form or page whose shape is not as ISO 32000
// has it, so that it cannot be added to.
type FormError struct{ Detail string }

// Error implements error.
func (e *FormError) Error() string { return "incr: " + e.Detail }

// Catalog returns the place of the document catalog.
func (u *Update) Catalog() (Place, error) {
	r, ok := u.f.Trailer().Get("Root").Ref()
	if !ok {
		return Place{}, &FormError{"no catalog"}
	}
	return Place{Ref: r}, nil
}

// AcroForm returns the place of the interactive form, making an empty one if
// there is none (§12.7.3).
func (u *Update) AcroForm() (Place, error) {
	cat, err := u.Catalog()
	if err != nil {
		return Place{}, err
	}
	form, v, err := u.Follow(cat, "AcroForm")
	if err != nil {
		return Place{}, err
	}
	if v.Kind() == cos.Dict {
		return form, nil
	}
	if !v.IsNull() {
		return Place{}, &FormError{"/AcroForm is a " + v.Kind().String()}
	}
	r, err := u.Alloc()
	if err != nil {
		return Place{}, err
	}
	u.Put(r, []byte("<</Fields [] /SigFlags 3>>"))
	return Place{Ref: r}, u.Set(cat, "AcroForm", []byte(r.String()))
}

// AddField puts a field at the end of the form's /Fields and sets the flags
// that a signed document must have: SignaturesExist and AppendOnly (§12.7.3
// table 225).
func (u *Update) AddField(field cos.Ref) error {
	form, err := u.AcroForm()
	if err != nil {
		return err
	}
	if err := u.addTo(form, "Fields", field); err != nil {
		return err
	}
	return u.SetSigFlags()
}

// SetSigFlags sets SignaturesExist and AppendOnly in /SigFlags, keeping other bits.
func (u *Update) SetSigFlags() error {
	form, err := u.AcroForm()
	if err != nil {
		return err
	}
	_, v, err := u.Follow(form, "SigFlags")
	if err != nil {
		return err
	}
	n, ok := v.Int()
	if !ok && !v.IsNull() {
		return &FormError{"/SigFlags is a " + v.Kind().String()}
	}
	if n&3 == 3 {
		return nil
	}
	return u.Set(form, "SigFlags", fmt.Appendf(nil, "%d", n|3))
}

// AddAnnot puts an annotation at the end of a page's /Annots.
func (u *Update) AddAnnot(page, annot cos.Ref) error {
	return u.addTo(Place{Ref: page}, "Annots", annot)
}

// addTo appends a reference to the array that key of the dictionary at p holds
// or refers to, making the array if there is none.
func (u *Update) addTo(p Place, key string, r cos.Ref) error {
	at, v, err := u.Follow(p, key)
	if err != nil {
		return err
	}
	switch {
	case v.Kind() == cos.Array:
		return u.Append(at, []byte(r.String()))
	case v.IsNull():
		return u.Set(p, key, []byte("["+r.String()+"]"))
	default:
		return &FormError{"/" + key + " is a " + v.Kind().String()}
	}
}
