package keystore

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// PrefixKey is the prefix of the identifiers of private keys.
const PrefixKey = "prv"

// Bounds of the text fields of a [Spec] in bytes, and of an imported file.
const (
	maxPurpose = 32
	maxOwner   = 128
	maxPEM     = 16 << 10
)

// Spec says what key to make. Purpose and Alg are required.
type Spec struct {
	// Purpose is the one use of the key: "idp.sign", "ca.root", "ca.issuing",
	// "tsa", "ocsp", "log", "person"…; 1 to 32 of a–z 0–9 . -
	Purpose string
	Alg     Alg
	// Owner is whose key it is (an identifier, or "system:…"); may be empty.
	Owner string
	// Activate makes the key active as soon as it is put. Otherwise it is
	// pending until [Store.Activate], or until ActivateAt if that is set.
	Activate bool
	// PublishAt is when the public part may first be shown; default at once.
	// ActivateAt and RetireAt are carried out by [Store.Advance].
	PublishAt, ActivateAt, RetireAt time.Time
}

func (s Spec) check() error {
	switch {
	case !isToken(s.Purpose, maxPurpose, ".-"):
		return fmt.Errorf("%w: purpose", ErrSpec)
	case !s.Alg.Valid():
		return fmt.Errorf("%w: algorithm %q", ErrSpec, string(s.Alg))
	case s.Owner != "" && !isToken(s.Owner, maxOwner, "_.:-"):
		return fmt.Errorf("%w: owner", ErrSpec)
	case s.Activate && !s.ActivateAt.IsZero():
		return fmt.Errorf("%w: Activate and ActivateAt exclude each other", ErrSpec)
	case !s.RetireAt.IsZero() && (s.RetireAt.Before(s.ActivateAt) || s.RetireAt.Before(s.PublishAt)):
		return fmt.Errorf("%w: RetireAt comes before the other times", ErrSpec)
	}
	return nil
}

// Pending is a generated or imported key, sealed, that [Store.Put] writes. It
// formats without showing secrets.
type Pending struct {
	id     string
	spec   Spec
	now    time.Time
	key    hidden
	spki   []byte
	hash   [sha256.Size]byte
	sealed []byte
	kek    int64
}

// Generate draws a key and seals it. It takes up to some seconds for RSA, and
// writes nothing: [Store.Put] does, in the caller's transaction.
func (s *Store) Generate(spec Spec) (*Pending, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	key, err := spec.Alg.generate()
	if err != nil {
		return nil, fmt.Errorf("keystore: generate %s key: %w", spec.Alg, err)
	}
	return s.seal(spec, key)
}

// ImportPEM seals an existing key: one PEM block "PRIVATE KEY" holding PKCS #8
// (RFC 5958), unencrypted, of exactly the algorithm asked for. Errors never
// quote the input.
func (s *Store) ImportPEM(spec Spec, text []byte) (*Pending, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	if len(text) > maxPEM {
		return nil, fmt.Errorf("%w: %d bytes", ErrImport, len(text))
	}
	block, rest := pem.Decode(text)
	switch {
	case block == nil:
		return nil, fmt.Errorf("%w: no PEM block", ErrImport)
	case block.Type != "PRIVATE KEY":
		return nil, fmt.Errorf("%w: PEM block is not PRIVATE KEY; convert it with openssl pkcs8 -topk8 -nocrypt", ErrImport)
	}
	defer clear(block.Bytes)
	if next, _ := pem.Decode(rest); next != nil {
		return nil, fmt.Errorf("%w: more than one PEM block", ErrImport)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: not a valid PKCS #8 key", ErrImport)
	}
	key, ok := spec.Alg.fits(parsed)
	if !ok {
		return nil, fmt.Errorf("%w: not a key for %s", ErrImport, spec.Alg)
	}
	return s.seal(spec, key)
}

func (s *Store) seal(spec Spec, key crypto.Signer) (*Pending, error) {
	now := s.now()
	if spec.PublishAt.IsZero() {
		spec.PublishAt = now
	}
	if spec.Activate {
		spec.ActivateAt = now
	}
	p := &Pending{id: identity.NewID(PrefixKey, now), spec: spec, now: now, key: hide(key)}
	var err error
	if p.spki, err = x509.MarshalPKIXPublicKey(key.Public()); err != nil {
		return nil, fmt.Errorf("keystore: encode public key: %w", err)
	}
	p.hash = sha256.Sum256(p.spki)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("keystore: encode private key: %w", err)
	}
	defer clear(der)
	kek, err := s.ring.current("key_private")
	if err != nil {
		return nil, err
	}
	p.kek = kek.generation
	p.sealed = envelope.Seal(kek.key, der, privatePlace(p.id, spec.Purpose, spec.Alg, spec.Owner, p.hash[:]))
	return p, nil
}

// privatePlace binds a private key to everything that says what it is for.
func privatePlace(id, purpose string, alg Alg, owner string, spkiHash []byte) []byte {
	return envelope.Bind(envelope.Place("key_private", "sealed", id),
		[]byte(purpose), []byte(alg), []byte(owner), spkiHash)
}

// ID returns the identifier that the key will have, "prv_…".
func (p *Pending) ID() string { return p.id }

// Public returns the public key: *ecdsa.PublicKey, ed25519.PublicKey or *rsa.PublicKey.
func (p *Pending) Public() crypto.PublicKey { return p.key().Public() }

// SPKI returns the SubjectPublicKeyInfo (RFC 5280 §4.1) in DER.
func (p *Pending) SPKI() []byte { return append([]byte(nil), p.spki...) }

// Signer signs with the key before it is put, whatever its state will be: for
// a self-signed certificate or a proof of possession in the same breath. It
// knows nothing of later states and MUST NOT be kept.
func (p *Pending) Signer() crypto.Signer {
	return &checked{alg: p.spec.Alg, key: p.key}
}

// Format implements [fmt.Formatter] for every verb and flag.
func (p *Pending) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "keystore.Pending("+p.id+")") }

// LogValue implements [slog.LogValuer].
func (p *Pending) LogValue() slog.Value { return slog.StringValue(p.id) }

// Put writes the key in the caller's transaction. It returns [ErrKeyReused] if
// the public key is there already (then the transaction can only fail), and
// [ErrKEKRetired] if the KEK was replaced since [Store.Generate].
func (s *Store) Put(tx *db.Tx, p *Pending) error {
	state := Waiting
	if p.spec.Activate {
		state = Active
	}
	_, err := tx.Exec(`INSERT INTO key_private (id, purpose, alg, owner, state, version, created_at, publish_at,
		activate_at, retire_at, kek_generation, spki_sha256, spki, sealed)
		VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8, $9, $10, $11, $12, $13)`,
		p.id, p.spec.Purpose, string(p.spec.Alg), p.spec.Owner, string(state), db.Micros(p.now), db.Micros(p.spec.PublishAt),
		optional(p.spec.ActivateAt), optional(p.spec.RetireAt), p.kek, p.hash[:], p.spki, p.sealed)
	switch {
	case db.IsUnique(err, "key_private"):
		return fmt.Errorf("%w: %w", ErrKeyReused, err)
	case db.IsConstraint(err, db.ForeignKey):
		return fmt.Errorf("%w: %w", ErrKEKRetired, err)
	case err != nil:
		return fmt.Errorf("keystore: put: %w", err)
	}
	return nil
}

// optional stores the zero time as NULL.
func optional(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return db.Micros(t)
}
