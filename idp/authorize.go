package idp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/web"
)

// parPrefix begins the request_uri of a pushed request (RFC 9126 §2.2).
const parPrefix = "urn:ietf:params:oauth:request_uri:"

// parLifetime is how long a pushed request may wait for the browser.
const parLifetime = 60 * time.Second

// parameters reads the request's parameters, from the query of a GET or the
// body of a POST, never from both, without repeats.
func parameters(r *http.Request) (url.Values, error) {
	if r.Method == http.MethodPost {
		if r.URL.RawQuery != "" {
			return nil, oauth.Refuse(oauth.InvalidRequest, "parameters belong in the body")
		}
		return readForm(r)
	}
	if len(r.URL.RawQuery) > maxForm {
		return nil, oauth.Refuse(oauth.InvalidRequest, "the query is too long")
	}
	q, err := web.Query(r)
	if err != nil {
		return nil, oauth.Refuse(oauth.InvalidRequest, "the query is malformed or repeats a parameter")
	}
	return plainValues(q), nil
}

// authorize is the front door of a login (RFC 6749 §4.1.1). A request whose
// client or redirect URI is unproven gets a page; any other fault goes back to the client.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) error {
	q, err := parameters(r)
	if err != nil {
		return p.flow.Fault(w, r, err)
	}
	c, err := p.clientByID(r, q.Get("client_id"))
	if errors.Is(err, store.ErrNotFound) {
		return p.flow.Fault(w, r, oauth.Refuse(oauth.InvalidRequest, "client_id is unknown"))
	} else if err != nil {
		return err
	}
	req, par, err := p.request(r, q, c)
	if err == nil && r.Method == http.MethodPost {
		if held, err := p.flow.Hold(w, r, req, "posted"); held || err != nil {
			return err
		}
		return p.repeatAsGet(w, r, q, c, req, par)
	}
	var front *oauth.FrontError
	switch {
	case errors.As(err, &front) && front.Redirect:
		return p.flow.RespondError(w, r, front.Request, front.Cause)
	case errors.As(err, &front):
		return p.flow.Fault(w, r, front.Cause)
	case err != nil:
		return err
	}
	return p.flow.Start(w, r, c, req, par)
}

// repeatAsGet keeps a posted request and lets the browser come for it with GET:
// a form of another site carries none of our cookies, so that the session would
// not be seen and the cookie of logins under way would be lost.
func (p *Provider) repeatAsGet(w http.ResponseWriter, r *http.Request, q url.Values, c *store.Client, req *oauth.Request, par []byte) error {
	uri := q.Get("request_uri")
	if par == nil {
		var err error
		if uri, err = p.keep(r.Context(), c, req, func(*db.Tx) error { return nil }); err != nil {
			return err
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, pathAuthorize+"?"+url.Values{"client_id": {c.ID}, "request_uri": {uri}}.Encode(), http.StatusSeeOther)
	return nil
}

// keep stores a canonical request and returns its request_uri (RFC 9126 §2.2).
// spend uses up, in the same transaction, what the request came with.
func (p *Provider) keep(ctx context.Context, c *store.Client, req *oauth.Request, spend func(*db.Tx) error) (string, error) {
	uri, raw, now := parPrefix+random256(), req.Encode(), p.cfg.Now()
	return uri, p.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := spend(tx); err != nil {
			return err
		}
		return store.InsertPAR(tx, store.Hash("par", uri), c.ID, raw, now, now.Add(parLifetime))
	})
}

// request returns the canonical request: the pushed one that request_uri names,
// in which case nothing else of the query counts (RFC 9126 §4), or the query's.
func (p *Provider) request(r *http.Request, q url.Values, c *store.Client) (*oauth.Request, []byte, error) {
	now := p.cfg.Now()
	if uri := q.Get("request_uri"); strings.HasPrefix(uri, parPrefix) {
		hash := store.Hash("par", uri)
		var raw string
		err := p.cfg.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
			raw, err = store.PAR(tx, hash, c.ID, now)
			return err
		})
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil, &oauth.FrontError{Cause: oauth.Refuse(oauth.InvalidRequestURI, "request_uri is unknown, used or expired")}
		} else if err != nil {
			return nil, nil, err
		}
		req, err := oauth.DecodeRequest(raw)
		if err == nil && !oauth.MatchRedirect(c, req.RedirectURI) { // taken out since it was pushed
			return nil, nil, &oauth.FrontError{Cause: oauth.Refuse(oauth.InvalidRequestURI, "redirect_uri is no longer registered")}
		}
		return req, hash, err
	}
	object, refused := p.openRequest(r.Context(), q, c)
	if refused != nil {
		return nil, nil, &oauth.FrontError{Cause: refused} // nothing outside the object is proven
	}
	if object != nil {
		q = object.Params
	}
	req, err := oauth.ParseRequest(q, c, now)
	if err != nil {
		return nil, nil, err
	}
	if c.Profile == oauth.ProfileFAPI2 {
		return nil, nil, &oauth.FrontError{Cause: oauth.Refuse(oauth.InvalidRequest, "this client must push its requests"), Redirect: true, Request: req}
	}
	return req, nil, p.readHint(r, c, req)
}

// openRequest returns the request object, if there is one (RFC 9101 §6.3):
// nothing beside it counts. A client without keys cannot have signed one;
// ParseRequest refuses it.
func (p *Provider) openRequest(ctx context.Context, q url.Values, c *store.Client) (*client.RequestObject, *oauth.Error) {
	token := q.Get("request")
	switch {
	case token == "" && c.SignedRequests:
		return nil, oauth.Refuse(oauth.InvalidRequest, "this client must sign its requests")
	case token == "" || c.JWKS == "":
		return nil, nil
	}
	if err := p.clients.FreshKeys(ctx, c, token); err != nil {
		e := oauth.Refuse(oauth.InvalidRequestObject, "the client's keys could not be read")
		e.Err = err
		return nil, e
	}
	object, err := client.OpenRequest(c, p.cfg.Issuer, token, p.cfg.Now())
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), client.ErrRequestObject.Error()+": ")
		why, _, _ = strings.Cut(why, "\n")
		e := oauth.Refuse(oauth.InvalidRequestObject, "the request object is not valid: %s", why)
		e.Err = err
		return nil, e
	}
	return object, nil
}

// spendRequest uses a pushed request object up, once per client, if it has a jti.
func (p *Provider) spendRequest(tx *db.Tx, c *store.Client, object *client.RequestObject) error {
	if object == nil || object.JTI == "" {
		return nil
	}
	err := store.SpendJTI(tx, "request:"+c.ID, object.JTI, p.cfg.Now().Add(client.MaxRequestLife+time.Minute))
	if errors.Is(err, store.ErrSpent) {
		return oauth.Refuse(oauth.InvalidRequestObject, "the request object was used before")
	}
	return err
}

// readHint verifies id_token_hint, if there is one, over all published keys.
// An expired ID token is a good hint; another client's is none.
func (p *Provider) readHint(r *http.Request, c *store.Client, req *oauth.Request) error {
	if req.IDTokenHint == "" {
		return nil
	}
	hint, err := p.idToken(r.Context(), req.IDTokenHint)
	if err != nil || hint.Aud != c.ID {
		return &oauth.FrontError{Cause: oauth.Refuse(oauth.InvalidRequest, "id_token_hint is not an ID token of this client"), Redirect: true, Request: req}
	}
	if req.HintSubject != "" && req.HintSubject != hint.Sub {
		return &oauth.FrontError{Cause: oauth.Refuse(oauth.InvalidRequest, "id_token_hint and claims name two people"), Redirect: true, Request: req}
	}
	req.HintSubject, req.IDTokenHint = hint.Sub, ""
	return nil
}

// pushed stores an authorization request for the authenticated client (RFC 9126).
func (p *Provider) pushed(w http.ResponseWriter, r *http.Request) error {
	form, c, err := p.authenticated(w, r)
	if err != nil {
		return p.refuse(w, r, err)
	}
	if wait, err := p.pushWait(r, c); err != nil {
		return err
	} else if wait > 0 {
		return p.tooMany(w, r, wait)
	}
	proof, err := p.clientProof(w, r, c, false)
	if err != nil {
		return p.refuse(w, r, err)
	}
	if form.Get("request_uri") != "" {
		return p.refuse(w, r, oauth.Refuse(oauth.InvalidRequest, "request_uri may not be pushed"))
	}
	if id := form.Get("client_id"); id != "" && id != c.ID {
		return p.refuse(w, r, oauth.Refuse(oauth.InvalidRequest, "client_id is another client's"))
	}
	object, refused := p.openRequest(r.Context(), form, c)
	if refused != nil {
		return p.refuse(w, r, refused)
	}
	if object != nil {
		form = object.Params
	}
	req, err := oauth.ParseRequest(form, c, p.cfg.Now())
	if err == nil {
		err = p.readHint(r, c, req)
	}
	var front *oauth.FrontError
	if errors.As(err, &front) {
		return p.refuse(w, r, front.Cause)
	} else if err != nil {
		return err
	}
	if proof != nil { // RFC 9449 §10.1: the header binds the code as dpop_jkt does
		if req.DPoPJKT != "" && req.DPoPJKT != proof.JKT {
			return p.refuse(w, r, oauth.Refuse(oauth.InvalidDPoPProof, "dpop_jkt and the DPoP proof are of two keys"))
		}
		req.DPoPJKT = proof.JKT
	}
	uri, err := p.keep(r.Context(), c, req, func(tx *db.Tx) error {
		if err := p.spendRequest(tx, c, object); err != nil {
			return err
		}
		return p.spendProof(tx, proof)
	})
	if err != nil {
		return p.refuse(w, r, err)
	}
	return reply(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": int(parLifetime / time.Second)})
}

// pushWait counts a pushed request and returns how long to wait, 0 to go on. A
// public client proves nothing, so that its own users are counted by address:
// whoever takes its name cannot use up what others may.
func (p *Provider) pushWait(r *http.Request, c *store.Client) (time.Duration, error) {
	key, n := "idp:push:"+c.ID, 100*p.cfg.LoginsPerMinute
	if c.Public() {
		key, n = key+":"+web.ClientKey(r), 5*p.cfg.LoginsPerMinute
	}
	d, err := p.cfg.Limiter.Take(r.Context(), key, cache.Rate{Count: n, Per: time.Minute}, 1)
	if err != nil || d.Allowed {
		return 0, err
	}
	return max(d.RetryAfter, time.Second), nil
}

// tooMany answers an application that asks too often (RFC 6585 §4).
func (p *Provider) tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration) error {
	p.cfg.Logger.LogAttrs(r.Context(), slog.LevelInfo, "oauth request held up", slog.String("path", r.URL.Path))
	w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	return reply(w, http.StatusTooManyRequests, map[string]any{"error": oauth.TemporarilyUnavailable, "error_description": "too many requests; see Retry-After"})
}

func (p *Provider) clientByID(r *http.Request, id string) (*store.Client, error) {
	if id == "" || len(id) > 64 {
		return nil, store.ErrNotFound
	}
	return p.known.ByID(r.Context(), id)
}
