package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// SignerInfo is the one SignerInfo of a [SignedData], as read.
type SignerInfo struct {
	// Version is 1 with Issuer and Serial, 3 with SubjectKeyID.
	Version int
	// Issuer is the DER of the issuer's Name; Issuer and Serial, or SubjectKeyID, are set.
	Issuer       []byte
	Serial       *big.Int
	SubjectKeyID []byte

	DigestAlgorithm    crypto.Hash
	SignatureAlgorithm Algorithm // 0 if Scheme is one that the caller passed
	Scheme             *Scheme

	// RawSignedAttrs is the DER SET OF that the signature covers.
	RawSignedAttrs []byte
	SignedAttrs    []Attribute
	UnsignedAttrs  []Attribute
	// Signature is the signature value; a signature-time-stamp's imprint is over it.
	Signature []byte

	// Values of signed attributes. ESS is of signing-certificate-v2, ESSv1 of
	// signing-certificate; nil where the attribute is absent.
	ContentType   asn1.ObjectIdentifier
	MessageDigest []byte
	ESS           []ESSCertID
	ESSv1         []ESSCertID
	// SigningTime is the time the signer claims; zero if absent.
	SigningTime time.Time
	// Commitments are the commitment types; nil if absent.
	Commitments []asn1.ObjectIdentifier
	// MimeType is the media type that the signer declares of the content; "" if absent.
	MimeType string
	// PolicyID is the signature policy; nil if absent or implied.
	PolicyID asn1.ObjectIdentifier

	saltLength int
	rawDigest  []byte // AlgorithmIdentifiers as read, for algorithm-protection
	rawSig     []byte
	unsorted   []byte // signed attributes as written, where that is not their DER
}

// read reads the body of a SignerInfo.
func (si *SignerInfo) read(s cryptobyte.String, wasBER bool, more []Scheme) error {
	if !s.ReadASN1Integer(&si.Version) {
		return malformed("SignerInfo version")
	}
	if err := si.readID(&s); err != nil {
		return err
	}
	dig, ok := readAlgorithmIdentifier(&s, cbasn1.SEQUENCE)
	if !ok {
		return malformed("digestAlgorithm")
	}
	hash, err := dig.hash()
	if err != nil {
		return err
	}
	si.DigestAlgorithm, si.rawDigest = hash, dig.raw
	var signed, sig cryptobyte.String
	if !s.PeekASN1Tag(tag0) {
		return ErrSignedAttrsMissing
	}
	if !s.ReadASN1Element(&signed, tag0) {
		return malformed("signedAttrs")
	}
	set := slices.Clone([]byte(signed))
	set[0] = byte(cbasn1.SET)
	if err := si.readSignedAttrs(set, wasBER); err != nil {
		return err
	}
	alg, ok := readAlgorithmIdentifier(&s, cbasn1.SEQUENCE)
	if !ok {
		return malformed("signatureAlgorithm")
	}
	if si.Scheme, si.saltLength, err = alg.signature(hash, more); err != nil {
		return err
	}
	si.SignatureAlgorithm = si.Scheme.alg
	si.rawSig = alg.raw
	if !s.ReadASN1(&sig, cbasn1.OCTET_STRING) {
		return malformed("signature")
	}
	si.Signature = sig
	return si.readUnsigned(&s)
}

// readID reads SignerIdentifier and checks it against the version (RFC 5652 §5.3).
func (si *SignerInfo) readID(s *cryptobyte.String) error {
	want := 1
	ski := cbasn1.Tag(0).ContextSpecific()
	if s.PeekASN1Tag(ski) {
		want = 3
		var id cryptobyte.String
		if !s.ReadASN1(&id, ski) || len(id) == 0 || len(id) > 64 {
			return malformed("subjectKeyIdentifier")
		}
		si.SubjectKeyID = id
	} else {
		var body, name cryptobyte.String
		si.Serial = new(big.Int)
		if !s.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Element(&name, cbasn1.SEQUENCE) ||
			!body.ReadASN1Integer(si.Serial) || !body.Empty() {
			return malformed("issuerAndSerialNumber")
		}
		si.Issuer = name
	}
	if si.Version != want {
		return fmt.Errorf("%w: SignerInfo %d", ErrVersion, si.Version)
	}
	return nil
}

// readSignedAttrs reads a SET OF Attribute. sortThem puts them in order (BER
// input); otherwise they must be in order.
func (si *SignerInfo) readSignedAttrs(set []byte, sortThem bool) error {
	in := cryptobyte.String(set)
	var body cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SET) || !in.Empty() {
		return malformed("signedAttrs")
	}
	attrs, raw, err := readAttributes(body)
	if err != nil {
		return err
	}
	if !slices.IsSortedFunc(raw, bytes.Compare) {
		if !sortThem {
			return ErrAttributeOrder
		}
		si.unsorted = set
		if set, err = marshalSet(raw, cbasn1.SET); err != nil {
			return malformed("signedAttrs")
		}
	}
	for i, a := range attrs {
		if _, dup := findAttribute(attrs[:i], a.Type); dup {
			return attrErr(ErrAttributeDuplicate, a.Type)
		}
	}
	si.RawSignedAttrs, si.SignedAttrs = set, attrs
	return si.decodeSignedAttrs()
}

// decodeSignedAttrs reads the values of the attributes that are known here.
// Those in its table are single-valued.
func (si *SignerInfo) decodeSignedAttrs() error {
	decoders := []struct {
		typ    asn1.ObjectIdentifier
		decode func(v cryptobyte.String) bool
	}{
		{OIDContentType, func(v cryptobyte.String) bool { return v.ReadASN1ObjectIdentifier(&si.ContentType) && v.Empty() }},
		{OIDMessageDigest, func(v cryptobyte.String) bool {
			return v.ReadASN1Bytes(&si.MessageDigest, cbasn1.OCTET_STRING) && v.Empty() && len(si.MessageDigest) > 0
		}},
		{OIDSigningTime, si.readSigningTime},
		{OIDSignaturePolicy, si.readPolicy},
		{oidMimeType, si.readMimeType},
	}
	for _, d := range decoders {
		a, ok := findAttribute(si.SignedAttrs, d.typ)
		if !ok {
			continue
		}
		if len(a.Values) != 1 || !d.decode(a.Values[0]) {
			return attrErr(ErrAttributeMalformed, d.typ)
		}
	}
	if !si.readCommitments() {
		return attrErr(ErrAttributeMalformed, OIDCommitmentType)
	}
	var err error
	if si.ESS, err = si.decodeESS(OIDSigningCertificateV2); err != nil {
		return err
	}
	si.ESSv1, err = si.decodeESS(OIDSigningCertificate)
	return err
}

func (si *SignerInfo) decodeESS(typ asn1.ObjectIdentifier) ([]ESSCertID, error) {
	a, ok := findAttribute(si.SignedAttrs, typ)
	if !ok {
		return nil, nil
	}
	if len(a.Values) != 1 {
		return nil, attrErr(ErrAttributeMalformed, typ)
	}
	return readESS(a.Values[0], typ.Equal(OIDSigningCertificateV2))
}

func (si *SignerInfo) readSigningTime(v cryptobyte.String) bool {
	if v.PeekASN1Tag(cbasn1.UTCTime) {
		return v.ReadASN1UTCTime(&si.SigningTime) && v.Empty()
	}
	return v.ReadASN1GeneralizedTime(&si.SigningTime) && v.Empty()
}

// readCommitments reads commitment-type-indication, the one attribute here that
// may have several values (RFC 5126 §5.11.1).
func (si *SignerInfo) readCommitments() bool {
	a, _ := findAttribute(si.SignedAttrs, OIDCommitmentType)
	for _, value := range a.Values {
		var body cryptobyte.String
		var typ asn1.ObjectIdentifier
		v := cryptobyte.String(value)
		if !v.ReadASN1(&body, cbasn1.SEQUENCE) || !v.Empty() || !body.ReadASN1ObjectIdentifier(&typ) {
			return false
		}
		si.Commitments = append(si.Commitments, typ)
	}
	return true
}

// readPolicy reads SignaturePolicyIdentifier; NULL is the implied policy.
func (si *SignerInfo) readPolicy(v cryptobyte.String) bool {
	if v.PeekASN1Tag(cbasn1.NULL) {
		return true
	}
	var body cryptobyte.String
	return v.ReadASN1(&body, cbasn1.SEQUENCE) && v.Empty() && body.ReadASN1ObjectIdentifier(&si.PolicyID)
}

// readUnsigned reads unsignedAttrs [1] IMPLICIT OPTIONAL, the last field.
func (si *SignerInfo) readUnsigned(s *cryptobyte.String) error {
	var body cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&body, &present, tag1) || !s.Empty() {
		return malformed("unsignedAttrs")
	}
	if !present {
		return nil
	}
	var err error
	si.UnsignedAttrs, _, err = readAttributes(body)
	return err
}

// identifies reports whether the signer identifier names cert.
func (si *SignerInfo) identifies(cert *x509.Certificate) bool {
	if si.SubjectKeyID != nil {
		return bytes.Equal(si.SubjectKeyID, cert.SubjectKeyId)
	}
	return si.Serial.Cmp(cert.SerialNumber) == 0 && bytes.Equal(si.Issuer, cert.RawIssuer)
}

// namedByESS reports whether each signing-certificate attribute that is present
// names cert in its first place (RFC 5035 §5.4).
func (si *SignerInfo) namedByESS(cert *x509.Certificate) bool {
	if len(si.ESS) > 0 && !si.ESS[0].Matches(cert) {
		return false
	}
	return len(si.ESSv1) == 0 || si.ESSv1[0].Matches(cert)
}
