package idp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/keystore"

	"oruro.gob.bo/suti/internal/db"
)

// introspectAs asks about a token with an Accept header.
func (a *app) introspectAs(accept, token string) (*http.Response, string) {
	a.w.t.Helper()
	form := url.Values{"token": {token}}
	header := append(a.credentials(form), "Accept", accept)
	return (&browser{w: a.w}).do(http.MethodPost, a.w.issuer+"/oauth2/introspect", "application/x-www-form-urlencoded", form.Encode(), header...)
}

// introspectionModules are what RFC 9701 asks, and PS256 throughout.
func introspectionModules() []module {
	const signed = "application/token-introspection+jwt"
	return []module{
		{"rfc9701-signed-answer", func(s *suite) {
			a := s.register(idp.Client{ID: "intro-ps", Profile: idp.ProfileWeb, IntrospectionAlg: "PS256"})
			tok := s.tokensFresh(a)
			res, body := a.introspectAs("application/json;q=0.5, "+signed, tok["access_token"].(string))
			head, c := s.published(body)
			inner, _ := c["token_introspection"].(map[string]any)
			if res.Header.Get("Content-Type") != signed || head["typ"] != "token-introspection+jwt" || head["alg"] != "PS256" || c["iss"] != s.issuer || c["aud"] != a.id || c["iat"] == nil {
				s.t.Errorf("%v %v %v", res.Header, head, c)
			}
			if inner["active"] != true || inner["sub"] != claimsOf(s.t, tok["id_token"])["sub"] || c["sub"] != nil || c["exp"] != nil { // §8.1: no access token
				s.t.Errorf("%v", c)
			}
			if status, _ := s.userinfo(http.MethodGet, body, false); status != 401 {
				s.t.Errorf("the answer passes for a token: %d", status)
			}
			if got := s.browser().errorOf(a.authorize("id_token_hint", body)); got != "invalid_request" {
				s.t.Errorf("the answer passes for an ID token: %s", got)
			}
		}},
		{"rfc9701-signed-answer-about-nothing", func(s *suite) {
			_, body := s.basic.introspectAs(signed, "unknown")
			head, c := s.published(body)
			if inner, _ := c["token_introspection"].(map[string]any); head["alg"] != "RS256" || len(inner) != 1 || inner["active"] != false {
				s.t.Errorf("%v %v", head, c)
			}
		}},
		{"rfc9701-json-unless-asked", func(s *suite) {
			for _, accept := range []string{"", "*/*", "application/json", signed + ";q=0", "application/jwt", "text/" + signed} {
				res, body := s.basic.introspectAs(accept, "unknown")
				if res.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(body)) {
					s.t.Errorf("%q: %s", accept, res.Header.Get("Content-Type"))
				}
			}
		}},
		{"rfc9701-refusals-are-not-signed", func(s *suite) {
			res, _ := (&browser{w: s.world}).do(http.MethodPost, s.issuer+"/oauth2/introspect", "application/x-www-form-urlencoded", "token=x", "Accept", signed)
			if res.StatusCode != 401 || res.Header.Get("Content-Type") != "application/json" {
				s.t.Errorf("%d %s", res.StatusCode, res.Header.Get("Content-Type"))
			}
		}},
		{"ps256-keys-rotate", func(s *suite) {
			a := s.register(idp.Client{ID: "rota-ps", Profile: idp.ProfileFAPI2, IDTokenAlg: "PS256"})
			br := s.browser()
			login := func(pairs ...string) string {
				_, tok := a.redeem(br.enter(s.push(a, pairs...), s.who).Query().Get("code"))
				return tok["id_token"].(string)
			}
			one := login()
			p := must(s.keys.Generate(keystore.Spec{Purpose: "idp.sign", Alg: keystore.PS256, Activate: true}))(s.t)
			if err := s.d.Write(s.t.Context(), func(tx *db.Tx) error { return s.keys.Put(tx, p) }); err != nil {
				s.t.Fatal(err)
			}
			s.clock.Add(6 * 1e9)
			two := login("prompt", "none", "id_token_hint", one) // the former key still verifies
			var kids []string
			_, raw := (&browser{w: s.world}).get(s.issuer + "/jwks.json")
			var set jose.JSONWebKeySet
			if err := json.Unmarshal([]byte(raw), &set); err != nil {
				s.t.Fatal(err)
			}
			for _, token := range []string{one, two} {
				jws := must(jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.PS256}))(s.t)
				kid := jws.Signatures[0].Header.KeyID
				keys := set.Key(kid)
				if len(keys) != 1 || keys[0].Algorithm != "PS256" {
					s.t.Fatalf("kid %s names %d keys", kid, len(keys))
				}
				if _, err := jws.Verify(keys[0].Key); err != nil {
					s.t.Error(err)
				}
				kids = append(kids, kid)
			}
			if kids[0] == kids[1] {
				s.t.Error("the newer key is not used")
			}
			if strings.Count(raw, `"alg":"PS256"`) < 2 {
				s.t.Errorf("published: %s", raw)
			}
		}},
	}
}
