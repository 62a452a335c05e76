package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
)

// Forms of access tokens. Either is good for as long as its row is.
const (
	FormatOpaque = "opaque"
	FormatJWT    = "jwt" // RFC 9068
)

const (
	// maxJWTLife bounds tokens that others judge by themselves (design D23).
	maxJWTLife   = time.Minute
	maxAccessJWT = 8 << 10
	maxResource  = 512
)

// accessFor is what an access token is issued for.
type accessFor struct {
	client   *store.Client
	grant    *store.Grant // nil for the client itself
	scopes   []string
	resource string    // its audience (RFC 8707), "" for this provider's own endpoints
	jkt      string    // key that it is bound to, or ""
	act      []string  // clients that act with it, the newest first (RFC 8693)
	until    time.Time // when it ends at the latest; zero for no limit
}

// access makes an access token and its row.
func (e *Engine) access(ctx context.Context, in accessFor) (string, *store.Access, error) {
	now, life, value := e.cfg.Now(), e.cfg.AccessLifetime, bearer(accessPrefix)
	if left := in.until.Sub(now); !in.until.IsZero() && left < life {
		life = left
	}
	if in.client.TokenFormat == FormatJWT {
		life = min(life, maxJWTLife)
		var err error
		if value, err = e.accessJWT(ctx, in, value, now, now.Add(life)); err != nil {
			return "", nil, err
		}
	}
	a := &store.Access{Hash: store.Hash("access", value), Client: in.client.ID, Scopes: in.scopes, JKT: in.jkt, Act: in.act, CreatedAt: now, ExpiresAt: now.Add(life)}
	if in.grant != nil {
		a.Grant = in.grant.ID
	}
	if in.resource != "" {
		a.Audience = []string{in.resource}
	}
	return value, a, nil
}

// accessJWT writes the claims of RFC 9068 §2.2.
func (e *Engine) accessJWT(ctx context.Context, in accessFor, id string, now, expires time.Time) (string, error) {
	claims := map[string]any{
		"iss": e.cfg.Issuer, "aud": in.resource, "client_id": in.client.ID, "sub": in.client.ID, "scope": strings.Join(in.scopes, " "),
		"iat": now.Unix(), "exp": expires.Unix(), "jti": strings.TrimPrefix(id, accessPrefix),
	}
	if in.resource == "" {
		claims["aud"] = e.cfg.Issuer
	}
	if in.jkt != "" {
		claims["cnf"] = store.Confirmation(in.jkt)
	}
	if len(in.act) > 0 {
		claims["act"] = Act(in.act)
	}
	if g := in.grant; g != nil {
		details, err := GrantedDetails(g, audience(in.resource), now)
		if err != nil {
			return "", err
		}
		if len(details) > 0 {
			claims["authorization_details"] = details
		}
		claims["sub"], claims["auth_time"], claims["acr"], claims["amr"] = g.Sub, g.AuthAt.Unix(), g.ACR, g.AMR
	}
	return e.cfg.Signer.Sign(ctx, in.client.IDTokenAlg, "at+jwt", claims)
}

func audience(resource string) []string {
	if resource == "" {
		return nil
	}
	return []string{resource}
}

// AccessHash returns the row key of an access token, or false if the value
// cannot be one.
func AccessHash(value string) ([]byte, bool) {
	opaque := len(value) == tokenLen && strings.HasPrefix(value, accessPrefix)
	if !opaque && (len(value) > maxAccessJWT || strings.Count(value, ".") != 2) {
		return nil, false
	}
	return store.Hash("access", value), true
}

// Resource reads the resource parameter (RFC 8707 §2): at most one, registered
// for the client. first is what the authorization request asked for, "" if
// nothing: a token request can name it again and nothing else.
func Resource(c *store.Client, form url.Values, first string) (string, *Error) {
	asked := form.Get("resource")
	switch {
	case asked == "" || asked == first:
		return first, nil
	case first != "":
		return "", Refuse(InvalidTarget, "resource is not the one that was authorized")
	case !slices.Contains(c.Resources, asked):
		return "", Refuse(InvalidTarget, "resource is not registered for this client")
	}
	return asked, nil
}

// CheckResource tells why an address may not be registered as a resource, or
// nil: an absolute URI without fragment (RFC 8707 §2).
func CheckResource(uri string) *Error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || len(uri) > maxResource || strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c >= 0x7f }):
		return Refuse(InvalidTarget, "resource is malformed")
	case strings.Contains(uri, "#") || u.User != nil:
		return Refuse(InvalidTarget, "resource has a fragment or a user part")
	case u.Scheme == "urn" && u.Opaque != "", u.Scheme == "https" && u.Hostname() != "", u.Scheme == "http" && u.Hostname() == "localhost":
		return nil
	}
	return Refuse(InvalidTarget, "resource must be an https or urn address")
}

// checkResource reads the resource of an authorization request.
func checkResource(q url.Values, c *store.Client, r *Request, _ time.Time) (e *Error) {
	r.Resource, e = Resource(c, q, "")
	return e
}

// responseLife is how long a signed authorization response is good.
const responseLife = 5 * time.Minute

// SignResponse makes the JWT of an authorization response (JWT Secured
// Authorization Response Mode §2.1) of its parameters, each of which stands once.
func (e *Engine) SignResponse(ctx context.Context, r *Request, params url.Values) (string, error) {
	claims := map[string]any{}
	for name := range params {
		claims[name] = params.Get(name)
	}
	claims["iss"], claims["aud"], claims["exp"] = e.cfg.Issuer, r.Client, e.cfg.Now().Add(responseLife).Unix()
	return e.cfg.Signer.Sign(ctx, r.ResponseAlg, "JWT", claims)
}
