package db_test

import (
	"context"
	"errors"
	"testing"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// A condition of the context stands before every write with it, in the same
// transaction, and can be lifted.
func TestRequiring(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		exec := func(ctx context.Context, q string) error {
			return d.Write(ctx, func(tx *db.Tx) error {
				_, err := tx.Exec(q)
				return err
			})
		}
		if err := exec(ctx, `CREATE TABLE gate (open BIGINT NOT NULL)`); err != nil {
			t.Fatal(err)
		}
		shut := errors.New("shut")
		bound := db.Requiring(ctx, func(tx *db.Tx) error {
			var n int
			if err := tx.QueryRow(`SELECT count(*) FROM gate`).Scan(&n); err != nil {
				return err
			}
			if n > 0 {
				return shut
			}
			return nil
		})
		deep, cancel := context.WithCancel(context.WithoutCancel(bound))
		defer cancel()
		if err := exec(deep, `INSERT INTO gate (open) VALUES (1)`); err != nil {
			t.Fatalf("while it holds: %v", err)
		}
		if err := exec(deep, `INSERT INTO gate (open) VALUES (2)`); !errors.Is(err, shut) {
			t.Errorf("when it holds no more: got %v, want %v", err, shut)
		}
		if err := exec(db.Requiring(deep, nil), `INSERT INTO gate (open) VALUES (3)`); err != nil {
			t.Errorf("lifted: %v", err)
		}
		var n int
		if err := d.QueryRow(ctx, `SELECT count(*) FROM gate`).Scan(&n); err != nil || n != 2 {
			t.Errorf("%d rows, want 2 (%v)", n, err)
		}
	})
}
