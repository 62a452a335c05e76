package idp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/internal/identity"
)

// TestNoValuePassesForAnother shows every kind of bearer value wherever another is expected.
func TestNoValuePassesForAnother(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, Scopes: []string{"openid", "profile", "offline_access", "firmas:leer"}, Grants: []string{"authorization_code", "refresh_token", "client_credentials"}})
		br := w.browser()
		tok := a.tokens(br, who)
		code := br.enter(a.authorize(), who).Query().Get("code")
		_, pushed := a.call("/oauth2/par", must(url.Parse(a.authorize()))(w.t).Query())
		_, own := a.call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}})
		_, bare := a.redeem(br.enter(a.authorize("scope", "profile"), who).Query().Get("code"))
		values := map[string]string{
			"code": code, "access": tok["access_token"].(string), "refresh": tok["refresh_token"].(string), "ID token": tok["id_token"].(string), "request_uri": pushed["request_uri"].(string),
			"session cookie": br.cookie(session.CookieName), "browser cookie": br.cookie("__Host-suti-entrada"), "assertion": a.assertion(nil), "client's own": own["access_token"].(string),
		}
		info := func(token string) (int, string, string) {
			res, body := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+token)
			var out struct{ Sub string }
			_ = json.Unmarshal([]byte(body), &out)
			return res.StatusCode, out.Sub, res.Header.Get("WWW-Authenticate")
		}
		for kind, v := range values {
			want := http.StatusUnauthorized
			switch kind {
			case "access":
				want = http.StatusOK
			case "client's own":
				want = http.StatusForbidden // live, but nobody stands behind it
			}
			if status, sub, why := info(v); status != want || want == 403 && !strings.Contains(why, "insufficient_scope") || want != 200 && sub != "" {
				w.t.Errorf("%s at userinfo: %d %q, want %d", kind, status, why, want)
			}
			if a.active(v) != (kind == "access" || kind == "client's own") {
				w.t.Errorf("%s at introspection: active %v", kind, a.active(v))
			}
			if kind != "refresh" {
				if status, out := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {v}}); status != 400 || out["error"] != "invalid_grant" {
					w.t.Errorf("%s as refresh token: %d %v", kind, status, out)
				}
			}
			if kind != "code" {
				if status, out := a.redeem(v); status != 400 || out["error"] != "invalid_grant" {
					w.t.Errorf("%s as code: %d %v", kind, status, out)
				}
			}
			for _, name := range []string{session.CookieName, "__Host-suti-entrada"} {
				other := w.browser()
				other.set(name, v)
				if _, err := other.principal(); (err == nil) != (kind == "session cookie" && name == session.CookieName) {
					w.t.Errorf("%s as cookie %s: %v", kind, name, err)
				}
			}
			r := must(http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.issuer, nil))(w.t)
			r.Header.Set("Authorization", "Bearer "+v)
			if _, err := w.p.APIClient(r); (err == nil) != (kind == "client's own") {
				w.t.Errorf("%s at our own interfaces: %v", kind, err)
			}
		}
		if status, sub, _ := info(bare["access_token"].(string)); status != http.StatusForbidden || sub != "" {
			w.t.Errorf("token without openid at userinfo: %d %q", status, sub)
		}
	})
}
