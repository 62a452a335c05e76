package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// TestOperatorIsWhoConnected holds that the socket names the user at its other
// end as the kernel knows it, whatever the request says.
func TestOperatorIsWhoConnected(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	srv := newSideServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- operator(r.Context()) }))
	srv.http.ConnContext = withOperator
	go func() { _ = srv.serve(ln) }()
	defer srv.http.Close()
	if _, err := sendAdmin(t.Context(), path, http.MethodPost, "/", []byte(`{"operator":"operator:0"}`)); err != nil {
		t.Fatal(err)
	}
	if who, want := <-got, "operator:"+strconv.Itoa(os.Getuid()); who != want {
		t.Errorf("operator %q, want %q", who, want)
	}
}

// TestOnlyOperatorsCommand: whom the kernel did not name, or names as another
// user, gets nothing from the admin socket, whatever the mode of the socket is.
func TestOnlyOperatorsCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		uid    uint32
		server int
		want   bool
	}{{0, 998, true}, {998, 998, true}, {0, 0, true}, {1000, 998, false}, {998, 0, false}, {1<<32 - 1, -1, false}} {
		if got := mayOperate(c.uid, c.server); got != c.want {
			t.Errorf("user %d, server of %d: %v", c.uid, c.server, got)
		}
	}
	reached := false
	h := onlyOperators(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	here, there := net.Pipe() // no Unix socket: the kernel names nobody
	defer here.Close()
	defer there.Close()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, adminGenesisBegin, nil).WithContext(withOperator(t.Context(), here)))
	if w.Code != http.StatusForbidden || reached {
		t.Errorf("a stranger got %d, reached %v", w.Code, reached)
	}
}
