package demo_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/tsp"
)

// checkEndpoints fetches every endpoint that demo.json names, as a program would
// that knows nothing but that file, and parses what comes.
func checkEndpoints(t *testing.T, i *demo.Instance) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(i.File.People[0].PasskeyFile)), demo.FileName))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Root      string            `json:"trust_root_pem"`
		People    []map[string]any  `json:"people"`
		Endpoints map[string]string `json:"endpoints"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	for _, p := range file.People {
		for _, key := range []string{"institution", "post"} {
			if _, ok := p[key].(string); !ok {
				t.Errorf("%v: %s is absent", p["names"], key)
			}
		}
	}
	root, _ := pem.Decode([]byte(file.Root))
	checked := map[string]func(address string) error{
		"ca_certificates": func(address string) error { return checkPath(t, address, root.Bytes) },
		"crl": func(address string) error {
			body, err := fetch(t, "GET", address, "", nil, "application/pkix-crl")
			if err != nil {
				return err
			}
			_, err = x509.ParseRevocationList(body)
			return err
		},
		"ocsp": func(address string) error { return checkOCSP(t, address, file.Endpoints["ca_certificates"]) },
		"tsa": func(address string) error {
			query, err := (&tsp.Request{Imprint: tsp.Imprint{Hash: crypto.SHA256, Digest: make([]byte, 32)}}).Marshal()
			if err != nil {
				return err
			}
			body, err := fetch(t, "POST", address, "application/timestamp-query", query, "application/timestamp-reply")
			if err != nil {
				return err
			}
			_, err = tsp.ParseResponse(body)
			return err
		},
		"log": func(address string) error {
			body, err := fetch(t, "GET", address, "", nil, "text/plain")
			if err == nil && !strings.Contains(string(body), "verifier key: ") {
				err = fmt.Errorf("no verifier key: %s", body)
			}
			return err
		},
		"api": func(address string) error { // it has no page of its own: a call without a token is refused as JSON
			return wantStatus(t, "POST", address+"/signing-requests", "application/problem+json", http.StatusUnauthorized)
		},
		"verify": func(address string) error { return wantStatus(t, "GET", address, "text/html", http.StatusOK) },
	}
	for name, address := range file.Endpoints {
		check, ok := checked[name]
		if !ok {
			t.Errorf("endpoint %s is not tried", name)
			continue
		}
		if err := check(address); err != nil {
			t.Errorf("endpoint %s, %s: %v", name, address, err)
		}
	}
}

// checkPath wants the certificates of authorities, the root last.
func checkPath(t *testing.T, address string, root []byte) error {
	certs, err := certificates(t, address)
	if err != nil {
		return err
	}
	if last := certs[len(certs)-1]; !bytes.Equal(last.Raw, root) {
		return fmt.Errorf("%s is last, not the root", last.Subject)
	}
	return certs[0].CheckSignatureFrom(certs[len(certs)-1])
}

func certificates(t *testing.T, address string) ([]*x509.Certificate, error) {
	body, err := fetch(t, "GET", address, "", nil, "application/pem-certificate-chain")
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for block, rest := pem.Decode(body); block != nil; block, rest = pem.Decode(rest) {
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) < 2 {
		return nil, fmt.Errorf("%d certificates", len(out))
	}
	return out, nil
}

// checkOCSP asks about the issuing authority under the root: no responder
// speaks for a root, and the answer says so.
func checkOCSP(t *testing.T, address, authorities string) error {
	certs, err := certificates(t, authorities)
	if err != nil {
		return err
	}
	ask, err := ocsp.CreateRequest(certs[0], certs[len(certs)-1], nil)
	if err != nil {
		return err
	}
	body, err := fetch(t, "POST", address, "application/ocsp-request", ask, "application/ocsp-response")
	if err != nil {
		return err
	}
	if _, err := ocsp.ParseResponse(body, nil); !errors.Is(err, ocsp.ResponseError{Status: ocsp.Unauthorized}) {
		return fmt.Errorf("got %v, want unauthorized", err)
	}
	return nil
}

// fetch returns the body of an answer 200 of a media type.
func fetch(t *testing.T, method, address, kind string, body []byte, want string) ([]byte, error) {
	code, got, raw := call(t, method, address, kind, body)
	if code != http.StatusOK || got != want {
		return nil, fmt.Errorf("got %d %s, want 200 %s: %.200s", code, got, want, raw)
	}
	return raw, nil
}

func wantStatus(t *testing.T, method, address, kind string, want int) error {
	code, got, raw := call(t, method, address, "application/json", nil)
	if code != want || got != kind {
		return fmt.Errorf("got %d %s, want %d %s: %.200s", code, got, want, kind, raw)
	}
	return nil
}

func call(t *testing.T, method, address, kind string, body []byte) (code int, mediaType string, answer []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	mediaType, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	return res.StatusCode, mediaType, raw
}
