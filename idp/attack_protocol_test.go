package idp_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// crossSite posts a form as the page of another site does: without our
// cookies, which are SameSite=Lax, and with what the browser says about it.
func (b *browser) crossSite(address string, form url.Values) (*http.Response, string) {
	jar := b.jar
	b.jar = nil
	defer func() { b.jar = jar }()
	res, body := b.do(http.MethodPost, address, "application/x-www-form-urlencoded", form.Encode(), "Origin", "https://app-a.example", "Sec-Fetch-Site", "cross-site")
	jar.SetCookies(res.Request.URL, res.Cookies())
	return res, body
}

// TestPostedAuthorization: a posted request sees the session like one by GET,
// and leaves other logins of the browser alone.
func TestPostedAuthorization(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		f := w.register(idp.Client{ID: "fapi", Profile: idp.ProfileFAPI2})
		br := w.browser()
		br.enter(a.authorize(), who)
		_, _, tab := br.follow(a.authorize("prompt", "login", "state", "tab"))
		u := must(url.Parse(a.authorize("prompt", "none", "state", "posted")))(w.t)
		res, body := br.crossSite(w.issuer+"/oauth2/authorize", u.Query())
		if res.StatusCode != http.StatusSeeOther {
			w.t.Fatalf("posted request: %d %s", res.StatusCode, body)
		}
		next := must(res.Location())(w.t)
		if strings.Contains(next.String(), "posted") {
			w.t.Errorf("the request's parameters are in the address: %v", next)
		}
		if outside, _, _ := br.follow(next.String()); outside == nil || outside.Query().Get("code") == "" || outside.Query().Get("state") != "posted" {
			w.t.Errorf("posted request without a page: %v", outside)
		}
		if outside, res, _ := br.follow(next.String()); outside != nil || res.StatusCode != 400 {
			w.t.Errorf("a second answer to one posted request: %v", outside)
		}
		if back := br.enter(br.login(tab, who), who); back.Query().Get("state") != "tab" {
			w.t.Errorf("the other tab: %v", back)
		}
		u = must(url.Parse(f.authorize()))(w.t)
		res, _ = br.crossSite(w.issuer+"/oauth2/authorize", u.Query())
		if loc := must(res.Location())(w.t); loc.Query().Get("error") != "invalid_request" {
			w.t.Errorf("gov-fapi2 posted a request instead of pushing it: %v", loc)
		}
	})
}

// TestPostedLogout: applications may post (RP-Initiated Logout 1.0 §2).
func TestPostedLogout(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, PostLogoutURIs: []string{"https://app-a.example/fin"}})
		br := w.browser()
		_, tok := a.redeem(br.enter(a.authorize(), who).Query().Get("code"))
		res, _ := br.crossSite(w.issuer+"/oauth2/logout", url.Values{"id_token_hint": {tok["id_token"].(string)}, "post_logout_redirect_uri": {"https://app-a.example/fin"}})
		if res.StatusCode != http.StatusSeeOther {
			w.t.Fatalf("posted logout: %d", res.StatusCode)
		}
		if outside, _, _ := br.follow(must(res.Location())(w.t).String()); outside == nil || outside.String() != "https://app-a.example/fin" || a.active(tok["access_token"]) {
			w.t.Errorf("sent to %v, token active: %v", outside, a.active(tok["access_token"]))
		}
	})
}

// TestScriptsOfOtherOrigins: applications in a browser can read what they need;
// pages and introspection stay closed to them (RFC 9700 §2.6).
func TestScriptsOfOtherOrigins(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "pagina", Profile: idp.ProfileSPA})
		plain := &browser{w: w}
		for path, open := range map[string]bool{
			"/.well-known/openid-configuration": true, "/.well-known/oauth-authorization-server": true, "/jwks.json": true, "/oauth2/userinfo": true,
			"/oauth2/authorize?" + must(url.Parse(a.authorize()))(t).RawQuery: false, "/oauth2/logout": false, "/entrar": false,
		} {
			res, _ := plain.do(http.MethodGet, w.issuer+path, "", "", "Origin", "https://pagina.example")
			if got := res.Header.Get("Access-Control-Allow-Origin"); (got == "*") != open || !open && got != "" || res.Header.Get("Access-Control-Allow-Credentials") != "" {
				w.t.Errorf("GET %.40s: Access-Control-Allow-Origin %q", path, got)
			}
		}
		for path, open := range map[string]bool{"/oauth2/token": true, "/oauth2/par": true, "/oauth2/revoke": true, "/oauth2/introspect": false} {
			res, _ := plain.do(http.MethodPost, w.issuer+path, "application/x-www-form-urlencoded", "client_id=pagina", "Origin", "https://pagina.example")
			if got := res.Header.Get("Access-Control-Allow-Origin"); (got == "*") != open {
				w.t.Errorf("POST %s: Access-Control-Allow-Origin %q", path, got)
			}
		}
		if res, _ := plain.do(http.MethodOptions, w.issuer+"/oauth2/userinfo", "", "", "Origin", "https://pagina.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization"); !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
			w.t.Errorf("preliminary question: %d %v", res.StatusCode, res.Header)
		}
	})
}

// TestRevocationOfAnOldRefreshTokenEndsItsSuccessors is RFC 7009 §2.1: related
// tokens go too, whichever of them the client still has.
func TestRevocationOfAnOldRefreshTokenEndsItsSuccessors(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		s := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		other := w.register(idp.Client{ID: "otra", Profile: idp.ProfileSPA})
		old := s.tokens(w.browser(), who)["refresh_token"].(string)
		use := func(rt string) (int, map[string]any) {
			return s.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {rt}})
		}
		_, out := use(old)
		w.clock.Add(11 * time.Hour)
		status, out := use(out["refresh_token"].(string))
		if status != 200 {
			w.t.Fatalf("refresh: %d %v", status, out)
		}
		w.clock.Add(90 * time.Minute) // the first one is idle too long by now
		if status, _ := other.call("/oauth2/revoke", url.Values{"token": {old}}); status != 200 {
			w.t.Errorf("another client's revocation: %d, want 200 as for an unknown token", status)
		}
		status, out = use(out["refresh_token"].(string))
		if status != 200 {
			w.t.Fatalf("another client's revocation had an effect: %d", status)
		}
		if status, _ := s.call("/oauth2/revoke", url.Values{"token": {old}}); status != 200 {
			w.t.Fatalf("revoke: %d", status)
		}
		if status, _ := use(out["refresh_token"].(string)); status != 400 {
			w.t.Error("a successor survived the family's revocation")
		}
	})
}

// TestStorageFaultIsNeverSuccess is A32: no endpoint says 200 when it could not know or store.
func TestStorageFaultIsNeverSuccess(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic"})
		br := w.browser()
		tok := a.tokens(br, who)
		_, _, page := br.follow(a.authorize("prompt", "consent"))
		if err := w.d.Close(); err != nil {
			w.t.Fatal(err)
		}
		for path, form := range map[string]url.Values{
			"/oauth2/revoke": {"token": {tok["refresh_token"].(string)}}, "/oauth2/introspect": {"token": {tok["access_token"].(string)}},
			"/oauth2/token": {"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}, "/oauth2/par": {"x": {"y"}},
		} {
			if status, out := a.call(path, form); status < 500 || path == "/oauth2/revoke" && (status != 503 || out["error"] != "temporarily_unavailable") {
				w.t.Errorf("%s: got %d %v, want a failure, for a revocation 503", path, status, out)
			}
		}
		for _, address := range []string{a.authorize(), w.issuer + interactionRE.FindString(page), w.issuer + "/oauth2/logout"} {
			if res, body := br.get(address); res.StatusCode < 500 || strings.Contains(body, "sql") {
				w.t.Errorf("GET %.60s: got %d", address, res.StatusCode)
			}
		}
		if res, _ := br.post(w.issuer+"/salir", url.Values{"decision": {"accept"}}); res.StatusCode < 500 || len(res.Cookies()) > 0 {
			w.t.Errorf("leaving: got %d, cookies %v", res.StatusCode, res.Cookies())
		}
	})
}

// TestVoluntaryLevelIsTriedOnce: acr_values without a demand asks the person
// once for what she can reach, and tells the truth of what came.
func TestVoluntaryLevelIsTriedOnce(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N3)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, page := br.follow(a.authorize())
		br.enter(br.card(page, who, "own"), who)
		if got := br.errorOf(a.authorize("prompt", "none", "acr_values", identity.N3.ACR())); got != "code" {
			w.t.Errorf("without a page: %s, want the truth without a question", got)
		}
		outside, _, page := br.follow(a.authorize("acr_values", "urn:other "+identity.N3.ACR()))
		if outside != nil || !strings.Contains(page, "data-llave") {
			w.t.Fatal("nobody asked for the level that the person can reach")
		}
		_, tok := a.redeem(br.enter(br.card(page, who, "own"), who).Query().Get("code"))
		if got := claimsOf(w.t, tok["id_token"])["acr"]; got != identity.N2.ACR() {
			w.t.Errorf("acr after another card: %v, want the truth", got)
		}
		_, _, page = br.follow(a.authorize("acr_values", identity.N3.ACR()))
		_, tok = a.redeem(br.enter(br.login(page, who), who).Query().Get("code"))
		if got := claimsOf(w.t, tok["id_token"])["acr"]; got != identity.N3.ACR() {
			w.t.Errorf("acr after the passkey: %v", got)
		}
	})
}

// TestNobodyElseIsAnsweredAbout: with id_token_hint, or claims naming sub,
// another person's login ends in an error and not in her code, nor in a loop
// (OpenID Connect Core 1.0 §3.1.2.1, §3.1.2.2).
func TestNobodyElseIsAnsweredAbout(t *testing.T) {
	each(t, func(w *world) {
		ana, berta := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb, Institution: insB})
		_, tok := a.redeem(w.browser().enter(a.authorize(), ana).Query().Get("code"))
		hint := tok["id_token"].(string)
		sub := claimsOf(w.t, hint)["sub"].(string)
		for name, pairs := range map[string][]string{
			"id_token_hint": {"id_token_hint", hint},
			"claims":        {"claims", `{"id_token":{"sub":{"value":"` + sub + `"}}}`},
			"unknown sub":   {"claims", `{"id_token":{"sub":{"value":"nobody"}}}`},
		} {
			br := w.browser()
			_, _, page := br.follow(a.authorize(pairs...))
			outside, _, _ := br.follow(br.login(page, berta))
			if outside == nil || outside.Query().Get("error") != "login_required" {
				w.t.Errorf("%s: Berta signed in: %v", name, outside)
			}
			if got := br.errorOf(a.authorize(append(slices.Clone(pairs), "prompt", "none")...)); got != "login_required" {
				w.t.Errorf("%s: without a page: %s", name, got)
			}
		}
		br := w.browser()
		if back := br.enter(a.authorize("claims", `{"id_token":{"sub":{"value":"`+sub+`"}}}`), ana); back.Query().Get("code") == "" {
			w.t.Errorf("the person asked for: %v", back)
		}
		for name, address := range map[string]string{
			"two people":           a.authorize("id_token_hint", hint, "claims", `{"id_token":{"sub":{"value":"other"}}}`),
			"another client's":     b.authorize("id_token_hint", hint),
			"changed":              a.authorize("id_token_hint", hint[:len(hint)-2]+"AA"),
			"an access token":      a.authorize("id_token_hint", tok["access_token"].(string)),
			"sub that is no text":  a.authorize("claims", `{"id_token":{"sub":{"value":7}}}`),
			"claims with an array": a.authorize("claims", `[]`),
		} {
			if got := br.errorOf(address); got != "invalid_request" {
				w.t.Errorf("%s: %s", name, got)
			}
		}
	})
}

// TestLanguageOfTheApplication: ui_locales counts until the person chooses.
func TestLanguageOfTheApplication(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		res, _, _ := br.get1(a.authorize("ui_locales", "xx-YY en-GB es"))
		if got := res.Header.Get("Content-Language"); got != "en" {
			w.t.Errorf("language %q, want en", got)
		}
		br.set("__Host-idioma", "es")
		res, _, _ = br.get1(a.authorize("ui_locales", "en"))
		if got := res.Header.Get("Content-Language"); got != "es" {
			w.t.Errorf("language %q, want the person's choice", got)
		}
	})
}

// get1 follows to a page of ours.
func (b *browser) get1(address string) (*http.Response, string, *url.URL) {
	outside, res, body := b.follow(address)
	return res, body, outside
}

// TestLogoutTokenSpeaksTheClientsAlgorithm: a client whose ID tokens are RS256
// gets RS256 here too (Back-Channel Logout 1.0 §2.5).
func TestLogoutTokenSpeaksTheClientsAlgorithm(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		l := w.register(idp.Client{ID: "vieja", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic", BackchannelURI: "https://vieja.example/bc"})
		br := w.browser()
		_, tok := l.redeem(br.enter(l.authorize(), who).Query().Get("code"))
		br.follow(w.issuer + "/oauth2/logout?id_token_hint=" + url.QueryEscape(tok["id_token"].(string)))
		sent := w.told()
		if len(sent) != 1 {
			w.t.Fatalf("%d notices", len(sent))
		}
		_, token, _ := strings.Cut(sent[0], " ")
		head, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
		if !strings.Contains(string(head), `"RS256"`) || !strings.Contains(string(head), `"logout+jwt"`) {
			w.t.Errorf("header %s", head)
		}
		// It is no ID token, wherever one is expected.
		if got := br.errorOf(l.authorize("id_token_hint", token)); got != "invalid_request" {
			w.t.Errorf("logout token as id_token_hint: %s", got)
		}
		if res, _ := br.get(w.issuer + "/oauth2/logout?id_token_hint=" + url.QueryEscape(token)); res.StatusCode != 400 {
			w.t.Errorf("logout token as hint of a logout: %d", res.StatusCode)
		}
	})
}

// TestRegistrationRefusesConfusingAddresses adds what two parsers read differently.
func TestRegistrationRefusesConfusingAddresses(t *testing.T) {
	each(t, func(w *world) {
		good := idp.Client{ID: "nueva", Institution: insA, Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", Name: "Nueva", RedirectURIs: []string{"https://n.example/cb"}, Scopes: []string{"openid"}}
		for name, change := range map[string]func(*idp.Client){
			"no host":              func(c *idp.Client) { c.RedirectURIs = []string{"https://:443/cb"} },
			"empty port":           func(c *idp.Client) { c.RedirectURIs = []string{"https://n.example:/cb"} },
			"port out of range":    func(c *idp.Client) { c.RedirectURIs = []string{"https://n.example:70000/cb"} },
			"letters of no ASCII":  func(c *idp.Client) { c.RedirectURIs = []string{"https://а.example/cb"} },
			"quote":                func(c *idp.Client) { c.RedirectURIs = []string{`https://n.example/"cb`} },
			"script":               func(c *idp.Client) { c.RedirectURIs = []string{"javascript:alert(1)"} },
			"encoded dots":         func(c *idp.Client) { c.RedirectURIs = []string{"https://n.example/a/%2E%2e/cb"} },
			"post-logout too":      func(c *idp.Client) { c.PostLogoutURIs = []string{"http://n.example/fin"} },
			"another's sector":     func(c *idp.Client) { c.Sector = string(insB) },
			"unknown algorithm":    func(c *idp.Client) { c.IDTokenAlg = "none" },
			"back-channel by http": func(c *idp.Client) { c.BackchannelURI = "http://n.example/bc" },
		} {
			c := good
			change(&c)
			if _, err := w.p.Register(w.t.Context(), "", c); err == nil {
				w.t.Errorf("%s: registered", name)
			}
		}
	})
}

// TestNativeApplicationsComeBack: by their own scheme and by a port of the loopback (RFC 8252 §7).
func TestNativeApplicationsComeBack(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		n := w.register(idp.Client{ID: "movil", Profile: idp.ProfileNative, RedirectURIs: []string{"bo.gob.app:/cb", "http://127.0.0.1/cb", "http://[::1]/cb"}})
		for _, uri := range []string{"bo.gob.app:/cb", "http://127.0.0.1:49152/cb", "http://[::1]:49153/cb", "http://127.0.0.1/cb"} {
			back := w.browser().enter(n.authorize("redirect_uri", uri), who)
			if !strings.HasPrefix(back.String(), uri+"?") {
				w.t.Errorf("%s: sent to %v", uri, back)
				continue
			}
			if status, out := n.redeem(back.Query().Get("code"), "redirect_uri", "http://127.0.0.1:1/cb"); status != 400 {
				w.t.Errorf("%s: redeemed with another port: %d %v", uri, status, out)
			}
			back = w.browser().enter(n.authorize("redirect_uri", uri), who)
			if status, out := n.redeem(back.Query().Get("code"), "redirect_uri", uri); status != 200 {
				w.t.Errorf("%s: %d %v", uri, status, out)
			}
		}
	})
}
