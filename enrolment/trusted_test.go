package enrolment_test

import (
	"net/url"
	"strings"
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

// trusts has a person name others, who accept.
func (h *harness) trusts(owner *member, others ...*member) {
	h.t.Helper()
	for _, o := range others {
		if err := h.svc.NameTrusted(h.ctx(), owner.id, o.doc, "mi gente"); err != nil {
			h.t.Fatal(err)
		}
		in, err := h.svc.TrustingIn(h.ctx(), o.id)
		if err != nil || len(in) == 0 {
			h.t.Fatal(in, err)
		}
		if err := h.svc.AcceptTrusted(h.ctx(), o.id, in[len(in)-1].ID); err != nil {
			h.t.Fatal(err)
		}
	}
}

// TestRecoveryByPeopleOfTrust: two of those she named, who are none of the staff
// that decides, bring somebody without a document back after the time of waiting,
// at N1; each rule by itself holds it up.
func TestRecoveryByPeopleOfTrust(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m, a, b, c := h.enrol(identity.N2), h.enrol(identity.N2), h.enrol(identity.N2), h.enrol(identity.N2)
		second := h.enrol(identity.N2)
		h.grant(second, act.Registrar, "")
		h.trusts(m, a, second)
		_, err := h.svc.OpenVouched(h.ctx(), h.registrar.id, m.id)
		wantErr(h.t, "on the day they accepted", err, enrolment.ErrTrusted)
		h.clock.Add(enrolment.TrustedSettle)
		h.trusts(m, b) // does not count yet
		_, err = h.svc.OpenVouched(h.ctx(), second.id, m.id)
		wantErr(h.t, "opened by one who vouches", err, enrolment.ErrTrusted)
		_, err = h.svc.OpenVouched(h.ctx(), h.supervisor.id, m.id)
		wantErr(h.t, "opened by a supervisor", err, act.ErrRole)
		ticket, err := h.svc.OpenVouched(h.ctx(), h.registrar.id, m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		device, err := h.newKey(ticket.Code, []byte("new phone"))
		if err != nil {
			h.t.Fatal(err)
		}
		verify := func(fields []string) (enrolment.Draft, error) {
			return h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: fields, Level: identity.N2})
		}
		_, err = verify(enrolment.VouchedFields())
		wantErr(h.t, "before anybody vouched", err, enrolment.ErrWaits)
		for what, who := range map[string]*member{"a stranger": c, "who accepted lately": b, "the registrar": h.registrar, "herself": m} {
			wantErr(h.t, what, h.svc.Vouch(h.ctx(), who.id, ticket.Code), enrolment.ErrTicket)
		}
		if err := h.svc.Vouch(h.ctx(), a.id, ticket.Code); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "twice", h.svc.Vouch(h.ctx(), a.id, ticket.Code), enrolment.ErrDone)
		h.clock.Add(enrolment.VouchWait)
		reopen := func() {
			if _, err := h.svc.OpenTicket(h.ctx(), h.registrar.id, ticket.Code); err != nil {
				h.t.Fatal(err)
			}
		}
		reopen()
		_, err = verify(enrolment.VouchedFields())
		wantErr(h.t, "with one voucher", err, enrolment.ErrWaits)
		if err := h.svc.Vouch(h.ctx(), second.id, ticket.Code); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.OpenTicket(h.ctx(), second.id, ticket.Code)
		wantErr(h.t, "taken in hand by a voucher", err, enrolment.ErrTrusted)
		_, err = verify(enrolment.VouchedFields())
		wantErr(h.t, "before the time is over", err, enrolment.ErrWaits)
		h.clock.Add(enrolment.VouchWait)
		reopen()
		if _, err = verify(enrolment.Fields()); err == nil {
			h.t.Error("a document is confirmed that nobody saw")
		}
		d, err := verify(enrolment.VouchedFields())
		if err != nil {
			h.t.Fatal(err)
		}
		if e := d.Statement.Body.(*act.Enrolment); e.Level != identity.N1 || !e.Replaces {
			h.t.Errorf("the act: %+v", e)
		}
		if _, err = h.sign(d, h.registrar); err != nil {
			h.t.Fatal(err)
		}
		if d, err = h.signWith(h.svc, d, m.id, device); err != nil || !d.Done {
			h.t.Fatal(d.Done, err)
		}
		h.grant(second, act.Supervisor, "")
		_, err = h.svc.Approve(h.ctx(), second.id, d.ID)
		wantErr(h.t, "approved by a voucher", err, enrolment.ErrTrusted)
		h.approve(d, h.supervisor)
		if err := h.enters(m, device); err != nil {
			h.t.Errorf("the new passkey: %v", err)
		}
		if h.enters(m, m.auth) == nil {
			h.t.Error("the old passkey enters")
		}
		if got := h.level(m.id); got != identity.N1 {
			h.t.Errorf("level %v without a document", got)
		}
		h.check()
	})
}

// TestObjection: who was not at the counter stops the recovery, in whatever state,
// and somebody who stops being trusted has not vouched.
func TestObjection(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m, a, b := h.enrol(identity.N2), h.enrol(identity.N2), h.enrol(identity.N2)
		h.trusts(m, a, b)
		h.clock.Add(enrolment.TrustedSettle)
		wantErr(h.t, "nothing to stop", h.svc.CancelRecovery(h.ctx(), m.id), enrolment.ErrDone)
		ticket, err := h.svc.OpenVouched(h.ctx(), h.registrar.id, m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, who := range []*member{a, b} {
			if err := h.svc.Vouch(h.ctx(), who.id, ticket.Code); err != nil {
				h.t.Fatal(err)
			}
		}
		if v, err := h.svc.VouchingOf(h.ctx(), h.registrar.id, ticket.ID); err != nil || v.Have != 2 || v.Ripe.IsZero() {
			h.t.Errorf("%+v, %v", v, err)
		}
		mine, err := h.svc.TrustedOf(h.ctx(), m.id)
		if err != nil || len(mine) != 2 || mine[0].Alias != "mi gente" {
			h.t.Fatal(mine, err)
		}
		wantErr(h.t, "ended by a stranger", h.svc.EndTrusted(h.ctx(), h.registrar.id, mine[1].ID), enrolment.ErrUnknown)
		wantErr(h.t, "accepted by the owner", h.svc.AcceptTrusted(h.ctx(), m.id, mine[1].ID), enrolment.ErrUnknown)
		if err := h.svc.EndTrusted(h.ctx(), m.id, mine[1].ID); err != nil {
			h.t.Fatal(err)
		}
		if v, err := h.svc.VouchingOf(h.ctx(), h.registrar.id, ticket.ID); err != nil || v.Have != 1 {
			h.t.Errorf("after one was removed: %+v, %v", v, err)
		}
		if err := h.svc.CancelRecovery(h.ctx(), m.id); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "vouched afterwards", h.svc.Vouch(h.ctx(), b.id, ticket.Code), enrolment.ErrTicket)

		// One that waits for its approval is stopped as well.
		again, err := h.svc.OpenRecovery(h.ctx(), h.registrar.id, m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		device, err := h.newKey(again.Code, []byte("new phone"))
		if err != nil {
			h.t.Fatal(err)
		}
		d, err := h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: again.ID, Confirmed: enrolment.Fields()})
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err = h.sign(d, h.registrar); err != nil {
			h.t.Fatal(err)
		}
		if _, err = h.signWith(h.svc, d, m.id, device); err != nil {
			h.t.Fatal(err)
		}
		if err := h.svc.CancelRecovery(h.ctx(), m.id); err != nil {
			h.t.Fatal(err)
		}
		ap, err := h.svc.Approve(h.ctx(), h.supervisor.id, d.ID)
		if err == nil {
			_, err = h.sign(ap, h.supervisor)
		}
		wantErr(h.t, "approved after she stopped it", err, enrolment.ErrTicketUsed)
		if err := h.enters(m, m.auth); err != nil {
			h.t.Errorf("her own passkey: %v", err)
		}
	})
}

// TestNamingTellsNothing: whether a document is registered is not told, and nobody
// serves too many, or is named at N0.
func TestNamingTellsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	a := h.enrol(identity.N2)
	for i := range enrolment.TrustedServes + 1 {
		owner := h.enrol(identity.N2)
		if err := h.svc.NameTrusted(h.ctx(), owner.id, a.doc, "vecina"); err != nil {
			t.Fatal(err)
		}
		in, err := h.svc.TrustingIn(h.ctx(), a.id)
		if err != nil || len(in) != i+1 {
			t.Fatal(in, err)
		}
		err = h.svc.AcceptTrusted(h.ctx(), a.id, in[i].ID)
		if i < enrolment.TrustedServes && err != nil {
			t.Fatal(err)
		}
		if i == enrolment.TrustedServes {
			wantErr(t, "one more", err, enrolment.ErrTrusted)
		}
	}
	m := h.enrol(identity.N2)
	nobody := identity.Document{Type: identity.DocumentCI, Number: "1234567"}
	for range enrolment.TrustedMost {
		if err := h.svc.NameTrusted(h.ctx(), m.id, nobody, "nadie"); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "a sixth", h.svc.NameTrusted(h.ctx(), m.id, nobody, "nadie"), enrolment.ErrTrusted)
	wantErr(t, "oneself", h.svc.NameTrusted(h.ctx(), a.id, a.doc, "yo"), enrolment.ErrTrusted)
	low, _ := h.preregister()
	wantErr(t, "at N0", h.svc.NameTrusted(h.ctx(), low.id, a.doc, "vecina"), account.ErrState)

	s := h.serve(true)
	w := s.as(h.enrol(identity.N2))
	for _, doc := range []string{a.doc.Number, "7654321"} {
		if to := w.lead("/cuenta/confianza/nombrar", url.Values{"documento": {doc}, "alias": {"una " + doc}}); to != "/cuenta/confianza" {
			t.Error(to)
		}
	}
	_, page := w.get("/cuenta/confianza")
	if got := strings.Count(page, "Espera que acepte"); got != 2 {
		t.Errorf("the page tells %d of 2 that wait", got)
	}
	if status, _, page := w.post("/cuenta/confianza/responder", url.Values{"codigo": {"0000-0000"}}); status != 422 || !strings.Contains(page, "Responda solo si la vio") {
		t.Errorf("vouching without a look: %d", status)
	}
	if status, _, _ := w.post("/cuenta/confianza/responder", url.Values{"codigo": {"0000-0000"}, "vi": {"si"}}); status != 422 {
		t.Errorf("vouching with a wrong code: %d", status)
	}
}

// TestHolderLeavesAPost: with her own signature, on a page of her account; nobody
// else's post is shown there.
func TestHolderLeavesAPost(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	_, post, clerk := h.office()
	m := h.enrol(identity.N2)
	d, err := h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: m.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 12/2026"})
	h.approve(h.do(d, err, clerk), h.supervisor)
	held, err := h.svc.Appointments(h.ctx(), m.id)
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	s := h.serve(true)
	path := "/cuenta/cargos/" + string(held[0].ID)
	if status, _ := s.as(clerk).get(path); status != 404 {
		t.Errorf("somebody else's post: %d", status)
	}
	if status, _, _ := s.as(clerk).post(path, url.Values{"motivo": {"renuncia"}}); status != 404 {
		t.Errorf("somebody else's post is left: %d", status)
	}
	w := s.as(m)
	if status, _, _ := w.post(path, url.Values{"motivo": {"destitucion"}}); status != 422 {
		t.Errorf("dismissed by herself: %d", status)
	}
	if to := w.mustKey(w.lead(path, url.Values{"motivo": {"renuncia"}}), false); to != "/cuenta/cargos/terminado" {
		t.Errorf("led to %s", to)
	}
	if held, err := h.svc.Appointments(h.ctx(), m.id); err != nil || len(held) != 0 {
		t.Errorf("she holds %+v, %v", held, err)
	}
	h.check()
}
