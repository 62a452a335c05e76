package enrolment

import (
	"errors"
	"net/http"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// grantForm is how a general administrator proposes further staff; a supervisor
// approves.
func (w *site) grantForm(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	if _, err := w.role(r.Context(), who(r).Person(), act.Administrator, ""); err != nil {
		return err
	}
	all, err := w.Institutions(r.Context())
	if err != nil {
		return err
	}
	var data page.Grant
	for _, ins := range all {
		data.Institutions = append(data.Institutions, web.OptionView{Value: string(ins.ID), Text: ins.Name, Checked: v != nil && v.Get("institucion") == string(ins.ID)})
	}
	p := web.Page{Template: "funciones", Title: "enrolment.grant.title", Nav: w.nav(r, ""), Back: "/ventanilla", Data: data, Values: v, Errors: wrong, Return: "/ventanilla/funciones"}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

func (w *site) grant(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if _, err := w.role(r.Context(), who(r).Person(), act.Administrator, ""); err != nil {
		return err
	}
	var wrong []web.FieldError
	miss := func(field, code, text string) {
		wrong = append(wrong, web.FieldError{Field: field, Code: code, Detail: text})
	}
	in := GrantRequest{Role: act.Role(v.Get("funcion"))}
	in.Person, err = w.named(r, v.Get("documento"))
	switch {
	case errors.Is(err, account.ErrUnknown), errors.Is(err, account.ErrDocument):
		miss("documento", "unknown", "enrolment.error.document_unknown")
	case err != nil:
		return err
	}
	switch in.Role {
	case act.Administrator, act.Registrar, act.Supervisor:
	case act.InstitutionAdmin:
		in.Institution = identity.InstitutionID(v.Get("institucion"))
		if _, err := w.InstitutionOf(r.Context(), in.Institution); errors.Is(err, ErrUnknown) {
			miss("institucion", "missing", "enrolment.error.choose")
		} else if err != nil {
			return err
		}
	default:
		miss("funcion", "missing", "enrolment.error.choose")
	}
	if len(wrong) > 0 {
		return w.grantForm(rw, r, v, wrong)
	}
	return drafted(rw)(w.Grant(r.Context(), who(r).Person(), in))
}
