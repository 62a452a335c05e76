package judge

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"
)

// Indications of ETSI EN 319 102-1 §5.1.3.
const (
	TotalPassed = "TOTAL-PASSED"
	TotalFailed = "TOTAL-FAILED"
	IndIndeterm = "INDETERMINATE"
)

// Sub-indications of ETSI EN 319 102-1 §5.1.3 that are used here.
const (
	SubFormat          = "FORMAT_FAILURE"
	SubHash            = "HASH_FAILURE"
	SubCrypto          = "SIG_CRYPTO_FAILURE"
	SubRevoked         = "REVOKED"
	SubNotYetValid     = "NOT_YET_VALID"
	SubConstraints     = "SIG_CONSTRAINTS_FAILURE"
	SubChainConstr     = "CHAIN_CONSTRAINTS_FAILURE"
	SubChainGeneral    = "CERTIFICATE_CHAIN_GENERAL_FAILURE"
	SubCryptoConstr    = "CRYPTO_CONSTRAINTS_FAILURE"
	SubCryptoNoPOE     = "CRYPTO_CONSTRAINTS_FAILURE_NO_POE"
	SubNoSigner        = "NO_SIGNING_CERTIFICATE_FOUND"
	SubNoChain         = "NO_CERTIFICATE_CHAIN_FOUND"
	SubRevokedNoPOE    = "REVOKED_NO_POE"
	SubRevokedCANoPOE  = "REVOKED_CA_NO_POE"
	SubOutOfBounds     = "OUT_OF_BOUNDS_NO_POE"
	SubTryLater        = "TRY_LATER"
	SubSignedDataLost  = "SIGNED_DATA_NOT_FOUND"
	SubPolicyNotUsable = "POLICY_PROCESSING_ERROR"
)

// Codes of [Warning]. The values are stable.
const (
	WarnBER        = "ber"            // encoded less strictly than it should be
	WarnRevocation = "revocation"     // revocation was not checked
	WarnTimestamp  = "timestamp"      // a time-stamp that does not count
	WarnEvidence   = "evidence"       // evidence in the file that cannot be used
	WarnStale      = "stale-evidence" // evidence in the file that is older than the signature
)

// Level is a baseline level of an AdES format.
type Level uint8

// Levels. LevelNone is none.
const (
	LevelNone Level = iota
	LevelBB
	LevelBT
	LevelBLT
	LevelBLTA
)

// Warning is something that people should know of but that decides nothing.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// TimestampReport is about a time-stamp token in a signature.
type TimestampReport struct {
	Time      time.Time `json:"time,omitzero"`
	Authority string    `json:"authority,omitempty"`
	Trusted   bool      `json:"trusted"`
	Detail    string    `json:"detail,omitempty"` // why it is not trusted
}

// Certificate is a summary of a certificate.
type Certificate struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Serial    string    `json:"serial"` // hexadecimal
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	SHA256    string    `json:"sha256"`
	// Raw is the certificate in DER.
	Raw []byte `json:"-"`
}

func summary(c *x509.Certificate) Certificate {
	sum := sha256.Sum256(c.Raw)
	return Certificate{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, SHA256: hex.EncodeToString(sum[:]), Raw: c.Raw,
	}
}

// Finding is what has been found of one signature or time-stamp.
type Finding struct {
	// Indication is empty until it is decided; SubIndication and Detail say why
	// it is not [TotalPassed].
	Indication, SubIndication, Detail string
	Level                             Level
	// Signer is the certificate that the signature names, and Path its path;
	// Trusted says that the path leads to an anchor.
	Signer  *Certificate
	Path    []Certificate
	Trusted bool
	// ClaimedTime is the signer's own, ProvenTime the earliest that a trusted
	// time-stamp proves.
	ClaimedTime, ProvenTime time.Time
	Timestamps              []TimestampReport
	// Revocation is "good", "revoked", "unknown", "not-checked", or "" where
	// the judgement did not get so far.
	Revocation string
	Warnings   []Warning
	// Material is what it was judged by.
	Material Material
}

// Case is one signature or time-stamp that is being judged.
type Case struct {
	Finding
	// Revision is the one it ends, from 0.
	Revision int
	// IsStamp says that it is a time-stamp over the revision.
	IsStamp bool
	// Intact says that its value verifies over what it covers.
	Intact bool
	// Chain is the path to an anchor, nil if there is none.
	Chain []*x509.Certificate
	// By is what proves when it existed; its Time is zero if nothing does.
	By Proof
}

// Fail records the first reason why a signature is not passed.
func (c *Case) Fail(indication, sub, format string, args ...any) {
	if c.Indication != "" {
		return
	}
	c.Indication, c.SubIndication, c.Detail = indication, sub, fmt.Sprintf(format, args...)
}

// Failed reports whether a reason has been recorded, or all has passed.
func (c *Case) Failed() bool { return c.Indication != "" }

// Pass records that nothing stands against it, if nothing does.
func (c *Case) Pass() {
	if !c.Failed() {
		c.Indication = TotalPassed
	}
}

// Warn adds a warning.
func (c *Case) Warn(code, format string, args ...any) {
	c.Warnings = append(c.Warnings, Warning{Code: code, Detail: fmt.Sprintf(format, args...)})
}

func (c *Case) setChain(chain []*x509.Certificate) {
	c.Trusted, c.Chain = true, chain
	c.Path = nil
	for _, x := range chain {
		c.Path = append(c.Path, summary(x))
	}
}

// Verdict is the answer about a signature that nothing can follow.
type Verdict string

// Verdicts, from best to worst.
const (
	Valid         Verdict = "VALID"         // intact and trusted
	Indeterminate Verdict = "INDETERMINATE" // it cannot be said; see the sub-indication
	Invalid       Verdict = "INVALID"       // it does not fit the content, or is malformed
)

// Verdict returns the one of the case's indication.
func (c *Case) Verdict() Verdict {
	switch c.Indication {
	case TotalPassed:
		return Valid
	case TotalFailed:
		return Invalid
	default:
		return Indeterminate
	}
}
