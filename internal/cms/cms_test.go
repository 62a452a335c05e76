package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"
)

// identity is a test signer under a test root.
type identity struct {
	key  crypto.Signer
	cert *x509.Certificate
	root *x509.Certificate
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newKey makes a key of a kind named as in the tests: p256, p384, p521, rsa, ed25519.
func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "p256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "p521":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	}
	return nil, fmt.Errorf("key kind %q", kind)
}

func newIdentity(kind string, serial int64) (*identity, error) {
	rootKey, err := newKey("p256")
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Raíz de prueba"},
		NotBefore: epoch, NotAfter: epoch.AddDate(20, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(rootDER)
	if err != nil {
		return nil, err
	}
	key, err := newKey(kind)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "Firmante " + kind},
		NotBefore: epoch, NotAfter: epoch.AddDate(20, 0, 0), SubjectKeyId: []byte{1, 2, 3, byte(serial)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &identity{key: key, cert: cert, root: root}, err
}

var identities struct {
	sync.Mutex
	byKind map[string]*identity
}

// who returns the shared identity of a key kind.
func who(tb testing.TB, kind string) *identity {
	tb.Helper()
	identities.Lock()
	defer identities.Unlock()
	if id, ok := identities.byKind[kind]; ok {
		return id
	}
	id, err := newIdentity(kind, int64(100+len(identities.byKind)))
	if err != nil {
		tb.Fatal(err)
	}
	if identities.byKind == nil {
		identities.byKind = map[string]*identity{}
	}
	identities.byKind[kind] = id
	return id
}

// everyAlgorithm pairs each algorithm with a key kind.
var everyAlgorithm = []struct {
	alg Algorithm
	key string
}{
	{ECDSAWithSHA256, "p256"}, {ECDSAWithSHA384, "p384"}, {ECDSAWithSHA512, "p521"},
	{RSAWithSHA256, "rsa"}, {RSAWithSHA384, "rsa"}, {RSAWithSHA512, "rsa"},
	{RSAPSSWithSHA256, "rsa"}, {RSAPSSWithSHA384, "rsa"}, {RSAPSSWithSHA512, "rsa"},
	{Ed25519, "ed25519"},
}

var document = []byte("Resolución administrativa 001/2026\n")

func digestOf(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

// signDetached signs document detached.
func signDetached(tb testing.TB, id *identity, p Params, o AssembleOptions) []byte {
	tb.Helper()
	p.Certificate = id.cert
	if p.Algorithm == 0 {
		p.Algorithm, _ = AlgorithmFor(id.cert.PublicKey)
	}
	if p.Content == nil {
		p.Digest = digestOf(p.Algorithm.Hash(), document)
	}
	pre, err := PrepareSignedAttrs(p)
	if err != nil {
		tb.Fatal(err)
	}
	sig, err := pre.Sign(rand.Reader, id.key)
	if err != nil {
		tb.Fatal(err)
	}
	out, err := pre.Assemble(sig, o)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func TestSignAndVerifyEveryAlgorithm(t *testing.T) {
	t.Parallel()
	for _, tt := range everyAlgorithm {
		t.Run(tt.alg.String(), func(t *testing.T) {
			t.Parallel()
			id := who(t, tt.key)
			der := signDetached(t, id, Params{Algorithm: tt.alg, IssuerSerial: true}, AssembleOptions{Certificates: []*x509.Certificate{id.root, id.cert}})
			sd, err := Parse(der)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := sd.Signer.SignatureAlgorithm, tt.alg; got != want {
				t.Errorf("algorithm = %v, want %v", got, want)
			}
			if got := len(sd.Certificates()); got != 2 {
				t.Errorf("certificates = %d, want 2 (the signer's once, and the root)", got)
			}
			cert, err := sd.Verify(VerifyOptions{Digest: digestOf(tt.alg.Hash(), document), Profile: ProfilePAdES})
			if err != nil {
				t.Fatal(err)
			}
			if !cert.Equal(id.cert) {
				t.Error("verified under another certificate")
			}
			_, err = sd.Verify(VerifyOptions{Digest: digestOf(tt.alg.Hash(), []byte("otro")), Profile: ProfilePAdES})
			if !errors.Is(err, ErrMessageDigest) {
				t.Errorf("other content: %v, want ErrMessageDigest", err)
			}
			flipped := bytes.Clone(der)
			flipped[bytes.Index(der, sd.Signer.Signature)+len(sd.Signer.Signature)-1] ^= 1
			if sd, err = Parse(flipped); err != nil {
				t.Fatal(err)
			}
			if _, err = sd.Verify(VerifyOptions{Digest: digestOf(tt.alg.Hash(), document)}); !errors.Is(err, ErrSignature) {
				t.Errorf("flipped signature bit: %v, want ErrSignature", err)
			}
		})
	}
}

func TestPreparationIsDeterministic(t *testing.T) {
	t.Parallel()
	id := who(t, "p256")
	p := Params{
		Certificate: id.cert, Digest: digestOf(crypto.SHA256, document), SigningTime: epoch,
		Commitment: OIDProofOfApproval, IssuerSerial: true,
		Policy: &SignaturePolicy{ID: OIDData, Hash: crypto.SHA256, Digest: make([]byte, 32), URI: "https://example.test/politica.pdf"},
		Extra:  []Attribute{{Type: oidMimeType, Values: [][]byte{{12, 1, 'a'}}}},
	}
	a, err := PrepareSignedAttrs(p)
	if err != nil {
		t.Fatal(err)
	}
	b, err := PrepareSignedAttrs(p)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.SignedAttrs(), b.SignedAttrs()) {
		t.Error("equal parameters gave different signed attributes")
	}
	sig, err := a.Sign(rand.Reader, id.key)
	if err != nil {
		t.Fatal(err)
	}
	x, err := a.Assemble(sig, AssembleOptions{Certificates: []*x509.Certificate{id.root}})
	if err != nil {
		t.Fatal(err)
	}
	y, err := b.Assemble(sig, AssembleOptions{Certificates: []*x509.Certificate{id.root, id.root}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		t.Error("assembling is not deterministic")
	}
	sd, err := Parse(x)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sd.Verify(VerifyOptions{Digest: p.Digest}); err != nil {
		t.Fatal(err)
	}
	if got := sd.Signer.SigningTime; !got.Equal(epoch) {
		t.Errorf("signing time = %v, want %v", got, epoch)
	}
	if got := sd.Signer.Commitments; len(got) != 1 || !got[0].Equal(OIDProofOfApproval) {
		t.Errorf("commitments = %v", got)
	}
	if got := sd.Signer.PolicyID; !got.Equal(OIDData) {
		t.Errorf("policy = %v", got)
	}
	if _, err := sd.Verify(VerifyOptions{Digest: p.Digest, Profile: ProfilePAdES}); !errors.Is(err, ErrAttributeForbidden) {
		t.Errorf("signing-time under PAdES: %v, want ErrAttributeForbidden", err)
	}
}

func TestResumeContinuesAStoredPreparation(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"p256", "ed25519"} {
		id := who(t, kind)
		alg, _ := AlgorithmFor(id.cert.PublicKey)
		digest := digestOf(alg.Hash(), document)
		pre, err := PrepareSignedAttrs(Params{Certificate: id.cert, Digest: digest})
		if err != nil {
			t.Fatal(err)
		}
		sig, err := pre.Sign(rand.Reader, id.key)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Resume(id.cert, 0, pre.SignedAttrs(), nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := pre.Assemble(sig, AssembleOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := again.Assemble(sig, AssembleOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s: resumed preparation assembles to other bytes", kind)
		}
		other := who(t, "p384")
		if _, err := Resume(other.cert, alg, pre.SignedAttrs(), nil); err == nil {
			t.Errorf("%s: resumed under another certificate", kind)
		}
		if _, err := Resume(id.cert, 0, append(pre.SignedAttrs(), 0), nil); !errors.Is(err, ErrTrailingData) {
			t.Errorf("%s: trailing octet: %v, want ErrTrailingData", kind, err)
		}
		if _, err := Resume(id.cert, 0, pre.SignedAttrs(), []byte("otro")); !errors.Is(err, ErrMessageDigest) {
			t.Errorf("%s: other content: %v, want ErrMessageDigest", kind, err)
		}
	}
}

func TestAssembleRefusesAWrongSignature(t *testing.T) {
	t.Parallel()
	id, other := who(t, "p256"), who(t, "p384")
	pre, err := PrepareSignedAttrs(Params{Certificate: id.cert, Digest: digestOf(crypto.SHA256, document)})
	if err != nil {
		t.Fatal(err)
	}
	wrongKey, err := other.key.Sign(rand.Reader, pre.Input(), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	fault, err := pre.Sign(rand.Reader, id.key)
	if err != nil {
		t.Fatal(err)
	}
	fault[len(fault)-1] ^= 1
	zero := []byte{0x30, 6, 2, 1, 0, 2, 1, 0}
	for name, tt := range map[string]struct {
		sig  []byte
		want error
	}{
		"another key (value out of range of the curve)": {wrongKey, ErrSignatureMalformed},
		"a fault in the signing device":                 {fault, ErrSignature},
		"r = s = 0":                                     {zero, ErrSignatureMalformed},
		"nothing":                                       {nil, ErrSignatureMalformed},
	} {
		if out, err := pre.Assemble(tt.sig, AssembleOptions{}); !errors.Is(err, tt.want) || out != nil {
			t.Errorf("%s: %d octets, %v; want none, %v", name, len(out), err, tt.want)
		}
		v := VerifyOptions{Digest: digestOf(crypto.SHA256, document), Profile: ProfilePAdES}
		if out, err := pre.AssembleVerified(tt.sig, AssembleOptions{}, v); !errors.Is(err, tt.want) || out != nil {
			t.Errorf("%s: whole: %d octets, %v; want none, %v", name, len(out), err, tt.want)
		}
	}
}

// AssembleVerified gives what Assemble gives, and refuses besides a right value
// what the verifier refuses.
func TestAssembleVerifiedChecksTheWhole(t *testing.T) {
	t.Parallel()
	id := who(t, "p256")
	pre, err := PrepareSignedAttrs(Params{Certificate: id.cert, Digest: digestOf(crypto.SHA256, document)})
	if err != nil {
		t.Fatal(err)
	}
	sig, err := pre.Sign(rand.Reader, id.key)
	if err != nil {
		t.Fatal(err)
	}
	o := AssembleOptions{Certificates: []*x509.Certificate{id.root}}
	want, err := pre.Assemble(sig, o)
	if err != nil {
		t.Fatal(err)
	}
	right := VerifyOptions{Digest: digestOf(crypto.SHA256, document), Profile: ProfilePAdES}
	if got, err := pre.AssembleVerified(sig, o, right); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets, %v; want the %d of Assemble", len(got), err, len(want))
	}
	other := VerifyOptions{Digest: digestOf(crypto.SHA256, []byte("otro")), Profile: ProfilePAdES}
	if out, err := pre.AssembleVerified(sig, o, other); !errors.Is(err, ErrMessageDigest) || out != nil {
		t.Errorf("other document: %v, want ErrMessageDigest", err)
	}
	// A path whose parsed form is not what its bytes say is not believed.
	forged := *id.cert
	forged.IsCA, forged.PublicKey = true, who(t, "p384").cert.PublicKey
	if out, err := pre.AssembleVerified(sig, AssembleOptions{Certificates: []*x509.Certificate{&forged}}, right); err == nil {
		t.Errorf("certificate with another key than in its bytes: %d octets", len(out))
	}
}

func TestPrepareRefusesBadParameters(t *testing.T) {
	t.Parallel()
	id := who(t, "p256")
	digest := digestOf(crypto.SHA256, document)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skipf("the runtime makes no small RSA keys: %v", err)
	}
	weakCert := &x509.Certificate{PublicKey: &weak.PublicKey, Raw: []byte{1}}
	for name, tt := range map[string]struct {
		p    Params
		want error
	}{
		"no certificate":     {Params{Digest: digest}, ErrParams},
		"neither":            {Params{Certificate: id.cert}, ErrParams},
		"both":               {Params{Certificate: id.cert, Digest: digest, Content: document}, ErrParams},
		"digest of SHA-1":    {Params{Certificate: id.cert, Digest: make([]byte, 20)}, ErrDigestLength},
		"digest too long":    {Params{Certificate: id.cert, Digest: make([]byte, 48)}, ErrDigestLength},
		"RSA with an EC key": {Params{Certificate: id.cert, Digest: digest, Algorithm: RSAWithSHA256}, ErrAlgorithmMismatch},
		"unknown algorithm":  {Params{Certificate: id.cert, Digest: digest, Algorithm: 99}, ErrAlgorithm},
		"1024-bit RSA":       {Params{Certificate: weakCert, Digest: digest}, ErrWeakAlgorithm},
		"policy digest":      {Params{Certificate: id.cert, Digest: digest, Policy: &SignaturePolicy{ID: OIDData, Hash: crypto.SHA256}}, ErrParams},
		"policy SHA-1":       {Params{Certificate: id.cert, Digest: digest, Policy: &SignaturePolicy{ID: OIDData, Hash: crypto.SHA1, Digest: make([]byte, 20)}}, ErrParams},
		"extra unknown":      {Params{Certificate: id.cert, Digest: digest, Extra: []Attribute{{Type: OIDData, Values: [][]byte{{5, 0}}}}}, ErrAttributeForbidden},
		"extra duplicate":    {Params{Certificate: id.cert, Digest: digest, Extra: []Attribute{{Type: OIDContentType, Values: [][]byte{{5, 0}}}}}, ErrAttributeDuplicate},
		"extra signing-time": {Params{Certificate: id.cert, Digest: digest, Extra: []Attribute{{Type: OIDSigningTime, Values: [][]byte{{5, 0}}}}}, ErrAttributeForbidden},
		"extra not DER":      {Params{Certificate: id.cert, Digest: digest, Extra: []Attribute{{Type: oidMimeType, Values: [][]byte{{5}}}}}, ErrTruncated},
	} {
		if _, err := PrepareSignedAttrs(tt.p); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestUnsignedAttributesLeaveSignedBytesAlone(t *testing.T) {
	t.Parallel()
	id := who(t, "p256")
	der := signDetached(t, id, Params{}, AssembleOptions{Certificates: []*x509.Certificate{id.root}})
	token := signDetached(t, who(t, "rsa"), Params{Content: []byte("TSTInfo"), ContentType: OIDTSTInfo}, AssembleOptions{})
	out, err := AddSignatureTimestamp(der, token)
	if err != nil {
		t.Fatal(err)
	}
	out, err = AddSignatureTimestamp(out, token)
	if err != nil {
		t.Fatal(err)
	}
	before, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	after, err := Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before.Signer.RawSignedAttrs, after.Signer.RawSignedAttrs) || !bytes.Equal(before.Signer.Signature, after.Signer.Signature) {
		t.Error("signed bytes changed")
	}
	if _, err := after.Verify(VerifyOptions{Digest: digestOf(crypto.SHA256, document), Profile: ProfilePAdES}); err != nil {
		t.Error(err)
	}
	tokens := after.TimestampTokens()
	if len(tokens) != 2 || !bytes.Equal(tokens[0], token) || !bytes.Equal(tokens[1], token) {
		t.Errorf("time-stamp tokens = %d, want the two put in", len(tokens))
	}
	once := Attribute{Type: OIDSignatureTimeStamp, Values: [][]byte{token}}
	pre, err := Resume(id.cert, 0, before.Signer.RawSignedAttrs, nil)
	if err != nil {
		t.Fatal(err)
	}
	direct, err := pre.Assemble(before.Signer.Signature, AssembleOptions{Certificates: []*x509.Certificate{id.root}, Unsigned: []Attribute{once, once}})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(direct, out) {
		t.Error("adding afterwards and assembling with the attribute differ")
	}
	size, err := pre.Size(AssembleOptions{Certificates: []*x509.Certificate{id.root}}, len(token))
	if err != nil {
		t.Fatal(err)
	}
	one, err := AddSignatureTimestamp(der, token)
	if err != nil {
		t.Fatal(err)
	}
	if len(one) > size || size > len(one)+80 {
		t.Errorf("size bound = %d, real size %d", size, len(one))
	}
	if _, err := AddUnsignedAttr(der, Attribute{Type: OIDSignatureTimeStamp, Values: [][]byte{make([]byte, 2)}}); err == nil {
		t.Error("a value that is not DER was taken in")
	}
}

func TestAttachedContentOfATimestampToken(t *testing.T) {
	t.Parallel()
	id := who(t, "p256")
	content := []byte("TSTInfo en DER")
	der := signDetached(t, id, Params{Content: content, ContentType: OIDTSTInfo}, AssembleOptions{OmitCertificates: true})
	sd, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	if sd.Version != 3 {
		t.Errorf("version = %d, want 3", sd.Version)
	}
	if !bytes.Equal(sd.Content, content) {
		t.Errorf("content = %q", sd.Content)
	}
	if _, err := sd.Verify(VerifyOptions{Profile: ProfileTimestamp}); !errors.Is(err, ErrSignerCertificate) {
		t.Errorf("no certificate at hand: %v, want ErrSignerCertificate", err)
	}
	if _, err := sd.Verify(VerifyOptions{Profile: ProfileTimestamp, Certificates: []*x509.Certificate{id.root, id.cert}}); err != nil {
		t.Error(err)
	}
	if _, err := sd.Verify(VerifyOptions{Certificates: []*x509.Certificate{id.cert}, Digest: digestOf(crypto.SHA256, content)}); !errors.Is(err, ErrContentPresent) {
		t.Errorf("digest given beside content: %v, want ErrContentPresent", err)
	}
	if _, err := sd.Verify(VerifyOptions{Certificates: []*x509.Certificate{id.cert}, Profile: ProfilePAdES}); !errors.Is(err, ErrContentType) {
		t.Errorf("time-stamp as a document signature: %v, want ErrContentType", err)
	}
	plain, err := Parse(signDetached(t, id, Params{}, AssembleOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.Verify(VerifyOptions{Profile: ProfileTimestamp}); !errors.Is(err, ErrContentType) {
		t.Errorf("document signature as a time-stamp: %v, want ErrContentType", err)
	}
	if _, err := plain.Verify(VerifyOptions{}); !errors.Is(err, ErrContentMissing) {
		t.Errorf("no digest: %v, want ErrContentMissing", err)
	}
}

func TestAlgorithmNames(t *testing.T) {
	t.Parallel()
	for _, tt := range everyAlgorithm {
		got, err := ParseAlgorithm(tt.alg.String())
		if err != nil || got != tt.alg {
			t.Errorf("%v: %v, %v", tt.alg, got, err)
		}
	}
	for _, bad := range []string{"", "none", "rsa-sha1", "ECDSA-SHA256"} {
		if _, err := ParseAlgorithm(bad); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%q: %v, want ErrAlgorithm", bad, err)
		}
	}
}

func TestESSIssuerSerialIsChecked(t *testing.T) {
	t.Parallel()
	id, other := who(t, "p256"), who(t, "p384")
	sum := sha256.Sum256(id.cert.Raw)
	e := ESSCertID{Hash: crypto.SHA256, CertHash: sum[:], Issuer: id.cert.RawIssuer, Serial: id.cert.SerialNumber}
	if !e.Matches(id.cert) {
		t.Error("does not match its own certificate")
	}
	if e.Matches(other.cert) {
		t.Error("matches another certificate")
	}
	e.Serial = big.NewInt(5)
	if e.Matches(id.cert) {
		t.Error("matches in spite of another serial number")
	}
	e.Serial, e.Issuer = id.cert.SerialNumber, other.cert.RawSubject
	if e.Matches(id.cert) {
		t.Error("matches in spite of another issuer")
	}
}
