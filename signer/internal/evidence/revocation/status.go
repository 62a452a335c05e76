package revocation

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds, in octets.
const (
	MaxOCSP = 64 << 10
	MaxCRL  = 32 << 20

	maxDepth = 32
)

// State is what evidence says of a certificate.
type State uint8

// The states. There is no "unknown": that is an error.
const (
	Good State = iota + 1
	Revoked
)

// String returns "good" or "revoked".
func (s State) String() string {
	switch s {
	case Good:
		return "good"
	case Revoked:
		return "revoked"
	}
	return "none"
}

// Reason is a CRLReason (RFC 5280 §5.3.1); -1 where none is given.
type Reason int

// Reasons that callers tell apart.
const (
	NoReason        Reason = -1
	CertificateHold Reason = 6
)

// String returns the name of RFC 5280.
func (r Reason) String() string {
	names := [...]string{"unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded",
		"cessationOfOperation", "certificateHold", "reason 7", "removeFromCRL", "privilegeWithdrawn", "aACompromise"}
	if r < 0 || int(r) >= len(names) {
		return "none"
	}
	return names[r]
}

// Status is what one piece of evidence proves of one certificate.
type Status struct {
	State State
	// RevokedAt and Reason are of a revoked certificate.
	RevokedAt time.Time
	Reason    Reason
	// ProducedAt is when an OCSP response was signed; zero of a list.
	ProducedAt time.Time
	// ThisUpdate is the moment at which State was known to be right.
	ThisUpdate time.Time
	// NextUpdate is zero where an OCSP response does not tell.
	NextUpdate time.Time
	// Responder signed an OCSP response by delegation; nil where the issuer itself did.
	Responder *x509.Certificate
	// NoCheck says that the issuer declared the responder's certificate not to
	// need a revocation check (id-pkix-ocsp-nocheck).
	NoCheck bool
}

// Options say how evidence is judged.
type Options struct {
	// At is the time at which the evidence must be current: issued by then and
	// not yet due to be replaced. Required unless AtProduction.
	At time.Time
	// AtProduction judges archived evidence at the time it was made. The caller
	// MUST then compare ThisUpdate with the time it needs an answer for, and have
	// a proof that the evidence existed while its signer's key was sound.
	AtProduction bool
	// Skew is how far clocks may differ.
	Skew time.Duration
	// Certificates are further candidates for a delegated responder.
	Certificates []*x509.Certificate
	// Nonce is the one sent; nil does not look at the response's.
	Nonce []byte
}

func (o Options) check() error {
	if o.At.IsZero() != o.AtProduction || o.Skew < 0 {
		return fmt.Errorf("%w: want either a time or the time of production", ErrParams)
	}
	return nil
}

// current reports whether something of this and next update is current.
func (o Options) current(thisUpdate, nextUpdate time.Time) error {
	if o.AtProduction {
		return nil
	}
	if thisUpdate.After(o.At.Add(o.Skew)) {
		return fmt.Errorf("%w: of %v, later than %v", ErrNotCurrent, thisUpdate, o.At)
	}
	if !nextUpdate.IsZero() && nextUpdate.Add(o.Skew).Before(o.At) {
		return fmt.Errorf("%w: due to be replaced at %v, before %v", ErrNotCurrent, nextUpdate, o.At)
	}
	return nil
}

// readTime reads a Time, or only GeneralizedTime.
func readTime(s *cryptobyte.String, utc bool) (time.Time, bool) {
	var t time.Time
	if utc && s.PeekASN1Tag(cbasn1.UTCTime) {
		return t, s.ReadASN1UTCTime(&t)
	}
	ok := s.ReadASN1GeneralizedTime(&t)
	return t, ok
}

// readFlag reads BOOLEAN DEFAULT FALSE under a tag.
func readFlag(s *cryptobyte.String, tag cbasn1.Tag, v *bool) bool {
	var body cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&body, &present, tag) {
		return false
	}
	*v = present && len(body) == 1 && body[0] != 0
	return !present || len(body) == 1
}

// extension is one Extension, its value unread.
type extension struct {
	oid      cryptobyte.String // contents of the OBJECT IDENTIFIER
	critical bool
	value    cryptobyte.String
}

func (e extension) is(oid []byte) bool { return string(e.oid) == string(oid) }

// name returns the dotted identifier, for errors.
func (e extension) name() string {
	var oid asn1.ObjectIdentifier
	in := cryptobyte.String(append([]byte{6, byte(len(e.oid))}, e.oid...))
	if len(e.oid) > 100 || !in.ReadASN1ObjectIdentifier(&oid) {
		return "?"
	}
	return oid.String()
}

// readExtension reads one Extension without allocating.
func readExtension(s *cryptobyte.String) (e extension, ok bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1(&e.oid, cbasn1.OBJECT_IDENTIFIER) ||
		!readFlag(&body, cbasn1.BOOLEAN, &e.critical) || !body.ReadASN1(&e.value, cbasn1.OCTET_STRING) || !body.Empty() {
		return e, false
	}
	return e, true
}

// Contents of the object identifiers of extensions.
var (
	oidReasonCode        = []byte{0x55, 0x1d, 0x15}
	oidInvalidityDate    = []byte{0x55, 0x1d, 0x18}
	oidCRLNumber         = []byte{0x55, 0x1d, 0x14}
	oidDeltaCRLIndicator = []byte{0x55, 0x1d, 0x1b}
	oidIssuingDistPoint  = []byte{0x55, 0x1d, 0x1c}
	oidAuthorityKeyID    = []byte{0x55, 0x1d, 0x23}
	oidNonce             = []byte{0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02}
)

// Object identifiers of certificate extensions.
var (
	oidNoCheck    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}
	oidNoRevAvail = asn1.ObjectIdentifier{2, 5, 29, 56}
)

func hasExtension(cert *x509.Certificate, oid asn1.ObjectIdentifier) bool {
	for _, e := range cert.Extensions {
		if e.Id.Equal(oid) {
			return true
		}
	}
	return false
}

// NoRevocationAvailable reports whether the issuer declares that it publishes
// no revocation of the certificate (noRevAvail, RFC 9608).
func NoRevocationAvailable(cert *x509.Certificate) bool { return hasExtension(cert, oidNoRevAvail) }
