package oauth

import (
	"context"

	"oruro.gob.bo/suti/idp/internal/store"
)

// Issue makes the tokens of a grant that needs no code of ours to be redeemed,
// such as a device's: an access token for a resource or for our own endpoints, bound to the key jkt or to none, a refresh
// token where offline_access was granted and the client may use it, an ID token
// where openid was.
func (e *Engine) Issue(ctx context.Context, c *store.Client, g *store.Grant, resource, jkt string) (*Tokens, error) {
	now := e.cfg.Now()
	value, a, err := e.access(ctx, accessFor{client: c, grant: g, scopes: g.Scopes, resource: resource, jkt: jkt})
	if err != nil {
		return nil, err
	}
	t := &Tokens{AccessToken: value, ExpiresIn: a.ExpiresAt.Sub(a.CreatedAt), Scopes: g.Scopes, Access: a}
	if contains(g.Scopes, "offline_access") && contains(c.Grants, GrantRefresh) {
		t.RefreshToken = bearer(refreshPrefix)
		t.Refresh = e.refreshRow(t.RefreshToken, g.ID, c.ID, jkt, 0, now, now.Add(e.cfg.RefreshLifetime))
	}
	if contains(g.Scopes, "openid") {
		token, err := e.signIDToken(ctx, c, g, &Request{}, nil, atHash(c.IDTokenAlg, value))
		if err != nil {
			return nil, err
		}
		t.IDToken = token
	}
	return t, nil
}
