package idp_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// signedModules are those of FAPI 2.0 Message Signing: requests (RFC 9101) and
// responses (JARM).
func signedModules() []module {
	const plan = "fapi2-message-signing-final-"
	// pushed sends a request object with spoilt header or claims.
	pushed := func(name, want string, change func(s *suite) spoil) module {
		return module{plan + name, func(s *suite) {
			var spoils []spoil
			if change != nil {
				spoils = append(spoils, change(s))
			}
			got := "accepted"
			if status, out := s.fapi.call("/oauth2/par", url.Values{"client_id": {s.fapi.id}, "request": {s.fapi.requestObject(spoils...)}}); status != 201 {
				got, _ = out["error"].(string)
				if status != 400 || out["request_uri"] != nil {
					s.t.Errorf("%d %v", status, out)
				}
			}
			if got != want {
				s.t.Errorf("got %s, want %s", got, want)
			}
		}}
	}
	const accepted, refused = "accepted", "invalid_request_object"
	in := func(name string, d time.Duration) func(s *suite) spoil {
		return func(s *suite) spoil { return set(name, s.clock.Now().Add(d).Unix()) }
	}
	always := func(change spoil) func(*suite) spoil { return func(*suite) spoil { return change } }
	// raw pushes a request object that was made by hand.
	raw := func(name string, object func(s *suite) string) module {
		return module{plan + name, func(s *suite) {
			if status, out := s.fapi.call("/oauth2/par", url.Values{"client_id": {s.fapi.id}, "request": {object(s)}}); status != 400 || out["error"] != refused {
				s.t.Errorf("%d %v", status, out)
			}
		}}
	}
	return []module{
		pushed("happy-flow", accepted, nil),
		pushed("ensure-request-object-without-exp-fails", refused, always(without("exp"))),
		pushed("ensure-request-object-without-nbf-fails", refused, always(without("nbf"))),
		pushed("ensure-request-object-without-redirect-uri-fails", "invalid_request", always(without("redirect_uri"))),
		pushed("ensure-expired-request-object-fails", refused, in("exp", -time.Minute)),
		pushed("ensure-request-object-with-exp-over-60-fails", refused, in("exp", 61*time.Minute)),
		pushed("ensure-request-object-with-nbf-over-60-fails", refused, in("nbf", -61*time.Minute)),
		pushed("ensure-request-object-with-nbf-8-seconds-in-the-future-is-accepted", accepted, in("nbf", 8*time.Second)),
		pushed("ensure-request-object-with-bad-aud-fails", refused, always(set("aud", "https://otro.example"))),
		pushed("ensure-request-object-with-multiple-aud-succeeds", accepted, func(s *suite) spoil { return set("aud", []string{"https://otro.example", s.issuer}) }),
		pushed("ensure-request-object-of-another-client-fails", refused, always(set("iss", "fapi-dos"))),
		pushed("ensure-request-object-with-another-typ-fails", refused, always(setHead("typ", "JWT"))),
		pushed("ensure-request-object-with-critical-header-fails", refused, always(setHead("crit", []string{"b64"}))),
		pushed("ensure-request-object-with-request-uri-fails", refused, always(set("request_uri", "https://fapi-uno.example/r"))),
		raw("ensure-signed-request-object-with-none-fails", func(s *suite) string {
			head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"oauth-authz-req+jwt"}`))
			return head + "." + strings.Split(s.fapi.requestObject(), ".")[1] + "."
		}),
		raw("ensure-request-object-with-invalid-signature-fails", func(s *suite) string {
			good := s.fapi.requestObject()
			return good[:len(good)-8] + "AAAAAAAA"
		}),
		raw("ensure-request-object-signed-by-another-client-fails", func(s *suite) string {
			return (&app{w: s.world, id: s.fapi.id, key: s.fapi2.key, redirect: s.fapi.redirect}).requestObject()
		}),
		raw("ensure-encrypted-request-object-is-refused", func(*suite) string { return "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d" }),
		raw("ensure-request-object-with-a-member-twice-fails", func(s *suite) string {
			head, claims := s.fapi.requestClaims(without("scope"))
			return s.fapi.signed(head, strings.Replace(string(claims), `{`, `{"scope":"openid","scope":"openid email",`, 1))
		}),
		{plan + "ensure-unsigned-request-at-par-endpoint-fails", func(s *suite) {
			a := s.register(idp.Client{ID: "solo-firmadas", Profile: idp.ProfileFAPI2, SignedRequests: true})
			if status, out := a.call("/oauth2/par", must(url.Parse(a.authorize()))(s.t).Query()); status != 400 || out["error"] != "invalid_request" {
				s.t.Errorf("%d %v", status, out)
			}
			if status, out := a.call("/oauth2/par", url.Values{"request": {a.requestObject()}}); status != 201 {
				s.t.Errorf("signed: %d %v", status, out)
			}
			b := s.register(idp.Client{ID: "solo-firmadas-web", Profile: idp.ProfileWeb, SignedRequests: true})
			s.refusedPage(b.authorize())
			if back := s.browser().enter(s.issuer+"/oauth2/authorize?"+url.Values{"client_id": {b.id}, "request": {b.requestObject()}}.Encode(), s.who); back.Query().Get("code") == "" {
				s.t.Errorf("%v", back)
			}
		}},
		{plan + "ensure-request-object-jti-is-used-once", func(s *suite) {
			object := s.fapi.requestObject(set("jti", identity.NewID("jti", s.clock.Now())))
			push := func(a *app, object string) (int, any) {
				status, out := a.call("/oauth2/par", url.Values{"request": {object}})
				return status, out["error"]
			}
			if status, e := push(s.fapi, object); status != 201 {
				s.t.Fatalf("%d %v", status, e)
			}
			if status, e := push(s.fapi, object); status != 400 || e != refused {
				s.t.Errorf("again: %d %v", status, e)
			}
			if status, e := push(s.fapi2, s.fapi2.requestObject(set("jti", claimsOf(s.t, object)["jti"]))); status != 201 {
				s.t.Errorf("another client's of the same name: %d %v", status, e)
			}
		}},
		{plan + "state-only-outside-request-object-not-used", func(s *suite) {
			object := s.fapi.requestObject(func(_, c map[string]any) { delete(c, "state"); delete(c, "nonce") })
			_, out := s.fapi.call("/oauth2/par", url.Values{"request": {object}, "state": {"fuera"}, "nonce": {"fuera"}})
			uri, _ := out["request_uri"].(string)
			back := s.browser().enter(s.issuer+"/oauth2/authorize?"+url.Values{"client_id": {s.fapi.id}, "request_uri": {uri}}.Encode(), s.who)
			_, tok := s.fapi.redeem(back.Query().Get("code"))
			if _, has := claimsOf(s.t, tok["id_token"])["nonce"]; has || back.Query().Has("state") {
				s.t.Errorf("%v", back)
			}
		}},
		{plan + "authorization-details-in-the-request-object", func(s *suite) {
			a := s.register(detailed("detalle-firmado"))
			status, out := a.call("/oauth2/par", url.Values{"request": {a.requestObject(set("authorization_details", parsed(s.t, details)))}})
			uri, _ := out["request_uri"].(string)
			back := s.browser().enter(s.issuer+"/oauth2/authorize?"+url.Values{"client_id": {a.id}, "request_uri": {uri}}.Encode(), s.who)
			if _, tok := a.redeem(back.Query().Get("code")); status != 201 || !reflect.DeepEqual(tok["authorization_details"], parsed(s.t, details)) {
				s.t.Errorf("%d %v %v", status, out, tok)
			}
			if status, out := a.call("/oauth2/par", url.Values{"request": {a.requestObject(set("resource", []string{signing}))}}); status != 400 || out["error"] != refused {
				s.t.Errorf("another list: %d %v", status, out)
			}
		}},
		{plan + "jarm-error-of-a-request-with-a-fault", func(s *suite) {
			outside, _, _ := s.browser().follow(s.basic.authorize("response_mode", "jwt", "state", strings.Repeat("s", 3000)))
			if outside == nil || len(outside.Query()) != 1 {
				s.t.Fatalf("%v", outside)
			}
			if _, c := s.published(outside.Query().Get("response")); c["error"] != "invalid_request" || c["aud"] != s.basic.id || c["iss"] != s.issuer {
				s.t.Errorf("%v", c)
			}
		}},
		{plan + "jarm-alg-of-the-client", func(s *suite) {
			a := s.register(idp.Client{ID: "respuesta-eddsa", Profile: idp.ProfileWeb, ResponseAlg: "EdDSA"})
			back := s.authorizeFresh(a, "response_mode", "query.jwt")
			head, c := s.published(back.Query().Get("response"))
			_, tok := a.redeem(c["code"].(string))
			idHead, _ := s.published(tok["id_token"].(string))
			if head["alg"] != "EdDSA" || idHead["alg"] != "ES256" {
				s.t.Errorf("%v, ID token %v", head, idHead)
			}
			if _, err := s.p.Register(s.t.Context(), "", idp.Client{ID: "respuesta-none", Institution: insA, Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", Name: "R", RedirectURIs: []string{"https://r.example/cb"}, Scopes: []string{"openid"}, ResponseAlg: "none"}); err == nil {
				s.t.Error("unsigned responses were registered")
			}
		}},
		{plan + "signed-requests-need-keys", func(s *suite) {
			if _, err := s.p.Register(s.t.Context(), "", idp.Client{ID: "sin-llaves", Institution: insA, Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", Name: "R", RedirectURIs: []string{"https://r.example/cb"}, Scopes: []string{"openid"}, SignedRequests: true}); err == nil {
				s.t.Error("registered")
			}
		}},
		{plan + "request-uri-by-address-is-refused", func(s *suite) {
			if got := s.browser().errorOf(s.basic.authorize("request_uri", "https://basica.example/r")); got != "request_uri_not_supported" {
				s.t.Error(got)
			}
			if res, _ := s.browser().do(http.MethodGet, s.fapi.authorize("request_uri", "https://basica.example/r"), "", ""); res.StatusCode == 200 {
				s.t.Errorf("%d", res.StatusCode)
			}
		}},
	}
}
