package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// TestEndsWinRaces lets refreshes, redemptions and entries race with each kind
// of end. Once the end was answered, nothing that came out of the race is alive.
func TestEndsWinRaces(t *testing.T) {
	each(t, func(w *world) {
		s := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		for name, end := range map[string]func(br *browser, who identity.PersonID, tok map[string]any){
			"revocation": func(_ *browser, _ identity.PersonID, tok map[string]any) {
				if status, _ := s.call("/oauth2/revoke", url.Values{"token": {tok["refresh_token"].(string)}}); status != 200 {
					w.t.Errorf("revoke: %d", status)
				}
			},
			"logout": func(br *browser, _ identity.PersonID, tok map[string]any) {
				br.get(w.issuer + "/oauth2/logout?id_token_hint=" + url.QueryEscape(tok["id_token"].(string)))
			},
			"suspension": func(_ *browser, who identity.PersonID, _ map[string]any) { w.bump(who, subject.Suspended) },
			"consent withdrawn": func(_ *browser, who identity.PersonID, _ map[string]any) {
				_ = w.p.RevokeConsent(w.t.Context(), who, s.id)
			},
		} {
			for range 3 {
				who := w.person(identity.N2)
				br := w.browser()
				tok := s.tokens(br, who)
				code := br.enter(s.authorize("scope", "openid profile offline_access"), who).Query().Get("code")
				var mu sync.Mutex
				var access, refresh []string
				keep := func(out map[string]any) {
					mu.Lock()
					defer mu.Unlock()
					if v, ok := out["access_token"].(string); ok {
						access = append(access, v)
					}
					if v, ok := out["refresh_token"].(string); ok {
						refresh = append(refresh, v)
					}
				}
				dbtest.Contend(w.t, 8, func(i int) {
					switch {
					case i == 0:
						end(br, who, tok)
					case i == 1 && name != "revocation": // a revocation ends one grant; the code is another's
						_, out := s.redeem(code)
						keep(out)
					default:
						_, out := s.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}})
						keep(out)
					}
				})
				for _, v := range access {
					if res, _ := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+v); res.StatusCode != 401 {
						w.t.Errorf("%s: an access token lives: %d", name, res.StatusCode)
					}
				}
				for _, v := range append(refresh, tok["refresh_token"].(string)) {
					if status, _ := s.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {v}}); status != 400 {
						w.t.Errorf("%s: a refresh token lives: %d", name, status)
					}
				}
			}
		}
	})
}

// TestOneCodeForOnePushedRequestUnderContention: eight tabs hold the consent
// page of one pushed request and agree at once.
func TestOneCodeForOnePushedRequestUnderContention(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		f := w.register(idp.Client{ID: "fapi", Profile: idp.ProfileFAPI2})
		br := w.browser()
		_, _, page := br.follow(w.issuer + "/entrar")
		br.login(page, who)
		_, out := f.call("/oauth2/par", must(url.Parse(f.authorize()))(w.t).Query())
		visit := w.issuer + "/oauth2/authorize?" + url.Values{"client_id": {f.id}, "request_uri": {out["request_uri"].(string)}}.Encode()
		pages := make([]string, 8)
		for i := range pages {
			_, _, pages[i] = br.follow(visit)
		}
		seen := regexpGroup(w.t, `name="seen" value="([^"]+)"`)
		var codes atomic.Int64
		dbtest.Contend(w.t, len(pages), func(i int) {
			res, _ := br.post(w.issuer+interactionRE.FindString(pages[i])+"/decision", url.Values{"decision": {"accept"}, "seen": {seen(pages[i])}})
			if strings.Contains(res.Header.Get("Location"), "code=") {
				codes.Add(1)
				return
			}
			if res.StatusCode == http.StatusSeeOther { // the permission is known by now: the page shows something else
				_, res, _ = br.follow(w.issuer + res.Header.Get("Location"))
			}
			if res.StatusCode != http.StatusConflict {
				w.t.Errorf("a loser got %d", res.StatusCode)
			}
		})
		if codes.Load() != 1 || w.count(`SELECT count(1) FROM idp_code`) != 1 {
			w.t.Errorf("%d codes", codes.Load())
		}
	})
}
