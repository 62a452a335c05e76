package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
)

// object is a row of blob_object.
type object struct {
	id        string
	ref       Ref
	backend   string
	keySealed []byte
}

const objectColumns = `id, owner, sha256, size, backend, key_sealed`

func scanObject(scan func(...any) error) (object, error) {
	var o object
	var sum []byte
	if err := scan(&o.id, &o.ref.Owner, &sum, &o.ref.Size, &o.backend, &o.keySealed); err != nil {
		return object{}, err
	}
	if len(sum) != len(o.ref.SHA256) || o.ref.Size < 0 || o.ref.Size > MaxSize {
		return object{}, &CorruptError{o.id, -1, errors.New("impossible hash or size")}
	}
	o.ref.SHA256 = [32]byte(sum)
	return o, nil
}

// maxCopies bounds the owners' copies that OpenRef tries.
const maxCopies = 64

// OpenRef opens content by its hash, whoever owns it: the first copy, by age,
// whose owner's key is alive. Callers that act for one owner use [Store.OpenOwned].
// It returns [ErrNotFound], [ErrBackend], [ErrCorrupt], or the error of
// Config.Keys if all owners are erased. ctx serves all later reads.
func (s *Store) OpenRef(ctx context.Context, sha256 [32]byte) (*Reader, error) {
	var copies []object
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		copies = copies[:0]
		rows, err := tx.Query(`SELECT `+objectColumns+` FROM blob_object WHERE sha256 = $1 ORDER BY created_at, id LIMIT $2`,
			sha256[:], int64(maxCopies))
		if err != nil {
			return err
		}
		for rows.Next() {
			o, err := scanObject(rows.Scan)
			if err != nil {
				return err
			}
			copies = append(copies, o)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("blob: find: %w", err)
	}
	first := ErrNotFound
	for i, o := range copies {
		r, err := s.open(ctx, o)
		if err == nil {
			return r, nil
		}
		if i == 0 {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// OpenOwned opens owner's copy of content. Errors as of [Store.OpenRef].
func (s *Store) OpenOwned(ctx context.Context, owner string, sha256 [32]byte) (*Reader, error) {
	o, err := s.find(ctx, owner, sha256)
	if err != nil {
		return nil, err
	}
	return s.open(ctx, o)
}

// Stat returns the reference of owner's copy, or [ErrNotFound]. It opens nothing.
func (s *Store) Stat(ctx context.Context, owner string, sha256 [32]byte) (Ref, error) {
	o, err := s.find(ctx, owner, sha256)
	return o.ref, err
}

func (s *Store) find(ctx context.Context, owner string, sha256 [32]byte) (object, error) {
	o, err := scanObject(s.db.QueryRow(ctx, `SELECT `+objectColumns+` FROM blob_object WHERE owner = $1 AND sha256 = $2`,
		owner, sha256[:]).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return object{}, ErrNotFound
	}
	if err != nil {
		return object{}, fmt.Errorf("blob: find: %w", err)
	}
	return o, nil
}

func (s *Store) open(ctx context.Context, o object) (*Reader, error) {
	b, err := s.backend(o.backend)
	if err != nil {
		return nil, err
	}
	dataKey, err := s.keys.DataKey(ctx, o.ref.Owner)
	if err != nil {
		return nil, fmt.Errorf("blob: data key of the owner: %w", err)
	}
	secret, err := envelope.Open(dataKey, o.keySealed, keyPlace(o.id, o.ref))
	if err != nil {
		return nil, &CorruptError{o.id, -1, err}
	}
	defer clear(secret)
	key, err := envelope.KeyFromBytes(secret)
	if err != nil {
		return nil, &CorruptError{o.id, -1, err}
	}
	from, err := b.open(ctx, o.id, o.ref.Size)
	if err != nil {
		key.Wipe()
		return nil, err
	}
	return &Reader{ctx: ctx, s: s, id: o.id, ref: o.ref, key: key, from: from}, nil
}

// Reader reads one blob at random. It is safe for concurrent use; reads of
// chunks that are not in its small cache happen one after the other.
type Reader struct {
	ctx context.Context // of all reads: io.ReaderAt has none
	s   *Store
	id  string
	ref Ref

	mu    sync.Mutex // guards the fields below
	key   envelope.Key
	from  chunkReader
	cache []openChunk // the most recently used last
	done  bool
}

type openChunk struct {
	n     int64
	plain []byte
}

// Ref returns what is being read.
func (r *Reader) Ref() Ref { return r.ref }

// Size returns the size of the content in bytes.
func (r *Reader) Size() int64 { return r.ref.Size }

// ReadAt implements [io.ReaderAt]. Every byte it returns belongs to a chunk
// that was authenticated. It returns [ErrCorrupt], [ErrClosed], an error of
// the context, of Config.Keys or of storage.
func (r *Reader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("blob: negative offset")
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= r.ref.Size || at < 0 {
			return done, io.EOF
		}
		n := at / ChunkSize
		copied, err := r.copyFrom(p[done:], n, int(at-n*ChunkSize))
		if err != nil {
			return done, err
		}
		done += copied
	}
	return done, nil
}

func (r *Reader) copyFrom(p []byte, n int64, off int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	plain, err := r.chunk(n)
	if err != nil {
		return 0, err
	}
	return copy(p, plain[off:]), nil
}

// chunk returns chunk n, opened. The caller holds r.mu and does not keep the slice.
func (r *Reader) chunk(n int64) ([]byte, error) {
	if r.done {
		return nil, ErrClosed
	}
	for i, c := range r.cache {
		if c.n == n {
			r.cache = append(slices.Delete(r.cache, i, i+1), c)
			return c.plain, nil
		}
	}
	// The owner may have been erased since the blob was opened.
	if _, err := r.s.keys.DataKey(r.ctx, r.ref.Owner); err != nil {
		return nil, fmt.Errorf("blob: data key of the owner: %w", err)
	}
	sealed, err := r.from.load(r.ctx, n)
	if err != nil {
		return nil, err
	}
	plain, err := envelope.Open(r.key, sealed, chunkPlace(r.id, n, n == chunkCount(r.ref.Size)-1))
	if err != nil {
		return nil, &CorruptError{r.id, n, err}
	}
	if len(plain) != chunkLen(r.ref.Size, n) {
		return nil, &CorruptError{r.id, n, fmt.Errorf("%d bytes, want %d", len(plain), chunkLen(r.ref.Size, n))}
	}
	if len(r.cache) >= r.s.cacheChunks {
		clear(r.cache[0].plain)
		r.cache = slices.Delete(r.cache, 0, 1)
	}
	r.cache = append(r.cache, openChunk{n, plain})
	return plain, nil
}

// WriteTo implements [io.WriterTo]: it writes the whole content and checks its
// hash at the end. What was written before an error is authentic but not all.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	h := sha256.New()
	buf := buffers.Get().(*[]byte)
	defer func() {
		clear(*buf)
		buffers.Put(buf)
	}()
	var total int64
	for n := range chunkCount(r.ref.Size) {
		m, err := r.copyFrom(*buf, n, 0)
		if err != nil {
			return total, err
		}
		h.Write((*buf)[:m])
		written, err := w.Write((*buf)[:m])
		total += int64(written)
		if err != nil {
			return total, fmt.Errorf("blob: write content: %w", err)
		}
	}
	if total != r.ref.Size || !bytes.Equal(h.Sum(nil), r.ref.SHA256[:]) {
		return total, &CorruptError{r.id, -2, errors.New("other content")}
	}
	return total, nil
}

// Bytes returns the whole content, whose hash it checks, or [ErrTooLarge] if
// there are more bytes than limit.
func (r *Reader) Bytes(limit int64) ([]byte, error) {
	if r.ref.Size > limit {
		return nil, ErrTooLarge
	}
	out := bytes.NewBuffer(make([]byte, 0, r.ref.Size))
	if _, err := r.WriteTo(out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// Close forgets the key and the cached chunks. Closing twice is no error.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done {
		return nil
	}
	r.done = true
	r.key.Wipe()
	for _, c := range r.cache {
		clear(c.plain)
	}
	r.cache = nil
	return r.from.close()
}

// Verify reads owner's copy of content and checks every chunk and the hash.
func (s *Store) Verify(ctx context.Context, ref Ref) error {
	r, err := s.OpenOwned(ctx, ref.Owner, ref.SHA256)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	if r.Size() != ref.Size {
		return &CorruptError{r.id, -1, fmt.Errorf("%d bytes, want %d", r.Size(), ref.Size)}
	}
	_, err = r.WriteTo(io.Discard)
	return err
}
