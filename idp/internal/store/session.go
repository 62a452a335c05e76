package store

import (
	"database/sql"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Session is a sign-on session: one person in one browser.
type Session struct {
	ID        string
	Person    identity.PersonID
	Epoch     identity.Epoch
	Device    string // a few words on the browser, for the person's own list
	DeviceID  string // the device that it was begun in; its own if none is on record
	Shared    bool   // a device that several people use (D27)
	CreatedAt time.Time
	SeenAt    time.Time
	Idle      time.Duration
	ExpiresAt time.Time
	EndedAt   time.Time
}

const sessionColumns = `s.id, s.person, s.epoch, s.device, s.shared, s.created_at, s.seen_at, s.idle_us, s.expires_at, s.ended_at, s.device_id`

// Lapsed reports whether the session was idle too long at now: it proves nothing
// any more, but what was granted beneath it lives on.
func (s *Session) Lapsed(now time.Time) bool { return !s.SeenAt.Add(s.Idle).After(now) }

// InsertSession stores a session under the hash of its cookie's secret.
func InsertSession(tx *db.Tx, s *Session, secret []byte) error {
	_, err := tx.Exec(`INSERT INTO idp_session (id, secret, person, epoch, device, shared, created_at, seen_at, idle_us, expires_at, device_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		s.ID, secret, string(s.Person), int64(s.Epoch), s.Device, flag(s.Shared), db.Micros(s.CreatedAt), db.Micros(s.SeenAt), s.Idle.Microseconds(), db.Micros(s.ExpiresAt), text(s.DeviceID))
	return err
}

// SessionBySecret returns the live session whose cookie has that hash: not
// ended, within both limits, its person active in the same epoch.
func SessionBySecret(q db.Querier, secret []byte, now time.Time) (*Session, error) {
	return scanSession(q.QueryRow(`SELECT `+sessionColumns+` FROM idp_session s
		JOIN subject p ON p.person = s.person AND p.epoch = s.epoch AND p.state = 'active'
		WHERE s.secret = $1 AND s.ended_at IS NULL AND s.expires_at > $2 AND s.seen_at + s.idle_us > $2`, secret, db.Micros(now)).Scan)
}

// SessionHeld returns the session whose cookie has that hash unless it was
// ended: also one that is idle, expired or of an older epoch, and so proves
// nothing any more but still has applications beneath it.
func SessionHeld(q db.Querier, secret []byte) (*Session, error) {
	return scanSession(q.QueryRow(`SELECT `+sessionColumns+` FROM idp_session s WHERE s.secret = $1 AND s.ended_at IS NULL`, secret).Scan)
}

// RotateSecret gives a session another cookie and a new idle limit after its
// person authenticated in a browser that held it; every cookie before is dead at
// once. Of several tabs at once the last has the living cookie. ErrSpent if the
// session ended or expired.
func RotateSecret(tx *db.Tx, id string, fresh []byte, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_session SET secret = $2, seen_at = $3 WHERE id = $1 AND ended_at IS NULL AND expires_at > $3`, id, fresh, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// RequireSession returns ErrNotFound unless a session stands: not ended, not
// expired, its person active in the same epoch. It is the condition of writes
// that a person's answer causes.
func RequireSession(tx *db.Tx, id string, now time.Time) error {
	var one int64
	return notFound(tx.QueryRow(`SELECT 1 FROM idp_session s JOIN subject p ON p.person = s.person AND p.epoch = s.epoch AND p.state = 'active'
		WHERE s.id = $1 AND s.ended_at IS NULL AND s.expires_at > $2`, id, db.Micros(now)).Scan(&one))
}

// TouchSession moves the idle limit; it never revives a session that has passed it.
func TouchSession(tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`UPDATE idp_session SET seen_at = $2 WHERE id = $1 AND ended_at IS NULL AND seen_at < $2 AND seen_at + idle_us > $2`, id, db.Micros(now))
	return err
}

// EndSession ends a session and so everything beneath it. It reports whether
// this call ended it.
func EndSession(tx *db.Tx, id, why string, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE idp_session SET ended_at = $2, ended_why = $3 WHERE id = $1 AND ended_at IS NULL`, id, db.Micros(now), why)
	return n == 1, err
}

// EndStaleSessions ends the sessions of a person that her present epoch and
// state do not carry, and returns their ids. What she opened since lives on,
// however late this runs.
func EndStaleSessions(tx *db.Tx, person identity.PersonID, why string, now time.Time) ([]string, error) {
	rows, err := tx.Query(`UPDATE idp_session SET ended_at = $2, ended_why = $3 WHERE person = $1 AND ended_at IS NULL
		AND NOT EXISTS (SELECT 1 FROM subject p WHERE p.person = idp_session.person AND p.epoch = idp_session.epoch AND p.state = 'active') RETURNING id`, string(person), db.Micros(now), why)
	if err != nil {
		return nil, err
	}
	return scanStrings(rows)
}

// EndOtherSessions ends every session of a person but one, those idle too long
// among them, and returns their ids.
func EndOtherSessions(tx *db.Tx, person identity.PersonID, keep, why string, now time.Time) ([]string, error) {
	rows, err := tx.Query(`UPDATE idp_session SET ended_at = $3, ended_why = $4 WHERE person = $1 AND id <> $2 AND ended_at IS NULL RETURNING id`, string(person), keep, db.Micros(now), why)
	if err != nil {
		return nil, err
	}
	return scanStrings(rows)
}

// PersonSessions returns the sessions of a person that stand, newest first, also
// those idle too long, beneath which applications may still hold tokens.
func PersonSessions(q db.Querier, person identity.PersonID, now time.Time) ([]*Session, error) {
	rows, err := q.Query(`SELECT `+sessionColumns+` FROM idp_session s
		JOIN subject p ON p.person = s.person AND p.epoch = s.epoch AND p.state = 'active'
		WHERE s.person = $1 AND s.ended_at IS NULL AND s.expires_at > $2
		ORDER BY s.created_at DESC, s.id LIMIT 200`, string(person), db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*Session
	for rows.Next() {
		s, err := scanSession(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

func scanSession(scan func(...any) error) (*Session, error) {
	var s Session
	var person string
	var epoch, shared, created, seen, idle, expires int64
	var ended sql.NullInt64
	var device sql.NullString
	if err := scan(&s.ID, &person, &epoch, &s.Device, &shared, &created, &seen, &idle, &expires, &ended, &device); err != nil {
		return nil, notFound(err)
	}
	s.Person, s.Epoch, s.Shared = identity.PersonID(person), identity.Epoch(epoch), shared == 1
	s.CreatedAt, s.SeenAt, s.ExpiresAt, s.EndedAt = db.Time(created), db.Time(seen), db.Time(expires), timeOf(ended)
	s.Idle, s.DeviceID = time.Duration(idle)*time.Microsecond, device.String
	if !device.Valid {
		s.DeviceID = ownDevice(s.ID)
	}
	return &s, nil
}

func scanStrings(rows *sql.Rows) ([]string, error) {
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// InsertEvent appends an authentication to a session.
func InsertEvent(tx *db.Tx, id, session string, a identity.Authentication) error {
	_, err := tx.Exec(`INSERT INTO idp_event (id, session, method, credential, uv, device_bound, attested, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		id, session, string(a.Method), string(a.Credential), flag(a.UserVerified), flag(a.DeviceBound), flag(a.Attested), db.Micros(a.At))
	return err
}

// Events returns the authentications of a session, newest first.
func Events(q db.Querier, session *Session) ([]identity.Authentication, error) {
	rows, err := q.Query(`SELECT method, credential, uv, device_bound, attested, at FROM idp_event WHERE session = $1 ORDER BY at DESC, id DESC LIMIT 50`, session.ID)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []identity.Authentication
	for rows.Next() {
		a := identity.Authentication{Person: session.Person, Epoch: session.Epoch}
		var method, credential string
		var uv, bound, attested, at int64
		if err := rows.Scan(&method, &credential, &uv, &bound, &attested, &at); err != nil {
			return nil, err
		}
		a.Method, a.Credential = identity.Method(method), identity.CredentialID(credential)
		a.UserVerified, a.DeviceBound, a.Attested, a.At = uv == 1, bound == 1, attested == 1, db.Time(at)
		out = append(out, a)
	}
	return out, rows.Err()
}

// RPSession is one client's session beneath a sign-on session.
type RPSession struct {
	SID       string
	Session   string
	Client    string
	CreatedAt time.Time
}

// OpenRPSession returns the client's live session beneath session, storing sid if
// there is none. It holds the row to the commit, so that who ends it meanwhile
// either sees what is granted beneath it or comes first.
func OpenRPSession(tx *db.Tx, session, client, sid string, now time.Time) (string, error) {
	var got string
	err := tx.QueryRow(`INSERT INTO idp_rp_session (sid, session, client, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (session, client) WHERE ended_at IS NULL DO UPDATE SET client = excluded.client RETURNING sid`, sid, session, client, db.Micros(now)).Scan(&got)
	return got, notFound(err)
}

// EndRPSession ends one client's session. It reports whether this call ended
// it; beneath a session that ended there is nothing left to end.
func EndRPSession(tx *db.Tx, sid, why string, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE idp_rp_session SET ended_at = $2, ended_why = $3 WHERE sid = $1 AND ended_at IS NULL
		AND EXISTS (SELECT 1 FROM idp_session s WHERE s.id = idp_rp_session.session AND s.ended_at IS NULL)`, sid, db.Micros(now), why)
	return n == 1, err
}

// SIDOwner returns whose session a client session lies beneath.
func SIDOwner(q db.Querier, sid string) (identity.PersonID, error) {
	var person string
	err := q.QueryRow(`SELECT s.person FROM idp_rp_session r JOIN idp_session s ON s.id = r.session WHERE r.sid = $1`, sid).Scan(&person)
	return identity.PersonID(person), notFound(err)
}

// RPSessionByID returns a client session whatever its state, with its sign-on session's id.
func RPSessionByID(q db.Querier, sid string) (*RPSession, error) {
	var r RPSession
	var created int64
	err := q.QueryRow(`SELECT sid, session, client, created_at FROM idp_rp_session WHERE sid = $1`, sid).Scan(&r.SID, &r.Session, &r.Client, &created)
	if err != nil {
		return nil, notFound(err)
	}
	r.CreatedAt = db.Time(created)
	return &r, nil
}

// BackchannelTarget is an application to be told that a session ended.
type BackchannelTarget struct{ Client, Address, SID, Sub string }

// BackchannelTargets returns the applications beneath a session that have a
// back-channel address and a subject to name.
func BackchannelTargets(tx *db.Tx, session string) ([]BackchannelTarget, error) {
	rows, err := tx.Query(`SELECT c.id, c.backchannel_uri, r.sid, u.sub FROM idp_rp_session r
		JOIN idp_session s ON s.id = r.session JOIN idp_client c ON c.id = r.client
		JOIN idp_subject u ON u.sector = c.sector AND u.person = s.person
		WHERE r.session = $1 AND r.ended_at IS NULL AND c.backchannel_uri <> '' ORDER BY r.sid`, session)
	if err != nil {
		return nil, err
	}
	return scanTargets(rows)
}

// ClientTargets returns one client's sessions beneath any session of a person
// that have not ended; Address or Sub may be empty.
func ClientTargets(tx *db.Tx, person identity.PersonID, client string) ([]BackchannelTarget, error) {
	rows, err := tx.Query(`SELECT c.id, c.backchannel_uri, r.sid, COALESCE(u.sub, '') FROM idp_rp_session r
		JOIN idp_session s ON s.id = r.session JOIN idp_client c ON c.id = r.client
		LEFT JOIN idp_subject u ON u.sector = c.sector AND u.person = s.person
		WHERE s.person = $1 AND r.client = $2 AND r.ended_at IS NULL AND s.ended_at IS NULL ORDER BY r.sid`, string(person), client)
	if err != nil {
		return nil, err
	}
	return scanTargets(rows)
}

func scanTargets(rows *sql.Rows) ([]BackchannelTarget, error) {
	defer rows.Close()
	var out []BackchannelTarget
	for rows.Next() {
		var t BackchannelTarget
		if err := rows.Scan(&t.Client, &t.Address, &t.SID, &t.Sub); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, rows.Err()
}

// FrontchannelTarget is an old application to be told in the person's browser.
type FrontchannelTarget struct {
	Name, Address, SID string
	WithSID            bool
}

// FrontchannelTargets returns the applications beneath a session that are told
// of its end in the browser.
func FrontchannelTargets(q db.Querier, session string) ([]FrontchannelTarget, error) {
	rows, err := q.Query(`SELECT c.name, c.frontchannel_uri, r.sid, c.frontchannel_session FROM idp_rp_session r JOIN idp_client c ON c.id = r.client
		WHERE r.session = $1 AND r.ended_at IS NULL AND c.frontchannel_uri <> '' AND c.profile = 'legacy' AND c.disabled_at IS NULL ORDER BY c.id LIMIT 20`, session)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []FrontchannelTarget
	for rows.Next() {
		var t FrontchannelTarget
		var with int64
		if err := rows.Scan(&t.Name, &t.Address, &t.SID, &with); err != nil {
			return nil, err
		}
		t.WithSID = with == 1
		out = append(out, t)
	}
	return out, rows.Err()
}
