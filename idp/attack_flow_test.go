package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// TestConsentCountsForWhatWasShown: an answer to a page that named Ana must not
// speak for Berta, who signed in in another tab, nor for scopes the page did not show.
func TestConsentCountsForWhatWasShown(t *testing.T) {
	each(t, func(w *world) {
		ana, berta := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, page := br.follow(a.authorize())
		_, _, stale := br.follow(br.login(page, ana))
		if !strings.Contains(stale, `value="accept"`) {
			w.t.Fatal("no consent page for Ana")
		}
		_, _, page = br.follow(b.authorize("prompt", "login"))
		res, _ := br.post(w.issuer+interactionRE.FindString(page)+"/no-soy-yo", url.Values{})
		_, _, page = br.follow(must(res.Location())(w.t).String())
		br.login(page, berta)
		if back := br.accept(stale); !strings.HasPrefix(back.String(), w.issuer+"/entrar/") {
			w.t.Errorf("Ana's page answered for Berta: sent to %v", back)
		}
		if res, _ := br.post(w.issuer+interactionRE.FindString(stale)+"/decision", url.Values{"decision": {"accept"}}); !strings.HasPrefix(res.Header.Get("Location"), "/entrar/") {
			w.t.Errorf("an answer that names no page was taken: %v", res.Header.Get("Location"))
		}

		br = w.browser()
		br.enter(a.authorize("scope", "openid profile"), ana)
		_, _, page = br.follow(a.authorize("scope", "openid profile email"))
		if strings.Contains(page, "no-profile") || !strings.Contains(page, "no-email") {
			w.t.Fatal("want a page that shows the e-mail only")
		}
		if err := w.p.RevokeConsent(w.t.Context(), ana, a.id); err != nil {
			w.t.Fatal(err)
		}
		if back := br.accept(page); !strings.HasPrefix(back.String(), w.issuer+"/entrar/") {
			w.t.Errorf("a withdrawn permission came back by a page that did not show it: %v", back)
		}
	})
}

// TestNothingAllowedIsDenied: leaving out all that was asked is a refusal.
func TestNothingAllowedIsDenied(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, page := br.follow(a.authorize("scope", "email"))
		_, _, page = br.follow(br.login(page, who))
		if back := br.accept(page, "no-email"); back.Query().Get("error") != "access_denied" {
			w.t.Errorf("got %v, want access_denied", back)
		}
	})
}

// TestOneAnswerForAPushedRequest: an entry that is taken up again after its hour
// still stands for the one request that was pushed.
func TestOneAnswerForAPushedRequest(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		f := w.register(idp.Client{ID: "fapi", Profile: idp.ProfileFAPI2})
		u := must(url.Parse(f.authorize()))(w.t)
		_, out := f.call("/oauth2/par", u.Query())
		visit := w.issuer + "/oauth2/authorize?" + url.Values{"client_id": {f.id}, "request_uri": {out["request_uri"].(string)}}.Encode()
		br := w.browser()
		_, _, page := br.follow(visit)
		at := w.issuer + interactionRE.FindString(page)
		w.clock.Add(2 * time.Hour)
		if back := br.enter(at, who); back.Query().Get("code") == "" {
			w.t.Fatalf("after the pause: %v", back)
		}
		// The old address begins the entry anew; the request is spent.
		outside, res, _ := br.follow(at)
		if outside != nil || res.StatusCode != http.StatusConflict {
			w.t.Errorf("a second answer to one pushed request: %v, status %d", outside, res.StatusCode)
		}
	})
}

// TestStepUpKeepsADeviceShared: the session may lapse while the page is open.
func TestStepUpKeepsADeviceShared(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, page := br.follow(a.authorize())
		br.card(page, who, "shared")
		_, _, page = br.follow(a.authorize("max_age", "0"))
		if !strings.Contains(page, `<input type="hidden" name="shared" value="yes">`) {
			w.t.Error("the page does not carry on that the device is shared")
		}
	})
}
