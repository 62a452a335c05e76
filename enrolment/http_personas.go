package enrolment

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

const pathPeople = "/ventanilla/personas"

// general stands in a path where a role belongs to no institution.
const general = "general"

// people registers how staff stops somebody, lifts a stop and ends a role.
func (w *site) people() {
	route := func(pattern string, h web.HandlerFunc) { w.handle(pattern, w.staff(h)) }
	route("GET "+pathPeople, func(rw http.ResponseWriter, r *http.Request) error { return w.searchForm(rw, r, nil, nil) })
	route("POST "+pathPeople, w.search)
	route("GET "+pathPeople+"/{person}", w.person)
	for _, f := range []struct {
		name  string
		draft func(*http.Request, string) (Draft, error)
	}{{"bloquear", w.suspend}, {"levantar", w.lift}, {"funcion/{role}/{institution}", w.endRole}} {
		route("GET "+pathPeople+"/{person}/"+f.name, func(rw http.ResponseWriter, r *http.Request) error { return w.askReason(rw, r, nil) })
		route("POST "+pathPeople+"/{person}/"+f.name, func(rw http.ResponseWriter, r *http.Request) error {
			v, err := web.Form(r, maxForm)
			if err != nil {
				return err
			}
			reason := v.Get("motivo")
			if reason == "" {
				return w.askReason(rw, r, []web.FieldError{{Field: "motivo", Code: "missing", Detail: "enrolment.error.choose"}})
			}
			return drafted(rw)(f.draft(r, reason))
		})
	}
}

// looksUp reports whether somebody's roles let look people up.
func looksUp(roles []StaffRole) bool {
	return slices.ContainsFunc(roles, func(r StaffRole) bool { return slices.Contains(caseRoles, r.Role) })
}

func (w *site) searchForm(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	roles, _, _, err := w.ofStaff(r)
	if err != nil {
		return err
	}
	if !looksUp(roles) {
		return act.ErrRole
	}
	p := web.Page{Template: "personas", Title: "enrolment.person.search", Nav: w.nav(r, pathPeople), Values: v, Errors: wrong, Return: pathPeople}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

func (w *site) search(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	if err := w.limit(r.Context(), "person:"+string(who(r).Person()), codeRate); err != nil {
		return err
	}
	doc, err := anyDocument(v.Get("documento"))
	var person identity.PersonID
	if err == nil {
		person, err = w.FindPerson(r.Context(), who(r).Person(), doc)
	}
	if errors.Is(err, account.ErrUnknown) || errors.Is(err, account.ErrDocument) {
		return w.searchForm(rw, r, v, []web.FieldError{{Field: "documento", Code: "unknown", Detail: "enrolment.error.document_unknown"}})
	}
	if err != nil {
		return err
	}
	return web.Redirect(rw, pathPeople+"/"+string(person))
}

// subject returns the case that a path names.
func (w *site) subject(r *http.Request) (Case, error) {
	id := identity.PersonID(r.PathValue("person"))
	if identity.CheckID(identity.PrefixPerson, string(id)) != nil {
		return Case{}, ErrUnknown
	}
	c, err := w.Case(r.Context(), who(r).Person(), id)
	if errors.Is(err, account.ErrUnknown) {
		err = ErrUnknown
	}
	return c, err
}

// person shows how somebody stands and what may be done about it.
func (w *site) person(rw http.ResponseWriter, r *http.Request) error {
	c, err := w.subject(r)
	if err != nil {
		return err
	}
	path, self := pathPeople+"/"+string(c.Profile.Person), c.Profile.Person == who(r).Person()
	mine, err := w.Roles(r.Context(), who(r).Person())
	if err != nil {
		return err
	}
	senior := slices.ContainsFunc(mine, func(r StaffRole) bool { return r.Role == act.Supervisor || r.Role == act.Administrator })
	registers := slices.ContainsFunc(mine, func(r StaffRole) bool { return r.Role == act.Registrar })
	data := page.Person{Path: path, Self: self, Stopped: c.Stopped(), State: standingOf(c), Rows: whoRows(c.Profile), Waits: c.Lift != nil}
	data.Rows = append(data.Rows, web.RowView{Key: "enrolment.fact.level", Value: c.Profile.Level.String()})
	if c.Suspension != nil {
		b, at := c.Suspension.Body.(*act.Suspension), c.Suspension.At
		data.Act = true
		data.Rows = append(data.Rows, web.RowView{Key: "enrolment.fact.stopped", Value: reasonText(web.Printer(r), b.Reason)}, web.RowView{Key: "enrolment.fact.since", Value: at})
	}
	data.Stop = !self && !c.Stopped() && (senior || len(c.Roles) == 0)
	data.Recover = !self && registers && c.Suspension == nil && c.Profile.Level > identity.N0
	data.Lift = !self && c.Stopped() && !data.Waits
	for _, role := range c.Roles {
		item := page.RoleHeld{Role: roleText(role.Role)}
		if role.Institution != "" {
			if item.Institution, err = w.institutionName(r.Context(), role.Institution); err != nil {
				return err
			}
		}
		if self || senior {
			item.Path = path + "/funcion/" + string(role.Role) + "/" + url.PathEscape(cmp.Or(string(role.Institution), general))
		}
		data.Roles = append(data.Roles, item)
	}
	for _, a := range c.Appointments {
		item := page.Holder{Title: a.Title, Name: a.Institution.Name, Kind: "enrolment.kind." + string(a.Kind), LegalAct: a.LegalAct, From: a.From}
		if self || senior {
			item.Path = "/ventanilla/cesar/" + string(a.ID)
		}
		data.Posts = append(data.Posts, item)
	}
	return w.render(rw, r, web.Page{Template: "persona", Title: "enrolment.person.title", Nav: w.nav(r, pathPeople), Back: pathPeople, Data: data, Return: path})
}

func whoRows(p identity.Profile) []web.RowView {
	return []web.RowView{
		{Key: "enrolment.fact.person", Value: p.Name.Full()},
		{Key: "enrolment.fact.document", Value: string(p.Document.Type) + " " + p.Document.String()},
	}
}

// standingOf names the notice of a case: a kind, a title and a text.
func standingOf(c Case) page.Standing {
	switch {
	case c.Lift != nil:
		return page.Standing{Kind: "warn", Title: "enrolment.person.stopped", Text: "enrolment.person.lift_waits"}
	case c.Stopped() && c.Suspension == nil:
		return page.Standing{Kind: "warn", Title: "enrolment.person.stopped", Text: "enrolment.person.no_act"}
	case c.Stopped():
		return page.Standing{Kind: "warn", Title: "enrolment.person.stopped", Text: "enrolment.person.by_act"}
	}
	return page.Standing{Kind: "ok", Title: "enrolment.person.active", Text: ""}
}

// askReason is the one question of a suspension, a lifting or the end of a role.
func (w *site) askReason(rw http.ResponseWriter, r *http.Request, wrong []web.FieldError) error {
	c, err := w.subject(r)
	if err != nil {
		return err
	}
	back := pathPeople + "/" + string(c.Profile.Person)
	data := page.Reason{Path: r.URL.EscapedPath(), Rows: whoRows(c.Profile)}
	p := web.Page{Template: "motivo", Nav: w.nav(r, pathPeople), Back: back, Errors: wrong, Return: data.Path}
	switch {
	case r.PathValue("role") != "":
		role, err := heldRole(r, c)
		if err != nil {
			return err
		}
		p.Title, data.Kind = "enrolment.person.end_role", "function"
		data.Rows = append(data.Rows, web.RowView{Key: "enrolment.fact.role", Value: web.Printer(r).T(roleText(role.Role))})
	case r.URL.Path == back+"/levantar" && !c.Stopped(), r.URL.Path == back+"/bloquear" && c.Suspension != nil:
		return ErrDone
	case r.URL.Path == back+"/levantar" && c.Suspension == nil:
		p.Title, data.Kind = "enrolment.person.record", "record"
	case r.URL.Path == back+"/levantar":
		p.Title, data.Kind = "enrolment.person.lift", "lift"
	default:
		p.Title, data.Kind = "enrolment.person.stop", "stop"
	}
	p.Data = data
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

func (w *site) suspend(r *http.Request, reason string) (Draft, error) {
	c, err := w.subject(r)
	if err != nil {
		return Draft{}, err
	}
	return w.Suspend(r.Context(), who(r).Person(), c.Profile.Person, reason)
}

// lift drafts the lifting of the act that stops a person. If she or an operator
// stopped her there is none: then the act comes first.
func (w *site) lift(r *http.Request, reason string) (Draft, error) {
	c, err := w.subject(r)
	switch {
	case err != nil:
		return Draft{}, err
	case !c.Stopped(), c.Lift != nil:
		return Draft{}, ErrDone
	case c.Suspension == nil:
		return w.Suspend(r.Context(), who(r).Person(), c.Profile.Person, reason)
	}
	return w.Lift(r.Context(), who(r).Person(), c.Suspension.ID, reason)
}

// heldRole returns the role that a path names, if the person holds it.
func heldRole(r *http.Request, c Case) (StaffRole, error) {
	want := StaffRole{Role: act.Role(r.PathValue("role")), Institution: identity.InstitutionID(r.PathValue("institution"))}
	if want.Institution == general {
		want.Institution = ""
	}
	if !slices.Contains(c.Roles, want) {
		return want, ErrUnknown
	}
	return want, nil
}

func (w *site) endRole(r *http.Request, reason string) (Draft, error) {
	c, err := w.subject(r)
	if err != nil {
		return Draft{}, err
	}
	role, err := heldRole(r, c)
	if err != nil {
		return Draft{}, err
	}
	return w.EndRole(r.Context(), who(r).Person(), c.Profile.Person, role.Role, role.Institution, reason)
}
