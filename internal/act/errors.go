package act

import (
	"errors"
	"fmt"

	"oruro.gob.bo/suti/internal/identity"
)

// Faults of an encoding or a value.
var (
	// ErrSize reports an encoding above its bound.
	ErrSize = errors.New("act: encoding too large")
	// ErrEncoding reports bytes that are not the canonical form.
	ErrEncoding = errors.New("act: not in canonical form")
	// ErrValue reports a field outside its grammar, or fields that contradict each other.
	ErrValue = errors.New("act: value not allowed")
)

// Reasons for which an act has no effect, or a question about a chain is
// answered with no. They arrive wrapped in a [Refusal].
var (
	// ErrGenesis reports a genesis act that is not the pinned one or not sound.
	ErrGenesis = errors.New("act: genesis not accepted")
	// ErrForeign reports an act made for another deployment.
	ErrForeign = errors.New("act: made for another genesis")
	// ErrDuplicate reports an act, an act identifier or an appointment seen before.
	ErrDuplicate = errors.New("act: seen before")
	// ErrTime reports an act out of time: before genesis, before its target, too old or in the future.
	ErrTime = errors.New("act: out of time")
	// ErrSignatures reports a set of signatures that is not exactly the one the act needs.
	ErrSignatures = errors.New("act: wrong set of signatures")
	// ErrSignature reports an assertion that does not verify; it wraps the cause.
	ErrSignature = errors.New("act: signature not accepted")
	// ErrRole reports an author who does not hold the role at that time.
	ErrRole = errors.New("act: author does not hold the role")
	// ErrCapacity reports a capacity in which such an act may not be done.
	ErrCapacity = errors.New("act: not possible in this capacity")
	// ErrSelf reports an act on its own author.
	ErrSelf = errors.New("act: on its own author")
	// ErrSamePerson reports a proposal approved by its proposer.
	ErrSamePerson = errors.New("act: proposed and approved by the same person")
	// ErrTarget reports a target that does not exist, is not open, or is of another kind.
	ErrTarget = errors.New("act: target not found or not open")
	// ErrPending reports an act that still lacks its approval.
	ErrPending = errors.New("act: approval missing")
	// ErrKeyBound reports a public key that already belongs to somebody.
	ErrKeyBound = errors.New("act: key already bound")
	// ErrPostTaken reports overlapping holders of an exclusive post.
	ErrPostTaken = errors.New("act: exclusive post is held by another")
	// ErrLastHolder reports an end that would leave nobody in a role that genesis needs.
	ErrLastHolder = errors.New("act: last holder of the role")
	// ErrUnknownKey reports a key that no act names.
	ErrUnknownKey = errors.New("act: unknown key")
	// ErrOtherPerson reports a key, an appointment or an attestation of somebody else.
	ErrOtherPerson = errors.New("act: belongs to another person")
	// ErrBackup reports a passkey whose BE flag is not the one that was enrolled.
	ErrBackup = errors.New("act: backup eligibility is not as enrolled")
	// ErrLevel reports an assurance level below the one asked for.
	ErrLevel = errors.New("act: assurance level too low")
	// ErrNotYet reports something that takes effect later.
	ErrNotYet = errors.New("act: not yet in effect")
	// ErrEnded reports something that has ended.
	ErrEnded = errors.New("act: no longer in effect")
	// ErrSuspended reports a suspended person.
	ErrSuspended = errors.New("act: person is suspended")
	// ErrNotEnrolled reports a person without an enrolment in effect.
	ErrNotEnrolled = errors.New("act: person is not enrolled")
	// ErrNoAppointment reports an appointment that no act makes.
	ErrNoAppointment = errors.New("act: unknown appointment")
	// ErrNoPresence reports a challenge that no registrar attested.
	ErrNoPresence = errors.New("act: presence not attested")
)

// Refusal says why an act has no effect, and what it would need.
type Refusal struct {
	Act     Hash           // zero if the refusal is not about one act
	ID      identity.ActID // likewise empty
	Kind    Kind           // likewise empty
	Reason  error          // one of the errors of this package, perhaps with a cause
	Missing string         // what is missing, for operators; no personal data
}

// Error names the act, the reason and what is missing.
func (r *Refusal) Error() string {
	s := r.Reason.Error()
	if r.Missing != "" {
		s += ": " + r.Missing
	}
	if r.ID != "" {
		s += fmt.Sprintf(" (%s %s)", r.Kind, r.ID)
	}
	return s
}

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.Reason }

func refuse(reason error, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Missing: fmt.Sprintf(format, args...)}
}

// Code returns a stable word for the reason of a refusal, for interfaces,
// test vectors and translations: "" for nil, "internal" for a foreign error.
func Code(err error) string {
	if err == nil {
		return ""
	}
	for _, c := range codes() {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return "internal"
}

type code struct {
	err  error
	code string
}

// codes lists wrappers before what they may wrap.
func codes() []code {
	return []code{
		{ErrGenesis, "genesis"}, {ErrSignature, "signature"}, {ErrForeign, "foreign"}, {ErrDuplicate, "duplicate"},
		{ErrTime, "time"}, {ErrSignatures, "signatures"}, {ErrRole, "role"}, {ErrCapacity, "capacity"},
		{ErrSelf, "self"}, {ErrSamePerson, "same-person"}, {ErrTarget, "target"}, {ErrPending, "pending"},
		{ErrKeyBound, "key-bound"}, {ErrPostTaken, "post-taken"}, {ErrLastHolder, "last-holder"},
		{ErrUnknownKey, "unknown-key"}, {ErrOtherPerson, "other-person"}, {ErrBackup, "backup"}, {ErrLevel, "level"},
		{ErrNotYet, "not-yet"}, {ErrEnded, "ended"}, {ErrSuspended, "suspended"}, {ErrNotEnrolled, "not-enrolled"},
		{ErrNoAppointment, "no-appointment"}, {ErrNoPresence, "no-presence"}, {ErrSize, "size"},
		{ErrEncoding, "encoding"}, {ErrValue, "value"},
	}
}
