package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// maxForm bounds the forms of the account, in bytes.
const maxForm = 4 << 10

// post is a post that a person holds now.
type post struct {
	Title, Institution string
	From, To           string // days in words; To empty without an end
	Kind               string // i18n key
	Path               string // where the person leaves it
}

// data shows what is known of the person.
func (s *site) data(w http.ResponseWriter, r *http.Request) error {
	me, ctx := who(r), r.Context()
	profile, err := s.c.Registry.Profile(ctx, me.Person())
	if err != nil {
		return err
	}
	held, err := s.c.Registry.Appointments(ctx, me.Person())
	if err != nil {
		return err
	}
	now, pr := s.c.Now(), web.Printer(r)
	var posts []post
	for _, a := range held {
		if !a.HeldAt(now) {
			continue
		}
		v := post{Title: a.Title, Institution: a.Institution.Name, From: pr.Date(a.From), Kind: holding(a.Kind), Path: PathPosts + "/" + string(a.ID)}
		if !a.To.IsZero() {
			v.To = pr.Date(a.To)
		}
		posts = append(posts, v)
	}
	born := ""
	if d := profile.BirthDate; !d.IsZero() {
		born = pr.Date(time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC))
	}
	return s.render(w, r, PathAccount, web.Page{Template: "cuenta", Title: "console.account.title", Data: struct {
		Profile                     identity.Profile
		Born, Level, Session        string
		Posts                       []post
		Staff, Proven, Unsure, Mine bool
	}{
		profile, born, levelKey(profile.Level), levelKey(me.Level()), posts,
		slices.Contains(profile.Roles, identity.RoleRegistrar) || slices.Contains(profile.Roles, identity.RoleSupervisor) || slices.Contains(profile.Roles, identity.RoleAdmin),
		profile.Level >= identity.N2, me.Level() < profile.Level, !me.SharedDevice(),
	}})
}

// levelKey returns the text of a level. i18n:use console.level.n0
// i18n:use console.level.n1 i18n:use console.level.n2 i18n:use console.level.n3
func levelKey(l identity.Level) string {
	return [...]string{"console.level.n0", "console.level.n1", "console.level.n2", "console.level.n3"}[min(max(l, identity.N0), identity.N3)]
}

// holding returns the text of how a post is held. i18n:use console.post.titular
// i18n:use console.post.interim i18n:use console.post.deputing
func holding(k identity.AppointmentKind) string {
	switch k {
	case identity.Interim:
		return "console.post.interim"
	case identity.Deputing:
		return "console.post.deputing"
	}
	return "console.post.titular"
}

func (s *site) leave(w http.ResponseWriter, r *http.Request) error {
	if answered, err := s.c.Account.SignOut(w, r); err != nil || answered {
		return err
	}
	return web.Redirect(w, "/?hecho=salir")
}

func (s *site) endOthers(w http.ResponseWriter, r *http.Request) error {
	me := who(r)
	_, err := s.c.Account.EndOtherSessions(r.Context(), me.Person(), me.Session())
	return s.after(w, err, "/cuenta/sesiones", "cerrar")
}

// after goes back to a list. What was not there is gone already: the list says so.
func (s *site) after(w http.ResponseWriter, err error, path, what string) error {
	if errors.Is(err, idp.ErrNotFound) {
		return web.Redirect(w, path)
	}
	if err != nil {
		return err
	}
	return web.Redirect(w, path+"?hecho="+what)
}

// permission is what one application may read.
type permission struct {
	idp.OwnConsent
	Institution string
	Data        string
}

// permissions shows what the person allows applications.
func (s *site) permissions(w http.ResponseWriter, r *http.Request) error {
	me, ctx := who(r), r.Context()
	list, err := s.c.Account.Consents(ctx, me.Person())
	if err != nil {
		return err
	}
	names, err := s.institutionNames(ctx)
	if err != nil {
		return err
	}
	out := make([]permission, 0, len(list))
	for _, c := range list {
		out = append(out, permission{c, names[c.Institution], dataWords(web.Printer(r), c.Scopes)})
	}
	return s.render(w, r, "/cuenta/permisos", web.Page{Template: "permisos", Title: "console.permissions.title", Return: "/cuenta/permisos", Data: struct {
		List []permission
		Done bool
	}{out, done(r, "retirar") != ""}})
}

func (s *site) institutionNames(ctx context.Context) (map[identity.InstitutionID]string, error) {
	list, err := s.c.Registry.Institutions(ctx)
	names := make(map[identity.InstitutionID]string, len(list))
	for _, i := range list {
		names[i.ID] = i.Name
	}
	return names, err
}

func (s *site) withdraw(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	return s.after(w, s.c.Account.RevokeConsent(r.Context(), who(r).Person(), form.Get("aplicacion")), "/cuenta/permisos", "retirar")
}
