package idp_test

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// TestSigningAlgorithms: what each client registered is what its tokens and the
// answers of userinfo are signed with; another library verifies them.
func TestSigningAlgorithms(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		_, before := (&browser{w: w}).get(w.issuer + "/jwks.json")
		if strings.Contains(before, "EdDSA") {
			w.t.Error("a key exists that no client asked for")
		}
		for alg, c := range map[string]idp.Client{
			"EdDSA": {ID: "edd", Profile: idp.ProfileWeb, IDTokenAlg: "EdDSA", UserInfoAlg: "EdDSA", AccessTokens: idp.FormatJWT},
			"PS256": {ID: "pss", Profile: idp.ProfileWeb, IDTokenAlg: "PS256", UserInfoAlg: "PS256", AccessTokens: idp.FormatJWT},
			"RS256": {ID: "rsa", Profile: idp.ProfileWeb, IDTokenAlg: "RS256", UserInfoAlg: "RS256"},
			"ES256": {ID: "ecd", Profile: idp.ProfileWeb, UserInfoAlg: "ES256"},
		} {
			a := w.register(c)
			br := w.browser()
			_, tok := a.redeem(br.enter(a.authorize("scope", "openid profile offline_access"), who).Query().Get("code"))
			access := tok["access_token"].(string)
			ctx := context.Background()
			provider := must(oidc.NewProvider(ctx, w.issuer))(w.t)
			check := func(raw string) {
				w.t.Helper()
				id, err := provider.Verifier(&oidc.Config{ClientID: a.id, SupportedSigningAlgs: []string{alg}}).Verify(ctx, raw)
				if err != nil {
					w.t.Fatalf("%s: %v", alg, err)
				}
				if alg != "EdDSA" && id.VerifyAccessToken(access) != nil {
					w.t.Errorf("%s: at_hash", alg)
				}
			}
			check(tok["id_token"].(string))
			if sum := sha512.Sum512([]byte(access)); alg == "EdDSA" && claimsOf(w.t, tok["id_token"])["at_hash"] != base64.RawURLEncoding.EncodeToString(sum[:32]) {
				w.t.Errorf("at_hash with Ed25519 is not half of SHA-512")
			}
			if c.AccessTokens == idp.FormatJWT {
				if head, _ := w.published(access); head["alg"] != alg {
					w.t.Errorf("access token %v", head)
				}
			}
			info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(&oauth2.Token{AccessToken: access}))
			if err != nil || info.Subject != claimsOf(w.t, tok["id_token"])["sub"] {
				w.t.Errorf("%s: userinfo %v, %v", alg, info, err)
			}
			res, body := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+access)
			head, claims := w.published(body)
			if res.Header.Get("Content-Type") != "application/jwt" || head["alg"] != alg || claims["iss"] != w.issuer || claims["aud"] != a.id || claims["name"] == nil {
				w.t.Errorf("%s: %s %v %v", alg, res.Header.Get("Content-Type"), head, claims)
			}
			if got := w.browser().errorOf(a.authorize("id_token_hint", body)); got != "invalid_request" {
				w.t.Errorf("an answer of userinfo passes for an ID token: %q", got)
			}
			outside, _, _ := br.follow(a.authorize("id_token_hint", tok["id_token"].(string), "prompt", "none", "scope", "openid"))
			if outside == nil || outside.Query().Get("code") == "" {
				w.t.Errorf("%s: hint: %v", alg, outside)
			}
			_, out := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}})
			access = out["access_token"].(string)
			check(out["id_token"].(string))
		}
		for name, bad := range map[string]idp.Client{
			"ID tokens HS256": {IDTokenAlg: "HS256"}, "ID tokens none": {IDTokenAlg: "none"}, "userinfo none": {UserInfoAlg: "none"}, "RS256 with gov-fapi2": {Profile: idp.ProfileFAPI2, UserInfoAlg: "RS256"},
		} {
			bad.ID, bad.Name, bad.Institution, bad.RedirectURIs = "mala", "Mala", insA, []string{"https://mala.example/cb"}
			if bad.Profile == "" {
				bad.Profile, bad.AuthMethod = idp.ProfileWeb, "client_secret_basic"
			}
			if _, err := w.p.Register(w.t.Context(), "", bad); err == nil {
				w.t.Errorf("%s was registered", name)
			}
		}
		_, meta := w.metadata()
		for _, member := range []string{"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported"} {
			list, _ := meta[member].([]any)
			if len(list) != 4 || !slices.Contains(list, any("PS256")) || !slices.Contains(list, any("EdDSA")) || !slices.Contains(list, any("RS256")) {
				w.t.Errorf("%s: %v", member, list)
			}
		}
		got := must(w.p.RegisteredClient(w.t.Context(), "edd"))(w.t)
		if got.IDTokenAlg != "EdDSA" || got.UserInfoAlg != "EdDSA" || got.AccessTokens != idp.FormatJWT {
			w.t.Errorf("registered as %+v", got)
		}
	})
}
