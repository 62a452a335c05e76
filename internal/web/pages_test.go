package web_test

import (
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/net/html"

	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

func TestTextsAndTemplatesFit(t *testing.T) {
	t.Parallel()
	if err := i18n.Lint(os.DirFS("."), web.Texts(), os.DirFS("testdata/texts")); err != nil {
		t.Error(err)
	}
}

// sampleRig serves one page of testdata, or of templates given here.
func sampleRig(t *testing.T, page web.Page, files map[string]string) *rig {
	t.Helper()
	g := newRig(t, rigOptions{})
	fsys := os.DirFS("testdata/pages")
	if files != nil {
		m := fstest.MapFS{}
		for name, data := range files {
			m[name] = &fstest.MapFile{Data: []byte(data)}
		}
		fsys = m
	}
	set, err := g.pages.NewSet(fsys)
	if err != nil {
		t.Fatal(err)
	}
	g.browser.Handle("GET /p", func(w http.ResponseWriter, r *http.Request) error { return set.Render(w, r, page) })
	return g
}

func TestPageIsWellFormedAndInItsLanguage(t *testing.T) {
	t.Parallel()
	for path, page := range samplePages() {
		for accept, lang := range map[string]string{"": "es", "en": "en", "quz": "es"} {
			w := sampleRig(t, page, nil).do(t, "GET", "/p", "", "Accept-Language", accept)
			want := page.Status
			if want == 0 {
				want = 200
			}
			body := w.Body.String()
			if law := map[string]string{"es": "firma electrónica, no firma digital (Ley 164)", "en": "not a “firma digital” (Bolivian Law 164)"}[lang]; !strings.Contains(body, law) {
				t.Errorf("%s in %s does not say what the signatures are by law", path, lang)
			}
			if w.Code != want || w.Header().Get("Content-Language") != lang || !strings.Contains(body, `<html lang="`+lang+`">`) {
				t.Errorf("%s in %q: got %d %s", path, accept, w.Code, w.Header().Get("Content-Language"))
			}
			for _, bad := range []string{" style=", "<style", "onclick", "javascript:", "ZgotmplZ", "<no value>", "[sample.", "[web."} {
				if strings.Contains(body, bad) {
					t.Errorf("%s in %q: page contains %s", path, accept, bad)
				}
			}
			checkTree(t, path, body)
		}
	}
}

// checkTree checks that every element is closed as it was opened, that ids are
// unique, and that what refers to an id finds it.
func checkTree(t *testing.T, name, page string) {
	t.Helper()
	void := map[string]bool{"meta": true, "link": true, "input": true, "br": true, "img": true, "path": true}
	var open []string
	ids, refs := map[string]bool{}, map[string]bool{}
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				t.Errorf("%s: not closed: %v", name, open)
			}
			for ref := range refs {
				if !ids[ref] {
					t.Errorf("%s: nothing has the id %q", name, ref)
				}
			}
			return
		case html.StartTagToken:
			tok := z.Token()
			for _, a := range tok.Attr {
				switch a.Key {
				case "id":
					if ids[a.Val] {
						t.Errorf("%s: id %q twice", name, a.Val)
					}
					ids[a.Val] = true
				case "for", "aria-labelledby":
					refs[a.Val] = true
				case "aria-describedby":
					for ref := range strings.FieldsSeq(a.Val) {
						refs[ref] = true
					}
				case "href":
					if id, ok := strings.CutPrefix(a.Val, "#"); ok {
						refs[id] = true
					}
				}
			}
			if !void[tok.Data] {
				open = append(open, tok.Data)
			}
		case html.EndTagToken:
			tok := z.Token()
			if len(open) == 0 || open[len(open)-1] != tok.Data {
				t.Fatalf("%s: </%s> closes %v", name, tok.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestFormShowsWhatWasTypedAndWhatIsWrong(t *testing.T) {
	t.Parallel()
	values, err := web.Form(post("", "documento=12%22%3E%3Cscript%3E&equipo=compartido&datos=si&motivo=%3C/textarea%3E", form), 1000)
	if err != nil {
		t.Fatal(err)
	}
	page := web.Page{Template: "register", Title: "sample.register", Values: values,
		Errors: []web.FieldError{{Field: "documento", Detail: "sample.register.bad_document", Args: []any{"example", "<i>1</i>"}}}}
	body := sampleRig(t, page, nil).do(t, "GET", "/p", "").Body.String()
	for _, want := range []string{
		"<title>Error: Cree su identidad digital – Suti</title>",
		`value="12&#34;&gt;&lt;script&gt;"`, `aria-describedby="documento-ayuda documento-error" aria-invalid="true"`,
		`role="alert" tabindex="-1" autofocus`, `<a href="#documento">Escriba el número de su cédula con cifras, por ejemplo &lt;i&gt;1&lt;/i&gt;</a>`,
		`value="compartido" checked`, `value="si" checked`, `&lt;/textarea&gt;</textarea>`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %s", want)
		}
	}
	if strings.Contains(body, `value="mio" checked`) || strings.Contains(body, "<script>") {
		t.Error("page has a wrong choice or raw markup")
	}
}

func TestPasswordsAreNotShownAgain(t *testing.T) {
	t.Parallel()
	values, err := web.Form(post("", "clave=hunter2", form), 1000)
	if err != nil {
		t.Fatal(err)
	}
	g := sampleRig(t, web.Page{Template: "x", Title: "sample.enter", Values: values},
		map[string]string{"x.html": `{{define "content"}}{{template "field" (.Field "clave" "type" "password" "label" "sample.enter" "autocomplete" "current-password")}}{{end}}`})
	body := g.do(t, "GET", "/p", "").Body.String()
	if strings.Contains(body, "hunter2") || !strings.Contains(body, `type="password" id="clave" name="clave" autocomplete="current-password"`) {
		t.Errorf("got %s", body)
	}
}

func TestTextIsEscapedAndForeignTextIsMarked(t *testing.T) {
	t.Parallel()
	texts := map[string]fs.FS{"s": fstest.MapFS{
		"es.json": {Data: []byte(`{"@meta":{"lang":"es","reviewed":true},"s.title":"Título","s.hello":"Hola {who}, vea {link}","s.n":{"one":"{n} vez","other":"{n} veces"}}`)},
		"en.json": {Data: []byte(`{"@meta":{"lang":"en","reviewed":true},"s.title":"Title","s.hello":"Hi {who}, see {link}","s.n":{"one":"{n} time","other":"{n} times"}}`)},
		"qu.json": {Data: []byte(`{"@meta":{"lang":"qu","reviewed":true},"s.title":"TEST"}`)},
	}}
	site, pages := webtest.NewSite(t, webtest.Options{Texts: texts, Public: "https://id.example.bo"})
	set, err := pages.NewSet(fstest.MapFS{"x.html": {Data: []byte(
		`{{define "content"}}<p>{{th "s.hello" "who" .Data.Who "link" (a "/x?a=1&b=2" "s.title")}}|{{t "s.title"}}|{{tn "s.n" 1200}}|{{moment .Data.At}}|{{number 1200}}</p>{{end}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	m, err := site.NewBrowserMux(web.BrowserConfig{})
	if err != nil {
		t.Fatal(err)
	}
	m.Handle("GET /p", func(w http.ResponseWriter, r *http.Request) error {
		return set.Render(w, r, web.Page{Template: "x", Title: "s.title", Data: struct {
			Who string
			At  time.Time
		}{"<b>Eva</b>", time.Date(2026, 11, 24, 19, 4, 0, 0, time.UTC)}})
	})
	g := &rig{site: site, browser: m, protocol: site.NewProtocolMux(), api: site.NewAPIMux(), public: "id.example.bo"}
	for accept, want := range map[string]string{
		"es": `<p>Hola &lt;b&gt;Eva&lt;/b&gt;, vea <a href="/x?a=1&amp;b=2">Título</a>|Título|1.200 veces|<time datetime="2026-11-24T15:04:00-04:00">24 de noviembre de 2026, 15:04</time>|1.200</p>`,
		"en": `<p>Hi &lt;b&gt;Eva&lt;/b&gt;, see <a href="/x?a=1&amp;b=2">Title</a>|Title|1,200 times|<time datetime="2026-11-24T15:04:00-04:00">24 November 2026, 15:04</time>|1,200</p>`,
		"qu": `<p><span lang="es">Hola &lt;b&gt;Eva&lt;/b&gt;, vea <a href="/x?a=1&amp;b=2">TEST</a></span>|TEST|<span lang="es">1.200 veces</span>|<time datetime="2026-11-24T15:04:00-04:00">24 de noviembre de 2026, 15:04</time>|1.200</p>`,
	} {
		if body := g.do(t, "GET", "/p", "", "Accept-Language", accept).Body.String(); !strings.Contains(body, want) {
			t.Errorf("%s: page lacks\n%s\n%s", accept, want, body)
		}
	}
}

func TestLanguageSwitch(t *testing.T) {
	t.Parallel()
	g := sampleRig(t, samplePages()["/entrar"], nil)
	w := g.do(t, "POST", "/idioma", "idioma=en&volver=%2Fp%3Fx%3D1", "Content-Type", form)
	if w.Code != 303 || w.Header().Get("Location") != "/p?x=1" {
		t.Fatalf("got %d to %q", w.Code, w.Header().Get("Location"))
	}
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	if cookie != "__Host-idioma=en" {
		t.Fatalf("cookie: got %q", cookie)
	}
	if got := g.do(t, "GET", "/p", "", "Cookie", cookie, "Accept-Language", "es").Header().Get("Content-Language"); got != "en" {
		t.Errorf("with the cookie: got %s, want en", got)
	}
	for body, want := range map[string]int{"idioma=qu&volver=%2F": 400, "idioma=xx": 400, "idioma=en&idioma=es": 400} {
		if w := g.do(t, "POST", "/idioma", body, "Content-Type", form); w.Code != want {
			t.Errorf("%q: got %d, want %d", body, w.Code, want)
		}
	}
	if w := g.do(t, "POST", "/idioma", "idioma=en&volver=%2F%2Fevil.example", "Content-Type", form); w.Header().Get("Location") != "/" {
		t.Errorf("foreign way back: got %q, want /", w.Header().Get("Location"))
	}
	for cookie, want := range map[string]string{"__Host-idioma=qu": "es", "__Host-idioma=../x": "es", "__Host-idioma=en; __Host-idioma=en": "es"} {
		if got := g.do(t, "GET", "/p", "", "Cookie", cookie).Header().Get("Content-Language"); got != want {
			t.Errorf("cookie %s: got %s, want %s", cookie, got, want)
		}
	}
}

func TestSetLang(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.browser.Handle("GET /p/{l}", func(w http.ResponseWriter, r *http.Request) error {
		web.SetLang(r, i18n.Lang(r.PathValue("l")))
		_, err := fmt.Fprint(w, web.Printer(r).Lang())
		return err
	})
	for l, want := range map[string]string{"en": "en", "qu": "es", "xx": "es"} {
		if got := g.do(t, "GET", "/p/"+l, "").Body.String(); got != want {
			t.Errorf("%s: got %s, want %s", l, got, want)
		}
	}
}

// The first page weighs what fits into one congestion window, and the style its share.
func TestBudgets(t *testing.T) {
	t.Parallel()
	g := sampleRig(t, samplePages()["/entrar"], nil)
	css := g.do(t, "GET", assetPath(t, g), "", "Accept-Encoding", "gzip")
	if css.Header().Get("Content-Encoding") != "gzip" || css.Body.Len() > 12<<10 {
		t.Errorf("style: %q, %d bytes, want gzip of at most 12 KiB", css.Header().Get("Content-Encoding"), css.Body.Len())
	}
	page := g.do(t, "GET", "/p", "", "Accept-Encoding", "gzip")
	if page.Header().Get("Content-Encoding") != "gzip" {
		t.Error("page is not compressed")
	}
	total := css.Body.Len() + page.Body.Len()
	t.Logf("page %d + style %d = %d bytes compressed", page.Body.Len(), css.Body.Len(), total)
	if total > 14_000 {
		t.Errorf("first page: %d bytes, want at most 14,000", total)
	}
	if n := zipped(t, g.do(t, "GET", "/p", "").Body.Bytes()); n > page.Body.Len() {
		t.Errorf("compressed page of %d bytes is larger than it could be (%d) plus its random name", page.Body.Len(), n)
	}
}

func TestSecretPagesAreNotCompressed(t *testing.T) {
	t.Parallel()
	g := sampleRig(t, samplePages()["/tarjeta"], nil)
	if got := g.do(t, "GET", "/p", "", "Accept-Encoding", "gzip").Header().Get("Content-Encoding"); got != "" {
		t.Errorf("got %q, want none", got)
	}
	plain := sampleRig(t, samplePages()["/entrar"], nil)
	for accept, want := range map[string]string{"gzip": "gzip", "br, gzip;q=0.5": "gzip", "gzip;q=0": "", "br": "", "": "", "GZIP": "gzip", "gzip; q=x": ""} {
		if got := plain.do(t, "GET", "/p", "", "Accept-Encoding", accept).Header().Get("Content-Encoding"); got != want {
			t.Errorf("Accept-Encoding %q: got %q, want %q", accept, got, want)
		}
	}
}

func TestAssets(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	path := assetPath(t, g)
	if !regexp.MustCompile(`^/activos/suti\.[0-9a-f]{12}\.css$`).MatchString(path) {
		t.Fatalf("address: %s", path)
	}
	w := g.do(t, "GET", path, "")
	if w.Header().Get("Content-Type") != "text/css; charset=utf-8" || strings.Contains(w.Body.String(), "/*") || !strings.Contains(w.Body.String(), "--brand: #7a1626") {
		t.Errorf("style: got %v", w.Header())
	}
	if w := g.do(t, "GET", path, "", "If-None-Match", w.Header().Get("ETag")); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("known: got %d with %d bytes", w.Code, w.Body.Len())
	}
	if w := g.do(t, "GET", "/activos/suti.000000000000.css", ""); w.Code != 404 {
		t.Errorf("another hash: got %d", w.Code)
	}
	catalog, err := i18n.New(map[string]fs.FS{"web": web.Texts()})
	if err != nil {
		t.Fatal(err)
	}
	for name, fsys := range map[string]fs.FS{
		"unknown type": fstest.MapFS{"x.php": {}}, "page": fstest.MapFS{"x.html": {}}, "taken name": fstest.MapFS{"suti.css": {}},
		"odd name": fstest.MapFS{"a b.js": {}}, "too large": fstest.MapFS{"a.js": {Data: make([]byte, 1<<20+1)}},
	} {
		if _, err := web.NewPages(web.PagesConfig{Catalog: catalog, Assets: []fs.FS{fsys}}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestBadPagesFailWhole(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"unknown member": `before {{.Data.Nope}}`, "unknown option": `{{template "field" (.Field "x" "label" "sample.enter" "tpye" "email")}}`,
		"no label": `{{template "field" (.Field "x")}}`, "foreign link": `{{a "https://evil.example" "sample.enter"}}`,
		"unknown asset": `{{asset "x.js"}}`, "unknown part": `{{button "sample.enter" "kind"}}`,
	} {
		g := sampleRig(t, web.Page{Template: "x", Title: "sample.enter", Data: struct{}{}}, map[string]string{"x.html": `{{define "content"}}` + content + `{{end}}`})
		w := g.do(t, "GET", "/p", "")
		if w.Code != 500 || strings.Contains(w.Body.String(), "before") {
			t.Errorf("%s: got %d: %s", name, w.Code, w.Body)
		}
	}
	g := newRig(t, rigOptions{})
	for name, files := range map[string]fstest.MapFS{
		"none": {}, "no content": {"x.html": {Data: []byte("hi")}}, "broken": {"x.html": {Data: []byte(`{{define "content"}}{{`)}}, "only shared": {"_x.html": {}},
	} {
		if _, err := g.pages.NewSet(files); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestErrorPageNamesTheRequest(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.browser.Handle("GET /x", func(http.ResponseWriter, *http.Request) error { return errors.New("secret cause") })
	w := g.do(t, "GET", "/x", "")
	if body := w.Body.String(); !strings.Contains(body, "Número de atención: "+w.Header().Get("X-Request-Id")) || strings.Contains(body, "secret") {
		t.Errorf("got %s", body)
	}
	if w := g.do(t, "HEAD", "/x", ""); w.Code != 500 || w.Body.Len() != 0 {
		t.Errorf("HEAD: got %d with %d bytes", w.Code, w.Body.Len())
	}
}

func TestDemoBannerAndTheme(t *testing.T) {
	t.Parallel()
	const banner = "DEMOSTRACIÓN - SIN VALIDEZ LEGAL" // identity.DemoNotice, letter for letter
	for _, demo := range []bool{false, true} {
		site, _ := webtest.NewSite(t, webtest.Options{Demo: demo, Public: "https://id.example.bo",
			Theme: web.Theme{Service: "Suti", Institution: "Gobierno Autónomo Departamental de Potosí", CSS: ":root { --brand: #123456 }"}})
		m, err := site.NewBrowserMux(web.BrowserConfig{})
		if err != nil {
			t.Fatal(err)
		}
		g := &rig{site: site, browser: m, protocol: site.NewProtocolMux(), api: site.NewAPIMux(), public: "id.example.bo"}
		body := g.do(t, "GET", "/", "").Body.String()
		if strings.Contains(body, banner) != demo || !strings.Contains(body, "Potosí") || strings.Contains(body, "Oruro") {
			t.Errorf("demo=%v: %s", demo, body)
		}
		if css := g.do(t, "GET", assetPath(t, g), "").Body.String(); !strings.Contains(css, "#123456") {
			t.Error("theme is not in the style")
		}
	}
}

func TestTableCellsTakeHTMLOnlyOnPurpose(t *testing.T) {
	t.Parallel()
	g := sampleRig(t, web.Page{Template: "x", Title: "sample.enter", Data: web.TableView{
		Caption: "sample.account.seen", Head: []string{"sample.account.seen_who"}, Rows: [][]any{{"<i>a</i>"}, {template.HTML("<b>b</b>")}, {1234}},
	}}, map[string]string{"x.html": `{{define "content"}}{{template "table" .Data}}{{end}}`})
	body := g.do(t, "GET", "/p", "").Body.String()
	for _, want := range []string{`data-label="Institución">&lt;i&gt;a&lt;/i&gt;</td>`, "<b>b</b>", ">1.234</td>"} {
		if !strings.Contains(body, want) {
			t.Errorf("page lacks %s", want)
		}
	}
}
