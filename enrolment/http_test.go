package enrolment_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/cache/memory"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// auth signs in whoever a header names: sessions are another package's.
type auth struct {
	h  *harness
	mu sync.Mutex
	// keyless people have signed in by card.
	keyless map[identity.PersonID]bool
	// stale are sessions that were checked under this epoch, whatever it is now.
	stale map[identity.PersonID]identity.Epoch
}

func (a *auth) Principal(r *http.Request) (web.Principal, error) {
	c, err := r.Cookie("quien")
	if err != nil {
		return nil, &web.StepUp{Path: "/entrar", Login: true}
	}
	p, err := a.h.svc.Profile(r.Context(), identity.PersonID(c.Value))
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.stale[p.Person]; at > 0 {
		p.Epoch, p.Active = at, true
	}
	if err != nil || !p.Active {
		return nil, &web.StepUp{Path: "/entrar", Login: true}
	}
	out := &webtest.Person{ID: p.Person, FullName: p.Name.Full(), SessionID: "ses-" + c.Value, At: int64(p.Epoch), Assurance: p.Level, Signed: a.h.clock.Now(), Now: a.h.clock.Now}
	if !a.keyless[p.Person] {
		out.KeyUsed = out.Signed
	}
	return out, nil
}

// server is the pages over real HTTP.
type server struct {
	*harness
	base string
	auth *auth
}

func (h *harness) serve(demo bool) *server { return h.serveOn(httptest.NewUnstartedServer(nil), demo) }

func (h *harness) serveOn(srv *httptest.Server, demo bool) *server {
	h.t.Helper()
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	s := &server{harness: h, base: "http://localhost:" + port, auth: &auth{h: h, keyless: map[identity.PersonID]bool{}}}
	site, pages := webtest.NewSite(h.t, webtest.Options{Public: s.base, Demo: demo, Texts: map[string]fs.FS{"enrolment": enrolment.Texts()}})
	m, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := h.svc.Routes(enrolment.WebConfig{Mux: m, Pages: pages, Auth: s.auth, SignOut: "/salir", NotMe: "/entrar"}); err != nil {
		h.t.Fatal(err)
	}
	srv.Config.Handler = site.Handler(m)
	srv.Start()
	h.t.Cleanup(srv.Close)
	return s
}

// visitor is a browser without scripts; the test plays the script.
type visitor struct {
	s    *server
	c    *http.Client
	auth *softauthn.Authenticator
}

// jar keeps Secure cookies on http://localhost, as browsers do.
type jar struct{ *cookiejar.Jar }

func secure(u *url.URL) *url.URL { c := *u; c.Scheme = "https"; return &c }

func (j jar) SetCookies(u *url.URL, cs []*http.Cookie) { j.Jar.SetCookies(secure(u), cs) }
func (j jar) Cookies(u *url.URL) []*http.Cookie        { return j.Jar.Cookies(secure(u)) }

func (s *server) visitor(a *softauthn.Authenticator) *visitor {
	j, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &visitor{s: s, auth: a, c: &http.Client{Jar: jar{j}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// as signs a member in.
func (s *server) as(m *member) *visitor {
	v := s.visitor(m.auth)
	u, _ := url.Parse(s.base)
	v.c.Jar.SetCookies(u, []*http.Cookie{{Name: "quien", Value: string(m.id)}})
	return v
}

func (v *visitor) do(r *http.Request) (status int, location, body string) {
	v.s.t.Helper()
	res, err := v.c.Do(r)
	if err != nil {
		v.s.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.s.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(b)
}

func (v *visitor) get(path string) (int, string) {
	v.s.t.Helper()
	r, _ := http.NewRequestWithContext(v.s.ctx(), http.MethodGet, v.s.base+path, nil)
	status, location, body := v.do(r)
	return status, location + body
}

func (v *visitor) post(path string, form url.Values) (status int, location, body string) {
	v.s.t.Helper()
	r, _ := http.NewRequestWithContext(v.s.ctx(), http.MethodPost, v.s.base+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return v.do(r)
}

// lead posts a form and wants to be led on.
func (v *visitor) lead(path string, form url.Values) string {
	v.s.t.Helper()
	status, location, body := v.post(path, form)
	if status != http.StatusSeeOther {
		v.s.t.Fatalf("POST %s: %d, want 303: %s", path, status, body)
	}
	return location
}

func (v *visitor) json(path string, in any) (int, map[string]json.RawMessage) {
	v.s.t.Helper()
	r, _ := http.NewRequestWithContext(v.s.ctx(), http.MethodPost, v.s.base+path, bytes.NewReader(mustJSON(in)))
	r.Header.Set("Content-Type", "application/json")
	status, _, body := v.do(r)
	out := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		v.s.t.Fatalf("POST %s: %d, not JSON: %s", path, status, body)
	}
	return status, out
}

// key runs a passkey step as llave.js does, and returns where it leads or what
// is wrong. The authenticator answers for the harness's origin.
func (v *visitor) key(path string, create bool) (next, problem string) {
	v.s.t.Helper()
	str := func(m map[string]json.RawMessage, k string) (s string) { _ = json.Unmarshal(m[k], &s); return s }
	status, begun := v.json(path+"/opciones", map[string]any{"etiqueta": ""})
	if p := str(begun, "problem"); p != "" {
		if status < 400 {
			v.s.t.Errorf("%s: problem %q with status %d", path, p, status)
		}
		return "", p
	}
	run := v.auth.Get
	if create {
		run = v.auth.Create
	}
	answer, err := run(v.s.origin, begun["options"])
	if err != nil {
		v.s.t.Fatalf("%s: %v", path, err)
	}
	_, end := v.json(path+"/fin", map[string]any{"id": str(begun, "id"), "etiqueta": "Mi celular", "response": json.RawMessage(answer)})
	return str(end, "next"), str(end, "problem")
}

func (v *visitor) mustKey(path string, create bool) string {
	v.s.t.Helper()
	next, problem := v.key(path, create)
	if problem != "" {
		v.s.t.Fatalf("%s: %s", path, problem)
	}
	return next
}

func answers(n int) url.Values {
	return url.Values{"paso": {"4"}, "tipo": {"CI"}, "numero": {fmt.Sprint(8_880_000 + n)}, "complemento": {""}, "nombres": {"Juana"}, "primer_apellido": {"Quispe"},
		"segundo_apellido": {"Mamani"}, "nacimiento": {"28/02/1990"}, "celular": {"71234567"}, "correo": {"juana@example.org"}}
}

var codePattern = regexp.MustCompile(`<strong>([0-9A-Z]{4}-[0-9A-Z]{4})</strong>`)

// Everything from the registration to the appointment, over HTTP, as a browser
// without scripts plus the passkey step.
func TestStoryOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		h := newHarness(t, d)
		h.found()
		_, post, clerk := h.office()
		s := h.serve(false)

		phone := s.visitor(softauthn.New(softauthn.Config{}))
		if to := phone.lead("/registro", answers(1)); to != "/registro/resumen" {
			t.Fatalf("registered: led to %s", to)
		}
		if to := phone.mustKey("/registro/llave", true); to != "/registro/listo" {
			t.Errorf("passkey made: led to %s", to)
		}
		if _, problem := phone.key("/registro/llave", true); problem != "ya-tiene" {
			t.Errorf("a second passkey: %q", problem)
		}
		_, ready := phone.get("/registro/listo")
		code := codePattern.FindStringSubmatch(ready)
		if code == nil {
			t.Fatalf("no ticket on the page: %s", ready)
		}

		registrar := s.as(h.registrar)
		ticket := registrar.lead("/ventanilla/abrir", url.Values{"codigo": {code[1]}})
		if status, page := registrar.get(ticket); status != 200 || !strings.Contains(page, "Juana") || !strings.Contains(page, "8880001") {
			t.Errorf("ticket: %d %s", status, page)
		}
		if status, _, page := registrar.post(ticket+"/verificar", url.Values{"verificado": {"document"}, "nivel": {"N2"}}); status != 422 || !strings.Contains(page, "Marque cada dato") {
			t.Errorf("not all confirmed: %d", status)
		}
		draft := registrar.lead(ticket+"/verificar", url.Values{"verificado": enrolment.Fields(), "nivel": {"N2"}})
		if to := registrar.mustKey(draft, false); to != draft {
			t.Errorf("signed: led to %s", to)
		}
		if _, page := registrar.get(draft); !strings.Contains(page, "Falta otra firma") {
			t.Errorf("the registrar is not told what is missing: %s", page)
		}

		confirm := phone.lead("/registro/confirmar", url.Values{"codigo": {strings.ToLower(code[1])}})
		if status, page := phone.get(confirm); status != 200 || strings.Contains(page, "Juana") || strings.Contains(page, "8880001") {
			t.Errorf("confirming, without a session, shows personal data: %d", status)
		}
		phone.mustKey(confirm, false)

		approver := s.as(h.supervisor)
		_, list := approver.get("/ventanilla/aprobar")
		item := regexp.MustCompile(`/ventanilla/aprobar/act_[0-9a-z]{26}`).FindString(list)
		if item == "" {
			t.Fatalf("nothing to approve: %s", list)
		}
		if status, _ := registrar.get(item); status != http.StatusForbidden {
			t.Errorf("the registrar looks at her own act to approve it: %d", status)
		}
		approver.mustKey(approver.lead(item, nil), false)
		person, err := h.accounts.FindByDocument(h.ctx(), identity.Document{Type: identity.DocumentCI, Number: "8880001"})
		if err != nil || h.level(person) != identity.N2 {
			t.Fatalf("enrolled: %v", err)
		}

		admin := s.as(clerk)
		apt := admin.lead("/ventanilla/nombrar", url.Values{"cargo": {string(post.ID)}, "documento": {"8880001"}, "como": {"titular"}, "acto": {"RAD 5/2026"}, "desde": {""}, "hasta": {""}})
		if next, problem := registrar.key(apt, false); problem != "vencido" {
			t.Errorf("an appointment signed by another: %q %q", next, problem)
		}
		admin.mustKey(apt, false)
		_, list = approver.get("/ventanilla/aprobar")
		item = regexp.MustCompile(`/ventanilla/aprobar/act_[0-9a-z]{26}`).FindString(list)
		approver.mustKey(approver.lead(item, nil), false)
		held, err := h.svc.Appointments(h.ctx(), person)
		if err != nil || len(held) != 1 {
			t.Fatalf("appointed: %v, %v", held, err)
		}
		_, list = admin.get("/ventanilla/cargos")
		end := regexp.MustCompile(`/ventanilla/cesar/apt_[0-9a-z]{26}`).FindString(list)
		admin.mustKey(admin.lead(end, url.Values{"motivo": {"renuncia"}}), false)
		if held, _ = h.svc.Appointments(h.ctx(), person); len(held) != 0 {
			t.Errorf("ended: still holds %v", held)
		}

		me := s.as(&member{id: person, auth: phone.auth})
		second := softauthn.New(softauthn.Config{})
		mine := &visitor{s: s, c: me.c, auth: second}
		act := mine.mustKey("/cuenta/llaves/nueva", true)
		if to := mine.mustKey(act, false); to != act {
			t.Errorf("signed by the new passkey: led to %s", to)
		}
		if to := me.mustKey(act, false); to != "/cuenta/llaves" {
			t.Errorf("signed by the earlier passkey: led to %s", to)
		}
		_, list = me.get("/cuenta/llaves")
		ids := regexp.MustCompile(`id="(key_[0-9a-z]{26})"`).FindAllStringSubmatch(list, -1)
		if len(ids) != 2 {
			t.Fatalf("%d passkeys on the page", len(ids))
		}
		me.lead("/cuenta/llaves/nombre/"+ids[0][1], url.Values{"nombre": {"Tableta"}})
		if to := mine.mustKey(me.lead("/cuenta/llaves/quitar/"+ids[1][1], nil), false); to != "/cuenta/llaves/quitada" {
			t.Errorf("removed: led to %s", to)
		}
		if status, _, page := me.post("/cuenta/bloquear", nil); status != 200 || !strings.Contains(page, "bloqueada") {
			t.Errorf("stop button: %d", status)
		}
		if status, to := me.get("/cuenta/llaves"); status != http.StatusSeeOther || !strings.HasPrefix(to, "/entrar") {
			t.Errorf("after the stop: %d %s", status, to)
		}
		h.check()
	})
}

// A founding is signed in browsers, by people without a session.
func TestFoundingOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	s := h.serve(false)
	var founders []enrolment.Founder
	var phones []*visitor
	var codes []string
	for i, r := range []act.Role{act.Administrator, act.Registrar, act.Supervisor} {
		v := s.visitor(softauthn.New(softauthn.Config{}))
		v.lead("/registro", answers(10+i))
		v.mustKey("/registro/llave", true)
		_, ready := v.get("/registro/listo")
		code := codePattern.FindStringSubmatch(ready)[1]
		d, err := h.svc.TicketByCode(h.ctx(), code)
		if err != nil {
			t.Fatal(err)
		}
		founders, phones, codes = append(founders, enrolment.Founder{Person: d.Person, Roles: []act.Role{r}}), append(phones, v), append(codes, code)
	}
	if status, _, page := phones[0].post("/registro/confirmar", url.Values{"codigo": {codes[0]}}); status != 422 || !strings.Contains(page, "no hay nada que firmar") {
		t.Errorf("nothing to sign yet: %d", status)
	}
	if _, err := h.svc.BeginGenesis(h.ctx(), enrolment.GenesisRequest{Founders: founders}); err != nil {
		t.Fatal(err)
	}
	for i, v := range phones {
		v.mustKey(v.lead("/registro/confirmar", url.Values{"codigo": {codes[i]}}), false)
	}
	if _, err := h.svc.Genesis(h.ctx()); err != nil {
		t.Error(err)
	}
	h.check()
}

func TestPagesAreProtected(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	citizen := h.enrol(identity.N2)
	s := h.serve(false)
	nobody, some, card := s.visitor(nil), s.as(citizen), s.as(h.registrar)
	for _, path := range []string{"/ventanilla", "/ventanilla/aprobar", "/ventanilla/nombrar", "/ventanilla/cargos", "/cuenta/llaves", "/cuenta/llaves/nueva", "/cuenta/bloquear"} {
		if status, to := nobody.get(path); status != http.StatusSeeOther || !strings.HasPrefix(to, "/entrar") {
			t.Errorf("%s without a session: %d %.80s", path, status, to)
		}
	}
	for _, path := range []string{"/ventanilla", "/ventanilla/aprobar", "/ventanilla/nombrar", "/ventanilla/cargos"} {
		if status, _ := some.get(path); status != http.StatusForbidden {
			t.Errorf("%s as a citizen: %d", path, status)
		}
	}
	if status, _, _ := some.post("/ventanilla/abrir", url.Values{"codigo": {"0000-0000"}}); status != http.StatusForbidden {
		t.Errorf("a ticket opened by a citizen: %d", status)
	}
	s.auth.keyless[h.registrar.id] = true
	if status, to := card.get("/ventanilla"); status != http.StatusSeeOther || !strings.HasPrefix(to, "/entrar") {
		t.Errorf("the counter without a passkey: %d %.80s", status, to)
	}
	s.auth.keyless[citizen.id] = true
	if _, problem := some.key("/cuenta/llaves/nueva", true); problem != "sin-sesion" {
		t.Errorf("a passkey added without one: %q", problem)
	}
	// Posts from another site.
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.base+"/cuenta/bloquear", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	r.Header.Set("Origin", "https://evil.example")
	if status, _, _ := some.do(r); status != http.StatusForbidden {
		t.Errorf("stop button from another site: %d", status)
	}
	// Drafts of others.
	_, ticket := h.preregister()
	d, err := h.draw(h.registrar, ticket, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.auth.keyless = map[identity.PersonID]bool{}
	if status, _ := s.as(h.supervisor).get("/ventanilla/acto/" + string(d.ID)); status != http.StatusNotFound {
		t.Errorf("another's draft: %d", status)
	}
	if status, _ := s.as(citizen).get("/cuenta/llaves/acto/" + string(d.ID)); status != http.StatusNotFound {
		t.Errorf("a draft that is no passkey of hers: %d", status)
	}
	for _, path := range []string{"/registro/confirmar/tic_x/act_y", "/registro/confirmar/" + ticket.ID + "/" + string(d.ID) + "x"} {
		if status, _ := nobody.get(path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestRegistrationFormRefusals(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	s := h.serve(false)
	v := s.visitor(nil)
	for field, bad := range map[string]string{"tipo": "", "numero": "12", "nombres": "", "nacimiento": "31/02/1990", "celular": "1", "correo": "a@b"} {
		form := answers(1)
		form.Set(field, bad)
		status, _, page := v.post("/registro", form)
		if status != 422 || !strings.Contains(page, `href="#`+field+`"`) || !strings.Contains(page, "Hay algo que corregir") {
			t.Errorf("%s: %d, or no summary that leads to the field", field, status)
		}
		if field == "nacimiento" && !strings.Contains(page, `name="numero" value="8880001"`) {
			t.Error("what was answered before is lost")
		}
	}
	twice := answers(1)
	twice.Add("numero", "8880002")
	if status, _, _ := v.post("/registro", twice); status != 400 {
		t.Errorf("a field given twice: %d", status)
	}
	known := h.enrol(identity.N2)
	form := answers(1)
	p, err := h.svc.Profile(h.ctx(), known.id)
	if err != nil {
		t.Fatal(err)
	}
	form.Set("numero", p.Document.Number)
	form.Set("nacimiento", p.BirthDate.String())
	if status, _, page := v.post("/registro", form); status != 422 || !strings.Contains(page, "Ya hay una identidad") {
		t.Errorf("a document that is proven: %d", status)
	}
	if to := v.lead("/registro", answers(2)); to != "/registro/resumen" {
		t.Errorf("led to %s", to)
	}
	if status, page := v.get("/registro/llave"); status != 200 || !strings.Contains(page, `data-llave="create"`) {
		t.Errorf("passkey step: %d", status)
	}
	if to := v.lead("/registro/listo", nil); to != "/registro/listo" {
		t.Errorf("without a passkey: led to %s", to)
	}
	stranger := s.visitor(nil)
	for _, path := range []string{"/registro/llave", "/registro/listo"} {
		if status, to := stranger.get(path); status != http.StatusSeeOther || to != "/registro" {
			t.Errorf("%s in another browser: %d %s", path, status, to)
		}
	}
}

func TestPublicFormsAreLimited(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	mem, err := memory.New(memory.Config{Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	limiter, err := cache.NewLimiter(cache.LimiterConfig{Local: mem, Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	h.limiter = limiter
	h.svc = h.service()
	s := h.serve(false)
	v := s.visitor(nil)
	last := 0
	for range 15 {
		last, _, _ = v.post("/registro/confirmar", url.Values{"codigo": {"0000-0000"}})
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("15 codes in a row: %d", last)
	}
	for i := range 15 {
		last, _, _ = v.post("/registro", answers(100+i))
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("15 registrations in a row: %d", last)
	}
	problem := ""
	for range 40 {
		_, problem = v.key("/registro/confirmar/tic_x/act_x", false)
	}
	if problem != "espera" {
		t.Errorf("40 passkey steps in a row: %q", problem)
	}
	h.clock.Add(time.Hour)
	if _, problem = v.key("/registro/confirmar/tic_x/act_x", false); problem != "vencido" {
		t.Errorf("an hour later: %q", problem)
	}
	if last, _, _ = v.post("/registro", answers(200)); last != http.StatusSeeOther {
		t.Errorf("an hour later: %d", last)
	}
}

func TestCardPages(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	s := h.serve(false)
	v, r := s.visitor(nil), s.as(h.registrar)
	v.lead("/registro", answers(1))
	_, ready := v.get("/registro/listo")
	ticket := r.lead("/ventanilla/abrir", url.Values{"codigo": {codePattern.FindStringSubmatch(ready)[1]}})
	if status, _, page := r.post(ticket+"/tarjeta", url.Values{"clave": {"corta"}}); status != 422 || strings.Contains(page, "corta\"") {
		t.Errorf("a short password: %d, or it is shown again", status)
	}
	if page := r.lead(ticket+"/tarjeta", url.Values{"clave": {"clave-de-prueba"}}); page != ticket {
		t.Errorf("after the password: %s", page)
	}
	if _, page := r.get(ticket); !strings.Contains(page, "La persona ya escribió su clave") {
		t.Error("the ticket's page does not say that the password is there")
	}
	draft := r.lead(ticket+"/verificar", url.Values{"verificado": enrolment.Fields(), "nivel": {"N2"}})
	if _, page := r.get(draft); !strings.Contains(page, "Clave y tarjeta de códigos") {
		t.Error("the act does not show the card")
	}
	if status, _, _ := r.post(ticket+"/tarjeta", url.Values{"clave": {"clave-de-prueba"}}); status != http.StatusForbidden {
		t.Errorf("a card after the act was drawn up: %d", status)
	}
	r.mustKey(draft, false)
	sup := s.as(h.supervisor)
	sup.mustKey(sup.lead("/ventanilla/aprobar/"+draft[strings.LastIndexByte(draft, '/')+1:], nil), false)

	_, page := sup.get("/ventanilla/tarjetas")
	person := regexp.MustCompile(`/ventanilla/tarjetas/per_[0-9A-Za-z_-]+`).FindString(page)
	if person == "" {
		t.Fatal("the supervisor is not offered the card")
	}
	if _, page := r.get("/ventanilla/tarjetas"); strings.Contains(page, person) {
		t.Error("who saw the password is offered the card")
	}
	if status, _, _ := r.post(person+"/imprimir", nil); status != http.StatusForbidden {
		t.Errorf("printed by who saw the password: %d", status)
	}
	if status, _ := r.get(person); status != http.StatusForbidden {
		t.Errorf("looked at by who saw the password: %d", status)
	}
	status, _, page := sup.post(person+"/imprimir", nil)
	if got := len(regexp.MustCompile(`<li><span>00[0-4][0-9]</span> <b>[0-9]{6}</b></li>`).FindAllString(page, -1)); status != 200 || got != 40 {
		t.Errorf("card: %d, %d cells", status, got)
	}
	word := regexp.MustCompile(`Palabra de apertura: <b>([A-Z0-9]{6})</b>`).FindStringSubmatch(page)
	if word == nil {
		t.Fatal("the card has no word")
	}
	if _, page := sup.get(person); strings.Contains(page, word[1]) || !strings.Contains(page, person+"/abrir") {
		t.Error("the card's page shows what is inside, or does not open it")
	}
	if status, _, page := sup.post(person+"/abrir", url.Values{"palabra": {"BCDFGH"}}); status != 422 || !strings.Contains(page, "No es la palabra") {
		t.Errorf("another word: %d", status)
	}
	if status, _, page := sup.post(person+"/abrir", url.Values{"palabra": {strings.ToLower(word[1])}}); status != 200 || !strings.Contains(page, "ya puede entrar") {
		t.Errorf("opened: %d", status)
	}
	if status, _, _ := sup.post(person+"/rechazar", nil); status != http.StatusNotFound {
		t.Errorf("refused when it is in use: %d", status)
	}
	h.check()
}
