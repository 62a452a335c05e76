package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/sdk"
	"oruro.gob.bo/suti/sdk/api"
)

// startDeployment serves on a database; "" is the embedded one.
func startDeployment(t *testing.T, database string) *deployment {
	t.Helper()
	return startServer(t, func(settings, dir string) string {
		if database == "" {
			return settings
		}
		file := filepath.Join(dir, "database")
		if err := os.WriteFile(file, []byte(database), 0o600); err != nil {
			t.Fatal(err)
		}
		return settings + fmt.Sprintf("[database]\nurl_file = %q\n", file)
	}, nil)
}

// may fails the test if a step of somebody's visit failed.
func may(t *testing.T, steps ...func() error) {
	t.Helper()
	for i, s := range steps {
		if err := s(); err != nil {
			t.Fatalf("step %d: %v", i+1, err)
		}
	}
}

// TestProductionFromNothing takes an empty machine to a signed document with
// nothing but the program's commands and its pages.
func TestProductionFromNothing(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		production(t, startDeployment(t, ""))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := os.Getenv(dbtest.EnvPostgres)
		if server == "" {
			dbtest.Missing(t, dbtest.EnvPostgres+" is not set")
		}
		production(t, startDeployment(t, newSchema(t, server)))
	})
}

func production(t *testing.T, d *deployment) {
	people := make([]*visitor, 4)
	codes := make([]string, 4)
	for i := range people {
		people[i] = d.visitor()
		var err error
		if codes[i], err = people[i].register(invented[i]); err != nil {
			t.Fatal(err)
		}
	}
	admin, registrar, supervisor, official := people[0], people[1], people[2], people[3]
	hash := d.founded(people, codes)
	if err := admin.enter("/ventanilla"); err != nil || admin.code != http.StatusOK {
		t.Fatalf("the administrator at the counter: %v, %s", err, admin.words())
	}

	ins := ask[institutionView](d, "institution", "add", "--name", "Gobernación de prueba", "--short-name", "GP", "--nit", "1020255020")
	post := ask[postView](d, "post", "add", "--institution", "GP", "--title", "Secretaria General", "--item", "17", "--exclusive", "--scope", "resolucion")
	d.enrol(registrar, supervisor, official, codes[3])
	d.appoint(admin, supervisor, post)
	d.login(official, ins)
	d.signs(official, ask[[]personView](d, "person", "list")[3].Appointments[0].ID)
	d.protects(official)

	if got := ask[genesisStatus](d, "person", "genesis", "status"); got.State != genesisDone || got.Hash != hash || !got.Pinned {
		t.Errorf("at the end: %+v", got)
	}
}

// founded founds the deployment: wrongly, once in vain, and then for ever.
func (d *deployment) founded(people []*visitor, codes []string) (hash string) {
	t := d.t
	t.Helper()
	founders := []string{"--founder", codes[0] + ":administrator", "--founder", codes[1] + ":registrar", "--founder", codes[2] + ":supervisor"}
	genesis := func(want int, more ...string) (string, string) {
		return d.run(want, append([]string{"person", "genesis"}, more...)...)
	}
	for why, args := range map[string][]string{
		"somebody must be supervisor and nothing else": {"--founder", codes[0] + ":administrator,supervisor", "--founder", codes[1] + ":registrar"},
		"at least two people":                          {"--founder", codes[0] + ":administrator,registrar,supervisor"},
		"no role":                                      {"--founder", codes[0] + ":jefe", "--founder", codes[1] + ":supervisor"},
		"no such ticket":                               {"--founder", "0000-0000:administrator", "--founder", codes[1] + ":registrar", "--founder", codes[2] + ":supervisor"},
		"the same person twice":                        {"--founder", codes[0] + ":administrator", "--founder", codes[0] + ":registrar", "--founder", codes[2] + ":supervisor"},
	} {
		if _, errs := genesis(exitUsage, append(args, "--yes")...); !strings.Contains(errs, why) {
			t.Errorf("want %q, got %s", why, errs)
		}
	}
	out, _ := genesis(exitOK, append(founders, "--no-wait")...)
	for _, want := range []string{"Elena Quispe", "CI 9900101", "1975-03-08", "fingerprint"} {
		if !strings.Contains(out, want) {
			t.Errorf("what is to be read aloud lacks %q:\n%s", want, out)
		}
	}
	if _, errs := genesis(exitRefused, append(founders, "--yes")...); !strings.Contains(errs, "person genesis cancel") {
		t.Errorf("a second one meanwhile: %s", errs)
	}
	ask[genesisStatus](d, "person", "genesis", "cancel")

	waited := make(chan string, 1)
	go func() {
		var out, errs bytes.Buffer
		run(t.Context(), append([]string{"person", "genesis", "--yes", "--config", d.config}, founders...), strings.NewReader(""), &out, &errs, func(string) string { return "" })
		waited <- out.String() + errs.String()
	}()
	var st genesisStatus
	for st.State != genesisWaiting {
		st = ask[genesisStatus](d, "person", "genesis", "status")
	}
	if err := people[3].open(st.Page); err != nil {
		t.Fatal(err)
	}
	may(t, func() error { return people[3].shows(st.Fingerprint, "E. Q.") },
		func() error { return people[3].fill("/registro/confirmar", "codigo", codes[3]) },
		func() error { return people[3].shows("no hay nada que firmar") },
		func() error { return people[0].found(st.Page, codes[0]) },
		func() error { return people[1].found(st.Page, codes[1]) })
	// Who signed one founding is nobody yet.
	if err := people[0].enter("/ventanilla"); err == nil || people[0].shows("Su identidad aún no alcanza") != nil {
		t.Errorf("at the counter before the founding: %s", people[0].words())
	}
	may(t, func() error { return people[2].found(st.Page, codes[2]) })
	if text := <-waited; !strings.Contains(text, "genesis_hash = ") {
		t.Errorf("the command said:\n%s", text)
	}
	st = ask[genesisStatus](d, "person", "genesis", "status")
	if _, errs := genesis(exitRefused, append(founders, "--yes")...); !strings.Contains(errs, "founded already") {
		t.Errorf("a second founding: %s", errs)
	}
	if _, errs := d.run(exitRefused, "person", "genesis", "cancel"); !strings.Contains(errs, "founded already") {
		t.Errorf("cancel after the founding: %s", errs)
	}
	if out, _ := d.run(-1, "doctor", "--log"); !strings.Contains(out, st.Hash+" is pinned in the database only") {
		t.Errorf("doctor:\n%s", out)
	}
	return st.Hash
}

// enrol takes a person through the counter.
func (d *deployment) enrol(registrar, supervisor, who *visitor, code string) {
	d.t.Helper()
	var draft string
	may(d.t,
		func() error { return registrar.enter("/ventanilla") },
		func() error { return registrar.fill("/ventanilla/abrir", "codigo", code) },
		func() error {
			return registrar.fill("/verificar", "verificado", "+original document given_names surnames birth_date", "nivel", "N3")
		},
		func() error { draft = registrar.at.Path; return registrar.passkey() },
		func() error { return who.open("/registro/confirmar") },
		func() error { return who.fill("/registro/confirmar", "codigo", code) },
		func() error { return who.passkey() },
		func() error { return supervisor.enter("/ventanilla/aprobar") },
		func() error {
			return supervisor.open("/ventanilla/aprobar/" + draft[strings.LastIndexByte(draft, '/')+1:])
		},
		func() error { return supervisor.fill(supervisor.at.Path) },
		func() error { return supervisor.passkey() },
	)
}

// appoint gives the official the post.
func (d *deployment) appoint(admin, supervisor *visitor, post postView) {
	d.t.Helper()
	var draft string
	may(d.t,
		func() error { return admin.enter("/ventanilla/nombrar") },
		func() error {
			return admin.fill("/ventanilla/nombrar", "cargo", string(post.ID), "documento", invented[3][2], "como", "titular", "acto", "RA 1/2026")
		},
		func() error { draft = admin.at.Path; return admin.passkey() },
		func() error {
			return supervisor.enter("/ventanilla/aprobar/" + draft[strings.LastIndexByte(draft, '/')+1:])
		},
		func() error { return supervisor.fill(supervisor.at.Path) },
		func() error { return supervisor.passkey() },
	)
	list := ask[[]personView](d, "person", "list")
	if len(list) != 4 || len(list[3].Appointments) != 1 || list[3].Level != "N3" || list[3].Name != "" || list[0].Roles[0] != "administrator" {
		d.t.Errorf("people: %+v", list)
	}
	if staff := ask[[]personView](d, "person", "list", "--staff"); len(staff) != 3 {
		d.t.Errorf("staff: %+v", staff)
	}
}

const callback = "https://agenda.example/cb"

// login registers a client and logs the official in there, by code.
func (d *deployment) login(who *visitor, ins institutionView) {
	t := d.t
	t.Helper()
	add := []string{"client", "add", "--id", "agenda", "--name", "Agenda", "--profile", "gov-web", "--auth-method", "client_secret_basic", "--redirect-uri", callback, "--scope", "openid", "--scope", "profile"}
	if _, errs := d.run(exitUsage, append(add, "--institution", "XX")...); !strings.Contains(errs, `no institution "XX"`) {
		t.Errorf("unknown institution: %s", errs)
	}
	app := ask[clientView](d, append(add, "--institution", "GP")...)
	if app.Secret == "" || app.Institution != string(ins.ID) {
		t.Fatalf("registered: %+v", app)
	}
	if _, errs := d.run(exitUsage, append(add, "--institution", "GP")...); !strings.Contains(errs, "is taken") {
		t.Errorf("registered twice: %s", errs)
	}
	first := d.tokens(who, app.Secret)
	var claims struct{ Sub, Name string }
	if err := json.Unmarshal(first.claims, &claims); err != nil || claims.Sub == "" {
		t.Errorf("claims %s, %v", first.claims, err)
	}
	second := ask[clientView](d, "client", "rotate-secret", "agenda", "--overlap", "0s").Secret
	if status, _ := d.post("/oauth2/introspect", "agenda", app.Secret, url.Values{"token": {first.access}}); status != http.StatusUnauthorized {
		t.Errorf("the old secret: %d", status)
	}
	active := func() bool {
		_, out := d.post("/oauth2/introspect", "agenda", second, url.Values{"token": {first.access}})
		return out["active"] == true
	}
	if !active() {
		t.Error("the token does not live on after the change of secret")
	}
	changed := ask[clientView](d, "client", "set", "agenda", "--post-logout-uri", callback, "--backchannel-logout-uri", "https://agenda.invalid/fin")
	if len(changed.PostLogoutURIs) != 1 || changed.BackchannelURI == "" || changed.Name != app.Name || len(changed.RedirectURIs) != 1 {
		t.Errorf("changed: %+v", changed)
	}
	if _, errs := d.run(exitUsage, "client", "set", "agenda", "--redirect-uri", "http://agenda.example/cb"); !strings.Contains(errs, "http://agenda.example/cb") {
		t.Errorf("a bad address: %s", errs)
	}
	if r := ask[clientView](d, "client", "show", "agenda").Receipts; r == nil || r.Queued+r.Delivered != 0 {
		t.Errorf("receipts: %+v", r)
	}
	d.run(exitOK, "client", "disable", "agenda", "--reason", "prueba")
	if _, errs := d.run(exitRefused, "client", "disable", "agenda"); !strings.Contains(errs, "already") {
		t.Errorf("disabled twice: %s", errs)
	}
	if status, out := d.post("/oauth2/introspect", "agenda", second, url.Values{"token": {first.access}}); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
		t.Errorf("while disabled: %d %v", status, out)
	}
	d.run(exitOK, "client", "enable", "agenda")
	if active() {
		t.Error("an old token is alive again")
	}
	d.tokens(who, second)
	list, show := ask[[]clientView](d, "client", "list"), ask[clientView](d, "client", "show", "agenda")
	if len(list) != 1 || show.Version != 4 || show.Secret != "" || strings.Contains(fmt.Sprint(list, show), second) {
		t.Errorf("listing: %+v, %+v", list, show)
	}
}

type tokens struct {
	access string
	claims []byte // of the ID token, whose signature other tests judge
}

// tokens runs a code flow with PKCE at the client "agenda".
func (d *deployment) tokens(who *visitor, secret string) tokens {
	t := d.t
	t.Helper()
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {"agenda"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	who.outer, who.at = callback, nil
	defer func() { who.outer, who.at = "", nil }()
	if err := who.enter("/oauth2/authorize?" + q.Encode()); err != nil {
		t.Fatal(err)
	}
	code := who.at.Query().Get("code")
	if code == "" || who.at.Query().Get("iss") != d.origin {
		t.Fatalf("no code: %s %s", who.at, who.words())
	}
	status, out := d.post("/oauth2/token", "agenda", secret, url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}})
	id, _ := out["id_token"].(string)
	parts := strings.Split(id, ".")
	if status != http.StatusOK || len(parts) != 3 {
		t.Fatalf("token endpoint: %d %v", status, out)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	access, _ := out["access_token"].(string)
	return tokens{access, claims}
}

// post calls a back-channel endpoint with a client's secret.
func (d *deployment) post(path, id, secret string, form url.Values) (int, map[string]any) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, d.origin+path, strings.NewReader(form.Encode()))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	res, err := d.visitor().http.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	var out map[string]any
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, out
}

// signs registers an application with a key, which asks the official to sign.
func (d *deployment) signs(official *visitor, post identity.AppointmentID) {
	t := d.t
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding
	set := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","use":"sig","alg":"ES256","x":%q,"y":%q}]}`, enc.EncodeToString(point[1:33]), enc.EncodeToString(point[33:]))
	file := filepath.Join(t.TempDir(), "tramites.jwks")
	if err := os.WriteFile(file, []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	d.run(exitOK, "client", "add", "--id", "tramites", "--name", "Trámites en línea", "--institution", "GP", "--profile", "gov-web", "--jwks", file,
		"--redirect-uri", "https://tramites.example/auth/callback", "--grant", "authorization_code", "--grant", "client_credentials",
		"--scope", "openid", "--scope", sdk.ScopeSignCreate, "--scope", sdk.ScopeSignRead)
	app, err := sdk.New(t.Context(), sdk.Config{
		Issuer: d.origin, ClientID: "tramites", Key: key, KeyID: "k1", BaseURL: "https://tramites.example", HTTPClient: d.visitor().http,
	})
	if err != nil {
		t.Fatal(err)
	}
	signing := app.Signing()
	pdf := ordinaryPDF(1)
	doc, err := signing.Upload(t.Context(), "uno", bytes.NewReader(pdf), int64(len(pdf)))
	if err != nil {
		t.Fatal(err)
	}
	req, err := signing.Create(t.Context(), "uno", api.SigningRequest{
		Documents: []api.RequestDocument{{ID: doc.ID, Title: "Resolución 1"}},
		Signers:   []api.Signer{{Document: &api.IdentityDocRef{Type: "CI", Number: invented[3][2]}, Appointment: string(post)}}, Level: "B-T",
	})
	if err != nil {
		t.Fatal(err)
	}
	// The first page waits for the drawing of pages to be ready, which under the
	// race detector takes longer than a request may.
	err = official.enter(req.SignURL)
	for range 5 {
		if !errors.Is(err, io.EOF) {
			break
		}
		err = official.enter(req.SignURL)
	}
	may(t, func() error { return err }, func() error { return official.shows("Resolución 1") }, func() error { return toldCore(t, official.passkey) })
	st, err := signing.Status(t.Context(), req.ID)
	if err != nil || st.State != "completed" || st.AchievedLevel != "B-T" {
		t.Fatalf("signed: %+v, %v", st, err)
	}
}

// toldCore runs a step until the signing core has been told of the last acts, which
// reach it in the background.
func toldCore(t *testing.T, step func() error) error {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for range 400 {
		err := step()
		if err == nil || !strings.Contains(err.Error(), "appointment_not_held") && !strings.Contains(err.Error(), "person_not_enrolled") {
			return err
		}
		<-again.C
	}
	return errors.New("the signing core was never told")
}

// protects reads, revokes and suspends, as far as an operator may.
func (d *deployment) protects(official *visitor) {
	t := d.t
	t.Helper()
	authorities := ask[[]authorityView](d, "ca", "list")
	if len(authorities) < 3 {
		t.Errorf("authorities: %+v", authorities)
	}
	for _, a := range authorities {
		if _, errs := d.run(exitRefused, "ca", "revoke", a.Serial, "--reason", "superseded"); !strings.Contains(errs, "authority") {
			t.Errorf("revoke %s: %s", a.Name, errs)
		}
	}
	person := string(ask[[]personView](d, "person", "list")[3].Person)
	if p := ask[personView](d, "person", "show", person); p.Name != "" || p.Document != "" {
		t.Errorf("named without a purpose: %+v", p)
	}
	if p := ask[personView](d, "person", "show", person, "--purpose", "oficio 12/2026"); p.Name != "Carlos Condori" {
		t.Errorf("with a purpose: %+v", p)
	}
	may(t, func() error { return official.enter("/cuenta/actividad") }, func() error { return official.shows("oficio 12/2026", "Quien opera el servidor") })
	staff := string(ask[[]personView](d, "person", "list")[2].Person)
	if _, errs := d.run(exitRefused, "person", "suspend", staff, "--reason", "prueba"); !strings.Contains(errs, "last holder") {
		t.Errorf("the only supervisor: %s", errs)
	}
	if p := ask[personView](d, "person", "suspend", person, "--reason", "celular robado"); p.State != "suspendida" {
		t.Errorf("suspended: %+v", p)
	}
	may(t, func() error { return official.open("/cuenta") })
	if !strings.HasPrefix(official.at.Path, "/entrar") {
		t.Errorf("the session goes on: %s", official.words())
	}
}
