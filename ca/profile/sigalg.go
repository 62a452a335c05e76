package profile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	// ErrAlgorithm reports a key of a kind or size that is not supported.
	ErrAlgorithm = errors.New("profile: key algorithm not supported")
	// ErrSignature reports a signature that does not verify.
	ErrSignature = errors.New("profile: signature does not verify")
)

// SignatureAlgorithm is an X.509 signature algorithm, chosen by the signing
// key alone: ECDSA P-256 with SHA-256, P-384 with SHA-384, Ed25519, and
// RSASSA-PKCS1-v1_5 with SHA-256 (2048 to 4096 bits).
type SignatureAlgorithm struct {
	key  KeyAlgorithm
	oid  string
	hash crypto.Hash
	null bool // RSA carries NULL parameters, RFC 4055 §5
}

// AlgorithmOf returns the algorithm with which the key's owner signs, or
// [ErrAlgorithm].
func AlgorithmOf(pub crypto.PublicKey) (SignatureAlgorithm, error) {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return SignatureAlgorithm{key: P256, oid: "1.2.840.10045.4.3.2", hash: crypto.SHA256}, nil
		case elliptic.P384():
			return SignatureAlgorithm{key: P384, oid: "1.2.840.10045.4.3.3", hash: crypto.SHA384}, nil
		}
		return SignatureAlgorithm{}, fmt.Errorf("%w: elliptic curve other than P-256 and P-384", ErrAlgorithm)
	case ed25519.PublicKey:
		return SignatureAlgorithm{key: Ed25519, oid: "1.3.101.112"}, nil
	case *rsa.PublicKey:
		if k.N == nil || k.N.BitLen() < 2048 || k.N.BitLen() > 4096 {
			return SignatureAlgorithm{}, fmt.Errorf("%w: RSA modulus outside 2048 to 4096 bits", ErrAlgorithm)
		}
		return SignatureAlgorithm{key: RSA, oid: "1.2.840.113549.1.1.11", hash: crypto.SHA256, null: true}, nil
	}
	return SignatureAlgorithm{}, fmt.Errorf("%w: %T", ErrAlgorithm, pub)
}

// Key returns the kind of key that signs with a.
func (a SignatureAlgorithm) Key() KeyAlgorithm { return a.key }

// Add writes the AlgorithmIdentifier (RFC 5280 §4.1.1.2).
func (a SignatureAlgorithm) Add(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.OID())
		if a.null {
			b.AddASN1NULL()
		}
	})
}

// OID returns the algorithm's object identifier.
func (a SignatureAlgorithm) OID() asn1.ObjectIdentifier { return mustOID(a.oid) }

// Sign signs message once with signer, whose key must be of this algorithm, and
// checks the result with [SignatureAlgorithm.Verify] before returning it.
func (a SignatureAlgorithm) Sign(signer crypto.Signer, message []byte) ([]byte, error) {
	if own, err := AlgorithmOf(signer.Public()); err != nil || own != a {
		return nil, fmt.Errorf("%w: signer is not of algorithm %s", ErrAlgorithm, a.key)
	}
	digest := a.digest(message)
	sig, err := signer.Sign(rand.Reader, digest, a.opts())
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	if err := a.Verify(signer.Public(), message, sig); err != nil {
		return nil, err
	}
	return sig, nil
}

// Verify returns nil if sig is a signature of message under pub, else
// [ErrSignature].
func (a SignatureAlgorithm) Verify(pub crypto.PublicKey, message, sig []byte) error {
	ok := false
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		ok = (a.key == P256 || a.key == P384) && ecdsa.VerifyASN1(k, a.digest(message), sig)
	case ed25519.PublicKey:
		ok = a.key == Ed25519 && len(k) == ed25519.PublicKeySize && ed25519.Verify(k, message, sig)
	case *rsa.PublicKey:
		ok = a.key == RSA && rsa.VerifyPKCS1v15(k, a.hash, a.digest(message), sig) == nil
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

func (a SignatureAlgorithm) opts() crypto.SignerOpts {
	if a.key == Ed25519 {
		return crypto.Hash(0)
	}
	return a.hash
}

func (a SignatureAlgorithm) digest(message []byte) []byte {
	switch a.hash {
	case crypto.SHA256:
		sum := sha256.Sum256(message)
		return sum[:]
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return sum[:]
	}
	return message
}

// Assemble puts a signature beside what it signs: SEQUENCE { signed,
// signatureAlgorithm, signature }. Certificates and CRLs have this shape.
func (a SignatureAlgorithm) Assemble(signed, sig []byte) []byte {
	b := cryptobyte.NewBuilder(make([]byte, 0, len(signed)+len(sig)+64))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(signed)
		a.Add(b)
		b.AddASN1BitString(sig)
	})
	return b.BytesOrPanic()
}
