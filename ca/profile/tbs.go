package profile

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxTBS bounds a TBSCertificate in bytes; real ones are below 2 KiB.
const MaxTBS = 8 << 10

// ErrInput reports a request that no profile could satisfy.
var ErrInput = errors.New("profile: bad input")

// Issuer is what a certificate says about who signs it.
type Issuer struct {
	Kind      Kind
	Slug      string // names it in addresses, for instance "firma-g1"
	Name      []byte // DER of its subject name
	KeyID     []byte // its subject key identifier
	PublicKey crypto.PublicKey
	NotBefore time.Time
	NotAfter  time.Time
}

// IssuerOf reads an authority's certificate. Errors match [ErrInput].
func IssuerOf(k Kind, slug string, cert *x509.Certificate) (Issuer, error) {
	if err := checkSlug(slug); err != nil {
		return Issuer{}, err
	}
	if !cert.IsCA || len(cert.SubjectKeyId) == 0 {
		return Issuer{}, fmt.Errorf("%w: not the certificate of an authority", ErrInput)
	}
	return Issuer{Kind: k, Slug: slug, Name: cert.RawSubject, KeyID: cert.SubjectKeyId,
		PublicKey: cert.PublicKey, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}, nil
}

// Input is one certificate to be made.
type Input struct {
	Serial    []byte // 1 to 20 octets, first octet 0x01 to 0x7f
	Subject   Subject
	PublicKey crypto.PublicKey
	Issuer    Issuer // ignored for a root
	Now       time.Time
	// NotAfter asks for an earlier end; zero: the profile's longest.
	NotAfter time.Time
	// AppointmentEnd is the instant from which the post is no longer held; zero: open.
	AppointmentEnd time.Time
	// Binding ties a one-signature certificate to what it signs; optional.
	Binding *Binding
}

// TBS is a certificate ready to be linted and signed. DER is exact: whatever
// is signed is these bytes.
type TBS struct {
	Kind        Kind
	ProfileHash string
	DER         []byte
	Serial      []byte
	SPKI        []byte
	Algorithm   SignatureAlgorithm // of the issuer
	NotBefore   time.Time
	NotAfter    time.Time
}

// Certificate appends the issuer's signature.
func (t TBS) Certificate(sig []byte) []byte { return t.Algorithm.Assemble(t.DER, sig) }

// KeyID is the subject key identifier of RFC 7093 §2 method 1: the leftmost 160
// bits of the SHA-256 of the public key's BIT STRING, given the whole
// SubjectPublicKeyInfo in DER.
func KeyID(spki []byte) ([]byte, error) {
	in := cryptobyte.String(spki)
	var seq cryptobyte.String
	var key []byte
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.SkipASN1(cbasn1.SEQUENCE) ||
		!seq.ReadASN1BitStringAsBytes(&key) || !seq.Empty() {
		return nil, fmt.Errorf("%w: malformed SubjectPublicKeyInfo", ErrInput)
	}
	sum := sha256.Sum256(key)
	return sum[:20], nil
}

// Build makes the TBSCertificate of profile k. Errors match [ErrKind],
// [ErrSubject], [ErrValidity], [ErrHalfLife], [ErrAlgorithm] or [ErrInput].
func (s *Set) Build(k Kind, in Input) (TBS, error) {
	p, err := Of(k)
	if err != nil {
		return TBS{}, err
	}
	subjectKey, err := AlgorithmOf(in.PublicKey)
	if err != nil {
		return TBS{}, err
	}
	if !p.certifies(subjectKey.key) {
		return TBS{}, fmt.Errorf("%w: profile %s does not certify %s keys", ErrAlgorithm, k, subjectKey.key)
	}
	if err := p.checkInput(in); err != nil {
		return TBS{}, err
	}
	attrs, err := s.attributes(p, in.Subject)
	if err != nil {
		return TBS{}, err
	}
	from, to, err := p.period(in)
	if err != nil {
		return TBS{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(in.PublicKey)
	if err != nil {
		return TBS{}, fmt.Errorf("%w: %w", ErrAlgorithm, err)
	}
	keyID, err := KeyID(spki)
	if err != nil {
		return TBS{}, err
	}
	name, err := encodeName(attrs)
	if err != nil {
		return TBS{}, err
	}
	issuer, alg := in.Issuer, subjectKey
	if p.selfSigned() {
		issuer = Issuer{Name: name, PublicKey: in.PublicKey}
	} else if alg, err = AlgorithmOf(issuer.PublicKey); err != nil {
		return TBS{}, err
	}
	e := extensions{set: s, p: p, in: in, keyID: keyID, from: from, to: to}
	der, err := encodeTBS(in.Serial, alg, issuer.Name, from, to, name, spki, e)
	if err != nil {
		return TBS{}, err
	}
	return TBS{Kind: k, ProfileHash: p.Hash(), DER: der, Serial: in.Serial, SPKI: spki, Algorithm: alg, NotBefore: from, NotAfter: to}, nil
}

func (p Profile) checkInput(in Input) error {
	if n := len(in.Serial); n < 1 || n > 20 || in.Serial[0] == 0 || in.Serial[0] > 0x7f {
		return fmt.Errorf("%w: serial must be 1 to 20 octets and begin with 0x01 to 0x7f", ErrInput)
	}
	if in.Now.IsZero() {
		return fmt.Errorf("%w: no time of issue", ErrInput)
	}
	if in.Binding != nil && p.Kind != FirmaUnica {
		return fmt.Errorf("%w: only a one-signature certificate is bound to a document", ErrInput)
	}
	if !in.AppointmentEnd.IsZero() && in.Subject.Office == (Office{}) {
		return fmt.Errorf("%w: an end of appointment without a post", ErrInput)
	}
	if p.selfSigned() {
		return nil
	}
	if !p.issuedBy(in.Issuer.Kind) {
		return fmt.Errorf("%w: profile %s is not issued by %q", ErrInput, p.Kind, in.Issuer.Kind)
	}
	if len(in.Issuer.Name) == 0 || len(in.Issuer.KeyID) == 0 {
		return fmt.Errorf("%w: incomplete issuer", ErrInput)
	}
	return checkSlug(in.Issuer.Slug)
}

func encodeTBS(serial []byte, alg SignatureAlgorithm, issuer []byte, from, to time.Time, subject, spki []byte, e extensions) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 1536))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) })
		b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial) })
		alg.Add(b)
		b.AddBytes(issuer)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, from)
			addTime(b, to)
		})
		b.AddBytes(subject)
		b.AddBytes(spki)
		b.AddASN1(cbasn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, e.add)
		})
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	if len(der) > MaxTBS {
		return nil, fmt.Errorf("%w: certificate would have %d octets, more than %d", ErrInput, len(der), MaxTBS)
	}
	return der, nil
}

// addTime writes UTCTime until 2049 and GeneralizedTime from 2050 on (RFC 5280
// §4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t.Year() >= 2050 {
		b.AddASN1GeneralizedTime(t)
		return
	}
	b.AddASN1UTCTime(t)
}

// encodeName writes an RDNSequence with one attribute per RDN.
func encodeName(attrs []nameAttribute) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 256))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, a := range attrs {
			oid, tag := attributeType(a.attr)
			b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oid)
					b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(a.value)) })
				})
			})
		}
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return der, nil
}
