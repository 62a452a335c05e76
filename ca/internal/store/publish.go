package store

import (
	"context"
	"time"

	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/db"
)

// Authorities lists all authorities, the newest generation of each kind first.
func (s *Store) Authorities(ctx context.Context) ([]Authority, error) {
	rows, err := s.db.Query(ctx, `SELECT a.slug, a.kind, a.generation, a.parent, a.key_id, a.sn, a.state, c.der, COALESCE(r.revoked_at, 0)
		FROM ca_authority AS a LEFT JOIN ca_certificate AS c ON c.sn = a.sn LEFT JOIN ca_revocation AS r ON r.sn = a.sn
		ORDER BY a.kind, a.generation DESC`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Authority
	for rows.Next() {
		var a Authority
		var revoked int64
		if err := rows.Scan(&a.Slug, &a.Kind, &a.Generation, &a.Parent, &a.KeyID, &a.SN, &a.State, &a.Certificate, &revoked); err != nil {
			return nil, err
		}
		a.RevokedAt = db.Time(revoked)
		out = append(out, a)
	}
	return out, rows.Err()
}

// Service is a certificate of an OCSP responder or time-stamping unit.
type Service struct {
	SN          []byte
	Issuer      string
	KeyID       string
	Certificate []byte
	NotBefore   time.Time
	NotAfter    time.Time
}

// Services lists unexpired, unrevoked certificates of a service, newest first.
func (s *Store) Services(ctx context.Context, issuer string, k profile.Kind, now time.Time) ([]Service, error) {
	rows, err := s.db.Query(ctx, `SELECT i.sn, i.issuer, i.key_id, c.der, i.not_before, i.not_after
		FROM ca_intent AS i JOIN ca_certificate AS c ON c.sn = i.sn
		WHERE i.issuer = $1 AND i.kind = $2 AND i.person = '' AND i.state = 'issued' AND i.not_after >= $3
		AND NOT EXISTS (SELECT 1 FROM ca_revocation AS r WHERE r.sn = i.sn)
		ORDER BY i.not_before DESC, i.sn`, issuer, string(k), db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Service
	for rows.Next() {
		var v Service
		var from, to int64
		if err := rows.Scan(&v.SN, &v.Issuer, &v.KeyID, &v.Certificate, &from, &to); err != nil {
			return nil, err
		}
		v.NotBefore, v.NotAfter = db.Time(from), db.Time(to)
		out = append(out, v)
	}
	return out, rows.Err()
}

// CRL is a published list.
type CRL struct {
	Issuer     string
	Number     int64
	ThisUpdate time.Time
	NextUpdate time.Time
	Entries    int64
	SHA256     []byte
	DER        []byte
}

// LatestCRL returns the newest list of an authority, or [ErrNotFound].
func (s *Store) LatestCRL(ctx context.Context, issuer string) (CRL, error) {
	c := CRL{Issuer: issuer}
	var this, next int64
	err := s.db.QueryRow(ctx, `SELECT number, this_update, next_update, entries, sha256, der FROM ca_crl
		WHERE issuer = $1 ORDER BY number DESC LIMIT 1`, issuer).Scan(&c.Number, &this, &next, &c.Entries, &c.SHA256, &c.DER)
	c.ThisUpdate, c.NextUpdate = db.Time(this), db.Time(next)
	return c, notFound(err)
}

// CountRevocations returns how many entries the authority's next list has.
func (s *Store) CountRevocations(ctx context.Context, issuer string) (int64, error) {
	var n int64
	err := s.db.QueryRow(ctx, `SELECT COUNT(sn) FROM ca_revocation WHERE issuer = $1`, issuer).Scan(&n)
	return n, err
}

// Entries returns the encoded entries of an authority's list, in order, and how
// many they are.
func (s *Store) Entries(ctx context.Context, issuer string) (entries []byte, n int64, err error) {
	rows, err := s.db.Query(ctx, `SELECT entry FROM ca_revocation WHERE issuer = $1 ORDER BY revoked_at, sn`, issuer)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e []byte
		if err := rows.Scan(&e); err != nil {
			return nil, 0, err
		}
		entries = append(entries, e...)
		n++
	}
	return entries, n, rows.Err()
}

// keepCRLs is how many lists of an authority keep their bytes.
const keepCRLs = 24

// PutCRL publishes a list under the lease. It returns db.ErrFenced if the lease
// was lost and [ErrCRLOlder] unless the number grows and no entry vanished.
func (s *Store) PutCRL(ctx context.Context, c CRL, lease db.Lease) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if err := db.CheckFence(tx, lease.Name, lease.Fence); err != nil {
			return err
		}
		n, err := tx.Exec(`INSERT INTO ca_crl (issuer, number, this_update, next_update, entries, sha256, der)
			SELECT $1, $2, $3, $4, $5, $6, $7 WHERE NOT EXISTS
			(SELECT 1 FROM ca_crl WHERE issuer = $1 AND (number >= $2 OR entries > $5 OR this_update > $3))`,
			c.Issuer, c.Number, db.Micros(c.ThisUpdate), db.Micros(c.NextUpdate), c.Entries, c.SHA256, c.DER)
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrCRLOlder
		}
		_, err = tx.Exec(`UPDATE ca_crl SET der = NULL WHERE issuer = $1 AND der IS NOT NULL AND number NOT IN
			(SELECT number FROM ca_crl WHERE issuer = $1 ORDER BY number DESC LIMIT $2)`, c.Issuer, keepCRLs)
		return err
	})
}
