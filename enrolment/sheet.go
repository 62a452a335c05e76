package enrolment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// The way in of somebody without a device: a password and a printed sheet of
// codes. Whoever may see the password typed never has the sheet open before her,
// and whoever prints the sheet never sees the password: design note 0024.

// AskCard takes the password that the person at the counter has typed. It is for
// a person in use, without a passkey, whose first enrolment is not drawn up yet,
// or for one who is recovered, in place of a new passkey; else it is
// ErrApprovalNeeded. The sheet is printed after the approval, elsewhere.
func (s *Service) AskCard(ctx context.Context, registrar identity.PersonID, ticket, password string) error {
	t, err := s.held(ctx, registrar, ticket)
	if err != nil {
		return err
	}
	p, err := s.cfg.Accounts.Profile(ctx, t.Person)
	if err != nil {
		return err
	}
	keys, err := s.keysOf(ctx, t.Person)
	if err != nil {
		return err
	}
	b := machine.Basis{By: machine.Registrar}
	switch {
	case t.Draft != "":
	case t.Recovery && t.Credential == "":
		b.With = machine.Counter
	case !t.Recovery && p.Active && p.Level == identity.N0 && len(keys) == 0:
		b.With = machine.First
	}
	err = s.cfg.Accounts.AskCard(ctx, b, registrar, t.Person, t.ID, password, func(tx *db.Tx) error { return store.CardTicket(tx, t.ID, registrar, s.now()) })
	switch {
	case errors.Is(err, machine.ErrIllegal):
		return ErrApprovalNeeded
	case errors.Is(err, store.ErrNone):
		return ErrTicketHold
	}
	return err
}

// ordered makes an order of a sheet, if the act that is approved is of somebody
// who will enter with one.
func ordered(tx *db.Tx, by machine.Basis, ticket string, b *act.Enrolment, now time.Time) error {
	t, err := store.TicketByID(tx, ticket)
	if err != nil || !t.Card {
		return err
	}
	return account.OrderCard(tx, by, b.Person, ticket, b.Registrar, now)
}

// sheetBy returns on what basis a member of staff prints, opens or refuses the
// sheet of a person; act.ErrSelf of one's own, act.ErrSamePerson where the
// password was typed before the same one.
func (s *Service) sheetBy(ctx context.Context, by, person identity.PersonID, from machine.State, do machine.Command, with machine.Evidence) (b machine.Basis, o account.Order, err error) {
	_, capacity, err := s.capable(ctx, by, "", machine.Card, from, do, with)
	if err != nil {
		return b, o, err
	}
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		o, err = account.OrderOf(tx, person)
		return err
	})
	switch {
	case err != nil:
		return b, o, err
	case by == person:
		return b, o, fmt.Errorf("%w: own sheet", act.ErrSelf)
	case by == o.OrderedBy:
		return b, o, fmt.Errorf("%w: the password was typed before the same one", act.ErrSamePerson)
	}
	return machine.Basis{By: machine.Actor(capacity), With: with}, o, nil
}

// maxSheets bounds the list of sheets, in lines.
const maxSheets = 100

// SheetsFor lists the sheets that a member of staff may print, or see opened.
func (s *Service) SheetsFor(ctx context.Context, by identity.PersonID) ([]account.Order, error) {
	if _, _, err := s.capable(ctx, by, "", machine.Card, machine.CardOrdered, machine.PrintCard, machine.Another); err != nil {
		return nil, err
	}
	var all, out []account.Order
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = account.Orders(tx, maxSheets)
		return err
	})
	for _, o := range all {
		if by != o.Person && by != o.OrderedBy {
			out = append(out, o)
		}
	}
	return out, err
}

// SheetOf returns the order of a person's sheet for somebody who may print or see
// it opened; account.ErrUnknown if there is none.
func (s *Service) SheetOf(ctx context.Context, by, person identity.PersonID) (account.Order, error) {
	_, o, err := s.sheetBy(ctx, by, person, machine.CardOrdered, machine.PrintCard, machine.Another)
	return o, err
}

// PrintSheet makes the closed sheet of a person, once more if it was lost before
// it was opened. What is in it is returned once.
func (s *Service) PrintSheet(ctx context.Context, by, person identity.PersonID) (account.Sheet, error) {
	b, _, err := s.sheetBy(ctx, by, person, machine.CardOrdered, machine.PrintCard, machine.Another)
	if err != nil {
		return account.Sheet{}, err
	}
	return s.cfg.Accounts.PrintSheet(ctx, b, by, person)
}

// OpenSheet makes a sheet count: by, who printed it, says that they saw the
// person, the closed sheet with its number, and heard the word inside.
// account.ErrPrinter of anybody else, account.ErrWord for another word.
func (s *Service) OpenSheet(ctx context.Context, by, person identity.PersonID, word string) error {
	b, _, err := s.sheetBy(ctx, by, person, machine.CardPrinted, machine.OpenCard, machine.Witness)
	if err != nil {
		return err
	}
	return s.cfg.Accounts.OpenSheet(ctx, b, by, person, word)
}

// RefuseSheet voids a sheet that came open, or that nobody fetched.
func (s *Service) RefuseSheet(ctx context.Context, by, person identity.PersonID) error {
	b, _, err := s.sheetBy(ctx, by, person, machine.CardPrinted, machine.RefuseCard, machine.Another)
	if err != nil {
		return err
	}
	return s.cfg.Accounts.RefuseSheet(ctx, b, by, person)
}
