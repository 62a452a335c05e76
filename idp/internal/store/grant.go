package store

import (
	"database/sql"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Grant is what a person allowed a client, once; codes and tokens hang on it.
type Grant struct {
	ID        string
	SID       string
	Session   string
	Client    string
	Person    identity.PersonID
	Epoch     identity.Epoch
	Sub       string
	Scopes    []string
	Request   string // canonical request, JSON: nonce, claims, response mode
	ACR       string
	AMR       []string
	AuthAt    time.Time
	CreatedAt time.Time
}

const grantColumns = `g.id, g.sid, g.session, g.client, g.person, g.epoch, g.sub, g.scope, g.request, g.acr, g.amr, g.auth_at, g.created_at`

// grantColumnsOrNone are grantColumns where there may be no grant.
const grantColumnsOrNone = `COALESCE(g.id, ''), COALESCE(g.sid, ''), COALESCE(g.session, ''), COALESCE(g.client, ''), COALESCE(g.person, ''), COALESCE(g.epoch, 0),
	COALESCE(g.sub, ''), COALESCE(g.scope, ''), COALESCE(g.request, ''), COALESCE(g.acr, ''), COALESCE(g.amr, ''), COALESCE(g.auth_at, 0), COALESCE(g.created_at, 0)`

// InsertGrant stores a grant.
func InsertGrant(tx *db.Tx, g *Grant) error {
	_, err := tx.Exec(`INSERT INTO idp_grant (id, sid, session, client, person, epoch, sub, scope, request, acr, amr, auth_at, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		g.ID, g.SID, g.Session, g.Client, string(g.Person), int64(g.Epoch), g.Sub, strings.Join(g.Scopes, " "), g.Request, g.ACR, strings.Join(g.AMR, " "),
		db.Micros(g.AuthAt), db.Micros(g.CreatedAt))
	return err
}

// RevokeGrant ends a grant and its tokens. It reports whether this call ended it.
func RevokeGrant(tx *db.Tx, id, why string, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE idp_grant SET revoked_at = $2, revoked_why = $3 WHERE id = $1 AND revoked_at IS NULL`, id, db.Micros(now), why)
	return n == 1, err
}

// grantTargets returns where to scan grantColumns, and what to run after.
func grantTargets(g *Grant) ([]any, func()) {
	var person, scope, amr string
	var epoch, auth, created int64
	return []any{&g.ID, &g.SID, &g.Session, &g.Client, &person, &epoch, &g.Sub, &scope, &g.Request, &g.ACR, &amr, &auth, &created}, func() {
		g.Person, g.Epoch = identity.PersonID(person), identity.Epoch(epoch)
		g.Scopes, g.AMR = words(scope), words(amr)
		g.AuthAt, g.CreatedAt = db.Time(auth), db.Time(created)
	}
}

// Code is an authorization code, stored by the hash of its value.
type Code struct {
	Hash        []byte
	Grant       string
	Client      string
	RedirectURI string
	Challenge   string // PKCE S256 challenge, "" only under a waiver
	JKT         string // DPoP key thumbprint the code is bound to, or ""
	ExpiresAt   time.Time
	Consumed    bool
}

// InsertCode stores a code.
func InsertCode(tx *db.Tx, c *Code) error {
	_, err := tx.Exec(`INSERT INTO idp_code (hash, grant_id, client, redirect_uri, challenge, jkt, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		c.Hash, c.Grant, c.Client, c.RedirectURI, c.Challenge, c.JKT, db.Micros(c.ExpiresAt))
	return err
}

// CodeByHash returns a code, consumed and expired ones included, with its grant.
// alive says whether the grant and all above it stand.
func CodeByHash(q db.Querier, hash []byte, now time.Time) (c *Code, g *Grant, alive bool, err error) {
	c, g = &Code{}, &Grant{}
	targets, done := grantTargets(g)
	var expires, isLive int64
	var consumed sql.NullInt64
	err = q.QueryRow(`SELECT k.hash, k.grant_id, k.client, k.redirect_uri, k.challenge, k.jkt, k.expires_at, k.consumed_at,
		CASE WHEN `+liveAt("$2")+` THEN 1 ELSE 0 END, `+grantColumns+`
		FROM idp_code k JOIN idp_grant g ON g.id = k.grant_id
		JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session
		WHERE k.hash = $1`, hash, db.Micros(now)).
		Scan(append([]any{&c.Hash, &c.Grant, &c.Client, &c.RedirectURI, &c.Challenge, &c.JKT, &expires, &consumed, &isLive}, targets...)...)
	if err != nil {
		return nil, nil, false, notFound(err)
	}
	done()
	c.ExpiresAt, c.Consumed = db.Time(expires), consumed.Valid
	return c, g, isLive == 1, nil
}

// ConsumeCode spends a code: once, by its client, before it expires, while the
// grant and all above it stand. Anything else is ErrSpent.
func ConsumeCode(tx *db.Tx, hash []byte, client string, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_code SET consumed_at = $3 WHERE hash = $1 AND client = $2 AND consumed_at IS NULL AND expires_at > $3
		AND EXISTS (SELECT 1 FROM idp_grant g JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session
			WHERE g.id = idp_code.grant_id AND `+liveAt("$3")+`)`, hash, client, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// BurnCode ends a code that was presented wrongly, so that no second guess is
// possible. A code that is spent already stays so.
func BurnCode(tx *db.Tx, hash []byte, client string, now time.Time) error {
	_, err := tx.Exec(`UPDATE idp_code SET consumed_at = $3 WHERE hash = $1 AND client = $2 AND consumed_at IS NULL`, hash, client, db.Micros(now))
	return err
}

// Access is an opaque access token, stored by the hash of its value.
type Access struct {
	Hash      []byte
	Grant     string // "" for client credentials
	Client    string
	Scopes    []string
	Audience  []string
	JKT       string   // key that it is bound to: see [Confirmation]
	Act       []string // clients that act with it for the person, the newest first; of an exchanged token only
	CreatedAt time.Time
	ExpiresAt time.Time
}

// CertBinding begins the key of a token that is bound to a certificate, before
// its SHA-256 in base64url (RFC 8705 §3.1). Other keys are thumbprints of DPoP keys.
const CertBinding = "x5t#S256:"

// Confirmation is the cnf claim of a token that is bound to a key (RFC 7800 §3.1).
func Confirmation(key string) map[string]any {
	if hash, ok := strings.CutPrefix(key, CertBinding); ok {
		return map[string]any{"x5t#S256": hash}
	}
	return map[string]any{"jkt": key}
}

// TokenType is how a token that is bound to a key, or "", is presented.
func TokenType(key string) string {
	if key == "" || strings.HasPrefix(key, CertBinding) {
		return "Bearer"
	}
	return "DPoP"
}

// InsertAccess stores an access token.
func InsertAccess(tx *db.Tx, a *Access) error {
	_, err := tx.Exec(`INSERT INTO idp_access (hash, grant_id, client, scope, audience, jkt, act, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		a.Hash, text(a.Grant), a.Client, strings.Join(a.Scopes, " "), strings.Join(a.Audience, " "), a.JKT, strings.Join(a.Act, " "), db.Micros(a.CreatedAt), db.Micros(a.ExpiresAt))
	return err
}

// LiveAccess returns an access token that is neither expired nor revoked and
// whose grant and all above it stand; g is nil for client credentials. until is
// when it ends of itself, with its session if that is sooner. One statement decides.
func LiveAccess(q db.Querier, hash []byte, now time.Time) (a *Access, g *Grant, until time.Time, err error) {
	a, g = &Access{}, &Grant{}
	targets, done := grantTargets(g)
	var scope, audience, act string
	var created, expires, session int64
	err = q.QueryRow(`SELECT a.hash, COALESCE(a.grant_id, ''), a.client, a.scope, a.audience, a.jkt, a.act, a.created_at, a.expires_at,
		COALESCE(s.expires_at, a.expires_at), `+grantColumnsOrNone+`
		FROM idp_access a LEFT JOIN idp_grant g ON g.id = a.grant_id
		LEFT JOIN idp_rp_session r ON r.sid = g.sid LEFT JOIN idp_session s ON s.id = g.session
		WHERE a.hash = $1 AND a.revoked_at IS NULL AND a.expires_at > $2
		AND EXISTS (SELECT 1 FROM idp_client c WHERE c.id = a.client AND c.disabled_at IS NULL AND c.valid_from <= a.created_at)
		AND (a.grant_id IS NULL OR r.sid IS NOT NULL AND s.id IS NOT NULL AND `+liveAt("$2")+`)`, hash, db.Micros(now)).
		Scan(append([]any{&a.Hash, &a.Grant, &a.Client, &scope, &audience, &a.JKT, &act, &created, &expires, &session}, targets...)...)
	if err != nil {
		return nil, nil, time.Time{}, notFound(err)
	}
	a.Scopes, a.Audience, a.Act, a.CreatedAt, a.ExpiresAt = words(scope), words(audience), words(act), db.Time(created), db.Time(expires)
	until = db.Time(min(expires, session))
	if a.Grant == "" {
		return a, nil, until, nil
	}
	done()
	return a, g, until, nil
}

// RevokeAccess ends an access token of the client. It reports whether this call ended it.
func RevokeAccess(tx *db.Tx, hash []byte, client string, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE idp_access SET revoked_at = $3 WHERE hash = $1 AND client = $2 AND revoked_at IS NULL`, hash, client, db.Micros(now))
	return n == 1, err
}

// Refresh is a refresh token, stored by the hash of its value. A grant's tokens are one family.
type Refresh struct {
	Hash        []byte
	Grant       string
	Client      string
	Generation  int64
	JKT         string
	CreatedAt   time.Time
	IdleUntil   time.Time
	ExpiresAt   time.Time
	FirstUsedAt time.Time
	Successor   []byte // sealed under a key derived from the presented token, nil before the first use
}

// InsertRefresh stores a refresh token.
func InsertRefresh(tx *db.Tx, r *Refresh) error {
	_, err := tx.Exec(`INSERT INTO idp_refresh (hash, grant_id, client, generation, jkt, created_at, idle_until, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		r.Hash, r.Grant, r.Client, r.Generation, r.JKT, db.Micros(r.CreatedAt), db.Micros(r.IdleUntil), db.Micros(r.ExpiresAt))
	return err
}

// RefreshByHash returns a refresh token, used and expired ones included, with
// its grant. alive says whether the grant and all above it stand.
func RefreshByHash(q db.Querier, hash []byte, now time.Time) (t *Refresh, g *Grant, alive bool, err error) {
	t, g = &Refresh{}, &Grant{}
	targets, done := grantTargets(g)
	var created, idle, expires, isLive int64
	var used sql.NullInt64
	err = q.QueryRow(`SELECT t.hash, t.grant_id, t.client, t.generation, t.jkt, t.created_at, t.idle_until, t.expires_at, t.first_used_at, t.successor,
		CASE WHEN `+liveAt("$2")+` THEN 1 ELSE 0 END, `+grantColumns+`
		FROM idp_refresh t JOIN idp_grant g ON g.id = t.grant_id
		JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session
		WHERE t.hash = $1`, hash, db.Micros(now)).
		Scan(append([]any{&t.Hash, &t.Grant, &t.Client, &t.Generation, &t.JKT, &created, &idle, &expires, &used, &t.Successor, &isLive}, targets...)...)
	if err != nil {
		return nil, nil, false, notFound(err)
	}
	done()
	t.CreatedAt, t.IdleUntil, t.ExpiresAt, t.FirstUsedAt = db.Time(created), db.Time(idle), db.Time(expires), timeOf(used)
	return t, g, isLive == 1, nil
}

// UseRefresh marks the first use of a refresh token and keeps its sealed
// successor. Of several at once one succeeds; the others get ErrSpent and read
// what the first one stored.
func UseRefresh(tx *db.Tx, hash []byte, client string, successor []byte, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_refresh SET first_used_at = $3, successor = $4
		WHERE hash = $1 AND client = $2 AND first_used_at IS NULL AND idle_until > $3 AND expires_at > $3
		AND EXISTS (SELECT 1 FROM idp_grant g JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session
			WHERE g.id = idp_refresh.grant_id AND `+liveAt("$3")+`)`, hash, client, db.Micros(now), successor)
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// KeepRefresh moves the idle limit of a token that is not rotated.
func KeepRefresh(tx *db.Tx, hash []byte, client string, idleUntil, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_refresh SET idle_until = $4 WHERE hash = $1 AND client = $2 AND idle_until > $3 AND expires_at > $3
		AND EXISTS (SELECT 1 FROM idp_grant g JOIN idp_rp_session r ON r.sid = g.sid JOIN idp_session s ON s.id = g.session
			WHERE g.id = idp_refresh.grant_id AND `+liveAt("$3")+`)`, hash, client, db.Micros(now), db.Micros(idleUntil))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// Purge removes what can no longer matter: rows that expired before the time
// given, at most limit of each kind. It returns how many went.
func Purge(tx *db.Tx, before time.Time, limit int) (int64, error) {
	var total int64
	for _, stmt := range []string{
		`DELETE FROM idp_change WHERE seq IN (SELECT seq FROM idp_change WHERE at < $1 LIMIT $2)`,
		`DELETE FROM idp_jti WHERE (client, jti) IN (SELECT client, jti FROM idp_jti WHERE expires_at < $1 LIMIT $2)`,
		`DELETE FROM idp_access WHERE hash IN (SELECT hash FROM idp_access WHERE expires_at < $1 LIMIT $2)`,
		`DELETE FROM idp_par WHERE uri IN (SELECT uri FROM idp_par WHERE expires_at < $1 LIMIT $2)`,
		`DELETE FROM idp_device_code WHERE hash IN (SELECT hash FROM idp_device_code WHERE expires_at < $1 LIMIT $2)`,
		`DELETE FROM idp_interaction WHERE id IN (SELECT id FROM idp_interaction WHERE expires_at < $1 LIMIT $2)`,
	} {
		n, err := tx.Exec(stmt, db.Micros(before), limit)
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}
