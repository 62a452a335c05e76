package blob_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/keystore"
)

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		owner := person()
		for i, n := range []int{0, 1, 1000, blob.ChunkSize - 1, blob.ChunkSize, blob.ChunkSize + 1, 2 * blob.ChunkSize, 5*blob.ChunkSize + 17} {
			content := random(uint64(i), n)
			ref := b.put(content, owner)
			if err := b.store.Verify(t.Context(), ref); err != nil {
				t.Errorf("%d bytes: Verify: %v", n, err)
			}
			if st, err := b.store.Stat(t.Context(), owner, ref.SHA256); err != nil || st != ref {
				t.Errorf("%d bytes: Stat: %+v, %v", n, st, err)
			}
			r, err := b.store.OpenRef(t.Context(), ref.SHA256)
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			got, err := r.Bytes(int64(n))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes: Bytes: %d bytes, %v", n, len(got), err)
			}
			if n > 0 {
				if _, err := r.Bytes(int64(n) - 1); !errors.Is(err, blob.ErrTooLarge) {
					t.Errorf("%d bytes: Bytes with a low limit: %v", n, err)
				}
			}
			checkRandomReads(t, r, content)
			if n < 2000 {
				if err := iotest.TestReader(io.NewSectionReader(r, 0, r.Size()), content); err != nil {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
			if r.Ref() != ref || r.Close() != nil || r.Close() != nil {
				t.Errorf("%d bytes: Ref or Close", n)
			}
			if _, err := r.ReadAt(make([]byte, 1), 0); n > 0 && !errors.Is(err, blob.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
		if u := b.usage(); u.loose != 0 || u.objects != 8 || b.dir != "" && (u.chunks != 0 || u.files != 8) {
			t.Errorf("usage: %+v", u)
		}
	})
}

// checkRandomReads reads at and across every edge, and anywhere.
func checkRandomReads(t *testing.T, r *blob.Reader, content []byte) {
	t.Helper()
	size := int64(len(content))
	var offs []int64
	for k := int64(0); k <= size; k += blob.ChunkSize {
		offs = append(offs, k-1, k, k+1)
	}
	offs = append(offs, size-1, size, size+1, size+blob.ChunkSize, 1<<62)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		offs = append(offs, rnd.Int64N(size+1))
	}
	for _, off := range offs {
		for _, n := range []int{0, 1, 2, 4096, blob.ChunkSize + 3} {
			p := make([]byte, n)
			got, err := r.ReadAt(p, off)
			want, wantErr := bytes.NewReader(content).ReadAt(make([]byte, n), off)
			if n == 0 && off >= 0 {
				wantErr = nil // nothing asked, nothing wrong
			}
			if got != want || (err == nil) != (wantErr == nil) || wantErr == io.EOF && err != io.EOF {
				t.Fatalf("ReadAt(%d, %d) of %d: got %d, %v, want %d, %v", n, off, size, got, err, want, wantErr)
			}
			if got > 0 && !bytes.Equal(p[:got], content[off:off+int64(got)]) {
				t.Fatalf("ReadAt(%d, %d): wrong bytes", n, off)
			}
		}
	}
}

func TestConcurrentReads(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		content := random(1, 4*blob.ChunkSize+5)
		ref := b.put(content, person())
		r, err := b.store.OpenOwned(t.Context(), ref.Owner, ref.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		dbtest.Contend(t, 6, func(i int) {
			rnd := rand.New(rand.NewPCG(uint64(i), 2))
			for range 30 {
				off, p := rnd.Int64N(ref.Size), make([]byte, 5000)
				n, err := r.ReadAt(p, off)
				if err != nil && err != io.EOF || !bytes.Equal(p[:n], content[off:off+int64(n)]) {
					t.Errorf("ReadAt %d: %v, or wrong bytes", off, err)
				}
			}
		})
	})
}

// TestPutRefuses: whatever goes wrong with the source, nothing is stored.
func TestPutRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		owner := person()
		boom := errors.New("boom")
		broken := func(n int, err error) io.Reader {
			return io.MultiReader(bytes.NewReader(random(9, n)), iotest.ErrReader(err))
		}
		big := 3*blob.ChunkSize + 5
		for name, c := range map[string]struct {
			r     io.Reader
			limit int64
			owner string
			want  error
		}{
			"one byte over":          {bytes.NewReader(random(1, big)), int64(big) - 1, owner, blob.ErrTooLarge},
			"small over":             {strings.NewReader("ab"), 1, owner, blob.ErrTooLarge},
			"endless":                {endless{}, 5 * blob.ChunkSize, owner, blob.ErrTooLarge},
			"limit 0":                {strings.NewReader(""), 0, owner, blob.ErrLimit},
			"limit negative":         {strings.NewReader(""), -1, owner, blob.ErrLimit},
			"limit too high":         {strings.NewReader(""), blob.MaxSize + 1, owner, blob.ErrLimit},
			"error at once":          {iotest.ErrReader(boom), 10, owner, boom},
			"error in a chunk":       {broken(100, boom), blob.MaxSize, owner, boom},
			"error at an edge":       {broken(blob.ChunkSize, boom), blob.MaxSize, owner, boom},
			"error later":            {broken(big, boom), blob.MaxSize, owner, boom},
			"broken off early":       {broken(100, io.ErrUnexpectedEOF), blob.MaxSize, owner, io.ErrUnexpectedEOF},
			"broken off at an edge":  {broken(2*blob.ChunkSize, io.ErrUnexpectedEOF), blob.MaxSize, owner, io.ErrUnexpectedEOF},
			"wrapped end":            {broken(100, fmt.Errorf("x: %w", io.EOF)), blob.MaxSize, owner, io.EOF},
			"no progress":            {stuck{}, blob.MaxSize, owner, io.ErrNoProgress},
			"impossible owner":       {strings.NewReader("x"), 10, "juana", keystore.ErrSpec},
			"timeout after a while":  {iotest.TimeoutReader(bytes.NewReader(random(1, big))), blob.MaxSize, owner, iotest.ErrTimeout},
			"cancelled in the midst": {nil, blob.MaxSize, owner, context.Canceled},
		} {
			ctx := t.Context()
			if c.r == nil {
				var cancel context.CancelFunc
				ctx, cancel = context.WithCancel(ctx)
				c.r = io.MultiReader(bytes.NewReader(random(1, 2*blob.ChunkSize)), hook(cancel), bytes.NewReader(random(1, blob.ChunkSize)))
			}
			if ref, err := b.store.Put(ctx, c.r, c.limit, c.owner); !errors.Is(err, c.want) || ref != (blob.Ref{}) {
				t.Errorf("%s: got %+v, %v, want %v", name, ref, err, c.want)
			}
			if u := b.usage(); u != (usage{}) {
				t.Errorf("%s: left %+v", name, u)
			}
		}
		exact := random(1, big)
		if _, err := b.store.Put(t.Context(), bytes.NewReader(exact), int64(big), owner); err != nil {
			t.Errorf("exactly the limit: %v", err)
		}
		if _, err := b.store.Put(t.Context(), iotest.DataErrReader(iotest.OneByteReader(strings.NewReader("hello"))), 5, owner); err != nil {
			t.Errorf("byte by byte: %v", err)
		}
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// hook is an empty reader that runs a function when it is reached.
type hook func()

func (h hook) Read([]byte) (int, error) {
	h()
	return 0, io.EOF
}

// TestOwners: one copy for each owner, one key for each; erasing one owner
// leaves the other's copy.
func TestOwners(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		content := random(3, blob.ChunkSize+9)
		juana, pedro := person(), person()
		first := b.put(content, juana)
		b.put(content, juana)
		if u := b.usage(); u.objects != 1 || u.loose != 0 {
			t.Errorf("put twice by one owner: %+v", u)
		}
		second := b.put(content, pedro)
		if u := b.usage(); u.objects != 2 || u.loose != 0 {
			t.Errorf("put by two owners: %+v", u)
		}
		open, err := b.store.OpenOwned(t.Context(), juana, first.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		if err := b.d.Write(t.Context(), func(tx *db.Tx) error { return b.keys.DestroyDataKey(tx, juana) }); err != nil {
			t.Fatal(err)
		}
		if _, err := open.ReadAt(make([]byte, 1), 0); !errors.Is(err, keystore.ErrErased) {
			t.Errorf("open reader after erasure: %v", err)
		}
		if _, err := b.store.OpenOwned(t.Context(), juana, first.SHA256); !errors.Is(err, keystore.ErrErased) {
			t.Errorf("erased owner: %v", err)
		}
		if _, err := b.store.Put(t.Context(), strings.NewReader("x"), 10, juana); !errors.Is(err, keystore.ErrErased) {
			t.Errorf("put by an erased owner: %v", err)
		}
		r, err := b.store.OpenRef(t.Context(), first.SHA256)
		if err != nil || r.Ref() != second {
			t.Fatalf("OpenRef: %v", err)
		}
		if got, err := r.Bytes(blob.MaxSize); err != nil || !bytes.Equal(got, content) {
			t.Errorf("the other's copy: %v", err)
		}
		r.Close()
		if n, err := b.store.DeleteOwner(t.Context(), juana); n != 1 || err != nil {
			t.Errorf("DeleteOwner: %d, %v", n, err)
		}
		if n, err := b.store.DeleteOwner(t.Context(), juana); n != 0 || err != nil {
			t.Errorf("DeleteOwner again: %d, %v", n, err)
		}
		if err := b.store.Delete(t.Context(), juana, first.SHA256); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Delete of nothing: %v", err)
		}
		if err := b.store.Verify(t.Context(), second); err != nil {
			t.Errorf("the other's copy after deletion: %v", err)
		}
		if err := b.store.Delete(t.Context(), pedro, second.SHA256); err != nil {
			t.Error(err)
		}
		if u := b.usage(); u != (usage{}) {
			t.Errorf("left %+v", u)
		}
		if _, err := b.store.OpenRef(t.Context(), first.SHA256); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("after all: %v", err)
		}
	})
}

// TestConcurrentPut: the same content by the same owner at once is one blob.
func TestConcurrentPut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		owners := []string{person(), person()}
		for _, n := range []int{100, 2*blob.ChunkSize + 1} {
			content := random(uint64(n), n)
			dbtest.Contend(t, 8, func(i int) {
				if _, err := b.store.Put(t.Context(), bytes.NewReader(content), blob.MaxSize, owners[i%2]); err != nil {
					t.Error(err)
				}
			})
			for _, o := range owners {
				if err := b.store.Verify(t.Context(), blob.Ref{SHA256: sha256.Sum256(content), Size: int64(n), Owner: o}); err != nil {
					t.Error(err)
				}
			}
		}
		want := usage{objects: 4, chunks: 8}
		if b.dir != "" {
			want = usage{objects: 4, files: 4}
		}
		if u := b.usage(); u != want {
			t.Errorf("usage: got %+v, want %+v", u, want)
		}
	})
}

// TestChangeOfBackend: content stays readable where it was put.
func TestChangeOfBackend(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, e, "database")
			owner := person()
			inDatabase := b.put(random(1, 10), owner)
			dir := t.TempDir()
			b.store = b.open(dir)
			inDirectory := b.put(random(2, 10), owner)
			for _, ref := range []blob.Ref{inDatabase, inDirectory} {
				if err := b.store.Verify(t.Context(), ref); err != nil {
					t.Error(err)
				}
			}
			plain := b.open("")
			if err := plain.Verify(t.Context(), inDirectory); !errors.Is(err, blob.ErrBackend) {
				t.Errorf("without the directory: %v", err)
			}
			if err := plain.Delete(t.Context(), owner, inDirectory.SHA256); err != nil {
				t.Errorf("delete without the directory: %v", err)
			}
			if n, err := plain.Sweep(t.Context(), time.Hour); n != 0 || err != nil {
				t.Errorf("sweep without the directory: %d, %v", n, err)
			}
			if n, err := b.store.Sweep(t.Context(), time.Hour); n != 1 || err != nil {
				t.Errorf("sweep with it: %d, %v", n, err)
			}
			b.dir = dir
			if u := b.usage(); u != (usage{objects: 1, chunks: 1}) {
				t.Errorf("left %+v", u)
			}
		})
	}
}

// TestIDsCannotLeadOutside: whoever can write rows cannot name other files.
func TestIDsCannotLeadOutside(t *testing.T) {
	t.Parallel()
	b := newBench(t, db.SQLite, "directory")
	outside := filepath.Join(filepath.Dir(b.dir), "victim")
	if err := os.WriteFile(outside, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := b.put(random(1, 10), person())
	for _, id := range []string{"../victim", outside, "", ".", "blb_", "tmp/../../victim"} {
		b.exec(`INSERT INTO blob_loose (id, backend, state, touched) VALUES ($1, 'directory', 'remove', 1)`, id)
		if n, err := b.store.Sweep(t.Context(), time.Hour); n != 0 || err == nil {
			t.Errorf("id %q: swept %d, %v", id, n, err)
		}
		b.exec(`DELETE FROM blob_loose`)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Errorf("a file outside is gone: %v", err)
	}
	if err := b.store.Verify(t.Context(), inside); err != nil {
		t.Error(err)
	}
	// A link in the directory does not lead outside either.
	id := b.id(inside)
	if err := os.Remove(b.file(id)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, b.file(id)); err != nil {
		t.Fatal(err)
	}
	if err := b.store.Verify(t.Context(), inside); err == nil {
		t.Error("read through a link")
	}
}
