package blob

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
)

const (
	// minIdle is the shortest standstill after which an upload is given up.
	minIdle = time.Minute
	// sweepStep is the number of blobs that one call of Sweep removes.
	sweepStep = 16
)

// Delete removes owner's copy of content, however often it was put: callers
// that store the same content for several reasons count them. It returns
// [ErrNotFound] if there is none. Once it has returned nil the content is gone
// for all readers that open it; an error after the row is gone is not
// returned, since Sweep completes the work.
func (s *Store) Delete(ctx context.Context, owner string, sha256 [32]byte) error {
	var l loose
	now := db.Micros(s.now())
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		err := tx.QueryRow(`DELETE FROM blob_object WHERE owner = $1 AND sha256 = $2 RETURNING id, backend`, owner, sha256[:]).
			Scan(&l.id, &l.backend)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		return insertLoose(tx, l, now)
	})
	if errors.Is(err, ErrNotFound) {
		return err
	}
	if err != nil {
		return fmt.Errorf("blob: delete: %w", err)
	}
	_ = s.collect(ctx, l)
	return nil
}

// DeleteOwner removes up to 16 of owner's blobs and returns how many; call it
// until that is 0. It does not need the owner's data key, so it also clears
// what an erasure has left unreadable.
func (s *Store) DeleteOwner(ctx context.Context, owner string) (n int, err error) {
	var gone []loose
	now := db.Micros(s.now())
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		gone = gone[:0]
		rows, err := tx.Query(`DELETE FROM blob_object WHERE id IN
			(SELECT o.id FROM blob_object o WHERE o.owner = $1 ORDER BY o.id LIMIT $2) RETURNING id, backend`, owner, int64(sweepStep))
		if err != nil {
			return err
		}
		if gone, err = scanLoose(rows); err != nil {
			return err
		}
		for _, l := range gone {
			if err := insertLoose(tx, l, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("blob: delete all of an owner: %w", err)
	}
	for _, l := range gone {
		_ = s.collect(ctx, l) // Sweep collects what this could not
	}
	return len(gone), nil
}

// loose is a row of blob_loose.
type loose struct{ id, backend string }

func insertLoose(tx *db.Tx, l loose, now int64) error {
	_, err := tx.Exec(`INSERT INTO blob_loose (id, backend, state, touched) VALUES ($1, $2, 'remove', $3)`, l.id, l.backend, now)
	return err
}

// scanLoose reads and closes rows of (id, backend).
func scanLoose(rows *sql.Rows) ([]loose, error) {
	defer func() { _ = rows.Close() }()
	var out []loose
	for rows.Next() {
		var l loose
		if err := rows.Scan(&l.id, &l.backend); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, rows.Err()
}

// collect removes the storage of a blob that has no row, and then the note of it.
func (s *Store) collect(ctx context.Context, l loose) error {
	b, err := s.backend(l.backend)
	if err != nil {
		return err
	}
	if err := b.remove(ctx, l.id); err != nil {
		return err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`DELETE FROM blob_loose WHERE id = $1 AND state = 'remove'`, l.id)
		return err
	})
	if err != nil {
		return fmt.Errorf("blob: collect: %w", err)
	}
	return nil
}

// Sweep gives up uploads without a sign of life for olderThan (at least one
// minute; one hour is sensible), and removes the storage of up to 16 blobs
// that have no row. It returns how many it removed; a background task calls
// it until that is 0, now and then, on any node. It never touches a blob that
// has its row.
func (s *Store) Sweep(ctx context.Context, olderThan time.Duration) (n int, err error) {
	cutoff := db.Micros(s.now().Add(-max(olderThan, minIdle)))
	names := []any{s.database.name(), s.database.name()}
	if s.directory != nil {
		names[1] = s.directory.name()
	}
	var found []loose
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`UPDATE blob_loose SET state = 'remove' WHERE state = 'upload' AND touched < $1`, cutoff); err != nil {
			return err
		}
		rows, err := tx.Query(`SELECT id, backend FROM blob_loose WHERE state = 'remove' AND backend IN ($1, $2)
			ORDER BY touched, id LIMIT $3`, append(names, int64(sweepStep))...)
		if err != nil {
			return err
		}
		found, err = scanLoose(rows)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("blob: sweep: %w", err)
	}
	var failed error
	for _, l := range found {
		if err := s.collect(ctx, l); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		n++
	}
	return n, failed
}
