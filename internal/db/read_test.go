package db_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

func TestReadSideCannotWrite(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		const q = `INSERT INTO sample_ticket (id) VALUES ('x') RETURNING id`
		ctx := t.Context()
		var id string
		for name, err := range map[string]error{
			"QueryRow": d.QueryRow(ctx, q).Scan(&id),
			"Query": func() error {
				rows, err := d.Query(ctx, q)
				if err != nil {
					return err
				}
				defer func() { _ = rows.Close() }()
				for rows.Next() {
				}
				return rows.Err()
			}(),
			"Read, Exec":      d.Read(ctx, func(tx *db.Tx) error { return insertTicket(tx, "x") }),
			"Read, QueryRow":  d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(q).Scan(&id) }),
			"Read, swallowed": d.Read(ctx, func(tx *db.Tx) error { _ = insertTicket(tx, "x"); return nil }),
		} {
			if !errors.Is(err, db.ErrReadOnly) {
				t.Errorf("%s: got %v, want ErrReadOnly", name, err)
			}
		}
		for _, q := range []string{"PRAGMA query_only = 0", "SET default_transaction_read_only = off", " begin", "COMMIT;"} {
			if _, err := d.Query(ctx, q); !errors.Is(err, db.ErrStatement) {
				t.Errorf("%s: got %v, want ErrStatement", q, err)
			}
		}
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != 0 {
			t.Errorf("rows: got %d, want 0", got)
		}
	})
}

func TestReadSeesOneSnapshot(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		var first, second int64
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			if err := tx.QueryRow(`SELECT count(*) FROM sample_ticket`).Scan(&first); err != nil {
				return err
			}
			if err := d.Write(context.Background(), func(w *db.Tx) error { return insertTicket(w, "between") }); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT count(*) FROM sample_ticket`).Scan(&second)
		})
		if err != nil || first != 0 || second != 0 {
			t.Errorf("got %d then %d, %v; want one snapshot", first, second, err)
		}
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != 1 {
			t.Errorf("afterwards: got %d, want 1", got)
		}
	})
}

// A plan prepared before a migration must not fail after it.
func TestQuerySurvivesAMigration(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			u := dbtest.URL(t, e)
			d := dbtest.OpenConfig(t, db.Config{URL: u, Writers: 1, MaxReaders: 1})
			if err := d.Migrate(t.Context(), line("evo", `CREATE TABLE evo_item (id TEXT NOT NULL PRIMARY KEY, n INTEGER);`)); err != nil {
				t.Fatal(err)
			}
			const insert = `INSERT INTO evo_item (id, n) VALUES ($1, 1) RETURNING n`
			const sel = `SELECT n FROM evo_item WHERE id = $1`
			use := func(id string) {
				t.Helper()
				var n int64
				if err := d.Write(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(insert, id).Scan(&n) }); err != nil {
					t.Errorf("write %s: %v", id, err)
				}
				if err := d.QueryRow(t.Context(), sel, id).Scan(&n); err != nil {
					t.Errorf("QueryRow %s: %v", id, err)
				}
				rows, err := d.Query(t.Context(), sel, id)
				if err != nil {
					t.Errorf("Query %s: %v", id, err)
				} else {
					_ = rows.Close()
				}
				if err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.QueryRow(sel, id).Scan(&n) }); err != nil {
					t.Errorf("Read %s: %v", id, err)
				}
			}
			use("before")
			alter := `ALTER TABLE evo_item ADD COLUMN m TEXT;`
			if e == db.Postgres {
				alter = `ALTER TABLE evo_item ALTER COLUMN n TYPE BIGINT;`
			}
			if err := d.Migrate(t.Context(), line("evo", `CREATE TABLE evo_item (id TEXT NOT NULL PRIMARY KEY, n INTEGER);`, alter)); err != nil {
				t.Fatal(err)
			}
			use("after")
		})
	}
}

func TestCancelledReadSaysSo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var n int
		for name, err := range map[string]error{
			"QueryRow": d.QueryRow(ctx, `SELECT 1`).Scan(&n),
			"Read":     d.Read(ctx, func(tx *db.Tx) error { return tx.QueryRow(`SELECT 1`).Scan(&n) }),
			"Write":    d.Write(ctx, func(*db.Tx) error { return nil }),
		} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want context.Canceled", name, err)
			}
		}
	})
}

type text string

// Parameters reach both engines alike; what only one would take is refused.
func TestParameters(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, []db.Line{line("par", `CREATE TABLE par_row (id TEXT NOT NULL PRIMARY KEY, n BIGINT, b BYTEA, s TEXT, ok BOOLEAN, f DOUBLE PRECISION);`)},
		func(t *testing.T, d *db.DB) {
			hostile := "'); DROP TABLE par_row; -- \\ \" $1 ? ñ \U0001F600"
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO par_row (id, n, b, s, ok, f) VALUES ($1, $2, $3, $4, $5, $6)`,
					text(hostile), uint32(7), []byte{0, 255}, hostile, true, 0.5)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			var n int64
			var b []byte
			var s text
			var ok bool
			var f float64
			if err := d.QueryRow(t.Context(), `SELECT n, b, s, ok, f FROM par_row WHERE id = $1 AND s = $1 AND n = $2`, hostile, 7).
				Scan(&n, &b, &s, &ok, &f); err != nil {
				t.Fatal(err)
			}
			if n != 7 || string(b) != "\x00\xff" || s != text(hostile) || !ok || f != 0.5 {
				t.Errorf("got %v %v %q %v %v", n, b, s, ok, f)
			}
			if err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO par_row (id, n, b) VALUES ('nil', $1, $2)`, nil, []byte(nil))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			var nn sql.NullInt64
			if err := d.QueryRow(t.Context(), `SELECT n FROM par_row WHERE id = 'nil' AND n IS NULL AND b IS NULL`).Scan(&nn); err != nil {
				t.Errorf("nil is not NULL: %v", err)
			}
			for name, arg := range map[string]any{
				"time": time.Now(), "NUL": "a\x00b", "not UTF-8": "\xff", "too large": uint64(1 << 63), "struct": struct{}{}, "slice": []string{"a"},
			} {
				var id string
				err := d.QueryRow(t.Context(), `SELECT id FROM par_row WHERE s = $1`, arg).Scan(&id)
				if !errors.Is(err, db.ErrArgument) {
					t.Errorf("%s: got %v, want ErrArgument", name, err)
				}
				err = d.Write(t.Context(), func(tx *db.Tx) error {
					_, err := tx.Exec(`UPDATE par_row SET s = $1`, arg)
					return err
				})
				if !errors.Is(err, db.ErrArgument) {
					t.Errorf("%s: got %v, want ErrArgument", name, err)
				}
			}
		})
}

func TestOpenRefusesBadURLsWithoutEchoingPasswords(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t-of-Oruro"
	for _, u := range []string{
		"", "sqlite:", "sqlite::memory:", "sqlite:file:x?mode=ro", "sqlite:a?b", "mysql://u:" + secret + "@h/d", "postgres://u:" + secret + "@h:port/d",
		"postgres://u:" + secret + "@[::1/d", "postgres://u:" + secret + "@h/d?sslmode=" + secret, "postgres://u:" + secret + "@h/d#frag",
		"postgres://u:" + secret + "%zz@h/d", "postgres://u@127.0.0.1:1/d?password=" + secret + "&pool_max_conns=x",
		"postgres://u:" + secret + "@127.0.0.1:1/d?sslmode=disable&connect_timeout=1", "sqlite:" + t.TempDir() + "/absent/x.db",
	} {
		d, err := db.Open(t.Context(), db.Config{URL: u})
		if err == nil {
			_ = d.Close()
			t.Errorf("%q was opened", u)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("password in the error: %v", err)
		}
	}
}
