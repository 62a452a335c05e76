package judge

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Revocation knows which certificates are revoked.
//
// Status returns what is known, at the time now, of cert, issued by issuer. It
// MUST return an error or RevocationUnknown rather than guess. It is called
// for one certificate at a time.
type Revocation interface {
	Status(ctx context.Context, cert, issuer *x509.Certificate, now time.Time) (RevocationStatus, error)
}

// RevocationState is a state of a certificate.
type RevocationState uint8

// States of certificates.
const (
	RevocationUnknown RevocationState = iota
	RevocationGood
	Revoked
)

// RevocationStatus is the answer of [Revocation].
type RevocationStatus struct {
	State     RevocationState
	RevokedAt time.Time // of Revoked
}

// Evidence is what shows that certificates were not revoked, to be kept with
// the signatures: certificates, OCSP responses and lists, in DER.
type Evidence struct {
	Certificates []*x509.Certificate
	OCSPs, CRLs  [][]byte
}

// EvidenceSource gets evidence. Package signer/pades/online has one that asks the
// addresses in certificates.
type EvidenceSource interface {
	// Path returns paths from cert to the roots that are valid at a time, with
	// issuers fetched that neither the source nor known has. It MUST return an
	// [*EvidenceError] if there is none.
	Path(ctx context.Context, cert *x509.Certificate, known []*x509.Certificate, roots *x509.CertPool, at time.Time) ([][]*x509.Certificate, error)
	// Gather returns evidence for all certificates of the chains but their
	// anchors, and for the responders that signed it. It MUST NOT return
	// evidence that was fetched before since. If it lacks any it MUST return an
	// [*EvidenceError], and what it has. A certificate that is revoked lacks
	// nothing: what shows it is evidence.
	Gather(ctx context.Context, chains [][]*x509.Certificate, since time.Time) (*Evidence, error)
}

// Reasons of [EvidenceError]. The values are stable.
const (
	NoPath       = "no-path"        // the certificate leads to no root given
	NoAddress    = "no-address"     // the certificate does not say where to ask
	Refused      = "refused"        // its address is one that may not be asked
	Unreachable  = "unreachable"    // nothing usable came from there
	NotProven    = "not-proven"     // what came does not show it to be good at the time needed
	RevokedFirst = "revoked"        // it is revoked, and nothing shows the signature to be older
	NotFresh     = "not-fresh"      // what came tells of a moment before the signature
	NoTimestamps = "no-timestamper" // a time-stamp is needed and no authority was given
)

// ErrEvidence reports that a level cannot be reached for want of evidence;
// every [*EvidenceError] matches it.
var ErrEvidence = errors.New("signer: evidence cannot be had")

// EvidenceError says of which certificate evidence is lacking, and why.
type EvidenceError struct {
	Reason string
	// Certificate is the one concerned; nil of NoTimestamps.
	Certificate *x509.Certificate
	Detail      string // for developers, in English
	Err         error
}

// Error implements error.
func (e *EvidenceError) Error() string {
	what := ""
	if e.Certificate != nil {
		what = fmt.Sprintf(" of certificate %q, serial number %x,", e.Certificate.Subject.String(), e.Certificate.SerialNumber)
	}
	return fmt.Sprintf("%v:%s %s: %s", ErrEvidence, what, e.Reason, e.Detail)
}

// Unwrap returns the cause.
func (e *EvidenceError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrEvidence) true.
func (e *EvidenceError) Is(target error) bool { return target == ErrEvidence }
