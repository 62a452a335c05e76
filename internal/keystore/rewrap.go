package keystore

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
)

// maxBatch bounds the rows of one [Store.Rewrap] step.
const maxBatch = 500

// Progress is the outcome of one step of a re-wrap.
type Progress struct {
	Generation int64 // the one that rows are sealed under from now on
	Rewrapped  int   // rows moved by this step
	Remaining  int64 // rows still sealed under older generations; 0 when done
}

// sealedRow is a row of key_private or key_data on its way from one KEK to another.
type sealedRow struct {
	id         string
	generation int64
	place      []byte
	sealed     []byte
}

// Rewrap moves up to batch rows (default and at most 500) to newKEK, which
// becomes the newest generation by the first call. Call it until Remaining is
// 0; after a stop, call it again with the same KEK, on any node. Keys stay
// usable all the while, also on other nodes, provided that their key files
// hold newKEK beforehand: a node that lacks it gets [ErrKEKMissing] for the
// rows that moved. A row that does not open is left and reported with
// [ErrCorrupt] after the others have moved.
//
// The order of a rotation: envelope.AddKEK on every node and restart it;
// Rewrap until done; envelope.PromoteKEK on every node; [Store.ReleaseKEK];
// envelope.DropKEK on every node.
func (s *Store) Rewrap(ctx context.Context, newKEK envelope.Key, batch int) (Progress, error) {
	if batch <= 0 || batch > maxBatch {
		batch = maxBatch
	}
	generation, err := s.ring.register(ctx, newKEK, s.now())
	if err != nil {
		return Progress{}, err
	}
	p := Progress{Generation: generation}
	var bad error
	for _, table := range []string{"key_private", "key_data"} {
		rows, err := s.older(ctx, table, generation, batch-p.Rewrapped)
		if err != nil {
			return p, err
		}
		n, err := s.moveRows(ctx, table, generation, rows)
		p.Rewrapped += n
		if errors.Is(err, ErrCorrupt) {
			bad = errors.Join(bad, err)
		} else if err != nil {
			return p, err
		}
		if p.Rewrapped >= batch {
			break
		}
	}
	err = s.db.QueryRow(ctx, `SELECT (SELECT COUNT(*) FROM key_private WHERE kek_generation < $1) +
		(SELECT COUNT(*) FROM key_data WHERE kek_generation < $1)`, generation).Scan(&p.Remaining)
	if err != nil {
		return p, fmt.Errorf("keystore: count rows to re-wrap: %w", err)
	}
	return p, bad
}

// older reads rows sealed under generations before that one.
func (s *Store) older(ctx context.Context, table string, generation int64, limit int) ([]sealedRow, error) {
	query := `SELECT id, kek_generation, sealed, purpose, alg, owner, spki_sha256 FROM key_private
		WHERE kek_generation < $1 ORDER BY kek_generation, id LIMIT $2`
	if table == "key_data" {
		query = `SELECT owner, kek_generation, sealed, '', '', '', NULL FROM key_data
			WHERE kek_generation < $1 ORDER BY kek_generation, owner LIMIT $2`
	}
	var out []sealedRow
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		out = out[:0]
		rows, err := tx.Query(query, generation, int64(limit))
		if err != nil {
			return err
		}
		for rows.Next() {
			var r sealedRow
			var purpose, owner string
			var alg Alg
			var hash []byte
			if err := rows.Scan(&r.id, &r.generation, &r.sealed, &purpose, &alg, &owner, &hash); err != nil {
				return err
			}
			r.place = dataPlace(r.id)
			if table == "key_private" {
				r.place = privatePlace(r.id, purpose, alg, owner, hash)
			}
			out = append(out, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("keystore: read rows to re-wrap: %w", err)
	}
	return out, nil
}

// moveRows seals rows afresh and writes them, unless they changed meanwhile.
func (s *Store) moveRows(ctx context.Context, table string, generation int64, rows []sealedRow) (n int, err error) {
	to, err := s.ring.find(ctx, generation, table)
	if err != nil {
		return 0, err
	}
	var bad error
	moved := rows[:0:0]
	for _, r := range rows {
		from, err := s.ring.find(ctx, r.generation, table)
		if err != nil {
			return 0, err
		}
		sealed, err := reseal(from, to, r)
		if err != nil {
			bad = errors.Join(bad, fmt.Errorf("%w: %s %s (%w)", ErrCorrupt, table, r.id, err))
			continue
		}
		r.sealed = sealed
		moved = append(moved, r)
	}
	if len(moved) == 0 {
		return 0, bad
	}
	update := `UPDATE key_private SET sealed = $1, kek_generation = $2 WHERE id = $3 AND kek_generation = $4`
	if table == "key_data" {
		update = `UPDATE key_data SET sealed = $1, kek_generation = $2 WHERE owner = $3 AND kek_generation = $4`
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		n = 0
		for _, r := range moved {
			changed, err := tx.Exec(update, r.sealed, generation, r.id, r.generation)
			if err != nil {
				return err
			}
			n += int(changed)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("keystore: re-wrap: %w", err)
	}
	return n, bad
}

// reseal opens a row, seals it under another key and opens that again before
// the only other copy is overwritten.
func reseal(from, to envelope.Key, r sealedRow) ([]byte, error) {
	plain, err := envelope.Open(from, r.sealed, r.place)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	sealed := envelope.Seal(to, plain, r.place)
	back, err := envelope.Open(to, sealed, r.place)
	if err != nil {
		return nil, err
	}
	defer clear(back)
	if subtle.ConstantTimeCompare(plain, back) != 1 {
		return nil, ErrSelfCheck
	}
	return sealed, nil
}

// ReleaseKEK removes an older generation from the database once no row is
// sealed under it; the key may then be dropped from the key files. It returns
// [ErrKEKInUse] while rows remain and for the newest generation, and
// [ErrNotFound] for a fingerprint that is not registered.
func (s *Store) ReleaseKEK(ctx context.Context, fingerprint string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`DELETE FROM key_kek WHERE fingerprint = $1
			AND generation < (SELECT MAX(generation) FROM key_kek)`, fingerprint)
		if err != nil || n == 1 {
			return err
		}
		var count int64
		if err := tx.QueryRow(`SELECT COUNT(*) FROM key_kek WHERE fingerprint = $1`, fingerprint).Scan(&count); err != nil {
			return err
		}
		if count == 0 {
			return ErrNotFound
		}
		return ErrKEKInUse
	})
	if db.IsConstraint(err, db.ForeignKey) {
		return fmt.Errorf("%w: %w", ErrKEKInUse, err)
	}
	if err != nil {
		return fmt.Errorf("keystore: release kek: %w", err)
	}
	_, err = s.ring.reload(ctx)
	return err
}
