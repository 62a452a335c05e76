package audit

import (
	"fmt"
	"strings"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

type storedTile struct {
	logverify.Tile
	data []byte
}

// commitTree moves the head from old to next. Another head than old, or an
// entry that has got a place or has vanished since, is [db.ErrFenced].
func commitTree(tx *db.Tx, old head, next logverify.Tree, rows []leafRow, tiles []storedTile) error {
	n, err := tx.Exec(`UPDATE audit_log SET size = $1, root = $2 WHERE number = $3 AND size = $4 AND root = $5
		AND NOT EXISTS (SELECT 1 FROM audit_log AS later WHERE later.number > $3)`,
		next.Size, next.Root[:], old.Number, old.Tree.Size, old.Tree.Root[:])
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: the head of log %d moved", db.ErrFenced, old.Number)
	}
	if err := assignPlaces(tx, old, rows); err != nil {
		return err
	}
	for _, t := range tiles {
		n, err := tx.Exec(`INSERT INTO audit_tile (log_number, level, n, width, data) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (log_number, level, n) DO UPDATE SET width = excluded.width, data = excluded.data
			WHERE audit_tile.width < excluded.width
			AND substr(excluded.data, 1, length(audit_tile.data)) = audit_tile.data`,
			old.Number, t.Level, t.N, t.Width, t.data)
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%w: tile %s of log %d is not a beginning of the new one", ErrCorrupt, t.Path(), old.Number)
		}
	}
	return nil
}

// assignPlaces sets the places of rows in order. Statements take powers of
// two of rows, so that few texts have to be prepared.
func assignPlaces(tx *db.Tx, old head, rows []leafRow) error {
	index := old.Tree.Size
	for len(rows) > 0 {
		k := 128
		for k > len(rows) {
			k /= 2
		}
		args := []any{old.Number}
		for _, r := range rows[:k] {
			args = append(args, r.id, index)
			index++
		}
		n, err := tx.Exec(placeSQL(k), args...)
		if err != nil {
			return err
		}
		if n != int64(k) {
			return fmt.Errorf("%w: %d of %d pending entries are gone", db.ErrFenced, int64(k)-n, k)
		}
		rows = rows[k:]
	}
	return nil
}

// placeSQL returns the statement that gives k entries their places:
// parameters are the log's number, then an id and an index for each entry.
func placeSQL(k int) string {
	var b strings.Builder
	b.WriteString(`UPDATE audit_entry SET log_number = $1, leaf_index = v.column2 FROM (VALUES `)
	for i := range k {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "(CAST($%d AS TEXT), CAST($%d AS BIGINT))", 2*i+2, 2*i+3)
	}
	b.WriteString(`) AS v WHERE audit_entry.id = v.column1 AND audit_entry.leaf_index IS NULL`)
	return b.String()
}
