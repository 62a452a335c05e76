package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"oruro.gob.bo/suti/internal/i18n"
)

// Paths that every [BrowserMux] serves by itself.
const (
	assetPath    = "/activos/"
	languagePath = "/idioma"
)

// ReturnParam names the parameter that carries where to go after a detour.
const ReturnParam = "volver"

// BrowserConfig configures a [BrowserMux].
type BrowserConfig struct {
	// Hosts are further hosts, with port if not the default one, under which
	// pages are served. The public host always is.
	Hosts []string
	// InsecureCrossOriginBypass are patterns of routes that may be posted to from
	// other sites, for instance "POST /oauth2/authorize". Such a route must not
	// act on the authority of cookies.
	InsecureCrossOriginBypass []string
}

// BrowserMux serves pages and their forms.
type BrowserMux struct{ *mux }

// NewBrowserMux returns a mux with the asset and language routes.
func (s *Site) NewBrowserMux(c BrowserConfig) (*BrowserMux, error) {
	if s.c.Pages == nil {
		return nil, errors.New("web: browser mux needs pages")
	}
	cross := http.NewCrossOriginProtection()
	if err := cross.AddTrustedOrigin(s.c.Public.Origin()); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	for _, p := range c.InsecureCrossOriginBypass {
		cross.AddInsecureBypassPattern(p)
	}
	hosts := append([]string{s.c.Public.Host()}, c.Hosts...)
	m := &mux{
		site: s, name: "browser", maxBody: s.c.Limits.Form,
		accepts: []string{"application/x-www-form-urlencoded"},
		headers: func(h http.Header, _ *route) { browserHeaders(h) },
		check: func(r *http.Request) error {
			if !slices.Contains(hosts, requestHost(r)) {
				return &Error{Status: http.StatusMisdirectedRequest, Code: "misdirected", Detail: "web.error.misdirected"}
			}
			if err := cross.Check(r); err != nil {
				return &Error{Status: http.StatusForbidden, Code: "cross_origin", Detail: "web.error.cross_origin", Err: err}
			}
			return nil
		},
		fault: func(w http.ResponseWriter, r *http.Request, _ *route, e *Error) {
			s.c.Pages.renderError(w, r, e)
		},
		stepUp: redirectToStepUp,
	}
	b := &BrowserMux{m}
	b.Handle("GET "+assetPath+"{name}", s.c.Pages.assets.serve)
	b.Handle("POST "+languagePath, s.setLanguage)
	return b, nil
}

// Handle registers a route under a pattern "METHOD /path" as in net/http. A body
// must be a form of at most [Limits].Form bytes unless an option says otherwise.
func (b *BrowserMux) Handle(pattern string, h HandlerFunc, opts ...RouteOption) {
	upload := func(rt *route) {
		if rt.upload {
			rt.accepts = append(slices.Clone(rt.accepts), "multipart/form-data")
		}
	}
	b.handle(pattern, h, append(slices.Clone(opts), upload))
}

// requestHost returns the host of the request without a default port.
func requestHost(r *http.Request) string {
	host := strings.ToLower(r.Host)
	if name, port, err := net.SplitHostPort(host); err == nil && (port == "443" || port == "80") {
		return name
	}
	return host
}

// languageCookie remembers the choice of a language for a year.
var languageCookie = MustCookie(Cookie{Name: "idioma", MaxAge: 365 * 24 * 60 * 60 * 1e9})

// setLanguage stores the language a person chose and goes back.
func (s *Site) setLanguage(w http.ResponseWriter, r *http.Request) error {
	form, err := Form(r, 4<<10)
	if err != nil {
		return err
	}
	l := i18n.Lang(form.Get("idioma"))
	if !slices.Contains(s.c.Catalog.Offered(), l) {
		return &Error{Status: http.StatusBadRequest, Code: "unknown_language", Detail: "web.error.bad_request"}
	}
	if err := languageCookie.Set(w, string(l)); err != nil {
		return err
	}
	back, ok := SafeReturn(form.Get(ReturnParam))
	if !ok {
		back = "/"
	}
	return Redirect(w, back)
}

// Redirect answers 303 See Other to a path of this site; the browser then uses
// GET, so that nothing that was posted is posted again.
func Redirect(w http.ResponseWriter, path string) error {
	safe, ok := safePath(path)
	if !ok {
		return errors.New("web: redirect does not stay on this site")
	}
	w.Header().Set("Location", safe)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// SetLang fixes the language of this answer, for instance by ui_locales or the
// person's own setting. A language that is not offered changes nothing.
func SetLang(r *http.Request, l i18n.Lang) {
	if ex := exchangeOf(r.Context()); ex != nil && slices.Contains(ex.site.c.Catalog.Offered(), l) {
		ex.lang = l
	}
}

// Printer returns the printer of the language of this answer: what [SetLang]
// said, else the cookie of the language switch, else Accept-Language, else Spanish.
func Printer(r *http.Request) *i18n.Printer {
	ex := exchangeOf(r.Context())
	if ex == nil {
		panic("web: Printer outside a Site")
	}
	return ex.printer(r)
}

func (ex *exchange) printer(r *http.Request) *i18n.Printer {
	c := ex.site.c.Catalog
	if ex.lang == "" {
		chosen, _ := languageCookie.Read(r)
		ex.lang = c.Match(chosen, r.Header.Get("Accept-Language"))
	}
	return c.Printer(ex.lang)
}

// redirectToStepUp sends a browser to sign in, with the way back.
func redirectToStepUp(w http.ResponseWriter, r *http.Request, _ *route, su *StepUp) {
	back := r.URL.Path
	if r.Method == http.MethodGet && r.URL.RawQuery != "" {
		back += "?" + r.URL.RawQuery
	}
	to, err := url.Parse(su.Path)
	if err != nil {
		to = &url.URL{Path: "/"}
	}
	q := to.Query()
	if safe, ok := SafeReturn(back); ok {
		q.Set(ReturnParam, safe)
	} else if safe, ok := SafeReturn(r.URL.EscapedPath()); ok {
		q.Set(ReturnParam, safe)
	}
	to.RawQuery = q.Encode()
	if err := Redirect(w, to.RequestURI()); err != nil {
		_ = Redirect(w, "/")
	}
}
