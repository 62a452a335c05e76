package store

import (
	"database/sql"
	"time"

	"oruro.gob.bo/suti/internal/db"
)

// DeviceCode is the entry of a device without a browser of its own (RFC 8628),
// stored by the hashes of its two codes.
type DeviceCode struct {
	Hash      []byte
	UserCode  []byte
	Client    string
	Request   string // canonical request, JSON
	CreatedAt time.Time
	ExpiresAt time.Time
	Outcome   string // "" while the person has not decided, "granted", "denied"
	Grant     string // "" unless granted
	Consumed  bool
}

const deviceColumns = `k.hash, k.user_code, k.client, k.request, k.created_at, k.expires_at, k.outcome, k.grant_id, k.consumed_at`

// InsertDeviceCode stores an entry. A user code that is taken is a unique
// violation of idp_device_code.
func InsertDeviceCode(tx *db.Tx, d *DeviceCode) error {
	_, err := tx.Exec(`INSERT INTO idp_device_code (hash, user_code, client, request, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		d.Hash, d.UserCode, d.Client, d.Request, db.Micros(d.CreatedAt), db.Micros(d.ExpiresAt))
	return err
}

// PendingDevice returns the entry of a user code that nobody has decided and
// that has not expired.
func PendingDevice(q db.Querier, userCode []byte, now time.Time) (*DeviceCode, error) {
	return scanDevice(q.QueryRow(`SELECT `+deviceColumns+` FROM idp_device_code k
		WHERE k.user_code = $1 AND k.outcome IS NULL AND k.expires_at > $2`, userCode, db.Micros(now)).Scan)
}

// DeviceByHash returns the entry of a device code, decided, used and expired
// ones included.
func DeviceByHash(q db.Querier, hash []byte) (*DeviceCode, error) {
	return scanDevice(q.QueryRow(`SELECT `+deviceColumns+` FROM idp_device_code k WHERE k.hash = $1`, hash).Scan)
}

func scanDevice(scan func(...any) error) (*DeviceCode, error) {
	var d DeviceCode
	var created, expires int64
	var outcome, grant sql.NullString
	var consumed sql.NullInt64
	if err := scan(&d.Hash, &d.UserCode, &d.Client, &d.Request, &created, &expires, &outcome, &grant, &consumed); err != nil {
		return nil, notFound(err)
	}
	d.CreatedAt, d.ExpiresAt = db.Time(created), db.Time(expires)
	d.Outcome, d.Grant, d.Consumed = outcome.String, grant.String, consumed.Valid
	return &d, nil
}

// DecideDevice gives an entry its one answer: the grant, or "" for a refusal.
// Of several at once one succeeds; the others, and any after the limit, get
// ErrSpent.
func DecideDevice(tx *db.Tx, hash []byte, grant string, now time.Time) error {
	outcome, id := "denied", any(nil)
	if grant != "" {
		outcome, id = "granted", grant
	}
	n, err := tx.Exec(`UPDATE idp_device_code SET outcome = $2, grant_id = $3, decided_at = $4 WHERE hash = $1 AND outcome IS NULL AND expires_at > $4`,
		hash, outcome, id, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// ConsumeDevice spends a granted device code: once, by its client, before it
// expires, while the grant and all above it stand. Anything else is ErrSpent.
func ConsumeDevice(tx *db.Tx, hash []byte, client string, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_device_code SET consumed_at = $3 WHERE hash = $1 AND client = $2 AND outcome = 'granted' AND consumed_at IS NULL AND expires_at > $3
		AND EXISTS (SELECT 1 FROM idp_grant g JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session
			WHERE g.id = idp_device_code.grant_id AND `+liveAt("$3")+`)`, hash, client, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// GrantByID returns a grant, ended ones included; alive says whether it and all
// above it stand.
func GrantByID(q db.Querier, id string, now time.Time) (g *Grant, alive bool, err error) {
	g = &Grant{}
	targets, done := grantTargets(g)
	var isLive int64
	err = q.QueryRow(`SELECT CASE WHEN `+liveAt("$2")+` THEN 1 ELSE 0 END, `+grantColumns+` FROM idp_grant g
		JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session WHERE g.id = $1`, id, db.Micros(now)).
		Scan(append([]any{&isLive}, targets...)...)
	if err != nil {
		return nil, false, notFound(err)
	}
	done()
	return g, isLive == 1, nil
}
