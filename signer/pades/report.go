package pades

import (
	"time"

	"oruro.gob.bo/suti/signer/internal/judge"
)

// Verdict is the answer about one signature. The values are stable.
type Verdict string

// Verdicts, from best to worst.
const (
	// Valid: intact and trusted, and nothing follows the version signed.
	Valid Verdict = "VALID"
	// ValidExtended: valid, and what follows are only further signatures,
	// time-stamps and evidence.
	ValidExtended Verdict = "VALID-EXTENDED"
	// ModifiedAllowed: valid, and what follows also holds changes that the
	// signature permits, such as form fields filled in.
	ModifiedAllowed Verdict = "MODIFIED-ALLOWED"
	// Indeterminate: it cannot be said; see the sub-indication.
	Indeterminate Verdict = "INDETERMINATE"
	// ModifiedForbidden: what follows holds changes that are not known to be
	// harmless, or not permitted. The version signed may still be looked at.
	ModifiedForbidden Verdict = "MODIFIED-FORBIDDEN"
	// Invalid: the signature does not fit the document or is malformed.
	Invalid Verdict = "INVALID"
)

// rank orders verdicts from best to worst.
func (v Verdict) rank() int {
	for i, w := range []Verdict{Valid, ValidExtended, ModifiedAllowed, Indeterminate, ModifiedForbidden, Invalid} {
		if v == w {
			return i
		}
	}
	return len(Invalid)
}

func worse(a, b Verdict) Verdict {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// Indications of ETSI EN 319 102-1 §5.1.3.
const (
	TotalPassed = judge.TotalPassed
	TotalFailed = judge.TotalFailed
	IndIndeterm = judge.IndIndeterm
)

// Sub-indications of ETSI EN 319 102-1 §5.1.3 that are used here.
const (
	SubFormat          = judge.SubFormat
	SubHash            = judge.SubHash
	SubCrypto          = judge.SubCrypto
	SubRevoked         = judge.SubRevoked
	SubNotYetValid     = judge.SubNotYetValid
	SubConstraints     = judge.SubConstraints
	SubChainConstr     = judge.SubChainConstr
	SubChainGeneral    = judge.SubChainGeneral
	SubCryptoConstr    = judge.SubCryptoConstr
	SubCryptoNoPOE     = judge.SubCryptoNoPOE
	SubNoSigner        = judge.SubNoSigner
	SubNoChain         = judge.SubNoChain
	SubRevokedNoPOE    = judge.SubRevokedNoPOE
	SubRevokedCANoPOE  = judge.SubRevokedCANoPOE
	SubOutOfBounds     = judge.SubOutOfBounds
	SubTryLater        = judge.SubTryLater
	SubSignedDataLost  = judge.SubSignedDataLost
	SubPolicyNotUsable = judge.SubPolicyNotUsable
)

// Report is what [Verify] says about a file. Its JSON form is stable: fields
// may be added, none change.
type Report struct {
	Size      int64     `json:"size"`
	At        time.Time `json:"at"`        // the time of verification
	Revisions int       `json:"revisions"` // how many times the file was written and added to
	// Signatures are in the order of their revisions.
	Signatures []SignatureReport `json:"signatures"`
	// Changes are all changes after the first signature, in the order of revisions.
	Changes []Change `json:"changes"`
	// Warnings concern the whole file.
	Warnings []Warning `json:"warnings"`
	// Constraints are those that were held, if [VerifyOptions].Material is set.
	Constraints *Constraints `json:"-"`
}

// Warning is something that people should know of but that decides nothing.
type Warning = judge.Warning

// Codes of [Warning]. The values are stable.
const (
	WarnHidden      = "hidden-objects"     // objects in the file that no cross-reference names
	WarnUsageRights = "usage-rights"       // a signature of Adobe's that is not judged
	WarnRemoved     = "removed-signature"  // an earlier revision had a signature that is gone
	WarnHybrid      = "hybrid"             // older viewers may see less
	WarnNotPAdES    = "not-pades"          // an older kind of signature, or attributes PAdES forbids
	WarnBER         = judge.WarnBER        // encoded less strictly than it should be
	WarnRevocation  = judge.WarnRevocation // revocation was not checked
	WarnTimestamp   = judge.WarnTimestamp  // a time-stamp that does not count
	WarnEvidence    = judge.WarnEvidence   // evidence in the file that cannot be used
	WarnStale       = judge.WarnStale      // evidence in the file that is older than the signature
	WarnTruncated   = "changes-truncated"  // the list of changes is not complete
)

// SignatureReport is about one signature or document time-stamp.
type SignatureReport struct {
	// Field is the name of the signature field.
	Field string `json:"field"`
	// Kind is "signature", "certification" or "document-timestamp".
	Kind          string  `json:"kind"`
	SubFilter     string  `json:"sub_filter"`
	Verdict       Verdict `json:"verdict"`
	Indication    string  `json:"indication"`
	SubIndication string  `json:"sub_indication,omitempty"`
	// Detail says why, for developers, in English.
	Detail string `json:"detail,omitempty"`
	// Level is the PAdES level that was proven.
	Level Level `json:"level"`
	// Revision is the revision that the signature ends, from 1.
	Revision int `json:"revision"`
	// SignedBytes is the length of the version signed: the first so many bytes
	// of the file are what this person signed. 0 if the byte range is not accepted.
	SignedBytes int64 `json:"signed_bytes"`
	// CoversFile says that nothing follows the version signed.
	CoversFile bool     `json:"covers_file"`
	ByteRange  [4]int64 `json:"byte_range"`
	// Algorithm is that of the signature value.
	Algorithm string `json:"algorithm,omitempty"`
	// Signer is the certificate that the signature names, and Chain its path;
	// Trusted says that the path leads to a root given.
	Signer  *Certificate  `json:"signer,omitempty"`
	Chain   []Certificate `json:"chain,omitempty"`
	Trusted bool          `json:"trusted"`
	// ClaimedTime is the signer's own; ProvenTime is the earliest time at which
	// the signature is proven to have existed, zero if no time-stamp proves any.
	ClaimedTime time.Time         `json:"claimed_time,omitzero"`
	ProvenTime  time.Time         `json:"proven_time,omitzero"`
	Timestamps  []TimestampReport `json:"timestamps,omitempty"`
	// Revocation is "good", "revoked", "unknown" or "not-checked".
	Revocation string `json:"revocation,omitempty"`
	// Certification is what a certification lets others do.
	Certification Permission `json:"certification,omitempty"`
	// Name, Reason and Location are the signer's words, unproven.
	Name     string    `json:"name,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Location string    `json:"location,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
	// Material is what the signature was judged by, if [VerifyOptions].Material
	// asks for it.
	Material *Material `json:"-"`
}

// TimestampReport is about a time-stamp token in a signature.
type TimestampReport = judge.TimestampReport

// Certificate is a summary of a certificate. Its Raw is the certificate in DER.
type Certificate = judge.Certificate

// take fills in what the judge found.
func (r *SignatureReport) take(f judge.Finding) {
	r.Indication, r.SubIndication, r.Detail, r.Level = f.Indication, f.SubIndication, f.Detail, Level(f.Level)
	r.Signer, r.Chain, r.Trusted = f.Signer, f.Path, f.Trusted
	r.ClaimedTime, r.ProvenTime, r.Timestamps = f.ClaimedTime, f.ProvenTime, f.Timestamps
	r.Revocation, r.Warnings = f.Revocation, f.Warnings
}

// ChangeClass says what a change means for the signatures before it.
type ChangeClass string

// Classes of changes, from best to worst.
const (
	// Extension: further signatures, time-stamps and evidence.
	Extension ChangeClass = "extension"
	// Allowed: permitted by the signatures before it.
	Allowed ChangeClass = "allowed"
	// Unproven: would be allowed if a later signature were proven.
	Unproven ChangeClass = "unproven"
	// Forbidden: not permitted, or not known to be harmless.
	Forbidden ChangeClass = "forbidden"
)

// verdict is what a change makes of a valid signature before it.
func (c ChangeClass) verdict() Verdict {
	switch c {
	case Extension:
		return ValidExtended
	case Allowed:
		return ModifiedAllowed
	case Unproven:
		return Indeterminate
	default:
		return ModifiedForbidden
	}
}

// Change is one change between two revisions.
type Change struct {
	// Revision is the one that brings the change, from 1.
	Revision int         `json:"revision"`
	Class    ChangeClass `json:"class"`
	// Kind is "signature", "document-timestamp", "evidence", "form", "field",
	// "metadata", "content", "structure" or "unreadable".
	Kind string `json:"kind"`
	// Field is the form field concerned, Object the number of the object.
	Field  string `json:"field,omitempty"`
	Object uint32 `json:"object,omitempty"`
	Detail string `json:"detail"`
}

// SignedVersion returns the length of what the signer of signature i saw: the
// first so many bytes of the file. ok is false if that cannot be said.
func SignedVersion(r *Report, i int) (length int64, ok bool) {
	if r == nil || i < 0 || i >= len(r.Signatures) {
		return 0, false
	}
	n := r.Signatures[i].SignedBytes
	return n, n > 0
}
