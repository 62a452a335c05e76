package cms

import (
	"encoding/asn1"
	"errors"
	"fmt"
)

// Causes of refusal. Errors of this package wrap exactly one of them (attribute
// errors are an [*AttributeError], which wraps one), so errors.Is tells them apart.
var (
	// ErrTooLarge: the input, or what it would become, is over its limit in octets.
	ErrTooLarge = errors.New("cms: larger than the limit")
	// ErrTooDeep: nested deeper than the limit.
	ErrTooDeep = errors.New("cms: nested too deeply")
	// ErrTooMany: more certificates, revocation values, algorithms, attributes or values than allowed.
	ErrTooMany = errors.New("cms: too many elements")
	// ErrTruncated: an element ends after the end of what holds it.
	ErrTruncated = errors.New("cms: truncated")
	// ErrNotDER: well formed perhaps, but not in distinguished encoding.
	ErrNotDER = errors.New("cms: not DER")
	// ErrNotBER: not even in basic encoding.
	ErrNotBER = errors.New("cms: not BER")
	// ErrTrailingData: octets after the end of the element.
	ErrTrailingData = errors.New("cms: trailing data")
	// ErrMalformed: DER, but not the structure expected there.
	ErrMalformed = errors.New("cms: malformed")

	// ErrContentInfo: the content type of the outermost structure is not signed-data.
	ErrContentInfo = errors.New("cms: not signed-data")
	// ErrVersion: a version number unknown, or at odds with the signer identifier.
	ErrVersion = errors.New("cms: version")
	// ErrUnknownElement: a choice of certificate or revocation value that is not understood.
	ErrUnknownElement = errors.New("cms: unknown choice")
	// ErrNoSigner and ErrSeveralSigners: not exactly one SignerInfo.
	ErrNoSigner       = errors.New("cms: no signer")
	ErrSeveralSigners = errors.New("cms: more than one signer")

	// ErrSignedAttrsMissing: the signature would cover the content directly.
	ErrSignedAttrsMissing = errors.New("cms: no signed attributes")
	// ErrAttributeOrder: the signed attributes are not in DER order of SET OF.
	ErrAttributeOrder = errors.New("cms: signed attributes out of order")
	// ErrAttributeMissing, …Duplicate, …Malformed, …Forbidden, …Unknown: see [AttributeError].
	ErrAttributeMissing   = errors.New("cms: attribute missing")
	ErrAttributeDuplicate = errors.New("cms: attribute repeated")
	ErrAttributeMalformed = errors.New("cms: attribute malformed")
	ErrAttributeForbidden = errors.New("cms: attribute not allowed by the profile")
	ErrAttributeUnknown   = errors.New("cms: signed attribute not understood")

	// ErrAlgorithm: an algorithm that is not supported.
	ErrAlgorithm = errors.New("cms: unsupported algorithm")
	// ErrWeakAlgorithm: an algorithm or key size that is no longer safe.
	ErrWeakAlgorithm = errors.New("cms: weak algorithm or key")
	// ErrAlgorithmParameters: parameters missing, superfluous or out of range.
	ErrAlgorithmParameters = errors.New("cms: algorithm parameters")
	// ErrAlgorithmMismatch: digest, signature algorithm and key do not belong together.
	ErrAlgorithmMismatch = errors.New("cms: algorithms do not agree")

	// ErrContentType: the content type is not the one the profile or the attribute names.
	ErrContentType = errors.New("cms: content type")
	// ErrContentMissing and ErrContentPresent: content detached where attached is asked for, and the reverse.
	ErrContentMissing = errors.New("cms: content is detached")
	ErrContentPresent = errors.New("cms: content is attached")
	// ErrDigestLength: the digest given is not of the digest algorithm's length.
	ErrDigestLength = errors.New("cms: digest length")
	// ErrMessageDigest: the content is not what was signed.
	ErrMessageDigest = errors.New("cms: message digest does not match the content")

	// ErrCertificate: the signer's certificate cannot be read or used.
	ErrCertificate = errors.New("cms: certificate")
	// ErrSignerCertificate: no certificate matches the signer identifier.
	ErrSignerCertificate = errors.New("cms: signer certificate not found")
	// ErrSignerAmbiguous: several certificates match it and nothing signed tells which.
	ErrSignerAmbiguous = errors.New("cms: signer certificate ambiguous")
	// ErrESSMismatch: the signing-certificate attribute names another certificate.
	ErrESSMismatch = errors.New("cms: signing-certificate attribute names another certificate")

	// ErrSignatureMalformed: the signature value has a form or range that no signer produces.
	ErrSignatureMalformed = errors.New("cms: signature malformed")
	// ErrSignature: the signature does not verify under the certificate's key.
	ErrSignature = errors.New("cms: signature does not verify")

	// ErrParams: a programmer's or configuration's mistake in what to build.
	ErrParams = errors.New("cms: parameters")
)

// AttributeError names the attribute that caused a refusal. Err is one of
// ErrAttributeMissing, ErrAttributeDuplicate, ErrAttributeMalformed,
// ErrAttributeForbidden and ErrAttributeUnknown.
type AttributeError struct {
	Type asn1.ObjectIdentifier
	Err  error
}

// Error names the cause and the attribute.
func (e *AttributeError) Error() string { return fmt.Sprintf("%v: %v", e.Err, attributeName(e.Type)) }

// Unwrap returns the cause.
func (e *AttributeError) Unwrap() error { return e.Err }

func attrErr(cause error, typ asn1.ObjectIdentifier) error {
	return &AttributeError{Type: typ, Err: cause}
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
