package blob

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
)

// removeStep is the number of chunks deleted in one write.
const removeStep = 16

var errMissing = errors.New("it is missing")

// databaseBackend keeps chunks in blob_chunk.
type databaseBackend struct {
	db  *db.DB
	now func() time.Time
}

func (*databaseBackend) name() string { return "database" }

func (b *databaseBackend) create(_ context.Context, id string) (chunkWriter, error) {
	return &databaseWriter{b, id}, nil
}

type databaseWriter struct {
	b  *databaseBackend
	id string
}

// put stores a chunk in the write that also checks that the upload was not
// given up: a sweep either sees the chunk or stops it.
func (w *databaseWriter) put(ctx context.Context, n int64, sealed []byte) error {
	touched := db.Micros(w.b.now())
	err := w.b.db.Write(ctx, func(tx *db.Tx) error {
		if err := touch(tx, w.id, touched); err != nil {
			return err
		}
		return insertChunk(tx, w.id, n, sealed)
	})
	if err != nil {
		return fmt.Errorf("blob: write chunk: %w", err)
	}
	return nil
}

func (*databaseWriter) finish() error { return nil }

func (*databaseWriter) abandon() {}

func touch(tx *db.Tx, id string, now int64) error {
	n, err := tx.Exec(`UPDATE blob_loose SET touched = $2 WHERE id = $1 AND state = 'upload'`, id, now)
	if err == nil && n != 1 {
		err = ErrSwept
	}
	return err
}

func insertChunk(tx *db.Tx, id string, n int64, sealed []byte) error {
	_, err := tx.Exec(`INSERT INTO blob_chunk (blob_id, n, sealed) VALUES ($1, $2, $3)`, id, n, sealed)
	return err
}

func (b *databaseBackend) open(_ context.Context, id string, _ int64) (chunkReader, error) {
	return &databaseReader{b, id}, nil
}

type databaseReader struct {
	b  *databaseBackend
	id string
}

func (r *databaseReader) load(ctx context.Context, n int64) ([]byte, error) {
	var sealed []byte
	err := r.b.db.QueryRow(ctx, `SELECT sealed FROM blob_chunk WHERE blob_id = $1 AND n = $2`, r.id, n).Scan(&sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &CorruptError{r.id, n, errMissing}
	}
	if err != nil {
		return nil, fmt.Errorf("blob: read chunk: %w", err)
	}
	return sealed, nil
}

func (*databaseReader) close() error { return nil }

func (b *databaseBackend) remove(ctx context.Context, id string) error {
	for {
		var n int64
		err := b.db.Write(ctx, func(tx *db.Tx) (err error) {
			n, err = tx.Exec(`DELETE FROM blob_chunk WHERE blob_id = $1 AND n IN
				(SELECT c.n FROM blob_chunk c WHERE c.blob_id = $1 ORDER BY c.n LIMIT $2)`, id, int64(removeStep))
			return err
		})
		if err != nil {
			return fmt.Errorf("blob: remove chunks: %w", err)
		}
		if n < removeStep {
			return nil
		}
	}
}
