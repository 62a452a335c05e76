package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Params says what is to be signed. Certificate and one of Digest and Content
// are required.
type Params struct {
	// Certificate is the signer's; its hash becomes a signed attribute.
	Certificate *x509.Certificate
	// Algorithm defaults to [AlgorithmFor] the certificate's key.
	Algorithm Algorithm
	// Scheme, if not nil, is what to sign with instead of an Algorithm.
	Scheme *Scheme
	// Digest is that of the detached content, by Algorithm's hash. Exclusive with Content.
	Digest []byte
	// Content is attached to the result. Exclusive with Digest.
	Content []byte
	// ContentType defaults to id-data.
	ContentType asn1.ObjectIdentifier
	// IssuerSerial adds the optional issuerSerial to the ESSCertIDv2.
	IssuerSerial bool
	// SigningTime adds the signing-time attribute (seconds, UTC) unless zero.
	// PAdES forbids it (EN 319 142-1 §6.3): leave it zero there.
	SigningTime time.Time
	// Commitment adds a commitment-type-indication unless nil.
	Commitment asn1.ObjectIdentifier
	// Policy adds a signature-policy-identifier unless nil.
	Policy *SignaturePolicy
	// Extra are further signed attributes, for instance signer-attributes-v2:
	// of a type that the reader understands, and that no field above stands for.
	Extra []Attribute
}

// SignaturePolicy is an explicit signature policy (EN 319 122-1 §5.2.9).
type SignaturePolicy struct {
	ID     asn1.ObjectIdentifier
	Hash   crypto.Hash // of the policy document
	Digest []byte
	URI    string // optional, ASCII
}

// Prepared is a signature whose signed attributes are fixed and whose value is
// yet to come. It is immutable and safe for concurrent use.
type Prepared struct {
	cert        *x509.Certificate
	scheme      *Scheme
	contentType asn1.ObjectIdentifier
	content     []byte
	signedAttrs []byte // DER SET OF
}

// PrepareSignedAttrs builds the signed attributes. It keeps no secret and uses
// no randomness: equal parameters give equal bytes. Errors: [ErrParams],
// [ErrDigestLength], [ErrAlgorithm], [ErrWeakAlgorithm], [ErrAlgorithmMismatch].
func PrepareSignedAttrs(p Params) (*Prepared, error) {
	if p.Certificate == nil {
		return nil, fmt.Errorf("%w: no certificate", ErrParams)
	}
	if (p.Digest == nil) == (p.Content == nil) {
		return nil, fmt.Errorf("%w: want either a digest or content", ErrParams)
	}
	alg, err := signingScheme(p.Certificate, p.Algorithm, p.Scheme)
	if err != nil {
		return nil, err
	}
	digest := p.Digest
	if p.Content != nil {
		if len(p.Content) > MaxSize/2 {
			return nil, fmt.Errorf("%w: content of %d octets", ErrTooLarge, len(p.Content))
		}
		digest = alg.digest(p.Content)
	}
	if len(digest) != alg.Hash.Size() {
		return nil, fmt.Errorf("%w: %d octets for %v", ErrDigestLength, len(digest), alg.Name)
	}
	typ := p.ContentType
	if typ == nil {
		typ = OIDData
	}
	attrs, err := p.attributes(typ, digest)
	if err != nil {
		return nil, err
	}
	set, err := marshalAttributes(attrs, cbasn1.SET)
	if err != nil {
		return nil, err
	}
	return &Prepared{cert: p.Certificate, scheme: alg, contentType: typ, content: p.Content, signedAttrs: set}, nil
}

func signingScheme(cert *x509.Certificate, alg Algorithm, s *Scheme) (*Scheme, error) {
	if s == nil && alg == 0 {
		return SchemeOf(cert, "", nil)
	}
	if s == nil {
		s = alg.scheme()
	}
	if s.alg == 0 && s != &noScheme {
		_, err := s.checkKey(cert)
		return s, err
	}
	return s, s.CheckKey(cert.PublicKey)
}

// attributes returns the signed attributes of p.
func (p Params) attributes(typ asn1.ObjectIdentifier, digest []byte) ([]Attribute, error) {
	var e encoder
	attrs := []Attribute{
		e.attr(OIDContentType, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(typ) }),
		e.attr(OIDMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest) }),
	}
	ess, err := marshalESSv2(p.Certificate, p.IssuerSerial)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %w", ErrParams, err)
	}
	attrs = append(attrs, Attribute{Type: OIDSigningCertificateV2, Values: [][]byte{ess}})
	if !p.SigningTime.IsZero() {
		attrs = append(attrs, e.attr(OIDSigningTime, func(b *cryptobyte.Builder) { addTime(b, p.SigningTime) }))
	}
	if p.Commitment != nil {
		attrs = append(attrs, e.attr(OIDCommitmentType, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(p.Commitment) })
		}))
	}
	if p.Policy != nil {
		if !validPolicy(p.Policy) {
			return nil, fmt.Errorf("%w: signature policy", ErrParams)
		}
		attrs = append(attrs, e.attr(OIDSignaturePolicy, p.Policy.add))
	}
	if e.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParams, e.err)
	}
	for _, x := range p.Extra {
		if _, dup := findAttribute(attrs, x.Type); dup {
			return nil, fmt.Errorf("%w: extra attribute: %w", ErrParams, attrErr(ErrAttributeDuplicate, x.Type))
		}
		if !allowedExtra(x.Type) {
			return nil, fmt.Errorf("%w: extra attribute: %w", ErrParams, attrErr(ErrAttributeForbidden, x.Type))
		}
		attrs = append(attrs, x)
	}
	return attrs, nil
}

func allowedExtra(typ asn1.ObjectIdentifier) bool {
	for _, ok := range []asn1.ObjectIdentifier{
		OIDSignerAttributesV2, oidSignerAttributes, oidSignerLocation, oidContentTimeStamp,
		oidContentHints, oidContentIdentifier, oidMimeType, oidSMIMECapabilities,
	} {
		if typ.Equal(ok) {
			return true
		}
	}
	return false
}

// encoder collects the first encoding error of several attributes.
type encoder struct{ err error }

func (e *encoder) attr(typ asn1.ObjectIdentifier, f func(*cryptobyte.Builder)) Attribute {
	var b cryptobyte.Builder
	f(&b)
	v, err := b.Bytes()
	if err != nil && e.err == nil {
		e.err = err
	}
	return Attribute{Type: typ, Values: [][]byte{v}}
}

// addTime writes a Time (RFC 5652 §11.3): UTCTime through 2049.
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC().Truncate(time.Second)
	if y := t.Year(); y >= 1950 && y < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}

func validPolicy(p *SignaturePolicy) bool {
	if len(p.ID) < 2 || hashOID(p.Hash) == nil || len(p.Digest) != p.Hash.Size() || len(p.URI) > 2048 {
		return false
	}
	for i := range len(p.URI) {
		if c := p.URI[i]; c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// add writes SignaturePolicyId.
func (p *SignaturePolicy) add(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(p.ID)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			AddDigestAlgorithm(b, p.Hash)
			b.AddASN1OctetString(p.Digest)
		})
		if p.URI == "" {
			return
		}
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidPolicyURI)
				b.AddASN1(cbasn1.IA5String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(p.URI)) })
			})
		})
	})
}

// Resume rebuilds a Prepared from stored signed attributes, after a restart or
// in another process. It checks them as a reader would: DER, order, and that
// the signing-certificate attribute names cert. content is nil if detached.
// Errors: those of reading, [ErrESSMismatch], [ErrMessageDigest] where content
// is not what the attributes say.
func Resume(cert *x509.Certificate, alg Algorithm, signedAttrs, content []byte) (*Prepared, error) {
	return ResumeScheme(cert, alg.given(), signedAttrs, content)
}

// ResumeScheme is [Resume] with a scheme; nil is the default of the key.
func ResumeScheme(cert *x509.Certificate, scheme *Scheme, signedAttrs, content []byte) (*Prepared, error) {
	if cert == nil {
		return nil, fmt.Errorf("%w: no certificate", ErrParams)
	}
	alg, err := signingScheme(cert, 0, scheme)
	if err != nil {
		return nil, err
	}
	if err := DERCheck(signedAttrs, MaxSize, MaxDepth); err != nil {
		return nil, err
	}
	si := SignerInfo{DigestAlgorithm: alg.Hash, Scheme: alg}
	if err := si.readSignedAttrs(bytes.Clone(signedAttrs), false); err != nil {
		return nil, err
	}
	if err := si.checkAttributes(ProfileCAdES); err != nil {
		return nil, err
	}
	if !si.namedByESS(cert) {
		return nil, ErrESSMismatch
	}
	if content != nil && !bytes.Equal(alg.digest(content), si.MessageDigest) {
		return nil, ErrMessageDigest
	}
	return &Prepared{cert: cert, scheme: alg, contentType: si.ContentType, content: content, signedAttrs: si.RawSignedAttrs}, nil
}

// SignedAttrs returns a copy of the DER SET OF of the signed attributes: the
// exact message that the signature covers. Store it to [Resume].
func (p *Prepared) SignedAttrs() []byte { return bytes.Clone(p.signedAttrs) }

// Input returns what a [crypto.Signer] takes with [Scheme].Opts: the digest of
// the signed attributes, or the attributes themselves (Ed25519 and whatever
// signs a WholeMessage).
func (p *Prepared) Input() []byte { return bytes.Clone(p.scheme.input(p.signedAttrs)) }

// Sign asks the signer for the value over the signed attributes. The value is
// checked when it is assembled.
func (p *Prepared) Sign(rand io.Reader, key crypto.Signer) ([]byte, error) {
	sig, err := key.Sign(rand, p.Input(), p.scheme.Opts)
	if err != nil {
		return nil, fmt.Errorf("cms: sign: %w", err)
	}
	return sig, nil
}
