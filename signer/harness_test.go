package signer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
	"oruro.gob.bo/suti/sdk/api"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/core/coretest"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/store"
)

// rig is a signer on a world, over HTTP.
type rig struct {
	t       testing.TB
	w       *coretest.World
	service *signer.Service
	config  signer.Config
	srv     *httptest.Server
	host    string
}

func lines() []db.Line { return coretest.Lines(store.Migrations) }

func each(t *testing.T, fn func(t *testing.T, g *rig)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) { fn(t, newRig(t, d)) })
}

func newRig(t testing.TB, d *db.DB, change ...func(*signer.Config)) *rig {
	t.Helper()
	g := &rig{t: t, w: coretest.New(t, d)}
	g.srv = httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(g.srv.Listener.Addr().String(), ":")
	site, pages := webtest.NewSite(t, webtest.Options{Public: "http://localhost:" + port, Demo: true, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})), Texts: map[string]fs.FS{"signer": signer.Texts()}})
	blobs, err := blob.Open(blob.Config{DB: d, Keys: g.w.Keys, Now: g.w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	g.host = site.Public().Host()
	g.config = signer.Config{DB: d, Blobs: blobs, Audit: g.w.Audit, Core: g.w.Core, Directory: g, Subjects: g, API: g, Auth: g, Pages: pages, Public: site.Public(),
		Verifier: signer.LocalVerifier{Roots: g.w.CA.Pool, TimestampRoots: g.w.CA.Pool, Now: g.w.Clock.Now}, SignOut: "/cuenta/salir", NotMe: "/cuenta/otra-persona", Demo: true, TempDir: t.TempDir(), Now: g.w.Clock.Now}
	for _, c := range change {
		c(&g.config)
	}
	if g.service, err = signer.New(g.config); err != nil {
		t.Fatal(err)
	}
	browser, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		t.Fatal(err)
	}
	apiMux := site.NewAPIMux()
	g.service.RegisterBrowser(browser)
	g.service.RegisterAPI(apiMux)
	g.srv.Config.Handler = site.Handler(browser, apiMux)
	g.srv.Start()
	t.Cleanup(g.srv.Close)
	return g
}

func (g *rig) people() []*coretest.Person {
	return []*coretest.Person{g.w.Official, g.w.Citizen, g.w.Other, g.w.Supervisor}
}

// Profile implements signer.Directory.
func (g *rig) Profile(ctx context.Context, id identity.PersonID) (identity.Profile, error) {
	for _, p := range g.people() {
		if p.ID() == id {
			profile := p.Profile
			err := g.w.DB.Read(ctx, func(tx *db.Tx) error {
				s, err := subject.Current(tx, id)
				profile.Epoch, profile.Active = identity.Epoch(s.Epoch), s.State == subject.Active
				return err
			})
			return profile, err
		}
	}
	return identity.Profile{}, signer.ErrUnknown
}

// Appointment implements signer.Directory.
func (g *rig) Appointment(_ context.Context, id identity.AppointmentID) (identity.Appointment, error) {
	if a := g.w.Official.Appointment; a.ID == id {
		return *a, nil
	}
	return identity.Appointment{}, signer.ErrUnknown
}

// FindByDocument implements signer.Directory.
func (g *rig) FindByDocument(_ context.Context, d identity.Document) (identity.PersonID, error) {
	for _, p := range g.people() {
		if p.Profile.Document == d {
			return p.ID(), nil
		}
	}
	return "", signer.ErrUnknown
}

// Institution implements signer.Directory.
func (g *rig) Institution(_ context.Context, id identity.InstitutionID) (identity.Institution, error) {
	if i := g.w.Official.Appointment.Institution; i.ID == id {
		return i, nil
	}
	return identity.Institution{}, signer.ErrUnknown
}

// PersonBySubject implements signer.Subjects: subs are "sub-" and the person's id.
func (g *rig) PersonBySubject(ctx context.Context, _, sub string) (identity.PersonID, error) {
	p, err := g.Profile(ctx, identity.PersonID(strings.TrimPrefix(sub, "sub-")))
	return p.Person, err
}

// APIClient implements signer.APIAuth: the token names application and scopes.
func (g *rig) APIClient(r *http.Request) (signer.APIClient, error) {
	name, scopes, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), "|")
	if !ok {
		return signer.APIClient{}, signer.ErrToken
	}
	return signer.APIClient{ID: name, Name: "Aplicación " + name, Institution: g.w.Official.Appointment.Institution.ID, Scopes: strings.Fields(scopes)}, nil
}

// Principal implements web.Authenticator: a header says who is signed in.
func (g *rig) Principal(r *http.Request) (web.Principal, error) {
	id := r.Header.Get("X-Test-Person")
	for _, p := range g.people() {
		if string(p.ID()) == id {
			profile, err := g.Profile(r.Context(), p.ID())
			return &webtest.Person{ID: p.ID(), FullName: profile.Name.Full(), At: int64(profile.Epoch), Assurance: profile.Level,
				Signed: g.w.Clock.Now(), KeyUsed: g.w.Clock.Now(), Now: g.w.Clock.Now}, err
		}
	}
	return nil, &web.StepUp{Path: "/entrar", Login: true}
}

// send makes a request; who is a person's id, or a token with "|".
func (g *rig) send(method, path, who, contentType string, body io.Reader, headers ...string) (int, http.Header, []byte) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.srv.URL+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Host = g.host
	if strings.Contains(who, "|") {
		r.Header.Set("Authorization", "Bearer "+who)
	} else if who != "" {
		r.Header.Set("X-Test-Person", who)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if method == http.MethodPost && !strings.Contains(who, "|") {
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(r)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, res.Header, b
}

const appA = "app-a|firmas:crear firmas:leer"

// json sends JSON and reads JSON.
func (g *rig) json(method, path, who string, in, out any, headers ...string) int {
	g.t.Helper()
	var body io.Reader
	contentType := ""
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			g.t.Fatal(err)
		}
		body, contentType = bytes.NewReader(raw), "application/json"
	}
	status, _, b := g.send(method, path, who, contentType, body, headers...)
	if out != nil && status != http.StatusInternalServerError {
		if err := json.Unmarshal(b, out); err != nil {
			g.t.Fatalf("%s %s: %d %s: %v", method, path, status, b, err)
		}
	}
	return status
}

func sample(text string) []byte { return costest.Sample(costest.Options{Text: text}) }

// upload stores a document of application A.
func (g *rig) upload(key string, pdf []byte) api.Document {
	g.t.Helper()
	status, _, b := g.send("POST", "/api/v1/documents", appA, "application/pdf", bytes.NewReader(pdf), "Idempotency-Key", key)
	var d api.Document
	if err := json.Unmarshal(b, &d); err != nil || status != http.StatusCreated {
		g.t.Fatalf("upload: %d %s %v", status, b, err)
	}
	return d
}

func (g *rig) signerOf(p *coretest.Person) api.Signer {
	s := api.Signer{Subject: "sub-" + string(p.ID())}
	if p.Appointment != nil {
		s.Appointment = string(p.Appointment.ID)
	}
	return s
}

// request makes a request over one document, for people in turn.
func (g *rig) request(key string, pdf []byte, people ...*coretest.Person) api.SigningStatus {
	g.t.Helper()
	d := g.upload("doc-"+key, pdf)
	in := api.SigningRequest{Documents: []api.RequestDocument{{ID: d.ID, Title: "Resolución 12/2026"}}, Seal: &api.Seal{Page: "last", Corner: "bottom-left"}, ReturnURL: "https://app.example/volver"}
	for _, p := range people {
		in.Signers = append(in.Signers, g.signerOf(p))
	}
	var st api.SigningStatus
	if status := g.json("POST", "/api/v1/signing-requests", appA, in, &st, "Idempotency-Key", key); status != http.StatusCreated {
		g.t.Fatalf("create: %d %+v", status, st)
	}
	return st
}

type begun struct {
	ID      string          `json:"id"`
	Options json.RawMessage `json:"options"`
	Problem string          `json:"problem"`
	Code    string          `json:"code"`
	Next    string          `json:"next"`
}

// begin asks for the ceremony's options.
func (g *rig) begin(id string, p *coretest.Person) begun {
	g.t.Helper()
	var b begun
	if status := g.json("POST", "/firmas/"+id+"/opciones", string(p.ID()), map[string]string{}, &b); status != http.StatusOK {
		g.t.Fatalf("options: %d %+v", status, b)
	}
	return b
}

// approve answers a ceremony, begun or to be begun, with a person's passkey.
func (g *rig) approve(id string, p *coretest.Person, b begun) (int, begun) {
	g.t.Helper()
	var out begun
	status := g.json("POST", "/firmas/"+id+"/aprobar", string(p.ID()), map[string]any{"id": b.ID, "response": p.Answer(g.t, b.Options)}, &out)
	return status, out
}

// sign lets people sign in turn.
func (g *rig) sign(id string, people ...*coretest.Person) {
	g.t.Helper()
	for _, p := range people {
		if status, out := g.approve(id, p, g.begin(id, p)); status != http.StatusOK || out.Next != "/firmas/"+id+"/listo" {
			g.t.Fatalf("approve: %d %+v", status, out)
		}
		g.w.Clock.Add(10 * time.Second)
	}
}

func (g *rig) status(id string) api.SigningStatus {
	g.t.Helper()
	var st api.SigningStatus
	if status := g.json("GET", "/api/v1/signing-requests/"+id, appA, nil, &st); status != http.StatusOK {
		g.t.Fatalf("status: %d", status)
	}
	return st
}

// signed downloads a signed document.
func (g *rig) signed(st api.SigningStatus) []byte {
	g.t.Helper()
	status, h, pdf := g.send("GET", "/api/v1/signing-requests/"+st.ID+"/documents/"+st.Documents[0].ID+"/signed", appA, "", nil)
	if status != http.StatusOK || h.Get("Content-Type") != "application/pdf" {
		g.t.Fatalf("download: %d %s", status, pdf)
	}
	return pdf
}

// page fetches a page as a person, and returns its text.
func (g *rig) page(path string, p *coretest.Person, wantStatus int) string {
	g.t.Helper()
	who := ""
	if p != nil {
		who = string(p.ID())
	}
	status, _, b := g.send("GET", path, who, "", nil)
	if status != wantStatus {
		g.t.Fatalf("GET %s: %d, want %d\n%s", path, status, wantStatus, b)
	}
	return string(b)
}

// verify posts a file to the public page.
func (g *rig) verify(pdf []byte, code string) string {
	g.t.Helper()
	var b bytes.Buffer
	contentType := form(g.t, &b, pdf, "code", code)
	_, _, out := g.send("POST", "/verificar", "", contentType, &b)
	return string(out)
}

func (g *rig) wantProblem(status int, raw []byte, wantStatus int, code string) {
	g.t.Helper()
	var p api.Problem
	if err := json.Unmarshal(raw, &p); err != nil {
		g.t.Fatalf("%d %s: %v", status, raw, err)
	}
	if status != wantStatus || p.Code != code || p.Status != status || p.Title == "" || p.Detail == "" {
		g.t.Errorf("problem %d %+v, want %d %s", status, p, wantStatus, code)
	}
}

func contains(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is missing in\n%s", w, text)
		}
	}
}

func lacks(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if strings.Contains(text, w) {
			t.Errorf("%q should not be in\n%s", w, text)
		}
	}
}

func key(i int) string { return fmt.Sprintf("k-%d", i) }

// form writes a multipart form with a file, unless it is nil, and fields.
func form(t testing.TB, b *bytes.Buffer, pdf []byte, fields ...string) (contentType string) {
	t.Helper()
	m := multipart.NewWriter(b)
	if pdf != nil {
		w, err := m.CreateFormFile("file", "documento.pdf")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(pdf); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; i+1 < len(fields); i += 2 {
		if err := m.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return m.FormDataContentType()
}
