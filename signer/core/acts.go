package core

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// snapshot is the chain of all acts up to seq.
type snapshot struct {
	seq   int64
	chain *act.Chain
}

const acceptTries = 16

// Pin stores the trust anchor, once and for all. Pinning the same hash again is no
// error; another one is [ErrPinned].
func (c *Core) Pin(ctx context.Context, genesis act.Hash) error {
	if genesis.IsZero() || !c.cfg.Genesis.IsZero() && c.cfg.Genesis != genesis {
		return ErrPinned
	}
	now := c.cfg.Now()
	err := c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO signer_core_genesis (one, hash, pinned_at) VALUES (1, $1, $2) ON CONFLICT (one) DO NOTHING", genesis[:], db.Micros(now))
		return err
	})
	if err != nil {
		return err
	}
	got, err := c.pinned(ctx)
	if err == nil && got != genesis {
		err = ErrPinned
	}
	return err
}

// Genesis returns the pinned trust anchor, or a refusal with [CodeNoGenesis].
func (c *Core) Genesis(ctx context.Context) (act.Hash, error) { return c.pinned(ctx) }

func (c *Core) pinned(ctx context.Context) (act.Hash, error) {
	got, err := PinnedIn(ctx, c.cfg.DB)
	switch {
	case CodeOf(err) == CodeNoGenesis && !c.cfg.Genesis.IsZero():
		return c.cfg.Genesis, nil
	case err == nil && !c.cfg.Genesis.IsZero() && got != c.cfg.Genesis:
		return act.Hash{}, ErrPinned
	}
	return got, err
}

// PinnedIn returns the trust anchor that is pinned in a core's database, or a
// refusal with [CodeNoGenesis], for whoever examines one without running it.
func PinnedIn(ctx context.Context, d *db.DB) (act.Hash, error) {
	var raw []byte
	err := d.QueryRow(ctx, "SELECT hash FROM signer_core_genesis WHERE one = 1").Scan(&raw)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return act.Hash{}, refuse(CodeNoGenesis, nil)
	case err != nil:
		return act.Hash{}, err
	case len(raw) != len(act.Hash{}):
		return act.Hash{}, errors.New("core: pinned genesis is damaged")
	}
	return act.Hash(raw), nil
}

// AcceptAct takes a signed act in its stored form (suti/signed-act/v1) into the
// core's own store, if it stands under the pinned genesis (package act says by which
// rules). Taking an act again is no error. An act that was recorded in the log in
// time may arrive at any time after. Otherwise it returns an *act.Refusal,
// an error of act.Parse, or a refusal with [CodeNoGenesis].
func (c *Core) AcceptAct(ctx context.Context, raw []byte) error {
	s, err := act.Parse(raw)
	if err != nil {
		return err
	}
	for range acceptTries {
		known, err := c.hasAct(ctx, s.Hash())
		if err != nil || known {
			return err
		}
		seq, err := c.admissible(ctx, s)
		if errors.Is(err, act.ErrDuplicate) {
			if known, lookErr := c.hasAct(ctx, s.Hash()); lookErr == nil && known {
				return nil // it arrived twice at once
			}
		}
		if err != nil {
			return err
		}
		err = c.storeAct(ctx, seq+1, s, raw)
		if !db.IsUnique(err, "signer_core_act") {
			return err
		}
		// Another node accepted an act meanwhile: judge again.
	}
	return fmt.Errorf("core: acts arrive faster than they are judged: %w", db.ErrBusy)
}

func (c *Core) hasAct(ctx context.Context, h act.Hash) (bool, error) {
	var n int
	err := c.cfg.DB.QueryRow(ctx, "SELECT COUNT(hash) FROM signer_core_act WHERE hash = $1", h[:]).Scan(&n)
	return n > 0, err
}

// admissible judges an act against the acts so far, and returns their last place.
func (c *Core) admissible(ctx context.Context, s *act.Signed) (int64, error) {
	if _, ok := s.Statement().Body.(*act.Genesis); ok {
		pinned, err := c.pinned(ctx)
		if err != nil {
			return 0, err
		}
		if s.Hash() != pinned {
			return 0, &act.Refusal{Act: s.Hash(), Kind: act.KindGenesis, Reason: act.ErrGenesis, Missing: "it is not the pinned genesis"}
		}
		_, err = act.Build(pinned, []*act.Signed{s})
		return 0, err
	}
	snap, err := c.snapshot(ctx)
	if err != nil {
		return 0, err
	}
	at, err := c.arrival(ctx, s)
	if err != nil {
		return 0, err
	}
	_, err = snap.chain.Admit(s, at)
	return snap.seq, err
}

// errUnplaced reports a late act whose entry has no place in the log yet.
var errUnplaced = errors.New("core: the log does not yet say when this act was recorded")

// arrival returns when an act became known. That is now, unless it comes late,
// as after a stop of this service, and the log says that it was recorded in time.
func (c *Core) arrival(ctx context.Context, s *act.Signed) (time.Time, error) {
	now := c.cfg.Now()
	if now.Sub(s.Statement().At) <= act.MaxDelay {
		return now, nil
	}
	at, placed, err := c.cfg.Audit.Recorded(ctx, string(s.Statement().ID), s.Leaf())
	switch {
	case err != nil:
		return now, err
	case at.IsZero() || at.After(now):
		return now, nil
	case !placed:
		return now, errUnplaced
	}
	return at, nil
}

func (c *Core) storeAct(ctx context.Context, seq int64, s *act.Signed, raw []byte) error {
	h, kind := s.Hash(), string(s.Statement().Body.Kind())
	entry, err := c.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "enrolment.act.accepted", Actor: "service:signer-core", Outcome: audit.OutcomeOK,
		Object: string(s.Statement().ID), Purpose: kind, Leaf: s.Leaf(),
	})
	if err != nil {
		return err
	}
	now := c.cfg.Now()
	return c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO signer_core_act (seq, hash, raw, entry, accepted_at) VALUES ($1, $2, $3, $4, $5)",
			seq, h[:], raw, entry.ID(), db.Micros(now))
		if err != nil {
			return err
		}
		_, err = c.cfg.Audit.Append(tx, entry)
		return err
	})
}

// snapshot returns the chain of all acts that are stored now.
func (c *Core) snapshot(ctx context.Context) (*snapshot, error) {
	var last int64
	if err := c.cfg.DB.QueryRow(ctx, "SELECT COALESCE(MAX(seq), 0) FROM signer_core_act").Scan(&last); err != nil {
		return nil, err
	}
	if last == 0 {
		return nil, refuse(CodeNoGenesis, nil)
	}
	if s := c.acts.Load(); s != nil && s.seq == last {
		return s, nil
	}
	c.loadMu.Lock()
	defer c.loadMu.Unlock()
	s := c.acts.Load()
	if s != nil && s.seq >= last {
		return s, nil
	}
	return c.load(ctx, s)
}

// load reads the acts after old and extends its chain.
func (c *Core) load(ctx context.Context, old *snapshot) (*snapshot, error) {
	next := &snapshot{}
	if old != nil {
		next.seq = old.seq
	}
	fresh, err := c.actsAfter(ctx, next)
	if err != nil {
		return nil, err
	}
	if old != nil {
		next.chain, err = old.chain.Extend(fresh...)
	} else {
		var pinned act.Hash
		if pinned, err = c.pinned(ctx); err == nil {
			next.chain, err = act.Build(pinned, fresh)
		}
	}
	if err != nil {
		return nil, err
	}
	c.acts.Store(next)
	return next, nil
}

func (c *Core) actsAfter(ctx context.Context, s *snapshot) ([]*act.Signed, error) {
	rows, err := c.cfg.DB.Query(ctx, "SELECT seq, raw FROM signer_core_act WHERE seq > $1 ORDER BY seq", s.seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*act.Signed
	for rows.Next() {
		var seq int64
		var raw []byte
		if err := rows.Scan(&seq, &raw); err != nil {
			return nil, err
		}
		if seq != s.seq+1 {
			return nil, errors.New("core: an act is missing from the store")
		}
		a, err := act.Parse(raw)
		if err != nil {
			return nil, fmt.Errorf("core: act %d: %w", seq, err)
		}
		out, s.seq = append(out, a), seq
	}
	return out, rows.Err()
}

// Key is a passkey that may activate signatures of a person now.
type Key struct {
	act.KeyGrant
	// CredentialID is what the browser must be told; nil if no hint names it.
	CredentialID []byte
}

// Keys lists the passkeys that are accepted for a person now.
func (c *Core) Keys(ctx context.Context, person identity.PersonID) ([]Key, error) {
	snap, err := c.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var ids map[string][]byte
	if c.cfg.Hints != nil {
		hints, err := c.cfg.Hints.OfPerson(ctx, person)
		if err != nil {
			return nil, fmt.Errorf("core: hints: %w", err)
		}
		ids = make(map[string][]byte, len(hints))
		for _, h := range hints {
			ids[string(h.COSE)] = h.CredentialID
		}
	}
	var out []Key
	for _, g := range snap.chain.Keys(person, c.cfg.Now()) {
		if g.Level >= c.cfg.Least && c.allowed(g) {
			out = append(out, Key{KeyGrant: g, CredentialID: ids[string(g.COSE)]})
		}
	}
	return out, nil
}

// Deployment returns the settings of the deployment now.
func (c *Core) Deployment(ctx context.Context) (act.Deployment, error) {
	snap, err := c.snapshot(ctx)
	if err != nil {
		return act.Deployment{}, err
	}
	return snap.chain.Deployment(c.cfg.Now()), nil
}

// standing checks what the core's acts say about a person at t.
func (s *snapshot) standing(person identity.PersonID, appointment identity.AppointmentID, t time.Time) error {
	if _, err := s.chain.Enrolled(person, t); err != nil {
		if errors.Is(err, act.ErrSuspended) {
			return refuse(CodeSuspended, err)
		}
		return refuse(CodeNotEnrolled, err)
	}
	if appointment == "" {
		return nil
	}
	_, err := s.chain.Appointment(appointment, person, t)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, act.ErrSuspended):
		return refuse(CodeSuspended, err)
	case errors.Is(err, act.ErrEnded):
		return refuse(CodeAppointmentEnded, err)
	}
	return refuse(CodeAppointment, err)
}
