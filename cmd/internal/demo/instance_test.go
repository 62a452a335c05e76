package demo_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"oruro.gob.bo/suti/cmd/internal/demo"
)

// TestDemoStartsAnewAndAgain starts the demo in an empty folder, stops it, and
// finds everything again.
func TestDemoStartsAnewAndAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := demo.Start(t.Context(), demo.Config{Dir: dir, FirstPort: 18700})
	if err != nil {
		t.Fatal(err)
	}
	issuer := first.File.Issuer
	res, err := http.Get(issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := io.ReadAll(res.Body)
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("discovery: %d %s", res.StatusCode, raw)
	}
	for _, p := range first.File.People {
		if len(p.CodeCard) < 2000 {
			t.Errorf("%s has %d cells, want 2,000 or more", p.Names, len(p.CodeCard))
		}
		if _, err := os.Stat(p.PasskeyFile); err != nil {
			t.Error(err)
		}
	}
	if got := first.File.People[3].Level; got != "N2" {
		t.Errorf("citizen is %s, want N2", got)
	}
	if p := first.File.People[4]; p.Post == "" || p.Level != "N3" {
		t.Errorf("official: %+v", p.Post)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, demo.FileName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("demo.json: %v, %v", info, err)
	}
	second, err := demo.Start(t.Context(), demo.Config{Dir: dir, FirstPort: 18700})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second.File.Issuer != issuer || len(second.File.People) != len(first.File.People) {
		t.Errorf("second start: issuer %s, %d people", second.File.Issuer, len(second.File.People))
	}
}
