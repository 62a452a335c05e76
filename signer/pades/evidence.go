package pades

import "oruro.gob.bo/suti/signer/internal/judge"

// Evidence is what shows that certificates were not revoked, to be kept with
// the signatures: certificates, OCSP responses and lists, in DER.
type Evidence = judge.Evidence

// EvidenceSource gets evidence. Package pades/online has one that asks the
// addresses in certificates.
type EvidenceSource = judge.EvidenceSource

// Reasons of [EvidenceError]. The values are stable.
const (
	NoPath       = judge.NoPath       // the certificate leads to no root given
	NoAddress    = judge.NoAddress    // the certificate does not say where to ask
	Refused      = judge.Refused      // its address is one that may not be asked
	Unreachable  = judge.Unreachable  // nothing usable came from there
	NotProven    = judge.NotProven    // what came does not show it to be good at the time needed
	RevokedFirst = judge.RevokedFirst // it is revoked, and nothing shows the signature to be older
	NotFresh     = judge.NotFresh     // what came tells of a moment before the signature
	NoTimestamps = judge.NoTimestamps // a time-stamp is needed and no authority was given
)

// ErrEvidence reports that a level cannot be reached for want of evidence;
// every [*EvidenceError] matches it.
var ErrEvidence = judge.ErrEvidence

// EvidenceError says of which certificate evidence is lacking, and why.
type EvidenceError = judge.EvidenceError

// Revocation knows which certificates are revoked.
type Revocation = judge.Revocation

// RevocationState is a state of a certificate.
type RevocationState = judge.RevocationState

// States of certificates.
const (
	RevocationUnknown = judge.RevocationUnknown
	RevocationGood    = judge.RevocationGood
	Revoked           = judge.Revoked
)

// RevocationStatus is the answer of [Revocation].
type RevocationStatus = judge.RevocationStatus
