package web_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// sampleSite serves the pages of testdata under http://localhost:PORT.
func sampleSite(t *testing.T, demo bool) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	base := "http://localhost:" + port
	site, pages := webtest.NewSite(t, webtest.Options{
		Public: base, Demo: demo, Texts: map[string]fs.FS{"sample": os.DirFS("testdata/texts")},
		Theme: web.Theme{Institution: "Gobierno Autónomo Departamental de Oruro", Help: "/ayuda", Phone: "800-10-2026", CSS: themeCSS(t)},
	})
	set, err := pages.NewSet(os.DirFS("testdata/pages"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for path, page := range samplePages() {
		m.Handle("GET "+path, func(w http.ResponseWriter, r *http.Request) error { return set.Render(w, r, page) })
	}
	m.Handle("GET /falla", func(http.ResponseWriter, *http.Request) error { return io.ErrUnexpectedEOF })
	srv.Config.Handler = site.Handler(m)
	srv.Start()
	t.Cleanup(srv.Close)
	return base
}

func themeCSS(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("assets/theme-oruro.css")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func samplePages() map[string]web.Page {
	at := time.Date(2026, 11, 24, 19, 4, 0, 0, time.UTC)
	nav := []web.NavItem{
		{Path: "/cuenta", Text: "sample.nav.data", Current: true},
		{Path: "/cuenta/llaves", Text: "sample.nav.keys"},
		{Path: "/cuenta/accesos", Text: "sample.nav.seen"},
	}
	seen := web.TableView{
		Caption: "sample.account.seen",
		Head:    []string{"sample.account.seen_when", "sample.account.seen_who", "sample.account.seen_what"},
		Rows: [][]any{
			{at, "Servicio Departamental de Caminos", "Nombre y fecha de nacimiento"},
			{at.Add(-26 * time.Hour), "Secretaría de Minería y Metalurgia", "Nombre"},
		},
	}
	var cells []web.CodeCell
	for i := range 40 {
		cells = append(cells, web.CodeCell{Number: fmt.Sprintf("%04d", i+1), Code: fmt.Sprintf("%06d", (i*7919+104729+31)%1_000_000)})
	}
	return map[string]web.Page{
		"/entrar":   {Template: "enter", Title: "sample.enter", Data: struct{ App string }{"Trámites en línea"}},
		"/registro": {Template: "register", Title: "sample.register", Step: 1, Steps: 4, Back: "/"},
		"/registro/mal": {Template: "register", Title: "sample.register", Step: 1, Steps: 4, Back: "/registro", Status: 422, Errors: []web.FieldError{
			{Field: "documento", Detail: "sample.register.bad_document", Args: []any{"example", "1234567"}},
			{Field: "equipo", Detail: "sample.register.choose"},
		}},
		"/cuenta": {Template: "account", Title: "sample.account", Wide: true, Nav: nav,
			Person: "Ñusta Quispe Mamani", SignOut: "/salir", NotMe: "/entrar/otra", Data: struct {
				Name, Level string
				At          time.Time
				Seen, None  web.TableView
			}{"Ñusta Quispe Mamani", "N2, con llave", at, seen, web.TableView{Empty: "sample.account.nobody"}}},
		"/tarjeta": {Template: "card", Title: "sample.card", Secret: true, Data: web.CodeCardView{
			Holder: "Ñusta Quispe Mamani", Serial: "7K2M-40", Cells: cells,
		}},
	}
}

// Every sample page, narrow and wide, light and dark, is accessible and keeps to
// the policy. With -artifacts the test leaves pictures of them.
func TestScreens(t *testing.T) {
	t.Parallel()
	base := sampleSite(t, true)
	b := webtest.Browser(t)
	paths := []string{"/entrar", "/registro", "/registro/mal", "/cuenta", "/tarjeta", "/nada", "/falla"}
	for _, path := range paths {
		for _, width := range []int{320, 360, 1280} {
			name := fmt.Sprintf("%s-%d", strings.ReplaceAll(path[1:], "/", "-"), width)
			for suffix, opts := range map[string][]webtest.ViewOption{"": nil, "-dark": {webtest.Dark()}} {
				for _, v := range b.Check(t, base+path, width, opts...) {
					expected := v.Rule == "browser" && strings.Contains(v.Help, "the server responded with a status of")
					if !expected { // three of the pages are errors on purpose
						t.Errorf("%s%s: %s (%s): %s\n\t%s", name, suffix, v.Rule, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
					}
				}
				png := b.Screenshot(t, base+path, width, opts...)
				if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+suffix+".png"), png, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	png := b.Screenshot(t, base+"/tarjeta", 800, webtest.Print())
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "tarjeta-print.png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

func zipped(t *testing.T, b []byte) int {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Len()
}
