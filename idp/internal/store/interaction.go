package store

import (
	"database/sql"
	"time"

	"oruro.gob.bo/suti/internal/db"
)

// Interaction is a login under way, with its request in canonical form. Several
// may live in one browser; each survives reload, back button and a long pause.
type Interaction struct {
	ID        string
	Client    string
	Request   string // canonical request, JSON
	Browser   []byte // hash of the browser's cookie
	PAR       []byte // hash of the request_uri, nil without one
	CreatedAt time.Time
	ExpiresAt time.Time
	DecidedAt time.Time
}

// InsertInteraction stores a login.
func InsertInteraction(tx *db.Tx, i *Interaction) error {
	_, err := tx.Exec(`INSERT INTO idp_interaction (id, client, request, browser, par, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		i.ID, i.Client, i.Request, i.Browser, i.PAR, db.Micros(i.CreatedAt), db.Micros(i.ExpiresAt))
	return err
}

// InteractionByID returns a login of this browser, expired and decided ones
// included, so that the caller can say what happened.
func InteractionByID(q db.Querier, id string, browser []byte) (*Interaction, error) {
	var i Interaction
	var created, expires int64
	var decided sql.NullInt64
	err := q.QueryRow(`SELECT id, client, request, browser, par, created_at, expires_at, decided_at FROM idp_interaction WHERE id = $1 AND browser = $2`, id, browser).
		Scan(&i.ID, &i.Client, &i.Request, &i.Browser, &i.PAR, &created, &expires, &decided)
	if err != nil {
		return nil, notFound(err)
	}
	i.CreatedAt, i.ExpiresAt, i.DecidedAt = db.Time(created), db.Time(expires), timeOf(decided)
	return &i, nil
}

// DecideInteraction ends a login with its one answer. Of several at once one
// succeeds; the others, and any after the limit, get ErrSpent.
func DecideInteraction(tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_interaction SET decided_at = $2 WHERE id = $1 AND decided_at IS NULL AND expires_at > $2`, id, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// InsertPAR stores a pushed request under the hash of its request_uri (RFC 9126).
func InsertPAR(tx *db.Tx, uri []byte, client, request string, now, expires time.Time) error {
	_, err := tx.Exec(`INSERT INTO idp_par (uri, client, request, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)`,
		uri, client, request, db.Micros(now), db.Micros(expires))
	return err
}

// PAR returns a pushed request of the client that has neither expired nor been
// used to the end. It may be read several times until a login with it ends.
func PAR(q db.Querier, uri []byte, client string, now time.Time) (string, error) {
	var request string
	err := q.QueryRow(`SELECT request FROM idp_par WHERE uri = $1 AND client = $2 AND consumed_at IS NULL AND expires_at > $3`, uri, client, db.Micros(now)).Scan(&request)
	return request, notFound(err)
}

// ConsumePAR ends a pushed request; again is ErrSpent. A login that began
// before the request expired may end after.
func ConsumePAR(tx *db.Tx, uri []byte, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_par SET consumed_at = $2 WHERE uri = $1 AND consumed_at IS NULL`, uri, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// Consent is a person's permission for one scope of one client.
type Consent struct {
	ID        string
	Client    string
	Scope     string
	GrantedAt time.Time
	ExpiresAt time.Time
}

// InsertConsent records a permission; one that lives already is kept.
func InsertConsent(tx *db.Tx, person string, c Consent) error {
	_, err := tx.Exec(`INSERT INTO idp_consent (id, person, client, scope, granted_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (person, client, scope) WHERE revoked_at IS NULL DO UPDATE SET expires_at = excluded.expires_at`,
		c.ID, person, c.Client, c.Scope, db.Micros(c.GrantedAt), db.Micros(c.ExpiresAt))
	return err
}

// Consents returns a person's live permissions, of one client or of all ("").
func Consents(q db.Querier, person, client string, now time.Time) ([]Consent, error) {
	rows, err := q.Query(`SELECT id, client, scope, granted_at, expires_at FROM idp_consent
		WHERE person = $1 AND ($2 = '' OR client = $2) AND revoked_at IS NULL AND expires_at > $3 ORDER BY client, scope`, person, client, db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Consent
	for rows.Next() {
		var c Consent
		var granted, expires int64
		if err := rows.Scan(&c.ID, &c.Client, &c.Scope, &granted, &expires); err != nil {
			return nil, err
		}
		c.GrantedAt, c.ExpiresAt = db.Time(granted), db.Time(expires)
		out = append(out, c)
	}
	return out, rows.Err()
}

// RevokeConsents ends a person's permissions for a client, and every grant made on them.
func RevokeConsents(tx *db.Tx, person, client string, now time.Time) (int64, error) {
	n, err := tx.Exec(`UPDATE idp_consent SET revoked_at = $3 WHERE person = $1 AND client = $2 AND revoked_at IS NULL`, person, client, db.Micros(now))
	if err != nil {
		return n, err
	}
	_, err = tx.Exec(`UPDATE idp_grant SET revoked_at = $3, revoked_why = 'consent' WHERE person = $1 AND client = $2 AND revoked_at IS NULL`, person, client, db.Micros(now))
	return n, err
}
