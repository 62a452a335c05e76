package der

import (
	"crypto"
	"crypto/sha1" // CertID hashes name an issuer, they protect nothing
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds of an OCSP request.
const (
	MaxOCSPRequest = 8 << 10 // octets
	MaxCertIDs     = 16
	MaxNonce       = 128 // octets, RFC 9654 §2.1
)

const (
	oidSHA1      = "1.3.14.3.2.26"
	oidSHA256    = "2.16.840.1.101.3.4.2.1"
	oidOCSPNonce = "1.3.6.1.5.5.7.48.1.2"
)

// ErrMalformed reports a message that is not what its standard says, or that
// exceeds a bound of this package.
var ErrMalformed = errors.New("der: malformed message")

// CertID names a certificate in OCSP by hashes of its issuer (RFC 6960 §4.1.1).
type CertID struct {
	Raw      []byte      // as received or as encoded here; echoed in the answer
	Hash     crypto.Hash // SHA-1 or SHA-256; 0: another algorithm
	NameHash []byte
	KeyHash  []byte
	Serial   []byte // big-endian, minimal, positive, 1 to 20 octets
}

// OCSPRequest is a parsed request. A signature on it is ignored, as RFC 6960
// §4.1.2 allows: answers are public.
type OCSPRequest struct {
	IDs []CertID
	// Nonce is 1 to [MaxNonce] octets, or nil: none was sent, or one longer
	// than the bound, which RFC 9654 lets a responder leave unanswered.
	Nonce []byte
	// NonceSent tells that the requester wanted an answer made for it.
	NonceSent bool
}

// ParseOCSPRequest reads a request in DER. Errors match [ErrMalformed].
func ParseOCSPRequest(in []byte) (OCSPRequest, error) {
	var req OCSPRequest
	if len(in) > MaxOCSPRequest {
		return req, fmt.Errorf("%w: more than %d octets", ErrMalformed, MaxOCSPRequest)
	}
	s := cryptobyte.String(in)
	var outer, tbs, list cryptobyte.String
	if !s.ReadASN1(&outer, cbasn1.SEQUENCE) || !s.Empty() || !outer.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		return req, fmt.Errorf("%w: not an OCSPRequest", ErrMalformed)
	}
	if !outer.SkipOptionalASN1(context(0)) || !outer.Empty() {
		return req, fmt.Errorf("%w: trailing data", ErrMalformed)
	}
	// DER leaves out the default version; some clients write it all the same.
	var version cryptobyte.String
	var hasVersion bool
	if !tbs.ReadOptionalASN1(&version, &hasVersion, context(0)) {
		return req, fmt.Errorf("%w: version", ErrMalformed)
	}
	if v := 1; hasVersion && (!version.ReadASN1Integer(&v) || v != 0 || !version.Empty()) {
		return req, fmt.Errorf("%w: version", ErrMalformed)
	}
	if !tbs.SkipOptionalASN1(context(1)) || !tbs.ReadASN1(&list, cbasn1.SEQUENCE) {
		return req, fmt.Errorf("%w: no list of requests", ErrMalformed)
	}
	if err := req.readList(list); err != nil {
		return OCSPRequest{}, err
	}
	var exts cryptobyte.String
	var hasExts bool
	if !tbs.ReadOptionalASN1(&exts, &hasExts, context(2)) || !tbs.Empty() {
		return OCSPRequest{}, fmt.Errorf("%w: extensions", ErrMalformed)
	}
	if hasExts {
		if err := req.readExtensions(exts); err != nil {
			return OCSPRequest{}, err
		}
	}
	return req, nil
}

func context(n int) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

func (req *OCSPRequest) readList(list cryptobyte.String) error {
	for !list.Empty() {
		if len(req.IDs) == MaxCertIDs {
			return fmt.Errorf("%w: more than %d certificates", ErrMalformed, MaxCertIDs)
		}
		var one, raw, exts cryptobyte.String
		var hasExts bool
		if !list.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1Element(&raw, cbasn1.SEQUENCE) ||
			!one.ReadOptionalASN1(&exts, &hasExts, context(0)) || !one.Empty() {
			return fmt.Errorf("%w: request", ErrMalformed)
		}
		if hasExts {
			if err := eachExtension(exts, func(oid string, critical bool, _ []byte) error {
				return refuseCritical(oid, critical)
			}); err != nil {
				return err
			}
		}
		id, err := parseCertID(raw)
		if err != nil {
			return err
		}
		req.IDs = append(req.IDs, id)
	}
	if len(req.IDs) == 0 {
		return fmt.Errorf("%w: no certificate asked about", ErrMalformed)
	}
	return nil
}

func parseCertID(raw cryptobyte.String) (CertID, error) {
	id := CertID{Raw: raw}
	var seq, alg, name, key, serial cryptobyte.String
	var oid asn1.ObjectIdentifier
	in := raw
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1(&alg, cbasn1.SEQUENCE) ||
		!alg.ReadASN1ObjectIdentifier(&oid) || !seq.ReadASN1(&name, cbasn1.OCTET_STRING) ||
		!seq.ReadASN1(&key, cbasn1.OCTET_STRING) || !seq.ReadASN1(&serial, cbasn1.INTEGER) || !seq.Empty() {
		return id, fmt.Errorf("%w: CertID", ErrMalformed)
	}
	var null cryptobyte.String
	if !alg.Empty() && (!alg.ReadASN1(&null, cbasn1.NULL) || len(null) != 0 || !alg.Empty()) {
		return id, fmt.Errorf("%w: CertID parameters", ErrMalformed)
	}
	switch oid.String() {
	case oidSHA1:
		id.Hash = crypto.SHA1
	case oidSHA256:
		id.Hash = crypto.SHA256
	}
	if id.Hash != 0 && (len(name) != id.Hash.Size() || len(key) != id.Hash.Size()) {
		return id, fmt.Errorf("%w: CertID hash length", ErrMalformed)
	}
	n, ok := positive(serial)
	if !ok {
		return id, fmt.Errorf("%w: serial number", ErrMalformed)
	}
	id.NameHash, id.KeyHash, id.Serial = name, key, n
	return id, nil
}

// positive reads the content of a DER INTEGER above zero of at most 20 octets
// of magnitude.
func positive(content []byte) ([]byte, bool) {
	switch {
	case len(content) == 0 || content[0]&0x80 != 0:
		return nil, false
	case content[0] == 0 && (len(content) == 1 || content[1]&0x80 == 0):
		return nil, false
	}
	if content[0] == 0 {
		content = content[1:]
	}
	return content, len(content) <= 20
}

func (req *OCSPRequest) readExtensions(exts cryptobyte.String) error {
	return eachExtension(exts, func(oid string, critical bool, value []byte) error {
		if oid != oidOCSPNonce {
			return refuseCritical(oid, critical)
		}
		if req.NonceSent {
			return fmt.Errorf("%w: repeated nonce", ErrMalformed)
		}
		req.NonceSent = true
		in := cryptobyte.String(value)
		var nonce cryptobyte.String
		if !in.ReadASN1(&nonce, cbasn1.OCTET_STRING) || !in.Empty() || len(nonce) == 0 {
			return fmt.Errorf("%w: nonce", ErrMalformed)
		}
		if len(nonce) <= MaxNonce {
			req.Nonce = nonce
		}
		return nil
	})
}

func refuseCritical(oid string, critical bool) error {
	if critical {
		return fmt.Errorf("%w: critical extension %s", ErrMalformed, oid)
	}
	return nil
}

// eachExtension calls fn for each Extension of a SEQUENCE OF.
func eachExtension(exts cryptobyte.String, fn func(oid string, critical bool, value []byte) error) error {
	var seq cryptobyte.String
	if !exts.ReadASN1(&seq, cbasn1.SEQUENCE) || !exts.Empty() {
		return fmt.Errorf("%w: extensions", ErrMalformed)
	}
	for n := 0; !seq.Empty(); n++ {
		var ext, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		critical := false
		if n == MaxCertIDs || !seq.ReadASN1(&ext, cbasn1.SEQUENCE) || !ext.ReadASN1ObjectIdentifier(&oid) ||
			!readOptionalTrue(&ext, &critical) || !ext.ReadASN1(&value, cbasn1.OCTET_STRING) || !ext.Empty() {
			return fmt.Errorf("%w: extension", ErrMalformed)
		}
		if err := fn(oid.String(), critical, value); err != nil {
			return err
		}
	}
	return nil
}

// readOptionalTrue reads the optional critical flag; an explicit FALSE is not DER
// but harmless and occurs.
func readOptionalTrue(s *cryptobyte.String, out *bool) bool {
	if !s.PeekASN1Tag(cbasn1.BOOLEAN) {
		return true
	}
	return s.ReadASN1Boolean(out)
}

// Hasher holds the hashes by which OCSP and our tables name an authority.
type Hasher struct {
	name, keyBits []byte
}

// NewHasher takes an authority's subject name and SubjectPublicKeyInfo in DER.
func NewHasher(name, spki []byte) (Hasher, error) {
	in := cryptobyte.String(spki)
	var seq cryptobyte.String
	var key []byte
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.SkipASN1(cbasn1.SEQUENCE) ||
		!seq.ReadASN1BitStringAsBytes(&key) || !seq.Empty() {
		return Hasher{}, fmt.Errorf("%w: SubjectPublicKeyInfo", ErrMalformed)
	}
	return Hasher{name: name, keyBits: key}, nil
}

// KeyHash is the SHA-1 of the public key's BIT STRING: the responder's name in
// ResponderID byKey (RFC 6960 §4.2.1).
func (h Hasher) KeyHash() []byte {
	sum := sha1.Sum(h.keyBits) // the standard names the key by SHA-1
	return sum[:]
}

// CertID encodes the name of one certificate of this authority. hash MUST be
// SHA-1 or SHA-256.
func (h Hasher) CertID(hash crypto.Hash, serial []byte) CertID {
	id := CertID{Hash: hash, Serial: serial}
	oid := oidSHA1
	if hash == crypto.SHA256 {
		oid = oidSHA256
		n, k := sha256.Sum256(h.name), sha256.Sum256(h.keyBits)
		id.NameHash, id.KeyHash = n[:], k[:]
	} else {
		n := sha1.Sum(h.name)
		id.NameHash, id.KeyHash = n[:], h.KeyHash()
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, 128))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(mustOID(oid))
			b.AddASN1NULL()
		})
		b.AddASN1OctetString(id.NameHash)
		b.AddASN1OctetString(id.KeyHash)
		addSerial(b, serial)
	})
	id.Raw = b.BytesOrPanic()
	return id
}
