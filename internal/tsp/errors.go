package tsp

import (
	"errors"
	"fmt"
	"strings"
)

// Causes of refusal. Errors about the CMS around a token wrap the sentinels of
// internal/cms instead.
var (
	// ErrTooLarge: over [MaxRequest] or [MaxResponse] octets.
	ErrTooLarge = errors.New("tsp: larger than the limit")
	// ErrMalformed: not the structure of RFC 3161.
	ErrMalformed = errors.New("tsp: malformed")
	// ErrVersion: a version other than 1.
	ErrVersion = errors.New("tsp: version")
	// ErrExtension: a critical extension of a TSTInfo that is not understood.
	ErrExtension = errors.New("tsp: critical extension not understood")
	// ErrParams: a programmer's or configuration's mistake.
	ErrParams = errors.New("tsp: parameters")

	// ErrImprint: the token stamps something else.
	ErrImprint = errors.New("tsp: message imprint does not match")
	// ErrNonce: the token answers another request.
	ErrNonce = errors.New("tsp: nonce does not match")
	// ErrPolicy: the token was issued under a policy that is not accepted.
	ErrPolicy = errors.New("tsp: policy not accepted")
	// ErrGenTime: the token's time is outside what is possible or asked for.
	ErrGenTime = errors.New("tsp: time out of range")
	// ErrTSAName: the token names an authority that its certificate does not.
	ErrTSAName = errors.New("tsp: authority's name is not the certificate's")
	// ErrUsage: the certificate may not sign time-stamps (RFC 3161 §2.3).
	ErrUsage = errors.New("tsp: certificate is not one of a time-stamping unit")
	// ErrUntrusted: no path to the roots, valid at the token's time.
	ErrUntrusted = errors.New("tsp: no trusted path")
)

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// FailInfo is one bit of PKIFailureInfo (RFC 3161 §2.4.2).
type FailInfo uint8

// The failures that RFC 3161 allows.
const (
	BadAlg              FailInfo = 0
	BadRequest          FailInfo = 2
	BadDataFormat       FailInfo = 5
	TimeNotAvailable    FailInfo = 14
	UnacceptedPolicy    FailInfo = 15
	UnacceptedExtension FailInfo = 16
	AddInfoNotAvailable FailInfo = 17
	SystemFailure       FailInfo = 25
)

// String returns the name that RFC 3161 gives to the failure.
func (f FailInfo) String() string {
	switch f {
	case BadAlg:
		return "badAlg"
	case BadRequest:
		return "badRequest"
	case BadDataFormat:
		return "badDataFormat"
	case TimeNotAvailable:
		return "timeNotAvailable"
	case UnacceptedPolicy:
		return "unacceptedPolicy"
	case UnacceptedExtension:
		return "unacceptedExtension"
	case AddInfoNotAvailable:
		return "addInfoNotAvailable"
	case SystemFailure:
		return "systemFailure"
	}
	return fmt.Sprintf("failInfo(%d)", uint8(f))
}

// RequestError says why a request is refused, and with which failInfo to answer.
type RequestError struct {
	Fail FailInfo
	Err  error
}

// Error names the failure and its cause.
func (e *RequestError) Error() string { return fmt.Sprintf("tsp: request: %v: %v", e.Fail, e.Err) }

// Unwrap returns the cause.
func (e *RequestError) Unwrap() error { return e.Err }

// Status is PKIStatus (RFC 3161 §2.4.2).
type Status int

// The statuses of a response.
const (
	Granted                Status = 0
	GrantedWithMods        Status = 1
	Rejection              Status = 2
	Waiting                Status = 3
	RevocationWarning      Status = 4
	RevocationNotification Status = 5
)

// StatusError is a response without a token.
type StatusError struct {
	Status Status
	Fail   []FailInfo
	Text   []string // as the authority wrote it; untrusted
}

// Error gives status and failures; the authority's text is quoted.
func (e *StatusError) Error() string {
	var fails []string
	for _, f := range e.Fail {
		fails = append(fails, f.String())
	}
	return fmt.Sprintf("tsp: status %d [%s] %q", int(e.Status), strings.Join(fails, " "), e.Text)
}
