package idp_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
)

// tryLogin proves to be a person on a login page and returns the answer, also a failure.
func (b *browser) tryLogin(at string, who identity.PersonID) (int, string) {
	_, raw := b.do(http.MethodPost, at+"/llave/opciones", "application/json", "{}", "Origin", b.w.issuer)
	var begun struct{ ID string }
	_ = json.Unmarshal([]byte(raw), &begun)
	answer, _ := json.Marshal(map[string]any{"id": begun.ID, "response": map[string]any{"person": who}})
	res, raw := b.do(http.MethodPost, at+"/llave", "application/json", string(answer), "Origin", b.w.issuer)
	return res.StatusCode, raw
}

// TestFaultAtEachStep breaks the login, token and logout flows once at each
// point between two durable steps. What was answered with an error may have
// happened or not; what a retry then yields must be whole, single and audited.
func TestFaultAtEachStep(t *testing.T) {
	// Failpoints are the process's: nothing here is parallel.
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			for _, point := range []string{
				failpoint.LoginRequestStored, failpoint.LoginAuthenticated, failpoint.LoginConsented, failpoint.LoginCodeIssued,
				failpoint.TokenBeforeCommit, failpoint.TokenAfterCommit, failpoint.LogoutAfterCommit, failpoint.RevokeTokenCommitted,
			} {
				t.Run(point, func(t *testing.T) { faultAt(t, newWorld(t, dbtest.Open(t, e, lines())), point) })
			}
		})
	}
}

func faultAt(t *testing.T, w *world, point string) {
	var hits int
	arm := func() func() {
		return failpoint.Arm(point, func() error {
			if hits++; hits > 1 {
				return nil
			}
			return errors.New("injected")
		})
	}
	who := w.person(identity.N2)
	s := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
	br := w.browser()
	disarm := arm()
	defer disarm()
	// Each step is repeated as a person or an application does after an error.
	again := func(what string, step func() int) {
		t.Helper()
		for range 3 { // a failure, at most one refusal that needs a new login, and success
			if status := step(); status < 500 {
				return
			}
		}
		t.Fatalf("%s never succeeds", what)
	}
	var code string
	login := func() int {
		res, _ := br.get(s.authorize("scope", "openid profile offline_access"))
		if res.StatusCode != http.StatusSeeOther {
			return res.StatusCode
		}
		at := must(res.Location())(t).String()
		for range 4 {
			outside, res, page := br.follow(at)
			switch {
			case outside != nil:
				code = outside.Query().Get("code")
				return 200
			case res.StatusCode >= 400: // 409: the answer was lost; the application begins anew
				return 500
			case strings.Contains(page, "data-llave"):
				again("authenticate", func() int { status, _ := br.tryLogin(at, who); return status })
			default:
				form := url.Values{"decision": {"accept"}, "seen": {regexpGroup(t, `name="seen" value="([^"]+)"`)(page)}}
				if res, _ := br.post(at+"/decision", form); res.StatusCode == http.StatusSeeOther {
					code = must(res.Location())(t).Query().Get("code")
					return 200
				}
			}
		}
		return 500
	}
	again("login", login)
	var tok map[string]any
	again("code", func() int {
		status, out := s.redeem(code)
		if status == 400 { // the first reply was lost with its tokens: reuse ends them, a new login is needed
			if point != failpoint.TokenAfterCommit || w.liveTokens() != 0 {
				t.Errorf("code refused, %d live tokens", w.liveTokens())
			}
			login()
			return 500
		}
		tok = out
		return status
	})
	w.checkIssued(t)
	if point == failpoint.TokenBeforeCommit || point == failpoint.TokenAfterCommit {
		hits = 0
	}
	old := tok["refresh_token"].(string)
	again("refresh", func() int {
		status, out := s.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old}})
		if status == 200 {
			tok = out
		}
		return status
	})
	if n := w.count(`SELECT count(1) FROM idp_refresh WHERE first_used_at IS NULL AND grant_id IN (SELECT grant_id FROM idp_refresh WHERE generation > 0)`); n != 1 {
		t.Errorf("a refresh with a lost reply left %d successors, want 1", n)
	}
	w.checkIssued(t)
	again("revoke", func() int {
		status, _ := s.call("/oauth2/revoke", url.Values{"token": {tok["access_token"].(string)}})
		return status
	})
	if res, _ := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+tok["access_token"].(string)); res.StatusCode != 401 {
		t.Errorf("a revoked token opens userinfo: %d", res.StatusCode)
	}
	again("logout", func() int {
		res, _ := br.get(w.issuer + "/oauth2/logout?id_token_hint=" + url.QueryEscape(tok["id_token"].(string)))
		return res.StatusCode
	})
	if n := w.liveTokens(); n != 0 || w.count(`SELECT count(1) FROM idp_session WHERE ended_at IS NULL`) != 0 {
		t.Errorf("after logout: %d live tokens", n)
	}
	if n := w.entries("idp.logout", who); n != 1 {
		t.Errorf("%d audit entries of one logout", n)
	}
	if hits == 0 {
		t.Error("the failpoint was never reached")
	}
}

// liveTokens counts refresh tokens whose grant and session stand.
func (w *world) liveTokens() int {
	return w.count(`SELECT count(1) FROM idp_refresh t JOIN idp_grant g ON g.id = t.grant_id JOIN idp_session s ON s.id = g.session WHERE g.revoked_at IS NULL AND s.ended_at IS NULL AND t.first_used_at IS NULL`)
}

// checkIssued is invariants 1 and 2: as many audit entries as access tokens, as
// many code redemptions as codes spent with tokens, no code without a login entry.
func (w *world) checkIssued(t *testing.T) {
	t.Helper()
	tokens, entries := w.count(`SELECT count(1) FROM idp_access`), w.count(`SELECT count(1) FROM audit_entry WHERE kind IN ('idp.token.issued', 'idp.token.client')`)
	if tokens != entries {
		t.Errorf("%d access tokens, %d audit entries", tokens, entries)
	}
	if codes, logins := w.count(`SELECT count(1) FROM idp_code`), w.count(`SELECT count(1) FROM audit_entry WHERE kind = 'idp.login'`); codes != logins {
		t.Errorf("%d codes, %d login entries", codes, logins)
	}
	if n := w.count(`SELECT count(1) FROM (SELECT grant_id FROM idp_refresh WHERE generation = 0 GROUP BY grant_id HAVING count(1) > 1) x`); n != 0 {
		t.Errorf("%d codes were redeemed twice", n)
	}
	if n := w.count(`SELECT count(1) FROM idp_refresh t JOIN idp_code k ON k.grant_id = t.grant_id WHERE k.consumed_at IS NULL`); n != 0 {
		t.Errorf("%d refresh tokens of a code that is not spent", n)
	}
}
