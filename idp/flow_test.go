package idp_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

// errorOf follows a request that is answered without a page.
func (b *browser) errorOf(address string) string {
	b.w.t.Helper()
	outside, res, _ := b.follow(address)
	if outside == nil {
		return "page " + res.Status
	}
	if e := outside.Query().Get("error"); e != "" {
		return e
	}
	return "code"
}

func TestPromptMaxAgeAndHint(t *testing.T) {
	each(t, func(w *world) {
		who, other := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		if got := br.errorOf(a.authorize("prompt", "none")); got != "login_required" {
			w.t.Errorf("nobody signed in: %s", got)
		}
		outside, _, page := br.follow(a.authorize())
		if outside != nil {
			w.t.Fatal("no login page")
		}
		next := br.login(page, who)
		if got := br.errorOf(a.authorize("prompt", "none")); got != "consent_required" {
			w.t.Errorf("signed in without consent: %s", got)
		}
		_, _, page = br.follow(next)
		code := br.accept(page).Query().Get("code")
		_, tok := a.redeem(code)
		hint := tok["id_token"].(string)
		first := claimsOf(w.t, hint)
		if got := br.errorOf(a.authorize("prompt", "none", "id_token_hint", hint)); got != "code" {
			w.t.Errorf("hint names the person signed in: %s", got)
		}
		w.clock.Add(10 * time.Minute)
		if got := br.errorOf(a.authorize("prompt", "none", "max_age", "599")); got != "login_required" {
			w.t.Errorf("authentication older than max_age: %s", got)
		}
		if got := br.errorOf(a.authorize("prompt", "none", "max_age", "10000")); got != "code" {
			w.t.Errorf("authentication younger than max_age: %s", got)
		}
		for name, pairs := range map[string][]string{"max_age=0": {"max_age", "0"}, "prompt=login": {"prompt", "login"}} {
			outside, _, page := br.follow(a.authorize(pairs...))
			if outside != nil || !strings.Contains(page, "data-llave") {
				t := w.t
				t.Fatalf("%s: no new authentication", name)
			}
			back := br.enter(br.login(page, who), who)
			_, tok := a.redeem(back.Query().Get("code"))
			if now := claimsOf(w.t, tok["id_token"]); now["auth_time"].(float64) <= first["auth_time"].(float64) || now["sub"] != first["sub"] {
				w.t.Errorf("%s: auth_time %v after %v", name, now["auth_time"], first["auth_time"])
			}
			w.clock.Add(time.Minute)
		}
		stranger := w.browser()
		stranger.enter(a.authorize(), other)
		if got := stranger.errorOf(a.authorize("prompt", "none", "id_token_hint", hint)); got != "login_required" {
			w.t.Errorf("hint names somebody else: %s", got)
		}
		outside, _, page = br.follow(a.authorize("prompt", "consent"))
		if outside != nil || !strings.Contains(page, `value="accept"`) {
			w.t.Error("prompt=consent asked nothing")
		}
	})
}

func TestAssuranceLevels(t *testing.T) {
	each(t, func(w *world) {
		low, mid := w.person(identity.N1), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		essential := func(acr string) string {
			return `{"id_token":{"acr":{"essential":true,"values":["` + acr + `"]}}}`
		}
		br := w.browser()
		_, _, page := br.follow(a.authorize("claims", essential(identity.N2.ACR())))
		outside, _, page := br.follow(br.login(page, low))
		if outside != nil || strings.Contains(page, "data-llave") {
			w.t.Fatal("want the page that explains that the level does not suffice")
		}
		res, _ := br.post(w.issuer+interactionRE.FindString(page)+"/decision", url.Values{"decision": {"cancel"}})
		if loc := must(res.Location())(w.t); loc.Query().Get("error") != "unmet_authentication_requirements" {
			w.t.Errorf("unmet level: %v", loc)
		}
		if got := br.errorOf(a.authorize("prompt", "none", "claims", essential(identity.N2.ACR()))); got != "unmet_authentication_requirements" {
			w.t.Errorf("unmet level without a page: %s", got)
		}
		br = w.browser()
		_, tok := a.redeem(br.enter(a.authorize("acr_values", identity.N3.ACR()), mid).Query().Get("code"))
		if got := claimsOf(w.t, tok["id_token"])["acr"]; got != identity.N2.ACR() {
			w.t.Errorf("voluntary N3 for an N2 person: acr %v, want the truth", got)
		}
	})
}

// TestCardThenStepUp enters with password and card, then steps up to a passkey.
func TestCardThenStepUp(t *testing.T) {
	each(t, func(w *world) {
		who, other := w.person(identity.N2), w.person(identity.N2)
		login := w.people.profile[who].Document.String()
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, page := br.follow(a.authorize())
		at := w.issuer + interactionRE.FindString(page)
		cell := regexpGroup(w.t, `name="challenge" value="([^"]+)"`)
		ask := func() string {
			_, page := br.post(at+"/celda", url.Values{"username": {login}})
			if !strings.Contains(page, `data-cell="0007"`) || !strings.Contains(page, `autocomplete="one-time-code"`) || !strings.Contains(page, `autocomplete="current-password"`) {
				w.t.Fatalf("card page:\n%s", page)
			}
			return cell(page)
		}
		if res, _ := br.get(at + "/celda"); res.StatusCode != http.StatusSeeOther || !strings.HasSuffix(res.Header.Get("Location"), "/tarjeta") {
			w.t.Errorf("the cell's page read again: %d", res.StatusCode)
		}
		if res, page := br.post(at+"/tarjeta", url.Values{"challenge": {ask()}, "username": {login}, "password": {"mala"}, "code": {"123456"}}); res.StatusCode != 200 || !strings.Contains(page, "data-cell") {
			w.t.Errorf("wrong password: %d", res.StatusCode)
		}
		res, _ := br.post(at+"/tarjeta", url.Values{"challenge": {ask()}, "username": {login}, "password": {"clave-buena"}, "code": {"123456"}})
		if res.StatusCode != http.StatusSeeOther {
			w.t.Fatalf("good card: %d", res.StatusCode)
		}
		_, _, page = br.follow(at)
		_, tok := a.redeem(br.accept(page).Query().Get("code"))
		c := claimsOf(w.t, tok["id_token"])
		if c["acr"] != identity.N2.ACR() {
			w.t.Errorf("card gives acr %v, want N2", c["acr"])
		}
		// The card counts as a shared device: the next entry names the person and asks.
		outside, _, page := br.follow(a.authorize())
		if outside != nil || !strings.Contains(page, "Ana María Mamani Quispe") || !strings.Contains(page, "no-soy-yo") {
			w.t.Error("entry on a shared device names nobody")
		}
		phr := `{"id_token":{"acr":{"essential":true,"values":["phr"]}}}`
		_, _, page = br.follow(a.authorize("claims", phr))
		if !strings.Contains(page, "data-llave") {
			w.t.Fatal("a card satisfied a demand for phishing resistance")
		}
		stepAt := w.issuer + interactionRE.FindString(page)
		_, raw := br.do(http.MethodPost, stepAt+"/llave/opciones", "application/json", "{}", "Origin", w.issuer)
		var begun struct{ ID string }
		_ = json.Unmarshal([]byte(raw), &begun)
		answer, _ := json.Marshal(map[string]any{"id": begun.ID, "response": map[string]any{"person": other}})
		if res, _ := br.do(http.MethodPost, stepAt+"/llave", "application/json", string(answer), "Origin", w.issuer); res.StatusCode != http.StatusForbidden {
			w.t.Errorf("another person stepped up the session: %d", res.StatusCode)
		}
		_, tok = a.redeem(br.enter(br.login(page, who), who).Query().Get("code"))
		if amr, _ := claimsOf(w.t, tok["id_token"])["amr"].([]any); !slices.Contains(amr, any("pop")) {
			w.t.Errorf("amr after the step-up: %v", amr)
		}
		w.clock.Add(10 * time.Minute)
		if got := br.errorOf(a.authorize("prompt", "none")); got != "login_required" {
			w.t.Errorf("shared device after 10 idle minutes: %s", got)
		}
	})
}

func TestTwoTabsReloadAndStrangers(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, one := br.follow(a.authorize("state", "one"))
		_, _, two := br.follow(a.authorize("state", "two"))
		atOne, atTwo := w.issuer+interactionRE.FindString(one), w.issuer+interactionRE.FindString(two)
		if res, _ := w.browser().get(atOne); res.StatusCode != http.StatusNotFound {
			w.t.Errorf("another browser sees the login: %d", res.StatusCode)
		}
		_, _, page := br.follow(br.login(one, who))
		back := br.accept(page)
		if back.Query().Get("state") != "one" {
			w.t.Errorf("first tab: %v", back)
		}
		if outside, _, _ := br.follow(atTwo); outside == nil || outside.Query().Get("state") != "two" {
			w.t.Errorf("second tab leads to %v", outside)
		}
		if res, _ := br.get(atOne); res.StatusCode != http.StatusConflict {
			w.t.Errorf("back button after the end: %d, want a page that says so", res.StatusCode)
		}
		_, _, page = br.follow(a.authorize("prompt", "login", "state", "late"))
		w.clock.Add(2 * time.Hour)
		// An hour later the login begins anew from its request instead of failing.
		outside, _, page := br.follow(w.issuer + interactionRE.FindString(page))
		if outside != nil || !strings.Contains(page, "data-llave") {
			w.t.Fatal("an old login ends in an error")
		}
		if back := br.enter(br.login(page, who), who); back.Query().Get("state") != "late" || back.Query().Get("code") == "" {
			w.t.Errorf("after the pause: %v", back)
		}
		res, _ := br.do(http.MethodPost, w.issuer+interactionRE.FindString(page)+"/decision", "application/x-www-form-urlencoded", "decision=accept", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
		if res.StatusCode != http.StatusForbidden {
			w.t.Errorf("decision from another site: %d, want 403", res.StatusCode)
		}
	})
}

func TestNotMeEndsTheOtherPersonsSession(t *testing.T) {
	each(t, func(w *world) {
		first, second := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, tok := a.redeem(br.enter(a.authorize(), first).Query().Get("code"))
		_, _, page := br.follow(a.authorize("prompt", "consent"))
		res, _ := br.post(w.issuer+interactionRE.FindString(page)+"/no-soy-yo", url.Values{})
		_, _, page = br.follow(must(res.Location())(w.t).String())
		if a.active(tok["access_token"]) {
			w.t.Error("the first person's token lives on")
		}
		_, tok2 := a.redeem(br.enter(br.login(page, second), second).Query().Get("code"))
		if claimsOf(w.t, tok["id_token"])["sub"] == claimsOf(w.t, tok2["id_token"])["sub"] {
			w.t.Error("two people share a subject")
		}
	})
}

func TestSuspensionEndsEverythingAtOnce(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, tok := a.redeem(br.enter(a.authorize(), who).Query().Get("code"))
		pendingCode := br.enter(a.authorize(), who).Query().Get("code")
		w.bump(who, subject.Suspended)
		if a.active(tok["access_token"]) {
			w.t.Error("access token lives")
		}
		if status, _ := a.redeem(pendingCode); status != 400 {
			w.t.Error("code was redeemed")
		}
		if got := br.errorOf(a.authorize("prompt", "none")); got != "login_required" {
			w.t.Errorf("session lives: %s", got)
		}
		if err := w.p.EndPerson(w.t.Context(), who, "suspended"); err != nil {
			w.t.Error(err)
		}
	})
}

func TestLogoutRefusals(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, PostLogoutURIs: []string{"https://app-a.example/fin"}})
		br := w.browser()
		_, tok := a.redeem(br.enter(a.authorize(), who).Query().Get("code"))
		hint := tok["id_token"].(string)
		parts := strings.Split(hint, ".")
		for name, q := range map[string]url.Values{
			"unregistered address":   {"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://evil.example/"}},
			"query added":            {"id_token_hint": {hint}, "post_logout_redirect_uri": {"https://app-a.example/fin?x=1"}},
			"bad hint":               {"id_token_hint": {"a.b.c"}, "post_logout_redirect_uri": {"https://app-a.example/fin"}},
			"hint without signature": {"id_token_hint": {parts[0] + "." + parts[1] + "."}, "post_logout_redirect_uri": {"https://app-a.example/fin"}},
			"address without client": {"post_logout_redirect_uri": {"https://app-a.example/fin"}},
			"hint of another client": {"id_token_hint": {hint}, "client_id": {"other"}},
			"access token as hint":   {"id_token_hint": {tok["access_token"].(string)}},
			"nothing at all":         {},
			"only state":             {"state": {"x"}},
			"client without hint":    {"client_id": {"app-a"}, "post_logout_redirect_uri": {"https://app-a.example/fin"}},
		} {
			res, _ := br.get(w.issuer + "/oauth2/logout?" + q.Encode())
			if res.StatusCode == http.StatusSeeOther {
				w.t.Errorf("%s: redirected to %s", name, res.Header.Get("Location"))
			}
			if !a.active(tok["access_token"]) {
				w.t.Fatalf("%s: ended the session without asking", name)
			}
		}
		res, _ := br.post(w.issuer+"/salir", url.Values{"decision": {"accept"}})
		if res.StatusCode != http.StatusOK || a.active(tok["access_token"]) {
			w.t.Errorf("confirmed logout: %d", res.StatusCode)
		}
	})
}

// doer counts what the provider sends to applications.
type doer struct {
	mu   sync.Mutex
	sent []string
	fail int
}

func (d *doer) Do(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	if d.fail > 0 {
		d.fail--
		return nil, io.ErrUnexpectedEOF
	}
	v, _ := url.ParseQuery(string(raw))
	d.sent = append(d.sent, r.URL.String()+" "+v.Get("logout_token"))
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(""))}, nil
}

func TestBackChannelLogoutIsDelivered(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/bc"})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb})
		br := w.browser()
		_, tok := a.redeem(br.enter(a.authorize(), who).Query().Get("code"))
		br.enter(b.authorize(), who)
		br.follow(w.issuer + "/oauth2/logout?id_token_hint=" + url.QueryEscape(tok["id_token"].(string)))
		out := &doer{fail: 1}
		topic, handle := w.p.BackchannelHandler(out)
		worker := must(outbox.New(outbox.Config{DB: w.d, Handlers: map[string]outbox.Handler{topic: handle}, Now: w.clock.Now}))(w.t)
		for range 20 {
			if _, err := worker.Step(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			w.clock.Add(time.Minute)
		}
		if len(out.sent) != 1 {
			w.t.Fatalf("sent %d notices, want one, after one failure", len(out.sent))
		}
		address, token, _ := strings.Cut(out.sent[0], " ")
		c, id := claimsOf(w.t, token), claimsOf(w.t, tok["id_token"])
		if address != "https://app-a.example/bc" || c["sid"] != id["sid"] || c["sub"] != id["sub"] || c["aud"] != "app-a" || c["nonce"] != nil {
			w.t.Errorf("notice to %s: %v", address, c)
		}
	})
}

// TestForeignClient logs in with two libraries that know nothing of us.
func TestForeignClient(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		l := w.register(idp.Client{ID: "vieja", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic", Scopes: []string{"openid", "profile"}})
		ctx := context.Background()
		provider, err := oidc.NewProvider(ctx, w.issuer)
		if err != nil {
			w.t.Fatal(err)
		}
		conf := oauth2.Config{ClientID: l.id, ClientSecret: l.secret, Endpoint: provider.Endpoint(), RedirectURL: l.redirect, Scopes: []string{"openid", "profile"}}
		proof := oauth2.GenerateVerifier()
		back := w.browser().enter(conf.AuthCodeURL("st", oauth2.S256ChallengeOption(proof), oidc.Nonce("n")), who)
		token, err := conf.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(proof))
		if err != nil {
			w.t.Fatal(err)
		}
		raw, _ := token.Extra("id_token").(string)
		id, err := provider.Verifier(&oidc.Config{ClientID: l.id, SupportedSigningAlgs: []string{"RS256"}}).Verify(ctx, raw)
		if err != nil || id.Nonce != "n" || id.VerifyAccessToken(token.AccessToken) != nil {
			w.t.Fatalf("ID token: %v", err)
		}
		info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil || info.Subject != id.Subject {
			w.t.Errorf("userinfo: %+v, %v", info, err)
		}
	})
}

func TestFormPost(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, page := br.follow(a.authorize("response_mode", "form_post", "state", `<"&>`))
		_, _, page = br.follow(br.login(page, who))
		res, page := br.post(w.issuer+interactionRE.FindString(page)+"/decision", url.Values{"decision": {"accept"}, "seen": {regexpGroup(w.t, `name="seen" value="([^"]+)"`)(page)}})
		if res.StatusCode != 200 || !strings.Contains(page, `action="`+a.redirect+`"`) || !strings.Contains(page, `name="state" value="&lt;&#34;&amp;&gt;"`) || !strings.Contains(page, `name="iss"`) {
			w.t.Errorf("form post page %d:\n%s", res.StatusCode, page)
		}
		if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://app-a.example") {
			w.t.Errorf("policy %q does not let the form leave", csp)
		}
	})
}

func TestRegistrationRules(t *testing.T) {
	each(t, func(w *world) {
		w.register(idp.Client{ID: "toma", Profile: idp.ProfileSPA})
		good := idp.Client{ID: "nueva", Institution: insA, Profile: idp.ProfileSPA, Name: "Nueva", RedirectURIs: []string{"https://n.example/cb"}, Scopes: []string{"openid"}}
		for name, change := range map[string]func(*idp.Client){
			"taken id":                func(c *idp.Client) { c.ID = "toma" },
			"own pages' id":           func(c *idp.Client) { c.ID = "suti" },
			"upper case id":           func(c *idp.Client) { c.ID = "Nueva" },
			"no institution":          func(c *idp.Client) { c.Institution = "" },
			"unknown profile":         func(c *idp.Client) { c.Profile = "super" },
			"secret for a public one": func(c *idp.Client) { c.AuthMethod = "client_secret_basic" },
			"fapi with a secret":      func(c *idp.Client) { c.Profile, c.AuthMethod = idp.ProfileFAPI2, "client_secret_basic" },
			"key client without keys": func(c *idp.Client) { c.Profile = idp.ProfileWeb },
			"plain http":              func(c *idp.Client) { c.RedirectURIs = []string{"http://n.example/cb"} },
			"fragment":                func(c *idp.Client) { c.RedirectURIs = []string{"https://n.example/cb#x"} },
			"wildcard":                func(c *idp.Client) { c.RedirectURIs = []string{"https://*.example/cb"} },
			"dot segment":             func(c *idp.Client) { c.RedirectURIs = []string{"https://n.example/a/../cb"} },
			"own scheme for a page":   func(c *idp.Client) { c.RedirectURIs = []string{"bo.app:/cb"} },
			"no address":              func(c *idp.Client) { c.RedirectURIs = nil },
			"waiver outside legacy":   func(c *idp.Client) { c.Waivers = map[string]time.Time{idp.WaivePKCE: w.clock.Now().Add(time.Hour)} },
			"public with credentials": func(c *idp.Client) { c.Grants = []string{"client_credentials"} },
			"scope with a quote":      func(c *idp.Client) { c.Scopes = []string{`a"b`} },
		} {
			c := good
			change(&c)
			if _, err := w.p.Register(w.t.Context(), "", c); err == nil {
				w.t.Errorf("%s: registered", name)
			}
		}
		if _, err := w.p.Register(w.t.Context(), "", good); err != nil {
			w.t.Errorf("good client refused: %v", err)
		}
	})
}
