package oauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/handler/pkce"

	"oruro.gob.bo/suti/idp/internal/store"
)

// Default lifetimes.
const (
	DefaultCodeLifetime    = 60 * time.Second
	DefaultAccessLifetime  = 60 * time.Second
	DefaultIDTokenLifetime = 5 * time.Minute
	DefaultRefreshIdle     = 12 * time.Hour
	DefaultRefreshLifetime = 30 * 24 * time.Hour
)

// Prefixes of bearer values, so that a leaked one can be recognised.
const (
	accessPrefix  = "suti_at_"
	refreshPrefix = "suti_rt_"
	codePrefix    = "suti_ac_"
)

// tokenLen is the length of a bearer value: prefix and 32 bytes in base64url.
const tokenLen = len(accessPrefix) + 43

// Signer signs ID tokens; alg is the client's id_token_signed_response_alg.
type Signer interface {
	// SignIDToken returns a compact JWS of the claims. It MUST name its key by kid.
	SignIDToken(ctx context.Context, alg string, claims map[string]any) (string, error)
	// Sign is SignIDToken with another typ in the header.
	Sign(ctx context.Context, alg, typ string, claims map[string]any) (string, error)
	// Encrypt makes a nested JWT of a signed one, for a client's JWK Set; encryption is "ALG ENC".
	Encrypt(set, encryption, token string) (string, error)
}

// Config configures New. Issuer, Secret and Signer are needed.
type Config struct {
	Issuer string
	Secret []byte // authenticates codes; at least 32 bytes, the same on every node
	Signer Signer
	Now    func() time.Time

	CodeLifetime, AccessLifetime, IDTokenLifetime, RefreshIdle, RefreshLifetime time.Duration
}

// Engine mints and redeems codes. It is safe for concurrent use and holds no state.
type Engine struct {
	cfg   Config
	codes oauth2.CoreStrategy
}

// New checks the configuration.
func New(c Config) (*Engine, error) {
	if c.Issuer == "" || len(c.Secret) < 32 || c.Signer == nil {
		return nil, errors.New("idp: issuer, a secret of 32 bytes and a signer are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	for d, def := range map[*time.Duration]time.Duration{
		&c.CodeLifetime: DefaultCodeLifetime, &c.AccessLifetime: DefaultAccessLifetime, &c.IDTokenLifetime: DefaultIDTokenLifetime,
		&c.RefreshIdle: DefaultRefreshIdle, &c.RefreshLifetime: DefaultRefreshLifetime,
	} {
		if *d <= 0 {
			*d = def
		}
	}
	return &Engine{cfg: c, codes: newCodes(c.Secret)}, nil
}

// handlers builds the grant handlers around one recorder. They are cheap; a
// fresh set per request keeps what is recorded apart.
func (e *Engine) handlers(rec *recorder, enforcePKCE bool) (*oauth2.AuthorizeExplicitGrantHandler, *pkce.Handler, *openid.OpenIDConnectExplicitHandler) {
	conf := &fosite.Config{
		AuthorizeCodeLifespan: e.cfg.CodeLifetime, AccessTokenLifespan: e.cfg.AccessLifetime, RefreshTokenLifespan: e.cfg.RefreshLifetime,
		IDTokenLifespan: e.cfg.IDTokenLifetime, IDTokenIssuer: e.cfg.Issuer, ScopeStrategy: fosite.ExactScopeStrategy,
		RefreshTokenScopes: []string{"offline_access"}, EnforcePKCE: enforcePKCE, MinParameterEntropy: -1,
		OmitRedirectScopeParam: true,
	}
	strategy := &tokens{CoreStrategy: e.codes, rec: rec}
	explicit := &oauth2.AuthorizeExplicitGrantHandler{
		AccessTokenStrategy: strategy, RefreshTokenStrategy: strategy, AuthorizeCodeStrategy: e.codes,
		CoreStorage: rec, TokenRevocationStorage: rec, Config: conf,
	}
	proof := &pkce.Handler{AuthorizeCodeStrategy: e.codes, Storage: rec, Config: conf}
	oidc := &openid.OpenIDConnectExplicitHandler{
		OpenIDConnectRequestStorage: rec, OpenIDConnectRequestValidator: openid.NewOpenIDConnectRequestValidator(nil, conf), Config: conf,
		IDTokenHandleHelper: &openid.IDTokenHandleHelper{IDTokenStrategy: &idTokens{e}},
	}
	return explicit, proof, oidc
}

// ErrRedirectGone reports a request whose redirect URI is not registered any
// more: nothing may be sent there.
var ErrRedirectGone = errors.New("idp: the redirect URI is no longer registered")

// MintCode returns a fresh authorization code for a request whose person has
// decided, and the row to store for it; the caller fills in Grant.
func (e *Engine) MintCode(ctx context.Context, c *store.Client, r *Request, granted []string) (string, *store.Code, error) {
	if !MatchRedirect(c, r.RedirectURI) { // taken out of the registration since the request came
		return "", nil, ErrRedirectGone
	}
	redirect, err := url.Parse(r.RedirectURI)
	if err != nil {
		return "", nil, fmt.Errorf("idp: stored redirect URI: %w", err)
	}
	ar := fosite.NewAuthorizeRequest()
	ar.ResponseTypes = fosite.Arguments{"code"}
	ar.RedirectURI = redirect
	ar.State = "-" // ours travels outside
	ar.Client = grantee(c)
	ar.Form = url.Values{"redirect_uri": {r.RedirectURI}, "response_type": {"code"}}
	if r.Challenge != "" {
		ar.Form.Set("code_challenge", r.Challenge)
		ar.Form.Set("code_challenge_method", "S256")
	}
	ar.SetRequestedScopes(granted)
	for _, s := range granted {
		ar.GrantScope(s)
	}
	sess := &session{DefaultSession: openid.NewDefaultSession()}
	// The subject is settled when the grant is stored; fosite only wants one.
	sess.IDTokenClaims().Subject = "-"
	sess.IDTokenClaims().AuthTime = sess.IDTokenClaims().RequestedAt
	ar.SetSession(sess)
	resp := fosite.NewAuthorizeResponse()
	enforce := c.Public() || !c.Waived(WaivePKCE, e.cfg.Now())
	explicit, proof, oidc := e.handlers(&recorder{}, enforce)
	for _, h := range []fosite.AuthorizeEndpointHandler{explicit, oidc, proof} {
		if err := h.HandleAuthorizeEndpointRequest(ctx, ar, resp); err != nil {
			return "", nil, translate(err)
		}
	}
	code := resp.GetCode()
	return code, &store.Code{
		Hash: store.Hash("code", code), Client: c.ID, RedirectURI: r.RedirectURI, Challenge: r.Challenge, JKT: r.DPoPJKT, ExpiresAt: e.cfg.Now().Add(e.cfg.CodeLifetime),
	}, nil
}

// Redemption is a token request of the authorization code grant by an
// authenticated client, with the rows that its code names.
type Redemption struct {
	Client      *store.Client
	Code        string
	RedirectURI string
	Verifier    string
	Row         *store.Code
	Grant       *store.Grant
	Request     *Request
	Claims      map[string]any // more for the ID token: what the person released
	Resource    string         // audience of the access token, or ""
	JKT         string         // thumbprint of the key that a DPoP proof came with, or ""
}

// Tokens are what a token request yields: values for the client, rows for the store.
type Tokens struct {
	AccessToken  string
	RefreshToken string // "" when none is given
	IDToken      string // "" without openid
	ExpiresIn    time.Duration
	IdleUntil    time.Time // new idle limit of a refresh token that is kept
	Scopes       []string
	Details      []Detail // authorization details of the access token (RFC 9396 §7)
	IssuedType   string   // issued_token_type of an exchange (RFC 8693 §2.2.1), else ""
	Access       *store.Access
	Refresh      *store.Refresh
}

// Redeem checks a code against its row and returns the tokens. It changes
// nothing: the caller spends the code and stores the rows in one transaction,
// and hands out the tokens only if that succeeded.
func (e *Engine) Redeem(ctx context.Context, in Redemption) (*Tokens, error) {
	if in.Row.Client != in.Client.ID || in.Row.RedirectURI != in.RedirectURI {
		return nil, Refuse(InvalidGrant, "the code was issued to another client or address")
	}
	if in.Row.JKT != "" && in.Row.JKT != in.JKT {
		return nil, Refuse(InvalidGrant, "the code is bound to another key")
	}
	sess := &session{DefaultSession: openid.NewDefaultSession(), client: in.Client, grant: in.Grant, request: in.Request, claims: in.Claims}
	sess.IDTokenClaims().Subject = in.Grant.Sub
	// The row decides the code's expiry, by our clock; fosite only has the system's.
	sess.SetExpiresAt(fosite.AuthorizeCode, time.Now().Add(time.Hour))

	stored := fosite.NewRequest()
	stored.SetID(in.Grant.ID)
	stored.Client = grantee(in.Client)
	stored.Session = sess
	stored.Form = url.Values{"redirect_uri": {in.Row.RedirectURI}}
	stored.SetRequestedScopes(in.Grant.Scopes)
	for _, s := range in.Grant.Scopes {
		stored.GrantScope(s)
	}
	rec := &recorder{code: stored, issue: accessFor{client: in.Client, grant: in.Grant, scopes: in.Grant.Scopes, resource: in.Resource, jkt: in.JKT}, engine: e}
	if in.Row.Challenge != "" {
		rec.pkce = fosite.NewRequest()
		rec.pkce.Client = stored.Client
		rec.pkce.Form = url.Values{"code_challenge": {in.Row.Challenge}, "code_challenge_method": {"S256"}}
	}
	ar := fosite.NewAccessRequest(sess)
	ar.GrantTypes = fosite.Arguments{GrantCode}
	ar.Client = stored.Client
	ar.Form = url.Values{"grant_type": {GrantCode}, "code": {in.Code}, "redirect_uri": {in.RedirectURI}, "code_verifier": {in.Verifier}}

	explicit, proof, oidc := e.handlers(rec, in.Row.Challenge != "")
	for _, h := range []fosite.TokenEndpointHandler{explicit, proof} {
		if err := h.HandleTokenEndpointRequest(ctx, ar); err != nil {
			return nil, translate(err)
		}
	}
	resp := fosite.NewAccessResponse()
	if err := explicit.PopulateTokenEndpointResponse(ctx, ar, resp); err != nil {
		return nil, translate(err)
	}
	if in.Request.HasScope("openid") && stored.GetGrantedScopes().Has("openid") {
		if err := oidc.PopulateTokenEndpointResponse(ctx, ar, resp); err != nil {
			return nil, translate(err)
		}
	}
	return e.collect(in, rec.access, resp)
}

// collect turns fosite's response into values and rows.
func (e *Engine) collect(in Redemption, access *store.Access, resp *fosite.AccessResponse) (*Tokens, error) {
	now := e.cfg.Now()
	t := &Tokens{AccessToken: resp.GetAccessToken(), Scopes: in.Grant.Scopes, Access: access}
	t.RefreshToken, _ = resp.GetExtra("refresh_token").(string)
	t.IDToken, _ = resp.GetExtra("id_token").(string)
	if hash, ok := AccessHash(t.AccessToken); !ok || access == nil || !bytes.Equal(hash, access.Hash) {
		return nil, errors.New("idp: engine returned no access token")
	}
	t.ExpiresIn = access.ExpiresAt.Sub(access.CreatedAt)
	var err error
	if t.Details, err = GrantedDetails(in.Grant, access.Audience, now); err != nil {
		return nil, err
	}
	if t.RefreshToken != "" {
		t.Refresh = e.refreshRow(t.RefreshToken, in.Grant.ID, in.Client.ID, in.JKT, 0, now, now.Add(e.cfg.RefreshLifetime))
	}
	return t, nil
}

func (e *Engine) refreshRow(value, grant, client, jkt string, generation int64, now, until time.Time) *store.Refresh {
	return &store.Refresh{
		Hash: store.Hash("refresh", value), Grant: grant, Client: client, Generation: generation, JKT: jkt,
		CreatedAt: now, IdleUntil: now.Add(e.cfg.RefreshIdle), ExpiresAt: until,
	}
}

// ClientCredentials returns a token for the client itself (RFC 6749 §4.4). An
// unregistered scope is refused: nobody is there to be asked. jkt is the
// thumbprint of the key that the token is to be bound to, or "".
func (e *Engine) ClientCredentials(ctx context.Context, c *store.Client, scope, resource, jkt string) (*Tokens, error) {
	if c.Public() || !contains(c.Grants, GrantClientCredentials) {
		return nil, Refuse(UnauthorizedClient, "the client may not use the client credentials grant")
	}
	if len(scope) > maxScope {
		return nil, Refuse(InvalidScope, "scope is longer than %d bytes", maxScope)
	}
	var scopes []string
	for s := range strings.FieldsSeq(scope) {
		if !contains(c.Scopes, s) || personal(s) {
			return nil, Refuse(InvalidScope, "a scope asked for is not granted to this client itself")
		}
		if !contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	if len(scopes) == 0 {
		return nil, Refuse(InvalidScope, "scope is missing")
	}
	value, a, err := e.access(ctx, accessFor{client: c, scopes: scopes, resource: resource, jkt: jkt})
	if err != nil {
		return nil, err
	}
	return &Tokens{AccessToken: value, ExpiresIn: a.ExpiresAt.Sub(a.CreatedAt), Scopes: scopes, Access: a}, nil
}

// personal reports whether a scope speaks of a person and so needs one.
func personal(scope string) bool {
	return contains([]string{"openid", "profile", "email", "phone", "address", "offline_access", "documento_identidad"}, scope)
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// atHash is at_hash in a token signed with alg (OpenID Connect Core 1.0
// §3.1.3.6): half of the hash that the signature uses, which for Ed25519 is SHA-512.
func atHash(alg, accessToken string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(accessToken))
		return base64.RawURLEncoding.EncodeToString(sum[:32])
	}
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// bearer returns a fresh bearer value of 256 random bits.
func bearer(prefix string) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return prefix + base64.RawURLEncoding.EncodeToString(b[:])
}

// RefreshHash returns the row key of a refresh token, or false if the value
// cannot be one: wrong length or prefix.
func RefreshHash(value string) ([]byte, bool) {
	if len(value) != tokenLen || !strings.HasPrefix(value, refreshPrefix) {
		return nil, false
	}
	return store.Hash("refresh", value), true
}
