package idp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk0"

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorize builds an authorization request; pairs replace parameters, "" removes one.
func (a *app) authorize(pairs ...string) string {
	q := url.Values{
		"client_id": {a.id}, "redirect_uri": {a.redirect}, "response_type": {"code"}, "scope": {"openid profile"}, "state": {"st"}, "nonce": {"n-1"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return a.w.issuer + "/oauth2/authorize?" + q.Encode()
}

// assertion makes a client assertion; change may spoil its claims.
func (a *app) assertion(change func(claims map[string]any)) string {
	now := a.w.clock.Now()
	claims := map[string]any{"iss": a.id, "sub": a.id, "aud": a.w.issuer, "jti": identity.NewID("jti", now), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	if change != nil {
		change(claims)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: a.key, KeyID: "k1"}}, nil))(a.w.t)
	raw := must(json.Marshal(claims))(a.w.t)
	return must(must(signer.Sign(raw))(a.w.t).CompactSerialize())(a.w.t)
}

// call posts to a back-channel endpoint as the client.
func (a *app) call(path string, form url.Values) (int, map[string]any) {
	var header []string
	switch {
	case a.public:
		form.Set("client_id", a.id)
	case a.key != nil:
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", a.assertion(nil))
	default:
		header = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(a.id)+":"+url.QueryEscape(a.secret)))}
	}
	res, body := (&browser{w: a.w}).do(http.MethodPost, a.w.issuer+path, "application/x-www-form-urlencoded", form.Encode(), header...)
	var out map[string]any
	_ = json.Unmarshal([]byte(body), &out)
	return res.StatusCode, out
}

func (a *app) redeem(code string, pairs ...string) (int, map[string]any) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.redirect}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if form.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return a.call("/oauth2/token", form)
}

func (a *app) active(token any) bool {
	s, _ := token.(string)
	status, out := a.call("/oauth2/introspect", url.Values{"token": {s}})
	if status != http.StatusOK {
		a.w.t.Fatalf("introspect: %d %v", status, out)
	}
	return out["active"] == true
}

func claimsOf(t *testing.T, token any) map[string]any {
	t.Helper()
	s, _ := token.(string)
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		t.Fatalf("no ID token: %v", token)
	}
	raw := must(base64.RawURLEncoding.DecodeString(parts[1]))(t)
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestOneLoginTwoApplicationsOneLogout(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, PostLogoutURIs: []string{"https://app-a.example/fin"}})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb, Institution: insB})
		br := w.browser()
		back := br.enter(a.authorize(), who)
		if got := back.Query(); got.Get("iss") != w.issuer || got.Get("state") != "st" || !strings.HasPrefix(back.String(), a.redirect+"?") {
			t := w.t
			t.Fatalf("response %v", back)
		}
		status, ta := a.redeem(back.Query().Get("code"))
		if status != 200 {
			w.t.Fatalf("token: %d %v", status, ta)
		}
		ca := claimsOf(w.t, ta["id_token"])
		if ca["nonce"] != "n-1" || ca["acr"] != identity.N2.ACR() || ca["aud"] != "app-a" {
			w.t.Errorf("ID token claims %v", ca)
		}
		// The second application needs consent but no authentication.
		outside, _, page := br.follow(b.authorize("state", ""))
		if outside != nil || strings.Contains(page, "data-llave") || !strings.Contains(page, `value="accept"`) || !strings.Contains(page, "Ana María Mamani Quispe") {
			w.t.Fatalf("second application: want the consent page that names the person")
		}
		back = br.accept(page)
		if _, sent := back.Query()["state"]; sent {
			w.t.Error("state was answered though none was sent")
		}
		_, tb := b.redeem(back.Query().Get("code"))
		cb := claimsOf(w.t, tb["id_token"])
		if ca["sub"] == cb["sub"] || ca["sid"] == cb["sid"] {
			w.t.Error("two institutions see the same subject or session id")
		}
		if !a.active(ta["access_token"]) || !b.active(tb["access_token"]) {
			w.t.Fatal("tokens are not active before logout")
		}
		if b.active(ta["access_token"]) {
			w.t.Error("another client may read the token")
		}
		logout := w.issuer + "/oauth2/logout?" + url.Values{"id_token_hint": {ta["id_token"].(string)}, "post_logout_redirect_uri": {"https://app-a.example/fin"}, "state": {"bye"}}.Encode()
		if outside, _, _ := br.follow(logout); outside == nil || outside.String() != "https://app-a.example/fin?state=bye" {
			w.t.Errorf("logout led to %v", outside)
		}
		if a.active(ta["access_token"]) || b.active(tb["access_token"]) {
			w.t.Error("a token survived logout")
		}
		if outside, _, _ := br.follow(a.authorize("prompt", "none")); outside == nil || outside.Query().Get("error") != "login_required" {
			w.t.Errorf("prompt=none after logout: %v", outside)
		}
	})
}

func TestUserInfoReleasesWhatScopesOpen(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		_, _, page := br.follow(a.authorize("scope", "openid profile email unknown"))
		_, _, page = br.follow(br.login(page, who))
		code := br.accept(page, "no-email").Query().Get("code") // the person leaves the e-mail out
		_, tok := a.redeem(code)
		if tok["scope"] != "openid profile" {
			w.t.Errorf("granted scope %q", tok["scope"])
		}
		info := func(token string) (int, string, map[string]any) {
			res, body := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+token)
			var out map[string]any
			_ = json.Unmarshal([]byte(body), &out)
			return res.StatusCode, res.Header.Get("WWW-Authenticate"), out
		}
		access := tok["access_token"].(string)
		status, _, got := info(access)
		if status != 200 || got["name"] != "Ana María Mamani Quispe" || got["birthdate"] != "1990-05-02" || got["email"] != nil || got["sub"] != claimsOf(w.t, tok["id_token"])["sub"] {
			w.t.Errorf("userinfo: %d %v", status, got)
		}
		for name, bad := range map[string]string{"cut": access[:len(access)-1], "extended": access + "A", "empty": "", "the ID token": tok["id_token"].(string)} {
			if status, auth, _ := info(bad); status != 401 || !strings.HasPrefix(auth, "Bearer") {
				w.t.Errorf("%s token: got %d %q, want 401 with a challenge", name, status, auth)
			}
		}
		w.clock.Add(61 * time.Second)
		if status, _, _ := info(access); status != 401 {
			w.t.Errorf("expired token: got %d, want 401", status)
		}
	})
}

func TestCodeIsUsedOnce(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb})
		br := w.browser()
		code := br.enter(a.authorize(), who).Query().Get("code")
		if status, out := b.redeem(code, "redirect_uri", a.redirect); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("another client: got %d %v, want invalid_grant", status, out)
		}
		status, tok := a.redeem(code)
		if status != 200 {
			w.t.Fatalf("after another client's try: %d %v", status, tok)
		}
		if status, out := a.redeem(code); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("second use: got %d %v, want invalid_grant", status, out)
		}
		if a.active(tok["access_token"]) {
			w.t.Error("the first token survived the code's reuse")
		}
		for round := range 5 {
			code := br.enter(a.authorize(), who).Query().Get("code")
			var good, bad atomic.Int64
			dbtest.Contend(w.t, 16, func(int) {
				switch status, out := a.redeem(code); {
				case status == 200:
					good.Add(1)
				case status == 400 && out["error"] == "invalid_grant":
					bad.Add(1)
				default:
					w.t.Errorf("got %d %v", status, out)
				}
			})
			if good.Load() != 1 || bad.Load() != 15 {
				w.t.Fatalf("round %d: %d successes, %d refusals; want 1 and 15", round, good.Load(), bad.Load())
			}
		}
	})
}

func TestCodeIsBurntByAWrongProof(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		for name, pairs := range map[string][]string{
			"wrong verifier": {"code_verifier", strings.Repeat("x", 43)}, "no verifier": {"code_verifier", ""}, "short verifier": {"code_verifier", "short"},
			"wrong address": {"redirect_uri", "https://evil.example/cb"}, "no address": {"redirect_uri", ""},
		} {
			code := br.enter(a.authorize(), who).Query().Get("code")
			if status, out := a.redeem(code, pairs...); status != 400 || out["error"] != "invalid_grant" {
				w.t.Errorf("%s: got %d %v, want invalid_grant", name, status, out)
			}
			if status, _ := a.redeem(code); status != 400 {
				w.t.Errorf("%s: the code was good for a second try", name)
			}
		}
		code := br.enter(a.authorize(), who).Query().Get("code")
		w.clock.Add(60 * time.Second)
		if status, out := a.redeem(code); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("code of 60 s: got %d %v, want invalid_grant", status, out)
		}
	})
}

func TestLegacyClientWithoutChallenge(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		l := w.register(idp.Client{ID: "vieja", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic", Waivers: map[string]time.Time{idp.WaivePKCE: w.clock.Now().Add(time.Hour)}})
		br := w.browser()
		none := []string{"code_challenge", "", "code_challenge_method", ""}
		code := br.enter(l.authorize(none...), who).Query().Get("code")
		if status, out := l.redeem(code); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("a verifier without a challenge: got %d %v, want invalid_grant", status, out)
		}
		code = br.enter(l.authorize(none...), who).Query().Get("code")
		status, out := l.redeem(code, "code_verifier", "")
		if status != 200 {
			w.t.Fatalf("got %d %v", status, out)
		}
		head, _ := base64.RawURLEncoding.DecodeString(strings.Split(out["id_token"].(string), ".")[0])
		if !strings.Contains(string(head), `"RS256"`) {
			w.t.Errorf("header %s, want RS256 for a client that names no algorithm", head)
		}
		// A challenge that was sent binds even a waived client.
		code = br.enter(l.authorize(), who).Query().Get("code")
		if status, _ := l.redeem(code, "code_verifier", ""); status != 400 {
			w.t.Error("the challenge was forgotten")
		}
		w.clock.Add(2 * time.Hour)
		br = w.browser()
		if back, _, _ := br.follow(l.authorize(none...)); back == nil || back.Query().Get("error") != "invalid_request" {
			w.t.Errorf("after the waiver's end: %v, want invalid_request", back)
		}
	})
}

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
			"request object":  {[]string{"request", "eyJ"}, "request_not_supported"},
			"foreign request": {[]string{"request_uri", "https://evil.example/r"}, "request_uri_not_supported"},
			"no known scope":  {[]string{"scope", "nope"}, "invalid_scope"},
			"hint":            {[]string{"id_token_hint", "a.b.c"}, "invalid_request"},
			"mode":            {[]string{"response_mode", "fragment"}, "invalid_request"},
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

func TestClientAssertions(t *testing.T) {
	each(t, func(w *world) {
		f := w.register(idp.Client{ID: "fapi", Profile: idp.ProfileFAPI2, Scopes: []string{"firmas:leer"}, Grants: []string{"authorization_code", "client_credentials"}})
		g := w.register(idp.Client{ID: "web", Profile: idp.ProfileWeb, Scopes: []string{"firmas:leer"}, Grants: []string{"authorization_code", "client_credentials"}})
		try := func(a *app, assertion string, extra ...string) (int, map[string]any) {
			form := url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}, "client_assertion": {assertion},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
			for i := 0; i+1 < len(extra); i += 2 {
				form.Set(extra[i], extra[i+1])
			}
			res, body := (&browser{w: w}).do(http.MethodPost, w.issuer+"/oauth2/token", "application/x-www-form-urlencoded", form.Encode())
			var out map[string]any
			_ = json.Unmarshal([]byte(body), &out)
			return res.StatusCode, out
		}
		now := func(d time.Duration) int64 { return w.clock.Now().Add(d).Unix() }
		for name, change := range map[string]func(map[string]any){
			"array audience":      func(c map[string]any) { c["aud"] = []string{w.issuer} },
			"token endpoint":      func(c map[string]any) { c["aud"] = w.issuer + "/oauth2/token" },
			"no audience":         func(c map[string]any) { delete(c, "aud") },
			"other subject":       func(c map[string]any) { c["sub"] = "web" },
			"other issuer":        func(c map[string]any) { c["iss"] = "web" },
			"no jti":              func(c map[string]any) { delete(c, "jti") },
			"no exp":              func(c map[string]any) { delete(c, "exp") },
			"expired":             func(c map[string]any) { c["exp"] = now(-5 * time.Minute) },
			"ten years":           func(c map[string]any) { c["exp"] = now(10 * 365 * 24 * time.Hour) },
			"nbf a minute ahead":  func(c map[string]any) { c["nbf"] = now(61 * time.Second) },
			"iat a minute ahead":  func(c map[string]any) { c["iat"] = now(61 * time.Second) },
			"exp not a number":    func(c map[string]any) { c["exp"] = "soon" },
			"exp beyond all time": func(c map[string]any) { c["exp"] = 1e300 },
		} {
			if status, out := try(f, f.assertion(change)); status != 401 || out["error"] != "invalid_client" {
				w.t.Errorf("%s: got %d %v, want invalid_client", name, status, out)
			}
		}
		good := f.assertion(func(c map[string]any) { c["nbf"], c["iat"] = now(8*time.Second), now(8*time.Second) })
		if status, out := try(f, good); status != 200 {
			w.t.Errorf("8 s ahead: got %d %v, want 200", status, out)
		}
		if status, _ := try(f, good); status != 401 {
			w.t.Errorf("used twice: got %d, want 401", status)
		}
		if status, out := try(g, g.assertion(func(c map[string]any) { c["aud"] = w.issuer + "/oauth2/token" })); status != 200 {
			w.t.Errorf("gov-web with the token endpoint as audience: got %d %v", status, out)
		}
		if status, _ := try(f, strings.Replace(f.assertion(nil), ".", ".A", 1)); status != 401 {
			t := w.t
			t.Error("spoilt assertion accepted")
		}
		g.id = "fapi" // signed with another client's key
		if status, _ := try(g, g.assertion(nil)); status != 401 {
			w.t.Errorf("another client's key: got %d, want 401", status)
		}
		if status, out := try(f, f.assertion(nil), "scope", "openid"); status != 400 || out["error"] != "invalid_scope" {
			w.t.Errorf("a person's scope for the client itself: got %d %v", status, out)
		}
		jti := identity.NewID("jti", w.clock.Now())
		var won atomic.Int64
		dbtest.Contend(w.t, 16, func(int) {
			if status, _ := try(f, f.assertion(func(c map[string]any) { c["jti"] = jti })); status == 200 {
				won.Add(1)
			}
		})
		if won.Load() != 1 {
			w.t.Errorf("one jti passed %d times", won.Load())
		}
	})
}

func TestRefreshRotatesForPublicClients(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		s := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		br := w.browser()
		fresh := func() string {
			code := br.enter(s.authorize("scope", "openid offline_access"), who).Query().Get("code")
			status, out := s.redeem(code)
			rt, _ := out["refresh_token"].(string)
			if status != 200 || rt == "" {
				w.t.Fatalf("no refresh token: %d %v", status, out)
			}
			return rt
		}
		use := func(rt string, pairs ...string) (int, map[string]any) {
			form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {rt}}
			for i := 0; i+1 < len(pairs); i += 2 {
				form.Set(pairs[i], pairs[i+1])
			}
			return s.call("/oauth2/token", form)
		}
		first := fresh()
		got := make([]string, 12)
		dbtest.Contend(w.t, len(got), func(i int) {
			if status, out := use(first); status == 200 {
				got[i], _ = out["refresh_token"].(string)
			} else {
				w.t.Errorf("parallel refresh: %d %v", status, out)
			}
		})
		if slices.Sort(got); len(slices.Compact(got)) != 1 || got[0] == first {
			w.t.Errorf("parallel refreshes gave %d successors, want one", len(slices.Compact(got)))
		}
		w.clock.Add(21 * time.Second)
		if status, out := use(first); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("old token after the grace: got %d %v", status, out)
		}
		if status, _ := use(got[0]); status != 400 {
			w.t.Error("the family survived the reuse of an old token")
		}
		third := fresh()
		if status, out := use(third, "scope", "openid email"); status != 400 || out["error"] != "invalid_scope" {
			w.t.Errorf("wider scope: %d %v", status, out)
		}
		status, out := use(third, "scope", "openid")
		if status != 200 || out["scope"] != "openid" || claimsOf(w.t, out["id_token"])["nonce"] != nil {
			w.t.Errorf("narrower scope: %d %v", status, out)
		}
		thief := w.register(idp.Client{ID: "ladron", Profile: idp.ProfileSPA})
		next := out["refresh_token"].(string)
		if status, _ := thief.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {next}}); status != 400 {
			w.t.Error("another client used the token")
		}
		if status, _ := use(next); status != 200 {
			w.t.Error("another client's try ended the rightful client's family")
		}
		w.bump(who, subject.Suspended)
		if status, _ := use(next); status != 400 {
			w.t.Error("a suspended person's token was refreshed")
		}
	})
}

func TestConfidentialClientKeepsItsRefreshToken(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		code := w.browser().enter(a.authorize("scope", "openid offline_access"), who).Query().Get("code")
		_, tok := a.redeem(code)
		form := func() url.Values {
			return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}
		}
		for range 3 {
			if status, out := a.call("/oauth2/token", form()); status != 200 || out["refresh_token"] != tok["refresh_token"] {
				w.t.Fatalf("refresh: %d %v", status, out)
			}
		}
		if status, _ := a.call("/oauth2/revoke", url.Values{"token": {tok["refresh_token"].(string)}}); status != 200 {
			w.t.Fatalf("revoke: %d", status)
		}
		if status, _ := a.call("/oauth2/token", form()); status != 400 {
			w.t.Error("a revoked token was refreshed")
		}
		if a.active(tok["access_token"]) {
			w.t.Error("the access token of a revoked grant is active")
		}
		if status, _ := a.call("/oauth2/revoke", url.Values{"token": {"unknown"}}); status != 200 {
			w.t.Error("revoking an unknown token is no success")
		}
	})
}

func TestBackChannelErrors(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		plain := &browser{w: w}
		for name, c := range map[string]struct {
			contentType, body string
			status            int
			code              string
		}{
			"no body":         {"application/x-www-form-urlencoded", "", 401, "invalid_client"},
			"json":            {"application/json", "{}", 415, "invalid_request"},
			"repeated":        {"application/x-www-form-urlencoded", "grant_type=a&grant_type=b&client_id=app-a", 400, "invalid_request"},
			"no credentials":  {"application/x-www-form-urlencoded", "grant_type=authorization_code&client_id=app-a", 401, "invalid_client"},
			"unknown client":  {"application/x-www-form-urlencoded", "grant_type=authorization_code&client_id=nobody", 401, "invalid_client"},
			"control letters": {"application/x-www-form-urlencoded", "grant_type=%00&client_id=app-a", 400, "invalid_request"},
		} {
			res, body := plain.do(http.MethodPost, w.issuer+"/oauth2/token", c.contentType, c.body)
			var out map[string]string
			_ = json.Unmarshal([]byte(body), &out)
			if res.StatusCode != c.status || out["error"] != c.code || res.Header.Get("Cache-Control") != "no-store" {
				w.t.Errorf("%s: got %d %q, want %d %s", name, res.StatusCode, body, c.status, c.code)
			}
		}
		if status, out := a.call("/oauth2/token", url.Values{"grant_type": {"password"}}); status != 400 || out["error"] != "unsupported_grant_type" {
			w.t.Errorf("password grant: %d %v", status, out)
		}
		res, _ := plain.do(http.MethodPost, w.issuer+"/oauth2/token", "application/x-www-form-urlencoded", "grant_type=x", "Authorization", "Basic !!!")
		if res.StatusCode != 401 || res.Header.Get("WWW-Authenticate") == "" {
			w.t.Errorf("bad Basic: got %d without a challenge", res.StatusCode)
		}
		if res, _ := plain.get(w.issuer + "/oauth2/token"); res.StatusCode != http.StatusMethodNotAllowed {
			w.t.Errorf("GET on the token endpoint: %d", res.StatusCode)
		}
	})
}
