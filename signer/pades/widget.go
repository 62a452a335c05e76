package pades

import (
	"fmt"
	"strings"

	"oruro.gob.bo/suti/signer/internal/appearance"
	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/incr"
)

// placeField puts the signature into an empty field of the document, or a new
// one. It returns what the signature locks, nil for nothing.
func (p *preparation) placeField() (*Lock, error) {
	if p.Field != "" && p.names[p.Field] > 0 {
		return p.useField()
	}
	return p.Lock, p.newField()
}

func (p *preparation) fieldName() string { return p.Field }

// useField signs an empty field of the document.
func (p *preparation) useField() (*Lock, error) {
	if p.names[p.Field] > 1 {
		return nil, refuse(CodeAmbiguous, "several fields have that name")
	}
	var e *existing
	for i := range p.sigs {
		if p.sigs[i].field.Name == p.Field {
			e = &p.sigs[i]
		}
	}
	switch {
	case e == nil:
		return nil, refuse(CodeFieldType, "field is no signature field")
	case e.dict != nil:
		return nil, refuse(CodeFieldSigned, "field is signed already")
	case locked(p.sigs, p.Field):
		return nil, refuse(CodeLocked, "an earlier signature locks the field")
	case e.field.Object.Ref.Num == 0 || len(e.field.Widgets) > 1:
		return nil, refuse(CodeDamaged, "field that is not one object with one widget")
	}
	if err := p.checkSeedValues(e.field.Object.Value.Get("SV")); err != nil {
		return nil, err
	}
	lock, err := fieldsLock(p.f, e.field.Object.Value)
	if err != nil {
		return nil, err
	}
	switch {
	case lock == nil:
		lock = p.Lock
	case p.Lock != nil:
		return nil, refuse(CodeSeedValues, "the field has a lock of its own")
	case lock.Permission != Uncertified && p.Certify != Uncertified:
		return nil, refuse(CodeSeedValues, "the field's lock sets permissions, as would the certification")
	}
	if err := p.u.Set(incr.Place{Ref: e.field.Object.Ref}, "V", []byte(p.sig.String())); err != nil {
		return nil, err
	}
	if p.Seal != nil {
		if err := p.sealWidget(e.field); err != nil {
			return nil, err
		}
	}
	return lock, p.u.SetSigFlags()
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
	unit := 1.0
	if ref, ok := w.Value.Get("P").Ref(); ok {
		page, err := p.f.Get(ref)
		if err != nil {
			return err
		}
		if unit, err = userUnit(p.f, page.Value); err != nil {
			return err
		}
	}
	ap, err := p.drawSeal(rect.Width()*unit, rect.Height()*unit, int(turned%360))
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
	if locked(p.sigs, p.Field) {
		return refuse(CodeLocked, "an earlier signature locks all fields")
	}
	n := 0
	if visible {
		n = p.Placement.Page
	}
	page, err := p.page(n)
	if err != nil {
		return err
	}
	var rect appearance.Rect
	ap := cos.Ref{}
	if visible {
		var at spot
		if at, err = p.place(page); err != nil {
			return err
		}
		rect = at.rect
		ap, err = p.drawSeal(rect.Width()*at.unit, rect.Height()*at.unit, at.rotate)
	} else {
		ap, err = p.drawNothing(rect)
	}
	if err != nil {
		return err
	}
	extra := "/V " + p.sig.String()
	if p.Lock != nil {
		extra += " /Lock " + p.Lock.dict()
	}
	return p.addWidget(page, rect, ap, p.Field, p.tooltip(), extra)
}

func (p *preparation) page(n int) (*cos.Page, error) {
	page, err := p.f.Page(n)
	if err != nil {
		return nil, &RefusedError{Code: CodePage, Detail: err.Error(), Err: err}
	}
	if page.Value.Get("Type").Name() != "Page" {
		return nil, refuse(CodePage, "page without /Type /Page")
	}
	return page, nil
}

// addWidget adds a signature field that is its own widget.
func (p *preparation) addWidget(page *cos.Page, rect appearance.Rect, ap cos.Ref, name, tooltip, extra string) error {
	if name == "" || strings.Contains(name, ".") || len(name) > 127 {
		return refuse(CodeFieldName, "a new field's name has no dots and at most 127 bytes")
	}
	widget, err := p.u.Alloc()
	if err != nil {
		return err
	}
	const printAndLocked = 4 | 128
	p.u.Put(widget, fmt.Appendf(nil, "<</Type /Annot /Subtype /Widget /FT /Sig /T %s /TU %s /F %d /Rect [%s] /P %v /AP <</N %v>> %s>>",
		cos.EncodeText(name), cos.EncodeText(tooltip), printAndLocked, rect, page.Ref, ap, extra))
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

// drawNothing adds the empty appearance of a field that shows nothing: PDF/A
// asks for one of every field.
func (p *preparation) drawNothing(rect appearance.Rect) (cos.Ref, error) {
	r, err := p.u.Alloc()
	if err != nil {
		return cos.Ref{}, err
	}
	box := appearance.NewRect(0, 0, rect.Width(), rect.Height())
	p.u.PutStream(r, "<</Type /XObject /Subtype /Form /BBox ["+box.String()+"] /Resources <<>>>>", nil)
	return r, nil
}
