package idp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

const grantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// television is a public client that has no browser.
func (w *world) television(id string) *app {
	return w.register(idp.Client{ID: id, Profile: idp.ProfileNative, Grants: []string{grantDevice, "refresh_token"}, BackchannelURI: "https://tv.example/fin"})
}

// ask begins an entry of a device.
func (a *app) ask(scope string) map[string]any {
	a.w.t.Helper()
	status, out := a.call("/oauth2/device", url.Values{"scope": {scope}})
	if status != http.StatusOK {
		a.w.t.Fatalf("device request: %d %v", status, out)
	}
	return out
}

func (a *app) poll(code any) (int, map[string]any) {
	s, _ := code.(string)
	return a.call("/oauth2/token", url.Values{"grant_type": {grantDevice}, "device_code": {s}})
}

func (a *app) polled(code any, want string) {
	a.w.t.Helper()
	if status, out := a.poll(code); status != http.StatusBadRequest || out["error"] != want {
		a.w.t.Errorf("poll: got %d %v, want %s", status, out, want)
	}
}

// askedFor types a code and enters; it returns the page on which to decide.
func (b *browser) askedFor(code string, who identity.PersonID) string {
	b.w.t.Helper()
	res, body := b.post(b.w.issuer+"/equipo", url.Values{"codigo": {code}})
	if res.StatusCode != http.StatusSeeOther {
		b.w.t.Fatalf("code: %d %s", res.StatusCode, body)
	}
	address := must(res.Location())(b.w.t).String()
	for range 3 {
		_, _, body := b.follow(address)
		if !strings.Contains(body, "data-llave") {
			return body
		}
		address = b.login(body, who)
	}
	b.w.t.Fatal("no page to decide on")
	return ""
}

// decideDevice answers the page in body.
func (b *browser) decideDevice(body, decision, device string) (int, string) {
	b.w.t.Helper()
	form := url.Values{"decision": {decision}, "device": {device}, "seen": {regexpGroup(b.w.t, `name="seen" value="([^"]+)"`)(body)}}
	res, page := b.post(b.w.issuer+interactionRE.FindString(body)+"/decision", form)
	return res.StatusCode, page
}

func TestDeviceEnters(t *testing.T) {
	each(t, func(w *world) {
		who, tv := w.person(identity.N2), w.television("tele")
		got := tv.ask("openid profile email offline_access")
		user, _ := got["user_code"].(string)
		if !regexp.MustCompile(`^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$`).MatchString(user) {
			w.t.Errorf("user code %q", user)
		}
		if got["verification_uri"] != w.issuer+"/equipo" || got["verification_uri_complete"] != w.issuer+"/equipo?codigo="+user || got["expires_in"] != 600.0 || got["interval"] != 5.0 {
			w.t.Errorf("device response: %v", got)
		}
		tv.polled(got["device_code"], "authorization_pending")
		tv.polled(got["device_code"], "slow_down")
		w.clock.Add(5 * time.Second)
		tv.polled(got["device_code"], "authorization_pending")

		br := w.browser()
		_, form := br.get(w.issuer + "/equipo?codigo=" + user)
		if !strings.Contains(form, `value="`+user+`"`) || !strings.Contains(form, "se lo dictó por teléfono") {
			w.t.Errorf("the link's page does not show the code and the warning:\n%s", form)
		}
		body := br.askedFor(" "+strings.ToLower(strings.ReplaceAll(user, "-", " ")), who)
		for _, want := range []string{user, "Trámites tele", "Ana María", "127.0.0.1", "Es la misma conexión", "se lo dictó por teléfono", `value="shared" checked`} {
			if !strings.Contains(body, want) {
				w.t.Errorf("the page does not say %q:\n%s", want, body)
			}
		}
		w.clock.Add(5 * time.Second)
		tv.polled(got["device_code"], "authorization_pending") // signing in is not agreeing
		if status, page := br.decideDevice(body, "accept", "shared"); status != http.StatusOK || !strings.Contains(page, "puede seguir en el equipo") {
			w.t.Fatalf("decision: %d %s", status, page)
		}
		status, tok := tv.poll(got["device_code"])
		if status != http.StatusOK || tok["refresh_token"] == nil || tok["scope"] != "openid profile email offline_access" {
			w.t.Fatalf("tokens: %d %v", status, tok)
		}
		claims := claimsOf(w.t, tok["id_token"])
		if claims["aud"] != "tele" || claims["sub"] == "" || claims["acr"] != identity.N2.ACR() {
			w.t.Errorf("ID token %v", claims)
		}
		if w.entries("idp.device", who) != 1 || w.entries("idp.token.issued", who) != 1 {
			w.t.Error("the entry and its tokens are not on record")
		}
		if w.count(`SELECT count(1) FROM idp_grant WHERE request LIKE '%`+user+`%'`) != 0 {
			w.t.Error("the grant keeps the user code")
		}
		res, info := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+tok["access_token"].(string))
		if res.StatusCode != http.StatusOK || !strings.Contains(info, "Mamani") {
			w.t.Errorf("userinfo: %d %s", res.StatusCode, info)
		}

		// The person sees the device as a session of its own and ends it.
		mine := must(w.p.Sessions(w.t.Context(), who))(w.t)
		i := slices.IndexFunc(mine, func(s idp.OwnSession) bool { return strings.HasPrefix(s.Device, "Trámites tele") })
		if len(mine) != 2 || i < 0 || !mine[i].Shared {
			w.t.Fatalf("sessions: %+v", mine)
		}
		if err := w.p.EndSession(w.t.Context(), who, mine[i].ID); err != nil {
			w.t.Fatal(err)
		}
		if status, out := tv.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("refresh after the end: %d %v", status, out)
		}
		if w.notices() != 1 {
			w.t.Errorf("%d notices of the device's end, want 1", w.notices())
		}
	})
}

func TestDeviceCodeIsRefused(t *testing.T) {
	each(t, func(w *world) {
		who, tv, other := w.person(identity.N2), w.television("tele"), w.television("otra")
		web := w.register(idp.Client{ID: "web", Profile: idp.ProfileWeb})
		if status, out := web.call("/oauth2/device", url.Values{"scope": {"openid"}}); status != 400 || out["error"] != "unauthorized_client" {
			w.t.Errorf("client without the grant: %d %v", status, out)
		}
		web.polled("suti_dc_x", "unauthorized_client")
		if status, out := tv.call("/oauth2/device", url.Values{"scope": {"unknown"}}); status != 400 || out["error"] != "invalid_scope" {
			w.t.Errorf("unknown scope: %d %v", status, out)
		}
		tv.polled("", "invalid_request")
		tv.polled("suti_dc_"+strings.Repeat("A", 43), "invalid_grant")
		tv.polled("x", "invalid_grant")

		expired := tv.ask("openid")
		late := w.browser()
		body := late.askedFor(expired["user_code"].(string), who)
		w.clock.Add(10 * time.Minute)
		tv.polled(expired["device_code"], "expired_token")
		if _, page := late.decideDevice(body, "accept", "own"); !strings.Contains(page, "ya se usó o venció") {
			w.t.Errorf("an expired code was decided:\n%s", page)
		}
		if _, page := w.browser().post(w.issuer+"/equipo", url.Values{"codigo": {expired["user_code"].(string)}}); !strings.Contains(page, "no existe o ya venció") {
			w.t.Errorf("an expired code was taken:\n%s", page)
		}

		denied := tv.ask("openid")
		br := w.browser()
		body = br.askedFor(denied["user_code"].(string), who)
		other.polled(denied["device_code"], "invalid_grant")
		if status, page := br.decideDevice(body, "cancel", ""); status != 200 || !strings.Contains(page, "No dejamos entrar") {
			w.t.Errorf("refusal: %d %s", status, page)
		}
		tv.polled(denied["device_code"], "access_denied")
		if w.entries("idp.device", who) != 1 {
			w.t.Error("the refusal is not on record")
		}

		granted := tv.ask("openid offline_access")
		body = br.askedFor(granted["user_code"].(string), who)
		br.decideDevice(body, "accept", "own")
		other.polled(granted["device_code"], "invalid_grant")
		status, tok := tv.poll(granted["device_code"])
		if status != 200 {
			w.t.Fatalf("tokens: %d %v", status, tok)
		}
		tv.polled(granted["device_code"], "invalid_grant")
		if status, _ := tv.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}); status != 400 {
			w.t.Error("a device code came twice and its grant lives on")
		}

		ended := tv.ask("openid")
		body = br.askedFor(ended["user_code"].(string), who)
		br.decideDevice(body, "accept", "own")
		must(w.p.EndOtherSessions(w.t.Context(), who, ""))(w.t)
		tv.polled(ended["device_code"], "access_denied")
	})
}

// TestDeviceCodeIsUsedOnce redeems a device code at once from many sides.
func TestDeviceCodeIsUsedOnce(t *testing.T) {
	each(t, func(w *world) {
		who, tv, br := w.person(identity.N2), w.television("tele"), w.browser()
		got := tv.ask("openid")
		br.decideDevice(br.askedFor(got["user_code"].(string), who), "accept", "own")
		var won atomic.Int64
		dbtest.Contend(w.t, 16, func(int) {
			if status, out := tv.poll(got["device_code"]); status == http.StatusOK {
				won.Add(1)
			} else if out["error"] != "invalid_grant" {
				w.t.Errorf("loser: %d %v", status, out)
			}
		})
		if won.Load() != 1 {
			w.t.Errorf("the device code was used %d times", won.Load())
		}
	})
}

// TestDeviceIsShared holds a device that is shared, by default, to ten idle
// minutes and one hour (D27).
func TestDeviceIsShared(t *testing.T) {
	each(t, func(w *world) {
		who, tv, br := w.person(identity.N2), w.television("tele"), w.browser()
		enter := func(device string) string {
			got := tv.ask("openid offline_access")
			br.decideDevice(br.askedFor(got["user_code"].(string), who), "accept", device)
			_, tok := tv.poll(got["device_code"])
			rt, _ := tok["refresh_token"].(string)
			return rt
		}
		refresh := func(rt string) (string, bool) {
			status, out := tv.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {rt}})
			next, _ := out["refresh_token"].(string)
			return next, status == http.StatusOK
		}
		idle, used, own := enter(""), enter("shared"), enter("own")
		for range 6 {
			w.clock.Add(9 * time.Minute)
			next, ok := refresh(used)
			if !ok {
				w.t.Fatal("a shared device that is in use lost its entry")
			}
			used = next
		}
		if _, ok := refresh(idle); ok {
			w.t.Error("a shared device kept its entry while idle")
		}
		w.clock.Add(7 * time.Minute)
		if _, ok := refresh(used); ok {
			w.t.Error("a shared device kept its entry for more than an hour")
		}
		if _, ok := refresh(own); !ok {
			w.t.Error("a device of one's own lost its entry within a day")
		}
	})
}

// TestUserCodesCannotBeTried holds up who types code after code.
func TestUserCodesCannotBeTried(t *testing.T) {
	each(t, func(w *world) {
		br := w.browser()
		for range 20 {
			if res, _ := br.post(w.issuer+"/equipo", url.Values{"codigo": {"BBBB-BBBB"}}); res.StatusCode != http.StatusOK {
				w.t.Fatalf("a wrong code: %d", res.StatusCode)
			}
		}
		if res, _ := br.post(w.issuer+"/equipo", url.Values{"codigo": {"BBBB-BBBB"}}); res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
			w.t.Errorf("the 21st code in a minute: %d", res.StatusCode)
		}
	})
}

func TestDeviceGrantNeedsAProfile(t *testing.T) {
	each(t, func(w *world) {
		for _, profile := range []string{idp.ProfileFAPI2, idp.ProfileSPA} {
			_, err := w.p.Register(w.t.Context(), "", idp.Client{ID: "x-" + strings.TrimPrefix(profile, "gov-"), Institution: insA, Profile: profile, Name: "X", Grants: []string{grantDevice}, JWKS: jwksFor(w, profile)})
			if err == nil || !strings.Contains(err.Error(), "device grant") {
				w.t.Errorf("%s: %v", profile, err)
			}
		}
	})
}

func jwksFor(w *world, profile string) string {
	if profile != idp.ProfileFAPI2 {
		return ""
	}
	return jwks(w.t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(w.t))
}
