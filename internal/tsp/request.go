package tsp

import (
	"bytes"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
)

// Bounds, in octets.
const (
	MaxRequest  = 64 << 10
	MaxResponse = 64 << 10

	maxNonce      = 64
	maxExtensions = 16
	maxDepth      = 16
)

// Media types of RFC 3161 §3.4.
const (
	RequestType  = "application/timestamp-query"
	ResponseType = "application/timestamp-reply"
)

// Imprint is MessageImprint: a digest and how it was made.
type Imprint struct {
	Hash   crypto.Hash
	Digest []byte
}

// Equal reports whether both algorithm and digest are equal.
func (m Imprint) Equal(o Imprint) bool { return m.Hash == o.Hash && bytes.Equal(m.Digest, o.Digest) }

func (m Imprint) valid() bool {
	switch m.Hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
		return len(m.Digest) == m.Hash.Size()
	}
	return false
}

func (m Imprint) add(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		cms.AddDigestAlgorithm(b, m.Hash)
		b.AddASN1OctetString(m.Digest)
	})
}

// readImprint reads MessageImprint. ok is false where the structure is broken;
// err tells what is wrong with a sound one.
func readImprint(s *cryptobyte.String) (m Imprint, ok bool, err error) {
	var body cryptobyte.String
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) {
		return m, false, nil
	}
	hash, err := cms.ReadDigestAlgorithm(&body)
	if errors.Is(err, cms.ErrMalformed) || !body.ReadASN1Bytes(&m.Digest, cbasn1.OCTET_STRING) || !body.Empty() {
		return m, false, nil
	}
	m.Hash = hash
	return m, true, err
}

// Request is TimeStampReq (RFC 3161 §2.4.1).
type Request struct {
	Imprint Imprint
	// Policy is the policy asked for, nil for any.
	Policy asn1.ObjectIdentifier
	// Nonce is nil where there is none. It may be negative, and is echoed as it is.
	Nonce *big.Int
	// CertReq asks for the certificates in the token.
	CertReq bool
	// Extensions are as the requester wrote them.
	Extensions []pkix.Extension
}

// Marshal returns the DER of the request, or [ErrParams].
func (r *Request) Marshal() ([]byte, error) {
	if !r.Imprint.valid() || len(r.Extensions) > maxExtensions || r.Nonce != nil && r.Nonce.BitLen() > 8*maxNonce-8 {
		return nil, fmt.Errorf("%w: request", ErrParams)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		r.Imprint.add(b)
		if r.Policy != nil {
			b.AddASN1ObjectIdentifier(r.Policy)
		}
		if r.Nonce != nil {
			b.AddASN1BigInt(r.Nonce)
		}
		if r.CertReq {
			b.AddASN1Boolean(true)
		}
		addExtensions(b, 0, r.Extensions)
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParams, err)
	}
	return out, nil
}

// ParseRequest reads a request of at most [MaxRequest] octets in DER. Every
// error is a [*RequestError], whose failInfo is the answer to give.
func ParseRequest(b []byte) (*Request, error) {
	bad := func(f FailInfo, err error) (*Request, error) { return nil, &RequestError{Fail: f, Err: err} }
	if len(b) > MaxRequest {
		return bad(BadDataFormat, fmt.Errorf("%w: %d octets", ErrTooLarge, len(b)))
	}
	if err := cms.DERCheck(b, MaxRequest, maxDepth); err != nil {
		return bad(BadDataFormat, err)
	}
	in := cryptobyte.String(bytes.Clone(b))
	var body cryptobyte.String
	var version int
	r := &Request{}
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Integer(&version) {
		return bad(BadDataFormat, malformed("TimeStampReq"))
	}
	if version != 1 {
		return bad(BadRequest, fmt.Errorf("%w: %d", ErrVersion, version))
	}
	m, ok, err := readImprint(&body)
	if !ok {
		return bad(BadDataFormat, malformed("messageImprint"))
	}
	if err != nil {
		return bad(BadAlg, err)
	}
	if len(m.Digest) != m.Hash.Size() {
		return bad(BadDataFormat, malformed("imprint length"))
	}
	r.Imprint = m
	if err := r.readOptions(&body); err != nil {
		return bad(BadDataFormat, err)
	}
	return r, nil
}

// readOptions reads the fields after messageImprint.
func (r *Request) readOptions(s *cryptobyte.String) error {
	if s.PeekASN1Tag(cbasn1.OBJECT_IDENTIFIER) && !s.ReadASN1ObjectIdentifier(&r.Policy) {
		return malformed("reqPolicy")
	}
	var err error
	if r.Nonce, err = readNonce(s); err != nil {
		return err
	}
	if !readFlag(s, &r.CertReq) {
		return malformed("certReq")
	}
	if r.Extensions, err = readExtensions(s, 0); err != nil {
		return err
	}
	if !s.Empty() {
		return malformed("after the last field")
	}
	return nil
}

// Check decides whether an authority may serve the request: the digest is one
// of hashes, the policy (if any) one of policies, and there is no extension,
// since RFC 3161 §2.4.1 demands refusal of those that are not recognised,
// critical or not. Errors are [*RequestError].
func (r *Request) Check(hashes []crypto.Hash, policies []asn1.ObjectIdentifier) error {
	if !slices.Contains(hashes, r.Imprint.Hash) {
		return &RequestError{Fail: BadAlg, Err: fmt.Errorf("%w: %v", cms.ErrAlgorithm, r.Imprint.Hash)}
	}
	if r.Policy != nil && !slices.ContainsFunc(policies, r.Policy.Equal) {
		return &RequestError{Fail: UnacceptedPolicy, Err: fmt.Errorf("%w: %v", ErrPolicy, r.Policy)}
	}
	if len(r.Extensions) > 0 {
		return &RequestError{Fail: UnacceptedExtension, Err: fmt.Errorf("%w: %v", ErrExtension, r.Extensions[0].Id)}
	}
	return nil
}

// readNonce reads INTEGER OPTIONAL.
func readNonce(s *cryptobyte.String) (*big.Int, error) {
	if !s.PeekASN1Tag(cbasn1.INTEGER) {
		return nil, nil
	}
	n := new(big.Int)
	if !s.ReadASN1Integer(n) || n.BitLen() > 8*maxNonce-8 {
		return nil, malformed("nonce")
	}
	return n, nil
}

// readFlag reads BOOLEAN DEFAULT FALSE. FALSE spelt out is not DER, but common
// and harmless.
func readFlag(s *cryptobyte.String, v *bool) bool {
	*v = false
	return !s.PeekASN1Tag(cbasn1.BOOLEAN) || s.ReadASN1Boolean(v)
}

// addExtensions writes [n] IMPLICIT Extensions, or nothing.
func addExtensions(b *cryptobyte.Builder, n uint8, exts []pkix.Extension) {
	if len(exts) == 0 {
		return
	}
	b.AddASN1(cbasn1.Tag(n).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
		for _, e := range exts {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(e.Id)
				if e.Critical {
					b.AddASN1Boolean(true)
				}
				b.AddASN1OctetString(e.Value)
			})
		}
	})
}

// readExtensions reads [n] IMPLICIT Extensions OPTIONAL; no type may repeat.
func readExtensions(s *cryptobyte.String, n uint8) ([]pkix.Extension, error) {
	var body cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&body, &present, cbasn1.Tag(n).ContextSpecific().Constructed()) {
		return nil, malformed("extensions")
	}
	if !present {
		return nil, nil
	}
	var exts []pkix.Extension
	for !body.Empty() {
		var one cryptobyte.String
		var e pkix.Extension
		if len(exts) == maxExtensions || !body.ReadASN1(&one, cbasn1.SEQUENCE) || !one.ReadASN1ObjectIdentifier(&e.Id) ||
			!readFlag(&one, &e.Critical) ||
			!one.ReadASN1Bytes(&e.Value, cbasn1.OCTET_STRING) || !one.Empty() {
			return nil, malformed("extension")
		}
		if slices.ContainsFunc(exts, func(o pkix.Extension) bool { return o.Id.Equal(e.Id) }) {
			return nil, malformed("extension repeated")
		}
		exts = append(exts, e)
	}
	if len(exts) == 0 {
		return nil, malformed("extensions empty")
	}
	return exts, nil
}
