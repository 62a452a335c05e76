package enrolment

import (
	"context"
	"errors"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// ErrFounding reports a founding that waits for its signatures already.
var ErrFounding = errors.New("enrolment: a founding is under way")

// Founding is how far the founding of a deployment is.
type Founding struct {
	// Hash is that of the founding act, zero before it is signed by all.
	Hash act.Hash
	// Founded is when the last of them signed.
	Founded time.Time
	// Draft waits for signatures; its ID is empty if none does.
	Draft Draft
}

// Founding returns how far the founding is.
func (s *Service) Founding(ctx context.Context) (Founding, error) {
	k, err := s.load(ctx)
	if err == nil {
		f := Founding{Hash: k.genesis}
		return f, s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
			f.Founded, err = store.FoundedAt(tx)
			return err
		})
	}
	if !errors.Is(err, ErrNoGenesis) {
		return Founding{}, err
	}
	var id identity.ActID
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		id, err = store.OpenGenesis(tx, s.now())
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return Founding{}, nil
	}
	if err != nil {
		return Founding{}, err
	}
	d, err := s.Draft(ctx, id)
	return Founding{Draft: d}, err
}

// ProposeGenesis is BeginGenesis for an operator: it is recorded, and while one
// founding waits for its signatures another is [ErrFounding].
func (s *Service) ProposeGenesis(ctx context.Context, actor string, r GenesisRequest) (Draft, error) {
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.genesis.proposed", Actor: actor, Outcome: "proposed"})
	if err != nil {
		return Draft{}, err
	}
	return s.beginGenesis(ctx, r, func(tx *db.Tx, _ identity.ActID) error {
		if err := tx.Lock("enrolment founding"); err != nil {
			return err
		}
		n, err := store.OpenGeneses(tx, s.now())
		if err != nil {
			return err
		}
		if n > 1 { // another beside this
			return ErrFounding
		}
		_, err = s.cfg.Audit.Append(tx, entry)
		return err
	})
}

// CancelGenesis takes back the founding that waits for its signatures; what was
// signed of it counts for nothing. ErrDraft if none waits, ErrGenesisDone once
// the deployment is founded.
func (s *Service) CancelGenesis(ctx context.Context, actor string) error {
	f, err := s.Founding(ctx)
	switch {
	case err != nil:
		return err
	case !f.Hash.IsZero():
		return ErrGenesisDone
	case f.Draft.ID == "":
		return ErrDraft
	}
	return s.recorded(ctx, audit.Entry{Kind: "enrolment.genesis.cancelled", Actor: actor, Object: string(f.Draft.ID), Outcome: "cancelled"}, func(tx *db.Tx) error {
		if err := store.DropDraft(tx, f.Draft.ID); errors.Is(err, store.ErrNone) {
			return ErrDone // the last signature came first
		} else if err != nil {
			return err
		}
		return nil
	})
}

// Candidate is a person who registered, as those who found a deployment see her
// before she becomes a founder.
type Candidate struct {
	Ticket  string
	Profile identity.Profile
	Keys    int // active passkeys
}

// Candidate returns whose ticket a code is, for a founding. The person sees the
// entry "her data were read". Errors: ErrTicket, ErrTicketExpired, ErrTicketUsed.
func (s *Service) Candidate(ctx context.Context, actor, code string) (Candidate, error) {
	t, err := s.ticketByCode(ctx, code)
	switch {
	case err != nil:
		return Candidate{}, err
	case !s.now().Before(t.Expires):
		return Candidate{}, ErrTicketExpired
	case t.State != store.TicketOpen:
		return Candidate{}, ErrTicketUsed
	}
	p, err := s.ReadPerson(ctx, actor, t.Person, "founding")
	if err != nil {
		return Candidate{}, err
	}
	keys, err := s.keysOf(ctx, t.Person)
	return Candidate{Ticket: t.ID, Profile: p, Keys: len(keys)}, err
}
