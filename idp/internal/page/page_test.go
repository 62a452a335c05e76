package page_test

import (
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/idp/internal/page"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// screens are every page in every state that looks different.
func screens(p *page.Pages) map[string]web.HandlerFunc {
	login := page.Login{App: "Trámites de la Gobernación", Action: "/entrar/int_x", Cards: true}
	local, step, worse := login, login, login
	local.Local = true
	step.StepUp, step.Person, step.Insufficient = true, "Ana María Mamani Quispe", true
	worse.Problem = page.ProblemCard
	card := page.Card{Login: login, Username: "1234567-1A", Challenge: "cch_x", Cell: "0031"}
	refused := card
	refused.Login = worse
	consent := page.Consent{App: login.App, Person: "Ana María Mamani Quispe", Action: login.Action, Redirect: "https://tramites.example/cb", Scopes: []page.Scope{
		{Name: "profile", Values: []string{"Ana María Mamani Quispe", "1990-05-02"}}, {Name: "email", Values: []string{"ana@example.bo"}}, {Name: "documento_identidad", Values: []string{"CI 1234567-1A"}},
	}}
	device := consent
	device.Redirect, device.Device = "", &page.DeviceAsk{Code: "WDJB-MJHT", Institution: "Gobierno Autónomo Departamental de Oruro", Agent: "otro navegador, Linux", From: "2001:db8:1:2::/64"}
	signing := consent
	signing.Documents = []page.Document{
		{Label: "Resolución Administrativa 14/2026, que aprueba el reglamento interno", Hash: "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"},
		{Label: "Anexo 1.pdf", Hash: "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"},
	}
	shared := consent
	shared.Scopes = nil
	return map[string]web.HandlerFunc{
		"entrar":         func(w http.ResponseWriter, r *http.Request) error { return p.Login(w, r, login) },
		"entrar-local":   func(w http.ResponseWriter, r *http.Request) error { return p.Login(w, r, local) },
		"confirmar":      func(w http.ResponseWriter, r *http.Request) error { return p.Login(w, r, step) },
		"tarjeta-nombre": func(w http.ResponseWriter, r *http.Request) error { return p.CardName(w, r, card) },
		"tarjeta":        func(w http.ResponseWriter, r *http.Request) error { return p.Card(w, r, card) },
		"tarjeta-mal":    func(w http.ResponseWriter, r *http.Request) error { return p.Card(w, r, refused) },
		"consentimiento": func(w http.ResponseWriter, r *http.Request) error { return p.Consent(w, r, consent) },
		"firmar":         func(w http.ResponseWriter, r *http.Request) error { return p.Consent(w, r, signing) },
		"compartido":     func(w http.ResponseWriter, r *http.Request) error { return p.Consent(w, r, shared) },
		"equipo":         func(w http.ResponseWriter, r *http.Request) error { return p.Device(w, r, page.Device{}) },
		"equipo-mal": func(w http.ResponseWriter, r *http.Request) error {
			return p.Device(w, r, page.Device{Code: "WDJB-MJHT", Problem: page.ProblemCode})
		},
		"equipo-pide":      func(w http.ResponseWriter, r *http.Request) error { return p.Consent(w, r, device) },
		"equipo-listo":     func(w http.ResponseWriter, r *http.Request) error { return p.DeviceDone(w, r, login.App) },
		"equipo-rechazado": func(w http.ResponseWriter, r *http.Request) error { return p.DeviceDenied(w, r, login.App) },
		"no-alcanza": func(w http.ResponseWriter, r *http.Request) error {
			return p.Unmet(w, r, page.Unmet{App: login.App, Person: "Ana María", Action: login.Action})
		},
		"terminado": func(w http.ResponseWriter, r *http.Request) error { return p.Finished(w, r, login.App) },
		"no-esta":   func(w http.ResponseWriter, r *http.Request) error { return p.Gone(w, r) },
		"falla": func(w http.ResponseWriter, r *http.Request) error {
			return p.Fault(w, r, "invalid_request", "redirect_uri is not registered for this client")
		},
		"salir": func(w http.ResponseWriter, r *http.Request) error {
			return p.Logout(w, r, page.Logout{App: login.App, Params: url.Values{"state": {"x"}}})
		},
		"salio-marcos": func(w http.ResponseWriter, r *http.Request) error {
			return p.LoggedOutFrames(w, r, "https://vieja.example/fin", []page.Frame{{App: "Agenda vieja", Address: "https://vieja.example/salir?sid=1"}})
		},
		"salio": func(w http.ResponseWriter, r *http.Request) error { return p.LoggedOut(w, r) },
	}
}

func serve(t *testing.T) (string, []string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	base := "http://localhost:" + port
	site, pages := webtest.NewSite(t, webtest.Options{Public: base, Texts: map[string]fs.FS{"idp": page.Texts()}, Demo: true})
	p, err := page.New(pages)
	if err != nil {
		t.Fatal(err)
	}
	mux, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, h := range screens(p) {
		mux.Handle("GET /"+name, h)
		names = append(names, name)
	}
	srv := &httptest.Server{Listener: listener, Config: &http.Server{Handler: site.Handler(mux)}}
	srv.Start()
	t.Cleanup(srv.Close)
	return base, names
}

// TestPagesAreAccessible opens every page at phone and desktop width. With
// SUTI_SCREENS set to a folder it leaves pictures there to be looked at.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	base, names := serve(t)
	chrome := webtest.Browser(t)
	for _, name := range names {
		for _, width := range []int{360, 1280} {
			for _, v := range chrome.Check(t, base+"/"+name, width) {
				// A page that answers 4xx is one that the browser remarks on.
				if !strings.Contains(fmt.Sprint(v), "Failed to load resource: the server responded with a status of 4") {
					t.Errorf("%s at %d px: %v", name, width, v)
				}
			}
			if dir := os.Getenv("SUTI_SCREENS"); dir != "" {
				png := chrome.Screenshot(t, base+"/"+name, width)
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("idp-%s-%d.png", name, width)), png, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func TestTextsAreComplete(t *testing.T) {
	t.Parallel()
	if err := i18n.Lint(os.DirFS("."), page.Texts(), web.Texts()); err != nil {
		t.Error(err)
	}
}

// TestHostileNames shows whatever an application calls itself as text.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	site, pages := webtest.NewSite(t, webtest.Options{Texts: map[string]fs.FS{"idp": page.Texts()}})
	p, err := page.New(pages)
	if err != nil {
		t.Fatal(err)
	}
	mux, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		t.Fatal(err)
	}
	evil := `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	mux.Handle("GET /x", func(w http.ResponseWriter, r *http.Request) error {
		return p.Consent(w, r, page.Consent{App: evil, Person: evil, Action: "/entrar/x", Redirect: "https://a.example/", Scopes: []page.Scope{{Name: "email", Values: []string{evil}}}})
	})
	rec := httptest.NewRecorder()
	site.Handler(mux).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "http://localhost/x", nil))
	if body := rec.Body.String(); rec.Code != 200 || strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") {
		t.Errorf("status %d, page:\n%s", rec.Code, body)
	}
}
