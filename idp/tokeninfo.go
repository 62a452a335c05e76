package idp

import (
	"context"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// access returns the live access token of that value, by one statement or none.
func (p *Provider) access(ctx context.Context, value string) (*store.Access, *store.Grant, error) {
	hash, ok := oauth.AccessHash(value)
	if !ok {
		return nil, nil, store.ErrNotFound
	}
	return p.tokens.ByHash(ctx, hash)
}

// bearer reads the token of RFC 6750 §2.1 or §2.2, or of RFC 9449 §7.1: the header, or
// the body of a form post, not both.
func bearer(r *http.Request) (scheme, value string, err error) {
	if len(r.Header.Values("Authorization")) > 1 {
		return "", "", oauth.Refuse(oauth.InvalidRequest, "the token was sent twice")
	}
	header := r.Header.Get("Authorization")
	scheme, value = credentials(header)
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") == "" {
		return scheme, value, nil
	}
	form, err := readForm(r)
	if err != nil {
		return scheme, "", err
	}
	posted := form.Get("access_token")
	switch {
	case header != "" && posted != "":
		return scheme, "", oauth.Refuse(oauth.InvalidRequest, "the token was sent twice")
	case posted != "":
		return schemeBearer, posted, nil
	}
	return scheme, value, nil
}

// challenge answers a refused access token.
func (p *Provider) challenge(w http.ResponseWriter, r *http.Request, scheme string, e *oauth.Error) error {
	for name, values := range p.challengeHeader(scheme, e) {
		w.Header()[name] = values
	}
	switch {
	case e == nil:
		w.WriteHeader(http.StatusUnauthorized)
		return nil
	case e.Code == oauth.InvalidDPoPProof || e.Code == oauth.UseDPoPNonce: // 400 only at the token endpoint
		return reply(w, http.StatusUnauthorized, map[string]any{"error": e.Code, "error_description": e.Description})
	}
	return p.refuse(w, r, e)
}

// userinfo answers OpenID Connect Core 1.0 §5.3. What is read of the person is
// on record before it leaves.
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	scheme, value, err := bearer(r)
	if err == nil && value == "" {
		return p.challenge(w, r, "", nil)
	}
	var a *store.Access
	var g *store.Grant
	if err == nil {
		a, g, err = p.present(r, scheme, value)
	}
	var e *oauth.Error
	switch {
	case errors.As(err, &e):
		return p.challenge(w, r, scheme, e)
	case err != nil:
		return err
	case g == nil || !slices.Contains(a.Scopes, "openid"):
		return p.challenge(w, r, scheme, oauth.Refuse(oauth.InsufficientScope, "the token does not carry openid"))
	case scheme == schemeDPoP:
		w.Header().Set("DPoP-Nonce", p.nonce())
	}
	c, err := p.clientByID(r, a.Client)
	if errors.Is(err, store.ErrNotFound) { // disabled this instant
		return p.challenge(w, r, scheme, oauth.Refuse(oauth.InvalidToken, "the token is unknown, expired or revoked"))
	} else if err != nil {
		return err
	}
	claims, err := p.claims(r.Context(), a, g)
	if err != nil {
		return err
	}
	if c.UserInfoAlg == "" {
		return reply(w, http.StatusOK, claims)
	}
	// OpenID Connect Core 1.0 §5.3.2. The typ keeps it from passing for an ID token (RFC 8725 §3.11).
	claims["iss"], claims["aud"] = p.cfg.Issuer, c.ID
	token, err := p.keys.Sign(r.Context(), c.UserInfoAlg, "userinfo+jwt", claims)
	if err != nil {
		return err
	}
	if c.UserInfoEncryption != "" {
		if token, err = p.keys.Encrypt(c.JWKS, c.UserInfoEncryption, token); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, err = io.WriteString(w, token)
	return err
}

// claims returns what the token's scopes open of the person's profile.
func (p *Provider) claims(ctx context.Context, a *store.Access, g *store.Grant) (map[string]any, error) {
	claims := map[string]any{"sub": g.Sub}
	profile, err := p.cfg.Directory.Profile(ctx, g.Person)
	if err != nil {
		return nil, err
	}
	for _, s := range a.Scopes {
		addClaims(claims, s, &profile)
	}
	if len(claims) == 1 {
		return claims, nil
	}
	entry, err := p.release(ctx, a.Client, g, claims)
	if err != nil {
		return nil, err
	}
	return claims, p.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := p.cfg.Audit.Append(tx, entry)
		return err
	})
}

// release prepares the entry of what an application gets to know of a person.
func (p *Provider) release(ctx context.Context, client string, g *store.Grant, claims map[string]any) (*audit.Prepared, error) {
	return p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.userinfo.read", Subject: g.Person, Actor: client, Client: client, Purpose: "login", Object: g.ID, Outcome: "released",
		Payload: map[string]any{"claims": slices.Sorted(maps.Keys(claims))},
	})
}

// idTokenClaims returns what the claims parameter asks for in the ID token
// (OpenID Connect Core 1.0 §5.5) and the person released by a scope, with the
// entry that says so; both nil if that is nothing.
func (p *Provider) idTokenClaims(ctx context.Context, c *store.Client, g *store.Grant, req *oauth.Request) (map[string]any, *audit.Prepared, error) {
	if len(req.IDTokenClaims) == 0 {
		return nil, nil, nil
	}
	profile, err := p.cfg.Directory.Profile(ctx, g.Person)
	if err != nil {
		return nil, nil, err
	}
	claims := map[string]any{}
	for _, s := range g.Scopes {
		addClaims(claims, s, &profile)
	}
	maps.DeleteFunc(claims, func(name string, _ any) bool { return !slices.Contains(req.IDTokenClaims, name) })
	if len(claims) == 0 {
		return nil, nil, nil
	}
	entry, err := p.release(ctx, c.ID, g, claims)
	return claims, entry, err
}

// addClaims adds the standard claims of one scope (OpenID Connect Core 1.0
// §5.4) and of documento_identidad, in the shape Bolivian applications know.
func addClaims(claims map[string]any, scope string, who *identity.Profile) {
	switch scope {
	case "profile":
		claims["name"] = who.Name.Full()
		claims["given_name"] = who.Name.Given
		claims["family_name"] = who.Name.Surnames()
		if !who.BirthDate.IsZero() {
			claims["birthdate"] = who.BirthDate.String()
		}
	case "email":
		if who.Email != "" {
			claims["email"], claims["email_verified"] = who.Email, true
		}
	case "phone":
		if who.Phone != "" {
			claims["phone_number"], claims["phone_number_verified"] = who.Phone, true
		}
	case "documento_identidad":
		doc := map[string]any{"tipo_documento": string(who.Document.Type), "numero_documento": who.Document.Number}
		if who.Document.Complement != "" {
			doc["complemento"] = who.Document.Complement
		}
		claims["documento_identidad"] = doc
	}
}

// introspect answers RFC 7662. A client learns only of its own tokens and of
// those whose resource it is (RFC 8707); any other is as unknown to it as a false one.
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) error {
	form, c, err := p.authenticated(w, r)
	if err != nil {
		return p.refuse(w, r, err)
	}
	if c.Public() {
		return p.refuse(w, r, oauth.Refuse(oauth.InvalidClient, "a public client may not introspect"))
	}
	if form.Get("token") == "" {
		return p.refuse(w, r, oauth.Refuse(oauth.InvalidRequest, "token is missing"))
	}
	a, g, err := p.access(r.Context(), form.Get("token"))
	knows, sees := false, false
	if err == nil {
		knows, sees, err = p.mayKnow(r, c, a)
	}
	if errors.Is(err, store.ErrNotFound) || err == nil && !knows {
		return p.introspected(w, r, c, map[string]any{"active": false})
	}
	if err != nil {
		return err
	}
	body := map[string]any{
		"active": true, "client_id": a.Client, "scope": strings.Join(a.Scopes, " "), "exp": a.ExpiresAt.Unix(), "iat": a.CreatedAt.Unix(),
		"iss": p.cfg.Issuer, "token_type": store.TokenType(a.JKT),
	}
	if a.JKT != "" {
		body["cnf"] = store.Confirmation(a.JKT)
	}
	if len(a.Audience) > 0 {
		body["aud"] = a.Audience
	}
	if len(a.Act) > 0 {
		body["act"] = oauth.Act(a.Act)
	}
	if g != nil {
		details, err := oauth.GrantedDetails(g, a.Audience, p.cfg.Now())
		if err != nil {
			return err
		}
		if len(details) > 0 {
			body["authorization_details"] = details
		}
	}
	if g != nil && sees {
		body["sub"], body["acr"], body["auth_time"] = g.Sub, g.ACR, g.AuthAt.Unix()
	}
	return p.introspected(w, r, c, body)
}

// typIntrospection is the media type of signed answers of introspection (RFC 9701 §5).
const typIntrospection = "token-introspection+jwt"

// introspected answers an introspection, as a JWT for the asking client if it
// accepts one by that name (RFC 9701 §4).
func (p *Provider) introspected(w http.ResponseWriter, r *http.Request, c *store.Client, body map[string]any) error {
	if !accepts(r, "application/"+typIntrospection) {
		return reply(w, http.StatusOK, body)
	}
	alg := c.IntrospectionAlg
	if alg == "" {
		alg = c.IDTokenAlg
	}
	token, err := p.keys.Sign(r.Context(), alg, typIntrospection, map[string]any{"iss": p.cfg.Issuer, "aud": c.ID, "iat": p.cfg.Now().Unix(), "token_introspection": body})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/"+typIntrospection)
	w.Header().Set("Cache-Control", "no-store")
	_, err = io.WriteString(w, token)
	return err
}

// accepts reports whether a request names a media type in Accept, and not only to refuse it.
func accepts(r *http.Request, mediaType string) bool {
	for _, header := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(header, ",") {
			name, params, err := mime.ParseMediaType(part)
			if q, qerr := strconv.ParseFloat(params["q"], 64); err == nil && name == mediaType && (params["q"] == "" || qerr == nil && q > 0) {
				return true
			}
		}
	}
	return false
}

// mayKnow reports whether a client may learn of a token, and whether of its
// subject too. Its own it may; those of others only as the resource, registered
// by the same institution, that they are for. sub is pairwise: the resource sees
// it if it lies in the sector that it was made for.
func (p *Provider) mayKnow(r *http.Request, c *store.Client, a *store.Access) (knows, sees bool, err error) {
	if a.Client == c.ID {
		return true, true, nil
	}
	if !slices.ContainsFunc(a.Audience, func(uri string) bool { return slices.Contains(c.Serves, uri) }) {
		return false, false, nil
	}
	owner, err := p.clientByID(r, a.Client)
	if err != nil || owner.Institution != c.Institution {
		return false, false, err
	}
	return true, owner.Sector == c.Sector, nil
}

// revoke ends a token of the client (RFC 7009). It answers 200 only once the
// end is durable; an unknown token is as good as revoked.
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) error {
	form, c, err := p.authenticated(w, r)
	if err == nil && form.Get("token") == "" {
		err = oauth.Refuse(oauth.InvalidRequest, "token is missing")
	}
	if err == nil {
		err = p.end(r.Context(), c, form)
	}
	var e *oauth.Error
	switch {
	case errors.As(err, &e):
		return p.refuse(w, r, err)
	case err != nil:
		return web.Unavailable(err) // the token may live on: the client must try again (RFC 7009 §2.2.1)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// endFamily ends the grant of a refresh token of the client, also of one that
// was rotated or has expired: its successors go with it.
func (p *Provider) endFamily(ctx context.Context, c *store.Client, hash []byte) error {
	var row *store.Refresh
	var grant *store.Grant
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		row, grant, _, err = store.RefreshByHash(tx, hash, p.cfg.Now())
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && row.Client != c.ID {
		return nil // unknown to this client
	} else if err != nil {
		return err
	}
	if err := p.revokeGrant(ctx, c, grant, "idp.token.revoked"); err != nil {
		return err
	}
	return failpoint.Hit(failpoint.RevokeTokenCommitted)
}

func (p *Provider) end(ctx context.Context, c *store.Client, form url.Values) error {
	value, now := form.Get("token"), p.cfg.Now()
	if hash, ok := oauth.RefreshHash(value); ok {
		return p.endFamily(ctx, c, hash)
	}
	hash, ok := oauth.AccessHash(value)
	if !ok {
		return nil
	}
	entry, err := p.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.token.revoked", Actor: c.ID, Client: c.ID, Institution: string(c.Institution), Object: c.ID, Outcome: "revoked",
	})
	if err != nil {
		return err
	}
	err = p.live.Write(ctx, func(tx *db.Tx) error {
		ended, err := store.RevokeAccess(tx, hash, c.ID, now)
		if err != nil || !ended {
			return err
		}
		_, err = p.cfg.Audit.Append(tx, entry)
		return err
	})
	if err != nil {
		return err
	}
	return failpoint.Hit(failpoint.RevokeTokenCommitted)
}
