package store

import (
	"database/sql"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Trusted is somebody whom a person trusts to say that she is herself.
type Trusted struct {
	ID       string
	Owner    identity.PersonID
	Contact  identity.PersonID // empty: nobody registered has that document
	Alias    []byte            // sealed
	State    string
	Created  time.Time
	Accepted time.Time // zero before
}

const trustedColumns = `id, owner, contact, alias, state, created_at, coalesce(accepted_at, 0)`

func scanTrusted(scan func(...any) error) (Trusted, error) {
	var t Trusted
	var created, accepted int64
	err := scan(&t.ID, &t.Owner, &t.Contact, &t.Alias, &t.State, &created, &accepted)
	if t.Created = db.Time(created); accepted > 0 {
		t.Accepted = db.Time(accepted)
	}
	return t, none(err)
}

// PutTrusted stores a trust that is proposed.
func PutTrusted(tx *db.Tx, t Trusted) error {
	_, err := tx.Exec(`INSERT INTO enrolment_trusted (id, owner, contact, alias, state, created_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		t.ID, string(t.Owner), string(t.Contact), t.Alias, t.State, db.Micros(t.Created))
	return err
}

// TrustedByID returns a trust, or ErrNone.
func TrustedByID(q db.Querier, id string) (Trusted, error) {
	return scanTrusted(q.QueryRow(`SELECT `+trustedColumns+` FROM enrolment_trusted WHERE id = $1`, id).Scan)
}

// TrustedOf lists whom a person named and has not ended, the oldest first.
func TrustedOf(q db.Querier, owner identity.PersonID) ([]Trusted, error) {
	return trusted(q, `WHERE owner = $1 AND state <> 'terminada' ORDER BY created_at, id LIMIT 50`, owner)
}

// TrustingIn lists by whom a person was named, the oldest first.
func TrustingIn(q db.Querier, contact identity.PersonID) ([]Trusted, error) {
	return trusted(q, `WHERE contact = $1 AND state <> 'terminada' ORDER BY created_at, id LIMIT 50`, contact)
}

func trusted(q db.Querier, where string, person identity.PersonID) ([]Trusted, error) {
	var out []Trusted
	err := collect(q, func(r *sql.Rows) error {
		t, err := scanTrusted(r.Scan)
		out = append(out, t)
		return err
	}, `SELECT `+trustedColumns+` FROM enrolment_trusted `+where, string(person))
	return out, err
}

// MoveTrusted moves a trust from one state to another, once; ErrNone otherwise.
func MoveTrusted(tx *db.Tx, id, from, to string, now time.Time) error {
	column := map[string]string{"aceptada": "accepted_at", "terminada": "ended_at"}[to]
	return one(tx.Exec(`UPDATE enrolment_trusted SET state = $3, `+column+` = $4 WHERE id = $1 AND state = $2`, id, from, to, db.Micros(now)))
}

// Vouch is one who has said that a person is herself.
type Vouch struct {
	Contact identity.PersonID
	At      time.Time
}

// PutVouch stores one; db.IsUnique if the same one has vouched.
func PutVouch(tx *db.Tx, ticket string, v Vouch) error {
	_, err := tx.Exec(`INSERT INTO enrolment_vouch (ticket, contact, at) VALUES ($1, $2, $3)`, ticket, string(v.Contact), db.Micros(v.At))
	return err
}

// Vouches lists who vouched for a recovery and is trusted still, in order.
func Vouches(q db.Querier, ticket string) ([]Vouch, error) {
	var out []Vouch
	err := collect(q, func(r *sql.Rows) error {
		var v Vouch
		var at int64
		err := r.Scan(&v.Contact, &at)
		v.At = db.Time(at)
		out = append(out, v)
		return err
	}, `SELECT v.contact, v.at FROM enrolment_vouch v JOIN enrolment_ticket t ON t.id = v.ticket
		JOIN enrolment_trusted x ON x.owner = t.person AND x.contact = v.contact AND x.state = 'aceptada'
		WHERE v.ticket = $1 ORDER BY v.at, v.contact`, ticket)
	return out, err
}
