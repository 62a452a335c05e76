package passkey

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// recordOwner is under whose data key credential records are sealed: they must
// outlive a person's erasure, since signatures are checked against them.
const recordOwner = "system:passkey"

// ceremony is a stored ceremony.
type ceremony struct {
	id       string
	kind     string
	purpose  Purpose
	person   identity.PersonID
	binding  []byte
	session  string
	preimage []byte
	expires  time.Time
}

func (s *Service) putCeremony(ctx context.Context, c *ceremony) error {
	if c.preimage == nil {
		c.preimage = []byte{}
	}
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO enrolment_ceremony (id, kind, purpose, person, binding, session, preimage, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			c.id, c.kind, string(c.purpose), string(c.person), c.binding, c.session, c.preimage, db.Micros(c.expires))
		return err
	})
}

// takeCeremony consumes a ceremony; whoever asks first has it, right or wrong.
func (s *Service) takeCeremony(ctx context.Context, id, kind string, purpose Purpose, binding []byte) (*ceremony, error) {
	if identity.CheckID("cer", id) != nil {
		return nil, ErrCeremony
	}
	c := &ceremony{id: id}
	err := s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		var purpose, person string
		var expires int64
		err := tx.QueryRow(`DELETE FROM enrolment_ceremony WHERE id = $1 RETURNING kind, purpose, person, binding, session, preimage, expires_at`, id).
			Scan(&c.kind, &purpose, &person, &c.binding, &c.session, &c.preimage, &expires)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrCeremony
		}
		c.purpose, c.person, c.expires = Purpose(purpose), identity.PersonID(person), db.Time(expires)
		return err
	})
	if err != nil {
		return nil, err
	}
	if c.kind != kind || c.purpose != purpose || subtle.ConstantTimeCompare(c.binding, binding) != 1 || !s.cfg.Now().Before(c.expires) {
		return nil, ErrCeremony
	}
	return c, nil
}

// Purge removes ceremonies that expired before the time, at most limit.
func (s *Service) Purge(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err = tx.Exec(`DELETE FROM enrolment_ceremony WHERE id IN (SELECT id FROM enrolment_ceremony WHERE expires_at < $1 LIMIT $2)`, db.Micros(before), limit)
		return err
	})
	return n, err
}

// handleOf returns the person's user handle, drawing one at first.
func (s *Service) handleOf(ctx context.Context, person identity.PersonID) ([]byte, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails (Go 1.24)
	var handle []byte
	err := s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`INSERT INTO enrolment_handle (person, handle, created_at) VALUES ($1, $2, $3) ON CONFLICT (person) DO NOTHING`,
			string(person), fresh, db.Micros(s.cfg.Now())); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT handle FROM enrolment_handle WHERE person = $1`, string(person)).Scan(&handle)
	})
	return handle, err
}

// stored is a credential with the library's record.
type stored struct {
	Credential
	record webauthn.Credential
}

const credentialColumns = `c.id, c.person, c.credential_id, c.record, c.label, c.state, c.backup_eligible, c.backed_up, c.attested, c.sign_count, c.created_at, c.used_at`

// scan reads a row; key opens its record.
func scan(row func(...any) error, key envelope.Key) (*stored, error) {
	var c stored
	var id, person, state string
	var sealed []byte
	var eligible, backed, attested, count, created int64
	var used sql.NullInt64
	if err := row(&id, &person, &c.CredentialID, &sealed, &c.Label, &state, &eligible, &backed, &attested, &count, &created, &used); err != nil {
		return nil, err
	}
	raw, err := envelope.Open(key, sealed, envelope.Place("enrolment_credential", "record", id))
	if err != nil {
		return nil, fmt.Errorf("passkey: record of %s: %w", id, err)
	}
	if err := json.Unmarshal(raw, &c.record); err != nil {
		return nil, fmt.Errorf("passkey: record of %s is not JSON", id)
	}
	c.ID, c.Person, c.State = identity.CredentialID(id), identity.PersonID(person), State(state)
	c.BackupEligible, c.BackedUp, c.Attested = eligible == 1, backed == 1, attested == 1
	c.CreatedAt, c.PublicKey = db.Time(created), c.record.PublicKey
	if used.Valid {
		c.UsedAt = db.Time(used.Int64)
	}
	// The columns decide, not the record: they change with each use.
	c.record.Authenticator.SignCount = uint32(count)
	c.record.Flags.BackupState = c.BackedUp
	return &c, nil
}

// byPerson returns all credentials of a person, the newest first.
func (s *Service) byPerson(ctx context.Context, person identity.PersonID) ([]*stored, error) {
	key, err := s.cfg.Keys.DataKey(ctx, recordOwner)
	if err != nil {
		return nil, err
	}
	var out []*stored
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Query(`SELECT `+credentialColumns+` FROM enrolment_credential c WHERE c.person = $1 AND c.rp_id = $2 ORDER BY c.created_at DESC, c.id`, string(person), s.rp)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			c, err := scan(rows.Scan, key)
			if err != nil {
				return err
			}
			out = append(out, c)
		}
		return rows.Err()
	})
	return out, err
}

// Has reports whether a person ever had a passkey.
func Has(q db.Querier, person identity.PersonID) (bool, error) {
	var n int64
	err := q.QueryRow(`SELECT count(*) FROM enrolment_credential WHERE person = $1`, string(person)).Scan(&n)
	return n > 0, err
}

// Usable counts the passkeys with which a person can enter. In a transaction it
// is made final by [Lock].
func Usable(q db.Querier, person identity.PersonID) (n int, err error) {
	err = q.QueryRow(`SELECT count(*) FROM enrolment_credential WHERE person = $1 AND state = 'active'`, string(person)).Scan(&n)
	return n, err
}

// Lock keeps other removals of the person's passkeys out until the commit.
func Lock(tx *db.Tx, person identity.PersonID) error {
	_, err := tx.Exec(`UPDATE enrolment_handle SET created_at = created_at WHERE person = $1`, string(person))
	return err
}

// byCredentialID returns the credential with that id and its owner's handle, or ErrUnknown.
func (s *Service) byCredentialID(ctx context.Context, id []byte) (*stored, []byte, error) {
	key, err := s.cfg.Keys.DataKey(ctx, recordOwner)
	if err != nil {
		return nil, nil, err
	}
	var c *stored
	var handle []byte
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if c, err = scan(tx.QueryRow(`SELECT `+credentialColumns+` FROM enrolment_credential c WHERE c.rp_id = $1 AND c.credential_id = $2`, s.rp, id).Scan, key); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT handle FROM enrolment_handle WHERE person = $1`, string(c.Person)).Scan(&handle)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, ErrUnknown
	}
	return c, handle, err
}
