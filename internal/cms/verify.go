package cms

import (
	"bytes"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Profile says which signed attributes and which content [SignedData.Verify] demands.
type Profile uint8

const (
	// ProfileCAdES is the strict default: content-type, message-digest and
	// signing-certificate-v2 present, no signed attribute that is not understood.
	ProfileCAdES Profile = iota
	// ProfilePAdES is ProfileCAdES with detached id-data and without
	// signing-time and Adobe revocation attributes (EN 319 142-1 §6.3).
	ProfilePAdES
	// ProfileTimestamp is that of a TimeStampToken: attached TSTInfo;
	// signing-certificate-v2, or signing-certificate (SHA-1) as older services
	// write it (RFC 5816 §2.2.1).
	ProfileTimestamp
	// ProfileLegacy is for PDF signatures of the older kind
	// (adbe.pkcs7.detached): no signing-certificate needed, unknown signed
	// attributes borne. What verifies under it has not pinned its certificate:
	// callers must not call it PAdES.
	ProfileLegacy
)

// String returns a stable name.
func (p Profile) String() string {
	switch p {
	case ProfileCAdES:
		return "cades"
	case ProfilePAdES:
		return "pades"
	case ProfileTimestamp:
		return "timestamp"
	case ProfileLegacy:
		return "legacy"
	}
	return fmt.Sprintf("Profile(%d)", uint8(p))
}

// VerifyOptions says what to verify against.
type VerifyOptions struct {
	// Digest is that of the detached content by Signer.DigestAlgorithm. It must
	// be nil where the content is attached, which is then digested here.
	Digest []byte
	// Profile is ProfileCAdES by default.
	Profile Profile
	// Certificates are further candidates for the signer's certificate, beside
	// those inside.
	Certificates []*x509.Certificate
}

// Verify checks everything that can be checked without trust or time: the
// profile's attributes, the content's digest, that the certificate is the one
// that the signer identifier and the signing-certificate attribute name, that
// the algorithms agree with each other and with the key, and the signature. It
// returns the signer's certificate, whose path, usage and revocation are for
// the caller to judge. The error wraps exactly one sentinel.
func (sd *SignedData) Verify(o VerifyOptions) (*x509.Certificate, error) {
	si := &sd.Signer
	if err := si.checkAttributes(o.Profile); err != nil {
		return nil, err
	}
	if err := sd.checkContent(o); err != nil {
		return nil, err
	}
	cert, err := sd.SignerCertificate(o.Certificates...)
	if err != nil {
		return nil, err
	}
	if err := si.verify(cert); err != nil {
		return nil, err
	}
	return cert, nil
}

// verify checks the signature over the DER of the signed attributes. Of foreign
// input whose attributes were out of order, some signers signed them as they
// wrote them; that covers the same attributes, and is taken too.
func (si *SignerInfo) verify(cert *x509.Certificate) error {
	pub := cert.PublicKey
	if si.SignatureAlgorithm == 0 {
		pub = si.Scheme.PublicKey(cert)
	}
	err := si.Scheme.verify(pub, si.RawSignedAttrs, si.Signature, si.saltLength)
	if err != nil && si.unsorted != nil && errors.Is(err, ErrSignature) {
		err = si.Scheme.verify(pub, si.unsorted, si.Signature, si.saltLength)
	}
	return err
}

// checkAttributes checks presence, absence and agreement of signed attributes.
func (si *SignerInfo) checkAttributes(p Profile) error {
	for _, typ := range []asn1.ObjectIdentifier{OIDContentType, OIDMessageDigest} {
		if _, ok := findAttribute(si.SignedAttrs, typ); !ok {
			return attrErr(ErrAttributeMissing, typ)
		}
	}
	if len(si.ESS) == 0 && p != ProfileLegacy && !(p == ProfileTimestamp && len(si.ESSv1) > 0) {
		return attrErr(ErrAttributeMissing, OIDSigningCertificateV2)
	}
	for _, a := range si.SignedAttrs {
		if _, known := lookupAttribute(a.Type); !known && p != ProfileLegacy {
			return attrErr(ErrAttributeUnknown, a.Type)
		}
		if p == ProfilePAdES && (a.Type.Equal(OIDSigningTime) || a.Type.Equal(oidAdobeRevocation)) {
			return attrErr(ErrAttributeForbidden, a.Type)
		}
	}
	if len(si.MessageDigest) != si.DigestAlgorithm.Size() {
		return fmt.Errorf("%w: message-digest of %d octets", ErrAlgorithmMismatch, len(si.MessageDigest))
	}
	return si.checkAlgorithmProtection()
}

// checkAlgorithmProtection compares CMSAlgorithmProtection (RFC 6211), if
// present, with the algorithms outside the signed attributes.
func (si *SignerInfo) checkAlgorithmProtection() error {
	a, ok := findAttribute(si.SignedAttrs, OIDAlgorithmProtection)
	if !ok {
		return nil
	}
	var body cryptobyte.String
	if len(a.Values) != 1 {
		return attrErr(ErrAttributeMalformed, a.Type)
	}
	in := cryptobyte.String(a.Values[0])
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() {
		return attrErr(ErrAttributeMalformed, a.Type)
	}
	digest, ok := readAlgorithmIdentifier(&body, cbasn1.SEQUENCE)
	if !ok {
		return attrErr(ErrAttributeMalformed, a.Type)
	}
	sig, ok := readAlgorithmIdentifier(&body, tag1)
	if !ok || !body.Empty() {
		return attrErr(ErrAttributeMalformed, a.Type)
	}
	// [1] IMPLICIT differs from SEQUENCE in the first octet only.
	if !bytes.Equal(digest.raw, si.rawDigest) || len(si.rawSig) == 0 || !bytes.Equal(sig.raw[1:], si.rawSig[1:]) {
		return fmt.Errorf("%w: algorithm-protection", ErrAlgorithmMismatch)
	}
	return nil
}

// checkContent checks content type and message digest.
func (sd *SignedData) checkContent(o VerifyOptions) error {
	si := &sd.Signer
	if !si.ContentType.Equal(sd.ContentType) {
		return fmt.Errorf("%w: attribute says %v, content is %v", ErrContentType, si.ContentType, sd.ContentType)
	}
	want := sd.ContentType
	switch o.Profile {
	case ProfilePAdES, ProfileLegacy:
		want = OIDData
	case ProfileTimestamp:
		want = OIDTSTInfo
	}
	if !sd.ContentType.Equal(want) {
		return fmt.Errorf("%w: %v", ErrContentType, sd.ContentType)
	}
	digest := o.Digest
	switch {
	case sd.Content != nil && (o.Digest != nil || o.Profile == ProfilePAdES || o.Profile == ProfileLegacy):
		return ErrContentPresent
	case sd.Content == nil && (o.Digest == nil || o.Profile == ProfileTimestamp):
		return ErrContentMissing
	case sd.Content != nil:
		digest = si.Scheme.digest(sd.Content)
	}
	if len(digest) != si.DigestAlgorithm.Size() {
		return fmt.Errorf("%w: %d octets for %v", ErrDigestLength, len(digest), si.DigestAlgorithm)
	}
	if subtle.ConstantTimeCompare(digest, si.MessageDigest) != 1 {
		return ErrMessageDigest
	}
	return nil
}

// SignerCertificate returns the certificate that the signer identifier and the
// signing-certificate attributes name, among those inside and extra. It is a
// claim until [SignedData.Verify] succeeds. Errors: [ErrSignerCertificate] (none
// fits the identifier), [ErrCertificate] (perhaps one that cannot be read does),
// [ErrESSMismatch] (the attribute names another), [ErrSignerAmbiguous].
func (sd *SignedData) SignerCertificate(extra ...*x509.Certificate) (*x509.Certificate, error) {
	var found *x509.Certificate
	named := false
	for _, list := range [][]*x509.Certificate{sd.certs, extra} {
		for _, c := range list {
			if c == nil || !sd.Signer.identifies(c) {
				continue
			}
			named = true
			if !sd.Signer.namedByESS(c) {
				continue
			}
			if found != nil && !found.Equal(c) {
				return nil, ErrSignerAmbiguous
			}
			found = c
		}
	}
	switch {
	case found != nil:
		return found, nil
	case named:
		return nil, ErrESSMismatch
	case sd.bad > 0:
		return nil, fmt.Errorf("%w: none readable is the signer's, %d unreadable", ErrCertificate, sd.bad)
	}
	return nil, ErrSignerCertificate
}
