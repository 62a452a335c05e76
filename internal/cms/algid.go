package cms

import (
	"crypto"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// algorithmIdentifier is an AlgorithmIdentifier (RFC 5280 §4.1.1.2) as read;
// params is the whole element, nil if absent.
type algorithmIdentifier struct {
	raw    []byte
	oid    asn1.ObjectIdentifier
	params []byte
}

// readAlgorithmIdentifier reads one from s; tag is SEQUENCE or an implicit one.
func readAlgorithmIdentifier(s *cryptobyte.String, tag cbasn1.Tag) (algorithmIdentifier, bool) {
	var a algorithmIdentifier
	var whole, body cryptobyte.String
	if !s.ReadASN1Element(&whole, tag) {
		return a, false
	}
	a.raw = whole
	if !whole.ReadASN1(&body, tag) || !body.ReadASN1ObjectIdentifier(&a.oid) {
		return a, false
	}
	if body.Empty() {
		return a, true
	}
	var p cryptobyte.String
	if !body.ReadAnyASN1Element(&p, nil) || !body.Empty() {
		return a, false
	}
	a.params = p
	return a, true
}

// noParams reports whether the parameters are absent, or NULL where null allows it.
func (a algorithmIdentifier) noParams(null bool) bool {
	return a.params == nil || null && len(a.params) == 2 && a.params[0] == tagNull && a.params[1] == 0
}

// hash returns the digest algorithm (RFC 5754 §2: parameters absent or NULL).
func (a algorithmIdentifier) hash() (crypto.Hash, error) {
	h := crypto.Hash(0)
	switch {
	case a.oid.Equal(oidSHA256):
		h = crypto.SHA256
	case a.oid.Equal(oidSHA384):
		h = crypto.SHA384
	case a.oid.Equal(oidSHA512):
		h = crypto.SHA512
	case a.oid.Equal(oidSHA1), a.oid.Equal(oidMD5):
		return 0, fmt.Errorf("%w: digest %v", ErrWeakAlgorithm, a.oid)
	default:
		return 0, fmt.Errorf("%w: digest %s", ErrAlgorithm, algorithmName(a.oid))
	}
	if !a.noParams(true) {
		return 0, fmt.Errorf("%w: digest", ErrAlgorithmParameters)
	}
	return h, nil
}

// signature returns the signature scheme, of this package or else of more, given
// the digest algorithm of the SignerInfo, and the PSS salt length. The two must
// agree ([ErrAlgorithmMismatch]).
func (a algorithmIdentifier) signature(digest crypto.Hash, more []Scheme) (s *Scheme, salt int, err error) {
	switch {
	case a.oid.Equal(oidRSAPSS):
		alg, salt, err := a.pss(digest)
		return alg.scheme(), salt, err
	case a.oid.Equal(oidRSA):
		// RFC 3370 §3.2: the digest is that of digestAlgorithm.
		for i := RSAWithSHA256; i <= RSAWithSHA512; i++ {
			if i.Hash() == digest {
				s = i.scheme()
			}
		}
	case a.oid.Equal(oidSHA1WithRSA), a.oid.Equal(oidMD5WithRSA), a.oid.Equal(oidECDSASHA1):
		return nil, 0, fmt.Errorf("%w: signature %v", ErrWeakAlgorithm, a.oid)
	default:
		s = a.lookup(more)
	}
	if s == nil {
		return nil, 0, fmt.Errorf("%w: signature %s", ErrAlgorithm, algorithmName(a.oid))
	}
	if s.Hash != digest {
		return nil, 0, fmt.Errorf("%w: %s over a digest by %v", ErrAlgorithmMismatch, s.Name, digest)
	}
	if !a.noParams(s.null) {
		return nil, 0, fmt.Errorf("%w: %s", ErrAlgorithmParameters, s.Name)
	}
	return s, 0, nil
}

// lookup finds the scheme with this identifier, nil if there is none.
func (a algorithmIdentifier) lookup(more []Scheme) *Scheme {
	for i := Algorithm(1); i.Valid(); i++ {
		if s := i.scheme(); !s.pss && s.OID.Equal(a.oid) {
			return s
		}
	}
	for _, s := range more {
		if s.OID.Equal(a.oid) {
			return &s
		}
	}
	return nil
}

// pss reads RSASSA-PSS-params (RFC 4055 §3.1). Only one digest for message and
// mask, a salt at least as long as the digest and the standard trailer pass.
func (a algorithmIdentifier) pss(digest crypto.Hash) (Algorithm, int, error) {
	bad := func(what string) error { return fmt.Errorf("%w: PSS %s", ErrAlgorithmParameters, what) }
	var body cryptobyte.String
	in := cryptobyte.String(a.params)
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() {
		return 0, 0, bad("encoding")
	}
	hash, ok := readTaggedAlgorithm(&body, 0)
	if !ok {
		return 0, 0, bad("hash") // absent means SHA-1
	}
	mgf, ok := readTaggedAlgorithm(&body, 1)
	if !ok || !mgf.oid.Equal(oidMGF1) {
		return 0, 0, bad("mask")
	}
	mgfIn := cryptobyte.String(mgf.params)
	mgfHash, ok := readAlgorithmIdentifier(&mgfIn, cbasn1.SEQUENCE)
	if !ok || !mgfIn.Empty() {
		return 0, 0, bad("mask")
	}
	h1, err := hash.hash()
	if err != nil {
		return 0, 0, err
	}
	h2, err := mgfHash.hash()
	if err != nil {
		return 0, 0, err
	}
	if h1 != h2 || h1 != digest {
		return 0, 0, fmt.Errorf("%w: PSS digests", ErrAlgorithmMismatch)
	}
	salt, trailer := 20, 1
	if !readTaggedInt(&body, 2, &salt) || !readTaggedInt(&body, 3, &trailer) || !body.Empty() {
		return 0, 0, bad("encoding")
	}
	if salt < h1.Size() || salt > 1024 || trailer != 1 {
		return 0, 0, bad("salt or trailer")
	}
	for i := RSAPSSWithSHA256; i <= RSAPSSWithSHA512; i++ {
		if i.Hash() == h1 {
			return i, salt, nil
		}
	}
	return 0, 0, ErrAlgorithm
}

// readTaggedAlgorithm reads [n] EXPLICIT AlgorithmIdentifier.
func readTaggedAlgorithm(s *cryptobyte.String, n uint8) (algorithmIdentifier, bool) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, cbasn1.Tag(n).ContextSpecific().Constructed()) {
		return algorithmIdentifier{}, false
	}
	a, ok := readAlgorithmIdentifier(&body, cbasn1.SEQUENCE)
	return a, ok && body.Empty()
}

// readTaggedInt reads [n] EXPLICIT INTEGER into v if it is there.
func readTaggedInt(s *cryptobyte.String, n uint8, v *int) bool {
	var body cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&body, &present, cbasn1.Tag(n).ContextSpecific().Constructed()) {
		return false
	}
	return !present || body.ReadASN1Integer(v) && body.Empty()
}

// hashOID returns the identifier of a supported digest algorithm, else nil.
func hashOID(h crypto.Hash) asn1.ObjectIdentifier {
	switch h {
	case crypto.SHA256:
		return oidSHA256
	case crypto.SHA384:
		return oidSHA384
	case crypto.SHA512:
		return oidSHA512
	}
	return nil
}

// AddDigestAlgorithm writes the AlgorithmIdentifier of SHA-256, SHA-384 or
// SHA-512, parameters absent (RFC 5754 §2). Any other digest makes b fail.
func AddDigestAlgorithm(b *cryptobyte.Builder, h crypto.Hash) {
	oid := hashOID(h)
	if oid == nil {
		b.SetError(fmt.Errorf("%w: digest %v", ErrAlgorithm, h))
		return
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
}

// ReadDigestAlgorithm reads the AlgorithmIdentifier of a digest. Errors:
// [ErrMalformed], [ErrWeakAlgorithm] (SHA-1, MD5), [ErrAlgorithm],
// [ErrAlgorithmParameters].
func ReadDigestAlgorithm(s *cryptobyte.String) (crypto.Hash, error) {
	a, ok := readAlgorithmIdentifier(s, cbasn1.SEQUENCE)
	if !ok {
		return 0, malformed("digest algorithm")
	}
	return a.hash()
}

// addSignatureAlgorithm writes the signature AlgorithmIdentifier of s.
func addSignatureAlgorithm(b *cryptobyte.Builder, s *Scheme) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(s.OID)
		switch {
		case s.pss:
			addPSSParams(b, s.Hash)
		case s.null:
			b.AddASN1NULL()
		}
	})
}

// addPSSParams writes RSASSA-PSS-params with a salt of the digest's length.
func addPSSParams(b *cryptobyte.Builder, h crypto.Hash) {
	tag := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }
	hash := func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(hashOID(h))
			b.AddASN1NULL() // RFC 4055 §2.1: NULL inside these parameters
		})
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tag(0), hash)
		b.AddASN1(tag(1), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidMGF1)
				hash(b)
			})
		})
		b.AddASN1(tag(2), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(h.Size())) })
	})
}
