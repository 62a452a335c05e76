package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the digests of every supported algorithm
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Algorithm is a signature algorithm together with the digest of the content
// and of the signed attributes. The zero value is none.
type Algorithm uint8

// The supported algorithms (RFC 5754, RFC 4056, RFC 8419). The values are not
// for storage; store what [Algorithm.String] gives and read it with [ParseAlgorithm].
const (
	ECDSAWithSHA256 Algorithm = iota + 1
	ECDSAWithSHA384
	ECDSAWithSHA512
	RSAWithSHA256
	RSAWithSHA384
	RSAWithSHA512
	RSAPSSWithSHA256
	RSAPSSWithSHA384
	RSAPSSWithSHA512
	Ed25519
)

type keyKind uint8

const (
	keyECDSA keyKind = iota + 1
	keyRSA
	keyEd25519
)

type algorithmInfo struct {
	name string
	hash crypto.Hash
	oid  asn1.ObjectIdentifier
	key  keyKind
	pss  bool
}

var algorithms = [...]algorithmInfo{
	ECDSAWithSHA256:  {"ecdsa-sha256", crypto.SHA256, oidECDSASHA256, keyECDSA, false},
	ECDSAWithSHA384:  {"ecdsa-sha384", crypto.SHA384, oidECDSASHA384, keyECDSA, false},
	ECDSAWithSHA512:  {"ecdsa-sha512", crypto.SHA512, oidECDSASHA512, keyECDSA, false},
	RSAWithSHA256:    {"rsa-sha256", crypto.SHA256, oidSHA256WithRSA, keyRSA, false},
	RSAWithSHA384:    {"rsa-sha384", crypto.SHA384, oidSHA384WithRSA, keyRSA, false},
	RSAWithSHA512:    {"rsa-sha512", crypto.SHA512, oidSHA512WithRSA, keyRSA, false},
	RSAPSSWithSHA256: {"rsa-pss-sha256", crypto.SHA256, oidRSAPSS, keyRSA, true},
	RSAPSSWithSHA384: {"rsa-pss-sha384", crypto.SHA384, oidRSAPSS, keyRSA, true},
	RSAPSSWithSHA512: {"rsa-pss-sha512", crypto.SHA512, oidRSAPSS, keyRSA, true},
	Ed25519:          {"ed25519", crypto.SHA512, oidEd25519, keyEd25519, false},
}

// Valid reports whether a is a supported algorithm.
func (a Algorithm) Valid() bool { return a > 0 && int(a) < len(algorithms) }

func (a Algorithm) info() algorithmInfo {
	if !a.Valid() {
		return algorithmInfo{name: "none"}
	}
	return algorithms[a]
}

// String returns a stable name such as "ecdsa-sha256".
func (a Algorithm) String() string { return a.info().name }

// Hash returns the digest of the content and, but for Ed25519, of the signed attributes.
func (a Algorithm) Hash() crypto.Hash { return a.info().hash }

// SignerOpts returns what [crypto.Signer] must be given with [Prepared.Input].
func (a Algorithm) SignerOpts() crypto.SignerOpts {
	in := a.info()
	switch {
	case in.key == keyEd25519:
		return crypto.Hash(0)
	case in.pss:
		return &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: in.hash}
	}
	return in.hash
}

// ParseAlgorithm returns the algorithm of a name given by [Algorithm.String],
// or [ErrAlgorithm].
func ParseAlgorithm(name string) (Algorithm, error) {
	for a := Algorithm(1); a.Valid(); a++ {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("%w: %q", ErrAlgorithm, name)
}

// AlgorithmFor returns the algorithm this package signs with under a public
// key: ECDSA with the digest of the curve's size, RSA PKCS #1 v1.5 with
// SHA-256, Ed25519. Errors: [ErrAlgorithm], [ErrWeakAlgorithm].
func AlgorithmFor(pub crypto.PublicKey) (Algorithm, error) {
	a := Algorithm(0)
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			a = ECDSAWithSHA256
		case elliptic.P384():
			a = ECDSAWithSHA384
		case elliptic.P521():
			a = ECDSAWithSHA512
		}
	case *rsa.PublicKey:
		a = RSAWithSHA256
	case ed25519.PublicKey:
		a = Ed25519
	}
	return a, a.checkKey(pub)
}

// checkKey reports whether the key is of a's kind and of a safe size.
func (a Algorithm) checkKey(pub crypto.PublicKey) error {
	if !a.Valid() {
		return fmt.Errorf("%w: key of type %T", ErrAlgorithm, pub)
	}
	mismatch := fmt.Errorf("%w: %v with a key of type %T", ErrAlgorithmMismatch, a, pub)
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		if a.info().key != keyECDSA {
			return mismatch
		}
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return fmt.Errorf("%w: curve", ErrWeakAlgorithm)
		}
	case *rsa.PublicKey:
		if a.info().key != keyRSA {
			return mismatch
		}
		if n := k.N.BitLen(); n < 2048 {
			return fmt.Errorf("%w: RSA of %d bits", ErrWeakAlgorithm, n)
		} else if n > 8192 {
			return fmt.Errorf("%w: RSA of %d bits", ErrAlgorithm, n)
		}
		if k.E < 3 || k.E%2 == 0 || k.E > 1<<31-1 {
			return fmt.Errorf("%w: RSA exponent %d", ErrAlgorithm, k.E)
		}
	case ed25519.PublicKey:
		if a.info().key != keyEd25519 {
			return mismatch
		}
		if len(k) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: Ed25519 key length", ErrCertificate)
		}
	default:
		return fmt.Errorf("%w: key of type %T", ErrAlgorithm, pub)
	}
	return nil
}

// verify checks sig over message. saltLength is that of the PSS parameters.
// Errors: those of checkKey, [ErrSignatureMalformed], [ErrSignature].
func (a Algorithm) verify(pub crypto.PublicKey, message, sig []byte, saltLength int) error {
	if err := a.checkKey(pub); err != nil {
		return err
	}
	if err := checkSignatureForm(pub, sig); err != nil {
		return err
	}
	ok := false
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		ok = ecdsa.VerifyASN1(k, a.digest(message), sig)
	case *rsa.PublicKey:
		err := a.verifyRSA(k, message, sig, saltLength)
		if err != nil && !errors.Is(err, rsa.ErrVerification) {
			return fmt.Errorf("%w: %w", ErrAlgorithm, err) // not judged, which is not the same as wrong
		}
		ok = err == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(k, message, sig)
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

func (a Algorithm) verifyRSA(k *rsa.PublicKey, message, sig []byte, saltLength int) error {
	if a.info().pss {
		return rsa.VerifyPSS(k, a.Hash(), a.digest(message), sig, &rsa.PSSOptions{SaltLength: saltLength, Hash: a.Hash()})
	}
	return rsa.VerifyPKCS1v15(k, a.Hash(), a.digest(message), sig)
}

func (a Algorithm) digest(message []byte) []byte {
	h := a.Hash().New()
	h.Write(message)
	return h.Sum(nil)
}

// checkSignatureForm refuses values that no honest signer produces before any
// arithmetic sees them: r or s outside [1, n-1] or not DER, a length other
// than the modulus or 64 octets.
func checkSignatureForm(pub crypto.PublicKey, sig []byte) error {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		var inner cryptobyte.String
		var r, s big.Int
		in := cryptobyte.String(sig)
		if !in.ReadASN1(&inner, cbasn1.SEQUENCE) || !in.Empty() ||
			!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() {
			return fmt.Errorf("%w: ECDSA encoding", ErrSignatureMalformed)
		}
		n := k.Params().N
		if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(n) >= 0 || s.Cmp(n) >= 0 {
			return fmt.Errorf("%w: ECDSA value out of range", ErrSignatureMalformed)
		}
	case *rsa.PublicKey:
		if len(sig) != k.Size() {
			return fmt.Errorf("%w: RSA length", ErrSignatureMalformed)
		}
	case ed25519.PublicKey:
		if len(sig) != ed25519.SignatureSize {
			return fmt.Errorf("%w: Ed25519 length", ErrSignatureMalformed)
		}
	}
	return nil
}

// maxSignatureSize returns the greatest length of a signature under pub, in octets.
func maxSignatureSize(pub crypto.PublicKey) int {
	switch k := pub.(type) {
	case *ecdsa.PublicKey:
		n := (k.Params().BitSize + 7) / 8
		return 2*(n+1+2) + 3
	case *rsa.PublicKey:
		return k.Size()
	}
	return ed25519.SignatureSize
}
