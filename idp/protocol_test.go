package idp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

func TestOneLoginTwoApplicationsOneLogout(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, PostLogoutURIs: []string{"https://app-a.example/fin"}})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb, Institution: insB})
		br := w.browser()
		back := br.enter(a.authorize(), who)
		if got := back.Query(); got.Get("iss") != w.issuer || got.Get("state") != "st" || !strings.HasPrefix(back.String(), a.redirect+"?") {
			t := w.t
			t.Fatalf("response %v", back)
		}
		status, ta := a.redeem(back.Query().Get("code"))
		if status != 200 {
			w.t.Fatalf("token: %d %v", status, ta)
		}
		ca := claimsOf(w.t, ta["id_token"])
		if ca["nonce"] != "n-1" || ca["acr"] != identity.N2.ACR() || ca["aud"] != "app-a" {
			w.t.Errorf("ID token claims %v", ca)
		}
		// The second application needs consent but no authentication.
		outside, _, page := br.follow(b.authorize("state", ""))
		if outside != nil || strings.Contains(page, "data-llave") || !strings.Contains(page, `value="accept"`) || !strings.Contains(page, "Ana María Mamani Quispe") {
			w.t.Fatalf("second application: want the consent page that names the person")
		}
		back = br.accept(page)
		if _, sent := back.Query()["state"]; sent {
			w.t.Error("state was answered though none was sent")
		}
		_, tb := b.redeem(back.Query().Get("code"))
		cb := claimsOf(w.t, tb["id_token"])
		if ca["sub"] == cb["sub"] || ca["sid"] == cb["sid"] {
			w.t.Error("two institutions see the same subject or session id")
		}
		if !a.active(ta["access_token"]) || !b.active(tb["access_token"]) {
			w.t.Fatal("tokens are not active before logout")
		}
		if b.active(ta["access_token"]) {
			w.t.Error("another client may read the token")
		}
		logout := w.issuer + "/oauth2/logout?" + url.Values{"id_token_hint": {ta["id_token"].(string)}, "post_logout_redirect_uri": {"https://app-a.example/fin"}, "state": {"bye"}}.Encode()
		if outside, _, _ := br.follow(logout); outside == nil || outside.String() != "https://app-a.example/fin?state=bye" {
			w.t.Errorf("logout led to %v", outside)
		}
		if a.active(ta["access_token"]) || b.active(tb["access_token"]) {
			w.t.Error("a token survived logout")
		}
		if outside, _, _ := br.follow(a.authorize("prompt", "none")); outside == nil || outside.Query().Get("error") != "login_required" {
			w.t.Errorf("prompt=none after logout: %v", outside)
		}
	})
}

func TestUserInfoReleasesWhatScopesOpen(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, page := br.follow(a.authorize("scope", "openid profile email unknown"))
		_, _, page = br.follow(br.login(page, who))
		code := br.accept(page, "no-email").Query().Get("code") // the person leaves the e-mail out
		_, tok := a.redeem(code)
		if tok["scope"] != "openid profile" {
			w.t.Errorf("granted scope %q", tok["scope"])
		}
		info := func(token string) (int, string, map[string]any) {
			res, body := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+token)
			var out map[string]any
			_ = json.Unmarshal([]byte(body), &out)
			return res.StatusCode, res.Header.Get("WWW-Authenticate"), out
		}
		access := tok["access_token"].(string)
		status, _, got := info(access)
		if status != 200 || got["name"] != "Ana María Mamani Quispe" || got["birthdate"] != "1990-05-02" || got["email"] != nil || got["sub"] != claimsOf(w.t, tok["id_token"])["sub"] {
			w.t.Errorf("userinfo: %d %v", status, got)
		}
		for name, bad := range map[string]string{"cut": access[:len(access)-1], "extended": access + "A", "empty": "", "the ID token": tok["id_token"].(string)} {
			if status, auth, _ := info(bad); status != 401 || !strings.HasPrefix(auth, "Bearer") {
				w.t.Errorf("%s token: got %d %q, want 401 with a challenge", name, status, auth)
			}
		}
		w.clock.Add(61 * time.Second)
		if status, _, _ := info(access); status != 401 {
			w.t.Errorf("expired token: got %d, want 401", status)
		}
	})
}

func TestBackChannelErrors(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		plain := &browser{w: w}
		for name, c := range map[string]struct {
			contentType, body string
			status            int
			code              string
		}{
			"no body":         {"application/x-www-form-urlencoded", "", 401, "invalid_client"},
			"json":            {"application/json", "{}", 415, "invalid_request"},
			"repeated":        {"application/x-www-form-urlencoded", "grant_type=a&grant_type=b&client_id=app-a", 400, "invalid_request"},
			"no credentials":  {"application/x-www-form-urlencoded", "grant_type=authorization_code&client_id=app-a", 401, "invalid_client"},
			"unknown client":  {"application/x-www-form-urlencoded", "grant_type=authorization_code&client_id=nobody", 401, "invalid_client"},
			"control letters": {"application/x-www-form-urlencoded", "grant_type=%00&client_id=app-a", 400, "invalid_request"},
		} {
			res, body := plain.do(http.MethodPost, w.issuer+"/oauth2/token", c.contentType, c.body)
			var out map[string]string
			_ = json.Unmarshal([]byte(body), &out)
			if res.StatusCode != c.status || out["error"] != c.code || res.Header.Get("Cache-Control") != "no-store" {
				w.t.Errorf("%s: got %d %q, want %d %s", name, res.StatusCode, body, c.status, c.code)
			}
		}
		if status, out := a.call("/oauth2/token", url.Values{"grant_type": {"password"}}); status != 400 || out["error"] != "unsupported_grant_type" {
			w.t.Errorf("password grant: %d %v", status, out)
		}
		res, _ := plain.do(http.MethodPost, w.issuer+"/oauth2/token", "application/x-www-form-urlencoded", "grant_type=x", "Authorization", "Basic !!!")
		if res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") == "" {
			w.t.Errorf("bad Basic: got %d without a challenge", res.StatusCode)
		}
		if res, _ := plain.get(w.issuer + "/oauth2/token"); res.StatusCode != http.StatusMethodNotAllowed {
			w.t.Errorf("GET on the token endpoint: %d", res.StatusCode)
		}
	})
}
