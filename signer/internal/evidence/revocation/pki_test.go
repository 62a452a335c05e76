package revocation

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now   = epoch.AddDate(0, 1, 0)
)

// pki is an issuer with one subject and one delegated responder.
type pki struct {
	issuerKey, responderKey    crypto.Signer
	issuer, subject, responder *x509.Certificate
}

func key(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func certify(tb testing.TB, t, parent *x509.Certificate, pub crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	tb.Helper()
	if t.NotAfter.IsZero() {
		t.NotBefore, t.NotAfter = epoch, epoch.AddDate(60, 0, 0)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, by)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func newPKI(tb testing.TB) *pki {
	tb.Helper()
	p := &pki{issuerKey: key(tb), responderKey: key(tb)}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA de prueba"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	p.issuer = certify(tb, ca, ca, p.issuerKey.Public(), p.issuerKey)
	p.subject = certify(tb, &x509.Certificate{SerialNumber: big.NewInt(1001), Subject: pkix.Name{CommonName: "Firmante"},
		CRLDistributionPoints: []string{"http://pki.example.test/a.crl"}}, p.issuer, key(tb).Public(), p.issuerKey)
	p.responder = p.delegate(tb, nil)
	return p
}

// delegate certifies the responder's key; change may spoil the template.
func (p *pki) delegate(tb testing.TB, change func(*x509.Certificate)) *x509.Certificate {
	t := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "OCSP de prueba"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		ExtraExtensions: []pkix.Extension{{Id: oidNoCheck, Value: []byte{5, 0}}}}
	if change != nil {
		change(t)
	}
	return certify(tb, t, p.issuer, p.responderKey.Public(), p.issuerKey)
}

// rsaOf1024 is a key too small to count.
func rsaOf1024(tb testing.TB) *rsa.PrivateKey {
	tb.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		tb.Skipf("the runtime makes no small RSA keys: %v", err)
	}
	return k
}

func enc(tb testing.TB, f func(*cryptobyte.Builder)) []byte {
	tb.Helper()
	var b cryptobyte.Builder
	f(&b)
	out, err := b.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func wrap(tb testing.TB, tag cbasn1.Tag, parts ...[]byte) []byte {
	return enc(tb, func(b *cryptobyte.Builder) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			for _, p := range parts {
				b.AddBytes(p)
			}
		})
	})
}

func seq(tb testing.TB, parts ...[]byte) []byte { return wrap(tb, cbasn1.SEQUENCE, parts...) }

func gtime(tb testing.TB, t time.Time) []byte {
	return enc(tb, func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(t) })
}

func oid(tb testing.TB, o asn1.ObjectIdentifier) []byte {
	return enc(tb, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(o) })
}

func octets(tb testing.TB, v []byte) []byte {
	return enc(tb, func(b *cryptobyte.Builder) { b.AddASN1OctetString(v) })
}

func ext(tb testing.TB, o asn1.ObjectIdentifier, critical bool, value []byte) []byte {
	parts := [][]byte{oid(tb, o)}
	if critical {
		parts = append(parts, []byte{1, 1, 0xff})
	}
	return seq(tb, append(parts, octets(tb, value))...)
}

var ecdsaSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}

// signed returns SEQUENCE { tbs, algorithm, signature, rest }.
func signed(tb testing.TB, tbs []byte, k crypto.Signer, rest ...[]byte) []byte {
	tb.Helper()
	sig, err := k.Sign(rand.Reader, sum(crypto.SHA256, tbs), crypto.SHA256)
	if err != nil {
		tb.Fatal(err)
	}
	alg := seq(tb, oid(tb, ecdsaSHA256))
	if _, ok := k.(*rsa.PrivateKey); ok {
		alg = seq(tb, oid(tb, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}), []byte{5, 0})
	}
	bits := enc(tb, func(b *cryptobyte.Builder) { b.AddASN1BitString(sig) })
	return seq(tb, append([][]byte{tbs, alg, bits}, rest...)...)
}
