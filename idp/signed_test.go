package idp_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// requestObject signs an authorization request; change may spoil header and claims.
func (a *app) requestObject(change ...spoil) string {
	head, claims := a.requestClaims(change...)
	return a.signed(head, string(claims))
}

// requestClaims are the header and the claims of a request object.
func (a *app) requestClaims(change ...spoil) (head map[string]any, claims []byte) {
	now := a.w.clock.Now()
	c := map[string]any{"iss": a.id, "aud": a.w.issuer, "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name, values := range must(url.Parse(a.authorize("max_age", "300")))(a.w.t).Query() {
		c[name] = values[0]
	}
	c["max_age"] = 300
	head = map[string]any{"typ": "oauth-authz-req+jwt"}
	for _, f := range change {
		f(head, c)
	}
	return head, must(json.Marshal(c))(a.w.t)
}

// signed makes a JWS of a text with the client's key.
func (a *app) signed(head map[string]any, text string) string {
	opts := &jose.SignerOptions{}
	for name, v := range head {
		opts = opts.WithHeader(jose.HeaderKey(name), v)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: a.key, KeyID: "k1"}}, opts))(a.w.t)
	return must(must(signer.Sign([]byte(text)))(a.w.t).CompactSerialize())(a.w.t)
}

// TestRequestObjects: RFC 9101, by value and pushed.
func TestRequestObjects(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		f := w.register(idp.Client{ID: "fapi", Profile: idp.ProfileFAPI2})
		g := w.register(idp.Client{ID: "web", Profile: idp.ProfileWeb})
		secret := w.register(idp.Client{ID: "clave", Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic"})
		push := func(a *app, object string, pairs ...string) (int, map[string]any) {
			form := url.Values{"request": {object}, "client_id": {a.id}}
			for i := 0; i+1 < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			return a.call("/oauth2/par", form)
		}
		status, out := push(f, f.requestObject(), "nonce", "outside", "state", "outside", "scope", "openid email", "redirect_uri", "https://otra.example/cb")
		uri, _ := out["request_uri"].(string)
		if status != 201 {
			w.t.Fatalf("pushed request object: %d %v", status, out)
		}
		back := w.browser().enter(w.issuer+"/oauth2/authorize?"+url.Values{"client_id": {f.id}, "request_uri": {uri}}.Encode(), who)
		_, tok := f.redeem(back.Query().Get("code"))
		if claimsOf(w.t, tok["id_token"])["nonce"] != "n-1" || back.Query().Get("state") != "st" || tok["scope"] != "openid profile" {
			w.t.Errorf("parameters outside the object counted: %v %v", back, tok)
		}
		byValue := func(a *app, object string, pairs ...string) string {
			q := url.Values{"client_id": {a.id}, "request": {object}}
			for i := 0; i+1 < len(pairs); i += 2 {
				q.Set(pairs[i], pairs[i+1])
			}
			return w.issuer + "/oauth2/authorize?" + q.Encode()
		}
		br := w.browser()
		_, tok = g.redeem(br.enter(byValue(g, g.requestObject(), "nonce", "outside"), who).Query().Get("code"))
		if claimsOf(w.t, tok["id_token"])["nonce"] != "n-1" {
			w.t.Errorf("by value: %v", tok)
		}
		w.clock.Add(301 * time.Second) // max_age of the object, a number there
		if _, _, page := br.follow(byValue(g, g.requestObject())); !strings.Contains(page, "data-llave") {
			w.t.Error("max_age of the object did not count")
		}
		_, _, page := br.follow(byValue(g, g.requestObject(set("claims", map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "value": "urn:suti:acr:n3"}}}), without("max_age"))))
		if strings.Contains(page, `value="accept"`) || strings.Contains(page, "code=") {
			w.t.Error("claims of the object did not count")
		}
		now := func(d time.Duration) int64 { return w.clock.Now().Add(d).Unix() }
		for name, change := range map[string]spoil{
			"no iss": without("iss"), "another iss": set("iss", "web"), "no aud": without("aud"), "another aud": set("aud", "https://otro.example"), "no exp": without("exp"), "no nbf": without("nbf"),
			"expired": set("exp", now(-time.Minute)), "exp over an hour": set("exp", now(2*time.Hour)), "nbf over an hour ago": set("nbf", now(-2*time.Hour)), "nbf ahead": set("nbf", now(time.Minute)),
			"sub the client": set("sub", "fapi"), "no client_id": without("client_id"), "another client_id": set("client_id", "web"), "request inside": set("request", "x"), "request_uri inside": set("request_uri", "x"),
			"a list": set("scope", []string{"openid"}), "null": set("state", nil), "a fraction": set("max_age", 1.5), "typ of a client assertion": setHead("typ", "client-authentication+jwt"), "typ of an access token": setHead("typ", "at+jwt"), "typ of any JWT": setHead("typ", "JWT"), "iat ahead": set("iat", now(time.Minute)), "iss a number": set("iss", 1),
			"members told by case": func(_, c map[string]any) { c["ISS"] = c["iss"]; delete(c, "iss") },
		} {
			if status, out := push(f, f.requestObject(change)); status != 400 || out["error"] != "invalid_request_object" {
				w.t.Errorf("%s: got %d %v, want invalid_request_object", name, status, out)
			}
		}
		for name, change := range map[string]spoil{"nbf 8 s ahead": set("nbf", now(8*time.Second)), "several audiences": set("aud", []string{"https://otro.example", w.issuer}), "sub of somebody": set("sub", "x")} {
			if status, out := push(f, f.requestObject(change)); status != 201 {
				w.t.Errorf("%s: got %d %v", name, status, out)
			}
		}
		good := f.requestObject()
		for name, object := range map[string]string{
			"not a JWS": "x", "alg none": "eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".", "bad signature": good[:len(good)-8] + "AAAAAAAA",
			"a client assertion": f.assertion(nil), "signed by another client": (&app{w: w, id: f.id, key: g.key, redirect: f.redirect}).requestObject(),
		} {
			if status, out := push(f, object); status != 400 || out["error"] != "invalid_request_object" {
				w.t.Errorf("%s: got %d %v, want invalid_request_object", name, status, out)
			}
			res, _ := w.browser().get(byValue(f, object, "redirect_uri", f.redirect))
			if res.StatusCode != 400 || res.Header.Get("Location") != "" {
				w.t.Errorf("%s by value: got %d to %q, want a page", name, res.StatusCode, res.Header.Get("Location"))
			}
		}
		if _, out := push(f, f.requestObject(set("redirect_uri", "https://otra.example/cb"))); out["error"] != "invalid_request" {
			w.t.Errorf("address that is not registered: %v", out)
		}
		if _, out := push(f, f.requestObject(without("code_challenge"))); out["error"] != "invalid_request" {
			w.t.Errorf("no challenge: %v", out)
		}
		if got := w.browser().errorOf(byValue(f, f.requestObject())); got != "invalid_request" { // still must push
			w.t.Errorf("gov-fapi2 by value: %s", got)
		}
		if got := w.browser().errorOf(secret.authorize("request", good)); got != "request_not_supported" {
			w.t.Errorf("client without keys: %s", got)
		}
		// A request object is no client assertion.
		form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {f.requestObject(set("jti", "1"), set("sub", "x"))}}
		if res, _ := (&browser{w: w}).do(http.MethodPost, w.issuer+"/oauth2/token", "application/x-www-form-urlencoded", form.Encode()); res.StatusCode != 401 {
			w.t.Errorf("a request object authenticates a client: %d", res.StatusCode)
		}
	})
}

// TestSignedResponses: JWT Secured Authorization Response Mode, in each mode.
func TestSignedResponses(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app", Profile: idp.ProfileWeb, IDTokenAlg: "EdDSA"})
		br := w.browser()
		br.enter(a.authorize(), who)
		answer := func(mode string, pairs ...string) url.Values {
			w.t.Helper()
			outside, _, page := br.follow(a.authorize(append(pairs, "response_mode", mode)...))
			switch {
			case mode == "form_post.jwt":
				m := regexp.MustCompile(`name="response" value="([^"]+)"`).FindStringSubmatch(page)
				if outside != nil || m == nil || strings.Contains(page, `name="code"`) {
					w.t.Fatalf("%s: no form with a response:\n%s", mode, page)
				}
				return url.Values{"response": {html.UnescapeString(m[1])}}
			case outside == nil:
				w.t.Fatalf("%s: no answer", mode)
			case mode == "fragment.jwt":
				return must(url.ParseQuery(outside.EscapedFragment()))(w.t)
			}
			return outside.Query()
		}
		for _, mode := range []string{"jwt", "query.jwt", "fragment.jwt", "form_post.jwt"} {
			q := answer(mode)
			if len(q) != 1 {
				w.t.Errorf("%s: something stands outside the response: %v", mode, q)
			}
			head, c := w.published(q.Get("response"))
			code, _ := c["code"].(string)
			if life := c["exp"].(float64) - float64(w.clock.Now().Unix()); head["alg"] != "EdDSA" || c["iss"] != w.issuer || c["aud"] != "app" || c["state"] != "st" || life <= 0 || life > 600 {
				w.t.Errorf("%s: %v %v", mode, head, c)
			}
			if status, out := a.redeem(code); status != 200 {
				w.t.Errorf("%s: %d %v", mode, status, out)
			}
			if got := br.errorOf(a.authorize("id_token_hint", q.Get("response"))); got != "invalid_request" {
				w.t.Errorf("a response passes for an ID token: %s", got)
			}
			_, c = w.published(answer(mode, "scope", "unknown", "state", "").Get("response"))
			if _, has := c["state"]; has || c["error"] != "invalid_scope" || c["code"] != nil {
				w.t.Errorf("%s: error %v", mode, c)
			}
		}
		_, m := w.metadata()
		if list, _ := m["authorization_signing_alg_values_supported"].([]any); len(list) != 4 || m["request_parameter_supported"] != true {
			w.t.Errorf("metadata %v", m)
		}
	})
}
