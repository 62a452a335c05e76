package idp_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

func ptr[T any](v T) *T { return &v }

// TestClientIsChanged: a change is in effect with its commit, for logins under
// way and for what was granted before, and is on record with what was.
func TestClientIsChanged(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, RedirectURIs: []string{"https://app-a.example/cb", "https://app-a.example/otro"}})
		for name, ch := range map[string]idp.ClientChange{
			"http redirect": {RedirectURIs: ptr([]string{"http://app-a.example/cb"})}, "no redirect": {RedirectURIs: ptr([]string{})}, "bad scope": {Scopes: ptr([]string{"a b"})},
			"private or no keys": {JWKS: ptr(`{"keys":[]}`)}, "front-channel of gov-web": {FrontchannelURI: ptr("https://app-a.example/f")},
			"waiver of gov-web": {Waivers: ptr(map[string]time.Time{idp.WaivePKCE: w.clock.Now().Add(time.Hour)})}, "no name": {Name: ptr("")}, "nothing": {},
			"the same": {RedirectURIs: ptr([]string{"https://app-a.example/cb", "https://app-a.example/otro"})}, "keys nobody reads": {JWKSURI: ptr("https://app-a.example/jwks")},
		} {
			if err := w.p.ChangeClient(ctx, "operator:0", "app-a", ch); !errors.Is(err, idp.ErrClient) {
				w.t.Errorf("%s: %v", name, err)
			}
		}
		if err := w.p.ChangeClient(ctx, "operator:0", "nobody", idp.ClientChange{Name: ptr("x")}); !errors.Is(err, idp.ErrUnknownClient) {
			w.t.Errorf("unknown: %v", err)
		}
		if r := must(w.p.RegisteredClient(ctx, "app-a"))(w.t); r.Version != 1 {
			w.t.Errorf("a refusal changed it: version %d", r.Version)
		}

		tok := a.tokens(w.browser(), who)
		br := w.browser()
		_, _, page := br.follow(a.authorize()) // a login under way
		if err := w.p.ChangeClient(ctx, "operator:0", "app-a", idp.ClientChange{
			RedirectURIs: ptr([]string{"https://app-a.example/otro"}), PostLogoutURIs: ptr([]string{"https://app-a.example/adios"}), Scopes: ptr([]string{"openid", "offline_access"}), BackchannelURI: ptr("https://app-a.example/fin"),
		}); err != nil {
			w.t.Fatal(err)
		}
		outside, res, _ := br.follow(w.issuer + interactionRE.FindString(page))
		if outside != nil {
			w.t.Errorf("a login under way went to %s, which was taken out (%d)", outside, res.StatusCode)
		}
		if _, res, _ := w.browser().follow(a.authorize()); res.StatusCode != http.StatusBadRequest {
			w.t.Errorf("a new login: %d", res.StatusCode)
		}
		status, again := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}})
		if status != http.StatusOK || strings.Contains(again["scope"].(string), "profile") {
			w.t.Errorf("renewed: %d %v", status, again["scope"])
		}
		r := must(w.p.RegisteredClient(ctx, "app-a"))(w.t)
		if r.Version != 2 || !slices.Equal(r.RedirectURIs, []string{"https://app-a.example/otro"}) || r.BackchannelURI != "https://app-a.example/fin" || !slices.Equal(r.PostLogoutURIs, []string{"https://app-a.example/adios"}) {
			w.t.Errorf("registered: %+v", r)
		}
		a.redirect = "https://app-a.example/otro"
		if got := a.tokens(w.browser(), who); got["access_token"] == nil {
			w.t.Errorf("at the new address: %v", got)
		}
		if n := w.count(`SELECT count(1) FROM audit_entry WHERE kind = 'idp.client.changed'`); n != 1 {
			w.t.Errorf("%d entries", n)
		}
	})
}

// TestChangesAtTheSameTime: none is lost, each has its entry.
func TestChangesAtTheSameTime(t *testing.T) {
	each(t, func(w *world) {
		w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		dbtest.Contend(w.t, 8, func(i int) {
			ch := idp.ClientChange{Name: ptr("Nombre " + string(rune('a'+i)))}
			if i == 0 {
				ch = idp.ClientChange{BackchannelURI: ptr("https://app-a.example/fin")}
			}
			if err := w.p.ChangeClient(w.t.Context(), "operator:0", "app-a", ch); err != nil {
				w.t.Error(err)
			}
		})
		r := must(w.p.RegisteredClient(w.t.Context(), "app-a"))(w.t)
		if n := w.count(`SELECT count(1) FROM audit_entry WHERE kind = 'idp.client.changed'`); r.Version != 9 || n != 8 || r.BackchannelURI == "" {
			w.t.Errorf("version %d, %d entries, %q", r.Version, n, r.BackchannelURI)
		}
	})
}

// publisher is a client's address of keys.
type publisher struct {
	mu    sync.Mutex
	set   string
	fail  bool
	reads int
}

func (p *publisher) Fetch(context.Context, string, string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reads++
	if p.fail {
		return nil, errors.New("no answer")
	}
	return []byte(p.set), nil
}

func (p *publisher) publish(set string, fail bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set, p.fail = set, fail
}

func (p *publisher) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reads
}

// TestPublishedKeys: keys are read at registration, again when a token names one
// that is unknown, at most once a minute whatever strangers send, by one reading
// for all who wait; and they count for a day when the address does not answer.
func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		pub := &publisher{}
		w := newWorld(t, d, func(c *idp.Config) { c.Fetcher = pub })
		who, ctx := w.person(identity.N2), t.Context()
		first, second := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
		pub.publish(jwks(t, first), false)
		if _, err := w.p.Register(ctx, "", idp.Client{ID: "app-x", Institution: insA, Name: "x", Profile: idp.ProfileWeb, JWKSURI: "http://app-x.example/k", RedirectURIs: []string{"https://app-x.example/cb"}}); !errors.Is(err, idp.ErrClient) {
			t.Errorf("keys by http: %v", err)
		}
		must(w.p.Register(ctx, "", idp.Client{
			ID: "app-a", Institution: insA, Name: "A", Profile: idp.ProfileWeb, JWKSURI: "https://app-a.example/jwks", RedirectURIs: []string{"https://app-a.example/cb"}, Scopes: []string{"openid", "profile", "offline_access"},
		}))(t)
		a := &app{w: w, id: "app-a", redirect: "https://app-a.example/cb", key: first}
		tok := a.tokens(w.browser(), who)
		if n := pub.count(); n != 1 {
			t.Errorf("read %d times, want once at registration", n)
		}

		// The client changes its key: the set names it by another id.
		a.key = second
		pub.publish(strings.Replace(jwks(t, second), `"k1"`, `"k2"`, 1), false)
		a.kid = "k2"
		dbtest.Contend(t, 8, func(int) {
			if !a.active(tok["access_token"]) {
				t.Error("the new key is not known")
			}
		})
		if n := pub.count(); n != 2 {
			t.Errorf("read %d times, want once more for eight who waited", n-1)
		}
		if n := w.count(`SELECT count(1) FROM audit_entry WHERE kind = 'idp.client.keys-read'`); n != 1 {
			t.Errorf("%d entries of keys that changed", n)
		}
		a.kid, a.key = "k1", first // taken out: it no longer counts, and asking costs nothing
		for range 5 {
			if status, _ := a.call("/oauth2/introspect", url.Values{"token": {"x"}}); status != http.StatusUnauthorized {
				t.Errorf("a key that was taken out: %d", status)
			}
		}
		if n := pub.count(); n != 2 {
			t.Errorf("strangers made us read %d times", n-2)
		}
		w.clock.Add(2 * time.Minute)
		a.call("/oauth2/introspect", url.Values{"token": {"x"}})
		if n := pub.count(); n != 3 {
			t.Errorf("after the interval: read %d times", n)
		}

		a.kid, a.key = "k2", second
		pub.publish("", true)
		status := func() int { s, _ := a.call("/oauth2/introspect", url.Values{"token": {"x"}}); return s }
		w.clock.Add(2 * time.Hour)
		if got, n := status(), pub.count(); got != http.StatusOK || n != 4 {
			t.Errorf("while it does not answer: %d, read %d times", got, n)
		}
		w.clock.Add(23 * time.Hour)
		if got := status(); got == http.StatusOK {
			t.Error("keys of yesterday still count")
		}
		pub.publish(strings.Replace(jwks(t, second), `"k1"`, `"k2"`, 1), false)
		w.clock.Add(2 * time.Minute)
		if got := status(); got != http.StatusOK {
			t.Errorf("when it answers again: %d", got)
		}
	})
}

// TestFrontChannelLogout is Front-Channel Logout 1.0: only old clients, with iss
// and sid where asked for, in frames of exactly their origins, and on without script.
func TestFrontChannelLogout(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		for name, c := range map[string]idp.Client{
			"gov-web":        {Profile: idp.ProfileWeb, FrontchannelURI: "https://x.example/salir"},
			"another origin": {Profile: idp.ProfileLegacy, FrontchannelURI: "https://y.example/salir"},
			"another port":   {Profile: idp.ProfileLegacy, FrontchannelURI: "https://x.example:8443/salir"},
			"http":           {Profile: idp.ProfileLegacy, FrontchannelURI: "http://x.example/salir"},
			"sid for nobody": {Profile: idp.ProfileLegacy, FrontchannelSID: true},
		} {
			c.ID, c.Institution, c.Name, c.RedirectURIs = "x-app", insA, "X", []string{"https://x.example/cb"}
			if c.Profile == idp.ProfileWeb {
				c.AuthMethod = "client_secret_basic"
			}
			if _, err := w.p.Register(w.t.Context(), "", c); !errors.Is(err, idp.ErrClient) {
				w.t.Errorf("%s: %v", name, err)
			}
		}
		old := w.register(idp.Client{
			ID: "vieja", Name: "Agenda vieja", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic", PostLogoutURIs: []string{"https://vieja.example/fin"},
			FrontchannelURI: "https://vieja.example/salir?de=suti", FrontchannelSID: true,
		})
		plain := w.register(idp.Client{ID: "llana", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic", FrontchannelURI: "https://llana.example/salir"})
		br := w.browser()
		tok := old.tokens(br, who)
		plain.tokens(br, who)
		out := w.issuer + "/oauth2/logout?" + url.Values{"id_token_hint": {tok["id_token"].(string)}, "post_logout_redirect_uri": {"https://vieja.example/fin"}, "state": {"s 1"}}.Encode()
		res, body := br.get(out)
		if res.StatusCode != http.StatusOK || old.active(tok["access_token"]) {
			w.t.Fatalf("logout: %d", res.StatusCode)
		}
		sid := claimsOf(w.t, tok["id_token"])["sid"].(string)
		want := strings.ReplaceAll("https://vieja.example/salir?de=suti&"+url.Values{"iss": {w.issuer}, "sid": {sid}}.Encode(), "&", "&amp;")
		for _, s := range []string{`src="` + want + `"`, `src="https://llana.example/salir"`, `href="https://vieja.example/fin?state=s&#43;1"`, `sandbox="allow-scripts allow-same-origin"`} {
			if !strings.Contains(body, s) {
				w.t.Errorf("the page lacks %s:\n%s", s, body)
			}
		}
		csp := res.Header.Get("Content-Security-Policy")
		if !strings.Contains(csp, "; frame-src https://llana.example https://vieja.example;") || strings.Contains(csp, "*") || strings.Contains(body, "<script") {
			w.t.Errorf("policy: %s", csp)
		}
		if got := res.Header.Get("Refresh"); got != "5; url=https://vieja.example/fin?state=s+1" {
			w.t.Errorf("falls through to %q", got)
		}
		// Again there is nothing to end and nobody to tell.
		if res, _ := br.get(out); res.StatusCode != http.StatusSeeOther || res.Header.Get("Refresh") != "" {
			w.t.Errorf("again: %d", res.StatusCode)
		}
	})
}
