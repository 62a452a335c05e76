// Package jwks holds the provider's signing keys: it signs its JWTs, publishes
// the public halves as a JWK Set and verifies what the provider signed before.
// Private keys stay in the keystore. Only idp's packages may import it.
package jwks

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/keystore"
)

// Purpose is the keystore purpose of the provider's signing keys.
const Purpose = "idp.sign"

// maxTokenBytes bounds a token before it is parsed.
const maxTokenBytes = 16 << 10

// cacheFor is how long a list of keys is used before it is read again.
const cacheFor = 5 * time.Second

// maxOpen bounds the private keys held open.
const maxOpen = 32

// ErrToken reports a token that this provider did not sign as it stands.
var ErrToken = errors.New("idp: token is not one of ours")

// Config configures New; all fields but Now are needed.
type Config struct {
	DB   *db.DB
	Keys *keystore.Store
	Now  func() time.Time
}

// Keys is the provider's key set. It is safe for concurrent use.
type Keys struct {
	cfg Config

	mu     sync.Mutex // guards the fields below
	list   []published
	readAt time.Time
	signer map[string]crypto.Signer // by key; it asks by itself whether it may still sign
}

// published is a key that verifiers may see.
type published struct {
	keystore.Info
	kid string
	alg string // JWS name
	jwk jose.JSONWebKey
}

// New returns the key set; Ensure must have run once on the database.
func New(c Config) *Keys {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Keys{cfg: c, signer: map[string]crypto.Signer{}}
}

// Ensure makes an active key for each algorithm that has none.
func (k *Keys) Ensure(ctx context.Context) error {
	active, err := k.cfg.Keys.Active(ctx, Purpose)
	if err != nil {
		return err
	}
	for _, alg := range []keystore.Alg{keystore.ES256, keystore.RS256} {
		if err := k.ensure(ctx, active, alg); err != nil {
			return err
		}
	}
	return nil
}

// Algs are the algorithms with which tokens can be signed.
func Algs() []string { return []string{"ES256", "PS256", "EdDSA", "RS256"} }

// Have makes an active key of alg, one of [Algs], unless there is one: keys of
// algorithms that no client asked for do not exist. "" is none.
func (k *Keys) Have(ctx context.Context, alg string) error {
	if alg == "" {
		return nil
	}
	active, err := k.cfg.Keys.Active(ctx, Purpose)
	if err != nil {
		return err
	}
	return k.ensure(ctx, active, keystore.Alg(alg))
}

func (k *Keys) ensure(ctx context.Context, active []keystore.Info, alg keystore.Alg) error {
	if slices.ContainsFunc(active, func(i keystore.Info) bool { return i.Alg == alg }) {
		return nil
	}
	p, err := k.cfg.Keys.Generate(keystore.Spec{Purpose: Purpose, Alg: alg, Activate: true})
	if err != nil {
		return fmt.Errorf("generate %s key: %w", alg, err)
	}
	if err := k.cfg.DB.Write(ctx, func(tx *db.Tx) error { return k.cfg.Keys.Put(tx, p) }); err != nil {
		return fmt.Errorf("store %s key: %w", alg, err)
	}
	k.forget()
	return nil
}

// forget has the list read again at its next use.
func (k *Keys) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.readAt = time.Time{}
}

// keys returns the published keys, the newest first.
func (k *Keys) keys(ctx context.Context) ([]published, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.cfg.Now()
	if k.list != nil && now.Sub(k.readAt) < cacheFor && !now.Before(k.readAt) {
		return k.list, nil
	}
	infos, err := k.cfg.Keys.List(ctx, Purpose)
	if err != nil {
		return nil, err
	}
	list := make([]published, 0, len(infos))
	for _, i := range infos {
		if !i.Published(now) {
			continue
		}
		jwk := jose.JSONWebKey{Key: i.Public, Algorithm: string(i.Alg), Use: "sig"}
		sum, err := jwk.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", i.ID, err)
		}
		jwk.KeyID = base64.RawURLEncoding.EncodeToString(sum)
		list = append(list, published{Info: i, kid: jwk.KeyID, alg: string(i.Alg), jwk: jwk})
	}
	k.list, k.readAt = list, now
	return list, nil
}

// Set returns the JWK Set (RFC 7517 §5) as JSON.
func (k *Keys) Set(ctx context.Context) ([]byte, error) {
	list, err := k.keys(ctx)
	if err != nil {
		return nil, err
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, p := range list {
		set.Keys = append(set.Keys, p.jwk)
	}
	return json.Marshal(set)
}

// SignIDToken signs an ID token with the newest active key of alg.
func (k *Keys) SignIDToken(ctx context.Context, alg string, claims map[string]any) (string, error) {
	return k.Sign(ctx, alg, "JWT", claims)
}

// Sign makes a compact JWS with the given typ.
func (k *Keys) Sign(ctx context.Context, alg, typ string, claims map[string]any) (string, error) {
	key, err := k.active(ctx, alg)
	if err != nil {
		return "", err
	}
	signer, err := k.open(ctx, key.ID)
	if err != nil {
		return "", err
	}
	head, err := json.Marshal(map[string]string{"alg": alg, "kid": key.kid, "typ": typ})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString(head) + "." + enc.EncodeToString(body)
	sum := sha256.Sum256([]byte(signed))
	message, opts := sum[:], crypto.SignerOpts(crypto.SHA256)
	switch alg {
	case "EdDSA": // signs messages (RFC 8037 §3.1)
		message, opts = []byte(signed), crypto.Hash(0)
	case "PS256":
		opts = &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash} // RFC 7518 §3.5
	}
	sig, err := signer.Sign(rand.Reader, message, opts)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	if alg == "ES256" {
		if sig, err = fixedLength(sig); err != nil {
			return "", err
		}
	}
	return signed + "." + enc.EncodeToString(sig), nil
}

// open returns the private half of a key.
func (k *Keys) open(ctx context.Context, id string) (crypto.Signer, error) {
	k.mu.Lock()
	s, ok := k.signer[id]
	k.mu.Unlock()
	if ok {
		return s, nil
	}
	s, err := k.cfg.Keys.Signer(ctx, id, Purpose)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.signer) >= maxOpen { // keys that were rotated away
		clear(k.signer)
	}
	k.signer[id] = s
	return s, nil
}

// active returns the newest active key of an algorithm; another node may have made it just now.
func (k *Keys) active(ctx context.Context, alg string) (*published, error) {
	for range 2 {
		list, err := k.keys(ctx)
		if err != nil {
			return nil, err
		}
		if at := slices.IndexFunc(list, func(p published) bool { return p.alg == alg && p.State == keystore.Active }); at >= 0 {
			return &list[at], nil
		}
		k.forget()
	}
	return nil, fmt.Errorf("idp: no active %s key", alg)
}

// fixedLength turns a DER ECDSA signature into R||S (RFC 7518 §3.4).
func fixedLength(der []byte) ([]byte, error) {
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) != 0 {
		return nil, errors.New("idp: signer returned no DER signature")
	}
	out := make([]byte, 64)
	rs.R.FillBytes(out[:32])
	rs.S.FillBytes(out[32:])
	return out, nil
}

// Verify returns the payload of a token that this provider signed with any key
// still published and that has one of the types (compared without case; "" for
// none). It does not look at the claims.
func (k *Keys) Verify(ctx context.Context, token string, types ...string) ([]byte, error) {
	if len(token) > maxTokenBytes || strings.Count(token, ".") != 2 {
		return nil, ErrToken
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.EdDSA, jose.RS256})
	if err != nil || len(jws.Signatures) != 1 {
		return nil, ErrToken
	}
	h := jws.Signatures[0].Protected
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	if !slices.Contains(types, strings.ToLower(typ)) {
		return nil, fmt.Errorf("%w: wrong typ", ErrToken)
	}
	list, err := k.keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, p := range list {
		if p.kid != h.KeyID || p.alg != h.Algorithm || !fits(p.Public, h.Algorithm) {
			continue
		}
		payload, err := jws.Verify(p.Public)
		if err != nil {
			return nil, fmt.Errorf("%w: signature", ErrToken)
		}
		return payload, nil
	}
	return nil, fmt.Errorf("%w: unknown key", ErrToken)
}

func fits(pub crypto.PublicKey, alg string) bool {
	switch p := pub.(type) {
	case *ecdsa.PublicKey:
		return alg == "ES256" && p.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return alg == "EdDSA"
	case *rsa.PublicKey:
		return alg == "RS256" || alg == "PS256" // which of them, the key's own alg says
	}
	return false
}
