package idp_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// moreBasicModules are what the plans ask beyond the first login.
func moreBasicModules() []module {
	scoped := func(scope string, want ...string) module {
		return module{"oidcc-scope-" + strings.ReplaceAll(scope, " ", "-"), func(s *suite) {
			tok := s.tokensFresh(s.basic, "scope", "openid "+scope)
			_, info := s.userinfo(http.MethodGet, tok["access_token"].(string), false)
			for _, name := range want {
				if _, has := info[name]; !has {
					s.t.Errorf("no %s: %v", name, info)
				}
			}
			if len(info) != len(want)+1 {
				s.t.Errorf("more than was asked: %v", info)
			}
		}}
	}
	again := func(name string, want string, pairs ...string) module {
		return module{name, func(s *suite) {
			br := s.browser()
			br.enter(s.basic.authorize(), s.who)
			s.clock.Add(2 * time.Second)
			outside, _, page := br.follow(s.basic.authorize(pairs...))
			got := "page"
			switch {
			case outside != nil && outside.Query().Get("code") != "":
				got = "code"
			case outside != nil:
				got = outside.Query().Get("error")
			case strings.Contains(page, "data-llave"):
				got = "login"
			case strings.Contains(page, `value="accept"`):
				got = "consent"
			}
			if got != want {
				s.t.Errorf("got %s, want %s", got, want)
			}
		}}
	}
	refused := func(name, want string, pairs ...string) module {
		return module{name, func(s *suite) {
			if got := s.browser().errorOf(s.basic.authorize(pairs...)); got != want {
				s.t.Errorf("got %s, want %s", got, want)
			}
		}}
	}
	return []module{
		scoped("profile", "name", "given_name", "family_name", "birthdate"),
		scoped("documento_identidad", "documento_identidad"),
		scoped("profile email documento_identidad", "name", "given_name", "family_name", "birthdate", "email", "email_verified", "documento_identidad"),
		{"oidcc-display-popup", func(s *suite) { s.tokensFresh(s.basic, "display", "popup") }},
		{"oidcc-alternate-happy-flow", func(s *suite) { // a second login of the same person in another browser
			one, two := s.tokensFresh(s.basic), s.tokensFresh(s.basic)
			if a, b := claimsOf(s.t, one["id_token"]), claimsOf(s.t, two["id_token"]); a["sub"] != b["sub"] || a["sid"] == b["sid"] {
				s.t.Errorf("%v then %v", a, b)
			}
		}},
		{"oidcc-claims-essential", func(s *suite) {
			tok := s.tokensFresh(s.basic, "scope", "openid profile", "claims", `{"userinfo":{"name":{"essential":true}}}`)
			if _, info := s.userinfo(http.MethodGet, tok["access_token"].(string), false); info["name"] == nil {
				s.t.Errorf("%v", info)
			}
		}},
		{"oidcc-claims-in-the-id-token", func(s *suite) {
			tok := s.tokensFresh(s.basic, "scope", "openid profile", "claims", `{"id_token":{"name":null,"birthdate":{"essential":true},"email":null,"sid":null,"iss":{"value":"x"}}}`)
			c := claimsOf(s.t, tok["id_token"])
			if c["name"] != "Ana María Mamani Quispe" || c["birthdate"] != "1990-05-02" || c["given_name"] != nil || c["iss"] != s.issuer {
				s.t.Errorf("%v, want what was asked and nothing more", c)
			}
			if c["email"] != nil {
				s.t.Error("a claim came whose scope the person did not grant")
			}
		}},
		{"oidcc-claims-of-a-scope-left-out", func(s *suite) {
			br := s.browser()
			who := s.person(identity.N2)
			_, _, page := br.follow(s.basic.authorize("scope", "openid profile email", "claims", `{"id_token":{"email":{"essential":true}}}`))
			_, _, page = br.follow(br.login(page, who))
			_, tok := s.basic.redeem(br.accept(page, "no-email").Query().Get("code"))
			if c := claimsOf(s.t, tok["id_token"]); c["email"] != nil {
				s.t.Errorf("released against the person's choice: %v", c)
			}
		}},
		again("prompt-login-with-a-session", "login", "prompt", "login"),
		again("prompt-consent-with-a-session", "consent", "prompt", "consent"),
		again("prompt-select-account-with-a-session", "login", "prompt", "select_account"),
		again("prompt-login-consent-with-a-session", "login", "prompt", "login consent"),
		again("prompt-none-with-a-session", "code", "prompt", "none"),
		again("max-age-0-with-a-session", "login", "max_age", "0"),
		again("max-age-0-prompt-none", "login_required", "max_age", "0", "prompt", "none"),
		again("max-age-1-prompt-none", "login_required", "max_age", "1", "prompt", "none"),
		again("max-age-10000-prompt-none", "code", "max_age", "10000", "prompt", "none"),
		again("prompt-none-essential-acr-not-met", "unmet_authentication_requirements", "prompt", "none", "claims", `{"id_token":{"acr":{"essential":true,"value":"urn:suti:acr:n3"}}}`),
		again("prompt-none-voluntary-acr-not-met", "code", "prompt", "none", "acr_values", "urn:suti:acr:n3"),
		again("essential-acr-without-value", "code", "claims", `{"id_token":{"acr":{"essential":true}}}`),
		again("prompt-none-new-scope", "consent_required", "prompt", "none", "scope", "openid documento_identidad phone"),
		refused("prompt-none-login", "invalid_request", "prompt", "none login"),
		refused("prompt-none-consent", "invalid_request", "prompt", "none consent"),
		refused("prompt-unknown", "invalid_request", "prompt", "magic"),
		refused("max-age-negative", "invalid_request", "max_age", "-1"),
		refused("max-age-no-number", "invalid_request", "max_age", "1e3"),
		refused("max-age-too-large", "invalid_request", "max_age", "99999999999999999999"),
		refused("claims-not-json", "invalid_request", "claims", "name"),
		refused("claims-an-array", "invalid_request", "claims", "[]"),
		refused("claims-id-token-an-array", "invalid_request", "claims", `{"id_token":[]}`),
		refused("claims-acr-a-number", "invalid_request", "claims", `{"id_token":{"acr":1}}`),
		refused("oidcc-unsigned-request-object", "request_not_supported", "request", "eyJhbGciOiJub25lIn0.e30."),
		refused("registration-parameter", "registration_not_supported", "registration", "{}"),
		refused("response-type-token", "unsupported_response_type", "response_type", "token"),
		refused("response-type-id-token", "unsupported_response_type", "response_type", "id_token"),
		refused("response-type-code-token", "unsupported_response_type", "response_type", "code token"),
		refused("response-mode-unknown", "invalid_request", "response_mode", "web_message"),
		{"oidcc-idtoken-unsigned", func(s *suite) {
			if _, err := s.p.Register(s.t.Context(), "", idp.Client{ID: "sin-firma", Institution: insA, Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", Name: "S", RedirectURIs: []string{"https://s.example/cb"}, Scopes: []string{"openid"}, IDTokenAlg: "none"}); err == nil {
				s.t.Error("a client without signed ID tokens was registered")
			}
		}},
	}
}

func modeModules() []module {
	where := func(mode string) func(s *suite, pairs ...string) *url.URL {
		return func(s *suite, pairs ...string) *url.URL {
			br := s.browser()
			br.enter(s.basic.authorize(), s.who)
			outside, _, _ := br.follow(s.basic.authorize(append(pairs, "response_mode", mode)...))
			if outside == nil {
				s.t.Fatal("no answer")
			}
			return outside
		}
	}
	posted := func(s *suite, pairs ...string) (*http.Response, url.Values) {
		br := s.browser()
		br.enter(s.basic.authorize(), s.who)
		_, res, page := br.follow(s.basic.authorize(append(pairs, "response_mode", "form_post")...))
		q := url.Values{}
		for _, m := range regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			q.Add(m[1], m[2])
		}
		if !strings.Contains(page, `action="`+s.basic.redirect+`"`) || !strings.Contains(strings.ToLower(page), `method="post"`) {
			s.t.Errorf("no form to the application:\n%s", page)
		}
		return res, q
	}
	return []module{
		{"response-mode-query", func(s *suite) {
			if u := where("query")(s); u.Query().Get("code") == "" || u.Query().Get("iss") != s.issuer || u.Fragment != "" {
				s.t.Errorf("%v", u)
			}
		}},
		{"response-mode-fragment", func(s *suite) {
			u := where("fragment")(s)
			q, err := url.ParseQuery(u.EscapedFragment())
			if err != nil || u.RawQuery != "" || q.Get("state") != "st" || q.Get("iss") != s.issuer {
				s.t.Fatalf("%v", u)
			}
			if status, out := s.basic.redeem(q.Get("code")); status != 200 {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"response-mode-fragment-error", func(s *suite) {
			u := where("fragment")(s, "scope", "unknown")
			if q, _ := url.ParseQuery(u.EscapedFragment()); q.Get("error") != "invalid_scope" || u.RawQuery != "" {
				s.t.Errorf("%v", u)
			}
		}},
		{"oidcc-formpost-basic", func(s *suite) {
			res, q := posted(s)
			if q.Get("iss") != s.issuer || q.Get("state") != "st" || res.Header.Get("Cache-Control") != "no-store" {
				s.t.Errorf("%v", q)
			}
			if status, out := s.basic.redeem(q.Get("code")); status != 200 {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"oidcc-formpost-error", func(s *suite) {
			if _, q := posted(s, "scope", "unknown"); q.Get("error") != "invalid_scope" || q.Get("iss") != s.issuer {
				s.t.Errorf("%v", q)
			}
		}},
		{"always-checked-entropy", func(s *suite) {
			tok := s.tokensFresh(s.basic, "scope", "openid offline_access", "prompt", "consent")
			visit := must(url.Parse(s.push(s.fapi)))(s.t)
			for name, v := range map[string]string{
				"code": s.authorizeFresh(s.basic).Query().Get("code"), "access token": tok["access_token"].(string), "refresh token": tok["refresh_token"].(string),
				"request_uri": strings.TrimPrefix(visit.Query().Get("request_uri"), "urn:ietf:params:oauth:request_uri:"),
			} {
				if len(v) < 43 { // 256 bits in base64url
					s.t.Errorf("%s of %d characters", name, len(v))
				}
			}
		}},
		{"oidcc-discovery-endpoint-verification", func(s *suite) {
			_, m := s.metadata()
			for _, name := range []string{"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint", "pushed_authorization_request_endpoint", "introspection_endpoint", "revocation_endpoint"} {
				if v, _ := m[name].(string); !strings.HasPrefix(v, s.issuer+"/") {
					s.t.Errorf("%s: %v", name, m[name])
				}
			}
			for name, want := range map[string]any{
				"issuer": s.issuer, "request_parameter_supported": true, "request_uri_parameter_supported": false, "claims_parameter_supported": true, "authorization_response_iss_parameter_supported": true,
				"backchannel_logout_supported": true, "backchannel_logout_session_supported": true, "frontchannel_logout_supported": true, "frontchannel_logout_session_supported": true, "require_pushed_authorization_requests": false,
			} {
				if m[name] != want {
					s.t.Errorf("%s: %v", name, m[name])
				}
			}
			for name, want := range map[string]string{
				"response_types_supported": "[code]", "response_modes_supported": "[query fragment form_post jwt query.jwt fragment.jwt form_post.jwt]", "subject_types_supported": "[pairwise]", "code_challenge_methods_supported": "[S256]",
			} {
				if fmt.Sprint(m[name]) != want {
					s.t.Errorf("%s: %v", name, m[name])
				}
			}
			for name, v := range m {
				if v == nil || fmt.Sprint(v) == "[]" || v == "" {
					s.t.Errorf("%s is empty", name)
				}
			}
		}},
		{"always-checked-keys", func(s *suite) {
			_, raw := (&browser{w: s.world}).get(s.issuer + "/jwks.json")
			var set struct{ Keys []map[string]string }
			if err := json.Unmarshal([]byte(raw), &set); err != nil {
				s.t.Fatal(err)
			}
			var kids []string
			for _, k := range set.Keys {
				if n, _ := base64.RawURLEncoding.DecodeString(k["n"]); k["kty"] == "RSA" && len(n) < 256 || k["kid"] == "" || slices.Contains(kids, k["kid"]) || k["use"] != "sig" {
					s.t.Errorf("%v", k)
				}
				kids = append(kids, k["kid"])
			}
		}},
	}
}

// moreFAPIModules are the negative and DPoP modules of FAPI 2.0.
func moreFAPIModules() []module {
	pushFails := func(name, want string, pairs ...string) module {
		return module{"fapi2-security-profile-final-" + name, func(s *suite) {
			status, out := s.fapi.call("/oauth2/par", must(url.Parse(s.fapi.authorize(pairs...)))(s.t).Query())
			if status != 400 || out["error"] != want {
				s.t.Errorf("got %d %v, want %s", status, out, want)
			}
		}}
	}
	// resource calls userinfo with a token of the FAPI 2 client and a proof.
	type call struct {
		s     *suite
		token string
		at    string
	}
	resource := func(name string, want int, run func(c call) (authorization string, proofs []string)) module {
		return module{"fapi2-security-profile-final-" + name, func(s *suite) {
			_, tok := s.fapi.redeem(s.browser().enter(s.push(s.fapi, "scope", "openid"), s.who).Query().Get("code"))
			c := call{s, tok["access_token"].(string), s.issuer + "/oauth2/userinfo"}
			s.fapi.post("/oauth2/token", url.Values{}, s.fapi.dpop) // for a nonce
			authorization, proofs := run(c)
			req := must(http.NewRequestWithContext(s.t.Context(), http.MethodGet, c.at, nil))(s.t)
			req.Header.Set("Authorization", authorization)
			req.Header["DPOP"] = append(req.Header["DPOP"], proofs...) // as some clients write it
			res := must(http.DefaultTransport.RoundTrip(req))(s.t)
			res.Body.Close()
			if res.StatusCode != want {
				s.t.Errorf("got %d %v, want %d", res.StatusCode, res.Header["Www-Authenticate"], want)
			}
		}}
	}
	with := func(name string, want int, change ...spoil) module {
		return resource("ensure-dpopproof-"+name, want, func(c call) (string, []string) {
			return "DPoP " + c.token, []string{c.s.fapi.dpop.proof(http.MethodGet, c.at, c.token, change...)}
		})
	}
	ago := func(d time.Duration) spoil {
		return func(_, claims map[string]any) { claims["iat"] = claims["iat"].(int64) + int64(d/time.Second) }
	}
	return []module{
		pushFails("response-type-token-fails", "unsupported_response_type", "response_type", "token"),
		pushFails("response-type-code-idtoken-fails", "unsupported_response_type", "response_type", "code id_token"),
		pushFails("par-request-uri-in-par-fails", "invalid_request", "request_uri", "urn:ietf:params:oauth:request_uri:x"),
		pushFails("par-unregistered-redirect-uri", "invalid_request", "redirect_uri", "https://otra.example/cb"),
		{"fapi2-security-profile-final-par-mismatched-client-id", func(s *suite) {
			if status, out := s.fapi.call("/oauth2/par", must(url.Parse(s.fapi.authorize("client_id", "fapi-dos")))(s.t).Query()); status != 401 || out["error"] != "invalid_client" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		pushFails("par-malformed-dpop-jkt", "invalid_request", "dpop_jkt", "x"),
		{"fapi2-security-profile-final-par-invalid-http-verb", func(s *suite) {
			if res, _ := s.browser().get(s.issuer + "/oauth2/par"); res.StatusCode != http.StatusMethodNotAllowed {
				s.t.Errorf("%d", res.StatusCode)
			}
		}},
		{"fapi2-security-profile-final-client-assertion-missing", func(s *suite) {
			form := must(url.Parse(s.fapi.authorize()))(s.t).Query()
			res, body := (&browser{w: s.world}).do(http.MethodPost, s.issuer+"/oauth2/par", "application/x-www-form-urlencoded", form.Encode())
			if res.StatusCode != 401 || !strings.Contains(body, "invalid_client") {
				s.t.Errorf("%d %s", res.StatusCode, body)
			}
		}},
		{"fapi2-security-profile-final-par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted", func(s *suite) {
			form := must(url.Parse(s.fapi.authorize()))(s.t).Query()
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", s.fapi.assertion(func(c map[string]any) { c["nbf"], c["iat"] = s.clock.Now().Unix()+8, s.clock.Now().Unix()+8 }))
			if res, body := (&browser{w: s.world}).do(http.MethodPost, s.issuer+"/oauth2/par", "application/x-www-form-urlencoded", form.Encode()); res.StatusCode != 201 {
				s.t.Errorf("%d %s", res.StatusCode, body)
			}
		}},
		{"fapi2-security-profile-final-ensure-pkce-code-verifier-wrong", func(s *suite) {
			code := s.browser().enter(s.push(s.fapi), s.who).Query().Get("code")
			if status, out := s.fapi.redeem(code, "code_verifier", strings.Repeat("w", 43)); status != 400 || out["error"] != "invalid_grant" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"fapi2-security-profile-final-ensure-holder-of-key-required", func(s *suite) {
			code := s.browser().enter(s.push(s.fapi), s.who).Query().Get("code")
			form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {s.fapi.redirect}, "code_verifier": {verifier}}
			if res, out := s.fapi.postProofs("/oauth2/token", form, nil); res.StatusCode != 400 || out["error"] != "invalid_dpop_proof" {
				s.t.Errorf("%d %v", res.StatusCode, out)
			}
		}},
		{"fapi2-security-profile-final-ensure-dpop-auth-code-binding-success", func(s *suite) {
			back := s.browser().enter(s.push(s.fapi, "dpop_jkt", s.fapi.dpop.jkt()), s.who)
			if status, out := s.fapi.redeem(back.Query().Get("code")); status != 200 || out["token_type"] != "DPoP" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"fapi2-security-profile-final-ensure-token-endpoint-fails-with-mismatched-dpop-jkt", func(s *suite) {
			back := s.browser().enter(s.push(s.fapi, "dpop_jkt", newDPoPKey(s.world).jkt()), s.who)
			if status, out := s.fapi.redeem(back.Query().Get("code")); status != 400 || out["error"] != "invalid_grant" {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		{"fapi2-security-profile-final-refresh-token", func(s *suite) {
			back := s.browser().enter(s.push(s.fapi, "scope", "openid offline_access"), s.who)
			_, tok := s.fapi.redeem(back.Query().Get("code"))
			status, out := s.fapi.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}})
			if status != 200 || out["token_type"] != "DPoP" || out["refresh_token"] != tok["refresh_token"] {
				s.t.Errorf("%d %v", status, out)
			}
		}},
		resource("access-token-type-header-case-sensitivity", 200, func(c call) (string, []string) {
			return "dpOP " + c.token, []string{c.s.fapi.dpop.proof(http.MethodGet, c.at, c.token)}
		}),
		resource("ensure-dpopproof-two-proofs", 401, func(c call) (string, []string) {
			k := c.s.fapi.dpop
			return "DPoP " + c.token, []string{k.proof(http.MethodGet, c.at, c.token), k.proof(http.MethodGet, c.at, c.token)}
		}),
		resource("ensure-dpopproof-missing", 401, func(c call) (string, []string) { return "DPoP " + c.token, nil }),
		resource("ensure-dpopproof-malformed", 401, func(c call) (string, []string) { return "DPoP " + c.token, []string{"x.y.z"} }),
		resource("ensure-bearer-downgrade-fails", 401, func(c call) (string, []string) { return "Bearer " + c.token, nil }),
		resource("ensure-bearer-downgrade-with-proof-fails", 401, func(c call) (string, []string) {
			return "Bearer " + c.token, []string{c.s.fapi.dpop.proof(http.MethodGet, c.at, c.token)}
		}),
		resource("ensure-dpopproof-of-another-key", 401, func(c call) (string, []string) {
			k := newDPoPKey(c.s.world)
			k.nonce = c.s.fapi.dpop.nonce
			return "DPoP " + c.token, []string{k.proof(http.MethodGet, c.at, c.token)}
		}),
		resource("ensure-dpopproof-with-bad-signature", 401, func(c call) (string, []string) {
			p := c.s.fapi.dpop.proof(http.MethodGet, c.at, c.token)
			return "DPoP " + c.token, []string{p[:len(p)-8] + "AAAAAAAA"}
		}),
		with("happy-flow", 200), with("with-iat-10seconds-before-succeeds", 200, ago(-10*time.Second)), with("with-iat-10seconds-after-succeeds", 200, ago(10*time.Second)),
		with("with-extra-claims", 200, set("extra", "x")), with("with-query-in-htu", 200, func(_, c map[string]any) { c["htu"] = c["htu"].(string) + "?a=b#c" }),
		with("with-iat-an-hour-before-fails", 401, ago(-time.Hour)), with("with-iat-an-hour-after-fails", 401, ago(time.Hour)),
		with("missing-typ", 401, without("typ")), with("missing-alg", 401, without("alg")), with("missing-jwk", 401, without("jwk")), with("missing-jti", 401, without("jti")),
		with("missing-htm", 401, without("htm")), with("missing-htu", 401, without("htu")), with("missing-iat", 401, without("iat")), with("missing-ath", 401, without("ath")),
		with("wrong-typ", 401, setHead("typ", "jwt")), with("alg-RS256", 401, setHead("alg", "RS256")), with("alg-none", 401, setHead("alg", "none")), with("wrong-htm", 401, set("htm", "POST")),
		with("wrong-htu", 401, set("htu", "https://otro.example/oauth2/userinfo")), with("wrong-ath", 401, set("ath", strings.Repeat("A", 43))),
		{"fapi2-security-profile-final-ensure-dpopproof-replay-fails", func(s *suite) {
			_, tok := s.fapi.redeem(s.browser().enter(s.push(s.fapi, "scope", "openid"), s.who).Query().Get("code"))
			s.fapi.post("/oauth2/token", url.Values{}, s.fapi.dpop)
			token, at := tok["access_token"].(string), s.issuer+"/oauth2/userinfo"
			proof := s.fapi.dpop.proof(http.MethodGet, at, token)
			for i, want := range []int{200, 401} {
				if res, _ := (&browser{w: s.world}).do(http.MethodGet, at, "", "", "Authorization", "DPoP "+token, "DPoP", proof); res.StatusCode != want {
					s.t.Errorf("use %d: got %d, want %d", i+1, res.StatusCode, want)
				}
			}
		}},
		{"fapi2-security-profile-final-client-assertion-with-RS256-fails", func(s *suite) {
			good := s.fapi.assertion(nil)
			head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k1"}`))
			form := must(url.Parse(s.fapi.authorize()))(s.t).Query()
			form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
			form.Set("client_assertion", head+good[strings.IndexByte(good, '.'):])
			if res, _ := (&browser{w: s.world}).do(http.MethodPost, s.issuer+"/oauth2/par", "application/x-www-form-urlencoded", form.Encode()); res.StatusCode != 401 {
				s.t.Errorf("%d", res.StatusCode)
			}
		}},
	}
}
