package enrolment

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// The way back of somebody who is known already and has no passkey any more, or
// stopped herself: at a counter, with the original document, by a registrar and a
// supervisor. The new passkey is pending, and enters nowhere, until the supervisor
// has approved the act that names it; then it replaces all that she had, the card
// included, at N2 or below.

// inCounter is the basis of a passkey made for a ticket of recovery.
var inCounter = machine.Basis{By: machine.Browser, With: machine.Counter}

// OpenRecovery opens a ticket for somebody who is known already and puts it into
// the registrar's hand. Its code, which one browser can claim, is shown to the
// registrar. Errors: act.ErrRole, act.ErrSelf, account.ErrUnknown, account.ErrState
// for somebody who has proven nothing, or whom an act stops: that is lifted first.
func (s *Service) OpenRecovery(ctx context.Context, registrar, person identity.PersonID) (Ticket, error) {
	return s.openRecovery(ctx, registrar, person, false)
}

func (s *Service) openRecovery(ctx context.Context, registrar, person identity.PersonID, vouched bool) (Ticket, error) {
	k, err := s.role(ctx, registrar, act.Registrar, "")
	if err != nil {
		return Ticket{}, err
	}
	if registrar == person {
		return Ticket{}, fmt.Errorf("%w: own recovery", act.ErrSelf)
	}
	standing, err := s.cfg.Accounts.Standing(ctx, person)
	if err != nil {
		return Ticket{}, err
	}
	if _, stopped := k.chain.Suspension(person, s.now()); stopped || standing.Level == identity.N0 {
		return Ticket{}, fmt.Errorf("%w: stopped by an act, or nothing proven", account.ErrState)
	}
	if _, err := machine.Person.Next(machine.State(standing.State), machine.Recover, approvedBy(act.Supervisor)); err != nil {
		return Ticket{}, fmt.Errorf("%w: %w", account.ErrState, err)
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.recovery.opened", Subject: person, Actor: actor(registrar), Object: string(person), Outcome: audit.OutcomeOK, Purpose: "recovery"})
	if err != nil {
		return Ticket{}, err
	}
	code, now, life := newCode(), s.now(), RecoveryLifetime
	if vouched {
		life = VouchedLifetime
	}
	keyed, err := s.codeKey(ctx, code)
	if err != nil {
		return Ticket{}, err
	}
	key, err := s.cfg.Keys.DataKey(ctx, string(person))
	if err != nil {
		return Ticket{}, err
	}
	t := store.Ticket{
		ID: identity.NewID(prefixTicket, now), Person: person, CodeKey: keyed, Browser: []byte{}, Recovery: true, Vouched: vouched, Created: now, Expires: now.Add(life),
	}
	t.CodeSealed = envelope.Seal(key, []byte(code), envelope.Place("enrolment_ticket", "code", t.ID))
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := store.VoidRecoveries(tx, person); err != nil {
			return err
		}
		if err := store.PutTicket(tx, t); err != nil {
			return err
		}
		var err error
		if t, err = store.TakeTicket(tx, t.ID, registrar, now.Add(CounterHold), now); err != nil {
			return err
		}
		_, err = s.cfg.Audit.Append(tx, entry)
		return err
	})
	out := ticketOf(t)
	out.Code = code
	return out, err
}

// recoveryOf returns the code of a ticket of recovery that a registrar has in hand,
// and whether its passkey is made.
func (s *Service) recoveryOf(ctx context.Context, registrar identity.PersonID, id string) (code string, made bool, err error) {
	t, err := s.held(ctx, registrar, id)
	if err != nil {
		return "", false, err
	}
	key, err := s.cfg.Keys.DataKey(ctx, string(t.Person))
	if err != nil {
		return "", false, err
	}
	raw, err := envelope.Open(key, t.CodeSealed, envelope.Place("enrolment_ticket", "code", t.ID))
	return string(raw), t.Credential != "", err
}

// ClaimRecovery binds a ticket of recovery to the one browser that shows its code
// first. ErrTicket for any other code, ErrTicketTaken if another browser was first.
func (s *Service) ClaimRecovery(ctx context.Context, typed string, browser []byte) error {
	t, err := s.ticketByCode(ctx, typed)
	if err != nil {
		return err
	}
	if !t.Recovery || t.State != store.TicketAtCounter || !s.now().Before(t.Expires) {
		return ErrTicket
	}
	bound := sha256.Sum256(browser)
	if slices.Equal(t.Browser, bound[:]) {
		return nil
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error { return store.ClaimTicket(tx, t.ID, bound[:]) })
	if errors.Is(err, store.ErrNone) {
		err = ErrTicketTaken
	}
	return err
}

// recovering returns the credential that a ticket of recovery made, if it is still
// pending; ErrKey before it is made.
func (s *Service) recovering(ctx context.Context, t store.Ticket) ([]act.KeyRecord, error) {
	have, err := s.cfg.Passkeys.Credentials(ctx, t.Person)
	if err != nil {
		return nil, err
	}
	for _, c := range have {
		if c.ID == t.Credential && c.State == passkey.Pending {
			r, err := record(c)
			return []act.KeyRecord{r}, err
		}
	}
	return nil, fmt.Errorf("%w: the new passkey is not made yet", ErrKey)
}

// recovered replaces what a person entered with, when her act is approved.
func (s *Service) recovered(tx *db.Tx, b *act.Enrolment, ticket string, by machine.Basis, have []passkey.Credential) error {
	now := s.now()
	if err := passkey.Lock(tx, b.Person); err != nil {
		return err
	}
	for _, c := range have {
		named := slices.ContainsFunc(b.Keys, func(r act.KeyRecord) bool { return slices.Equal(r.COSE, c.PublicKey) })
		do := machine.ReplaceKey
		switch {
		case c.State == passkey.Revoked, named && c.State == passkey.Active:
			continue
		case named:
			do = machine.ConfirmKey
		}
		if err := passkey.Move(tx, b.Person, c.ID, do, by, now); err != nil {
			return err
		}
	}
	if err := account.VoidCard(tx, by, b.Person, ticket, now); err != nil {
		return err
	}
	return account.RecoverIn(tx, by, b.Person, b.Level, "recovery", now)
}

// recovers reports whether a person signs her own recovery, with a passkey that is
// pending.
func recovers(b act.Body, person identity.PersonID) bool {
	e, ok := b.(*act.Enrolment)
	return ok && e.Replaces && e.Person == person
}

// pendingOf returns the pending passkey that a recovery names.
func (s *Service) pendingOf(ctx context.Context, b *act.Enrolment) (identity.CredentialID, error) {
	have, err := s.cfg.Passkeys.Credentials(ctx, b.Person)
	for _, c := range have {
		if c.State == passkey.Pending && slices.ContainsFunc(b.Keys, func(r act.KeyRecord) bool { return slices.Equal(r.COSE, c.PublicKey) }) {
			return c.ID, nil
		}
	}
	if err == nil {
		err = ErrKey
	}
	return "", err
}

// unmade reports whether the browser of a ticket of recovery may still make the
// one passkey of it.
func (s *Service) unmade(ctx context.Context, t Ticket) error {
	var row store.Ticket
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.TicketByID(tx, t.ID)
		return err
	})
	switch {
	case err != nil:
		return err
	case row.Credential != "", row.Card:
		return ErrHasKey
	case row.State != store.TicketAtCounter || row.Draft != "":
		return ErrTicketUsed
	}
	return nil
}
