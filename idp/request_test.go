package idp_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

func TestAuthorizationRequestsRefused(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, RedirectURIs: []string{"https://app-a.example/cb"}})
		n := w.register(idp.Client{ID: "movil", Profile: idp.ProfileNative, RedirectURIs: []string{"http://127.0.0.1/cb", "bo.gob.app:/cb"}})
		f := w.register(idp.Client{ID: "fapi", Profile: idp.ProfileFAPI2})
		page := func(name, address string) {
			res, _ := w.browser().get(address)
			if res.StatusCode != http.StatusBadRequest || res.Header.Get("Location") != "" {
				w.t.Errorf("%s: got %d to %q, want a page and no redirect", name, res.StatusCode, res.Header.Get("Location"))
			}
		}
		for name, uri := range map[string]string{
			"case": "https://app-a.example/CB", "slash": "https://app-a.example/cb/", "port": "https://app-a.example:443/cb", "coding": "https://app-a.example/%63b",
			"query": "https://app-a.example/cb?x=1", "fragment": "https://app-a.example/cb#x", "user": "https://u@app-a.example/cb", "host": "https://app-a.example.evil/cb",
			"backslash": `https://app-a.example\@evil/cb`, "scheme": "http://app-a.example/cb", "none": "", "idn": "https://аpp-a.example/cb",
		} {
			page("redirect "+name, a.authorize("redirect_uri", uri))
		}
		for name, uri := range map[string]string{
			"user": "http://evil@127.0.0.1:4444/cb", "https": "https://127.0.0.1:4444/cb", "path": "http://127.0.0.1:4444/other", "localhost": "http://localhost:4444/cb",
			"port 0": "http://127.0.0.1:0/cb", "port text": "http://127.0.0.1:x/cb", "host": "http://127.0.0.1.evil:80/cb",
		} {
			page("loopback "+name, n.authorize("redirect_uri", uri))
		}
		if outside, res, _ := w.browser().follow(n.authorize("redirect_uri", "http://127.0.0.1:49152/cb")); outside != nil || res.StatusCode != 200 {
			w.t.Errorf("loopback with a port: got %v, %d; want the login page", outside, res.StatusCode)
		}
		page("unknown client", a.authorize("client_id", "nobody"))
		page("repeated parameter", a.authorize()+"&redirect_uri=https%3A%2F%2Fevil.example%2Fcb")
		page("request object that is not signed", a.authorize("request", "eyJ"))
		page("unknown pushed request", a.authorize("request_uri", "urn:ietf:params:oauth:request_uri:nope"))
		for name, c := range map[string]struct {
			pairs []string
			want  string
		}{
			"token":           {[]string{"response_type", "token"}, "unsupported_response_type"},
			"hybrid":          {[]string{"response_type", "code id_token"}, "unsupported_response_type"},
			"no type":         {[]string{"response_type", ""}, "invalid_request"},
			"no challenge":    {[]string{"code_challenge", ""}, "invalid_request"},
			"plain":           {[]string{"code_challenge_method", "plain"}, "invalid_request"},
			"method left out": {[]string{"code_challenge_method", ""}, "invalid_request"},
			"bad challenge":   {[]string{"code_challenge", "abc"}, "invalid_request"},
			"prompt mix":      {[]string{"prompt", "none login"}, "invalid_request"},
			"prompt unknown":  {[]string{"prompt", "create"}, "invalid_request"},
			"max_age":         {[]string{"max_age", "-5"}, "invalid_request"},
			"max_age text":    {[]string{"max_age", "x"}, "invalid_request"},
			"claims":          {[]string{"claims", "{"}, "invalid_request"},
			"foreign request": {[]string{"request_uri", "https://evil.example/r"}, "request_uri_not_supported"},
			"no known scope":  {[]string{"scope", "nope"}, "invalid_scope"},
			"hint":            {[]string{"id_token_hint", "a.b.c"}, "invalid_request"},
			"mode":            {[]string{"response_mode", "web_message"}, "invalid_request"},
		} {
			back, _, _ := w.browser().follow(a.authorize(c.pairs...))
			if back == nil || back.Query().Get("error") != c.want || back.Query().Get("iss") != w.issuer || back.Query().Get("state") != "st" {
				w.t.Errorf("%s: got %v, want %s with iss and state", name, back, c.want)
			}
		}
		if back, _, _ := w.browser().follow(f.authorize()); back == nil || back.Query().Get("error") != "invalid_request" {
			w.t.Errorf("gov-fapi2 without a pushed request: %v", back)
		}
	})
}

func TestPushedRequest(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		f := w.register(idp.Client{ID: "fapi", Profile: idp.ProfileFAPI2})
		other := w.register(idp.Client{ID: "otra", Profile: idp.ProfileFAPI2})
		push := func(a *app) string {
			u := must(url.Parse(f.authorize("client_id", a.id, "redirect_uri", a.redirect)))(w.t)
			status, out := a.call("/oauth2/par", u.Query())
			if status != http.StatusCreated {
				w.t.Fatalf("par: %d %v", status, out)
			}
			return out["request_uri"].(string)
		}
		visit := func(client, uri string, extra ...string) string {
			q := url.Values{"client_id": {client}, "request_uri": {uri}}
			for i := 0; i+1 < len(extra); i += 2 {
				q.Set(extra[i], extra[i+1])
			}
			return w.issuer + "/oauth2/authorize?" + q.Encode()
		}
		uri := push(f)
		br := w.browser()
		for range 2 { // visited twice before the login ends
			if outside, res, _ := br.follow(visit(f.id, uri)); outside != nil || res.StatusCode != 200 {
				w.t.Fatalf("visit: %v %d", outside, res.StatusCode)
			}
		}
		if res, _ := w.browser().get(visit(other.id, uri)); res.StatusCode != 400 {
			w.t.Errorf("another client's request: got %d, want 400", res.StatusCode)
		}
		back := br.enter(visit(f.id, uri, "nonce", "evil", "scope", "openid email", "state", "evil"), who)
		if back.Query().Get("state") != "st" {
			w.t.Errorf("front-channel parameters counted: %v", back)
		}
		status, tok := f.redeem(back.Query().Get("code"))
		if status != 200 || claimsOf(w.t, tok["id_token"])["nonce"] != "n-1" {
			w.t.Errorf("token: %d %v", status, tok)
		}
		if res, _ := br.get(visit(f.id, uri)); res.StatusCode != 400 {
			w.t.Errorf("used request: got %d, want 400", res.StatusCode)
		}
		late := push(f)
		w.clock.Add(time.Minute)
		if res, _ := br.get(visit(f.id, late)); res.StatusCode != 400 {
			w.t.Errorf("expired request: got %d, want 400", res.StatusCode)
		}
		q := must(url.Parse(f.authorize()))(w.t).Query()
		q.Set("request_uri", uri)
		if status, out := f.call("/oauth2/par", q); status != 400 || out["error"] != "invalid_request" {
			w.t.Errorf("request_uri pushed: %d %v", status, out)
		}
	})
}
