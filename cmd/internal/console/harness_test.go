package console_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/cmd/internal/console"
	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

var start = time.Date(2026, 11, 24, 13, 0, 0, 0, time.UTC)

const (
	insA = identity.InstitutionID("ins_00000000000000000000000001")
	insB = identity.InstitutionID("ins_00000000000000000000000002")
)

// provider is the account as the console consumes it; it records what is called.
type provider struct {
	mu       sync.Mutex
	sessions map[identity.PersonID][]idp.OwnSession
	consents map[identity.PersonID][]idp.OwnConsent
	calls    []string
}

func (p *provider) called(s ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, strings.Join(s, " "))
}

func (p *provider) Devices(_ context.Context, who identity.PersonID) ([]idp.OwnDevice, error) {
	var out []idp.OwnDevice
	for _, o := range p.sessions[who] {
		if n := len(out); n > 0 && out[n-1].ID == o.DeviceID {
			out[n-1].Sessions = append(out[n-1].Sessions, o)
			continue
		}
		out = append(out, idp.OwnDevice{ID: o.DeviceID, Sessions: []idp.OwnSession{o}})
	}
	return out, nil
}

func (p *provider) EndDevice(_ context.Context, who identity.PersonID, id string) error {
	p.called("end-device", string(who), id)
	for _, o := range p.sessions[who] {
		if o.DeviceID == id {
			return nil
		}
	}
	return idp.ErrNotFound
}

func (p *provider) EndApplication(_ context.Context, who identity.PersonID, sid string) error {
	p.called("end-application", string(who), sid)
	if sid != "sid-tramites" {
		return idp.ErrNotFound
	}
	return nil
}

func (p *provider) EndGrant(_ context.Context, who identity.PersonID, id string) error {
	p.called("end-grant", string(who), id)
	if id != "grt_1" {
		return idp.ErrNotFound
	}
	return nil
}

func (p *provider) EndSession(_ context.Context, who identity.PersonID, id string) error {
	p.called("end", string(who), id)
	for _, s := range p.sessions[who] {
		if s.ID == id {
			return nil
		}
	}
	return idp.ErrNotFound
}

func (p *provider) EndOtherSessions(_ context.Context, who identity.PersonID, keep string) (int, error) {
	p.called("end-others", string(who), keep)
	return 2, nil
}

func (p *provider) Consents(_ context.Context, who identity.PersonID) ([]idp.OwnConsent, error) {
	return p.consents[who], nil
}

func (p *provider) RevokeConsent(_ context.Context, who identity.PersonID, client string) error {
	p.called("revoke", string(who), client)
	if client != "tramites" {
		return idp.ErrNotFound
	}
	return nil
}

func (p *provider) Clients(context.Context) ([]idp.ClientInfo, error) {
	return []idp.ClientInfo{{ID: "tramites", Name: "Trámites en línea", Institution: insA}, {ID: "becas", Name: "Becas municipales", Institution: insB}}, nil
}

func (p *provider) SignOut(http.ResponseWriter, *http.Request) (bool, error) {
	p.called("sign-out")
	return false, nil
}

// registry knows the people of the tests.
type registry struct {
	people map[identity.PersonID]identity.Profile
}

func (g registry) Profile(_ context.Context, who identity.PersonID) (identity.Profile, error) {
	p, ok := g.people[who]
	if !ok {
		return p, errors.New("unknown person")
	}
	return p, nil
}

func (g registry) Appointments(_ context.Context, who identity.PersonID) ([]identity.Appointment, error) {
	if len(g.people[who].Roles) == 0 {
		return nil, nil
	}
	a := identity.Appointment{Person: who, Institution: institutions()[0], Title: "Secretaria de Minería", Kind: identity.Interim, From: start.AddDate(-1, 0, 0)}
	old := a
	old.Title, old.To = "Cargo terminado", start.AddDate(0, -1, 0)
	return []identity.Appointment{a, old}, nil
}

func institutions() []identity.Institution {
	return []identity.Institution{{ID: insA, Name: "Gobierno Autónomo Departamental de Oruro"}, {ID: insB, Name: "Gobierno Autónomo Municipal de Oruro"}}
}

func (registry) Institutions(context.Context) ([]identity.Institution, error) {
	return institutions(), nil
}

// who decides who is signed in.
type who struct {
	mu sync.Mutex
	p  web.Principal
}

func (a *who) Principal(r *http.Request) (web.Principal, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return webtest.Auth{P: a.p}.Principal(r)
}

// world is a console on real records.
type world struct {
	t        *testing.T
	d        *db.DB
	log      *audit.Log
	keys     *keystore.Store
	provider *provider
	registry registry
	auth     *who
	demo     *notify.Demo
	base     string
	ana, eva identity.PersonID
}

func newWorld(t *testing.T) *world {
	t.Helper()
	lines := []db.Line{outbox.Migrations, keystore.Migrations, audit.Migrations, notify.Migrations}
	w := &world{t: t, d: dbtest.Open(t, db.SQLite, lines), provider: &provider{}, auth: &who{}}
	kek := envelope.NewKey()
	var err error
	if w.keys, err = keystore.Open(t.Context(), keystore.Config{DB: w.d, KEK: kek}); err != nil {
		t.Fatal(err)
	}
	if w.log, err = audit.New(audit.Config{DB: w.d, Keys: w.keys, Erased: keystore.ErrErased}); err != nil {
		t.Fatal(err)
	}
	w.demo = notify.NewDemo(w.d, kek)
	w.people()
	srv := httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	w.base = "http://localhost:" + port
	site, pages := webtest.NewSite(t, webtest.Options{Public: w.base, Demo: true, Texts: map[string]fs.FS{"console": console.Texts()}})
	m, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if err := console.Register(console.Config{
		Mux: m, Pages: pages, Auth: w.auth, Account: w.provider, Registry: w.registry, DB: w.d, Audit: w.log, Public: w.base, Mailbox: w.demo,
		VerifierKey: func() string { return "localhost/log+1f2e3d4c+AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGh" },
		Now:         func() time.Time { return start },
	}); err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = site.Handler(m)
	srv.Start()
	t.Cleanup(srv.Close)
	return w
}

func (w *world) people() {
	id := func() identity.PersonID { return identity.PersonID(identity.NewID(identity.PrefixPerson, start)) }
	w.ana, w.eva = id(), id()
	w.registry.people = map[identity.PersonID]identity.Profile{
		w.ana: {Person: w.ana, Name: identity.Name{Given: "Ñusta Ana", FirstSurname: "Mamani", SecondSurname: "Quispe"}, Document: identity.Document{Type: identity.DocumentCI, Number: "1234567", Complement: "1A"},
			BirthDate: identity.Date{Year: 1990, Month: 5, Day: 2}, Email: "ana@example.bo", Level: identity.N2, Active: true},
		w.eva: {Person: w.eva, Name: identity.Name{Given: "Eva", FirstSurname: "Choque"}, Document: identity.Document{Type: identity.DocumentCI, Number: "7654321"},
			Level: identity.N3, Active: true, Roles: []identity.Role{identity.RoleRegistrar}},
	}
	own := func(id, device string, shared bool) idp.OwnSession {
		return idp.OwnSession{ID: id, Device: device, DeviceID: "dev_" + id, Shared: shared, CreatedAt: start.Add(-3 * time.Hour), SeenAt: start, ExpiresAt: start.Add(20 * time.Hour)}
	}
	idle := own("ses_d", "Chrome, Windows", false)
	idle.DeviceID, idle.Lapsed, idle.CreatedAt = "dev_ses_b", true, start.Add(-9*time.Hour)
	here := own("ses_a", "Firefox, Android", false)
	here.Applications = []idp.OwnApplication{
		{SID: "sid-tramites", Client: "tramites", Name: "Trámites en línea", Institution: insA, Since: start.Add(-time.Hour), Grants: []idp.OwnGrant{
			{ID: "grt_2", Scopes: []string{"openid", "profile", "email"}, Since: start.Add(-time.Minute), Renewable: true}, {ID: "grt_1", Scopes: []string{"openid"}, Since: start.Add(-time.Hour)},
		}},
		{SID: "sid-becas", Client: "becas", Name: "Becas municipales", Institution: insB, Since: start.Add(-2 * time.Hour)},
	}
	w.provider.sessions = map[identity.PersonID][]idp.OwnSession{
		w.ana: {own("ses_b", "Chrome, Windows", false), idle, here, own("ses_c", "Chrome, Android", true)},
		w.eva: {own("ses_e", "Firefox, Linux", false)},
	}
	w.provider.consents = map[identity.PersonID][]idp.OwnConsent{w.ana: {
		{Client: "becas", Name: "Becas municipales", Institution: insB, Scopes: []string{"profile"}, Since: start, Until: start.AddDate(1, 0, 0)},
		{Client: "tramites", Name: "Trámites en línea", Institution: insA, Scopes: []string{"documento_identidad", "email", "profile"}, Since: start, Until: start.AddDate(1, 0, 0)},
	}}
}

// enter signs a person in.
func (w *world) enter(id identity.PersonID, session string) {
	w.auth.mu.Lock()
	defer w.auth.mu.Unlock()
	p := w.registry.people[id]
	w.auth.p = &webtest.Person{ID: id, FullName: p.Name.Full(), SessionID: session, Assurance: p.Level, Signed: start, KeyUsed: start}
}

// append records something.
func (w *world) append(e audit.Entry) {
	w.t.Helper()
	p, err := w.log.Prepare(w.t.Context(), e)
	if err == nil {
		err = w.d.Write(w.t.Context(), func(tx *db.Tx) error {
			_, err := w.log.Append(tx, p)
			return err
		})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// sequence gives all entries their places and signs a checkpoint.
func (w *world) sequence() {
	w.t.Helper()
	p, err := w.keys.Generate(keystore.Spec{Purpose: "log", Alg: keystore.EdDSA, Owner: keystore.SystemOwner + "log", Activate: true})
	if err == nil {
		err = w.d.Write(w.t.Context(), func(tx *db.Tx) error { return w.keys.Put(tx, p) })
	}
	if err != nil {
		w.t.Fatal(err)
	}
	signer, err := w.keys.Signer(w.t.Context(), p.ID(), "log")
	if err != nil {
		w.t.Fatal(err)
	}
	seq, err := audit.NewSequencer(w.t.Context(), audit.SequencerConfig{Log: w.log, Signer: signer, Origin: "localhost/log", HighWater: filepath.Join(w.t.TempDir(), "mark")})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := seq.Step(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// do sends a request and follows nothing.
func (w *world) do(method, path, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res, string(raw)
}

func (w *world) get(path string) string {
	w.t.Helper()
	res, body := w.do(http.MethodGet, path, "")
	if res.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %d %s\n%s", path, res.StatusCode, res.Header.Get("Location"), body)
	}
	return body
}

// post sends a form and returns where it leads.
func (w *world) post(path string, form url.Values) string {
	w.t.Helper()
	res, body := w.do(http.MethodPost, path, form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", w.base)
	if res.StatusCode != http.StatusSeeOther {
		w.t.Fatalf("%s: %d\n%s", path, res.StatusCode, body)
	}
	return res.Header.Get("Location")
}
