package enrolment

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// answersCookie keeps, sealed, what was answered so far, for as long as somebody
// needs to change the language; on a shared device it is soon gone.
var answersCookie = web.MustCookie(web.Cookie{Name: "registro-datos", MaxAge: 15 * time.Minute, Strict: true})

const answersPlace = "registro-datos"

func (w *site) answersKey(r *http.Request) (envelope.Key, error) {
	key, err := w.cfg.Keys.DataKey(r.Context(), keyOwner)
	if err != nil {
		return key, err
	}
	return envelope.Derive(key, "suti/enrolment/answers/v1"), nil
}

// keepAnswers puts what was answered so far into the cookie. What does not fit
// still travels in the form.
func (w *site) keepAnswers(rw http.ResponseWriter, r *http.Request, v *web.Values) error {
	key, err := w.answersKey(r)
	if err != nil {
		return err
	}
	kept := url.Values{}
	for step := 1; step <= steps; step++ {
		for _, f := range fieldsOf(step) {
			if v.Has(f) {
				kept.Set(f, v.Get(f))
			}
		}
	}
	sealed := base64.RawURLEncoding.EncodeToString(envelope.Seal(key, []byte(kept.Encode()), []byte(answersPlace)))
	if len(sealed) > 3000 { // a cookie holds 4096 bytes
		return nil
	}
	return answersCookie.Set(rw, sealed)
}

// keptAnswers returns what keepAnswers kept, or nil.
func (w *site) keptAnswers(r *http.Request) (*web.Values, error) {
	text, ok := answersCookie.Read(r)
	if !ok {
		return nil, nil
	}
	key, err := w.answersKey(r)
	if err != nil {
		return nil, err
	}
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, nil // not ours, or of another key: begin anew
	}
	plain, err := envelope.Open(key, sealed, []byte(answersPlace))
	if err != nil {
		return nil, nil
	}
	kept, err := url.ParseQuery(string(plain))
	if err != nil {
		return nil, nil
	}
	m := map[string]string{}
	for name := range kept {
		m[name] = kept.Get(name)
	}
	return web.ValuesOf(m), nil
}

// saidBy returns what the registering browser may still correct; elsewhere is
// where the browser belongs if it may not.
func (w *site) saidBy(r *http.Request) (p identity.Profile, secret []byte, elsewhere string, err error) {
	secret, err = browser(nil, r)
	if err == nil {
		p, err = w.Said(r.Context(), secret)
	}
	switch {
	case errors.Is(err, ErrTicket):
		return p, nil, "/registro", nil
	case errors.Is(err, ErrHasKey), errors.Is(err, ErrTicketUsed):
		return p, nil, "/registro/listo", nil
	}
	return p, secret, "", err
}

// review shows what the person said before she makes her passkey.
func (w *site) review(rw http.ResponseWriter, r *http.Request) error {
	p, _, elsewhere, err := w.saidBy(r)
	if err != nil {
		return err
	}
	if elsewhere != "" {
		return web.Redirect(rw, elsewhere)
	}
	nothing := web.Printer(r).T("enrolment.review.nothing")
	row := func(step int, key, value string) web.RowView {
		if value == "" {
			value = nothing
		}
		return web.RowView{Key: key, Value: value, Path: "/registro/corregir/" + strconv.Itoa(step), Action: "enrolment.review.correct"}
	}
	return w.pages.Render(rw, r, web.Page{Template: "resumen", Title: "enrolment.review.title", Step: steps + 1, Steps: allSteps, Secret: true, Return: "/registro/resumen", Data: page.Said{Next: "/registro/llave", Rows: []web.RowView{
		row(1, "enrolment.fact.document", string(p.Document.Type)+" "+p.Document.String()),
		row(2, "enrolment.fact.given", p.Name.Given), row(2, "enrolment.fact.surnames", p.Name.Surnames()),
		row(3, "enrolment.fact.birth", day(p.BirthDate)),
		row(4, "enrolment.register.phone", p.Phone), row(4, "enrolment.register.mail", p.Email),
	}}})
}

// answersOf are the answers that lead to a profile.
func answersOf(p identity.Profile) map[string]string {
	return map[string]string{
		"tipo": string(p.Document.Type), "numero": p.Document.Number, "complemento": p.Document.Complement,
		"nombres": p.Name.Given, "primer_apellido": p.Name.FirstSurname, "segundo_apellido": p.Name.SecondSurname,
		"nacimiento": day(p.BirthDate), "celular": p.Phone, "correo": p.Email,
	}
}

// correction shows one question with what was answered to it.
func (w *site) correction(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	step, err := strconv.Atoi(r.PathValue("paso"))
	if err != nil || step < 1 || step > steps {
		return web.NotFound(ErrUnknown)
	}
	p, _, elsewhere, err := w.saidBy(r)
	if err != nil {
		return err
	}
	if elsewhere != "" {
		return web.Redirect(rw, elsewhere)
	}
	if v == nil {
		v = web.ValuesOf(answersOf(p))
	}
	path := "/registro/corregir/" + strconv.Itoa(step)
	out := web.Page{Template: "registro", Title: titleOf(step), Back: "/registro/resumen", Secret: true, Return: path, Values: v, Errors: wrong,
		Data: page.Registration{Step: step, Path: path, Correct: true}}
	if step == 1 {
		out.Title = "enrolment.review.title_document"
	}
	if len(wrong) > 0 {
		out.Status = http.StatusUnprocessableEntity
	}
	return w.pages.Render(rw, r, out)
}

// correct takes one answer in place of the one before.
func (w *site) correct(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	step, err := strconv.Atoi(r.PathValue("paso"))
	if err != nil || step < 1 || step > steps {
		return web.NotFound(ErrUnknown)
	}
	p, secret, elsewhere, err := w.saidBy(r)
	if err != nil {
		return err
	}
	if elsewhere != "" {
		return web.Redirect(rw, elsewhere)
	}
	in := account.Registration{Name: p.Name, Document: p.Document, BirthDate: p.BirthDate, Email: p.Email, Phone: p.Phone}
	if wrong := w.parseStep(v, step, &in); len(wrong) > 0 {
		return w.correction(rw, r, v, wrong)
	}
	if err := w.limit(r.Context(), "registro:"+web.ClientKey(r), registerRate); err != nil {
		var busy *web.Error
		if errors.As(err, &busy) && busy.Status == http.StatusTooManyRequests {
			return w.correction(rw, r, v, []web.FieldError{{Code: busy.Code, Detail: "enrolment.error.too_many"}})
		}
		return err
	}
	err = w.Correct(r.Context(), in, secret)
	switch {
	case errors.Is(err, account.ErrExists):
		field := fieldsOf(step)
		at := field[0]
		if slices.Contains(field, "numero") {
			at = "numero"
		}
		return w.correction(rw, r, v, []web.FieldError{{Field: at, Code: "exists", Detail: "enrolment.error.exists"}})
	case errors.Is(err, ErrHasKey), errors.Is(err, ErrTicketUsed), errors.Is(err, account.ErrState):
		return web.Redirect(rw, "/registro/listo")
	case err != nil:
		return err
	}
	return web.Redirect(rw, "/registro/resumen")
}
