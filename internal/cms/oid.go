package cms

import "encoding/asn1"

// Content types (RFC 5652 §4, §5.1; RFC 3161 §2.4.2).
var (
	OIDData       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	OIDSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	OIDTSTInfo    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
)

// Attribute types (RFC 5652 §11, RFC 5035, RFC 5126, RFC 6211, EN 319 122-1).
var (
	OIDContentType          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	OIDMessageDigest        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	OIDSigningTime          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5}
	OIDSigningCertificate   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 12}
	OIDSigningCertificateV2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 47}
	OIDSignaturePolicy      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 15}
	OIDCommitmentType       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 16}
	OIDSignatureTimeStamp   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 14}
	OIDAlgorithmProtection  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 52}
	OIDSignerAttributesV2   = asn1.ObjectIdentifier{0, 4, 0, 19122, 1, 1}

	oidSMIMECapabilities = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 15}
	oidSignerLocation    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 17}
	oidSignerAttributes  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 18}
	oidContentTimeStamp  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 20}
	oidContentHints      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 4}
	oidContentIdentifier = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 2, 7}
	oidMimeType          = asn1.ObjectIdentifier{0, 4, 0, 1733, 2, 1}
	oidAdobeRevocation   = asn1.ObjectIdentifier{1, 2, 840, 113583, 1, 1, 8}
)

// Commitment types (RFC 5126 §5.11.1).
var (
	OIDProofOfOrigin   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 1}
	OIDProofOfReceipt  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 2}
	OIDProofOfDelivery = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 3}
	OIDProofOfSender   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 4}
	OIDProofOfApproval = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 5}
	OIDProofOfCreation = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 6, 6}
)

var (
	oidPolicyURI    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 5, 1}
	oidOCSPResponse = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 16, 2}
	oidOCSPBasic    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}

	oidMD5           = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
	oidSHA1          = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidSHA384        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}
	oidSHA512        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidMD5WithRSA    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 4}
	oidSHA1WithRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 5}
	oidMGF1          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8}
	oidRSAPSS        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}
	oidSHA256WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidSHA384WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 12}
	oidSHA512WithRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 13}
	oidECDSASHA1     = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 1}
	oidECDSASHA256   = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidECDSASHA384   = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}
	oidECDSASHA512   = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 4}
	oidEd25519       = asn1.ObjectIdentifier{1, 3, 101, 112}
)

// attributes lists the signed attributes whose meaning is known. A strict
// profile refuses any other: it might change what the signature says.
var attributes = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{OIDContentType, "content-type"},
	{OIDMessageDigest, "message-digest"},
	{OIDSigningTime, "signing-time"},
	{OIDSigningCertificate, "signing-certificate"},
	{OIDSigningCertificateV2, "signing-certificate-v2"},
	{OIDSignaturePolicy, "signature-policy"},
	{OIDCommitmentType, "commitment-type"},
	{OIDAlgorithmProtection, "algorithm-protection"},
	{OIDSignerAttributesV2, "signer-attributes-v2"},
	{oidSMIMECapabilities, "smime-capabilities"},
	{oidSignerLocation, "signer-location"},
	{oidSignerAttributes, "signer-attributes"},
	{oidContentTimeStamp, "content-time-stamp"},
	{oidContentHints, "content-hints"},
	{oidContentIdentifier, "content-identifier"},
	{oidMimeType, "mime-type"},
	{oidAdobeRevocation, "adobe-revocation"},
}

// attributeName returns the name of a signed attribute that is understood,
// else its dotted identifier.
func attributeName(oid asn1.ObjectIdentifier) string {
	if n, ok := lookupAttribute(oid); ok {
		return n
	}
	return oid.String()
}

func lookupAttribute(oid asn1.ObjectIdentifier) (name string, known bool) {
	for _, a := range attributes {
		if a.oid.Equal(oid) {
			return a.name, true
		}
	}
	return "", false
}
