package audit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Placed is the clear part of an entry that has its place in the log.
type Placed struct {
	ID, Kind        string
	Subject         identity.PersonID
	Outcome, Object string
	At              time.Time
	Log, Index      int64
}

// After returns up to limit entries that follow a place, in the order of the
// log; 0, -1 begins with the first. The order has no gaps and never changes, so
// that a consumer who keeps the last place it has seen misses nothing, however
// late an entry was committed.
func After(q db.Querier, log, index int64, limit int) ([]Placed, error) {
	rows, err := q.Query(`SELECT id, kind, subject, outcome, object, at, log_number, leaf_index FROM audit_entry
		WHERE leaf_index IS NOT NULL AND (log_number, leaf_index) > ($1, $2) ORDER BY log_number, leaf_index LIMIT $3`, log, index, limit)
	if err != nil {
		return nil, fmt.Errorf("placed entries: %w", err)
	}
	defer rows.Close()
	var out []Placed
	for rows.Next() {
		var p Placed
		var subject sql.NullString
		var at int64
		if err := rows.Scan(&p.ID, &p.Kind, &subject, &p.Outcome, &p.Object, &at, &p.Log, &p.Index); err != nil {
			return nil, fmt.Errorf("placed entries: %w", err)
		}
		p.Subject, p.At = identity.PersonID(subject.String), time.UnixMicro(at).UTC()
		out = append(out, p)
	}
	return out, rows.Err()
}

// neighbours is how many entries before one are asked for its least age.
const neighbours = 1000

// Recorded returns when an entry with that object and leaf body was made, as
// far as the order of the log bears it out: not before the entries that stand
// before it, so that nobody can date an entry back in retrospect. placed is false
// while the entry waits for its place; without an entry at is zero.
func (l *Log) Recorded(ctx context.Context, object string, body []byte) (at time.Time, placed bool, err error) {
	var micros int64
	var number, index sql.NullInt64
	err = l.db.Read(ctx, func(tx *db.Tx) error {
		err := tx.QueryRow(`SELECT at, log_number, leaf_index FROM audit_entry WHERE object = $1 AND body = $2 ORDER BY at, id LIMIT 1`,
			object, body).Scan(&micros, &number, &index)
		if err != nil || !index.Valid {
			return err
		}
		var before sql.NullInt64
		err = tx.QueryRow(`SELECT MAX(at) FROM audit_entry WHERE log_number = $1 AND leaf_index >= $2 AND leaf_index < $3`,
			number.Int64, index.Int64-neighbours, index.Int64).Scan(&before)
		micros = max(micros, before.Int64)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, false, nil
	}
	if err != nil {
		return time.Time{}, false, fmt.Errorf("entry of %s: %w", object, err)
	}
	return time.UnixMicro(micros).UTC(), index.Valid, nil
}
