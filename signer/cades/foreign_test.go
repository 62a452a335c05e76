package cades_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/cades"
)

func requireTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

func write(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

func asPEM(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

// OpenSSL verifies signatures of every level, alone and beside others, with
// the check of the signing certificate; and refuses them over other content.
func TestOpenSSLAgrees(t *testing.T) {
	t.Parallel()
	requireTool(t, "openssl")
	l := newLab(t, time.Time{})
	dir := t.TempDir()
	content, other := write(t, dir, "x.csv", document), write(t, dir, "y.csv", []byte("otro"))
	root := write(t, dir, "root.pem", asPEM(l.Root.Cert))
	check := func(name string, sig []byte) {
		for file, good := range map[string]bool{content: true, other: false} {
			out, err := exec.Command("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", write(t, dir, "x.p7s", sig),
				"-content", file, "-cades", "-CAfile", root, "-purpose", "any", "-out", os.DevNull).CombinedOutput()
			if (err == nil) != good || good && !strings.Contains(string(out), "successful") {
				t.Errorf("%s over %s: %v\n%s", name, filepath.Base(file), err, out)
			}
		}
	}
	for _, level := range []cades.Level{cades.LevelBB, cades.LevelBT, cades.LevelBLT} {
		sig := l.sign(l.Signer(t, "Ana"), cades.Options{Level: level})
		check(level.String(), sig)
		check(level.String()+", two signers", l.sign(l.Signer(t, "Beto"), cades.Options{Level: level, Existing: sig}))
	}
}

// What OpenSSL signs with -cades verifies here.
func TestSignaturesByOpenSSL(t *testing.T) {
	t.Parallel()
	requireTool(t, "openssl")
	l := newLab(t, time.Time{})
	who := l.Signer(t, "Ana")
	dir := t.TempDir()
	pkcs8, err := x509.MarshalPKCS8PrivateKey(who.Key)
	if err != nil {
		t.Fatal(err)
	}
	key := write(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	for _, c := range []struct {
		name string
		more []string
		v    cades.Verdict
	}{{"cades", []string{"-cades"}, cades.Valid}, {"plain CMS", nil, cades.Indeterminate}} {
		out := filepath.Join(dir, "x.p7s")
		args := append([]string{"cms", "-sign", "-binary", "-outform", "DER", "-md", "sha256", "-in", write(t, dir, "x.csv", document), "-signer", write(t, dir, "c.pem", asPEM(who.Cert)),
			"-certfile", write(t, dir, "i.pem", asPEM(l.Inter.Cert)), "-inkey", key, "-out", out}, c.more...)
		if text, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", c.name, err, text)
		}
		sig, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		s := l.only(sig)
		if s.Verdict != c.v || c.v == cades.Valid && (s.Level != cades.LevelBB || !warns(s, cades.WarnMediaType)) {
			t.Errorf("%s: %s %s %s %q %v", c.name, s.Verdict, s.SubIndication, s.Detail, s.Level, s.Warnings)
		}
	}
}

// pyHanko validates detached signatures of every level.
func TestPyHankoAgrees(t *testing.T) {
	t.Parallel()
	exe := os.Getenv("SUTI_TEST_PYHANKO")
	if exe == "" {
		t.Skip("SUTI_TEST_PYHANKO does not name an executable of pyHanko")
	}
	l := newLab(t, time.Time{})
	dir := t.TempDir()
	root, tsa := write(t, dir, "root.pem", asPEM(l.Root.Cert)), write(t, dir, "tsa.pem", asPEM(l.TSARoot.Cert))
	for _, level := range []cades.Level{cades.LevelBB, cades.LevelBT, cades.LevelBLT} {
		sig := write(t, dir, "x.p7s", l.sign(l.Signer(t, "Ana"), cades.Options{Level: level}))
		for name, good := range map[string]bool{"x.csv": true, "y.csv": false} {
			content := write(t, dir, name, append([]byte(nil), document...))
			if !good {
				content = write(t, dir, name, []byte("otro"))
			}
			out, err := exec.Command(exe, "sign", "validate", "--detached", sig, "--trust-replace", "--trust", root, "--trust", tsa, "--executive-summary", content).CombinedOutput()
			if text := string(out); (err == nil && strings.Contains(text, "VALID") && !strings.Contains(text, "INVALID")) != good {
				t.Errorf("%v over %s: %v\n%s", level, name, err, out)
			}
		}
	}
}
