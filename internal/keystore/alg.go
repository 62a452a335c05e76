package keystore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"
)

// Alg is the algorithm of a private key: one key type with the digests it signs.
type Alg string

// The algorithms. A key signs digests at least as strong as its curve; RSA
// has one padding, PKCS #1 v1.5 (RFC 8017 §8.2) or PSS (§8.1), so that no key is used with two.
const (
	ES256   Alg = "ES256"   // ECDSA on P-256 with SHA-256, SHA-384 or SHA-512
	ES384   Alg = "ES384"   // ECDSA on P-384 with SHA-384 or SHA-512
	EdDSA   Alg = "EdDSA"   // Ed25519 (RFC 8032), pure: signs messages, not digests
	RS256   Alg = "RS256"   // RSA-2048 with SHA-256, SHA-384 or SHA-512
	RSA3072 Alg = "RSA3072" // RSA-3072 with the same
	PS256   Alg = "PS256"   // RSA-3072 with SHA-256, PSS and a salt of 32 bytes (RFC 7518 §3.5)
)

// publicExponent is the only exponent that keys here have.
const publicExponent = 65537

// Algs returns all algorithms.
func Algs() []Alg { return []Alg{ES256, ES384, EdDSA, RS256, RSA3072, PS256} }

// Valid reports whether a is one of [Algs].
func (a Alg) Valid() bool { return slices.Contains(Algs(), a) }

func (a Alg) bits() int {
	if a == RS256 {
		return 2048
	}
	return 3072
}

func (a Alg) curve() elliptic.Curve {
	if a == ES256 {
		return elliptic.P256()
	}
	return elliptic.P384()
}

// generate draws a private key of the algorithm.
func (a Alg) generate() (crypto.Signer, error) {
	switch a {
	case ES256, ES384:
		return ecdsa.GenerateKey(a.curve(), rand.Reader)
	case EdDSA:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	case RS256, RSA3072, PS256:
		return rsa.GenerateKey(rand.Reader, a.bits())
	}
	return nil, fmt.Errorf("%w: algorithm %q", ErrSpec, string(a))
}

// fits reports whether k is a private key of exactly this algorithm.
func (a Alg) fits(k any) (crypto.Signer, bool) {
	switch k := k.(type) {
	case *ecdsa.PrivateKey:
		return k, (a == ES256 || a == ES384) && k.Curve == a.curve()
	case ed25519.PrivateKey:
		return k, a == EdDSA
	case *rsa.PrivateKey:
		return k, (a == RS256 || a == RSA3072 || a == PS256) && k.N.BitLen() == a.bits() && k.E == publicExponent && len(k.Primes) == 2
	}
	return nil, false
}

// CheckDigest returns [ErrDigest] unless a key of the algorithm may sign
// digest under opts. Every implementation of [Signers] applies it.
func (a Alg) CheckDigest(digest []byte, opts crypto.SignerOpts) error {
	if opts == nil {
		return fmt.Errorf("%w: no options", ErrDigest)
	}
	h := opts.HashFunc()
	var permitted []crypto.Hash
	switch a {
	case EdDSA:
		if o, ok := opts.(*ed25519.Options); h != 0 || ok && (o.Context != "" || o.Hash != 0) {
			return fmt.Errorf("%w: %s signs messages only", ErrDigest, a)
		}
		return nil
	case ES384:
		permitted = []crypto.Hash{crypto.SHA384, crypto.SHA512}
	case PS256:
		permitted = []crypto.Hash{crypto.SHA256}
	case ES256, RS256, RSA3072:
		permitted = []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}
	}
	if o, pss := opts.(*rsa.PSSOptions); pss != (a == PS256) || pss && o.SaltLength != rsa.PSSSaltLengthEqualsHash && o.SaltLength != crypto.SHA256.Size() {
		return fmt.Errorf("%w: %s with another padding or salt", ErrDigest, a)
	}
	if !slices.Contains(permitted, h) {
		return fmt.Errorf("%w: %s with hash %d", ErrDigest, a, h)
	}
	if len(digest) != h.Size() {
		return fmt.Errorf("%w: %d bytes are no %v digest", ErrDigest, len(digest), h)
	}
	return nil
}

// verify reports whether sig is a signature of what CheckDigest accepted.
func (a Alg) verify(pub crypto.PublicKey, digest []byte, h crypto.Hash, sig []byte) bool {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, digest, sig)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, digest, sig)
	case *rsa.PublicKey:
		if a == PS256 {
			return rsa.VerifyPSS(pub, h, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(pub, h, digest, sig) == nil
	}
	return false
}
