package client

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxSetBytes = 32 << 10
	maxSetKeys  = 16
)

// ErrKeys reports a key set that cannot be registered.
var ErrKeys = errors.New("idp: client keys")

// CheckKeys tells why a JWK Set may not be registered for a client that signs,
// or nil. Every key must be public, strong enough, of a kind that assertions may
// use, and have an id of its own; keys with use enc may stand beside them.
func CheckKeys(set string) error {
	signs, err := checkSet(set)
	if err == nil && signs == 0 {
		err = fmt.Errorf("%w: no key", ErrKeys)
	}
	return err
}

// CheckRecipients is CheckKeys for a client that does not sign: keys with use enc only.
func CheckRecipients(set string) error {
	signs, err := checkSet(set)
	if err == nil && signs > 0 {
		err = fmt.Errorf("%w: a key is not for use enc", ErrKeys)
	}
	return err
}

// checkSet looks at every key and returns how many are for signatures.
func checkSet(set string) (signs int, err error) {
	keys, err := parseSet(set)
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	for _, k := range keys {
		switch {
		case !k.IsPublic():
			return 0, fmt.Errorf("%w: a private key was sent", ErrKeys)
		case k.KeyID == "" || seen[k.KeyID]:
			return 0, fmt.Errorf("%w: each key needs a kid of its own", ErrKeys)
		case k.Use == "enc": // what it is good for is looked at with the encryption
		case !Fits(k, "ES256") && !Fits(k, "PS256") && !Fits(k, "EdDSA"):
			return 0, fmt.Errorf("%w: keys must be P-256, Ed25519 or RSA of 2048 bits or more, for signatures", ErrKeys)
		default:
			signs++
		}
		seen[k.KeyID] = true
	}
	return signs, nil
}

func parseSet(set string) ([]jose.JSONWebKey, error) {
	if len(set) > maxSetBytes {
		return nil, fmt.Errorf("%w: over %d bytes", ErrKeys, maxSetBytes)
	}
	var s jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(set), &s); err != nil {
		return nil, fmt.Errorf("%w: not a JWK Set", ErrKeys)
	}
	if len(s.Keys) > maxSetKeys {
		return nil, fmt.Errorf("%w: more than %d keys", ErrKeys, maxSetKeys)
	}
	return s.Keys, nil
}

// Fits reports whether a key may verify signatures of alg: its kind, its own
// alg and use, and its strength all agree.
func Fits(k jose.JSONWebKey, alg string) bool {
	if k.Algorithm != "" && k.Algorithm != alg || k.Use != "" && k.Use != "sig" {
		return false
	}
	switch pub := k.Key.(type) {
	case *ecdsa.PublicKey:
		return alg == "ES256" && pub.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	case *rsa.PublicKey:
		return alg == "PS256" && pub.N.BitLen() >= 2048 && pub.N.BitLen() <= 8192 && pub.E > 2
	}
	return false
}
