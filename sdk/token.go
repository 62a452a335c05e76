package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// assertionFor is the life of a client assertion.
const assertionFor = time.Minute

type cachedToken struct {
	value   string
	expires time.Time
}

// post sends a form to an endpoint of the provider as the authenticated client
// and decodes the JSON reply into out.
func (c *Client) post(ctx context.Context, endpoint string, form url.Values, wantStatus int, out any) error {
	if c.cfg.Key != nil {
		assertion, err := c.assertion()
		if err != nil {
			return err
		}
		form.Set("client_id", c.cfg.ClientID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if c.cfg.Key == nil { // RFC 6749 §2.3.1: both parts form-encoded first
		req.SetBasicAuth(url.QueryEscape(c.cfg.ClientID), url.QueryEscape(c.cfg.ClientSecret))
	}
	res, err := c.cfg.HTTPClient.Do(req)
	if err != nil {
		return fmt.Errorf("call the provider: %w", err)
	}
	defer res.Body.Close()
	body, err := readLimited(res.Body, maxReplyBytes)
	if err != nil {
		return fmt.Errorf("read the provider's reply: %w", err)
	}
	if res.StatusCode != wantStatus {
		return oauthError(res.StatusCode, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return errors.New("sdk: the provider's reply is not JSON")
	}
	return nil
}

func oauthError(status int, body []byte) error {
	oe := &OAuthError{Status: status}
	if json.Unmarshal(body, oe) != nil || oe.Code == "" {
		oe.Code, oe.Description = "server_error", fmt.Sprintf("status %d", status)
	}
	oe.Status = status
	return oe
}

// assertion makes a private_key_jwt client assertion (RFC 7523 §3) whose
// audience is the issuer and nothing else.
func (c *Client) assertion() (string, error) {
	now := c.cfg.Now()
	return signJWT(c.cfg.Key, c.cfg.KeyID, "", map[string]any{
		"iss": c.cfg.ClientID, "sub": c.cfg.ClientID, "aud": c.cfg.Issuer, "jti": token256(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionFor).Unix(),
	})
}

// ClientToken returns an access token for the application itself (client
// credentials, RFC 6749 §4.4) with the scopes, cached until shortly before it expires.
func (c *Client) ClientToken(ctx context.Context, scopes ...string) (string, error) {
	scopes = slices.Sorted(slices.Values(scopes))
	scope := strings.Join(scopes, " ")
	c.mu.Lock()
	t, ok := c.tokens[scope]
	c.mu.Unlock()
	now := c.cfg.Now()
	if ok && now.Add(5*time.Second).Before(t.expires) {
		return t.value, nil
	}
	var reply struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
	}
	if err := c.post(ctx, c.provider.meta.Token, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}, http.StatusOK, &reply); err != nil {
		return "", err
	}
	if reply.AccessToken == "" || !strings.EqualFold(reply.TokenType, "bearer") {
		return "", tokenErr("not a bearer token")
	}
	for _, s := range scopes {
		if reply.Scope != "" && !slices.Contains(strings.Fields(reply.Scope), s) {
			return "", fmt.Errorf("%w: scope %q was not granted", ErrToken, s)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tokens[scope] = cachedToken{reply.AccessToken, now.Add(time.Duration(reply.ExpiresIn) * time.Second)}
	return reply.AccessToken, nil
}

// AccessToken is what the provider says of a token shown to this application's interface.
type AccessToken struct {
	Active   bool     `json:"active"`
	Subject  string   `json:"sub"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Audience audience `json:"aud"`
	ACR      string   `json:"acr"`
	Expires  int64    `json:"exp"`
}

// Has reports whether the token carries the scope.
func (t *AccessToken) Has(scope string) bool { return slices.Contains(strings.Fields(t.Scope), scope) }

// Introspect asks the provider whether a token is live (RFC 7662); it is what
// RequireToken does on every request, so that a revoked token is refused at once.
func (c *Client) Introspect(ctx context.Context, token string) (*AccessToken, error) {
	if c.provider.meta.Introspection == "" {
		return nil, fmt.Errorf("%w: no introspection endpoint", ErrDiscovery)
	}
	if token == "" || len(token) > maxJWTBytes {
		return nil, tokenErr("no token, or one too long")
	}
	var t AccessToken
	if err := c.post(ctx, c.provider.meta.Introspection, url.Values{"token": {token}, "token_type_hint": {"access_token"}}, http.StatusOK, &t); err != nil {
		return nil, err
	}
	if !t.Active || t.Expires != 0 && !c.cfg.Now().Before(time.Unix(t.Expires, 0)) {
		return nil, tokenErr("not active")
	}
	return &t, nil
}

type accessKey struct{}

// TokenFrom returns the access token of a request that passed RequireToken, or nil.
func TokenFrom(ctx context.Context) *AccessToken {
	t, _ := ctx.Value(accessKey{}).(*AccessToken)
	return t
}

// RequireToken lets a request pass only with a live bearer token that carries
// every scope (RFC 6750): 401 without a good token, 403 without a scope, 503
// while the provider cannot be asked.
func (c *Client) RequireToken(next http.Handler, scopes ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "bearer") {
			w.Header().Set("WWW-Authenticate", "Bearer")
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		t, err := c.Introspect(r.Context(), strings.TrimSpace(token))
		switch {
		case errors.Is(err, ErrToken):
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		case err != nil:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		for _, s := range scopes {
			if !t.Has(s) {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf("Bearer error=\"insufficient_scope\", scope=%q", strings.Join(scopes, " ")))
				w.WriteHeader(http.StatusForbidden)
				return
			}
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), accessKey{}, t)))
	})
}
