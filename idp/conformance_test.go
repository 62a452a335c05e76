package idp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// suite is what the modules share: a basic client, a second one, a FAPI 2 client.
type suite struct {
	*world
	who          identity.PersonID
	basic, other *app
	fapi, fapi2  *app
	withQuery    *app
}

// authorizeFresh logs in with a browser of its own and returns the redirect.
func (s *suite) authorizeFresh(a *app, pairs ...string) *url.URL {
	s.t.Helper()
	return s.browser().enter(a.authorize(pairs...), s.who)
}

// tokensFresh logs in and redeems.
func (s *suite) tokensFresh(a *app, pairs ...string) map[string]any {
	s.t.Helper()
	status, out := a.redeem(s.authorizeFresh(a, pairs...).Query().Get("code"))
	if status != http.StatusOK {
		s.t.Fatalf("token endpoint: %d %v", status, out)
	}
	return out
}

func (s *suite) userinfo(method, token string, inBody bool) (int, map[string]any) {
	var contentType, body string
	header := []string{"Authorization", "Bearer " + token}
	if inBody {
		contentType, body, header = "application/x-www-form-urlencoded", url.Values{"access_token": {token}}.Encode(), nil
	}
	res, raw := (&browser{w: s.world}).do(method, s.issuer+"/oauth2/userinfo", contentType, body, header...)
	var out map[string]any
	_ = json.Unmarshal([]byte(raw), &out)
	return res.StatusCode, out
}

// push sends a request to the PAR endpoint and returns the address to visit.
func (s *suite) push(a *app, pairs ...string) string {
	s.t.Helper()
	status, out := a.call("/oauth2/par", must(url.Parse(a.authorize(pairs...)))(s.t).Query())
	uri, _ := out["request_uri"].(string)
	if status != http.StatusCreated || uri == "" {
		s.t.Fatalf("par: %d %v", status, out)
	}
	return s.issuer + "/oauth2/authorize?" + url.Values{"client_id": {a.id}, "request_uri": {uri}}.Encode()
}

// refusedPage expects an error page and no redirect.
func (s *suite) refusedPage(address string) {
	s.t.Helper()
	if res, _ := s.browser().get(address); res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" {
		s.t.Errorf("got %d to %q, want a page that refuses", res.StatusCode, res.Header.Get("Location"))
	}
}

// TestConformanceModules ports modules of the OpenID conformance suite under
// their names: what they send, and what they demand of the answer.
func TestConformanceModules(t *testing.T) {
	each(t, func(w *world) {
		s := &suite{world: w, who: w.person(identity.N2)}
		scopes := []string{"openid", "profile", "email", "phone", "documento_identidad", "offline_access"}
		s.basic = w.register(idp.Client{ID: "basica", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic", Scopes: scopes, Waivers: map[string]time.Time{idp.WaivePKCE: w.clock.Now().Add(24 * time.Hour)}, PostLogoutURIs: []string{"https://basica.example/fin"}})
		s.other = w.register(idp.Client{ID: "basica-dos", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_post", Scopes: scopes})
		s.fapi = w.register(idp.Client{ID: "fapi-uno", Profile: idp.ProfileFAPI2, Scopes: scopes})
		s.fapi2 = w.register(idp.Client{ID: "fapi-dos", Profile: idp.ProfileFAPI2, Scopes: scopes})
		s.withQuery = w.register(idp.Client{ID: "con-query", Profile: idp.ProfileWeb, RedirectURIs: []string{"https://q.example/cb?foo=bar"}, Scopes: scopes})
		parent := w.t
		for _, m := range modules() {
			parent.Run(m.name, func(t *testing.T) {
				w.t = t
				m.run(s)
			})
		}
		w.t = parent
	})
}

type module struct {
	name string
	run  func(s *suite)
}

// noPKCE removes the challenge: the basic plan sends none.
var noPKCE = []string{"code_challenge", "", "code_challenge_method", ""}

func modules() []module {
	return slices.Concat(basicModules(), moreBasicModules(), modeModules(), dynamicModules(), logoutModules(), fapiModules(), moreFAPIModules(), signedModules(), introspectionModules(), encryptionModules())
}

func basicModules() []module {
	return []module{
		{"oidcc-server", func(s *suite) {
			back := s.authorizeFresh(s.basic, noPKCE...)
			status, tok := s.basic.redeem(back.Query().Get("code"), "code_verifier", "")
			c := claimsOf(s.t, tok["id_token"])
			if status != 200 || !strings.EqualFold(tok["token_type"].(string), "bearer") || c["iss"] != s.issuer || c["aud"] != s.basic.id || c["nonce"] != "n-1" || c["sub"] == "" || c["exp"].(float64) <= c["iat"].(float64) {
				s.t.Errorf("%d %v", status, c)
			}
		}},
		{"oidcc-response-type-missing", func(s *suite) {
			if got := s.browser().errorOf(s.basic.authorize("response_type", "")); got != "invalid_request" {
				s.t.Error(got)
			}
		}},
		{"oidcc-idtoken-signature", func(s *suite) {
			tok := s.tokensFresh(s.basic)
			_, raw := (&browser{w: s.world}).get(s.issuer + "/jwks.json")
			var set jose.JSONWebKeySet
			if err := json.Unmarshal([]byte(raw), &set); err != nil {
				s.t.Fatal(err)
			}
			jws := must(jose.ParseSignedCompact(tok["id_token"].(string), []jose.SignatureAlgorithm{jose.RS256}))(s.t)
			keys := set.Key(jws.Signatures[0].Header.KeyID)
			if len(keys) != 1 || keys[0].Use != "sig" || keys[0].Algorithm != "RS256" {
				s.t.Fatalf("kid names %d keys", len(keys))
			}
			if _, err := jws.Verify(keys[0].Key); err != nil {
				s.t.Error(err)
			}
			for _, private := range []string{`"d"`, `"p"`, `"q"`} {
				if strings.Contains(raw, private) {
					s.t.Errorf("the key set holds %s", private)
				}
			}
		}},
		{"oidcc-userinfo-get", func(s *suite) { s.checkUserInfo(http.MethodGet, false) }},
		{"oidcc-userinfo-post-header", func(s *suite) { s.checkUserInfo(http.MethodPost, false) }},
		{"oidcc-userinfo-post-body", func(s *suite) { s.checkUserInfo(http.MethodPost, true) }},
		{"oidcc-ensure-request-without-nonce-succeeds-for-code-flow", func(s *suite) {
			if _, has := claimsOf(s.t, s.tokensFresh(s.basic, "nonce", "")["id_token"])["nonce"]; has {
				s.t.Error("a nonce came that was not sent")
			}
		}},
		{"oidcc-scope-email", func(s *suite) {
			tok := s.tokensFresh(s.basic, "scope", "openid email")
			_, info := s.userinfo(http.MethodGet, tok["access_token"].(string), false)
			if info["email"] != "ana@example.bo" || info["email_verified"] != true || info["name"] != nil {
				s.t.Errorf("%v", info)
			}
		}},
		{"oidcc-display-page", func(s *suite) { s.tokensFresh(s.basic, "display", "page") }},
		{"oidcc-ensure-request-with-unknown-parameter-succeeds", func(s *suite) { s.tokensFresh(s.basic, "extra", "foobar") }},
		{"oidcc-login-hint", func(s *suite) { s.tokensFresh(s.basic, "login_hint", "1000001") }},
		{"oidcc-ui-locales", func(s *suite) { s.tokensFresh(s.basic, "ui_locales", "se") }},
		{"oidcc-claims-locales", func(s *suite) { s.tokensFresh(s.basic, "claims_locales", "se") }},
		{"oidcc-ensure-request-with-acr-values-succeeds", func(s *suite) {
			if got := claimsOf(s.t, s.tokensFresh(s.basic, "acr_values", "urn:suti:acr:n1 urn:other")["id_token"])["acr"]; got != identity.N1.ACR() {
				s.t.Errorf("acr %v, want the value asked for that is met", got)
			}
		}},
		{"oidcc-prompt-login", func(s *suite) {
			br := s.browser()
			_, one := s.basic.redeem(br.enter(s.basic.authorize(), s.who).Query().Get("code"))
			s.clock.Add(2 * time.Second)
			_, _, page := br.follow(s.basic.authorize("prompt", "login"))
			if !strings.Contains(page, "data-llave") {
				s.t.Fatal("no login page")
			}
			_, two := s.basic.redeem(br.enter(br.login(page, s.who), s.who).Query().Get("code"))
			if a, b := claimsOf(s.t, one["id_token"]), claimsOf(s.t, two["id_token"]); a["sub"] != b["sub"] || a["auth_time"].(float64) >= b["auth_time"].(float64) {
				s.t.Errorf("auth_time %v then %v", a["auth_time"], b["auth_time"])
			}
		}},
		{"oidcc-prompt-none-not-logged-in", func(s *suite) {
			if got := s.browser().errorOf(s.basic.authorize("prompt", "none")); got != "login_required" {
				s.t.Error(got)
			}
		}},
		{"oidcc-prompt-none-logged-in", func(s *suite) {
			br := s.browser()
			_, one := s.basic.redeem(br.enter(s.basic.authorize(), s.who).Query().Get("code"))
			outside, _, _ := br.follow(s.basic.authorize("prompt", "none"))
			_, two := s.basic.redeem(outside.Query().Get("code"))
			if a, b := claimsOf(s.t, one["id_token"]), claimsOf(s.t, two["id_token"]); a["sub"] != b["sub"] || a["auth_time"] != b["auth_time"] {
				s.t.Errorf("%v then %v", a, b)
			}
		}},
		{"oidcc-max-age-1", func(s *suite) {
			br := s.browser()
			br.enter(s.basic.authorize(), s.who)
			s.clock.Add(2 * time.Second)
			_, _, page := br.follow(s.basic.authorize("max_age", "1"))
			if !strings.Contains(page, "data-llave") {
				s.t.Fatal("no login page")
			}
			_, tok := s.basic.redeem(br.enter(br.login(page, s.who), s.who).Query().Get("code"))
			if at := claimsOf(s.t, tok["id_token"])["auth_time"].(float64); s.clock.Now().Unix()-int64(at) > 2 {
				s.t.Errorf("auth_time %v", at)
			}
		}},
		{"oidcc-max-age-10000", func(s *suite) {
			br := s.browser()
			br.enter(s.basic.authorize(), s.who)
			if got := br.errorOf(s.basic.authorize("max_age", "10000")); got != "code" {
				s.t.Error(got)
			}
		}},
		{"oidcc-id-token-hint", func(s *suite) {
			br := s.browser()
			_, tok := s.basic.redeem(br.enter(s.basic.authorize(), s.who).Query().Get("code"))
			if got := br.errorOf(s.basic.authorize("prompt", "none", "id_token_hint", tok["id_token"].(string))); got != "code" {
				s.t.Error(got)
			}
		}},
		{"oidcc-codereuse", func(s *suite) { s.checkReuse(0) }},
		{"oidcc-codereuse-30seconds", func(s *suite) { s.checkReuse(30 * time.Second) }},
		{"oidcc-ensure-registered-redirect-uri", func(s *suite) {
			s.refusedPage(s.basic.authorize("redirect_uri", "https://basica.example/cb-not-registered"))
		}},
		{"oidcc-ensure-post-request-succeeds", func(s *suite) {
			br := s.browser()
			res, _ := br.crossSite(s.issuer+"/oauth2/authorize", must(url.Parse(s.basic.authorize()))(s.t).Query())
			if back := br.enter(must(res.Location())(s.t).String(), s.who); back.Query().Get("code") == "" {
				s.t.Errorf("%v", back)
			}
		}},
		{"oidcc-server-client-secret-post", func(s *suite) {
			code := s.authorizeFresh(s.other).Query().Get("code")
			form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.other.redirect}, "code_verifier": {verifier}, "client_id": {s.other.id}, "client_secret": {s.other.secret}}
			res, body := (&browser{w: s.world}).do(http.MethodPost, s.issuer+"/oauth2/token", "application/x-www-form-urlencoded", form.Encode())
			if res.StatusCode != 200 {
				s.t.Errorf("%d %s", res.StatusCode, body)
			}
		}},
		{"oidcc-refresh-token", func(s *suite) {
			tok := s.tokensFresh(s.basic, "scope", "openid offline_access", "prompt", "consent")
			refresh := func(a *app) (int, map[string]any) {
				return a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}})
			}
			if status, out := refresh(s.fapi); status != 400 || out["error"] != "invalid_grant" {
				s.t.Errorf("another client: %d %v", status, out)
			}
			s.clock.Add(time.Second)
			status, out := refresh(s.basic)
			a, b := claimsOf(s.t, tok["id_token"]), claimsOf(s.t, out["id_token"])
			if status != 200 || out["access_token"] == tok["access_token"] || a["sub"] != b["sub"] || a["iss"] != b["iss"] || a["auth_time"] != b["auth_time"] || a["iat"] == b["iat"] {
				s.t.Errorf("%d: %v then %v", status, a, b)
			}
		}},
		{"oidcc-ensure-request-with-valid-pkce-succeeds", func(s *suite) { s.tokensFresh(s.basic) }},
	}
}

func (s *suite) checkUserInfo(method string, inBody bool) {
	s.t.Helper()
	tok := s.tokensFresh(s.basic)
	status, info := s.userinfo(method, tok["access_token"].(string), inBody)
	if status != 200 || info["sub"] != claimsOf(s.t, tok["id_token"])["sub"] {
		s.t.Errorf("%d %v", status, info)
	}
}

// checkReuse: the second use is refused and ends the tokens of the first.
func (s *suite) checkReuse(after time.Duration) {
	s.t.Helper()
	code := s.authorizeFresh(s.basic).Query().Get("code")
	_, tok := s.basic.redeem(code)
	s.clock.Add(after)
	if status, out := s.basic.redeem(code); status != 400 || out["error"] != "invalid_grant" {
		s.t.Errorf("second use: %d %v", status, out)
	}
	if status, _ := s.userinfo(http.MethodGet, tok["access_token"].(string), false); status != 401 {
		s.t.Errorf("the first token opens userinfo: %d", status)
	}
}

func dynamicModules() []module {
	return []module{
		{"oidcc-redirect-uri-query-OK", func(s *suite) {
			back := s.authorizeFresh(s.withQuery)
			if q := back.Query(); q.Get("foo") != "bar" || q.Get("code") == "" || strings.Count(back.String(), "?") != 1 {
				s.t.Errorf("%v", back)
			}
		}},
		{"oidcc-redirect-uri-query-mismatch", func(s *suite) {
			s.refusedPage(s.withQuery.authorize("redirect_uri", "https://q.example/cb?bar=foo"))
		}},
		{"oidcc-redirect-uri-query-added", func(s *suite) {
			s.refusedPage(s.withQuery.authorize("redirect_uri", "https://q.example/cb?foo=bar&baz=1"))
		}},
		{"oidcc-redirect-uri-regfrag", func(s *suite) {
			_, err := s.p.Register(s.t.Context(), "", idp.Client{ID: "fragmento", Institution: insA, Profile: idp.ProfileSPA, Name: "F", RedirectURIs: []string{"https://f.example/cb#x"}, Scopes: []string{"openid"}})
			if err == nil {
				s.t.Error("registered")
			}
		}},
		{"oidcc-ensure-redirect-uri-in-authorization-request", func(s *suite) { s.refusedPage(s.basic.authorize("redirect_uri", "")) }},
		{"oidcc-request-uri-unsigned", func(s *suite) {
			if got := s.browser().errorOf(s.basic.authorize("request_uri", "https://basica.example/r.jwt")); got != "request_uri_not_supported" {
				s.t.Error(got)
			}
		}},
	}
}

func logoutModules() []module {
	// Every one of these must end on a page of ours, with the session asked about.
	negative := func(name string, q func(hint string) url.Values) module {
		return module{"oidcc-rp-initiated-logout-" + name, func(s *suite) {
			br := s.browser()
			_, tok := s.basic.redeem(br.enter(s.basic.authorize(), s.who).Query().Get("code"))
			res, _ := br.get(s.issuer + "/oauth2/logout?" + q(tok["id_token"].(string)).Encode())
			if res.StatusCode >= 300 && res.StatusCode < 400 {
				s.t.Errorf("sent to %s", res.Header.Get("Location"))
			}
		}}
	}
	fin := "https://basica.example/fin"
	return []module{
		negative("bad-post-logout-redirect-uri", func(h string) url.Values {
			return url.Values{"id_token_hint": {h}, "post_logout_redirect_uri": {fin + "-no"}}
		}),
		negative("query-added-to-post-logout-redirect-uri", func(h string) url.Values {
			return url.Values{"id_token_hint": {h}, "post_logout_redirect_uri": {fin + "?a=b"}}
		}),
		negative("bad-id-token-hint", func(h string) url.Values {
			return url.Values{"id_token_hint": {h[5:]}, "post_logout_redirect_uri": {fin}}
		}),
		negative("modified-id-token-hint", func(h string) url.Values {
			return url.Values{"id_token_hint": {"eyJhbGciOiJub25lIn0." + strings.Split(h, ".")[1] + "."}, "post_logout_redirect_uri": {fin}}
		}),
		negative("no-id-token-hint", func(string) url.Values { return url.Values{"post_logout_redirect_uri": {fin}, "state": {"x"}} }),
		negative("no-params", func(string) url.Values { return nil }),
		negative("only-state", func(string) url.Values { return url.Values{"state": {"x"}} }),
		negative("no-post-logout-redirect-uri", func(h string) url.Values { return url.Values{"id_token_hint": {h}, "state": {"x"}} }),
		{"oidcc-rp-initiated-logout-no-state", func(s *suite) {
			br := s.browser()
			_, tok := s.basic.redeem(br.enter(s.basic.authorize(), s.who).Query().Get("code"))
			outside, _, _ := br.follow(s.issuer + "/oauth2/logout?" + url.Values{"id_token_hint": {tok["id_token"].(string)}, "post_logout_redirect_uri": {fin}}.Encode())
			if outside == nil || outside.String() != fin {
				s.t.Errorf("sent to %v", outside)
			}
			if got := br.errorOf(s.basic.authorize("prompt", "none")); got != "login_required" {
				s.t.Errorf("prompt=none after logout: %s", got)
			}
		}},
	}
}

func fapiModules() []module {
	parFails := func(name string, spoil func(s *suite, claims map[string]any)) module {
		return module{"fapi2-security-profile-final-" + name, func(s *suite) {
			form := must(url.Parse(s.fapi.authorize()))(s.t).Query()
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", s.fapi.assertion(func(c map[string]any) { spoil(s, c) }))
			res, body := (&browser{w: s.world}).do(http.MethodPost, s.issuer+"/oauth2/par", "application/x-www-form-urlencoded", form.Encode())
			if res.StatusCode != 401 || !strings.Contains(body, "invalid_client") {
				s.t.Errorf("got %d %s", res.StatusCode, body)
			}
		}}
	}
	entered := func(s *suite, pairs ...string) *url.URL { return s.browser().enter(s.push(s.fapi, pairs...), s.who) }
	return []module{
		{"fapi2-security-profile-final-happy-flow", func(s *suite) {
			for _, a := range []*app{s.fapi, s.fapi2} {
				back := s.browser().enter(s.push(a), s.who)
				if status, out := a.redeem(back.Query().Get("code")); status != 200 || back.Query().Get("iss") != s.issuer {
					s.t.Errorf("%d %v", status, out)
				}
			}
		}},
		{"fapi2-security-profile-final-user-rejects-authentication", func(s *suite) {
			br := s.browser()
			_, _, page := br.follow(s.push(s.fapi))
			res, _ := br.post(s.issuer+interactionRE.FindString(page)+"/decision", url.Values{"decision": {"cancel"}})
			if q := must(res.Location())(s.t).Query(); q.Get("error") != "access_denied" || q.Get("iss") != s.issuer || q.Get("state") != "st" {
				s.t.Errorf("%v", q)
			}
		}},
		{"fapi2-security-profile-final-ensure-authorization-request-without-state-success", func(s *suite) {
			if q := entered(s, "state", "").Query(); q.Get("code") == "" || q.Has("state") {
				s.t.Errorf("%v", q)
			}
		}},
		{"fapi2-security-profile-final-ensure-authorization-request-with-64-char-nonce-success", func(s *suite) {
			nonce := strings.Repeat("n", 64)
			_, tok := s.fapi.redeem(entered(s, "nonce", nonce).Query().Get("code"))
			if claimsOf(s.t, tok["id_token"])["nonce"] != nonce {
				s.t.Error("nonce changed")
			}
		}},
		{"fapi2-security-profile-final-ensure-other-scope-order-succeeds", func(s *suite) { entered(s, "scope", "profile openid") }},
		{"fapi2-security-profile-final-ensure-unsigned-authorization-request-without-using-par-fails", func(s *suite) {
			if got := s.browser().errorOf(s.fapi.authorize()); got != "invalid_request" {
				s.t.Error(got)
			}
		}},
		{"fapi2-security-profile-final-ensure-authorization-code-is-bound-to-client", func(s *suite) {
			code := entered(s).Query().Get("code")
			if status, out := s.fapi2.redeem(code, "redirect_uri", s.fapi.redirect); status != 400 || out["error"] != "invalid_grant" {
				s.t.Errorf("%d %v", status, out)
			}
			_, tok := s.fapi.redeem(code)
			s.fapi2.redeem(code, "redirect_uri", s.fapi.redirect)
			if !s.fapi.active(tok["access_token"]) {
				s.t.Error("another client ended the tokens by showing the spent code")
			}
		}},
		{"fapi2-security-profile-final-attempt-reuse-authorization-code-after-one-second", func(s *suite) {
			code := entered(s).Query().Get("code")
			s.fapi.redeem(code)
			s.clock.Add(time.Second)
			if status, out := s.fapi.redeem(code); status != 400 || out["error"] != "invalid_grant" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"fapi2-security-profile-final-attempt-to-use-expired-authorization-code", func(s *suite) {
			code := entered(s).Query().Get("code")
			s.clock.Add(62 * time.Second)
			if status, out := s.fapi.redeem(code); status != 400 || out["error"] != "invalid_grant" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"fapi2-security-profile-final-par-attempt-reuse-request_uri", func(s *suite) {
			visit := s.push(s.fapi)
			br := s.browser()
			br.enter(visit, s.who)
			s.refusedPage(visit)
			visit = s.push(s.fapi, "prompt", "none")
			if got := s.browser().errorOf(visit); got != "login_required" {
				s.t.Error(got)
			}
			s.refusedPage(visit) // also after an error without a page
		}},
		{"fapi2-security-profile-final-par-attempt-to-use-expired-request_uri", func(s *suite) {
			visit := s.push(s.fapi)
			s.clock.Add(61 * time.Second)
			s.refusedPage(visit)
		}},
		{"fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client", func(s *suite) {
			s.refusedPage(strings.Replace(s.push(s.fapi), "client_id=fapi-uno", "client_id=fapi-dos", 1))
		}},
		{"fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds", func(s *suite) {
			visit, br := s.push(s.fapi), s.browser()
			br.follow(visit)
			if back := br.enter(visit, s.who); back.Query().Get("code") == "" {
				s.t.Errorf("%v", back)
			}
		}},
		{"fapi2-security-profile-final-par-without-duplicate-parameters", func(s *suite) {
			visit := s.push(s.fapi)
			res, _ := s.browser().get(visit + "&client_id=fapi-uno")
			if res.StatusCode != 400 {
				s.t.Errorf("client_id twice: %d", res.StatusCode)
			}
		}},
		{"fapi2-security-profile-final-par-plain-pkce-rejected", func(s *suite) {
			form := must(url.Parse(s.fapi.authorize("code_challenge_method", "plain")))(s.t).Query()
			if status, out := s.fapi.call("/oauth2/par", form); status != 400 || out["error"] != "invalid_request" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"fapi2-security-profile-final-par-pkce-missing-rejected", func(s *suite) {
			form := must(url.Parse(s.fapi.authorize(noPKCE...)))(s.t).Query()
			if status, out := s.fapi.call("/oauth2/par", form); status != 400 || out["error"] != "invalid_request" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"fapi2-security-profile-final-ensure-pkce-code-verifier-required", func(s *suite) {
			if status, out := s.fapi.redeem(entered(s).Query().Get("code"), "code_verifier", ""); status != 400 || out["error"] != "invalid_grant" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		parFails("par-test-token-endpoint-url-as-audience-fails", func(s *suite, c map[string]any) { c["aud"] = s.issuer + "/oauth2/token" }),
		parFails("par-test-par-endpoint-url-as-audience-fails", func(s *suite, c map[string]any) { c["aud"] = s.issuer + "/oauth2/par" }),
		parFails("par-test-array-as-audience-fails", func(s *suite, c map[string]any) { c["aud"] = []string{s.issuer} }),
		parFails("ensure-client-assertion-no-sub-fails", func(_ *suite, c map[string]any) { delete(c, "sub") }),
		parFails("ensure-expired-client-assertion-fails", func(s *suite, c map[string]any) { c["exp"] = s.clock.Now().Add(-5 * time.Minute).Unix() }),
		parFails("par-ensure-jwt-client-assertion-nbf-over-60-seconds-in-the-future-fails", func(s *suite, c map[string]any) { c["nbf"] = s.clock.Now().Add(61 * time.Second).Unix() }),
		{"fapi2-security-profile-final-test-essential-acr-sca-claim", func(s *suite) {
			claims := `{"id_token":{"acr":{"essential":true,"values":["phr"]}}}`
			_, tok := s.fapi.redeem(entered(s, "claims", claims).Query().Get("code"))
			if got := claimsOf(s.t, tok["id_token"])["acr"]; got != "phr" {
				s.t.Errorf("acr %v, want the value demanded", got)
			}
		}},
	}
}
