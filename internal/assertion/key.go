package assertion

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"math/big"
)

// Algorithm is a COSE algorithm identifier (RFC 9053).
type Algorithm int64

// The algorithms that this package accepts.
const (
	ES256 Algorithm = -7   // ECDSA on P-256 with SHA-256
	EdDSA Algorithm = -8   // Ed25519
	RS256 Algorithm = -257 // RSASSA-PKCS1-v1_5 with SHA-256, 2048 to 4096 bits, e = 65537
)

// String returns the name of the algorithm in the COSE registry.
func (a Algorithm) String() string {
	switch a {
	case ES256:
		return "ES256"
	case EdDSA:
		return "EdDSA"
	case RS256:
		return "RS256"
	}
	return fmt.Sprintf("COSE(%d)", int64(a))
}

// MaxKeySize bounds an encoded COSE_Key, in bytes; an RS256 key of 4096 bits has 526.
const MaxKeySize = 600

// COSE key parameters (RFC 9052 §7, RFC 9053 §7).
const (
	ktyOKP, ktyEC2, ktyRSA = 1, 2, 3
	crvP256, crvEd25519    = 1, 6
	minRSABits, maxRSABits = 2048, 4096
	rsaExponent            = 65537
	coordinateSize         = 32
)

// KeyID names a public key: the SHA-256 of its COSE_Key. As [ParseKey] accepts
// one encoding of each key only, equal keys have equal names.
type KeyID [sha256.Size]byte

// Key is a public key that passed every check of [ParseKey].
type Key struct {
	alg    Algorithm
	public crypto.PublicKey
	id     KeyID
}

// Algorithm returns the algorithm the key is bound to.
func (k *Key) Algorithm() Algorithm { return k.alg }

// Public returns an *ecdsa.PublicKey, an ed25519.PublicKey or an *rsa.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.public }

// ID returns the name of the key.
func (k *Key) ID() KeyID { return k.id }

func keyErr(what string) error { return fmt.Errorf("%w: %s", ErrKey, what) }

// ParseKey parses a COSE_Key in CTAP2 canonical CBOR with exactly the
// parameters that WebAuthn L3 §6.5.1.1 requires for its algorithm and nothing
// after it. Errors: [ErrSize], [ErrKey], [ErrAlgorithm].
func ParseKey(cose []byte) (*Key, error) {
	if len(cose) > MaxKeySize {
		return nil, fmt.Errorf("%w: key of %d bytes", ErrSize, len(cose))
	}
	c := &cursor{b: cose}
	k, err := readKey(c)
	if err != nil {
		return nil, err
	}
	if len(c.b) != 0 {
		return nil, keyErr("bytes after the key")
	}
	k.id = sha256.Sum256(cose)
	return k, nil
}

// readKey reads one COSE_Key from the front of c; it leaves the id empty.
func readKey(c *cursor) (*Key, error) {
	n, err := c.mapHeader()
	if err != nil {
		return nil, keyErr("not a map")
	}
	kty, err := intParam(c, 1)
	if err != nil {
		return nil, err
	}
	alg, err := intParam(c, 3)
	if err != nil {
		return nil, err
	}
	switch a := Algorithm(alg); a {
	case ES256:
		if kty != ktyEC2 || n != 5 {
			return nil, keyErr("ES256 needs an EC2 key of five parameters")
		}
		return readEC2(c)
	case EdDSA:
		if kty != ktyOKP || n != 4 {
			return nil, keyErr("EdDSA needs an OKP key of four parameters")
		}
		return readOKP(c)
	case RS256:
		if kty != ktyRSA || n != 4 {
			return nil, keyErr("RS256 needs an RSA key of four parameters")
		}
		return readRSA(c)
	default:
		return nil, fmt.Errorf("%w: COSE algorithm %d", ErrAlgorithm, alg)
	}
}

// intParam reads the pair (label, integer).
func intParam(c *cursor, label int64) (int64, error) {
	if got, err := c.integer(); err != nil || got != label {
		return 0, keyErr(fmt.Sprintf("parameter %d missing or out of order", label))
	}
	v, err := c.integer()
	if err != nil {
		return 0, keyErr(fmt.Sprintf("parameter %d is not an integer", label))
	}
	return v, nil
}

// bytesParam reads the pair (label, byte string).
func bytesParam(c *cursor, label int64) ([]byte, error) {
	if got, err := c.integer(); err != nil || got != label {
		return nil, keyErr(fmt.Sprintf("parameter %d missing or out of order", label))
	}
	v, err := c.bytes()
	if err != nil {
		return nil, keyErr(fmt.Sprintf("parameter %d is not a byte string", label))
	}
	return v, nil
}

func readEC2(c *cursor) (*Key, error) {
	crv, err := intParam(c, -1)
	if err != nil {
		return nil, err
	}
	x, err := bytesParam(c, -2)
	if err != nil {
		return nil, err
	}
	y, err := bytesParam(c, -3)
	if err != nil {
		return nil, err
	}
	if crv != crvP256 || len(x) != coordinateSize || len(y) != coordinateSize {
		return nil, keyErr("ES256 needs P-256 and coordinates of 32 bytes")
	}
	point := append(append([]byte{4}, x...), y...)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, keyErr("point is not on P-256")
	}
	return &Key{alg: ES256, public: public}, nil
}

func readOKP(c *cursor) (*Key, error) {
	crv, err := intParam(c, -1)
	if err != nil {
		return nil, err
	}
	x, err := bytesParam(c, -2)
	if err != nil {
		return nil, err
	}
	if crv != crvEd25519 || len(x) != ed25519.PublicKeySize {
		return nil, keyErr("EdDSA needs Ed25519 and 32 bytes")
	}
	if weakEd25519(x) {
		return nil, keyErr("Ed25519 point of small order or not canonical")
	}
	return &Key{alg: EdDSA, public: ed25519.PublicKey(bytes.Clone(x))}, nil
}

// weakEd25519 reports a y-coordinate that is not reduced modulo 2^255-19, or
// one of the five that belong to points of order 1, 2, 4 or 8. Under such a
// key a signature may verify for every message.
func weakEd25519(x []byte) bool {
	be := make([]byte, len(x))
	for i, v := range x {
		be[len(x)-1-i] = v
	}
	be[0] &= 0x7f // the sign of x
	y := new(big.Int).SetBytes(be)
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	if y.Cmp(p) >= 0 || y.BitLen() <= 1 { // not reduced; 0 (order 4) or 1 (order 1)
		return true
	}
	if new(big.Int).Add(y, big.NewInt(1)).Cmp(p) == 0 { // -1 (order 2)
		return true
	}
	return orderEight(y, p)
}

// orderEight reports a y-coordinate of a point of order 8: doubling it gives a
// point with y = 0, which holds exactly when x² = -y² on the curve
// -x² + y² = 1 + d·x²·y², hence when d·y⁴ + 2·y² - 1 = 0 modulo p.
func orderEight(y, p *big.Int) bool {
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665)).Mod(d, p)
	y2 := new(big.Int).Mul(y, y)
	y2.Mod(y2, p)
	sum := new(big.Int).Mul(y2, y2)
	sum.Mul(sum, d)
	sum.Add(sum, new(big.Int).Lsh(y2, 1))
	sum.Sub(sum, big.NewInt(1))
	return sum.Mod(sum, p).Sign() == 0
}

func readRSA(c *cursor) (*Key, error) {
	n, err := bytesParam(c, -1)
	if err != nil {
		return nil, err
	}
	e, err := bytesParam(c, -2)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(e, []byte{1, 0, 1}) {
		return nil, keyErr("RSA exponent is not 65537")
	}
	if len(n) == 0 || n[0] == 0 || len(n) > maxRSABits/8 || n[len(n)-1]&1 == 0 {
		return nil, keyErr("RSA modulus padded, even or too large")
	}
	modulus := new(big.Int).SetBytes(n)
	if modulus.BitLen() < minRSABits {
		return nil, keyErr("RSA modulus too small")
	}
	return &Key{alg: RS256, public: &rsa.PublicKey{N: modulus, E: rsaExponent}}, nil
}

// verify checks a signature over message. It returns [ErrSignature].
func (k *Key) verify(message, signature []byte) error {
	digest := sha256.Sum256(message)
	ok := false
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		ok = strictECDSA(signature) && ecdsa.VerifyASN1(public, digest[:], signature)
	case ed25519.PublicKey:
		ok = len(signature) == ed25519.SignatureSize && ed25519.Verify(public, message, signature)
	case *rsa.PublicKey:
		ok = len(signature) == public.Size() &&
			rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
	}
	if !ok {
		return fmt.Errorf("%w (%v)", ErrSignature, k.alg)
	}
	return nil
}

// strictECDSA reports whether der is exactly SEQUENCE { INTEGER r, INTEGER s }
// in DER (X.690 §8.3, §10.1) with positive, minimal integers that fit P-256.
func strictECDSA(der []byte) bool {
	if len(der) < 8 || len(der) > 72 || der[0] != 0x30 || int(der[1]) != len(der)-2 {
		return false
	}
	rest, ok := strictInteger(der[2:])
	if !ok {
		return false
	}
	rest, ok = strictInteger(rest)
	return ok && len(rest) == 0
}

func strictInteger(b []byte) (rest []byte, ok bool) {
	if len(b) < 3 || b[0] != 0x02 || b[1] == 0 || int(b[1]) > len(b)-2 {
		return nil, false
	}
	v, rest := b[2:2+int(b[1])], b[2+int(b[1]):]
	if v[0]&0x80 != 0 { // negative
		return nil, false
	}
	if v[0] == 0 {
		if len(v) == 1 || v[1]&0x80 == 0 { // zero, or padded without need
			return nil, false
		}
		v = v[1:]
	}
	return rest, len(v) <= coordinateSize
}
