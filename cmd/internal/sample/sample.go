package sample

import (
	"bytes"
	"context"
	"crypto"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/sdk"
)

//go:embed templates/*.html assets/*
var files embed.FS

// Signer is somebody whom the form for signature requests offers by name.
type Signer struct {
	Label              string // who, and in which post
	Number, Complement string // of the identity card
	Appointment        string // in whose exercise the person signs; may be empty
}

// Config says which application to run. Issuer, ClientID, Key and BaseURL are needed.
type Config struct {
	Issuer   string // of Suti
	ClientID string
	Key      crypto.Signer // for private_key_jwt
	BaseURL  string        // public address of the application, an origin
	// Title and Institution name the application and whose it is.
	Title, Institution string
	// OtherTitle and OtherURL lead to the other application; may be empty.
	OtherTitle, OtherURL string
	// Signers are offered in the form for signature requests.
	Signers []Signer
	// File keeps the list of signature requests over a restart; in memory if empty.
	File       string
	HTTPClient *http.Client // the SDK's by default
	Logger     *slog.Logger
	Now        func() time.Time
}

// Addresses returns what to register for a client with that base address.
func Addresses(baseURL string) (redirect, postLogout, backchannel string) {
	return baseURL + "/auth/callback", baseURL + "/auth/salida", baseURL + "/auth/backchannel"
}

// app is what both applications have in common.
type app struct {
	cfg    Config
	look   string // name of its style sheet and icon
	client *sdk.Client
	pages  map[string]*template.Template
	policy string
	host   string
	nav    []link
}

type link struct{ Path, Text string }

// newApp checks the configuration and asks the issuer for its metadata.
func newApp(ctx context.Context, c Config, look string, nav []link) (*app, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	base, err := url.Parse(c.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("sample: base address: %w", err)
	}
	a := &app{cfg: c, look: look, nav: nav, host: base.Host, pages: map[string]*template.Template{}}
	a.client, err = sdk.New(ctx, sdk.Config{
		Issuer: c.Issuer, ClientID: c.ClientID, Key: c.Key, BaseURL: c.BaseURL, HTTPClient: c.HTTPClient, Now: c.Now, OnError: a.loginFailed,
	})
	if err != nil {
		return nil, fmt.Errorf("sample: %w", err)
	}
	// A form's target is checked after redirects too: leaving ends at the issuer.
	a.policy = "default-src 'none'; base-uri 'none'; form-action 'self' " + c.Issuer + "; frame-ancestors 'none'; img-src 'self'; style-src 'self'"
	funcs := template.FuncMap{"moment": moment, "level": levelText, "demo": func() string { return identity.DemoNotice }}
	for _, name := range []string{"tramites", "mis-tramites", "certificado", "firmas", "pedir", "pedido", "becas", "mis-becas", "mensaje"} {
		t, err := template.New("layout.html").Funcs(funcs).ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		a.pages[name] = t
	}
	return a, nil
}

// handler guards the application's own address, its headers and its forms.
func (a *app) handler(mux *http.ServeMux) http.Handler {
	mux.Handle("/auth/", a.client.Routes())
	mux.HandleFunc("GET /estilo.css", func(w http.ResponseWriter, _ *http.Request) {
		a.asset(w, "text/css; charset=utf-8", "base.css", a.look+".css")
	})
	mux.HandleFunc("GET /icono.svg", func(w http.ResponseWriter, _ *http.Request) { a.asset(w, "image/svg+xml", a.look+".svg") })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.message(w, r, http.StatusNotFound, "No encontramos esta página", "Revise la dirección o vuelva al inicio.")
	})
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", a.policy)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.Host != a.host {
			http.Error(w, "Use la dirección "+a.cfg.BaseURL, http.StatusMisdirectedRequest)
			return
		}
		if err := cross.Check(r); err != nil {
			a.message(w, r, http.StatusForbidden, "No está permitido", "El pedido llegó desde otro sitio.")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// asset answers with embedded files, one after the other.
func (a *app) asset(w http.ResponseWriter, mediaType string, names ...string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Cache-Control", "max-age=300")
	for _, name := range names {
		b, err := files.ReadFile("assets/" + name)
		if err != nil {
			return // all are embedded
		}
		if _, err := w.Write(b); err != nil {
			return // the browser has gone
		}
	}
}

// page is what a template sees.
type page struct {
	App     Config
	Title   string
	Nav     []link
	Current string // path of the section
	User    *sdk.User
	Faults  []fault
	Data    any
}

// fault is what is wrong with a field.
type fault struct{ Field, Text string }

// In reports whether the page lies in a section.
func (p page) In(section string) bool {
	return p.Current == section || section != "/" && strings.HasPrefix(p.Current, section+"/")
}

// Fault returns what is wrong with a field, or nil.
func (p page) Fault(field string) *fault {
	for i := range p.Faults {
		if p.Faults[i].Field == field {
			return &p.Faults[i]
		}
	}
	return nil
}

// Name returns how to address the person.
func (p page) Name() string {
	if p.User == nil {
		return ""
	}
	if name := p.User.Claim("name"); name != "" {
		return name
	}
	return "una persona sin nombre compartido"
}

// render writes a page, whole or not at all.
func (a *app) render(w http.ResponseWriter, r *http.Request, status int, name, title string, faults []fault, data any) {
	p := page{App: a.cfg, Title: title, Nav: a.nav, Current: r.URL.Path, User: sdk.UserFrom(r.Context()), Faults: faults, Data: data}
	var buf bytes.Buffer
	if err := a.pages[name].Execute(&buf, p); err != nil {
		a.cfg.Logger.ErrorContext(r.Context(), "sample page failed", "page", name, "error", err)
		http.Error(w, "Algo falló de nuestro lado.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = buf.WriteTo(w) // the browser may have gone
}

func (a *app) message(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	a.render(w, r, status, "mensaje", title, nil, text)
}

// failed answers what went wrong with a call to Suti.
func (a *app) failed(w http.ResponseWriter, r *http.Request, err error) {
	a.cfg.Logger.WarnContext(r.Context(), "call to the identity service failed", "error", err)
	var refusal *sdk.APIError
	switch {
	case errors.As(err, &refusal) && refusal.Status == http.StatusNotFound:
		a.message(w, r, http.StatusNotFound, "Todavía no está", "El servicio de firma no tiene ese documento, o aún no está firmado.")
	case errors.As(err, &refusal):
		a.message(w, r, http.StatusBadGateway, "El servicio de firma no aceptó el pedido", refusal.Detail+" ("+refusal.Code+")")
	default:
		a.message(w, r, http.StatusBadGateway, "No pudimos hablar con el servicio de identidad", "Intente otra vez en unos minutos.")
	}
}

// loginFailed answers a login that did not end well.
func (a *app) loginFailed(w http.ResponseWriter, r *http.Request, err error) {
	a.cfg.Logger.WarnContext(r.Context(), "login failed", "error", err)
	var oe *sdk.OAuthError
	switch {
	case errors.As(err, &oe) && oe.Code == "access_denied":
		a.message(w, r, http.StatusForbidden, "Usted no entró", "No autorizó el ingreso. Puede volver a intentarlo cuando quiera.")
	case errors.As(err, &oe) && oe.Code == "unmet_authentication_requirements":
		a.message(w, r, http.StatusForbidden, "Falta comprobar su identidad", "Este trámite pide un nivel de identidad que su cuenta aún no tiene. Vaya con su cédula a una ventanilla.")
	case errors.Is(err, sdk.ErrState):
		a.message(w, r, http.StatusBadRequest, "Esta página de ingreso ya no sirve", "Vuelva al inicio y entre otra vez.")
	default:
		a.message(w, r, http.StatusBadGateway, "No pudimos completar su ingreso", "Intente otra vez en unos minutos.")
	}
}

// bolivia is the time zone of La Paz, UTC−4 all year.
var bolivia = time.FixedZone("BOT", -4*60*60)

func moment(t time.Time) string { return t.In(bolivia).Format("02/01/2006 15:04") }

// levelText says what an assurance level means.
func levelText(acr string) string {
	switch acr {
	case sdk.N0:
		return "N0: datos que usted declaró"
	case sdk.N1:
		return "N1: datos comprobados a distancia"
	case sdk.N2:
		return "N2: identidad comprobada en ventanilla"
	case sdk.N3:
		return "N3: identidad comprobada y aprobada por supervisión"
	}
	return "desconocido"
}
