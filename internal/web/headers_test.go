package web_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/web"
)

// The header sets, spelt out: a name that is misspelt in the code would differ.
func headersOf(kind string) map[string]string {
	all := map[string]string{
		"Cache-Control":                "no-store",
		"Cross-Origin-Resource-Policy": "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"Strict-Transport-Security":    "max-age=63072000; includeSubDomains",
	}
	switch kind {
	case "browser":
		maps.Copy(all, map[string]string{
			"Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " +
				"img-src 'self' data:; script-src 'self'; style-src 'self'",
			"Cross-Origin-Opener-Policy": "same-origin",
			"Origin-Agent-Cluster":       "?1",
			"Permissions-Policy": "accelerometer=(), autoplay=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
				"microphone=(), midi=(), payment=(), publickey-credentials-create=(self), publickey-credentials-get=(self), usb=()",
			"Referrer-Policy": "same-origin",
			"X-Frame-Options": "DENY",
		})
	default:
		maps.Copy(all, map[string]string{
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
			"Referrer-Policy":         "no-referrer",
		})
	}
	switch kind {
	case "cors":
		all["Access-Control-Allow-Origin"] = "*"
		all["Access-Control-Expose-Headers"] = "DPoP-Nonce, Retry-After, WWW-Authenticate, X-Request-Id"
		all["Cross-Origin-Resource-Policy"] = "cross-origin"
	case "asset":
		all["Cache-Control"] = "public, max-age=31536000, immutable"
	}
	return all
}

// securityHeaders returns what of h concerns security.
func securityHeaders(h http.Header) map[string]string {
	got := map[string]string{}
	for name, values := range h {
		switch {
		case slices.Contains([]string{"Content-Type", "Content-Length", "Content-Language", "Content-Encoding", "Vary", "Etag", "Location",
			"Allow", "X-Request-Id", "Date", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age"}, name):
		default:
			got[name] = strings.Join(values, " | ")
		}
	}
	return got
}

func assetPath(t *testing.T, g *rig) string {
	t.Helper()
	page := g.do(t, "GET", "/nada", "").Body.String()
	_, rest, ok := strings.Cut(page, `rel="stylesheet" href="`)
	path, _, _ := strings.Cut(rest, `"`)
	if !ok {
		t.Fatalf("no style sheet in %s", page)
	}
	return path
}

// TestLocalhostIsNotPinned: browsers apply the header to every port of a host.
func TestLocalhostIsNotPinned(t *testing.T) {
	t.Parallel()
	for public, want := range map[string]string{
		"https://localhost:8700": "", "https://suti.localhost": "", "http://localhost:8700": "",
		"https://localhost.example.bo": "max-age=63072000; includeSubDomains",
	} {
		g := newRig(t, rigOptions{public: public})
		if got := g.do(t, "GET", "/nada", "").Header().Get("Strict-Transport-Security"); got != want {
			t.Errorf("%s: got %q, want %q", public, got, want)
		}
	}
}

func TestHeaderSets(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	fail := func(http.ResponseWriter, *http.Request) error { return errors.New("storage") }
	panics := func(http.ResponseWriter, *http.Request) error { panic("fault") }
	g.browser.Handle("GET /pagina", hello)
	g.browser.Handle("POST /pagina", hello)
	g.browser.Handle("GET /falla", fail)
	g.browser.Handle("GET /panico", panics)
	g.browser.Handle("GET /detalle/{id}", hello)
	g.browser.Handle("GET /cuenta", func(http.ResponseWriter, *http.Request) error { return &web.StepUp{Path: "/entrar", Login: true} })
	g.protocol.Handle("POST /oauth2/token", hello, web.CORS())
	g.protocol.Handle("POST /oauth2/introspect", hello)
	g.protocol.Handle("GET /oauth2/falla", fail)
	g.api.Handle("GET /api/v1/cosa", hello)
	g.api.Handle("GET /api/v1/falla", fail)
	g.api.Handle("GET /api/v1/panico", panics)
	for _, c := range []struct {
		method, path, kind string
		status             int
	}{
		{"GET", "/pagina", "browser", 200},
		{"HEAD", "/pagina", "browser", 200},
		{"GET", "/falla", "browser", 500},
		{"GET", "/panico", "browser", 500},
		{"GET", "/nada", "browser", 404},
		{"GET", "/", "browser", 404},
		{"DELETE", "/pagina", "browser", 405},
		{"GET", "//pagina", "browser", 404},
		{"GET", "/x/../pagina", "browser", 404},
		{"GET", "/cuenta", "browser", 303},
		{"GET", "/activos/otro.css", "browser", 404},
		{"POST", "/oauth2/token", "cors", 200},
		{"OPTIONS", "/oauth2/token", "cors", 204},
		{"POST", "/oauth2/introspect", "protocol", 200},
		{"GET", "/oauth2/falla", "protocol", 500},
		{"GET", "/oauth2/nada", "protocol", 404},
		{"OPTIONS", "/oauth2/introspect", "protocol", 405},
		{"GET", "/api/v1/cosa", "api", 200},
		{"GET", "/api/v1/falla", "api", 500},
		{"GET", "/api/v1/panico", "api", 500},
		{"GET", "/api/v1/nada", "api", 404},
		{"POST", "/api/v1/cosa", "api", 405},
		{"GET", assetPath(t, g), "asset", 200},
	} {
		w := g.do(t, c.method, c.path, "")
		if w.Code != c.status {
			t.Errorf("%s %s: got status %d, want %d", c.method, c.path, w.Code, c.status)
		}
		if d := cmp.Diff(securityHeaders(w.Header()), headersOf(c.kind)); d != "" {
			t.Errorf("%s %s: headers (-got +want):\n%s", c.method, c.path, d)
		}
		if id := w.Header().Get("X-Request-Id"); len(id) != 16 {
			t.Errorf("%s %s: request id %q", c.method, c.path, id)
		}
	}
}

func TestNoTransportSecurityWithoutTLS(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{public: "http://localhost:8080"})
	if got := g.do(t, "GET", "/", "").Header().Values("Strict-Transport-Security"); got != nil {
		t.Errorf("got %q, want none on http://localhost", got)
	}
}

func TestRelax(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    web.Policy
		want string // "" for ErrPolicy
	}{
		{web.Policy{FormAction: []string{"https://app.example:8443", "bo.gob.app:"}},
			"default-src 'none'; base-uri 'none'; form-action 'self' https://app.example:8443 bo.gob.app:; frame-ancestors 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'"},
		{web.Policy{ConnectSelf: true, MediaSelf: true, WorkerSelf: true},
			"default-src 'none'; base-uri 'none'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:; media-src 'self'; script-src 'self'; style-src 'self'; worker-src 'self'"},
		{web.Policy{FormAction: []string{"http://127.0.0.1:4444"}}, "default-src 'none'; base-uri 'none'; form-action 'self' http://127.0.0.1:4444; frame-ancestors 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'"},
		{web.Policy{FormAction: []string{"https://a.example; script-src *"}}, ""},
		{web.Policy{FormAction: []string{"https://a.example,https://b"}}, ""},
		{web.Policy{FormAction: []string{"https://a.example/path"}}, ""},
		{web.Policy{FormAction: []string{"https://user@a.example"}}, ""},
		{web.Policy{FormAction: []string{"https://*.example"}}, ""},
		{web.Policy{FormAction: []string{"*"}}, ""},
		{web.Policy{FormAction: []string{"https:"}}, ""},
		{web.Policy{FormAction: []string{"javascript:"}}, ""},
		{web.Policy{FormAction: []string{"data:"}}, ""},
		{web.Policy{FormAction: []string{"'unsafe-inline'"}}, ""},
		{web.Policy{FormAction: []string{"https://a.example\r\nX: y"}}, ""},
		{web.Policy{FormAction: []string{""}}, ""},
		{web.Policy{FormAction: []string{"https://ñ.example"}}, ""},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Security-Policy", "before")
		err := web.Relax(w, c.p)
		got := w.Header().Get("Content-Security-Policy")
		if c.want == "" {
			if !errors.Is(err, web.ErrPolicy) || got != "before" {
				t.Errorf("%q: got %v and %q, want ErrPolicy and no change", c.p.FormAction, err, got)
			}
		} else if err != nil || got != c.want {
			t.Errorf("%q: got %v and\n%q, want\n%q", c.p.FormAction, err, got, c.want)
		}
	}
	for redirect, want := range map[string]string{
		"https://App.Example/cb?x=1": "https://app.example", "http://127.0.0.1:4444/cb": "http://127.0.0.1:4444",
		"bo.gob.app:/cb": "bo.gob.app:", "bo.gob.app://host/cb": "bo.gob.app:",
		"javascript:alert(1)": "", "/cb": "", "https://": "", "https://u@h/": "https://h", "::": "",
	} {
		got, err := web.FormActionSource(redirect)
		if (err == nil) != (want != "") || err == nil && got != want {
			t.Errorf("FormActionSource(%q): got %q, %v; want %q", redirect, got, err, want)
		}
	}
}
