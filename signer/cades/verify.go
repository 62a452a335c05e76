package cades

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// VerifyOptions says what to verify against. At is required; without Roots no
// signature is trusted: there is no system default.
type VerifyOptions struct {
	// Roots are the trust anchors of signers, TimestampRoots those of
	// time-stamping authorities.
	Roots, TimestampRoots *x509.CertPool
	// Intermediates are further certificates to build paths with.
	Intermediates []*x509.Certificate
	// At is the time of verification.
	At time.Time
	// Revocation tells the state of certificates, beside the evidence in the
	// signature. If nil and there is none, it is not checked, and the report says so.
	Revocation Revocation
	// Constraints are held beside the rules of the verifier, those of package
	// pades; nil means its default ones. Their anchors are not taken from them.
	Constraints *judge.Constraints
}

// Verdict is the answer about one signature. The values are stable, and are
// those of package pades.
type Verdict = judge.Verdict

// Verdicts, from best to worst.
const (
	Valid         = judge.Valid
	Indeterminate = judge.Indeterminate
	Invalid       = judge.Invalid
)

// Codes of [Warning] beside those of package pades. The values are stable.
const (
	WarnNotBaseline = "not-cades"    // it lacks what the baseline asks for
	WarnUnjudged    = "not-judged"   // unsigned attributes that are not judged
	WarnMediaType   = "no-mime-type" // the signer does not say what the content is
)

// Warning is something that people should know of but that decides nothing.
type Warning = judge.Warning

// TimestampReport is about a time-stamp token in a signature.
type TimestampReport = judge.TimestampReport

// Certificate is a summary of a certificate.
type Certificate = judge.Certificate

// Report is what [Verify] says about a file and its signatures. Its JSON form
// is stable: fields may be added, none change.
type Report struct {
	// Size and SHA256 (hexadecimal) are of the content.
	Size   int64     `json:"size"`
	SHA256 string    `json:"sha256"`
	At     time.Time `json:"at"` // the time of verification
	// Signatures are in the order of the signature file, which proves nothing.
	Signatures []SignatureReport `json:"signatures"`
}

// SignatureReport is about one signature.
type SignatureReport struct {
	Verdict       Verdict `json:"verdict"`
	Indication    string  `json:"indication"` // of EN 319 102-1 §5.1.3, as the sub-indication
	SubIndication string  `json:"sub_indication,omitempty"`
	// Detail says why, for developers, in English.
	Detail string `json:"detail,omitempty"`
	// Level is the CAdES level that was proven.
	Level Level `json:"level"`
	// MediaType is what the signer declares the content to be.
	MediaType string `json:"media_type,omitempty"`
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
	Revocation string    `json:"revocation,omitempty"`
	Warnings   []Warning `json:"warnings,omitempty"`
}

// Verify reports on every signature in a detached signature file (DER, or BER
// as others write it, of at most 1 MiB) over content, which is read once, as it
// comes.
//
// It returns a [*RefusedError] if nothing can be said about signatures in the
// file. Other errors are ctx's, [ErrOptions] and those of content. Faults of a
// signature are in the report.
func Verify(ctx context.Context, signature []byte, content io.Reader, o VerifyOptions) (*Report, error) {
	if o.At.IsZero() {
		return nil, fmt.Errorf("%w: no time of verification", ErrOptions)
	}
	all, err := parse(signature)
	if err != nil {
		return nil, err
	}
	sums, size, err := digest(ctx, content, hashesOf(all)...)
	if err != nil {
		return nil, err
	}
	r := &Report{Size: size, SHA256: hex.EncodeToString(sums[crypto.SHA256]), At: o.At, Signatures: []SignatureReport{}}
	for _, sd := range all {
		one, err := verifyOne(ctx, sd, sums, o)
		if err != nil {
			return nil, err
		}
		r.Signatures = append(r.Signatures, *one)
	}
	return r, nil
}

// verifyValue verifies the signature over content with these digests.
func verifyValue(sd *cms.SignedData, sums map[crypto.Hash][]byte, known []*x509.Certificate) (*x509.Certificate, error) {
	if !sd.ContentType.Equal(cms.OIDData) {
		return nil, fmt.Errorf("%w: %v", cms.ErrContentType, sd.ContentType)
	}
	return sd.Verify(cms.VerifyOptions{Digest: sums[sd.Signer.DigestAlgorithm], Certificates: known})
}

func verifyOne(ctx context.Context, sd *cms.SignedData, sums map[crypto.Hash][]byte, o VerifyOptions) (*SignatureReport, error) {
	c := &judge.Case{}
	si := &sd.Signer
	c.ClaimedTime = si.SigningTime
	rep := &SignatureReport{MediaType: si.MimeType, Algorithm: si.SignatureAlgorithm.String()}
	cert, err := verifyValue(sd, sums, o.Intermediates)
	if err != nil {
		c.FailCMS(err)
		return rep.take(c), nil
	}
	level := baseline(c, sd, cert)
	j := judge.New(judge.Options{Roots: o.Roots, TimestampRoots: o.TimestampRoots, Intermediates: o.Intermediates, At: o.At, Revocation: o.Revocation, Constraints: o.Constraints})
	gather(j, sd)
	err = j.Signature(ctx, c, judge.Signed{
		Certificate: cert, Certificates: sd.Certificates(), Value: si.Signature, Tokens: sd.TimestampTokens(), Level: level, Algorithm: rep.Algorithm,
	})
	if err != nil {
		return nil, err
	}
	if si.HasOldEvidence() {
		c.Level = min(c.Level, judge.LevelBT)
	}
	c.Pass()
	c.Warnings = append(c.Warnings, j.Warnings...)
	return rep.take(c), nil
}

// baseline returns the level that the form of a signature has, and warns of
// what it lacks (EN 319 122-1 §6.3).
func baseline(c *judge.Case, sd *cms.SignedData, cert *x509.Certificate) judge.Level {
	level := judge.LevelBB
	lacks := func(what string) {
		level = judge.LevelNone
		c.Warn(WarnNotBaseline, "%s", what)
	}
	if sd.Signer.SigningTime.IsZero() {
		lacks("no signing-time")
	}
	inside := false
	for _, x := range sd.Certificates() {
		inside = inside || x.Equal(cert)
	}
	if !inside {
		lacks("the signer's certificate is not in the file")
	}
	if sd.WasBER {
		c.Warn(judge.WarnBER, "the signature is not DER")
	}
	if sd.Signer.MimeType == "" {
		c.Warn(WarnMediaType, "the signer does not say what kind of content it is")
	}
	n := 0
	for _, a := range sd.Signer.UnsignedAttrs {
		if !a.Type.Equal(cms.OIDSignatureTimeStamp) {
			n++
		}
	}
	if n > 0 {
		c.Warn(WarnUnjudged, "%d unsigned attributes other than time-stamps of the signature", n)
	}
	return level
}

// take fills in what the judge found.
func (r *SignatureReport) take(c *judge.Case) *SignatureReport {
	f := c.Finding
	r.Verdict, r.Indication, r.SubIndication, r.Detail, r.Level = c.Verdict(), f.Indication, f.SubIndication, f.Detail, Level(f.Level)
	r.Signer, r.Chain, r.Trusted = f.Signer, f.Path, f.Trusted
	r.ClaimedTime, r.ProvenTime, r.Timestamps = f.ClaimedTime, f.ProvenTime, f.Timestamps
	r.Revocation, r.Warnings = f.Revocation, f.Warnings
	return r
}
