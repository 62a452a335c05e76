package sdk_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/sdk"
	"oruro.gob.bo/suti/sdk/sdktest"
)

// fakeClock is a clock that only tests move.
type fakeClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *fakeClock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// world is an issuer, an application and a browser.
type world struct {
	t       *testing.T
	clock   *fakeClock
	issuer  *sdktest.Issuer
	client  *sdk.Client
	app     *httptest.Server
	lastErr error
	store   *hookStore
}

// hookStore lets a test act between two steps of a request.
type hookStore struct {
	sdk.Store
	mu    sync.Mutex
	after func(key string) // after a Get
}

func (s *hookStore) Get(ctx context.Context, key string) ([]byte, bool, error) {
	value, ok, err := s.Store.Get(ctx, key)
	s.mu.Lock()
	after := s.after
	s.mu.Unlock()
	if after != nil {
		after(key)
	}
	return value, ok, err
}

func (s *hookStore) hook(after func(key string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = after
}

// jar keeps cookies by name and, as a browser does on localhost, sends Secure ones over http.
type jar struct{ cookies map[string]string }

func (w *world) browser() *jar { return &jar{map[string]string{}} }

// get follows redirects by hand and returns the last response's status and body.
func (w *world) get(j *jar, address string) (int, string, string) {
	w.t.Helper()
	for range 12 {
		res, body := w.send(j, http.MethodGet, address, "", nil)
		if res.StatusCode != http.StatusSeeOther {
			return res.StatusCode, body, address
		}
		next, err := res.Location()
		if err != nil {
			w.t.Fatal(err)
		}
		address = next.String()
	}
	w.t.Fatal("too many redirects")
	return 0, "", ""
}

func (w *world) send(j *jar, method, address, contentType string, body io.Reader) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, address, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if strings.HasPrefix(address, w.app.URL) {
		for n, v := range j.cookies {
			req.AddCookie(&http.Cookie{Name: n, Value: v})
		}
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range res.Cookies() {
		if c.MaxAge < 0 {
			delete(j.cookies, c.Name)
			continue
		}
		if !c.Secure || !c.HttpOnly || c.Path != "/" || !strings.HasPrefix(c.Name, "__Host-") {
			w.t.Errorf("cookie %s is not __Host-, Secure, HttpOnly, Path=/", c.Name)
		}
		j.cookies[c.Name] = c.Value
	}
	return res, string(raw)
}

func newWorld(t *testing.T, useKey bool, opts ...sdk.Option) *world {
	t.Helper()
	w := &world{t: t, clock: &fakeClock{t: time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)}}
	w.issuer = sdktest.NewIssuer(w.clock.Now)
	t.Cleanup(w.issuer.Close)
	w.issuer.Person = &sdktest.Person{Subject: "sub-1", ACR: sdk.N2, AMR: []string{"swk", "user"}, Claims: map[string]any{"given_name": "Ana"}}
	var handler http.Handler
	w.app = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(w.app.Close)
	w.store = &hookStore{Store: sdk.NewMemoryStore(w.clock.Now)}
	cfg := sdk.Config{Issuer: w.issuer.URL, ClientID: "tramites", BaseURL: w.app.URL, Now: w.clock.Now, Store: w.store,
		OnError: func(rw http.ResponseWriter, _ *http.Request, err error) {
			w.lastErr = err
			http.Error(rw, "refused", http.StatusForbidden)
		}}
	reg := sdktest.App{ID: "tramites", Scopes: []string{"firmas:crear", "firmas:leer"}}
	if useKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Key, reg.Key = key, &key.PublicKey
	} else {
		cfg.ClientSecret, reg.Secret = "s3cr%t:with/odd+chars", "s3cr%t:with/odd+chars"
	}
	client, err := sdk.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
	reg.RedirectURI = client.RedirectURI()
	w.issuer.Register(reg)
	page := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		u := sdk.UserFrom(r.Context())
		fmt.Fprintf(rw, "%s %s %s", u.Subject, u.Claim("given_name"), r.URL.RequestURI())
	})
	mux := http.NewServeMux()
	mux.Handle("/", client.RequireLogin(page, opts...))
	mux.Handle("/alto/", client.RequireLogin(page, sdk.Level(sdk.N3)))
	mux.Handle("/auth/", client.Routes())
	mux.Handle("/api/", client.RequireToken(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, sdk.TokenFrom(r.Context()).ClientID)
	}), "firmas:leer"))
	handler = mux
	return w
}

func TestLoginReturnsToThePageAndStays(t *testing.T) {
	t.Parallel()
	for name, useKey := range map[string]bool{"private_key_jwt": true, "client_secret_basic": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, useKey)
			j := w.browser()
			status, body, _ := w.get(j, w.app.URL+"/tramite?id=7&x=%2F")
			if want := "sub-1 Ana /tramite?id=7&x=%2F"; status != 200 || body != want {
				t.Fatalf("got %d %q (%v), want 200 %q", status, body, w.lastErr, want)
			}
			w.issuer.Person = nil // a second login would be refused
			if status, _, _ := w.get(j, w.app.URL+"/otra"); status != 200 {
				t.Errorf("second page: got %d, want the same session", status)
			}
			w.clock.Add(31 * time.Minute)
			if status, _, _ := w.get(j, w.app.URL+"/otra"); status != 403 {
				t.Errorf("after the idle limit: got %d, want a new login", status)
			}
		})
	}
}

// TestLoginRefuses changes one thing of an otherwise good answer at a time.
func TestLoginRefuses(t *testing.T) {
	t.Parallel()
	claim := func(name string, v any) func(*world) {
		return func(w *world) {
			w.issuer.Tamper = func(_, c map[string]any) {
				if v == nil {
					delete(c, name)
					return
				}
				c[name] = v
			}
		}
	}
	header := func(name string, v any) func(*world) {
		return func(w *world) { w.issuer.Tamper = func(h, _ map[string]any) { h[name] = v } }
	}
	param := func(name, v string) func(*world) {
		return func(w *world) { w.issuer.Respond = func(q url.Values) { q.Set(name, v) } }
	}
	epoch := time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		break_ func(*world)
		want   error
	}{
		"wrong iss claim":          {claim("iss", "https://evil.example"), sdk.ErrToken},
		"wrong aud":                {claim("aud", "other"), sdk.ErrToken},
		"two audiences, no azp":    {claim("aud", []string{"tramites", "other"}), sdk.ErrToken},
		"azp of another":           {claim("azp", "other"), sdk.ErrToken},
		"expired":                  {claim("exp", epoch.Add(-2*time.Minute).Unix()), sdk.ErrToken},
		"no exp":                   {claim("exp", nil), sdk.ErrToken},
		"from the future":          {claim("iat", epoch.Add(5*time.Minute).Unix()), sdk.ErrToken},
		"not yet valid":            {claim("nbf", epoch.Add(5*time.Minute).Unix()), sdk.ErrToken},
		"no nonce":                 {claim("nonce", nil), sdk.ErrToken},
		"wrong nonce":              {claim("nonce", "x"), sdk.ErrToken},
		"no sub":                   {claim("sub", ""), sdk.ErrToken},
		"wrong at_hash":            {claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), sdk.ErrToken},
		"a logout token":           {claim("events", map[string]any{}), sdk.ErrToken},
		"alg none":                 {header("alg", "none"), sdk.ErrToken},
		"alg HS256":                {header("alg", "HS256"), sdk.ErrToken},
		"alg of another key kind":  {header("alg", "RS256"), sdk.ErrToken},
		"unknown kid":              {header("kid", "nope"), sdk.ErrToken},
		"no kid":                   {header("kid", ""), sdk.ErrToken},
		"access token's typ":       {header("typ", "at+jwt"), sdk.ErrToken},
		"crit":                     {header("crit", []string{"b64"}), sdk.ErrToken},
		"iss parameter of another": {param("iss", "https://evil.example"), sdk.ErrState},
		"foreign state":            {param("state", strings.Repeat("A", 43)), sdk.ErrState},
		"no iss parameter":         {func(w *world) { w.issuer.Respond = func(q url.Values) { q.Del("iss") } }, sdk.ErrState},
		"state twice":              {func(w *world) { w.issuer.Respond = func(q url.Values) { q.Add("state", "x") } }, sdk.ErrState},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, true)
			c.break_(w)
			j := w.browser()
			status, _, _ := w.get(j, w.app.URL+"/")
			if status != 403 || !errors.Is(w.lastErr, c.want) {
				t.Errorf("got %d, %v; want a refusal with %v", status, w.lastErr, c.want)
			}
			if len(j.cookies) > 1 {
				t.Errorf("a session cookie was set: %d cookies", len(j.cookies))
			}
		})
	}
}

func TestUserInfoAddsButNeverReplaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.issuer.Person.Claims = nil
	w.issuer.Person.UserInfo = map[string]any{"given_name": "Eva", "acr": sdk.N3}
	if status, body, _ := w.get(w.browser(), w.app.URL+"/x"); status != 200 || body != "sub-1 Eva /x" {
		t.Errorf("got %d %q, want Eva from userinfo", status, body)
	}
	if status, _, _ := w.get(w.browser(), w.app.URL+"/alto/"); status != 403 {
		t.Errorf("a level named by userinfo alone was believed: %d", status)
	}
	w.issuer.Person.UserInfo = map[string]any{"sub": "somebody-else"}
	if status, _, _ := w.get(w.browser(), w.app.URL+"/x"); status != 403 || !errors.Is(w.lastErr, sdk.ErrToken) {
		t.Errorf("userinfo about another subject: got %d, %v; want ErrToken", status, w.lastErr)
	}
}

func TestResponseIsForOneBrowserAndOneUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	victim, thief := w.browser(), w.browser()
	res, _ := w.send(victim, http.MethodGet, w.app.URL+"/", "", nil)
	atIssuer, _ := w.send(victim, http.MethodGet, res.Header.Get("Location"), "", nil)
	callback := atIssuer.Header.Get("Location")
	if status, _, _ := w.get(thief, callback); status != 403 || !errors.Is(w.lastErr, sdk.ErrState) {
		t.Errorf("another browser: got %d, %v; want ErrState", status, w.lastErr)
	}
	// The state is burnt by the attempt, so the victim begins again.
	if status, _, _ := w.get(victim, w.app.URL+"/"); status != 200 {
		t.Fatalf("victim's next login: %d, %v", status, w.lastErr)
	}
	if status, _, _ := w.get(victim, callback); status != 403 || !errors.Is(w.lastErr, sdk.ErrState) {
		t.Errorf("used twice: got %d, %v; want ErrState", status, w.lastErr)
	}
}

func TestStepUpAsksAndChecksTheLevel(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	j := w.browser()
	if status, _, _ := w.get(j, w.app.URL+"/alto/x"); status != 403 || !errors.Is(w.lastErr, sdk.ErrToken) {
		t.Errorf("provider answers a lower level: got %d, %v; want ErrToken", status, w.lastErr)
	}
	w.issuer.Person.ACR = sdk.N3
	if status, body, _ := w.get(j, w.app.URL+"/alto/x"); status != 200 {
		t.Errorf("after stepping up: got %d %q, %v", status, body, w.lastErr)
	}
}

func TestMaxAgeIsCheckedAgainstTheTokenNotTheQuery(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true, sdk.MaxAge(5*time.Minute))
	w.issuer.Person.AuthTime = w.clock.Now().Add(-10 * time.Minute)
	if status, _, _ := w.get(w.browser(), w.app.URL+"/"); status != 403 || !errors.Is(w.lastErr, sdk.ErrToken) {
		t.Errorf("old authentication: got %d, %v; want ErrToken", status, w.lastErr)
	}
	w.issuer.Person.AuthTime = time.Time{}
	j := w.browser()
	if status, _, _ := w.get(j, w.app.URL+"/"); status != 200 {
		t.Fatalf("fresh authentication: %v", w.lastErr)
	}
	w.clock.Add(7 * time.Minute)
	w.issuer.Person = nil
	if status, _, _ := w.get(j, w.app.URL+"/"); status != 403 {
		t.Errorf("got %d, want a new login once the authentication is older than the page allows", status)
	}
}

func TestBackchannelLogoutEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	j := w.browser()
	w.get(j, w.app.URL+"/")
	post := func(token string) int {
		res, _ := w.send(w.browser(), http.MethodPost, w.app.URL+"/auth/backchannel", "application/x-www-form-urlencoded", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
		return res.StatusCode
	}
	for name, tamper := range map[string]func(h, c map[string]any){
		"nonce present": func(_, c map[string]any) { c["nonce"] = "n" },
		"no events":     func(_, c map[string]any) { delete(c, "events") },
		"ID token typ":  func(h, _ map[string]any) { delete(h, "typ") },
		"other client":  func(_, c map[string]any) { c["aud"] = "other" },
		"no subject":    func(_, c map[string]any) { delete(c, "sub") },
		"expired":       func(_, c map[string]any) { c["exp"] = w.clock.Now().Add(-time.Hour).Unix() },
	} {
		w.issuer.Tamper = tamper
		if got := post(w.issuer.LogoutToken("tramites", "sub-1", "")); got != 400 {
			t.Errorf("%s: got %d, want 400", name, got)
		}
	}
	w.issuer.Tamper, w.issuer.Person = nil, nil
	if status, _, _ := w.get(j, w.app.URL+"/"); status != 200 {
		t.Fatal("a refused logout token ended the session")
	}
	w.clock.Add(time.Second)
	if got := post(w.issuer.LogoutToken("tramites", "sub-1", "")); got != 200 {
		t.Fatalf("good logout token: got %d, want 200", got)
	}
	if status, _, _ := w.get(j, w.app.URL+"/"); status != 403 {
		t.Errorf("got %d after logout, want a new login", status)
	}
}

func TestLogoutNeedsTheSameSite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	j := w.browser()
	w.get(j, w.app.URL+"/")
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, w.app.URL+"/auth/salir", nil)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	for n, v := range j.cookies {
		req.AddCookie(&http.Cookie{Name: n, Value: v})
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("cross-site logout: got %d, want 403", res.StatusCode)
	}
	out, _ := w.send(j, http.MethodPost, w.app.URL+"/auth/salir", "", nil)
	loc, err := out.Location()
	if err != nil || loc.Query().Get("id_token_hint") == "" || loc.Query().Get("post_logout_redirect_uri") != w.client.PostLogoutRedirectURI() {
		t.Errorf("logout goes to %v, want the provider with a hint and our address", loc)
	}
	w.issuer.Person = nil
	if status, _, _ := w.get(j, w.app.URL+"/"); status != 403 {
		t.Errorf("got %d after logout, want a new login", status)
	}
}

func TestRequireToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	call := func(auth string) *http.Response {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, w.app.URL+"/api/x", nil)
		if auth != "" {
			req.Header.Set("Authorization", auth)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	good, err := w.client.ClientToken(t.Context(), "firmas:leer")
	if err != nil {
		t.Fatal(err)
	}
	lesser, err := w.client.ClientToken(t.Context(), "firmas:crear")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := w.client.ClientToken(t.Context(), "firmas:leer"); again != good {
		t.Error("token was not reused")
	}
	for name, c := range map[string]struct {
		auth string
		want int
	}{
		"none": {"", 401}, "basic": {"Basic x", 401}, "unknown": {"Bearer x", 401}, "other scope": {"Bearer " + lesser, 403}, "good": {"Bearer " + good, 200},
		"too long": {"Bearer " + strings.Repeat("a", 1<<15), 401},
	} {
		res := call(c.auth)
		if res.StatusCode != c.want {
			t.Errorf("%s: got %d, want %d", name, res.StatusCode, c.want)
		}
		if c.want != 200 && res.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", name)
		}
	}
	w.issuer.Revoke(good)
	if res := call("Bearer " + good); res.StatusCode != 401 {
		t.Errorf("revoked: got %d, want 401", res.StatusCode)
	}
	w.issuer.Close()
	if res := call("Bearer " + good); res.StatusCode != 503 {
		t.Errorf("provider gone: got %d, want 503", res.StatusCode)
	}
}

func TestNewRefusesBadConfigurations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	good := sdk.Config{Issuer: w.issuer.URL, ClientID: "a", ClientSecret: "b", BaseURL: "https://a.example"}
	for name, change := range map[string]func(*sdk.Config){
		"no client":           func(c *sdk.Config) { c.ClientID = "" },
		"no credential":       func(c *sdk.Config) { c.ClientSecret = "" },
		"plain http":          func(c *sdk.Config) { c.BaseURL = "http://a.example" },
		"base with a path":    func(c *sdk.Config) { c.BaseURL = "https://a.example/x" },
		"issuer plain http":   func(c *sdk.Config) { c.Issuer = "http://id.example" },
		"issuer with user":    func(c *sdk.Config) { c.Issuer = "https://u@id.example" },
		"prefix not a folder": func(c *sdk.Config) { c.Prefix = "/auth" },
	} {
		cfg := good
		change(&cfg)
		if _, err := sdk.New(t.Context(), cfg); !errors.Is(err, sdk.ErrConfig) {
			t.Errorf("%s: got %v, want ErrConfig", name, err)
		}
	}
	other := good
	other.Issuer = strings.Replace(w.issuer.URL, "127.0.0.1", "localhost", 1)
	if _, err := sdk.New(t.Context(), other); !errors.Is(err, sdk.ErrDiscovery) {
		t.Errorf("metadata of another issuer: got %v, want ErrDiscovery", err)
	}
	if _, err := sdk.New(t.Context(), good); err != nil {
		t.Errorf("good configuration refused: %v", err)
	}
}

// TestEveryAddressOfTheProviderIsSafe: a token sent to an address without TLS is lost.
func TestEveryAddressOfTheProviderIsSafe(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "introspection_endpoint", "end_session_endpoint", "pushed_authorization_request_endpoint"} {
		var server *httptest.Server
		server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			m := map[string]any{"issuer": server.URL, "authorization_response_iss_parameter_supported": true}
			for _, n := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"} {
				m[n] = server.URL + "/" + n
			}
			if name != "" {
				m[name] = "http://id.example/x"
			}
			_ = json.NewEncoder(rw).Encode(m)
		}))
		_, err := sdk.New(t.Context(), sdk.Config{Issuer: server.URL, ClientID: "a", ClientSecret: "b", BaseURL: "https://a.example"})
		if refused := errors.Is(err, sdk.ErrDiscovery); refused != (name != "") {
			t.Errorf("%q without TLS: %v", name, err)
		}
		server.Close()
	}
}

// TestLogoutIsFinal: a request that read the session before the logout writes
// back after it when the session was last seen. That must not revive it.
func TestLogoutIsFinal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	j := w.browser()
	w.get(j, w.app.URL+"/")
	stolen := &jar{map[string]string{}}
	for n, v := range j.cookies {
		stolen.cookies[n] = v
	}
	w.clock.Add(2 * time.Minute) // so that the next request writes
	var once sync.Once
	w.store.hook(func(key string) {
		if strings.HasPrefix(key, "ended-s") { // the request has the session and is about to use it
			once.Do(func() {
				w.store.hook(nil)
				w.send(j, http.MethodPost, w.app.URL+"/auth/salir", "", nil)
			})
		}
	})
	w.get(stolen, w.app.URL+"/")
	w.issuer.Person = nil
	if status, _, _ := w.get(stolen, w.app.URL+"/"); status != 403 {
		t.Errorf("got %d with the cookie from before the logout, want a new login", status)
	}
}

// TestLoginsNeverPushOutSessions: beginning logins costs nothing, so it may not cost others their session.
func TestLoginsNeverPushOutSessions(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := sdk.NewMemoryStore(time.Now)
	if err := s.Put(ctx, "session:a", []byte("v"), time.Hour); err != nil {
		t.Fatal(err)
	}
	for i := range 120_000 {
		if err := s.Put(ctx, fmt.Sprint("login:", i), nil, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, _ := s.Get(ctx, "session:a"); !ok {
		t.Error("the session is gone")
	}
	if _, ok, _ := s.Get(ctx, "login:0"); ok {
		t.Error("logins are not bounded")
	}
}

func TestMeets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		got, want string
		ok        bool
	}{{sdk.N2, sdk.N2, true}, {sdk.N3, sdk.N1, true}, {sdk.N1, sdk.N2, false}, {"", sdk.N0, false}, {"phr", sdk.N0, false}, {sdk.N3, "phr", false}} {
		if got := sdk.Meets(c.got, c.want); got != c.ok {
			t.Errorf("Meets(%q, %q) = %v, want %v", c.got, c.want, got, c.ok)
		}
	}
}

func TestMemoryStoreTakesOnce(t *testing.T) {
	t.Parallel()
	clock := &fakeClock{t: time.Unix(0, 0)}
	s := sdk.NewMemoryStore(clock.Now)
	ctx := context.Background()
	for range 200 {
		if err := s.Put(ctx, "k", []byte("v"), time.Minute); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		winners := 0
		for range 8 {
			wg.Go(func() {
				if _, ok, _ := s.Take(ctx, "k"); ok {
					mu.Lock()
					winners++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if winners != 1 {
			t.Fatalf("%d callers took one value", winners)
		}
	}
	_ = s.Put(ctx, "k", []byte("v"), time.Minute)
	clock.Add(time.Minute)
	if _, ok, _ := s.Get(ctx, "k"); ok {
		t.Error("an expired value was returned")
	}
}
