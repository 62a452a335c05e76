package enrolment

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// Rates of what anybody may post, by address.
var (
	registerRate = cache.Rate{Count: 20, Per: time.Hour, Burst: 10}
	codeRate     = cache.Rate{Count: 30, Per: time.Hour, Burst: 10}
	// keyRate is of passkey steps: each stores a ceremony, or verifies an answer.
	keyRate = cache.Rate{Count: 120, Per: time.Hour, Burst: 30}
)

func (w *site) registration() {
	w.handle("GET /registro", w.form)
	w.handle("POST /registro", w.next)
	w.handle("GET /registro/resumen", w.review)
	w.handle("GET /registro/corregir/{paso}", func(rw http.ResponseWriter, r *http.Request) error { return w.correction(rw, r, nil, nil) })
	w.handle("POST /registro/corregir/{paso}", w.correct)
	w.handle("GET /registro/llave", w.keyPage)
	w.step("/registro/llave", w.bounded, func(r *http.Request, _ answer) (passkey.Ceremony, error) {
		b, err := browser(nil, r)
		if err != nil {
			return passkey.Ceremony{}, err
		}
		return w.BeginKey(r.Context(), b)
	}, func(r *http.Request, a answer) (string, error) {
		b, err := browser(nil, r)
		if err != nil {
			return "", err
		}
		_, err = w.FinishKey(r.Context(), b, a.ID, a.Response, a.Label)
		return "/registro/listo", err
	})
	w.handle("GET /registro/listo", w.ready)
	w.handle("POST /registro/listo", func(rw http.ResponseWriter, _ *http.Request) error { return web.Redirect(rw, "/registro/listo") })
	w.handle("GET /registro/confirmar", w.codeForm)
	w.handle("POST /registro/confirmar", w.code)
	w.handle("GET /registro/confirmar/{ticket}/{draft}", w.confirm)
	w.step("/registro/confirmar/{ticket}/{draft}", w.bounded, func(r *http.Request, _ answer) (passkey.Ceremony, error) {
		d, person, b, err := w.confirming(r)
		if err != nil {
			return passkey.Ceremony{}, err
		}
		return w.BeginSign(r.Context(), d.ID, person, bindBrowser(b))
	}, func(r *http.Request, a answer) (string, error) {
		d, person, b, err := w.confirming(r)
		if err != nil {
			return "", err
		}
		_, err = w.FinishSign(r.Context(), Answer{Draft: d.ID, Person: person, Ceremony: a.ID, Binding: bindBrowser(b), Response: a.Response})
		return "/registro/confirmar/" + r.PathValue("ticket") + "/" + string(d.ID), err
	})
}

const steps = 4

// allSteps counts what the person sees: the questions, the summary, the passkey.
const allSteps = steps + 2

// fieldsOf lists the fields of a step.
func fieldsOf(step int) []string {
	return [][]string{{"tipo", "numero", "complemento"}, {"nombres", "primer_apellido", "segundo_apellido"}, {"nacimiento"}, {"celular", "correo"}}[step-1]
}

func titleOf(step int) string {
	return []string{"enrolment.register.title", "enrolment.register.title_names", "enrolment.register.title_birth", "enrolment.register.title_contact"}[step-1]
}

// question asks one question. Whatever was answered to the others travels along,
// and for a change of language in a cookie: nothing has to be typed twice.
func (w *site) question(rw http.ResponseWriter, r *http.Request, step int, v *web.Values, wrong []web.FieldError) error {
	reg := page.Registration{Step: step, Path: "/registro"}
	for s := 1; s <= steps; s++ {
		for _, f := range fieldsOf(s) {
			if s != step && v != nil && v.Has(f) {
				reg.Carry = append(reg.Carry, page.Hidden{Name: f, Value: v.Get(f)})
			}
		}
	}
	p := web.Page{Template: "registro", Title: titleOf(step), Step: step, Steps: allSteps, Data: reg, Values: v, Errors: wrong, Return: "/registro?paso=" + strconv.Itoa(step)}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
		if wrong[0].Code == "too_many_requests" {
			p.Status = http.StatusTooManyRequests
		}
	}
	if v != nil {
		if err := w.keepAnswers(rw, r, v); err != nil {
			return err
		}
	}
	return w.pages.Render(rw, r, p)
}

// form begins anew, or goes on where the language was changed.
func (w *site) form(rw http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	step, err := strconv.Atoi(q.Get("paso"))
	if err != nil || step < 1 || step > steps {
		answersCookie.Clear(rw)
		return w.question(rw, r, 1, nil, nil)
	}
	v, err := w.keptAnswers(r)
	if err != nil {
		return err
	}
	if v == nil {
		step = 1
	}
	return w.question(rw, r, step, v, nil)
}

// next takes the answer to one question, with those to the others, and asks the next.
func (w *site) next(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	step, err := strconv.Atoi(v.Get("paso"))
	if err != nil || step < 1 || step > steps {
		return w.question(rw, r, 1, v, nil)
	}
	if v.Get("ir") == "atras" {
		return w.question(rw, r, max(step-1, 1), v, nil)
	}
	in, at, wrong := w.parse(v, step)
	if len(wrong) > 0 {
		return w.question(rw, r, at, v, wrong)
	}
	if step < steps {
		return w.question(rw, r, step+1, v, nil)
	}
	var busy *web.Error
	if err := w.limit(r.Context(), "registro:"+web.ClientKey(r), registerRate); errors.As(err, &busy) && busy.Status == http.StatusTooManyRequests {
		return w.question(rw, r, step, v, []web.FieldError{{Code: busy.Code, Detail: "enrolment.error.too_many"}})
	} else if err != nil {
		return err
	}
	secret, err := browser(rw, r)
	if err != nil {
		return err
	}
	if _, err := w.Register(r.Context(), in, secret); errors.Is(err, account.ErrExists) {
		return w.question(rw, r, 1, v, []web.FieldError{{Field: "numero", Code: "exists", Detail: "enrolment.error.exists"}})
	} else if err != nil {
		return err
	}
	answersCookie.Clear(rw)
	return web.Redirect(rw, "/registro/resumen")
}

// parse reads the answers up to a step; at is the first step that has a fault.
func (w *site) parse(v *web.Values, step int) (in account.Registration, at int, wrong []web.FieldError) {
	for at = 1; at <= step; at++ {
		if wrong = w.parseStep(v, at, &in); len(wrong) > 0 {
			return in, at, wrong
		}
	}
	return in, step, nil
}

// parseStep reads the answer to one question.
func (w *site) parseStep(v *web.Values, step int, in *account.Registration) (wrong []web.FieldError) {
	miss := func(field, code, text string) {
		wrong = append(wrong, web.FieldError{Field: field, Code: code, Detail: text})
	}
	var err error
	switch step {
	case 1:
		if kind := v.Get("tipo"); kind == "" {
			miss("tipo", "missing", "enrolment.error.choose")
		} else if in.Document, err = account.ParseDocument(identity.DocumentType(kind), v.Get("numero"), v.Get("complemento")); err != nil {
			miss("numero", "document", "enrolment.error.document")
		}
	case 2:
		if in.Name, err = account.ParseName(v.Get("nombres"), v.Get("primer_apellido"), v.Get("segundo_apellido")); err != nil {
			var ne *account.NameError
			field := "nombres"
			if errors.As(err, &ne) {
				field = []string{"nombres", "primer_apellido", "segundo_apellido"}[ne.Part]
			}
			miss(field, "name", "enrolment.error.name")
		}
	case 3:
		if in.BirthDate, err = account.ParseBirthDate(v.Get("nacimiento"), w.now()); err != nil {
			miss("nacimiento", "birth_date", "enrolment.error.birth")
		}
	case 4:
		if in.Phone, err = account.ParsePhone(v.Get("celular")); err != nil {
			miss("celular", "contact", "enrolment.error.contact_phone")
		}
		if in.Email, err = account.ParseEmail(v.Get("correo")); err != nil {
			miss("correo", "contact", "enrolment.error.contact_mail")
		}
	}
	return wrong
}

func (w *site) keyPage(rw http.ResponseWriter, r *http.Request) error {
	b, err := browser(nil, r)
	var t Ticket
	if err == nil {
		t, err = w.Service.fresh(r.Context(), b)
	}
	switch {
	case err == nil && t.Recovery:
		return w.recoveryKey(rw, r)
	case errors.Is(err, ErrTicket):
		return web.Redirect(rw, "/registro")
	case errors.Is(err, ErrHasKey), errors.Is(err, ErrTicketUsed):
		return web.Redirect(rw, "/registro/listo")
	case err != nil:
		return err
	}
	return w.pages.RenderKey(rw, r, web.Page{Template: "llave", Title: "enrolment.key.title", Step: allSteps, Steps: allSteps, Back: "/registro/resumen",
		Data: page.Key{Path: "/registro/llave", Create: true, Skip: "/registro/listo"}})
}

func (w *site) ready(rw http.ResponseWriter, r *http.Request) error {
	b, err := browser(nil, r)
	if err != nil {
		return web.Redirect(rw, "/registro")
	}
	t, err := w.TicketOfBrowser(r.Context(), b)
	if errors.Is(err, ErrTicket) {
		return web.Redirect(rw, "/registro")
	}
	if err != nil {
		return err
	}
	if t.Recovery {
		return w.recoveryMade(rw, r)
	}
	keys, err := w.cfg.Passkeys.Credentials(r.Context(), t.Person)
	if err != nil {
		return err
	}
	where, err := w.standing(r, t.Person)
	if err != nil {
		return err
	}
	out := page.Ready{Code: t.Code, Expires: t.Expires, HasKey: len(keys) > 0, Correct: len(keys) == 0 && t.State == store.TicketOpen, Standing: where}
	out.Waits, out.Show = where.Title == "enrolment.standing.open", t.State == store.TicketOpen || t.State == store.TicketAtCounter
	out.Until = time.Time{} // it is said below the code
	title := "enrolment.standing.title"
	if out.Waits {
		title = "enrolment.ready.title"
	}
	return w.pages.Render(rw, r, web.Page{Template: "listo", Title: title, Secret: true, Return: "/registro/listo", Data: out})
}

func (w *site) codeForm(rw http.ResponseWriter, r *http.Request) error {
	return w.askCode(rw, r, nil, nil)
}

func (w *site) askCode(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	p := web.Page{Template: "codigo", Title: "enrolment.confirm.title", Values: v, Errors: wrong}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.pages.Render(rw, r, p)
}

// code finds what waits for the signature of a ticket's person.
func (w *site) code(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if err := w.limit(r.Context(), "codigo:"+web.ClientKey(r), codeRate); err != nil {
		return err
	}
	d, ticket, err := w.DraftByCode(r.Context(), v.Get("codigo"))
	switch {
	case errors.Is(err, ErrTicket):
		return w.askCode(rw, r, v, []web.FieldError{{Field: "codigo", Code: "unknown", Detail: "enrolment.error.code"}})
	case errors.Is(err, ErrDraft):
		if told, err := w.rejected(rw, r, v.Get("codigo")); told || err != nil {
			return err
		}
		return w.askCode(rw, r, v, []web.FieldError{{Field: "codigo", Code: "nothing", Detail: "enrolment.error.code_nothing"}})
	case err != nil:
		return err
	}
	if _, err := browser(rw, r); err != nil {
		return err
	}
	return web.Redirect(rw, "/registro/confirmar/"+ticket+"/"+string(d.ID))
}

// confirming returns a draft that the person of a ticket may confirm without a
// session. The ids are not to be guessed, and the passkey decides.
func (w *site) confirming(r *http.Request) (Draft, identity.PersonID, []byte, error) {
	b, err := browser(nil, r)
	if err != nil {
		return Draft{}, "", nil, ErrDraft
	}
	d, person, err := w.draftOfTicket(r.Context(), r.PathValue("ticket"), identity.ActID(r.PathValue("draft")))
	return d, person, b, err
}
