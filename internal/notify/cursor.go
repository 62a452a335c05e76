package notify

import (
	"database/sql"
	"errors"

	"oruro.gob.bo/suti/internal/db"
)

// Place is a place in the log of what happened: leaf Index of log number Log.
type Place struct{ Log, Index int64 }

// ErrMoved reports that another consumer of that name was faster.
var ErrMoved = errors.New("notify: the cursor has moved")

// Cursor returns how far the named consumer has read; before the first leaf if
// it never did.
func Cursor(tx *db.Tx, name string) (Place, error) {
	p := Place{Index: -1}
	err := tx.QueryRow(`SELECT log_number, leaf_index FROM notify_cursor WHERE name = $1`, name).Scan(&p.Log, &p.Index)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return p, err
}

// MoveCursor notes that the named consumer has read up to a place, in the
// transaction of what it made of it. [ErrMoved] if it does not stand at from.
func MoveCursor(tx *db.Tx, name string, from, to Place) error {
	n, err := tx.Exec(`UPDATE notify_cursor SET log_number = $4, leaf_index = $5 WHERE name = $1 AND log_number = $2 AND leaf_index = $3`,
		name, from.Log, from.Index, to.Log, to.Index)
	if err == nil && n == 0 && from == (Place{Index: -1}) {
		n, err = tx.Exec(`INSERT INTO notify_cursor (name, log_number, leaf_index) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`, name, to.Log, to.Index)
	}
	if err == nil && n == 0 {
		err = ErrMoved
	}
	return err
}
