package enrolment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

// known is the chain as of its last act that this process has read.
type known struct {
	chain   *act.Chain
	head    int64
	genesis act.Hash
}

// load returns the chain of all acts stored by now; ErrNoGenesis before the
// founding. It reads only the acts that are new.
func (s *Service) load(ctx context.Context) (*known, error) {
	s.mu.Lock()
	have := s.known
	s.mu.Unlock()
	var rows []store.Act
	var genesis []byte
	var head int64
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows = nil
		if genesis, head, err = store.Chain(tx); err != nil || have != nil && have.head == head {
			return err
		}
		after := int64(0)
		if have != nil {
			after = have.head
		}
		rows, err = store.ActsAfter(tx, after)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return nil, ErrNoGenesis
	}
	if err != nil || len(rows) == 0 {
		return have, err
	}
	next := &known{head: head, genesis: act.Hash(genesis)}
	fresh := make([]*act.Signed, len(rows))
	for i, r := range rows {
		if fresh[i], err = act.Parse(r.Raw); err != nil {
			return nil, fmt.Errorf("stored act %s: %w", r.ID, err)
		}
	}
	if have == nil {
		next.chain, err = act.Build(next.genesis, fresh)
	} else {
		next.chain, err = have.chain.Extend(fresh...)
	}
	if err != nil {
		return nil, fmt.Errorf("stored acts: %w", err)
	}
	s.keep(next)
	return next, nil
}

// keep remembers a chain unless a later one is known.
func (s *Service) keep(k *known) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || s.known.head < k.head {
		s.known = k
	}
}

// Genesis returns the hash of the founding act, which the signing core pins, or
// ErrNoGenesis.
func (s *Service) Genesis(ctx context.Context) (act.Hash, error) {
	k, err := s.load(ctx)
	if err != nil {
		return act.Hash{}, err
	}
	return k.genesis, nil
}

// Chain returns the chain of all acts, or ErrNoGenesis.
func (s *Service) Chain(ctx context.Context) (*act.Chain, error) {
	k, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	return k.chain, nil
}

// effects is what an act changes beside the chain, in its transaction.
type effects struct {
	entry audit.Entry
	apply func(tx *db.Tx) error // may be nil
	after string                // a failpoint behind the commit; may be empty
}

// admitted stores an act that a chain has admitted under number head+1.
func (s *Service) admitted(ctx context.Context, signed *act.Signed, d store.Draft, head int64, first func(tx *db.Tx) error, e effects) error {
	raw, err := signed.Marshal()
	if err != nil {
		return err
	}
	e.entry.Subject, e.entry.Actor, e.entry.Object, e.entry.Leaf = d.Person, actor(d.Author), string(d.ID), signed.Leaf()
	if e.entry.Outcome == "" {
		e.entry.Outcome = audit.OutcomeOK
	}
	entry, err := s.cfg.Audit.Prepare(ctx, e.entry)
	if err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.EnrolActBeforeCommit); err != nil {
		return err
	}
	now, hash := s.now(), signed.Hash()
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := first(tx); err != nil {
			return err
		}
		if err := store.FinishDraft(tx, d.ID, now); err != nil {
			return doneIf(err)
		}
		for _, n := range d.Needs {
			if recovers(signed.Statement().Body, n.Person) {
				continue // who stopped herself comes back by this; its approval asks the table
			}
			who, err := subject.Current(tx, n.Person)
			if err != nil {
				return err
			}
			if who.State != subject.Active {
				return subject.ErrNotActive
			}
		}
		if err := store.PutAct(tx, store.Act{Seq: head + 1, ID: d.ID, Hash: hash[:], Kind: d.Kind, Person: d.Person, Author: d.Author, Raw: raw, At: now}); err != nil {
			return err
		}
		if e.apply != nil {
			if err := e.apply(tx); err != nil {
				return err
			}
		}
		if _, err := s.cfg.Audit.Append(tx, entry); err != nil {
			return err
		}
		return outbox.Put(tx, outbox.Message{ID: "act-" + string(d.ID), Topic: TopicAct, Key: "acts", Payload: []byte(d.ID)})
	})
	if err != nil {
		return err
	}
	for _, point := range []string{failpoint.EnrolActAfterCommit, e.after} {
		if point == "" {
			continue
		}
		if err := failpoint.Hit(point); err != nil {
			return err
		}
	}
	return nil
}

func doneIf(err error) error {
	if errors.Is(err, store.ErrNone) {
		return ErrDone
	}
	return err
}

// errMoved reports that another act was stored since the chain was read.
var errMoved = errors.New("enrolment: chain has moved on")

// maxRounds bounds how often an act is judged anew because others came first.
const maxRounds = 20

// admit judges a signed act by the present chain and stores it with its effects.
func (s *Service) admit(ctx context.Context, signed *act.Signed, d store.Draft) error {
	for range maxRounds {
		k, err := s.load(ctx)
		if err != nil {
			return err
		}
		next, err := k.chain.Admit(signed, s.now())
		if err != nil {
			return err
		}
		// An act that is older than others must not undo what these did: then it
		// has to be made again, later than they.
		if len(next.Refusals()) > len(k.chain.Refusals()) {
			return ErrRace
		}
		e, err := s.effectsOf(ctx, k.chain, signed)
		if err != nil {
			return err
		}
		err = s.admitted(ctx, signed, d, k.head, func(tx *db.Tx) error {
			if err := store.Advance(tx, k.head); errors.Is(err, store.ErrNone) {
				return errMoved
			} else if err != nil {
				return err
			}
			return nil
		}, e)
		if errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return err
		}
		s.keep(&known{chain: next, head: k.head + 1, genesis: k.genesis})
		return nil
	}
	return ErrRace
}

// tell hands an act to the signing core.
func (s *Service) tell(ctx context.Context, m outbox.Message) error {
	if s.cfg.Acts == nil {
		return nil
	}
	var a store.Act
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = store.ActByID(tx, identity.ActID(m.Payload))
		return err
	})
	if errors.Is(err, store.ErrNone) {
		return fmt.Errorf("act %q is not stored: %w", m.ID, outbox.ErrPermanent)
	}
	if err != nil {
		return err
	}
	return s.cfg.Acts.AcceptAct(ctx, a.Raw)
}

// timeAfter returns now, or the least time after t that acts can tell apart.
func timeAfter(now, t time.Time) time.Time {
	if now.After(t) {
		return now
	}
	return t.Add(time.Microsecond)
}
