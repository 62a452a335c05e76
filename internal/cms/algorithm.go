package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the digests of every supported algorithm
	_ "crypto/sha512"
	"crypto/x509"
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

// algorithms is the one place where the supported schemes stand.
var algorithms = [...]Scheme{
	ECDSAWithSHA256:  ecdsaScheme(ECDSAWithSHA256, "ecdsa-sha256", crypto.SHA256, oidECDSASHA256),
	ECDSAWithSHA384:  ecdsaScheme(ECDSAWithSHA384, "ecdsa-sha384", crypto.SHA384, oidECDSASHA384),
	ECDSAWithSHA512:  ecdsaScheme(ECDSAWithSHA512, "ecdsa-sha512", crypto.SHA512, oidECDSASHA512),
	RSAWithSHA256:    rsaScheme(RSAWithSHA256, "rsa-sha256", crypto.SHA256, oidSHA256WithRSA),
	RSAWithSHA384:    rsaScheme(RSAWithSHA384, "rsa-sha384", crypto.SHA384, oidSHA384WithRSA),
	RSAWithSHA512:    rsaScheme(RSAWithSHA512, "rsa-sha512", crypto.SHA512, oidSHA512WithRSA),
	RSAPSSWithSHA256: pssScheme(RSAPSSWithSHA256, "rsa-pss-sha256", crypto.SHA256),
	RSAPSSWithSHA384: pssScheme(RSAPSSWithSHA384, "rsa-pss-sha384", crypto.SHA384),
	RSAPSSWithSHA512: pssScheme(RSAPSSWithSHA512, "rsa-pss-sha512", crypto.SHA512),
	Ed25519: {
		Name: "ed25519", OID: oidEd25519, Hash: crypto.SHA512, WholeMessage: true, Opts: crypto.Hash(0), alg: Ed25519,
		PublicKey: keyOf[ed25519.PublicKey], CheckKey: checkEd25519, Verify: verifyEd25519,
		MaxSize: func(crypto.PublicKey) int { return ed25519.SignatureSize },
	},
}

func ecdsaScheme(a Algorithm, name string, h crypto.Hash, oid asn1.ObjectIdentifier) Scheme {
	return Scheme{
		Name: name, OID: oid, Hash: h, Opts: h, alg: a,
		PublicKey: keyOf[*ecdsa.PublicKey], CheckKey: checkECDSA, Verify: verifyECDSA,
		MaxSize: func(pub crypto.PublicKey) int {
			n := (pub.(*ecdsa.PublicKey).Params().BitSize + 7) / 8
			return 2*(n+1+2) + 3
		},
	}
}

func rsaScheme(a Algorithm, name string, h crypto.Hash, oid asn1.ObjectIdentifier) Scheme {
	return Scheme{
		Name: name, OID: oid, Hash: h, Opts: h, alg: a, null: true, PublicKey: keyOf[*rsa.PublicKey], CheckKey: checkRSA,
		Verify: func(pub crypto.PublicKey, digest, value []byte, _ int) error {
			k := pub.(*rsa.PublicKey)
			return judgeRSA(k, value, func() error { return rsa.VerifyPKCS1v15(k, h, digest, value) })
		},
		MaxSize: func(pub crypto.PublicKey) int { return pub.(*rsa.PublicKey).Size() },
	}
}

func pssScheme(a Algorithm, name string, h crypto.Hash) Scheme {
	s := rsaScheme(a, name, h, oidRSAPSS)
	s.pss, s.Opts = true, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: h}
	s.Verify = func(pub crypto.PublicKey, digest, value []byte, salt int) error {
		k := pub.(*rsa.PublicKey)
		return judgeRSA(k, value, func() error {
			return rsa.VerifyPSS(k, h, digest, value, &rsa.PSSOptions{SaltLength: salt, Hash: h})
		})
	}
	return s
}

// keyOf returns the key of a certificate that has one of type K.
func keyOf[K any](c *x509.Certificate) crypto.PublicKey {
	if _, ok := c.PublicKey.(K); !ok {
		return nil
	}
	return c.PublicKey
}

// Valid reports whether a is a supported algorithm.
func (a Algorithm) Valid() bool { return a > 0 && int(a) < len(algorithms) }

// noScheme is that of no algorithm.
var noScheme = Scheme{
	Name: "none", PublicKey: func(*x509.Certificate) crypto.PublicKey { return nil },
	CheckKey: func(pub crypto.PublicKey) error { return fmt.Errorf("%w: key of type %T", ErrAlgorithm, pub) },
}

// scheme returns a's entry in the table.
func (a Algorithm) scheme() *Scheme {
	if !a.Valid() {
		return &noScheme
	}
	return &algorithms[a]
}

// given is scheme, but nil for 0.
func (a Algorithm) given() *Scheme {
	if a == 0 {
		return nil
	}
	return a.scheme()
}

// String returns a stable name such as "ecdsa-sha256".
func (a Algorithm) String() string { return a.scheme().Name }

// Hash returns the digest of the content and, but for Ed25519, of the signed attributes.
func (a Algorithm) Hash() crypto.Hash { return a.scheme().Hash }

// SignerOpts returns what [crypto.Signer] must be given with [Prepared.Input].
func (a Algorithm) SignerOpts() crypto.SignerOpts { return a.scheme().Opts }

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
	return a, a.scheme().CheckKey(pub)
}

func mismatch(what string, pub crypto.PublicKey) error {
	switch pub.(type) {
	case *ecdsa.PublicKey, *rsa.PublicKey, ed25519.PublicKey:
		return fmt.Errorf("%w: %s with a key of type %T", ErrAlgorithmMismatch, what, pub)
	}
	return fmt.Errorf("%w: key of type %T", ErrAlgorithm, pub)
}

func checkECDSA(pub crypto.PublicKey) error {
	k, ok := pub.(*ecdsa.PublicKey)
	switch {
	case !ok:
		return mismatch("ECDSA", pub)
	case k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521():
		return fmt.Errorf("%w: curve", ErrWeakAlgorithm)
	}
	return nil
}

func checkRSA(pub crypto.PublicKey) error {
	k, ok := pub.(*rsa.PublicKey)
	if !ok {
		return mismatch("RSA", pub)
	}
	if n := k.N.BitLen(); n < 2048 {
		return fmt.Errorf("%w: RSA of %d bits", ErrWeakAlgorithm, n)
	} else if n > 8192 {
		return fmt.Errorf("%w: RSA of %d bits", ErrAlgorithm, n)
	}
	if k.E < 3 || k.E%2 == 0 || k.E > 1<<31-1 {
		return fmt.Errorf("%w: RSA exponent %d", ErrAlgorithm, k.E)
	}
	return nil
}

func checkEd25519(pub crypto.PublicKey) error {
	k, ok := pub.(ed25519.PublicKey)
	switch {
	case !ok:
		return mismatch("Ed25519", pub)
	case len(k) != ed25519.PublicKeySize:
		return fmt.Errorf("%w: Ed25519 key length", ErrCertificate)
	}
	return nil
}

// The functions that verify refuse values that no honest signer produces before
// any arithmetic sees them: r or s outside [1, n-1] or not DER, a length other
// than the modulus or 64 octets.

func verifyECDSA(pub crypto.PublicKey, digest, value []byte, _ int) error {
	k := pub.(*ecdsa.PublicKey)
	var inner cryptobyte.String
	var r, s big.Int
	in := cryptobyte.String(value)
	if !in.ReadASN1(&inner, cbasn1.SEQUENCE) || !in.Empty() ||
		!inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) || !inner.Empty() {
		return fmt.Errorf("%w: ECDSA encoding", ErrSignatureMalformed)
	}
	n := k.Params().N
	if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(n) >= 0 || s.Cmp(n) >= 0 {
		return fmt.Errorf("%w: ECDSA value out of range", ErrSignatureMalformed)
	}
	if !ecdsa.VerifyASN1(k, digest, value) {
		return ErrSignature
	}
	return nil
}

func judgeRSA(k *rsa.PublicKey, value []byte, verify func() error) error {
	if len(value) != k.Size() {
		return fmt.Errorf("%w: RSA length", ErrSignatureMalformed)
	}
	switch err := verify(); {
	case err == nil:
		return nil
	case errors.Is(err, rsa.ErrVerification):
		return ErrSignature
	default:
		return fmt.Errorf("%w: %w", ErrAlgorithm, err) // not judged, which is not the same as wrong
	}
}

func verifyEd25519(pub crypto.PublicKey, message, value []byte, _ int) error {
	if len(value) != ed25519.SignatureSize {
		return fmt.Errorf("%w: Ed25519 length", ErrSignatureMalformed)
	}
	if !ed25519.Verify(pub.(ed25519.PublicKey), message, value) {
		return ErrSignature
	}
	return nil
}
