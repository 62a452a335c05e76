package idp

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/flow"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/web"
)

const (
	// deviceLifetime is how long a device may wait for its person.
	deviceLifetime = 10 * time.Minute
	// deviceInterval is how long a device waits between polls. One that comes a
	// second early is not blamed: the network may have been slow before.
	deviceInterval = 5 * time.Second
	deviceEarly    = time.Second
)

// device is the device authorization endpoint (RFC 8628 §3.1).
func (p *Provider) device(w http.ResponseWriter, r *http.Request) error {
	form, c, err := p.authenticated(w, r)
	if err != nil {
		return p.refuse(w, r, err)
	}
	if wait, err := p.pushWait(r, c); err != nil {
		return err
	} else if wait > 0 {
		return p.tooMany(w, r, wait)
	}
	now := p.cfg.Now()
	req, e := oauth.ParseDevice(form, c, now)
	if e != nil {
		return p.refuse(w, r, e)
	}
	code, hash := oauth.NewDeviceCode()
	req.Device = &oauth.Device{Hash: hash, From: web.ClientKey(r), Agent: session.Device(r)}
	raw, shown := req.Encode(), ""
	for range 5 { // a code that lives already is drawn again
		shown = oauth.NewUserCode()
		row := &store.DeviceCode{Hash: hash, UserCode: oauth.UserCodeHash(shown), Client: c.ID, Request: raw, CreatedAt: now, ExpiresAt: now.Add(deviceLifetime)}
		err = p.cfg.DB.Write(r.Context(), func(tx *db.Tx) error { return store.InsertDeviceCode(tx, row) })
		if !db.IsUnique(err, "idp_device_code") {
			break
		}
	}
	if err != nil {
		return p.refuse(w, r, err)
	}
	at := p.cfg.Issuer + flow.DevicePath
	return reply(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": shown, "verification_uri": at, "verification_uri_complete": at + "?" + url.Values{flow.DeviceParam: {shown}}.Encode(),
		"expires_in": int(deviceLifetime / time.Second), "interval": int(deviceInterval / time.Second),
	})
}

// deviceToken answers a device that asks whether its person has decided (RFC
// 8628 §3.4), once with tokens.
func (p *Provider) deviceToken(ctx context.Context, c *store.Client, form url.Values, proof *client.Proof) (*oauth.Tokens, error) {
	if !slices.Contains(c.Grants, oauth.GrantDevice) {
		return nil, oauth.Refuse(oauth.UnauthorizedClient, "the client may not use the device authorization grant")
	}
	if form.Get("device_code") == "" {
		return nil, oauth.Refuse(oauth.InvalidRequest, "device_code is missing")
	}
	hash, ok := oauth.DeviceHash(form.Get("device_code"))
	if !ok {
		return nil, oauth.Refuse(oauth.InvalidGrant, "device_code is malformed")
	}
	row, grant, err := p.decidedDevice(ctx, c, hash)
	if err != nil {
		return nil, err
	}
	req, resource, err := granted(c, form, grant)
	if err != nil {
		return nil, err
	}
	t, err := p.engine.Issue(ctx, c, grant, resource, jkt(proof))
	if err != nil {
		return nil, err
	}
	p.sharedIdle(req, t)
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.token.issued", Subject: grant.Person, Actor: c.ID, Client: c.ID, Institution: string(c.Institution), Object: grant.ID, Outcome: "issued",
		Payload: map[string]any{"grant": "device_code", "scopes": t.Scopes},
	})
	if err != nil {
		return nil, err
	}
	err = p.write(ctx, func(tx *db.Tx) error {
		if err := store.ConsumeDevice(tx, row.Hash, c.ID, p.cfg.Now()); err != nil {
			return err
		}
		return p.storeTokens(tx, t, proof, entry)
	})
	if errors.Is(err, store.ErrSpent) {
		return nil, p.deviceReused(ctx, c, grant)
	}
	return t, err
}

// decidedDevice returns a device code of the client whose person agreed, or the
// error with which the device goes on or stops.
func (p *Provider) decidedDevice(ctx context.Context, c *store.Client, hash []byte) (*store.DeviceCode, *store.Grant, error) {
	now := p.cfg.Now()
	var row *store.DeviceCode
	var grant *store.Grant
	var alive bool
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if row, err = store.DeviceByHash(tx, hash); err != nil || row.Grant == "" {
			return err
		}
		grant, alive, err = store.GrantByID(tx, row.Grant, now)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && row.Client != c.ID:
		return nil, nil, oauth.Refuse(oauth.InvalidGrant, "device_code is unknown")
	case err != nil:
		return nil, nil, err
	case row.Consumed:
		return nil, nil, p.deviceReused(ctx, c, grant)
	case row.Outcome == "denied":
		return nil, nil, oauth.Refuse(oauth.AccessDenied, "the person did not agree")
	case !now.Before(row.ExpiresAt):
		return nil, nil, oauth.Refuse(oauth.ExpiredToken, "the device code has expired")
	case row.Outcome == "granted" && !alive:
		return nil, nil, oauth.Refuse(oauth.AccessDenied, "the person has ended this session")
	case row.Outcome == "granted":
		return row, grant, nil
	}
	d, err := p.cfg.Limiter.Take(ctx, "idp:poll:"+hex.EncodeToString(hash), cache.Rate{Count: 1, Per: deviceInterval - deviceEarly}, 1)
	if err != nil {
		return nil, nil, err
	}
	if !d.Allowed {
		return nil, nil, oauth.Refuse(oauth.SlowDown, "wait 5 seconds more between polls")
	}
	return nil, nil, oauth.Refuse(oauth.AuthorizationPending, "the person has not decided yet")
}

// deviceReused ends the grant of a device code that came once more after it had
// yielded tokens: one of the two who hold it is not the device.
func (p *Provider) deviceReused(ctx context.Context, c *store.Client, grant *store.Grant) error {
	if err := p.revokeGrant(ctx, c, grant, "idp.token.code-reused"); err != nil {
		return err
	}
	return oauth.Refuse(oauth.InvalidGrant, "the device code was used before")
}

// sharedIdle shortens the idle limit of refresh tokens on a shared device (D27).
func (p *Provider) sharedIdle(req *oauth.Request, t *oauth.Tokens) {
	if req.Device == nil || !req.Device.Shared {
		return
	}
	limit := p.cfg.Now().Add(session.SharedIdle)
	if t.IdleUntil.After(limit) {
		t.IdleUntil = limit
	}
	if t.Refresh != nil && t.Refresh.IdleUntil.After(limit) {
		t.Refresh.IdleUntil = limit
	}
}
