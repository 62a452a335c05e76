package pades_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
)

// now is the time of all tests.
var now = time.Date(2026, 11, 24, 10, 0, 0, 0, time.FixedZone("", -4*3600))

// pki is a certification authority with signers and a time-stamping unit.
type pki struct {
	root, inter, tsaRoot       *x509.Certificate
	rootKey, interKey, tsaRKey crypto.Signer
	tsa                        *x509.Certificate
	tsaKey                     crypto.Signer
	serial                     int64 // atomic: of certificates
}

var (
	sharedOnce sync.Once
	sharedPKI  *pki
)

// authority returns the one authority of the tests, made once.
func authority(t testing.TB) *pki {
	t.Helper()
	sharedOnce.Do(func() { sharedPKI = newPKI(t) })
	return sharedPKI
}

func newPKI(t testing.TB) *pki {
	t.Helper()
	p := &pki{}
	p.rootKey, p.interKey, p.tsaRKey, p.tsaKey = ecKey(t), ecKey(t), ecKey(t), ecKey(t)
	p.root = p.issue(t, caTemplate("Raíz de prueba"), nil, p.rootKey.Public(), p.rootKey)
	p.inter = p.issue(t, caTemplate("Emisora de prueba"), p.root, p.interKey.Public(), p.rootKey)
	p.tsaRoot = p.issue(t, caTemplate("Raíz de tiempo"), nil, p.tsaRKey.Public(), p.tsaRKey)
	unit := template("Unidad de tiempo")
	unit.KeyUsage = x509.KeyUsageDigitalSignature
	eku, _ := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	unit.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: eku}}
	p.tsa = p.issue(t, unit, p.tsaRoot, p.tsaKey.Public(), p.tsaRKey)
	return p
}

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func template(cn string) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: cn, Organization: []string{"Suti"}, Country: []string{"BO"}},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageContentCommitment,
	}
}

func caTemplate(cn string) *x509.Certificate {
	c := template(cn)
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	c.NotAfter = now.Add(3650 * 24 * time.Hour)
	return c
}

func (p *pki) issue(t testing.TB, tmpl, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	tmpl.SerialNumber = big.NewInt(1000 + atomic.AddInt64(&p.serial, 1))
	if parent == nil {
		parent = tmpl
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signer is a person's key and certificate path.
type signer struct {
	key   crypto.Signer
	chain []*x509.Certificate
}

func (p *pki) signer(t testing.TB, cn string, key crypto.Signer, change ...func(*x509.Certificate)) signer {
	t.Helper()
	if key == nil {
		key = ecKey(t)
	}
	tmpl := template(cn)
	for _, c := range change {
		c(tmpl)
	}
	return signer{key, []*x509.Certificate{p.issue(t, tmpl, p.inter, key.Public(), p.interKey), p.inter}}
}

func (p *pki) roots(extra ...*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	for _, c := range extra {
		pool.AddCert(c)
	}
	return pool
}

func (p *pki) tsaRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.tsaRoot)
	return pool
}

func otherKeys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"P-256": ecKey(t), "RSA-2048": r, "P-384": p384, "Ed25519": ed}
}

// stamper is a time-stamping unit in the process.
type stamper struct {
	p      *pki
	at     time.Time
	serial int64
	cert   *x509.Certificate
	key    crypto.Signer
	alter  func(*tsp.TSTInfo)
}

func (p *pki) stamper(at time.Time) *stamper {
	return &stamper{p: p, at: at, cert: p.tsa, key: p.tsaKey}
}

func (s *stamper) Timestamp(_ context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	s.serial++
	info := &tsp.TSTInfo{Policy: asn1.ObjectIdentifier{1, 2, 3, 4}, Imprint: tsp.Imprint{Hash: h, Digest: digest}, Serial: big.NewInt(s.serial), GenTime: s.at}
	if s.alter != nil {
		s.alter(info)
	}
	prep, err := tsp.PrepareToken(info, s.cert, 0)
	if err != nil {
		return nil, err
	}
	sig, err := prep.Sign(rand.Reader, s.key)
	if err != nil {
		return nil, err
	}
	return prep.Assemble(sig, cms.AssembleOptions{})
}

func writePEM(t testing.TB, certs ...*x509.Certificate) string {
	t.Helper()
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	p := filepath.Join(t.TempDir(), "certs.pem")
	if err := os.WriteFile(p, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}
