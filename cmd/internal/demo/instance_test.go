package demo_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
	checkEndpoints(t, first)
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
	if second.File.Issuer != issuer || len(second.File.People) != len(first.File.People) {
		t.Errorf("second start: issuer %s, %d people", second.File.Issuer, len(second.File.People))
	}
	if second.File.TLSRootPEM != "" {
		t.Error("a root for https, over http")
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Start(t.Context(), demo.Config{Dir: dir, TLS: true}); !errors.Is(err, demo.ErrScheme) || !strings.Contains(err.Error(), issuer) {
		t.Errorf("with TLS in a folder of http: got %v, want ErrScheme and the address", err)
	}
}

// TestDemoOverTLS starts it over https, looks at it as a program that knows
// demo.json, and finds everything again after a restart.
func TestDemoOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := demo.Start(t.Context(), demo.Config{Dir: dir, FirstPort: 18750, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	var file demo.File
	raw, err := os.ReadFile(filepath.Join(dir, demo.FileName))
	if err := errors.Join(err, json.Unmarshal(raw, &file)); err != nil {
		t.Fatal(err)
	}
	look := func(v uint16) *http.Client {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM([]byte(file.TLSRootPEM)) {
			t.Fatal("no root for https in demo.json")
		}
		return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS10, MaxVersion: v}}}
	}
	if file.TLSRootPEM == file.TrustRootPEM || !strings.HasPrefix(file.Issuer, "https://localhost:") {
		t.Errorf("issuer %s, or one root for two things", file.Issuer)
	}
	for _, base := range []string{file.Issuer, first.Bases[0], first.Bases[1]} {
		for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			res, err := look(v).Get(base + "/")
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK || res.Header.Get("Strict-Transport-Security") != "" {
				t.Errorf("%s: %d, Strict-Transport-Security %q", base, res.StatusCode, res.Header.Get("Strict-Transport-Security"))
			}
		}
		if _, err := look(tls.VersionTLS11).Get(base + "/"); err == nil {
			t.Errorf("%s speaks TLS 1.1", base)
		}
		var unknown x509.UnknownAuthorityError
		if _, err := http.Get(base + "/"); !errors.As(err, &unknown) {
			t.Errorf("%s without the root: %v", base, err)
		}
		res, err := http.Get("http" + strings.TrimPrefix(base, "https") + "/")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("%s over plain http: %d", base, res.StatusCode)
		}
	}
	res, err := look(0).Get(file.Issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	raw, _ = io.ReadAll(res.Body)
	res.Body.Close()
	var metadata map[string]any
	if err := json.Unmarshal(raw, &metadata); err != nil || metadata["issuer"] != file.Issuer || strings.Contains(string(raw), "http:") {
		t.Errorf("discovery: %v %s", err, raw)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.Start(t.Context(), demo.Config{Dir: dir}); !errors.Is(err, demo.ErrScheme) || !strings.Contains(err.Error(), file.Issuer) {
		t.Errorf("without TLS in a folder of https: got %v, want ErrScheme and the address", err)
	}
	second, err := demo.Start(t.Context(), demo.Config{Dir: dir, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if second.File.Issuer != file.Issuer || second.File.TLSRootPEM != file.TLSRootPEM || second.Bases != first.Bases {
		t.Errorf("second start: %s, %v, or another root", second.File.Issuer, second.Bases)
	}
	res, err = look(0).Get(second.Bases[1] + "/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
}
