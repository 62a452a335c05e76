package blob

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the migration line of blob_object, blob_loose and blob_chunk.
var Migrations = db.Line{Name: "blob", FS: files}

const (
	// ChunkSize is the plaintext of a chunk in bytes; the last may be shorter.
	ChunkSize = 1 << 20
	// MaxSize is the largest blob in bytes (2 GiB).
	MaxSize = 2 << 30

	// prefixBlob is the prefix of the identifiers of blobs.
	prefixBlob = "blb"
)

// Errors that callers branch on. Errors of Config.Keys are passed on, wrapped:
// an erased owner gives the keystore's ErrErased.
var (
	// ErrNotFound: no such content, or not of this owner.
	ErrNotFound = errors.New("blob: not found")
	// ErrTooLarge: more bytes than the limit allows.
	ErrTooLarge = errors.New("blob: larger than the limit")
	// ErrLimit: the limit itself is not between 1 and [MaxSize].
	ErrLimit = errors.New("blob: impossible limit")
	// ErrCorrupt: the stored form does not open; see [CorruptError].
	ErrCorrupt = errors.New("blob: stored content is damaged or was changed")
	// ErrSwept: the upload stood still for so long that Sweep removed it.
	ErrSwept = errors.New("blob: upload was given up")
	// ErrBackend: the content lies in a directory, and none is configured.
	ErrBackend = errors.New("blob: the directory that holds the content is not configured")
	// ErrClosed: use of a reader after Close.
	ErrClosed = errors.New("blob: reader is closed")
)

// CorruptError says which part of a blob does not open. It is [ErrCorrupt].
type CorruptError struct {
	ID    string // internal id of the blob
	Chunk int64  // from 0; -1 for the row, -2 for the hash of the whole
	Err   error
}

// Error names the blob and the part.
func (e *CorruptError) Error() string {
	part := fmt.Sprintf("chunk %d", e.Chunk)
	switch e.Chunk {
	case -1:
		part = "row"
	case -2:
		part = "hash"
	}
	return fmt.Sprintf("blob: %s of %s is damaged or was changed: %v", part, e.ID, e.Err)
}

// Is makes [ErrCorrupt] match.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Ref names content.
type Ref struct {
	SHA256 [32]byte // of the plaintext
	Size   int64    // bytes
	Owner  string   // whose copy it is
}

// Keys gives the data key of an owner, as keystore.Store does. It MUST return
// the same key each time until the owner is erased, and an error from then on.
type Keys interface {
	DataKey(ctx context.Context, owner string) (envelope.Key, error)
}

// Config configures [Open]. DB and Keys are required.
type Config struct {
	DB   *db.DB
	Keys Keys
	// Dir, if set, is the directory in which new content is stored; it must
	// exist and be shared by all nodes. Without it the database holds the
	// content. Content stored before a change of Dir from or to "" stays
	// where it is and readable, as long as its directory is configured.
	Dir string
	// CacheChunks is the number of open chunks that a reader keeps. Default 4.
	CacheChunks int
	// Now is the clock of recorded times. Default time.Now.
	Now func() time.Time
}

// Store is an open blob store. It is safe for concurrent use.
type Store struct {
	db          *db.DB
	keys        Keys
	now         func() time.Time
	cacheChunks int
	database    *databaseBackend
	directory   *directoryBackend // nil if not configured
}

// Open checks the configuration. The migrations must have run.
func Open(c Config) (*Store, error) {
	if c.DB == nil || c.Keys == nil {
		return nil, errors.New("blob: Config.DB or Config.Keys is missing")
	}
	if c.CacheChunks <= 0 {
		c.CacheChunks = 4
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Store{db: c.DB, keys: c.Keys, now: c.Now, cacheChunks: c.CacheChunks, database: &databaseBackend{db: c.DB, now: c.Now}}
	if c.Dir != "" {
		var err error
		if s.directory, err = openDirectory(c.Dir, c.DB, c.Now); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Close releases the directory, if there is one. Open readers stay usable.
func (s *Store) Close() error {
	if s.directory == nil {
		return nil
	}
	return s.directory.root.Close()
}

// backend stores the sealed chunks of blobs under their ids.
type backend interface {
	name() string
	// create begins a blob; its row in blob_loose exists already.
	create(ctx context.Context, id string) (chunkWriter, error)
	// open begins to read one. A missing blob may show at the first load only.
	open(ctx context.Context, id string, size int64) (chunkReader, error)
	// remove deletes all chunks of a blob, in bounded steps. It is no error
	// if there are none, or only some.
	remove(ctx context.Context, id string) error
}

// chunkWriter takes the chunks of one blob in their order.
type chunkWriter interface {
	// put stores the next chunk and keeps the upload from being swept. It
	// returns ErrSwept if that has happened.
	put(ctx context.Context, n int64, sealed []byte) error
	// finish makes all chunks durable under the id.
	finish() error
	// abandon releases what the process holds; remove deletes what is stored.
	abandon()
}

// chunkReader gives the sealed chunks of one blob. It is not used concurrently.
type chunkReader interface {
	load(ctx context.Context, n int64) ([]byte, error)
	close() error
}

func (s *Store) backend(name string) (backend, error) {
	switch {
	case name == s.database.name():
		return s.database, nil
	case s.directory != nil && name == s.directory.name():
		return s.directory, nil
	}
	return nil, ErrBackend
}

// target is the backend of new content.
func (s *Store) target() backend {
	if s.directory != nil {
		return s.directory
	}
	return s.database
}

// chunkPlace binds a chunk to its blob, its number and whether it is the last.
func chunkPlace(id string, n int64, last bool) []byte {
	flag := byte(0)
	if last {
		flag = 1
	}
	return envelope.Bind(envelope.Place("blob_chunk", "sealed", id), be64(n), []byte{flag})
}

// keyPlace binds a blob's key to everything its row says about the content.
func keyPlace(id string, r Ref) []byte {
	return envelope.Bind(envelope.Place("blob_object", "key_sealed", id), []byte(r.Owner), r.SHA256[:], be64(r.Size))
}

func be64(n int64) []byte {
	return []byte{byte(n >> 56), byte(n >> 48), byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// chunkCount is the number of chunks of a blob: one for an empty one.
func chunkCount(size int64) int64 { return max(1, (size+ChunkSize-1)/ChunkSize) }

// chunkLen is the plaintext length of chunk n.
func chunkLen(size, n int64) int { return int(min(ChunkSize, size-n*ChunkSize)) }
