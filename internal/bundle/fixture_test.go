package bundle_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
	"golang.org/x/mod/sumdb/tlog"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/tsp"
)

const (
	rpID      = "id.example.org"
	origin    = "https://id.example.org"
	logOrigin = "id.example.org/log"
)

var start = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// person is somebody with one passkey.
type person struct {
	id   identity.PersonID
	auth *softauthn.Authenticator
	cred softauthn.Credential
}

func (p *person) record() act.KeyRecord {
	backup := act.SingleDevice
	if p.cred.BE {
		backup = act.MultiDevice
	}
	return act.KeyRecord{COSE: p.cred.COSE, Backup: backup, Attestation: act.AttestationNone}
}

func (p *person) assert(t testing.TB, challenge act.Hash) assertion.Response {
	t.Helper()
	r := must(p.auth.Assert(p.cred.ID, rpID, origin, challenge[:]))(t)
	return assertion.Response{AuthenticatorData: r.AuthenticatorData, ClientDataJSON: r.ClientDataJSON, Signature: r.Signature}
}

// site is a deployment with a certification authority, a time-stamping unit, a log and people.
type site struct {
	t     testing.TB
	now   time.Time
	acts  []*act.Signed
	trust bundle.Trust

	admin, registrar, supervisor, official *person

	root, issuing, signer, unit, responder *x509.Certificate
	rootKey, issuingKey, signerKey         crypto.Signer
	unitKey, responderKey                  crypto.Signer
	logKey                                 ed25519.PrivateKey
	serial                                 int64
}

func (s *site) person(n int) *person {
	p := &person{id: identity.PersonID(fmt.Sprintf("per_%026d", n)), auth: softauthn.New(softauthn.Config{})}
	p.cred = must(p.auth.NewCredential(rpID, []byte{byte(n)}))(s.t)
	return p
}

func (s *site) act(b act.Body, signers ...*person) *act.Signed {
	s.t.Helper()
	s.now = s.now.Add(time.Minute)
	st := act.Statement{ID: identity.ActID(fmt.Sprintf("act_%026d", len(s.acts)+1)), Genesis: s.trust.Genesis, At: s.now, Body: b}
	hash := must(st.Hash())(s.t)
	var sigs []act.Signature
	for _, p := range signers {
		sigs = append(sigs, act.Signature{Person: p.id, Key: act.Hash(sha256.Sum256(p.cred.COSE)), Response: p.assert(s.t, hash)})
	}
	out := must(act.Sign(st, sigs...))(s.t)
	s.acts = append(s.acts, out)
	return out
}

func (s *site) approve(a *act.Signed) {
	s.act(&act.Approval{Target: a.Hash(), TargetKind: a.Statement().Body.Kind(), Approver: s.supervisor.id, Capacity: act.Supervisor}, s.supervisor)
}

func (s *site) enrolment(p *person) *act.Enrolment {
	e := &act.Enrolment{Person: p.id, Level: identity.N3, Registrar: s.registrar.id, Site: "site-1", Policy: "1.0"}
	if p.auth != nil {
		e.Keys = []act.KeyRecord{p.record()}
	}
	return e
}

var (
	testAppointment = identity.AppointmentID(fmt.Sprintf("apt_%026d", 1))
	testPolicy      = "1.3.6.1.4.1.99999.1.2"
)

func newSite(t testing.TB) *site {
	t.Helper()
	s := &site{t: t, now: start}
	s.admin, s.registrar, s.supervisor, s.official = s.person(1), s.person(2), s.person(3), s.person(10)
	pub, key := must2(ed25519.GenerateKey(rand.Reader))(t)
	s.logKey = key
	vkey := must(logverify.VerifierKey(logOrigin, pub))(t)
	founder := func(p *person, r act.Role) act.Founder {
		return act.Founder{Person: p.id, Roles: []act.Role{r}, Keys: []act.KeyRecord{p.record()}}
	}
	genesis := s.act(&act.Genesis{
		Name: "Gobernación de ejemplo", RPID: rpID,
		Settings: act.Settings{Origins: []string{origin}, LogOrigin: logOrigin, LogKey: vkey, Policy: "1.0"},
		Founders: []act.Founder{founder(s.admin, act.Administrator), founder(s.registrar, act.Registrar), founder(s.supervisor, act.Supervisor)},
	}, s.admin, s.registrar, s.supervisor)
	s.trust = bundle.Trust{Genesis: genesis.Hash(), Now: start.Add(24 * time.Hour), Roots: x509.NewCertPool(), TSARoots: x509.NewCertPool()}
	s.approve(s.act(s.enrolment(s.official), s.registrar, s.official))
	s.approve(s.act(&act.Appointment{
		Appointment: testAppointment, Institution: "ins_00000000000000000000000001", Post: "pst_00000000000000000000000001",
		Person: s.official.id, Holding: act.Titular, Exclusive: true, LegalAct: "Memorándum 12/2026",
		Proposer: s.admin.id, Capacity: act.Administrator,
	}, s.admin))
	s.certificates()
	s.now = s.now.Add(10 * time.Minute)
	return s
}

func must2[A, B any](a A, b B, err error) func(testing.TB) (A, B) {
	return func(t testing.TB) (A, B) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return a, b
	}
}

// issue issues a certificate for a new P-256 key.
func (s *site) issue(name string, change func(*x509.Certificate), parent *x509.Certificate, parentKey crypto.Signer) (*x509.Certificate, crypto.Signer) {
	s.t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(s.t)
	s.serial++
	c := &x509.Certificate{
		SerialNumber: big.NewInt(s.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: start.Add(-time.Hour), NotAfter: start.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	change(c)
	if parent == nil {
		parent, parentKey = c, key
	}
	der := must(x509.CreateCertificate(rand.Reader, c, parent, key.Public(), parentKey))(s.t)
	return must(x509.ParseCertificate(der))(s.t), key
}

func (s *site) certificates() {
	ca := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign }
	s.root, s.rootKey = s.issue("root", ca, nil, nil)
	s.issuing, s.issuingKey = s.issue("issuing", ca, s.root, s.rootKey)
	s.signer, s.signerKey = s.issue("official", s.signerTemplate, s.issuing, s.issuingKey)
	critical := must(asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}))(s.t)
	s.unit, s.unitKey = s.issue("unit", func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: critical}}
	}, s.root, s.rootKey)
	s.responder, s.responderKey = s.issue("responder", func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	}, s.issuing, s.issuingKey)
	s.trust.Roots.AddCert(s.root)
	s.trust.TSARoots.AddCert(s.root)
}

func (s *site) signerTemplate(c *x509.Certificate) {
	policy := must(x509.ParseOID(testPolicy))(s.t)
	c.KeyUsage = x509.KeyUsageContentCommitment
	c.Policies = []x509.OID{policy}
}

func sum(s string) act.Hash { return sha256.Sum256([]byte(s)) }

// signing is an activation of two documents by the official.
func (s *site) signing() *act.Signing {
	doc := func(n string) act.Document {
		h := sum("byte range " + n)
		return act.Document{SHA256: sum("file " + n), ByteRange: h[:], Field: "Firma " + n}
	}
	a := &act.Signing{Documents: []act.Document{doc("1"), doc("2")}}
	a.Common = act.Common{
		RequestID: "req_1", Person: s.official.id, Appointment: testAppointment,
		Certificate: sha256.Sum256(s.signer.Raw), Expiry: s.now.Add(5 * time.Minute), Nonce: sum("nonce"),
	}
	return a
}

// sign makes the CMS, the value and the time-stamp of one digest.
func (s *site) sign(digest []byte, at time.Time) (signed, value, token []byte) {
	s.t.Helper()
	p := must(cms.PrepareSignedAttrs(cms.Params{Certificate: s.signer, Digest: digest}))(s.t)
	value = must(p.Sign(rand.Reader, s.signerKey))(s.t)
	signed = must(p.Assemble(value, cms.AssembleOptions{}))(s.t)
	return signed, value, s.stamp(value, at)
}

func (s *site) stamp(value []byte, at time.Time) []byte {
	s.t.Helper()
	digest := sha256.Sum256(value)
	s.serial++
	p := must(tsp.PrepareToken(&tsp.TSTInfo{
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 2}, Serial: big.NewInt(s.serial), GenTime: at,
		Imprint: tsp.Imprint{Hash: crypto.SHA256, Digest: digest[:]},
	}, s.unit, 0))(s.t)
	sig := must(p.Sign(rand.Reader, s.unitKey))(s.t)
	return must(p.Assemble(sig, cms.AssembleOptions{}))(s.t)
}

func (s *site) ocsp(change func(*ocsp.Response)) []byte {
	s.t.Helper()
	r := ocsp.Response{
		Status: ocsp.Good, SerialNumber: s.signer.SerialNumber, Certificate: s.responder,
		ThisUpdate: s.now, NextUpdate: s.now.Add(24 * time.Hour),
	}
	if change != nil {
		change(&r)
	}
	return must(ocsp.CreateResponse(s.issuing, s.responder, r, s.responderKey))(s.t)
}

// receipt logs a body beside another leaf and returns the receipt's text.
func (s *site) receipt(body []byte, class logverify.Class) []byte {
	s.t.Helper()
	salt := logverify.Salt(sum("salt"))
	parts := logverify.Parts{Header: logverify.Hash(sum("header")), Body: logverify.BodyHash(salt, body), Content: logverify.Hash(sum("content"))}
	leaf := must(logverify.Leaf{Class: class, Time: s.now, Commitment: parts.Commitment()}.Marshal())(s.t)
	other := logverify.LeafHash([]byte("another leaf"))
	mine := logverify.LeafHash(leaf)
	root := tlog.NodeHash(tlog.Hash(other), tlog.Hash(mine))
	note := must(logverify.SignCheckpoint(logverify.Checkpoint{
		Origin: logOrigin, Tree: logverify.Tree{Size: 2, Root: logverify.Hash(root)},
	}, s.logKey))(s.t)
	r := logverify.Receipt{
		Leaf:  leaf,
		Body:  logverify.BodyOpening{HeaderHash: parts.Header, ContentHash: parts.Content, Salt: salt, Body: body},
		Proof: logverify.Proof{Index: 1, Hashes: []logverify.Hash{other}, Checkpoint: note},
	}
	return must(r.MarshalText())(s.t)
}

func (s *site) chain() *act.Chain { return must(act.Build(s.trust.Genesis, s.acts))(s.t) }

// bundle makes the evidence of an activation with everything in it.
func (s *site) bundle(a act.Activation) *bundle.Bundle {
	s.t.Helper()
	pre := must(a.Preimage())(s.t)
	challenge := act.Hash(sha256.Sum256(pre))
	r := s.official.assert(s.t, challenge)
	signedAt := s.now.Add(time.Second)
	b := &bundle.Bundle{
		Format: bundle.Format, Class: identity.Llave, Preimage: pre, SignedAt: signedAt.UnixMicro(),
		Assertion: bundle.Assertion{
			AuthenticatorData: r.AuthenticatorData, ClientDataJSON: r.ClientDataJSON,
			COSEKey: s.official.cred.COSE, Signature: r.Signature,
		},
		Certificates: []bundle.Bytes{s.signer.Raw, s.issuing.Raw},
		OCSP:         s.ocsp(nil),
	}
	for _, x := range must(s.chain().Proof(s.proofOf()...))(s.t) {
		b.Acts = append(b.Acts, bundle.Act{Act: must(x.Marshal())(s.t), Receipt: s.receipt(x.Leaf(), logverify.ClassAct)})
	}
	s.fill(b, a, signedAt)
	s.relog(b)
	return b
}

// proofOf names the acts on which the official's signature rests.
func (s *site) proofOf() []act.Hash {
	c := s.chain()
	g := must(c.Key(act.Hash(sha256.Sum256(s.official.cred.COSE)), s.official.id, identity.N2, s.now))(s.t)
	p := must(c.Appointment(testAppointment, s.official.id, s.now))(s.t)
	return []act.Hash{g.Act, p.Act}
}

func (s *site) fill(b *bundle.Bundle, a act.Activation, at time.Time) {
	switch a := a.(type) {
	case *act.Signing:
		for _, d := range a.Documents {
			signed, value, token := s.sign(d.ByteRange, at.Add(time.Second))
			vh := sha256.Sum256(value)
			page := sum("page")
			b.Documents = append(b.Documents, bundle.Document{
				Achieved: bundle.LevelBLT, Requested: bundle.LevelBLT, CMS: signed, Digest: d.ByteRange, Name: d.Field,
				Pages: []bundle.Bytes{page[:]}, SHA256: slices.Clone(d.SHA256[:]), SignatureSHA256: vh[:], Timestamp: token,
			})
		}
	case *act.HashSigning:
		for _, h := range a.Hashes {
			signed, value, token := s.sign(h.Hash, at.Add(time.Second))
			vh := sha256.Sum256(value)
			b.Documents = append(b.Documents, bundle.Document{
				Achieved: bundle.LevelBT, Requested: bundle.LevelBT, CMS: signed, Digest: h.Hash, Name: h.Label,
				SignatureSHA256: vh[:], Timestamp: token,
			})
		}
	}
}

// relog makes the receipt for the signatures that b has now.
func (s *site) relog(b *bundle.Bundle) {
	s.t.Helper()
	body := must(b.LogBody())(s.t)
	b.Log = bundle.Log{State: bundle.LogProved, Receipt: s.receipt(body, logverify.ClassSignature)}
}

func (s *site) verify(b *bundle.Bundle) *bundle.Report {
	s.t.Helper()
	return must(bundle.Verify(must(b.Encode())(s.t), s.trust))(s.t)
}
