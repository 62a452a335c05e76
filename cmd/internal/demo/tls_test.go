package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db/dbtest"
)

// clock is a clock that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func opened(t *testing.T, dir string, c *clock) *localTLS {
	t.Helper()
	l, err := openTLS(dir, c.now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func serving(t *testing.T, l *localTLS) *x509.Certificate {
	t.Helper()
	got, err := l.server().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Leaf
}

// foreign is a certificate that whoever had taken the root's key could make.
func foreign(t *testing.T, l *localTLS, name string, ip net.IP) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: serial(), NotBefore: l.now().Add(-time.Minute), NotAfter: l.now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if name != "" {
		tmpl.DNSNames = []string{name}
	}
	if ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, l.root, key.Public(), l.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestRootIsGoodForThisMachineOnly: crypto/x509 and openssl accept it for
// localhost and refuse it for every other name.
func TestRootIsGoodForThisMachineOnly(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), &clock{time.Now()}
	l := opened(t, dir, c)
	for _, k := range []struct {
		name string
		ip   net.IP
		want bool
	}{
		{name: "localhost", want: true}, {ip: net.IPv4(127, 0, 0, 1), want: true},
		{name: "example.org"}, {name: "id.oruro.gob.bo"}, {name: "localhost.example.org"}, {name: "notlocalhost"},
		{ip: net.IPv4(10, 0, 0, 1)}, {ip: net.IPv6loopback},
	} {
		cert := foreign(t, l, k.name, k.ip)
		_, err := cert.Verify(x509.VerifyOptions{Roots: l.pool(), CurrentTime: c.at})
		var bad x509.CertificateInvalidError
		if k.want && err != nil || !k.want && (!errors.As(err, &bad) || bad.Reason != x509.CANotAuthorizedForThisName) {
			t.Errorf("%s %s: got %v, want accepted %v", k.name, k.ip, err, k.want)
		}
		openssl, err := exec.LookPath("openssl")
		if err != nil {
			dbtest.Missing(t, "openssl is not installed")
		}
		path := filepath.Join(dir, "foreign.pem")
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", filepath.Join(dir, TLSRootName), path).CombinedOutput()
		if k.want && err != nil || !k.want && !strings.Contains(string(out), "permitted subtree violation") {
			t.Errorf("%s %s: openssl, want accepted %v: %s", k.name, k.ip, k.want, out)
		}
	}
	sub := foreign(t, l, "localhost", nil)
	if l.root.KeyUsage != x509.KeyUsageCertSign || !l.root.MaxPathLenZero || sub.CheckSignatureFrom(l.root) != nil {
		t.Errorf("root: usage %b, path length %d", l.root.KeyUsage, l.root.MaxPathLen)
	}
	critical := false
	for _, e := range l.root.Extensions {
		critical = critical || e.Critical && e.Id.String() == "2.5.29.30"
	}
	if !critical {
		t.Error("the name constraints are not critical")
	}
}

// TestCertificateIsRenewed: before its end, while the demo runs, under the same root.
func TestCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), &clock{time.Now()}
	l := opened(t, dir, c)
	begin, first := c.at, serving(t, l)
	for day := range 400 {
		c.at = begin.Add(time.Duration(day) * 24 * time.Hour)
		got := serving(t, l)
		if _, err := got.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: l.pool(), CurrentTime: c.at}); err != nil {
			t.Fatalf("day %d: %v", day, err)
		}
		if life := got.NotAfter.Sub(got.NotBefore); life > 398*24*time.Hour {
			t.Fatalf("valid for %v", life)
		}
		if same := got.Equal(first); same != (day < 60) {
			t.Fatalf("day %d: the first certificate: %v", day, same)
		}
	}
	if again := opened(t, dir, c); !again.root.Equal(l.root) {
		t.Error("another root after a restart")
	}
	c.at = l.root.NotAfter.Add(-24 * time.Hour) // it was away for years
	late := opened(t, dir, c)
	if late.root.Equal(l.root) || !late.root.NotAfter.After(c.at.AddDate(9, 0, 0)) {
		t.Error("the root was not made anew before its end")
	}
	if got, err := os.ReadFile(filepath.Join(dir, TLSRootName)); err != nil || string(got) != late.rootPEM() {
		t.Errorf("the file for browsers is not the new root: %v", err)
	}
}

// TestRootFile: the key is its owner's alone; a lost public half comes back; what
// cannot be used is named.
func TestRootFile(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), &clock{time.Now()}
	l := opened(t, dir, c)
	secret, public := filepath.Join(dir, tlsSecretName), filepath.Join(dir, TLSRootName)
	if info, err := os.Stat(secret); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", info.Mode(), err)
	}
	if raw, err := os.ReadFile(public); err != nil || strings.Contains(string(raw), "PRIVATE") {
		t.Errorf("public half: %v", err)
	}
	if err := os.Remove(public); err != nil {
		t.Fatal(err)
	}
	if again := opened(t, dir, c); !again.root.Equal(l.root) {
		t.Error("another root")
	}
	if _, err := os.Stat(public); err != nil {
		t.Error(err)
	}
	if err := os.Chmod(secret, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := openTLS(dir, c.now); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openTLS(dir, c.now); err == nil || !strings.Contains(err.Error(), secret) {
		t.Errorf("garbage: %v", err)
	}
}
