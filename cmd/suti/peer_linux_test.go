package main

import (
	"net"
	"net/http"
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
