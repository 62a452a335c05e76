package web

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
)

// NewLocalJar returns a cookie jar for Go clients that talk to a demo or test
// server on http://localhost. Like browsers, and unlike the standard jar, it
// sends Secure cookies there although the connection is not TLS.
func NewLocalJar() http.CookieJar {
	jar, err := cookiejar.New(nil)
	if err != nil {
		panic(err) // cookiejar.New never fails
	}
	return &localJar{jar}
}

type localJar struct{ *cookiejar.Jar }

// SetCookies implements http.CookieJar.
func (j *localJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.Jar.SetCookies(asSecure(u), cookies)
}

// Cookies implements http.CookieJar.
func (j *localJar) Cookies(u *url.URL) []*http.Cookie { return j.Jar.Cookies(asSecure(u)) }

func asSecure(u *url.URL) *url.URL {
	if u.Scheme != "http" || !isLocalhost(u.Hostname()) {
		return u
	}
	secure := *u
	secure.Scheme = "https"
	return &secure
}
