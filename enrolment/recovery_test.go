package enrolment_test

import (
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// newKey makes the pending passkey of a ticket of recovery with a fresh device.
func (h *harness) newKey(code string, browser []byte) (*softauthn.Authenticator, error) {
	if err := h.svc.ClaimRecovery(h.ctx(), code, browser); err != nil {
		return nil, err
	}
	c, err := h.svc.BeginKey(h.ctx(), browser)
	if err != nil {
		return nil, err
	}
	device := softauthn.New(softauthn.Config{})
	answer, err := device.Create(h.origin, c.Options)
	if err == nil {
		_, err = h.svc.FinishKey(h.ctx(), browser, c.ID, answer, "Celular nuevo")
	}
	return device, err
}

func (h *harness) enters(m *member, device *softauthn.Authenticator) error {
	c, err := h.keys.BeginLogin(h.ctx(), passkey.Begin{Purpose: passkey.Login, Binding: bind})
	if err != nil {
		return err
	}
	answer, err := device.Get(h.origin, c.Options)
	if err != nil {
		return err
	}
	_, err = h.keys.FinishLogin(h.ctx(), c.ID, passkey.Login, bind, answer)
	return err
}

// TestRecoveryAtTheCounter: somebody who stopped herself comes back with a new
// passkey, by a registrar and a supervisor; the old one is worthless; nothing
// counts before the second signature.
func TestRecoveryAtTheCounter(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m := h.enrol(identity.N3)
		if err := h.svc.Stop(h.ctx(), m.id); err != nil {
			h.t.Fatal(err)
		}
		_, err := h.svc.OpenRecovery(h.ctx(), h.supervisor.id, m.id)
		wantErr(h.t, "by a supervisor", err, act.ErrRole)
		_, err = h.svc.OpenRecovery(h.ctx(), h.registrar.id, h.registrar.id)
		wantErr(h.t, "one's own", err, act.ErrSelf)
		first, err := h.svc.OpenRecovery(h.ctx(), h.registrar.id, m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		ticket, err := h.svc.OpenRecovery(h.ctx(), h.registrar.id, m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "the ticket before", h.svc.ClaimRecovery(h.ctx(), first.Code, []byte("new phone")), enrolment.ErrTicket)
		_, err = h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields()})
		wantErr(h.t, "before the passkey is made", err, enrolment.ErrKey)

		device, err := h.newKey(ticket.Code, []byte("new phone"))
		if err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "a card beside the new passkey", h.svc.AskCard(h.ctx(), h.registrar.id, ticket.ID, "clave-de-prueba"), enrolment.ErrApprovalNeeded)
		_, err = h.newKey(ticket.Code, []byte("another phone"))
		wantErr(h.t, "another browser", err, enrolment.ErrTicketTaken)
		_, err = h.newKey(ticket.Code, []byte("new phone"))
		wantErr(h.t, "a second passkey", err, enrolment.ErrHasKey)
		wantErr(h.t, "corrected", h.svc.Correct(h.ctx(), h.registration(), []byte("new phone")), enrolment.ErrHasKey)
		wantErr(h.t, "entering with the pending one", h.enters(m, device), passkey.ErrNotActive)

		d, err := h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields(), Level: identity.N3})
		if err != nil {
			h.t.Fatal(err)
		}
		if e := d.Statement.Body.(*act.Enrolment); !e.Replaces || e.Level != identity.N2 || len(e.Keys) != 1 {
			h.t.Errorf("the act: %+v", e)
		}
		if _, err = h.sign(d, h.registrar); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.signWith(h.svc, d, m.id, m.auth)
		if err == nil {
			h.t.Error("the old passkey signs the recovery")
		}
		d, err = h.signWith(h.svc, d, m.id, device)
		if err != nil || !d.Done {
			h.t.Fatalf("signed: %v", err)
		}
		wantErr(h.t, "entering before the approval", h.enters(m, device), passkey.ErrNotActive)
		_, err = h.svc.Approve(h.ctx(), h.registrar.id, d.ID)
		wantErr(h.t, "approved by the registrar", err, act.ErrSamePerson)
		other := h.enrol(identity.N2)
		h.grant(other, act.Registrar, "")
		_, err = h.svc.Approve(h.ctx(), other.id, d.ID)
		wantErr(h.t, "approved by another registrar", err, act.ErrRole)
		before := h.epoch(m.id)
		h.approve(d, h.supervisor)

		p, err := h.svc.Profile(h.ctx(), m.id)
		if err != nil || !p.Active || p.Level != identity.N2 || p.Epoch != before+1 {
			h.t.Errorf("recovered: %+v, %v", p, err)
		}
		if err := h.enters(m, device); err != nil {
			h.t.Errorf("the new passkey: %v", err)
		}
		wantErr(h.t, "the old passkey", h.enters(m, m.auth), passkey.ErrNotActive)
		h.check()

		// It serves also who is not stopped; an act that stops her comes first.
		d, err = h.svc.Suspend(h.ctx(), h.registrar.id, m.id, "sospecha")
		stop := h.do(d, err, h.registrar)
		_, err = h.svc.OpenRecovery(h.ctx(), h.registrar.id, m.id)
		wantErr(h.t, "stopped by an act", err, account.ErrState)
		d, err = h.svc.Lift(h.ctx(), h.registrar.id, stop.ID, "aclarado")
		h.approve(h.do(d, err, h.registrar), h.supervisor)
		m.auth = device
		again, err := h.svc.OpenRecovery(h.ctx(), h.registrar.id, m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		third, err := h.newKey(again.Code, []byte("third phone"))
		if err != nil {
			h.t.Fatal(err)
		}
		if err := h.enters(m, device); err != nil {
			h.t.Errorf("a recovery under way keeps the person out: %v", err)
		}
		d, err = h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: again.ID, Confirmed: enrolment.Fields()})
		h.do(d, err, h.registrar, &member{id: m.id, auth: third})
		// Stopped by an act before the approval: then the lifting comes first.
		s, err := h.svc.Suspend(h.ctx(), h.registrar.id, m.id, "sospecha")
		h.do(s, err, h.registrar)
		a, err := h.svc.Approve(h.ctx(), h.supervisor.id, d.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(a, h.supervisor)
		wantErr(h.t, "approved while stopped by an act", err, account.ErrState)
		h.check()
	})
}
