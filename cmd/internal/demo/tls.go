package demo

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// TLSRootName is the file that a browser imports to trust a demo over https.
const TLSRootName = "tls-root.pem"

// tlsSecretName holds the root and its key, in one file so that they always fit.
const tlsSecretName = "tls-root.key"

// Times of the certificates for https. A browser takes none of more than 398 days.
const (
	tlsRootLife = 10 * 365 * 24 * time.Hour
	tlsLeafLife = 90 * 24 * time.Hour
	tlsRenew    = 30 * 24 * time.Hour // before the end, when it is made anew
	tlsSkew     = time.Hour           // before now, for clocks that are behind
)

// localTLS is the small authority behind a demo over https. It has nothing to
// do with the authority that the demo shows: its root is good for localhost and
// the loopback addresses only (RFC 5280 §4.2.1.10, critical), so that importing
// it gives nobody power over another site. The server's key is drawn at each
// start and never stored.
type localTLS struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time

	mu   sync.Mutex // guards leaf
	leaf *tls.Certificate
}

// openTLS finds the root in a folder, makes it if it is missing or near its
// end, and leaves its public half beside it for browsers.
func openTLS(dir string, now func() time.Time) (*localTLS, error) {
	l, path := &localTLS{now: now}, filepath.Join(dir, tlsSecretName)
	err := l.load(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now().After(l.root.NotAfter.Add(-tlsRenew)) {
		err = l.make(path)
	}
	if err != nil {
		return nil, err
	}
	return l, replaceFile(filepath.Join(dir, TLSRootName), []byte(l.rootPEM()), 0o644)
}

func (l *localTLS) load(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others: chmod 600 %[1]s", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return fmt.Errorf("%s is not what the demo wrote; delete it, and import the new %s: %w", path, TLSRootName, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return fmt.Errorf("%s is not what the demo wrote; delete it, and import the new %s", path, TLSRootName)
	}
	l.root, l.key = pair.Leaf, key
	return nil
}

// make draws a root of this folder's own: its name tells it from those of other folders.
func (l *localTLS) make(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	now, mark := l.now(), make([]byte, 4)
	if _, err := rand.Read(mark); err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-tlsSkew), NotAfter: now.Add(tlsRootLife),
		Subject:  pkix.Name{Organization: []string{"Suti, demostracion sin validez legal"}, CommonName: "Suti demo, solo localhost " + hex.EncodeToString(mark)},
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)}},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return fmt.Errorf("root for https: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if l.root, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	l.key = key
	var out bytes.Buffer
	out.WriteString(l.rootPEM())
	if err := pem.Encode(&out, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}); err != nil {
		return err
	}
	return replaceFile(path, out.Bytes(), 0o600)
}

// serial draws 127 random bits, a positive number of at most 16 octets.
func serial() *big.Int {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails
	raw[0] &= 0x7f
	return new(big.Int).SetBytes(raw)
}

// rootPEM is what a browser imports; "" over http.
func (l *localTLS) rootPEM() string {
	if l == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.root.Raw}))
}

// pool holds the root alone.
func (l *localTLS) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(l.root)
	return p
}

// server is the configuration of a listener. Its certificate is made anew
// before it ends, also while the demo runs.
func (l *localTLS) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: l.certificate}
}

// client is the configuration of whoever calls the demo: it trusts the root and
// nothing else.
func (l *localTLS) client() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: l.pool(), Time: l.now}
}

// certificate implements tls.Config.GetCertificate.
func (l *localTLS) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaf == nil || l.now().After(l.leaf.Leaf.NotAfter.Add(-tlsRenew)) {
		leaf, err := l.issue()
		if err != nil {
			return nil, err
		}
		l.leaf = leaf
	}
	return l.leaf, nil
}

// issue makes a certificate for this machine's own names, with a new key.
func (l *localTLS) issue() (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := l.now()
	end := now.Add(tlsLeafLife)
	if end.After(l.root.NotAfter) {
		end = l.root.NotAfter
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial(), NotBefore: now.Add(-tlsSkew), NotAfter: end, Subject: pkix.Name{Organization: l.root.Subject.Organization, CommonName: "localhost"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, l.root, key.Public(), l.key)
	if err != nil {
		return nil, fmt.Errorf("certificate for https: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// Transport reaches the demo as programs of this machine do: over https it
// trusts the demo's own root for it and no other.
func (i *Instance) Transport() http.RoundTripper {
	if i.transport == nil {
		return http.DefaultTransport
	}
	return i.transport
}

// client calls the provider for the applications; nil, the SDK's own, over http.
func (i *Instance) client() *http.Client {
	if i.transport == nil {
		return nil
	}
	return &http.Client{
		Transport: i.transport, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// openTransport prepares certificates and the one client for https.
func (i *Instance) openTransport(c Config) (err error) {
	if i.tls, err = openTLS(c.Dir, c.Now); err != nil {
		return err
	}
	i.transport = &http.Transport{TLSClientConfig: i.tls.client(), ForceAttemptHTTP2: true, IdleConnTimeout: 30 * time.Second}
	return nil
}
