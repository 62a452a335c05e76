package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// hostPrefix makes browsers refuse a cookie that is not Secure, has a Domain or
// another Path than "/": no other host can plant it (RFC 6265bis §4.1.3.2).
const hostPrefix = "__Host-"

// maxCookie bounds a cookie's value, in bytes.
const maxCookie = 3 << 10

// Cookie describes one cookie of this site. Its value is opaque here; whoever
// needs it sealed seals it. Browsers accept it on http://localhost too.
type Cookie struct {
	// Name without the prefix __Host-: lower-case letters, digits, "-" and "_".
	// Cookies ignore ports, so each application has a name of its own.
	Name string
	// MaxAge is how long the browser keeps it; zero means until it is closed.
	MaxAge time.Duration
	// Strict withholds it on every navigation from another site. The default,
	// Lax, sends it when a person follows a link, which signing in needs.
	Strict bool
}

// MustCookie returns c, or panics if its name or age is bad.
func MustCookie(c Cookie) Cookie {
	ok := c.Name != "" && len(c.Name) <= 40 && c.MaxAge >= 0 && c.MaxAge <= 400*24*time.Hour
	for i := range len(c.Name) {
		b := c.Name[i]
		ok = ok && (b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-' || b == '_')
	}
	if !ok {
		panic(fmt.Sprintf("web: cookie %q: bad name or age", c.Name))
	}
	return c
}

// FullName returns the name with its prefix.
func (c Cookie) FullName() string { return hostPrefix + c.Name }

// Set sets the cookie. value may hold letters, digits and -._~+/=|: only.
func (c Cookie) Set(w http.ResponseWriter, value string) error {
	if value == "" || len(value) > maxCookie || strings.ContainsFunc(value, notInCookie) {
		return errors.New("web: cookie value is empty, too long or has other characters")
	}
	http.SetCookie(w, c.cookie(value, int(c.MaxAge/time.Second)))
	return nil
}

// Clear removes the cookie from the browser.
func (c Cookie) Clear(w http.ResponseWriter) { http.SetCookie(w, c.cookie("", -1)) }

// Read returns the value the browser sent. A cookie that is sent twice, empty or
// malformed is as good as none.
func (c Cookie) Read(r *http.Request) (string, bool) {
	found := r.CookiesNamed(c.FullName())
	if len(found) != 1 {
		return "", false
	}
	v := found[0].Value
	if v == "" || len(v) > maxCookie || strings.ContainsFunc(v, notInCookie) {
		return "", false
	}
	return v, true
}

func (c Cookie) cookie(value string, maxAge int) *http.Cookie {
	same := http.SameSiteLaxMode
	if c.Strict {
		same = http.SameSiteStrictMode
	}
	return &http.Cookie{Name: c.FullName(), Value: value, Path: "/", MaxAge: maxAge, Secure: true, HttpOnly: true, SameSite: same}
}

func notInCookie(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/=|:", c)
}
