package tour

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"

	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/web"
)

// maxPage bounds what a page may weigh.
const maxPage = 8 << 20

// browser is one person's browser: cookies, redirects, forms, and a passkey
// for the pages that ask for one.
type browser struct {
	http *http.Client
	key  *softauthn.Authenticator
	page *page // what is shown
}

// page is what the browser shows.
type page struct {
	address *url.URL
	status  int
	body    string
	root    *html.Node
}

// form is a form of a page.
type form struct {
	action string
	method string
	data   map[string]string // data-… attributes
	fields url.Values
	page   *page
}

// newBrowser opens a browser with nobody's cookies that reaches the demo by via.
func newBrowser(key *softauthn.Authenticator, via http.RoundTripper) *browser {
	return &browser{key: key, http: &http.Client{Jar: web.NewLocalJar(), Transport: via}}
}

// get opens an address, following redirects as a browser does.
func (b *browser) get(ctx context.Context, address string) error {
	return b.send(ctx, http.MethodGet, address, "", nil)
}

func (b *browser) send(ctx context.Context, method, address, contentType string, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if method == http.MethodPost && b.page != nil {
		req.Header.Set("Origin", b.page.address.Scheme+"://"+b.page.address.Host)
	}
	res, err := b.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return err
	}
	root, err := html.Parse(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	b.page = &page{address: res.Request.URL, status: res.StatusCode, body: string(raw), root: root}
	return nil
}

// has reports whether the page shows a text, white space aside.
func (p *page) has(text string) bool {
	return strings.Contains(strings.Join(strings.Fields(p.text()), " "), text)
}

// text returns what the page says.
func (p *page) text() string {
	var out strings.Builder
	for n := range p.root.Descendants() {
		if n.Type == html.TextNode && n.Parent != nil && n.Parent.Data != "script" && n.Parent.Data != "style" {
			out.WriteString(n.Data + " ")
		}
	}
	return out.String()
}

// summary is a page in one line, for errors.
func (p *page) summary() string {
	s := strings.Join(strings.Fields(p.text()), " ")
	if len(s) > 600 {
		s = s[:600] + "…"
	}
	return fmt.Sprintf("%s answered %d: %s", p.address.Path, p.status, s)
}

func attr(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

// links returns the targets of the page's links that contain part.
func (p *page) links(part string) []string {
	var out []string
	for n := range p.root.Descendants() {
		if n.Data == "a" && n.Type == html.ElementNode && strings.Contains(attr(n, "href"), part) {
			if u, err := p.address.Parse(attr(n, "href")); err == nil {
				out = append(out, u.String())
			}
		}
	}
	return out
}

// forms returns the forms of a page with what they would send if nothing were changed.
func (p *page) forms() []*form {
	var out []*form
	for n := range p.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" {
			continue
		}
		f := &form{action: attr(n, "action"), method: strings.ToUpper(attr(n, "method")), fields: url.Values{}, data: map[string]string{}, page: p}
		for _, a := range n.Attr {
			if name, ok := strings.CutPrefix(a.Key, "data-"); ok {
				f.data[name] = a.Val
			}
		}
		for c := range n.Descendants() {
			f.add(c)
		}
		out = append(out, f)
	}
	return out
}

// add takes a control's successful value, as HTML §4.10.21.4 has it.
func (f *form) add(n *html.Node) {
	name := attr(n, "name")
	if n.Type != html.ElementNode || name == "" || has(n, "disabled") {
		return
	}
	switch n.Data {
	case "input":
		switch attr(n, "type") {
		case "checkbox", "radio":
			if has(n, "checked") {
				f.fields.Add(name, attr(n, "value"))
			}
		case "submit", "button", "file":
		default:
			f.fields.Add(name, attr(n, "value"))
		}
	case "textarea":
		f.fields.Add(name, "")
	case "select":
		for o := range n.Descendants() {
			if o.Data == "option" && has(o, "selected") {
				f.fields.Add(name, attr(o, "value"))
			}
		}
	}
}

// form returns the form whose action ends with a suffix.
func (p *page) form(suffix string) (*form, error) {
	for _, f := range p.forms() {
		if u, err := p.address.Parse(f.action); err == nil && strings.HasSuffix(u.Path, suffix) && f.data["llave"] == "" {
			return f, nil
		}
	}
	return nil, fmt.Errorf("no form that leads to …%s: %s", suffix, p.summary())
}

// submit sends a form with changed fields, in pairs.
func (b *browser) submit(ctx context.Context, f *form, pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		f.fields.Set(pairs[i], pairs[i+1])
	}
	target, err := f.page.address.Parse(f.action)
	if err != nil {
		return err
	}
	if f.method != http.MethodPost {
		target.RawQuery = f.fields.Encode()
		return b.get(ctx, target.String())
	}
	return b.send(ctx, http.MethodPost, target.String(), "application/x-www-form-urlencoded", strings.NewReader(f.fields.Encode()))
}

// fill submits the form with that action suffix.
func (b *browser) fill(ctx context.Context, suffix string, pairs ...string) error {
	f, err := b.page.form(suffix)
	if err != nil {
		return err
	}
	return b.submit(ctx, f, pairs...)
}

// upload submits a form with one file.
func (b *browser) upload(ctx context.Context, f *form, field, name string, content io.Reader) error {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k := range f.fields {
		if err := w.WriteField(k, f.fields.Get(k)); err != nil {
			return err
		}
	}
	part, err := w.CreateFormFile(field, name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(part, content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	target, err := f.page.address.Parse(f.action)
	if err != nil {
		return err
	}
	return b.send(ctx, http.MethodPost, target.String(), w.FormDataContentType(), &body)
}

// errProblem is what a ceremony's endpoint refused for.
type errProblem struct {
	Problem string
	Status  int
	Body    string
}

// Error returns the problem's word.
func (e *errProblem) Error() string {
	return fmt.Sprintf("refused (%d): %s", e.Status, e.Problem+" "+e.Body)
}

// exchange posts JSON as the page's script does.
func (b *browser) exchange(ctx context.Context, base *url.URL, path string, in any) (map[string]json.RawMessage, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	target, err := base.Parse(path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", base.Scheme+"://"+base.Host)
	res, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxPage))
	if err != nil {
		return nil, err
	}
	var out map[string]json.RawMessage
	if err := json.Unmarshal(body, &out); err != nil {
		return nil, &errProblem{Problem: "no JSON", Status: res.StatusCode, Body: string(body[:min(len(body), 300)])}
	}
	if p, bad := out["problem"]; bad || res.StatusCode >= 400 {
		e := &errProblem{Status: res.StatusCode, Body: string(body)}
		_ = json.Unmarshal(p, &e.Problem) // an unreadable one stays in Body
		return nil, e
	}
	return out, nil
}

// ceremony is a passkey ceremony of a page, between its two requests.
type ceremony struct {
	form   *form
	ID     string
	Answer json.RawMessage
	fields map[string]any
}

// passkeyForm returns the page's form for a passkey.
func (p *page) passkeyForm() (*form, error) {
	for _, f := range p.forms() {
		if f.data["llave"] != "" {
			return f, nil
		}
	}
	return nil, errors.New("the page asks for no passkey: " + p.summary())
}

// begin runs a ceremony up to the authenticator's answer.
func (b *browser) begin(ctx context.Context, key *softauthn.Authenticator, pairs ...string) (*ceremony, error) {
	f, err := b.page.passkeyForm()
	if err != nil {
		return nil, err
	}
	c := &ceremony{form: f, fields: map[string]any{}}
	for name := range f.fields {
		c.fields[name] = f.fields.Get(name)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		c.fields[pairs[i]] = pairs[i+1]
	}
	begun, err := b.exchange(ctx, f.page.address, f.data["options"], c.fields)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	if err := json.Unmarshal(begun["id"], &c.ID); err != nil {
		return nil, fmt.Errorf("begin: no id: %w", err)
	}
	run := key.Get
	if f.data["llave"] == "create" {
		run = key.Create
	}
	origin := f.page.address.Scheme + "://" + f.page.address.Host
	if c.Answer, err = run(origin, begun["options"]); err != nil {
		return nil, err
	}
	return c, nil
}

// finish sends the answer and returns where the page goes next.
func (b *browser) finish(ctx context.Context, c *ceremony) (string, error) {
	in := map[string]any{"id": c.ID, "response": c.Answer}
	for k, v := range c.fields {
		in[k] = v
	}
	end, err := b.exchange(ctx, c.form.page.address, c.form.data["finish"], in)
	if err != nil {
		return "", err
	}
	var next string
	if err := json.Unmarshal(end["next"], &next); err != nil || next == "" {
		return "", errors.New("the ceremony leads nowhere")
	}
	target, err := c.form.page.address.Parse(next)
	if err != nil {
		return "", err
	}
	return target.String(), nil
}

// passkey runs the page's ceremony to its end and goes on.
func (b *browser) passkey(ctx context.Context, pairs ...string) error {
	c, err := b.begin(ctx, b.key, pairs...)
	if err != nil {
		return err
	}
	next, err := b.finish(ctx, c)
	if err != nil {
		return err
	}
	return b.get(ctx, next)
}
