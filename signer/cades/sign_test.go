package cades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/cades"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
)

// issue makes a certificate for a key of any kind below the lab's issuer.
func (l *lab) issue(cn string, key crypto.Signer) *evidencetest.Node {
	l.t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		l.t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn}, KeyUsage: x509.KeyUsageContentCommitment,
		NotBefore: l.Now().AddDate(-1, 0, 0), NotAfter: l.Now().AddDate(1, 0, 0),
	}
	l.At("inter", true)(tmpl)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, l.Inter.Cert, key.Public(), l.Inter.Key)
	if err != nil {
		l.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		l.t.Fatal(err)
	}
	return withKey(key, []*x509.Certificate{c}, l.Inter)
}

// Every level that is asked for is reached, and holds for the verifier.
func TestEveryLevel(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana Núñez")
	for _, level := range []cades.Level{cades.LevelBB, cades.LevelBT, cades.LevelBLT} {
		s := l.only(l.sign(who, cades.Options{Level: level}))
		want(t, level.String(), s, cades.Valid, "", level)
		if s.MediaType != "text/csv" || !s.ClaimedTime.Equal(now) || !s.Trusted || len(s.Chain) != 3 {
			t.Errorf("%v: media type %q, claimed %v, trusted %v, path of %d", level, s.MediaType, s.ClaimedTime, s.Trusted, len(s.Chain))
		}
		if proven := level >= cades.LevelBT; s.ProvenTime.IsZero() == proven {
			t.Errorf("%v: proven time %v", level, s.ProvenTime)
		}
		if checked := level == cades.LevelBLT; (s.Revocation == "good") != checked {
			t.Errorf("%v: revocation %q", level, s.Revocation)
		}
	}
}

func TestEveryAlgorithm(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	for _, c := range []struct {
		name string
		key  func() (crypto.Signer, error)
	}{
		{"ecdsa-sha256", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
		{"ecdsa-sha384", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) }},
		{"rsa-sha256", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
		{"rsa-pss-sha512", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
		{"ed25519", func() (crypto.Signer, error) { _, k, err := ed25519.GenerateKey(rand.Reader); return k, err }},
	} {
		k, err := c.key()
		if err != nil {
			t.Fatal(err)
		}
		s := l.only(l.sign(l.issue(c.name, k), cades.Options{Level: cades.LevelBLT, Algorithm: c.name}))
		want(t, c.name, s, cades.Valid, "", cades.LevelBLT)
		if s.Algorithm != c.name {
			t.Errorf("%s: signed with %s", c.name, s.Algorithm)
		}
	}
}

// Evidence of B-LT stands where the baseline wants it, and is enough for ever
// after without a network.
func TestEvidenceStandsInSignedData(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	sig := l.sign(l.Signer(t, "Ana"), cades.Options{Level: cades.LevelBLT})
	sd, err := cms.Parse(sig)
	if err != nil {
		t.Fatal(err)
	}
	if len(sd.OCSPResponses) != 1 || len(sd.CRLs) == 0 || len(sd.RawCertificates) < 5 || sd.Version != 5 {
		t.Errorf("%d responses, %d lists, %d certificates, version %d", len(sd.OCSPResponses), len(sd.CRLs), len(sd.RawCertificates), sd.Version)
	}
	for _, a := range sd.Signer.UnsignedAttrs {
		if !a.Type.Equal(cms.OIDSignatureTimeStamp) {
			t.Errorf("unsigned attribute %v", a.Type)
		}
	}
	want(t, "two years later", l.verify(sig, now.AddDate(2, 0, 0)).Signatures[0], cades.Valid, "", cades.LevelBLT)
}

// The content is read once, as it comes, however large it is.
func TestContentIsReadOnceAndNeverHeld(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	const size = 64 << 20
	in := &counted{r: io.LimitReader(zeros{}, size)}
	s, err := cades.Sign(context.Background(), in, who.Key, who.Chain(), nil, cades.Options{SigningTime: now})
	if err != nil {
		t.Fatal(err)
	}
	if in.n != size || in.largest > 1<<20 {
		t.Errorf("read %d of %d bytes, up to %d at once", in.n, size, in.largest)
	}
	in = &counted{r: io.LimitReader(zeros{}, size)}
	r, err := cades.Verify(context.Background(), s.CMS, in, cades.VerifyOptions{Roots: evidencetest.Pool(l.Root), At: now})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "64 MiB", r.Signatures[0], cades.Valid, "", cades.LevelBB)
	if in.n != size || in.largest > 1<<20 || r.Size != size {
		t.Errorf("read %d of %d bytes, up to %d at once; report says %d", in.n, size, in.largest, r.Size)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A stored session goes on without the content, and a wrong value never comes out.
func TestTwoPhases(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	ctx := context.Background()
	s, err := cades.Prepare(ctx, bytes.NewReader(document), cades.Options{SigningTime: now})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var again cades.Session
	if err := again.UnmarshalBinary(stored); err != nil {
		t.Fatal(err)
	}
	tbs, err := again.SignedAttributes(who.Chain(), cades.AttributeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	value, err := who.Key.Sign(rand.Reader, tbs.Input, tbs.Opts)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := again.Embed(ctx, cades.Signature{Value: value, Attributes: tbs.Attributes, Chain: who.Chain()})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "resumed", l.only(signed.CMS), cades.Valid, "", cades.LevelBB)

	stranger := l.Signer(t, "Otra")
	wrong, err := stranger.Key.Sign(rand.Reader, tbs.Input, tbs.Opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Embed(ctx, cades.Signature{Value: wrong, Attributes: tbs.Attributes, Chain: who.Chain()}); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("another key's value: %v", err)
	}
	other, err := cades.Prepare(ctx, bytes.NewReader([]byte("otra cosa")), cades.Options{SigningTime: now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Embed(ctx, cades.Signature{Value: value, Attributes: tbs.Attributes, Chain: who.Chain()}); !errors.Is(err, cms.ErrMessageDigest) {
		t.Errorf("a signature of other content: %v", err)
	}
	for i := range stored {
		broken := bytes.Clone(stored)
		broken[i] ^= 0x20
		var x cades.Session
		if err := x.UnmarshalBinary(broken); err != nil && !errors.Is(err, cades.ErrSession) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// People sign beside each other, at levels of their own.
func TestParallelSigners(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	ana, beto := l.Signer(t, "Ana"), l.Signer(t, "Beto")
	first := l.sign(ana, cades.Options{Level: cades.LevelBT})
	both := l.sign(beto, cades.Options{Level: cades.LevelBLT, Existing: first})
	r := l.verify(both, now)
	names := map[string]cades.Level{}
	for _, s := range r.Signatures {
		if s.Verdict != cades.Valid {
			t.Errorf("%s: %s %s", s.Signer.Subject, s.Verdict, s.Detail)
		}
		c, err := x509.ParseCertificate(s.Signer.Raw)
		if err != nil {
			t.Fatal(err)
		}
		names[c.Subject.CommonName] = s.Level
	}
	if len(names) != 2 || names["Ana"] < cades.LevelBT || names["Beto"] != cades.LevelBLT {
		t.Errorf("levels %v", names)
	}
	_, err := l.try(ana, cades.Options{Existing: both})
	wantCode(t, "signing twice", err, cades.CodeSigned)
	_, err = cades.Prepare(context.Background(), bytes.NewReader([]byte("otro")), cades.Options{SigningTime: now, Existing: both})
	wantCode(t, "other content", err, cades.CodeContent)
	broken := bytes.Clone(first)
	sd, err := cms.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	broken[bytes.Index(broken, sd.Signer.Signature)+20] ^= 1
	_, err = l.try(beto, cades.Options{Existing: broken})
	wantCode(t, "broken signature of others", err, cades.CodeBroken)
}

// What a level needs and cannot be had is an error, and nothing comes out.
func TestLevelsAreNeverLowered(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	ctx := context.Background()
	if _, err := cades.Sign(ctx, bytes.NewReader(document), who.Key, who.Chain(), nil, cades.Options{Level: cades.LevelBT, SigningTime: now}); !errors.Is(err, cades.ErrNoTimestamp) {
		t.Errorf("B-T without an authority: %v", err)
	}
	l.Down("/ocsp", true)
	l.Down("/crl/inter", true)
	s, err := l.try(who, cades.Options{Level: cades.LevelBLT})
	var lacking *cades.EvidenceError
	if s != nil || !errors.As(err, &lacking) || lacking.Certificate == nil {
		t.Errorf("B-LT without answers: %v, %v", s, err)
	}
	l.Down("/ocsp", false)
	l.Down("/crl/inter", false)
	gone := l.Signer(t, "Revocada")
	l.Revoke(gone.Cert, now.Add(-time.Hour))
	if s, err := l.try(gone, cades.Options{Level: cades.LevelBLT}); s != nil || !errors.Is(err, cades.ErrEvidence) {
		t.Errorf("B-LT with a revoked certificate: %v, %v", s, err)
	}
}
