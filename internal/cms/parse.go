package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds of what a SignedData may hold.
const (
	// MaxCertificates is the greatest number of certificates.
	MaxCertificates = 64
	// MaxRevocationValues is the greatest number of CRLs and OCSP responses together.
	MaxRevocationValues = 64

	maxDigestAlgorithms = 16
)

// SignedData is a parsed ContentInfo of signed-data with exactly one signer.
// Nothing in it is to be believed before [SignedData.Verify] has succeeded. Its
// slices share memory with Raw and must not be changed.
type SignedData struct {
	// Raw is the ContentInfo in DER; of foreign BER, after conversion.
	Raw []byte
	// WasBER says that the input was not DER.
	WasBER bool
	// Version is 1, 3, 4 or 5 (RFC 5652 §5.1).
	Version int
	// ContentType and Content are the encapsulated content; Content is nil where it is detached.
	ContentType asn1.ObjectIdentifier
	Content     []byte
	// RawCertificates are the X.509 certificates in the order found, unparsed.
	RawCertificates [][]byte
	// AttributeCertificates are attribute certificates of version 1 or 2, which
	// nothing here depends on, unparsed.
	AttributeCertificates [][]byte
	// CRLs, OCSPResponses and BasicOCSPResponses are the revocation values,
	// unparsed (RFC 5652 §10.2.1, RFC 5940, EN 319 122-1 §5.4).
	CRLs               [][]byte
	OCSPResponses      [][]byte
	BasicOCSPResponses [][]byte
	// Signer is the one SignerInfo.
	Signer SignerInfo

	digests []crypto.Hash
	certs   []*x509.Certificate // those of RawCertificates that could be parsed
	bad     int                 // and how many could not
}

// Parse reads a ContentInfo in DER of at most [MaxSize] octets and [MaxDepth]
// levels. It takes a copy of b. It checks form only; see [SignedData.Verify].
func Parse(b []byte) (*SignedData, error) { return parseMore(b, nil) }

func parseMore(b []byte, more []Scheme) (*SignedData, error) {
	if err := DERCheck(b, MaxSize, MaxDepth); err != nil {
		return nil, err
	}
	return parse(slices.Clone(b), false, more)
}

// ParseBER is [Parse], but takes BER as well, for what others have produced.
// Signed attributes out of order, which are BER too, are put in order, since it
// is their DER that should have been signed (RFC 5652 §5.4).
func ParseBER(b []byte) (*SignedData, error) { return ParseBERWith(b, nil) }

// ParseBERWith is [ParseBER] for a caller that knows more schemes than this package.
func ParseBERWith(b []byte, more []Scheme) (*SignedData, error) {
	err := DERCheck(b, MaxSize, MaxDepth)
	if err == nil {
		sd, err := parse(slices.Clone(b), false, more)
		if errors.Is(err, ErrAttributeOrder) {
			return parse(slices.Clone(b), true, more)
		}
		return sd, err
	}
	if !errors.Is(err, ErrNotDER) {
		return nil, err
	}
	der, err := NormalizeBER(b, MaxSize, MaxDepth)
	if err != nil {
		return nil, err
	}
	return parse(der, true, more)
}

// parse reads der, which it keeps. Of known, the certificates of authorities
// that are in it are not read anew.
func parse(der []byte, wasBER bool, more []Scheme, known ...*x509.Certificate) (*SignedData, error) {
	sd, infos, err := parseHead(der, wasBER)
	if err != nil {
		return nil, err
	}
	var one cryptobyte.String
	if infos.Empty() {
		return nil, ErrNoSigner
	}
	if !infos.ReadASN1(&one, cbasn1.SEQUENCE) {
		return nil, malformed("SignerInfo")
	}
	if !infos.Empty() {
		return nil, ErrSeveralSigners
	}
	if err := sd.takeSigner(one, more); err != nil {
		return nil, err
	}
	sd.parseCertificates(known)
	return sd, nil
}

// parseHead reads everything before the SignerInfos, which it returns.
func parseHead(der []byte, wasBER bool) (*SignedData, cryptobyte.String, error) {
	sd := &SignedData{Raw: der, WasBER: wasBER}
	body, err := openContentInfo(der)
	if err != nil {
		return nil, nil, err
	}
	if !body.ReadASN1Integer(&sd.Version) {
		return nil, nil, malformed("version")
	}
	if sd.Version != 1 && (sd.Version < 3 || sd.Version > 5) {
		return nil, nil, fmt.Errorf("%w: SignedData %d", ErrVersion, sd.Version)
	}
	for _, read := range []func(*cryptobyte.String) error{sd.readDigestAlgorithms, sd.readContent, sd.readCertificates, sd.readRevocationValues} {
		if err := read(&body); err != nil {
			return nil, nil, err
		}
	}
	var infos cryptobyte.String
	if !body.ReadASN1(&infos, cbasn1.SET) || !body.Empty() {
		return nil, nil, malformed("signerInfos")
	}
	return sd, infos, nil
}

// openContentInfo returns the body of the SignedData inside a ContentInfo.
func openContentInfo(der []byte) (cryptobyte.String, error) {
	in := cryptobyte.String(der)
	var info, explicit, body cryptobyte.String
	var typ asn1.ObjectIdentifier
	if !in.ReadASN1(&info, cbasn1.SEQUENCE) || !in.Empty() || !info.ReadASN1ObjectIdentifier(&typ) {
		return nil, malformed("ContentInfo")
	}
	if !typ.Equal(OIDSignedData) {
		return nil, fmt.Errorf("%w: %v", ErrContentInfo, typ)
	}
	if !info.ReadASN1(&explicit, tag0) || !info.Empty() ||
		!explicit.ReadASN1(&body, cbasn1.SEQUENCE) || !explicit.Empty() {
		return nil, malformed("ContentInfo")
	}
	return body, nil
}

// readDigestAlgorithms reads digestAlgorithms. Unknown ones are passed over:
// the signer's own must be among the known (see readSigner).
func (sd *SignedData) readDigestAlgorithms(s *cryptobyte.String) error {
	var set cryptobyte.String
	if !s.ReadASN1(&set, cbasn1.SET) {
		return malformed("digestAlgorithms")
	}
	for n := 0; !set.Empty(); n++ {
		if n == maxDigestAlgorithms {
			return fmt.Errorf("%w: digestAlgorithms", ErrTooMany)
		}
		a, ok := readAlgorithmIdentifier(&set, cbasn1.SEQUENCE)
		if !ok {
			return malformed("digestAlgorithms")
		}
		if h, err := a.hash(); err == nil {
			sd.digests = append(sd.digests, h)
		}
	}
	return nil
}

func (sd *SignedData) readContent(s *cryptobyte.String) error {
	var body, explicit, content cryptobyte.String
	var present bool
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&sd.ContentType) ||
		!body.ReadOptionalASN1(&explicit, &present, tag0) || !body.Empty() {
		return malformed("encapContentInfo")
	}
	if !present {
		return nil
	}
	if !explicit.ReadASN1(&content, cbasn1.OCTET_STRING) || !explicit.Empty() {
		return malformed("eContent")
	}
	sd.Content = content
	if sd.Content == nil {
		sd.Content = []byte{}
	}
	return nil
}

// readCertificates reads certificates [0] IMPLICIT CertificateSet OPTIONAL.
func (sd *SignedData) readCertificates(s *cryptobyte.String) error {
	var set cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&set, &present, tag0) {
		return malformed("certificates")
	}
	for n := 0; !set.Empty(); n++ {
		if n == MaxCertificates {
			return fmt.Errorf("%w: certificates", ErrTooMany)
		}
		var c cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1Element(&c, &tag) {
			return malformed("certificates")
		}
		switch tag {
		case cbasn1.SEQUENCE:
			sd.RawCertificates = append(sd.RawCertificates, c)
		case tag1, cbasn1.Tag(2).ContextSpecific().Constructed():
			sd.AttributeCertificates = append(sd.AttributeCertificates, c)
		default:
			return fmt.Errorf("%w: certificate of tag %#x", ErrUnknownElement, uint8(tag))
		}
	}
	return nil
}

// readRevocationValues reads crls [1] IMPLICIT RevocationInfoChoices OPTIONAL.
func (sd *SignedData) readRevocationValues(s *cryptobyte.String) error {
	var set cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&set, &present, tag1) {
		return malformed("crls")
	}
	for n := 0; !set.Empty(); n++ {
		if n == MaxRevocationValues {
			return fmt.Errorf("%w: crls", ErrTooMany)
		}
		var c, body, value cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1Element(&c, &tag) {
			return malformed("crls")
		}
		if tag == cbasn1.SEQUENCE {
			sd.CRLs = append(sd.CRLs, c)
			continue
		}
		var format asn1.ObjectIdentifier
		if tag != tag1 {
			return fmt.Errorf("%w: revocation value of tag %#x", ErrUnknownElement, uint8(tag))
		}
		if !c.ReadASN1(&body, tag1) || !body.ReadASN1ObjectIdentifier(&format) ||
			!body.ReadAnyASN1Element(&value, nil) || !body.Empty() {
			return malformed("otherRevInfo")
		}
		switch {
		case format.Equal(oidOCSPResponse):
			sd.OCSPResponses = append(sd.OCSPResponses, value)
		case format.Equal(oidOCSPBasic):
			sd.BasicOCSPResponses = append(sd.BasicOCSPResponses, value)
		default:
			return fmt.Errorf("%w: revocation value %v", ErrUnknownElement, format)
		}
	}
	return nil
}

// takeSigner reads the body of a SignerInfo.
func (sd *SignedData) takeSigner(info cryptobyte.String, more []Scheme) error {
	if err := sd.Signer.read(info, sd.WasBER, more); err != nil {
		return err
	}
	if !slices.Contains(sd.digests, sd.Signer.DigestAlgorithm) {
		return fmt.Errorf("%w: digestAlgorithms lacks the signer's", ErrAlgorithmMismatch)
	}
	return nil
}

func (sd *SignedData) parseCertificates(known []*x509.Certificate) {
next:
	for _, raw := range sd.RawCertificates {
		for _, k := range known {
			if k.IsCA && bytes.Equal(k.Raw, raw) {
				sd.certs = append(sd.certs, k)
				continue next
			}
		}
		c, err := x509.ParseCertificate(raw)
		if err != nil {
			sd.bad++
			continue
		}
		sd.certs = append(sd.certs, c)
	}
}

// Certificates returns the certificates that could be parsed, in the order
// found. They are helpers for building a path; being here proves nothing.
func (sd *SignedData) Certificates() []*x509.Certificate { return slices.Clone(sd.certs) }

// UnreadableCertificates returns how many certificates could not be parsed.
func (sd *SignedData) UnreadableCertificates() int { return sd.bad }

// TimestampTokens returns the ContentInfos in signature-time-stamp attributes
// (RFC 3161 appendix A), unverified. Their imprint is over Signer.Signature.
func (sd *SignedData) TimestampTokens() [][]byte {
	var tokens [][]byte
	for _, a := range sd.Signer.UnsignedAttrs {
		if a.Type.Equal(OIDSignatureTimeStamp) {
			tokens = append(tokens, a.Values...)
		}
	}
	return tokens
}
