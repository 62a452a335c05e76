package web_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/web"
)

// rig is a site on a recorder: no network.
type rig struct {
	site     *web.Site
	pages    *web.Pages
	browser  *web.BrowserMux
	protocol *web.ProtocolMux
	api      *web.APIMux
	metrics  *prometheus.Registry
	log      *lines
	public   string
}

type rigOptions struct {
	public  string
	proxies []netip.Prefix
	limits  web.Limits
	browser web.BrowserConfig
}

func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	if o.public == "" {
		o.public = "https://id.example.bo"
	}
	public, err := web.ParsePublicURL(o.public)
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := i18n.New(map[string]fs.FS{"web": web.Texts(), "sample": os.DirFS("testdata/texts")},
		i18n.OnFault(func(f i18n.Fault) { t.Error(f) }))
	if err != nil {
		t.Fatal(err)
	}
	g := &rig{metrics: prometheus.NewRegistry(), log: &lines{}, public: public.Host()}
	if g.pages, err = web.NewPages(web.PagesConfig{Catalog: catalog}); err != nil {
		t.Fatal(err)
	}
	g.site, err = web.New(web.Config{
		Public: public, Catalog: catalog, Pages: g.pages, TrustedProxies: o.proxies, Limits: o.limits,
		Logger: slog.New(slog.NewJSONHandler(g.log, nil)), Metrics: g.metrics,
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.browser, err = g.site.NewBrowserMux(o.browser); err != nil {
		t.Fatal(err)
	}
	g.protocol, g.api = g.site.NewProtocolMux(), g.site.NewAPIMux()
	return g
}

func (g *rig) handler() http.Handler { return g.site.Handler(g.browser, g.protocol, g.api) }

// do sends a request whose headers are pairs of names and values.
func (g *rig) do(t *testing.T, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body == "" {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Host = g.public
	r.RemoteAddr = "198.51.100.7:1234"
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.handler().ServeHTTP(w, r)
	return w
}

// series returns the values of a counter or gauge, one for each set of labels.
func (g *rig) series(t *testing.T, name string) (values []float64) {
	t.Helper()
	families, err := g.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			values = append(values, m.GetCounter().GetValue()+m.GetGauge().GetValue())
		}
	}
	return values
}

// lines keeps log lines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// last returns the last line.
func (l *lines) last(t *testing.T) map[string]any {
	t.Helper()
	all := strings.Split(strings.TrimSpace(l.text()), "\n")
	var m map[string]any
	if err := json.Unmarshal([]byte(all[len(all)-1]), &m); err != nil {
		t.Fatalf("log line %q: %v", all[len(all)-1], err)
	}
	return m
}

func hello(w http.ResponseWriter, _ *http.Request) error {
	_, err := w.Write([]byte("hola"))
	return err
}

const form = "application/x-www-form-urlencoded"
