package idp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/failpoint"
)

// refreshGrace is how long a rotated refresh token still yields its one
// successor to the same client, so that a lost reply costs nothing.
const refreshGrace = 20 * time.Second

// token is the token endpoint (RFC 6749 §3.2).
func (p *Provider) token(w http.ResponseWriter, r *http.Request) error {
	form, c, err := p.authenticated(w, r)
	if err != nil {
		return p.refuse(w, r, err)
	}
	proof, err := p.binding(w, r, c)
	if err != nil {
		return p.refuse(w, r, err)
	}
	var t *oauth.Tokens
	if form.Has("authorization_details") {
		return p.refuse(w, r, oauth.Refuse(oauth.InvalidAuthorizationDetails, "authorization_details belongs in the authorization request"))
	}
	switch form.Get("grant_type") {
	case oauth.GrantCode:
		t, err = p.redeem(r.Context(), c, form, proof)
	case oauth.GrantRefresh:
		t, err = p.refresh(r.Context(), c, form, proof)
	case oauth.GrantClientCredentials:
		t, err = p.clientCredentials(r.Context(), c, form, proof)
	case oauth.GrantExchange:
		t, err = p.exchange(r, c, form, proof)
	case oauth.GrantDevice:
		t, err = p.deviceToken(r.Context(), c, form, proof)
	case "":
		err = oauth.Refuse(oauth.InvalidRequest, "grant_type is missing")
	default:
		err = oauth.Refuse(oauth.UnsupportedGrantType, "grant_type is not supported")
	}
	if err != nil {
		return p.refuse(w, r, err)
	}
	body := map[string]any{
		"access_token": t.AccessToken, "token_type": store.TokenType(t.Access.JKT), "expires_in": int(t.ExpiresIn / time.Second), "scope": strings.Join(t.Scopes, " "),
	}
	if t.RefreshToken != "" {
		body["refresh_token"] = t.RefreshToken
	}
	if len(t.Details) > 0 {
		body["authorization_details"] = t.Details
	}
	if t.IssuedType != "" {
		body["issued_token_type"] = t.IssuedType
	}
	if t.IDToken != "" {
		body["id_token"] = t.IDToken
	}
	return reply(w, http.StatusOK, body)
}

// redeem trades an authorization code for tokens (RFC 6749 §4.1.3, RFC 7636 §4.6).
func (p *Provider) redeem(ctx context.Context, c *store.Client, form url.Values, proof *client.Proof) (*oauth.Tokens, error) {
	value := form.Get("code")
	if value == "" || len(value) > 512 {
		return nil, oauth.Refuse(oauth.InvalidGrant, "code is missing or malformed")
	}
	hash, now := store.Hash("code", value), p.cfg.Now()
	var row *store.Code
	var grant *store.Grant
	var alive bool
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		row, grant, alive, err = store.CodeByHash(tx, hash, now)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, oauth.Refuse(oauth.InvalidGrant, "code is unknown")
	case err != nil:
		return nil, err
	case row.Client != c.ID:
		return nil, oauth.Refuse(oauth.InvalidGrant, "the code or its proof is not valid")
	case row.Consumed:
		return nil, p.codeReused(ctx, c, grant)
	case !alive || !now.Before(row.ExpiresAt):
		return nil, oauth.Refuse(oauth.InvalidGrant, "the code has expired or its session has ended")
	}
	if row.JKT != "" && proof == nil { // the engine looks at which key
		return nil, oauth.Refuse(oauth.InvalidDPoPProof, "the code is bound to a key: send its DPoP proof")
	}
	req, resource, err := granted(c, form, grant)
	if err != nil {
		return nil, err
	}
	claims, read, err := p.idTokenClaims(ctx, c, grant, req)
	if err != nil {
		return nil, err
	}
	t, err := p.engine.Redeem(ctx, oauth.Redemption{
		Client: c, Code: value, RedirectURI: form.Get("redirect_uri"), Verifier: form.Get("code_verifier"), Row: row, Grant: grant, Request: req,
		Claims: claims, Resource: resource, JKT: jkt(proof),
	})
	if err != nil {
		return nil, p.burn(ctx, c, hash, err)
	}
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.token.issued", Subject: grant.Person, Actor: string(grant.Person), Client: c.ID, Institution: string(c.Institution), Object: grant.ID, Outcome: "issued",
		Payload: map[string]any{"grant": "authorization_code", "scopes": t.Scopes},
	})
	if err != nil {
		return nil, err
	}
	err = p.write(ctx, func(tx *db.Tx) error {
		if err := store.ConsumeCode(tx, hash, c.ID, now); err != nil {
			return err
		}
		if read != nil {
			if _, err := p.cfg.Audit.Append(tx, read); err != nil {
				return err
			}
		}
		return p.storeTokens(tx, t, proof, entry)
	})
	if errors.Is(err, store.ErrSpent) {
		return nil, p.codeReused(ctx, c, grant)
	}
	return t, err
}

// write commits between the two failpoints of a token.
func (p *Provider) write(ctx context.Context, fn func(*db.Tx) error) error {
	if err := failpoint.Hit(failpoint.TokenBeforeCommit); err != nil {
		return err
	}
	if err := p.cfg.DB.Write(ctx, fn); err != nil {
		return err
	}
	return failpoint.Hit(failpoint.TokenAfterCommit)
}

// storeTokens spends the proof, if there is one, and stores tokens with their audit entry.
func (p *Provider) storeTokens(tx *db.Tx, t *oauth.Tokens, proof *client.Proof, entry *audit.Prepared) error {
	if err := p.spendProof(tx, proof); err != nil {
		return err
	}
	if err := store.InsertAccess(tx, t.Access); err != nil {
		return err
	}
	if t.Refresh != nil {
		if err := store.InsertRefresh(tx, t.Refresh); err != nil {
			return err
		}
	}
	_, err := p.cfg.Audit.Append(tx, entry)
	return err
}

// burn ends a code that its client presented wrongly: there is no second guess.
func (p *Provider) burn(ctx context.Context, c *store.Client, hash []byte, cause error) error {
	var e *oauth.Error
	if !errors.As(cause, &e) {
		return cause
	}
	if err := p.cfg.DB.Write(ctx, func(tx *db.Tx) error { return store.BurnCode(tx, hash, c.ID, p.cfg.Now()) }); err != nil {
		return err
	}
	return cause
}

// codeReused ends the grant of a code that came twice (RFC 6749 §4.1.2).
func (p *Provider) codeReused(ctx context.Context, c *store.Client, grant *store.Grant) error {
	if err := p.revokeGrant(ctx, c, grant, "idp.token.code-reused"); err != nil {
		return err
	}
	return oauth.Refuse(oauth.InvalidGrant, "the code was used before")
}

// revokeGrant ends a grant, with an audit entry for the first time.
func (p *Provider) revokeGrant(ctx context.Context, c *store.Client, grant *store.Grant, kind string) error {
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: kind, Subject: grant.Person, Client: c.ID, Actor: c.ID, Institution: string(c.Institution), Object: grant.ID, Outcome: "revoked",
	})
	if err != nil {
		return err
	}
	return p.live.Write(ctx, func(tx *db.Tx) error {
		ended, err := store.RevokeGrant(tx, grant.ID, kind, p.cfg.Now())
		if err != nil || !ended {
			return err
		}
		_, err = p.cfg.Audit.Append(tx, entry)
		return err
	})
}

func (p *Provider) clientCredentials(ctx context.Context, c *store.Client, form url.Values, proof *client.Proof) (*oauth.Tokens, error) {
	resource, refused := oauth.Resource(c, form, "")
	if refused != nil {
		return nil, refused
	}
	t, err := p.engine.ClientCredentials(ctx, c, form.Get("scope"), resource, jkt(proof))
	if err != nil {
		return nil, err
	}
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.token.client", Actor: c.ID, Client: c.ID, Institution: string(c.Institution), Object: c.ID, Outcome: "issued", Payload: map[string]any{"scopes": t.Scopes},
	})
	if err != nil {
		return nil, err
	}
	return t, p.write(ctx, func(tx *db.Tx) error { return p.storeTokens(tx, t, proof, entry) })
}

// refresh trades a refresh token for an access token (RFC 6749 §6). A
// confidential client keeps its token; a public one gets a successor.
func (p *Provider) refresh(ctx context.Context, c *store.Client, form url.Values, proof *client.Proof) (*oauth.Tokens, error) {
	value := form.Get("refresh_token")
	hash, ok := oauth.RefreshHash(value)
	if !ok {
		return nil, oauth.Refuse(oauth.InvalidGrant, "refresh_token is missing or malformed")
	}
	row, grant, err := p.liveRefresh(ctx, c, hash)
	if err != nil {
		return nil, err
	}
	if err := refreshProof(c, row, proof); err != nil {
		return nil, err
	}
	scopes, err := narrowed(form.Get("scope"), still(c, grant.Scopes))
	if err != nil {
		return nil, err
	}
	req, resource, err := granted(c, form, grant)
	if err != nil {
		return nil, err
	}
	t, err := p.engine.Refresh(ctx, c, grant, row, scopes, resource, jkt(proof), c.Public())
	if err != nil {
		return nil, err
	}
	p.sharedIdle(req, t)
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.token.issued", Subject: grant.Person, Actor: c.ID, Client: c.ID, Institution: string(c.Institution), Object: grant.ID, Outcome: "issued",
		Payload: map[string]any{"grant": "refresh_token", "scopes": scopes},
	})
	if err != nil {
		return nil, err
	}
	if !c.Public() {
		t.RefreshToken = value
		err = p.write(ctx, func(tx *db.Tx) error {
			if err := store.KeepRefresh(tx, hash, c.ID, t.IdleUntil, p.cfg.Now()); err != nil {
				return err
			}
			return p.storeTokens(tx, t, proof, entry)
		})
		if errors.Is(err, store.ErrSpent) {
			return nil, oauth.Refuse(oauth.InvalidGrant, "the refresh token has ended")
		}
		return t, err
	}
	return p.rotate(ctx, c, value, row, grant, t, proof, entry)
}

// granted returns the request beneath a grant and the resource (RFC 8707) for
// which this form asks a token, which that request has to cover.
func granted(c *store.Client, form url.Values, g *store.Grant) (*oauth.Request, string, error) {
	req, err := oauth.DecodeRequest(g.Request)
	if err != nil {
		return nil, "", err
	}
	resource, refused := oauth.Resource(c, form, req.Resource)
	if refused != nil {
		return nil, "", refused
	}
	return req, resource, nil
}

// liveRefresh reads a refresh token of the client that has not ended. Another
// client's is unknown to this one, and nothing happens to it.
func (p *Provider) liveRefresh(ctx context.Context, c *store.Client, hash []byte) (*store.Refresh, *store.Grant, error) {
	now := p.cfg.Now()
	var row *store.Refresh
	var grant *store.Grant
	var alive bool
	var err error
	if c.Public() { // its token changes with every use
		err = p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
			row, grant, alive, err = store.RefreshByHash(tx, hash, now)
			return err
		})
	} else {
		row, grant, alive, err = p.tokens.RefreshByHash(ctx, hash)
	}
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && row.Client != c.ID:
		return nil, nil, oauth.Refuse(oauth.InvalidGrant, "the refresh token is unknown")
	case err != nil:
		return nil, nil, err
	case !alive || !now.Before(row.IdleUntil) || !now.Before(row.ExpiresAt):
		return nil, nil, oauth.Refuse(oauth.InvalidGrant, "the refresh token has ended")
	}
	return row, grant, nil
}

// narrowed returns the scopes asked for, all of which must have been granted.
func narrowed(asked string, granted []string) ([]string, error) {
	if asked == "" {
		return granted, nil
	}
	in := map[string]bool{}
	for _, s := range granted {
		in[s] = true
	}
	var out []string
	for s := range strings.FieldsSeq(asked) {
		if !in[s] {
			return nil, oauth.Refuse(oauth.InvalidScope, "a scope was not granted before")
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// still are the scopes that the client is registered for now: one that was taken
// from it does not come back by renewal.
func still(c *store.Client, granted []string) []string {
	return slices.DeleteFunc(slices.Clone(granted), func(s string) bool { return !slices.Contains(c.Scopes, s) })
}

// errSuccessorUsed reports a refresh token that comes again although its
// successor was used.
var errSuccessorUsed = errors.New("idp: the successor was used")

// refuseReused ends the whole family of a refresh token that came once too often.
func (p *Provider) refuseReused(ctx context.Context, c *store.Client, grant *store.Grant) error {
	if err := p.revokeGrant(ctx, c, grant, "idp.token.refresh-reused"); err != nil {
		return err
	}
	return oauth.Refuse(oauth.InvalidGrant, "the refresh token was used before")
}

// rotate gives a public client the successor of its refresh token. The first
// use stores it; within the grace the same successor is given again, until it is
// itself used; any other use ends the whole family.
func (p *Provider) rotate(ctx context.Context, c *store.Client, value string, row *store.Refresh, grant *store.Grant, t *oauth.Tokens, proof *client.Proof, entry *audit.Prepared) (*oauth.Tokens, error) {
	now := p.cfg.Now()
	key := successorKey(value)
	aad := envelope.Place("idp_refresh", "successor", hex.EncodeToString(row.Hash))
	if row.FirstUsedAt.IsZero() {
		sealed := envelope.Seal(key, []byte(t.RefreshToken), aad)
		err := p.write(ctx, func(tx *db.Tx) error {
			if err := store.UseRefresh(tx, row.Hash, c.ID, sealed, now); err != nil {
				return err
			}
			return p.storeTokens(tx, t, proof, entry)
		})
		if !errors.Is(err, store.ErrSpent) {
			return t, err
		}
		if row, grant, err = p.liveRefresh(ctx, c, row.Hash); err != nil {
			return nil, err
		}
		if row.FirstUsedAt.IsZero() {
			return nil, oauth.Refuse(oauth.InvalidGrant, "the refresh token has ended")
		}
	}
	if now.Sub(row.FirstUsedAt) > refreshGrace {
		return nil, p.refuseReused(ctx, c, grant)
	}
	successor, err := envelope.Open(key, row.Successor, aad)
	if err != nil {
		return nil, err
	}
	t.RefreshToken, t.Refresh = string(successor), nil
	next, _ := oauth.RefreshHash(t.RefreshToken)
	err = p.write(ctx, func(tx *db.Tx) error {
		n, _, alive, err := store.RefreshByHash(tx, next, now)
		switch {
		case err != nil || !alive:
			return errors.Join(err, store.ErrSpent)
		case !n.FirstUsedAt.IsZero():
			return errSuccessorUsed
		}
		return p.storeTokens(tx, t, proof, entry)
	})
	if errors.Is(err, errSuccessorUsed) { // whoever has the successor needs its predecessor no more
		return nil, p.refuseReused(ctx, c, grant)
	}
	if errors.Is(err, store.ErrSpent) {
		return nil, oauth.Refuse(oauth.InvalidGrant, "the refresh token has ended")
	}
	return t, err
}

// successorKey derives the key that seals a refresh token's successor from the
// token itself: only who holds the one can read the other.
func successorKey(token string) envelope.Key {
	sum := sha256.Sum256([]byte(token))
	key, err := envelope.KeyFromBytes(sum[:])
	if err != nil {
		panic(err) // a SHA-256 hash has the size of a key and is not zero
	}
	return envelope.Derive(key, "suti/idp/refresh-successor")
}
