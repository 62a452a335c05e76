package store

import (
	"context"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Revocation is final. Entry is the encoded CRL entry.
type Revocation struct {
	SN        []byte
	Issuer    string
	Reason    int64
	RevokedAt time.Time
	Actor     string
	Entry     []byte
}

// ReasonKeyCompromise blocks the public key for ever.
const ReasonKeyCompromise = 1

func putRevocation(tx *db.Tx, r Revocation) (int64, error) {
	return tx.Exec(`INSERT INTO ca_revocation (sn, issuer, reason, revoked_at, actor, entry) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (sn) DO NOTHING`, r.SN, r.Issuer, r.Reason, db.Micros(r.RevokedAt), r.Actor, r.Entry)
}

// Revoke revokes an issued certificate, with its audit entry and the message to
// other contexts. A compromised key is blocked in the same transaction, before
// the certificate, so that no issuance slips in between. It returns
// [ErrRevoked] if it was revoked before.
func (s *Store) Revoke(ctx context.Context, in Intent, r Revocation, entry *audit.Prepared) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if r.Reason == ReasonKeyCompromise {
			if _, err := tx.Exec(`UPDATE ca_public_key SET why = 'compromised' WHERE spki_sha256 = $1 AND why = ''`, in.SPKIHash); err != nil {
				return err
			}
		}
		n, err := putRevocation(tx, r)
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrRevoked
		}
		if _, err := s.audit.Append(tx, entry); err != nil {
			return err
		}
		return putRevoked(tx, in, r)
	})
}

// BlockKey refuses a public key for ever, whoever asks for a certificate on it.
func (s *Store) BlockKey(ctx context.Context, spkiHash []byte, why string, now time.Time) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO ca_public_key (spki_sha256, subject, why, at) VALUES ($1, '', $2, $3)
			ON CONFLICT (spki_sha256) DO UPDATE SET why = excluded.why`, spkiHash, why, db.Micros(now))
		return err
	})
}

// Live lists the certificates of a person, or of an appointment if that is not
// empty, that are neither expired at now nor revoked, intents included.
func (s *Store) Live(ctx context.Context, person identity.PersonID, appointment identity.AppointmentID, now time.Time) ([]Intent, error) {
	const revoked = ` AND NOT EXISTS (SELECT 1 FROM ca_revocation r WHERE r.sn = ca_intent.sn)`
	if appointment != "" {
		return s.intents(ctx, `WHERE appointment = $1 AND appointment <> '' AND not_after >= $2`+revoked+` ORDER BY at`, string(appointment), db.Micros(now))
	}
	return s.intents(ctx, `WHERE person = $1 AND person <> '' AND not_after >= $2`+revoked+` ORDER BY at`, string(person), db.Micros(now))
}

// ByKey lists the certificates on a public key that are not revoked.
func (s *Store) ByKey(ctx context.Context, spkiHash []byte) ([]Intent, error) {
	return s.intents(ctx, `WHERE spki_sha256 = $1 AND NOT EXISTS (SELECT 1 FROM ca_revocation r WHERE r.sn = ca_intent.sn) ORDER BY at`, spkiHash)
}

// OpenIntents lists intents without an outcome that were written before a time.
func (s *Store) OpenIntents(ctx context.Context, before time.Time, limit int) ([]Intent, error) {
	return s.intents(ctx, `WHERE state = 'intended' AND at < $1 ORDER BY at LIMIT $2`, db.Micros(before), limit)
}

// ByIntent returns the intent with an idempotency key, or [ErrNotFound].
func (s *Store) ByIntent(ctx context.Context, intent string) (Intent, error) {
	return s.one(ctx, `WHERE intent = $1`, intent)
}

// ByKeyID returns the newest intent on a private key of our own, or [ErrNotFound].
func (s *Store) ByKeyID(ctx context.Context, id string) (Intent, error) {
	return s.one(ctx, `WHERE key_id = $1 AND person = '' ORDER BY at DESC LIMIT 1`, id)
}

// ByPerson lists all intents of a person, newest first.
func (s *Store) ByPerson(ctx context.Context, person identity.PersonID, limit int) ([]Intent, error) {
	return s.intents(ctx, `WHERE person = $1 AND person <> '' ORDER BY at DESC, sn LIMIT $2`, string(person), limit)
}

// After lists issued certificates' intents by number, for a walk through all of them.
func (s *Store) After(ctx context.Context, sn []byte, limit int) ([]Intent, error) {
	return s.intents(ctx, `WHERE sn > $1 AND state = 'issued' ORDER BY sn LIMIT $2`, sn, limit)
}

// BySN returns the intent of a number, or [ErrNotFound].
func (s *Store) BySN(ctx context.Context, sn []byte) (Intent, error) {
	return s.one(ctx, `WHERE sn = $1`, sn)
}

func (s *Store) one(ctx context.Context, where string, args ...any) (Intent, error) {
	all, err := s.intents(ctx, where, args...)
	if err != nil {
		return Intent{}, err
	}
	if len(all) == 0 {
		return Intent{}, ErrNotFound
	}
	return all[0], nil
}

func (s *Store) intents(ctx context.Context, where string, args ...any) ([]Intent, error) {
	rows, err := s.db.Query(ctx, `SELECT `+intentColumns+` FROM ca_intent `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Intent
	for rows.Next() {
		var in Intent
		var from, to, at int64
		if err := rows.Scan(&in.SN, &in.Issuer, &in.Kind, &in.ProfileHash, &in.Intent, &in.RequestHash, &in.Subject, &in.Person, &in.Appointment,
			&in.Epoch, &in.KeyID, &in.SPKIHash, &in.TBS, &from, &to, &in.State, &in.AuditIntent, &at); err != nil {
			return nil, err
		}
		in.NotBefore, in.NotAfter, in.At = db.Time(from), db.Time(to), db.Time(at)
		out = append(out, in)
	}
	return out, rows.Err()
}

// Certificate returns the DER of an issued certificate, or [ErrNotFound].
func (s *Store) Certificate(ctx context.Context, sn []byte) ([]byte, error) {
	var der []byte
	err := s.db.QueryRow(ctx, `SELECT der FROM ca_certificate WHERE sn = $1`, sn).Scan(&der)
	return der, notFound(err)
}

// Status is what one statement says of a number, with the answer signed ahead.
type Status struct {
	Issuer    string
	Kind      string
	State     State
	Revoked   bool
	Reason    int64
	RevokedAt time.Time
	Answer    *OCSPRow // nil if there is none
}

// Status reads the standing of a number in one statement, or [ErrNotFound].
// hash selects the answer signed ahead: 1, 256, or 0 for none.
func (s *Store) Status(ctx context.Context, sn []byte, hash int64) (Status, error) {
	var st Status
	var reason, at, revoked, this, next *int64
	var der []byte
	err := s.db.QueryRow(ctx, `SELECT i.issuer, i.kind, i.state, r.reason, r.revoked_at, o.revoked, o.this_update, o.next_update, o.der
		FROM ca_intent AS i LEFT JOIN ca_revocation AS r ON r.sn = i.sn
		LEFT JOIN ca_ocsp AS o ON o.sn = i.sn AND o.hash = $2 WHERE i.sn = $1`, sn, hash).
		Scan(&st.Issuer, &st.Kind, &st.State, &reason, &at, &revoked, &this, &next, &der)
	if err != nil {
		return Status{}, notFound(err)
	}
	if reason != nil {
		st.Revoked, st.Reason, st.RevokedAt = true, *reason, db.Time(*at)
	}
	if revoked != nil {
		st.Answer = &OCSPRow{SN: sn, Hash: hash, Revoked: *revoked == 1, ThisUpdate: db.Time(*this), NextUpdate: db.Time(*next), DER: der}
	}
	return st, nil
}

// PutAnswers stores answers signed ahead; an older one never replaces a newer.
func (s *Store) PutAnswers(ctx context.Context, rows []OCSPRow) error {
	return s.db.Write(ctx, func(tx *db.Tx) error { return putAnswers(tx, rows) })
}

func putAnswers(tx *db.Tx, rows []OCSPRow) error {
	for _, r := range rows {
		revoked := 0
		if r.Revoked {
			revoked = 1
		}
		if _, err := tx.Exec(`INSERT INTO ca_ocsp (sn, hash, revoked, this_update, next_update, der) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (sn, hash) DO UPDATE SET revoked = excluded.revoked, this_update = excluded.this_update,
			next_update = excluded.next_update, der = excluded.der
			WHERE excluded.this_update >= ca_ocsp.this_update AND excluded.revoked >= ca_ocsp.revoked`,
			r.SN, r.Hash, revoked, db.Micros(r.ThisUpdate), db.Micros(r.NextUpdate), r.DER); err != nil {
			return err
		}
	}
	return nil
}

// AnswersDue lists numbers of unexpired certificates whose answers signed ahead
// end before a time.
func (s *Store) AnswersDue(ctx context.Context, before, now time.Time, limit int) ([][]byte, error) {
	rows, err := s.db.Query(ctx, `SELECT DISTINCT o.sn FROM ca_ocsp AS o JOIN ca_intent AS i ON i.sn = o.sn
		WHERE o.next_update < $1 AND i.not_after >= $2 LIMIT $3`, db.Micros(before), db.Micros(now), limit)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out [][]byte
	for rows.Next() {
		var sn []byte
		if err := rows.Scan(&sn); err != nil {
			return nil, err
		}
		out = append(out, sn)
	}
	return out, rows.Err()
}
