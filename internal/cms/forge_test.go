package cms

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// forgery is a SignedData whose every part can be made wrong on purpose. What
// is left alone is right, and the signature is a true one over the attributes
// as they stand, so that a test sees the one fault it made.
type forgery struct {
	outer         asn1.ObjectIdentifier
	version       int64
	digestAlgs    [][]byte
	contentType   asn1.ObjectIdentifier
	content       []byte // nil: detached
	certs         [][]byte
	revocation    [][]byte
	signers       []*forgedSigner
	afterSigners  []byte
	afterEnvelope []byte
}

type forgedSigner struct {
	id        *identity
	alg       Algorithm
	version   int64
	sid       []byte
	digestAlg []byte
	attrs     map[string][]byte // encoded attributes; nil drops all
	order     func([][]byte) [][]byte
	sigAlg    []byte
	sig       []byte // nil: sign
	unsigned  []byte // whole [1] element
}

func build(tb testing.TB, f func(*cryptobyte.Builder)) []byte {
	tb.Helper()
	var b cryptobyte.Builder
	f(&b)
	out, err := b.Bytes()
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func seq(tb testing.TB, parts ...[]byte) []byte { return wrap(tb, cbasn1.SEQUENCE, parts...) }

func wrap(tb testing.TB, tag cbasn1.Tag, parts ...[]byte) []byte {
	return build(tb, func(b *cryptobyte.Builder) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			for _, p := range parts {
				b.AddBytes(p)
			}
		})
	})
}

func oidDER(tb testing.TB, o asn1.ObjectIdentifier) []byte {
	return build(tb, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(o) })
}

func octets(tb testing.TB, v []byte) []byte {
	return build(tb, func(b *cryptobyte.Builder) { b.AddASN1OctetString(v) })
}

func integer(tb testing.TB, v int64) []byte {
	return build(tb, func(b *cryptobyte.Builder) { b.AddASN1Int64(v) })
}

func attribute(tb testing.TB, typ asn1.ObjectIdentifier, values ...[]byte) []byte {
	return seq(tb, oidDER(tb, typ), wrap(tb, cbasn1.SET, values...))
}

func issuerSerial(tb testing.TB, issuer []byte, serial *big.Int) []byte {
	return seq(tb, issuer, build(tb, func(b *cryptobyte.Builder) { b.AddASN1BigInt(serial) }))
}

// newForgery returns a signature of document that verifies under every profile but time-stamp.
func newForgery(tb testing.TB, kind string) *forgery {
	tb.Helper()
	id := who(tb, kind)
	alg, err := AlgorithmFor(id.cert.PublicKey)
	if err != nil {
		tb.Fatal(err)
	}
	digestAlg := build(tb, func(b *cryptobyte.Builder) { AddDigestAlgorithm(b, alg.Hash()) })
	ess, err := marshalESSv2(id.cert, false)
	if err != nil {
		tb.Fatal(err)
	}
	return &forgery{
		outer: OIDSignedData, version: 1, digestAlgs: [][]byte{digestAlg}, contentType: OIDData,
		certs: [][]byte{id.cert.Raw},
		signers: []*forgedSigner{{
			id: id, alg: alg, version: 1, sid: issuerSerial(tb, id.cert.RawIssuer, id.cert.SerialNumber),
			digestAlg: digestAlg,
			attrs: map[string][]byte{
				"content-type":   attribute(tb, OIDContentType, oidDER(tb, OIDData)),
				"message-digest": attribute(tb, OIDMessageDigest, octets(tb, digestOf(alg.Hash(), document))),
				"ess":            attribute(tb, OIDSigningCertificateV2, ess),
			},
			order:  sortedDER,
			sigAlg: build(tb, func(b *cryptobyte.Builder) { addSignatureAlgorithm(b, alg.scheme()) }),
		}},
	}
}

// essOf names certificates by SHA-256, without issuerSerial.
func essOf(tb testing.TB, certs ...[]byte) []byte {
	var ids [][]byte
	for _, c := range certs {
		sum := sha256.Sum256(c)
		ids = append(ids, seq(tb, octets(tb, sum[:])))
	}
	return attribute(tb, OIDSigningCertificateV2, seq(tb, seq(tb, ids...)))
}

func (s *forgedSigner) bytes(tb testing.TB) []byte {
	tb.Helper()
	var signed []byte
	message := []byte(nil)
	if s.attrs != nil {
		var list [][]byte
		for _, a := range s.attrs {
			list = append(list, a)
		}
		list = s.order(list)
		message = wrap(tb, cbasn1.SET, list...)
		signed = wrap(tb, tag0, list...)
	}
	sig := s.sig
	if sig == nil {
		input := s.alg.digest(message)
		if s.alg == Ed25519 {
			input = message
		}
		var err error
		if sig, err = s.id.key.Sign(rand.Reader, input, s.alg.SignerOpts()); err != nil {
			tb.Fatal(err)
		}
	}
	return seq(tb, integer(tb, s.version), s.sid, s.digestAlg, signed, s.sigAlg, octets(tb, sig), s.unsigned)
}

func (f *forgery) bytes(tb testing.TB) []byte {
	tb.Helper()
	content := oidDER(tb, f.contentType)
	if f.content != nil {
		content = append(content, wrap(tb, tag0, octets(tb, f.content))...)
	}
	var certs, revocation []byte
	if f.certs != nil {
		certs = wrap(tb, tag0, f.certs...)
	}
	if f.revocation != nil {
		revocation = wrap(tb, tag1, f.revocation...)
	}
	var signers [][]byte
	for _, s := range f.signers {
		signers = append(signers, s.bytes(tb))
	}
	sd := seq(tb, integer(tb, f.version), wrap(tb, cbasn1.SET, f.digestAlgs...), seq(tb, content),
		certs, revocation, wrap(tb, cbasn1.SET, signers...), f.afterSigners)
	return append(seq(tb, oidDER(tb, f.outer), wrap(tb, tag0, sd)), f.afterEnvelope...)
}

// check parses and verifies a forgery as a detached signature of document.
func (f *forgery) check(tb testing.TB, p Profile) error {
	tb.Helper()
	sd, err := Parse(f.bytes(tb))
	if err != nil {
		return err
	}
	_, err = sd.Verify(VerifyOptions{Digest: digestOf(sd.Signer.DigestAlgorithm, document), Profile: p})
	return err
}
