package jades

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // of the algorithms below
	_ "crypto/sha512"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// algorithm is one of RFC 7518 §3.1, RFC 8037 or RFC 9864.
type algorithm struct {
	name       string
	constraint string      // its name in constraints
	hash       crypto.Hash // 0 of EdDSA
	curve      elliptic.Curve
	rsa        bool
	pss        bool
}

var algorithms = []algorithm{
	{name: "ES256", constraint: "ecdsa-sha256", hash: crypto.SHA256, curve: elliptic.P256()},
	{name: "ES384", constraint: "ecdsa-sha384", hash: crypto.SHA384, curve: elliptic.P384()},
	{name: "ES512", constraint: "ecdsa-sha512", hash: crypto.SHA512, curve: elliptic.P521()},
	{name: "RS256", constraint: "rsa-sha256", hash: crypto.SHA256, rsa: true},
	{name: "PS256", constraint: "rsa-pss-sha256", hash: crypto.SHA256, rsa: true, pss: true},
	{name: "EdDSA", constraint: "ed25519"},
	{name: "Ed25519", constraint: "ed25519"}, // the newer name of the same
}

// Causes of failure of a signature value.
var (
	errWeak     = errors.New("key is too short or of a kind that is not supported")
	errMismatch = errors.New("algorithm is not the key's")
	errValue    = errors.New("signature does not verify")
)

func algorithmNamed(name string) (algorithm, bool) {
	for _, a := range algorithms {
		if a.name == name {
			return a, true
		}
	}
	return algorithm{}, false
}

// algorithmFor returns the algorithm of that name, by default the key's own.
func algorithmFor(pub crypto.PublicKey, name string) (algorithm, error) {
	if name == "" {
		switch k := pub.(type) {
		case *ecdsa.PublicKey:
			for _, a := range algorithms {
				if a.curve != nil && a.curve == k.Curve {
					name = a.name
				}
			}
		case *rsa.PublicKey:
			name = "RS256"
		case ed25519.PublicKey:
			name = "EdDSA"
		}
	}
	a, ok := algorithmNamed(name)
	if !ok {
		return a, fmt.Errorf("%w: algorithm %q", ErrOptions, name)
	}
	if err := a.checkKey(pub); err != nil {
		return a, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return a, nil
}

// checkKey reports whether a key is of the algorithm's kind and of a safe size.
func (a algorithm) checkKey(pub crypto.PublicKey) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if a.curve == nil || a.curve != k.Curve {
			return errMismatch
		}
	case *rsa.PublicKey:
		if !a.rsa {
			return errMismatch
		}
		if n := k.N.BitLen(); n < 2048 || n > 8192 || k.E < 3 || k.E%2 == 0 {
			return errWeak
		}
	case ed25519.PublicKey:
		if a.hash != 0 {
			return errMismatch
		}
	default:
		return errWeak
	}
	return nil
}

func (a algorithm) opts() crypto.SignerOpts {
	if a.pss {
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}
	}
	return a.hash
}

// digest returns what is signed of a message: the message itself for EdDSA.
func (a algorithm) digest(message []byte) []byte {
	if a.hash == 0 {
		return message
	}
	h := a.hash.New()
	_, _ = h.Write(message)
	return h.Sum(nil)
}

// fromSigner turns what a crypto.Signer gave into a JWS signature value: ECDSA
// is r and s side by side (RFC 7518 §3.4).
func (a algorithm) fromSigner(value []byte) ([]byte, error) {
	if a.curve == nil {
		return value, nil
	}
	var inner cryptobyte.String
	var r, s big.Int
	in := cryptobyte.String(value)
	if !in.ReadASN1(&inner, cbasn1.SEQUENCE) || !in.Empty() || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() ||
		r.Sign() <= 0 || s.Sign() <= 0 || max(r.BitLen(), s.BitLen()) > a.curve.Params().BitSize {
		return nil, fmt.Errorf("jades: signature value: %w", errValue)
	}
	n := a.size()
	out := make([]byte, 2*n)
	r.FillBytes(out[:n])
	s.FillBytes(out[n:])
	return out, nil
}

// size is that of r and of s in bytes.
func (a algorithm) size() int { return (a.curve.Params().BitSize + 7) / 8 }

// verify checks a value over what digest returned.
func (a algorithm) verify(pub crypto.PublicKey, digest, value []byte) error {
	if err := a.checkKey(pub); err != nil {
		return err
	}
	ok := false
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		n := a.size()
		if len(value) != 2*n {
			return errValue
		}
		ok = ecdsa.Verify(k, digest, new(big.Int).SetBytes(value[:n]), new(big.Int).SetBytes(value[n:]))
	case *rsa.PublicKey:
		if a.pss {
			ok = rsa.VerifyPSS(k, a.hash, digest, value, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(k, a.hash, digest, value) == nil
		}
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, digest, value)
	}
	if !ok {
		return errValue
	}
	return nil
}
