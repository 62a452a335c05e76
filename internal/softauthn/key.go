package softauthn

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
)

// Alg is a COSE algorithm identifier (RFC 9053).
type Alg int64

// The algorithms that this authenticator has.
const (
	ES256 Alg = -7
	EdDSA Alg = -8
)

// privateKey is a signing key of either algorithm.
type privateKey struct {
	alg    Alg
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	secret []byte // 32 bytes: the P-256 scalar or the Ed25519 seed
}

const secretSize = 32

// newKey draws a key from rand, 32 bytes per try.
func newKey(alg Alg, rand io.Reader) (*privateKey, error) {
	for {
		secret := make([]byte, secretSize)
		if _, err := io.ReadFull(rand, secret); err != nil {
			return nil, fmt.Errorf("draw key: %w", err)
		}
		k, err := keyFromSecret(alg, secret)
		if err == nil || alg != ES256 {
			return k, err
		}
		// The 32 bytes were zero or not below the group order: draw again.
	}
}

func keyFromSecret(alg Alg, secret []byte) (*privateKey, error) {
	if len(secret) != secretSize {
		return nil, fmt.Errorf("%w: private key of %d bytes", ErrFile, len(secret))
	}
	k := &privateKey{alg: alg, secret: secret}
	switch alg {
	case ES256:
		ec, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
		if err != nil {
			return nil, fmt.Errorf("%w: P-256 scalar out of range", ErrFile)
		}
		k.ec = ec
	case EdDSA:
		k.ed = ed25519.NewKeyFromSeed(secret)
	default:
		return nil, fmt.Errorf("%w: algorithm %d", ErrNotSupported, int64(alg))
	}
	return k, nil
}

func (k *privateKey) public() crypto.PublicKey {
	if k.ec != nil {
		return &k.ec.PublicKey
	}
	return k.ed.Public()
}

// sign signs message deterministically.
func (k *privateKey) sign(message []byte) ([]byte, error) {
	if k.ec != nil {
		digest := sha256.Sum256(message)
		return k.ec.Sign(nil, digest[:], crypto.SHA256) // a nil source asks for RFC 6979
	}
	return ed25519.Sign(k.ed, message), nil
}

// cose returns the COSE_Key in CTAP2 canonical form. Coordinates always have
// 32 bytes, leading zeros included.
func (k *privateKey) cose() ([]byte, error) {
	if k.ec == nil {
		out := []byte{0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21}
		return appendBytes(out, k.ed.Public().(ed25519.PublicKey)), nil
	}
	point, err := k.ec.PublicKey.Bytes() // 0x04 || X || Y
	if err != nil {
		return nil, fmt.Errorf("encode point: %w", err)
	}
	out := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21}
	out = appendBytes(out, point[1:33])
	return appendBytes(append(out, 0x22), point[33:]), nil
}

func (k *privateKey) spki() ([]byte, error) { return x509.MarshalPKIXPublicKey(k.public()) }

// appendHead appends a CBOR initial byte and argument in shortest form (RFC 8949 §3).
func appendHead(b []byte, major byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, major<<5|byte(n))
	case n < 1<<8:
		return append(b, major<<5|24, byte(n))
	default:
		return append(b, major<<5|25, byte(n>>8), byte(n))
	}
}

func appendBytes(b, v []byte) []byte { return append(appendHead(b, 2, len(v)), v...) }

func appendText(b []byte, s string) []byte { return append(appendHead(b, 3, len(s)), s...) }
