package act

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// Tags of the two signing challenges. A format never changes under its tag.
const (
	TagSigning     = "suti/sign/v1"
	TagHashSigning = "suti/csc/v1"
)

// Bounds of an activation.
const (
	// MaxDocuments bounds the documents or hashes of one activation.
	MaxDocuments = 1000
	// MaxPreimage bounds the preimage of a signing challenge, in bytes.
	MaxPreimage = 512 << 10

	maxFieldName = 127
	maxRequestID = 64
)

// Activation is what a signer's passkey approves: a [Signing] or a [HashSigning].
type Activation interface {
	// Preimage returns the canonical bytes. It returns an error that matches
	// ErrValue or ErrSize if the value cannot be encoded.
	Preimage() ([]byte, error)
	// Shared returns the fields that both kinds share.
	Shared() Common
}

// Common is the part that both kinds of activation share.
type Common struct {
	RequestID   string // 1 to 64 symbols of A-Z a-z 0-9 . _ : / -
	Person      identity.PersonID
	Appointment identity.AppointmentID // empty where the person signs as such
	Certificate Hash                   // SHA-256 of the certificate's DER; zero if it is yet to be issued
	Expiry      time.Time              // the assertion must arrive before
	Nonce       [32]byte
}

// Challenge returns the WebAuthn challenge of an activation: the SHA-256 of its preimage.
func Challenge(a Activation) (Hash, error) {
	raw, err := a.Preimage()
	if err != nil {
		return Hash{}, err
	}
	return sha256.Sum256(raw), nil
}

// ParseActivation parses the preimage of either challenge; its tag decides.
func ParseActivation(preimage []byte) (Activation, error) {
	if bytes.HasPrefix(preimage, []byte(TagHashSigning+"\x00")) {
		return ParseHashSigning(preimage)
	}
	return ParseSigning(preimage)
}

// Signing is the activation of signatures on documents that Suti holds
// (design decision D8), tag suti/sign/v1.
type Signing struct {
	Common
	// Profile and Policy name the certificate to be issued, where Certificate is zero:
	// the profile's label and the certificate policy's object identifier.
	Profile string
	Policy  string
	// Documents are listed in the order in which they were shown.
	Documents []Document
}

// Document is one document to be signed.
type Document struct {
	SHA256    Hash   // of the file as shown
	ByteRange []byte // digest over the ByteRange of the prepared file; its length names SHA-256, -384 or -512
	Field     string // full name of the signature field
}

// Ways in which an activation names the certificate.
const (
	byCertificate = "certificate"
	byProfile     = "profile"
)

// Shared returns the fields that both kinds of activation share.
func (s *Signing) Shared() Common { return s.Common }

// Preimage returns the canonical bytes, tag included.
func (s *Signing) Preimage() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	c := writer(TagSigning)
	s.fields(c)
	return finish(c)
}

// finish returns what c has written, unless it is too large.
func finish(c *codec) ([]byte, error) {
	if c.err != nil {
		return nil, c.err
	}
	if len(c.b) > MaxPreimage {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrSize, len(c.b), MaxPreimage)
	}
	return c.b, nil
}

// ParseSigning parses a preimage of tag suti/sign/v1.
// Errors: [ErrSize], [ErrEncoding], [ErrValue].
func ParseSigning(preimage []byte) (*Signing, error) {
	c := reader(TagSigning, preimage, MaxPreimage)
	s := &Signing{}
	s.fields(c)
	if err := c.done(); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Signing) fields(c *codec) {
	s.head(c)
	binding := byProfile
	if !s.Certificate.IsZero() {
		binding = byCertificate
	}
	str(c, "binding", &binding, len(byCertificate))
	switch binding {
	case byCertificate:
		c.hash("certificate_sha256", &s.Certificate)
	case byProfile:
		str(c, "profile", &s.Profile, 40)
		str(c, "policy", &s.Policy, 64)
	default:
		c.fail(ErrValue, "binding", "unknown value")
	}
	list(c, "documents", &s.Documents, MaxDocuments, func(c *codec, d *Document) {
		c.hash("document_sha256", &d.SHA256)
		c.opaque("byte_range_digest", &d.ByteRange, 32, 64)
		str(c, "field", &d.Field, maxFieldName)
	})
	s.tail(c)
}

func (s *Signing) check() error {
	k := &checks{}
	s.Common.check(k)
	if s.Certificate.IsZero() {
		k.label("profile", s.Profile)
		k.oid("policy", s.Policy)
	} else {
		k.that(s.Profile == "" && s.Policy == "", "profile", "given beside a certificate")
	}
	k.that(len(s.Documents) > 0 && len(s.Documents) <= MaxDocuments, "documents", "none or too many")
	for _, d := range s.Documents {
		k.that(!d.SHA256.IsZero(), "document_sha256", "zero")
		k.digest("byte_range_digest", d.ByteRange)
		k.text("field", d.Field, maxFieldName)
	}
	return k.err
}

// head describes the first fields of either activation.
func (m *Common) head(c *codec) {
	str(c, "request_id", &m.RequestID, maxRequestID)
	str(c, "person", &m.Person, maxID)
	str(c, "appointment", &m.Appointment, maxID)
}

// tail describes the last fields of either activation.
func (m *Common) tail(c *codec) {
	c.instant("expiry", &m.Expiry)
	nonce := Hash(m.Nonce)
	c.hash("nonce", &nonce)
	m.Nonce = nonce
}

func (m *Common) check(k *checks) {
	k.token("request_id", m.RequestID, maxRequestID)
	k.person("person", m.Person)
	k.id("appointment", identity.PrefixAppointment, string(m.Appointment), true)
	k.that(!m.Expiry.IsZero(), "expiry", "missing")
	k.that(m.Nonce != [32]byte{}, "nonce", "zero")
}

// maxID is the length of an identifier of three letters, "_" and 26 symbols.
const maxID = 30
