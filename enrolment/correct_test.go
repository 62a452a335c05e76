package enrolment_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// What a person said can be corrected until she has a passkey or a counter has
// begun: same person, same ticket, rules of the document again.
func TestCorrection(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		known := h.enrol(identity.N2)
		proven, err := h.svc.Profile(h.ctx(), known.id)
		if err != nil {
			h.t.Fatal(err)
		}
		in := h.registration()
		secret := secretOf(h.people)
		ticket, err := h.svc.Register(h.ctx(), in, secret)
		if err != nil {
			h.t.Fatal(err)
		}
		in.Name.Given, in.Document.Number, in.Email = "Corregida", "9988776", "c@example.org"
		if err := h.svc.Correct(h.ctx(), in, secret); err != nil {
			h.t.Fatal(err)
		}
		got, err := h.svc.Said(h.ctx(), secret)
		if err != nil || got.Person != ticket.Person || got.Name.Given != "Corregida" || got.Document.Number != "9988776" || got.Email != "c@example.org" {
			h.t.Errorf("corrected: %+v, %v", got, err)
		}
		if again, err := h.svc.TicketOfBrowser(h.ctx(), secret); err != nil || again.ID != ticket.ID || again.Code != ticket.Code {
			h.t.Errorf("the ticket changed: %+v, %v", again, err)
		}
		if n := h.entries("enrolment.account.corrected", ticket.Person); n != 1 {
			h.t.Errorf("%d entries of the correction", n)
		}
		if err := h.svc.Correct(h.ctx(), in, secret); err != nil || h.entries("enrolment.account.corrected", ticket.Person) != 1 {
			h.t.Errorf("a correction that changes nothing: %v", err)
		}
		taken := in
		taken.Document, taken.BirthDate = proven.Document, proven.BirthDate
		wantErr(h.t, "the document of somebody proven", h.svc.Correct(h.ctx(), taken, secret), account.ErrExists)
		wantErr(h.t, "in another browser", h.svc.Correct(h.ctx(), in, []byte("other")), enrolment.ErrTicket)

		// The counter sees what was corrected, and from then on it stays.
		if _, err := h.svc.OpenTicket(h.ctx(), h.registrar.id, ticket.Code); err != nil {
			h.t.Fatal(err)
		}
		if _, p, err := h.svc.TicketInHand(h.ctx(), h.registrar.id, ticket.ID); err != nil || p.Document.Number != "9988776" {
			h.t.Errorf("at the counter: %+v, %v", p, err)
		}
		in.Name.Given = "Tarde"
		wantErr(h.t, "at the counter", h.svc.Correct(h.ctx(), in, secret), enrolment.ErrTicketUsed)
		if err := h.svc.ReleaseTicket(h.ctx(), h.registrar.id, ticket.ID); err != nil {
			h.t.Fatal(err)
		}
		c, err := h.svc.BeginKey(h.ctx(), secret)
		if err != nil {
			h.t.Fatal(err)
		}
		answer, err := softauthn.New(softauthn.Config{}).Create(h.origin, c.Options)
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.svc.FinishKey(h.ctx(), secret, c.ID, answer, ""); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "with a passkey", h.svc.Correct(h.ctx(), in, secret), enrolment.ErrHasKey)
		h.check()
	})
}

var valuePattern = regexp.MustCompile(`name="([a-z_]+)" value="([^"]*)"`)

// carried returns what a page's form holds.
func carried(page string) map[string]string {
	out := map[string]string{}
	for _, m := range valuePattern.FindAllStringSubmatch(page, -1) {
		out[m[1]] = m[2]
	}
	return out
}

// Nothing has to be typed twice: not by going back, by a change of language, by a
// fault far back, nor to correct one thing.
func TestNothingIsTypedTwice(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	known, err := h.svc.Profile(h.ctx(), h.admin.id)
	if err != nil {
		t.Fatal(err)
	}
	s := h.serve(false)
	v := s.visitor(softauthn.New(softauthn.Config{}))
	form := answers(1)
	form.Set("paso", "3")
	form.Set("ir", "atras")
	form.Set("nacimiento", "31/02/1990") // not judged on the way back
	status, _, page := v.post("/registro", form)
	if got := carried(page); status != 200 || !strings.Contains(page, "¿Cómo se llama?") || got["nacimiento"] != "31/02/1990" || got["nombres"] != "Juana" || got["correo"] != "juana@example.org" {
		t.Errorf("back: %d %v", status, carried(page))
	}
	if _, page = v.get("/registro?paso=2"); carried(page)["nombres"] != "Juana" || carried(page)["numero"] != "8880001" {
		t.Errorf("after a change of language: %v", carried(page))
	}
	if _, page = v.get("/registro"); carried(page)["numero"] != "" {
		t.Errorf("a new registration begins with another's answers: %v", carried(page))
	}
	if _, page = v.get("/registro?paso=2"); !strings.Contains(page, "Cree su identidad digital") {
		t.Error("the answers of before are kept after a new beginning")
	}
	form = answers(1)
	form.Set("numero", known.Document.Number)
	form.Set("nacimiento", known.BirthDate.String())
	if status, _, page = v.post("/registro", form); status != 422 || carried(page)["nombres"] != "Juana" || carried(page)["correo"] != "juana@example.org" {
		t.Errorf("a fault far back: %d %v", status, carried(page))
	}

	if to := v.lead("/registro", answers(1)); to != "/registro/resumen" {
		t.Fatalf("led to %s", to)
	}
	status, page = v.get("/registro/resumen")
	for _, want := range []string{"CI 8880001", "Juana", "Quispe Mamani", "28/02/1990", "71234567", "juana@example.org", "/registro/corregir/1", "/registro/corregir/4"} {
		if status != 200 || !strings.Contains(page, want) {
			t.Errorf("summary: %d, lacks %q", status, want)
		}
	}
	for step, want := range map[string]map[string]string{
		"1": {"numero": "8880001"}, "2": {"nombres": "Juana", "primer_apellido": "Quispe", "segundo_apellido": "Mamani"}, "3": {"nacimiento": "28/02/1990"}, "4": {"correo": "juana@example.org"},
	} {
		status, page := v.get("/registro/corregir/" + step)
		for name, value := range want {
			if carried(page)[name] != value {
				t.Errorf("step %s: %d, %s is %q", step, status, name, carried(page)[name])
			}
		}
	}
	if status, _, page = v.post("/registro/corregir/2", url.Values{"nombres": {"Juana 2"}, "primer_apellido": {"Q"}, "segundo_apellido": {""}}); status != 422 ||
		!strings.Contains(page, `id="nombres-error"`) || !strings.Contains(page, `aria-invalid="true"`) || carried(page)["nombres"] != "Juana 2" {
		t.Errorf("a bad correction: %d %v", status, carried(page))
	}
	if status, _, page = v.post("/registro/corregir/3", url.Values{"nacimiento": {known.BirthDate.String()}}); status != http.StatusSeeOther {
		t.Errorf("another birth date: %d %s", status, page)
	}
	if status, _, page = v.post("/registro/corregir/1", url.Values{"tipo": {"CI"}, "numero": {known.Document.Number}, "complemento": {""}}); status != 422 || !strings.Contains(page, "Ya hay una identidad") || !strings.Contains(page, `id="numero-error"`) {
		t.Errorf("the document of somebody proven: %d", status)
	}
	if to := v.lead("/registro/corregir/2", url.Values{"nombres": {"Juana Inés"}, "primer_apellido": {"Quispe"}, "segundo_apellido": {""}}); to != "/registro/resumen" {
		t.Errorf("corrected: led to %s", to)
	}
	if _, page = v.get("/registro/resumen"); !strings.Contains(page, "Juana Inés") || strings.Contains(page, "Quispe Mamani") {
		t.Error("the correction is not shown")
	}
	if status, _ := v.get("/registro/corregir/5"); status != http.StatusNotFound {
		t.Errorf("a step that is none: %d", status)
	}
	if status, to := s.visitor(nil).get("/registro/resumen"); status != http.StatusSeeOther || to != "/registro" {
		t.Errorf("another browser: %d %.60s", status, to)
	}
	v.mustKey("/registro/llave", true)
	for _, path := range []string{"/registro/resumen", "/registro/corregir/2"} {
		if status, to := v.get(path); status != http.StatusSeeOther || to != "/registro/listo" {
			t.Errorf("%s with a passkey: %d %.60s", path, status, to)
		}
	}
	if status, to, _ := v.post("/registro/corregir/2", url.Values{"nombres": {"Otra"}, "primer_apellido": {"Mas"}, "segundo_apellido": {""}}); status != http.StatusSeeOther || to != "/registro/listo" {
		t.Errorf("corrected with a passkey: %d %s", status, to)
	}
}

// Nobody removes her last way in unawares; who confirms may, and the act says so.
func TestLastKey(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m := h.enrol(identity.N2)
		keys, err := h.keys.Credentials(h.ctx(), m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.EndKey(h.ctx(), m.id, keys[0].ID, "quitada")
		wantErr(h.t, "the last key", err, enrolment.ErrLastWay)

		// With two keys each removal is allowed; of two prepared at once only one is made.
		second := softauthn.New(softauthn.Config{})
		two := &member{id: m.id, auth: second}
		h.addKey(m, two)
		if keys, err = h.keys.Credentials(h.ctx(), m.id); err != nil || len(keys) != 2 {
			h.t.Fatal(keys, err)
		}
		one, err := h.svc.EndKey(h.ctx(), m.id, keys[0].ID, "quitada")
		if err != nil {
			h.t.Fatal(err)
		}
		other, err := h.svc.EndKey(h.ctx(), m.id, keys[1].ID, "quitada")
		if err != nil {
			h.t.Fatal(err)
		}
		h.do(one, nil, m)
		_, err = h.sign(other, m)
		wantErr(h.t, "the other, prepared before", err, enrolment.ErrLastWay)
		if w, err := h.svc.WaysOf(h.ctx(), m.id); err != nil || w.Keys != 1 || w.Card {
			h.t.Errorf("remains %+v, %v", w, err)
		}
		last, err := h.svc.EndKey(h.ctx(), m.id, keys[1].ID, enrolment.ReasonLastKey)
		h.do(last, err, m)
		if w, err := h.svc.WaysOf(h.ctx(), m.id); err != nil || w.Keys != 0 {
			h.t.Errorf("remains %+v, %v", w, err)
		}

		carded := h.enrol(identity.N2)
		if err := h.accounts.SetPassword(h.ctx(), account.Seeded, "test", carded.id, "clave-de-prueba"); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.accounts.IssueCard(h.ctx(), account.Seeded, "test", carded.id, 4); err != nil {
			h.t.Fatal(err)
		}
		if keys, err = h.keys.Credentials(h.ctx(), carded.id); err != nil {
			h.t.Fatal(err)
		}
		d, err := h.svc.EndKey(h.ctx(), carded.id, keys[0].ID, "quitada")
		h.do(d, err, carded)

		unproven, _ := h.preregister() // her key is in no act
		if keys, err = h.keys.Credentials(h.ctx(), unproven.id); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.EndKey(h.ctx(), unproven.id, keys[0].ID, "quitada")
		wantErr(h.t, "the last key of somebody not enrolled", err, enrolment.ErrLastWay)
		if d, err := h.svc.EndKey(h.ctx(), unproven.id, keys[0].ID, enrolment.ReasonLastKey); err != nil || d.ID != "" {
			h.t.Errorf("confirmed: %+v, %v", d, err)
		}
		h.check()
	})
}

// addKey gives a person one more passkey.
func (h *harness) addKey(m, fresh *member) {
	h.t.Helper()
	c, err := h.keys.BeginRegistration(h.ctx(), passkey.Begin{Purpose: passkey.Enrol, Person: m.id, Binding: bind}, "x")
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := fresh.auth.Create(h.origin, c.Options)
	if err != nil {
		h.t.Fatal(err)
	}
	cred, err := h.keys.FinishRegistration(h.ctx(), machine.Basis{By: machine.Holder, With: machine.Key}, c.ID, passkey.Enrol, bind, answer, "Otra")
	if err != nil {
		h.t.Fatal(err)
	}
	d, err := h.svc.AddKey(h.ctx(), m.id, cred.ID)
	h.do(d, err, fresh, m)
}

func TestLastKeyOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	m := h.enrol(identity.N2)
	s := h.serve(false)
	me := s.as(m)
	keys, err := h.keys.Credentials(h.ctx(), m.id)
	if err != nil {
		t.Fatal(err)
	}
	path := "/cuenta/llaves/quitar/" + string(keys[0].ID)
	if _, page := me.get("/cuenta/llaves/" + string(keys[0].ID)); !strings.Contains(page, path) || strings.Contains(page, `action="`+path) {
		t.Errorf("the key's page removes it without asking: %s", page)
	}
	if status, page := me.get(path); status != 200 || !strings.Contains(page, "única forma de entrar") || !strings.Contains(page, "ventanilla") || !strings.Contains(page, `name="entiendo"`) {
		t.Errorf("asked: %d %s", status, page)
	}
	if status, _, page := me.post(path, nil); status != 422 || !strings.Contains(page, `id="entiendo-error"`) || !strings.Contains(page, `href="#entiendo"`) {
		t.Errorf("not confirmed: %d", status)
	}
	act := me.lead(path, url.Values{"entiendo": {"si"}})
	if _, page := me.get(act); !strings.Contains(page, "última llave") || !strings.Contains(page, "Mi celular") {
		t.Errorf("the act does not say so: %s", page)
	}
	if to := me.mustKey(act, false); to != "/cuenta/llaves/quitada" {
		t.Errorf("led to %s", to)
	}
	if status, page := s.visitor(nil).get("/cuenta/llaves/quitada"); status != 200 || !strings.Contains(page, "ventanilla") {
		t.Errorf("afterwards: %d", status)
	}
	h.check()
}
