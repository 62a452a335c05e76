package enrolment_test

import (
	"net/url"
	"strings"
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// TestLookAlikesGoToASupervisor: whoever looks like somebody proven is warned of at
// the counter and approved by a supervisor only, who sees both.
func TestLookAlikesGoToASupervisor(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	s := h.serve(true)
	h.found()
	second := h.enrol(identity.N2)
	h.grant(second, act.Registrar, "")
	in := h.registration()
	in.Name = identity.Name{Given: "Juana", FirstSurname: "Huanca", SecondSurname: "Quispe"}
	enrolled := func(number, first string, secret []byte) (enrolment.Ticket, enrolment.Draft) {
		t.Helper()
		in.Document.Number, in.Name.FirstSurname = number, first
		ticket, err := h.svc.Register(h.ctx(), in, secret)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.svc.OpenTicket(h.ctx(), h.registrar.id, ticket.Code); err != nil {
			t.Fatal(err)
		}
		if err := h.svc.AskCard(h.ctx(), h.registrar.id, ticket.ID, "clave-de-prueba"); err != nil {
			t.Fatal(err)
		}
		d, err := h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields()})
		if err != nil {
			t.Fatal(err)
		}
		return ticket, d
	}
	_, d := enrolled("5500001", "Huanca", []byte("one"))
	h.approve(h.do(d, nil, h.registrar), second) // like nobody: another registrar is enough
	ticket, d := enrolled("5500002", "Guanca", []byte("two"))
	if _, page := s.as(h.registrar).get("/ventanilla/ticket/" + ticket.ID); !strings.Contains(page, "Puede que la persona ya") || strings.Contains(page, "5500001") {
		t.Error("the registrar is not warned, or told more than that")
	}
	h.do(d, nil, h.registrar)
	_, err := h.svc.Approve(h.ctx(), second.id, d.ID)
	wantErr(t, "a look-alike approved by a registrar", err, act.ErrRole)
	path := "/ventanilla/aprobar/" + string(d.ID)
	supervisor := s.as(h.supervisor)
	if _, page := supervisor.get(path); !strings.Contains(page, "CI 5500001") || !strings.Contains(page, "Juana Huanca Quispe") {
		t.Error("the supervisor does not see both")
	}
	b := webtest.Browser(t)
	s.cookie(b, "quien", string(h.supervisor.id))
	for _, width := range []int{360, 1280} {
		for _, x := range b.Check(t, s.base+path, width) {
			t.Errorf("%d px: %s: %s\n\t%s", width, x.Rule, x.Help, strings.Join(x.Nodes, "\n\t"))
		}
	}
	supervisor.mustKey(supervisor.lead(path, url.Values{}), false)
	h.check()
}
