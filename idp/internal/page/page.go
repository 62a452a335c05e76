// Package page is the provider's pages: entering, consent, leaving. A page is a
// struct of what it shows; every visible word goes through i18n. Only idp's
// packages may import it.
package page

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

//go:embed templates/*.html texts/*.json
var files embed.FS

// Texts returns the catalogue of this package.
func Texts() fs.FS {
	sub, err := fs.Sub(files, "texts")
	if err != nil {
		panic(err) // the embedded folder is named above
	}
	return sub
}

// Pages renders the provider's pages.
type Pages struct{ set *web.Set }

// New parses the pages.
func New(p *web.Pages) (*Pages, error) {
	sub, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, err
	}
	set, err := p.NewSet(sub)
	if err != nil {
		return nil, err
	}
	return &Pages{set}, nil
}

// Problems that a login page shows, as i18n keys.
const (
	ProblemCard      = "idp.login.problem.card"
	ProblemThrottled = "idp.login.problem.throttled"
)

// Login is the page on which a person proves who she is.
type Login struct {
	App          string // who asks; its name
	Local        bool   // Suti's own page asks
	Lead         string // for Local: i18n key of what it is about; may be empty
	Action       string // path of the interaction
	Cards        bool   // password and code card are possible
	StepUp       bool   // the same person must prove more, or anew
	Insufficient bool   // what was just proved does not suffice
	Person       string // set for StepUp
	Shared       bool   // set for StepUp on a shared device: it stays one
	Problem      string // i18n key, or empty
	Hint         string // login_hint
	Redirect     string // where the page's forms lead in the end; empty for our own pages
}

func (l Login) faults() []web.FieldError {
	if l.Problem == "" {
		return nil
	}
	return []web.FieldError{{Detail: l.Problem}}
}

func (l Login) title() (string, []any) {
	switch {
	case l.StepUp:
		return "idp.login.title.stepup", nil
	case l.Local:
		return "idp.login.title.local", nil
	}
	return "idp.login.title.app", []any{"app", l.App}
}

// Login shows the passkey button and the other ways in.
func (p *Pages) Login(w http.ResponseWriter, r *http.Request, l Login) error {
	title, args := l.title()
	if err := allow(w, web.Policy{ConnectSelf: true}, l.Redirect); err != nil {
		return err
	}
	return p.set.Render(w, r, web.Page{Template: "entrar", Title: title, TitleArgs: args, Data: l, Errors: l.faults(), Scripts: []string{"llave.js"}})
}

// Card is the way in with password and code card.
type Card struct {
	Login
	Username  string
	Challenge string // id of the question
	Cell      string // the cell asked for
}

// CardName asks for the login name, on which the cell depends.
func (p *Pages) CardName(w http.ResponseWriter, r *http.Request, c Card) error {
	if c.Username == "" {
		c.Username = c.Hint
	}
	if err := allowForm(w, c.Redirect); err != nil {
		return err
	}
	status := 0
	if c.Problem == ProblemThrottled {
		status = http.StatusTooManyRequests
	}
	return p.set.Render(w, r, web.Page{Template: "tarjeta-nombre", Status: status, Title: "idp.card.title", Data: c, Errors: c.faults(), Back: c.Action})
}

// Card asks for password and cell.
func (p *Pages) Card(w http.ResponseWriter, r *http.Request, c Card) error {
	if err := allowForm(w, c.Redirect); err != nil {
		return err
	}
	return p.set.Render(w, r, web.Page{Template: "tarjeta", Title: "idp.card.title", Data: c, Errors: c.faults(), Back: c.Action})
}

// Scope is a group of data that an application asks for.
type Scope struct {
	Name   string
	Values []string // what it is for this person
}

// Optional reports whether the person may leave it out.
func (s Scope) Optional() bool { return s.Name != "profile" }

// Label returns the i18n key of what the scope is, or "" for one that has no words of ours.
func (s Scope) Label() string {
	switch s.Name {
	case "profile":
		return "idp.scope.profile"
	case "email":
		return "idp.scope.email"
	case "phone":
		return "idp.scope.phone"
	case "documento_identidad":
		return "idp.scope.documento_identidad"
	case "offline_access":
		return "idp.scope.offline_access"
	}
	return ""
}

// ScopeValues returns what a scope opens of a profile, as people read it.
func ScopeValues(scope string, who identity.Profile) []string {
	var out []string
	add := func(v string) {
		if v != "" {
			out = append(out, v)
		}
	}
	switch scope {
	case "profile":
		add(who.Name.Full())
		if d := who.BirthDate; !d.IsZero() {
			add(fmt.Sprintf("%02d/%02d/%04d", d.Day, int(d.Month), d.Year))
		}
	case "email":
		add(who.Email)
	case "phone":
		add(who.Phone)
	case "documento_identidad":
		add(string(who.Document.Type) + " " + who.Document.String())
	}
	return out
}

// Document is a document that an application wants signed.
type Document struct {
	Label string // what the application calls it
	Hash  string // SHA-256 of the file, base64url
}

// Consent asks the person, by name, whether data may go to an application.
type Consent struct {
	App       string
	Person    string
	Action    string
	Redirect  string     // where the form leads in the end
	Seen      string     // names what the page shows; the answer brings it back
	Scopes    []Scope    // empty: only to confirm who enters
	Documents []Document // that the application may ask her to sign
	Device    *DeviceAsk // a device without a browser of its own asks; nil for this browser
}

// Consent shows what will be shared, with whom.
func (p *Pages) Consent(w http.ResponseWriter, r *http.Request, c Consent) error {
	if err := allowForm(w, c.Redirect); err != nil {
		return err
	}
	return p.set.Render(w, r, web.Page{Template: "consentimiento", Title: "idp.consent.title", TitleArgs: []any{"app", c.App}, Data: c})
}

// allowForm lets the page's form lead to the application, which browsers check
// against form-action even after a redirect.
func allowForm(w http.ResponseWriter, redirect string) error {
	return allow(w, web.Policy{}, redirect)
}

// allow sets a policy under which the page's form may lead to the application.
func allow(w http.ResponseWriter, p web.Policy, redirect string) error {
	if redirect != "" {
		source, err := web.FormActionSource(redirect)
		if err != nil {
			return err
		}
		p.FormAction = []string{source}
	}
	return web.Relax(w, p)
}

// Unmet tells that the application asks for more than the person can prove.
type Unmet struct{ App, Person, Action, Redirect string }

// Unmet shows what can be done about it.
func (p *Pages) Unmet(w http.ResponseWriter, r *http.Request, u Unmet) error {
	if err := allowForm(w, u.Redirect); err != nil {
		return err
	}
	return p.set.Render(w, r, web.Page{Template: "no-alcanza", Title: "idp.unmet.title", Data: u})
}

// Finished tells that this entry has ended already.
func (p *Pages) Finished(w http.ResponseWriter, r *http.Request, app string) error {
	return p.set.Render(w, r, web.Page{Template: "mensaje", Status: http.StatusConflict, Title: "idp.finished.title", Data: Message{Text: "idp.finished.text", Args: []any{"app", app}}})
}

// Gone tells that this browser knows no such entry.
func (p *Pages) Gone(w http.ResponseWriter, r *http.Request) error {
	return p.set.Render(w, r, web.Page{Template: "mensaje", Status: http.StatusNotFound, Title: "idp.gone.title", Data: Message{Text: "idp.gone.text"}})
}

// Message is a page of one sentence.
type Message struct {
	Text string // i18n key
	Args []any
	Code string // for the application's makers; may be empty
	More string
}

// Fault shows a request that cannot be answered to the application.
func (p *Pages) Fault(w http.ResponseWriter, r *http.Request, code, description string) error {
	return p.set.Render(w, r, web.Page{Template: "mensaje", Status: http.StatusBadRequest, Title: "idp.fault.title", Data: Message{Text: "idp.fault.text", Code: code, More: description}})
}

// Hidden is a field that a form carries on.
type Hidden struct{ Name, Value string }

func hidden(v url.Values) []Hidden {
	out := make([]Hidden, 0, len(v))
	for name := range v {
		out = append(out, Hidden{name, v.Get(name)})
	}
	slices.SortFunc(out, func(a, b Hidden) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Logout asks whether to leave.
type Logout struct {
	App    string // who asks; may be empty
	Back   string // where the form leads in the end
	Params url.Values
}

// Fields returns the parameters that the form carries on.
func (l Logout) Fields() []Hidden { return hidden(l.Params) }

// Logout shows the question.
func (p *Pages) Logout(w http.ResponseWriter, r *http.Request, l Logout) error {
	if err := allowForm(w, l.Back); err != nil {
		return err
	}
	return p.set.Render(w, r, web.Page{Template: "salir", Title: "idp.logout.title", Data: l})
}

// LoggedOut tells that the person has left.
func (p *Pages) LoggedOut(w http.ResponseWriter, r *http.Request) error {
	return p.set.Render(w, r, web.Page{Template: "mensaje", Title: "idp.loggedout.title", Data: Message{Text: "idp.loggedout.text"}})
}

// Frame is an old application that is told of a logout in the browser.
type Frame struct{ App, Address string }

// frameSeconds is how long applications have before the browser goes on.
const frameSeconds = 5

// LoggedOutFrames tells that the person has left, while the page's frames tell
// old applications (Front-Channel Logout 1.0 §3). The policy names exactly their
// origins. Without any script the browser goes on to back after some seconds, or
// the person by a link; back may be empty.
func (p *Pages) LoggedOutFrames(w http.ResponseWriter, r *http.Request, back string, frames []Frame) error {
	policy := web.Policy{}
	for _, f := range frames {
		origin, err := web.FormActionSource(f.Address)
		if err != nil {
			return err
		}
		policy.Frame = append(policy.Frame, origin)
	}
	if err := web.Relax(w, policy); err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	if back != "" {
		w.Header().Set("Refresh", fmt.Sprintf("%d; url=%s", frameSeconds, back))
	}
	return p.set.Render(w, r, web.Page{Template: "salida", Title: "idp.loggedout.title", Data: struct {
		Back   template.URL // registered by its client and checked there
		Frames []Frame
	}{template.URL(back), frames}})
}

// formPost is an authorization response by response_mode=form_post.
type formPost struct {
	Address string
	Params  url.Values
}

// Fields returns the response's parameters.
func (f formPost) Fields() []Hidden { return hidden(f.Params) }

// FormPost sends an authorization response by a form (OAuth 2.0 Form Post
// Response Mode): of itself where scripts run, by a button where they do not.
func (p *Pages) FormPost(w http.ResponseWriter, r *http.Request, address string, params url.Values) error {
	if err := allowForm(w, address); err != nil {
		return err
	}
	return p.set.Render(w, r, web.Page{Template: "enviar", Title: "idp.formpost.title", Data: formPost{address, params}, Scripts: []string{"enviar.js"}, Secret: true})
}
