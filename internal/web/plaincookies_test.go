package web_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"

	"oruro.gob.bo/suti/internal/web"
)

// A client with an ordinary cookie jar, which sends no Secure cookie over http,
// is known again; the handler sees the names it always sees.
func TestPlainCookies(t *testing.T) {
	t.Parallel()
	session := web.MustCookie(web.Cookie{Name: "app-sesion"})
	for _, how := range []string{"header", "body", "flush", "nothing"} {
		srv := httptest.NewServer(web.PlainCookies(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if v, ok := session.Read(r); ok {
				w.Header().Set("X-Known", v)
			} else if err := session.Set(w, "abc"); err != nil {
				t.Error(err)
			}
			switch how {
			case "header":
				w.WriteHeader(http.StatusAccepted)
			case "body":
				_, _ = w.Write([]byte("x"))
			case "flush":
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
			}
		})))
		defer srv.Close()
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Jar: jar}
		var known string
		for i := range 2 {
			res, err := client.Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			known = res.Header.Get("X-Known")
			if i > 0 {
				break
			}
			if got, want := res.Header.Get("Set-Cookie"), "app-sesion=abc; Path=/; HttpOnly; SameSite=Lax"; got != want {
				t.Errorf("%s: got %q, want %q", how, got, want)
			}
		}
		if known != "abc" {
			t.Errorf("%s: the second request is of %q, want abc", how, known)
		}
	}
}

// What arrives with the prefix cannot stand in for the cookie without it.
func TestPlainCookiesDropsPrefixed(t *testing.T) {
	t.Parallel()
	session := web.MustCookie(web.Cookie{Name: "s"})
	for sent, want := range map[string]string{"s=1": "1", "__Host-s=2": "", "__Host-s=2; s=1": "1", "other=3; s=1": "1", "s=1; s=2": "", ";;": ""} {
		var got string
		h := web.PlainCookies(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got, _ = session.Read(r) }))
		r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		r.Header.Set("Cookie", sent)
		h.ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("%q: got %q, want %q", sent, got, want)
		}
	}
}
