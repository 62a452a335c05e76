package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
	"time"
	"unicode"

	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pades/report"
)

// verifyReport is what "suti verify --json" writes. Its form is stable: members
// may be added, none change.
type verifyReport struct {
	Signatures []verifySignature `json:"signatures"`
	Document   verifyDocument    `json:"document"`
}

type verifySignature struct {
	Field         string        `json:"field"`                // "" of what is no PDF
	Format        string        `json:"format"`               // pades, cades or jades
	MediaType     string        `json:"media_type,omitempty"` // that the signer declares of what is no PDF
	Kind          string        `json:"kind"`
	Verdict       pades.Verdict `json:"verdict"`
	Indication    string        `json:"indication"`
	SubIndication string        `json:"subindication"` // "" where there is none
	Detail        string        `json:"detail,omitempty"`
	Level         string        `json:"level"` // B-B, B-T, B-LT, B-LTA, or "" for what is none of the format
	Signer        *verifySigner `json:"signer"`
	ClaimedTime   *time.Time    `json:"claimed_time"`
	// BestSignatureTime is the earliest time at which the signature is proven
	// to have existed (EN 319 102-1 §5.5); null if nothing proves one.
	BestSignatureTime *time.Time              `json:"best_signature_time"`
	Timestamps        []pades.TimestampReport `json:"timestamps"`
	Coverage          verifyCoverage          `json:"coverage"`
	Changes           []pades.Change          `json:"changes"` // made after this signature
	Certification     pades.Permission        `json:"certification"`
	Algorithm         string                  `json:"algorithm,omitempty"`
	Revocation        string                  `json:"revocation,omitempty"`
	Tier              string                  `json:"tier"`
	Warnings          []pades.Warning         `json:"warnings"`
}

type verifySigner struct {
	pades.Certificate
	Name    string `json:"name,omitempty"` // the signer's own word
	Trusted bool   `json:"trusted"`        // the path leads to an anchor given
}

type verifyCoverage struct {
	WholeFile   bool     `json:"whole_file"`
	SignedBytes int64    `json:"signed_bytes"` // the length of the version signed; 0 if not accepted
	Revision    int      `json:"revision"`
	ByteRange   [4]int64 `json:"byte_range"`
}

type verifyDocument struct {
	Size      int64           `json:"size"`
	SHA256    string          `json:"sha256"`
	Revisions int             `json:"revisions"`
	At        time.Time       `json:"at"`
	Policy    string          `json:"policy"` // the name of the constraints
	Warnings  []pades.Warning `json:"warnings"`
}

// Tiers: what a signature is by law, beside those of pades. Which anchor belongs
// to which is told by the constraints; --trust does not.
const (
	tierUnlisted   = "unlisted" // the signer is known by an anchor given, its tier is not
	tierUnverified = "D"        // integrity only, the signer is not verified
	tierNone       = ""         // the document is not what was signed
)

func newVerifyReport(r *pades.Report, sum, format string, known []report.Anchor) verifyReport {
	out := verifyReport{
		Signatures: []verifySignature{},
		Document:   verifyDocument{Size: r.Size, SHA256: sum, Revisions: r.Revisions, At: r.At, Warnings: r.Warnings},
	}
	if r.Constraints != nil {
		out.Document.Policy = r.Constraints.Name
	}
	for _, s := range r.Signatures {
		v := verifySignature{
			Field: s.Field, Format: format, Kind: s.Kind, Verdict: s.Verdict, Indication: s.Indication, SubIndication: s.SubIndication, Detail: s.Detail,
			Level: shortLevel(s.Level), ClaimedTime: timeOrNull(s.ClaimedTime), BestSignatureTime: timeOrNull(s.ProvenTime),
			Timestamps: orEmpty(s.Timestamps), Changes: []pades.Change{}, Certification: s.Certification, Algorithm: s.Algorithm, Revocation: s.Revocation,
			Coverage: verifyCoverage{WholeFile: s.CoversFile, SignedBytes: s.SignedBytes, Revision: s.Revision, ByteRange: s.ByteRange},
			Tier:     tierOf(&s, known), Warnings: orEmpty(s.Warnings),
		}
		if s.Signer != nil {
			v.Signer = &verifySigner{Certificate: *s.Signer, Name: s.Name, Trusted: s.Trusted}
		}
		for _, ch := range r.Changes {
			if ch.Revision > s.Revision {
				v.Changes = append(v.Changes, ch)
			}
		}
		out.Signatures = append(out.Signatures, v)
	}
	return out
}

func tierOf(s *pades.SignatureReport, known []report.Anchor) string {
	if tier := report.Tier(s, known); tier != "none" {
		return tier
	}
	return tierNone
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// orEmpty makes JSON write [] and not null.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// hashFile returns the SHA-256 of a file in hexadecimal.
func hashFile(ctx context.Context, r io.ReaderAt, size int64) (string, error) {
	sum := sha256.New()
	if _, err := copyInto(ctx, sum, io.NewSectionReader(r, 0, size)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// printable replaces what is not a visible character, so that text from a
// document or a log cannot steer a terminal or forge a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
