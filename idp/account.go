package idp

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/flow"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// ErrNotFound reports a session, permission or client that does not exist, has
// ended, or is another person's: the three look alike from outside.
var ErrNotFound = errors.New("idp: no such session, permission or client of this person")

// OwnDevice is a browser, or a device without one, in which a person is signed in.
type OwnDevice struct {
	ID       string
	Sessions []OwnSession // newest first, never empty
}

// OwnSession is one of a person's sign-on sessions, as she sees it.
type OwnSession struct {
	ID        string
	Device    string // a few words, for instance "Firefox, Android"
	DeviceID  string // the device it lies beneath
	Shared    bool   // she said that others use the device
	Lapsed    bool   // idle too long: whoever comes back is asked who she is, but applications may go on
	CreatedAt time.Time
	SeenAt    time.Time // to the minute
	ExpiresAt time.Time // at the latest

	Applications []OwnApplication // entered in it, newest first
}

// OwnApplication is one application's session beneath a sign-on session.
type OwnApplication struct {
	SID         string
	Client      string
	Name        string
	Institution identity.InstitutionID
	Since       time.Time
	Grants      []OwnGrant // that may still be used, newest first
}

// OwnGrant is what an application was given at one entry.
type OwnGrant struct {
	ID        string
	Scopes    []string
	Since     time.Time
	Renewable bool // it has a refresh token
}

// OwnConsent is what a person allows one application.
type OwnConsent struct {
	Client      string
	Name        string
	Institution identity.InstitutionID
	Scopes      []string  // sorted
	Since       time.Time // of the oldest permission
	Until       time.Time // of the first one to end
}

// ClientInfo is what may be said of a client to people.
type ClientInfo struct {
	ID, Name    string
	Institution identity.InstitutionID
	Disabled    bool
}

// Sessions returns a person's sessions that stand, newest first.
func (p *Provider) Sessions(ctx context.Context, person identity.PersonID) ([]OwnSession, error) {
	list, err := p.session.Of(ctx, person)
	if err != nil {
		return nil, err
	}
	out := make([]OwnSession, 0, len(list))
	for _, s := range list {
		out = append(out, OwnSession{ID: s.ID, Device: s.Device, DeviceID: s.DeviceID, Shared: s.Shared, Lapsed: s.Lapsed(p.cfg.Now()), CreatedAt: s.CreatedAt, SeenAt: s.SeenAt, ExpiresAt: s.ExpiresAt})
	}
	return out, nil
}

// EndSession ends one session of the person, with everything beneath it, and
// queues the notices to applications. [ErrNotFound] if it is not hers or over.
func (p *Provider) EndSession(ctx context.Context, person identity.PersonID, id string) error {
	list, err := p.session.Of(ctx, person)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(s *store.Session) bool { return s.ID == id })
	if i < 0 {
		return ErrNotFound
	}
	return p.session.End(ctx, list[i], "own")
}

// EndOtherSessions ends every session of the person but keep, all if keep is
// empty, in one transaction, and returns how many ended.
func (p *Provider) EndOtherSessions(ctx context.Context, person identity.PersonID, keep string) (int, error) {
	return p.session.EndOthers(ctx, person, keep)
}

// SignOut ends the session that the browser's cookie names, with everything
// beneath it, and removes the cookie. Without a session only the cookie goes.
// answered says that it wrote the answer, a page that tells old applications.
func (p *Provider) SignOut(w http.ResponseWriter, r *http.Request) (answered bool, err error) {
	s, err := p.session.Held(r)
	if errors.Is(err, session.ErrNone) {
		session.Forget(w)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	frames, err := p.leave(w, r, s) // if it fails the session may live on: do not say that it ended
	if err != nil || len(frames) == 0 {
		return false, err
	}
	return true, p.pages.LoggedOutFrames(w, r, "", frames)
}

// Consents returns what the person allows each application now, by name.
func (p *Provider) Consents(ctx context.Context, person identity.PersonID) ([]OwnConsent, error) {
	var rows []store.Consent
	clients := map[string]*store.Client{}
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if rows, err = store.Consents(tx, string(person), "", p.cfg.Now()); err != nil {
			return err
		}
		for _, r := range rows {
			if _, seen := clients[r.Client]; seen {
				continue
			}
			c, err := store.ClientByID(tx, r.Client)
			if err != nil && !errors.Is(err, store.ErrNotFound) { // a disabled one can do nothing
				return err
			}
			clients[r.Client] = c
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []OwnConsent
	for _, r := range rows { // by client, then scope
		c := clients[r.Client]
		if c == nil {
			continue
		}
		if n := len(out); n == 0 || out[n-1].Client != c.ID {
			out = append(out, OwnConsent{Client: c.ID, Name: c.Name, Institution: c.Institution, Since: r.GrantedAt, Until: r.ExpiresAt})
		}
		o := &out[len(out)-1]
		o.Scopes = append(o.Scopes, r.Scope)
		if r.GrantedAt.Before(o.Since) {
			o.Since = r.GrantedAt
		}
		if r.ExpiresAt.Before(o.Until) {
			o.Until = r.ExpiresAt
		}
	}
	slices.SortStableFunc(out, func(a, b OwnConsent) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// RevokeConsent ends what the person allows a client: the permissions, its
// grants with their tokens, and its sessions. [ErrNotFound] if there was none.
func (p *Provider) RevokeConsent(ctx context.Context, person identity.PersonID, client string) error {
	var c *store.Client
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		c, err = store.ClientByID(tx, client)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && c.ID == flow.LocalClient {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	ended, err := p.session.Withdraw(ctx, person, c)
	if err == nil && !ended {
		err = ErrNotFound
	}
	return err
}

// Clients returns every registered client, the disabled ones too, by id.
func (p *Provider) Clients(ctx context.Context) ([]ClientInfo, error) {
	var out []ClientInfo
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		list, err := store.Clients(tx)
		if err != nil {
			return err
		}
		out = make([]ClientInfo, 0, len(list))
		for _, c := range list {
			if c.ID != flow.LocalClient {
				out = append(out, ClientInfo{ID: c.ID, Name: c.Name, Institution: c.Institution, Disabled: !c.DisabledAt.IsZero()})
			}
		}
		return nil
	})
	return out, err
}
