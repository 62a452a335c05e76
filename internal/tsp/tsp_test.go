package tsp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cms"
)

var (
	epoch     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	genTime   = epoch.AddDate(0, 1, 0).Add(123 * time.Millisecond)
	policyOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 1, 2}
	document  = []byte("Resolución administrativa 001/2026\n")
)

// unit is a time-stamping unit under a root of its own.
type unit struct {
	key  crypto.Signer
	cert *x509.Certificate
	root *x509.Certificate
}

func (u *unit) roots() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(u.root)
	return p
}

// extKeyUsage returns the extension, critical or not.
func extKeyUsage(tb testing.TB, critical bool, oids ...asn1.ObjectIdentifier) pkix.Extension {
	tb.Helper()
	v, err := asn1.Marshal(oids)
	if err != nil {
		tb.Fatal(err)
	}
	return pkix.Extension{Id: oidExtKeyUsage, Critical: critical, Value: v}
}

var (
	oidTimeStamping = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 8}
	oidCodeSigning  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 3}
)

// newUnit makes a unit; change may spoil its template.
func newUnit(tb testing.TB, key crypto.Signer, change func(*x509.Certificate)) *unit {
	tb.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	rt := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Raíz de prueba"}, NotBefore: epoch, NotAfter: epoch.AddDate(70, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: []byte{1},
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, rt, rt, rootKey.Public(), rootKey)
	if err != nil {
		tb.Fatal(err)
	}
	root, err := x509.ParseCertificate(rootDER)
	if err != nil {
		tb.Fatal(err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(77), Subject: pkix.Name{CommonName: "Sellado de tiempo 1", Organization: []string{"GAD Oruro"}},
		NotBefore: epoch, NotAfter: epoch.AddDate(60, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, SubjectKeyId: []byte{2},
		ExtraExtensions: []pkix.Extension{extKeyUsage(tb, true, oidTimeStamping)},
	}
	if change != nil {
		change(t)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, root, key.Public(), rootKey)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &unit{key: key, cert: cert, root: root}
}

var (
	defaultUnit = sync.OnceValues(func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
	rsaKey      = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
)

func p256Unit(tb testing.TB, change func(*x509.Certificate)) *unit {
	tb.Helper()
	k, err := defaultUnit()
	if err != nil {
		tb.Fatal(err)
	}
	return newUnit(tb, k, change)
}

func rsaUnit(tb testing.TB) *unit {
	tb.Helper()
	k, err := rsaKey()
	if err != nil {
		tb.Fatal(err)
	}
	return newUnit(tb, k, nil)
}

func imprintOf(h crypto.Hash, b []byte) Imprint {
	w := h.New()
	w.Write(b)
	return Imprint{Hash: h, Digest: w.Sum(nil)}
}

func goodInfo() *TSTInfo {
	return &TSTInfo{
		Policy: policyOID, Imprint: imprintOf(crypto.SHA256, document), Serial: new(big.Int).Lsh(big.NewInt(1), 159),
		GenTime: genTime, Accuracy: 500 * time.Millisecond, Nonce: big.NewInt(0x1234567890),
	}
}

// stamp signs info with u, whatever info says.
func (u *unit) stamp(tb testing.TB, info *TSTInfo, o cms.AssembleOptions) []byte {
	tb.Helper()
	p, err := PrepareToken(info, u.cert, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return finish(tb, u, p, o)
}

func finish(tb testing.TB, u *unit, p *cms.Prepared, o cms.AssembleOptions) []byte {
	tb.Helper()
	sig, err := p.Sign(rand.Reader, u.key)
	if err != nil {
		tb.Fatal(err)
	}
	token, err := p.Assemble(sig, o)
	if err != nil {
		tb.Fatal(err)
	}
	return token
}

// force signs info under a certificate that PrepareToken would refuse.
func (u *unit) force(tb testing.TB, info *TSTInfo) []byte {
	tb.Helper()
	der, err := info.Marshal()
	if err != nil {
		tb.Fatal(err)
	}
	p, err := cms.PrepareSignedAttrs(cms.Params{Certificate: u.cert, Content: der, ContentType: cms.OIDTSTInfo})
	if err != nil {
		tb.Fatal(err)
	}
	return finish(tb, u, p, cms.AssembleOptions{})
}

func (u *unit) options() VerifyOptions {
	return VerifyOptions{Imprint: imprintOf(crypto.SHA256, document), Roots: u.roots(), Now: genTime.Add(time.Second)}
}

func verify(tb testing.TB, token []byte, o VerifyOptions) (*Verified, error) {
	tb.Helper()
	t, err := ParseToken(token)
	if err != nil {
		return nil, err
	}
	return t.Verify(o)
}

func TestTokenRoundTrip(t *testing.T) {
	t.Parallel()
	u := p256Unit(t, nil)
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		info := goodInfo()
		info.Imprint = imprintOf(h, document)
		info.TSA = DirectoryName(u.cert.RawSubject)
		info.Ordering = true
		o := u.options()
		o.Imprint, o.Nonce, o.Policies = info.Imprint, info.Nonce, []asn1.ObjectIdentifier{policyOID}
		v, err := verify(t, u.stamp(t, info, cms.AssembleOptions{}), o)
		if err != nil {
			t.Fatalf("%v: %v", h, err)
		}
		got := v.Info
		if !got.GenTime.Equal(genTime) || got.Serial.Cmp(info.Serial) != 0 || got.Accuracy != info.Accuracy ||
			!got.Ordering || !bytes.Equal(got.TSA, info.TSA) || got.Nonce.Cmp(info.Nonce) != 0 {
			t.Errorf("%v: got %+v, want %+v", h, got, info)
		}
		if !v.Certificate.Equal(u.cert) || len(v.Chains) == 0 {
			t.Errorf("%v: certificate or chain missing", h)
		}
	}
	bare := u.stamp(t, goodInfo(), cms.AssembleOptions{OmitCertificates: true})
	if _, err := verify(t, bare, u.options()); !errors.Is(err, cms.ErrSignerCertificate) {
		t.Errorf("without certificates: %v, want ErrSignerCertificate", err)
	}
	o := u.options()
	o.Certificates = []*x509.Certificate{u.cert}
	if _, err := verify(t, bare, o); err != nil {
		t.Errorf("with the certificate given: %v", err)
	}
}

func TestTokenIsRefused(t *testing.T) {
	t.Parallel()
	u := p256Unit(t, nil)
	token := u.stamp(t, goodInfo(), cms.AssembleOptions{})
	for name, tt := range map[string]struct {
		change func(*VerifyOptions)
		want   error
	}{
		"other document":            {func(o *VerifyOptions) { o.Imprint = imprintOf(crypto.SHA256, []byte("otro")) }, ErrImprint},
		"other digest":              {func(o *VerifyOptions) { o.Imprint = imprintOf(crypto.SHA512, document) }, ErrImprint},
		"imprint of another length": {func(o *VerifyOptions) { o.Imprint.Digest = o.Imprint.Digest[:20] }, ErrParams},
		"other nonce":               {func(o *VerifyOptions) { o.Nonce = big.NewInt(1) }, ErrNonce},
		"other policy":              {func(o *VerifyOptions) { o.Policies = []asn1.ObjectIdentifier{{1, 2, 3}} }, ErrPolicy},
		"from the future":           {func(o *VerifyOptions) { o.Now = genTime.Add(-time.Millisecond) }, ErrGenTime},
		"older than the request":    {func(o *VerifyOptions) { o.NotBefore = genTime.Add(time.Millisecond) }, ErrGenTime},
		"no roots":                  {func(o *VerifyOptions) { o.Roots = nil }, ErrParams},
		"no time":                   {func(o *VerifyOptions) { o.Now = time.Time{} }, ErrParams},
		"other roots":               {func(o *VerifyOptions) { o.Roots = p256Unit(t, nil).roots() }, ErrUntrusted},
		"empty roots":               {func(o *VerifyOptions) { o.Roots = x509.NewCertPool() }, ErrUntrusted},
	} {
		o := u.options()
		tt.change(&o)
		if _, err := verify(t, token, o); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	o := u.options()
	o.Now, o.MaxAhead, o.NotBefore = genTime.Add(-time.Second), time.Second, genTime
	if _, err := verify(t, token, o); err != nil {
		t.Errorf("clock one second behind, with leave: %v", err)
	}
	noNonce := goodInfo()
	noNonce.Nonce = nil
	o = u.options()
	o.Nonce = big.NewInt(5)
	if _, err := verify(t, u.stamp(t, noNonce, cms.AssembleOptions{}), o); !errors.Is(err, ErrNonce) {
		t.Errorf("no nonce where one was sent: %v, want ErrNonce", err)
	}
}

func TestTokenUnderAnUnsuitableCertificate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*x509.Certificate)
		want   error
	}{
		"extended key usage not critical": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extKeyUsage(t, false, oidTimeStamping)}
		}, ErrUsage},
		"extended key usage not alone": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extKeyUsage(t, true, oidTimeStamping, oidCodeSigning)}
		}, ErrUsage},
		"with an unknown one": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extKeyUsage(t, true, oidTimeStamping, asn1.ObjectIdentifier{1, 2, 3})}
		}, ErrUsage},
		"another extended key usage": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extKeyUsage(t, true, oidCodeSigning)}
		}, ErrUsage},
		"any extended key usage": {func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{extKeyUsage(t, true, asn1.ObjectIdentifier{2, 5, 29, 37, 0})}
		}, ErrUsage},
		"no extended key usage":    {func(c *x509.Certificate) { c.ExtraExtensions = nil }, ErrUsage},
		"key usage encipherment":   {func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageKeyEncipherment }, ErrUsage},
		"a CA":                     {func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, ErrUsage},
		"expired at the time":      {func(c *x509.Certificate) { c.NotAfter = genTime.Add(-time.Second) }, ErrGenTime},
		"not yet valid":            {func(c *x509.Certificate) { c.NotBefore = genTime.Add(time.Second) }, ErrGenTime},
		"another name in the info": {nil, ErrTSAName},
	} {
		u := p256Unit(t, tt.change)
		info := goodInfo()
		if tt.change == nil {
			info.TSA = DirectoryName(u.root.RawSubject)
		}
		if _, err := PrepareToken(info, u.cert, 0); !errors.Is(err, tt.want) {
			t.Errorf("%s: preparing: %v, want %v", name, err, tt.want)
		}
		want := tt.want
		if want == ErrGenTime {
			want = ErrUntrusted
		}
		if _, err := verify(t, u.force(t, info), u.options()); !errors.Is(err, want) {
			t.Errorf("%s: verifying: %v, want %v", name, err, want)
		}
	}
	if err := CheckCertificate(nil); !errors.Is(err, ErrUsage) {
		t.Errorf("no certificate: %v", err)
	}
}

func TestAuthorityNamedByAlternativeName(t *testing.T) {
	t.Parallel()
	u := p256Unit(t, func(c *x509.Certificate) { c.DNSNames = []string{"tsa.example.test"} })
	info := goodInfo()
	info.TSA = append([]byte{0x82, 16}, "tsa.example.test"...)
	if _, err := verify(t, u.stamp(t, info, cms.AssembleOptions{}), u.options()); err != nil {
		t.Error(err)
	}
	info.TSA = append([]byte{0x82, 16}, "tsb.example.test"...)
	if _, err := verify(t, u.force(t, info), u.options()); !errors.Is(err, ErrTSAName) {
		t.Errorf("another name: %v, want ErrTSAName", err)
	}
}

func TestTokenOfAnotherContent(t *testing.T) {
	t.Parallel()
	u := p256Unit(t, nil)
	sign := func(p cms.Params) []byte {
		p.Certificate = u.cert
		pre, err := cms.PrepareSignedAttrs(p)
		if err != nil {
			t.Fatal(err)
		}
		return finish(t, u, pre, cms.AssembleOptions{})
	}
	if _, err := ParseToken(sign(cms.Params{Content: document})); !errors.Is(err, cms.ErrContentType) {
		t.Errorf("data signed by the unit: %v, want ErrContentType", err)
	}
	if _, err := ParseToken(sign(cms.Params{Digest: make([]byte, 32), ContentType: cms.OIDTSTInfo})); !errors.Is(err, cms.ErrContentMissing) {
		t.Errorf("detached: %v, want ErrContentMissing", err)
	}
	if _, err := ParseToken(sign(cms.Params{Content: document, ContentType: cms.OIDTSTInfo})); err == nil {
		t.Error("content that is no TSTInfo was read")
	}
}
