package revocation

import (
	"bytes"
	"crypto"
	"crypto/sha1" // RFC 6960 identifies issuers and responders by SHA-1; nothing is signed with it
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
)

// Media types of RFC 6960 appendix A.
const (
	OCSPRequestType  = "application/ocsp-request"
	OCSPResponseType = "application/ocsp-response"
)

const (
	maxSingles    = 64
	maxResponders = 16
	maxNonce      = 128 // RFC 9654 §2.1
)

var (
	oidOCSPBasic = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}
	oidSHA1      = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
)

func context(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// publicKeyBits returns the contents of subjectPublicKey, that OCSP digests.
func publicKeyBits(cert *x509.Certificate) ([]byte, bool) {
	in := cryptobyte.String(cert.RawSubjectPublicKeyInfo)
	var body cryptobyte.String
	var bits asn1.BitString
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.SkipASN1(cbasn1.SEQUENCE) || !body.ReadASN1BitString(&bits) {
		return nil, false
	}
	return bits.RightAlign(), true
}

// MarshalOCSPRequest returns a request about one certificate. Its CertID is by
// SHA-1, which every responder answers. nonce is 16 to 128 octets, or nil.
func MarshalOCSPRequest(cert, issuer *x509.Certificate, nonce []byte) ([]byte, error) {
	key, ok := publicKeyBits(issuer)
	if !ok || nonce != nil && (len(nonce) < 16 || len(nonce) > maxNonce) {
		return nil, fmt.Errorf("%w: OCSP request", ErrParams)
	}
	nameHash, keyHash := sha1.Sum(issuer.RawSubject), sha1.Sum(key)
	var b cryptobyte.Builder
	seq := func(b *cryptobyte.Builder, f cryptobyte.BuilderContinuation) { b.AddASN1(cbasn1.SEQUENCE, f) }
	seq(&b, func(b *cryptobyte.Builder) { // OCSPRequest
		seq(b, func(b *cryptobyte.Builder) { // TBSRequest
			seq(b, func(b *cryptobyte.Builder) { // requestList
				seq(b, func(b *cryptobyte.Builder) { // Request
					seq(b, func(b *cryptobyte.Builder) { // CertID
						seq(b, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(oidSHA1)
							b.AddASN1NULL()
						})
						b.AddASN1OctetString(nameHash[:])
						b.AddASN1OctetString(keyHash[:])
						b.AddASN1BigInt(cert.SerialNumber)
					})
				})
			})
			if nonce == nil {
				return
			}
			b.AddASN1(context(2), func(b *cryptobyte.Builder) {
				seq(b, func(b *cryptobyte.Builder) {
					seq(b, func(b *cryptobyte.Builder) {
						b.AddASN1(cbasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(oidNonce) })
						b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
					})
				})
			})
		})
	})
	return b.Bytes()
}

// ocspResponse is a BasicOCSPResponse as read; nothing in it is verified.
type ocspResponse struct {
	tbs          []byte
	scheme       cms.SignatureScheme
	signature    []byte
	name         []byte // ResponderID byName: DER of the Name
	keyHash      []byte // or byKey
	producedAt   time.Time
	singles      cryptobyte.String
	nonce        []byte
	certificates []*x509.Certificate
}

// parseOCSP reads an OCSPResponse of at most [MaxOCSP] octets in DER.
func parseOCSP(der []byte) (*ocspResponse, error) {
	if len(der) > MaxOCSP {
		return nil, fmt.Errorf("%w: OCSP response of %d octets", ErrTooLarge, len(der))
	}
	if err := cms.DERCheck(der, MaxOCSP, maxDepth); err != nil {
		return nil, err
	}
	in := cryptobyte.String(bytes.Clone(der))
	var body, explicit, inner, basic cryptobyte.String
	var status int
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Enum(&status) {
		return nil, malformed("OCSPResponse")
	}
	if status != 0 {
		return nil, &ResponseError{Status: status}
	}
	var typ asn1.ObjectIdentifier
	if !body.ReadASN1(&explicit, context(0)) || !body.Empty() || !explicit.ReadASN1(&inner, cbasn1.SEQUENCE) || !explicit.Empty() ||
		!inner.ReadASN1ObjectIdentifier(&typ) || !typ.Equal(oidOCSPBasic) ||
		!inner.ReadASN1(&basic, cbasn1.OCTET_STRING) || !inner.Empty() {
		return nil, malformed("responseBytes")
	}
	if err := cms.DERCheck(basic, MaxOCSP, maxDepth); err != nil {
		return nil, err
	}
	r := &ocspResponse{}
	var tbs cryptobyte.String
	if !basic.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Element(&tbs, cbasn1.SEQUENCE) {
		return nil, malformed("BasicOCSPResponse")
	}
	r.tbs = tbs
	var err error
	if r.scheme, err = cms.ReadSignatureScheme(&body); err != nil {
		return nil, err
	}
	var bits asn1.BitString
	if !body.ReadASN1BitString(&bits) || bits.BitLength%8 != 0 {
		return nil, malformed("signature")
	}
	r.signature = bits.Bytes
	if err := r.readCertificates(&body); err != nil {
		return nil, err
	}
	return r, r.readData(tbs)
}

// readCertificates reads certs [0] EXPLICIT SEQUENCE OF Certificate OPTIONAL.
func (r *ocspResponse) readCertificates(s *cryptobyte.String) error {
	var explicit, list cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&explicit, &present, context(0)) || !s.Empty() {
		return malformed("certs")
	}
	if !present {
		return nil
	}
	if !explicit.ReadASN1(&list, cbasn1.SEQUENCE) || !explicit.Empty() {
		return malformed("certs")
	}
	for n := 0; !list.Empty(); n++ {
		var raw cryptobyte.String
		if n == maxResponders || !list.ReadASN1Element(&raw, cbasn1.SEQUENCE) {
			return malformed("certs")
		}
		if c, err := x509.ParseCertificate(raw); err == nil {
			r.certificates = append(r.certificates, c)
		}
	}
	return nil
}

// readData reads ResponseData.
func (r *ocspResponse) readData(tbs cryptobyte.String) error {
	var body, explicit cryptobyte.String
	var present bool
	if !tbs.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadOptionalASN1(&explicit, &present, context(0)) || present {
		return malformed("ResponseData version") // v1 is the default and is not written
	}
	if err := r.readResponderID(&body); err != nil {
		return err
	}
	var ok bool
	if r.producedAt, ok = readTime(&body, false); !ok {
		return malformed("producedAt")
	}
	if !body.ReadASN1(&r.singles, cbasn1.SEQUENCE) {
		return malformed("responses")
	}
	return readOCSPExtensions(&body, 1, func(e extension) error {
		if !e.is(oidNonce) {
			return nil
		}
		value := e.value
		if r.nonce != nil || !value.ReadASN1Bytes(&r.nonce, cbasn1.OCTET_STRING) || !value.Empty() || len(r.nonce) == 0 {
			return malformed("nonce")
		}
		return nil
	}, oidNonce)
}

func (r *ocspResponse) readResponderID(s *cryptobyte.String) error {
	var v cryptobyte.String
	switch {
	case s.PeekASN1Tag(context(1)):
		var name cryptobyte.String
		if !s.ReadASN1(&v, context(1)) || !v.ReadASN1Element(&name, cbasn1.SEQUENCE) || !v.Empty() {
			return malformed("responderID")
		}
		r.name = name
	case s.PeekASN1Tag(context(2)):
		if !s.ReadASN1(&v, context(2)) || !v.ReadASN1Bytes(&r.keyHash, cbasn1.OCTET_STRING) || !v.Empty() || len(r.keyHash) != sha1.Size {
			return malformed("responderID")
		}
	default:
		return malformed("responderID")
	}
	return nil
}

// readOCSPExtensions reads [n] EXPLICIT Extensions OPTIONAL, the last field. A
// critical one that is not among known is [ErrExtension].
func readOCSPExtensions(s *cryptobyte.String, n uint8, f func(extension) error, known ...[]byte) error {
	var explicit, list cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&explicit, &present, context(n)) || !s.Empty() {
		return malformed("extensions")
	}
	if !present {
		return nil
	}
	if !explicit.ReadASN1(&list, cbasn1.SEQUENCE) || !explicit.Empty() {
		return malformed("extensions")
	}
	for !list.Empty() {
		e, ok := readExtension(&list)
		if !ok {
			return malformed("extension")
		}
		understood := false
		for _, k := range known {
			understood = understood || e.is(k)
		}
		if e.critical && !understood {
			return fmt.Errorf("%w: %s", ErrExtension, e.name())
		}
		if f != nil {
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// certID is a CertID as read.
type certID struct {
	hash     crypto.Hash
	nameHash []byte
	keyHash  []byte
	serial   big.Int
}

// readCertID reads CertID. ok is false where it is broken; a digest that is not
// known leaves hash zero, and then it names no certificate.
func readCertID(s *cryptobyte.String) (id certID, ok bool) {
	var body, alg cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) {
		return id, false
	}
	digest := body
	if !body.ReadASN1(&alg, cbasn1.SEQUENCE) || !alg.ReadASN1ObjectIdentifier(&oid) {
		return id, false
	}
	if oid.Equal(oidSHA1) {
		id.hash = crypto.SHA1
	} else if h, err := cms.ReadDigestAlgorithm(&digest); err == nil {
		id.hash = h
	}
	return id, body.ReadASN1Bytes(&id.nameHash, cbasn1.OCTET_STRING) && body.ReadASN1Bytes(&id.keyHash, cbasn1.OCTET_STRING) &&
		body.ReadASN1Integer(&id.serial) && body.Empty()
}

// names reports whether the CertID is of cert under issuer.
func (id certID) names(cert, issuer *x509.Certificate) bool {
	if id.hash == 0 || id.serial.Cmp(cert.SerialNumber) != 0 {
		return false
	}
	key, ok := publicKeyBits(issuer)
	return ok && bytes.Equal(id.nameHash, sum(id.hash, issuer.RawSubject)) && bytes.Equal(id.keyHash, sum(id.hash, key))
}

func sum(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}
