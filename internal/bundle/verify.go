package bundle

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"crypto/sha256"
	"crypto/x509"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/identity"
)

// Trust is what a verifier believes beforehand.
type Trust struct {
	// Genesis is the hash of the deployment's genesis act. Required.
	Genesis act.Hash
	// Now bounds times from above. Required.
	Now time.Time
	// Roots are the trust anchors of signers' certificates; nil leaves the certificate unchecked.
	Roots *x509.CertPool
	// TSARoots are those of time-stamps; nil leaves them unchecked.
	TSARoots *x509.CertPool
	// LogKey is the verifier key of the transparency log. If empty, the key in
	// the acts is used, and if there is none either, log proofs are unchecked.
	LogKey string
	// Least is the least level of the signer's key; N2 if zero.
	Least identity.Level
}

// ErrTrust reports a [Trust] without its required fields.
var ErrTrust = errors.New("bundle: trust anchors missing")

// Bounds between the signing core's clock and a time-stamp.
const (
	maxEarlier = 10 * time.Minute // the time-stamp comes at most so long after the signature
	maxSkew    = time.Minute      // and at most so long before it, by other clocks
)

// verifier carries one verification.
type verifier struct {
	b          *Bundle
	t          Trust
	r          *Report
	activation act.Activation
	common     act.Common
	challenge  act.Hash
	chain      *act.Chain
	leaf       *x509.Certificate
	issuer     *x509.Certificate
	path       []*x509.Certificate // the others in the bundle
	// times are those at which the signer's authority must hold: claimed and proven.
	times []time.Time
}

// Verify decodes a bundle and checks everything it can. The error is about
// the bundle's form ([ErrSize], [ErrFormat], [ErrValue]) or [ErrTrust];
// whether the evidence holds is in the report.
func Verify(raw []byte, t Trust) (*Report, error) {
	if t.Genesis.IsZero() || t.Now.IsZero() {
		return nil, ErrTrust
	}
	if t.Least == identity.N0 {
		t.Least = identity.N2
	}
	b, err := Decode(raw)
	if err != nil {
		return nil, err
	}
	v := &verifier{b: b, t: t, r: &Report{}}
	if err := v.begin(); err != nil {
		return nil, err
	}
	readable := v.readCertificates()
	v.documents()
	v.expiry()
	if readable {
		v.certificate()
	}
	if v.acts() {
		v.signer()
		v.appointment()
	}
	v.revocation()
	v.log()
	v.r.judge()
	return v.r, nil
}

func (v *verifier) begin() error {
	var err error
	if v.activation, err = act.ParseActivation(v.b.Preimage); err != nil {
		return fmt.Errorf("%w: preimage: %w", ErrValue, err) // Decode made sure
	}
	v.common = v.activation.Shared()
	v.challenge = sha256.Sum256(v.b.Preimage)
	v.times = []time.Time{v.b.Signed()}
	r := v.r
	r.Class, r.RequestID, r.Person, r.Appointment = v.b.Class, v.common.RequestID, v.common.Person, v.common.Appointment
	r.Challenge, r.SignedAt = v.challenge.String(), v.b.Signed()
	for _, d := range v.b.Documents {
		r.Documents = append(r.Documents, DocumentReport{
			SHA256: hex.EncodeToString(d.SHA256), Digest: hex.EncodeToString(d.Digest), Name: d.Name,
			Requested: d.Requested, Achieved: d.Achieved, Lowered: rank(d.Achieved) < rank(d.Requested), Pages: len(d.Pages),
		})
	}
	r.add(CheckPreimage, OK, true, fmt.Sprintf("challenge %v over %d documents", v.challenge, len(v.b.Documents)))
	return nil
}

// expiry checks that the activation was used in time.
func (v *verifier) expiry() {
	var err error
	if !v.b.Signed().Before(v.common.Expiry) {
		err = fmt.Errorf("signed at %v, the activation expired at %v", v.b.Signed(), v.common.Expiry)
	}
	if err == nil && v.b.Signed().After(v.t.Now.Add(maxSkew)) {
		err = fmt.Errorf("signed at %v, in the future", v.b.Signed())
	}
	v.r.result(CheckExpiry, "signed before the activation expired", err)
}

// acts builds the chain. Every act in a bundle must stand: one that is refused
// or waits has no business there.
func (v *verifier) acts() bool {
	signed := make([]*act.Signed, len(v.b.Acts))
	for i, a := range v.b.Acts {
		s, err := act.Parse(a.Act)
		if err != nil {
			return v.r.result(CheckActs, "", fmt.Errorf("act %d: %w", i, err))
		}
		signed[i] = s
	}
	chain, err := act.Build(v.t.Genesis, signed)
	if err == nil {
		for _, r := range slices.Concat(chain.Refusals(), chain.Waiting()) {
			err = errors.Join(err, r)
		}
	}
	if err == nil && !sameOrder(signed, chain.Acts()) {
		err = errors.New("acts are not in the order of the chain")
	}
	if !v.r.result(CheckActs, fmt.Sprintf("%d acts stand under genesis %v", len(signed), v.t.Genesis), err) {
		return false
	}
	v.chain = chain
	v.r.Deployment = chain.Deployment(v.b.Signed()).Name
	v.actsLogged(signed)
	return true
}

func sameOrder(a, b []*act.Signed) bool {
	return slices.EqualFunc(a, b, func(x, y *act.Signed) bool { return x.Hash() == y.Hash() })
}

// signer checks who activated the signature, and how.
func (v *verifier) signer() {
	if v.b.Class == identity.Ventanilla {
		v.presence()
		return
	}
	id := act.Hash(sha256.Sum256(v.b.Assertion.COSEKey))
	var grant act.KeyGrant
	var err error
	for _, t := range v.times {
		g, e := v.chain.Key(id, v.common.Person, v.t.Least, t)
		if e != nil {
			err = fmt.Errorf("at %v: %w", t, e)
			break
		}
		grant = g
	}
	if v.r.result(CheckKey, fmt.Sprintf("the key is accepted for the person at %v, %s", grant.Level, grant.Backup), err) {
		v.r.Key, v.r.Level = grant, grant.Level.String()
	}
	v.r.result(CheckAssertion, "the passkey signed the challenge, user verified", v.assertion(grant))
}

func (v *verifier) assertion(grant act.KeyGrant) error {
	d := v.chain.Deployment(v.b.Signed())
	a := v.b.Assertion
	got, err := assertion.Verify(assertion.Response{
		AuthenticatorData: a.AuthenticatorData, ClientDataJSON: a.ClientDataJSON, Signature: a.Signature,
	}, assertion.Expected{
		RPID: d.RPID, Origins: d.Origins, Challenge: v.challenge[:], PublicKey: a.COSEKey, RequireUV: true,
	})
	if err != nil {
		return err
	}
	if grant.Person != "" && got.BE() != (grant.Backup == act.MultiDevice) {
		return act.ErrBackup
	}
	return nil
}

// presence checks the registrar's attestation of decision D13.
func (v *verifier) presence() {
	var level identity.Level
	var err error
	for _, t := range v.times {
		if level, err = v.chain.Enrolled(v.common.Person, t); err != nil {
			break
		}
	}
	if err == nil && level < v.t.Least {
		err = fmt.Errorf("%w: enrolled at %v", act.ErrLevel, level)
	}
	if err == nil {
		v.r.Level = level.String()
		err = v.attested()
	}
	v.r.result(CheckPresence, "a registrar attested the person's presence for this challenge", err)
}

func (v *verifier) attested() error {
	p, _, err := v.chain.Attested(v.challenge, v.common.Person, v.b.Signed())
	if err != nil {
		return err
	}
	if p.RequestID != v.common.RequestID {
		return fmt.Errorf("%w: attested for another request", act.ErrNoPresence)
	}
	return nil
}

func (v *verifier) appointment() {
	if v.common.Appointment == "" {
		return
	}
	var err error
	for _, t := range v.times {
		var p act.Post
		if p, err = v.chain.Appointment(v.common.Appointment, v.common.Person, t); err != nil {
			err = fmt.Errorf("at %v: %w", t, err)
			break
		}
		v.r.Post = p
	}
	v.r.result(CheckAppointment, fmt.Sprintf("the person held the post, %s", v.r.Post.LegalAct), err)
}

// readCertificates parses the certificates. It leaves leaf nil if one cannot be read.
func (v *verifier) readCertificates() bool {
	certs := make([]*x509.Certificate, len(v.b.Certificates))
	for i, der := range v.b.Certificates {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return v.r.result(CheckCertificate, "", fmt.Errorf("certificate %d: %w", i, err))
		}
		certs[i] = c
	}
	v.leaf, v.path = certs[0], certs[1:]
	return true
}

// certificate checks the signer's certificate and its path, at the claimed and
// at every proven time.
func (v *verifier) certificate() {
	if err := v.named(v.leaf); err != nil {
		v.r.result(CheckCertificate, "", err)
		return
	}
	if v.t.Roots == nil {
		v.r.add(CheckCertificate, NotChecked, true, "no roots were given")
		return
	}
	pool := x509.NewCertPool()
	for _, c := range v.path {
		pool.AddCert(c)
	}
	var err error
	for _, t := range v.times {
		var chains [][]*x509.Certificate
		chains, err = v.leaf.Verify(x509.VerifyOptions{
			Roots: v.t.Roots, Intermediates: pool, CurrentTime: t, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err != nil {
			err = fmt.Errorf("at %v: %w", t, err)
			break
		}
		if len(chains[0]) > 1 {
			v.issuer = chains[0][1]
		}
	}
	v.r.result(CheckCertificate, "the certificate is the one approved, on a path to the roots", err)
}

// named checks that the certificate is the one that the activation names, or
// of the policy it names, and may sign.
func (v *verifier) named(leaf *x509.Certificate) error {
	if sum := act.Hash(sha256.Sum256(leaf.Raw)); !v.common.Certificate.IsZero() && sum != v.common.Certificate {
		return errors.New("another certificate than the signer approved")
	}
	if s, ok := v.activation.(*act.Signing); ok && v.common.Certificate.IsZero() {
		has := slices.ContainsFunc(leaf.Policies, func(p x509.OID) bool { return p.String() == s.Policy })
		if !has {
			return fmt.Errorf("the certificate is not of policy %s", s.Policy)
		}
	}
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return errors.New("the certificate may not sign documents")
	}
	return nil
}

// equalCertificate reports whether two certificates are the same bytes.
func equalCertificate(a, b *x509.Certificate) bool { return bytes.Equal(a.Raw, b.Raw) }
