// Package webtest helps to test pages and handlers: a site whose missing texts
// fail the test, a signed-in person of any level, and a real browser with an
// accessibility check. Only tests import it.
package webtest

import (
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// Options configures [NewSite]. The zero value is usable.
type Options struct {
	// Texts are the catalogues beside the one of package web, by package name.
	Texts map[string]fs.FS
	// Assets are further files of pages.
	Assets []fs.FS
	// Demo shows the demonstration banner.
	Demo bool
	// Public is the address; "http://localhost" if empty.
	Public string
	// Logger gets the request lines.
	Logger *slog.Logger
	// TrustedProxies are the peers whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// Theme is the look; Oruro's if its Institution is empty.
	Theme web.Theme
}

// NewSite returns a site and its pages. A text that is missing or gets the wrong
// arguments fails the test.
func NewSite(t testing.TB, o Options) (*web.Site, *web.Pages) {
	t.Helper()
	sources := map[string]fs.FS{"web": web.Texts()}
	maps.Copy(sources, o.Texts)
	catalog, err := i18n.New(sources, i18n.OnFault(func(f i18n.Fault) { t.Error(f) }))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := web.NewPages(web.PagesConfig{Catalog: catalog, Demo: o.Demo, Assets: o.Assets, Theme: o.Theme})
	if err != nil {
		t.Fatal(err)
	}
	if o.Public == "" {
		o.Public = "http://localhost"
	}
	public, err := web.ParsePublicURL(o.Public)
	if err != nil {
		t.Fatal(err)
	}
	site, err := web.New(web.Config{Public: public, Catalog: catalog, Pages: pages, TrustedProxies: o.TrustedProxies, Logger: o.Logger})
	if err != nil {
		t.Fatal(err)
	}
	return site, pages
}

// Person is a [web.Principal] made of plain fields. It is satisfied by what they
// say and steps up through StepUpPath otherwise.
type Person struct {
	ID         identity.PersonID
	FullName   string
	SessionID  string
	At         int64 // subject epoch
	Assurance  identity.Level
	Signed     time.Time // last proof
	KeyUsed    time.Time // last use of a passkey; zero if none
	Methods    []string
	Shared     bool
	StepUpPath string // "/entrar" if empty
	Now        func() time.Time
}

var _ web.Principal = (*Person)(nil)

// Person implements [web.Principal].
func (p *Person) Person() identity.PersonID { return p.ID }

// Name implements [web.Principal].
func (p *Person) Name() string { return p.FullName }

// Session implements [web.Principal].
func (p *Person) Session() string { return p.SessionID }

// Epoch implements [web.Principal].
func (p *Person) Epoch() int64 { return p.At }

// Level implements [web.Principal].
func (p *Person) Level() identity.Level { return p.Assurance }

// AuthTime implements [web.Principal].
func (p *Person) AuthTime() time.Time { return p.Signed }

// AMR implements [web.Principal].
func (p *Person) AMR() []string { return p.Methods }

// SharedDevice implements [web.Principal].
func (p *Person) SharedDevice() bool { return p.Shared }

// Require implements [web.Principal].
func (p *Person) Require(level identity.Level, maxAge time.Duration) error {
	if p.Assurance >= level && p.recent(p.Signed, maxAge) {
		return nil
	}
	return &web.StepUp{Path: p.path(), Level: level, MaxAge: maxAge}
}

// RequireKey implements [web.Principal].
func (p *Person) RequireKey(maxAge time.Duration) error {
	if !p.KeyUsed.IsZero() && p.recent(p.KeyUsed, maxAge) {
		return nil
	}
	return &web.StepUp{Path: p.path(), Level: p.Assurance, MaxAge: maxAge, Key: true}
}

func (p *Person) recent(at time.Time, maxAge time.Duration) bool {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	return maxAge == 0 || now().Sub(at) <= maxAge
}

func (p *Person) path() string {
	if p.StepUpPath == "" {
		return "/entrar"
	}
	return p.StepUpPath
}

// Auth is a [web.Authenticator] that always finds the same person, or nobody.
type Auth struct {
	P   web.Principal // nil: nobody is signed in
	Err error         // returned instead, if not nil
}

// Principal implements [web.Authenticator].
func (a Auth) Principal(*http.Request) (web.Principal, error) {
	switch {
	case a.Err != nil:
		return nil, a.Err
	case a.P == nil:
		return nil, &web.StepUp{Path: "/entrar", Login: true}
	}
	return a.P, nil
}
