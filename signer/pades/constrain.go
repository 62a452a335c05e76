package pades

import (
	"crypto"

	"oruro.gob.bo/suti/signer/internal/judge"
)

// Constraints are the validation constraints of ETSI EN 319 102-1 §5.1.4 as
// data: what a signature must be, beyond being sound, to be called valid. They
// can only refuse: what the verifier does not accept, no constraint makes it
// accept.
type Constraints = judge.Constraints

// Parts of [Constraints].
type (
	AlgorithmRules    = judge.AlgorithmRules
	AcceptedAlgorithm = judge.AcceptedAlgorithm
	AcceptedKey       = judge.AcceptedKey
	SignatureRules    = judge.SignatureRules
	RevocationRules   = judge.RevocationRules
	SignerRules       = judge.SignerRules
	ChangeRules       = judge.ChangeRules
	ConstrainedAnchor = judge.ConstrainedAnchor
)

// ErrConstraints is wrapped by every error of [ParseConstraints].
var ErrConstraints = judge.ErrConstraints

// MaxConstraints bounds a file of constraints, in bytes; the others head it, and are the
// tiers and uses of anchors.
const (
	MaxConstraints     = judge.MaxConstraints
	ConstraintsKind    = judge.ConstraintsKind
	ConstraintsVersion = judge.ConstraintsVersion
	TierNational       = judge.TierNational
	TierInternal       = judge.TierInternal
	UseSignatures      = judge.UseSignatures
	UseTimestamps      = judge.UseTimestamps
)

// DefaultConstraints returns what [Verify] holds where it is given no
// constraints: everything that the verifier itself accepts.
func DefaultConstraints() *Constraints { return judge.DefaultConstraints() }

// ParseConstraints reads a file of constraints; see docs/verification-reports.md.
func ParseConstraints(b []byte) (*Constraints, error) { return judge.ParseConstraints(b) }

// Identifiers of constraints in [ConstraintOutcome].
const (
	ConstraintCertificate = judge.ConstraintCertificate
	ConstraintAlgorithms  = judge.ConstraintAlgorithms
	ConstraintTimestamp   = judge.ConstraintTimestamp
	ConstraintLevel       = judge.ConstraintLevel
	ConstraintRevocation  = judge.ConstraintRevocation
	ConstraintFreshness   = judge.ConstraintFreshness
	ConstraintChanges     = judge.ConstraintChanges
)

// Material is what a signature was judged by, for reports.
type Material = judge.Material

// Parts of [Material].
type (
	ConstraintOutcome  = judge.ConstraintOutcome
	TimestampMaterial  = judge.TimestampMaterial
	RevocationMaterial = judge.RevocationMaterial
)

// verdictOf is what a class of changes makes of a valid signature before it.
func verdictOf(c ChangeClass, k *Constraints) Verdict {
	if c == Allowed {
		switch k.Changes.Allowed {
		case judge.ChangesIndeterminate:
			return Indeterminate
		case judge.ChangesRejected:
			return ModifiedForbidden
		}
	}
	return c.verdict()
}

// material returns what the judge kept of a signature, and what only this
// package knows of it.
func (v *verifier) material(c *candidate) *Material {
	m := c.Finding.Material
	m.Digest = c.sum
	if c.sd != nil {
		m.Value = c.sd.Signer.Signature
		h := c.sd.Signer.DigestAlgorithm
		if c.token != nil {
			h, m.Token = c.token.Info.Imprint.Hash, c.token.SignedData.Raw
		}
		m.DigestAlgorithm = map[crypto.Hash]string{crypto.SHA256: "sha256", crypto.SHA384: "sha384", crypto.SHA512: "sha512"}[h]
	}
	if !c.ProvenTime.IsZero() && c.token == nil && c.By.Revision != c.Revision {
		for _, p := range v.sigs {
			if p.Revision == c.By.Revision && p.token != nil {
				m.Prover = p.rep.Field
			}
		}
	}
	outcome := ConstraintOutcome{ID: ConstraintChanges, Parameter: v.Constraints.Changes.Allowed, Applied: c.Trusted && c.token == nil, Holds: true}
	if c.later {
		outcome.Holds, outcome.Sub = false, SubConstraints
	}
	m.Constraints = append(m.Constraints, outcome)
	return &m
}
