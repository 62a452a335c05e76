package enrolment_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/internal/web/webtest"
)

const operator = "operator:1000"

// founders registers three people and returns what a founding with them asks for.
func (h *harness) founders() (enrolment.GenesisRequest, []*member, []enrolment.Ticket) {
	h.t.Helper()
	var r enrolment.GenesisRequest
	var who []*member
	var tickets []enrolment.Ticket
	for _, role := range []act.Role{act.Administrator, act.Registrar, act.Supervisor} {
		m, t := h.preregister()
		who, tickets = append(who, m), append(tickets, t)
		r.Founders = append(r.Founders, enrolment.Founder{Person: m.id, Roles: []act.Role{role}})
	}
	return r, who, tickets
}

// recorded counts the entries of a kind by the operator.
func (h *harness) recorded(kind string) (n int) {
	h.t.Helper()
	if err := h.d.QueryRow(h.ctx(), `SELECT count(*) FROM audit_entry WHERE kind = $1 AND actor = $2`, kind, operator).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestOperatorFounds(t *testing.T) {
	each(t, func(h *harness) {
		ask, who, tickets := h.founders()
		f, err := h.svc.Founding(h.ctx())
		if err != nil || !f.Hash.IsZero() || f.Draft.ID != "" {
			h.t.Fatalf("before: %+v, %v", f, err)
		}
		wantErr(h.t, "cancel nothing", h.svc.CancelGenesis(h.ctx(), operator), enrolment.ErrDraft)
		c, err := h.svc.Candidate(h.ctx(), operator, strings.ToLower(tickets[0].Code))
		if err != nil || c.Profile.Person != who[0].id || c.Keys != 1 {
			h.t.Fatalf("candidate: %+v, %v", c, err)
		}
		ask.LogKey = "id.example.org:8443/log+0a0b0c0d+AQID"
		first, err := h.svc.ProposeGenesis(h.ctx(), operator, ask)
		if err != nil {
			h.t.Fatal(err)
		}
		if got, ok := first.Statement.Body.(*act.Genesis); !ok || got.Settings.LogOrigin != "id.example.org:8443/log" {
			h.t.Errorf("the founding names the log of %+v, want the one of the key", got)
		}
		_, err = h.svc.ProposeGenesis(h.ctx(), operator, ask)
		wantErr(h.t, "a second one meanwhile", err, enrolment.ErrFounding)
		if _, err := h.sign(first, who[0]); err != nil {
			h.t.Fatal(err)
		}
		if f, err := h.svc.Founding(h.ctx()); err != nil || f.Draft.ID != first.ID || f.Draft.Lacks(who[0].id) || !f.Draft.Lacks(who[1].id) {
			h.t.Errorf("after one signature: %+v, %v", f, err)
		}
		if err := h.svc.CancelGenesis(h.ctx(), operator); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(first, who[1])
		wantErr(h.t, "signing what was cancelled", err, enrolment.ErrDraft)

		late, err := h.svc.ProposeGenesis(h.ctx(), operator, ask)
		if err != nil {
			h.t.Fatal(err)
		}
		h.clock.Add(24*time.Hour + time.Second)
		_, err = h.sign(late, who[0])
		wantErr(h.t, "a day later", err, enrolment.ErrDraft)

		last, err := h.svc.ProposeGenesis(h.ctx(), operator, ask)
		h.do(last, err, who...)
		f, err = h.svc.Founding(h.ctx())
		if err != nil || f.Hash != last.Hash || f.Founded.IsZero() {
			h.t.Errorf("founded: %+v, %v", f, err)
		}
		_, err = h.svc.ProposeGenesis(h.ctx(), operator, ask)
		wantErr(h.t, "founded twice", err, enrolment.ErrGenesisDone)
		wantErr(h.t, "cancel what is founded", h.svc.CancelGenesis(h.ctx(), operator), enrolment.ErrGenesisDone)
		for kind, want := range map[string]int{"enrolment.genesis.proposed": 3, "enrolment.genesis.cancelled": 1, enrolment.KindRead: 1} {
			if got := h.recorded(kind); got != want {
				h.t.Errorf("%d entries %s, want %d", got, kind, want)
			}
		}
		h.admin, h.registrar, h.supervisor = who[0], who[1], who[2]
		h.check()
	})
}

// TestCandidateRefuses what is no open ticket.
func TestCandidateRefuses(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m, ticket := h.preregister()
		_, err := h.svc.Candidate(h.ctx(), operator, "0000-0000")
		wantErr(h.t, "unknown code", err, enrolment.ErrTicket)
		d, err := h.draw(h.registrar, ticket, identity.N2)
		_, cerr := h.svc.Candidate(h.ctx(), operator, ticket.Code)
		wantErr(h.t, "at a counter", cerr, enrolment.ErrTicketUsed)
		h.approve(h.do(d, err, h.registrar, m), h.supervisor)
		_, other := h.preregister()
		h.clock.Add(enrolment.TicketLifetime)
		_, err = h.svc.Candidate(h.ctx(), operator, other.Code)
		wantErr(h.t, "old ticket", err, enrolment.ErrTicketExpired)
	})
}

func TestOperatorMayAndMayNot(t *testing.T) {
	each(t, func(h *harness) {
		ins, err := h.svc.PlaceInstitution(h.ctx(), operator, identity.Institution{Name: "Gobernación de prueba", ShortName: "GP", TaxID: "123456789"})
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.PlaceInstitution(h.ctx(), operator, ins)
		wantErr(h.t, "name twice", err, enrolment.ErrExists)
		post, err := h.svc.PlacePost(h.ctx(), operator, enrolment.Post{Institution: ins, Title: "Secretaria General", Item: "17", Exclusive: true, Scopes: []string{"resolucion"}})
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.PlacePost(h.ctx(), operator, enrolment.Post{Institution: ins, Title: "Otra", Scopes: []string{"con espacio"}})
		wantErr(h.t, "scope", err, enrolment.ErrInput)
		_, err = h.svc.PlacePost(h.ctx(), operator, enrolment.Post{Institution: identity.Institution{ID: "ins_00000000000000000000000000"}, Title: "Otra"})
		wantErr(h.t, "no such institution", err, enrolment.ErrUnknown)

		h.found()
		official := h.enrol(identity.N2)
		d, err := h.svc.Appoint(h.ctx(), h.admin.id, enrolment.AppointmentRequest{Person: official.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RA 1/2026"})
		h.approve(h.do(d, err, h.admin), h.supervisor)

		o, err := h.svc.Overview(h.ctx(), official.id)
		if err != nil || o.Level != identity.N2 || o.Keys != 1 || len(o.Appointments) != 1 || len(o.Roles) != 0 {
			h.t.Errorf("overview: %+v, %v", o, err)
		}
		all, err := h.svc.Overviews(h.ctx(), "", 100)
		if err != nil || len(all) != 4 || all[0].Person != h.admin.id || len(all[0].Roles) != 1 {
			h.t.Errorf("overviews: %+v, %v", all, err)
		}
		if rest, err := h.svc.Overviews(h.ctx(), all[2].Person, 100); err != nil || len(rest) != 1 {
			h.t.Errorf("after the third: %+v, %v", rest, err)
		}

		_, err = h.svc.ReadPerson(h.ctx(), operator, official.id, " ")
		wantErr(h.t, "without a purpose", err, enrolment.ErrInput)
		p, err := h.svc.ReadPerson(h.ctx(), operator, official.id, "oficio 12/2026")
		if err != nil || p.Name.FirstSurname != "Prueba" {
			h.t.Errorf("read: %+v, %v", p, err)
		}
		seen, _, err := h.log.BySubject(h.ctx(), official.id, "", 1)
		if err != nil || len(seen) != 1 || seen[0].Kind != enrolment.KindRead || !strings.Contains(string(seen[0].Payload), "oficio 12/2026") {
			h.t.Errorf("the person sees %+v, %v", seen, err)
		}

		wantErr(h.t, "the last supervisor", h.svc.StopPerson(h.ctx(), operator, h.supervisor.id, "se perdió el celular"), act.ErrLastHolder)
		if err := h.svc.StopPerson(h.ctx(), operator, official.id, "se perdió el celular"); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "stopped twice", h.svc.StopPerson(h.ctx(), operator, official.id, "otra vez"), account.ErrState)
		if p, err := h.svc.Profile(h.ctx(), official.id); err != nil || p.Active {
			h.t.Errorf("still active: %+v, %v", p, err)
		}
		// Two members of staff undo it, by acts.
		d, err = h.svc.Suspend(h.ctx(), h.registrar.id, official.id, "perdida")
		stop := h.do(d, err, h.registrar)
		d, err = h.svc.Lift(h.ctx(), h.registrar.id, stop.ID, "recuperado")
		h.approve(h.do(d, err, h.registrar), h.supervisor)
		if err := h.d.Read(h.ctx(), func(tx *db.Tx) error {
			who, err := subject.Current(tx, official.id)
			if err == nil && who.State != subject.Active {
				err = fmt.Errorf("state %s", who.State)
			}
			return err
		}); err != nil {
			h.t.Errorf("after lifting: %v", err)
		}
	})
}

// TestFoundingPage: it shows what to compare, names nobody, leads by the own
// code to the one act, and by nothing else.
func TestFoundingPage(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	s := h.serve(true)
	ask, who, tickets := h.founders()
	d, err := h.svc.ProposeGenesis(h.ctx(), operator, ask)
	if err != nil {
		t.Fatal(err)
	}
	v := s.visitor(who[0].auth)
	status, page := v.get("/fundacion/" + string(d.ID))
	if status != 200 || !strings.Contains(page, enrolment.ShortHash(d.Hash)) || !strings.Contains(page, "Gobernación de prueba") || !strings.Contains(page, "Falta que firmen 3 personas") {
		t.Errorf("founding page: %d\n%s", status, page)
	}
	if strings.Contains(page, "Persona Prueba") || strings.Contains(page, who[0].doc.Number) {
		t.Error("the page tells who the founders are")
	}
	for _, path := range []string{"/fundacion/x", "/fundacion/" + string(d.ID) + "x", "/ventanilla/acto/" + string(d.ID)} {
		if status, _ := v.get(path); status == 200 {
			t.Errorf("%s is shown", path)
		}
	}
	look := func(name, path string, cookies bool) {
		b := webtest.Browser(t)
		if cookies {
			u, err := url.Parse(s.base)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range v.c.Jar.Cookies(u) {
				s.cookie(b, c.Name, c.Value)
			}
		}
		for _, width := range []int{360, 1280} {
			for _, x := range b.Check(t, s.base+path, width) {
				t.Errorf("%s at %d px: %s (%s): %s\n\t%s", name, width, x.Rule, x.Impact, x.Help, strings.Join(x.Nodes, "\n\t"))
			}
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d.png", name, width)), b.Screenshot(t, s.base+path, width), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	look("fundacion", "/fundacion/"+string(d.ID), false)
	at := v.lead("/registro/confirmar", url.Values{"codigo": {tickets[0].Code}})
	if _, page := v.get(at); !strings.Contains(page, enrolment.ShortHash(d.Hash)) || !strings.Contains(page, "Fundación del servicio") {
		t.Errorf("page to sign on:\n%s", page)
	}
	look("firmar", at, true)
	v.mustKey(at, false)
	if _, page := v.get(at); !strings.Contains(page, "El servicio queda fundado cuando firmen") {
		t.Errorf("after the own signature:\n%s", page)
	}
	for i := 1; i < len(who); i++ {
		v := s.visitor(who[i].auth)
		v.mustKey(v.lead("/registro/confirmar", url.Values{"codigo": {tickets[i].Code}}), false)
	}
	if _, page := v.get("/fundacion/" + string(d.ID)); !strings.Contains(page, "ya está fundado") {
		t.Errorf("afterwards:\n%s", page)
	}
	if status, _ := v.get("/ventanilla"); status == 200 {
		t.Error("the ticket opens the counter")
	}
}
