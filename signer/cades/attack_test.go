package cades_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/cades"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades"
)

// notValid verifies what may not be readable at all; it never must be valid.
func (l *lab) notValid(name string, sig []byte) {
	l.t.Helper()
	r, err := cades.Verify(context.Background(), sig, bytes.NewReader(document), cades.VerifyOptions{
		Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: l.Now(),
	})
	if err != nil {
		return
	}
	for _, s := range r.Signatures {
		if s.Verdict == cades.Valid {
			l.t.Errorf("%s: valid", name)
		}
	}
}

func TestAttackSubstitutedContent(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	sig := l.sign(l.Signer(t, "Ana"), cades.Options{Level: cades.LevelBLT})
	changed := bytes.Replace(document, []byte("250"), []byte("950"), 1)
	want(t, "changed", l.only(sig, changed...), cades.Invalid, pades.SubHash, cades.LevelNone)
	want(t, "longer", l.only(sig, append(bytes.Clone(document), '\n')...), cades.Invalid, pades.SubHash, cades.LevelNone)
}

// Another certificate for the same key, name and serial number stands in the
// file: the one signed is not there.
func TestAttackWrongESSCertificate(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	twin := *who.Cert
	twin.NotAfter = twin.NotAfter.AddDate(5, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, &twin, l.Inter.Cert, who.Key.Public(), l.Inter.Key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := cades.Prepare(context.Background(), bytes.NewReader(document), cades.Options{SigningTime: now})
	if err != nil {
		t.Fatal(err)
	}
	tbs, err := s.SignedAttributes(who.Chain(), cades.AttributeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	value, err := who.Key.Sign(rand.Reader, tbs.Input, tbs.Opts)
	if err != nil {
		t.Fatal(err)
	}
	p, err := cms.Resume(who.Cert, 0, tbs.Attributes, nil)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := p.Assemble(value, cms.AssembleOptions{OmitCertificates: true})
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	swapped, err := cms.AddEvidence(sig, cms.Evidence{Certificates: []*x509.Certificate{other, l.Inter.Cert}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "twin", l.only(swapped), cades.Indeterminate, pades.SubNoSigner, cades.LevelNone)
	right, err := cms.AddEvidence(swapped, cms.Evidence{Certificates: []*x509.Certificate{who.Cert}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "both", l.only(right), cades.Valid, "", cades.LevelBB)
}

// Other names of algorithms on the same bytes.
func TestAttackAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	sig := l.sign(l.Signer(t, "Ana"), cades.Options{})
	sha256 := []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}
	ecdsaSHA256 := []byte{0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02}
	sd, err := cms.Parse(sig)
	if err != nil {
		t.Fatal(err)
	}
	certs := map[int]bool{} // offsets inside certificates, which stay
	for _, c := range sd.RawCertificates {
		at := bytes.Index(sig, c)
		for i := range c {
			certs[at+i] = true
		}
	}
	for _, old := range [][]byte{sha256, ecdsaSHA256} {
		for _, last := range []byte{1, 2, 3, 4, 26} {
			forged := bytes.Clone(sig)
			n := 0
			for at := 0; ; {
				i := bytes.Index(forged[at:], old)
				if i < 0 {
					break
				}
				at += i + len(old)
				if !certs[at-1] && forged[at-1] != last {
					forged[at-1] = last
					n++
				}
			}
			if n > 0 {
				l.notValid("another algorithm", forged)
			}
		}
	}
}

// Without signed attributes the value would cover the content itself: a
// signature over attributes could be shown as one over a file made of them.
func TestAttackStrippedSignedAttributes(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	sig := l.sign(l.Signer(t, "Ana"), cades.Options{})
	sd, err := cms.Parse(sig)
	if err != nil {
		t.Fatal(err)
	}
	attrs := sd.Signer.RawSignedAttrs
	implicit := append([]byte{0xa0}, attrs[1:]...)
	stripped := replace(t, sig, implicit, nil)
	_, err = cades.Verify(context.Background(), stripped, bytes.NewReader(attrs), cades.VerifyOptions{Roots: evidencetest.Pool(l.Root), At: now})
	wantCode(t, "attributes as content", err, cades.CodeMalformed)
	l.notValid("attributes stripped", stripped)
}

// A stranger's signature beside one's own is told, and neither lends the other anything.
func TestAttackExtraSignerInfo(t *testing.T) {
	t.Parallel()
	l, m := newLab(t, now), newLab(t, now)
	sig := l.sign(l.Signer(t, "Ana"), cades.Options{Level: cades.LevelBT})
	both := m.sign(m.Signer(t, "Ana"), cades.Options{Level: cades.LevelBT, Existing: sig})
	r := l.verify(both, now)
	var valid, unknown int
	for _, s := range r.Signatures {
		switch {
		case s.Verdict == cades.Valid && s.Trusted:
			valid++
		case s.Verdict == cades.Indeterminate && s.SubIndication == pades.SubNoChain && s.ProvenTime.IsZero():
			unknown++
		}
	}
	if len(r.Signatures) != 2 || valid != 1 || unknown != 1 {
		t.Errorf("%+v", r.Signatures)
	}
	// The same over other content cannot be smuggled in.
	forged, err := cades.Sign(context.Background(), bytes.NewReader([]byte("otro")), l.Inter.Key, l.Signer(t, "Eva").Chain(), nil, cades.Options{SigningTime: now})
	if forged != nil || err == nil {
		t.Error("signed with a key that is not the certificate's")
	}
}

// A time-stamp of another signature proves nothing of this one.
func TestAttackTokenSubstitution(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana", func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
	early, err := cms.Parse(l.sign(who, cades.Options{Level: cades.LevelBT}))
	if err != nil {
		t.Fatal(err)
	}
	late := l.sign(who, cades.Options{})
	forged, err := cms.AddSignatureTimestamp(late, early.TimestampTokens()[0])
	if err != nil {
		t.Fatal(err)
	}
	s := l.verify(forged, now.AddDate(0, 0, 1)).Signatures[0]
	want(t, "token of another signature", s, cades.Indeterminate, pades.SubOutOfBounds, cades.LevelBB)
	if !s.ProvenTime.IsZero() || !warns(s, pades.WarnTimestamp) || len(s.Timestamps) != 1 || s.Timestamps[0].Trusted {
		t.Errorf("proven %v, warnings %v, time-stamps %+v", s.ProvenTime, s.Warnings, s.Timestamps)
	}
	// Nor does that of an authority that is not trusted.
	m := newLab(t, now.Add(-time.Minute))
	sd, err := cms.Parse(late)
	if err != nil {
		t.Fatal(err)
	}
	h, sum := cades.TimestampInput(sd.Signer.Signature)
	token, err := m.Lab.Timestamp(h, sum)
	if err != nil {
		t.Fatal(err)
	}
	if forged, err = cms.AddSignatureTimestamp(late, token); err != nil {
		t.Fatal(err)
	}
	s = l.verify(forged, now.AddDate(0, 0, 1)).Signatures[0]
	want(t, "token of a stranger", s, cades.Indeterminate, pades.SubOutOfBounds, cades.LevelBB)
	// And at signing, a token that does not fit is refused.
	ps, err := cades.Prepare(context.Background(), bytes.NewReader(document), cades.Options{SigningTime: now, Level: cades.LevelBT})
	if err != nil {
		t.Fatal(err)
	}
	tbs, err := ps.SignedAttributes(who.Chain(), cades.AttributeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	value, err := who.Key.Sign(rand.Reader, tbs.Input, tbs.Opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ps.Embed(context.Background(), cades.Signature{Value: value, Attributes: tbs.Attributes, Chain: who.Chain(), Token: token}); err == nil {
		t.Error("a token of another signature was embedded")
	}
}

// Unsigned attributes say nothing that counts: no time, no certificate, no
// content, and evidence in the old places raises no level.
func TestAttackUnsignedAttributes(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	sig := l.sign(l.Signer(t, "Ana"), cades.Options{Level: cades.LevelBLT})
	sd, err := cms.Parse(sig)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range sd.Signer.SignedAttrs {
		forged, err := cms.AddUnsignedAttr(sig, a)
		if err != nil {
			t.Fatal(err)
		}
		s := l.only(forged)
		want(t, a.Type.String(), s, cades.Valid, "", cades.LevelBLT)
		if !warns(s, cades.WarnUnjudged) {
			t.Errorf("%v: no warning", a.Type)
		}
	}
	values := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 24}
	forged, err := cms.AddUnsignedAttr(sig, cms.Attribute{Type: values, Values: [][]byte{{0x30, 0x00}}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "revocation-values", l.only(forged), cades.Valid, "", cades.LevelBT)
	// A signature without the signing-certificate attribute is not helped by an unsigned one.
	who := l.Signer(t, "Eva")
	bare := l.bare(who)
	for _, a := range sd.Signer.SignedAttrs {
		if a.Type.Equal(cms.OIDSigningCertificateV2) {
			if bare, err = cms.AddUnsignedAttr(bare, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	want(t, "no signing-certificate", l.only(bare), cades.Indeterminate, pades.SubConstraints, cades.LevelNone)
}

// bare signs document with content-type and message-digest alone.
func (l *lab) bare(who *evidencetest.Node) []byte {
	l.t.Helper()
	full, err := l.try(who, cades.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	sd, err := cms.Parse(full.CMS)
	if err != nil {
		l.t.Fatal(err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
		for _, a := range sd.Signer.SignedAttrs {
			if a.Type.Equal(cms.OIDContentType) || a.Type.Equal(cms.OIDMessageDigest) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(a.Type)
					b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(a.Values[0]) })
				})
			}
		}
	})
	attrs := b.BytesOrPanic()
	h := sd.Signer.DigestAlgorithm.New()
	h.Write(attrs)
	value, err := who.Key.Sign(rand.Reader, h.Sum(nil), sd.Signer.DigestAlgorithm)
	if err != nil {
		l.t.Fatal(err)
	}
	implicit := append([]byte{0xa0}, sd.Signer.RawSignedAttrs[1:]...)
	out := replace(l.t, full.CMS, implicit, append([]byte{0xa0}, attrs[1:]...))
	oldValue := cryptobyte.NewBuilder(nil)
	oldValue.AddASN1OctetString(sd.Signer.Signature)
	newValue := cryptobyte.NewBuilder(nil)
	newValue.AddASN1OctetString(value)
	return replace(l.t, out, oldValue.BytesOrPanic(), newValue.BytesOrPanic())
}

// replace replaces an element in DER, mending the lengths around it.
func replace(t testing.TB, der, old, by []byte) []byte {
	t.Helper()
	if bytes.Equal(der, old) {
		return by
	}
	if !bytes.Contains(der, old) || der[0]&0x20 == 0 {
		return der
	}
	s := cryptobyte.String(der)
	var body cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadAnyASN1(&body, &tag) {
		t.Fatal("not DER")
	}
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for !body.Empty() {
			var e cryptobyte.String
			if !body.ReadAnyASN1Element(&e, nil) {
				t.Fatal("not DER")
			}
			b.AddBytes(replace(t, e, old, by))
		}
	})
	return b.BytesOrPanic()
}

func TestAttachedSignaturesAreRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	p, err := cms.PrepareSignedAttrs(cms.Params{Certificate: who.Cert, Content: []byte("otra cosa"), SigningTime: now})
	if err != nil {
		t.Fatal(err)
	}
	value, err := p.Sign(rand.Reader, who.Key)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := p.Assemble(value, cms.AssembleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = cades.Verify(context.Background(), sig, bytes.NewReader(document), cades.VerifyOptions{At: now})
	wantCode(t, "attached", err, cades.CodeAttached)
}
