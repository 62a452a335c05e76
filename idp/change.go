package idp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
)

// ClientChange is what may change after registration; nil leaves a thing as it
// is, a list replaces the whole list. JWKS and JWKSURI exclude each other.
type ClientChange struct {
	Name            *string
	RedirectURIs    *[]string
	PostLogoutURIs  *[]string
	Scopes          *[]string
	BackchannelURI  *string
	FrontchannelURI *string
	FrontchannelSID *bool
	JWKS            *string
	JWKSURI         *string
	Waivers         *map[string]time.Time
}

// ChangeClient changes a client, with what was and what is in one audit entry of
// the same transaction, which becomes a leaf of the log. It is in effect with the
// commit: logins under way go to no address that was taken out, and no scope
// that was taken comes back by renewal. Errors: [ErrUnknownClient]; [ErrClient] if
// the result could not be registered or nothing would change.
func (p *Provider) ChangeClient(ctx context.Context, actor, id string, ch ClientChange) error {
	var keys *string
	if ch.JWKSURI != nil && *ch.JWKSURI != "" {
		if ch.JWKS != nil {
			return bad("keys were given, and an address of keys")
		}
		set, err := p.readKeys(ctx, *ch.JWKSURI)
		if err != nil {
			return err
		}
		keys = &set
	}
	for {
		err := p.changeOnce(ctx, actor, id, ch, keys)
		if !errors.Is(err, store.ErrSpent) {
			return err
		} // somebody else changed it meanwhile: look again
	}
}

func (p *Provider) changeOnce(ctx context.Context, actor, id string, ch ClientChange, read *string) error {
	var c *store.Client
	if err := p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		c, err = anyClient(tx, id)
		return err
	}); err != nil {
		return err
	}
	before, now := facts(c), p.cfg.Now()
	ch.apply(c, read, now)
	checks := []func(*store.Client, time.Time) error{checkNames, checkMethod, checkAddresses}
	if ch.Waivers != nil {
		checks = append(checks, checkWaivers)
	}
	for _, check := range checks {
		if err := check(c, now); err != nil {
			return err
		}
	}
	after := facts(c)
	for name := range maps.Clone(after) {
		if fmt.Sprint(before[name]) == fmt.Sprint(after[name]) {
			delete(before, name)
			delete(after, name)
		}
	}
	if len(after) == 0 {
		return bad("nothing would change")
	}
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.client.changed", Actor: actor, Client: id, Institution: string(c.Institution), Object: id, Outcome: audit.OutcomeOK,
		Payload: map[string]any{"before": before, "after": after},
	})
	if err != nil {
		return err
	}
	return p.live.Write(ctx, func(tx *db.Tx) error {
		if err := store.ChangeClient(tx, c); err != nil {
			return err
		}
		_, err := p.cfg.Audit.Append(tx, entry)
		return err
	})
}

// facts is what may change of a client, for the record.
func facts(c *store.Client) map[string]any {
	return map[string]any{
		"name": c.Name, "redirect_uris": c.RedirectURIs, "post_logout_redirect_uris": c.PostLogoutURIs, "scopes": c.Scopes, "backchannel_logout_uri": c.BackchannelURI,
		"frontchannel_logout_uri": c.FrontchannelURI, "frontchannel_logout_session_required": c.FrontchannelSID, "jwks": c.JWKS, "jwks_uri": c.JWKSURI, "waivers": c.Waivers,
	}
}

func (ch ClientChange) apply(c *store.Client, read *string, now time.Time) {
	set(&c.Name, ch.Name)
	set(&c.RedirectURIs, ch.RedirectURIs)
	set(&c.PostLogoutURIs, ch.PostLogoutURIs)
	set(&c.Scopes, ch.Scopes)
	set(&c.BackchannelURI, ch.BackchannelURI)
	set(&c.FrontchannelURI, ch.FrontchannelURI)
	set(&c.FrontchannelSID, ch.FrontchannelSID)
	set(&c.Waivers, ch.Waivers)
	if ch.JWKS != nil {
		c.JWKS, c.JWKSURI = *ch.JWKS, ""
	}
	set(&c.JWKSURI, ch.JWKSURI)
	if read != nil {
		c.JWKS, c.JWKSReadAt = *read, now
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// readKeys reads the keys that a client publishes.
func (p *Provider) readKeys(ctx context.Context, address string) (string, error) {
	if e := oauth.CheckRedirectURI(oauth.ProfileWeb, address); e != nil {
		return "", bad("address of keys: %s", e.Description)
	}
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" && !slices.Contains([]string{"localhost"}, u.Hostname()) {
		return "", bad("the address of keys must be https")
	}
	keys, err := p.clients.Read(ctx, address)
	if err != nil && !errors.Is(err, client.ErrKeys) {
		return "", bad("the keys could not be read: %v", err)
	}
	if err != nil {
		return "", bad("%v", err)
	}
	return keys, nil
}
