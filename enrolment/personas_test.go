package enrolment_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/cache/memory"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// TestStopAndLiftOverHTTP: what staff could do from Go code only is done on pages:
// stopping a person, lifting a stop of hers or of an operator's by two people,
// ending a role and an appointment.
func TestStopAndLiftOverHTTP(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		h := newHarness(t, d)
		s := h.serve(true)
		h.found()
		m := h.enrol(identity.N2)
		registrar, supervisor, admin := s.as(h.registrar), s.as(h.supervisor), s.as(h.admin)
		reason := func(r string) url.Values { return url.Values{"motivo": {r}} }
		active := func(want bool) {
			t.Helper()
			if p, err := h.svc.Profile(h.ctx(), m.id); err != nil || p.Active != want {
				t.Errorf("active %v, %v, want %v", p.Active, err, want)
			}
		}
		if status, _ := s.as(m).get("/ventanilla/personas"); status != http.StatusForbidden {
			t.Errorf("the page for a citizen: %d", status)
		}
		if status, _, _ := s.as(m).post("/ventanilla/personas", url.Values{"documento": {h.admin.doc.Number}}); status != http.StatusForbidden {
			t.Errorf("a search by a citizen: %d", status)
		}
		if status, _, _ := registrar.post("/ventanilla/personas", url.Values{"documento": {"1234567"}}); status != http.StatusUnprocessableEntity {
			t.Errorf("nobody's document: %d", status)
		}
		path := registrar.lead("/ventanilla/personas", url.Values{"documento": {m.doc.Number}})
		if status, _, _ := registrar.post(path+"/bloquear", url.Values{}); status != http.StatusUnprocessableEntity {
			t.Errorf("without a reason: %d", status)
		}
		if status, _ := registrar.get(path + "/levantar"); status != http.StatusConflict {
			t.Errorf("lifting what is not stopped: %d", status)
		}

		// Staff stops; one lifts, another approves.
		registrar.mustKey(registrar.lead(path+"/bloquear", reason("perdida")), false)
		active(false)
		if status, _ := registrar.get(path + "/bloquear"); status != http.StatusConflict {
			t.Errorf("stopping twice: %d", status)
		}
		lift := registrar.lead(path+"/levantar", reason("identidad-comprobada"))
		registrar.mustKey(lift, false)
		active(false)
		draft := lift[strings.LastIndexByte(lift, '/')+1:]
		if status, _, _ := registrar.post("/ventanilla/aprobar/"+draft, nil); status != http.StatusForbidden {
			t.Errorf("lifted by one alone: %d", status)
		}
		if status, _, _ := supervisor.post(path+"/levantar", reason("aclarado")); status != http.StatusConflict {
			t.Errorf("a second lifting beside the first: %d", status)
		}
		if _, page := supervisor.get("/ventanilla/aprobar/" + draft); !strings.Contains(page, "Perdió su celular o su llave") || !strings.Contains(page, "Se comprobó quién es") {
			t.Error("who approves does not read why it was stopped, and why it is lifted")
		}
		supervisor.mustKey(supervisor.lead("/ventanilla/aprobar/"+draft, nil), false)
		active(true)

		// Her own stop and an operator's are no acts: first an act records them.
		for name, stop := range map[string]func() error{
			"own":      func() error { return h.svc.Stop(h.ctx(), m.id) },
			"operator": func() error { return h.svc.StopPerson(h.ctx(), operator, m.id, "llamó por teléfono") },
		} {
			if err := stop(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, page := registrar.get(path); !strings.Contains(page, "Empezar a levantar") {
				t.Errorf("%s stop: the page does not say how it is lifted", name)
			}
			registrar.mustKey(registrar.lead(path+"/levantar", reason("acta-de-parada")), false)
			active(false)
			lift = supervisor.lead(path+"/levantar", reason("identidad-comprobada"))
			supervisor.mustKey(lift, false)
			active(false)
			admin.mustKey(admin.lead("/ventanilla/aprobar/"+lift[strings.LastIndexByte(lift, '/')+1:], nil), false)
			active(true)
		}
		h.check()
		h.endsOverHTTP(s, m, path)
	})
}

// TestRecoveryOverHTTP: the way back on pages, from the counter to the phone and
// to the supervisor.
func TestRecoveryOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	s := h.serve(true)
	h.found()
	m := h.enrol(identity.N2)
	if err := h.svc.Stop(h.ctx(), m.id); err != nil {
		t.Fatal(err)
	}
	registrar, supervisor := s.as(h.registrar), s.as(h.supervisor)
	path := registrar.lead("/ventanilla/personas", url.Values{"documento": {m.doc.Number}})
	if status, _, _ := supervisor.post(path+"/llave", nil); status != http.StatusForbidden {
		t.Errorf("opened by a supervisor: %d", status)
	}
	if _, page := registrar.get(path); !strings.Contains(page, path+"/llave") {
		t.Error("the registrar is not offered it")
	}
	if _, page := supervisor.get(path); strings.Contains(page, path+"/llave") {
		t.Error("the supervisor is offered it")
	}
	ticket := registrar.lead(path+"/llave", nil)
	_, page := registrar.get(ticket)
	code := codePattern.FindStringSubmatch(page)
	if code == nil || strings.Contains(page, "/verificar") || !strings.Contains(page, "/tarjeta") {
		t.Fatalf("the ticket's page: %s", page)
	}
	phone := s.visitor(softauthn.New(softauthn.Config{}))
	if status, _, _ := phone.post("/registro/recuperar", url.Values{"codigo": {"0000-0000"}}); status != http.StatusUnprocessableEntity {
		t.Errorf("no such code: %d", status)
	}
	at := phone.lead("/registro/recuperar", url.Values{"codigo": {code[1]}})
	if _, page := phone.get(at); strings.Contains(page, "/registro/listo\"") {
		t.Error("the passkey step can be left out")
	}
	if status, _, _ := s.visitor(nil).post("/registro/recuperar", url.Values{"codigo": {code[1]}}); status != http.StatusUnprocessableEntity {
		t.Errorf("another phone: %d", status)
	}
	if _, page := phone.get(phone.mustKey(at, true)); !strings.Contains(page, "Todavía no sirve") {
		t.Error("the page does not say that the passkey does not count yet")
	}
	draft := registrar.lead(ticket+"/verificar", url.Values{"verificado": enrolment.Fields(), "nivel": {"N2"}})
	registrar.mustKey(draft, false)
	phone.mustKey(phone.lead("/registro/confirmar", url.Values{"codigo": {code[1]}}), false)
	act := draft[strings.LastIndexByte(draft, '/')+1:]
	if _, page := supervisor.get("/ventanilla/aprobar/" + act); !strings.Contains(page, "Reemplaza todas las llaves") {
		t.Error("the supervisor does not read what it replaces")
	}
	supervisor.mustKey(supervisor.lead("/ventanilla/aprobar/"+act, nil), false)
	if err := h.enters(m, phone.auth); err != nil {
		t.Errorf("the new passkey: %v", err)
	}
	h.check()

	b := webtest.Browser(t)
	s.cookie(b, "quien", string(h.registrar.id))
	open := registrar.lead(path+"/llave", nil)
	for name, path := range map[string]string{"persona-llave": path, "ticket-recuperar": open, "recuperar": "/registro/recuperar"} {
		for _, width := range []int{360, 1280} {
			for _, x := range b.Check(t, s.base+path, width) {
				t.Errorf("%s at %d px: %s (%s): %s\n\t%s", name, width, x.Rule, x.Impact, x.Help, strings.Join(x.Nodes, "\n\t"))
			}
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d.png", name, width)), b.Screenshot(t, s.base+path, width), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// endsOverHTTP gives a person a role and a post and takes both away on pages.
func (h *harness) endsOverHTTP(s *server, m *member, path string) {
	t := h.t
	registrar, supervisor, admin := s.as(h.registrar), s.as(h.supervisor), s.as(h.admin)
	reason := url.Values{"motivo": {"renuncia"}}
	ins, post, clerk := h.office()
	d, err := h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: m.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 12/2026"})
	h.approve(h.do(d, err, clerk), h.supervisor)
	h.grant(m, act.Registrar, "")
	if _, page := registrar.get(path); strings.Contains(page, path+"/bloquear") || strings.Contains(page, "/funcion/") {
		t.Error("a registrar is offered what only a supervisor or administrator may do to staff")
	}
	_, page := supervisor.get(path)
	for _, want := range []string{path + "/bloquear", path + "/funcion/registrar/general", "/ventanilla/cesar/"} {
		if !strings.Contains(page, want) {
			t.Errorf("the supervisor's page lacks %s", want)
		}
	}
	if status, _, _ := registrar.post(path+"/funcion/registrar/general", reason); status != http.StatusForbidden {
		t.Errorf("a role ended by a registrar: %d", status)
	}
	supervisor.mustKey(supervisor.lead(path+"/funcion/registrar/general", reason), false)
	if status, _ := supervisor.get(path + "/funcion/registrar/general"); status != http.StatusNotFound {
		t.Errorf("an ended role: %d", status)
	}
	at := page[strings.Index(page, "/ventanilla/cesar/"):]
	at = at[:strings.IndexByte(at, '"')]
	supervisor.mustKey(supervisor.lead(at, reason), false)
	if held, err := h.svc.Appointments(h.ctx(), m.id); err != nil || len(held) != 0 {
		t.Errorf("still appointed: %v, %v", held, err)
	}
	// The administrator of an institution by a general one; the last of a kind by nobody.
	clerkPath := admin.lead("/ventanilla/personas", url.Values{"documento": {clerk.doc.Number}})
	admin.mustKey(admin.lead(clerkPath+"/funcion/institution-admin/"+string(ins.ID), reason), false)
	own := supervisor.lead("/ventanilla/personas", url.Values{"documento": {h.supervisor.doc.Number}})
	if _, problem := supervisor.key(supervisor.lead(own+"/funcion/supervisor/general", reason), false); problem != "ultima-funcion" {
		t.Errorf("the last supervisor resigns: %q", problem)
	}
	seen, _, err := h.log.BySubject(h.ctx(), m.id, "", 50)
	if err != nil {
		t.Fatal(err)
	}
	reads := 0
	for _, e := range seen {
		if e.Kind == enrolment.KindReadStaff {
			reads++
		}
	}
	if reads == 0 {
		t.Error("the person does not see that staff opened her data")
	}
	h.check()
}

// TestPersonScreens looks at the pages narrow and wide.
func TestPersonScreens(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	s := h.serve(true)
	h.found()
	m, staff, stopped := h.enrol(identity.N2), h.enrol(identity.N2), h.enrol(identity.N2)
	h.grant(staff, act.Registrar, "")
	if err := h.svc.Stop(h.ctx(), stopped.id); err != nil {
		t.Fatal(err)
	}
	b := webtest.Browser(t)
	s.cookie(b, "quien", string(h.supervisor.id))
	look := func(name, path string) {
		t.Helper()
		for _, width := range []int{360, 1280} {
			for _, x := range b.Check(t, s.base+path, width) {
				t.Errorf("%s at %d px: %s (%s): %s\n\t%s", name, width, x.Rule, x.Impact, x.Help, strings.Join(x.Nodes, "\n\t"))
			}
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d.png", name, width)), b.Screenshot(t, s.base+path, width), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	at := func(m *member) string { return "/ventanilla/personas/" + string(m.id) }
	look("personas", "/ventanilla/personas")
	look("persona", at(m))
	look("persona-personal", at(staff))
	look("persona-bloqueada", at(stopped))
	look("bloquear-a-otra", at(m)+"/bloquear")
	look("levantar-sin-acta", at(stopped)+"/levantar")
	look("terminar-funcion", at(staff)+"/funcion/registrar/general")
	d, err := h.svc.Suspend(h.ctx(), h.registrar.id, stopped.id, "acta-de-parada")
	h.do(d, err, h.registrar)
	look("levantar", at(stopped)+"/levantar")
	lift, err := h.svc.Lift(h.ctx(), h.registrar.id, d.ID, "identidad-comprobada")
	h.do(lift, err, h.registrar)
	look("persona-espera", at(stopped))
	look("aprobar-levantamiento", "/ventanilla/aprobar/"+string(lift.ID))
}

// TestNamingSomebodyIsRecorded: who proposes a person for a role or a post by her
// document reads her name, so she sees it, and nobody leafs through documents so.
func TestNamingSomebodyIsRecorded(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	mem, err := memory.New(memory.Config{Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if h.limiter, err = cache.NewLimiter(cache.LimiterConfig{Local: mem, Now: h.clock.Now}); err != nil {
		t.Fatal(err)
	}
	h.svc = h.service()
	s := h.serve(true)
	h.found()
	m := h.enrol(identity.N2)
	_, post, clerk := h.office()
	role := url.Values{"documento": {m.doc.Number}, "funcion": {"registrar"}}
	place := url.Values{"documento": {m.doc.Number}, "cargo": {string(post.ID)}, "como": {"titular"}, "acto": {"RAD 1/2026"}}
	for i, by := range []struct {
		who  *member
		path string
		form url.Values
		want int
	}{
		{m, "/ventanilla/funciones", role, http.StatusForbidden},
		{h.registrar, "/ventanilla/nombrar", place, http.StatusForbidden},
		{h.admin, "/ventanilla/funciones", role, http.StatusSeeOther},
		{clerk, "/ventanilla/nombrar", place, http.StatusSeeOther},
	} {
		before := h.entries(enrolment.KindReadStaff, m.id)
		status, _, _ := s.as(by.who).post(by.path, by.form)
		recorded := 0
		if status == http.StatusSeeOther {
			recorded = 1
		}
		if got := h.entries(enrolment.KindReadStaff, m.id) - before; status != by.want || got != recorded {
			t.Errorf("%d: status %d, want %d; %d entries, want %d", i, status, by.want, got, recorded)
		}
	}
	admin, last := s.as(h.admin), 0
	for i := range 40 {
		last, _, _ = admin.post("/ventanilla/funciones", url.Values{"documento": {fmt.Sprint(5000000 + i)}, "funcion": {"registrar"}})
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("40 documents in a row: %d", last)
	}
}
