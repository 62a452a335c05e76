package idp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

// limited is a provider that lets an address begin three logins a minute.
func limited(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newWorld(t, dbtest.Open(t, db.SQLite, lines()), func(c *idp.Config) { c.LoginsPerMinute = 3 })
}

// retryAfter returns how long a 429 asks to wait.
func retryAfter(t *testing.T, res *http.Response) time.Duration {
	t.Helper()
	s, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if res.StatusCode != http.StatusTooManyRequests || err != nil || s < 1 || s > 60 {
		t.Fatalf("%d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	return time.Duration(s) * time.Second
}

// TestLoginsOfOneAddress: an address that begins too many logins is held up, with
// a page or, where none may be shown, with an answer to the application, and is
// let in again after the time that it was told. A login under way goes on.
func TestLoginsOfOneAddress(t *testing.T) {
	w := limited(t)
	who := w.person(identity.N2)
	a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
	br := w.browser()
	_, _, page := br.follow(a.authorize())
	for range 5 {
		if res, _ := w.browser().get(a.authorize()); res.StatusCode != http.StatusSeeOther {
			t.Fatalf("within the burst: %d", res.StatusCode)
		}
	}
	for _, address := range []string{a.authorize(), w.issuer + "/entrar?volver=/cuenta"} {
		res, body := w.browser().get(address)
		wait := retryAfter(t, res)
		if !strings.Contains(body, "<h1>") || res.Header.Get("Location") != "" {
			t.Errorf("%s: not a page of ours", address)
		}
		if wait > 20*time.Second { // three a minute
			t.Errorf("%s: wait %v", address, wait)
		}
	}
	if got := w.browser().errorOf(a.authorize("prompt", "none")); got != "temporarily_unavailable" {
		t.Errorf("without a page: %s", got)
	}
	if br.enter(br.login(page, who), who).Query().Get("code") == "" {
		t.Error("a login under way was held up")
	}
	w.clock.Add(20 * time.Second)
	if res, _ := w.browser().get(a.authorize()); res.StatusCode != http.StatusSeeOther {
		t.Errorf("after the wait: %d", res.StatusCode)
	}
}

// TestCeremoniesOfOneAddress: neither passkeys nor cards can be tried without end.
func TestCeremoniesOfOneAddress(t *testing.T) {
	w := limited(t)
	br := w.browser()
	_, _, page := br.follow(w.issuer + "/entrar?volver=/cuenta")
	at := w.issuer + interactionRE.FindString(page)
	for i := range 7 {
		res, body := br.do(http.MethodPost, at+"/llave/opciones", "application/json", "{}", "Origin", w.issuer)
		if i < 6 {
			if res.StatusCode != http.StatusOK {
				t.Fatalf("ceremony %d: %d", i, res.StatusCode)
			}
			continue
		}
		retryAfter(t, res)
		if !strings.Contains(body, `"problem":"muchos"`) || !strings.Contains(page, `data-problem="muchos"`) {
			t.Errorf("the page's script is told %s", body)
		}
	}
	for i := range 7 {
		if res, _ := br.post(at+"/celda", url.Values{"username": {"1000001"}}); i < 6 && res.StatusCode != http.StatusOK {
			t.Fatalf("cell %d: %d", i, res.StatusCode)
		} else if i == 6 {
			retryAfter(t, res)
		}
	}
	res, _ := br.post(at+"/tarjeta", url.Values{"challenge": {"cch-1"}, "username": {"1000001"}, "password": {"x"}, "code": {"000000"}})
	retryAfter(t, res)
}

// TestPushedRequestsAreCounted: for a public client by address, since anybody can
// take its name; another client is not concerned.
func TestPushedRequestsAreCounted(t *testing.T) {
	w := limited(t)
	native := w.register(idp.Client{ID: "app-n", Profile: idp.ProfileNative})
	other := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb})
	push := func(a *app) (int, map[string]any) {
		u, err := url.Parse(a.authorize())
		if err != nil {
			t.Fatal(err)
		}
		return a.call("/oauth2/par", u.Query())
	}
	for i := range 15 {
		if status, body := push(native); status != http.StatusCreated {
			t.Fatalf("push %d: %d %v", i, status, body)
		}
	}
	if status, body := push(native); status != http.StatusTooManyRequests || body["error"] != "temporarily_unavailable" {
		t.Errorf("after the burst: %d %v", status, body)
	}
	if status, body := push(other); status != http.StatusCreated {
		t.Errorf("another client: %d %v", status, body)
	}
}

// refusals returns what a person reads of refused logins.
func (w *world) refusals(who identity.PersonID) (methods []string) {
	w.t.Helper()
	w.p.Settle()
	views, _, err := w.log.BySubject(w.t.Context(), who, "", 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range views {
		if v.Kind != "idp.refused" {
			continue
		}
		var fact struct{ Method, Device string }
		if json.Unmarshal(v.Payload, &fact) != nil || fact.Device == "" || v.Outcome != "refused" || v.Actor == string(who) {
			w.t.Errorf("record %+v", v)
		}
		methods = append(methods, fact.Method)
	}
	return methods
}

// TestRefusedLoginsAreRecordedForThePerson: who was meant reads that somebody
// tried, but never more than six times an hour, so that nothing is buried.
// TestThrottledCard: that too many tries failed is told with the status that
// says so.
func TestThrottledCard(t *testing.T) {
	each(t, func(w *world) {
		br := w.browser()
		_, _, page := br.follow(w.issuer + "/entrar?volver=/cuenta")
		res, body := br.post(w.issuer+interactionRE.FindString(page)+"/celda", url.Values{"username": {throttled}})
		if res.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, `name="username"`) || strings.Contains(body, `name="code"`) {
			t.Errorf("too many tries: status %d\n%s", res.StatusCode, body)
		}
	})
}

func TestRefusedLoginsAreRecordedForThePerson(t *testing.T) {
	each(t, func(w *world) {
		ana, berta := w.person(identity.N2), w.person(identity.N2)
		login := w.people.profile[ana].Document.String()
		br := w.browser()
		_, _, page := br.follow(w.issuer + "/entrar?volver=/cuenta")
		at := w.issuer + interactionRE.FindString(page)
		try := func(login string) {
			_, body := br.post(at+"/celda", url.Values{"username": {login}})
			form := url.Values{"challenge": {regexpGroup(w.t, `name="challenge" value="([^"]+)"`)(body)}, "username": {login}, "password": {"mala"}, "code": {"123456"}}
			if res, _ := br.post(at+"/tarjeta", form); res.StatusCode != http.StatusOK {
				w.t.Fatalf("refusal: %d", res.StatusCode)
			}
		}
		try("9999999") // nobody
		try(login)
		if got := w.refusals(ana); len(got) != 1 || got[0] != string(identity.MethodCard) {
			w.t.Errorf("one try: %q", got)
		}
		for range 8 {
			try(login)
		}
		if got := w.refusals(ana); len(got) != 6 {
			w.t.Errorf("nine tries within the hour: %d records, want 6", len(got))
		}
		w.clock.Add(time.Hour - time.Minute)
		_, _, page = br.follow(w.issuer + "/entrar?volver=/cuenta")
		br.follow(br.login(page, ana)) // and Berta's passkey where Ana is to confirm
		w.clock.Add(time.Minute)
		_, _, page = br.follow(w.issuer + "/entrar?volver=/cuenta&edad=1s")
		stepAt := w.issuer + interactionRE.FindString(page)
		_, raw := br.do(http.MethodPost, stepAt+"/llave/opciones", "application/json", "{}", "Origin", w.issuer)
		var begun struct{ ID string }
		_ = json.Unmarshal([]byte(raw), &begun)
		answer, _ := json.Marshal(map[string]any{"id": begun.ID, "response": map[string]any{"person": berta}})
		if res, _ := br.do(http.MethodPost, stepAt+"/llave", "application/json", string(answer), "Origin", w.issuer); res.StatusCode != http.StatusForbidden {
			w.t.Errorf("another person's passkey: %d", res.StatusCode)
		}
		if got := w.refusals(ana); len(got) != 7 || got[0] != string(identity.MethodPasskey) {
			w.t.Errorf("then: %q", got)
		}
		if got := w.refusals(berta); len(got) != 0 {
			w.t.Errorf("Berta, whose passkey it was, reads of %q", got)
		}
	})
}
