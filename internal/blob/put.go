package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
)

// discardTimeout bounds the removal of what a failed Put has stored; Sweep
// does what is left.
const discardTimeout = 30 * time.Second

// maxIdleReads is how often a reader may give neither bytes nor an error.
const maxIdleReads = 100

// buffers holds []byte of ChunkSize, cleared.
var buffers = sync.Pool{New: func() any { b := make([]byte, ChunkSize); return &b }}

// Put stores what r gives for owner, at most limit bytes (1 to [MaxSize]), and
// returns after it is durable. If owner has the same content already, that is
// kept and the new copy dropped. It returns [ErrTooLarge] if there are more
// bytes than limit, r's error, [ErrSwept], or an error of Config.Keys, of the
// database or the file system; then nothing is stored under the owner.
//
// Content of one chunk costs one commit in the database backend; more costs
// one for each chunk and one for the row.
func (s *Store) Put(ctx context.Context, r io.Reader, limit int64, owner string) (Ref, error) {
	if limit < 1 || limit > MaxSize {
		return Ref{}, fmt.Errorf("%w: %d", ErrLimit, limit)
	}
	dataKey, err := s.keys.DataKey(ctx, owner)
	if err != nil {
		return Ref{}, fmt.Errorf("blob: data key of the owner: %w", err)
	}
	now := s.now()
	u := &upload{
		s: s, to: s.target(), id: identity.NewID(prefixBlob, now), key: envelope.NewKey(), hash: sha256.New(),
		ref: Ref{Owner: owner}, created: now,
	}
	defer u.key.Wipe()
	err = u.stream(ctx, r, limit)
	if err == nil {
		u.ref.SHA256 = [32]byte(u.hash.Sum(nil))
		err = u.commit(ctx, dataKey)
	}
	if u.loose && (err != nil || u.duplicate) {
		u.discard(ctx)
	}
	if err != nil {
		return Ref{}, err
	}
	return u.ref, nil
}

// upload is one Put under way.
type upload struct {
	s       *Store
	to      backend
	id      string
	key     envelope.Key // of this blob
	hash    hash.Hash
	ref     Ref
	created time.Time

	loose     bool        // there is a row in blob_loose
	w         chunkWriter // nil until the first chunk is stored
	inline    []byte      // the only chunk, to be written with the row
	duplicate bool        // the owner has this content already
	uncertain bool        // the row may have been written although commit failed
}

// stream seals and stores chunk by chunk. It reads one chunk ahead, because a
// chunk is sealed with the knowledge whether it is the last.
func (u *upload) stream(ctx context.Context, r io.Reader, limit int64) error {
	this, ahead := buffers.Get().(*[]byte), buffers.Get().(*[]byte)
	defer func() {
		for _, b := range []*[]byte{this, ahead} {
			clear(*b)
			buffers.Put(b)
		}
	}()
	n, err := fill(r, *this)
	if err != nil {
		return err
	}
	for i := int64(0); ; i++ {
		m := 0
		if n == ChunkSize {
			if m, err = fill(r, *ahead); err != nil {
				return err
			}
		}
		u.ref.Size += int64(n)
		if u.ref.Size+int64(m) > limit {
			return ErrTooLarge
		}
		u.hash.Write((*this)[:n])
		if err := u.store(ctx, i, (*this)[:n], m == 0); err != nil {
			return err
		}
		if m == 0 {
			return nil
		}
		this, ahead, n = ahead, this, m
	}
}

// fill reads until b is full or r ends with io.EOF itself. Any other error,
// such as the io.ErrUnexpectedEOF of a request body that broke off, is one:
// half a document must not pass for a whole one.
func fill(r io.Reader, b []byte) (n int, err error) {
	for idle := 0; n < len(b); {
		k, err := r.Read(b[n:])
		if k < 0 || k > len(b)-n {
			return n, errors.New("blob: read content: impossible count")
		}
		n += k
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("blob: read content: %w", err)
		}
		if idle++; k > 0 {
			idle = 0
		}
		if idle >= maxIdleReads {
			return n, fmt.Errorf("blob: read content: %w", io.ErrNoProgress)
		}
	}
	return n, nil
}

func (u *upload) store(ctx context.Context, i int64, plain []byte, last bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sealed := envelope.Seal(u.key, plain, chunkPlace(u.id, i, last))
	if i == 0 && last && u.to == backend(u.s.database) {
		u.inline = sealed
		return nil
	}
	if u.w == nil {
		if err := u.begin(ctx); err != nil {
			return err
		}
	}
	if err := u.w.put(ctx, i, sealed); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.BlobPutAfterChunk); err != nil {
		return err
	}
	if last {
		return u.w.finish()
	}
	return nil
}

func (u *upload) begin(ctx context.Context) error {
	err := u.s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO blob_loose (id, backend, state, touched) VALUES ($1, $2, 'upload', $3)`,
			u.id, u.to.name(), db.Micros(u.created))
		return err
	})
	if err != nil {
		return fmt.Errorf("blob: begin: %w", err)
	}
	u.loose = true
	u.w, err = u.to.create(ctx, u.id)
	return err
}

// commit writes the row, which makes the blob exist.
func (u *upload) commit(ctx context.Context, dataKey envelope.Key) error {
	secret := u.key.Reveal()
	defer clear(secret)
	keySealed := envelope.Seal(dataKey, secret, keyPlace(u.id, u.ref))
	if err := failpoint.Hit(failpoint.BlobPutBeforeMetadata); err != nil {
		return err
	}
	err := u.s.db.Write(ctx, func(tx *db.Tx) error {
		u.duplicate = false
		n, err := tx.Exec(`INSERT INTO blob_object (id, owner, sha256, size, backend, created_at, key_sealed)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (owner, sha256) DO NOTHING`,
			u.id, u.ref.Owner, u.ref.SHA256[:], u.ref.Size, u.to.name(), db.Micros(u.created), keySealed)
		switch {
		case err != nil:
			return err
		case n == 0:
			u.duplicate = true
			return nil
		case u.inline != nil:
			return insertChunk(tx, u.id, 0, u.inline)
		}
		n, err = tx.Exec(`DELETE FROM blob_loose WHERE id = $1 AND state = 'upload'`, u.id)
		if err == nil && n != 1 {
			err = ErrSwept
		}
		return err
	})
	if err != nil {
		u.uncertain = !errors.Is(err, ErrSwept)
		return fmt.Errorf("blob: write row: %w", err)
	}
	return nil
}

// discard removes what was stored, also when the caller has gone. If the row
// may exist after all, it does so only while blob_loose says that it does not.
func (u *upload) discard(ctx context.Context) {
	if u.w != nil {
		u.w.abandon()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTimeout)
	defer cancel()
	var n int64
	err := u.s.db.Write(ctx, func(tx *db.Tx) (err error) {
		n, err = tx.Exec(`UPDATE blob_loose SET state = 'remove' WHERE id = $1`, u.id)
		return err
	})
	switch {
	case err != nil: // left to Sweep
	case n == 1:
		_ = u.s.collect(ctx, loose{u.id, u.to.name()}) // Sweep collects what this could not
	case !u.uncertain:
		_ = u.to.remove(ctx, u.id) // swept while it stood; what came afterwards goes too
	}
}
