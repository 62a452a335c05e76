package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// lockedBuffer is a buffer that a server writes to while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestEndOfAServerLosesNoRequest holds that a balancer which stops sending when
// /readyz says so sees every request answered.
func TestEndOfAServerLosesNoRequest(t *testing.T) {
	t.Parallel()
	d := startServer(t, nil, map[string]string{"WATCHDOG_USEC": "100000"})
	waitNotified(t, d.notify, "WATCHDOG=1", d.log)

	var asked, failed atomic.Int64
	var balancer atomic.Bool
	balancer.Store(true)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for balancer.Load() {
				asked.Add(1)
				if code, err := statusOf(client, "http://"+d.listen+"/.well-known/openid-configuration"); err != nil || code != http.StatusOK {
					failed.Add(1)
					t.Errorf("a request got %d, %v", code, err)
					return
				}
			}
		})
	}
	for asked.Load() < 20 && failed.Load() == 0 {
		if code, err := statusOf(client, "http://"+d.private+"/readyz"); err != nil || code != http.StatusOK {
			t.Errorf("readyz while serving: %d, %v", code, err)
		}
	}
	began := time.Now()
	d.cancel()
	for ready := true; ready; {
		code, err := statusOf(client, "http://"+d.private+"/readyz")
		ready = err == nil && code == http.StatusOK
		if err == nil && !ready && code != http.StatusServiceUnavailable {
			t.Errorf("readyz while ending: %d", code)
		}
	}
	balancer.Store(false)
	wg.Wait()
	select {
	case <-d.done: // well, or the end of the test says so
	case <-time.After(20 * time.Second):
		t.Fatal("it did not end within 20 s")
	}
	t.Logf("%d requests, none lost; ended in %v", asked.Load(), time.Since(began))
	if _, err := os.Stat(filepath.Join(d.dir, "data", "admin.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the admin socket is left: %v", err)
	}
}

// TestServedCookiesAreBoundToTheHost holds that a server with an https address sets
// cookies that browsers send back to this very host over https only. The demo over
// plain http is the one place without.
func TestServedCookiesAreBoundToTheHost(t *testing.T) {
	t.Parallel()
	d := startServer(t, func(settings, _ string) string {
		settings = strings.Replace(settings, "http://localhost:8080", "https://id.prueba.example", 1)
		return strings.Replace(settings, "[listen]\n", "[listen]\nbehind_proxy = true\n", 1)
	}, nil)

	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	seen := 0
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "/registro", ""},
		{http.MethodPost, "/registro", "paso=1&tipo=CI&numero=9990001"},
		{http.MethodGet, "/entrar?volver=/cuenta", ""},
		{http.MethodPost, "/idioma", "idioma=en&volver=/"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+d.listen+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "id.prueba.example"
		if c.body != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for _, k := range res.Cookies() {
			seen++
			if !strings.HasPrefix(k.Name, "__Host-") || !k.Secure || !k.HttpOnly || k.Path != "/" || k.Domain != "" || k.SameSite == http.SameSiteNoneMode {
				t.Errorf("%s %s sets %s", c.method, c.path, k)
			}
		}
		t.Logf("%s %s: %d, %d cookies", c.method, c.path, res.StatusCode, len(res.Cookies()))
		if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") {
			t.Errorf("%s %s may be framed: %q", c.method, c.path, csp)
		}
	}
	if seen < 3 {
		t.Errorf("only %d cookies were seen", seen)
	}
}

func waitNotified(t *testing.T, conn *net.UnixConn, state string, log fmt.Stringer) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 256)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%s was not said: %v\n%s", state, err, log)
		}
		if string(buf[:n]) == state {
			return
		}
	}
}

func statusOf(client *http.Client, url string) (int, error) {
	res, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}
