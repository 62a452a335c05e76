package sdk

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxFormBytes bounds the bodies that the provider posts to the application.
const maxFormBytes = 64 << 10

// backchannelEvent is the member that makes a JWT a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4).
const backchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// Routes serves the addresses that the provider and the browser use: callback,
// salir (POST; or GET, which asks), salida and backchannel under Config.Prefix.
func (c *Client) Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+c.cfg.Prefix+"callback", c.callback)
	mux.HandleFunc("POST "+c.cfg.Prefix+"salir", c.logout)
	mux.HandleFunc("GET "+c.cfg.Prefix+"salida", c.loggedOut)
	mux.HandleFunc("POST "+c.cfg.Prefix+"backchannel", c.backchannel)
	cross := http.NewCrossOriginProtection()
	return cross.Handler(mux)
}

// logout ends the application's session and then the provider's (RP-Initiated Logout 1.0).
func (c *Client) logout(w http.ResponseWriter, r *http.Request) {
	s, id, err := c.load(r)
	if err == nil {
		if err := c.endSession(r.Context(), id); err != nil {
			c.cfg.OnError(w, r, err) // the session may live on: do not say that it ended
			return
		}
	}
	c.setCookie(w, c.cookie, "", 0)
	w.Header().Set("Cache-Control", "no-store")
	if s == nil || c.provider.meta.EndSession == "" {
		http.Redirect(w, r, c.PostLogoutRedirectURI(), http.StatusSeeOther)
		return
	}
	v := url.Values{"id_token_hint": {s.IDToken}, "client_id": {c.cfg.ClientID}, "post_logout_redirect_uri": {c.PostLogoutRedirectURI()}}
	sep := "?"
	if strings.Contains(c.provider.meta.EndSession, "?") {
		sep = "&"
	}
	http.Redirect(w, r, c.provider.meta.EndSession+sep+v.Encode(), http.StatusSeeOther)
}

func (c *Client) loggedOut(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// backchannel answers a logout token: 200 once the sessions it names cannot be
// used any more, 400 if it is refused, 503 if the store failed.
func (c *Client) backchannel(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if mediaType(r) != "application/x-www-form-urlencoded" || r.ParseForm() != nil || len(r.PostForm["logout_token"]) != 1 {
		http.Error(w, "want one logout_token", http.StatusBadRequest)
		return
	}
	claims, err := c.verifyLogoutToken(r, r.PostForm.Get("logout_token"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := c.cfg.Now()
	if claims.Sid != "" {
		err = c.cfg.Store.Put(r.Context(), keyOf("ended-sid", claims.Sid), []byte("1"), c.cfg.Absolute+time.Minute)
	} else {
		var at []byte
		if at, err = json.Marshal(now); err == nil {
			err = c.cfg.Store.Put(r.Context(), keyOf("ended-sub", claims.Sub), at, c.cfg.Absolute+time.Minute)
		}
	}
	if err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
}

// verifyLogoutToken makes the checks of Back-Channel Logout 1.0 §2.6.
func (c *Client) verifyLogoutToken(r *http.Request, token string) (*wireClaims, error) {
	payload, err := c.provider.verifyJWS(r.Context(), token, "logout+jwt")
	if err != nil {
		return nil, err
	}
	var l wireClaims
	if err := strictJSON(payload, &l); err != nil {
		return nil, tokenErr("claims: %v", err)
	}
	if err := l.check(c.cfg.Issuer, c.cfg.ClientID, c.cfg.Now()); err != nil {
		return nil, err
	}
	_, isLogout := l.Events[backchannelEvent]
	switch {
	case !isLogout:
		return nil, tokenErr("not a logout token")
	case l.Nonce != nil:
		return nil, tokenErr("a logout token may hold no nonce")
	case l.Sid == "" && l.Sub == "":
		return nil, tokenErr("names neither session nor subject")
	case l.Jti == "":
		return nil, tokenErr("no jti")
	}
	return &l, nil
}

// mediaType returns the type of the request's body without parameters.
func mediaType(r *http.Request) string {
	t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(t))
}
