package keystore

import (
	"context"
	"crypto"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
)

// State is where a private key is in its life. It only moves forward:
// pending → active → retiring → retired → destroyed, and may skip states.
type State string

// The states. A key signs in the states active and retiring: a retiring key
// finishes what began with it (an issuer's revocation lists), and is no longer
// chosen for new work, which takes [Store.Active].
const (
	Waiting   State = "pending"
	Active    State = "active"
	Retiring  State = "retiring"
	Retired   State = "retired"
	Destroyed State = "destroyed"
)

func (s State) signs() bool { return s == Active || s == Retiring }

// refusal returns why a key in this state does not sign.
func (s State) refusal(id string) error { return &StateError{ID: id, State: s} }

// StateError reports a key whose state does not permit what was asked. It is
// [ErrDestroyed] for a destroyed key and [ErrNotActive] otherwise.
type StateError struct {
	ID    string
	State State
}

// Error names the key and its state.
func (e *StateError) Error() string { return "keystore: key " + e.ID + " is " + string(e.State) }

// Is makes the sentinels match.
func (e *StateError) Is(target error) bool {
	if e.State == Destroyed {
		return target == ErrDestroyed
	}
	return target == ErrNotActive
}

// Info is the public part of a row.
type Info struct {
	ID, Purpose, Owner string
	Alg                Alg
	State              State
	Public             crypto.PublicKey // *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey
	SPKI               []byte           // SubjectPublicKeyInfo, DER
	SPKIHash           [32]byte         // SHA-256 of SPKI
	// Times in UTC; zero if not set. ActivateAt and RetireAt are plans while
	// the key is pending or active, and history afterwards.
	Created, PublishAt, ActivateAt, RetireAt, DestroyedAt time.Time
}

// Published reports whether the public part is to be shown at that time to
// those who verify: from PublishAt until the key is retired.
func (i Info) Published(at time.Time) bool {
	return !at.Before(i.PublishAt) && (i.State == Waiting || i.State.signs())
}

const infoColumns = `id, purpose, alg, owner, state, created_at, publish_at, activate_at, retire_at, destroyed_at, spki, spki_sha256`

func scanInfo(scan func(...any) error) (Info, error) {
	var i Info
	var created, publish int64
	var activate, retire, destroyed sql.NullInt64
	var hash []byte
	if err := scan(&i.ID, &i.Purpose, &i.Alg, &i.Owner, &i.State, &created, &publish, &activate, &retire, &destroyed, &i.SPKI, &hash); err != nil {
		return Info{}, err
	}
	i.Created, i.PublishAt = db.Time(created), db.Time(publish)
	i.ActivateAt, i.RetireAt, i.DestroyedAt = db.Time(activate.Int64), db.Time(retire.Int64), db.Time(destroyed.Int64)
	pub, err := x509.ParsePKIXPublicKey(i.SPKI)
	if err != nil || len(hash) != len(i.SPKIHash) {
		return Info{}, fmt.Errorf("%w: public part of %s", ErrCorrupt, i.ID)
	}
	i.Public = pub
	copy(i.SPKIHash[:], hash)
	return i, nil
}

// Info returns the public part of one key, in any state, or [ErrNotFound].
func (s *Store) Info(ctx context.Context, id string) (Info, error) {
	i, err := scanInfo(s.db.QueryRow(ctx, `SELECT `+infoColumns+` FROM key_private WHERE id = $1`, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Info{}, ErrNotFound
	}
	if err != nil {
		return Info{}, fmt.Errorf("keystore: info: %w", err)
	}
	return i, nil
}

// List returns the keys of a purpose in every state, the newest first.
func (s *Store) List(ctx context.Context, purpose string) ([]Info, error) {
	return s.list(ctx, `WHERE purpose = $1`, purpose)
}

// Active returns the active keys of a purpose, the newest first: those to
// choose from for new work.
func (s *Store) Active(ctx context.Context, purpose string) ([]Info, error) {
	return s.list(ctx, `WHERE purpose = $1 AND state = 'active'`, purpose)
}

// Owned returns the keys of a purpose and owner in every state, the newest first.
func (s *Store) Owned(ctx context.Context, purpose, owner string) ([]Info, error) {
	return s.list(ctx, `WHERE purpose = $1 AND owner = $2`, purpose, owner)
}

func (s *Store) list(ctx context.Context, where string, args ...any) ([]Info, error) {
	var out []Info
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		out = out[:0]
		rows, err := tx.Query(`SELECT `+infoColumns+` FROM key_private `+where+` ORDER BY created_at DESC, id DESC`, args...)
		if err != nil {
			return err
		}
		for rows.Next() {
			i, err := scanInfo(rows.Scan)
			if err != nil {
				return err
			}
			out = append(out, i)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("keystore: list: %w", err)
	}
	return out, nil
}

// Activate makes a pending key active, in the caller's transaction.
func (s *Store) Activate(tx *db.Tx, id string) error {
	return s.move(tx, id, `UPDATE key_private SET state = 'active', activate_at = $2, version = version + 1
		WHERE id = $1 AND state = 'pending'`, db.Micros(s.now()))
}

// Retire ends the use of a key, in the caller's transaction: at once if at is
// zero or past (any key not yet retired), otherwise it makes an active key
// retiring until [Store.Advance] finds that at has come.
func (s *Store) Retire(tx *db.Tx, id string, at time.Time) error {
	now := s.now()
	if at.After(now) {
		return s.move(tx, id, `UPDATE key_private SET state = 'retiring', retire_at = $2, version = version + 1
			WHERE id = $1 AND state = 'active'`, db.Micros(at))
	}
	return s.move(tx, id, `UPDATE key_private SET state = 'retired', retire_at = $2, version = version + 1
		WHERE id = $1 AND state IN ('pending', 'active', 'retiring')`, db.Micros(now))
}

// Destroy removes the sealed private part of a key in any state, in the
// caller's transaction; the public part stays. Destroying twice is no error.
// What the database engine keeps of the old row, and backups, are another
// matter: see the design note.
func (s *Store) Destroy(tx *db.Tx, id string) error {
	err := s.move(tx, id, `UPDATE key_private SET state = 'destroyed', destroyed_at = $2, kek_generation = NULL, sealed = $3,
		version = version + 1 WHERE id = $1 AND state <> 'destroyed'`, db.Micros(s.now()), []byte{})
	if errors.Is(err, ErrDestroyed) {
		return nil
	}
	return err
}

// move runs one conditional UPDATE on the row id, and if it changed nothing
// says why.
func (s *Store) move(tx *db.Tx, id, update string, args ...any) error {
	s.distrust(id)
	n, err := tx.Exec(update, append([]any{id}, args...)...)
	if err != nil {
		return fmt.Errorf("keystore: change state: %w", err)
	}
	if n == 1 {
		return nil
	}
	var state State
	err = tx.QueryRow(`SELECT state FROM key_private WHERE id = $1`, id).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("keystore: change state: %w", err)
	}
	return state.refusal(id)
}

// Advance carries out the plans that are due: pending keys whose ActivateAt
// has come become active, keys in use whose RetireAt has come become retired.
// It returns the number of changes. Every node may run it; signers that are
// kept notice within [Config.MaxStale].
func (s *Store) Advance(ctx context.Context) (n int, err error) {
	now := db.Micros(s.now())
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		n = 0
		for _, q := range []string{
			`UPDATE key_private SET state = 'active', version = version + 1 WHERE state = 'pending' AND activate_at <= $1`,
			`UPDATE key_private SET state = 'retired', version = version + 1 WHERE state IN ('active', 'retiring') AND retire_at <= $1`,
		} {
			changed, err := tx.Exec(q, now)
			if err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("keystore: advance: %w", err)
	}
	return n, nil
}
