package enrolment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// Fields that a registrar confirms one by one against the original document.
const (
	FieldOriginal  = "original" // the document itself is there and looks genuine
	FieldDocument  = "document"
	FieldGiven     = "given_names"
	FieldSurnames  = "surnames"
	FieldBirthDate = "birth_date"
)

// Fields of a recovery without a document.
const (
	FieldPresent = "present" // the person is there
	FieldAnswers = "answers" // she knows what stands in her record
)

// Fields returns what has to be confirmed.
func Fields() []string {
	return []string{FieldOriginal, FieldDocument, FieldGiven, FieldSurnames, FieldBirthDate}
}

// VouchedFields returns what has to be confirmed of somebody without a document.
func VouchedFields() []string { return []string{FieldPresent, FieldAnswers} }

// role demands that a person holds a role of staff now.
func (s *Service) role(ctx context.Context, p identity.PersonID, r act.Role, ins identity.InstitutionID) (*known, error) {
	k, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	return k, k.chain.HasRole(p, r, ins, s.now())
}

// OpenTicket puts a ticket into a registrar's hand for [CounterHold]. Errors:
// act.ErrRole, act.ErrSelf for the registrar's own, ErrTicket, ErrTicketExpired,
// ErrTicketUsed, ErrTicketTaken. The person sees the entry "her data were read".
func (s *Service) OpenTicket(ctx context.Context, registrar identity.PersonID, code string) (Ticket, error) {
	if _, err := s.role(ctx, registrar, act.Registrar, ""); err != nil {
		return Ticket{}, err
	}
	t, err := s.ticketByCode(ctx, code)
	if err != nil {
		return Ticket{}, err
	}
	if t.Person == registrar {
		return Ticket{}, fmt.Errorf("%w: own ticket", act.ErrSelf)
	}
	if t.Vouched {
		if err := s.undeciding(ctx, registrar, t.Person); err != nil {
			return Ticket{}, err
		}
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.read.ticket", Subject: t.Person, Actor: actor(registrar), Object: t.ID, Outcome: audit.OutcomeOK, Purpose: "enrolment"})
	if err != nil {
		return Ticket{}, err
	}
	now := s.now()
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		got, err := store.TakeTicket(tx, t.ID, registrar, now.Add(CounterHold), now)
		if errors.Is(err, store.ErrNone) {
			return whyNot(tx, t.ID, s.now().UnixMicro())
		}
		if err != nil {
			return err
		}
		t = got
		_, err = s.cfg.Audit.Append(tx, entry)
		return err
	})
	if err != nil {
		return Ticket{}, err
	}
	return ticketOf(t), nil
}

// whyNot says why a ticket could not be taken.
func whyNot(tx *db.Tx, id string, now int64) error {
	t, err := store.TicketByID(tx, id)
	switch {
	case errors.Is(err, store.ErrNone):
		return ErrTicket
	case err != nil:
		return err
	case t.State == store.TicketInReview || t.State == store.TicketDone || t.State == store.TicketVoid:
		return ErrTicketUsed
	case db.Micros(t.Expires) <= now:
		return ErrTicketExpired
	}
	return ErrTicketTaken
}

// held returns a ticket that the registrar has in hand, or ErrTicketHold.
func (s *Service) held(ctx context.Context, registrar identity.PersonID, id string) (t store.Ticket, err error) {
	if _, err := s.role(ctx, registrar, act.Registrar, ""); err != nil {
		return t, err
	}
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = store.TicketByID(tx, id)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return t, ErrTicketHold
	}
	if err == nil && (t.Registrar != registrar || t.State != store.TicketAtCounter || !s.now().Before(t.LockedUntil)) {
		err = ErrTicketHold
	}
	return t, err
}

// TicketInHand returns a ticket that the registrar has in hand and what its
// person said of herself, or ErrTicketHold.
func (s *Service) TicketInHand(ctx context.Context, registrar identity.PersonID, id string) (Ticket, identity.Profile, error) {
	t, err := s.held(ctx, registrar, id)
	if err != nil {
		return Ticket{}, identity.Profile{}, err
	}
	p, err := s.cfg.Accounts.Profile(ctx, t.Person)
	return ticketOf(t), p, err
}

// TicketsInHand lists what a registrar has in hand.
func (s *Service) TicketsInHand(ctx context.Context, registrar identity.PersonID) ([]Ticket, error) {
	var rows []store.Ticket
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.TicketsOf(tx, registrar, s.now())
		return err
	})
	out := make([]Ticket, len(rows))
	for i, t := range rows {
		out[i] = ticketOf(t)
	}
	return out, err
}

// ReleaseTicket lays a ticket back for any counter, or is ErrTicketHold.
func (s *Service) ReleaseTicket(ctx context.Context, registrar identity.PersonID, id string) error {
	err := s.cfg.DB.Write(ctx, func(tx *db.Tx) error { return store.ReleaseTicket(tx, id, registrar, s.now()) })
	if errors.Is(err, store.ErrNone) {
		err = ErrTicketHold
	}
	return err
}

// Verification is what a registrar found at the counter.
type Verification struct {
	Ticket    string
	Confirmed []string       // of Fields; all of them are needed
	Level     identity.Level // N2 for citizens, N3 for officials; zero means N2
}

// fact is what stands behind a commitment.
type fact struct {
	Salt  []byte `json:"salt"`
	Value string `json:"value"`
}

// Verify draws up the enrolment of the person whose ticket is in hand: level,
// passkeys and commitments to what was checked. The registrar and every passkey
// of the person sign it; then a second member of staff approves it. A field that
// is not confirmed is a [MismatchError].
func (s *Service) Verify(ctx context.Context, registrar identity.PersonID, v Verification) (Draft, error) {
	t, err := s.held(ctx, registrar, v.Ticket)
	if err != nil {
		return Draft{}, err
	}
	if err := s.ripe(ctx, registrar, t); err != nil {
		return Draft{}, err
	}
	var missing []string
	fields := Fields()
	if t.Vouched {
		fields = VouchedFields()
	}
	for _, f := range fields {
		if !slices.Contains(v.Confirmed, f) {
			missing = append(missing, f)
		}
	}
	if len(missing) > 0 {
		return Draft{}, &MismatchError{Fields: missing}
	}
	if v.Level == identity.N0 {
		v.Level = identity.N2
	}
	p, err := s.cfg.Accounts.Profile(ctx, t.Person)
	if err != nil {
		return Draft{}, err
	}
	keys, err := s.keysOf(ctx, t.Person)
	if t.Recovery {
		v.Level = min(v.Level, p.Level, identity.N2)
		if t.Vouched { // nobody saw a document
			v.Level = min(v.Level, identity.N1)
		}
		if keys = nil; !t.Card {
			keys, err = s.recovering(ctx, t)
		}
	}
	if err != nil {
		return Draft{}, err
	}
	if len(keys) == 0 && !t.Card {
		return Draft{}, fmt.Errorf("%w: neither passkey nor code card", ErrKey)
	}
	commits, sealed, err := s.facts(ctx, t, p)
	if err != nil {
		return Draft{}, err
	}
	k, err := s.load(ctx)
	if err != nil {
		return Draft{}, err
	}
	now := s.now()
	return s.propose(ctx, proposal{
		genesis: k.genesis, ticket: t.ID, life: CounterHold,
		body: &act.Enrolment{Person: t.Person, Level: v.Level, Keys: keys, Facts: commits, Registrar: registrar, Site: s.cfg.Site, Policy: s.cfg.Policy, Replaces: t.Recovery},
		with: func(tx *db.Tx, id identity.ActID) error {
			if err := store.DraftTicket(tx, t.ID, registrar, id, now.Add(CounterHold), now); errors.Is(err, store.ErrNone) {
				return ErrTicketHold
			} else if err != nil {
				return err
			}
			return store.PutFact(tx, id, t.Person, sealed)
		},
	})
}

// facts commits to what was checked and seals what stands behind it.
func (s *Service) facts(ctx context.Context, t store.Ticket, p identity.Profile) ([]act.Fact, []byte, error) {
	card := "no"
	if t.Card {
		card = "yes"
	}
	values := map[string]string{
		"birth_date": p.BirthDate.String(), "card": card, "document": string(p.Document.Type) + " " + p.Document.String(),
		"given_names": p.Name.Given, "surnames": p.Name.Surnames(),
	}
	labels := []string{"birth_date", "card", "document", "given_names", "surnames"}
	if t.Vouched {
		values["vouched"], labels = strconv.Itoa(TrustedNeeded), append(labels, "vouched")
	}
	behind := map[string]fact{}
	var commits []act.Fact
	for _, label := range labels {
		f := fact{Salt: act.NewSalt(), Value: values[label]}
		c, err := act.Commit(label, f.Salt, []byte(f.Value))
		if err != nil {
			return nil, nil, err
		}
		behind[label] = f
		commits = append(commits, c)
	}
	raw, err := json.Marshal(behind)
	if err != nil {
		return nil, nil, err
	}
	key, err := s.cfg.Keys.DataKey(ctx, string(t.Person))
	if err != nil {
		return nil, nil, err
	}
	return commits, envelope.Seal(key, raw, envelope.Place("enrolment_fact", "sealed", t.ID)), nil
}
