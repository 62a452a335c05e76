package enrolment

import (
	"errors"
	"net/http"

	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/web"
)

const pathRecover = "/registro/recuperar"

// recovery registers the way back with a new passkey: a registrar opens a ticket
// for a person, who claims it by its code on her own device.
func (w *site) recovery() {
	w.handle("POST "+pathPeople+"/{person}/llave", w.staff(w.openRecovery))
	w.handle("GET "+pathRecover, func(rw http.ResponseWriter, r *http.Request) error { return w.claimForm(rw, r, nil, nil) })
	w.handle("POST "+pathRecover, w.claim)
	w.handle("GET /registro/ayuda", func(rw http.ResponseWriter, r *http.Request) error {
		return w.pages.Render(rw, r, web.Page{Template: "ayuda", Title: "enrolment.help.title", Back: "/", Return: "/registro/ayuda"})
	})
}

func (w *site) openRecovery(rw http.ResponseWriter, r *http.Request) error {
	c, err := w.subject(r)
	if err != nil {
		return err
	}
	t, err := w.OpenRecovery(r.Context(), who(r).Person(), c.Profile.Person)
	if err != nil {
		return err
	}
	return web.Redirect(rw, "/ventanilla/ticket/"+t.ID)
}

func (w *site) claimForm(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	p := web.Page{Template: "recuperar", Title: "enrolment.recover.title", Values: v, Errors: wrong, Return: pathRecover}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.pages.Render(rw, r, p)
}

func (w *site) claim(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if err := w.limit(r.Context(), "codigo:"+web.ClientKey(r), codeRate); err != nil {
		return err
	}
	b, err := browser(rw, r)
	if err != nil {
		return err
	}
	err = w.ClaimRecovery(r.Context(), v.Get("codigo"), b)
	switch {
	case errors.Is(err, ErrTicket):
		return w.claimForm(rw, r, v, []web.FieldError{{Field: "codigo", Code: "unknown", Detail: "enrolment.error.code"}})
	case errors.Is(err, ErrTicketTaken):
		return w.claimForm(rw, r, v, []web.FieldError{{Field: "codigo", Code: "taken", Detail: "enrolment.recover.taken"}})
	case err != nil:
		return err
	}
	return web.Redirect(rw, "/registro/llave")
}

// recoveryKey is the page on which the new passkey is made.
func (w *site) recoveryKey(rw http.ResponseWriter, r *http.Request) error {
	return w.pages.RenderKey(rw, r, web.Page{Template: "llave", Title: "enrolment.recover.key_title", Back: pathRecover, Data: page.Key{Path: "/registro/llave", Create: true}})
}

// recoveryMade says what comes after the new passkey.
func (w *site) recoveryMade(rw http.ResponseWriter, r *http.Request) error {
	return w.pages.Render(rw, r, web.Page{Template: "aviso", Title: "enrolment.recover.made_title", Return: "/registro/listo",
		Data: page.Notice{Text: "enrolment.recover.made", Next: "/registro/confirmar"}})
}
