package audit

import (
	"database/sql"
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
