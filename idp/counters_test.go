package idp_test

import (
	"math"
	"net/http"
	"net/url"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/idp/internal/live"
	"oruro.gob.bo/suti/internal/identity"
)

// TestStatements counts what each operation asks of the database, its audit
// entry included. What noise cannot touch is a test; times are benchmarks.
func TestStatements(t *testing.T) {
	each(t, func(w *world) {
		w.clock.Stop()
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", Scopes: []string{"openid", "profile", "offline_access", "firmas:leer"}, Grants: []string{"authorization_code", "refresh_token", "client_credentials"}})
		spa := w.register(idp.Client{ID: "app-spa", Profile: idp.ProfileSPA})
		count := func(name string, most int64, op func()) {
			t.Helper()
			op() // what is read once is read
			if err := w.p.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
			op()
			got := int64(math.MaxInt64)
			for range 3 { // a write that had to be run again is no part of it
				before := w.d.Stats().Statements
				op()
				got = min(got, w.d.Stats().Statements-before)
			}
			t.Logf("%s: %d statements", name, got)
			if got > most {
				t.Errorf("%s: %d statements, want at most %d", name, got, most)
			}
		}
		plain := &browser{w: w}
		count("discovery", 0, func() { plain.get(w.issuer + "/.well-known/openid-configuration") })
		count("jwks", 0, func() { plain.get(w.issuer + "/jwks.json") })
		var token string
		count("token", 2, func() {
			status, out := a.call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}})
			if status != http.StatusOK {
				t.Fatal(status, out)
			}
			token = out["access_token"].(string)
		})
		count("introspection", 0, func() { a.active(token) })
		w.clock.Add(live.MaxStale + time.Millisecond)
		before := w.d.Stats().Statements
		if !a.active(token) || w.d.Stats().Statements-before > 3 {
			t.Errorf("introspection where the feed was not read: %d statements, want 3: client, secrets, token", w.d.Stats().Statements-before)
		}
		br := w.browser()
		var tok map[string]any
		count("login", 23, func() {
			br = w.browser()
			code := br.enter(a.authorize(), who).Query().Get("code")
			_, tok = a.redeem(code)
		})
		count("login where one is signed in", 16, func() {
			code := br.enter(a.authorize(), who).Query().Get("code")
			_, tok = a.redeem(code)
		})
		count("userinfo", 1, func() {
			plain.do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+str(tok["access_token"]))
		})
		_, rt := a.redeem(br.enter(a.authorize("scope", "openid offline_access"), who).Query().Get("code"))
		count("refresh", 3, func() {
			if status, out := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {str(rt["refresh_token"])}}); status != http.StatusOK {
				t.Fatal(status, out)
			}
		})
		_, st := spa.redeem(br.enter(spa.authorize("scope", "openid offline_access"), who).Query().Get("code"))
		count("refresh with rotation", 5, func() {
			status, out := spa.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {str(st["refresh_token"])}})
			if status != http.StatusOK {
				t.Fatal(status, out)
			}
			st = out
		})
	})
}
func str(v any) string { s, _ := v.(string); return s }
