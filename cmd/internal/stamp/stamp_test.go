package stamp

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/safehttp"
	"oruro.gob.bo/suti/internal/tsp"
)

func ask(t *testing.T, h http.HandlerFunc) error {
	t.Helper()
	srv := httptest.NewServer(h)
	defer srv.Close()
	c, err := New(Config{URL: srv.URL, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("document"))
	token, err := c.Timestamp(context.Background(), crypto.SHA256, sum[:])
	if err == nil || token != nil || c.Trusted() {
		t.Errorf("got a token of %d bytes, %v", len(token), err)
	}
	return err
}

func TestBadAnswersGiveNoToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"not found": {http.NotFound, ErrAnswer},
		"no DER":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, ErrAnswer},
		"empty":     {func(http.ResponseWriter, *http.Request) {}, ErrAnswer},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", tsp.MaxResponse+1))
		}, safehttp.ErrTooLarge},
		"elsewhere":               {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/other", http.StatusFound) }, safehttp.ErrRedirect},
		"granted without a token": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0x30, 5, 0x30, 3, 2, 1, 0}) }, ErrAnswer},
	} {
		if err := ask(t, tt.answer); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
	var status *tsp.StatusError
	err := ask(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tsp.Reject(tsp.BadAlg, "no")) })
	if !errors.As(err, &status) || status.Status != tsp.Rejection {
		t.Errorf("a rejection gave %v", err)
	}
}

func TestRequestIsRFC3161(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("document"))
	_ = ask(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		req, err := tsp.ParseRequest(body)
		if err != nil {
			t.Errorf("the request does not parse: %v", err)
			return
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/timestamp-query" {
			t.Errorf("%s of %s", r.Method, r.Header.Get("Content-Type"))
		}
		if !req.CertReq || req.Nonce == nil || !req.Imprint.Equal(tsp.Imprint{Hash: crypto.SHA256, Digest: sum[:]}) {
			t.Errorf("request %+v", req)
		}
		_, _ = w.Write(tsp.Reject(tsp.SystemFailure, ""))
	})
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"", "tsa.example", "ftp://tsa.example/", "file:///etc/passwd", "http://", "http://%zz/"} {
		if _, err := New(Config{URL: u}); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: got %v, want ErrConfig", u, err)
		}
	}
}
