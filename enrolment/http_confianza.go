package enrolment

import (
	"errors"
	"net/http"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// PathTrusted is where a person names her people of trust, and answers as one.
const PathTrusted = "/cuenta/confianza"

func (w *site) trust() {
	w.handle("GET "+PathTrusted, w.self(w.trustedPage))
	w.handle("GET "+PathTrusted+"/nombrar", w.fresh(func(rw http.ResponseWriter, r *http.Request) error { return w.trustForm(rw, r, nil, nil) }))
	w.handle("POST "+PathTrusted+"/nombrar", w.fresh(w.nameTrusted))
	w.handle("POST "+PathTrusted+"/{trust}/aceptar", w.fresh(func(rw http.ResponseWriter, r *http.Request) error {
		return backTo(rw, PathTrusted, w.AcceptTrusted(r.Context(), who(r).Person(), r.PathValue("trust")))
	}))
	w.handle("POST "+PathTrusted+"/{trust}/terminar", w.self(func(rw http.ResponseWriter, r *http.Request) error {
		return backTo(rw, PathTrusted, w.EndTrusted(r.Context(), who(r).Person(), r.PathValue("trust")))
	}))
	w.handle("POST "+PathTrusted+"/detener", w.self(func(rw http.ResponseWriter, r *http.Request) error {
		return backTo(rw, PathTrusted, w.CancelRecovery(r.Context(), who(r).Person()))
	}))
	w.handle("GET "+PathTrusted+"/responder", w.fresh(func(rw http.ResponseWriter, r *http.Request) error { return w.vouchForm(rw, r, nil, nil) }))
	w.handle("POST "+PathTrusted+"/responder", w.fresh(w.vouch))
	w.handle("POST "+pathPeople+"/{person}/confianza", w.staff(func(rw http.ResponseWriter, r *http.Request) error {
		c, err := w.subject(r)
		if err != nil {
			return err
		}
		t, err := w.OpenVouched(r.Context(), who(r).Person(), c.Profile.Person)
		if err != nil {
			return err
		}
		return web.Redirect(rw, "/ventanilla/ticket/"+t.ID)
	}))
}

// backTo leads back to a page unless there is an error.
func backTo(rw http.ResponseWriter, path string, err error) error {
	if err != nil {
		return err
	}
	return web.Redirect(rw, path)
}

func (w *site) trustedPage(rw http.ResponseWriter, r *http.Request) error {
	me := who(r).Person()
	mine, err := w.TrustedOf(r.Context(), me)
	if err != nil {
		return err
	}
	asked, err := w.TrustingIn(r.Context(), me)
	if err != nil {
		return err
	}
	p, err := w.cfg.Accounts.Standing(r.Context(), me)
	if err != nil {
		return err
	}
	data := page.Trust{Path: PathTrusted, May: len(mine) < TrustedMost && p.Level >= identity.N2}
	if _, data.Recovery, err = w.OwnRecovery(r.Context(), me); err != nil {
		return err
	}
	for _, t := range mine {
		item := page.Trusted{ID: t.ID, Name: t.Alias, Accepted: t.Accepted}
		if t.Counts.After(w.now()) {
			item.Counts = t.Counts
		}
		data.Mine = append(data.Mine, item)
	}
	for _, t := range asked {
		owner, err := w.cfg.Accounts.Profile(r.Context(), t.Owner)
		if err != nil {
			return err
		}
		data.Asked = append(data.Asked, page.Trusted{ID: t.ID, Name: owner.Name.Full(), Accepted: t.Accepted})
	}
	return w.render(rw, r, web.Page{Template: "confianza", Title: "enrolment.trusted.title", Nav: w.account(PathTrusted), Data: data})
}

// ownForm renders a form of this section, with its faults.
func (w *site) ownForm(rw http.ResponseWriter, r *http.Request, template, title string, v *web.Values, wrong []web.FieldError) error {
	p := web.Page{Template: template, Title: title, Nav: w.account(PathTrusted), Back: PathTrusted, Values: v, Errors: wrong, Return: r.URL.Path, Data: PathTrusted}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

func (w *site) trustForm(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	return w.ownForm(rw, r, "confiar", "enrolment.trusted.name", v, wrong)
}

func (w *site) nameTrusted(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if err := w.limit(r.Context(), "confianza:"+string(who(r).Person()), codeRate); err != nil {
		return err
	}
	doc, err := anyDocument(v.Get("documento"))
	if err != nil {
		return w.trustForm(rw, r, v, []web.FieldError{{Field: "documento", Code: "document", Detail: "enrolment.error.document"}})
	}
	err = w.NameTrusted(r.Context(), who(r).Person(), doc, v.Get("alias"))
	switch {
	case errors.Is(err, ErrInput):
		return w.trustForm(rw, r, v, []web.FieldError{{Field: "alias", Code: "missing", Detail: "enrolment.error.alias"}})
	case errors.Is(err, ErrTrusted):
		return w.trustForm(rw, r, v, []web.FieldError{{Field: "documento", Code: "trusted", Detail: "enrolment.error.trusted"}})
	case errors.Is(err, account.ErrState):
		return w.trustForm(rw, r, v, []web.FieldError{{Field: "documento", Code: "level", Detail: "enrolment.error.trusted_level"}})
	}
	return backTo(rw, PathTrusted, err)
}

func (w *site) vouchForm(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	return w.ownForm(rw, r, "responder", "enrolment.trusted.vouch", v, wrong)
}

// vouch takes the word of one of somebody's people of trust.
func (w *site) vouch(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm, web.Repeatable("vi"))
	if err != nil {
		return err
	}
	if err := w.limit(r.Context(), "codigo:"+web.ClientKey(r), codeRate); err != nil {
		return err
	}
	if v.Get("vi") != "si" {
		return w.vouchForm(rw, r, v, []web.FieldError{{Field: "vi", Code: "missing", Detail: "enrolment.error.saw"}})
	}
	err = w.Vouch(r.Context(), who(r).Person(), v.Get("codigo"))
	if errors.Is(err, ErrTicket) {
		return w.vouchForm(rw, r, v, []web.FieldError{{Field: "codigo", Code: "unknown", Detail: "enrolment.error.vouch_code"}})
	}
	if err != nil && !errors.Is(err, ErrDone) {
		return err
	}
	return w.render(rw, r, web.Page{Template: "aviso", Title: "enrolment.trusted.vouched", Nav: w.account(PathTrusted), Return: PathTrusted,
		Data: page.Notice{Text: "enrolment.trusted.vouched_text", Next: PathTrusted}})
}
