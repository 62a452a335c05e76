package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

// State is where an intent stands.
type State string

// The states. Intended leads to one of the other two, once.
const (
	Intended  State = "intended"
	Issued    State = "issued"
	Abandoned State = "abandoned" // listed as revoked: a signature may exist
)

// Intent is a number drawn and what is to be signed under it.
type Intent struct {
	SN          []byte
	Issuer      string // slug
	Kind        profile.Kind
	ProfileHash string
	Intent      string
	RequestHash []byte
	Subject     string
	Person      identity.PersonID
	Appointment identity.AppointmentID
	Epoch       subject.Epoch
	KeyID       string
	SPKIHash    []byte
	TBS         []byte
	NotBefore   time.Time
	NotAfter    time.Time
	State       State
	AuditIntent string
	At          time.Time
}

// Authority is a root or issuing authority.
type Authority struct {
	Slug        string
	Kind        profile.Kind
	Generation  int64
	Parent      string
	KeyID       string
	SN          []byte
	State       string // pending, active or abandoned
	Certificate []byte // DER, if active
	RevokedAt   time.Time
}

// NewIntent is the content of the first transaction of an issuance.
type NewIntent struct {
	Intent
	Key       *keystore.Pending // own key of an authority or service, or nil
	Authority *Authority        // the authority to be made, or nil
	Entry     *audit.Prepared
}

const intentColumns = `sn, issuer, kind, profile_hash, intent, request_hash, subject, person, appointment, epoch, key_id,
	spki_sha256, tbs, not_before, not_after, state, audit_intent, at`

// Intend records what is about to be signed. It returns [ErrIntentTaken],
// [ErrKeyTaken], [ErrKeyBlocked], [ErrAuthorityTaken], subject.ErrStale or
// subject.ErrNotActive; then nothing was written.
func (s *Store) Intend(ctx context.Context, in NewIntent) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if in.Person != "" {
			if err := subject.Require(tx, in.Person, in.Epoch); err != nil {
				return err
			}
		}
		if err := issuerHolds(tx, in.Issuer); err != nil {
			return err
		}
		if err := ownKey(tx, in.SPKIHash, in.Subject, in.At); err != nil {
			return err
		}
		if in.Key != nil {
			if err := s.keys.Put(tx, in.Key); err != nil {
				return err
			}
		}
		if a := in.Authority; a != nil {
			n, err := tx.Exec(`INSERT INTO ca_authority (slug, kind, generation, parent, key_id, sn, state, at)
				VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7) ON CONFLICT DO NOTHING`,
				a.Slug, string(a.Kind), a.Generation, a.Parent, a.KeyID, in.SN, db.Micros(in.At))
			if err != nil {
				return err
			}
			if n != 1 {
				return ErrAuthorityTaken
			}
		}
		id, err := s.audit.Append(tx, in.Entry)
		if err != nil {
			return err
		}
		n, err := tx.Exec(`INSERT INTO ca_intent (`+intentColumns+`, audit_outcome)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, '') ON CONFLICT (intent) DO NOTHING`,
			in.SN, in.Issuer, string(in.Kind), in.ProfileHash, in.Intent.Intent, in.RequestHash, in.Subject, string(in.Person),
			string(in.Appointment), int64(in.Epoch), in.KeyID, in.SPKIHash, in.TBS, db.Micros(in.NotBefore), db.Micros(in.NotAfter),
			string(Intended), id, db.Micros(in.At))
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrIntentTaken
		}
		return nil
	})
}

// issuerHolds returns [ErrIssuerRevoked] for a revoked authority.
func issuerHolds(tx *db.Tx, slug string) error {
	var n int64
	if err := tx.QueryRow(`SELECT COUNT(r.sn) FROM ca_authority AS a JOIN ca_revocation AS r ON r.sn = a.sn WHERE a.slug = $1`, slug).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return ErrIssuerRevoked
	}
	return nil
}

// ownKey makes a public key the subject's, or confirms that it is, and locks its
// row, so that a block of the key comes before or after, not in between.
func ownKey(tx *db.Tx, spki []byte, owner string, now time.Time) error {
	n, err := tx.Exec(`INSERT INTO ca_public_key (spki_sha256, subject, why, at) VALUES ($1, $2, '', $3)
		ON CONFLICT (spki_sha256) DO UPDATE SET at = ca_public_key.at
		WHERE ca_public_key.subject = excluded.subject AND ca_public_key.why = ''`, spki, owner, db.Micros(now))
	if err != nil {
		return err
	}
	if n == 1 {
		return nil
	}
	var why string
	if err := tx.QueryRow(`SELECT why FROM ca_public_key WHERE spki_sha256 = $1`, spki).Scan(&why); err != nil {
		return err
	}
	if why != "" {
		return ErrKeyBlocked
	}
	return ErrKeyTaken
}

// OCSPRow is an answer signed ahead.
type OCSPRow struct {
	SN         []byte
	Hash       int64 // 1 or 256
	Revoked    bool
	ThisUpdate time.Time
	NextUpdate time.Time
	DER        []byte
}

// Completion is the content of the second transaction of an issuance.
type Completion struct {
	Intent      Intent
	Certificate []byte
	SHA256      []byte
	At          time.Time
	Answers     []OCSPRow
	Entry       *audit.Prepared // closes Intent.AuditIntent
}

// Complete stores the certificate. It returns [ErrNotOpen] if recovery has
// abandoned the intent, [ErrKeyBlocked], or what subject.Require returns; then
// the certificate MUST NOT leave.
func (s *Store) Complete(ctx context.Context, c Completion) error {
	in := c.Intent
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if in.Person != "" {
			if err := subject.Require(tx, in.Person, in.Epoch); err != nil {
				return err
			}
		}
		if err := issuerHolds(tx, in.Issuer); err != nil {
			return err
		}
		if err := ownKey(tx, in.SPKIHash, in.Subject, in.At); err != nil {
			return err
		}
		id, err := s.audit.Append(tx, c.Entry)
		if err != nil {
			return err
		}
		if err := closeIntent(tx, in.SN, Issued, id); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO ca_certificate (sn, sha256, der, issued_at) VALUES ($1, $2, $3, $4)`,
			in.SN, c.SHA256, c.Certificate, db.Micros(c.At)); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE ca_authority SET state = 'active' WHERE sn = $1 AND state = 'pending'`, in.SN); err != nil {
			return err
		}
		return putAnswers(tx, c.Answers)
	})
}

func closeIntent(tx *db.Tx, sn []byte, to State, auditID string) error {
	n, err := tx.Exec(`UPDATE ca_intent SET state = $1, audit_outcome = $2 WHERE sn = $3 AND state = 'intended'`, string(to), auditID, sn)
	if err != nil {
		return err
	}
	if n != 1 {
		return ErrNotOpen
	}
	return nil
}

// Abandon closes an intent without a certificate: its number is revoked, since
// a signature under it may exist, and it is never retried. It returns
// [ErrNotOpen] if the intent was closed otherwise.
func (s *Store) Abandon(ctx context.Context, in Intent, r Revocation, entry *audit.Prepared) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		id, err := s.audit.Append(tx, entry)
		if errors.Is(err, audit.ErrIntentClosed) {
			return ErrNotOpen
		}
		if err != nil {
			return err
		}
		if err := closeIntent(tx, in.SN, Abandoned, id); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE ca_authority SET state = 'abandoned' WHERE sn = $1 AND state = 'pending'`, in.SN); err != nil {
			return err
		}
		_, err = putRevocation(tx, r)
		return err
	})
}

// TopicRevoked is the outbox topic of revocations; the payload is [RevokedMessage].
const TopicRevoked = "ca.certificate.revoked"

// RevokedMessage tells other contexts of a revocation.
type RevokedMessage struct {
	Number      string                 `json:"number"` // lower-case hexadecimal
	Person      identity.PersonID      `json:"person,omitempty"`
	Appointment identity.AppointmentID `json:"appointment,omitempty"`
	Reason      int64                  `json:"reason"`
	RevokedAt   time.Time              `json:"revoked_at"`
}

func putRevoked(tx *db.Tx, in Intent, r Revocation) error {
	body, err := json.Marshal(RevokedMessage{Number: fmt.Sprintf("%x", in.SN), Person: in.Person, Appointment: in.Appointment, Reason: r.Reason, RevokedAt: r.RevokedAt})
	if err != nil {
		return err
	}
	return outbox.Put(tx, outbox.Message{Topic: TopicRevoked, Key: fmt.Sprintf("%x", in.SN), Payload: body})
}
