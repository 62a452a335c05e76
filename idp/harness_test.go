package idp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache/memory"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/internal/web"
)

// institutions of the tests.
const (
	insA = identity.InstitutionID("ins_00000000000000000000000001")
	insB = identity.InstitutionID("ins_00000000000000000000000002")
)

type clock struct {
	mu sync.Mutex
	d  time.Duration
	at time.Time // where it stands, if it does not go
}

// Now is the wall clock moved by what tests add: token times are compared with
// the system's by some libraries.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() {
		return c.at.Add(c.d)
	}
	return time.Now().Add(c.d)
}

// Stop lets the clock stand, so that only what a test adds passes, however slow
// the machine.
func (c *clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = time.Now()
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.d += d
}

// people is the directory and the authenticators of the tests: an answer that
// names a person proves to be that person.
type people struct {
	mu      sync.Mutex
	clock   *clock
	profile map[identity.PersonID]identity.Profile
	pending map[string][]byte
	n       int
}

func (p *people) Profile(_ context.Context, who identity.PersonID) (identity.Profile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	prof, ok := p.profile[who]
	if !ok {
		return prof, fmt.Errorf("unknown person")
	}
	return prof, nil
}

func (p *people) BeginLogin(_ context.Context, req idp.LoginRequest) (idp.LoginCeremony, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	id := fmt.Sprintf("cer-%d", p.n)
	p.pending[id] = req.Binding
	return idp.LoginCeremony{ID: id, Options: json.RawMessage(`{"publicKey":{}}`), Expires: p.clock.Now().Add(time.Minute)}, nil
}

func (p *people) FinishLogin(_ context.Context, id string, binding []byte, response json.RawMessage) (identity.Authentication, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bound, ok := p.pending[id]
	delete(p.pending, id)
	var in struct {
		Person identity.PersonID `json:"person"`
	}
	if json.Unmarshal(response, &in) != nil || !ok || string(bound) != string(binding) {
		return identity.Authentication{}, idp.ErrRefused
	}
	prof, ok := p.profile[in.Person]
	if !ok {
		return identity.Authentication{}, idp.ErrRefused
	}
	return identity.Authentication{Person: in.Person, Epoch: prof.Epoch, Method: identity.MethodPasskey, Credential: "key_x", UserVerified: true, At: p.clock.Now()}, nil
}

// throttled is a document of which too many tries failed.
const throttled = "7777777"

func (p *people) BeginCard(_ context.Context, login string, binding []byte) (idp.CardChallenge, error) {
	if login == throttled {
		return idp.CardChallenge{}, idp.ErrThrottled
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	id := fmt.Sprintf("cch-%d", p.n)
	p.pending[id] = append([]byte(login+"|"), binding...)
	return idp.CardChallenge{ID: id, Cell: "0007"}, nil
}

func (p *people) FinishCard(_ context.Context, id string, binding []byte, password, code string) (identity.Authentication, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	login, bound, _ := strings.Cut(string(p.pending[id]), "|")
	delete(p.pending, id)
	for who, prof := range p.profile {
		if prof.Document.String() == login && bound == string(binding) && password == "clave-buena" && code == "123456" {
			return identity.Authentication{Person: who, Epoch: prof.Epoch, Method: identity.MethodCard, UserVerified: true, At: p.clock.Now()}, nil
		}
		if prof.Document.String() == login {
			return identity.Authentication{Person: who}, idp.ErrRefused
		}
	}
	return identity.Authentication{}, idp.ErrRefused
}

// world is a running provider.
type world struct {
	t      *testing.T
	d      *db.DB
	clock  *clock
	people *people
	p      *idp.Provider
	log    *audit.Log
	keys   *keystore.Store
	server *httptest.Server
	issuer string
}

func lines() []db.Line {
	return []db.Line{subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, idp.Migrations}
}

func each(t *testing.T, fn func(w *world)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) { fn(newWorld(t, d)) })
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newWorld(t *testing.T, d *db.DB, change ...func(*idp.Config)) *world {
	t.Helper()
	return newWorldLogging(t, d, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), change...)
}

func newWorldLogging(t *testing.T, d *db.DB, logger *slog.Logger, change ...func(*idp.Config)) *world {
	t.Helper()
	w := &world{t: t, d: d, clock: &clock{}}
	w.people = &people{clock: w.clock, profile: map[identity.PersonID]identity.Profile{}, pending: map[string][]byte{}}
	kek := envelope.NewKey()
	keys := must(keystore.Open(t.Context(), keystore.Config{DB: d, KEK: kek, Now: w.clock.Now}))(t)
	log := must(audit.New(audit.Config{DB: d, Keys: keys, Erased: keystore.ErrErased, Now: w.clock.Now}))(t)
	catalog := must(i18n.New(map[string]fs.FS{"web": web.Texts(), "idp": idp.Texts()}))(t)
	pages := must(web.NewPages(web.PagesConfig{Catalog: catalog}))(t)

	listener := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	w.issuer = "http://localhost:" + port
	c := idp.Config{
		Issuer: w.issuer, DB: d, Keys: keys, KEK: kek, Audit: log, Limiter: must(memory.New(memory.Config{Now: w.clock.Now}))(t), LoginsPerMinute: 100_000, Pages: pages,
		Authenticator: w.people, Cards: w.people, Directory: w.people, Leads: map[string]string{"/firmas/": "idp.login.register"}, Logger: logger, Now: w.clock.Now,
	}
	for _, f := range change {
		f(&c)
	}
	w.p = must(idp.New(t.Context(), c))(t)
	t.Cleanup(w.p.Settle)
	w.log, w.keys = log, keys
	site := must(web.New(web.Config{Public: must(web.ParsePublicURL(w.issuer))(t), Catalog: catalog, Pages: pages, Logger: logger, Now: w.clock.Now}))(t)
	browser := must(site.NewBrowserMux(web.BrowserConfig{InsecureCrossOriginBypass: []string{idp.AuthorizePost, idp.LogoutPost}}))(t)
	protocol := site.NewProtocolMux()
	w.p.Browser(browser)
	w.p.Protocol(protocol)
	w.server = &httptest.Server{Listener: listener, Config: &http.Server{Handler: site.Handler(browser, protocol)}}
	w.server.Start()
	t.Cleanup(w.server.Close)
	return w
}

// person registers somebody at a level of proof.
func (w *world) person(level identity.Level) identity.PersonID {
	w.t.Helper()
	now := w.clock.Now()
	id := identity.PersonID(identity.NewID("per", now))
	if err := w.d.Write(w.t.Context(), func(tx *db.Tx) error { return subject.Create(tx, id, subject.Active, now) }); err != nil {
		w.t.Fatal(err)
	}
	w.people.mu.Lock()
	defer w.people.mu.Unlock()
	w.people.n++
	w.people.profile[id] = identity.Profile{
		Person: id, Name: identity.Name{Given: "Ana María", FirstSurname: "Mamani", SecondSurname: "Quispe"}, Level: level, Epoch: 1, Active: true,
		Document: identity.Document{Type: identity.DocumentCI, Number: fmt.Sprint(1000000 + w.people.n)}, BirthDate: identity.Date{Year: 1990, Month: 5, Day: 2}, Email: "ana@example.bo",
	}
	return id
}

// bump suspends or changes a person's epoch.
func (w *world) bump(who identity.PersonID, s subject.State) {
	w.t.Helper()
	if err := w.d.Write(w.t.Context(), func(tx *db.Tx) error {
		_, err := subject.Bump(tx, who, s, "test", w.clock.Now())
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
}

// app is a registered client with what it needs to speak.
type app struct {
	w        *world
	id       string
	key      *ecdsa.PrivateKey
	kid      string // "k1" if empty
	secret   string
	redirect string
	public   bool
	dpop     *dpopKey // of clients that must prove one
}

func jwks(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	raw := must(key.PublicKey.Bytes())(t)
	enc := base64.RawURLEncoding
	return fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","use":"sig","alg":"ES256","x":%q,"y":%q}]}`, enc.EncodeToString(raw[1:33]), enc.EncodeToString(raw[33:]))
}

func (w *world) register(c idp.Client) *app {
	w.t.Helper()
	a := &app{w: w, id: c.ID, redirect: "https://" + c.ID + ".example/cb"}
	if c.Institution == "" {
		c.Institution = insA
	}
	if c.Name == "" {
		c.Name = "Trámites " + c.ID
	}
	if c.RedirectURIs == nil {
		c.RedirectURIs = []string{a.redirect}
	} else {
		a.redirect = c.RedirectURIs[0]
	}
	if c.Scopes == nil {
		c.Scopes = []string{"openid", "profile", "email", "offline_access"}
	}
	switch {
	case c.Profile == idp.ProfileSPA || c.Profile == idp.ProfileNative:
		a.public = true
	case c.AuthMethod == "" && c.Profile != idp.ProfileLegacy:
		a.key = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(w.t)
		c.JWKS = jwks(w.t, a.key)
	}
	if c.Profile == idp.ProfileFAPI2 || c.DPoP {
		a.dpop = newDPoPKey(w)
	}
	a.secret = must(w.p.Register(w.t.Context(), "", c))(w.t)
	return a
}

// browser is one person's browser: it keeps cookies and follows no redirect by itself.
type browser struct {
	w   *world
	jar http.CookieJar
}

func (w *world) browser() *browser { return &browser{w, web.NewLocalJar()} }

func (b *browser) do(method, address, contentType, body string, header ...string) (*http.Response, string) {
	b.w.t.Helper()
	req := must(http.NewRequestWithContext(b.w.t.Context(), method, address, strings.NewReader(body)))(b.w.t)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if b.jar != nil {
		for _, c := range b.jar.Cookies(req.URL) {
			req.AddCookie(c)
		}
	}
	res := must(http.DefaultTransport.RoundTrip(req))(b.w.t)
	defer res.Body.Close()
	raw := must(io.ReadAll(res.Body))(b.w.t)
	if b.jar != nil {
		b.jar.SetCookies(req.URL, res.Cookies())
	}
	return res, string(raw)
}

func (b *browser) get(address string) (*http.Response, string) {
	return b.do(http.MethodGet, address, "", "")
}

func (b *browser) post(address string, form url.Values) (*http.Response, string) {
	return b.do(http.MethodPost, address, "application/x-www-form-urlencoded", form.Encode(), "Origin", b.w.issuer)
}

// follow gets an address and the redirects within the provider; it returns the
// first address outside, or the page reached.
func (b *browser) follow(address string) (outside *url.URL, res *http.Response, body string) {
	b.w.t.Helper()
	for range 10 {
		res, body = b.get(address)
		if res.StatusCode != http.StatusSeeOther {
			return nil, res, body
		}
		next := must(res.Location())(b.w.t)
		if !strings.HasPrefix(next.String(), b.w.issuer+"/") {
			return next, res, body
		}
		address = next.String()
	}
	b.w.t.Fatal("too many redirects")
	return nil, nil, ""
}

var interactionRE = regexp.MustCompile(`/entrar/int_[0-9a-z]{26}`)

// login proves to be a person on the login page of the interaction in body.
func (b *browser) login(body string, who identity.PersonID) string {
	b.w.t.Helper()
	return b.loginOn(body, who, "")
}

// loginOn is login on a device that is shared if shared is not empty.
func (b *browser) loginOn(body string, who identity.PersonID, shared string) string {
	b.w.t.Helper()
	at := interactionRE.FindString(body)
	if at == "" {
		b.w.t.Fatalf("no login page:\n%s", body)
	}
	res, raw := b.do(http.MethodPost, b.w.issuer+at+"/llave/opciones", "application/json", "{}", "Origin", b.w.issuer)
	var begun struct{ ID string }
	if json.Unmarshal([]byte(raw), &begun) != nil || begun.ID == "" {
		b.w.t.Fatalf("options: %d %s", res.StatusCode, raw)
	}
	answer := must(json.Marshal(map[string]any{"id": begun.ID, "shared": shared, "response": map[string]any{"person": who}}))(b.w.t)
	res, raw = b.do(http.MethodPost, b.w.issuer+at+"/llave", "application/json", string(answer), "Origin", b.w.issuer)
	var end struct{ Next, Problem string }
	if json.Unmarshal([]byte(raw), &end) != nil || end.Next == "" {
		b.w.t.Fatalf("passkey: %d %s", res.StatusCode, raw)
	}
	return b.w.issuer + end.Next
}

// accept agrees on the consent page in body.
func (b *browser) accept(body string, extra ...string) *url.URL {
	b.w.t.Helper()
	at := interactionRE.FindString(body)
	form := url.Values{"decision": {"accept"}, "seen": {regexpGroup(b.w.t, `name="seen" value="([^"]+)"`)(body)}}
	for _, e := range extra {
		form.Set(e, "yes")
	}
	res, page := b.post(b.w.issuer+at+"/decision", form)
	if res.StatusCode != http.StatusSeeOther {
		b.w.t.Fatalf("consent: %d %s", res.StatusCode, page)
	}
	return must(res.Location())(b.w.t)
}

// enter drives a whole login to the application's address, whatever pages come.
func (b *browser) enter(address string, who identity.PersonID) *url.URL {
	b.w.t.Helper()
	for range 6 {
		outside, res, body := b.follow(address)
		switch {
		case outside != nil:
			return outside
		case strings.Contains(body, "data-llave"):
			address = b.login(body, who)
		case strings.Contains(body, `value="accept"`):
			return b.accept(body)
		default:
			b.w.t.Fatalf("unexpected page %d:\n%s", res.StatusCode, body)
		}
	}
	b.w.t.Fatal("login does not end")
	return nil
}

// regexpGroup returns a function that finds the first group of a pattern.
func regexpGroup(t *testing.T, pattern string) func(string) string {
	re := regexp.MustCompile(pattern)
	return func(s string) string {
		t.Helper()
		m := re.FindStringSubmatch(s)
		if m == nil {
			t.Fatalf("%s not found", pattern)
		}
		return m[1]
	}
}
