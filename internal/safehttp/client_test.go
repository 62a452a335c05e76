package safehttp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// names answers each lookup of a name with the next of its answers, the last
// one for ever.
type names struct {
	mu      sync.Mutex
	answers map[string][][]string
	lookups int
}

func (n *names) LookupNetIP(_ context.Context, network, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups++
	list := n.answers[host]
	if network != "ip" || len(list) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(list) > 1 {
		n.answers[host] = list[1:]
	}
	var out []netip.Addr
	for _, s := range list[0] {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

// world is a server on loopback that stands for every public address.
type world struct {
	srv   *httptest.Server
	hits  atomic.Int64
	mu    sync.Mutex
	dials []string
}

func newWorld(t *testing.T, h http.HandlerFunc) *world {
	t.Helper()
	w := &world{}
	w.srv = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.hits.Add(1)
		h(rw, r)
	}))
	t.Cleanup(w.srv.Close)
	return w
}

func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, address)
	w.mu.Unlock()
	var d net.Dialer
	return d.DialContext(ctx, network, w.srv.Listener.Addr().String())
}

func newClient(t *testing.T, c Config) *Client {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.http.CloseIdleConnections)
	return s
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hola") }

func TestForbiddenAddressesAreNotReached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hello)
	port := w.srv.Listener.Addr().(*net.TCPAddr).Port
	n := &names{answers: map[string][][]string{
		"inside.example": {{"10.1.2.3"}}, "mapped.example": {{"::ffff:127.0.0.1"}}, "meta.example": {{"169.254.169.254"}},
		"mixed.example": {{"8.8.8.8", "127.0.0.1"}}, "none.example": {{}}, "localhost": {{"127.0.0.1"}},
		"2130706433": {{"127.0.0.1"}}, "0x7f.1": {{"127.0.0.1"}}, "127.1": {{"127.0.0.1"}},
	}}
	s := newClient(t, Config{InsecureAllowHTTP: true, Ports: []uint16{0}, Resolver: n})
	for _, host := range []string{
		"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "0.0.0.0", "[::]",
		"localhost", "LOCALHOST", "localhost.", "2130706433", "0x7f.1", "127.1",
		"inside.example", "mapped.example", "meta.example", "mixed.example", "MIXED.example.",
	} {
		_, err := s.Fetch(t.Context(), fmt.Sprintf("http://%s:%d/", host, port), "")
		if !errors.Is(err, ErrAddress) {
			t.Errorf("%s: got %v, want ErrAddress", host, err)
		}
	}
	for _, host := range []string{"none.example", "unknown.example"} {
		if _, err := s.Fetch(t.Context(), fmt.Sprintf("http://%s:%d/", host, port), ""); err == nil {
			t.Errorf("%s: reached", host)
		}
	}
	if n := w.hits.Load(); n != 0 {
		t.Errorf("the server was reached %d times", n)
	}
}

func TestNameIsResolvedOncePerConnectionAndPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Connection", "close")
		hello(rw, r)
	})
	n := &names{answers: map[string][][]string{"rebind.example": {{"8.8.4.4"}, {"127.0.0.1"}}}}
	s := newClient(t, Config{InsecureAllowHTTP: true, Resolver: n, dial: w.dial})
	if b, err := s.Fetch(t.Context(), "http://rebind.example/", ""); err != nil || string(b) != "hola" {
		t.Fatalf("first: got %q, %v", b, err)
	}
	if n.lookups != 1 || len(w.dials) != 1 || w.dials[0] != "8.8.4.4:80" {
		t.Errorf("got %d lookups, dials %v; want one of each, to the judged address", n.lookups, w.dials)
	}
	if _, err := s.Fetch(t.Context(), "http://rebind.example/", ""); !errors.Is(err, ErrAddress) {
		t.Errorf("after the name moved: got %v, want ErrAddress", err)
	}
	if len(w.dials) != 1 {
		t.Errorf("dials: %v, want no more", w.dials)
	}
}

// One forbidden address among others refuses the name; nothing is dialled.
func TestMixedAnswersAreRefusedWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hello)
	n := &names{answers: map[string][][]string{"a.example": {{"8.8.8.8", "10.0.0.1"}}, "b.example": {{"10.0.0.1", "8.8.8.8"}}}}
	s := newClient(t, Config{InsecureAllowHTTP: true, Resolver: n, dial: w.dial})
	for host := range n.answers {
		if _, err := s.Fetch(t.Context(), "http://"+host+"/", ""); !errors.Is(err, ErrAddress) {
			t.Errorf("%s: got %v, want ErrAddress", host, err)
		}
	}
	if len(w.dials) != 0 {
		t.Errorf("dials: %v, want none", w.dials)
	}
}

func TestNextAddressIsTriedWhenOneIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hello)
	n := &names{answers: map[string][][]string{"two.example": {{"2800:cd0::1", "8.8.4.4"}}}}
	s := newClient(t, Config{InsecureAllowHTTP: true, Resolver: n, dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "[") {
			return nil, errors.New("no route")
		}
		return w.dial(ctx, network, address)
	}})
	if _, err := s.Fetch(t.Context(), "http://two.example/", ""); err != nil {
		t.Error(err)
	}
}

// The socket itself refuses, even if an unjudged address came that far.
func TestSocketGuard(t *testing.T) {
	t.Parallel()
	s := newClient(t, Config{AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	for addr, want := range map[string]bool{
		"8.8.8.8:443": true, "10.1.1.1:443": true, "127.0.0.1:443": false, "[::1]:443": false, "[::ffff:10.1.1.1]:443": true,
		"[fe80::1%lo]:443": false, "x": false,
	} {
		if err := s.guard(false)(t.Context(), "tcp4", addr, nil); (err == nil) != want {
			t.Errorf("%s: got %v, want allowed=%v", addr, err, want)
		}
	}
	if err := s.guard(true)(t.Context(), "udp4", "8.8.8.8:443", nil); !errors.Is(err, ErrAddress) {
		t.Errorf("datagrams: got %v, want ErrAddress", err)
	}
}

func TestOperatorMayAllow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hello)
	port := w.srv.Listener.Addr().(*net.TCPAddr).Port
	n := &names{answers: map[string][][]string{"localhost": {{"127.0.0.1"}}, "app.example": {{"127.0.0.1"}}}}
	for name, c := range map[string]Config{
		"host":   {AllowHosts: []string{"localhost"}},
		"prefix": {AllowPrefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	} {
		c.InsecureAllowHTTP, c.Ports, c.Resolver = true, []uint16{uint16(port)}, n
		s := newClient(t, c)
		if b, err := s.Fetch(t.Context(), fmt.Sprintf("http://localhost:%d/", port), ""); err != nil || string(b) != "hola" {
			t.Errorf("%s: got %q, %v", name, b, err)
		}
		_, err := s.Fetch(t.Context(), fmt.Sprintf("http://app.example:%d/", port), "")
		if name == "host" && !errors.Is(err, ErrAddress) {
			t.Errorf("another name with the same address: got %v, want ErrAddress", err)
		}
	}
	for _, bad := range []string{"", "Localhost", "localhost."} {
		if _, err := New(Config{AllowHosts: []string{bad}}); err == nil {
			t.Errorf("host %q accepted", bad)
		}
	}
}

func TestAddressesRefusedAsTheyStand(t *testing.T) {
	t.Parallel()
	n := &names{}
	s := newClient(t, Config{Resolver: n, OnlyHosts: []string{"a.example"}, Ports: []uint16{443, 8443}})
	for _, u := range []string{
		"http://a.example/", "ftp://a.example/", "file:///etc/passwd", "https:a.example", "https:///x", "//a.example/",
		"https://user@a.example/", "https://user:pw@a.example/", "https://a.example:80/", "https://a.example:0/", "https://b.example/",
		"https://a.example.b.example/", "https://ａ.example/", "https://[fe80::1%25lo]/", "gopher://a.example:443/", "https://a.example:443:443/",
	} {
		if _, err := s.Fetch(t.Context(), u, ""); !errors.Is(err, ErrURL) {
			t.Errorf("%s: got %v, want ErrURL", u, err)
		}
	}
	if n.lookups != 0 {
		t.Errorf("%d lookups were made", n.lookups)
	}
	for _, good := range []string{"https://a.example/x?y", "https://A.Example.:8443/"} {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CheckURL(u); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func public(t *testing.T, w *world, c Config) *Client {
	t.Helper()
	c.InsecureAllowHTTP, c.dial = true, w.dial
	c.Resolver = &names{answers: map[string][][]string{"app.example": {{"8.8.8.8"}}}}
	return newClient(t, c)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, "/elsewhere", http.StatusFound)
	})
	s := public(t, w, Config{})
	if _, err := s.Fetch(t.Context(), "http://app.example/", ""); !errors.Is(err, ErrRedirect) {
		t.Errorf("got %v, want ErrRedirect", err)
	}
	if n := w.hits.Load(); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	w := newWorld(t, hello)
	if _, err := public(t, w, Config{}).Fetch(t.Context(), "http://app.example/", ""); err != nil {
		t.Error(err)
	}
}

func TestBodyIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		body := strings.Repeat("x", 101)
		switch r.URL.Path {
		case "/exact":
			body = body[:100]
		case "/chunked":
			rw.(http.Flusher).Flush()
		case "/bomb":
			rw.Header().Set("Content-Encoding", "gzip")
			body = "\x1f\x8bnot opened"
		}
		if r.Header.Get("Accept-Encoding") != "" {
			body = "compression was asked for"
		}
		_, _ = io.WriteString(rw, body)
	})
	s := public(t, w, Config{MaxResponse: 100})
	for path, want := range map[string]error{"/exact": nil, "/announced": ErrTooLarge, "/chunked": ErrTooLarge, "/bomb": nil} {
		b, err := s.Fetch(t.Context(), "http://app.example"+path, "")
		if !errors.Is(err, want) || len(b) > 100 {
			t.Errorf("%s: got %d bytes, %v; want %v", path, len(b), err, want)
		}
		if path == "/bomb" && !strings.HasPrefix(string(b), "\x1f\x8b") {
			t.Errorf("compressed body was touched: %q", b)
		}
	}
	res, err := s.http.Get("http://app.example/chunked") // a library that reads on after the error
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	for range 3 {
		if _, err := io.Copy(io.Discard, res.Body); !errors.Is(err, ErrTooLarge) {
			t.Errorf("got %v, want ErrTooLarge each time", err)
		}
	}
}

func TestSlowAnswersEnd(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			rw.WriteHeader(http.StatusOK)
			rw.(http.Flusher).Flush()
		}
		select {
		case <-done:
		case <-r.Context().Done():
		}
	})
	defer close(done)
	s := public(t, w, Config{Timeout: 100 * time.Millisecond, Breaker: Policy{Failures: 1}})
	if _, err := s.Fetch(t.Context(), "http://app.example/body", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("body: got %v, want DeadlineExceeded", err)
	}
	if _, err := s.Fetch(t.Context(), "http://app.example/header", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("header: got %v, want DeadlineExceeded", err)
	}
	var open *OpenError
	if _, err := s.Fetch(t.Context(), "http://app.example/header", ""); !errors.As(err, &open) {
		t.Errorf("a time-out does not count as failure: %v", err)
	}
}

func TestErrorsKeepSecretsOfTheAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := public(t, w, Config{}).Fetch(t.Context(), "http://app.example/hook-hunter2?token=hunter2", "")
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "app.example") {
		t.Errorf("got %v, want the host and nothing more", err)
	}
}

func TestBreakerLeavesAFailingHostAlone(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	w := newWorld(t, func(rw http.ResponseWriter, r *http.Request) {
		if down.Load() {
			http.Error(rw, "no", http.StatusServiceUnavailable)
			return
		}
		hello(rw, r)
	})
	var now atomic.Int64
	s := public(t, w, Config{
		Breaker: Policy{Failures: 3, Pause: time.Minute},
		Now:     func() time.Time { return time.Unix(1_800_000_000+now.Load(), 0) },
	})
	get := func() error {
		_, err := s.Fetch(t.Context(), "http://app.example/", "")
		return err
	}
	for range 3 {
		var status *StatusError
		if err := get(); !errors.As(err, &status) || status.Status != 503 {
			t.Fatalf("got %v, want the status 503", err)
		}
	}
	var open *OpenError
	if err := get(); !errors.As(err, &open) || open.RetryAfter != time.Minute || open.Host != "app.example:80" {
		t.Fatalf("got %v, want to be told to wait a minute", err)
	}
	if n := w.hits.Load(); n != 3 {
		t.Fatalf("%d requests, want 3", n)
	}
	now.Add(61)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { _ = get() })
	}
	wg.Wait()
	if n := w.hits.Load(); n != 4 {
		t.Errorf("%d requests, want one trial more", n)
	}
	down.Store(false)
	now.Add(121)
	for range 3 {
		if err := get(); err != nil {
			t.Errorf("after it is well again: %v", err)
		}
	}
}

func TestCallerThatGivesUpDoesNotOpenTheCircuit(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{}, 8)
	w := newWorld(t, func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
	})
	s := public(t, w, Config{Breaker: Policy{Failures: 1}})
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-begun
			cancel()
		}()
		if _, err := s.Fetch(ctx, "http://app.example/", ""); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled and no open circuit", err)
		}
	}
}

func TestMemoryOfFailingHostsIsBounded(t *testing.T) {
	t.Parallel()
	s := newClient(t, Config{})
	for i := range 3 * maxCircuits {
		s.tell(fmt.Sprintf("h%d:443", i), Failed)
	}
	if n := len(s.circuits); n > maxCircuits {
		t.Errorf("%d hosts remembered, want at most %d", n, maxCircuits)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	old := httptest.NewUnstartedServer(http.HandlerFunc(hello))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.StartTLS()
	defer old.Close()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	target := srv
	n := &names{answers: map[string][][]string{"example.com": {{"8.8.8.8"}}, "other.bo": {{"8.8.8.8"}}}}
	s := newClient(t, Config{Resolver: n, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10},
		dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, target.Listener.Addr().String())
		}})
	if b, err := s.Fetch(t.Context(), "https://example.com/", ""); err != nil || string(b) != "HTTP/2.0" {
		t.Errorf("got %q, %v; want HTTP/2.0", b, err)
	}
	var host x509.HostnameError
	if _, err := s.Fetch(t.Context(), "https://other.bo/", ""); !errors.As(err, &host) {
		t.Errorf("certificate of another name: got %v", err)
	}
	s.http.CloseIdleConnections()
	target = old
	if _, err := s.Fetch(t.Context(), "https://example.com/", ""); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
}
