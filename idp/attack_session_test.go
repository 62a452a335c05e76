package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

// told runs the outbox and returns what applications were told.
func (w *world) told() []string {
	w.t.Helper()
	out := &doer{}
	topic, handle := w.p.BackchannelHandler(out)
	worker := must(outbox.New(outbox.Config{DB: w.d, Handlers: map[string]outbox.Handler{topic: handle}, Now: w.clock.Now}))(w.t)
	for range 5 {
		if _, err := worker.Step(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	return out.sent
}

// cookie returns the value of one of the browser's cookies.
func (b *browser) cookie(name string) string {
	for _, c := range b.jar.Cookies(must(url.Parse(b.w.issuer))(b.w.t)) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// set replaces one of the browser's cookies.
func (b *browser) set(name, value string) {
	b.jar.SetCookies(must(url.Parse(b.w.issuer))(b.w.t), []*http.Cookie{{Name: name, Value: value, Path: "/", Secure: true}})
}

// TestTwoPeopleOnOnePhone is design D27: whoever enters as herself ends what the
// other left open, at Suti and at the applications, however long ago it was.
func TestTwoPeopleOnOnePhone(t *testing.T) {
	each(t, func(w *world) {
		ana, berta := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/bc"})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb})
		for name, pause := range map[string]time.Duration{"at once": 0, "after the session lapsed": 11 * time.Minute} {
			br := w.browser()
			_, _, page := br.follow(a.authorize("scope", "openid offline_access"))
			back := br.enter(br.card(page, ana, "shared"), ana)
			_, tokA := a.redeem(back.Query().Get("code"))
			old := br.cookie(session.CookieName)
			w.clock.Add(pause)
			want := map[bool]string{true: "interaction_required", false: "login_required"}[pause == 0]
			if got := br.errorOf(a.authorize("scope", "openid", "prompt", "none")); got != want {
				w.t.Errorf("%s: a shared device without a question: %s, want %s", name, got, want)
			}
			_, _, page = br.follow(b.authorize("prompt", "login"))
			if pause == 0 {
				res, _ := br.post(w.issuer+interactionRE.FindString(page)+"/no-soy-yo", url.Values{})
				_, _, page = br.follow(must(res.Location())(w.t).String())
			}
			_, tokB := b.redeem(br.enter(br.card(page, berta, "shared"), berta).Query().Get("code"))
			if p := must(br.principal())(w.t); p.Person() != berta {
				w.t.Errorf("%s: the phone is signed in as %s, want Berta", name, p.Person())
			}
			if a.active(tokA["access_token"]) {
				w.t.Errorf("%s: Ana's access token lives", name)
			}
			if status, _ := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokA["refresh_token"].(string)}}); status != 400 {
				w.t.Errorf("%s: Ana's refresh token lives", name)
			}
			if got := w.told(); len(got) != 1 || !strings.HasPrefix(got[0], "https://app-a.example/bc ") {
				w.t.Errorf("%s: applications told: %d, want app-a once", name, len(got))
			}
			thief := w.browser()
			thief.set(session.CookieName, old)
			if _, err := thief.principal(); err == nil {
				w.t.Errorf("%s: Ana's old cookie opens a session", name)
			}
			if !b.active(tokB["access_token"]) {
				w.t.Errorf("%s: Berta's own token is dead", name)
			}
		}
	})
}

// TestSecretRotatesAtEachAuthentication: a cookie known before a login, planted
// or stolen, is worth nothing after it.
func TestSecretRotatesAtEachAuthentication(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		planted := strings.Repeat("A", 43)
		br.set(session.CookieName, planted)
		br.enter(a.authorize(), who)
		first := br.cookie(session.CookieName)
		_, _, page := br.follow(a.authorize("prompt", "login"))
		br.login(page, who)
		second := br.cookie(session.CookieName)
		if first == planted || second == first {
			w.t.Error("the cookie's secret stayed the same over a login")
		}
		for name, value := range map[string]string{"planted": planted, "before the step-up": first, "the other cookie's": br.cookie("__Host-suti-entrada")} {
			other := w.browser()
			other.set(session.CookieName, value)
			if _, err := other.principal(); err == nil {
				w.t.Errorf("%s: opens a session", name)
			}
		}
		if _, err := br.principal(); err != nil {
			w.t.Errorf("the fresh cookie: %v", err)
		}
	})
}

// TestTabsAuthenticateAtOnce: of several logins in one browser at the same
// moment none fails, and whoever has the living cookie can go on.
func TestTabsAuthenticateAtOnce(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		br.enter(a.authorize(), who)
		pages := make([]string, 6)
		for i := range pages {
			_, _, pages[i] = br.follow(a.authorize("prompt", "login"))
		}
		dbtest.Contend(w.t, len(pages), func(i int) { br.login(pages[i], who) })
		if back := br.enter(a.authorize(), who); back.Query().Get("code") == "" {
			w.t.Errorf("afterwards: %v", back)
		}
	})
}

// TestLogoutEndsALapsedSession: the person leaves an application an hour after
// she was last seen here; her tokens must end all the same.
func TestLogoutEndsALapsedSession(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, PostLogoutURIs: []string{"https://app-a.example/fin"}})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb, BackchannelURI: "https://app-b.example/bc"})
		for name, keepCookie := range map[string]bool{"same browser": true, "browser without the cookie": false} {
			br := w.browser()
			_, tok := a.redeem(br.enter(a.authorize("scope", "openid offline_access"), who).Query().Get("code"))
			_, tokB := b.redeem(br.enter(b.authorize("scope", "openid offline_access"), who).Query().Get("code"))
			w.clock.Add(61 * time.Minute)
			if !keepCookie {
				br = w.browser()
			}
			address := w.issuer + "/oauth2/logout?" + url.Values{"id_token_hint": {tok["id_token"].(string)}, "post_logout_redirect_uri": {"https://app-a.example/fin"}}.Encode()
			if outside, _, _ := br.follow(address); outside == nil || outside.String() != "https://app-a.example/fin" {
				w.t.Errorf("%s: sent to %v", name, outside)
			}
			if status, _ := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}); status != 400 {
				w.t.Errorf("%s: a refresh token survived the logout", name)
			}
			status, _ := b.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokB["refresh_token"].(string)}})
			if told := len(w.told()); keepCookie != (status == 400) || keepCookie != (told == 1) {
				w.t.Errorf("%s: other application's refresh %d, notices %d", name, status, told)
			}
		}
	})
}

// TestIdleSessionGoesOnAfterLogin: who comes back after an idle hour continues
// the same session, so that leaving ends all of it.
func TestIdleSessionGoesOnAfterLogin(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, tok := a.redeem(br.enter(a.authorize("scope", "openid offline_access"), who).Query().Get("code"))
		w.clock.Add(2 * time.Hour)
		if got := br.errorOf(a.authorize("prompt", "none")); got != "login_required" {
			w.t.Errorf("idle session: %s", got)
		}
		_, next := a.redeem(br.enter(a.authorize("scope", "openid offline_access"), who).Query().Get("code"))
		if claimsOf(w.t, next["id_token"])["sid"] != claimsOf(w.t, tok["id_token"])["sid"] {
			w.t.Error("another session began; the first one is an orphan")
		}
		br.follow(w.issuer + "/oauth2/logout?id_token_hint=" + url.QueryEscape(next["id_token"].(string)))
		for i, v := range []map[string]any{tok, next} {
			if status, _ := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {v["refresh_token"].(string)}}); status != 400 {
				w.t.Errorf("refresh token %d survived the logout", i)
			}
		}
	})
}

// TestLateEffectSparesNewSessions: the consumer of a suspension may run after
// the person was reinstated and signed in again.
func TestLateEffectSparesNewSessions(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		w.browser().enter(a.authorize(), who)
		w.bump(who, subject.Suspended)
		w.bump(who, subject.Active)
		w.people.mu.Lock()
		prof := w.people.profile[who]
		prof.Epoch = 3
		w.people.profile[who] = prof
		w.people.mu.Unlock()
		br := w.browser()
		br.enter(a.authorize(), who)
		if err := w.p.EndPerson(w.t.Context(), who, "suspended"); err != nil {
			w.t.Fatal(err)
		}
		if _, err := br.principal(); err != nil {
			w.t.Errorf("the session of the present epoch: %v", err)
		}
	})
}

// TestNobodyIsSentAwayUnasked: without a proven client and without a person to
// ask, the browser stays; and the question carries on nothing but its own words.
func TestNobodyIsSentAwayUnasked(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, PostLogoutURIs: []string{"https://app-a.example/fin"}})
		address := w.issuer + "/oauth2/logout?" + url.Values{"client_id": {"app-a"}, "post_logout_redirect_uri": {"https://app-a.example/fin"}, "state": {"x"}}.Encode()
		if res, _ := w.browser().get(address); res.StatusCode != 200 {
			w.t.Errorf("nobody signed in, client not proven: got %d to %s", res.StatusCode, res.Header.Get("Location"))
		}
		br := w.browser()
		br.enter(a.authorize(), who)
		_, page := br.get(address + "&decision=accept&evil=1")
		if strings.Contains(page, `name="evil"`) || strings.Contains(page, `<input type="hidden" name="decision"`) {
			w.t.Error("the question carries on parameters of the request that are not its own")
		}
		res, _ := br.post(w.issuer+"/salir", url.Values{"decision": {"accept"}, "client_id": {"app-a"}, "post_logout_redirect_uri": {"https://app-a.example/fin"}, "state": {"x"}})
		if res.Header.Get("Location") != "https://app-a.example/fin?state=x" {
			w.t.Errorf("after the person's answer: %d to %q", res.StatusCode, res.Header.Get("Location"))
		}
	})
}

// TestSharedDeviceNamesThePersonAtEveryEntry: also after a passkey, which may be
// a relative's, and also where nothing is left to be permitted (D27). On a
// device of one's own nothing is asked twice.
func TestSharedDeviceNamesThePersonAtEveryEntry(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		own := w.browser()
		own.enter(a.authorize(), who) // permits
		if outside, _, _ := own.follow(a.authorize()); outside == nil {
			w.t.Error("on the own device a second entry is asked about")
		}
		br := w.browser()
		_, _, page := br.follow(a.authorize())
		outside, _, page := br.follow(br.loginOn(page, who, "yes"))
		for i := range 2 {
			if outside != nil || !strings.Contains(page, "Usted entra como Ana María Mamani Quispe") || !strings.Contains(page, "/no-soy-yo") {
				w.t.Fatalf("entry %d on a shared device names nobody: %v\n%s", i, outside, page)
			}
			if br.accept(page).Query().Get("code") == "" {
				w.t.Errorf("entry %d gives no code", i)
			}
			outside, _, page = br.follow(a.authorize())
		}
	})
}

// TestLeadOfALogin: the login page says what it is about by where the person
// comes from, and nothing about that place.
func TestLeadOfALogin(t *testing.T) {
	each(t, func(w *world) {
		for path, want := range map[string]string{"/firmas/req_1": "Todavía no tengo cuenta", "/firmas/": "Identifíquese para continuar.", "/cuenta": "Identifíquese para continuar."} {
			_, _, page := w.browser().follow(w.issuer + "/entrar?volver=" + url.QueryEscape(path))
			if lead := regexpGroup(w.t, `<p class="lead">([^<]*)</p>`)(page); lead != want {
				w.t.Errorf("%s: %q, want %q", path, lead, want)
			}
		}
	})
}
