package sdk

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

// Limits of key sets and keys.
const (
	maxJWKSBytes = 256 << 10
	maxJWKSKeys  = 64
	minRSABits   = 2048
	maxRSABits   = 8192
)

// jwk is a JSON Web Key (RFC 7517) as it travels.
type jwk struct {
	Kty string `json:"kty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
	Kid string `json:"kid,omitempty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	D   string `json:"d,omitempty"`
}

// verificationKey is a public key with what it may be used for.
type verificationKey struct {
	kid  string
	algs []string // what the key may verify; never more than one family
	pub  crypto.PublicKey
}

// b64 is strict unpadded base64url (RFC 7515 §2).
func b64() *base64.Encoding { return base64.RawURLEncoding.Strict() }

func parseJWKS(raw []byte) (map[string]verificationKey, error) {
	if len(raw) > maxJWKSBytes {
		return nil, fmt.Errorf("%w: key set over %d bytes", ErrDiscovery, maxJWKSBytes)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("%w: key set is not JSON", ErrDiscovery)
	}
	if len(set.Keys) > maxJWKSKeys {
		return nil, fmt.Errorf("%w: key set has %d keys", ErrDiscovery, len(set.Keys))
	}
	keys := map[string]verificationKey{}
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" || k.Kid == "" {
			continue
		}
		if _, twice := keys[k.Kid]; twice {
			return nil, fmt.Errorf("%w: key id used twice", ErrDiscovery)
		}
		if v, err := k.public(); err == nil { // kinds this package does not know are passed over
			keys[k.Kid] = v
		}
	}
	return keys, nil
}

// public decodes a key and binds it to its algorithms.
func (k jwk) public() (verificationKey, error) {
	v := verificationKey{kid: k.Kid}
	switch {
	case k.Kty == "EC" && k.Crv == "P-256":
		x, errX := fixed(k.X, 32)
		y, errY := fixed(k.Y, 32)
		if errX != nil || errY != nil {
			return v, fmt.Errorf("%w: P-256 coordinates", ErrDiscovery)
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		if err != nil {
			return v, fmt.Errorf("%w: point not on P-256", ErrDiscovery)
		}
		v.pub, v.algs = pub, []string{"ES256"}
	case k.Kty == "OKP" && k.Crv == "Ed25519":
		x, err := fixed(k.X, ed25519.PublicKeySize)
		if err != nil {
			return v, fmt.Errorf("%w: Ed25519 key", ErrDiscovery)
		}
		v.pub, v.algs = ed25519.PublicKey(x), []string{"EdDSA"}
	case k.Kty == "RSA":
		n, errN := b64().DecodeString(k.N)
		e, errE := b64().DecodeString(k.E)
		if errN != nil || errE != nil || len(n) > maxRSABits/8 || len(e) > 4 || len(e) == 0 {
			return v, fmt.Errorf("%w: RSA key", ErrDiscovery)
		}
		pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if pub.N.BitLen() < minRSABits || pub.E < 3 || pub.E%2 == 0 {
			return v, fmt.Errorf("%w: RSA key too small", ErrDiscovery)
		}
		v.pub, v.algs = pub, []string{"RS256", "PS256"}
	default:
		return v, fmt.Errorf("%w: unknown kind of key", ErrDiscovery)
	}
	if k.Alg != "" {
		for _, a := range v.algs {
			if a == k.Alg {
				v.algs = []string{a}
				return v, nil
			}
		}
		return v, fmt.Errorf("%w: key names an algorithm that does not fit it", ErrDiscovery)
	}
	return v, nil
}

func fixed(s string, n int) ([]byte, error) {
	b, err := b64().DecodeString(s)
	if err != nil || len(b) != n {
		return nil, fmt.Errorf("want %d bytes", n)
	}
	return b, nil
}

// publicJWK writes a public key as a JWK without kid.
func publicJWK(pub crypto.PublicKey) (jwk, error) {
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		raw, err := p.Bytes()
		if err != nil || p.Curve != elliptic.P256() {
			return jwk{}, fmt.Errorf("%w: EC keys must be P-256", ErrConfig)
		}
		return jwk{Kty: "EC", Crv: "P-256", Alg: "ES256", X: b64().EncodeToString(raw[1:33]), Y: b64().EncodeToString(raw[33:])}, nil
	case ed25519.PublicKey:
		return jwk{Kty: "OKP", Crv: "Ed25519", Alg: "EdDSA", X: b64().EncodeToString(p)}, nil
	case *rsa.PublicKey:
		return jwk{Kty: "RSA", Alg: "PS256", N: b64().EncodeToString(p.N.Bytes()), E: b64().EncodeToString(big.NewInt(int64(p.E)).Bytes())}, nil
	}
	return jwk{}, fmt.Errorf("%w: key must be P-256, Ed25519 or RSA, not %T", ErrConfig, pub)
}

// Thumbprint returns the RFC 7638 SHA-256 thumbprint of a public key, base64url.
func Thumbprint(pub crypto.PublicKey) (string, error) {
	k, err := publicJWK(pub)
	if err != nil {
		return "", err
	}
	var canonical string
	switch k.Kty {
	case "EC":
		canonical = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k.Crv, k.X, k.Y)
	case "OKP":
		canonical = fmt.Sprintf(`{"crv":%q,"kty":"OKP","x":%q}`, k.Crv, k.X)
	default:
		canonical = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, k.E, k.N)
	}
	sum := sha256.Sum256([]byte(canonical))
	return b64().EncodeToString(sum[:]), nil
}

// ParsePrivateJWK reads a private key in JWK form: EC P-256 or OKP Ed25519. It
// returns the key and its kid, which may be empty.
func ParsePrivateJWK(raw []byte) (crypto.Signer, string, error) {
	var k jwk
	if len(raw) > maxJWKSBytes || json.Unmarshal(raw, &k) != nil {
		return nil, "", fmt.Errorf("%w: private key is not a JWK", ErrConfig)
	}
	d, err := fixed(k.D, 32)
	if err != nil {
		return nil, "", fmt.Errorf("%w: private part of the JWK", ErrConfig)
	}
	pub, err := k.public()
	if err != nil {
		return nil, "", fmt.Errorf("%w: public part of the JWK", ErrConfig)
	}
	switch p := pub.pub.(type) {
	case *ecdsa.PublicKey:
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
		if err != nil || !key.PublicKey.Equal(p) {
			return nil, "", fmt.Errorf("%w: private and public parts of the JWK differ", ErrConfig)
		}
		return key, k.Kid, nil
	case ed25519.PublicKey:
		key := ed25519.NewKeyFromSeed(d)
		if !p.Equal(key.Public()) {
			return nil, "", fmt.Errorf("%w: private and public parts of the JWK differ", ErrConfig)
		}
		return key, k.Kid, nil
	}
	return nil, "", fmt.Errorf("%w: private JWK must be P-256 or Ed25519", ErrConfig)
}
