package idp

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
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
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, oauth.Refuse(oauth.InvalidRequest, "the query is malformed")
	}
	for _, vs := range q {
		if len(vs) > 1 {
			return nil, oauth.Refuse(oauth.InvalidRequest, "a parameter is repeated")
		}
	}
	return q, nil
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
		return req, hash, err
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
	req.HintSubject, req.IDTokenHint = hint.Sub, ""
	return nil
}

// pushed stores an authorization request for the authenticated client (RFC 9126).
func (p *Provider) pushed(w http.ResponseWriter, r *http.Request) error {
	form, c, err := p.authenticated(w, r)
	if err != nil {
		return p.refuse(w, r, err)
	}
	if form.Get("request_uri") != "" {
		return p.refuse(w, r, oauth.Refuse(oauth.InvalidRequest, "request_uri may not be pushed"))
	}
	if id := form.Get("client_id"); id != "" && id != c.ID {
		return p.refuse(w, r, oauth.Refuse(oauth.InvalidRequest, "client_id is another client's"))
	}
	now := p.cfg.Now()
	req, err := oauth.ParseRequest(form, c, now)
	if err == nil {
		err = p.readHint(r, c, req)
	}
	var front *oauth.FrontError
	if errors.As(err, &front) {
		return p.refuse(w, r, front.Cause)
	} else if err != nil {
		return err
	}
	uri := parPrefix + random256()
	raw := req.Encode()
	err = p.cfg.DB.Write(r.Context(), func(tx *db.Tx) error {
		return store.InsertPAR(tx, store.Hash("par", uri), c.ID, raw, now, now.Add(parLifetime))
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": int(parLifetime / time.Second)})
}

func (p *Provider) clientByID(r *http.Request, id string) (*store.Client, error) {
	if id == "" || len(id) > 64 {
		return nil, store.ErrNotFound
	}
	var c *store.Client
	err := p.cfg.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		c, err = store.ClientByID(tx, id)
		return err
	})
	return c, err
}
