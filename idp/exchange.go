package idp

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
)

// exchange trades a person's access token for one with which the client asks
// another service in her name (RFC 8693). It lives beneath her grant.
func (p *Provider) exchange(r *http.Request, c *store.Client, form url.Values, proof *client.Proof) (*oauth.Tokens, error) {
	target, refused := oauth.ParseExchange(form, c)
	if refused != nil {
		return nil, refused
	}
	ctx := r.Context()
	a, g, err := p.access(ctx, form.Get("subject_token"))
	usable := false
	if err == nil {
		if usable = a.Client == c.ID && len(a.Audience) == 0; !usable && a.Client != c.ID {
			usable, _, err = p.mayKnow(r, c, a)
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && !usable:
		return nil, oauth.Refuse(oauth.InvalidRequest, "subject_token is unknown, expired, revoked or not for this client")
	case err != nil:
		return nil, err
	case g == nil:
		return nil, oauth.Refuse(oauth.InvalidRequest, "subject_token is not a person's")
	case a.Client == c.ID && a.JKT != "" && jkt(proof) != a.JKT:
		return nil, oauth.Refuse(oauth.InvalidDPoPProof, "subject_token is bound to a key: send its DPoP proof")
	case slices.Contains(a.Audience, target):
		return nil, oauth.Refuse(oauth.InvalidTarget, "subject_token is for this service already")
	}
	scopes, refused := oauth.Narrow(form.Get("scope"), a.Scopes)
	if refused != nil {
		return nil, refused
	}
	t, err := p.engine.Exchange(ctx, oauth.Exchange{Client: c, Subject: a, Grant: g, Target: target, Scopes: scopes, JKT: jkt(proof)})
	if err != nil {
		return nil, err
	}
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.token.exchanged", Subject: g.Person, Actor: c.ID, Client: c.ID, Institution: string(c.Institution), Object: g.ID, Outcome: "issued",
		Payload: map[string]any{"grant": "token-exchange", "target": target, "scopes": scopes, "act": t.Access.Act},
	})
	if err != nil {
		return nil, err
	}
	return t, p.write(ctx, func(tx *db.Tx) error { return p.storeTokens(tx, t, proof, entry) })
}
