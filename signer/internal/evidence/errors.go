package evidence

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrParams: a configuration that cannot work.
	ErrParams = errors.New("evidence: parameters")
	// ErrAddress: an address that is refused: scheme, form, or host not on the list.
	ErrAddress = errors.New("evidence: address refused")
	// ErrFetch: nothing usable came back; it wraps the network's error or an [*HTTPError].
	ErrFetch = errors.New("evidence: fetch")
	// ErrTooLarge: the answer is over the limit of its kind.
	ErrTooLarge = errors.New("evidence: answer too large")

	// ErrNoTimestamp: no authority of the pool gave an acceptable token; see [*PoolError].
	ErrNoTimestamp = errors.New("evidence: no time-stamp")
	// ErrRevoked: a certificate of the chain is revoked; see [*RevokedError].
	ErrRevoked = errors.New("evidence: certificate revoked")
	// ErrIncomplete: the state of a certificate could not be proven; see [*IncompleteError].
	ErrIncomplete = errors.New("evidence: revocation evidence incomplete")
	// ErrNoSource: the certificate names no source of revocation evidence.
	ErrNoSource = errors.New("evidence: certificate names no revocation source")
	// ErrUntrusted: no path to the roots, even with issuers fetched.
	ErrUntrusted = errors.New("evidence: no trusted path")
)

// HTTPError is an answer with a status other than 200.
type HTTPError struct {
	Host   string
	Status int
}

// Error names host and status.
func (e *HTTPError) Error() string { return fmt.Sprintf("evidence: %s answered %d", e.Host, e.Status) }

// Attempt is one try at one source.
type Attempt struct {
	// Source is the name of an authority, or the address of a responder or list.
	Source string
	// Err is why it gave nothing; nil of the one that did.
	Err error
	// Took is how long it took, by the configured clock.
	Took time.Duration
}

func joinAttempts(list []Attempt) string {
	var parts []string
	for _, a := range list {
		parts = append(parts, fmt.Sprintf("%s: %v", a.Source, a.Err))
	}
	return strings.Join(parts, "; ")
}

func causes(sentinel error, list []Attempt) []error {
	out := []error{sentinel}
	for _, a := range list {
		if a.Err != nil {
			out = append(out, a.Err)
		}
	}
	return out
}

// PoolError is [ErrNoTimestamp] with what each authority did. errors.Is also
// finds the causes of the attempts.
type PoolError struct{ Attempts []Attempt }

// Error lists the attempts.
func (e *PoolError) Error() string {
	return fmt.Sprintf("%v: %s", ErrNoTimestamp, joinAttempts(e.Attempts))
}

// Unwrap returns ErrNoTimestamp and the causes.
func (e *PoolError) Unwrap() []error { return causes(ErrNoTimestamp, e.Attempts) }

// RevokedError is [ErrRevoked] with the proof.
type RevokedError struct{ Answer Answer }

// Error names the certificate by serial number, not by person.
func (e *RevokedError) Error() string {
	return fmt.Sprintf("%v: serial %x, %v, since %v", ErrRevoked, e.Answer.Certificate.SerialNumber,
		e.Answer.Status.Reason, e.Answer.Status.RevokedAt.UTC().Format(time.RFC3339))
}

// Unwrap returns ErrRevoked.
func (e *RevokedError) Unwrap() error { return ErrRevoked }

// IncompleteError is [ErrIncomplete] with the answers that are missing.
type IncompleteError struct{ Missing []Answer }

// Error lists certificates by serial number and the attempts for each.
func (e *IncompleteError) Error() string {
	var parts []string
	for _, a := range e.Missing {
		parts = append(parts, fmt.Sprintf("serial %x (%s)", a.Certificate.SerialNumber, joinAttempts(a.Attempts)))
	}
	return fmt.Sprintf("%v: %s", ErrIncomplete, strings.Join(parts, ", "))
}

// Unwrap returns ErrIncomplete and the causes of all attempts.
func (e *IncompleteError) Unwrap() []error {
	out := []error{ErrIncomplete}
	for _, a := range e.Missing {
		out = append(out, causes(ErrIncomplete, a.Attempts)[1:]...)
	}
	return out
}
