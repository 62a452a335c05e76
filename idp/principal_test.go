package idp_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// card proves to be a person with password and code card, on the login page in body.
func (b *browser) card(body string, who identity.PersonID, device string) string {
	b.w.t.Helper()
	at := b.w.issuer + interactionRE.FindString(body)
	login := b.w.people.profile[who].Document.String()
	_, page := b.post(at+"/celda", url.Values{"username": {login}})
	id := regexpGroup(b.w.t, `name="challenge" value="([^"]+)"`)(page)
	res, page := b.post(at+"/tarjeta", url.Values{"challenge": {id}, "username": {login}, "password": {"clave-buena"}, "code": {"123456"}, "device": {device}})
	if res.StatusCode != http.StatusSeeOther {
		b.w.t.Fatalf("card: %d %s", res.StatusCode, page)
	}
	return at
}

// principal asks who the browser's person is, as Suti's own pages do.
func (b *browser) principal() (web.Principal, error) {
	u := must(url.Parse(b.w.issuer + "/cuenta"))(b.w.t)
	r := must(http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, u.String(), nil))(b.w.t)
	for _, c := range b.jar.Cookies(u) {
		r.AddCookie(c)
	}
	return b.w.p.Principal(r)
}

// TestOldStrengthIsNotRefreshedByAWeakLogin: a card entered now must not make
// this morning's passkey look fresh, neither for our own pages nor in a token.
func TestOldStrengthIsNotRefreshedByAWeakLogin(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N3)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, tok := a.redeem(br.enter(a.authorize(), who).Query().Get("code"))
		strong := claimsOf(w.t, tok["id_token"])["auth_time"].(float64)
		w.clock.Add(30 * time.Minute)
		_, _, page := br.follow(a.authorize("prompt", "login"))
		_, _, page = br.follow(br.card(page, who, "own"))
		_ = page
		p, err := br.principal()
		if err != nil {
			w.t.Fatal(err)
		}
		if p.Level() != identity.N3 || p.Require(identity.N3, 0) != nil || p.Require(identity.N2, 5*time.Minute) != nil {
			w.t.Errorf("level %v; want N3 of any age and N2 of five minutes", p.Level())
		}
		var step *web.StepUp
		if err := p.Require(identity.N3, 5*time.Minute); !errors.As(err, &step) {
			w.t.Errorf("N3 within five minutes: got %v, want a step-up: the passkey is half an hour old", err)
		}
		if err := p.RequireKey(5 * time.Minute); !errors.As(err, &step) {
			w.t.Errorf("key within five minutes: got %v, want a step-up", err)
		}
		_, tok = a.redeem(br.enter(a.authorize(), who).Query().Get("code"))
		if c := claimsOf(w.t, tok["id_token"]); c["acr"] != identity.N3.ACR() || c["auth_time"].(float64) != strong {
			w.t.Errorf("acr %v with auth_time %v, want the passkey's time %v beside its level", c["acr"], c["auth_time"], strong)
		}
	})
}
