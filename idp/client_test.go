package idp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

func TestClientAssertions(t *testing.T) {
	each(t, func(w *world) {
		f := w.register(idp.Client{ID: "fapi", Profile: idp.ProfileFAPI2, Scopes: []string{"firmas:leer"}, Grants: []string{"authorization_code", "client_credentials"}})
		g := w.register(idp.Client{ID: "web", Profile: idp.ProfileWeb, Scopes: []string{"firmas:leer"}, Grants: []string{"authorization_code", "client_credentials"}})
		key := newDPoPKey(w)
		f.post("/oauth2/token", ownToken(), key)
		try := func(a *app, assertion string, extra ...string) (int, map[string]any) {
			form := url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}, "client_assertion": {assertion},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
			for i := 0; i+1 < len(extra); i += 2 {
				form.Set(extra[i], extra[i+1])
			}
			var header []string
			if a == f { // its nonce comes with the first answer
				header = []string{"DPoP", key.proof(http.MethodPost, w.issuer+"/oauth2/token", "")}
			}
			res, body := (&browser{w: w}).do(http.MethodPost, w.issuer+"/oauth2/token", "application/x-www-form-urlencoded", form.Encode(), header...)
			var out map[string]any
			_ = json.Unmarshal([]byte(body), &out)
			return res.StatusCode, out
		}
		now := func(d time.Duration) int64 { return w.clock.Now().Add(d).Unix() }
		for name, change := range map[string]func(map[string]any){
			"array audience":      func(c map[string]any) { c["aud"] = []string{w.issuer} },
			"token endpoint":      func(c map[string]any) { c["aud"] = w.issuer + "/oauth2/token" },
			"no audience":         func(c map[string]any) { delete(c, "aud") },
			"other subject":       func(c map[string]any) { c["sub"] = "web" },
			"other issuer":        func(c map[string]any) { c["iss"] = "web" },
			"no jti":              func(c map[string]any) { delete(c, "jti") },
			"no exp":              func(c map[string]any) { delete(c, "exp") },
			"expired":             func(c map[string]any) { c["exp"] = now(-5 * time.Minute) },
			"ten years":           func(c map[string]any) { c["exp"] = now(10 * 365 * 24 * time.Hour) },
			"nbf a minute ahead":  func(c map[string]any) { c["nbf"] = now(61 * time.Second) },
			"iat a minute ahead":  func(c map[string]any) { c["iat"] = now(61 * time.Second) },
			"exp not a number":    func(c map[string]any) { c["exp"] = "soon" },
			"exp beyond all time": func(c map[string]any) { c["exp"] = 1e300 },
		} {
			if status, out := try(f, f.assertion(change)); status != 401 || out["error"] != "invalid_client" {
				w.t.Errorf("%s: got %d %v, want invalid_client", name, status, out)
			}
		}
		good := f.assertion(func(c map[string]any) { c["nbf"], c["iat"] = now(8*time.Second), now(8*time.Second) })
		if status, out := try(f, good); status != 200 {
			w.t.Errorf("8 s ahead: got %d %v, want 200", status, out)
		}
		if status, _ := try(f, good); status != 401 {
			w.t.Errorf("used twice: got %d, want 401", status)
		}
		if status, out := try(g, g.assertion(func(c map[string]any) { c["aud"] = w.issuer + "/oauth2/token" })); status != 200 {
			w.t.Errorf("gov-web with the token endpoint as audience: got %d %v", status, out)
		}
		if status, _ := try(f, strings.Replace(f.assertion(nil), ".", ".A", 1)); status != 401 {
			t := w.t
			t.Error("spoilt assertion accepted")
		}
		g.id = "fapi" // signed with another client's key
		if status, _ := try(g, g.assertion(nil)); status != 401 {
			w.t.Errorf("another client's key: got %d, want 401", status)
		}
		if status, out := try(f, f.assertion(nil), "scope", "openid"); status != 400 || out["error"] != "invalid_scope" {
			w.t.Errorf("a person's scope for the client itself: got %d %v", status, out)
		}
		jti := identity.NewID("jti", w.clock.Now())
		var won atomic.Int64
		dbtest.Contend(w.t, 16, func(int) {
			if status, _ := try(f, f.assertion(func(c map[string]any) { c["jti"] = jti })); status == 200 {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			w.t.Errorf("one jti passed %d times", won.Load())
		}
	})
}

func TestRefreshRotatesForPublicClients(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		s := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		br := w.browser()
		fresh := func() string {
			code := br.enter(s.authorize("scope", "openid offline_access"), who).Query().Get("code")
			status, out := s.redeem(code)
			rt, _ := out["refresh_token"].(string)
			if status != 200 || rt == "" {
				w.t.Fatalf("no refresh token: %d %v", status, out)
			}
			return rt
		}
		use := func(rt string, pairs ...string) (int, map[string]any) {
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {rt}}
			for i := 0; i+1 < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			return s.call("/oauth2/token", form)
		}
		first := fresh()
		got := make([]string, 12)
		dbtest.Contend(w.t, len(got), func(i int) {
			if status, out := use(first); status == 200 {
				got[i], _ = out["refresh_token"].(string)
			} else {
				w.t.Errorf("parallel refresh: %d %v", status, out)
			}
		})
		if slices.Sort(got); len(slices.Compact(got)) != 1 || got[0] == first {
			w.t.Errorf("parallel refreshes gave %d successors, want one", len(slices.Compact(got)))
		}
		w.clock.Add(21 * time.Second)
		if status, out := use(first); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("old token after the grace: got %d %v", status, out)
		}
		if status, _ := use(got[0]); status != 400 {
			w.t.Error("the family survived the reuse of an old token")
		}
		third := fresh()
		if status, out := use(third, "scope", "openid email"); status != 400 || out["error"] != "invalid_scope" {
			w.t.Errorf("wider scope: %d %v", status, out)
		}
		status, out := use(third, "scope", "openid")
		if status != 200 || out["scope"] != "openid" || claimsOf(w.t, out["id_token"])["nonce"] != nil {
			w.t.Errorf("narrower scope: %d %v", status, out)
		}
		thief := w.register(idp.Client{ID: "ladron", Profile: idp.ProfileSPA})
		next := out["refresh_token"].(string)
		if status, _ := thief.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next}}); status != 400 {
			w.t.Error("another client used the token")
		}
		if status, _ := use(next); status != 200 {
			w.t.Error("another client's try ended the rightful client's family")
		}
		w.bump(who, subject.Suspended)
		if status, _ := use(next); status != 400 {
			w.t.Error("a suspended person's token was refreshed")
		}
	})
}

func TestConfidentialClientKeepsItsRefreshToken(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		code := w.browser().enter(a.authorize("scope", "openid offline_access"), who).Query().Get("code")
		_, tok := a.redeem(code)
		form := func() url.Values {
			return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}
		}
		for range 3 {
			if status, out := a.call("/oauth2/token", form()); status != 200 || out["refresh_token"] != tok["refresh_token"] {
				w.t.Fatalf("refresh: %d %v", status, out)
			}
		}
		if status, _ := a.call("/oauth2/revoke", url.Values{"token": {tok["refresh_token"].(string)}}); status != 200 {
			w.t.Fatalf("revoke: %d", status)
		}
		if status, _ := a.call("/oauth2/token", form()); status != 400 {
			w.t.Error("a revoked token was refreshed")
		}
		if a.active(tok["access_token"]) {
			w.t.Error("the access token of a revoked grant is active")
		}
		if status, _ := a.call("/oauth2/revoke", url.Values{"token": {"unknown"}}); status != 200 {
			w.t.Error("revoking an unknown token is no success")
		}
	})
}
