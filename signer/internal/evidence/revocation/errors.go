package revocation

import (
	"errors"
	"fmt"
)

// Causes for which evidence proves nothing. Signature faults wrap the sentinels
// of internal/cms.
var (
	// ErrTooLarge: over [MaxOCSP] or [MaxCRL] octets.
	ErrTooLarge = errors.New("revocation: larger than the limit")
	// ErrMalformed: not the structure of RFC 6960 or RFC 5280.
	ErrMalformed = errors.New("revocation: malformed")
	// ErrParams: a programmer's mistake.
	ErrParams = errors.New("revocation: parameters")
	// ErrExtension: a critical extension that is not understood.
	ErrExtension = errors.New("revocation: critical extension not understood")
	// ErrIssuer: not about certificates of this issuer.
	ErrIssuer = errors.New("revocation: of another issuer")
	// ErrNotCovered: a response that says nothing about the certificate.
	ErrNotCovered = errors.New("revocation: does not cover the certificate")
	// ErrScope: a list that may leave the certificate out: partial, delta, indirect.
	ErrScope = errors.New("revocation: scope of the list")
	// ErrUnknown: the responder does not know the certificate.
	ErrUnknown = errors.New("revocation: certificate unknown to the responder")
	// ErrNotCurrent: issued later than the time asked about, or superseded by then.
	ErrNotCurrent = errors.New("revocation: not current")
	// ErrResponder: signed by somebody whom the issuer has not delegated.
	ErrResponder = errors.New("revocation: responder not authorised")
	// ErrNonce: answers another request.
	ErrNonce = errors.New("revocation: nonce does not match")
)

// ResponseError is an OCSPResponseStatus other than successful (RFC 6960 §4.2.1).
type ResponseError struct{ Status int }

// Error names the status.
func (e *ResponseError) Error() string {
	name := "unknown status"
	switch e.Status {
	case 1:
		name = "malformedRequest"
	case 2:
		name = "internalError"
	case 3:
		name = "tryLater"
	case 5:
		name = "sigRequired"
	case 6:
		name = "unauthorized"
	}
	return fmt.Sprintf("revocation: responder answers %s (%d)", name, e.Status)
}

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }
