package enrolment

import (
	"errors"
	"net/http"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// PathOwnPost is where a person leaves a post of hers.
const PathOwnPost = "/cuenta/cargos"

// ownPost returns the post that a path names, if the person holds it.
func (w *site) ownPost(r *http.Request) (identity.Appointment, error) {
	a, err := w.Appointment(r.Context(), identity.AppointmentID(r.PathValue("appointment")))
	if err == nil && a.Person != who(r).Person() {
		err = ErrUnknown
	}
	return a, err
}

func (w *site) leaveForm(rw http.ResponseWriter, r *http.Request, wrong []web.FieldError) error {
	a, err := w.ownPost(r)
	if err != nil {
		return err
	}
	p := web.Page{Template: "dejar", Title: "enrolment.leave.title", Nav: w.account("/cuenta"), Back: "/cuenta", Errors: wrong, Data: page.Approval{
		Path: PathOwnPost + "/" + string(a.ID),
		Rows: []web.RowView{{Key: "enrolment.fact.post", Value: a.Title}, {Key: "enrolment.fact.institution", Value: a.Institution.Name}, {Key: "enrolment.fact.legal_act", Value: a.LegalAct}},
	}}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

// leavePost draws up the end of a post, which its holder signs.
func (w *site) leavePost(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if reason := v.Get("motivo"); reason != "renuncia" && reason != "fin-de-designacion" && reason != "otro" {
		return w.leaveForm(rw, r, []web.FieldError{{Field: "motivo", Code: "missing", Detail: "enrolment.error.choose"}})
	}
	a, err := w.ownPost(r)
	if err != nil {
		return err
	}
	d, err := w.EndAppointment(r.Context(), who(r).Person(), a.ID, v.Get("motivo"))
	if err != nil {
		return err
	}
	return web.Redirect(rw, "/cuenta/llaves/acto/"+string(d.ID))
}

// namedRate bounds how many people a member of staff proposes for something.
var namedRate = cache.Rate{Count: 120, Per: time.Hour, Burst: 30}

// administered lists the institutions that the person administers.
func (w *site) administered(r *http.Request) ([]identity.Institution, error) {
	roles, _, admin, err := w.ofStaff(r)
	if err != nil {
		return nil, err
	}
	if !admin {
		return nil, act.ErrRole
	}
	all, err := w.Institutions(r.Context())
	var out []identity.Institution
	for _, i := range all {
		for _, role := range roles {
			if role.Role == act.Administrator || role.Institution == i.ID {
				out = append(out, i)
				break
			}
		}
	}
	return out, err
}

func (w *site) appointForm(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	list, err := w.administered(r)
	if err != nil {
		return err
	}
	var data page.Appoint
	for _, ins := range list {
		posts, err := w.Posts(r.Context(), ins.ID)
		if err != nil {
			return err
		}
		for _, p := range posts {
			o := web.OptionView{Value: string(p.ID), Text: p.Title + " – " + ins.Name, Checked: v != nil && v.Get("cargo") == string(p.ID)}
			data.Posts = append(data.Posts, o)
		}
	}
	p := web.Page{Template: "nombrar", Title: "enrolment.appoint.title", Nav: w.nav(r, "/ventanilla/cargos"), Back: "/ventanilla", Data: data, Values: v, Errors: wrong, Return: "/ventanilla/nombrar"}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

func (w *site) appoint(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if _, err := w.administered(r); err != nil {
		return err
	}
	var wrong []web.FieldError
	miss := func(field, code, text string) {
		wrong = append(wrong, web.FieldError{Field: field, Code: code, Detail: text})
	}
	in := AppointmentRequest{Post: identity.PostID(v.Get("cargo")), Kind: identity.AppointmentKind(v.Get("como")), LegalAct: v.Get("acto")}
	in.Person, err = w.named(r, v.Get("documento"))
	switch {
	case errors.Is(err, account.ErrUnknown), errors.Is(err, account.ErrDocument):
		miss("documento", "unknown", "enrolment.error.document_unknown")
	case err != nil:
		return err
	}
	if in.Kind != identity.Titular && in.Kind != identity.Interim && in.Kind != identity.Deputing {
		miss("como", "missing", "enrolment.error.choose")
	}
	if in.LegalAct == "" {
		miss("acto", "missing", "enrolment.error.field")
	}
	if in.From, err = day0(v.Get("desde"), 0); err != nil {
		miss("desde", "date", "enrolment.error.date")
	}
	if in.To, err = day0(v.Get("hasta"), 1); err != nil || in.Kind == identity.Deputing && in.To.IsZero() || !in.To.IsZero() && !in.To.After(in.From) {
		miss("hasta", "date", "enrolment.error.date")
	}
	if len(wrong) > 0 {
		return w.appointForm(rw, r, v, wrong)
	}
	d, err := w.Appoint(r.Context(), who(r).Person(), in)
	if errors.Is(err, ErrInput) {
		return w.appointForm(rw, r, v, []web.FieldError{{Field: "acto", Code: "input", Detail: "enrolment.error.field"}})
	}
	return drafted(rw)(d, err)
}

// named returns whose document a member of staff, whose role was checked, typed
// to propose that person for something: the next page says her name. It counts,
// and is recorded for her, like looking her up.
func (w *site) named(r *http.Request, document string) (identity.PersonID, error) {
	by := who(r).Person()
	if err := w.limit(r.Context(), "named:"+string(by), namedRate); err != nil {
		return "", err
	}
	doc, err := anyDocument(document)
	if err != nil {
		return "", err
	}
	person, err := w.FindByDocument(r.Context(), doc)
	if err != nil || person == by {
		return person, err
	}
	return person, w.recorded(r.Context(), audit.Entry{
		Kind: KindReadStaff, Subject: person, Actor: actor(by), Object: string(person), Outcome: audit.OutcomeOK, Purpose: "enrolment",
	}, func(*db.Tx) error { return nil })
}

// anyDocument reads a document of whatever kind it can be.
func anyDocument(s string) (doc identity.Document, err error) {
	for _, kind := range []identity.DocumentType{identity.DocumentCI, identity.DocumentCIE, identity.DocumentPassport} {
		if doc, err = account.ParseDocument(kind, s, ""); err == nil {
			return doc, nil
		}
	}
	return doc, err
}

// bolivia is the only zone of the country, without summer time.
var bolivia = time.FixedZone("BOT", -4*60*60)

// day0 reads a form's day as midnight in Bolivia, later by so many days; zero if empty.
func day0(s string, later int) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.ParseInLocation(time.DateOnly, s, bolivia)
	return t.AddDate(0, 0, later), err
}

func (w *site) holders(rw http.ResponseWriter, r *http.Request) error {
	list, err := w.administered(r)
	if err != nil {
		return err
	}
	out := []page.Holder{}
	for _, ins := range list {
		held, err := w.AppointmentsIn(r.Context(), ins.ID)
		if err != nil {
			return err
		}
		for _, a := range held {
			p, err := w.cfg.Accounts.Profile(r.Context(), a.Person)
			if err != nil {
				return err
			}
			out = append(out, page.Holder{Path: "/ventanilla/cesar/" + string(a.ID), Title: a.Title, Name: p.Name.Full(), Kind: "enrolment.kind." + string(a.Kind), From: a.From, LegalAct: a.LegalAct})
		}
	}
	return w.render(rw, r, web.Page{Template: "cargos", Title: "enrolment.posts.title", Nav: w.nav(r, "/ventanilla/cargos"), Data: out})
}

func (w *site) endForm(rw http.ResponseWriter, r *http.Request, wrong []web.FieldError) error {
	a, err := w.Appointment(r.Context(), identity.AppointmentID(r.PathValue("appointment")))
	if err != nil {
		return err
	}
	if _, _, err := w.adminOf(r.Context(), who(r).Person(), a.Institution.ID); err != nil && who(r).Person() != a.Person {
		if _, err := w.role(r.Context(), who(r).Person(), act.Supervisor, ""); err != nil {
			return err
		}
	}
	p, err := w.cfg.Accounts.Profile(r.Context(), a.Person)
	if err != nil {
		return err
	}
	out := web.Page{Template: "cesar", Title: "enrolment.end.title", Nav: w.nav(r, "/ventanilla/cargos"), Back: "/ventanilla/cargos", Errors: wrong, Data: page.Approval{
		Path: "/ventanilla/cesar/" + string(a.ID),
		Rows: []web.RowView{{Key: "enrolment.fact.person", Value: p.Name.Full()}, {Key: "enrolment.fact.post", Value: a.Title}, {Key: "enrolment.fact.institution", Value: a.Institution.Name}, {Key: "enrolment.fact.legal_act", Value: a.LegalAct}},
	}}
	if len(wrong) > 0 {
		out.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, out)
}

func (w *site) end(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if v.Get("motivo") == "" {
		return w.endForm(rw, r, []web.FieldError{{Field: "motivo", Code: "missing", Detail: "enrolment.error.choose"}})
	}
	return drafted(rw)(w.EndAppointment(r.Context(), who(r).Person(), identity.AppointmentID(r.PathValue("appointment")), v.Get("motivo")))
}
