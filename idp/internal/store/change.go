package store

import (
	"context"
	"fmt"

	"oruro.gob.bo/suti/internal/db"
)

// Change names a thing of which answers may be kept elsewhere, and that was
// changed or ended. The triggers of the tables write them, so that no statement
// can forget to.
type Change struct {
	Seq  int64 // from 1, without gaps, in the order of commits
	Kind string
	Key  string
}

// ChangeHead returns the place of the last change.
func ChangeHead(ctx context.Context, d *db.DB) (last int64, err error) {
	if err := d.QueryRow(ctx, `SELECT last FROM idp_feed WHERE id = 1`).Scan(&last); err != nil {
		return 0, fmt.Errorf("head of the provider's feed: %w", err)
	}
	return last, nil
}

// Changes returns at most limit changes after a place, in order.
func Changes(ctx context.Context, d *db.DB, after int64, limit int) ([]Change, error) {
	rows, err := d.Query(ctx, `SELECT seq, kind, name FROM idp_change WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read the provider's feed: %w", err)
	}
	defer rows.Close()
	var out []Change
	for rows.Next() {
		var c Change
		if err := rows.Scan(&c.Seq, &c.Kind, &c.Key); err != nil {
			return nil, fmt.Errorf("read the provider's feed: %w", err)
		}
		out = append(out, c)
	}
	return out, rows.Err()
}
