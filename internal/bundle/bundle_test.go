package bundle_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/tsp"
)

func wantVerdict(t *testing.T, name string, r *bundle.Report, want bundle.Verdict) {
	t.Helper()
	if r.Verdict != want {
		t.Errorf("%s: got %s, want %s: %v", name, r.Verdict, want, r.Err())
	}
	if (r.Err() == nil) != (want == bundle.Valid) {
		t.Errorf("%s: Err() = %v with verdict %s", name, r.Err(), r.Verdict)
	}
}

func wantStatus(t *testing.T, name string, r *bundle.Report, check string, want bundle.Status) {
	t.Helper()
	c, ok := r.Check(check)
	if !ok || c.Status != want {
		t.Errorf("%s: check %s: got %q (%s), want %q", name, check, c.Status, c.Detail, want)
	}
}

func TestCompleteBundleIsValid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	r := s.verify(s.bundle(s.signing()))
	wantVerdict(t, "complete", r, bundle.Valid)
	for _, c := range r.Checks {
		if c.Status != bundle.OK || c.Detail == "" {
			t.Errorf("check %s: got %s %q", c.Name, c.Status, c.Detail)
		}
	}
	for _, name := range []string{
		bundle.CheckPreimage, bundle.CheckExpiry, bundle.CheckActs, bundle.CheckActsLogged, bundle.CheckKey, bundle.CheckAssertion,
		bundle.CheckAppointment, bundle.CheckCertificate, bundle.CheckRevocation, "signature[0]", "signature[1]",
		"timestamp[0]", "timestamp[1]", bundle.CheckLog,
	} {
		wantStatus(t, "complete", r, name, bundle.OK)
	}
	if r.Person != s.official.id || r.Appointment != testAppointment || r.Level != "N3" || r.RequestID != "req_1" {
		t.Errorf("got %+v", r)
	}
	if r.Post.LegalAct != "Memorándum 12/2026" || r.Deployment != "Gobernación de ejemplo" || r.ProvenAt.IsZero() || r.Class != identity.Llave {
		t.Errorf("got %+v", r)
	}
}

func TestProfileInsteadOfCertificate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := s.signing()
	a.Certificate, a.Profile, a.Policy = act.Hash{}, "one-shot", testPolicy
	wantVerdict(t, "of the policy", s.verify(s.bundle(a)), bundle.Valid)
	a.Policy = "1.2.3"
	r := s.verify(s.bundle(a))
	wantVerdict(t, "of another policy", r, bundle.Invalid)
	wantStatus(t, "of another policy", r, bundle.CheckCertificate, bundle.Failed)
}

// TestNothingMayBeMissingOrWrong spoils one part at a time.
func TestNothingMayBeMissingOrWrong(t *testing.T) {
	t.Parallel()
	flip := func(b bundle.Bytes) bundle.Bytes {
		out := append(bundle.Bytes{}, b...)
		out[len(out)/2] ^= 1
		return out
	}
	for _, tc := range []struct {
		name    string
		change  func(s *site, b *bundle.Bundle)
		verdict bundle.Verdict
		check   string
		status  bundle.Status
		cause   error // may be nil
	}{
		{"log pending", func(s *site, b *bundle.Bundle) { b.Log = bundle.Log{State: bundle.LogPending} }, bundle.Indeterminate, bundle.CheckLog, bundle.Pending, nil},
		{"receipt about other signatures", func(s *site, b *bundle.Bundle) { b.Log.Receipt = s.receipt([]byte("x"), logverify.ClassSignature) }, bundle.Invalid, bundle.CheckLog, bundle.Failed, nil},
		{"other pages shown", func(s *site, b *bundle.Bundle) { b.Documents[1].Pages = nil }, bundle.Invalid, bundle.CheckLog, bundle.Failed, nil},
		{"other time of signing", func(s *site, b *bundle.Bundle) { b.SignedAt++ }, bundle.Invalid, bundle.CheckLog, bundle.Failed, nil},
		{"spoilt receipt", func(s *site, b *bundle.Bundle) { b.Log.Receipt = flip(b.Log.Receipt) }, bundle.Invalid, bundle.CheckLog, bundle.Failed, nil},
		{"act receipts missing", func(s *site, b *bundle.Bundle) { b.Acts[1].Receipt = nil }, bundle.Valid, bundle.CheckActsLogged, bundle.Absent, nil},
		{"act receipt of another act", func(s *site, b *bundle.Bundle) { b.Acts[1].Receipt = b.Acts[2].Receipt }, bundle.Invalid, bundle.CheckActsLogged, bundle.Failed, nil},

		{"no revocation information", func(s *site, b *bundle.Bundle) { b.OCSP = nil }, bundle.Indeterminate, bundle.CheckRevocation, bundle.Absent, nil},
		{"spoilt revocation information", func(s *site, b *bundle.Bundle) { b.OCSP = flip(b.OCSP) }, bundle.Invalid, bundle.CheckRevocation, bundle.Failed, nil},
		{"revoked before", func(s *site, b *bundle.Bundle) {
			b.OCSP = s.ocsp(func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, s.now.Add(-time.Minute) })
		}, bundle.Invalid, bundle.CheckRevocation, bundle.Failed, nil},
		{"revoked afterwards", func(s *site, b *bundle.Bundle) {
			b.OCSP = s.ocsp(func(r *ocsp.Response) { r.Status, r.RevokedAt = ocsp.Revoked, s.now.Add(time.Hour) })
		}, bundle.Valid, bundle.CheckRevocation, bundle.OK, nil},
		{"status unknown", func(s *site, b *bundle.Bundle) {
			b.OCSP = s.ocsp(func(r *ocsp.Response) { r.Status = ocsp.Unknown })
		}, bundle.Invalid, bundle.CheckRevocation, bundle.Failed, nil},
		{"response about another certificate", func(s *site, b *bundle.Bundle) {
			b.OCSP = s.ocsp(func(r *ocsp.Response) { r.SerialNumber = s.unit.SerialNumber })
		}, bundle.Invalid, bundle.CheckRevocation, bundle.Failed, nil},
		{"response out of date", func(s *site, b *bundle.Bundle) {
			b.OCSP = s.ocsp(func(r *ocsp.Response) {
				r.ThisUpdate, r.NextUpdate = s.now.Add(-48*time.Hour), s.now.Add(-24*time.Hour)
			})
		}, bundle.Invalid, bundle.CheckRevocation, bundle.Failed, nil},
		{"responder without the usage", func(s *site, b *bundle.Bundle) {
			s.responder, s.responderKey = s.issue("plain", func(*x509.Certificate) {}, s.issuing, s.issuingKey)
			b.OCSP = s.ocsp(nil)
		}, bundle.Invalid, bundle.CheckRevocation, bundle.Failed, nil},

		{"no time-stamp", func(s *site, b *bundle.Bundle) {
			b.Documents[1].Timestamp, b.Documents[1].Achieved = nil, bundle.LevelBB
		}, bundle.Indeterminate, "timestamp[1]", bundle.Absent, nil},
		{"time-stamp of another signature", func(s *site, b *bundle.Bundle) { b.Documents[1].Timestamp = b.Documents[0].Timestamp }, bundle.Invalid, "timestamp[1]", bundle.Failed, tsp.ErrImprint},
		{"time-stamp too late", func(s *site, b *bundle.Bundle) {
			value := must(cms.Parse(b.Documents[0].CMS))(s.t).Signer.Signature
			b.Documents[0].Timestamp = s.stamp(value, s.now.Add(time.Hour))
		}, bundle.Invalid, "timestamp[0]", bundle.Failed, tsp.ErrGenTime},
		{"time-stamp too early", func(s *site, b *bundle.Bundle) {
			value := must(cms.Parse(b.Documents[0].CMS))(s.t).Signer.Signature
			b.Documents[0].Timestamp = s.stamp(value, s.now.Add(-time.Hour))
		}, bundle.Invalid, "timestamp[0]", bundle.Failed, tsp.ErrGenTime},
		{"signature only in the document", func(s *site, b *bundle.Bundle) { b.Documents[0].CMS = nil }, bundle.Indeterminate, "signature[0]", bundle.Absent, nil},
		{"signature of another document", func(s *site, b *bundle.Bundle) { b.Documents[0].CMS = b.Documents[1].CMS }, bundle.Invalid, "signature[0]", bundle.Failed, cms.ErrMessageDigest},
		{"another signature value", func(s *site, b *bundle.Bundle) {
			b.Documents[0].SignatureSHA256 = flip(b.Documents[0].SignatureSHA256)
			s.relog(b)
		}, bundle.Invalid, "signature[0]", bundle.Failed, nil},
		{"spoilt signature", func(s *site, b *bundle.Bundle) {
			c := append(bundle.Bytes{}, b.Documents[0].CMS...)
			c[len(c)-2] ^= 1
			b.Documents[0].CMS = c
		}, bundle.Invalid, "signature[0]", bundle.Failed, nil},

		{"another certificate", func(s *site, b *bundle.Bundle) {
			c, _ := s.issue("impostor", s.signerTemplate, s.issuing, s.issuingKey)
			b.Certificates[0] = c.Raw
		}, bundle.Invalid, bundle.CheckCertificate, bundle.Failed, nil},
		{"issuer missing", func(s *site, b *bundle.Bundle) { b.Certificates = b.Certificates[:1] }, bundle.Invalid, bundle.CheckCertificate, bundle.Failed, nil},
		{"certificate that cannot be read", func(s *site, b *bundle.Bundle) { b.Certificates[0] = b.Certificates[0][1:] }, bundle.Invalid, bundle.CheckCertificate, bundle.Failed, nil},
		{"signed after expiry", func(s *site, b *bundle.Bundle) { b.SignedAt += int64(5 * time.Minute / time.Microsecond) }, bundle.Invalid, bundle.CheckExpiry, bundle.Failed, nil},

		{"assertion of another challenge", func(s *site, b *bundle.Bundle) {
			r := s.official.assert(s.t, sum("another challenge"))
			b.Assertion.AuthenticatorData, b.Assertion.ClientDataJSON, b.Assertion.Signature = r.AuthenticatorData, r.ClientDataJSON, r.Signature
		}, bundle.Invalid, bundle.CheckAssertion, bundle.Failed, assertion.ErrChallenge},
		{"spoilt assertion", func(s *site, b *bundle.Bundle) {
			b.Assertion.AuthenticatorData = append(bundle.Bytes{}, b.Assertion.AuthenticatorData...)
			b.Assertion.AuthenticatorData[36] ^= 1 // the counter
		}, bundle.Invalid, bundle.CheckAssertion, bundle.Failed, assertion.ErrSignature},
		{"somebody else's key", func(s *site, b *bundle.Bundle) {
			r := s.admin.assert(s.t, sha256.Sum256(b.Preimage))
			b.Assertion = bundle.Assertion{AuthenticatorData: r.AuthenticatorData, ClientDataJSON: r.ClientDataJSON, COSEKey: s.admin.cred.COSE, Signature: r.Signature}
		}, bundle.Invalid, bundle.CheckKey, bundle.Failed, act.ErrOtherPerson},
		{"unknown key", func(s *site, b *bundle.Bundle) {
			x := s.person(66)
			r := x.assert(s.t, sha256.Sum256(b.Preimage))
			b.Assertion = bundle.Assertion{AuthenticatorData: r.AuthenticatorData, ClientDataJSON: r.ClientDataJSON, COSEKey: x.cred.COSE, Signature: r.Signature}
		}, bundle.Invalid, bundle.CheckKey, bundle.Failed, act.ErrUnknownKey},

		{"genesis missing", func(s *site, b *bundle.Bundle) { b.Acts = b.Acts[1:] }, bundle.Invalid, bundle.CheckActs, bundle.Failed, act.ErrGenesis},
		{"approval missing", func(s *site, b *bundle.Bundle) { b.Acts = append(b.Acts[:2:2], b.Acts[3:]...) }, bundle.Invalid, bundle.CheckActs, bundle.Failed, act.ErrPending},
		{"enrolment missing", func(s *site, b *bundle.Bundle) { b.Acts = append(b.Acts[:1:1], b.Acts[3:]...) }, bundle.Invalid, bundle.CheckKey, bundle.Failed, act.ErrUnknownKey},
		{"appointment missing", func(s *site, b *bundle.Bundle) { b.Acts = b.Acts[:3] }, bundle.Invalid, bundle.CheckAppointment, bundle.Failed, act.ErrNoAppointment},
		{"act twice", func(s *site, b *bundle.Bundle) { b.Acts = append(b.Acts, b.Acts[1]) }, bundle.Invalid, bundle.CheckActs, bundle.Failed, act.ErrDuplicate},
		{"acts in another order", func(s *site, b *bundle.Bundle) { b.Acts[1], b.Acts[2] = b.Acts[2], b.Acts[1] }, bundle.Invalid, bundle.CheckActs, bundle.Failed, nil},
		{"spoilt act", func(s *site, b *bundle.Bundle) { b.Acts[1].Act = flip(b.Acts[1].Act) }, bundle.Invalid, bundle.CheckActs, bundle.Failed, nil},
		{"suspension shown", func(s *site, b *bundle.Bundle) {
			s.now = s.now.Add(-5 * time.Minute)
			x := s.act(&act.Suspension{Person: s.official.id, Reason: "x", By: s.admin.id, Capacity: act.Administrator}, s.admin)
			b.Acts = append(b.Acts, bundle.Act{Act: must(x.Marshal())(s.t)})
		}, bundle.Invalid, bundle.CheckKey, bundle.Failed, act.ErrSuspended},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := s.bundle(s.signing())
			tc.change(s, b)
			r := s.verify(b)
			wantVerdict(t, tc.name, r, tc.verdict)
			wantStatus(t, tc.name, r, tc.check, tc.status)
			if c, _ := r.Check(tc.check); tc.cause != nil && !errors.Is(c.Err, tc.cause) {
				t.Errorf("got cause %v, want %v", c.Err, tc.cause)
			}
		})
	}
}

func TestTrustDecides(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := must(s.bundle(s.signing()).Encode())(t)
	other := newSite(t)
	for name, tc := range map[string]struct {
		change  func(*bundle.Trust)
		verdict bundle.Verdict
		check   string
		status  bundle.Status
	}{
		"another genesis":        {func(tr *bundle.Trust) { tr.Genesis = other.trust.Genesis }, bundle.Invalid, bundle.CheckActs, bundle.Failed},
		"other roots":            {func(tr *bundle.Trust) { tr.Roots = other.trust.Roots }, bundle.Invalid, bundle.CheckCertificate, bundle.Failed},
		"no roots":               {func(tr *bundle.Trust) { tr.Roots = nil }, bundle.Indeterminate, bundle.CheckCertificate, bundle.NotChecked},
		"no roots, revocation":   {func(tr *bundle.Trust) { tr.Roots = nil }, bundle.Indeterminate, bundle.CheckRevocation, bundle.NotChecked},
		"other time-stamp roots": {func(tr *bundle.Trust) { tr.TSARoots = other.trust.TSARoots }, bundle.Invalid, "timestamp[0]", bundle.Failed},
		"no time-stamp roots":    {func(tr *bundle.Trust) { tr.TSARoots = nil }, bundle.Indeterminate, "timestamp[0]", bundle.NotChecked},
		"another log key": {func(tr *bundle.Trust) {
			tr.LogKey = must(logverify.VerifierKey(logOrigin, other.logKey.Public().(ed25519.PublicKey)))(t)
		}, bundle.Invalid, bundle.CheckLog, bundle.Failed},
		"higher level":    {func(tr *bundle.Trust) { tr.Least = identity.N3 }, bundle.Valid, bundle.CheckKey, bundle.OK},
		"verified before": {func(tr *bundle.Trust) { tr.Now = start }, bundle.Invalid, bundle.CheckExpiry, bundle.Failed},
	} {
		tr := s.trust
		tc.change(&tr)
		r, err := bundle.Verify(b, tr)
		if err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, name, r, tc.verdict)
		wantStatus(t, name, r, tc.check, tc.status)
	}
	for name, tr := range map[string]bundle.Trust{"no genesis": {Now: start}, "no time": {Genesis: s.trust.Genesis}} {
		if _, err := bundle.Verify(b, tr); !errors.Is(err, bundle.ErrTrust) {
			t.Errorf("%s: got %v, want ErrTrust", name, err)
		}
	}
}

func TestCounterSignature(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	citizen := &person{id: "per_00000000000000000000000011"}
	enrolment := s.act(s.enrolment(citizen), s.registrar)
	s.approve(enrolment)
	a := s.signing()
	a.Person, a.Appointment = citizen.id, ""
	pre := must(a.Preimage())(t)
	presence := s.act(&act.Presence{
		Person: citizen.id, Registrar: s.registrar.id, Site: "site-1", RequestID: a.RequestID, Challenge: sha256.Sum256(pre),
		Card: act.Fact{Label: "card-cell", Commit: sum("cell")}, Language: "qu-BO",
	}, s.registrar)
	collect := func(of ...act.Hash) *bundle.Bundle {
		b := s.bundle(a)
		b.Class, b.Assertion, b.Acts = identity.Ventanilla, bundle.Assertion{}, nil
		for _, x := range must(s.chain().Proof(of...))(t) {
			b.Acts = append(b.Acts, bundle.Act{Act: must(x.Marshal())(t), Receipt: s.receipt(x.Leaf(), logverify.ClassAct)})
		}
		return b
	}
	r := s.verify(collect(presence.Hash()))
	wantVerdict(t, "attested", r, bundle.Valid)
	wantStatus(t, "attested", r, bundle.CheckPresence, bundle.OK)
	if r.Class != identity.Ventanilla {
		t.Errorf("got class %s", r.Class)
	}
	if _, ok := r.Check(bundle.CheckKey); ok {
		t.Error("a signature at the counter reports a key")
	}
	r = s.verify(collect(enrolment.Hash()))
	wantVerdict(t, "not attested", r, bundle.Invalid)
	wantStatus(t, "not attested", r, bundle.CheckPresence, bundle.Failed)

	b := collect(presence.Hash())
	b.Class = identity.Llave // dressed up as the stronger class
	if _, err := b.Encode(); !errors.Is(err, bundle.ErrValue) {
		t.Errorf("class llave without an assertion: got %v, want ErrValue", err)
	}
}

func TestHashSigning(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	a := &act.HashSigning{
		Common: s.signing().Common, Credential: "cred-1", Client: "app", HashAlgorithm: act.OIDSHA256,
		SignAlgorithm: "1.2.840.10045.4.3.2", Object: act.ObjectDocument,
	}
	doc := sum("document")
	a.Hashes = []act.LabelledHash{{Hash: doc[:], Label: "Contrato"}}
	wantVerdict(t, "document digest", s.verify(s.bundle(a)), bundle.Valid)

	// The application hashed the signed attributes: the approved hash is over them.
	p := must(cms.PrepareSignedAttrs(cms.Params{Certificate: s.signer, Digest: doc[:]}))(t)
	attrs := sha256.Sum256(p.SignedAttrs())
	value := must(p.Sign(nil, s.signerKey))(t)
	a.Object, a.Hashes[0].Hash = act.ObjectAttributes, attrs[:]
	b := s.bundle(a)
	vh := sha256.Sum256(value)
	b.Documents[0].CMS = must(p.Assemble(value, cms.AssembleOptions{}))(t)
	b.Documents[0].SignatureSHA256, b.Documents[0].Timestamp = vh[:], s.stamp(value, b.Signed())
	s.relog(b)
	wantVerdict(t, "hash of the attributes", s.verify(b), bundle.Valid)
	b.Documents[0].CMS, _, _ = s.sign(doc[:], b.Signed())
	wantStatus(t, "other attributes", s.verify(b), "signature[0]", bundle.Failed)
}

func TestShortTermCertificateNeedsNoRevocation(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.signer, s.signerKey = s.issue("one-shot", func(c *x509.Certificate) {
		s.signerTemplate(c)
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{0, 4, 0, 194121, 2, 1}, Value: []byte{5, 0}}}
	}, s.issuing, s.issuingKey)
	b := s.bundle(s.signing())
	b.OCSP = nil
	wantVerdict(t, "short-term", s.verify(b), bundle.Valid)
}

func TestLoweredLevelIsReported(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.bundle(s.signing())
	b.Documents[0].Achieved = bundle.LevelBT // may be raised later, so the log does not hold it
	r := s.verify(b)
	if !r.Documents[0].Lowered || r.Documents[1].Lowered {
		t.Errorf("got %+v", r.Documents)
	}
	wantVerdict(t, "lowered", r, bundle.Valid)
	if !strings.Contains(r.Documents[0].Requested, "B-LT") {
		t.Errorf("got %+v", r.Documents[0])
	}
}
