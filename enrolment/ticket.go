package enrolment

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// Ticket is a pre-registration on its way to a counter.
type Ticket struct {
	ID          string
	Person      identity.PersonID
	State       string // abierto, en_mostrador, en_revision, hecho, anulado
	Registrar   identity.PersonID
	LockedUntil time.Time
	Draft       identity.ActID // of the enrolment, once it is drawn up
	Card        bool           // a code card was printed
	Recovery    bool           // of somebody who is known already
	Vouched     bool           // without a document, by her people of trust
	Expires     time.Time
	// Code is what the person shows at the counter, "XXXX-XXXX"; only where the
	// browser that registered asks.
	Code string
}

func ticketOf(t store.Ticket) Ticket {
	return Ticket{ID: t.ID, Person: t.Person, State: t.State, Registrar: t.Registrar, LockedUntil: t.LockedUntil, Draft: t.Draft, Card: t.Card, Recovery: t.Recovery, Vouched: t.Vouched, Expires: t.Expires}
}

const (
	prefixTicket = "tic"
	// codeAlphabet is Crockford's: no I, L, O, U.
	codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	codeLen      = 8 // 40 bits: it is no factor, but not to be guessed either
	keyOwner     = "system:enrolment"
)

func newCode() string {
	var b [codeLen]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	out := make([]byte, codeLen)
	for i := range b {
		out[i] = codeAlphabet[b[i]&31]
	}
	return string(out[:4]) + "-" + string(out[4:])
}

// normalCode reads a code as people type it; "" if it cannot be one.
func normalCode(s string) string {
	if len(s) > 40 {
		return ""
	}
	s = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '-', '\t':
			return -1
		case 'O':
			return '0'
		case 'I', 'L':
			return '1'
		}
		return r
	}, strings.ToUpper(s))
	if len(s) != codeLen || strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(codeAlphabet, r) }) {
		return ""
	}
	return s[:4] + "-" + s[4:]
}

// codeKey is how a code is looked up.
func (s *Service) codeKey(ctx context.Context, code string) ([]byte, error) {
	key, err := s.cfg.Keys.DataKey(ctx, keyOwner)
	if err != nil {
		return nil, err
	}
	k := envelope.Derive(key, "suti/enrolment/ticket-code/v1")
	m := hmac.New(sha256.New, k.Reveal())
	m.Write([]byte(code))
	return m.Sum(nil), nil
}

// Register takes down what a person says of herself, at N0, and gives her a
// ticket for the counter. browser is the secret of the browser's cookie, which
// can go on with the registration for [BrowserHold].
func (s *Service) Register(ctx context.Context, in account.Registration, browser []byte) (Ticket, error) {
	person, err := s.cfg.Accounts.Register(ctx, in)
	if err != nil {
		return Ticket{}, err
	}
	code, now := newCode(), s.now()
	keyed, err := s.codeKey(ctx, code)
	if err != nil {
		return Ticket{}, err
	}
	key, err := s.cfg.Keys.DataKey(ctx, string(person))
	if err != nil {
		return Ticket{}, err
	}
	bound := sha256.Sum256(browser)
	t := store.Ticket{ID: identity.NewID(prefixTicket, now), Person: person, CodeKey: keyed, Browser: bound[:], State: store.TicketOpen, Created: now, Expires: now.Add(TicketLifetime)}
	t.CodeSealed = envelope.Seal(key, []byte(code), envelope.Place("enrolment_ticket", "code", t.ID))
	if err := s.cfg.DB.Write(ctx, func(tx *db.Tx) error { return store.PutTicket(tx, t) }); err != nil {
		return Ticket{}, err
	}
	out := ticketOf(t)
	out.Code = code
	return out, nil
}

// TicketOfBrowser returns the ticket that a browser made within [BrowserHold],
// with its code, or ErrTicket.
func (s *Service) TicketOfBrowser(ctx context.Context, browser []byte) (Ticket, error) {
	bound := sha256.Sum256(browser)
	var t store.Ticket
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = store.TicketByBrowser(tx, bound[:], s.now().Add(-BrowserHold))
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return Ticket{}, ErrTicket
	}
	if err != nil {
		return Ticket{}, err
	}
	key, err := s.cfg.Keys.DataKey(ctx, string(t.Person))
	if err != nil {
		return Ticket{}, err
	}
	code, err := envelope.Open(key, t.CodeSealed, envelope.Place("enrolment_ticket", "code", t.ID))
	if err != nil {
		return Ticket{}, err
	}
	out := ticketOf(t)
	out.Code = string(code)
	return out, nil
}

// ticketByCode returns a ticket by what a person typed, or ErrTicket.
func (s *Service) ticketByCode(ctx context.Context, typed string) (t store.Ticket, err error) {
	code := normalCode(typed)
	if code == "" {
		return t, ErrTicket
	}
	key, err := s.codeKey(ctx, code)
	if err != nil {
		return t, err
	}
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = store.TicketByCode(tx, key)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		err = ErrTicket
	}
	return t, err
}

// TicketByCode returns a ticket by its code, for an operator who prepares the
// founding; ErrTicket if there is none. It tells nothing but whose it is.
func (s *Service) TicketByCode(ctx context.Context, typed string) (Ticket, error) {
	t, err := s.ticketByCode(ctx, typed)
	return ticketOf(t), err
}

// BeginKey starts the making of the one passkey that a registering browser may
// make. ErrTicket if the browser has no registration, ErrHasKey if it made one,
// ErrTicketUsed once the counter has begun.
func (s *Service) BeginKey(ctx context.Context, browser []byte) (passkey.Ceremony, error) {
	t, err := s.fresh(ctx, browser)
	if err != nil {
		return passkey.Ceremony{}, err
	}
	p, err := s.cfg.Accounts.Profile(ctx, t.Person)
	if err != nil {
		return passkey.Ceremony{}, err
	}
	return s.cfg.Passkeys.BeginRegistration(ctx, passkey.Begin{Purpose: passkey.Enrol, Person: t.Person, Binding: bindBrowser(browser)}, p.Name.Full())
}

// FinishKey ends what BeginKey began.
func (s *Service) FinishKey(ctx context.Context, browser []byte, ceremony string, response []byte, label string) (passkey.Credential, error) {
	t, err := s.fresh(ctx, browser)
	if err != nil {
		return passkey.Credential{}, err
	}
	if t.Recovery {
		c, err := s.cfg.Passkeys.FinishRegistration(ctx, inCounter, ceremony, passkey.Enrol, bindBrowser(browser), response, label)
		if err != nil {
			return c, err
		}
		err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error { return store.MadeKey(tx, t.ID, c.ID) })
		if errors.Is(err, store.ErrNone) {
			err = ErrHasKey // another of the same browser was faster: this one stays pending, which is nothing
		}
		return c, err
	}
	return s.cfg.Passkeys.FinishRegistration(ctx, machine.Basis{By: machine.Browser, With: machine.Secret}, ceremony, passkey.Enrol, bindBrowser(browser), response, label)
}

// fresh returns the browser's ticket if it is open and its person has no passkey.
func (s *Service) fresh(ctx context.Context, browser []byte) (Ticket, error) {
	t, err := s.TicketOfBrowser(ctx, browser)
	if err != nil {
		return t, err
	}
	if t.Recovery {
		return t, s.unmade(ctx, t)
	}
	if t.State != store.TicketOpen {
		return t, ErrTicketUsed
	}
	have, err := s.cfg.Passkeys.Credentials(ctx, t.Person)
	if err == nil && len(have) > 0 {
		err = ErrHasKey
	}
	return t, err
}

// Said returns what the person said of herself whose registration a browser made
// and can still correct: ErrTicket, ErrHasKey or ErrTicketUsed as for BeginKey.
func (s *Service) Said(ctx context.Context, browser []byte) (identity.Profile, error) {
	t, err := s.fresh(ctx, browser)
	if err == nil && t.Recovery {
		err = ErrTicketUsed // what is proven is not corrected like that
	}
	if err != nil {
		return identity.Profile{}, err
	}
	return s.cfg.Accounts.Profile(ctx, t.Person)
}

// Correct replaces what a person said of herself until she has a passkey or a
// counter has begun; her ticket stays the same. Errors are those of Said, and
// account.ErrExists.
func (s *Service) Correct(ctx context.Context, in account.Registration, browser []byte) error {
	t, err := s.fresh(ctx, browser)
	if err == nil && t.Recovery {
		err = ErrTicketUsed
	}
	if err != nil {
		return err
	}
	return s.cfg.Accounts.Correct(ctx, t.Person, in, func(tx *db.Tx) error {
		if err := usedIf(store.TouchTicket(tx, t.ID)); err != nil {
			return err
		}
		if has, err := passkey.Has(tx, t.Person); err != nil {
			return err
		} else if has {
			return ErrHasKey
		}
		return nil
	})
}

func bindBrowser(browser []byte) []byte {
	sum := sha256.Sum256(append([]byte("suti/enrolment/browser\x00"), browser...))
	return sum[:]
}

// DraftByCode returns the draft that waits for the signature of the person whose
// ticket has that code, the enrolment at the counter or the founding, and the
// ticket's id. ErrTicket if there is no such ticket, ErrDraft if nothing waits.
func (s *Service) DraftByCode(ctx context.Context, code string) (Draft, string, error) {
	t, err := s.ticketByCode(ctx, code)
	if err != nil {
		return Draft{}, "", err
	}
	var id identity.ActID
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		id, err = store.OpenDraftOf(tx, t.Person, s.now())
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return Draft{}, "", ErrDraft
	}
	if err != nil {
		return Draft{}, "", err
	}
	d, err := s.Draft(ctx, id)
	return d, t.ID, err
}

// draftOfTicket returns a draft that the person of a ticket signs without a
// session, and the person; ErrDraft for any other. The passkey decides who signs.
func (s *Service) draftOfTicket(ctx context.Context, ticket string, id identity.ActID) (Draft, identity.PersonID, error) {
	if identity.CheckID(prefixTicket, ticket) != nil {
		return Draft{}, "", ErrDraft
	}
	var t store.Ticket
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = store.TicketByID(tx, ticket)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return Draft{}, "", ErrDraft
	}
	if err != nil {
		return Draft{}, "", err
	}
	d, err := s.Draft(ctx, id)
	if err != nil {
		return d, "", err
	}
	needed := slices.ContainsFunc(d.Needs, func(n Need) bool { return n.Person == t.Person })
	e, enrolment := d.Statement.Body.(*act.Enrolment)
	if !needed || enrolment && e.Person != t.Person || !enrolment && d.Statement.Body.Kind() != act.KindGenesis {
		return d, "", ErrDraft
	}
	return d, t.Person, nil
}
