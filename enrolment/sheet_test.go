package enrolment_test

import (
	"errors"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

const typed = "clave-de-prueba"

// byCard registers somebody without a device and takes her past the approval.
func (h *harness) byCard(registrar *member, secret string) *member {
	h.t.Helper()
	in := h.registration()
	ticket, err := h.svc.Register(h.ctx(), in, []byte(secret))
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.svc.OpenTicket(h.ctx(), registrar.id, ticket.Code); err != nil {
		h.t.Fatal(err)
	}
	if err := h.svc.AskCard(h.ctx(), registrar.id, ticket.ID, typed); err != nil {
		h.t.Fatal(err)
	}
	d, err := h.svc.Verify(h.ctx(), registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields()})
	h.approve(h.do(d, err, registrar), h.supervisor)
	return &member{id: ticket.Person, doc: in.Document, auth: softauthn.New(softauthn.Config{})}
}

// enterByCard tries password and card as a person does.
func (h *harness) enterByCard(m *member, password string, cells []account.Cell) error {
	c, err := h.accounts.Ask(h.ctx(), m.doc.String(), bind)
	if err != nil {
		return err
	}
	for _, cell := range cells {
		if cell.Number == c.Cell {
			got, err := h.accounts.Answer(h.ctx(), c.ID, bind, password, cell.Code)
			if err == nil && got.Person != m.id {
				err = errors.New("somebody else entered")
			}
			return err
		}
	}
	return errors.New("no such cell")
}

// TestCardInTwoHands: whoever has the password typed never prints the card nor
// says that it came closed, and who prints it never sees the password; until it
// was opened nobody enters with it.
func TestCardInTwoHands(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		second := h.enrol(identity.N2)
		h.grant(second, act.Registrar, "")
		in := h.registration()
		ticket, err := h.svc.Register(h.ctx(), in, []byte("no device"))
		if err != nil {
			h.t.Fatal(err)
		}
		m := &member{id: ticket.Person, doc: in.Document}
		ask := func(by *member) error { return h.svc.AskCard(h.ctx(), by.id, ticket.ID, typed) }
		wantErr(h.t, "without the ticket in hand", ask(h.registrar), enrolment.ErrTicketHold)
		if _, err := h.svc.OpenTicket(h.ctx(), h.registrar.id, ticket.Code); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields()})
		wantErr(h.t, "neither key nor card", err, enrolment.ErrKey)
		if err := ask(h.registrar); err != nil {
			h.t.Fatal(err)
		}
		// A password typed before another registrar does not count for this one.
		if err := h.svc.ReleaseTicket(h.ctx(), h.registrar.id, ticket.ID); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.draw(second, ticket, 0)
		wantErr(h.t, "a password typed before somebody else", err, enrolment.ErrKey)
		if err := h.svc.ReleaseTicket(h.ctx(), second.id, ticket.ID); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.draw(h.registrar, ticket, 0)
		wantErr(h.t, "a password that was taken back", err, enrolment.ErrKey)
		if err := ask(h.registrar); err != nil {
			h.t.Fatal(err)
		}
		d, err := h.draw(h.registrar, ticket, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "a card that the second person would not see", ask(h.registrar), enrolment.ErrApprovalNeeded)
		_, err = h.svc.PrintSheet(h.ctx(), second.id, m.id)
		wantErr(h.t, "a card before the approval", err, account.ErrUnknown)
		h.approve(h.do(d, nil, h.registrar), h.supervisor)

		_, err = h.svc.PrintSheet(h.ctx(), h.registrar.id, m.id)
		wantErr(h.t, "printed by who saw the password", err, act.ErrSamePerson)
		_, err = h.svc.PrintSheet(h.ctx(), m.id, m.id)
		wantErr(h.t, "printed by a citizen", err, act.ErrRole)
		if list, err := h.svc.SheetsFor(h.ctx(), h.registrar.id); err != nil || len(list) != 0 {
			h.t.Errorf("the registrar is offered %+v, %v", list, err)
		}
		lost, err := h.svc.PrintSheet(h.ctx(), second.id, m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		sheet, err := h.svc.PrintSheet(h.ctx(), second.id, m.id)
		if err != nil || len(sheet.Cells) != account.DefaultCells || sheet.Number == "" {
			h.t.Fatalf("sheet: %+v, %v", sheet, err)
		}
		if list, err := h.svc.SheetsFor(h.ctx(), second.id); err != nil || len(list) != 1 || list[0].Number != sheet.Number || list[0].PrintedBy != second.id {
			h.t.Errorf("the printer is offered %+v, %v", list, err)
		}
		wantErr(h.t, "entering with a closed card", h.enterByCard(m, typed, sheet.Cells), account.ErrRefused)
		// The registrar opens it on its way and has everything but somebody to say that it came closed.
		wantErr(h.t, "opened by who saw the password", h.svc.OpenSheet(h.ctx(), h.registrar.id, m.id, sheet.Word), act.ErrSamePerson)
		wantErr(h.t, "opened by who did not print it", h.svc.OpenSheet(h.ctx(), h.supervisor.id, m.id, sheet.Word), account.ErrPrinter)
		wantErr(h.t, "the word of a card that was lost", h.svc.OpenSheet(h.ctx(), second.id, m.id, lost.Word), account.ErrWord)
		if err := h.svc.OpenSheet(h.ctx(), second.id, m.id, " "+sheet.Word[:3]+"-"+sheet.Word[3:]); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "entering with the lost card", h.enterByCard(m, typed, lost.Cells), account.ErrRefused)
		if err := h.enterByCard(m, typed, sheet.Cells); err != nil {
			h.t.Errorf("entering: %v", err)
		}
		wantErr(h.t, "opened twice", h.svc.OpenSheet(h.ctx(), second.id, m.id, sheet.Word), account.ErrUnknown)
		_, err = h.svc.PrintSheet(h.ctx(), second.id, m.id)
		wantErr(h.t, "printed again while it counts", err, account.ErrUnknown)
		// Whoever has a passkey gets no card from one registrar alone.
		_, withKey := h.preregister()
		if _, err := h.svc.OpenTicket(h.ctx(), h.registrar.id, withKey.Code); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "a card beside a passkey", h.svc.AskCard(h.ctx(), h.registrar.id, withKey.ID, typed), enrolment.ErrApprovalNeeded)
		h.check()
	})
}

// TestClosedCardIsRefused: one that came open, or whose word was guessed at, is
// worth nothing, and another is printed; an old one is not opened any more.
func TestClosedCardIsRefused(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m := h.byCard(h.registrar, "no device")
		print := func() account.Sheet {
			h.t.Helper()
			sheet, err := h.svc.PrintSheet(h.ctx(), h.supervisor.id, m.id)
			if err != nil {
				h.t.Fatal(err)
			}
			return sheet
		}
		sheet := print()
		wantErr(h.t, "refused by who saw the password", h.svc.RefuseSheet(h.ctx(), h.registrar.id, m.id), act.ErrSamePerson)
		if err := h.svc.RefuseSheet(h.ctx(), h.supervisor.id, m.id); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "opened after it was refused", h.svc.OpenSheet(h.ctx(), h.supervisor.id, m.id, sheet.Word), account.ErrState)
		sheet = print()
		for range 5 {
			wantErr(h.t, "a guess", h.svc.OpenSheet(h.ctx(), h.supervisor.id, m.id, "BCDFGH"), account.ErrWord)
		}
		wantErr(h.t, "after five guesses", h.svc.OpenSheet(h.ctx(), h.supervisor.id, m.id, sheet.Word), account.ErrState)
		sheet = print()
		h.clock.Add(account.SheetLifetime)
		wantErr(h.t, "an old card", h.svc.OpenSheet(h.ctx(), h.supervisor.id, m.id, sheet.Word), account.ErrState)
		sheet = print()
		if err := h.svc.OpenSheet(h.ctx(), h.supervisor.id, m.id, sheet.Word); err != nil {
			h.t.Fatal(err)
		}
		if err := h.enterByCard(m, typed, sheet.Cells); err != nil {
			h.t.Error(err)
		}
		h.check()
	})
}

// TestLostCard: who lost her card comes back with a new password and a new card,
// by a registrar and a supervisor; until then the old ones count, afterwards not.
func TestLostCard(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m := h.byCard(h.registrar, "no device")
		old, err := h.svc.PrintSheet(h.ctx(), h.supervisor.id, m.id)
		if err == nil {
			err = h.svc.OpenSheet(h.ctx(), h.supervisor.id, m.id, old.Word)
		}
		if err != nil {
			h.t.Fatal(err)
		}
		ticket, err := h.svc.OpenRecovery(h.ctx(), h.registrar.id, m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		if err := h.svc.AskCard(h.ctx(), h.registrar.id, ticket.ID, "otra-clave-nueva"); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.newKey(ticket.Code, []byte("a phone"))
		wantErr(h.t, "a passkey beside the card", err, enrolment.ErrHasKey)
		d, err := h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields()})
		d = h.do(d, err, h.registrar)
		if e := d.Statement.Body.(*act.Enrolment); !e.Replaces || len(e.Keys) != 0 || e.Level != identity.N2 {
			h.t.Errorf("the act: %+v", e)
		}
		wantErr(h.t, "the new password too early", h.enterByCard(m, "otra-clave-nueva", old.Cells), account.ErrRefused)
		if err := h.enterByCard(m, typed, old.Cells); err != nil {
			h.t.Errorf("the old card before the approval: %v", err)
		}
		before := h.epoch(m.id)
		h.approve(d, h.supervisor)
		if h.epoch(m.id) == before {
			h.t.Error("the sessions of before go on")
		}
		for _, password := range []string{typed, "otra-clave-nueva"} {
			wantErr(h.t, "the old card", h.enterByCard(m, password, old.Cells), account.ErrRefused)
		}
		fresh, err := h.svc.PrintSheet(h.ctx(), h.supervisor.id, m.id)
		if err == nil {
			err = h.svc.OpenSheet(h.ctx(), h.supervisor.id, m.id, fresh.Word)
		}
		if err != nil {
			h.t.Fatal(err)
		}
		h.clock.Add(time.Hour) // failed tries throttle
		wantErr(h.t, "the old password", h.enterByCard(m, typed, fresh.Cells), account.ErrRefused)
		if err := h.enterByCard(m, "otra-clave-nueva", fresh.Cells); err != nil {
			h.t.Errorf("entering: %v", err)
		}
		h.check()
	})
}
