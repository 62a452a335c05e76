package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/sdk"
)

// Outside programs may use these addresses with any client of the demo.
func outsideCallbacks() []string {
	return []string{"http://127.0.0.1:9876/callback", "http://localhost:9876/callback"}
}

// registration is a client to be registered, and what the demo file says of it.
type registration struct {
	idp.Client
	base string // address of the sample application; "" for clients of outside programs only
}

// registrations are the clients of the demo: one of each profile.
func registrations(st *state, base [2]string, now time.Time) []registration {
	gov, city := identity.InstitutionID(st.Ends["gobernacion"]), identity.InstitutionID(st.Ends["municipio"])
	own := []string{"authorization_code", "refresh_token", "client_credentials"}
	personal := []string{"openid", "profile", "email", "phone", "documento_identidad", "offline_access"}
	signing := append([]string{sdk.ScopeSignCreate, sdk.ScopeSignRead}, personal...)
	return []registration{
		{base: base[0], Client: idp.Client{ID: "tramites", Institution: gov, Profile: idp.ProfileWeb, Name: "Trámites de la Gobernación", Scopes: signing, Grants: own}},
		{base: base[1], Client: idp.Client{ID: "becas", Institution: city, Profile: idp.ProfileWeb, Name: "Becas municipales", Scopes: personal}},
		{Client: idp.Client{ID: "gob-fapi", Institution: gov, Profile: idp.ProfileFAPI2, Name: "Ventanilla única (FAPI 2)", Scopes: signing, Grants: own}},
		{Client: idp.Client{ID: "movil", Institution: gov, Profile: idp.ProfileNative, Name: "Aplicación móvil", Scopes: personal}},
		{Client: idp.Client{ID: "pagina", Institution: gov, Profile: idp.ProfileSPA, Name: "Página de consultas", Scopes: personal}},
		{Client: idp.Client{ID: "heredada", Institution: city, Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic", Name: "Sistema heredado", Scopes: personal,
			Waivers: map[string]time.Time{idp.WaivePKCE: now.AddDate(0, 11, 0)}}},
	}
}

// register registers the clients and returns what the demo file says of them.
// Keys are the demo's own and stay in its folder.
func register(ctx context.Context, a *app.App, st *state, base [2]string) ([]Client, error) {
	var out []Client
	for _, r := range registrations(st, base, a.Config.Now()) {
		c := r.Client
		c.RedirectURIs = outsideCallbacks()
		if r.base != "" {
			c.RedirectURIs = append([]string{r.base + "/auth/callback"}, c.RedirectURIs...)
			c.PostLogoutURIs = []string{r.base + "/auth/salida"}
			c.BackchannelURI = r.base + "/auth/backchannel"
		}
		c.PostLogoutURIs = append(c.PostLogoutURIs, outsideCallbacks()...)
		entry := Client{Name: c.Name, Profile: c.Profile, ClientID: c.ID, RedirectURIs: c.RedirectURIs, PostLogoutRedirectURIs: c.PostLogoutURIs, Scopes: c.Scopes}
		switch {
		case c.Profile == idp.ProfileNative || c.Profile == idp.ProfileSPA:
			entry.TokenEndpointAuthMethod = "none"
		case c.AuthMethod != "":
			entry.TokenEndpointAuthMethod = c.AuthMethod
		default:
			entry.TokenEndpointAuthMethod = "private_key_jwt"
			private, public, err := newJWK()
			if err != nil {
				return nil, err
			}
			entry.PrivateJWK, c.JWKS = private, public
			st.Keys[c.ID] = string(private)
		}
		secret, err := a.IDP.Register(ctx, "", c)
		if err != nil {
			return nil, fmt.Errorf("register %s: %w", c.ID, err)
		}
		entry.ClientSecret = secret
		out = append(out, entry)
	}
	return out, nil
}

// newJWK draws a P-256 key as a private JWK and a JWK Set of its public half.
func newJWK() (private json.RawMessage, set string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	kid, err := sdk.Thumbprint(key.Public())
	if err != nil {
		return nil, "", err
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, "", err
	}
	d, err := key.Bytes()
	if err != nil {
		return nil, "", err
	}
	enc := base64.RawURLEncoding
	jwk := map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": enc.EncodeToString(point[1:33]), "y": enc.EncodeToString(point[33:]),
	}
	public, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		return nil, "", err
	}
	jwk["d"] = enc.EncodeToString(d)
	private, err = json.Marshal(jwk)
	return private, string(public), err
}
