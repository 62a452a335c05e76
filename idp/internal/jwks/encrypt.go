package jwks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// ErrEncryption reports a client to which cannot be encrypted as it is registered.
var ErrEncryption = errors.New("idp: encryption to a client")

// KeyAlgs and ContentAlgs are the algorithms (RFC 7518 §4 and §5) with which is
// encrypted to clients.
func KeyAlgs() []string     { return []string{"RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A128KW"} }
func ContentAlgs() []string { return []string{"A128GCM", "A256GCM"} }

// CheckEncryption tells why a client with a JWK Set cannot be registered for an
// encryption, "ALG ENC", or nil.
func CheckEncryption(set, encryption string) error {
	_, _, err := recipient(set, encryption)
	return err
}

// recipient returns the first key of a set that is for an encryption.
func recipient(set, encryption string) (jose.Recipient, jose.ContentEncryption, error) {
	alg, enc, _ := strings.Cut(encryption, " ")
	if !slices.Contains(KeyAlgs(), alg) || !slices.Contains(ContentAlgs(), enc) {
		return jose.Recipient{}, "", fmt.Errorf("%w: it is one of %v, a space, and one of %v", ErrEncryption, KeyAlgs(), ContentAlgs())
	}
	var s jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(set), &s); err != nil {
		return jose.Recipient{}, "", fmt.Errorf("%w: no JWK Set", ErrEncryption)
	}
	for _, k := range s.Keys {
		if k.Use == "enc" && k.IsPublic() && (k.Algorithm == "" || k.Algorithm == alg) && receives(k.Key, alg) {
			return jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: k.Key, KeyID: k.KeyID}, jose.ContentEncryption(enc), nil
		}
	}
	return jose.Recipient{}, "", fmt.Errorf("%w: no key of the client, with use enc, is for %s", ErrEncryption, alg)
}

func receives(key any, alg string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return alg == "RSA-OAEP-256" && k.N.BitLen() >= 2048 && k.N.BitLen() <= 8192
	case *ecdsa.PublicKey:
		return strings.HasPrefix(alg, "ECDH-ES") && (k.Curve == elliptic.P256() || k.Curve == elliptic.P384())
	}
	return false
}

// Encrypt makes a compact JWE of a signed token, a nested JWT (RFC 7519 §11.2),
// for the client whose keys these are. Errors wrap [ErrEncryption].
func (k *Keys) Encrypt(set, encryption, token string) (string, error) {
	to, enc, err := recipient(set, encryption)
	if err != nil {
		return "", err
	}
	e, err := jose.NewEncrypter(enc, to, (&jose.EncrypterOptions{}).WithContentType("JWT"))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	jwe, err := e.Encrypt([]byte(token))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrEncryption, err)
	}
	return jwe.CompactSerialize()
}
