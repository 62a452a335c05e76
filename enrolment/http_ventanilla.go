package enrolment

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

func (w *site) counter() {
	route := func(pattern string, h web.HandlerFunc) { w.handle(pattern, w.staff(h)) }
	route("GET /ventanilla", func(rw http.ResponseWriter, r *http.Request) error { return w.desk(rw, r, nil, nil) })
	route("POST /ventanilla/abrir", w.openTicket)
	route("GET /ventanilla/ticket/{ticket}", func(rw http.ResponseWriter, r *http.Request) error { return w.ticket(rw, r, nil, nil) })
	route("POST /ventanilla/ticket/{ticket}/verificar", w.verify)
	route("POST /ventanilla/ticket/{ticket}/soltar", w.release)
	route("GET /ventanilla/ticket/{ticket}/tarjeta", func(rw http.ResponseWriter, r *http.Request) error { return w.askPassword(rw, r, nil) })
	route("POST /ventanilla/ticket/{ticket}/tarjeta", w.takePassword)
	route("GET "+pathSheets, w.sheets)
	route("GET "+pathSheets+"/{person}", func(rw http.ResponseWriter, r *http.Request) error { return w.sheet(rw, r, nil, nil) })
	route("POST "+pathSheets+"/{person}/imprimir", w.printSheet)
	route("POST "+pathSheets+"/{person}/abrir", w.openSheet)
	route("POST "+pathSheets+"/{person}/rechazar", w.refuseSheet)
	route("GET /ventanilla/acto/{draft}", w.draftPage)
	w.step("/ventanilla/acto/{draft}", w.staff, func(r *http.Request, _ answer) (passkey.Ceremony, error) {
		return w.BeginSign(r.Context(), identity.ActID(r.PathValue("draft")), who(r).Person(), bindSession(r))
	}, func(r *http.Request, a answer) (string, error) {
		d, err := w.FinishSign(r.Context(), Answer{Draft: identity.ActID(r.PathValue("draft")), Person: who(r).Person(), Ceremony: a.ID, Binding: bindSession(r), Response: a.Response})
		return "/ventanilla/acto/" + string(d.ID), err
	})
	route("GET /ventanilla/aprobar", w.waitingPage)
	route("GET /ventanilla/aprobar/{act}", w.approvalPage)
	route("POST /ventanilla/aprobar/{act}", func(rw http.ResponseWriter, r *http.Request) error {
		return drafted(rw)(w.Approve(r.Context(), who(r).Person(), identity.ActID(r.PathValue("act"))))
	})
	route("GET /ventanilla/aprobar/{act}/rechazar", func(rw http.ResponseWriter, r *http.Request) error { return w.rejectForm(rw, r, nil, nil) })
	route("POST /ventanilla/aprobar/{act}/rechazar", w.reject)
	route("GET /ventanilla/propuesta/{act}", w.proposal)
	route("POST /ventanilla/propuesta/{act}/retirar", w.withdraw)
	route("GET /ventanilla/nombrar", func(rw http.ResponseWriter, r *http.Request) error { return w.appointForm(rw, r, nil, nil) })
	route("POST /ventanilla/nombrar", w.appoint)
	route("GET /ventanilla/funciones", func(rw http.ResponseWriter, r *http.Request) error { return w.grantForm(rw, r, nil, nil) })
	route("POST /ventanilla/funciones", w.grant)
	route("GET /ventanilla/cargos", w.holders)
	route("GET /ventanilla/cesar/{appointment}", func(rw http.ResponseWriter, r *http.Request) error { return w.endForm(rw, r, nil) })
	route("POST /ventanilla/cesar/{appointment}", w.end)
}

// drafted leads to the page on which a draft is signed.
func drafted(rw http.ResponseWriter) func(Draft, error) error {
	return func(d Draft, err error) error {
		if err != nil {
			return err
		}
		return web.Redirect(rw, "/ventanilla/acto/"+string(d.ID))
	}
}

// nav are the sections of the counter that the person's roles open.
func (w *site) nav(r *http.Request, current string) []web.NavItem {
	items := []web.NavItem{{Path: "/ventanilla", Text: "enrolment.nav.counter"}, {Path: "/ventanilla/aprobar", Text: "enrolment.nav.approve"}}
	roles, _, admin, err := w.ofStaff(r)
	if err == nil && looksUp(roles) {
		items = append(items, web.NavItem{Path: pathPeople, Text: "enrolment.nav.people"})
	}
	if err == nil && admin {
		items = append(items, web.NavItem{Path: "/ventanilla/cargos", Text: "enrolment.nav.posts"})
	}
	for i := range items {
		items[i].Current = items[i].Path == current
	}
	return items
}

// ofStaff returns the roles of the person, or act.ErrRole if there are none.
func (w *site) ofStaff(r *http.Request) (roles []StaffRole, registrar, admin bool, err error) {
	roles, err = w.Roles(r.Context(), who(r).Person())
	if err == nil && len(roles) == 0 {
		err = act.ErrRole
	}
	for _, role := range roles {
		registrar = registrar || role.Role == act.Registrar
		admin = admin || role.Role == act.Administrator || role.Role == act.InstitutionAdmin
	}
	return roles, registrar, admin, err
}

func (w *site) desk(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	roles, registrar, admin, err := w.ofStaff(r)
	if err != nil {
		return err
	}
	me := who(r).Person()
	data := page.Counter{Registrar: registrar, People: looksUp(roles), Appoint: admin, Grant: slices.ContainsFunc(roles, func(r StaffRole) bool { return r.Role == act.Administrator })}
	data.Sheets = slices.ContainsFunc(roles, func(r StaffRole) bool { return r.Role == act.Registrar || r.Role == act.Supervisor })
	waiting, err := w.WaitingFor(r.Context(), me)
	if err != nil {
		return err
	}
	data.Approve = len(waiting)
	held, err := w.TicketsInHand(r.Context(), me)
	if err != nil {
		return err
	}
	for _, t := range held {
		p, err := w.cfg.Accounts.Profile(r.Context(), t.Person)
		if err != nil {
			return err
		}
		data.InHand = append(data.InHand, page.InHand{Path: "/ventanilla/ticket/" + t.ID, Name: p.Name.Full(), Until: t.LockedUntil})
	}
	if data.Proposals, err = w.proposals(r); err != nil {
		return err
	}
	p := web.Page{Template: "ventanilla", Title: "enrolment.counter.title", Nav: w.nav(r, "/ventanilla"), Data: data, Values: v, Errors: wrong, Return: "/ventanilla"}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

func (w *site) openTicket(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if err := w.limit(r.Context(), "ticket:"+string(who(r).Person()), codeRate); err != nil {
		return err
	}
	t, err := w.OpenTicket(r.Context(), who(r).Person(), v.Get("codigo"))
	for _, known := range []error{ErrTicketExpired, ErrTicketUsed, ErrTicketTaken, ErrTicket} {
		if errors.Is(err, known) {
			e := fault(err).(*web.Error) // a known error is a web.Error
			return w.desk(rw, r, v, []web.FieldError{{Field: "codigo", Code: e.Code, Detail: e.Detail}})
		}
	}
	if err != nil {
		return err
	}
	return web.Redirect(rw, "/ventanilla/ticket/"+t.ID)
}

func (w *site) ticket(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	t, p, err := w.TicketInHand(r.Context(), who(r).Person(), r.PathValue("ticket"))
	if err != nil {
		return err
	}
	keys, err := w.keysOf(r.Context(), t.Person)
	if err != nil {
		return err
	}
	path := "/ventanilla/ticket/" + t.ID
	data := page.Ticket{Path: path, Rows: said(p), Until: t.LockedUntil, Passkey: len(keys) > 0, Card: t.Card, Recovery: t.Recovery}
	if t.Recovery {
		if data.Code, data.Passkey, err = w.recoveryOf(r.Context(), who(r).Person(), t.ID); err != nil {
			return err
		}
	}
	if t.Vouched {
		v, err := w.VouchingOf(r.Context(), who(r).Person(), t.ID)
		if err != nil {
			return err
		}
		data.Vouching = &page.Vouching{Have: v.Have, Ready: v.State == machine.VouchRipe, Until: v.Ripe}
	}
	if !t.Recovery {
		if data.Similar, err = w.similar(r.Context(), t.Person, ""); err != nil {
			return err
		}
	}
	out := web.Page{Template: "ticket", Title: "enrolment.ticket.title", Secret: t.Recovery, Nav: w.nav(r, "/ventanilla"), Back: "/ventanilla", Values: v, Errors: wrong, Return: path,
		Data: data}
	if len(wrong) > 0 {
		out.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, out)
}

func (w *site) verify(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm, web.Repeatable("verificado"))
	if err != nil {
		return err
	}
	in := Verification{Ticket: r.PathValue("ticket"), Confirmed: v.All("verificado")}
	switch v.Get("nivel") {
	case "N2":
		in.Level = identity.N2
	case "N3":
		in.Level = identity.N3
	default:
		return w.ticket(rw, r, v, []web.FieldError{{Field: "nivel", Code: "missing", Detail: "enrolment.error.choose"}})
	}
	d, err := w.Verify(r.Context(), who(r).Person(), in)
	var mismatch *MismatchError
	if errors.As(err, &mismatch) {
		return w.ticket(rw, r, v, []web.FieldError{{Field: "verificado", Code: "not_confirmed", Detail: "enrolment.error.confirm_all"}})
	}
	return drafted(rw)(d, err)
}

func (w *site) release(rw http.ResponseWriter, r *http.Request) error {
	if err := w.ReleaseTicket(r.Context(), who(r).Person(), r.PathValue("ticket")); err != nil {
		return err
	}
	return web.Redirect(rw, "/ventanilla")
}

// draftPage shows a draft to one of those who sign it.
func (w *site) draftPage(rw http.ResponseWriter, r *http.Request) error {
	me := who(r).Person()
	d, err := w.Draft(r.Context(), identity.ActID(r.PathValue("draft")))
	if err != nil {
		return err
	}
	mine := false
	for _, n := range d.Needs {
		mine = mine || n.Person == me
	}
	if !mine {
		return ErrDraft
	}
	data, err := w.signPage(r, d, me, "/ventanilla/acto/"+string(d.ID), "/ventanilla", true)
	if err != nil {
		return err
	}
	return w.render(rw, r, web.Page{Template: "firmar", Title: "enrolment.sign.title", Nav: w.nav(r, ""), Data: data})
}

func (w *site) waitingPage(rw http.ResponseWriter, r *http.Request) error {
	if _, _, _, err := w.ofStaff(r); err != nil {
		return err
	}
	list, err := w.WaitingFor(r.Context(), who(r).Person())
	if err != nil {
		return err
	}
	out := []page.Waiting{}
	for _, a := range list {
		item := page.Waiting{Path: "/ventanilla/aprobar/" + string(a.ID), Kind: kindText(a.Statement.Body.Kind()), At: a.Statement.At}
		if a.Person != "" {
			p, err := w.cfg.Accounts.Profile(r.Context(), a.Person)
			if err != nil {
				return err
			}
			item.Name = p.Name.Full()
		}
		out = append(out, item)
	}
	return w.render(rw, r, web.Page{Template: "aprobar", Title: "enrolment.approve.title", Nav: w.nav(r, "/ventanilla/aprobar"), Data: out})
}

func (w *site) approvalPage(rw http.ResponseWriter, r *http.Request) error {
	a, err := w.WaitingAct(r.Context(), who(r).Person(), identity.ActID(r.PathValue("act")))
	if err != nil {
		return err
	}
	data, err := w.approvalOf(r, a)
	if err != nil {
		return err
	}
	if b, ok := a.Statement.Body.(*act.Enrolment); ok && !b.Replaces {
		if data.Similar, err = w.similar(r.Context(), b.Person, who(r).Person()); err != nil {
			return err
		}
	}
	return w.render(rw, r, web.Page{Template: "aprobacion", Title: "enrolment.approve.title_one", Nav: w.nav(r, "/ventanilla/aprobar"), Back: "/ventanilla/aprobar", Data: data})
}

// approvalOf shows an act that waits.
func (w *site) approvalOf(r *http.Request, a Waiting) (page.Approval, error) {
	rows, err := w.describe(r.Context(), r, a.Statement, true)
	_, enrolment := a.Statement.Body.(*act.Enrolment)
	return page.Approval{Path: "/ventanilla/aprobar/" + string(a.ID), Rows: rows, Enrolment: enrolment}, err
}

// similar lists people proven already who may be the same as a person: who they
// are for the one who decides, which they see; else only how many.
func (w *site) similar(ctx context.Context, person, reader identity.PersonID) ([]page.Alike, error) {
	list, err := w.cfg.Accounts.Similar(ctx, person)
	if err != nil {
		return nil, err
	}
	out := make([]page.Alike, len(list))
	for i, id := range list {
		if reader == "" {
			continue
		}
		if err := w.recorded(ctx, audit.Entry{Kind: KindReadStaff, Subject: id, Actor: actor(reader), Object: string(id), Outcome: audit.OutcomeOK, Purpose: "enrolment"}, func(*db.Tx) error { return nil }); err != nil {
			return nil, err
		}
		p, err := w.cfg.Accounts.Profile(ctx, id)
		if err != nil {
			return nil, err
		}
		out[i] = page.Alike{Name: p.Name.Full(), Document: string(p.Document.Type) + " " + p.Document.String(), Birth: day(p.BirthDate)}
	}
	return out, nil
}
