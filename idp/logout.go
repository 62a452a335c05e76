package idp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/page"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// logoutRequest is a request of RP-Initiated Logout 1.0 §2, checked.
type logoutRequest struct {
	client *store.Client // nil: none named
	proven bool          // a verified hint names the client
	sid    string        // of the verified hint
	back   string        // registered address to return to; "" for our own page
}

// logout ends the browser's session (RP-Initiated Logout 1.0). A good hint for
// that very session ends it at once; anything less asks the person first. The
// browser is sent away only to an address registered by a proven client.
func (p *Provider) logout(w http.ResponseWriter, r *http.Request) error {
	q, err := parameters(r)
	if err != nil {
		return p.flow.Fault(w, r, err)
	}
	lr, err := p.logoutRequest(r, q)
	var e *oauth.Error
	if errors.As(err, &e) {
		return p.pages.Fault(w, r, e.Code, e.Description)
	} else if err != nil {
		return err
	}
	rp, err := p.hinted(r.Context(), lr)
	if err != nil {
		return err
	}
	s, err := p.session.Held(r)
	if errors.Is(err, session.ErrNone) {
		return p.logoutElsewhere(w, r, lr, rp)
	} else if err != nil {
		return err
	}
	if rp == nil || rp.Session != s.ID {
		v := page.Logout{Params: logoutParams(q), Back: lr.back}
		if lr.client != nil {
			v.App = lr.client.Name
		}
		return p.pages.Logout(w, r, v)
	}
	frames, err := p.leave(w, r, s)
	if err != nil {
		return err
	}
	return p.loggedOut(w, r, lr, frames)
}

// leave ends the browser's session and returns the addresses at which old
// applications are told of it in this browser.
func (p *Provider) leave(w http.ResponseWriter, r *http.Request, s *store.Session) ([]page.Frame, error) {
	frames, err := p.frames(r.Context(), s.ID)
	if err == nil {
		err = p.session.End(r.Context(), s, "logout")
	}
	if err != nil {
		return nil, err
	}
	session.Forget(w)
	return frames, nil
}

// frames are the front-channel addresses of a session's applications, with iss
// and sid for those that ask for them (Front-Channel Logout 1.0 §2).
func (p *Provider) frames(ctx context.Context, id string) ([]page.Frame, error) {
	var list []store.FrontchannelTarget
	if err := p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = store.FrontchannelTargets(tx, id)
		return err
	}); err != nil {
		return nil, err
	}
	var out []page.Frame
	for _, t := range list {
		address := t.Address
		if t.WithSID {
			address = withQuery(address, url.Values{"iss": {p.cfg.Issuer}, "sid": {t.SID}})
		}
		out = append(out, page.Frame{App: t.Name, Address: address})
	}
	return out, nil
}

// withQuery adds parameters to an address.
func withQuery(address string, q url.Values) string {
	sep := "?"
	if strings.Contains(address, "?") {
		sep = "&"
	}
	return address + sep + q.Encode()
}

// logoutPosted repeats a posted request as a GET, with which the browser sends
// its cookies whatever site it comes from.
func (p *Provider) logoutPosted(w http.ResponseWriter, r *http.Request) error {
	q, err := parameters(r)
	if err != nil {
		return p.flow.Fault(w, r, err)
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, pathLogout+"?"+logoutParams(q).Encode(), http.StatusSeeOther)
	return nil
}

// logoutElsewhere answers a browser that holds no session. A proven client
// leaves its own session, wherever that is; without proof nobody has asked and
// nobody agreed to be sent away.
func (p *Provider) logoutElsewhere(w http.ResponseWriter, r *http.Request, lr *logoutRequest, rp *store.RPSession) error {
	if rp != nil {
		if err := p.session.EndClient(r.Context(), rp); err != nil {
			return err
		}
	}
	if !lr.proven {
		lr.back = ""
	}
	return p.loggedOut(w, r, lr, nil)
}

// logoutParams are the parameters that the question carries on; others could
// pass for the person's answer.
func logoutParams(q url.Values) url.Values {
	out := url.Values{}
	for _, name := range []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"} {
		if q.Has(name) {
			out.Set(name, q.Get(name))
		}
	}
	return out
}

// logoutConfirmed takes the person's answer to the question.
func (p *Provider) logoutConfirmed(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return p.pages.Fault(w, r, oauth.InvalidRequest, "the form is malformed")
	}
	s, err := p.session.Held(r)
	if err != nil && !errors.Is(err, session.ErrNone) {
		return err
	}
	var frames []page.Frame
	if s != nil && form.Get("decision") == "accept" {
		if frames, err = p.leave(w, r, s); err != nil {
			return err
		}
	}
	lr, err := p.logoutRequest(r, form)
	var e *oauth.Error
	if errors.As(err, &e) {
		lr = &logoutRequest{} // left all the same; only there is nowhere to go on
	} else if err != nil {
		return err
	}
	if form.Get("decision") != "accept" {
		http.Redirect(w, r, "/cuenta", http.StatusSeeOther)
		return nil
	}
	return p.loggedOut(w, r, lr, frames)
}

// logoutRequest checks the parameters. A bad hint or an unregistered address is a fault.
func (p *Provider) logoutRequest(r *http.Request, q url.Values) (*logoutRequest, error) {
	lr := &logoutRequest{}
	var err error
	clientID := q.Get("client_id")
	if token := q.Get("id_token_hint"); token != "" {
		h, err := p.idToken(r.Context(), token)
		if err != nil || clientID != "" && clientID != h.Aud {
			return nil, oauth.Refuse(oauth.InvalidRequest, "id_token_hint is not an ID token of this provider for this client")
		}
		clientID, lr.sid, lr.proven = h.Aud, h.Sid, true
		if lr.client, err = p.clientByID(r, clientID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	back := q.Get("post_logout_redirect_uri")
	if back == "" {
		return lr, nil
	}
	// Without a hint nothing proves that the client asks: client_id alone is
	// public, so the address is used only if it is registered, after a question.
	c := lr.client
	if c == nil && clientID != "" {
		if c, err = p.clientByID(r, clientID); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	if c == nil || !slices.Contains(c.PostLogoutURIs, back) {
		return nil, oauth.Refuse(oauth.InvalidRequest, "post_logout_redirect_uri is not registered for this client")
	}
	lr.client, lr.back = c, back
	if state := q.Get("state"); state != "" && len(state) <= 2048 {
		lr.back = withQuery(back, url.Values{"state": {state}})
	}
	return lr, nil
}

// hinted returns the client session that the hint names, nil without one.
func (p *Provider) hinted(ctx context.Context, lr *logoutRequest) (*store.RPSession, error) {
	if lr.sid == "" {
		return nil, nil
	}
	var rp *store.RPSession
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rp, err = store.RPSessionByID(tx, lr.sid)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return rp, err
}

// loggedOut sends the browser on, or tells that the person left. Where old
// applications must be told in this browser, a page does that first.
func (p *Provider) loggedOut(w http.ResponseWriter, r *http.Request, lr *logoutRequest, frames []page.Frame) error {
	if len(frames) > 0 {
		return p.pages.LoggedOutFrames(w, r, lr.back, frames)
	}
	if lr.back != "" {
		http.Redirect(w, r, lr.back, http.StatusSeeOther)
		return nil
	}
	return p.pages.LoggedOut(w, r)
}

// EndPerson ends every session of a person: the consumer of subject changes. It is idempotent.
func (p *Provider) EndPerson(ctx context.Context, person identity.PersonID, why string) error {
	return p.session.EndPerson(ctx, person, why)
}
