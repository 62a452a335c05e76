package main

import (
	"bytes"
	"context"
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

const testSettings = `public_url = "http://localhost:8080"
data_dir = %q
passphrase_file = %q
[listen]
public = %q
private = %q
shutdown_notice = "400ms"
[organization]
name = "Gobierno de prueba"
nit = "1020255020"
short_name = "GP"
[ca]
policy_arc = "1.3.6.1.4.1.99999"
insecure_online_root = true
`

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
	dir := t.TempDir()
	pass, cfg := filepath.Join(dir, "passphrase"), filepath.Join(dir, "suti.toml")
	public, private := freeAddress(t), freeAddress(t)
	for path, text := range map[string]string{pass: "a passphrase for this test", cfg: fmt.Sprintf(testSettings, filepath.Join(dir, "data"), pass, public, private)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	env := func(k string) string {
		return map[string]string{"NOTIFY_SOCKET": filepath.Join(dir, "n"), "WATCHDOG_USEC": "100000"}[k]
	}
	var log lockedBuffer
	if code := run(t.Context(), []string{"key", "init", "--config", cfg}, nil, io.Discard, &log, env); code != exitOK {
		t.Fatalf("key init: code %d\n%s", code, log.String())
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve", "--config", cfg}, nil, io.Discard, &log, env) }()
	for _, state := range []string{"READY=1", "WATCHDOG=1"} {
		waitNotified(t, notify, state, &log)
	}

	var asked, failed atomic.Int64
	var balancer atomic.Bool
	balancer.Store(true)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for balancer.Load() {
				asked.Add(1)
				if code, err := statusOf(client, "http://"+public+"/.well-known/openid-configuration"); err != nil || code != http.StatusOK {
					failed.Add(1)
					t.Errorf("a request got %d, %v", code, err)
					return
				}
			}
		})
	}
	for asked.Load() < 20 && failed.Load() == 0 {
		if code, err := statusOf(client, "http://"+private+"/readyz"); err != nil || code != http.StatusOK {
			t.Errorf("readyz while serving: %d, %v", code, err)
		}
	}
	began := time.Now()
	stop()
	for ready := true; ready; {
		code, err := statusOf(client, "http://"+private+"/readyz")
		ready = err == nil && code == http.StatusOK
		if err == nil && !ready && code != http.StatusServiceUnavailable {
			t.Errorf("readyz while ending: %d", code)
		}
	}
	balancer.Store(false)
	wg.Wait()
	select {
	case code := <-ended:
		if code != exitOK {
			t.Errorf("exit code %d\n%s", code, log.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it did not end within 20 s")
	}
	t.Logf("%d requests, none lost; ended in %v", asked.Load(), time.Since(began))
	if _, err := os.Stat(filepath.Join(dir, "data", "admin.sock")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the admin socket is left: %v", err)
	}
}

// TestServedCookiesAreBoundToTheHost holds that a server with an https address sets
// cookies that browsers send back to this very host over https only. The demo over
// plain http is the one place without.
func TestServedCookiesAreBoundToTheHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pass, cfg := filepath.Join(dir, "passphrase"), filepath.Join(dir, "suti.toml")
	public := freeAddress(t)
	text := fmt.Sprintf(testSettings, filepath.Join(dir, "data"), pass, public, freeAddress(t))
	text = strings.Replace(text, "http://localhost:8080", "https://id.prueba.example", 1)
	text = strings.Replace(text, "[listen]\n", "[listen]\nbehind_proxy = true\n", 1)
	for path, text := range map[string]string{pass: "a passphrase for this test", cfg: text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "n"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	env := func(k string) string { return map[string]string{"NOTIFY_SOCKET": filepath.Join(dir, "n")}[k] }
	var log lockedBuffer
	if code := run(t.Context(), []string{"key", "init", "--config", cfg}, nil, io.Discard, &log, env); code != exitOK {
		t.Fatalf("key init: code %d\n%s", code, log.String())
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve", "--config", cfg}, nil, io.Discard, &log, env) }()
	defer func() { stop(); <-ended }()
	waitNotified(t, notify, "READY=1", &log)

	client := &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	seen := 0
	for _, c := range []struct{ method, path, body string }{
		{http.MethodGet, "/registro", ""},
		{http.MethodPost, "/registro", "paso=1&tipo=CI&numero=9990001"},
		{http.MethodGet, "/entrar?volver=/cuenta", ""},
		{http.MethodPost, "/idioma", "idioma=en&volver=/"},
	} {
		r, err := http.NewRequestWithContext(ctx, c.method, "http://"+public+c.path, strings.NewReader(c.body))
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
