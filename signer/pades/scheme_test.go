package pades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/judge"
	"oruro.gob.bo/suti/signer/pades"
)

// toyKey stands for a key of ML-DSA-65 until there is one in the standard
// library: its signatures are as long, and it signs the message, not its digest
// (RFC 9882 §3). It is no signature algorithm: whoever knows the public key
// can sign.
type toyKey [32]byte

const toySize = 3309 // of ML-DSA-65, FIPS 204 table 2

func (k toyKey) Public() crypto.PublicKey { return k }

func (k toyKey) value(message []byte) []byte {
	var out []byte
	for sum := sha512.Sum512(append(k[:], message...)); len(out) < toySize; sum = sha512.Sum512(sum[:]) {
		out = append(out, sum[:]...)
	}
	return out[:toySize]
}

func (k toyKey) Sign(_ io.Reader, message []byte, o crypto.SignerOpts) ([]byte, error) {
	if o.HashFunc() != 0 || len(message) < 100 {
		return nil, errors.New("toy key is asked to sign a digest")
	}
	return k.value(message), nil
}

// toyScheme is all that a new algorithm has to bring. oid may be that of
// ML-DSA-65, to see what a reader without the scheme says of it.
func toyScheme(oid asn1.ObjectIdentifier) pades.Scheme {
	return pades.Scheme{
		Name: "toy-65", OID: oid, Hash: crypto.SHA512, WholeMessage: true, Opts: crypto.Hash(0),
		PublicKey: func(c *x509.Certificate) crypto.PublicKey {
			var spki struct {
				Algorithm pkix.AlgorithmIdentifier
				Key       asn1.BitString
			}
			if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &spki); err != nil || !spki.Algorithm.Algorithm.Equal(oid) || len(spki.Key.Bytes) != 32 {
				return nil
			}
			return toyKey(spki.Key.Bytes)
		},
		CheckKey: func(pub crypto.PublicKey) error {
			if _, ok := pub.(toyKey); !ok {
				return cms.ErrAlgorithmMismatch
			}
			return nil
		},
		Verify: func(pub crypto.PublicKey, message, value []byte, _ int) error {
			if len(value) != toySize {
				return cms.ErrSignatureMalformed
			}
			if !bytes.Equal(value, pub.(toyKey).value(message)) {
				return cms.ErrSignature
			}
			return nil
		},
		MaxSize: func(crypto.PublicKey) int { return toySize },
	}
}

var (
	oidToy     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 55555, 65}
	oidMLDSA65 = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}
)

// toySigner is a person with such a key, certified by an ordinary authority:
// the library makes no certificate for it, so that the key is exchanged in one
// that is signed anew.
func (p *pki) toySigner(t *testing.T, oid asn1.ObjectIdentifier, key toyKey) signer {
	t.Helper()
	type tbs struct {
		Raw       asn1.RawContent
		Version   int `asn1:"optional,explicit,default:0,tag:0"`
		Serial    *big.Int
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		Validity  asn1.RawValue
		Subject   asn1.RawValue
		SPKI      asn1.RawValue
		Rest      asn1.RawValue `asn1:"optional,tag:3"`
	}
	type certificate struct {
		TBS       tbs
		Algorithm pkix.AlgorithmIdentifier
		Value     asn1.BitString
	}
	of := p.signer(t, "Ana", nil)
	var c certificate
	if _, err := asn1.Unmarshal(of.chain[0].Raw, &c); err != nil {
		t.Fatal(err)
	}
	spki, err := asn1.Marshal(struct {
		Algorithm struct{ Algorithm asn1.ObjectIdentifier }
		Key       asn1.BitString
	}{struct{ Algorithm asn1.ObjectIdentifier }{oid}, asn1.BitString{Bytes: key[:], BitLength: 256}})
	if err != nil {
		t.Fatal(err)
	}
	c.TBS.Raw, c.TBS.SPKI = nil, asn1.RawValue{FullBytes: spki}
	der, err := asn1.Marshal(c.TBS)
	if err != nil {
		t.Fatal(err)
	}
	h := crypto.SHA256.New()
	h.Write(der)
	value, err := p.interKey.Sign(rand.Reader, h.Sum(nil), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	c.TBS.Raw, c.Value = der, asn1.BitString{Bytes: value, BitLength: 8 * len(value)}
	if der, err = asn1.Marshal(c); err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, []*x509.Certificate{cert, p.inter}}
}

// A scheme that signs whole messages with long values goes through every step
// as one value in the options, and nothing remembers it afterwards.
func TestSchemeIsOneEntry(t *testing.T) {
	t.Parallel()
	ca, ctx := authority(t), context.Background()
	accepting := pades.DefaultConstraints()
	accepting.Algorithms.Signatures = append(accepting.Algorithms.Signatures, judge.AcceptedAlgorithm{Name: "toy-65"})
	accepting.Algorithms.Keys = append(accepting.Algorithms.Keys, judge.AcceptedKey{Kind: "unknown"})
	for name, oid := range map[string]asn1.ObjectIdentifier{"own identifier": oidToy, "ML-DSA-65": oidMLDSA65} {
		scheme := toyScheme(oid)
		who := ca.toySigner(t, oid, toyKey{1, 2, 3})
		base := costest.Sample(costest.Options{Form: true})
		in, size := bytes.NewReader(base), int64(len(base))
		o := pades.Options{SigningTime: now, Level: pades.LevelBT, Schemes: []pades.Scheme{scheme}}
		s, err := pades.Sign(ctx, in, size, who.key, who.chain, ca.stamper(now), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var out bytes.Buffer
		if _, err := s.WriteTo(ctx, &out, in); err != nil {
			t.Fatal(err)
		}
		constraints := accepting
		verify := func(b []byte, schemes ...pades.Scheme) pades.SignatureReport {
			t.Helper()
			r, err := pades.Verify(ctx, bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{Roots: ca.roots(), TimestampRoots: ca.tsaRoots(), At: now, Schemes: schemes, Constraints: constraints})
			if err != nil {
				t.Fatal(err)
			}
			return r.Signatures[0]
		}
		if got := verify(out.Bytes(), scheme); got.Verdict != pades.Valid || got.Level != pades.LevelBT || got.Algorithm != "toy-65" {
			t.Errorf("%s: with the scheme: %s %s, %s: %s", name, got.Verdict, got.Level, got.Algorithm, got.Detail)
		}
		// The constraints must accept it too: by default they do not.
		constraints = nil
		if got := verify(out.Bytes(), scheme); got.Verdict != pades.Indeterminate || got.SubIndication != pades.SubCryptoConstr && !strings.Contains(got.Detail, "toy-65 is not accepted") {
			t.Errorf("%s: not accepted by the constraints: %s: %s", name, got.Verdict, got.Detail)
		}
		constraints = accepting
		// Whoever does not know it judges nothing, and says what it was.
		word := oid.String()
		if name == "ML-DSA-65" {
			word = "ML-DSA-65"
		}
		if got := verify(out.Bytes()); got.Verdict != pades.Indeterminate || got.SubIndication != pades.SubCryptoConstr || !strings.Contains(got.Detail, "unsupported algorithm: signature "+word) {
			t.Errorf("%s: without the scheme: %s %s: %s", name, got.Verdict, got.SubIndication, got.Detail)
		}
		forged := bytes.Clone(out.Bytes())
		forged[len("%PDF-1.7")+3] ^= 1 // in a comment
		if got := verify(forged, scheme); got.Verdict != pades.Invalid {
			t.Errorf("%s: a changed file: %s", name, got.Verdict)
		}
		// Another key, and no scheme at all.
		other := toyKey{9}
		if _, err := pades.Sign(ctx, in, size, other, who.chain, ca.stamper(now), o); !errors.Is(err, cms.ErrSignature) {
			t.Errorf("%s: another key: got %v, want %v", name, err, cms.ErrSignature)
		}
		o.Schemes = nil
		if _, err := pades.Sign(ctx, in, size, who.key, who.chain, ca.stamper(now), o); !errors.Is(err, cms.ErrAlgorithm) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: without the scheme: got %v, want %v with %q", name, err, cms.ErrAlgorithm, word)
		}
	}
}
