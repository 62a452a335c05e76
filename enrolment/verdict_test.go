package enrolment_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// entries returns how many audit entries of a kind there are about a person.
func (h *harness) entries(kind string, about identity.PersonID) (n int) {
	h.t.Helper()
	if err := h.d.QueryRow(h.ctx(), `SELECT count(*) FROM audit_entry WHERE kind = $1 AND subject = $2`, kind, string(about)).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	return n
}

// A rejected enrolment never takes effect, whoever approves it later; who
// proposed it and whom it concerns learn why; the ticket begins anew.
func TestRejection(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m, ticket := h.preregister()
		d, err := h.draw(h.registrar, ticket, 0)
		d = h.do(d, err, h.registrar, m)
		// An approval is prepared, and signed only after the rejection.
		late, err := h.svc.Approve(h.ctx(), h.supervisor.id, d.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		why := enrolment.Rejection{Reason: enrolment.ReasonMismatch, Note: "  El segundo apellido es Quispe.  "}
		wantErr(h.t, "rejected by the registrar herself", h.svc.Reject(h.ctx(), h.registrar.id, d.ID, why), act.ErrSamePerson)
		wantErr(h.t, "rejected by the person", h.svc.Reject(h.ctx(), m.id, d.ID, why), act.ErrSelf)
		wantErr(h.t, "rejected by an administrator", h.svc.Reject(h.ctx(), h.admin.id, d.ID, why), act.ErrRole)
		for _, bad := range []enrolment.Rejection{{}, {Reason: "porque-si"}, {Reason: enrolment.ReasonOther, Note: " "}, {Reason: enrolment.ReasonBacking}, {Reason: enrolment.ReasonMismatch, Note: strings.Repeat("ñ", 301)}} {
			wantErr(h.t, "bad reason "+bad.Reason, h.svc.Reject(h.ctx(), h.supervisor.id, d.ID, bad), enrolment.ErrInput)
		}
		if err := h.svc.Reject(h.ctx(), h.supervisor.id, d.ID, why); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(late, h.supervisor)
		wantErr(h.t, "approved after the rejection", err, act.ErrTarget)
		_, err = h.svc.Approve(h.ctx(), h.supervisor.id, d.ID)
		wantErr(h.t, "an approval drafted after it", err, enrolment.ErrDone)
		wantErr(h.t, "rejected twice", h.svc.Reject(h.ctx(), h.supervisor.id, d.ID, why), enrolment.ErrDone)
		wantErr(h.t, "withdrawn after it", h.svc.Withdraw(h.ctx(), h.registrar.id, d.ID), enrolment.ErrDone)
		if list, err := h.svc.WaitingFor(h.ctx(), h.supervisor.id); err != nil || len(list) != 0 {
			h.t.Errorf("still waits: %v, %v", list, err)
		}
		mine, err := h.svc.ProposalsOf(h.ctx(), h.registrar.id)
		if err != nil || len(mine) != 1 || mine[0].Verdict == nil || mine[0].Verdict.Reason != why.Reason || mine[0].Verdict.Note != "El segundo apellido es Quispe." || mine[0].Verdict.By != h.supervisor.id {
			h.t.Errorf("the registrar is told: %+v, %v", mine, err)
		}
		where, err := h.svc.StandingOf(h.ctx(), m.id)
		if err != nil || where.Level != identity.N0 || where.Verdict == nil || where.Verdict.Note == "" || where.Ticket.State != "abierto" {
			h.t.Errorf("the person is told: %+v, %v", where, err)
		}
		if n := h.entries("enrolment.registration.rejected", m.id); n != 1 {
			h.t.Errorf("%d entries of the rejection", n)
		}
		var plain int
		if err := h.d.QueryRow(h.ctx(), `SELECT count(*) FROM enrolment_verdict WHERE CAST(note AS TEXT) LIKE '%Quispe%'`).Scan(&plain); err != nil || plain != 0 {
			h.t.Errorf("the note stands in clear (%v)", err)
		}
		if h.level(m.id) != identity.N0 {
			h.t.Error("a rejected enrolment took effect")
		}
		h.check()

		again, err := h.draw(h.registrar, ticket, 0)
		again = h.do(again, err, h.registrar, m)
		h.approve(again, h.supervisor)
		if where, err = h.svc.StandingOf(h.ctx(), m.id); err != nil || where.Level != identity.N2 || where.Verdict != nil {
			h.t.Errorf("begun anew: %+v, %v", where, err)
		}
		if n := h.entries("enrolment.registration.approved", m.id); n != 1 {
			h.t.Errorf("%d entries of the approval", n)
		}
		h.check()
	})
}

// Who proposed may take it back as long as nobody has approved it.
func TestWithdrawal(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		_, post, clerk := h.office()
		m, ticket := h.preregister()
		d, err := h.draw(h.registrar, ticket, 0)
		d = h.do(d, err, h.registrar, m)
		wantErr(h.t, "another's", h.svc.Withdraw(h.ctx(), h.supervisor.id, d.ID), enrolment.ErrUnknown)
		if err := h.svc.Withdraw(h.ctx(), h.registrar.id, d.ID); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.Approve(h.ctx(), h.supervisor.id, d.ID)
		wantErr(h.t, "approved afterwards", err, enrolment.ErrDone)
		again, err := h.draw(h.registrar, ticket, 0)
		again = h.do(again, err, h.registrar, m)
		h.approve(again, h.supervisor)
		wantErr(h.t, "withdrawn after the approval", h.svc.Withdraw(h.ctx(), h.registrar.id, again.ID), enrolment.ErrUnknown)

		apt, err := h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: m.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 1/2026"})
		apt = h.do(apt, err, clerk)
		if err := h.svc.Reject(h.ctx(), h.supervisor.id, apt.ID, enrolment.Rejection{Reason: enrolment.ReasonBacking}); err != nil {
			h.t.Fatal(err)
		}
		other, err := h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: m.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 2/2026"})
		h.approve(h.do(other, err, clerk), h.supervisor)
		if held, err := h.svc.Appointments(h.ctx(), m.id); err != nil || len(held) != 1 || held[0].LegalAct != "RAD 2/2026" {
			h.t.Errorf("holds %+v, %v", held, err)
		}
		h.check()
	})
}

// Of an approval and a rejection at the same moment one wins, wholly.
func TestApprovalAgainstRejection(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		other := h.enrol(identity.N2)
		h.grant(other, act.Supervisor, "")
		for range 6 {
			m, ticket := h.preregister()
			d, err := h.draw(h.registrar, ticket, 0)
			d = h.do(d, err, h.registrar, m)
			a, err := h.svc.Approve(h.ctx(), h.supervisor.id, d.ID)
			if err != nil {
				h.t.Fatal(err)
			}
			var approved, rejected error
			var wg sync.WaitGroup
			wg.Go(func() { _, approved = h.sign(a, h.supervisor) })
			wg.Go(func() {
				rejected = h.svc.Reject(h.ctx(), other.id, d.ID, enrolment.Rejection{Reason: enrolment.ReasonAbsent})
			})
			wg.Wait()
			if (approved == nil) == (rejected == nil) {
				h.t.Fatalf("approved: %v, rejected: %v", approved, rejected)
			}
			if got, want := h.level(m.id) == identity.N2, approved == nil; got != want {
				h.t.Errorf("enrolled: %v, want %v", got, want)
			}
		}
		h.check()
	})
}

func TestRejectionOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	s := h.serve(false)
	phone := s.visitor(softauthn.New(softauthn.Config{}))
	phone.lead("/registro", answers(1))
	phone.mustKey("/registro/llave", true)
	_, ready := phone.get("/registro/listo")
	code := codePattern.FindStringSubmatch(ready)[1]
	registrar, approver := s.as(h.registrar), s.as(h.supervisor)
	draw := func() {
		ticket := registrar.lead("/ventanilla/abrir", url.Values{"codigo": {code}})
		draft := registrar.lead(ticket+"/verificar", url.Values{"verificado": enrolment.Fields(), "nivel": {"N2"}})
		registrar.mustKey(draft, false)
		phone.mustKey(phone.lead("/registro/confirmar", url.Values{"codigo": {code}}), false)
	}
	draw()
	_, list := approver.get("/ventanilla/aprobar")
	item := regexp.MustCompile(`/ventanilla/aprobar/act_[0-9a-z]{26}`).FindString(list)
	if _, page := approver.get(item); !strings.Contains(page, item+"/rechazar") {
		t.Fatalf("no way to reject: %s", page)
	}
	for _, bad := range []url.Values{{}, {"motivo": {"otro"}, "nota": {""}}, {"motivo": {"nada"}, "nota": {"x"}}} {
		if status, _, page := approver.post(item+"/rechazar", bad); status != 422 || !strings.Contains(page, "aria-invalid") && !strings.Contains(page, `id="motivo-error"`) {
			t.Errorf("%v: %d, or no message beside the field", bad, status)
		}
	}
	if status, _, _ := registrar.post(item+"/rechazar", url.Values{"motivo": {"otro"}, "nota": {"x"}}); status != http.StatusForbidden {
		t.Errorf("the registrar rejects her own act: %d", status)
	}
	if status, _, page := approver.post(item+"/rechazar", url.Values{"motivo": {"dato-no-coincide"}, "nota": {"Falta el complemento 1A"}}); status != 200 || !strings.Contains(page, "Rechazado") {
		t.Fatalf("rejected: %d %s", status, page)
	}
	if status, page := approver.get(item); status != http.StatusConflict || strings.Contains(page, "Algo falló") {
		t.Errorf("the act afterwards: %d", status)
	}
	_, desk := registrar.get("/ventanilla")
	own := regexp.MustCompile(`/ventanilla/propuesta/act_[0-9a-z]{26}`).FindString(desk)
	if _, page := registrar.get(own); !strings.Contains(page, "Un dato no coincide") || !strings.Contains(page, "Falta el complemento 1A") || strings.Contains(page, "/retirar") {
		t.Errorf("the registrar is not told: %s", page)
	}
	if status, _ := approver.get(own); status != http.StatusNotFound {
		t.Errorf("another's proposal: %d", status)
	}
	if _, page := phone.get("/registro/listo"); !strings.Contains(page, "no fue aprobado") || !strings.Contains(page, "Falta el complemento 1A") {
		t.Errorf("the person is not told: %s", page)
	}
	// With the code alone the fixed reason is shown, not what was written.
	if status, _, page := s.visitor(nil).post("/registro/confirmar", url.Values{"codigo": {code}}); status != 200 || !strings.Contains(page, "Un dato no coincide") || strings.Contains(page, "1A") {
		t.Errorf("with the code: %d %s", status, page)
	}
	person, err := h.svc.TicketByCode(h.ctx(), code)
	if err != nil {
		t.Fatal(err)
	}
	me := s.as(&member{id: person.Person, auth: phone.auth})
	if _, page := me.get("/cuenta/registro"); !strings.Contains(page, "Falta el complemento 1A") {
		t.Errorf("signed in: %s", page)
	}

	draw()
	_, desk = registrar.get("/ventanilla")
	for _, own = range regexp.MustCompile(`/ventanilla/propuesta/act_[0-9a-z]{26}`).FindAllString(desk, -1) {
		if _, page := registrar.get(own); strings.Contains(page, own+"/retirar") {
			if to := registrar.lead(own+"/retirar", nil); to != own {
				t.Errorf("withdrawn: led to %s", to)
			}
		}
	}
	if _, page := me.get("/cuenta/registro"); !strings.Contains(page, "retiró el acta") {
		t.Errorf("withdrawn: %s", page)
	}
	draw()
	_, list = approver.get("/ventanilla/aprobar")
	approver.mustKey(approver.lead(regexp.MustCompile(`/ventanilla/aprobar/act_[0-9a-z]{26}`).FindString(list), nil), false)
	if _, page := me.get("/cuenta/registro"); !strings.Contains(page, "Su identidad está comprobada") {
		t.Errorf("approved: %s", page)
	}
	h.check()
}

// stamp is a session as it was checked: before the person was suspended.
func (a *auth) stamp(p identity.PersonID, epoch identity.Epoch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stale == nil {
		a.stale = map[identity.PersonID]identity.Epoch{}
	}
	a.stale[p] = epoch
}

// Whoever is suspended between the check of the session and the write writes
// nothing, on any page, and reads why.
func TestSuspendedBetweenPageAndPost(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		h := newHarness(t, d)
		h.found()
		_, post, clerk := h.office()
		citizen := h.enrol(identity.N2)
		s := h.serve(false)
		m, ticket := h.preregister()
		waits, err := h.draw(h.registrar, ticket, 0)
		waits = h.do(waits, err, h.registrar, m)
		_, open := h.preregister()
		if _, err := h.svc.OpenTicket(h.ctx(), h.registrar.id, open.Code); err != nil {
			t.Fatal(err)
		}
		_, fresh := h.preregister()
		half, err := h.draw(h.registrar, fresh, 0)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := h.keys.Credentials(h.ctx(), citizen.id)
		if err != nil {
			t.Fatal(err)
		}
		held, err := h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: citizen.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 1/2026"})
		h.approve(h.do(held, err, clerk), h.supervisor)
		apts, err := h.svc.Appointments(h.ctx(), citizen.id)
		if err != nil || len(apts) != 1 {
			t.Fatal(apts, err)
		}
		// The passkey step of half an act is under way when the registrar is suspended.
		desk := s.as(h.registrar)
		_, begun := desk.json("/ventanilla/acto/"+string(half.ID)+"/opciones", map[string]any{})
		var ceremony string
		_ = json.Unmarshal(begun["id"], &ceremony)
		answer, err := h.registrar.auth.Get(h.origin, begun["options"])
		if err != nil {
			t.Fatal(err)
		}
		for _, who := range []*member{h.registrar, h.supervisor, clerk, citizen} {
			s.auth.stamp(who.id, h.epoch(who.id))
			if err := h.accounts.Suspend(h.ctx(), machine.Basis{By: machine.Operator}, "test", who.id, "test"); err != nil {
				t.Fatal(err)
			}
		}
		count := func() (n int) {
			for _, table := range []string{"audit_entry", "enrolment_draft", "enrolment_act", "enrolment_verdict", "enrolment_ceremony"} {
				var k int
				if err := d.QueryRow(h.ctx(), `SELECT count(*) FROM `+table).Scan(&k); err != nil {
					t.Fatal(err)
				}
				n += k
			}
			return n
		}
		before := count()
		for _, c := range []struct {
			who  *member
			path string
			form url.Values
		}{
			{h.registrar, "/ventanilla/abrir", url.Values{"codigo": {open.Code}}},
			{h.registrar, "/ventanilla/ticket/" + open.ID + "/verificar", url.Values{"verificado": enrolment.Fields(), "nivel": {"N2"}}},
			{h.registrar, "/ventanilla/ticket/" + open.ID + "/soltar", nil},
			{h.registrar, "/ventanilla/propuesta/" + string(waits.ID) + "/retirar", nil},
			{h.supervisor, "/ventanilla/aprobar/" + string(waits.ID), nil},
			{h.supervisor, "/ventanilla/aprobar/" + string(waits.ID) + "/rechazar", url.Values{"motivo": {"persona-ausente"}, "nota": {""}}},
			{clerk, "/ventanilla/cesar/" + string(apts[0].ID), url.Values{"motivo": {"renuncia"}}},
			{citizen, "/cuenta/llaves/nombre/" + string(keys[0].ID), url.Values{"nombre": {"Otro"}}},
			{citizen, "/cuenta/llaves/quitar/" + string(keys[0].ID), url.Values{"entiendo": {"si"}}},
			{citizen, "/cuenta/bloquear", nil},
		} {
			status, _, page := s.as(c.who).post(c.path, c.form)
			if status != http.StatusForbidden || !strings.Contains(page, "No se guardó nada") {
				t.Errorf("%s: %d %.300s", c.path, status, page)
			}
		}
		if _, problem := s.as(citizen).key("/cuenta/llaves/nueva", true); problem != "sin-sesion" {
			t.Errorf("a passkey begun: %q", problem)
		}
		_, end := desk.json("/ventanilla/acto/"+string(half.ID)+"/fin", map[string]any{"id": ceremony, "response": json.RawMessage(answer)})
		if got := string(end["problem"]); got != `"sin-sesion"` {
			t.Errorf("the act signed: %s", got)
		}
		if after := count(); after != before {
			t.Errorf("%d rows were written", after-before)
		}
		// Lifted, an old page of before still does nothing.
		if err := h.d.Write(h.ctx(), func(tx *db.Tx) error {
			return account.ReactivateIn(tx, machine.Basis{By: machine.Supervisor, With: machine.Approved}, citizen.id, "test", h.clock.Now())
		}); err != nil {
			t.Fatal(err)
		}
		if status, _, page := s.as(citizen).post("/cuenta/bloquear", nil); status != http.StatusForbidden || !strings.Contains(page, "No se guardó nada") {
			t.Errorf("after the lift: %d", status)
		}
	})
}
