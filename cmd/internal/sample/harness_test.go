package sample_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/cmd/internal/sample"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/sdk"
	"oruro.gob.bo/suti/sdk/api"
	"oruro.gob.bo/suti/sdk/sdktest"
)

// signing is the signing interface as the applications see it: it keeps what
// it was sent and answers what the test sets.
type signing struct {
	mu       sync.Mutex
	uploads  map[string][]byte             // by idempotency key
	requests map[string]api.SigningRequest // by idempotency key
	state    string
	refuse   *api.Problem
	cut      bool // the signed file breaks off
}

func (s *signing) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/api/v1/") {
		return http.DefaultTransport.RoundTrip(r)
	}
	w := httptest.NewRecorder()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serve(w, r)
	res := w.Result()
	if s.cut && strings.HasSuffix(r.URL.Path, "/signed") {
		res.ContentLength = 1 << 20
	}
	return res, nil
}

func (s *signing) serve(w *httptest.ResponseRecorder, r *http.Request) {
	reply := func(status int, v any) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	switch {
	case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "):
		reply(http.StatusUnauthorized, api.Problem{Code: "unauthorized"})
	case s.refuse != nil && r.Method == http.MethodPost:
		reply(s.refuse.Status, s.refuse)
	case r.URL.Path == "/api/v1/documents":
		raw, _ := io.ReadAll(r.Body)
		s.uploads[r.Header.Get("Idempotency-Key")] = raw
		reply(http.StatusCreated, api.Document{ID: "doc_1", Size: int64(len(raw)), Pages: 1})
	case r.URL.Path == "/api/v1/signing-requests":
		var in api.SigningRequest
		if json.NewDecoder(r.Body).Decode(&in) != nil {
			reply(http.StatusBadRequest, api.Problem{Code: "invalid_request"})
			return
		}
		s.requests[r.Header.Get("Idempotency-Key")] = in
		reply(http.StatusCreated, s.status())
	case strings.HasSuffix(r.URL.Path, "/signed"):
		_, _ = w.WriteString("%PDF-1.7 firmado")
	case strings.HasSuffix(r.URL.Path, "/evidence"):
		_, _ = w.WriteString(`{"format":"suti/bundle/v1"}`)
	case r.URL.Path == "/api/v1/signing-requests/sig_1":
		reply(http.StatusOK, s.status())
	default:
		reply(http.StatusNotFound, api.Problem{Code: "not_found"})
	}
}

func (s *signing) status() api.SigningStatus {
	st := api.SigningStatus{
		ID: "sig_1", State: s.state, SignURL: "https://suti.example/firmas/sig_1", ExpiresAt: time.Date(2026, 12, 1, 16, 0, 0, 0, time.UTC),
		RequestedLevel: "B-T", Documents: []api.SignedOutcome{{ID: "doc_1", Title: "Resolución"}},
	}
	if s.state == "completed" {
		st.AchievedLevel, st.VerificationCode, st.VerificationURL = "B-T", "7K2M-9QXR-40", "https://suti.example/verificar/7K2M-9QXR-40"
	}
	return st
}

// world is an issuer, one application and what it sends to the signing interface.
type world struct {
	t       *testing.T
	issuer  *sdktest.Issuer
	signing *signing
	base    string
}

type maker func(context.Context, sample.Config) (http.Handler, error)

func newWorld(t *testing.T, make maker, change func(*sample.Config)) *world {
	t.Helper()
	w := &world{t: t, signing: &signing{uploads: map[string][]byte{}, requests: map[string]api.SigningRequest{}, state: "pending"}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	w.base = "http://localhost:" + port
	redirect, _, backchannel := sample.Addresses(w.base)
	w.issuer = sdktest.NewIssuer(time.Now, sdktest.App{
		ID: "app", Key: &key.PublicKey, RedirectURI: redirect, Backchannel: backchannel, Scopes: []string{sdk.ScopeSignCreate, sdk.ScopeSignRead},
	})
	t.Cleanup(w.issuer.Close)
	w.person("sub-ana", sdk.N2)
	cfg := sample.Config{
		Issuer: w.issuer.URL, ClientID: "app", Key: key, BaseURL: w.base, Title: "Trámites en línea", Institution: "Gobierno Autónomo Departamental de Oruro",
		OtherTitle: "Becas", OtherURL: "http://localhost:1", Signers: []sample.Signer{{Label: "Pedro Choque, Secretario de Desarrollo", Number: "7654321", Appointment: "apt_1"}},
		HTTPClient: &http.Client{Transport: w.signing, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	if change != nil {
		change(&cfg)
	}
	h, err := make(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	srv.Start()
	t.Cleanup(srv.Close)
	return w
}

// person is logged in from now on.
func (w *world) person(sub, acr string) {
	w.issuer.Person = &sdktest.Person{Subject: sub, ACR: acr, AMR: []string{"swk", "user"}, UserInfo: map[string]any{"name": "Ana María Mamani Quispe"}}
}

// browser is a browser that follows redirects.
type browser struct {
	w *world
	c *http.Client
}

func (w *world) browser() *browser {
	return &browser{w, &http.Client{Jar: web.NewLocalJar()}}
}

func (b *browser) do(req *http.Request) (*http.Response, string) {
	b.w.t.Helper()
	res, err := b.c.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return res, string(raw)
}

func (b *browser) request(method, path, contentType string, body io.Reader) *http.Request {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, b.w.base+path, body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

func (b *browser) get(path string) (*http.Response, string) {
	return b.do(b.request(http.MethodGet, path, "", nil))
}

func (b *browser) post(path string, form url.Values) (*http.Response, string) {
	return b.do(b.request(http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode())))
}
