package console

import (
	"context"
	"embed"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/web"
)

//go:embed templates/*.html texts/*.json
var files embed.FS

// Texts returns the catalogue of this package.
func Texts() fs.FS { return sub("texts") }

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the folders are embedded above
	}
	return f
}

// Paths that pages of other contexts lead to.
const (
	PathAccount = "/cuenta"
	PathSignOut = "/cuenta/salir"        // takes the form of web.Page.SignOut
	PathNotMe   = "/cuenta/otra-persona" // for web.Page.NotMe
	PathKeys    = "/cuenta/llaves"       // of enrolment
	PathBlock   = "/cuenta/bloquear"     // of enrolment
	PathPosts   = "/cuenta/cargos"       // of enrolment
	PathTrusted = "/cuenta/confianza"    // of enrolment
)

// Account is what the provider knows of a person's sessions and permissions.
type Account interface {
	Devices(ctx context.Context, person identity.PersonID) ([]idp.OwnDevice, error)
	EndDevice(ctx context.Context, person identity.PersonID, id string) error
	EndApplication(ctx context.Context, person identity.PersonID, sid string) error
	EndGrant(ctx context.Context, person identity.PersonID, id string) error
	EndSession(ctx context.Context, person identity.PersonID, id string) error
	EndOtherSessions(ctx context.Context, person identity.PersonID, keep string) (int, error)
	Consents(ctx context.Context, person identity.PersonID) ([]idp.OwnConsent, error)
	RevokeConsent(ctx context.Context, person identity.PersonID, client string) error
	Clients(ctx context.Context) ([]idp.ClientInfo, error)
	// SignOut ends what the browser's cookie opens and removes the cookie.
	// answered says that it wrote the answer.
	SignOut(w http.ResponseWriter, r *http.Request) (answered bool, err error)
}

// Registry is what enrolment knows of people and institutions.
type Registry interface {
	Profile(ctx context.Context, person identity.PersonID) (identity.Profile, error)
	Appointments(ctx context.Context, person identity.PersonID) ([]identity.Appointment, error)
	Institutions(ctx context.Context) ([]identity.Institution, error)
}

// Mailbox shows what a demonstration would have sent.
type Mailbox interface {
	// Messages returns a page, newest first, and the cursor of the next one or "".
	// notify.ErrCursor if cursor is none of its own.
	Messages(ctx context.Context, c notify.Channel, cursor string, limit int) (list []notify.Message, next string, err error)
}

// Config configures [Register]. All but Mailbox and VerifierKey are needed.
type Config struct {
	Mux      *web.BrowserMux
	Pages    *web.Pages
	Auth     web.Authenticator
	Account  Account
	Registry Registry
	DB       *db.DB
	Audit    *audit.Log
	// VerifierKey returns the log's public key in the form of C2SP signed-note.
	VerifierKey func() string
	// Public is the address of the service, an origin.
	Public string
	// Mailbox adds /demo/correo and /demo/sms.
	Mailbox Mailbox
	Now     func() time.Time
}

// site is the pages on one mux.
type site struct {
	c   Config
	set *web.Set
}

// Register adds the pages to the mux.
func Register(c Config) error {
	if c.Mux == nil || c.Pages == nil || c.Auth == nil || c.Account == nil || c.Registry == nil || c.DB == nil || c.Audit == nil || c.Public == "" {
		return errors.New("console: Mux, Pages, Auth, Account, Registry, DB, Audit and Public are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	set, err := c.Pages.NewSet(sub("templates"))
	if err != nil {
		return err
	}
	s := &site{c, set}
	c.Mux.Handle("GET /{$}", s.home)
	c.Mux.Handle("GET /transparencia", s.transparency)
	own := func(pattern string, h web.HandlerFunc) {
		c.Mux.Handle(pattern, web.RequirePrincipal(c.Auth, identity.N0, 0)(h))
	}
	own("GET "+PathAccount, s.data)
	own("GET /cuenta/sesiones", s.sessions)
	own("POST /cuenta/sesiones/cerrar", s.endSession)
	own("POST /cuenta/sesiones/cerrar-otras", s.endOthers)
	own("POST /cuenta/sesiones/cerrar-equipo", s.endDevice)
	own("POST /cuenta/sesiones/salir-aplicacion", s.endApplication)
	own("POST /cuenta/sesiones/terminar-entrada", s.endGrant)
	own("GET /cuenta/permisos", s.permissions)
	own("POST /cuenta/permisos/retirar", s.withdraw)
	own("GET /cuenta/actividad", s.activity)
	own("GET "+PathNotMe, func(w http.ResponseWriter, r *http.Request) error {
		return s.render(w, r, "", web.Page{Template: "otra-persona", Title: "console.notme.title", Back: PathAccount})
	})
	c.Mux.Handle("POST "+PathSignOut, s.signOut)
	if c.Mailbox != nil {
		c.Mux.Handle("GET /demo/correo", func(w http.ResponseWriter, r *http.Request) error {
			return s.mailbox(w, r, notify.Email, "/demo/correo", "console.mail.title")
		})
		c.Mux.Handle("GET /demo/sms", func(w http.ResponseWriter, r *http.Request) error {
			return s.mailbox(w, r, notify.SMS, "/demo/sms", "console.sms.title")
		})
	}
	return nil
}

// Nav returns the sections of "Mi cuenta", for the pages of other contexts that
// lie in it.
func Nav(current string) []web.NavItem {
	items := []web.NavItem{
		{Path: PathAccount, Text: "console.nav.data"}, {Path: PathKeys, Text: "console.nav.keys"}, {Path: PathTrusted, Text: "console.nav.trusted"}, {Path: "/cuenta/sesiones", Text: "console.nav.sessions"},
		{Path: "/cuenta/permisos", Text: "console.nav.permissions"}, {Path: "/cuenta/actividad", Text: "console.nav.activity"},
	}
	for i := range items {
		items[i].Current = items[i].Path == current
	}
	return items
}

// who returns the person that a protected route let pass.
func who(r *http.Request) web.Principal {
	p, ok := web.PrincipalFrom(r.Context())
	if !ok {
		panic("console: route without a principal")
	}
	return p
}

// render shows a page to somebody signed in, in a section of the account if it is one.
func (s *site) render(w http.ResponseWriter, r *http.Request, section string, p web.Page) error {
	p.Person, p.SignOut, p.NotMe = who(r).Name(), PathSignOut, PathNotMe
	if section != "" {
		p.Nav = Nav(section)
	}
	return s.set.Render(w, r, p)
}

// done reports which of the known actions the address says has just taken place.
func done(r *http.Request, known ...string) string {
	q, err := web.Query(r)
	if err != nil {
		return ""
	}
	for _, k := range known {
		if q.Get("hecho") == k {
			return k
		}
	}
	return ""
}

// signOut takes the form that every page of somebody signed in offers.
func (s *site) signOut(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r, 4<<10)
	if errors.Is(err, web.ErrMediaType) {
		form, err = &web.Values{}, nil // a form without fields may come without a type
	}
	if err != nil {
		return err
	}
	if answered, err := s.c.Account.SignOut(w, r); err != nil || answered {
		return err
	}
	if form.Get("otra") != "" {
		return web.Redirect(w, "/entrar?"+web.ReturnParam+"="+PathAccount)
	}
	return web.Redirect(w, "/?hecho=salir")
}
