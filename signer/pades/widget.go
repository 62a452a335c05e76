package pades

import (
	"fmt"
	"strings"

	"oruro.gob.bo/suti/signer/internal/appearance"
	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/incr"
)

// placeField puts the signature into an empty field of the document, or a new
// one. It returns the entries of the field's /Lock, if there is one.
func (p *preparation) placeField() (lock string, err error) {
	if p.Field != "" && p.names[p.Field] > 0 {
		return p.useField()
	}
	return "", p.newField()
}

func (p *preparation) fieldName() string { return p.Field }

// useField signs an empty field of the document.
func (p *preparation) useField() (string, error) {
	if p.names[p.Field] > 1 {
		return "", refuse(CodeAmbiguous, "several fields have that name")
	}
	var e *existing
	for i := range p.sigs {
		if p.sigs[i].field.Name == p.Field {
			e = &p.sigs[i]
		}
	}
	switch {
	case e == nil:
		return "", refuse(CodeFieldType, "field is no signature field")
	case e.dict != nil:
		return "", refuse(CodeFieldSigned, "field is signed already")
	case locked(p.sigs, p.Field):
		return "", refuse(CodeLocked, "an earlier signature locks the field")
	case e.field.Object.Ref.Num == 0 || len(e.field.Widgets) > 1:
		return "", refuse(CodeDamaged, "field that is not one object with one widget")
	}
	if err := checkSeedValues(p.f, e.field.Object.Value.Get("SV")); err != nil {
		return "", err
	}
	lock, err := p.lockEntries(e.field.Object.Value)
	if err != nil {
		return "", err
	}
	if err := p.u.Set(incr.Place{Ref: e.field.Object.Ref}, "V", []byte(p.sig.String())); err != nil {
		return "", err
	}
	if p.Seal != nil {
		if err := p.sealWidget(e.field); err != nil {
			return "", err
		}
	}
	return lock, p.u.SetSigFlags()
}

// lockEntries copies /Lock of a field for the FieldMDP transform that it asks
// for (ISO 32000-2 §12.7.5.5).
func (p *preparation) lockEntries(field cos.Value) (string, error) {
	d, err := p.f.ResolveObject(field.Get("Lock"))
	if err != nil || d.Value.IsNull() {
		return "", err
	}
	if d.Value.Has("P") {
		return "", refuse(CodeSeedValues, "the field's /Lock changes the document's permissions")
	}
	l, err := readLock(p.f, field.Get("Lock"))
	if err != nil {
		return "", err
	}
	if l == nil || l.action != "All" && l.action != "Include" && l.action != "Exclude" {
		return "", refuse(CodeDamaged, "malformed /Lock")
	}
	out := "/Action /" + l.action
	if l.action != "All" {
		var names []string
		for _, n := range l.fields {
			names = append(names, cos.EncodeText(n))
		}
		out += " /Fields [" + strings.Join(names, " ") + "]"
	}
	return out, nil
}

// Bits of a seed value dictionary's /Ff: which of its constraints are demands
// (ISO 32000-2 table 237).
const (
	svFilter       = 1 << 0
	svSubFilter    = 1 << 1
	svDigestMethod = 1 << 6
)

// checkSeedValues refuses a field that demands what a signature of ours does not have.
func checkSeedValues(f *cos.File, v cos.Value) error {
	sv, err := f.Resolve(v)
	if err != nil || sv.IsNull() {
		return err
	}
	ff, _ := sv.Get("Ff").Int()
	if ff&^(svFilter|svSubFilter|svDigestMethod) != 0 || sv.Has("Cert") || sv.Has("MDP") {
		return refuse(CodeSeedValues, "the field makes demands that are not supported")
	}
	lacks := func(bit int64, key, want string) (bool, error) {
		list, err := f.Resolve(sv.Get(key))
		if err != nil || ff&bit == 0 || list.IsNull() {
			return false, err
		}
		if list.Name() == want {
			return false, nil
		}
		for _, e := range list.Elems() {
			s, _ := e.Text()
			if e.Name() == want || s == want {
				return false, nil
			}
		}
		return true, nil
	}
	for _, c := range []struct {
		bit       int64
		key, want string
	}{{svFilter, "Filter", "Adobe.PPKLite"}, {svSubFilter, "SubFilter", "ETSI.CAdES.detached"}, {svDigestMethod, "DigestMethod", "SHA256"}} {
		missing, err := lacks(c.bit, c.key, c.want)
		if err != nil {
			return err
		}
		if missing {
			return refuse(CodeSeedValues, "the field demands another /%s", c.key)
		}
	}
	return nil
}

// sealWidget draws the seal into the widget of an existing field.
func (p *preparation) sealWidget(field *cos.Field) error {
	w := field.Widgets[0]
	if w.Ref.Num == 0 {
		return refuse(CodeDamaged, "widget that is not an object of its own")
	}
	rect, err := readRect(p.f, w.Value.Get("Rect"))
	if err != nil {
		return err
	}
	if rect.Width() <= 0 || rect.Height() <= 0 {
		return refuse(CodeSeal, "the field has no room for a seal")
	}
	mk, err := p.f.Resolve(w.Value.Get("MK"))
	if err != nil {
		return err
	}
	turned, _ := mk.Get("R").Int()
	ap, err := p.drawSeal(rect.Width(), rect.Height(), int(turned%360))
	if err != nil {
		return err
	}
	return p.u.Set(incr.Place{Ref: w.Ref}, "AP", []byte("<</N "+ap.String()+">>"))
}

// newField adds a signature field with its widget.
func (p *preparation) newField() error {
	visible := p.Seal != nil
	if visible && strictest(p.sigs) == FormsAndSigning {
		return refuse(CodeCertified, "an earlier signature allows no new visible field")
	}
	if p.Field == "" {
		for i := 1; p.Field == "" || p.names[p.Field] > 0; i++ {
			p.Field = fmt.Sprintf("%s%d", defaultFieldName, i)
		}
	}
	if strings.Contains(p.Field, ".") || len(p.Field) > 127 {
		return refuse(CodeFieldName, "a new field's name has no dots and at most 127 bytes")
	}
	if locked(p.sigs, p.Field) {
		return refuse(CodeLocked, "an earlier signature locks all fields")
	}
	n := 0
	if visible {
		n = p.Placement.Page
	}
	page, err := p.f.Page(n)
	if err != nil {
		return &RefusedError{Code: CodePage, Detail: err.Error(), Err: err}
	}
	if page.Value.Get("Type").Name() != "Page" {
		return refuse(CodePage, "page without /Type /Page")
	}
	rect, ap := "0 0 0 0", cos.Ref{}
	if visible {
		r, rotate, err := p.place(page)
		if err != nil {
			return err
		}
		rect = r.String()
		if ap, err = p.drawSeal(r.Width(), r.Height(), rotate); err != nil {
			return err
		}
	} else if ap, err = p.drawNothing(); err != nil {
		return err
	}
	widget, err := p.u.Alloc()
	if err != nil {
		return err
	}
	const printAndLocked = 4 | 128
	p.u.Put(widget, fmt.Appendf(nil, "<</Type /Annot /Subtype /Widget /FT /Sig /T %s /TU %s /F %d /Rect [%s] /P %v /AP <</N %v>> /V %v>>",
		cos.EncodeText(p.Field), cos.EncodeText(p.tooltip()), printAndLocked, rect, page.Ref, ap, p.sig))
	if err := p.u.AddAnnot(page.Ref, widget); err != nil {
		return err
	}
	if err := p.setTabs(page); err != nil {
		return err
	}
	return p.u.AddField(widget)
}

// tooltip is the alternate name of the field, for people who hear the page.
func (p *preparation) tooltip() string {
	if p.Name == "" {
		return "Firma electrónica"
	}
	return "Firma electrónica de " + p.Name
}

// setTabs gives a page of a tagged document the tab order that PDF/UA asks of
// pages with annotations (ISO 14289-1 §7.18.3).
func (p *preparation) setTabs(page *cos.Page) error {
	cat, err := p.f.Catalog()
	if err != nil {
		return err
	}
	if !cat.Value.Has("StructTreeRoot") || page.Value.Has("Tabs") {
		return nil
	}
	return p.u.Set(incr.Place{Ref: page.Ref}, "Tabs", []byte("/S"))
}

// place computes the rectangle of the seal on a page.
func (p *preparation) place(page *cos.Page) (appearance.Rect, int, error) {
	box := page.Attribute("CropBox")
	if box.IsNull() {
		box = page.Attribute("MediaBox")
	}
	r, err := readRect(p.f, box)
	if err != nil {
		return appearance.Rect{}, 0, err
	}
	rv, err := p.f.Resolve(page.Attribute("Rotate"))
	if err != nil {
		return appearance.Rect{}, 0, err
	}
	rotate, _ := rv.Int()
	out, err := p.Placement.On(r, int(rotate))
	if err != nil {
		return appearance.Rect{}, 0, &RefusedError{Code: CodeSeal, Detail: err.Error(), Err: err}
	}
	return out, int(rotate), nil
}

func readRect(f *cos.File, v cos.Value) (appearance.Rect, error) {
	a, err := f.Resolve(v)
	if err != nil {
		return appearance.Rect{}, err
	}
	var n [4]float64
	if a.Len() != 4 || a.Kind() != cos.Array {
		return appearance.Rect{}, refuse(CodeDamaged, "rectangle that is not four numbers")
	}
	for i, e := range a.Elems() {
		e, err := f.Resolve(e)
		if err != nil {
			return appearance.Rect{}, err
		}
		x, ok := e.Number()
		if !ok {
			return appearance.Rect{}, refuse(CodeDamaged, "rectangle that is not four numbers")
		}
		n[i] = x
	}
	return appearance.NewRect(n[0], n[1], n[2], n[3]), nil
}

// drawSeal adds the objects of the seal and returns its form XObject.
func (p *preparation) drawSeal(width, height float64, rotate int) (cos.Ref, error) {
	d, err := p.Seal.Draw(width, height, rotate)
	if err != nil {
		return cos.Ref{}, &RefusedError{Code: CodeSeal, Detail: err.Error(), Err: err}
	}
	refs := make([]cos.Ref, len(d.Objects))
	for i := range refs {
		if refs[i], err = p.u.Alloc(); err != nil {
			return cos.Ref{}, err
		}
	}
	for i, o := range d.Objects {
		dict := o.Dict
		for k, target := range o.Uses {
			dict = strings.ReplaceAll(dict, "{"+k+"}", refs[target].String())
		}
		if o.Data == nil {
			p.u.Put(refs[i], []byte(dict))
		} else {
			p.u.PutStream(refs[i], dict, o.Data)
		}
	}
	return refs[d.Form], nil
}

// drawNothing adds the empty appearance of an invisible signature: PDF/A asks
// for one of every field.
func (p *preparation) drawNothing() (cos.Ref, error) {
	r, err := p.u.Alloc()
	if err != nil {
		return cos.Ref{}, err
	}
	p.u.PutStream(r, "<</Type /XObject /Subtype /Form /BBox [0 0 0 0] /Resources <<>>>>", nil)
	return r, nil
}
