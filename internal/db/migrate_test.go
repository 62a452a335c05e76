package db_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

const (
	stepOne = `CREATE TABLE evo_item (id TEXT NOT NULL PRIMARY KEY);`
	stepTwo = `ALTER TABLE evo_item ADD COLUMN note TEXT; INSERT INTO evo_item (id, note) VALUES ('seed', 'x');`
)

func TestMigrateUpgradesAndRefusesTheFuture(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		v1, v2 := line("evo", stepOne), line("evo", stepOne, stepTwo)
		ctx := t.Context()
		if err := d.Check(ctx, v1); !errors.Is(err, db.ErrSchemaOld) || !strings.Contains(err.Error(), `"evo" is at 0`) {
			t.Errorf("before: got %v, want ErrSchemaOld naming the line", err)
		}
		for range 2 { // the second time there is nothing to do
			if err := d.Migrate(ctx, v1); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Check(ctx, v1); err != nil {
			t.Error(err)
		}
		if err := d.Check(ctx, v2); !errors.Is(err, db.ErrSchemaOld) {
			t.Errorf("newer program: got %v, want ErrSchemaOld", err)
		}
		if err := d.Migrate(ctx, v2); err != nil {
			t.Fatal(err)
		}
		if got := count(t, d, `SELECT count(*) FROM evo_item WHERE note = 'x'`); got != 1 {
			t.Errorf("seed rows: got %d, want 1", got)
		}
		other := line("other", `CREATE TABLE other_item (id TEXT);`)
		for name, err := range map[string]error{"check": d.Check(ctx, v1), "migrate": d.Migrate(ctx, other, v1)} {
			if !errors.Is(err, db.ErrSchemaNew) {
				t.Errorf("older program, %s: got %v, want ErrSchemaNew", name, err)
			}
		}
		if err := d.Check(ctx, other); !errors.Is(err, db.ErrSchemaOld) {
			t.Errorf("a refused migration changed another line: %v", err)
		}
	})
}

func TestMigrateTogetherRunsOnce(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			u := dbtest.URL(t, e)
			var handles []*db.DB
			for range 4 {
				handles = append(handles, dbtest.OpenConfig(t, db.Config{URL: u, Writers: 1, MaxReaders: 1}))
			}
			dbtest.Contend(t, len(handles), func(i int) {
				if err := handles[i].Migrate(context.Background(), line("evo", stepOne, stepTwo)); err != nil {
					t.Errorf("handle %d: %v", i, err)
				}
			})
			if got := count(t, handles[0], `SELECT count(*) FROM evo_item`); got != 1 {
				t.Errorf("seed rows: got %d, want 1", got)
			}
		})
	}
}

func TestMigrateFailureRollsBackItsStep(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		bad := line("evo", stepOne, `INSERT INTO evo_item (id) VALUES ('half'); INSERT INTO evo_nowhere (id) VALUES ('x');`)
		if err := d.Migrate(t.Context(), bad); err == nil {
			t.Fatal("a failing migration reported success")
		}
		if err := d.Check(t.Context(), line("evo", stepOne)); err != nil {
			t.Errorf("first step: %v", err)
		}
		if got := count(t, d, `SELECT count(*) FROM evo_item`); got != 0 {
			t.Errorf("rows of the failed step: got %d, want 0", got)
		}
		if err := d.Migrate(t.Context(), line("evo", stepOne, stepTwo)); err != nil {
			t.Errorf("corrected: %v", err)
		}
	})
}

func TestMigrateOrdersByRequirement(t *testing.T) {
	t.Parallel()
	child := line("child", `CREATE TABLE child_item (id TEXT REFERENCES parent_item (id));`)
	child.Requires = []string{"parent"}
	parent := line("parent", `CREATE TABLE parent_item (id TEXT NOT NULL PRIMARY KEY);`)
	dbtest.Each(t, []db.Line{child, parent, child}, func(t *testing.T, d *db.DB) {
		if got := count(t, d, `SELECT count(*) FROM child_item`); got != 0 {
			t.Errorf("got %d rows", got)
		}
	})
}

func TestMigrateTakesTheEnginesFile(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		"migrations/0001_a.sql":          {Data: []byte("-- +goose Up\nCREATE TABLE ov_a (v TEXT); INSERT INTO ov_a VALUES ('common');")},
		"migrations/0001_a.postgres.sql": {Data: []byte("-- +goose Up\nCREATE TABLE ov_a (v TEXT); INSERT INTO ov_a VALUES ('postgres');")},
		"migrations/0002_b.sqlite.sql":   {Data: []byte("-- +goose Up\nINSERT INTO ov_a VALUES ('two');")},
		"migrations/0002_b.postgres.sql": {Data: []byte("-- +goose Up\nINSERT INTO ov_a VALUES ('two');")},
	}
	dbtest.Each(t, []db.Line{{Name: "ov", FS: files}}, func(t *testing.T, d *db.DB) {
		want := map[db.Engine]string{db.SQLite: "common", db.Postgres: "postgres"}[d.Engine()]
		if got := count(t, d, `SELECT count(*) FROM ov_a WHERE v IN ($1, 'two')`, want); got != 2 {
			t.Errorf("got %d of the rows of this engine's files, want 2", got)
		}
	})
}

func TestMalformedLinesAreRefused(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, db.SQLite, nil)
	up := []byte("-- +goose Up\nSELECT 1;")
	file := func(names ...string) fstest.MapFS {
		m := fstest.MapFS{}
		for _, n := range names {
			m[n] = &fstest.MapFile{Data: up}
		}
		return m
	}
	a, b := line("a", "SELECT 1;"), line("b", "SELECT 1;")
	a.Requires, b.Requires = []string{"b"}, []string{"a"}
	lone := line("lone", "SELECT 1;")
	lone.Requires = []string{"absent"}
	for name, lines := range map[string][]db.Line{
		"circle":            {a, b},
		"absent":            {lone},
		"bad name":          {line("Bad-Name", "SELECT 1;")},
		"no files":          {{Name: "x"}},
		"empty":             {{Name: "x", FS: fstest.MapFS{}}},
		"gap":               {{Name: "x", FS: file("0001_a.sql", "0003_c.sql")}},
		"not from 1":        {{Name: "x", FS: file("0002_b.sql")}},
		"twice":             {{Name: "x", FS: file("0001_a.sql", "0001_b.sql")}},
		"other engine only": {{Name: "x", FS: file("0001_a.postgres.sql")}},
		"bad file name":     {{Name: "x", FS: file("1_a.sql")}},
		"two folders":       {{Name: "x", FS: file("p/0001_a.sql", "q/0002_b.sql")}},
		"no Up":             {{Name: "x", FS: fstest.MapFS{"0001_a.sql": {Data: []byte("SELECT 1;")}}}},
		"Down part":         {line("x", "SELECT 1;\n-- +goose Down\nSELECT 1;")},
		"too large":         {line("x", strings.Repeat(" ", 1<<20))},
	} {
		if err := d.Migrate(t.Context(), lines...); !errors.Is(err, db.ErrLine) {
			t.Errorf("%s: got %v, want ErrLine", name, err)
		}
	}
}

func TestMigrateWaitsOnlyAsLongAsItMay(t *testing.T) {
	t.Parallel()
	u := dbtest.URL(t, db.SQLite)
	a, b := dbtest.OpenConfig(t, db.Config{URL: u}), dbtest.OpenConfig(t, db.Config{URL: u})
	if err := a.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	unlock, err := db.LockSchema(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Migrate(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled while another migrates", err)
	}
	unlock()
	if err := b.Migrate(t.Context()); err != nil {
		t.Error(err)
	}
}
