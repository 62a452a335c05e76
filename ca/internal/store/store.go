// Package store keeps the authority's tables (ca_…): authorities, numbers drawn
// and what was signed under them, public keys, revocations, lists and answers
// signed ahead. An exported writer is one transaction that carries its audit
// entry, and decides by conditional statements, so that two nodes and a
// recovery pass never both win.
//
// Invariants, held by the schema or by one statement each: a number is drawn
// once; a certificate has an intent that was neither abandoned nor issued
// before; a public key belongs to one subject and not at all once blocked; a
// revocation is final; a list's number and its count of entries never fall.
//
// Only the packages of the authority import it.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/keystore"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the tables of the authority and of its time-stamping.
var Migrations = db.Line{Name: "ca", FS: files, Requires: []string{"subject", "outbox", "audit", "keystore"}}

// Errors that callers branch on.
var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("ca: not found")
	// ErrIntentTaken: the idempotency key was used before; read what came of it.
	ErrIntentTaken = errors.New("ca: intent exists")
	// ErrKeyTaken: the public key belongs to another subject.
	ErrKeyTaken = errors.New("ca: public key belongs to another subject")
	// ErrKeyBlocked: the public key is blocked.
	ErrKeyBlocked = errors.New("ca: public key is blocked")
	// ErrIssuerRevoked: the authority that was to sign is revoked.
	ErrIssuerRevoked = errors.New("ca: issuing authority is revoked")
	// ErrNotOpen: the intent was issued or abandoned meanwhile.
	ErrNotOpen = errors.New("ca: intent is not open")
	// ErrAuthorityTaken: another node made this generation of the authority.
	ErrAuthorityTaken = errors.New("ca: authority exists")
	// ErrInstanceTaken: the prefix of numbers belongs to another node.
	ErrInstanceTaken = errors.New("ca: number prefix belongs to another node")
	// ErrRevoked: the certificate is revoked already.
	ErrRevoked = errors.New("ca: already revoked")
	// ErrCRLOlder: a list with this number, or with more entries, is published.
	ErrCRLOlder = errors.New("ca: a later list is published")
)

// Store is the tables on one database. It is safe for concurrent use.
type Store struct {
	db    *db.DB
	audit *audit.Log
	keys  *keystore.Store
}

// New returns a store on a database that [Migrations] was applied to.
func New(d *db.DB, log *audit.Log, keys *keystore.Store) *Store {
	return &Store{db: d, audit: log, keys: keys}
}

// Instance returns the node's own first octet of numbers, 1 to 127: want if it
// is not 0, else the one that the node has or the lowest free one. It returns
// [ErrInstanceTaken] if want is another node's or none is free.
func (s *Store) Instance(ctx context.Context, node string, want uint8, now time.Time) (got uint8, err error) {
	for range 8 { // two new nodes may see the same prefix free
		if got, err = s.claim(ctx, node, want, now); want != 0 || !errors.Is(err, ErrInstanceTaken) {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("claim number prefix: %w", err)
	}
	return got, nil
}

func (s *Store) claim(ctx context.Context, node string, want uint8, now time.Time) (uint8, error) {
	var got int64
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		got = 0
		err := tx.QueryRow(`SELECT prefix FROM ca_instance WHERE node = $1`, node).Scan(&got)
		if err == nil && (want == 0 || got == int64(want)) {
			return nil
		}
		if err == nil {
			return fmt.Errorf("%w: this node has prefix %d", ErrInstanceTaken, got)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		candidate := int64(want)
		if candidate == 0 {
			if err := tx.QueryRow(`SELECT COALESCE(MIN(p), 0) FROM (SELECT 1 AS p UNION SELECT prefix + 1 FROM ca_instance) AS c
				WHERE p <= 127 AND p NOT IN (SELECT prefix FROM ca_instance)`).Scan(&candidate); err != nil {
				return err
			}
		}
		if candidate < 1 || candidate > 127 {
			return ErrInstanceTaken
		}
		n, err := tx.Exec(`INSERT INTO ca_instance (prefix, node, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, candidate, node, db.Micros(now))
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrInstanceTaken
		}
		got = candidate
		return nil
	})
	return uint8(got), err
}

// DestroyKey removes a private key of our own for good, with its audit entry.
func (s *Store) DestroyKey(ctx context.Context, id string, entry *audit.Prepared) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if err := s.keys.Destroy(tx, id); err != nil {
			return err
		}
		_, err := s.audit.Append(tx, entry)
		return err
	})
}

// notFound maps sql.ErrNoRows.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}
