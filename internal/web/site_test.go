package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/web"
)

func TestUnknownErrorsShowNothing(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	secret := errors.New("pq: password authentication failed for hunter2")
	fail := func(http.ResponseWriter, *http.Request) error { return fmt.Errorf("load: %w", secret) }
	g.browser.Handle("GET /a", fail)
	g.protocol.Handle("GET /oauth2/b", fail)
	g.protocol.Handle("GET /pki/c", fail, web.Faults(web.PlainFault))
	g.api.Handle("GET /api/v1/d", fail)
	g.api.Handle("GET /api/v1/e", func(http.ResponseWriter, *http.Request) error { return &web.Error{Err: secret} }) // malformed
	for path, mediaType := range map[string]string{
		"/a": "text/html; charset=utf-8", "/oauth2/b": "application/json", "/pki/c": "text/plain; charset=utf-8",
		"/api/v1/d": "application/problem+json", "/api/v1/e": "application/problem+json",
	} {
		w := g.do(t, "GET", path, "")
		if w.Code != 500 || strings.Contains(w.Body.String(), "hunter2") || w.Header().Get("Content-Type") != mediaType {
			t.Errorf("%s: got %d %s: %s", path, w.Code, w.Header().Get("Content-Type"), w.Body)
		}
		if line := g.log.last(t); !strings.Contains(line["error"].(string), "hunter2") || line["level"] != "ERROR" {
			t.Errorf("%s: the cause is not in the log: %v", path, line)
		}
	}
}

func TestPanicFailsOneRequestOnly(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.browser.Handle("GET /panico", func(http.ResponseWriter, *http.Request) error {
		var numbers []int
		return errors.New(fmt.Sprint(numbers[len(numbers)]))
	})
	g.browser.Handle("GET /medio", func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half an answer")
		_ = http.NewResponseController(w).Flush()
		panic("too late")
	})
	g.browser.Handle("GET /bien", hello)
	srv := httptest.NewServer(g.handler())
	defer srv.Close()
	get := func(path string) (int, string, error) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = g.public
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		return res.StatusCode, string(b), err
	}
	if code, body, err := get("/panico"); code != 500 || err != nil || strings.Contains(body, "index out of range") {
		t.Errorf("panic: got %d, %v: %s", code, err, body)
	}
	if code, body, err := get("/medio"); err == nil {
		t.Errorf("panic after the first byte: got %d %q, want a broken answer", code, body)
	}
	if code, body, err := get("/bien"); code != 200 || body != "hola" || err != nil {
		t.Errorf("another request: got %d, %q, %v", code, body, err)
	}
	if n := strings.Count(g.log.text(), `"stack"`); n != 2 {
		t.Errorf("%d stacks logged, want 2", n)
	}
	for name, want := range map[string]float64{"suti_http_panics_total": 2, "suti_http_requests_in_flight": 0} {
		if got := g.series(t, name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// One line a request, and nothing of what was sent in it.
func TestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.browser.Handle("POST /entrar/{id}", func(w http.ResponseWriter, r *http.Request) error {
		if _, err := web.Form(r, 1000); err != nil {
			return err
		}
		web.LogAttrs(r.Context(), slog.String("client_id", "tramites"))
		return web.NotFound(errors.New("no such interaction"))
	})
	g.api.Handle("POST /api/v1/x", func(w http.ResponseWriter, r *http.Request) error {
		var v struct{ A int }
		return web.JSON(r, 1000, &v)
	})
	const canary = "canario"
	g.do(t, "POST", "/entrar/canario?q=canario&canario=1", "p=canario", "Content-Type", form, "Cookie", "canario=canario",
		"Authorization", "Bearer canario", "User-Agent", "canario", "Referer", "https://canario/", "X-Canario", canary)
	g.do(t, "POST", "/entrar/canario", "p=canario%00canario&p=canario", "Content-Type", form)
	g.do(t, "POST", "/api/v1/x", `{"a":"canario","canario ":1}`, "Content-Type", "application/json")
	g.do(t, "POST", "/api/v1/x", `"canario`, "Content-Type", "text/canario")
	g.do(t, "GET", "/canario/nada", "")
	g.do(t, "CANARIO", "/entrar/canario", "")
	text := g.log.text()
	if n := strings.Count(text, "\n"); n != 6 {
		t.Errorf("%d lines for 6 requests:\n%s", n, text)
	}
	if strings.Contains(strings.ToLower(text), canary) {
		t.Errorf("what was sent is in the log:\n%s", text)
	}
	first, _, _ := strings.Cut(text, "\n")
	var line map[string]any
	if err := json.Unmarshal([]byte(first), &line); err != nil {
		t.Fatal(err)
	}
	for _, volatile := range []string{"time", "request_id", "duration_ms", "bytes"} {
		if line[volatile] == nil {
			t.Errorf("no %s in %s", volatile, first)
		}
		delete(line, volatile)
	}
	want := map[string]any{
		"level": "INFO", "msg": "request", "mux": "browser", "method": "POST", "route": "POST /entrar/{id}",
		"status": 404.0, "client": "198.51.100.7", "error": "404 not_found: no such interaction", "client_id": "tramites",
	}
	if d := cmp.Diff(line, want); d != "" {
		t.Errorf("first line (-got +want):\n%s", d)
	}
}

func TestMetricLabelsAreBounded(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.browser.Handle("GET /d/{id}", hello)
	for i := range 50 {
		g.do(t, fmt.Sprintf("METHOD%d", i), fmt.Sprintf("/d/%d", i), "")
		g.do(t, "GET", fmt.Sprintf("/d/%d", i), "")
		g.do(t, "GET", fmt.Sprintf("/nada%d", i), "")
	}
	if n := len(g.series(t, "suti_http_requests_total")); n != 3 {
		t.Errorf("got %d series, want 3", n)
	}
}

func TestOnlyThePublicHostServesPages(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{browser: web.BrowserConfig{Hosts: []string{"verificar.example.bo"}}})
	g.browser.Handle("GET /p", hello)
	g.protocol.Handle("GET /jwks.json", hello)
	for host, want := range map[string]int{
		"id.example.bo": 200, "ID.example.bo": 200, "id.example.bo:443": 200, "verificar.example.bo": 200,
		"evil.example": 421, "id.example.bo.evil.example": 421, "id.example.bo:8443": 421, "": 421, "127.0.0.1": 421,
	} {
		if w := g.do(t, "GET", "/p", "", "Host", host); w.Code != want {
			t.Errorf("host %q: got %d, want %d", host, w.Code, want)
		}
	}
	if w := g.do(t, "GET", "/jwks.json", "", "Host", "suti.internal:8080"); w.Code != 200 {
		t.Errorf("protocol route under another host: got %d", w.Code)
	}
}

// No link or redirect is ever made from what the request claims about hosts.
func TestForgedHostsDoNotReachPages(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.browser.Handle("GET /p", func(http.ResponseWriter, *http.Request) error { return &web.StepUp{Path: "/entrar", Login: true} })
	for _, h := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded", "X-Original-URL", "X-Host", "Origin"} {
		for _, path := range []string{"/p", "/nada"} {
			w := g.do(t, "GET", path, "", h, "https://evil.example")
			if all := fmt.Sprint(w.Header(), w.Body); strings.Contains(all, "evil") {
				t.Errorf("%s on %s: it came back: %s", h, path, all)
			}
		}
	}
}

func TestCrossOriginPosts(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{browser: web.BrowserConfig{InsecureCrossOriginBypass: []string{"POST /oauth2/authorize"}}})
	g.browser.Handle("POST /cuenta/bloquear", hello)
	g.browser.Handle("POST /oauth2/authorize", hello)
	g.browser.Handle("GET /cuenta", hello)
	for _, c := range []struct {
		path    string
		headers []string
		want    int
	}{
		{"/cuenta/bloquear", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"/cuenta/bloquear", []string{"Sec-Fetch-Site", "none"}, 200},
		{"/cuenta/bloquear", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"/cuenta/bloquear", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"/cuenta/bloquear", []string{"Origin", "https://id.example.bo"}, 200},
		{"/cuenta/bloquear", []string{"Origin", "https://evil.example"}, 403},
		{"/cuenta/bloquear", []string{"Origin", "null"}, 403},
		{"/cuenta/bloquear", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, 403},
		{"/oauth2/authorize", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, 200},
		{"/idioma", []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		w := g.do(t, "POST", c.path, "idioma=en", append(c.headers, "Content-Type", form)...)
		if w.Code != c.want {
			t.Errorf("%s %q: got %d, want %d", c.path, c.headers, w.Code, c.want)
		}
	}
	if w := g.do(t, "GET", "/cuenta", "", "Sec-Fetch-Site", "cross-site"); w.Code != 200 {
		t.Errorf("following a link from elsewhere: got %d", w.Code)
	}
}

func TestCookiesDoNotExistOutsideTheBrowserMux(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	h := func(w http.ResponseWriter, r *http.Request) error {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		_, err := fmt.Fprint(w, r.Cookies())
		return err
	}
	g.browser.Handle("GET /p", h)
	g.protocol.Handle("GET /oauth2/userinfo", h)
	g.api.Handle("GET /api/v1/yo", h)
	for path, want := range map[string]string{"/p": "[x=1]", "/oauth2/userinfo": "[]", "/api/v1/yo": "[]"} {
		w := g.do(t, "GET", path, "", "Cookie", "x=1")
		if got := w.Body.String(); got != want {
			t.Errorf("%s: handler saw %s, want %s", path, got, want)
		}
		if set := w.Header().Values("Set-Cookie"); (len(set) > 0) != (path == "/p") {
			t.Errorf("%s: Set-Cookie %q", path, set)
		}
	}
}

func TestBodyTypesAndSizes(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{limits: web.Limits{Form: 100, JSON: 100, Protocol: 100}})
	read := func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.Copy(io.Discard, r.Body)
		return err
	}
	g.browser.Handle("POST /f", read)
	g.browser.Handle("POST /subir", read, web.Upload(1000))
	g.protocol.Handle("POST /oauth2/token", read)
	g.protocol.Handle("POST /pki/ocsp", read, web.Accepts("application/ocsp-request"))
	g.api.Handle("POST /api/v1/x", read)
	g.api.Handle("POST /api/v1/pdf", read, web.Accepts("application/pdf", form, "multipart/form-data"), web.MaxBody(1000))
	const js = "application/json"
	for _, c := range []struct {
		path, ct string
		size     int
		want     int
	}{
		{"/f", form, 100, 200}, {"/f", form, 101, 413}, {"/f", form + "; charset=UTF-8", 1, 200}, {"/f", form + "; charset=latin1", 1, 415},
		{"/f", "text/plain", 1, 415}, {"/f", js, 1, 415}, {"/f", "multipart/form-data; boundary=x", 1, 415}, {"/f", "", 1, 415}, {"/f", "", 0, 200},
		{"/subir", "multipart/form-data; boundary=x", 1000, 200}, {"/subir", "multipart/form-data; boundary=x", 1001, 413},
		{"/oauth2/token", form, 1, 200}, {"/oauth2/token", js, 1, 415},
		{"/pki/ocsp", "application/ocsp-request", 1, 200}, {"/pki/ocsp", form, 1, 415},
		{"/api/v1/x", js, 100, 200}, {"/api/v1/x", js, 101, 413}, {"/api/v1/x", form, 1, 415}, {"/api/v1/x", "text/plain", 1, 415},
		{"/api/v1/pdf", "application/pdf", 1000, 200}, {"/api/v1/pdf", form, 1, 415}, {"/api/v1/pdf", "multipart/form-data; boundary=x", 1, 415},
	} {
		var headers []string
		if c.ct != "" {
			headers = []string{"Content-Type", c.ct}
		}
		if w := g.do(t, "POST", c.path, strings.Repeat("x", c.size), headers...); w.Code != c.want {
			t.Errorf("%s %q %d bytes: got %d, want %d", c.path, c.ct, c.size, w.Code, c.want)
		}
	}
	if w := g.do(t, "POST", "/f", "x", "Content-Type", form, "Content-Encoding", "gzip"); w.Code != 415 {
		t.Errorf("compressed body: got %d, want 415", w.Code)
	}
	if w := g.do(t, "POST", "/f", "x", "Content-Type", form, "Content-Type", js); w.Code != 415 {
		t.Errorf("two content types: got %d, want 415", w.Code)
	}
	// A length that was not announced is bounded while reading.
	r := httptest.NewRequest("POST", "/f", io.MultiReader(strings.NewReader(strings.Repeat("x", 101))))
	r.Host, r.ContentLength = g.public, -1
	r.Header.Set("Content-Type", form)
	w := httptest.NewRecorder()
	g.handler().ServeHTTP(w, r)
	if w.Code != 413 {
		t.Errorf("chunked: got %d, want 413", w.Code)
	}
}

func TestTooManyInFlight(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{limits: web.Limits{MaxInFlight: 1}})
	inside, leave := make(chan struct{}), make(chan struct{})
	g.api.Handle("GET /api/v1/lento", func(http.ResponseWriter, *http.Request) error {
		close(inside)
		<-leave
		return nil
	})
	g.api.Handle("GET /api/v1/otro", hello)
	done := make(chan int)
	go func() { done <- g.do(t, "GET", "/api/v1/lento", "").Code }()
	<-inside
	w := g.do(t, "GET", "/api/v1/otro", "")
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("second request: got %d, want 503 with Retry-After", w.Code)
	}
	close(leave)
	if code := <-done; code != 200 {
		t.Errorf("first request: got %d", code)
	}
	if w := g.do(t, "GET", "/api/v1/otro", ""); w.Code != 200 {
		t.Errorf("afterwards: got %d", w.Code)
	}
}

func TestClientGoneIsNoFault(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.api.Handle("GET /api/v1/x", func(_ http.ResponseWriter, r *http.Request) error { return r.Context().Err() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	func() {
		defer func() {
			if v := recover(); v != http.ErrAbortHandler {
				t.Errorf("got %v, want the connection to be dropped", v)
			}
		}()
		g.handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/v1/x", nil).WithContext(ctx))
	}()
	if line := g.log.last(t); line["status"] != 499.0 || line["level"] != "INFO" {
		t.Errorf("got %v, want status 499 at INFO", line)
	}
}

func TestClientAddr(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	g := newRig(t, rigOptions{proxies: proxies})
	var addr netip.Addr
	var key string
	g.api.Handle("GET /api/v1/x", func(_ http.ResponseWriter, r *http.Request) error {
		addr, key = web.ClientAddr(r), web.ClientKey(r)
		return nil
	})
	for _, c := range []struct {
		peer, forwarded, addr, key string
	}{
		{"198.51.100.7:1", "", "198.51.100.7", "198.51.100.7"},
		{"198.51.100.7:1", "203.0.113.9", "198.51.100.7", "198.51.100.7"}, // the peer is no proxy
		{"10.1.1.1:1", "203.0.113.9", "203.0.113.9", "203.0.113.9"},
		{"10.1.1.1:1", "1.2.3.4, 203.0.113.9", "203.0.113.9", "203.0.113.9"}, // the left was written by the client
		{"10.1.1.1:1", "203.0.113.9, 10.2.2.2", "203.0.113.9", "203.0.113.9"},
		{"10.1.1.1:1", "", "10.1.1.1", "10.1.1.1"},
		{"10.1.1.1:1", "203.0.113.9, nonsense", "10.1.1.1", "10.1.1.1"},
		{"10.1.1.1:1", "nonsense, 10.2.2.2", "10.2.2.2", "10.2.2.2"},
		{"10.1.1.1:1", strings.Repeat("10.3.3.3, ", 100) + "10.3.3.3", "10.3.3.3", "10.3.3.3"},
		{"[2800:cd0:1:2:3:4:5:6]:1", "", "2800:cd0:1:2:3:4:5:6", "2800:cd0:1:2::/64"},
		{"[fd00::1]:1", "2800:cd0:1:2::9", "2800:cd0:1:2::9", "2800:cd0:1:2::/64"},
		{"[::ffff:10.1.1.1]:1", "::ffff:203.0.113.9", "203.0.113.9", "203.0.113.9"},
		{"[fe80::1%eth0]:1", "", "fe80::1", "fe80::/64"},
		{"@", "203.0.113.9", "invalid IP", "unknown"},
	} {
		r := httptest.NewRequest("GET", "/api/v1/x", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		g.handler().ServeHTTP(httptest.NewRecorder(), r)
		if addr.String() != c.addr || key != c.key {
			t.Errorf("peer %s, forwarded %.40q: got %s, %s; want %s, %s", c.peer, c.forwarded, addr, key, c.addr, c.key)
		}
	}
}

func TestPathsTravelUnchanged(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	g.browser.Handle("GET /d/{id}", func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.WriteString(w, r.PathValue("id"))
		return err
	})
	for path, want := range map[string]string{"/d/a%2Fb": "a/b", "/d/..%2F..%2Fx": "", "/d/x%20y": "x y"} {
		w := g.do(t, "GET", path, "")
		if want == "" && w.Code != 404 || want != "" && w.Body.String() != want {
			t.Errorf("%s: got %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
}

func TestRoutesAreCheckedAtStart(t *testing.T) {
	t.Parallel()
	mustPanic := func(name string, fn func(*rig)) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: accepted", name)
			}
		}()
		fn(newRig(t, rigOptions{}))
	}
	mustPanic("no method", func(g *rig) { g.api.Handle("/api/v1/x", hello) })
	mustPanic("host", func(g *rig) { g.api.Handle("GET example.com/x", hello) })
	mustPanic("no handler", func(g *rig) { g.api.Handle("GET /x", nil) })
	mustPanic("two muxes", func(g *rig) {
		g.api.Handle("GET /x", hello)
		g.protocol.Handle("GET /x", hello)
		g.handler()
	})
	mustPanic("no mux", func(g *rig) { g.site.Handler() })
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	public, err := web.ParsePublicURL("https://id.example.bo")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]web.Config{
		"nothing":    {},
		"no texts":   {Public: public},
		"bad limits": {Public: public, Limits: web.Limits{Form: -1}},
	} {
		if _, err := web.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
