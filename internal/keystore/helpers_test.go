package keystore_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
)

var lines = []db.Line{keystore.Migrations}

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// node opens a store on d, as one more node of the same service.
func node(t testing.TB, d *db.DB, c *clock, kek envelope.Key, more ...envelope.Key) *keystore.Store {
	t.Helper()
	s, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: kek, MoreKEKs: more, Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func each(t *testing.T, fn func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, kek envelope.Key)) {
	t.Helper()
	dbtest.Each(t, lines, func(t *testing.T, d *db.DB) {
		c, kek := newClock(), envelope.NewKey()
		fn(t, d, c, node(t, d, c, kek), kek)
	})
}

func write(t testing.TB, d *db.DB, fn func(*db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func execSQL(t testing.TB, d *db.DB, q string, args ...any) int64 {
	t.Helper()
	var n int64
	write(t, d, func(tx *db.Tx) (err error) {
		n, err = tx.Exec(q, args...)
		return err
	})
	return n
}

// put generates a key and stores it.
func put(t testing.TB, d *db.DB, s *keystore.Store, spec keystore.Spec) string {
	t.Helper()
	p, err := s.Generate(spec)
	if err != nil {
		t.Fatal(err)
	}
	write(t, d, func(tx *db.Tx) error { return s.Put(tx, p) })
	return p.ID()
}

var spec = keystore.Spec{Purpose: "idp.sign", Alg: keystore.ES256, Owner: "system:idp", Activate: true}

func sign(s crypto.Signer) error {
	d := sha256.Sum256([]byte("x"))
	_, err := s.Sign(rand.Reader, d[:], crypto.SHA256)
	return err
}

func person() string { return identity.NewID(identity.PrefixPerson, time.Now()) }
