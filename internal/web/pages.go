package web

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"oruro.gob.bo/suti/internal/i18n"
)

//go:embed templates assets
var pageFiles embed.FS

// maxPage bounds a rendered page, in bytes.
const maxPage = 4 << 20

// Theme is how an institution looks. Another department brings its own.
type Theme struct {
	// Service is the name of the service; "Suti" by default.
	Service string
	// Institution is who runs it, in full.
	Institution string
	// CSS overrides the tokens of the style: colours and nothing else, with a rule
	// for :root:root under prefers-color-scheme: dark too.
	CSS string
	// Help is the path of the help page, Phone a number to call; both are shown
	// at the same place on every page if not empty.
	Help, Phone string
}

// PagesConfig configures [Pages].
type PagesConfig struct {
	// Catalog holds the texts. Required.
	Catalog *i18n.Catalog
	// Theme is the look; the one of Oruro if Institution is empty.
	Theme Theme
	// Demo shows on every page that nothing here has legal effect.
	Demo bool
	// Assets are further files that pages use, from the contexts.
	Assets []fs.FS
}

// Pages renders pages inside the common layout.
type Pages struct {
	c      PagesConfig
	assets *assets
	layout map[i18n.Lang]*template.Template
	own    *Set
}

// NewPages checks c, parses layout and components, and names assets by content.
func NewPages(c PagesConfig) (*Pages, error) {
	if c.Catalog == nil {
		return nil, errors.New("web: pages need a catalogue")
	}
	if c.Theme.Institution == "" {
		oruro, err := fs.ReadFile(pageFiles, "assets/theme-oruro.css")
		if err != nil {
			return nil, err
		}
		c.Theme.Institution, c.Theme.CSS = "Gobierno Autónomo Departamental de Oruro", string(oruro)
	}
	c.Theme.Service = cmp.Or(c.Theme.Service, "Suti")
	p := &Pages{c: c, assets: newAssets(), layout: map[i18n.Lang]*template.Template{}}
	if err := p.loadAssets(); err != nil {
		return nil, err
	}
	for _, l := range i18n.Langs() {
		t, err := template.New("layout.html").Option("missingkey=error").Funcs(p.funcs(c.Catalog.Printer(l))).
			ParseFS(pageFiles, "templates/layout.html", "templates/parts.html")
		if err != nil {
			return nil, fmt.Errorf("web: %w", err)
		}
		p.layout[l] = t
	}
	own, err := fs.Sub(pageFiles, "templates/own")
	if err != nil {
		return nil, err
	}
	if p.own, err = p.NewSet(own); err != nil {
		return nil, err
	}
	return p, nil
}

// loadAssets joins style and theme into one file and adds the rest.
func (p *Pages) loadAssets() error {
	style, err := fs.ReadFile(pageFiles, "assets/suti.css")
	if err != nil {
		return err
	}
	if err := p.assets.add("suti.css", minify(string(style)+p.c.Theme.CSS)); err != nil {
		return err
	}
	for _, name := range []string{"icon.svg", "llave.js", "enviar.js"} {
		raw, err := fs.ReadFile(pageFiles, "assets/"+name)
		if err != nil {
			return err
		}
		if err := p.assets.add(name, raw); err != nil {
			return err
		}
	}
	for _, fsys := range p.c.Assets {
		if err := p.assets.addAll(fsys); err != nil {
			return err
		}
	}
	return nil
}

// minify takes comments and the indentation of lines out of a style sheet.
func minify(css string) []byte {
	var out bytes.Buffer
	for css != "" {
		before, rest, found := strings.Cut(css, "/*")
		out.WriteString(before)
		if !found {
			break
		}
		_, css, _ = strings.Cut(rest, "*/")
	}
	var short bytes.Buffer
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); line != "" {
			short.WriteString(line + "\n")
		}
	}
	return short.Bytes()
}

// Set is the pages of one context.
type Set struct {
	p     *Pages
	pages map[i18n.Lang]map[string]*template.Template
}

// NewSet parses every .html file at the root of fsys as a page: it defines the
// template "content", which the layout puts into its main part. Files that begin
// with "_" are shared by the pages of the set.
func (p *Pages) NewSet(fsys fs.FS) (*Set, error) {
	all, err := fs.Glob(fsys, "*.html")
	if err != nil {
		return nil, err
	}
	var shared, pages []string
	for _, name := range all {
		if strings.HasPrefix(name, "_") {
			shared = append(shared, name)
		} else {
			pages = append(pages, name)
		}
	}
	if len(pages) == 0 {
		return nil, errors.New("web: a set of pages has no pages")
	}
	s := &Set{p: p, pages: map[i18n.Lang]map[string]*template.Template{}}
	for l, layout := range p.layout {
		s.pages[l] = map[string]*template.Template{}
		for _, name := range pages {
			t, err := template.Must(layout.Clone()).ParseFS(fsys, append(append([]string{}, shared...), name)...)
			if err != nil {
				return nil, fmt.Errorf("web: page %s: %w", name, err)
			}
			if t.Lookup("content") == nil {
				return nil, fmt.Errorf("web: page %s defines no content", name)
			}
			s.pages[l][strings.TrimSuffix(path.Base(name), ".html")] = t
		}
	}
	return s, nil
}

// Page is what one answer shows.
type Page struct {
	// Template is the name of the page's file without ".html".
	Template string
	// Status is the HTTP status; 200 if zero.
	Status int
	// Title is the key of the title, TitleArgs its arguments.
	Title     string
	TitleArgs []any
	// Data is what the page's template sees as .Data.
	Data any
	// Values are what fields show again, Errors what is wrong with them. The
	// summary of errors stands above the page's content and takes the focus.
	Values *Values
	Errors []FieldError
	// Person is the name of whoever is signed in: "Usted entra como …". SignOut is
	// the path that ends the session (a form posts to it), NotMe the one for
	// somebody else who sits at this device. Shown if not empty.
	Person, SignOut, NotMe string
	// Nav are the sections of the place the person is in.
	Nav []NavItem
	// Step and Steps show "step 1 of 4" above the title; Step 0 shows nothing.
	Step, Steps int
	// Back is the path of the previous step, if going back is safe.
	Back string
	// Return is the path to come back to after changing the language; the path of
	// the request if empty.
	Return string
	// Scripts are assets loaded as modules.
	Scripts []string
	// Wide lets tables use the whole width.
	Wide bool
	// Secret keeps the page uncompressed, because it shows a secret beside text
	// that somebody else can choose.
	Secret bool
}

// NavItem is one section.
type NavItem struct {
	// Path is where it is, Text the key of its name.
	Path, Text string
	// Current marks the section the page belongs to.
	Current bool
}

// Render writes the page in the language of the request. Nothing is written if
// the page cannot be made.
func (s *Set) Render(w http.ResponseWriter, r *http.Request, page Page) error {
	if exchangeOf(r.Context()) == nil {
		return errors.New("web: Render outside a Site")
	}
	pr := Printer(r)
	t := s.pages[pr.Lang()][page.Template]
	if t == nil {
		return fmt.Errorf("web: no page %q", page.Template)
	}
	v := &View{Page: page, p: s.p, pr: pr, lang: pr.Lang(), path: r.URL.Path}
	if v.Values == nil {
		v.Values = &Values{}
	}
	var buf bytes.Buffer
	if err := t.ExecuteTemplate(&limitedBuffer{&buf}, "layout.html", v); err != nil {
		return fmt.Errorf("web: page %s: %w", page.Template, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", string(pr.Lang()))
	h.Add("Vary", "Accept-Language, Cookie, Accept-Encoding")
	zipped := !page.Secret && buf.Len() > 1024 && acceptsGzip(r)
	if zipped {
		h.Set("Content-Encoding", "gzip")
	}
	w.WriteHeader(cmp.Or(page.Status, http.StatusOK))
	if r.Method == http.MethodHead {
		return nil
	}
	if !zipped {
		_, err := w.Write(buf.Bytes())
		return err
	}
	return writeZipped(w, buf.Bytes())
}

// writeZipped compresses a page. A file name of random length in the gzip header
// hides the exact size, from which text beside a secret could be guessed.
func writeZipped(w http.ResponseWriter, b []byte) error {
	z, err := gzip.NewWriterLevel(w, 5)
	if err != nil {
		return err
	}
	var n [1]byte
	_, _ = rand.Read(n[:]) // never fails (Go 1.24)
	z.Name = strings.Repeat("s", int(n[0]%64))
	if _, err := z.Write(b); err != nil {
		return err
	}
	return z.Close()
}

// limitedBuffer stops a template that writes too much.
type limitedBuffer struct{ *bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxPage {
		return 0, errors.New("page is too large")
	}
	return b.Buffer.Write(p)
}

// renderError shows e as a page. If even that fails, a bare line is written.
func (p *Pages) renderError(w http.ResponseWriter, r *http.Request, e *Error) {
	ex := exchangeOf(r.Context())
	w.Header().Set("Content-Security-Policy", Policy{}.String())
	err := p.own.Render(w, r, Page{
		Template: "error", Status: e.Status, Title: statusTitle(e.Status), Return: "/",
		Data: struct {
			Detail    string
			Args      []any
			RequestID string
			Again     bool
		}{cmp.Or(e.Detail, "web.error.bad_request"), e.Args, ex.id, e.Status >= 500 || e.Status == http.StatusTooManyRequests},
	})
	if err != nil {
		ex.fail(errors.Join(ex.err, err))
		PlainFault(w, r, e)
	}
}
