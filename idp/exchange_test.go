package idp_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccess    = "urn:ietf:params:oauth:token-type:access_token"
	signing       = "https://firmas.example/api"
)

// exchange asks for a token of another service; pairs replace parameters, "" removes one.
func (a *app) exchange(token any, pairs ...string) (int, map[string]any) {
	s, _ := token.(string)
	form := url.Values{"grant_type": {grantExchange}, "subject_token": {s}, "subject_token_type": {typeAccess}, "resource": {signing}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if form.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return a.call("/oauth2/token", form)
}

func exchanger(id string, more ...string) idp.Client {
	return idp.Client{
		ID: id, Profile: idp.ProfileWeb, Scopes: []string{"openid", "profile", "offline_access", "firmas:crear"}, Resources: []string{"https://" + id + ".example/api"}, Serves: []string{"https://" + id + ".example/serves"},
		Grants: []string{"authorization_code", "refresh_token", "client_credentials", grantExchange}, Exchanges: append([]string{signing}, more...),
	}
}

func (a *app) tokenWith(br *browser, who identity.PersonID, pairs ...string) map[string]any {
	a.w.t.Helper()
	status, tok := a.redeem(br.enter(a.authorize(append([]string{"scope", "openid profile firmas:crear offline_access"}, pairs...)...), who).Query().Get("code"))
	if status != http.StatusOK {
		a.w.t.Fatalf("redeem: %d %v", status, tok)
	}
	return tok
}

func TestTokenIsExchanged(t *testing.T) {
	each(t, func(w *world) {
		who, br := w.person(identity.N2), w.browser()
		a := w.register(exchanger("app-a", "https://app-b.example/serves"))
		b := w.register(exchanger("app-b"))
		signer := w.register(idp.Client{ID: "firmas", Profile: idp.ProfileWeb, Serves: []string{signing}})
		stranger := w.register(idp.Client{ID: "ajena", Institution: insB, Profile: idp.ProfileWeb, Serves: []string{signing}})
		tok := a.tokenWith(br, who)
		sub := claimsOf(w.t, tok["id_token"])["sub"]

		w.clock.Add(20 * time.Second)
		status, got := a.exchange(tok["access_token"])
		if status != http.StatusOK || got["issued_token_type"] != typeAccess || got["token_type"] != "Bearer" || got["scope"] != "profile firmas:crear" || got["refresh_token"] != nil || got["id_token"] != nil {
			w.t.Fatalf("exchange: %d %v", status, got)
		}
		if life, _ := got["expires_in"].(float64); life <= 0 || life > 40 {
			w.t.Errorf("it lives for %v s, longer than the subject token", got["expires_in"])
		}
		status, seen := signer.call("/oauth2/introspect", url.Values{"token": {got["access_token"].(string)}})
		act, _ := seen["act"].(map[string]any)
		if status != 200 || seen["active"] != true || seen["sub"] != sub || act["sub"] != "app-a" || act["act"] != nil || seen["client_id"] != "app-a" {
			w.t.Errorf("the service sees %v, want %v with app-a acting", seen, sub)
		}
		if stranger.active(got["access_token"]) {
			w.t.Error("a service of another institution learns of the token")
		}
		if res, _ := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+got["access_token"].(string)); res.StatusCode == http.StatusOK {
			w.t.Error("a token for another service opens userinfo")
		}
		if w.entries("idp.token.exchanged", who) != 1 {
			w.t.Error("the exchange is not on record for the person")
		}
		if status, out := a.exchange(got["access_token"]); status != 400 || out["error"] != "invalid_request" {
			w.t.Errorf("own exchanged token again: %d %v", status, out)
		}

		// A service exchanges on: the chain grows, the scopes shrink.
		_, toB := a.exchange(tok["access_token"], "resource", "", "audience", "https://app-b.example/serves", "scope", "firmas:crear")
		status, onward := b.exchange(toB["access_token"])
		if status != 200 || onward["scope"] != "firmas:crear" {
			w.t.Fatalf("onward: %d %v", status, onward)
		}
		_, seen = signer.call("/oauth2/introspect", url.Values{"token": {onward["access_token"].(string)}})
		act, _ = seen["act"].(map[string]any)
		before, _ := act["act"].(map[string]any)
		if act["sub"] != "app-b" || before["sub"] != "app-a" || seen["sub"] != sub {
			w.t.Errorf("the chain is %v", seen)
		}
		if status, out := b.exchange(toB["access_token"], "scope", "profile"); status != 400 || out["error"] != "invalid_scope" {
			w.t.Errorf("a scope that was dropped: %d %v", status, out)
		}

		// What ends the person's grant ends all of them.
		if err := w.p.RevokeConsent(w.t.Context(), who, "app-a"); err != nil {
			w.t.Fatal(err)
		}
		for _, x := range []any{got["access_token"], onward["access_token"]} {
			if signer.active(x) {
				w.t.Error("an exchanged token outlives its grant")
			}
		}
		if status, out := a.exchange(tok["access_token"]); status != 400 || out["error"] != "invalid_request" {
			w.t.Errorf("a dead subject token: %d %v", status, out)
		}
	})
}

func TestTokenExchangeIsRefused(t *testing.T) {
	each(t, func(w *world) {
		who, br := w.person(identity.N2), w.browser()
		a, other := w.register(exchanger("app-a")), w.register(exchanger("app-b"))
		plain := w.register(idp.Client{ID: "simple", Profile: idp.ProfileWeb})
		tok := a.tokenWith(br, who)
		_, own := a.call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:crear"}})
		cases := map[string]struct {
			by    *app
			token any
			pairs []string
			want  string
		}{
			"another client's token":   {other, tok["access_token"], nil, "invalid_request"},
			"the client's own token":   {a, own["access_token"], nil, "invalid_request"},
			"a refresh token":          {a, tok["refresh_token"], nil, "invalid_request"},
			"an ID token":              {a, tok["id_token"], nil, "invalid_request"},
			"no token":                 {a, "", nil, "invalid_request"},
			"no type":                  {a, tok["access_token"], []string{"subject_token_type", ""}, "invalid_request"},
			"type of ID tokens":        {a, tok["access_token"], []string{"subject_token_type", "urn:ietf:params:oauth:token-type:id_token"}, "invalid_request"},
			"a refresh token wanted":   {a, tok["access_token"], []string{"requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"},
			"an actor token":           {a, tok["access_token"], []string{"actor_token", "x", "actor_token_type", typeAccess}, "invalid_request"},
			"no service":               {a, tok["access_token"], []string{"resource", ""}, "invalid_request"},
			"a service not its own":    {a, tok["access_token"], []string{"resource", "https://other.example"}, "invalid_target"},
			"two services":             {a, tok["access_token"], []string{"audience", "https://other.example"}, "invalid_target"},
			"a scope it has not":       {a, tok["access_token"], []string{"scope", "email"}, "invalid_scope"},
			"a scope of ours":          {a, tok["access_token"], []string{"scope", "offline_access"}, "invalid_scope"},
			"client without the grant": {plain, tok["access_token"], nil, "unauthorized_client"},
		}
		for _, name := range slices.Sorted(maps.Keys(cases)) {
			c := cases[name]
			if status, out := c.by.exchange(c.token, c.pairs...); status != 400 || out["error"] != c.want {
				w.t.Errorf("%s: got %d %v, want %s", name, status, out, c.want)
			}
		}
		w.clock.Add(61 * time.Second)
		if status, out := a.exchange(tok["access_token"]); status != 400 || out["error"] != "invalid_request" {
			w.t.Errorf("expired: %d %v", status, out)
		}
		for name, c := range map[string]idp.Client{
			"public":           {ID: "pub", Profile: idp.ProfileSPA, Grants: []string{grantExchange}, Exchanges: []string{signing}},
			"without services": {ID: "sin", Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", Grants: []string{grantExchange}},
			"without grant":    {ID: "nop", Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", Grants: []string{"client_credentials"}, Exchanges: []string{signing}},
		} {
			c.Institution, c.Name = insA, "X"
			if _, err := w.p.Register(w.t.Context(), "", c); err == nil {
				w.t.Errorf("registered: %s", name)
			}
		}
	})
}

// TestExchangedTokenIsJWT tells the service of the chain in the token itself.
func TestExchangedTokenIsJWT(t *testing.T) {
	each(t, func(w *world) {
		c := exchanger("app-a")
		c.AccessTokens = "jwt"
		a := w.register(c)
		tok := a.tokenWith(w.browser(), w.person(identity.N2))
		_, got := a.exchange(tok["access_token"])
		claims := claimsOf(w.t, got["access_token"])
		act, _ := claims["act"].(map[string]any)
		if claims["aud"] != signing || claims["sub"] != claimsOf(w.t, tok["id_token"])["sub"] || act["sub"] != "app-a" {
			w.t.Errorf("claims %v", claims)
		}
	})
}
