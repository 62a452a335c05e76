package enrolment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// People of trust: whom a person names, while she can enter, to say that she is
// herself when she has lost everything, her document included. Design note 0025.

// Rules of people of trust.
const (
	// TrustedNeeded so many must vouch.
	TrustedNeeded = 2
	// TrustedMost a person names at most, and TrustedServes people somebody serves.
	TrustedMost   = 5
	TrustedServes = 3
	// TrustedSettle is how long ago somebody must have accepted.
	TrustedSettle = 7 * 24 * time.Hour
	// VouchWait runs from the voucher that makes it enough; she can object meanwhile.
	VouchWait = 72 * time.Hour
	// VouchedLifetime is how long a recovery without a document waits.
	VouchedLifetime = 14 * 24 * time.Hour
	maxAlias        = 60 // characters
)

// Errors of people of trust.
var (
	// ErrTrusted reports that a rule of people of trust is not met: of too few,
	// too many, too short a time, or a member of staff who is one of them.
	ErrTrusted = errors.New("enrolment: not by the rules of people of trust")
	// ErrWaits reports a recovery whose vouchers, or whose time of waiting, lack still.
	ErrWaits = errors.New("enrolment: the recovery waits")
)

// Trusted is somebody whom a person named, or who named her.
type Trusted struct {
	ID string
	// Alias is what the owner calls her; only the owner sees it.
	Alias string
	// Owner is set for the one who was named.
	Owner    identity.PersonID
	Accepted bool
	// Counts is from when she counts; zero before she accepted.
	Counts time.Time
}

// NameTrusted asks whoever has proven to hold a document to be one of a person's
// people of trust. It succeeds whether or not there is such a person, so that
// nobody learns from it who is registered. ErrTrusted for oneself or too many,
// ErrInput for a bad alias, account.ErrState below N2.
func (s *Service) NameTrusted(ctx context.Context, owner identity.PersonID, doc identity.Document, alias string) error {
	alias = strings.Join(strings.Fields(alias), " ")
	if alias == "" || !utf8.ValidString(alias) || utf8.RuneCountInString(alias) > maxAlias {
		return fmt.Errorf("%w: alias", ErrInput)
	}
	if p, err := s.cfg.Accounts.Standing(ctx, owner); err != nil {
		return err
	} else if p.Level < identity.N2 {
		return fmt.Errorf("%w: below N2", account.ErrState)
	}
	contact, err := s.cfg.Accounts.FindByDocument(ctx, doc)
	if err != nil && !errors.Is(err, account.ErrUnknown) {
		return err
	}
	if contact == owner {
		return fmt.Errorf("%w: oneself", ErrTrusted)
	}
	row, err := machine.Trust.Next(machine.Nothing, machine.NameTrusted, machine.Basis{By: machine.Holder, With: machine.Key})
	if err != nil {
		return err
	}
	key, err := s.cfg.Keys.DataKey(ctx, string(owner))
	if err != nil {
		return err
	}
	now := s.now()
	t := store.Trusted{ID: identity.NewID("tru", now), Owner: owner, Contact: contact, State: string(row.To), Created: now}
	t.Alias = envelope.Seal(key, []byte(alias), envelope.Place("enrolment_trusted", "alias", t.ID))
	entries, err := s.trustEntries(ctx, "named", t)
	if err != nil {
		return err
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		have, err := store.TrustedOf(tx, owner)
		if err == nil && len(have) >= TrustedMost {
			err = fmt.Errorf("%w: %d are named", ErrTrusted, len(have))
		}
		if err == nil {
			err = store.PutTrusted(tx, t)
		}
		return s.append(tx, err, entries)
	})
	if db.IsUnique(err, "enrolment_trusted_pair") {
		return nil // named already: the list shows it
	}
	return err
}

// trustEntries prepares what the owner and the contact read of a change.
func (s *Service) trustEntries(ctx context.Context, what string, t store.Trusted) (out []*audit.Prepared, err error) {
	for _, person := range []identity.PersonID{t.Owner, t.Contact} {
		if person == "" {
			continue
		}
		by := t.Owner
		if what == "accepted" {
			by = t.Contact
		}
		kind := "enrolment.trusted." + what
		if person == t.Contact {
			kind = "enrolment.trusting." + what
		}
		e, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: kind, Subject: person, Actor: actor(by), Object: t.ID, Outcome: audit.OutcomeOK})
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// append writes entries unless there is an error.
func (s *Service) append(tx *db.Tx, err error, entries []*audit.Prepared) error {
	for _, e := range entries {
		if err == nil {
			_, err = s.cfg.Audit.Append(tx, e)
		}
	}
	return err
}

// TrustedOf lists whom a person named.
func (s *Service) TrustedOf(ctx context.Context, owner identity.PersonID) ([]Trusted, error) {
	key, err := s.cfg.Keys.DataKey(ctx, string(owner))
	if err != nil {
		return nil, err
	}
	var rows []store.Trusted
	if err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.TrustedOf(tx, owner)
		return err
	}); err != nil {
		return nil, err
	}
	out := make([]Trusted, len(rows))
	for i, t := range rows {
		alias, err := envelope.Open(key, t.Alias, envelope.Place("enrolment_trusted", "alias", t.ID))
		if err != nil {
			return nil, err
		}
		out[i] = trustedView(t)
		out[i].Alias, out[i].Owner = string(alias), ""
	}
	return out, nil
}

func trustedView(t store.Trusted) Trusted {
	out := Trusted{ID: t.ID, Owner: t.Owner, Accepted: t.State == string(machine.TrustAccepted)}
	if out.Accepted {
		out.Counts = t.Accepted.Add(TrustedSettle)
	}
	return out
}

// TrustingIn lists who named a person.
func (s *Service) TrustingIn(ctx context.Context, contact identity.PersonID) (out []Trusted, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := store.TrustingIn(tx, contact)
		out = nil
		for _, t := range rows {
			out = append(out, trustedView(t))
		}
		return err
	})
	return out, err
}

// AcceptTrusted accepts to be one of somebody's people of trust; the contact has
// to be at N2, and serves at most [TrustedServes].
func (s *Service) AcceptTrusted(ctx context.Context, contact identity.PersonID, id string) error {
	if p, err := s.cfg.Accounts.Standing(ctx, contact); err != nil {
		return err
	} else if p.Level < identity.N2 {
		return fmt.Errorf("%w: below N2", account.ErrState)
	}
	return s.moveTrusted(ctx, contact, id, "accepted", machine.AcceptTrusted, machine.Basis{By: machine.Contact, With: machine.Key})
}

// EndTrusted ends a trust, for either side, at once.
func (s *Service) EndTrusted(ctx context.Context, person identity.PersonID, id string) error {
	return s.moveTrusted(ctx, person, id, "ended", machine.EndTrusted, machine.Basis{With: machine.Session})
}

func (s *Service) moveTrusted(ctx context.Context, person identity.PersonID, id, what string, do machine.Command, b machine.Basis) error {
	if identity.CheckID("tru", id) != nil {
		return ErrUnknown
	}
	var t store.Trusted
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = store.TrustedByID(tx, id)
		return err
	})
	if errors.Is(err, store.ErrNone) || err == nil && person != t.Owner && (person != t.Contact || person == "") {
		return ErrUnknown
	}
	if err != nil {
		return err
	}
	if b.By == "" {
		if b.By = machine.Holder; person == t.Contact {
			b.By = machine.Contact
		}
	}
	if b.By == machine.Contact && person != t.Contact {
		return ErrUnknown
	}
	entries, err := s.trustEntries(ctx, what, t)
	if err != nil {
		return err
	}
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		t, err := store.TrustedByID(tx, id)
		if err != nil {
			return err
		}
		row, err := machine.Trust.Next(machine.State(t.State), do, b)
		if err != nil {
			return fmt.Errorf("%w: %w", account.ErrState, err)
		}
		if do == machine.AcceptTrusted {
			serves, err := store.TrustingIn(tx, person)
			if err != nil {
				return err
			}
			n := 0
			for _, x := range serves {
				if x.State == string(machine.TrustAccepted) {
					n++
				}
			}
			if n >= TrustedServes {
				return fmt.Errorf("%w: serves %d already", ErrTrusted, n)
			}
		}
		err = store.MoveTrusted(tx, id, t.State, string(row.To), s.now())
		if errors.Is(err, store.ErrNone) {
			err = account.ErrState
		}
		return s.append(tx, err, entries)
	})
}

// settled returns who counts as a person of trust of somebody for a recovery that
// began at a time.
func settled(q db.Querier, owner identity.PersonID, at time.Time) (out []identity.PersonID, err error) {
	rows, err := store.TrustedOf(q, owner)
	for _, t := range rows {
		if t.State == string(machine.TrustAccepted) && !t.Accepted.Add(TrustedSettle).After(at) {
			out = append(out, t.Contact)
		}
	}
	return out, err
}

// undeciding refuses a member of staff who is one of the people of trust of
// somebody: who vouches does not decide, and who decides does not vouch.
func (s *Service) undeciding(ctx context.Context, staff, person identity.PersonID) error {
	return s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := store.TrustedOf(tx, person)
		if err == nil && slices.ContainsFunc(rows, func(t store.Trusted) bool { return t.Contact == staff }) {
			err = fmt.Errorf("%w: is one of those who vouch", ErrTrusted)
		}
		return err
	})
}

// OpenVouched opens a recovery of somebody who has no document either, for a
// registrar who is none of her people of trust. It leads on when enough of them
// have vouched and the time of waiting is over. ErrTrusted if she has too few;
// else as OpenRecovery.
func (s *Service) OpenVouched(ctx context.Context, registrar, person identity.PersonID) (Ticket, error) {
	if err := s.undeciding(ctx, registrar, person); err != nil {
		return Ticket{}, err
	}
	if _, err := machine.Vouching.Next(machine.Nothing, machine.OpenVouching, machine.Basis{By: machine.Registrar, With: machine.Another}); err != nil {
		return Ticket{}, err
	}
	var count []identity.PersonID
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		count, err = settled(tx, person, s.now())
		return err
	})
	if err == nil && len(count) < TrustedNeeded {
		err = fmt.Errorf("%w: %d count", ErrTrusted, len(count))
	}
	if err != nil {
		return Ticket{}, err
	}
	return s.openRecovery(ctx, registrar, person, true)
}

// Vouching is how far a recovery without a document is.
type Vouching struct {
	State machine.State
	Have  int
	// Ripe is when the time of waiting is over; zero before enough have vouched.
	Ripe time.Time
}

// vouching reads how far a recovery is.
func (s *Service) vouching(q db.Querier, t store.Ticket) (Vouching, error) {
	rows, err := store.Vouches(q, t.ID)
	v := Vouching{State: machine.VouchOpen, Have: len(rows)}
	switch {
	case len(rows) >= TrustedNeeded:
		v.State, v.Ripe = machine.VouchTwo, rows[TrustedNeeded-1].At.Add(VouchWait)
		if !s.now().Before(v.Ripe) {
			row, err := machine.Vouching.Next(v.State, machine.Ripen, machine.Basis{By: machine.System, With: machine.Waited})
			if err != nil {
				return v, err
			}
			v.State = row.To
		}
	case len(rows) > 0:
		v.State = machine.VouchOne
	}
	return v, err
}

// VouchingOf says how far a recovery without a document is, for the registrar
// who has it in hand.
func (s *Service) VouchingOf(ctx context.Context, registrar identity.PersonID, ticket string) (v Vouching, err error) {
	t, err := s.held(ctx, registrar, ticket)
	if err != nil || !t.Vouched {
		return v, err
	}
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		v, err = s.vouching(tx, t)
		return err
	})
	return v, err
}

// Vouch says that the person who gave a code is the one whom contact knows. The
// code is of a recovery of somebody who trusts contact since long enough; any
// other is ErrTicket. Who has vouched already vouches no second time.
func (s *Service) Vouch(ctx context.Context, contact identity.PersonID, code string) error {
	t, err := s.ticketByCode(ctx, code)
	if err != nil {
		return err
	}
	now := s.now()
	if !t.Vouched || t.State != store.TicketAtCounter && t.State != store.TicketOpen || !now.Before(t.Expires) {
		return ErrTicket
	}
	said, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.recovery.vouched", Subject: t.Person, Actor: actor(contact), Object: t.ID, Outcome: audit.OutcomeOK})
	if err != nil {
		return err
	}
	did, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.vouched", Subject: contact, Actor: actor(contact), Object: t.ID, Outcome: audit.OutcomeOK})
	if err != nil {
		return err
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		count, err := settled(tx, t.Person, t.Created)
		if err != nil {
			return err
		}
		if !slices.Contains(count, contact) {
			return ErrTicket
		}
		v, err := s.vouching(tx, t)
		if err != nil {
			return err
		}
		if v.State == machine.VouchOpen || v.State == machine.VouchOne {
			if _, err := machine.Vouching.Next(v.State, machine.VouchFor, machine.Basis{By: machine.Contact, With: machine.Settled}); err != nil {
				return err
			}
		}
		err = store.PutVouch(tx, t.ID, store.Vouch{Contact: contact, At: now})
		return s.append(tx, err, []*audit.Prepared{said, did})
	})
	if db.IsUnique(err, "enrolment_vouch") {
		err = ErrDone
	}
	return err
}

// ripe refuses to draw up a recovery without a document before its time, or by
// one of those who vouch.
func (s *Service) ripe(ctx context.Context, registrar identity.PersonID, t store.Ticket) error {
	if !t.Vouched {
		return nil
	}
	if err := s.undeciding(ctx, registrar, t.Person); err != nil {
		return err
	}
	return s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		v, err := s.vouching(tx, t)
		if err == nil && v.State != machine.VouchRipe {
			err = ErrWaits
		}
		return err
	})
}

// OwnRecovery returns when a recovery of a person was opened that is not in
// effect; false if there is none.
func (s *Service) OwnRecovery(ctx context.Context, person identity.PersonID) (at time.Time, open bool, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		t, err := store.OpenRecoveryOf(tx, person, s.now())
		at, open = t.Created, err == nil
		if errors.Is(err, store.ErrNone) {
			err = nil
		}
		return err
	})
	return at, open, err
}

// CancelRecovery ends every recovery of a person that is not in effect: she says
// that it is not hers. ErrDone if there is none.
func (s *Service) CancelRecovery(ctx context.Context, person identity.PersonID) error {
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.recovery.cancelled", Subject: person, Actor: actor(person), Object: string(person), Outcome: audit.OutcomeOK})
	if err != nil {
		return err
	}
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := store.CancelRecoveries(tx, person)
		if err == nil && n == 0 {
			err = ErrDone
		}
		return s.append(tx, err, []*audit.Prepared{entry})
	})
}

// deciding refuses the approval of a recovery without a document by one of those
// who vouch.
func (s *Service) deciding(ctx context.Context, approver identity.PersonID, w Waiting) error {
	b, ok := w.Statement.Body.(*act.Enrolment)
	if !ok || !b.Replaces {
		return nil
	}
	row, err := s.row(ctx, w.ID)
	if err != nil {
		return err
	}
	var t store.Ticket
	if err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		t, err = store.TicketByID(tx, row.Ticket)
		return err
	}); err != nil || !t.Vouched {
		return err
	}
	return s.undeciding(ctx, approver, b.Person)
}
