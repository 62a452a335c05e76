// Package identity holds the words that every part of Suti shares: identifiers,
// assurance levels and evidence classes. It imports only the standard library,
// has no behaviour beyond parsing and ordering, and anyone may import it.
package identity

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Identifiers are opaque strings: a prefix that names the kind, "_", and 26
// lower-case Crockford base32 symbols of a UUIDv7 (RFC 9562 §5.7), so that they
// sort by time of creation. They are never reused and never carry personal data.
type (
	// PersonID names a natural person ("per_…"). It never leaves Suti: clients see pairwise subjects.
	PersonID string
	// InstitutionID names a public institution ("ins_…").
	InstitutionID string
	// PostID names a post, a "cargo" ("pst_…").
	PostID string
	// AppointmentID names one person's holding of a post ("apt_…").
	AppointmentID string
	// CredentialID names a registered authenticator of a person ("key_…"); it is not the WebAuthn credential id.
	CredentialID string
	// ActID names a signed act ("act_…").
	ActID string
)

// Prefixes of identifiers, for [NewID] and [CheckID].
const (
	PrefixPerson      = "per"
	PrefixInstitution = "ins"
	PrefixPost        = "pst"
	PrefixAppointment = "apt"
	PrefixCredential  = "key"
	PrefixAct         = "act"
)

// ErrID reports a string that is not an identifier of the kind asked for.
var ErrID = errors.New("identity: not an identifier of this kind")

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// encodedLen is the length of 16 bytes in unpadded base32.
const encodedLen = 26

func encoding() *base32.Encoding {
	return base32.NewEncoding(alphabet).WithPadding(base32.NoPadding)
}

// NewID returns a fresh identifier of the given kind, stamped with the time
// now. It draws 74 random bits from the system source.
func NewID(prefix string, now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never returns an error (Go 1.24)
	ms := uint64(now.UnixMilli())
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], ms<<16)
	copy(b[:6], head[:6])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return prefix + "_" + encoding().EncodeToString(b[:])
}

// CheckID returns [ErrID], wrapped with the value's length, unless s is an
// identifier with that prefix. It never echoes s, which may be hostile.
func CheckID(prefix, s string) error {
	body, ok := strings.CutPrefix(s, prefix+"_")
	if !ok || len(body) != encodedLen {
		return fmt.Errorf("%w: want prefix %q, got %d bytes", ErrID, prefix, len(s))
	}
	for i := range len(body) {
		if strings.IndexByte(alphabet, body[i]) < 0 {
			return fmt.Errorf("%w: want prefix %q, bad symbol at %d", ErrID, prefix, i)
		}
	}
	return nil
}
