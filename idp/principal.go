package idp

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// principal is the signed-in person of one request.
type principal struct {
	p         *Provider
	path      string
	session   *store.Session
	evidence  *session.Evidence
	assurance session.Assurance // of authentications of any age
}

// Principal implements web.Authenticator for Suti's own pages.
func (p *Provider) Principal(r *http.Request) (web.Principal, error) {
	s, err := p.session.Current(r)
	if errors.Is(err, session.ErrNone) {
		return nil, &web.StepUp{Path: loginPath(r, identity.N0, 0), Login: true}
	}
	if err != nil {
		return nil, err
	}
	e, err := p.session.Evidence(r.Context(), s)
	if err != nil {
		return nil, err
	}
	return &principal{p: p, path: r.URL.RequestURI(), session: s, evidence: e, assurance: e.Since(time.Time{})}, nil
}

// loginPath is where a person signs in, or steps up, and comes back from. A
// request that is no reading one leads back to its page, not to itself.
func loginPath(r *http.Request, level identity.Level, maxAge time.Duration) string {
	back := r.URL.RequestURI()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		back = "/cuenta"
	}
	return loginAddress(back, level, maxAge, false)
}

func loginAddress(back string, level identity.Level, maxAge time.Duration, key bool) string {
	q := url.Values{"volver": {back}}
	if level > identity.N0 {
		q.Set("nivel", level.ACR())
	}
	if maxAge > 0 {
		q.Set("edad", maxAge.String())
	}
	if key {
		q.Set("llave", "1")
	}
	return "/entrar?" + q.Encode()
}

// Person implements web.Principal.
func (c *principal) Person() identity.PersonID { return c.session.Person }

// Name implements web.Principal.
func (c *principal) Name() string { return c.evidence.Profile.Name.Full() }

// Session implements web.Principal.
func (c *principal) Session() string { return c.session.ID }

// Epoch implements web.Principal.
func (c *principal) Epoch() int64 { return int64(c.session.Epoch) }

// Level implements web.Principal.
func (c *principal) Level() identity.Level { return c.assurance.Level }

// AuthTime implements web.Principal.
func (c *principal) AuthTime() time.Time { return c.assurance.Newest }

// AMR implements web.Principal.
func (c *principal) AMR() []string { return c.assurance.AMR }

// SharedDevice implements web.Principal.
func (c *principal) SharedDevice() bool { return c.session.Shared }

// Require implements web.Principal. With maxAge only authentications of that
// age count for the level.
func (c *principal) Require(level identity.Level, maxAge time.Duration) error {
	a := c.assurance
	if maxAge != 0 {
		a = c.evidence.Since(c.p.cfg.Now().Add(-maxAge))
	}
	if a.Level >= level && !a.AuthTime.IsZero() {
		return nil
	}
	return &web.StepUp{Path: loginAddress(c.path, level, maxAge, false), Level: level, MaxAge: maxAge}
}

// RequireKey implements web.Principal.
func (c *principal) RequireKey(maxAge time.Duration) error {
	if at := c.evidence.KeyUsed(); !at.IsZero() && (maxAge == 0 || c.p.cfg.Now().Sub(at) <= maxAge) {
		return nil
	}
	return &web.StepUp{Path: loginAddress(c.path, identity.N0, maxAge, true), MaxAge: maxAge, Key: true}
}

// APIClient is an application that calls one of Suti's interfaces with a token of its own.
type APIClient struct {
	ID          string
	Institution identity.InstitutionID
	Name        string
	Scopes      []string
}

// Has reports whether the token carries a scope.
func (a APIClient) Has(scope string) bool { return slices.Contains(a.Scopes, scope) }

// ErrAPIToken reports a request without a live token of an application itself.
var ErrAPIToken = errors.New("idp: no live access token of an application")

// TokenRefusal says how a token was refused. It wraps [ErrAPIToken].
type TokenRefusal struct {
	header http.Header
	err    error
}

// Error returns what is wrong with the token.
func (e *TokenRefusal) Error() string { return ErrAPIToken.Error() + ": " + e.err.Error() }

// Unwrap returns [ErrAPIToken] and the cause.
func (e *TokenRefusal) Unwrap() []error { return []error{ErrAPIToken, e.err} }

// Challenge returns the headers that the refusal carries: WWW-Authenticate, and
// the DPoP nonce to try again with.
func (e *TokenRefusal) Challenge() http.Header { return e.header }

// APIClient returns the application behind an access token of the client
// credentials grant; a person's token is not one. A token that is bound to a key
// must come with its DPoP proof. Validity is decided by one statement now. A
// refusal is a [*TokenRefusal].
func (p *Provider) APIClient(r *http.Request) (APIClient, error) {
	scheme, value := credentials(r.Header.Get("Authorization"))
	if value == "" || len(r.Header.Values("Authorization")) > 1 {
		return APIClient{}, &TokenRefusal{p.challengeHeader("", nil), ErrAPIToken}
	}
	a, g, err := p.present(r, scheme, value)
	if err == nil && g != nil {
		err = oauth.Refuse(oauth.InvalidToken, "the token is a person's, not an application's")
	}
	var c *store.Client
	if err == nil {
		if c, err = p.clientByID(r, a.Client); errors.Is(err, store.ErrNotFound) {
			err = oauth.Refuse(oauth.InvalidToken, "the token is unknown, expired or revoked")
		}
	}
	var e *oauth.Error
	if errors.As(err, &e) {
		return APIClient{}, &TokenRefusal{p.challengeHeader(scheme, e), err}
	}
	if err != nil {
		return APIClient{}, err
	}
	return APIClient{ID: c.ID, Institution: c.Institution, Name: c.Name, Scopes: a.Scopes}, nil
}
