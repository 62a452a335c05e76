package flow

import (
	"context"
	"errors"
	"net/http"
	"time"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/page"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// DevicePath is where people type the code that a device shows
// (verification_uri, RFC 8628 §3.2). It is short, because they type it too.
const DevicePath = "/equipo"

// DeviceParam carries the code in verification_uri_complete.
const DeviceParam = "codigo"

// codesPerMinute is how many codes one address may try a minute: of 34.5 bits
// each, while few live and none for long.
const codesPerMinute = 20

// deviceForm asks for the code. A link may bring it, but the person goes on by
// herself, so that a link alone leads nowhere (RFC 8628 §3.3.1).
func (f *Flow) deviceForm(w http.ResponseWriter, r *http.Request) error {
	shown, _, _ := oauth.UserCode(r.URL.Query().Get(DeviceParam))
	return f.cfg.Pages.Device(w, r, page.Device{Code: shown})
}

// deviceCode begins the login of the device whose code was typed.
func (f *Flow) deviceCode(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r, maxForm)
	if err != nil {
		return f.cfg.Pages.Device(w, r, page.Device{Problem: page.ProblemCode})
	}
	d, err := f.cfg.Limiter.Take(r.Context(), "idp:user-code:"+web.ClientKey(r), cache.Rate{Count: codesPerMinute, Per: time.Minute}, 1)
	if err != nil {
		return err
	}
	if !d.Allowed {
		return web.TooMany(max(d.RetryAfter, time.Second))
	}
	typed := form.Get(DeviceParam)
	shown, hash, ok := oauth.UserCode(typed)
	if !ok {
		if len(typed) > 20 {
			typed = ""
		}
		return f.cfg.Pages.Device(w, r, page.Device{Code: typed, Problem: page.ProblemCode})
	}
	var row *store.DeviceCode
	var c *store.Client
	err = f.cfg.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		row, err = store.PendingDevice(tx, hash, f.cfg.Now())
		return err
	})
	if err == nil {
		c, err = f.cfg.Clients.ByID(r.Context(), row.Client)
	}
	if isNotFound(err) {
		return f.cfg.Pages.Device(w, r, page.Device{Code: shown, Problem: page.ProblemCode})
	} else if err != nil {
		return err
	}
	req, err := oauth.DecodeRequest(row.Request)
	if err != nil {
		return err
	}
	req.Device.UserCode = shown
	return f.Start(w, r, c, req, nil)
}

// consent shows the consent page, for a device with the code and where it asks from.
func (f *Flow) consent(w http.ResponseWriter, r *http.Request, st *state) error {
	v := f.consentView(st)
	if d := st.request.Device; d != nil {
		v.Device = &page.DeviceAsk{Code: d.UserCode, Agent: d.Agent, From: d.From, Same: d.From == web.ClientKey(r)}
		if f.cfg.Institution != nil {
			var err error
			if v.Device.Institution, err = f.cfg.Institution(r.Context(), st.client.Institution); err != nil {
				return err
			}
		}
	}
	return f.cfg.Pages.Consent(w, r, v)
}

// completeDevice lets a device in: a session of its own, shared unless the
// person said otherwise (D27), with the grant beneath it, which she sees and ends
// like any other. The device fetches its tokens itself.
func (f *Flow) completeDevice(w http.ResponseWriter, r *http.Request, st *state, scopes, consented []string) error {
	if len(scopes) == 0 {
		return f.deny(w, r, st, oauth.Refuse(oauth.AccessDenied, "the person allowed nothing of what was asked"))
	}
	ctx, now := r.Context(), f.cfg.Now()
	asked := st.request.Device
	s := deviceSession(st, now)
	kept := *st.request
	kept.Device = &oauth.Device{Shared: s.Shared}
	grant := &store.Grant{
		ID: identity.NewID("grt", now), Session: s.ID, Client: st.client.ID, Person: s.Person, Epoch: s.Epoch, Scopes: scopes,
		Request: kept.Encode(), ACR: st.acr(), AMR: st.assurance.AMR, AuthAt: st.assurance.AuthTime, CreatedAt: now,
	}
	entry, err := f.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.device", Subject: s.Person, Actor: string(s.Person), Client: st.client.ID, Institution: string(st.client.Institution), Object: grant.ID, Outcome: "granted",
		Payload: map[string]any{"scopes": scopes, "acr": grant.ACR, "amr": grant.AMR, "consented": consented, "application": st.client.Name, "shared": s.Shared, "from": asked.From, "device": asked.Agent},
	})
	if err != nil {
		return err
	}
	secret, freshSub, freshSID := store.Hash("session", session.Random256()), session.Random256(), session.Random256() // nobody gets a cookie
	err = f.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := store.InsertSession(tx, s, secret); err != nil {
			return err
		}
		if err := f.grantDevice(tx, st, grant, consented, freshSub, freshSID, now); err != nil {
			return err
		}
		_, err := f.cfg.Audit.Append(tx, entry)
		return err
	})
	switch {
	case errors.Is(err, store.ErrSpent):
		return f.cfg.Pages.Device(w, r, page.Device{Problem: page.ProblemSpent})
	case isNotFound(err): // the person left in another tab meanwhile: ask who enters
		http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
		return nil
	case err != nil:
		return err
	}
	return f.cfg.Pages.DeviceDone(w, r, st.client.Name)
}

// deviceSession is the sign-on session of a device, without a cookie. Its idle
// limit is kept by its refresh tokens.
func deviceSession(st *state, now time.Time) *store.Session {
	s := &store.Session{
		ID: identity.NewID("ses", now), Person: st.session.Person, Epoch: st.session.Epoch, Device: st.client.Name + " (" + st.request.Device.Agent + ")", Shared: !st.deviceOwn,
		CreatedAt: now, SeenAt: now, Idle: session.OwnAbsolute, ExpiresAt: now.Add(session.OwnAbsolute),
	}
	if s.Shared {
		s.Idle, s.ExpiresAt = session.SharedAbsolute, now.Add(session.SharedAbsolute)
	}
	return s
}

func (f *Flow) grantDevice(tx *db.Tx, st *state, grant *store.Grant, consented []string, freshSub, freshSID string, now time.Time) error {
	if err := store.RequireSession(tx, st.session.ID, now); err != nil {
		return err
	}
	if err := store.DecideInteraction(tx, st.interaction.ID, now); err != nil {
		return err
	}
	var err error
	if grant.Sub, err = store.Subject(tx, st.client.Sector, grant.Person, freshSub, now); err != nil {
		return err
	}
	if grant.SID, err = store.OpenRPSession(tx, grant.Session, st.client.ID, freshSID, now); err != nil {
		return err
	}
	if err := store.InsertGrant(tx, grant); err != nil {
		return err
	}
	if err := store.DecideDevice(tx, st.request.Device.Hash, grant.ID, now); err != nil {
		return err
	}
	return insertConsents(tx, st, consented, now)
}

// insertConsents records what the person allowed just now.
func insertConsents(tx *db.Tx, st *state, consented []string, now time.Time) error {
	for i, s := range consented {
		c := store.Consent{ID: identity.NewID("con", now.Add(time.Duration(i))), Client: st.client.ID, Scope: s, GrantedAt: now, ExpiresAt: now.Add(consentLifetime)}
		if err := store.InsertConsent(tx, string(st.session.Person), c); err != nil {
			return err
		}
	}
	return nil
}

// deviceRefusal prepares the record of a device that was refused; nil for other
// requests and while nobody is signed in.
func (f *Flow) deviceRefusal(ctx context.Context, st *state) (*audit.Prepared, error) {
	if st.request.Device == nil || st.session == nil {
		return nil, nil
	}
	return f.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.device", Subject: st.session.Person, Actor: string(st.session.Person), Client: st.client.ID, Institution: string(st.client.Institution),
		Object: st.interaction.ID, Outcome: "denied",
		Payload: map[string]any{"application": st.client.Name, "from": st.request.Device.From, "device": st.request.Device.Agent},
	})
}

func (f *Flow) refuseDevice(tx *db.Tx, st *state, entry *audit.Prepared) error {
	if err := store.DecideDevice(tx, st.request.Device.Hash, "", f.cfg.Now()); err != nil || entry == nil {
		return err
	}
	_, err := f.cfg.Audit.Append(tx, entry)
	return err
}
