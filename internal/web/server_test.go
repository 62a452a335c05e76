package web_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"oruro.gob.bo/suti/internal/web"
)

// pipes is a listener whose connections are pipes, so that time is the test's.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial() (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, errors.New("refused")
	}
}

// serve runs a server on pipes until the test ends.
func serve(t *testing.T, h http.Handler, l web.Limits) (*web.Server, *pipes) {
	t.Helper()
	s, err := web.NewServer(web.ServerConfig{Handler: h, Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	p := newPipes()
	done := make(chan error)
	go func() { done <- s.Serve(p) }()
	t.Cleanup(func() {
		if err := s.Shutdown(context.Background(), 0); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s, p
}

// pass lets time of the bubble go by.
func pass(d time.Duration) { <-time.After(d) }

// talk writes pieces with pauses and returns the status of the answer, how long
// it took, and any error.
func talk(t *testing.T, p *pipes, pause time.Duration, pieces ...string) (status int, body string, took time.Duration, err error) {
	t.Helper()
	start := time.Now()
	c, err := p.dial()
	if err != nil {
		return 0, "", 0, err
	}
	var writer sync.WaitGroup
	defer writer.Wait()
	defer c.Close()
	writer.Go(func() {
		for i, piece := range pieces {
			if i > 0 {
				pass(pause)
			}
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
		}
	})
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", time.Since(start), err
	}
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), time.Since(start), err
}

func echo(w http.ResponseWriter, r *http.Request) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(w, len(b))
	return err
}

func TestSlowHeadersEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{})
		_, p := serve(t, g.handler(), web.Limits{})
		_, _, took, err := talk(t, p, 2*time.Second, "GET / HTTP/1.1\r\n", "Host: x\r\n", "A: b\r\n", "C: d\r\n", "E: f\r\n")
		if err == nil || took != 5*time.Second {
			t.Errorf("got %v after %v, want the end after 5 s", err, took)
		}
	})
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{})
		_, p := serve(t, g.handler(), web.Limits{})
		status, _, _, err := talk(t, p, 0, "GET / HTTP/1.1\r\nHost: x\r\nA: "+strings.Repeat("x", 64<<10)+"\r\n\r\n")
		if err != nil || status != 431 {
			t.Errorf("got %d, %v; want 431", status, err)
		}
	})
}

// A form that trickles in ends with the connection's time-out, an upload that
// keeps moving does not, one that stands still does.
func TestSlowBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{public: "http://localhost"})
		g.browser.Handle("POST /f", echo)
		g.browser.Handle("POST /subir", echo, web.Upload(1<<20))
		_, p := serve(t, g.handler(), web.Limits{})
		pieces := func(path string, n int) []string {
			out := []string{fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", path, form, n)}
			for range n {
				out = append(out, "x")
			}
			return out
		}
		if status, _, took, err := talk(t, p, 10*time.Second, pieces("/f", 20)...); err == nil && status == 200 || took > 61*time.Second {
			t.Errorf("slow form: got %d, %v after %v; want an end at 60 s", status, err, took)
		}
		if status, body, took, err := talk(t, p, 10*time.Second, pieces("/subir", 20)...); status != 200 || body != "20" || took != 200*time.Second {
			t.Errorf("slow upload: got %d %q, %v after %v; want it to arrive", status, body, err, took)
		}
		if status, _, took, err := talk(t, p, 40*time.Second, pieces("/subir", 3)...); err == nil && status == 200 {
			t.Errorf("upload that stands still: got %d after %v, want a failure", status, took)
		}
		if status, _, took, err := talk(t, p, 20*time.Second, pieces("/subir", 200)...); err == nil && status == 200 || took > 32*time.Minute {
			t.Errorf("endless upload: got %d, %v after %v; want an end after half an hour", status, err, took)
		}
	})
}

func TestSlowReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{public: "http://localhost"})
		big := func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write(make([]byte, 1<<20))
			return err
		}
		g.browser.Handle("GET /pagina", big)
		g.browser.Handle("GET /pdf", big, web.Download())
		_, p := serve(t, g.handler(), web.Limits{})
		read := func(path string, pause time.Duration) int {
			c, err := p.dial()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			go func() {
				_, _ = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
			}()
			total, buf := 0, make([]byte, 64<<10)
			for {
				n, err := io.ReadAtLeast(c, buf, len(buf))
				total += n
				if err != nil {
					return total
				}
				pass(pause)
			}
		}
		if n := read("/pagina", 10*time.Second); n > 1<<20 {
			t.Errorf("page to a slow reader: %d bytes, want an end at 60 s", n)
		}
		if n := read("/pdf", 10*time.Second); n < 1<<20 {
			t.Errorf("download to a slow reader: %d bytes, want all", n)
		}
		if n := read("/pdf", 40*time.Second); n >= 1<<20 {
			t.Errorf("download to a reader that stands still: %d bytes, want an end", n)
		}
	})
}

func TestHandlersAreTimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{})
		wait := func(_ http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return fmt.Errorf("query: %w", r.Context().Err())
		}
		g.api.Handle("GET /api/v1/x", wait)
		g.api.Handle("GET /api/v1/y", wait, web.Timeout(3*time.Second))
		for path, want := range map[string]time.Duration{"/api/v1/x": 30 * time.Second, "/api/v1/y": 3 * time.Second} {
			start := time.Now()
			if w := g.do(t, "GET", path, ""); w.Code != 503 || time.Since(start) != want {
				t.Errorf("%s: got %d after %v, want 503 after %v", path, w.Code, time.Since(start), want)
			}
		}
	})
}

// Requests in flight are finished, requests during the notice are answered, and
// nothing is accepted afterwards.
func TestShutdownLosesNoRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{public: "http://localhost"})
		g.browser.Handle("GET /lento", func(w http.ResponseWriter, _ *http.Request) error {
			pass(8 * time.Second)
			_, err := io.WriteString(w, "done")
			return err
		})
		s, p := serve(t, g.handler(), web.Limits{})
		if !s.Ready() {
			t.Error("not ready at first")
		}
		const ask = "GET /lento HTTP/1.1\r\nHost: localhost\r\n\r\n"
		var wg sync.WaitGroup
		for _, after := range []time.Duration{0, 2 * time.Second, 6 * time.Second} { // the last two within the notice
			wg.Go(func() {
				pass(after)
				if status, body, _, err := talk(t, p, 0, ask); status != 200 || body != "done" {
					t.Errorf("request after %v: got %d %q, %v", after, status, body, err)
				}
			})
		}
		pass(time.Second)
		start := time.Now()
		if err := s.Shutdown(t.Context(), 7*time.Second); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < 12*time.Second || took > 14*time.Second {
			t.Errorf("took %v, want until the last request is done at 13 s", took)
		}
		wg.Wait()
		if s.Ready() {
			t.Error("still ready")
		}
		if _, _, _, err := talk(t, p, 0, ask); err == nil {
			t.Error("a request was accepted afterwards")
		}
	})
}

func TestShutdownEndsInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{public: "http://localhost"})
		g.browser.Handle("GET /nunca", func(_ http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return r.Context().Err()
		}, web.Timeout(time.Hour))
		s, p := serve(t, g.handler(), web.Limits{})
		go func() { _, _, _, _ = talk(t, p, 0, "GET /nunca HTTP/1.1\r\nHost: localhost\r\n\r\n") }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		start := time.Now()
		if err := s.Shutdown(ctx, time.Second); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 21*time.Second {
			t.Errorf("got %v after %v, want DeadlineExceeded after 20 s", err, time.Since(start))
		}
		synctest.Wait()
	})
}

func TestServerSpeaksOnlyModernTLS(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	borrowed := httptest.NewUnstartedServer(nil) // for its certificate
	borrowed.StartTLS()
	defer borrowed.Close()
	s, err := web.NewServer(web.ServerConfig{Handler: g.handler(), TLS: &tls.Config{Certificates: borrowed.TLS.Certificates, MinVersion: tls.VersionTLS10}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(ln) }()
	defer func() { _ = s.Shutdown(context.Background(), 0) }()
	for version, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, NextProtos: []string{"h2"}})
		if (err == nil) != want {
			t.Errorf("%s: got %v, want spoken=%v", tls.VersionName(version), err, want)
		}
		if err == nil {
			if p := c.ConnectionState().NegotiatedProtocol; p != "h2" {
				t.Errorf("%s: protocol %q, want h2", tls.VersionName(version), p)
			}
			_ = c.Close()
		}
	}
	if _, err := web.NewServer(web.ServerConfig{}); err == nil {
		t.Error("server without a handler accepted")
	}
}

func TestOptionsStarIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, rigOptions{})
		_, p := serve(t, g.handler(), web.Limits{})
		for _, line := range []string{"OPTIONS * HTTP/1.1", "CONNECT evil.example:443 HTTP/1.1", "GET http://evil.example/ HTTP/1.1"} {
			if status, _, _, err := talk(t, p, 0, line+"\r\nHost: x\r\n\r\n"); err == nil && status < 400 {
				t.Errorf("%s: got %d", line, status)
			}
		}
	})
}
