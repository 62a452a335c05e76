package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
)

var lines = []db.Line{keystore.Migrations, blob.Migrations}

type clock struct {
	mu sync.Mutex
	t  time.Time
}

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

// bench is one store on one engine with one backend.
type bench struct {
	t     testing.TB
	url   string
	d     *db.DB
	c     *clock
	keys  *keystore.Store
	dir   string // "" for the database backend
	store *blob.Store
}

// each runs fn for both engines and both backends.
func each(t *testing.T, fn func(t *testing.T, b *bench)) {
	t.Helper()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		for _, backend := range []string{"database", "directory"} {
			t.Run(e.String()+" "+backend, func(t *testing.T) {
				t.Parallel()
				fn(t, newBench(t, e, backend))
			})
		}
	}
}

func newBench(t testing.TB, e db.Engine, backend string) *bench {
	t.Helper()
	b := &bench{t: t, url: dbtest.URL(t, e), c: &clock{t: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}}
	b.d = dbtest.OpenConfig(t, db.Config{URL: b.url})
	if err := b.d.Migrate(t.Context(), lines...); err != nil {
		t.Fatal(err)
	}
	b.openKeys(testKEK(t))
	if backend == "directory" {
		b.dir = t.TempDir()
	}
	b.store = b.open(b.dir)
	return b
}

// testKEK is the same in the child processes of crash tests.
func testKEK(t testing.TB) envelope.Key {
	t.Helper()
	k, err := envelope.KeyFromBytes(bytes.Repeat([]byte{7}, envelope.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (b *bench) openKeys(kek envelope.Key) {
	b.t.Helper()
	var err error
	if b.keys, err = keystore.Open(b.t.Context(), keystore.Config{DB: b.d, KEK: kek, Now: b.c.Now}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) open(dir string) *blob.Store {
	b.t.Helper()
	s, err := blob.Open(blob.Config{DB: b.d, Keys: b.keys, Dir: dir, Now: b.c.Now, CacheChunks: 2})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (b *bench) put(content []byte, owner string) blob.Ref {
	b.t.Helper()
	ref, err := b.store.Put(b.t.Context(), bytes.NewReader(content), blob.MaxSize, owner)
	if err != nil {
		b.t.Fatal(err)
	}
	if ref != (blob.Ref{SHA256: sha256.Sum256(content), Size: int64(len(content)), Owner: owner}) {
		b.t.Fatalf("Put: got %+v", ref)
	}
	return ref
}

func (b *bench) exec(q string, args ...any) int64 {
	b.t.Helper()
	var n int64
	if err := b.d.Write(context.WithoutCancel(b.t.Context()), func(tx *db.Tx) (err error) {
		n, err = tx.Exec(q, args...)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// id returns the internal id of owner's copy.
func (b *bench) id(ref blob.Ref) string {
	b.t.Helper()
	var id string
	if err := b.d.QueryRow(b.t.Context(), `SELECT id FROM blob_object WHERE owner = $1 AND sha256 = $2`, ref.Owner, ref.SHA256[:]).Scan(&id); err != nil {
		b.t.Fatal(err)
	}
	return id
}

// usage counts rows of objects, notes and chunks, and files.
type usage struct{ objects, loose, chunks, files int }

func (b *bench) usage() usage {
	b.t.Helper()
	var u usage
	if err := b.d.QueryRow(b.t.Context(), `SELECT (SELECT COUNT(*) FROM blob_object), (SELECT COUNT(*) FROM blob_loose),
		(SELECT COUNT(*) FROM blob_chunk)`).Scan(&u.objects, &u.loose, &u.chunks); err != nil {
		b.t.Fatal(err)
	}
	if b.dir != "" {
		_ = filepath.WalkDir(b.dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				u.files++
			}
			return err
		})
	}
	return u
}

func (b *bench) file(id string) string { return filepath.Join(b.dir, id[len(id)-2:], id) }

// edit changes the file of a blob.
func (b *bench) edit(id string, fn func([]byte) []byte) {
	b.t.Helper()
	old, err := os.ReadFile(b.file(id))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(b.file(id), fn(old), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func person() string { return identity.NewID(identity.PrefixPerson, time.Now()) }

// random returns n bytes that depend on seed alone.
func random(seed uint64, n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	b := make([]byte, n)
	_, _ = r.Read(b)
	return b
}
