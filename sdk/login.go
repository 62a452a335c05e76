package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// loginFor is how long a login may take, an interrupted one included.
const loginFor = time.Hour

// pending is a login under way, kept under its state.
type pending struct {
	Nonce, Verifier, Return, Browser string
	Asked                            requirement
}

// requirement is what a page asks of the session. Its fields are exported for storage.
type requirement struct {
	ACR    string
	MaxAge time.Duration
	HasAge bool
}

// Option tightens RequireLogin.
type Option func(*requirement)

// Level asks for an assurance level: N1, N2 or N3.
func Level(acr string) Option { return func(q *requirement) { q.ACR = acr } }

// MaxAge asks that the person authenticated at most d ago; 0 asks anew each time.
func MaxAge(d time.Duration) Option {
	return func(q *requirement) { q.MaxAge, q.HasAge = d, true }
}

// RequireLogin lets a request pass only with a live session that meets the
// options; UserFrom then returns the person. Another request for a page is
// sent to log in, or to step up, and comes back; any other kind is answered 401.
func (c *Client) RequireLogin(next http.Handler, opts ...Option) http.Handler {
	var q requirement
	for _, o := range opts {
		o(&q)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, _, err := c.load(r)
		if err != nil && !errors.Is(err, ErrNoSession) {
			c.cfg.OnError(w, r, err)
			return
		}
		if err == nil && q.met(s, c.cfg.Now()) {
			w.Header().Set("Cache-Control", "no-store")
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, &s.User)))
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "Su sesión terminó. Vuelva a entrar.", http.StatusUnauthorized)
			return
		}
		if err := c.begin(w, r, r.URL.RequestURI(), q); err != nil {
			c.cfg.OnError(w, r, err)
		}
	})
}

func (q requirement) met(s *session, now time.Time) bool {
	if q.ACR != "" && !Meets(s.User.ACR, q.ACR) {
		return false
	}
	// A fresh login satisfies a max age of zero for the request it returns to.
	return !q.HasAge || now.Sub(s.User.AuthTime) <= q.MaxAge+skew
}

// begin stores a login and sends the browser to the provider.
func (c *Client) begin(w http.ResponseWriter, r *http.Request, back string, q requirement) error {
	browser := ""
	if ck, err := r.Cookie(c.browser); err == nil && len(ck.Value) == 43 {
		browser = ck.Value // several tabs share it
	} else {
		browser = token256()
	}
	state := token256()
	p := pending{Nonce: token256(), Verifier: token256(), Return: safeReturn(back), Browser: keyOf("browser", browser), Asked: q}
	raw, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := c.cfg.Store.Put(r.Context(), keyOf("login", state), raw, loginFor); err != nil {
		return err
	}
	target, err := c.authorizeURL(r.Context(), state, &p)
	if err != nil {
		return err
	}
	c.setCookie(w, c.browser, browser, loginFor)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil
}

// safeReturn keeps a return address on this site.
func safeReturn(back string) string {
	u, err := url.Parse(back)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t") {
		return "/"
	}
	return back
}

// authorizeURL builds the request (RFC 6749 §4.1.1 with PKCE), pushed first where the provider takes it (RFC 9126).
func (c *Client) authorizeURL(ctx context.Context, state string, p *pending) (string, error) {
	sum := sha256.Sum256([]byte(p.Verifier))
	v := url.Values{
		"response_type": {"code"}, "client_id": {c.cfg.ClientID}, "redirect_uri": {c.RedirectURI()},
		"scope": {strings.Join(append([]string{"openid"}, c.cfg.Scopes...), " ")},
		"state": {state}, "nonce": {p.Nonce}, "code_challenge": {b64().EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	if p.Asked.ACR != "" {
		claim, err := json.Marshal(map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "values": strings.Fields(atLeast(p.Asked.ACR))}}})
		if err != nil {
			return "", err
		}
		v.Set("claims", string(claim))
	}
	if p.Asked.HasAge {
		v.Set("max_age", strconv.Itoa(int(p.Asked.MaxAge/time.Second)))
	}
	if c.provider.meta.PAR != "" {
		var pushed struct {
			RequestURI string `json:"request_uri"`
		}
		if err := c.post(ctx, c.provider.meta.PAR, v, http.StatusCreated, &pushed); err != nil {
			return "", err
		}
		v = url.Values{"client_id": {c.cfg.ClientID}, "request_uri": {pushed.RequestURI}}
	}
	sep := "?"
	if strings.Contains(c.provider.meta.Authorization, "?") {
		sep = "&"
	}
	return c.provider.meta.Authorization + sep + v.Encode(), nil
}

// callback answers the provider's authorization response.
func (c *Client) callback(w http.ResponseWriter, r *http.Request) {
	back, err := c.finish(w, r)
	if err != nil {
		c.cfg.OnError(w, r, err)
		return
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}

// finish checks the response, redeems the code and opens the session.
func (c *Client) finish(w http.ResponseWriter, r *http.Request) (string, error) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	q := r.URL.Query()
	for name, vs := range q {
		if len(vs) > 1 {
			return "", fmt.Errorf("%w: %.20q stands twice", ErrState, name)
		}
	}
	ctx := r.Context()
	p, err := c.takePending(ctx, r, q.Get("state"))
	if err != nil {
		return "", err
	}
	if q.Get("iss") != c.cfg.Issuer { // RFC 9207 §2.4
		return "", fmt.Errorf("%w: response of another issuer", ErrState)
	}
	if code := q.Get("error"); code != "" {
		return "", &OAuthError{Code: code, Description: q.Get("error_description")}
	}
	var reply struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		IDToken     string `json:"id_token"`
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {c.RedirectURI()}, "code_verifier": {p.Verifier}}
	if err := c.post(ctx, c.provider.meta.Token, form, http.StatusOK, &reply); err != nil {
		return "", err
	}
	if !strings.EqualFold(reply.TokenType, "bearer") {
		return "", tokenErr("not a bearer token")
	}
	want := expect{nonce: p.Nonce, accessToken: reply.AccessToken, maxAge: -1, acr: p.Asked.ACR}
	if p.Asked.HasAge {
		want.maxAge = p.Asked.MaxAge
	}
	claims, err := c.provider.verifyIDToken(ctx, reply.IDToken, c.cfg.ClientID, want)
	if err != nil {
		return "", err
	}
	if err := c.addUserInfo(ctx, claims, reply.AccessToken); err != nil {
		return "", err
	}
	return p.Return, c.open(ctx, w, r, claims, reply.IDToken)
}

// addUserInfo adds the claims of the UserInfo endpoint (OpenID Connect Core 1.0
// §5.3) that the ID token does not hold. An answer about another subject is refused.
func (c *Client) addUserInfo(ctx context.Context, claims *Claims, accessToken string) error {
	if c.provider.meta.UserInfo == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.provider.meta.UserInfo, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	res, err := c.cfg.HTTPClient.Do(req)
	if err != nil {
		return fmt.Errorf("call the provider: %w", err)
	}
	defer res.Body.Close()
	raw, err := readLimited(res.Body, maxMetadataBytes)
	if err != nil {
		return fmt.Errorf("read the provider's reply: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return oauthError(res.StatusCode, raw)
	}
	var info map[string]json.RawMessage
	var sub string
	if strictJSON(raw, &info) != nil || json.Unmarshal(info["sub"], &sub) != nil || sub != claims.Subject {
		return tokenErr("userinfo is about another subject")
	}
	for name, value := range info {
		if _, held := claims.All[name]; !held {
			claims.All[name] = value
		}
	}
	return nil
}

// takePending consumes the login that state names, if this browser began it.
func (c *Client) takePending(ctx context.Context, r *http.Request, state string) (*pending, error) {
	if len(state) != 43 {
		return nil, fmt.Errorf("%w: no state", ErrState)
	}
	raw, ok, err := c.cfg.Store.Take(ctx, keyOf("login", state))
	if err != nil {
		return nil, err
	}
	var p pending
	if !ok || json.Unmarshal(raw, &p) != nil {
		return nil, fmt.Errorf("%w: unknown, used or expired state", ErrState)
	}
	ck, err := r.Cookie(c.browser)
	if err != nil || keyOf("browser", ck.Value) != p.Browser {
		return nil, fmt.Errorf("%w: begun in another browser", ErrState)
	}
	return &p, nil
}

// open stores a new session under a fresh id and ends the one before.
func (c *Client) open(ctx context.Context, w http.ResponseWriter, r *http.Request, claims *Claims, idToken string) error {
	if _, id, err := c.load(r); err == nil {
		if err := c.endSession(ctx, id); err != nil {
			return err
		}
	} else if !errors.Is(err, ErrNoSession) {
		return err
	}
	now := c.cfg.Now()
	id := token256()
	s := &session{
		User:    User{Subject: claims.Subject, SessionID: claims.SessionID, ACR: claims.ACR, AMR: claims.AMR, AuthTime: claims.AuthTime, Claims: claims.All},
		IDToken: idToken, Created: now, Seen: now,
	}
	if err := c.save(ctx, keyOf("session", id), s); err != nil {
		return err
	}
	c.setCookie(w, c.cookie, id, c.cfg.Absolute)
	return nil
}

// plainError is the default answer to a failed login.
func plainError(w http.ResponseWriter, r *http.Request, err error) {
	status, text := http.StatusBadGateway, "No pudimos completar su ingreso. Intente otra vez en unos minutos."
	var oe *OAuthError
	switch {
	case errors.As(err, &oe) && oe.Status == 0 && oe.Code == "access_denied":
		status, text = http.StatusForbidden, "Usted no autorizó el ingreso. Puede volver a intentarlo cuando quiera."
	case errors.As(err, &oe) && oe.Code == "unmet_authentication_requirements":
		status, text = http.StatusForbidden, "Este servicio pide un nivel de identidad que su cuenta aún no tiene."
	case errors.Is(err, ErrState):
		status, text = http.StatusBadRequest, "Esta página de ingreso ya no sirve. Vuelva al inicio y entre otra vez."
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<!doctype html><html lang=\"es\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>Ingreso</title><main><h1>Ingreso</h1><p>%s</p><p><a href=\"/\">Volver al inicio</a></p></main></html>", html.EscapeString(text))
}
