package idp_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// naughty are values that break parsers, logs, pages or queries.
func naughty() []string {
	return []string{
		"", " ", "\x00", "\xff\xfe", "a\r\nSet-Cookie: x=y", "\u202etxt", "\ufeff", "💣", strings.Repeat("a", 1000), strings.Repeat("a", 100_000), strings.Repeat("%00", 400),
		`"><script>alert(1)</script>`, `' OR '1'='1`, `'; DROP TABLE idp_client; --`, "${jndi:ldap://x}", "{{.}}", "../../../etc/passwd", "null", "true", "-1", "1e309", "NaN",
		"9999999999999999999999", `{"a":`, `[[[[[[[[`, "http://169.254.169.254/", "javascript:alert(1)", "//evil.example", "\\\\evil", "urn:ietf:params:oauth:request_uri:", "%", "%zz", ";", "a=b&c=d",
		"eyJhbGciOiJub25lIn0.e30.", "suti_at_" + strings.Repeat("A", 43), "suti_rt_" + strings.Repeat("A", 43),
	}
}

// TestHostileValues puts each value into each parameter of each endpoint: never
// a 5xx, never a redirect elsewhere, never the value unescaped in a page.
func TestHostileValues(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA, PostLogoutURIs: []string{"https://spa.example/fin"}})
		br := w.browser()
		br.enter(a.authorize(), who)
		_, _, page := br.follow(a.authorize("prompt", "consent"))
		at := interactionRE.FindString(page)
		base := must(url.Parse(a.authorize()))(w.t).Query()
		check := func(what, value string, res *http.Response, body string) {
			if res.StatusCode >= 500 {
				w.t.Errorf("%s = %.60q: %d", what, value, res.StatusCode)
			}
			if loc := res.Header.Get("Location"); loc != "" && !strings.HasPrefix(loc, "/") && !strings.HasPrefix(loc, a.redirect+"?") && !strings.HasPrefix(loc, "https://spa.example/fin") {
				w.t.Errorf("%s = %.60q: sent to %.80q", what, value, loc)
			}
			if strings.Contains(body, "<script>alert") || res.Header.Get("Set-Cookie") == "x=y" {
				w.t.Errorf("%s = %.60q: the value came back as code", what, value)
			}
		}
		front := slices.Concat(slices.Collect(maps.Keys(base)), []string{"prompt", "max_age", "acr_values", "claims", "login_hint", "id_token_hint", "ui_locales", "response_mode", "request", "request_uri", "registration", "x-unknown"})
		for _, v := range naughty() {
			for _, name := range front {
				q := maps.Clone(base)
				q[name] = []string{v}
				res, body := br.get(w.issuer + "/oauth2/authorize?" + q.Encode())
				check("authorize "+name, v, res, body)
			}
			for _, name := range []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"} {
				res, body := br.get(w.issuer + "/oauth2/logout?" + url.Values{name: {v}, "client_id": {"spa"}}.Encode())
				check("logout "+name, v, res, body)
			}
			for path, names := range map[string][]string{
				"/oauth2/token": {"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "client_id", "client_secret", "client_assertion"},
				"/oauth2/par":   {"redirect_uri", "state", "claims", "client_id"}, "/oauth2/introspect": {"token", "client_id"}, "/oauth2/revoke": {"token", "token_type_hint"},
			} {
				for _, name := range names {
					form := url.Values{"client_id": {"spa"}, "grant_type": {"authorization_code"}, "code": {"x"}}
					form[name] = []string{v}
					res, body := (&browser{w: w}).do(http.MethodPost, w.issuer+path, "application/x-www-form-urlencoded", form.Encode())
					check("POST "+path+" "+name, v, res, body)
				}
			}
			for _, name := range []string{"decision", "seen", "no-profile", "username", "challenge", "password", "code", "device"} {
				for _, end := range []string{"/decision", "/celda", "/tarjeta"} {
					res, body := br.post(w.issuer+at+end, url.Values{name: {v}})
					check(end+" "+name, v, res, body)
				}
			}
			res, body := br.do(http.MethodPost, w.issuer+at+"/llave", "application/json", v, "Origin", w.issuer)
			check("passkey", v, res, body)
			if !strings.ContainsAny(v, "\x00\r\n") {
				res, body = (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+v)
				check("userinfo", v, res, body)
			}
			res, body = br.get(w.issuer + "/entrar?" + url.Values{"volver": {v}, "nivel": {v}, "edad": {v}, "llave": {v}}.Encode())
			check("entrar", v, res, body)
		}
		if back := br.enter(a.authorize(), who); back.Query().Get("code") == "" {
			w.t.Errorf("afterwards: %v", back)
		}
	})
}

// TestTooLargeBodies: a million bytes are refused everywhere without being kept.
func TestTooLargeBodies(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		_, _, page := w.browser().follow(a.authorize())
		big := "client_id=spa&grant_type=authorization_code&token=" + strings.Repeat("a", 1_000_000)
		for _, path := range []string{"/oauth2/token", "/oauth2/par", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/userinfo", "/oauth2/authorize", "/oauth2/logout", interactionRE.FindString(page) + "/decision"} {
			res, _ := (&browser{w: w}).do(http.MethodPost, w.issuer+path, "application/x-www-form-urlencoded", big)
			if res.StatusCode < 400 || res.StatusCode >= 500 {
				w.t.Errorf("%s: %d", path, res.StatusCode)
			}
		}
	})
}

// TestHeaders: what each kind of answer says to browsers and caches.
func TestHeaders(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		br := w.browser()
		res, _ := br.get(a.authorize())
		check := func(what string, res *http.Response, cache string, page bool) {
			w.t.Helper()
			h := res.Header
			if got := h.Get("Cache-Control"); got != cache {
				w.t.Errorf("%s: Cache-Control %q, want %q", what, got, cache)
			}
			if h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("Referrer-Policy") == "" {
				w.t.Errorf("%s: headers %v", what, h)
			}
			if page && h.Get("X-Frame-Options") != "DENY" {
				w.t.Errorf("%s: may be framed", what)
			}
		}
		check("authorize", res, "no-store", true)
		res, _ = br.get(w.issuer + res.Header.Get("Location"))
		check("login page", res, "no-store", true)
		_, _, body := br.follow(a.authorize())
		back := br.enter(br.login(body, who), who)
		br.get(a.authorize())
		_, _, body = br.follow(a.authorize("prompt", "consent"))
		res, _ = br.get(w.issuer + interactionRE.FindString(body))
		check("consent page", res, "no-store", true)
		form := url.Values{"decision": {"accept"}, "seen": {regexpGroup(w.t, `name="seen" value="([^"]+)"`)(body)}}
		res, _ = br.post(w.issuer+interactionRE.FindString(body)+"/decision", form)
		check("redirect with a code", res, "no-store", true)
		if res.StatusCode != 303 || res.Header.Get("Referrer-Policy") != "no-referrer" {
			w.t.Errorf("redirect with a code: %d, Referrer-Policy %q", res.StatusCode, res.Header.Get("Referrer-Policy"))
		}
		plain := &browser{w: w}
		post := func(path string, form url.Values) *http.Response {
			res, _ := plain.do(http.MethodPost, w.issuer+path, "application/x-www-form-urlencoded", form.Encode())
			return res
		}
		res = post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"spa"}, "code": {back.Query().Get("code")}, "redirect_uri": {a.redirect}, "code_verifier": {verifier}})
		check("token", res, "no-store", false)
		if res.StatusCode != 200 || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
			w.t.Errorf("token: %d %q", res.StatusCode, res.Header.Get("Content-Type"))
		}
		for _, path := range []string{"/oauth2/token", "/oauth2/par", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/userinfo"} {
			check("refused "+path, post(path, url.Values{"client_id": {"nobody"}}), "no-store", false)
		}
		for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/jwks.json"} {
			res, _ := plain.get(w.issuer + path)
			check(path, res, "public, max-age=300", false)
		}
		for _, ck := range res.Cookies() {
			w.t.Errorf("a protocol endpoint sets the cookie %s", ck.Name)
		}
		fresh := w.browser()
		res, _ = fresh.get(a.authorize())
		for _, raw := range res.Header.Values("Set-Cookie") {
			if !strings.HasPrefix(raw, "__Host-") || !strings.Contains(raw, "; Secure") || !strings.Contains(raw, "; HttpOnly") || !strings.Contains(raw, "; Path=/;") || !strings.Contains(raw, "SameSite=Lax") || strings.Contains(raw, "Domain") {
				w.t.Errorf("cookie %s", raw)
			}
		}
		for _, host := range []string{"evil.example", "localhost.evil.example"} {
			req := must(http.NewRequest(http.MethodGet, w.issuer+"/.well-known/openid-configuration", nil))(w.t)
			req.Host = host
			req.Header.Set("X-Forwarded-Host", host)
			res := must(http.DefaultTransport.RoundTrip(req))(w.t)
			var b bytes.Buffer
			_, _ = b.ReadFrom(res.Body)
			res.Body.Close()
			if strings.Contains(b.String(), host) {
				w.t.Errorf("the Host header is in the metadata")
			}
		}
	})
}

// TestMetadataIsTrue compares what discovery says with what endpoints do.
func TestMetadataIsTrue(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		plain := &browser{w: w}
		_, one := plain.get(w.issuer + "/.well-known/openid-configuration")
		_, two := plain.get(w.issuer + "/.well-known/oauth-authorization-server")
		var m, n map[string]any
		if json.Unmarshal([]byte(one), &m) != nil || json.Unmarshal([]byte(two), &n) != nil || !reflect.DeepEqual(m, n) {
			w.t.Fatalf("metadata: %s", one)
		}
		list := func(name string) []string {
			var out []string
			for _, v := range m[name].([]any) {
				out = append(out, v.(string))
			}
			return out
		}
		errorFor := func(pairs ...string) string { return w.browser().errorOf(a.authorize(pairs...)) }
		for name, v := range m {
			if s, ok := v.(string); ok && !strings.HasPrefix(s, w.issuer) {
				w.t.Errorf("%s = %q is not ours", name, s)
			}
			if strings.HasSuffix(name, "_endpoint") || name == "jwks_uri" {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					res, _ := plain.do(method, v.(string), "application/x-www-form-urlencoded", "")
					if res.StatusCode == http.StatusNotFound || res.StatusCode >= 500 {
						w.t.Errorf("%s %s: %d", method, name, res.StatusCode)
					}
				}
			}
		}
		for _, mode := range []string{"query", "form_post", "fragment", "query.jwt"} {
			if served := errorFor("response_mode", mode) != "invalid_request"; served != slices.Contains(list("response_modes_supported"), mode) {
				w.t.Errorf("response mode %s: served %v", mode, served)
			}
		}
		for _, kind := range []string{"code", "token", "id_token", "code id_token", "none"} {
			if served := errorFor("response_type", kind) != "unsupported_response_type"; served != slices.Contains(list("response_types_supported"), kind) {
				w.t.Errorf("response type %s: served %v", kind, served)
			}
		}
		for _, p := range []string{"none", "login", "consent", "select_account", "create"} {
			if served := errorFor("prompt", p) != "invalid_request"; served != slices.Contains(list("prompt_values_supported"), p) {
				w.t.Errorf("prompt %s: served %v", p, served)
			}
		}
		for _, method := range []string{"S256", "plain"} {
			if served := errorFor("code_challenge_method", method) != "invalid_request"; served != slices.Contains(list("code_challenge_methods_supported"), method) {
				w.t.Errorf("challenge method %s: served %v", method, served)
			}
		}
		for _, g := range []string{"authorization_code", "refresh_token", "client_credentials", "password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange"} {
			_, out := a.call("/oauth2/token", url.Values{"grant_type": {g}})
			if served := out["error"] != "unsupported_grant_type"; served != slices.Contains(list("grant_types_supported"), g) {
				w.t.Errorf("grant %s: served %v", g, served)
			}
		}
		if m["request_parameter_supported"] != true || errorFor("request", a.requestObject()) != "page 200 OK" || m["request_uri_parameter_supported"] != false || errorFor("request_uri", "https://x.example") != "request_uri_not_supported" {
			w.t.Error("request objects: metadata and behaviour differ")
		}
		if m["claims_parameter_supported"] != true || errorFor("claims", "{") != "invalid_request" || m["authorization_response_iss_parameter_supported"] != true {
			w.t.Error("claims or iss: metadata and behaviour differ")
		}
		for _, scope := range list("scopes_supported") {
			s := w.register(idp.Client{ID: "ambito-" + strings.ReplaceAll(scope, "_", "-"), Profile: idp.ProfileWeb, Scopes: []string{scope}})
			if got := w.browser().errorOf(s.authorize("scope", scope)); got != "page 200 OK" {
				w.t.Errorf("scope %s: %s", scope, got)
			}
		}
	})
}
