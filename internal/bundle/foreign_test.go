package bundle_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"crypto/x509"

	"oruro.gob.bo/suti/internal/assertion"
)

// tool returns the path of a foreign program, or skips the test; with
// SUTI_TEST_REQUIRE=1 a missing one fails it.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// TestSecondImplementation lets a verifier in another language, written from
// the documents alone, answer the same vectors.
func TestSecondImplementation(t *testing.T) {
	t.Parallel()
	python := tool(t, "python3")
	for kind, file := range map[string]string{
		"chain":  filepath.Join("..", "act", "testdata", "chain.json"),
		"bundle": filepath.Join("testdata", "llave.json"),
	} {
		out, err := exec.Command(python, filepath.Join("testdata", "verify.py"), kind, file).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", kind, err, out)
		}
	}
}

// TestSecondImplementationRefuses shows that it does check.
func TestSecondImplementationRefuses(t *testing.T) {
	t.Parallel()
	python := tool(t, "python3")
	raw := must(os.ReadFile(filepath.Join("testdata", "llave.json")))(t)
	var v vector
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(string) string{
		"time": func(s string) string { return strings.Replace(s, `"signed_at":17`, `"signed_at":16`, 1) },
		"name": func(s string) string { return strings.Replace(s, "Firma 1", "Firma 3", 1) },
	} {
		spoilt := v
		spoilt.Bundle = change(v.Bundle)
		if spoilt.Bundle == v.Bundle {
			t.Fatalf("%s: nothing changed", name)
		}
		path := filepath.Join(t.TempDir(), "v.json")
		if err := os.WriteFile(path, must(json.Marshal(spoilt))(t), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command(python, filepath.Join("testdata", "verify.py"), "bundle", path).Run(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestOpenSSLVerifiesTheAssertion recomputes the link from preimage to passkey
// with a foreign tool.
func TestOpenSSLVerifiesTheAssertion(t *testing.T) {
	t.Parallel()
	openssl := tool(t, "openssl")
	s := newSite(t)
	b := s.bundle(s.signing())
	key := must(assertion.ParseKey(b.Assertion.COSEKey))(t)
	spki := must(x509.MarshalPKIXPublicKey(key.Public()))(t)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hash := sha256.Sum256(b.Assertion.ClientDataJSON)
	pub := write("pub.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
	sig := write("sig", b.Assertion.Signature)
	for name, tc := range map[string]struct {
		data []byte
		ok   bool
	}{
		"as signed":    {append(bytes.Clone(b.Assertion.AuthenticatorData), hash[:]...), true},
		"one bit less": {append(bytes.Clone(b.Assertion.AuthenticatorData), hash[1:]...), false},
	} {
		data := write("data", tc.data)
		out, err := exec.Command(openssl, "dgst", "-sha256", "-verify", pub, "-signature", sig, data).CombinedOutput()
		if (err == nil) != tc.ok {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
