package keystore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// SystemOwner begins the owners that are no person or institution: "system:"
// and 1 to 64 of a–z 0–9 . - _
const SystemOwner = "system:"

// dataEntry is a cached data key. It carries its owner, which is compared
// before the key is handed out.
type dataEntry struct {
	owner     string
	key       envelope.Key
	checkedAt time.Time // when the question was put that found the key alive
}

// CheckOwner returns [ErrSpec] unless owner is an identifier (three letters,
// "_", 26 symbols) or [SystemOwner] with a name.
func CheckOwner(owner string) error {
	if name, ok := strings.CutPrefix(owner, SystemOwner); ok {
		if isToken(name, 64, ".-_") {
			return nil
		}
		return fmt.Errorf("%w: system owner", ErrSpec)
	}
	if len(owner) < 3 || !isToken(owner[:3], 3, "") || identity.CheckID(owner[:3], owner) != nil {
		return fmt.Errorf("%w: owner of a data key", ErrSpec)
	}
	return nil
}

// DataKey returns the data key of owner, which is created on first use: of
// any number of callers on any number of nodes one creates it, all get the
// same, and it is durable before anyone gets it. It returns [ErrErased] after
// [Store.DestroyDataKey], [ErrSpec] for an impossible owner, [ErrKEKMissing]
// or [ErrCorrupt]. A key from the cache was found alive at most
// [Config.MaxStale] ago. Callers MUST NOT wipe it, MUST NOT keep it longer
// than the work at hand, and MUST NOT call this inside a write closure.
func (s *Store) DataKey(ctx context.Context, owner string) (envelope.Key, error) {
	if err := CheckOwner(owner); err != nil {
		return envelope.Key{}, err
	}
	s.mu.Lock()
	e, ok := s.data.get(owner)
	ok = ok && e.owner == owner
	trusted := ok && s.trusted(owner, e.checkedAt)
	s.mu.Unlock()
	if trusted {
		return e.key, nil
	}
	asked := s.now()
	row, err := s.readData(ctx, owner)
	if errors.Is(err, ErrNotFound) {
		if err := s.createData(ctx, owner); err != nil {
			return envelope.Key{}, err
		}
		ok = false // a cached key without a row seals nothing more
		asked = s.now()
		row, err = s.readData(ctx, owner)
	}
	if err == nil && row.erased {
		err = ErrErased
	}
	if err != nil {
		s.mu.Lock()
		s.data.drop(owner)
		s.mu.Unlock()
		return envelope.Key{}, err
	}
	if !ok {
		if e.key, err = s.openData(ctx, owner, row); err != nil {
			return envelope.Key{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data.put(owner, dataEntry{owner: owner, key: e.key, checkedAt: asked})
	return e.key, nil
}

type dataRow struct {
	erased     bool
	generation int64
	sealed     []byte
}

func (s *Store) readData(ctx context.Context, owner string) (dataRow, error) {
	var erased, generation sql.NullInt64
	var row dataRow
	err := s.db.QueryRow(ctx, `SELECT erased_at, kek_generation, sealed FROM key_data WHERE owner = $1`, owner).
		Scan(&erased, &generation, &row.sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return dataRow{}, ErrNotFound
	}
	if err != nil {
		return dataRow{}, fmt.Errorf("keystore: read data key: %w", err)
	}
	row.erased, row.generation = erased.Valid, generation.Int64
	return row, nil
}

// createData writes a fresh key unless there is a row. Whose key won shows the
// row that is read afterwards: on PostgreSQL the insert waits for a concurrent
// one to commit.
func (s *Store) createData(ctx context.Context, owner string) error {
	kek, err := s.ring.current("key_data")
	if err != nil {
		return err
	}
	k := envelope.NewKey()
	defer k.Wipe()
	plain := k.Reveal()
	defer clear(plain)
	sealed := envelope.Seal(kek.key, plain, dataPlace(owner))
	now := db.Micros(s.now())
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO key_data (owner, created_at, kek_generation, sealed) VALUES ($1, $2, $3, $4)
			ON CONFLICT (owner) DO NOTHING`, owner, now, kek.generation, sealed)
		return err
	})
	if db.IsConstraint(err, db.ForeignKey) {
		return fmt.Errorf("%w: %w", ErrKEKRetired, err)
	}
	if err != nil {
		return fmt.Errorf("keystore: create data key: %w", err)
	}
	return nil
}

func (s *Store) openData(ctx context.Context, owner string, row dataRow) (envelope.Key, error) {
	kek, err := s.ring.find(ctx, row.generation, "key_data")
	if err != nil {
		return envelope.Key{}, err
	}
	plain, err := envelope.Open(kek, row.sealed, dataPlace(owner))
	if err != nil {
		return envelope.Key{}, fmt.Errorf("%w: data key (%w)", ErrCorrupt, err)
	}
	defer clear(plain)
	k, err := envelope.KeyFromBytes(plain)
	if err != nil {
		return envelope.Key{}, fmt.Errorf("%w: data key (%w)", ErrCorrupt, err)
	}
	return k, nil
}

func dataPlace(owner string) []byte { return envelope.Place("key_data", "sealed", owner) }

// DestroyDataKey erases the data key of owner in the caller's transaction, and
// leaves a tombstone even if there was no key, so that none can come later.
// From the commit on, [Store.DataKey] returns [ErrErased]: on this node at
// once, on others within [Config.MaxStale]. Erasing twice is no error; the
// first time stays on record.
func (s *Store) DestroyDataKey(tx *db.Tx, owner string) error {
	if err := CheckOwner(owner); err != nil {
		return err
	}
	s.distrust(owner)
	_, err := tx.Exec(`INSERT INTO key_data (owner, created_at, erased_at, kek_generation, sealed)
		VALUES ($1, $2, $2, NULL, $3)
		ON CONFLICT (owner) DO UPDATE SET erased_at = excluded.erased_at, kek_generation = NULL, sealed = excluded.sealed
		WHERE key_data.erased_at IS NULL`, owner, db.Micros(s.now()), []byte{})
	if err != nil {
		return fmt.Errorf("keystore: erase data key: %w", err)
	}
	return nil
}
