package keystore

import (
	"context"
	"crypto"
	"embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the migration line of key_kek, key_private and key_data.
var Migrations = db.Line{Name: "keystore", FS: files}

// Errors that callers branch on. [*StateError] carries more.
var (
	// ErrNotFound: no such key.
	ErrNotFound = errors.New("keystore: no such key")
	// ErrPurpose: the key is for another purpose than the one asked for.
	ErrPurpose = errors.New("keystore: key is for another purpose")
	// ErrNotActive: the key is pending or retired.
	ErrNotActive = errors.New("keystore: key is not in use")
	// ErrDestroyed: the private part is gone for ever.
	ErrDestroyed = errors.New("keystore: key is destroyed")
	// ErrErased: the owner's data key was destroyed; what it sealed is unreadable.
	ErrErased = errors.New("keystore: data key is erased")
	// ErrKeyReused: a row with this id or this public key exists already.
	ErrKeyReused = errors.New("keystore: key exists already")
	// ErrCorrupt: a row does not open or contradicts itself.
	ErrCorrupt = errors.New("keystore: row is damaged or was changed")
	// ErrSpec: a purpose, algorithm, owner or time that cannot be.
	ErrSpec = errors.New("keystore: bad key specification")
	// ErrDigest: a hash or padding that the key's algorithm does not sign.
	ErrDigest = errors.New("keystore: digest or option not permitted for this key")
	// ErrSelfCheck: the signature just made does not verify; it was withheld.
	ErrSelfCheck = errors.New("keystore: signature failed its own verification")
	// ErrImport: not one unencrypted PKCS #8 key of the algorithm asked for.
	ErrImport = errors.New("keystore: key cannot be imported")
	// ErrKEKMissing: the key file lacks a KEK this database uses, most likely
	// because it belongs to another database.
	ErrKEKMissing = errors.New("keystore: the key file lacks a KEK of this database")
	// ErrKEKRetired: the KEK was replaced since the key was generated; generate it again.
	ErrKEKRetired = errors.New("keystore: KEK was replaced meanwhile")
	// ErrKEKInUse: rows are still sealed under this KEK, or it is the newest.
	ErrKEKInUse = errors.New("keystore: KEK is in use")
)

// Signers is what contexts consume: it opens the private key id as a signer,
// if it is meant for purpose. [*Store] is one implementation, the client of
// the PKCS#11 process another; keystoretest.Run tests both alike.
//
// Signer MUST return [ErrNotFound], [ErrPurpose], [ErrNotActive] or
// [ErrDestroyed] as the case may be, and decide on the state of the moment.
// The signer MUST be safe for concurrent use, MUST refuse with [ErrDigest]
// what the algorithm does not permit, and MUST NOT sign once the key is
// retired or destroyed for longer than the implementation documents.
type Signers interface {
	Signer(ctx context.Context, id, purpose string) (crypto.Signer, error)
}

// Config configures [Open]. DB and KEK are required.
type Config struct {
	DB *db.DB
	// KEK is the current key of the key file.
	KEK envelope.Key
	// MoreKEKs are the other keys of the key file, there during a re-wrap.
	MoreKEKs []envelope.Key
	// MaxStale bounds how long an opened key is used without asking the
	// database. Default 1 s.
	MaxStale time.Duration
	// DataKeys and OpenSigners bound the caches. Default 4096 and 256.
	DataKeys, OpenSigners int
	// Now is the clock of recorded times and of staleness. Default time.Now.
	Now func() time.Time
}

// Store is an open keystore. It is safe for concurrent use and formats
// without showing secrets.
type Store struct {
	db       *db.DB
	now      func() time.Time
	maxStale time.Duration
	ring     *keyring

	mu      sync.Mutex // guards the fields below
	data    *lru[dataEntry]
	signers *lru[*opened]
	suspect map[string]time.Time // keys changed by this node: until then, never served unasked
}

// suspectFor is longer than a closure, its commit and the search for the
// outcome of a lost commit can take together.
const suspectFor = 2 * time.Minute

// Open checks that the KEKs are those of the database; on an empty database
// it registers c.KEK as the first generation. The migrations must have run.
// A node whose key file lacks a generation gets [ErrKEKMissing].
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.DB == nil {
		return nil, errors.New("keystore: Config.DB is missing")
	}
	if c.KEK.IsZero() {
		return nil, fmt.Errorf("keystore: Config.KEK: %w", envelope.ErrNoKey)
	}
	if c.MaxStale <= 0 {
		c.MaxStale = time.Second
	}
	if c.DataKeys <= 0 {
		c.DataKeys = 4096
	}
	if c.OpenSigners <= 0 {
		c.OpenSigners = 256
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Store{
		db: c.DB, now: c.Now, maxStale: c.MaxStale,
		ring: newKeyring(c.DB, c.KEK, c.MoreKEKs),
		data: newLRU[dataEntry](c.DataKeys), signers: newLRU[*opened](c.OpenSigners),
		suspect: map[string]time.Time{},
	}
	if err := s.ring.begin(ctx, c.KEK, s.now()); err != nil {
		return nil, err
	}
	return s, nil
}

// distrust makes this node ask the database at each use of the key named by
// name, until the transaction that called it is surely over.
func (s *Store) distrust(name string) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.suspect) >= 10_000 {
		for n, until := range s.suspect {
			if now.After(until) {
				delete(s.suspect, n)
			}
		}
	}
	s.suspect[name] = now.Add(suspectFor)
}

// trusted reports whether a key last checked at that time may be used without
// asking. The caller holds s.mu.
func (s *Store) trusted(name string, checked time.Time) bool {
	now := s.now()
	if until, ok := s.suspect[name]; ok {
		if !now.After(until) {
			return false
		}
		delete(s.suspect, name)
	}
	age := now.Sub(checked)
	return age >= 0 && age < s.maxStale
}

func isToken(s string, maxLen int, more string) bool {
	if len(s) < 1 || len(s) > maxLen {
		return false
	}
	for i := range len(s) {
		c := s[i]
		ok := 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
		for j := range len(more) {
			ok = ok || c == more[j]
		}
		if !ok {
			return false
		}
	}
	return true
}
