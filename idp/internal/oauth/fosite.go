package oauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/ory/fosite"
	"github.com/ory/fosite/handler/oauth2"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/token/hmac"

	"oruro.gob.bo/suti/idp/internal/store"
)

// grantee presents one of our clients, authenticated and checked, to fosite.
func grantee(c *store.Client) fosite.Client {
	return &fosite.DefaultClient{ID: c.ID, Scopes: c.Scopes, GrantTypes: c.Grants, ResponseTypes: []string{"code"}, RedirectURIs: c.RedirectURIs, Public: c.Public()}
}

// session carries our rows through fosite to the ID token.
type session struct {
	*openid.DefaultSession
	client  *store.Client
	grant   *store.Grant
	request *Request
	claims  map[string]any
	token   string // access token that was made
}

// Clone returns the session itself: one request uses it, and nothing is stored.
func (s *session) Clone() fosite.Session { return s }

// recorder stands where fosite expects a database. Reads return the rows that
// were read before; writes are accepted and dropped, because the engine builds
// the rows itself from what the handlers return. Nothing here can lose a race:
// the caller's conditional statements decide.
type recorder struct {
	code *fosite.Request
	pkce *fosite.Request

	engine *Engine   // nil where no token is made
	issue  accessFor // what the access token is for
	access *store.Access
}

var (
	_ oauth2.CoreStorage                 = (*recorder)(nil)
	_ oauth2.TokenRevocationStorage      = (*recorder)(nil)
	_ openid.OpenIDConnectRequestStorage = (*recorder)(nil)
)

// CreateAuthorizeCodeSession implements fosite's storage.
func (r *recorder) CreateAuthorizeCodeSession(context.Context, string, fosite.Requester) error {
	return nil
}

// GetAuthorizeCodeSession implements fosite's storage.
func (r *recorder) GetAuthorizeCodeSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	if r.code == nil {
		return nil, fosite.ErrNotFound
	}
	return r.code, nil
}

// InvalidateAuthorizeCodeSession implements fosite's storage.
func (r *recorder) InvalidateAuthorizeCodeSession(context.Context, string) error { return nil }

// CreateAccessTokenSession implements fosite's storage.
func (r *recorder) CreateAccessTokenSession(context.Context, string, fosite.Requester) error {
	return nil
}

// GetAccessTokenSession implements fosite's storage.
func (r *recorder) GetAccessTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteAccessTokenSession implements fosite's storage.
func (r *recorder) DeleteAccessTokenSession(context.Context, string) error { return nil }

// CreateRefreshTokenSession implements fosite's storage.
func (r *recorder) CreateRefreshTokenSession(context.Context, string, string, fosite.Requester) error {
	return nil
}

// GetRefreshTokenSession implements fosite's storage.
func (r *recorder) GetRefreshTokenSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	return nil, fosite.ErrNotFound
}

// DeleteRefreshTokenSession implements fosite's storage.
func (r *recorder) DeleteRefreshTokenSession(context.Context, string) error { return nil }

// RotateRefreshToken implements fosite's storage.
func (r *recorder) RotateRefreshToken(context.Context, string, string) error { return nil }

// RevokeRefreshToken implements fosite's storage.
func (r *recorder) RevokeRefreshToken(context.Context, string) error { return nil }

// RevokeAccessToken implements fosite's storage.
func (r *recorder) RevokeAccessToken(context.Context, string) error { return nil }

// CreateOpenIDConnectSession implements fosite's storage.
func (r *recorder) CreateOpenIDConnectSession(context.Context, string, fosite.Requester) error {
	return nil
}

// GetOpenIDConnectSession implements fosite's storage.
func (r *recorder) GetOpenIDConnectSession(context.Context, string, fosite.Requester) (fosite.Requester, error) {
	if r.code == nil {
		return nil, openid.ErrNoSessionFound
	}
	return r.code, nil
}

// DeleteOpenIDConnectSession implements fosite's storage.
func (r *recorder) DeleteOpenIDConnectSession(context.Context, string) error { return nil }

// CreatePKCERequestSession implements fosite's storage.
func (r *recorder) CreatePKCERequestSession(context.Context, string, fosite.Requester) error {
	return nil
}

// GetPKCERequestSession implements fosite's storage.
func (r *recorder) GetPKCERequestSession(context.Context, string, fosite.Session) (fosite.Requester, error) {
	if r.pkce == nil {
		return nil, fosite.ErrNotFound
	}
	return r.pkce, nil
}

// DeletePKCERequestSession keeps the challenge: only spending the code ends it.
func (r *recorder) DeletePKCERequestSession(context.Context, string) error { return nil }

// codes is fosite's strategy for authorization codes, which begin as our other
// bearer values do.
type codes struct {
	*oauth2.HMACSHAStrategyUnPrefixed
}

func newCodes(secret []byte) codes {
	c := &fosite.Config{GlobalSecret: secret}
	return codes{oauth2.NewHMACSHAStrategyUnPrefixed(&hmac.HMACStrategy{Config: c}, c)}
}

// GenerateAuthorizeCode implements fosite's strategy.
func (c codes) GenerateAuthorizeCode(ctx context.Context, r fosite.Requester) (code, signature string, err error) {
	code, signature, err = c.HMACSHAStrategyUnPrefixed.GenerateAuthorizeCode(ctx, r)
	return codePrefix + code, signature, err
}

// ValidateAuthorizeCode implements fosite's strategy.
func (c codes) ValidateAuthorizeCode(ctx context.Context, r fosite.Requester, code string) error {
	bare, ok := strings.CutPrefix(code, codePrefix)
	if !ok {
		return fosite.ErrInvalidTokenFormat
	}
	return c.HMACSHAStrategyUnPrefixed.ValidateAuthorizeCode(ctx, r, bare)
}

// tokens makes access and refresh tokens and keeps the row of the former; codes
// stay fosite's.
type tokens struct {
	oauth2.CoreStrategy
	rec *recorder
}

// AccessTokenSignature implements fosite's strategy; nothing uses the result.
func (tokens) AccessTokenSignature(context.Context, string) string { return "" }

// GenerateAccessToken implements fosite's strategy.
func (t tokens) GenerateAccessToken(ctx context.Context, r fosite.Requester) (value, signature string, err error) {
	if t.rec.engine == nil {
		return "", "", errors.New("idp: no token is made here")
	}
	value, t.rec.access, err = t.rec.engine.access(ctx, t.rec.issue)
	if s, ok := r.GetSession().(*session); ok {
		s.token = value
	}
	return value, "-", err
}

// ValidateAccessToken refuses: tokens are looked up, never validated here.
func (tokens) ValidateAccessToken(context.Context, fosite.Requester, string) error {
	return fosite.ErrInvalidTokenFormat
}

// RefreshTokenSignature implements fosite's strategy; nothing uses the result.
func (tokens) RefreshTokenSignature(context.Context, string) string { return "" }

// GenerateRefreshToken implements fosite's strategy.
func (tokens) GenerateRefreshToken(context.Context, fosite.Requester) (string, string, error) {
	return bearer(refreshPrefix), "-", nil
}

// ValidateRefreshToken refuses: tokens are looked up, never validated here.
func (tokens) ValidateRefreshToken(context.Context, fosite.Requester, string) error {
	return fosite.ErrInvalidTokenFormat
}

// idTokens assembles the ID token from the grant, by our clock and key.
type idTokens struct{ e *Engine }

// GenerateIDToken implements fosite's strategy.
func (g *idTokens) GenerateIDToken(ctx context.Context, _ time.Duration, req fosite.Requester) (string, error) {
	s, ok := req.GetSession().(*session)
	if !ok || s.grant == nil || s.token == "" {
		return "", errors.New("idp: session without a grant or a token")
	}
	return g.e.signIDToken(ctx, s.client, s.grant, s.request, s.claims, atHash(s.client.IDTokenAlg, s.token))
}

// signIDToken writes the claims of OpenID Connect Core 1.0 §2, and those that
// were asked for; none of them takes the place of one of the former.
func (e *Engine) signIDToken(ctx context.Context, c *store.Client, g *store.Grant, r *Request, more map[string]any, atHash string) (string, error) {
	now := e.cfg.Now()
	claims := maps.Clone(more)
	if claims == nil {
		claims = map[string]any{}
	}
	maps.Copy(claims, map[string]any{
		"iss": e.cfg.Issuer, "sub": g.Sub, "aud": c.ID, "iat": now.Unix(), "exp": now.Add(e.cfg.IDTokenLifetime).Unix(),
		"auth_time": g.AuthAt.Unix(), "acr": g.ACR, "amr": g.AMR, "sid": g.SID, "at_hash": atHash,
	})
	if r.Nonce != "" {
		claims["nonce"] = r.Nonce
	}
	token, err := e.cfg.Signer.SignIDToken(ctx, c.IDTokenAlg, claims)
	if err != nil || c.IDTokenEncryption == "" {
		return token, err
	}
	return e.cfg.Signer.Encrypt(c.JWKS, c.IDTokenEncryption, token)
}

// translate maps fosite's errors to ours; what is not a protocol error is a fault.
func translate(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	for known, code := range map[*fosite.RFC6749Error]string{
		fosite.ErrInvalidGrant: InvalidGrant, fosite.ErrInvalidRequest: InvalidRequest, fosite.ErrInvalidScope: InvalidScope,
		fosite.ErrUnauthorizedClient: UnauthorizedClient, fosite.ErrTokenSignatureMismatch: InvalidGrant, fosite.ErrTokenExpired: InvalidGrant,
		fosite.ErrInvalidTokenFormat: InvalidGrant,
	} {
		if errors.Is(err, known) {
			e := Refuse(code, "%s", plain(fosite.ErrorToRFC6749Error(err)))
			e.Err = err
			return e
		}
	}
	return fmt.Errorf("idp: grant engine: %w: %s", err, fosite.ErrorToRFC6749Error(err).WithExposeDebug(true).GetDescription())
}

// plain gives a description that says what to do without echoing input.
func plain(e *fosite.RFC6749Error) string {
	switch {
	case errors.Is(e, fosite.ErrInvalidGrant):
		return "the code or its proof is not valid"
	case errors.Is(e, fosite.ErrInvalidScope):
		return "a scope is not allowed"
	case errors.Is(e, fosite.ErrUnauthorizedClient):
		return "the client may not use this grant"
	}
	return "the request is not valid"
}
