package logverify

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Domain separation tags of the hashes under a leaf. Each hash is
//
//	SHA-256( lp(tag) || … )    lp(x) = length of x in 4 bytes, big-endian, then x
const (
	tagHeader  = "suti/leaf-header/v1"
	tagBody    = "suti/leaf-body/v1"
	tagContent = "suti/leaf-content/v1"
	tagCommit  = "suti/leaf-commit/v1"
)

// SaltSize is the length of each salt, in bytes.
const SaltSize = 32

// Salt hides one part of an entry: without it, the part's hash tells nothing
// about the part, however guessable that is.
type Salt [SaltSize]byte

// MarshalText returns the salt in standard base64.
func (s Salt) MarshalText() ([]byte, error) { return Hash(s).MarshalText() }

// UnmarshalText reads the form of [Salt.MarshalText].
func (s *Salt) UnmarshalText(b []byte) error { return (*Hash)(s).UnmarshalText(b) }

// ErrOpening reports that what was disclosed is not what the leaf commits to.
var ErrOpening = errors.New("logverify: the leaf does not commit to this")

// Header is the part of an entry that the operator's database keeps in clear
// and that outlives an erasure: identifiers and coarse words, no content.
type Header struct {
	ID          string // "aud_…"
	Class       Class
	Kind        string // dotted, for instance "ca.issue"
	Subject     string // internal person id, or empty
	Actor       string
	Client      string
	Institution string
	Purpose     string
	Time        time.Time // microseconds
	Intent      string    // id of the intent that this entry closes, or empty
	Outcome     string
	Object      string
}

// Hash returns SHA-256 over the tag, the salt and the twelve fields in the
// order of the struct, each length-prefixed; the time is 8 bytes, big-endian,
// microseconds since the Unix epoch.
func (h Header) Hash(salt Salt) Hash {
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(h.Time.UnixMicro()))
	b := make([]byte, 0, 512)
	b = appendField(b, tagHeader)
	b = append(b, salt[:]...)
	for _, f := range []string{
		h.ID, string(h.Class), h.Kind, h.Subject, h.Actor, h.Client, h.Institution, h.Purpose,
		string(at[:]), h.Intent, h.Outcome, h.Object,
	} {
		b = appendField(b, f)
	}
	return sha256.Sum256(b)
}

// BodyHash returns the salted hash of an entry's body: what a third party may
// be shown, for instance the SHA-256 of a certificate. An entry without a
// body has an empty one.
func BodyHash(salt Salt, body []byte) Hash { return partHash(tagBody, salt, body) }

// ContentHash returns the salted hash of an entry's content: the payload that
// is sealed under the subject's key and that an erasure destroys with its salt.
func ContentHash(salt Salt, content []byte) Hash { return partHash(tagContent, salt, content) }

func partHash(tag string, salt Salt, part []byte) Hash {
	b := make([]byte, 0, 8+len(tag)+SaltSize+len(part))
	b = appendField(b, tag)
	b = append(b, salt[:]...)
	b = appendField(b, string(part))
	return sha256.Sum256(b)
}

// Parts are the hashes that a leaf's commitment binds. Any part can be
// disclosed, with its salt, while the others stay hidden behind theirs.
type Parts struct{ Header, Body, Content Hash }

// Commitment returns SHA-256( lp(tag) || header || body || content ).
func (p Parts) Commitment() Hash {
	b := make([]byte, 0, 4+len(tagCommit)+3*sha256.Size)
	b = appendField(b, tagCommit)
	b = append(b, p.Header[:]...)
	b = append(b, p.Body[:]...)
	b = append(b, p.Content[:]...)
	return sha256.Sum256(b)
}

func appendField(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// BodyOpening discloses the body of an entry and nothing else of it. It is
// what an evidence bundle carries: it names no person.
type BodyOpening struct {
	HeaderHash  Hash   `json:"header_hash"`
	ContentHash Hash   `json:"content_hash"`
	Salt        Salt   `json:"salt"`
	Body        []byte `json:"body"`
}

// VerifyBody returns nil if leaf commits to the body that o discloses, else
// an error that wraps [ErrOpening] or [ErrLeaf]. It says nothing about where
// the leaf stands: see [VerifyInclusion].
func VerifyBody(leaf []byte, o BodyOpening) error {
	l, err := ParseLeaf(leaf)
	if err != nil {
		return err
	}
	p := Parts{Header: o.HeaderHash, Body: BodyHash(o.Salt, o.Body), Content: o.ContentHash}
	if p.Commitment() != l.Commitment {
		return ErrOpening
	}
	if l.Class == ClassLog && l.Public != string(o.Body) {
		return fmt.Errorf("%w: the public lines are not the body", ErrOpening)
	}
	return nil
}

// EntryOpening discloses a whole entry. Only the subject and an auditor may
// hold one: it carries internal identifiers and the content.
type EntryOpening struct {
	Header      Header
	HeaderSalt  Salt
	Body        []byte
	BodySalt    Salt
	Content     []byte // payload, JSON as it was written
	ContentSalt Salt
	ContentHash Hash // stands for Content and its salt where Erased
	Erased      bool // content and its salt no longer exist
}

// VerifyEntry returns nil if leaf commits to the entry that o discloses and
// tells its class and time, else an error that wraps [ErrOpening] or [ErrLeaf].
func VerifyEntry(leaf []byte, o EntryOpening) error {
	l, err := ParseLeaf(leaf)
	if err != nil {
		return err
	}
	content := o.ContentHash
	if !o.Erased {
		content = ContentHash(o.ContentSalt, o.Content)
	}
	p := Parts{Header: o.Header.Hash(o.HeaderSalt), Body: BodyHash(o.BodySalt, o.Body), Content: content}
	switch {
	case p.Commitment() != l.Commitment:
		return ErrOpening
	case l.Class != o.Header.Class:
		return fmt.Errorf("%w: class %q, entry has %q", ErrOpening, l.Class, o.Header.Class)
	case l.Time.Unix() != o.Header.Time.Unix():
		return fmt.Errorf("%w: the leaf's time is not the entry's", ErrOpening)
	case l.Class == ClassLog && l.Public != string(o.Body):
		return fmt.Errorf("%w: the public lines are not the body", ErrOpening)
	}
	return nil
}

// Continuation is the public body of the first leaf of a log that continues
// another one: it names the last checkpoint that the other published.
type Continuation struct {
	Origin string
	Size   int64
	Root   Hash
}

const continues = "continues"

// Public returns the four public lines of the leaf.
func (c Continuation) Public() string {
	return fmt.Sprintf("%s\n%s\n%d\n%s\n", continues, c.Origin, c.Size, c.Root)
}

// ParseContinuation reads the public lines of a leaf; ok is false if they are
// about something else or malformed.
func ParseContinuation(public string) (c Continuation, ok bool) {
	f := strings.Split(public, "\n")
	if len(f) != 5 || f[0] != continues || f[4] != "" || CheckOrigin(f[1]) != nil {
		return Continuation{}, false
	}
	size, err := parseDecimal(f[2], MaxSize)
	if err != nil {
		return Continuation{}, false
	}
	root, err := ParseHash(f[3])
	if err != nil {
		return Continuation{}, false
	}
	return Continuation{Origin: f[1], Size: size, Root: root}, true
}
