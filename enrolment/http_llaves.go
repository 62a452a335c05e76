package enrolment

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

func (w *site) own() {
	w.handle("GET /cuenta/llaves", w.self(w.list))
	w.handle("GET /cuenta/llaves/{key}", w.self(w.oneKey))
	w.handle("POST /cuenta/llaves/nombre/{key}", w.self(w.rename))
	w.handle("GET /cuenta/llaves/quitar/{key}", w.fresh(func(rw http.ResponseWriter, r *http.Request) error { return w.askRemove(rw, r, nil) }))
	w.handle("POST /cuenta/llaves/quitar/{key}", w.fresh(w.remove))
	w.handle("GET /cuenta/llaves/quitada", func(rw http.ResponseWriter, r *http.Request) error { // the session has ended
		return w.pages.Render(rw, r, web.Page{Template: "aviso", Title: "enrolment.remove.done_title", Data: page.Notice{Text: "enrolment.remove.done", Next: "/cuenta/llaves"}})
	})
	w.handle("GET "+PathOwnPost+"/terminado", func(rw http.ResponseWriter, r *http.Request) error {
		return w.pages.Render(rw, r, web.Page{Template: "aviso", Title: "enrolment.leave.done_title", Data: page.Notice{Text: "enrolment.leave.done", Next: "/cuenta"}})
	})
	w.handle("GET "+PathRegistration, w.self(w.registered))
	w.handle("GET /cuenta/llaves/nueva", w.fresh(func(rw http.ResponseWriter, r *http.Request) error {
		return w.render(rw, r, web.Page{Template: "llave", Title: "enrolment.keys.add", Nav: w.account("/cuenta/llaves"), Back: "/cuenta/llaves", Data: page.Key{Path: "/cuenta/llaves/nueva", Create: true}})
	}))
	w.step("/cuenta/llaves/nueva", w.fresh, func(r *http.Request, _ answer) (passkey.Ceremony, error) {
		p := who(r)
		return w.cfg.Passkeys.BeginRegistration(r.Context(), passkey.Begin{Purpose: passkey.Enrol, Person: p.Person(), Binding: bindSession(r)}, p.Name())
	}, w.added)
	w.handle("GET /cuenta/llaves/acto/{draft}", w.fresh(w.ownDraft))
	w.step("/cuenta/llaves/acto/{draft}", w.fresh, func(r *http.Request, _ answer) (passkey.Ceremony, error) {
		return w.BeginSign(r.Context(), identity.ActID(r.PathValue("draft")), who(r).Person(), bindSession(r))
	}, func(r *http.Request, a answer) (string, error) {
		d, err := w.FinishSign(r.Context(), Answer{Draft: identity.ActID(r.PathValue("draft")), Person: who(r).Person(), Ceremony: a.ID, Binding: bindSession(r), Response: a.Response})
		if end, ok := d.Statement.Body.(*act.End); ok && d.Done { // the session has ended
			if end.What == act.EndKey {
				return "/cuenta/llaves/quitada", err
			}
			return PathOwnPost + "/terminado", err
		}
		if d.Done {
			return "/cuenta/llaves", err
		}
		return "/cuenta/llaves/acto/" + string(d.ID), err
	})
	w.handle("GET "+PathOwnPost+"/{appointment}", w.fresh(func(rw http.ResponseWriter, r *http.Request) error { return w.leaveForm(rw, r, nil) }))
	w.handle("POST "+PathOwnPost+"/{appointment}", w.fresh(w.leavePost))
	w.handle("GET /cuenta/bloquear", w.self(func(rw http.ResponseWriter, r *http.Request) error {
		return w.render(rw, r, web.Page{Template: "bloquear", Title: "enrolment.stop.title", Nav: w.account("/cuenta/llaves"), Back: "/cuenta/llaves"})
	}))
	w.handle("POST /cuenta/bloquear", w.self(w.stop))
}

// passkeys lists the person's own for the page.
func (w *site) passkeys(r *http.Request) ([]page.Passkey, error) {
	have, err := w.cfg.Passkeys.Credentials(r.Context(), who(r).Person())
	out := []page.Passkey{}
	for _, c := range have {
		out = append(out, page.Passkey{
			ID: string(c.ID), Label: c.Label, State: "enrolment.keys.state_" + string(c.State), Active: c.State != passkey.Revoked, Usable: c.State == passkey.Active,
			Synced: c.BackedUp, Created: c.CreatedAt, Used: c.UsedAt,
		})
	}
	return out, err
}

func (w *site) list(rw http.ResponseWriter, r *http.Request) error {
	keys, err := w.passkeys(r)
	if err != nil {
		return err
	}
	return w.render(rw, r, web.Page{Template: "llaves", Title: "enrolment.keys.title", Nav: w.account("/cuenta/llaves"), Data: keys})
}

func (w *site) oneKey(rw http.ResponseWriter, r *http.Request) error {
	keys, err := w.passkeys(r)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.ID == r.PathValue("key") && k.Active {
			return w.render(rw, r, web.Page{Template: "una-llave", Title: "enrolment.keys.title_one", Nav: w.account("/cuenta/llaves"), Back: "/cuenta/llaves", Data: k})
		}
	}
	return web.NotFound(passkey.ErrUnknown)
}

func (w *site) rename(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	err = w.cfg.Passkeys.Rename(r.Context(), who(r).Person(), identity.CredentialID(r.PathValue("key")), v.Get("nombre"))
	if errors.Is(err, passkey.ErrUnknown) {
		return web.NotFound(err)
	}
	if err != nil {
		return err
	}
	return web.Redirect(rw, "/cuenta/llaves")
}

// askRemove says what the removal of a passkey means before it is done.
func (w *site) askRemove(rw http.ResponseWriter, r *http.Request, wrong []web.FieldError) error {
	keys, err := w.passkeys(r)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(keys, func(k page.Passkey) bool { return k.ID == r.PathValue("key") && k.Active })
	if i < 0 {
		return web.NotFound(passkey.ErrUnknown)
	}
	ways, err := w.WaysOf(r.Context(), who(r).Person())
	if err != nil {
		return err
	}
	data := page.Remove{Passkey: keys[i], Path: "/cuenta/llaves/quitar/" + keys[i].ID, Others: ways.Keys, Card: ways.Card}
	if keys[i].Usable {
		data.Others--
	}
	p := web.Page{Template: "quitar", Title: "enrolment.remove.title", Nav: w.account("/cuenta/llaves"), Back: "/cuenta/llaves/" + keys[i].ID, Errors: wrong, Return: data.Path, Data: data}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

func (w *site) remove(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	reason := reasonRemoved
	if v.Get("entiendo") == "si" {
		reason = ReasonLastKey
	}
	d, err := w.EndKey(r.Context(), who(r).Person(), identity.CredentialID(r.PathValue("key")), reason)
	switch {
	case errors.Is(err, passkey.ErrUnknown):
		return web.NotFound(err)
	case errors.Is(err, ErrLastWay):
		return w.askRemove(rw, r, []web.FieldError{{Field: "entiendo", Code: "last_way", Detail: "enrolment.error.understand"}})
	case err != nil:
		return err
	case d.ID == "":
		return web.Redirect(rw, "/cuenta/llaves")
	}
	return web.Redirect(rw, "/cuenta/llaves/acto/"+string(d.ID))
}

// added stores a further passkey. Of somebody enrolled it counts for signing
// once an earlier passkey and the new one have signed for it.
func (w *site) added(r *http.Request, a answer) (string, error) {
	me := who(r).Person()
	c, err := w.cfg.Passkeys.FinishRegistration(r.Context(), machine.Basis{By: machine.Holder, With: machine.Key}, a.ID, passkey.Enrol, bindSession(r), a.Response, a.Label)
	if err != nil {
		return "", err
	}
	d, err := w.AddKey(r.Context(), me, c.ID)
	if errors.Is(err, act.ErrNotEnrolled) || errors.Is(err, ErrNoGenesis) {
		return "/cuenta/llaves", nil
	}
	if err != nil {
		return "", err
	}
	return "/cuenta/llaves/acto/" + string(d.ID), nil
}

func (w *site) ownDraft(rw http.ResponseWriter, r *http.Request) error {
	me := who(r).Person()
	d, err := w.Draft(r.Context(), identity.ActID(r.PathValue("draft")))
	if err != nil {
		return err
	}
	if d.Person != me || d.Author != me {
		return ErrDraft
	}
	data, err := w.signPage(r, d, me, strings.TrimSuffix(r.URL.Path, "/"), "", true)
	if err != nil {
		return err
	}
	if data.Done {
		data.Next = "/cuenta/llaves"
	}
	return w.render(rw, r, web.Page{Template: "firmar", Title: "enrolment.sign.title", Back: "/cuenta/llaves", Data: data})
}

func (w *site) stop(rw http.ResponseWriter, r *http.Request) error {
	err := w.Stop(r.Context(), who(r).Person())
	if err != nil && !errors.Is(err, account.ErrState) {
		return err
	}
	return w.pages.Render(rw, r, web.Page{Template: "aviso", Title: "enrolment.stop.title", Data: page.Notice{Text: "enrolment.stop.done", Next: "/"}, Return: "/"})
}

// account returns the sections of the account, of which the passkeys are one.
func (w *site) account(current string) []web.NavItem {
	if w.c.Nav == nil {
		return nil
	}
	return w.c.Nav(current)
}
