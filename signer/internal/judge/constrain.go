package judge

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Identifiers of constraints in [ConstraintOutcome], as reports name them.
const (
	ConstraintCertificate = "certificate"
	ConstraintAlgorithms  = "algorithms"
	ConstraintTimestamp   = "timestamp"
	ConstraintLevel       = "level"
	ConstraintRevocation  = "revocation"
	ConstraintFreshness   = "revocation-freshness"
	ConstraintChanges     = "changes"
)

// ConstraintOutcome says what became of one constraint. Applied is false where
// the constraints do not ask for it, or the signature failed before.
type ConstraintOutcome struct {
	ID        string
	Parameter string // what was asked
	Applied   bool
	Holds     bool
	Sub       string // sub-indication where it does not hold
}

func (c *Case) outcome(id, parameter string, applied, holds bool, sub string) {
	if holds || !applied {
		sub = ""
	}
	c.Material.Constraints = append(c.Material.Constraints, ConstraintOutcome{ID: id, Parameter: parameter, Applied: applied, Holds: applied && holds, Sub: sub})
}

// requireAlgorithms holds the algorithms of a signature and its path at the
// time at which it is proven to have existed.
func (j *Judge) requireAlgorithms(c *Case, algorithm string, chain []*x509.Certificate, at time.Time) {
	why, sunset := j.Constraints.weak(algorithm, chain, at)
	sub := SubCryptoConstr
	if sunset {
		sub = SubCryptoNoPOE
	}
	c.outcome(ConstraintAlgorithms, algorithm, true, why == "", sub)
	if why != "" {
		c.Fail(IndIndeterm, sub, "constraint %s: %s is not accepted at %v", ConstraintAlgorithms, why, at)
	}
}

// require holds what is asked of a signature whose path is known.
func (j *Judge) require(c *Case, s Soundness, proven bool) {
	k := j.Constraints
	sound := !c.Failed()
	one := func(id, parameter string, asked, holds bool, sub string) {
		c.outcome(id, parameter, asked && sound, holds, sub)
		if asked && !holds {
			c.Fail(IndIndeterm, sub, "constraint %s: %s", id, parameter)
		}
	}
	level, _ := requiredLevel(k.Signature.Level)
	one(ConstraintTimestamp, "required", k.Signature.Timestamp, proven, SubConstraints)
	one(ConstraintLevel, k.Signature.Level, level != LevelNone, c.Level >= level, SubConstraints)
	one(ConstraintRevocation, "required", k.Revocation.Required, c.Revocation == "good", SubTryLater)
	hours := k.Revocation.MaxAgeHours
	one(ConstraintFreshness, fmt.Sprintf("%d h", hours), hours > 0, s.age <= time.Duration(hours)*time.Hour+evidenceSkew, SubTryLater)
}

// Material is what a signature was judged by, for reports.
type Material struct {
	// Digest is that of what is signed, nil if none was made.
	Digest          []byte
	DigestAlgorithm string // "sha256", "sha384", "sha512"
	Value           []byte // of the signature
	Token           []byte // of a document time-stamp, in DER
	Timestamps      []TimestampMaterial
	Revocation      []RevocationMaterial
	Constraints     []ConstraintOutcome
	// Prover is the field of the document time-stamp that proves the time, ""
	// if a time-stamp of the signature's own does or none.
	Prover string
}

// TimestampMaterial is about the time-stamp of the same index in the report.
type TimestampMaterial struct {
	Token      []byte // DER
	Chain      []Certificate
	Revocation []RevocationMaterial
}

func (m *TimestampMaterial) setChain(chain []*x509.Certificate) {
	for _, x := range chain {
		m.Chain = append(m.Chain, summary(x))
	}
}

// RevocationMaterial is evidence from the file that a certificate was good.
type RevocationMaterial struct {
	Certificate string // SHA-256 of the certificate, hexadecimal
	Evidence    []byte // OCSP response or list, DER
	CRL         bool
	ThisUpdate  time.Time
}

func (f *fact) material(cert *x509.Certificate) RevocationMaterial {
	return RevocationMaterial{Certificate: summary(cert).SHA256, Evidence: f.item.der, CRL: f.item.crl, ThisUpdate: f.status.ThisUpdate}
}
