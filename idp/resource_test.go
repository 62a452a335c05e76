package idp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// published verifies a JWT of the provider with its published keys and returns header and claims.
func (w *world) published(token string) (map[string]any, map[string]any) {
	w.t.Helper()
	_, raw := (&browser{w: w}).get(w.issuer + "/jwks.json")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(raw), &set); err != nil {
		w.t.Fatal(err)
	}
	jws := must(jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA}))(w.t)
	h := jws.Signatures[0].Protected
	keys := set.Key(h.KeyID)
	if len(keys) != 1 || keys[0].Algorithm != h.Algorithm {
		w.t.Fatalf("kid %q names %d keys for %s", h.KeyID, len(keys), h.Algorithm)
	}
	payload := must(jws.Verify(keys[0].Key))(w.t)
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		w.t.Fatal(err)
	}
	return map[string]any{"alg": h.Algorithm, "typ": h.ExtraHeaders[jose.HeaderType]}, claims
}

const (
	resourceA = "https://catastro.example/api"
	resourceB = "urn:catastro:planos"
)

// TestResourceIndicators: RFC 8707 and who may introspect what (RFC 7662 §4).
func TestResourceIndicators(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		grants := []string{"authorization_code", "refresh_token", "client_credentials"}
		scopes := []string{"openid", "offline_access", "planos:leer"}
		a := w.register(idp.Client{ID: "app", Profile: idp.ProfileWeb, Scopes: scopes, Grants: grants, Resources: []string{resourceA, resourceB}})
		api := w.register(idp.Client{ID: "catastro", Profile: idp.ProfileWeb, Serves: []string{resourceA}})
		other := w.register(idp.Client{ID: "otra-api", Profile: idp.ProfileWeb, Serves: []string{resourceB}})
		foreign := w.register(idp.Client{ID: "ajena", Profile: idp.ProfileWeb, Institution: insB, Serves: []string{resourceA}})
		sector := w.register(idp.Client{ID: "otro-sector", Profile: idp.ProfileWeb, Sector: "salud", Serves: []string{resourceA}})
		asked := func(token any, by *app) map[string]any {
			s, _ := token.(string)
			_, out := by.call("/oauth2/introspect", url.Values{"token": {s}})
			return out
		}
		br := w.browser()
		code := func(pairs ...string) string {
			return br.enter(a.authorize(append(pairs, "scope", "openid offline_access planos:leer")...), who).Query().Get("code")
		}
		_, tok := a.redeem(code("resource", resourceA))
		seen := asked(tok["access_token"], api)
		if seen["active"] != true || seen["client_id"] != "app" || fmt.Sprint(seen["aud"]) != "["+resourceA+"]" || seen["sub"] != claimsOf(w.t, tok["id_token"])["sub"] || seen["scope"] != "openid offline_access planos:leer" {
			w.t.Errorf("the resource sees %v", seen)
		}
		for name, by := range map[string]*app{"another resource": other, "another institution": foreign} {
			if out := asked(tok["access_token"], by); out["active"] != false || len(out) != 1 {
				w.t.Errorf("%s sees %v", name, out)
			}
		}
		if out := asked(tok["access_token"], sector); out["active"] != true || out["sub"] != nil || out["acr"] != nil {
			w.t.Errorf("a resource of another sector sees %v, want no subject", out)
		}
		if out := asked(tok["access_token"], a); out["active"] != true || out["sub"] == nil {
			w.t.Errorf("the client itself sees %v", out)
		}
		if res, _ := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+tok["access_token"].(string)); res.StatusCode != 401 {
			w.t.Errorf("a token for another resource opens userinfo: %d", res.StatusCode)
		}
		refresh := func(pairs ...string) (int, map[string]any) {
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}
			for i := 0; i+1 < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			return a.call("/oauth2/token", form)
		}
		if _, out := refresh(); asked(out["access_token"], api)["active"] != true {
			w.t.Errorf("refreshed token lost its audience: %v", out)
		}
		if _, out := refresh("resource", resourceB); out["error"] != "invalid_target" {
			w.t.Errorf("refresh for another resource: %v", out)
		}
		c := code("resource", resourceA)
		if _, out := a.redeem(c, "resource", resourceB); out["error"] != "invalid_target" {
			w.t.Errorf("code redeemed for another resource: %v", out)
		}
		if status, out := a.redeem(c, "resource", resourceA); status != 200 {
			w.t.Errorf("the refusal burnt the code: %v", out)
		}
		_, out := a.redeem(code(), "resource", resourceB) // named at the token endpoint only
		if asked(out["access_token"], other)["active"] != true || asked(out["access_token"], api)["active"] != false {
			w.t.Errorf("resource of the token request: %v", out)
		}
		if got := w.browser().errorOf(a.authorize("resource", "https://otra.example")); got != "invalid_target" {
			w.t.Errorf("resource that is not registered: %q", got)
		}
		own := func(resource string) map[string]any {
			form := url.Values{"grant_type": {"client_credentials"}, "scope": {"planos:leer"}}
			if resource != "" {
				form.Set("resource", resource)
			}
			_, out := a.call("/oauth2/token", form)
			return out
		}
		if out := own("https://otra.example"); out["error"] != "invalid_target" {
			w.t.Errorf("client credentials, resource that is not registered: %v", out)
		}
		token := own(resourceA)["access_token"]
		if out := asked(token, api); out["active"] != true || out["sub"] != nil {
			w.t.Errorf("client's own token: %v", out)
		}
		if _, err := w.api(http.MethodGet, "Bearer "+token.(string)); err == nil {
			w.t.Error("a token for another resource opens our interface")
		}
		if _, err := w.api(http.MethodGet, "Bearer "+own("")["access_token"].(string)); err != nil {
			w.t.Errorf("a token without resource: %v", err)
		}
		for name, bad := range map[string]idp.Client{
			"fragment": {Resources: []string{"https://a.example/#x"}}, "relative": {Resources: []string{"/a"}}, "space": {Serves: []string{"https://a.example/ b"}}, "plain http": {Serves: []string{"http://a.example"}},
			"a public client that serves": {Profile: idp.ProfileSPA, Serves: []string{resourceA}}, "unknown form of tokens": {AccessTokens: "xml"},
		} {
			bad.ID, bad.Name, bad.Institution, bad.RedirectURIs = "mala", "Mala", insA, []string{"https://mala.example/cb"}
			if bad.Profile == "" {
				bad.Profile, bad.AuthMethod = idp.ProfileWeb, "client_secret_basic"
			}
			if _, err := w.p.Register(w.t.Context(), "", bad); err == nil {
				w.t.Errorf("%s was registered", name)
			}
		}
	})
}

// TestJWTAccessTokens: RFC 9068 §2, and that ours are still decided here.
func TestJWTAccessTokens(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app", Profile: idp.ProfileFAPI2, Scopes: []string{"openid", "offline_access", "planos:leer"}, Grants: []string{"authorization_code", "refresh_token", "client_credentials"},
			AccessTokens: idp.FormatJWT, Resources: []string{resourceA}})
		api := w.register(idp.Client{ID: "catastro", Profile: idp.ProfileWeb, Serves: []string{resourceA}})
		s := &suite{world: w, who: who}
		br := w.browser()
		get := func(pairs ...string) map[string]any {
			_, tok := a.redeem(br.enter(s.push(a, append(pairs, "scope", "openid offline_access planos:leer")...), who).Query().Get("code"))
			return tok
		}
		tok := get("resource", resourceA)
		head, c := w.published(tok["access_token"].(string))
		id := claimsOf(w.t, tok["id_token"])
		life := c["exp"].(float64) - c["iat"].(float64)
		if head["typ"] != "at+jwt" || c["iss"] != w.issuer || c["aud"] != resourceA || c["client_id"] != "app" || c["sub"] != id["sub"] || c["scope"] != tok["scope"] || c["acr"] != id["acr"] ||
			c["auth_time"] != id["auth_time"] || c["jti"] == "" || life > 60 || life <= 0 || tok["expires_in"] != life || c["cnf"].(map[string]any)["jkt"] != a.dpop.jkt() {
			w.t.Errorf("%v %v", head, c)
		}
		if _, names := c["name"]; names || strings.Contains(fmt.Sprint(c), "Mamani") {
			w.t.Errorf("the token names the person: %v", c)
		}
		active := func(token any) bool {
			v, _ := token.(string)
			_, out := api.call("/oauth2/introspect", url.Values{"token": {v}})
			return out["active"] == true
		}
		if !active(tok["access_token"]) {
			w.t.Error("introspection does not know the token")
		}
		if _, claims := w.published(tok["id_token"].(string)); claims["at_hash"] != atHash(tok["access_token"].(string)) {
			w.t.Errorf("at_hash %v", claims["at_hash"])
		}
		again := get("resource", resourceA)
		if _, d := w.published(again["access_token"].(string)); d["jti"] == c["jti"] {
			w.t.Error("two tokens have one jti")
		}
		_, out := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}})
		if _, d := w.published(out["access_token"].(string)); d["aud"] != resourceA {
			w.t.Errorf("refreshed: %v", d)
		}
		a.call("/oauth2/revoke", url.Values{"token": {tok["access_token"].(string)}})
		if active(tok["access_token"]) || !active(again["access_token"]) {
			w.t.Error("revocation ended too little or too much")
		}
		_, out = a.call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"planos:leer"}})
		if _, d := w.published(out["access_token"].(string)); d["sub"] != "app" || d["aud"] != w.issuer || d["acr"] != nil {
			w.t.Errorf("the client's own: %v", d)
		}
		// Neither kind of token passes for the other.
		for _, hint := range []any{again["access_token"], out["access_token"]} {
			_, refused := a.call("/oauth2/par", must(url.Parse(a.authorize("id_token_hint", hint.(string))))(w.t).Query())
			if refused["error"] != "invalid_request" {
				w.t.Errorf("an access token as id_token_hint: %v", refused)
			}
		}
		if active(again["id_token"]) {
			w.t.Error("an ID token passes for an access token")
		}
		w.clock.Add(61 * time.Second)
		if active(again["access_token"]) {
			w.t.Error("a token lives longer than a minute")
		}
	})
}

// atHash is at_hash for SHA-256 (OpenID Connect Core 1.0 §3.1.3.6).
func atHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
