package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/html"

	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/web"
)

// visitor is one person's browser before a server that was started as operators
// start it: cookies, forms, redirects, and a passkey. It reaches the public
// address at the address on which the server listens.
type visitor struct {
	origin string
	http   *http.Client
	key    *softauthn.Authenticator
	outer  string // prefix at which redirects stop: an application's address

	at   *url.URL
	code int
	body string
	root *html.Node
}

func newVisitor(origin, listen string) *visitor {
	v := &visitor{origin: origin, key: softauthn.New(softauthn.Config{})}
	public, err := url.Parse(origin)
	if err != nil {
		panic(err)
	}
	v.http = &http.Client{
		Jar: web.NewLocalJar(),
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			if addr == public.Host {
				addr = listen
			}
			return d.DialContext(ctx, network, addr)
		}},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if v.outer != "" && strings.HasPrefix(r.URL.String(), v.outer) || len(via) > 20 {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
	return v
}

// open shows a page.
func (v *visitor) open(path string) error {
	return v.send(http.MethodGet, path, "", "")
}

func (v *visitor) send(method, path, contentType, body string) error {
	u, err := url.Parse(v.origin)
	if err != nil {
		return err
	}
	if v.at != nil {
		u = v.at
	}
	if u, err = u.Parse(path); err != nil {
		return err
	}
	r, err := http.NewRequest(method, u.String(), strings.NewReader(body))
	if err != nil {
		return err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Origin", v.origin)
	}
	res, err := v.http.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil {
		return err
	}
	v.at, v.code, v.body = res.Request.URL, res.StatusCode, string(raw)
	if next, err := res.Location(); err == nil {
		v.at = next // outside
	}
	v.root, err = html.Parse(bytes.NewReader(raw))
	return err
}

// shows fails unless the page contains the texts.
func (v *visitor) shows(texts ...string) error {
	for _, t := range texts {
		if !strings.Contains(v.body, t) {
			return fmt.Errorf("%s does not show %q: %s", v.at, t, v.words())
		}
	}
	return nil
}

// words is what the page says.
func (v *visitor) words() string {
	var out []string
	for n := range v.root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "script" && n.Parent.Data != "style" {
			out = append(out, strings.Fields(n.Data)...)
		}
	}
	s := strings.Join(out, " ")
	return fmt.Sprintf("%d %.700s", v.code, s)
}

func attribute(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// form returns the first form that leads to an address with the suffix, or, with
// an empty suffix, the one for a passkey; and what it would send as it is.
func (v *visitor) form(suffix string) (form *html.Node, fields url.Values, err error) {
	for n := range v.root.Descendants() {
		if n.Data != "form" || n.Type != html.ElementNode {
			continue
		}
		action, _ := attribute(n, "action")
		_, passkey := attribute(n, "data-llave")
		if passkey != (suffix == "") || !strings.HasSuffix(action, suffix) {
			continue
		}
		fields = url.Values{}
		for c := range n.Descendants() {
			name, ok := attribute(c, "name")
			kind, _ := attribute(c, "type")
			_, checked := attribute(c, "checked")
			if value, _ := attribute(c, "value"); ok && c.Data == "input" && (checked || kind != "checkbox" && kind != "radio" && kind != "submit") {
				fields.Add(name, value)
			}
		}
		return n, fields, nil
	}
	return nil, nil, fmt.Errorf("%s has no form to %q: %s", v.at, suffix, v.words())
}

// fill sends a form with changed fields, in pairs; several values of one field
// are separated by spaces after a "+".
func (v *visitor) fill(suffix string, pairs ...string) error {
	n, fields, err := v.form(suffix)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if many, ok := strings.CutPrefix(pairs[i+1], "+"); ok {
			fields[pairs[i]] = strings.Fields(many)
		} else {
			fields.Set(pairs[i], pairs[i+1])
		}
	}
	action, _ := attribute(n, "action")
	return v.send(http.MethodPost, action, "application/x-www-form-urlencoded", fields.Encode())
}

// passkey runs the ceremony of the page and goes where it leads.
func (v *visitor) passkey() error {
	n, fields, err := v.form("")
	if err != nil {
		return err
	}
	in := map[string]any{}
	for k := range fields {
		in[k] = fields.Get(k)
	}
	options, _ := attribute(n, "data-options")
	finish, _ := attribute(n, "data-finish")
	begun, err := v.exchange(options, in)
	if err != nil {
		return err
	}
	run := v.key.Get
	if kind, _ := attribute(n, "data-llave"); kind == "create" {
		run = v.key.Create
	}
	answer, err := run(v.origin, begun["options"])
	if err != nil {
		return err
	}
	in["id"], in["response"] = begun["id"], json.RawMessage(answer)
	ended, err := v.exchange(finish, in)
	if err != nil {
		return err
	}
	var next string
	if err := json.Unmarshal(ended["next"], &next); err != nil {
		return err
	}
	return v.open(next)
}

func (v *visitor) exchange(path string, in any) (map[string]json.RawMessage, error) {
	raw, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	u, err := v.at.Parse(path)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, u.String(), bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Origin", v.origin)
	res, err := v.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	var out map[string]json.RawMessage
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&out); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %d %s", path, res.StatusCode, out["problem"])
	}
	return out, nil
}

// enter opens a page and goes through the login and the permission that it asks for.
func (v *visitor) enter(address string) error {
	if err := v.open(address); err != nil {
		return err
	}
	for range 8 {
		if v.outer != "" && strings.HasPrefix(v.at.String(), v.outer) {
			return nil
		}
		var err error
		if _, _, none := v.form(""); none == nil && strings.HasPrefix(v.at.Path, "/entrar/") {
			err = v.passkey()
		} else if _, _, none := v.form("/decision"); none == nil {
			err = v.fill("/decision", "decision", "accept")
		} else {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errors.New("the login does not end: " + v.words())
}

var ticketCode = regexp.MustCompile(`<p class="ticket"><strong>([^<]+)</strong>`)

// invented are people; their numbers are nobody's.
var invented = [][4]string{
	{"Elena", "Quispe", "9900101", "08/03/1975"}, {"Rosa", "Choque", "9900102", "16/07/1984"}, {"Juan", "Flores", "9900103", "02/11/1979"},
	{"Carlos", "Condori", "9900104", "20/01/1970"}, {"Ana", "Mamani", "9900105", "02/05/1990"},
}

// register opens a record with a passkey and returns the code of the ticket.
func (v *visitor) register(who [4]string) (string, error) {
	if err := v.open("/registro"); err != nil {
		return "", err
	}
	for _, answers := range [][]string{
		{"tipo", "CI", "numero", who[2]}, {"nombres", who[0], "primer_apellido", who[1]}, {"nacimiento", who[3]}, {"celular", "71234567", "correo", ""},
	} {
		if err := v.fill("/registro", answers...); err != nil {
			return "", err
		}
	}
	if err := v.shows("Revise sus datos", who[0]); err != nil {
		return "", err
	}
	if err := v.open("/registro/llave"); err != nil {
		return "", err
	}
	if err := v.passkey(); err != nil {
		return "", fmt.Errorf("make the passkey: %w", err)
	}
	m := ticketCode.FindStringSubmatch(v.body)
	if m == nil {
		return "", errors.New("no ticket: " + v.words())
	}
	return m[1], nil
}

// found signs the founding on its page.
func (v *visitor) found(page, ticket string) error {
	if err := v.open(page); err != nil {
		return err
	}
	if err := v.fill("/registro/confirmar", "codigo", ticket); err != nil {
		return err
	}
	if err := v.shows("Fundación del servicio"); err != nil {
		return err
	}
	if err := v.passkey(); err != nil {
		return err
	}
	if _, _, err := v.form(""); err == nil {
		return errors.New("the signature is still missing: " + v.words())
	}
	return nil
}
