package evidence

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/safehttp"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
)

var _ Doer = (*safehttp.Client)(nil)

// TestWithTheProductsClient runs time-stamp and collection over safehttp: it
// reaches a server on loopback only if the operator allowed that address.
func TestWithTheProductsClient(t *testing.T) {
	t.Parallel()
	clk := newClock()
	a := newAuthority(t, clk)
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	w := newWorldAt(t, srv.URL)
	w.clk = clk
	w.resp.clk = clk
	mux.Handle("/tsa", a)
	mux.Handle("/ocsp", w.resp)
	mux.HandleFunc("/root.crl", listHandler(w.root, clk))
	mux.HandleFunc("/away", func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, srv.URL+"/tsa", http.StatusFound) })
	cfg := safehttp.Config{InsecureAllowHTTP: true, Ports: []uint16{0}, MaxResponse: revocation.MaxCRL}
	closed, err := safehttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.AllowPrefixes = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	open, err := safehttp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tsa := TSA{Name: "a", URL: srv.URL + "/tsa", Roots: pool(a.root)}
	if _, err := newPool(t, open, clk, tsa).Stamp(bg(), imprint()); err != nil {
		t.Errorf("allowed: %v", err)
	}
	if _, err := newPool(t, closed, clk, tsa).Stamp(bg(), imprint()); !errors.Is(err, safehttp.ErrAddress) || !errors.Is(err, ErrNoTimestamp) {
		t.Errorf("loopback: %v, want safehttp.ErrAddress", err)
	}
	tsa.URL = srv.URL + "/away"
	if _, err := newPool(t, open, clk, tsa).Stamp(bg(), imprint()); !errors.Is(err, ErrNoTimestamp) || errors.Is(err, tsp.ErrImprint) {
		t.Errorf("redirect: %v, want ErrNoTimestamp", err)
	}
	host := strings.TrimPrefix(srv.URL, "http://")
	change := func(c *CollectorConfig) { c.HTTP, c.Hosts = open, []string{host} }
	if m, err := w.collector(t, change).Collect(bg(), w.query()); err != nil || len(m.OCSPs) != 1 || len(m.CRLs) != 1 {
		t.Errorf("collecting: %v", err)
	}
}
