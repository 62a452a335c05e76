package oauth

import (
	"context"

	"oruro.gob.bo/suti/idp/internal/store"
)

// Refresh makes the tokens of a refresh (RFC 6749 §6): an access token for the
// scopes, a new ID token where openid is among them (OpenID Connect Core 1.0
// §12.2, without nonce) and, if rotate is set, the refresh token's successor in
// the same family, with the same end and bound to the same key. The access token is
// bound to the key of this request's proof, jkt, or to none.
func (e *Engine) Refresh(ctx context.Context, c *store.Client, g *store.Grant, row *store.Refresh, scopes []string, resource, jkt string, rotate bool) (*Tokens, error) {
	if !contains(c.Grants, GrantRefresh) {
		return nil, Refuse(UnauthorizedClient, "the client may not use the refresh token grant")
	}
	now := e.cfg.Now()
	value, a, err := e.access(ctx, accessFor{client: c, grant: g, scopes: scopes, resource: resource, jkt: jkt})
	if err != nil {
		return nil, err
	}
	t := &Tokens{AccessToken: value, ExpiresIn: a.ExpiresAt.Sub(a.CreatedAt), Scopes: scopes, IdleUntil: now.Add(e.cfg.RefreshIdle), Access: a}
	if t.Details, err = GrantedDetails(g, a.Audience, now); err != nil {
		return nil, err
	}
	if rotate {
		t.RefreshToken = bearer(refreshPrefix)
		t.Refresh = e.refreshRow(t.RefreshToken, g.ID, c.ID, row.JKT, row.Generation+1, now, row.ExpiresAt)
	}
	if contains(scopes, "openid") {
		token, err := e.signIDToken(ctx, c, g, &Request{}, nil, atHash(c.IDTokenAlg, value))
		if err != nil {
			return nil, err
		}
		t.IDToken = token
	}
	return t, nil
}
