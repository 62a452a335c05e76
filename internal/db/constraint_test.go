package db_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// Every refusal by the schema reads the same on both engines.
func TestConstraintErrorsAreTheSame(t *testing.T) {
	t.Parallel()
	const insert = `INSERT INTO sample_name (id, owner, kind, value, body) VALUES ($1, $2, $3, $4, $5)`
	cases := map[string]struct {
		q    string
		args []any
		want db.ConstraintError
	}{
		"primary key, unnamed": {`INSERT INTO sample_ticket (id) VALUES ($1)`, []any{"t"},
			db.ConstraintError{Kind: db.Unique, Table: "sample_ticket", Constraint: "sample_ticket_pkey", Columns: []string{"id"}}},
		"primary key, named": {insert, []any{"n", "secret-o", "k2", "v2", nil},
			db.ConstraintError{Kind: db.Unique, Table: "sample_name", Constraint: "sample_name_pk", Columns: []string{"id"}}},
		"unique, two columns, named": {insert, []any{"n2", "secret-o", "main", "v2", nil},
			db.ConstraintError{Kind: db.Unique, Table: "sample_name", Constraint: "sample_name_owner_kind", Columns: []string{"owner", "kind"}}},
		"unique, inline": {insert, []any{"n2", "o2", "k2", "secret-v", nil},
			db.ConstraintError{Kind: db.Unique, Table: "sample_name", Constraint: "sample_name_value_key", Columns: []string{"value"}}},
		"unique index on an expression": {`UPDATE sample_name SET alias = $1 WHERE id <> $2`, []any{"SECRET-A", "n"},
			db.ConstraintError{Kind: db.Unique, Table: "sample_name", Constraint: "sample_name_lower"}},
		"unique index, partial": {insert, []any{"n2", "o2", "main", "v2", []byte{1}},
			db.ConstraintError{Kind: db.Unique, Table: "sample_name", Constraint: "sample_name_body", Columns: []string{"body"}}},
		"by RETURNING": {`INSERT INTO sample_ticket (id) VALUES ($1) RETURNING id`, []any{"t"},
			db.ConstraintError{Kind: db.Unique, Table: "sample_ticket", Constraint: "sample_ticket_pkey", Columns: []string{"id"}}},
		"check": {`UPDATE sample_ticket SET n = $1`, []any{-1},
			db.ConstraintError{Kind: db.Check, Table: "sample_ticket", Constraint: "sample_ticket_n"}},
		"not null": {insert, []any{"n2", nil, "k2", "v2", nil},
			db.ConstraintError{Kind: db.NotNull, Table: "sample_name", Columns: []string{"owner"}}},
	}
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := insertTicket(tx, "t"); err != nil {
				return err
			}
			if _, err := tx.Exec(insert, "n", "secret-o", "main", "secret-v", []byte{1}); err != nil {
				return err
			}
			if _, err := tx.Exec(insert, "other", "other", "other", "other", nil); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE sample_name SET alias = 'secret-a' WHERE id = 'n'`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		for name, c := range cases {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				if strings.Contains(name, "RETURNING") {
					var id string
					return tx.QueryRow(c.q, c.args...).Scan(&id)
				}
				_, err := tx.Exec(c.q, c.args...)
				return err
			})
			var got *db.ConstraintError
			if !errors.As(err, &got) {
				t.Errorf("%s: got %v, want a ConstraintError", name, err)
				continue
			}
			if diff := cmp.Diff(*got, c.want, cmpopts.IgnoreFields(db.ConstraintError{}, "Err"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-got +want):\n%s", name, diff)
			}
			if db.IsUnique(err, c.want.Table) != (c.want.Kind == db.Unique) || db.IsUnique(err, "other") {
				t.Errorf("%s: IsUnique disagrees", name)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(strings.ToLower(e.Error()), "secret") {
					t.Errorf("%s: row values in the error: %v", name, e)
				}
			}
		}
	})
}

// A deferred constraint fails at the commit, where the neighbours are; only its
// own caller must hear of it.
func TestDeferredConstraintHitsOnlyItsCaller(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		const callers = 30
		dbtest.Contend(t, callers, func(i int) {
			id := string(rune('a' + i))
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				if i%10 == 0 {
					_, err := tx.Exec(`INSERT INTO sample_child (id, ticket) VALUES ($1, 'none')`, id)
					return err
				}
				return insertTicket(tx, id)
			})
			if bad := i%10 == 0; bad != db.IsConstraint(err, db.ForeignKey) || (!bad && err != nil) {
				t.Errorf("caller %d: got %v", i, err)
			}
		})
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != callers-callers/10 {
			t.Errorf("rows: got %d, want %d", got, callers-callers/10)
		}
		if got := count(t, d, `SELECT count(*) FROM sample_child`); got != 0 {
			t.Errorf("orphans: got %d, want 0", got)
		}
	})
}
