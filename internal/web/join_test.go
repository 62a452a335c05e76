package web_test

import (
	"net/http"
	"strings"
	"testing"
)

// A wrong method is refused as the path's own mux refuses, also where pages
// stand beside it under the same first segment.
func TestWrongMethodHasThePathsFace(t *testing.T) {
	t.Parallel()
	g := newRig(t, rigOptions{})
	ok := func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusNoContent); return nil }
	g.browser.Handle("GET /oauth2/authorize", ok)
	g.protocol.Handle("POST /oauth2/token", ok)
	for path, want := range map[string]string{"/oauth2/token": "application/json", "/oauth2/authorize": "text/html"} {
		w := g.do(t, "PUT", path, "")
		if w.Code != http.StatusMethodNotAllowed || !strings.HasPrefix(w.Header().Get("Content-Type"), want) {
			t.Errorf("PUT %s: got %d %s, want 405 %s", path, w.Code, w.Header().Get("Content-Type"), want)
		}
	}
}
