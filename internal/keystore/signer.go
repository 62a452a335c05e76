package keystore

import (
	"bytes"
	"context"
	"crypto"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/envelope"
)

// recheckTimeout bounds the question whether a kept signer may still sign.
const recheckTimeout = 5 * time.Second

// checked signs with a key what its algorithm permits, and lets a signature
// out only if it verifies.
type checked struct {
	alg Alg
	key hidden
}

// hidden gives a private key. It is a function because printers that meet it
// in an unexported field ask no methods, and would show the bytes of an
// Ed25519 key; of a function they can show only the address.
type hidden func() crypto.Signer

func hide(k crypto.Signer) hidden { return func() crypto.Signer { return k } }

// Public implements [crypto.Signer].
func (c *checked) Public() crypto.PublicKey { return c.key().Public() }

// Sign implements [crypto.Signer]. ECDSA is deterministic (RFC 6979) if rand
// is nil. It returns [ErrDigest] or [ErrSelfCheck].
func (c *checked) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := c.alg.CheckDigest(digest, opts); err != nil {
		return nil, err
	}
	if rand == nil && c.alg == PS256 { // whose salt is random
		rand = crand.Reader
	}
	sig, err := c.key().Sign(rand, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("keystore: sign with %s key: %w", c.alg, err)
	}
	if !c.alg.verify(c.key().Public(), digest, opts.HashFunc(), sig) {
		return nil, ErrSelfCheck
	}
	return sig, nil
}

// Format implements [fmt.Formatter] for every verb and flag.
func (c *checked) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "keystore.Signer("+string(c.alg)+")")
}

// opened is a cached private key. Callers hold it wrapped in a [signer].
type opened struct {
	id, purpose string
	hash        [sha256.Size]byte
	version     int64
	key         *checked

	mu        sync.Mutex // guards the fields below
	checkedAt time.Time  // when the question was put that found the key in use
}

// signer is what [Store.Signer] returns.
type signer struct {
	s *Store
	o *opened
}

// Public implements [crypto.Signer].
func (g *signer) Public() crypto.PublicKey { return g.o.key.Public() }

// Sign implements [crypto.Signer]; see [Store.Signer].
func (g *signer) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := g.s.recheck(g.o); err != nil {
		return nil, err
	}
	return g.o.key.Sign(rand, digest, opts)
}

// Format implements [fmt.Formatter] for every verb and flag.
func (g *signer) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "keystore.Signer("+g.o.id+")")
}

// LogValue implements [slog.LogValuer].
func (g *signer) LogValue() slog.Value { return slog.StringValue(g.o.id) }

// Signer opens the private key id for its one purpose. It costs one statement,
// and the opening of the box if the key is not in the cache. It returns
// [ErrNotFound], [ErrPurpose], a [*StateError] ([ErrNotActive],
// [ErrDestroyed]), [ErrKEKMissing] or [ErrCorrupt].
//
// The signer may be kept for as long as its user lives. Its Sign asks the
// database again when the last answer is older than [Config.MaxStale], or
// when this node has touched the key lately, and then returns the errors
// above; if the database does not answer, it does not sign. Sign also returns
// [ErrDigest] and [ErrSelfCheck]. It MUST NOT be called inside a write closure.
func (s *Store) Signer(ctx context.Context, id, purpose string) (crypto.Signer, error) {
	s.mu.Lock()
	o, ok := s.signers.get(id)
	s.mu.Unlock()
	if ok {
		asked := s.now()
		fresh, err := s.ask(ctx, o)
		if err != nil {
			return nil, err
		}
		if fresh {
			if o.purpose != purpose {
				return nil, ErrPurpose
			}
			o.mu.Lock()
			o.checkedAt = asked
			o.mu.Unlock()
			return &signer{s, o}, nil
		}
	}
	o, err := s.load(ctx, id, purpose)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.signers.put(id, o)
	s.mu.Unlock()
	return &signer{s, o}, nil
}

// recheck asks whether a kept key may still sign, unless the last answer is fresh.
func (s *Store) recheck(o *opened) error {
	o.mu.Lock()
	checkedAt := o.checkedAt
	o.mu.Unlock()
	s.mu.Lock()
	trusted := s.trusted(o.id, checkedAt)
	s.mu.Unlock()
	if trusted {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), recheckTimeout)
	defer cancel()
	asked := s.now()
	// A new version in which the key still signs is as good: the key is the same.
	if _, err := s.ask(ctx, o); err != nil {
		return err
	}
	o.mu.Lock()
	o.checkedAt = asked
	o.mu.Unlock()
	return nil
}

// ask reads the state of a cached key. It returns an error if the key does not
// sign any more, and false if the row has changed since it was opened.
func (s *Store) ask(ctx context.Context, o *opened) (fresh bool, err error) {
	var state State
	var purpose string
	var version int64
	var hash []byte
	err = s.db.QueryRow(ctx, `SELECT state, purpose, version, spki_sha256 FROM key_private WHERE id = $1`, o.id).
		Scan(&state, &purpose, &version, &hash)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		s.forget(o.id)
		return false, ErrNotFound
	case err != nil:
		return false, fmt.Errorf("keystore: check key: %w", err)
	case purpose != o.purpose || !bytes.Equal(hash, o.hash[:]):
		s.forget(o.id)
		return false, fmt.Errorf("%w: %s", ErrCorrupt, o.id)
	case !state.signs():
		s.forget(o.id)
		return false, state.refusal(o.id)
	}
	return version == o.version, nil
}

func (s *Store) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signers.drop(id)
}

// load reads and opens a row.
func (s *Store) load(ctx context.Context, id, purpose string) (*opened, error) {
	var has string
	var alg Alg
	var owner string
	var state State
	var generation sql.NullInt64
	var hash, spki, sealed []byte
	o := &opened{id: id, purpose: purpose, checkedAt: s.now()}
	err := s.db.QueryRow(ctx, `SELECT purpose, alg, owner, state, version, kek_generation, spki_sha256, spki, sealed
		FROM key_private WHERE id = $1`, id).Scan(&has, &alg, &owner, &state, &o.version, &generation, &hash, &spki, &sealed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, ErrNotFound
	case err != nil:
		return nil, fmt.Errorf("keystore: read key: %w", err)
	case has != purpose:
		return nil, ErrPurpose
	case !state.signs():
		return nil, state.refusal(id)
	}
	kek, err := s.ring.find(ctx, generation.Int64, "key_private")
	if err != nil {
		return nil, err
	}
	o.hash = sha256.Sum256(spki)
	if !bytes.Equal(o.hash[:], hash) {
		return nil, fmt.Errorf("%w: public part of %s", ErrCorrupt, id)
	}
	key, err := openPrivate(kek, sealed, privatePlace(id, purpose, alg, owner, hash), alg)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, id)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil || !bytes.Equal(der, spki) {
		return nil, fmt.Errorf("%w: private and public part of %s", ErrCorrupt, id)
	}
	o.key = &checked{alg: alg, key: hide(key)}
	return o, nil
}

func openPrivate(kek envelope.Key, sealed, place []byte, alg Alg) (crypto.Signer, error) {
	der, err := envelope.Open(kek, sealed, place)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrCorrupt, err)
	}
	defer clear(der)
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: no PKCS #8 in the box", ErrCorrupt) // the parser's text might quote the key
	}
	key, ok := alg.fits(parsed)
	if !ok {
		return nil, fmt.Errorf("%w: other algorithm in the box", ErrCorrupt)
	}
	return key, nil
}
