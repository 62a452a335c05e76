package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

const (
	sealedSize = ChunkSize + envelope.Overhead // of every chunk but the last
	uploadDir  = "tmp"
	// touchEvery is the time after which an upload gives the next sign of life.
	touchEvery = minIdle / 2
)

// directoryBackend keeps each blob as one file: its sealed chunks one after
// the other. It is written as tmp/ID, synced, renamed to XX/ID (XX the last
// two symbols of the id) and the folder synced. Names from the database cannot
// lead outside the directory.
type directoryBackend struct {
	root *os.Root
	db   *db.DB
	now  func() time.Time
}

func openDirectory(dir string, d *db.DB, now func() time.Time) (*directoryBackend, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("blob: open directory: %w", err)
	}
	b := &directoryBackend{root: root, db: d, now: now}
	if err := b.mkdir(uploadDir); err != nil {
		_ = root.Close()
		return nil, err
	}
	return b, nil
}

func (*directoryBackend) name() string { return "directory" }

func temporary(id string) string { return path.Join(uploadDir, id) }

func final(id string) string { return path.Join(shard(id), id) }

func shard(id string) string { return id[len(id)-2:] }

// mkdir makes a folder durably, unless it is there.
func (b *directoryBackend) mkdir(name string) error {
	err := b.root.Mkdir(name, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("blob: make folder: %w", err)
	}
	return b.syncDir(".")
}

func (b *directoryBackend) syncDir(name string) error {
	d, err := b.root.Open(name)
	if err != nil {
		return fmt.Errorf("blob: open folder: %w", err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("blob: sync folder: %w", err)
	}
	return nil
}

func (b *directoryBackend) create(_ context.Context, id string) (chunkWriter, error) {
	if err := identity.CheckID(prefixBlob, id); err != nil {
		return nil, err
	}
	f, err := b.root.OpenFile(temporary(id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("blob: create file: %w", err)
	}
	return &directoryWriter{b: b, id: id, f: f, touched: b.now()}, nil
}

type directoryWriter struct {
	b       *directoryBackend
	id      string
	f       *os.File
	touched time.Time
}

func (w *directoryWriter) put(ctx context.Context, _ int64, sealed []byte) error {
	if now := w.b.now(); now.Sub(w.touched) >= touchEvery {
		if err := w.b.db.Write(ctx, func(tx *db.Tx) error { return touch(tx, w.id, db.Micros(now)) }); err != nil {
			return fmt.Errorf("blob: write chunk: %w", err)
		}
		w.touched = now
	}
	if _, err := w.f.Write(sealed); err != nil {
		return fmt.Errorf("blob: write chunk: %w", err)
	}
	return nil
}

// finish syncs and renames. A file whose sync failed is never used: the
// operating system may have dropped its pages.
func (w *directoryWriter) finish() error {
	err := w.f.Sync()
	if cerr := w.f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("blob: sync file: %w", err)
	}
	if err := w.b.mkdir(shard(w.id)); err != nil {
		return err
	}
	if err := w.b.root.Rename(temporary(w.id), final(w.id)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return ErrSwept
		}
		return fmt.Errorf("blob: rename file: %w", err)
	}
	return w.b.syncDir(shard(w.id))
}

func (w *directoryWriter) abandon() { _ = w.f.Close() }

func (b *directoryBackend) open(_ context.Context, id string, size int64) (chunkReader, error) {
	if err := identity.CheckID(prefixBlob, id); err != nil {
		return nil, &CorruptError{id, -1, err}
	}
	f, err := b.root.Open(final(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptError{id, 0, errMissing}
	}
	if err != nil {
		return nil, fmt.Errorf("blob: open file: %w", err)
	}
	return &directoryReader{id: id, size: size, f: f}, nil
}

type directoryReader struct {
	id   string
	size int64
	f    *os.File
}

func (r *directoryReader) load(ctx context.Context, n int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sealed := make([]byte, chunkLen(r.size, n)+envelope.Overhead)
	_, err := r.f.ReadAt(sealed, n*sealedSize)
	if errors.Is(err, io.EOF) {
		return nil, &CorruptError{r.id, n, errMissing}
	}
	if err != nil {
		return nil, fmt.Errorf("blob: read chunk: %w", err)
	}
	return sealed, nil
}

func (r *directoryReader) close() error { return r.f.Close() }

// remove deletes the unfinished file before the finished one: a writer that
// renames in between is seen, and one that comes later finds nothing to rename.
func (b *directoryBackend) remove(_ context.Context, id string) error {
	if err := identity.CheckID(prefixBlob, id); err != nil {
		return err
	}
	for _, name := range []string{temporary(id), final(id)} {
		if err := b.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("blob: remove file: %w", err)
		}
	}
	return nil
}
