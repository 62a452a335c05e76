package bundle

import (
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
)

// Status is the outcome of one check.
type Status string

// Outcomes of a check. Only OK counts as passed.
const (
	OK         Status = "ok"
	Failed     Status = "failed"
	NotChecked Status = "not_checked" // the verifier lacked something, see the detail
	Pending    Status = "pending"     // the evidence was not there yet when the bundle was made
	Absent     Status = "absent"      // the bundle does not carry it
)

// Verdict is the outcome of all checks together.
type Verdict string

// Verdicts, in the sense of ETSI EN 319 102-1 (TOTAL-PASSED, TOTAL-FAILED, INDETERMINATE).
const (
	Valid         Verdict = "valid"         // every required check is ok
	Invalid       Verdict = "invalid"       // a check failed
	Indeterminate Verdict = "indeterminate" // none failed, but a required one was not made
)

// Names of checks. Those of documents carry an index: "signature[0]".
const (
	CheckPreimage    = "preimage"
	CheckExpiry      = "expiry"
	CheckActs        = "acts"
	CheckActsLogged  = "acts_logged"
	CheckKey         = "key"
	CheckAssertion   = "assertion"
	CheckPresence    = "presence"
	CheckAppointment = "appointment"
	CheckCertificate = "certificate"
	CheckRevocation  = "revocation"
	CheckSignature   = "signature"
	CheckTimestamp   = "timestamp"
	CheckLog         = "log"
)

// Check is one thing that was looked at, or could not be.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Required says that the verdict depends on it. A failed check makes the
	// verdict invalid whether required or not.
	Required bool   `json:"required"`
	Detail   string `json:"detail"`
	// Err is the cause of a failure.
	Err error `json:"-"`
}

// Report is what [Verify] found. Fields other than Verdict and Checks repeat
// what the bundle claims; the checks say how far it is proved.
type Report struct {
	Verdict     Verdict                `json:"verdict"`
	Class       identity.EvidenceClass `json:"class"`
	RequestID   string                 `json:"request_id"`
	Person      identity.PersonID      `json:"person"`
	Appointment identity.AppointmentID `json:"appointment"`
	Challenge   string                 `json:"challenge"`
	// SignedAt is the signing core's claim; ProvenAt the latest time in a
	// verified time-stamp, zero if there is none.
	SignedAt time.Time `json:"signed_at"`
	ProvenAt time.Time `json:"proven_at,omitzero"`
	// Level is that of the signer's key or, at the counter, of the enrolment.
	Level string `json:"level"`
	// Key tells what is known of the passkey; zero at the counter.
	Key act.KeyGrant `json:"-"`
	// Post is the appointment in which the person signed; zero if none.
	Post act.Post `json:"-"`
	// Deployment is what genesis and its amendments say.
	Deployment string           `json:"deployment"`
	Documents  []DocumentReport `json:"documents"`
	Checks     []Check          `json:"checks"`
}

// DocumentReport names a document and the level its signature has.
type DocumentReport struct {
	SHA256    string `json:"sha256"`
	Digest    string `json:"digest"`
	Name      string `json:"name"`
	Requested string `json:"requested"`
	Achieved  string `json:"achieved"`
	Lowered   bool   `json:"lowered"` // achieved is below requested
	Pages     int    `json:"pages"`
}

// Check returns the check of a name, or false.
func (r *Report) Check(name string) (Check, bool) {
	for _, c := range r.Checks {
		if c.Name == name {
			return c, true
		}
	}
	return Check{}, false
}

// Err returns nil if the verdict is valid, else an error with the causes of
// all failed checks or, where none failed, the names of those not made.
func (r *Report) Err() error {
	if r.Verdict == Valid {
		return nil
	}
	errs := []error{ErrNotValid}
	for _, c := range r.Checks {
		if c.Status == Failed || c.Required && c.Status != OK {
			errs = append(errs, &CheckError{Check: c})
		}
	}
	return errors.Join(errs...)
}

// ErrNotValid reports a bundle whose verdict is not [Valid].
var ErrNotValid = errors.New("bundle: not valid")

// CheckError is a check that did not pass.
type CheckError struct{ Check Check }

// Error names the check and its detail.
func (e *CheckError) Error() string {
	return e.Check.Name + ": " + string(e.Check.Status) + ": " + e.Check.Detail
}

// Unwrap returns the cause, if there is one.
func (e *CheckError) Unwrap() error { return e.Check.Err }

func (r *Report) add(name string, s Status, required bool, detail string) {
	r.Checks = append(r.Checks, Check{Name: name, Status: s, Required: required, Detail: detail})
}

// result adds a required check that passed with a detail, or failed with err.
func (r *Report) result(name, detail string, err error) bool {
	c := Check{Name: name, Status: OK, Required: true, Detail: detail}
	if err != nil {
		c.Status, c.Detail, c.Err = Failed, err.Error(), err
	}
	r.Checks = append(r.Checks, c)
	return err == nil
}

// judge sets the verdict from the checks.
func (r *Report) judge() {
	r.Verdict = Valid
	if len(r.Checks) == 0 {
		r.Verdict = Indeterminate
	}
	for _, c := range r.Checks {
		switch {
		case c.Status == Failed:
			r.Verdict = Invalid
			return
		case c.Status != OK && c.Required:
			r.Verdict = Indeterminate
		}
	}
}
