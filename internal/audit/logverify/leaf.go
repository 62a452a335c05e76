package logverify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// LeafTag is the first line of every leaf of version 1.
const LeafTag = "suti/leaf/v1"

// Limits of the leaf format. MaxLeaf is far below the 65,535 bytes that an
// entry bundle can hold (C2SP tlog-tiles, "Log entries").
const (
	MaxLeaf        = 4096
	MaxPublicLines = 8
	MaxPublicLine  = 400
	maxClass       = 16
)

// maxUnix is 9999-12-31T23:59:59Z, the last time a leaf can carry.
const maxUnix = 253402300799

// Errors of the leaf format.
var (
	// ErrLeaf reports bytes that are not a leaf, or a leaf that cannot be encoded.
	ErrLeaf = errors.New("logverify: malformed leaf")
	// ErrBundle reports bytes that are not an entry bundle.
	ErrBundle = errors.New("logverify: malformed entry bundle")
)

// Hash is a SHA-256 value: a tree hash (RFC 6962 §2.1) or a commitment. Its
// text form is standard base64 with padding.
type Hash [sha256.Size]byte

// String returns h in standard base64.
func (h Hash) String() string { return base64.StdEncoding.EncodeToString(h[:]) }

// ParseHash reads the form written by [Hash.String]; no other spelling is accepted.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != base64.StdEncoding.EncodedLen(len(h)) {
		return Hash{}, fmt.Errorf("hash of %d characters, want 44", len(s))
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) {
		return Hash{}, errors.New("hash is not standard base64 of 32 bytes")
	}
	copy(h[:], b)
	return h, nil
}

// MarshalText returns the form of [Hash.String].
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the form of [Hash.String].
func (h *Hash) UnmarshalText(b []byte) error {
	v, err := ParseHash(string(b))
	if err != nil {
		return err
	}
	*h = v
	return nil
}

// Class is the coarse, public kind of a leaf. It never tells more than what
// sort of thing happened. The set may grow, so a verifier counts an unknown
// class and does not refuse it.
type Class string

// The classes of version 1.
const (
	ClassCertificate Class = "certificate" // certificates: intent, issue, revocation
	ClassTimestamp   Class = "timestamp"   // time-stamp tokens
	ClassSignature   Class = "signature"   // signatures and seals on documents
	ClassAct         Class = "act"         // acts of registrars and supervisors, genesis
	ClassAppointment Class = "appointment" // posts, appointments, mandates
	ClassAccount     Class = "account"     // a person's own account: keys, recovery, suspension
	ClassClient      Class = "client"      // registration and change of client applications
	ClassKey         Class = "key"         // key ceremonies and the life of service keys
	ClassLogin       Class = "login"       // logins, logouts, consents
	ClassToken       Class = "token"       // tokens issued, exchanged, revoked
	ClassAccess      Class = "access"      // someone read a person's data
	ClassOperation   Class = "operation"   // operators: configuration, backup, restore
	ClassLog         Class = "log"         // the log's own affairs; its body is public
)

// Classes returns the classes of version 1 in the order of the documentation.
func Classes() []Class {
	return []Class{
		ClassCertificate, ClassTimestamp, ClassSignature, ClassAct, ClassAppointment, ClassAccount, ClassClient,
		ClassKey, ClassLogin, ClassToken, ClassAccess, ClassOperation, ClassLog,
	}
}

// Valid reports whether c is spelled as a class: 1 to 16 letters a to z.
func (c Class) Valid() bool {
	if len(c) == 0 || len(c) > maxClass {
		return false
	}
	for i := range len(c) {
		if c[i] < 'a' || c[i] > 'z' {
			return false
		}
	}
	return true
}

// Leaf is the public record of one audit entry.
type Leaf struct {
	// Class is the coarse kind.
	Class Class
	// Time is when the entry was prepared; the leaf carries whole seconds, rounded down, from the Unix epoch on.
	Time time.Time
	// Commitment binds the entry without telling it (see [Parts]).
	Commitment Hash
	// Public is the entry's body in clear, newline-terminated lines. Only [ClassLog] has one, and always.
	Public string
}

// Marshal returns the canonical bytes of l: four lines, then the public
// lines, each ended by a newline. It returns [ErrLeaf] for a leaf that could
// not be read back.
func (l Leaf) Marshal() ([]byte, error) {
	sec := l.Time.Unix()
	if !l.Class.Valid() || sec < 0 || sec > maxUnix {
		return nil, fmt.Errorf("%w: class %q, second %d", ErrLeaf, l.Class, sec)
	}
	if err := l.checkPublic(); err != nil {
		return nil, err
	}
	b := make([]byte, 0, len(LeafTag)+len(l.Class)+64+len(l.Public))
	b = append(b, LeafTag...)
	b = append(b, '\n')
	b = append(b, l.Class...)
	b = append(b, '\n')
	b = strconv.AppendInt(b, sec, 10)
	b = append(b, '\n')
	b = base64.StdEncoding.AppendEncode(b, l.Commitment[:])
	b = append(b, '\n')
	b = append(b, l.Public...)
	if len(b) > MaxLeaf {
		return nil, fmt.Errorf("%w: %d bytes, limit %d", ErrLeaf, len(b), MaxLeaf)
	}
	return b, nil
}

func (l Leaf) checkPublic() error {
	if (l.Class == ClassLog) != (l.Public != "") {
		return fmt.Errorf("%w: public lines belong to class %q and to no other", ErrLeaf, ClassLog)
	}
	if l.Public == "" {
		return nil
	}
	return CheckPublic(l.Public)
}

// CheckPublic returns [ErrLeaf] unless s can stand as the public lines of a
// leaf: 1 to 8 non-empty lines of at most 400 bytes, each ended by a newline,
// in UTF-8 without control characters.
func CheckPublic(s string) error {
	if !strings.HasSuffix(s, "\n") || !utf8.ValidString(s) || len(s) > MaxPublicLines*(MaxPublicLine+1) {
		return fmt.Errorf("%w: public lines", ErrLeaf)
	}
	lines := strings.Split(s[:len(s)-1], "\n")
	if len(lines) > MaxPublicLines {
		return fmt.Errorf("%w: %d public lines, limit %d", ErrLeaf, len(lines), MaxPublicLines)
	}
	for i, line := range lines {
		if line == "" || len(line) > MaxPublicLine || strings.ContainsFunc(line, isControl) {
			return fmt.Errorf("%w: public line %d", ErrLeaf, i+1)
		}
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

// ParseLeaf reads what [Leaf.Marshal] writes and nothing else; other bytes give [ErrLeaf].
func ParseLeaf(b []byte) (Leaf, error) {
	if len(b) > MaxLeaf {
		return Leaf{}, fmt.Errorf("%w: %d bytes, limit %d", ErrLeaf, len(b), MaxLeaf)
	}
	f := strings.SplitN(string(b), "\n", 5)
	if len(f) != 5 || f[0] != LeafTag {
		return Leaf{}, fmt.Errorf("%w: want tag %q and three more lines", ErrLeaf, LeafTag)
	}
	sec, err := parseDecimal(f[2], maxUnix)
	if err != nil {
		return Leaf{}, fmt.Errorf("%w: time: %w", ErrLeaf, err)
	}
	h, err := ParseHash(f[3])
	if err != nil {
		return Leaf{}, fmt.Errorf("%w: commitment: %w", ErrLeaf, err)
	}
	l := Leaf{Class: Class(f[1]), Time: time.Unix(sec, 0).UTC(), Commitment: h, Public: f[4]}
	if !l.Class.Valid() {
		return Leaf{}, fmt.Errorf("%w: class", ErrLeaf)
	}
	if err := l.checkPublic(); err != nil {
		return Leaf{}, err
	}
	return l, nil
}

// LeafHash returns the tree hash of leaf bytes: SHA-256(0x00 || leaf), RFC 6962 §2.1.
func LeafHash(leaf []byte) Hash { return Hash(tlog.RecordHash(leaf)) }

// AppendBundle appends one leaf to an entry bundle: its length as a
// big-endian uint16, then its bytes (C2SP tlog-tiles, "Log entries").
func AppendBundle(b, leaf []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(leaf)))
	return append(b, leaf...)
}

// MaxBundle is the size limit of an entry bundle of full width, in bytes.
const MaxBundle = TileWidth * (2 + MaxLeaf)

// ParseBundle splits an entry bundle into exactly width leaves, or returns
// [ErrBundle]. The leaves share b's memory and are not parsed.
func ParseBundle(b []byte, width int) ([][]byte, error) {
	if width < 1 || width > TileWidth || len(b) > MaxBundle {
		return nil, fmt.Errorf("%w: width %d, %d bytes", ErrBundle, width, len(b))
	}
	leaves := make([][]byte, 0, width)
	for range width {
		if len(b) < 2 {
			return nil, fmt.Errorf("%w: ends after %d of %d leaves", ErrBundle, len(leaves), width)
		}
		n := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if n > len(b) {
			return nil, fmt.Errorf("%w: leaf %d has %d bytes, %d are left", ErrBundle, len(leaves), n, len(b))
		}
		leaves = append(leaves, b[:n:n])
		b = b[n:]
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last leaf", ErrBundle, len(b))
	}
	return leaves, nil
}

// parseDecimal reads a canonical decimal from 0 to limit.
func parseDecimal(s string, limit int64) (int64, error) {
	if s == "" || len(s) > 19 || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("not a canonical decimal (%d characters)", len(s))
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errors.New("not a canonical decimal")
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > limit {
		return 0, fmt.Errorf("decimal above %d", limit)
	}
	return n, nil
}
