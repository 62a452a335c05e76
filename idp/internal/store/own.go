package store

import (
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// What a person sees of her own devices, sessions, applications and grants, and
// how each level ends alone. Nothing beneath is touched: it is dead by the join.

// prefixDevice begins the ids of devices.
const prefixDevice = "dev"

// NewDeviceID returns an id for a device.
func NewDeviceID(now time.Time) string { return identity.NewID(prefixDevice, now) }

// ownDevice is the device of a session that has none on record.
func ownDevice(session string) string {
	_, rest, _ := strings.Cut(session, "_")
	return prefixDevice + "_" + rest
}

// UseDevice returns the id of the person's device whose cookie has that hash,
// storing fresh if there is none. It holds the row to the commit: a session that
// is begun in the same transaction is seen by whoever ends the device after it.
func UseDevice(tx *db.Tx, fresh string, secret []byte, person identity.PersonID, now time.Time) (string, error) {
	var id string
	err := tx.QueryRow(`INSERT INTO idp_device (id, person, secret, first_at, seen_at) VALUES ($1, $2, $3, $4, $4)
		ON CONFLICT (secret, person) WHERE ended_at IS NULL DO UPDATE SET seen_at = excluded.seen_at RETURNING id`, fresh, string(person), secret, db.Micros(now)).Scan(&id)
	return id, notFound(err)
}

// EndDevice ends a person's device with its sessions and returns their ids.
// ErrNotFound if there was neither.
func EndDevice(tx *db.Tx, person identity.PersonID, id, why string, now time.Time) ([]string, error) {
	n, err := tx.Exec(`UPDATE idp_device SET ended_at = $3 WHERE id = $1 AND person = $2 AND ended_at IS NULL`, id, string(person), db.Micros(now))
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(`UPDATE idp_session SET ended_at = $3, ended_why = $4 WHERE person = $2 AND ended_at IS NULL
		AND (device_id = $1 OR device_id IS NULL AND '`+prefixDevice+`_' || substr(id, 5) = $1) RETURNING id`, id, string(person), db.Micros(now), why)
	if err != nil {
		return nil, err
	}
	ended, err := scanStrings(rows)
	if err == nil && n == 0 && len(ended) == 0 {
		err = ErrNotFound
	}
	return ended, err
}

// PersonRPSessions returns the client sessions beneath the sessions of a person
// that stand, newest first.
func PersonRPSessions(q db.Querier, person identity.PersonID, now time.Time) ([]RPSession, error) {
	rows, err := q.Query(`SELECT r.sid, r.session, r.client, r.created_at FROM idp_rp_session r JOIN idp_session s ON s.id = r.session
		WHERE s.person = $1 AND r.ended_at IS NULL AND s.ended_at IS NULL AND s.expires_at > $2 ORDER BY r.created_at DESC, r.sid LIMIT 1000`, string(person), db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []RPSession
	for rows.Next() {
		var r RPSession
		var created int64
		if err := rows.Scan(&r.SID, &r.Session, &r.Client, &created); err != nil {
			return nil, err
		}
		r.CreatedAt = db.Time(created)
		out = append(out, r)
	}
	return out, rows.Err()
}

// OwnGrant is a grant of a person, and whether it can be renewed.
type OwnGrant struct {
	Grant
	Renewable bool
}

// graceOfGrant is how long a grant without a refresh token may still have
// something alive beneath it: its code, the access token, an exchanged one.
const graceOfGrant = 5 * time.Minute

// PersonGrants returns the grants of a person that stand and have something
// beneath them that may still be used, newest first.
func PersonGrants(q db.Querier, person identity.PersonID, now time.Time) ([]OwnGrant, error) {
	rows, err := q.Query(`SELECT `+grantColumns+`, CASE WHEN EXISTS (SELECT 1 FROM idp_refresh t WHERE t.grant_id = g.id AND t.idle_until > $2 AND t.expires_at > $2) THEN 1 ELSE 0 END AS renewable
		FROM idp_grant g JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session
		WHERE g.person = $1 AND `+liveAt("$2")+` ORDER BY g.created_at DESC, g.id LIMIT 1000`, string(person), db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []OwnGrant
	for rows.Next() {
		var g OwnGrant
		var renewable int64
		targets, done := grantTargets(&g.Grant)
		if err := rows.Scan(append(targets, &renewable)...); err != nil {
			return nil, err
		}
		done()
		if g.Renewable = renewable == 1; g.Renewable || g.CreatedAt.Add(graceOfGrant).After(now) {
			out = append(out, g)
		}
	}
	return out, rows.Err()
}

// SIDTarget returns the application of a client session that stands beneath a
// session of the person; Address or Sub may be empty. Else ErrNotFound.
func SIDTarget(q db.Querier, person identity.PersonID, sid string) (BackchannelTarget, error) {
	var t BackchannelTarget
	err := q.QueryRow(`SELECT c.id, c.backchannel_uri, r.sid, COALESCE(u.sub, '') FROM idp_rp_session r
		JOIN idp_session s ON s.id = r.session JOIN idp_client c ON c.id = r.client
		LEFT JOIN idp_subject u ON u.sector = c.sector AND u.person = s.person
		WHERE r.sid = $2 AND s.person = $1 AND r.ended_at IS NULL AND s.ended_at IS NULL`, string(person), sid).Scan(&t.Client, &t.Address, &t.SID, &t.Sub)
	return t, notFound(err)
}

// GrantSID returns the client session of a grant of the person, whatever its state.
func GrantSID(q db.Querier, person identity.PersonID, grant string) (string, error) {
	var sid string
	err := q.QueryRow(`SELECT g.sid FROM idp_grant g WHERE g.id = $1 AND g.person = $2`, grant, string(person)).Scan(&sid)
	return sid, notFound(err)
}

// HoldRPSession holds a client session to the commit, so that of several grants
// that end at once beneath it one is the last.
func HoldRPSession(tx *db.Tx, sid string) error {
	_, err := tx.Exec(`UPDATE idp_rp_session SET client = client WHERE sid = $1`, sid)
	return err
}

// SIDInUse reports whether a grant stands beneath a client session.
func SIDInUse(q db.Querier, sid string, now time.Time) (bool, error) {
	var n int64
	err := q.QueryRow(`SELECT count(1) FROM idp_grant g JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session
		WHERE g.sid = $1 AND `+liveAt("$2")+` AND (g.created_at > $3 OR EXISTS (SELECT 1 FROM idp_refresh t WHERE t.grant_id = g.id AND t.idle_until > $2 AND t.expires_at > $2))`,
		sid, db.Micros(now), db.Micros(now.Add(-graceOfGrant))).Scan(&n)
	return n > 0, err
}
