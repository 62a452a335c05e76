package act

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// TagAct is the tag of a signed act's statement.
const TagAct = "suti/act/v1"

// MaxStatement bounds the encoding of a statement, in bytes.
const MaxStatement = 32 << 10

// Kind names what an act does.
type Kind string

// The kinds of act. docs/acts.md gives the fields of each.
const (
	KindGenesis     Kind = "genesis"
	KindAmendment   Kind = "amendment"
	KindEnrolment   Kind = "enrolment"
	KindKeyAddition Kind = "key-addition"
	KindRoleGrant   Kind = "role-grant"
	KindAppointment Kind = "appointment"
	KindApproval    Kind = "approval"
	KindEnd         Kind = "end"
	KindSuspension  Kind = "suspension"
	KindLift        Kind = "lift"
	KindPresence    Kind = "presence"
)

// Role is a role of staff, or the capacity in which a person acts.
type Role string

// Roles, and the capacity of a person who acts for themselves.
const (
	Administrator    Role = "administrator"
	Registrar        Role = "registrar"
	Supervisor       Role = "supervisor"
	InstitutionAdmin Role = "institution-admin" // always of one institution
	Holder           Role = "holder"            // not a role: the person concerned
)

// Statement is what the signers of an act declare.
type Statement struct {
	ID identity.ActID
	// Genesis is the hash of the deployment's genesis act; zero in that act itself.
	Genesis Hash
	// At is the time of the act, to the microsecond.
	At   time.Time
	Body Body
}

// Body is the part of a statement that depends on its kind: one of the
// pointer types *Genesis, *Amendment, *Enrolment, *KeyAddition, *RoleGrant,
// *Appointment, *Approval, *End, *Suspension, *Lift, *Presence.
type Body interface {
	Kind() Kind
	fields(*codec)
	check(*checks)
	// signers returns who must sign, no more and no fewer.
	signers() []signer
}

// signer is one signature that a body asks for: a key listed in the body
// itself (fresh), a certain accepted key of a person (id), or any accepted key
// of the person.
type signer struct {
	person identity.PersonID
	fresh  *KeyRecord
	id     *Hash
}

func newBody(kind Kind) Body {
	switch kind {
	case KindGenesis:
		return &Genesis{}
	case KindAmendment:
		return &Amendment{}
	case KindEnrolment:
		return &Enrolment{}
	case KindKeyAddition:
		return &KeyAddition{}
	case KindRoleGrant:
		return &RoleGrant{}
	case KindAppointment:
		return &Appointment{}
	case KindApproval:
		return &Approval{}
	case KindEnd:
		return &End{}
	case KindSuspension:
		return &Suspension{}
	case KindLift:
		return &Lift{}
	case KindPresence:
		return &Presence{}
	}
	return nil
}

// Encode returns the canonical bytes of the statement, tag included. Its
// SHA-256 is both the act's hash and the challenge that its signers' passkeys
// sign. Errors: [ErrValue], [ErrSize].
func (s Statement) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	c := writer(TagAct)
	s.fields(c)
	if c.err == nil && len(c.b) > MaxStatement {
		c.err = fmt.Errorf("%w: %d bytes, at most %d", ErrSize, len(c.b), MaxStatement)
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.b, nil
}

// Hash returns the act's hash: the SHA-256 of [Statement.Encode].
func (s Statement) Hash() (Hash, error) {
	raw, err := s.Encode()
	if err != nil {
		return Hash{}, err
	}
	return sha256.Sum256(raw), nil
}

// ParseStatement parses the canonical bytes of a statement.
// Errors: [ErrSize], [ErrEncoding], [ErrValue].
func ParseStatement(raw []byte) (Statement, error) {
	c := reader(TagAct, raw, MaxStatement)
	var s Statement
	s.fields(c)
	if err := c.done(); err != nil {
		return Statement{}, err
	}
	if err := s.check(); err != nil {
		return Statement{}, err
	}
	return s, nil
}

func (s *Statement) fields(c *codec) {
	var kind Kind
	if s.Body != nil {
		kind = s.Body.Kind()
	}
	str(c, "kind", &kind, 20)
	if c.reading && c.err == nil {
		if s.Body = newBody(kind); s.Body == nil {
			c.fail(ErrValue, "kind", "unknown")
		}
	}
	str(c, "id", &s.ID, maxID)
	c.optionalHash("genesis", &s.Genesis)
	c.instant("at", &s.At)
	if c.err == nil {
		s.Body.fields(c)
	}
}

func (s *Statement) check() error {
	k := &checks{}
	k.that(s.Body != nil, "kind", "missing")
	if k.err != nil {
		return k.err
	}
	k.id("id", identity.PrefixAct, string(s.ID), false)
	k.that(!s.At.IsZero(), "at", "missing")
	k.that(s.Genesis.IsZero() == (s.Body.Kind() == KindGenesis), "genesis", "must be empty in the genesis act and only there")
	s.Body.check(k)
	return k.err
}

// tagCommit is the tag of a salted commitment.
const tagCommit = "suti/commit/v1"

// MinSalt is the shortest salt of a commitment, in bytes.
const MinSalt = 16

// Fact is a salted commitment to one fact of a document check. Who holds salt
// and value can prove it; destroying the salt makes it meaningless.
type Fact struct {
	Label  string // 1 to 40 symbols of a-z 0-9 . _ -
	Commit Hash
}

// Commit returns SHA-256(tag, label, salt, value), each field with its length
// as in every other format of this package. Salts shorter than [MinSalt] are
// refused with [ErrValue].
func Commit(label string, salt, value []byte) (Fact, error) {
	k := &checks{}
	k.label("label", label)
	k.that(len(salt) >= MinSalt, "salt", "too short")
	if k.err != nil {
		return Fact{}, k.err
	}
	c := writer(tagCommit)
	str(c, "label", &label, 40)
	c.opaque("salt", &salt, MinSalt, 64)
	c.opaque("value", &value, 0, 1<<20)
	if c.err != nil {
		return Fact{}, c.err
	}
	return Fact{Label: label, Commit: sha256.Sum256(c.b)}, nil
}

// NewSalt returns 32 random bytes for [Commit].
func NewSalt() []byte {
	salt := make([]byte, 32)
	_, _ = rand.Read(salt) // crypto/rand.Read never returns an error (Go 1.24)
	return salt
}
