package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// in runs actions in a new tab.
func in(t *testing.T, b *webtest.Chrome, actions ...chromedp.Action) {
	t.Helper()
	tab, end := chromedp.NewContext(b.Context())
	defer end()
	ctx, cancel := context.WithTimeout(tab, 2*time.Minute)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// The language cookie has the prefix __Host- and is Secure; a browser keeps it on
// http://localhost, and the switch works without script.
func TestLanguageSwitchInABrowser(t *testing.T) {
	t.Parallel()
	base := sampleSite(t, false)
	b := webtest.Browser(t)
	var before, after, again, at string
	in(t, b,
		chromedp.Navigate(base+"/entrar"),
		chromedp.Click(`button[value="es"]`),
		chromedp.WaitVisible(`button[value="es"][aria-current]`),
		chromedp.AttributeValue("html", "lang", &before, nil),
		chromedp.Click(`button[value="en"]`),
		chromedp.WaitVisible(`button[value="en"][aria-current]`),
		chromedp.AttributeValue("html", "lang", &after, nil),
		chromedp.Location(&at),
		chromedp.Navigate(base+"/registro"),
		chromedp.AttributeValue("html", "lang", &again, nil),
	)
	if before != "es" || after != "en" || again != "en" || at != base+"/entrar" {
		t.Errorf("got %s, then %s at %s, then %s; want es, en at /entrar, en", before, after, at, again)
	}
}

// The summary of errors has the focus as soon as the page is there; its links
// lead to the fields; the skip link leads to the content.
func TestFocusInABrowser(t *testing.T) {
	t.Parallel()
	base := sampleSite(t, false)
	b := webtest.Browser(t)
	focus := func(want string) chromedp.Action { // the browser moves it some time after a click
		return chromedp.Poll(fmt.Sprintf(`(document.activeElement.id || document.activeElement.className) === %q`, want), nil,
			chromedp.WithPollingInterval(50*time.Millisecond), chromedp.WithPollingTimeout(0)) // frames are rare where many tabs are open
	}
	press := func(sel string) chromedp.Action { // no place to miss while the page still scrolls
		return chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).click()`, sel), nil)
	}
	in(t, b,
		chromedp.Navigate(base+"/registro/mal"), focus("faults"),
		press(`.faults a[href="#documento"]`), focus("documento"),
		press(`.faults a[href="#equipo"]`), focus("equipo"),
		chromedp.Navigate(base+"/entrar"), chromedp.KeyEvent("\t"), focus("skip"),
	)
}

// A form whose post ends at an application's address: the browser goes there if
// the policy names its origin, and only then.
func TestFormActionInABrowser(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<p id=app>app") }))
	defer app.Close()
	srv := httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	base := "http://localhost:" + port
	site, _ := webtest.NewSite(t, webtest.Options{Public: base})
	m, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		t.Fatal(err)
	}
	page := func(policy web.Policy) web.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) error {
			if err := web.Relax(w, policy); err != nil {
				return err
			}
			w.Header().Set("Content-Type", "text/html")
			_, err := fmt.Fprint(w, `<form method=post action=/enviar><button id=b>x</button></form>`)
			return err
		}
	}
	origin, err := web.FormActionSource(app.URL + "/cb")
	if err != nil {
		t.Fatal(err)
	}
	m.Handle("GET /cerrada", page(web.Policy{}))
	m.Handle("GET /abierta", page(web.Policy{FormAction: []string{origin}}))
	posts := make(chan struct{}, 4)
	m.Handle("POST /enviar", func(w http.ResponseWriter, r *http.Request) error {
		posts <- struct{}{}
		http.Redirect(w, r, app.URL+"/cb", http.StatusSeeOther)
		return nil
	})
	srv.Config.Handler = site.Handler(m)
	srv.Start()
	defer srv.Close()
	b := webtest.Browser(t)
	var at string
	in(t, b, chromedp.Navigate(base+"/abierta"), chromedp.Click("#b"), chromedp.WaitVisible("#app"), chromedp.Location(&at))
	if at != app.URL+"/cb" {
		t.Errorf("with the origin listed: at %s", at)
	}
	var blocked string
	in(t, b,
		chromedp.Navigate(base+"/cerrada"),
		chromedp.Evaluate(`window.v = ''; document.addEventListener('securitypolicyviolation', e => window.v = e.effectiveDirective)`, nil),
		chromedp.Click("#b"),
		chromedp.Poll(`window.v`, nil),
		chromedp.Evaluate(`window.v`, &blocked),
		chromedp.Location(&at),
	)
	if blocked != "form-action" || at != base+"/cerrada" {
		t.Errorf("without it: got violation %q at %s, want form-action and no move", blocked, at)
	}
	if len(posts) != 2 {
		t.Errorf("%d posts arrived, want both", len(posts))
	}
}

// What another site's page posts to this one is refused, as browsers send it.
func TestForeignPostInABrowser(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	base := "http://localhost:" + port
	site, _ := webtest.NewSite(t, webtest.Options{Public: base})
	m, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m.Handle("POST /cuenta/bloquear", func(w http.ResponseWriter, _ *http.Request) error {
		t.Error("the handler was reached")
		return nil
	})
	srv.Config.Handler = site.Handler(m)
	srv.Start()
	defer srv.Close()
	for name, host := range map[string]string{"cross-site": "127.0.0.1", "same-site": "localhost"} { // ports differ
		evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, `<form method=post action="%s/cuenta/bloquear"><button id=b>x</button></form>`, base)
		}))
		defer evil.Close()
		_, evilPort, _ := strings.Cut(evil.Listener.Addr().String(), ":")
		var text string
		in(t, webtest.Browser(t), chromedp.Navigate("http://"+host+":"+evilPort), chromedp.Click("#b"),
			chromedp.WaitVisible("h1"), chromedp.Text("main", &text))
		if !strings.Contains(text, "otro sitio") && !strings.Contains(text, "another site") {
			t.Errorf("%s: got %q, want the refusal", name, text)
		}
	}
}
