package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"https://id.oruro.gob.bo", "https://id.oruro.gob.bo:8443", "http://localhost", "http://localhost:8080", "http://id.localhost:8080", "https://xn--o1a.bo"} {
		p, err := web.ParsePublicURL(s)
		if err != nil || p.Origin() != s || p.String() != s {
			t.Errorf("%s: got %v, %v", s, p, err)
		}
	}
	for _, s := range []string{
		"", "id.oruro.gob.bo", "http://id.oruro.gob.bo", "http://127.0.0.1:8080", "http://localhost.evil.example", "https://id.oruro.gob.bo/",
		"https://id.oruro.gob.bo/x", "https://id.oruro.gob.bo?x", "https://id.oruro.gob.bo?", "https://id.oruro.gob.bo#", "https://u@id.oruro.gob.bo",
		"https://ID.oruro.gob.bo", "https://id.oruro.gob.bo.", "https://id.oruro.gob.bo:443", "http://localhost:80", "https://id.oruro.gob.bo:",
		"https://", "ftp://localhost", "https://[::1]",
	} {
		if p, err := web.ParsePublicURL(s); !errors.Is(err, web.ErrPublicURL) {
			t.Errorf("%s: got %v, %v; want ErrPublicURL", s, p, err)
		}
	}
	p, err := web.ParsePublicURL("https://id.oruro.gob.bo:8443")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ got, want string }{
		{p.Link("/verificar", url.Values{"c": {"a&b"}}), "https://id.oruro.gob.bo:8443/verificar?c=a%26b"},
		{p.Link("/a b", nil), "https://id.oruro.gob.bo:8443/a%20b"},
		{p.Link("//evil.example", nil), "https://id.oruro.gob.bo:8443/"},
		{p.Link("x", nil), "https://id.oruro.gob.bo:8443/"},
		{p.Host(), "id.oruro.gob.bo:8443"}, {p.Hostname(), "id.oruro.gob.bo"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	if !p.Secure() {
		t.Error("https is not secure")
	}
}

// returns are paths that try to be another place, and some that do not.
func returns() (good, bad []string) {
	good = []string{"/", "/cuenta", "/cuenta/", "/entrar/abc?x=1&y=%20", "/a%2Fb", "/verificar?c=//evil", "/x?u=https://evil.example/", "/a:b", "/.well-known/x", "/a..b", "/%C3%B1"}
	bad = []string{
		"", "cuenta", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/ /evil.example", "/\n/evil.example",
		"https://evil.example", "https:evil.example", "javascript:alert(1)", "/x//evil", "/./x", "/../x", "/x/..", "/%2e%2e/x", "/x/%2E/y", "/%2e/evil",
		"/%5cevil.example", "/x#frag", "/x\x00", "/%00", "/%0d%0aSet-Cookie:x", "/\x7f", "/ñ", "/x\"y", "/<b>", "/%zz", "/?\r\n", strings.Repeat("/a", 600), "?x", "#x", "/x|y", "/x`y",
	}
	return good, bad
}

func TestSafeReturn(t *testing.T) {
	t.Parallel()
	good, bad := returns()
	for _, s := range good {
		if got, ok := web.SafeReturn(s); !ok || got != s {
			t.Errorf("%q: got %q, %v; want it as it is", s, got, ok)
		}
	}
	for _, s := range bad {
		if got, ok := web.SafeReturn(s); ok || got != "" {
			t.Errorf("%q: got %q, %v; want a refusal", s, got, ok)
		}
	}
}

// A browser takes every accepted path to this site and to that very path.
func TestSafeReturnInABrowser(t *testing.T) {
	t.Parallel()
	b := webtest.Browser(t)
	good, bad := returns()
	for _, s := range append(good, bad...) {
		safe, ok := web.SafeReturn(s)
		if !ok {
			continue
		}
		arg, err := json.Marshal(safe)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		script := fmt.Sprintf(`(u => u.origin + u.pathname + u.search)(new URL(%s, "https://id.example/entrar/x"))`, arg)
		if err := chromedp.Run(b.Context(), chromedp.Evaluate(script, &got)); err != nil {
			t.Fatal(err)
		}
		if got != "https://id.example"+safe {
			t.Errorf("%q leads to %q", safe, got)
		}
	}
}

func FuzzSafeReturn(f *testing.F) {
	good, bad := returns()
	for _, s := range slices.Concat(good, bad) {
		f.Add(s)
	}
	base, err := url.Parse("https://id.example/entrar/x")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s string) {
		safe, ok := web.SafeReturn(s)
		if !ok {
			return
		}
		u, err := base.Parse(safe)
		if err != nil || u.Scheme != "https" || u.Host != "id.example" || u.RequestURI() != safe && u.RequestURI() != safe+"?" && !strings.Contains(safe, "?") {
			t.Errorf("%q leads to %v, %v", safe, u, err)
		}
	})
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if err := web.Redirect(w, "/cuenta?x=1"); err != nil || w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/cuenta?x=1" {
		t.Errorf("got %v, %d to %q", err, w.Code, w.Header().Get("Location"))
	}
	w = httptest.NewRecorder()
	if err := web.Redirect(w, "//evil.example"); err == nil || w.Header().Get("Location") != "" {
		t.Errorf("away: got %v to %q", err, w.Header().Get("Location"))
	}
}

func TestCookie(t *testing.T) {
	t.Parallel()
	c := web.MustCookie(web.Cookie{Name: "suti", MaxAge: time.Hour, Strict: true})
	w := httptest.NewRecorder()
	if err := c.Set(w, "v1.abc_DEF-~+/="); err != nil {
		t.Fatal(err)
	}
	if got, want := w.Header().Get("Set-Cookie"), "__Host-suti=v1.abc_DEF-~+/=; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Strict"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	w = httptest.NewRecorder()
	lax := web.MustCookie(web.Cookie{Name: "x"})
	if err := lax.Set(w, "1"); err != nil {
		t.Fatal(err)
	}
	lax.Clear(w)
	want := []string{"__Host-x=1; Path=/; HttpOnly; Secure; SameSite=Lax", "__Host-x=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"}
	if got := w.Header().Values("Set-Cookie"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, bad := range []string{"", "a b", "a;b", "a,b", "a\"b", "ñ", strings.Repeat("x", 4000)} {
		if err := c.Set(httptest.NewRecorder(), bad); err == nil {
			t.Errorf("value %.20q accepted", bad)
		}
	}
	for header, want := range map[string]string{
		"__Host-suti=a": "a", "suti=a": "", "__Host-suti=a; __Host-suti=b": "", "__Host-suti=": "", "x=1; __Host-suti=a": "a", "__host-suti=a": "", `__Host-suti="a b"`: "",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Cookie", header)
		if got, ok := c.Read(r); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v; want %q", header, got, ok, want)
		}
	}
	for _, bad := range []string{"", "Suti", "a b", strings.Repeat("x", 41)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("name %q accepted", bad)
				}
			}()
			web.MustCookie(web.Cookie{Name: bad})
		}()
	}
}

func TestLocalJar(t *testing.T) {
	t.Parallel()
	jar := web.NewLocalJar()
	at := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, host := range []string{"http://localhost:8080/", "http://id.localhost:8080/", "http://plain.example/"} {
		w := httptest.NewRecorder()
		if err := web.MustCookie(web.Cookie{Name: "s"}).Set(w, "1"); err != nil {
			t.Fatal(err)
		}
		jar.SetCookies(at(host), w.Result().Cookies())
	}
	for u, want := range map[string]int{
		"http://localhost:8080/x": 1, "http://localhost:9090/": 1, "http://id.localhost:8080/": 1, "http://other.localhost/": 0, "http://plain.example/": 0,
	} {
		if got := len(jar.Cookies(at(u))); got != want {
			t.Errorf("%s: got %d cookies, want %d", u, got, want)
		}
	}
}
