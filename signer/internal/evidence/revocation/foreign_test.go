package revocation

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestOpenSSLResponder asks openssl's responder with our request and reads its
// answers, by name and by key, with and without a nonce.
func TestOpenSSLResponder(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("openssl is required and not installed")
		}
		t.Skip("openssl is not installed: no foreign responder to ask")
	}
	p := newPKI(t)
	dir := t.TempDir()
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert := func(c *x509.Certificate) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	put("ca.pem", cert(p.issuer))
	put("r.pem", cert(p.responder))
	k, err := x509.MarshalPKCS8PrivateKey(p.responderKey)
	if err != nil {
		t.Fatal(err)
	}
	put("r.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}))
	serial := fmt.Sprintf("%04X", p.subject.SerialNumber)
	for _, tt := range []struct {
		index string
		want  error
		state State
	}{
		{"V\t860101000000Z\t\t" + serial + "\tunknown\t/CN=Firmante\n", nil, Good},
		{"R\t860101000000Z\t260401000000Z,superseded\t" + serial + "\tunknown\t/CN=Firmante\n", nil, Revoked},
		{"V\t860101000000Z\t\t0099\tunknown\t/CN=Otro\n", ErrUnknown, 0},
	} {
		put("index.txt", []byte(tt.index))
		for _, args := range [][]string{nil, {"-resp_key_id"}, {"-resp_no_certs"}} {
			nonce := []byte(nil)
			if args == nil {
				nonce = bytes.Repeat([]byte{7}, 32)
			}
			q, err := MarshalOCSPRequest(p.subject, p.issuer, nonce)
			if err != nil {
				t.Fatal(err)
			}
			put("q", q)
			cmd := exec.Command(path, append([]string{"ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "r.pem", "-rkey", "r.key",
				"-reqin", "q", "-respout", "r", "-ndays", "1"}, args...)...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			der, err := os.ReadFile(filepath.Join(dir, "r"))
			if err != nil {
				t.Fatal(err)
			}
			st, err := CheckOCSP(der, p.subject, p.issuer, Options{At: time.Now(), Skew: time.Minute, Nonce: nonce, Certificates: []*x509.Certificate{p.responder}})
			if !errors.Is(err, tt.want) {
				t.Errorf("%v: %v, want %v", args, err, tt.want)
			}
			if err == nil && st.State != tt.state {
				t.Errorf("%v: %v, want %v", args, st.State, tt.state)
			}
			if nonce != nil && tt.want == nil {
				if _, err := CheckOCSP(der, p.subject, p.issuer, Options{At: time.Now(), Skew: time.Minute, Nonce: make([]byte, 32)}); !errors.Is(err, ErrNonce) {
					t.Errorf("another nonce: %v, want ErrNonce", err)
				}
			}
		}
	}
}
