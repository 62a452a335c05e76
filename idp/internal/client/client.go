// Package client authenticates the applications that call the provider:
// private_key_jwt, client secrets and certificates, with every rule of RFC 7523 and the
// single use of each assertion. Only idp's packages may import it.
package client

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp/internal/live"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
)

const (
	assertionType   = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	maxAssertion    = 8 << 10
	maxSecret       = 512
	maxClientID     = 64
	maxJTI          = 256
	maxAssertionAge = 5 * time.Minute
	// earlySkew is how far ahead a client's clock may be (FAPI 2.0 asks for 10 s); more is refused.
	earlySkew = 10 * time.Second
)

// ErrAuthentication reports that the caller did not prove to be the client.
// Its text names the rule for the operator's log, never the input.
var ErrAuthentication = errors.New("idp: client authentication")

func refuse(why string) error { return fmt.Errorf("%w: %s", ErrAuthentication, why) }

// Config configures New; all fields but Now are needed.
type Config struct {
	DB      *db.DB
	Clients *live.Clients
	Issuer  string
	// Endpoints are the token endpoint's and its neighbours' addresses, accepted
	// as audience besides the issuer for clients outside gov-fapi2.
	Endpoints []string
	// TLS says where client certificates come from; nil: none are looked at.
	TLS *TLS
	// SecretKey authenticates stored client secrets; at least 32 bytes.
	SecretKey []byte
	// Fetcher reads the keys that clients publish; nil: none may.
	Fetcher Fetcher
	// Audit records keys that changed; needed with Fetcher.
	Audit  *audit.Log
	Logger *slog.Logger
	Now    func() time.Time
}

// Authenticator checks client credentials. It is safe for concurrent use.
type Authenticator struct {
	cfg Config

	mu      sync.Mutex // guards flights
	flights map[string]*flight
}

// New checks the configuration.
func New(c Config) (*Authenticator, error) {
	if c.DB == nil || c.Clients == nil || c.Issuer == "" || len(c.SecretKey) < 32 {
		return nil, errors.New("idp: database, clients, issuer and a secret key of 32 bytes are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Fetcher != nil && c.Audit == nil {
		return nil, errors.New("idp: keys that change need a record")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Authenticator{cfg: c, flights: map[string]*flight{}}, nil
}

// Authenticate returns the client that the request proves to come from. form
// is the parsed body without repeated parameters. A public client proves
// nothing and is returned by its client_id. The error wraps ErrAuthentication
// unless the store failed.
func (a *Authenticator) Authenticate(ctx context.Context, r *http.Request, form url.Values) (*store.Client, error) {
	if len(r.Header.Values("Authorization")) > 1 {
		return nil, refuse("more than one Authorization header")
	}
	header := r.Header.Get("Authorization")
	assertion := form.Get("client_assertion")
	secret, posted := form["client_secret"]
	methods := 0
	for _, used := range []bool{header != "", assertion != "" || form.Get("client_assertion_type") != "", posted} {
		if used {
			methods++
		}
	}
	if methods > 1 {
		return nil, refuse("more than one method in one request")
	}
	switch {
	case header != "":
		return a.basic(ctx, r, form)
	case assertion != "" || form.Get("client_assertion_type") != "":
		return a.assertion(ctx, assertion, form)
	case posted:
		return a.secret(ctx, "client_secret_post", form.Get("client_id"), secret[0])
	}
	c, err := a.load(ctx, form.Get("client_id"))
	if err != nil {
		return nil, err
	}
	if c.AuthMethod == MethodTLS || c.AuthMethod == MethodSelfSigned {
		return a.certificate(r, c)
	}
	if !c.Public() {
		return nil, refuse("confidential client without credentials")
	}
	return c, nil
}

func (a *Authenticator) load(ctx context.Context, id string) (*store.Client, error) {
	c, _, err := a.known(ctx, id)
	return c, err
}

// known returns a client with the HMACs of its secrets.
func (a *Authenticator) known(ctx context.Context, id string) (*store.Client, [][]byte, error) {
	if id == "" || len(id) > maxClientID {
		return nil, nil, refuse("no client_id")
	}
	c, secrets, err := a.cfg.Clients.WithSecrets(ctx, id, a.cfg.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, refuse("unknown client")
	}
	return c, secrets, err
}

// basic reads RFC 6749 §2.3.1: both parts are form-encoded before base64.
func (a *Authenticator) basic(ctx context.Context, r *http.Request, form url.Values) (*store.Client, error) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return nil, refuse("unknown authentication scheme")
	}
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	if err1 != nil || err2 != nil {
		return nil, refuse("malformed basic credentials")
	}
	if other := form.Get("client_id"); other != "" && other != id {
		return nil, refuse("two client ids")
	}
	return a.secret(ctx, "client_secret_basic", id, secret)
}

func (a *Authenticator) secret(ctx context.Context, method, id, secret string) (*store.Client, error) {
	if secret == "" || len(secret) > maxSecret {
		return nil, refuse("no secret")
	}
	c, secrets, err := a.known(ctx, id)
	if err != nil {
		return nil, err
	}
	if c.AuthMethod != method {
		return nil, refuse("method is not the client's")
	}
	want := a.HashSecret(id, secret)
	match := 0
	for _, h := range secrets {
		match |= subtle.ConstantTimeCompare(h, want)
	}
	if match != 1 {
		return nil, refuse("wrong secret")
	}
	return c, nil
}

// NewSecret draws a client secret of 256 random bits.
func NewSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return "suti_cs_" + base64.RawURLEncoding.EncodeToString(b[:])
}

// HashSecret returns what is stored of a client secret: its HMAC, which is
// enough for values that we drew ourselves.
func (a *Authenticator) HashSecret(client, secret string) []byte {
	m := hmac.New(sha256.New, a.cfg.SecretKey)
	m.Write([]byte("suti/idp/client-secret\x00" + client + "\x00" + secret))
	return m.Sum(nil)
}

// assertion checks a private_key_jwt (RFC 7523 §3, OpenID Connect Core 1.0 §9)
// and spends its jti, once per client.
func (a *Authenticator) assertion(ctx context.Context, token string, form url.Values) (*store.Client, error) {
	if form.Get("client_assertion_type") != assertionType {
		return nil, refuse("unknown client_assertion_type")
	}
	if token == "" || len(token) > maxAssertion {
		return nil, refuse("no assertion, or one too long")
	}
	jws, claims, err := parseAssertion(token)
	if err != nil {
		return nil, err
	}
	if id := form.Get("client_id"); id != "" && id != claims.Sub {
		return nil, refuse("two client ids")
	}
	c, err := a.load(ctx, claims.Sub)
	if err != nil {
		return nil, err
	}
	if c.AuthMethod != "private_key_jwt" {
		return nil, refuse("method is not the client's")
	}
	if err := a.FreshKeys(ctx, c, token); err != nil {
		return nil, err
	}
	if err := verifyWith(c.JWKS, jws, token); err != nil {
		return nil, err
	}
	now := a.cfg.Now()
	if err := claims.check(now, a.audiences(c)); err != nil {
		return nil, err
	}
	err = a.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		return store.SpendJTI(tx, c.ID, claims.Jti, now.Add(maxAssertionAge+time.Minute))
	})
	if errors.Is(err, store.ErrSpent) {
		return nil, refuse("assertion was used before")
	}
	return c, err
}

// audiences lists what the assertion's aud may be: for gov-fapi2 the issuer alone.
func (a *Authenticator) audiences(c *store.Client) []string {
	if c.Profile == "gov-fapi2" {
		return []string{a.cfg.Issuer}
	}
	return append([]string{a.cfg.Issuer}, a.cfg.Endpoints...)
}

type assertionClaims struct {
	Iss string          `json:"iss"`
	Sub string          `json:"sub"`
	Aud json.RawMessage `json:"aud"`
	Jti string          `json:"jti"`
	Exp *float64        `json:"exp"`
	Iat *float64        `json:"iat"`
	Nbf *float64        `json:"nbf"`
}

func (c *assertionClaims) check(now time.Time, audiences []string) error {
	var aud string
	at := func(v float64) time.Time { return time.UnixMicro(int64(v * 1e6)) }
	bounded := func(v *float64) bool { return v == nil || *v > 0 && *v < 1<<40 }
	switch {
	case c.Iss != c.Sub || c.Iss == "":
		return refuse("iss and sub must be the client")
	case json.Unmarshal(c.Aud, &aud) != nil || !slices.Contains(audiences, aud):
		return refuse("aud must be the issuer, as one string")
	case c.Jti == "" || len(c.Jti) > maxJTI:
		return refuse("jti is missing or too long")
	case c.Exp == nil || !bounded(c.Exp) || !bounded(c.Iat) || !bounded(c.Nbf):
		return refuse("exp is missing, or a time is out of range")
	case !now.Before(at(*c.Exp)):
		return refuse("assertion has expired")
	case at(*c.Exp).After(now.Add(maxAssertionAge + earlySkew)):
		return refuse("assertion lives longer than 5 minutes")
	case c.Iat != nil && at(*c.Iat).After(now.Add(earlySkew)):
		return refuse("iat is in the future")
	case c.Nbf != nil && at(*c.Nbf).After(now.Add(earlySkew)):
		return refuse("assertion is not valid yet")
	case c.Iat != nil && now.Sub(at(*c.Iat)) > maxAssertionAge+earlySkew:
		return refuse("assertion is older than 5 minutes")
	}
	return nil
}

// verifyWith checks the signature with the one registered key that kid names,
// or with the only key that fits. The header's own jwk, jku and x5c are never used.
func verifyWith(set string, jws *jose.JSONWebSignature, token string) error {
	keys, err := parseSet(set)
	if err != nil {
		return err
	}
	h := jws.Signatures[0].Protected
	var candidates []jose.JSONWebKey
	for _, k := range keys {
		if (h.KeyID == "" || k.KeyID == h.KeyID) && Fits(k, h.Algorithm) {
			candidates = append(candidates, k)
		}
	}
	if len(candidates) != 1 {
		return refuse("no single registered key fits the assertion")
	}
	if _, err := jws.Verify(candidates[0].Key); err != nil {
		return refuse("assertion's signature")
	}
	pub, ok := candidates[0].Key.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	// RFC 7518 §3.5: the salt has the size of the hash.
	digest := sha256.Sum256([]byte(token[:strings.LastIndexByte(token, '.')]))
	opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if rsa.VerifyPSS(pub, crypto.SHA256, digest[:], jws.Signatures[0].Signature, opts) != nil {
		return refuse("assertion's salt")
	}
	return nil
}
