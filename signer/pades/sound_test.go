package pades_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades"
)

// asking verifies with the caller's own source, too.
func (l *lab) asking(b []byte, at time.Time, r pades.Revocation) *pades.Report {
	l.t.Helper()
	rep, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{
		Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: at, Revocation: r,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return rep
}

func TestRevocationAndProofs(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	at := now.AddDate(0, 0, 2)

	t.Run("an authority's stolen key writes any time", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, now)
		who := l.Signer(t, "Ana", func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
		bt := l.sign(base, who, pades.LevelBT)
		lta := l.sign(base, who, pades.LevelBLTA)
		l.Revoke(l.TSA.Cert, now.AddDate(0, 0, 1))
		l.SetTime(at)
		// The token alone is not proven to be older than the revocation.
		r := l.asking(bt, at, l.source())
		l.want("B-T", r, pades.Indeterminate, pades.SubOutOfBounds, pades.LevelBB)
		if s := r.Signatures[0]; !s.ProvenTime.IsZero() || s.Timestamps[0].Trusted {
			t.Errorf("proven %v by %+v", s.ProvenTime, s.Timestamps)
		}
		// Nor is the document time-stamp of the same authority.
		r = l.asking(lta, at, l.source())
		if r.Signatures[1].SubIndication != pades.SubRevokedNoPOE || r.Signatures[0].Verdict != pades.Indeterminate {
			t.Errorf("document time-stamp %s, signature %s", r.Signatures[1].SubIndication, r.Signatures[0].Verdict)
		}
		// One of another unit, made before, proves both.
		l.SetTime(now.Add(2 * time.Hour))
		l.NewTSA(t)
		b := l.extend(lta, l.options(pades.LevelBLTA))
		l.SetTime(at)
		l.want("renewed before", l.asking(b, at, l.source()), pades.ValidExtended, "", pades.LevelBLTA)
	})

	t.Run("the intermediate is revoked", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, now)
		who := l.Signer(t, "Ana")
		bb, lta := l.sign(base, who, pades.LevelBB), l.sign(base, who, pades.LevelBLTA)
		l.Revoke(l.Inter.Cert, now.AddDate(0, 0, 1))
		l.SetTime(at)
		l.want("B-B", l.asking(bb, at, l.source()), pades.Indeterminate, pades.SubRevokedCANoPOE, pades.LevelBB)
		l.want("B-LTA", l.asking(lta, at, l.source()), pades.ValidExtended, "", pades.LevelBLTA)
	})

	t.Run("the source does not answer", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, now)
		who := l.Signer(t, "Ana")
		bt, lta := l.sign(base, who, pades.LevelBT), l.sign(base, who, pades.LevelBLTA)
		for _, p := range []string{"/ocsp", "/crl/root", "/crl/inter"} {
			l.Down(p, true)
		}
		l.want("B-T", l.asking(bt, now.Add(time.Hour), l.source()), pades.Indeterminate, pades.SubTryLater, pades.LevelBT)
		l.want("B-LTA", l.asking(lta, now.Add(time.Hour), l.source()), pades.ValidExtended, "", pades.LevelBLTA)
	})

	t.Run("signed and stamped after the revocation", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, now)
		who := l.Signer(t, "Ana")
		earlier := l.sign(base, who, pades.LevelBLT) // brings evidence that the certificate was good
		l.SetTime(at)
		l.Revoke(who.Cert, now.AddDate(0, 0, 1))
		b := l.sign(earlier, who, pades.LevelBT) // by the thief
		r := l.asking(b, at.Add(time.Hour), l.source())
		if a, z := r.Signatures[0], r.Signatures[1]; a.Verdict != pades.ValidExtended || z.Verdict != pades.Invalid || z.SubIndication != pades.SubRevoked {
			t.Errorf("before: %s, after: %s %s", a.Verdict, z.Verdict, z.SubIndication)
		}
		// Without asking, old evidence does not speak for the later signature.
		r = l.verifyAt(b, at.Add(time.Hour))
		if z := r.Signatures[1]; z.Revocation != "not-checked" || z.Level != pades.LevelBT {
			t.Errorf("revocation %q, level %v", z.Revocation, z.Level)
		}
	})
}

// The level is of what is proven, not of what lies in the file.
func TestEvidenceThatDoesNotCount(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	lt := l.sign(base, who, pades.LevelBLT)

	// A document time-stamp before the evidence does not cover it.
	bt := l.sign(base, who, pades.LevelBT)
	after := l.extend(l.extend(l.sign(base, who, pades.LevelBB), l.options(pades.LevelBT)), l.options(pades.LevelBLT))
	l.want("stamp before evidence", l.verifyAt(after, now.Add(time.Hour)), pades.ValidExtended, "", pades.LevelBLT)
	l.want("and after it", l.verifyAt(l.extend(after, l.options(pades.LevelBLTA)), now.Add(time.Hour)), pades.ValidExtended, "", pades.LevelBLTA)

	// Evidence signed by others than who issued the certificate.
	foreign := l.options(pades.LevelBLT)
	foreign.Evidence = &swapped{l.source(), newLab(t, now)}
	_, err := pades.Extend(context.Background(), bytes.NewReader(bt), int64(len(bt)), foreign)
	wantEvidence(t, "foreign evidence", err, pades.NotProven, nil)

	// A responder whose certificate has expired before any proof.
	l2 := newLab(t, now)
	l2.OCSPResponder = l2.Issue(t, "Respondedor breve", l2.Inter, func(c *x509.Certificate) {
		c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
		c.NotAfter = now.AddDate(0, 0, 7)
	})
	ana := l2.Signer(t, "Ana")
	brief, covered := l2.sign(base, ana, pades.LevelBLT), l2.sign(base, ana, pades.LevelBLTA)
	l2.want("responder valid", l2.verifyAt(brief, now.AddDate(0, 0, 3)), pades.ValidExtended, "", pades.LevelBLT)
	r := l2.verifyAt(brief, now.AddDate(0, 1, 0))
	if s := r.Signatures[0]; s.Level != pades.LevelBT || s.Revocation != "not-checked" {
		t.Errorf("responder expired: level %v, revocation %q", s.Level, s.Revocation)
	}
	l2.want("responder expired, evidence covered", l2.verifyAt(covered, now.AddDate(0, 1, 0)), pades.ValidExtended, "", pades.LevelBLTA)

	// Evidence that is damaged is told, and the level falls.
	basic := []byte{0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1} // id-pkix-ocsp-basic
	bad := bytes.Clone(lt)
	bad[bytes.Index(bad, basic)+60] ^= 1
	r = l.verifyAt(bad, now.Add(time.Hour))
	if s := r.Signatures[0]; s.Level > pades.LevelBT {
		j, _ := json.Marshal(s)
		t.Errorf("damaged evidence: %s", j)
	}
}

// swapped returns evidence of another world.
type swapped struct {
	pades.EvidenceSource
	other *lab
}

func (s *swapped) Gather(ctx context.Context, _ [][]*x509.Certificate, since time.Time) (*pades.Evidence, error) {
	who := s.other.Signer(s.other.t, "Ana")
	return s.other.source().Gather(ctx, [][]*x509.Certificate{append(who.Chain(), s.other.Root.Cert)}, since)
}
