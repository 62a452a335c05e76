package audit_test

import (
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// TestHotQueriesUseTheirIndexes: with 10^8 rows a scan would stop the service.
func TestHotQueriesUseTheirIndexes(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			h := newHarness(t, dbtest.URL(t, e), nil)
			h.fill(3000)
			h.cfg.Batch = 3000
			h.restart()
			h.step(3000)
			explain := "EXPLAIN QUERY PLAN "
			if e == db.Postgres {
				explain = "EXPLAIN "
			}
			for _, c := range [][2]string{
				{"audit_entry_pending", `SELECT id FROM audit_entry WHERE leaf_index IS NULL ORDER BY at, id LIMIT 10`},
				{"audit_entry_leaf", `SELECT id FROM audit_entry WHERE log_number = 1 AND leaf_index >= 10 AND leaf_index < 20 ORDER BY leaf_index`},
				{"audit_entry_leaf", `SELECT id FROM audit_entry WHERE leaf_index IS NOT NULL AND (log_number, leaf_index) > (1, 2900) ORDER BY log_number, leaf_index LIMIT 10`},
				{"audit_entry_subject", `SELECT id FROM audit_entry WHERE subject = 'per_x' AND (at, id) < (5, 'a') ORDER BY at DESC, id DESC LIMIT 10`},
			} {
				index, q := c[0], c[1]
				var plan strings.Builder
				err := h.d.Write(t.Context(), func(tx *db.Tx) error {
					plan.Reset()
					if e == db.Postgres {
						if _, err := tx.Exec(`ANALYZE audit_entry`); err != nil {
							return err
						}
					}
					rows, err := tx.Query(explain + q)
					if err != nil {
						return err
					}
					defer rows.Close()
					cols, err := rows.Columns()
					if err != nil {
						return err
					}
					for rows.Next() {
						dest := make([]any, len(cols))
						var text string
						for i := range dest {
							dest[i] = new(any)
						}
						dest[len(dest)-1] = &text
						if err := rows.Scan(dest...); err != nil {
							return err
						}
						plan.WriteString(text + "\n")
					}
					return rows.Err()
				})
				if err != nil {
					t.Fatal(err)
				}
				if got := plan.String(); !strings.Contains(got, index) || strings.Contains(got, "SCAN audit_entry\n") || strings.Contains(strings.ToLower(got), "seq scan") {
					t.Errorf("%s is not used:\n%s", index, got)
				}
			}
		})
	}
}
