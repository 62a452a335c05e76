package web_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

func TestRequirePrincipal(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 15, 4, 0, 0, time.UTC)
	ana := &webtest.Person{ID: "per_ana", Assurance: identity.N2, Signed: now.Add(-time.Hour), KeyUsed: now.Add(-time.Hour), Now: func() time.Time { return now }}
	noKey := &webtest.Person{ID: "per_beto", Assurance: identity.N2, Signed: now, Now: func() time.Time { return now }}
	whoami := func(w http.ResponseWriter, r *http.Request) error {
		p, ok := web.PrincipalFrom(r.Context())
		if !ok {
			return errors.New("no principal")
		}
		_, err := w.Write([]byte(p.Person()))
		return err
	}
	for _, c := range []struct {
		name      string
		guard     func(web.HandlerFunc) web.HandlerFunc
		status    int // of the API; a browser gets 303 for 401
		challenge string
	}{
		{"level and age are met", web.RequirePrincipal(webtest.Auth{P: ana}, identity.N2, 2*time.Hour), 200, ""},
		{"any age", web.RequirePrincipal(webtest.Auth{P: ana}, identity.N1, 0), 200, ""},
		{"too long ago", web.RequirePrincipal(webtest.Auth{P: ana}, identity.N2, 15*time.Minute), 401,
			`Bearer error="insufficient_user_authentication", acr_values="urn:suti:acr:n2", max_age="900"`},
		{"level too low", web.RequirePrincipal(webtest.Auth{P: ana}, identity.N3, 0), 401,
			`Bearer error="insufficient_user_authentication", acr_values="urn:suti:acr:n3"`},
		{"nobody", web.RequirePrincipal(webtest.Auth{}, identity.N0, 0), 401, `Bearer`},
		{"key is met", web.RequireKeyPrincipal(webtest.Auth{P: ana}, identity.N2, 2*time.Hour), 200, ""},
		{"fresh sign-in is no key", web.RequireKeyPrincipal(webtest.Auth{P: noKey}, identity.N2, time.Minute), 401,
			`Bearer error="insufficient_user_authentication", acr_values="urn:suti:acr:n2 phr", max_age="60"`},
		{"key, level too low", web.RequireKeyPrincipal(webtest.Auth{P: noKey}, identity.N3, 0), 401,
			`Bearer error="insufficient_user_authentication", acr_values="urn:suti:acr:n3"`},
		{"could not find out", web.RequirePrincipal(webtest.Auth{Err: errors.New("database is away")}, identity.N0, 0), 500, ""},
		{"neither person nor error", web.RequirePrincipal(nilAuth{}, identity.N0, 0), 500, ""},
	} {
		g := newRig(t, rigOptions{})
		g.browser.Handle("GET /cuenta/{x}", c.guard(whoami))
		g.browser.Handle("POST /cuenta/{x}", c.guard(whoami))
		g.api.Handle("GET /api/v1/yo", c.guard(whoami))
		w := g.do(t, "GET", "/api/v1/yo", "")
		if w.Code != c.status || w.Header().Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: API: got %d %q, want %d %q", c.name, w.Code, w.Header().Get("WWW-Authenticate"), c.status, c.challenge)
		}
		want, location := c.status, ""
		if c.status == 401 {
			want, location = 303, "/entrar?volver=%2Fcuenta%2Fllaves%3Fp%3D2"
		}
		w = g.do(t, "GET", "/cuenta/llaves?p=2", "")
		if w.Code != want || w.Header().Get("Location") != location {
			t.Errorf("%s: browser: got %d to %q, want %d to %q", c.name, w.Code, w.Header().Get("Location"), want, location)
		}
		if c.status == 401 {
			w = g.do(t, "POST", "/cuenta/llaves?p=2", "a=1", "Content-Type", form)
			if w.Code != 303 || w.Header().Get("Location") != "/entrar?volver=%2Fcuenta%2Fllaves" {
				t.Errorf("%s: post: got %d to %q", c.name, w.Code, w.Header().Get("Location"))
			}
		}
	}
}

type nilAuth struct{}

func (nilAuth) Principal(*http.Request) (web.Principal, error) { return nil, nil }

func TestStepUpNeverLeadsAway(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/entrar/elevar?nivel=n3": "/entrar/elevar?nivel=n3&volver=%2Fcuenta",
		"//evil.example/":         "/", "https://evil.example/": "/", "javascript:alert(1)": "/", "/\\evil": "/", "": "/", "%zz": "/",
	} {
		g := newRig(t, rigOptions{})
		g.browser.Handle("GET /cuenta", func(http.ResponseWriter, *http.Request) error { return &web.StepUp{Path: path} })
		got, _, _ := strings.Cut(g.do(t, "GET", "/cuenta", "").Header().Get("Location"), "?volver")
		if want == "/" && got != "/" || want != "/" && g.do(t, "GET", "/cuenta", "").Header().Get("Location") != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.api.Handle("GET /api/v1/x", func(http.ResponseWriter, *http.Request) error {
		return &web.Error{Status: 422, Code: "invalid_signer", Detail: "web.error.bad_request", Err: errors.New("secret cause"),
			Fields: []web.FieldError{{Field: "/signers/0/ci", Code: "unknown_person", Detail: "web.error.not_found"}, {Field: "/level", Code: "too_low"}},
			Header: http.Header{"Retry-After": {"7"}, "bad name": {"x"}}}
	})
	g.api.Handle("GET /api/v1/mapped", web.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return errDomain }).Map(func(err error) error {
		if errors.Is(err, errDomain) {
			return web.Forbidden(err)
		}
		return err
	}))
	w := g.do(t, "GET", "/api/v1/x", "", "Accept-Language", "en")
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["request_id"] != w.Header().Get("X-Request-Id") {
		t.Errorf("request id: got %v, want that of the header", got["request_id"])
	}
	delete(got, "request_id")
	want := map[string]any{
		"type": "urn:suti:problem:invalid_signer", "title": "We could not read the request", "status": 422.0, "code": "invalid_signer",
		"detail": "The request arrived incomplete or with data that cannot be read. Go back to the previous page and try again.",
		"errors": []any{
			map[string]any{"pointer": "/signers/0/ci", "code": "unknown_person", "detail": "The page does not exist or is no longer available. Check the address."},
			map[string]any{"pointer": "/level", "code": "too_low"},
		},
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("problem (-got +want):\n%s", d)
	}
	h := w.Header()
	if h.Get("Content-Type") != "application/problem+json" || h.Get("Content-Language") != "en" || h.Get("Retry-After") != "7" || w.Code != 422 {
		t.Errorf("got %d %v", w.Code, h)
	}
	if w := g.do(t, "GET", "/api/v1/mapped", ""); w.Code != 403 || w.Header().Get("Content-Language") != "es" {
		t.Errorf("mapped: got %d in %s", w.Code, w.Header().Get("Content-Language"))
	}
	if w := g.do(t, "DELETE", "/api/v1/x", ""); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("other method: got %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

var errDomain = errors.New("domain: not yours")

func TestOAuthFaults(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	var fault error
	g.protocol.Handle("POST /oauth2/token", func(http.ResponseWriter, *http.Request) error { return fault })
	for want, err := range map[string]error{
		`400 {"error":"invalid_grant"}`:                    &web.Error{Status: 400, Code: "invalid_grant"},
		`404 {"error":"invalid_request"}`:                  web.NotFound(nil),
		`500 {"error":"server_error"}`:                     errors.New("x"),
		`503 {"error":"temporarily_unavailable"}`:          web.Unavailable(nil),
		`429 {"error":"temporarily_unavailable"}`:          web.TooMany(1500 * time.Millisecond),
		`401 {"error":"insufficient_user_authentication"}`: &web.StepUp{Level: identity.N2},
		`400 {"error":"invalid_request"}`:                  &web.InputError{Kind: web.ErrDuplicate},
	} {
		fault = err
		w := g.do(t, "POST", "/oauth2/token", "")
		got := strings.TrimSpace(w.Body.String())
		if s := http.StatusText(w.Code); s == "" || want != string(appendInt(w.Code))+" "+got {
			t.Errorf("%v: got %d %s, want %s", err, w.Code, got, want)
		}
		if w.Code == 429 && w.Header().Get("Retry-After") != "2" {
			t.Errorf("Retry-After: got %q, want 2", w.Header().Get("Retry-After"))
		}
	}
}

func appendInt(n int) []byte { return []byte{byte('0' + n/100), byte('0' + n/10%10), byte('0' + n%10)} }
