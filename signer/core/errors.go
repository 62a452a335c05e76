package core

import (
	"errors"
	"fmt"
)

// Code says why something is refused. The values are stable.
type Code string

// The codes. Those about a person's standing and about an assertion are what the
// signer and the application get to see.
const (
	CodeNoGenesis            Code = "no_genesis"                 // the core has no trust anchor yet
	CodeUnknownActivation    Code = "activation_unknown"         // no such activation
	CodeUsed                 Code = "activation_used"            // it was used before
	CodeExpired              Code = "activation_expired"         // its time is over
	CodeReplayed             Code = "assertion_replayed"         // the assertion was used for another activation before
	CodeOtherDocuments       Code = "assertion_other_documents"  // it was made for another activation's documents
	CodeAssertion            Code = "assertion_invalid"          // it does not verify
	CodeNoUserVerification   Code = "assertion_unverified_user"  // PIN, finger or face missing
	CodeCounter              Code = "key_possibly_copied"        // the counter did not rise
	CodeOtherPerson          Code = "key_of_other_person"        // the passkey is somebody else's
	CodeKeyNotAccepted       Code = "key_not_accepted"           // no act in effect gives the passkey to the person
	CodeKeyPolicy            Code = "key_not_device_bound"       // policy wants a key that cannot leave its device
	CodeSuspended            Code = "person_suspended"           // the person may not act now
	CodeNotEnrolled          Code = "person_not_enrolled"        // no enrolment in effect
	CodeStale                Code = "person_changed"             // something about the person changed since the request began
	CodeAppointment          Code = "appointment_not_held"       // not, or not yet, or another's
	CodeAppointmentEnded     Code = "appointment_ended"          // it ended
	CodeCertificateRevoked   Code = "certificate_revoked"        // of the person in this capacity
	CodeCertificateExpired   Code = "certificate_expired"        // between request and use
	CodeCertificateMissing   Code = "certificate_not_issued"     // the authority refused or could not be reached
	CodeStatusUnknown        Code = "certificate_status_unknown" // revocation could not be checked
	CodeTimestampUnavailable Code = "timestamp_unavailable"      // signed, not stamped yet; recovery finishes
	CodeFailed               Code = "signature_failed"           // given up; nothing was signed that counts
	CodeOrder                Code = "order_invalid"              // the caller's mistake
)

// RefusedError is a refusal with its reason.
type RefusedError struct {
	Code Code
	Err  error // cause, may be nil
}

// Error names code and cause.
func (e *RefusedError) Error() string {
	if e.Err == nil {
		return "core: " + string(e.Code)
	}
	return fmt.Sprintf("core: %s: %v", e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// CodeOf returns the code of a refusal, or "" for any other error.
func CodeOf(err error) Code {
	var r *RefusedError
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}

func refuse(c Code, err error) error { return &RefusedError{Code: c, Err: err} }

// ErrCertificateAbandoned is wrapped by a [Certifier]'s error when the intent can
// never lead to a certificate any more, so that a new key has to be made.
var ErrCertificateAbandoned = errors.New("core: certificate intent is abandoned")

// ErrPinned reports an attempt to replace the trust anchor.
var ErrPinned = errors.New("core: another genesis is pinned")
