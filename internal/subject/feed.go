package subject

import (
	"context"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Seq is a place in the change feed, from 1, without gaps. 0 is before the first.
type Seq int64

// Change is one entry of the feed.
type Change struct {
	Seq   Seq
	Who   Subject // as it was after the change
	Cause string
	At    time.Time
}

// maxPage bounds one answer of Since.
const maxPage = 1000

// Head returns the last place in the feed.
func Head(ctx context.Context, d *db.DB) (Seq, error) {
	var s Seq
	if err := d.QueryRow(ctx, `SELECT last FROM subject_feed WHERE id = 1`).Scan(&s); err != nil {
		return 0, fmt.Errorf("head of subject feed: %w", err)
	}
	return s, nil
}

// Since returns the changes after a place, in order, at most limit (and at most
// 1,000). A change that was not yet committed when a later place was returned
// cannot turn up below it.
func Since(ctx context.Context, d *db.DB, after Seq, limit int) ([]Change, error) {
	limit = max(1, min(limit, maxPage))
	rows, err := d.Query(ctx, `SELECT seq, person, epoch, state, cause, at FROM subject_change
		WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read subject feed: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Change
	for rows.Next() {
		var c Change
		var at int64
		if err := rows.Scan(&c.Seq, &c.Who.Person, &c.Who.Epoch, &c.Who.State, &c.Cause, &at); err != nil {
			return nil, fmt.Errorf("read subject feed: %w", err)
		}
		c.At = db.Time(at)
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read subject feed: %w", err)
	}
	return out, nil
}

// History returns a person's changes, oldest first, at most 1,000 after the
// given place.
func History(ctx context.Context, d *db.DB, person identity.PersonID, after Seq) ([]Change, error) {
	rows, err := d.Query(ctx, `SELECT seq, epoch, state, cause, at FROM subject_change
		WHERE person = $1 AND seq > $2 ORDER BY epoch LIMIT $3`, person, after, maxPage)
	if err != nil {
		return nil, fmt.Errorf("read subject history: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Change
	for rows.Next() {
		c := Change{Who: Subject{Person: person}}
		var at int64
		if err := rows.Scan(&c.Seq, &c.Who.Epoch, &c.Who.State, &c.Cause, &at); err != nil {
			return nil, fmt.Errorf("read subject history: %w", err)
		}
		c.At = db.Time(at)
		out = append(out, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read subject history: %w", err)
	}
	return out, nil
}
