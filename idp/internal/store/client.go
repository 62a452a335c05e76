package store

import (
	"database/sql"
	"errors"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Client is a registered application.
type Client struct {
	ID             string
	Institution    identity.InstitutionID
	Sector         string // host or institution whose clients share subjects
	Profile        string // gov-fapi2, gov-web, gov-native, gov-spa, legacy
	Name           string
	AuthMethod     string // private_key_jwt, client_secret_basic, client_secret_post, none, tls_client_auth, self_signed_tls_client_auth
	JWKS           string // public JWK Set, "" for clients without keys
	JWKSURI        string // where it publishes them, "" if they were handed over
	JWKSReadAt     time.Time
	RedirectURIs   []string
	PostLogoutURIs []string
	Scopes         []string
	Grants         []string // grant types
	IDTokenAlg     string   // ES256, PS256, EdDSA or RS256
	UserInfoAlg    string   // algorithm of signed answers of userinfo, "" for JSON
	ResponseAlg    string   // algorithm of signed authorization responses, "" for IDTokenAlg
	// IntrospectionAlg signs answers of introspection that are asked for as JWT, "" for IDTokenAlg.
	IntrospectionAlg string
	SignedRequests   bool // its authorization requests must be signed
	BackchannelURI   string
	// IDTokenEncryption and UserInfoEncryption are "ALG ENC", or "" for not encrypted.
	IDTokenEncryption, UserInfoEncryption string
	TLSSubject                            string               // name in the certificate of tls_client_auth, KIND:VALUE
	CertBound                             bool                 // access tokens are always bound to the client's certificate
	FrontchannelURI                       string               // told of a logout in the browser; of old clients only
	FrontchannelSID                       bool                 // with iss and sid
	DPoP                                  bool                 // access tokens are always bound to a key
	TokenFormat                           string               // opaque or jwt
	Resources                             []string             // URIs that it may ask tokens for
	Serves                                []string             // URIs that it is: whose tokens it may introspect
	Exchanges                             []string             // URIs of services that it may exchange a person's token for
	DetailTypes                           []string             // types of authorization details that it may ask for
	Waivers                               map[string]time.Time // waived rule -> until
	CreatedAt                             time.Time
	DisabledAt                            time.Time
	Version                               int64
}

// Public reports whether the client cannot authenticate.
func (c *Client) Public() bool { return c.AuthMethod == "none" }

// Waived reports whether a rule is waived for the client at t.
func (c *Client) Waived(rule string, t time.Time) bool {
	until, ok := c.Waivers[rule]
	return ok && t.Before(until)
}

const clientColumns = `id, institution, sector, profile, name, auth_method, jwks, redirect_uris, post_logout_uris,
	scopes, grants, id_token_alg, backchannel_uri, waivers, created_at, disabled_at, version, dpop,
	token_format, resources, serves, signing_alg, userinfo_alg, exchanges, detail_types, signed_requests, response_alg, introspection_alg,
	jwks_uri, jwks_read_at, frontchannel_uri, frontchannel_session, tls_method, tls_subject, tls_bound, id_token_encryption, userinfo_encryption`

// InsertClient adds a client. A taken id is a unique violation of idp_client.
func InsertClient(tx *db.Tx, c *Client) error {
	_, err := tx.Exec(`INSERT INTO idp_client (`+clientColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, 1, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36)`,
		c.ID, string(c.Institution), c.Sector, c.Profile, c.Name, oldMethod(c.AuthMethod), c.JWKS, encode(c.RedirectURIs), encode(c.PostLogoutURIs),
		strings.Join(c.Scopes, " "), strings.Join(c.Grants, " "), oldAlg(c.IDTokenAlg), c.BackchannelURI, encode(c.Waivers), db.Micros(c.CreatedAt), micros(c.DisabledAt), flag(c.DPoP),
		c.TokenFormat, encode(list(c.Resources)), encode(list(c.Serves)), c.IDTokenAlg, c.UserInfoAlg, encode(list(c.Exchanges)), encode(list(c.DetailTypes)), flag(c.SignedRequests), c.ResponseAlg, c.IntrospectionAlg,
		c.JWKSURI, since(c.JWKSReadAt), c.FrontchannelURI, flag(c.FrontchannelSID),
		tlsMethod(c.AuthMethod), c.TLSSubject, flag(c.CertBound), c.IDTokenEncryption, c.UserInfoEncryption)
	return err
}

// DisableClient ends a client: everything granted through it is dead at once.
func DisableClient(tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_client SET disabled_at = $2, version = version + 1 WHERE id = $1 AND disabled_at IS NULL`, id, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// EnableClient brings a disabled client back. What was granted before stays dead.
func EnableClient(tx *db.Tx, id string, now time.Time) error {
	n, err := tx.Exec(`UPDATE idp_client SET disabled_at = NULL, valid_from = $2, version = version + 1 WHERE id = $1 AND disabled_at IS NOT NULL`, id, db.Micros(now))
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// SetKeys replaces the keys of a client that has some; ErrNotFound if there is none.
func SetKeys(tx *db.Tx, id, jwks string) error {
	n, err := tx.Exec(`UPDATE idp_client SET jwks = $2, jwks_uri = '', version = version + 1 WHERE id = $1 AND jwks <> ''`, id, jwks)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// ChangeClient stores what may change after registration, unless the client
// changed since it was read: ErrSpent.
func ChangeClient(tx *db.Tx, c *Client) error {
	n, err := tx.Exec(`UPDATE idp_client SET name = $3, redirect_uris = $4, post_logout_uris = $5, scopes = $6, backchannel_uri = $7, waivers = $8, jwks = $9, jwks_uri = $10,
		jwks_read_at = $11, frontchannel_uri = $12, frontchannel_session = $13, version = version + 1 WHERE id = $1 AND version = $2`,
		c.ID, c.Version, c.Name, encode(list(c.RedirectURIs)), encode(list(c.PostLogoutURIs)), strings.Join(c.Scopes, " "), c.BackchannelURI, encode(c.Waivers), c.JWKS, c.JWKSURI,
		since(c.JWKSReadAt), c.FrontchannelURI, flag(c.FrontchannelSID))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// ClaimKeys lets one caller of all nodes read a client's published keys: true
// once between now and a try at before or earlier.
func ClaimKeys(tx *db.Tx, id string, before, now time.Time) (bool, error) {
	n, err := tx.Exec(`UPDATE idp_client SET jwks_tried_at = $3 WHERE id = $1 AND jwks_uri <> '' AND jwks_tried_at <= $2`, id, db.Micros(before), db.Micros(now))
	return n == 1, err
}

// StoreReadKeys keeps the keys that were read at uri, if the client still
// publishes them there. It reports whether they are others than before.
func StoreReadKeys(tx *db.Tx, id, uri, jwks string, now time.Time) (changed bool, err error) {
	n, err := tx.Exec(`UPDATE idp_client SET jwks = $3, jwks_read_at = $4 WHERE id = $1 AND jwks_uri = $2 AND jwks <> $3`, id, uri, jwks, db.Micros(now))
	if err != nil || n == 1 {
		return n == 1, err
	}
	_, err = tx.Exec(`UPDATE idp_client SET jwks_read_at = $3 WHERE id = $1 AND jwks_uri = $2`, id, uri, db.Micros(now))
	return false, err
}

// AnyClient returns a client, also a disabled one, or ErrNotFound.
func AnyClient(q db.Querier, id string) (*Client, error) {
	return scanClient(q.QueryRow(`SELECT `+clientColumns+` FROM idp_client WHERE id = $1`, id).Scan)
}

// ClientByID returns a client that is not disabled, or ErrNotFound.
func ClientByID(q db.Querier, id string) (*Client, error) {
	return scanClient(q.QueryRow(`SELECT `+clientColumns+` FROM idp_client WHERE id = $1 AND disabled_at IS NULL`, id).Scan)
}

// IDTokenAlg returns the algorithm of a client's tokens, also of a disabled one.
func IDTokenAlg(q db.Querier, id string) (alg string, err error) {
	err = q.QueryRow(`SELECT CASE WHEN signing_alg <> '' THEN signing_alg ELSE id_token_alg END FROM idp_client WHERE id = $1`, id).Scan(&alg)
	return alg, notFound(err)
}

// Clients returns every client, disabled ones included, by id.
func Clients(q db.Querier) ([]*Client, error) {
	rows, err := q.Query(`SELECT ` + clientColumns + ` FROM idp_client ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*Client
	for rows.Next() {
		c, err := scanClient(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

func scanClient(scan func(...any) error) (*Client, error) {
	var c Client
	var institution, redirect, postLogout, scopes, grants, waivers, resources, serves, alg, exchanges, details string
	var tls string
	var created, dpop, signed, read, withSID, bound int64
	var disabled sql.NullInt64
	err := scan(&c.ID, &institution, &c.Sector, &c.Profile, &c.Name, &c.AuthMethod, &c.JWKS, &redirect, &postLogout,
		&scopes, &grants, &c.IDTokenAlg, &c.BackchannelURI, &waivers, &created, &disabled, &c.Version, &dpop,
		&c.TokenFormat, &resources, &serves, &alg, &c.UserInfoAlg, &exchanges, &details, &signed, &c.ResponseAlg, &c.IntrospectionAlg,
		&c.JWKSURI, &read, &c.FrontchannelURI, &withSID, &tls, &c.TLSSubject, &bound, &c.IDTokenEncryption, &c.UserInfoEncryption)
	if err != nil {
		return nil, notFound(err)
	}
	c.Institution, c.Scopes, c.Grants = identity.InstitutionID(institution), words(scopes), words(grants)
	if alg != "" {
		c.IDTokenAlg = alg
	}
	c.CreatedAt, c.DisabledAt, c.DPoP, c.SignedRequests = db.Time(created), timeOf(disabled), dpop == 1, signed == 1
	if c.CertBound = bound == 1; tls != "" {
		c.AuthMethod = tls
	}
	if c.FrontchannelSID = withSID == 1; read != 0 {
		c.JWKSReadAt = db.Time(read)
	}
	if err := errors.Join(decode(redirect, &c.RedirectURIs), decode(postLogout, &c.PostLogoutURIs), decode(waivers, &c.Waivers), decode(resources, &c.Resources), decode(serves, &c.Serves), decode(exchanges, &c.Exchanges), decode(details, &c.DetailTypes)); err != nil {
		return nil, err
	}
	return &c, nil
}

// oldAlg is what the column says to older servers.
func oldAlg(alg string) string {
	if alg == "RS256" {
		return alg
	}
	return "ES256"
}

// tlsMethod is a method that auth_method cannot say, "" for any other.
func tlsMethod(method string) string {
	if strings.HasSuffix(method, "tls_client_auth") {
		return method
	}
	return ""
}

// oldMethod is what auth_method says to older servers.
func oldMethod(method string) string {
	if tlsMethod(method) != "" {
		return "private_key_jwt"
	}
	return method
}

// since is a time that is 0 where there is none.
func since(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

// list is a list that is never null.
func list(l []string) []string { return append([]string{}, l...) }

// InsertSecret adds a secret (its HMAC) to a client; several may live at once.
func InsertSecret(tx *db.Tx, client string, hash []byte, created, expires time.Time) error {
	_, err := tx.Exec(`INSERT INTO idp_client_secret (client, hash, created_at, expires_at) VALUES ($1, $2, $3, $4)`,
		client, hash, db.Micros(created), db.Micros(expires))
	return err
}

// Secret is the HMAC of a client secret and when it ends.
type Secret struct {
	Hash    []byte
	Expires time.Time
}

// Secrets returns the client's secrets that live at now.
func Secrets(q db.Querier, client string, now time.Time) ([]Secret, error) {
	rows, err := q.Query(`SELECT hash, expires_at FROM idp_client_secret WHERE client = $1 AND expires_at > $2`, client, db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Secret
	for rows.Next() {
		var s Secret
		var expires int64
		if err := rows.Scan(&s.Hash, &expires); err != nil {
			return nil, err
		}
		s.Expires = db.Time(expires)
		out = append(out, s)
	}
	return out, rows.Err()
}

// SecretLife is how long a secret of a client lives.
type SecretLife struct{ Created, Expires time.Time }

// SecretLives tells of the client's secrets that live at now, oldest first.
func SecretLives(q db.Querier, client string, now time.Time) ([]SecretLife, error) {
	rows, err := q.Query(`SELECT created_at, expires_at FROM idp_client_secret WHERE client = $1 AND expires_at > $2 ORDER BY created_at`, client, db.Micros(now))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []SecretLife
	for rows.Next() {
		var created, expires int64
		if err := rows.Scan(&created, &expires); err != nil {
			return nil, err
		}
		out = append(out, SecretLife{db.Time(created), db.Time(expires)})
	}
	return out, rows.Err()
}

// LimitSecrets lets the client's secrets end at a time, if not sooner.
func LimitSecrets(tx *db.Tx, client string, until time.Time) error {
	_, err := tx.Exec(`UPDATE idp_client_secret SET expires_at = $2 WHERE client = $1 AND expires_at > $2`, client, db.Micros(until))
	return err
}

// SpendJTI records a client assertion's jti, once per client; again is ErrSpent.
func SpendJTI(tx *db.Tx, client, jti string, expires time.Time) error {
	n, err := tx.Exec(`INSERT INTO idp_jti (client, jti, expires_at) VALUES ($1, $2, $3) ON CONFLICT (client, jti) DO NOTHING`,
		client, Hash("jti", jti), db.Micros(expires))
	if err == nil && n == 0 {
		err = ErrSpent
	}
	return err
}

// Subject returns the person's pairwise subject in a sector, storing fresh if there is none.
func Subject(tx *db.Tx, sector string, person identity.PersonID, fresh string, now time.Time) (string, error) {
	var sub string
	read := func() error {
		return notFound(tx.QueryRow(`SELECT sub FROM idp_subject WHERE sector = $1 AND person = $2`, sector, string(person)).Scan(&sub))
	}
	if err := read(); !errors.Is(err, ErrNotFound) {
		return sub, err
	}
	n, err := tx.Exec(`INSERT INTO idp_subject (sector, person, sub, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (sector, person) DO NOTHING`, sector, string(person), fresh, db.Micros(now))
	if err != nil || n == 1 {
		return fresh, err
	}
	return sub, read() // another was first
}

// PersonBySubject returns whom a sector knows by sub.
func PersonBySubject(q db.Querier, sector, sub string) (identity.PersonID, error) {
	var person string
	err := q.QueryRow(`SELECT person FROM idp_subject WHERE sector = $1 AND sub = $2`, sector, sub).Scan(&person)
	return identity.PersonID(person), notFound(err)
}

// InsertLocal adds the client that stands for the provider's own pages, unless it is there.
func InsertLocal(tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO idp_client (`+clientColumns+`)
		VALUES ($1, '', '', 'gov-web', 'Suti', 'none', '', '[]', '[]', '', '', 'ES256', '', '{}', $2, NULL, 1, 0, 'opaque', '[]', '[]', '', '', '[]', '[]', 0, '', '', '', 0, '', 0, '', '', 0, '', '') ON CONFLICT (id) DO NOTHING`, id, db.Micros(now))
	return err
}
