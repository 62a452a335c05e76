package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// line makes a migration line from the text of its Up parts.
func line(name string, ups ...string) db.Line {
	files := fstest.MapFS{}
	for i, up := range ups {
		files[fmt.Sprintf("%04d_step.sql", i+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + up)}
	}
	return db.Line{Name: name, FS: files}
}

// sample is a small schema with one of each constraint.
func sample() []db.Line {
	return []db.Line{line("sample", `
CREATE TABLE sample_ticket (
    id TEXT NOT NULL PRIMARY KEY,
    used_by TEXT,
    n BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT sample_ticket_n CHECK (n >= 0)
);
CREATE TABLE sample_name (
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL UNIQUE,
    body BYTEA,
    alias TEXT,
    CONSTRAINT sample_name_pk PRIMARY KEY (id),
    CONSTRAINT sample_name_owner_kind UNIQUE (owner, kind)
);
CREATE UNIQUE INDEX sample_name_lower ON sample_name (lower(alias));
CREATE UNIQUE INDEX sample_name_body ON sample_name (body) WHERE kind = 'main';
CREATE TABLE sample_child (
    id TEXT NOT NULL PRIMARY KEY,
    ticket TEXT NOT NULL,
    CONSTRAINT sample_child_ticket FOREIGN KEY (ticket) REFERENCES sample_ticket (id) DEFERRABLE INITIALLY DEFERRED
);`)}
}

func insertTicket(tx *db.Tx, id string) error {
	_, err := tx.Exec(`INSERT INTO sample_ticket (id) VALUES ($1)`, id)
	return err
}

func count(t testing.TB, d *db.DB, q string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := d.QueryRow(context.Background(), q, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return n
}

func TestSingleUseHasOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		const rounds, callers = 30, 64
		for round := range rounds {
			id := fmt.Sprintf("t%d", round)
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return insertTicket(tx, id) }); err != nil {
				t.Fatal(err)
			}
			var winners atomic.Int64
			dbtest.Contend(t, callers, func(i int) {
				won := false
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					var got string
					err := tx.QueryRow(`UPDATE sample_ticket SET used_by = $2 WHERE id = $1 AND used_by IS NULL RETURNING used_by`,
						id, fmt.Sprint(i)).Scan(&got)
					won = err == nil
					if errors.Is(err, sql.ErrNoRows) {
						return nil
					}
					return err
				})
				if err != nil {
					t.Errorf("caller %d: %v", i, err)
				}
				if won {
					winners.Add(1)
				}
			})
			if winners.Load() != 1 {
				t.Fatalf("round %d: got %d winners, want 1", round, winners.Load())
			}
		}
	})
}

func TestGroupCommitGathers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		const callers, each = 64, 20
		before := d.Stats()
		dbtest.Contend(t, callers, func(i int) {
			for k := range each {
				if err := d.Write(context.Background(), func(tx *db.Tx) error { return insertTicket(tx, fmt.Sprintf("%d-%d", i, k)) }); err != nil {
					t.Error(err)
				}
			}
		})
		after := d.Stats()
		commits, writes := after.Commits-before.Commits, after.Writes-before.Writes
		if writes != callers*each {
			t.Errorf("writes: got %d, want %d", writes, callers*each)
		}
		if commits*2 > writes { // how far below depends on the machine; see BenchmarkWrite
			t.Errorf("commits: got %d for %d writes, want at most half", commits, writes)
		}
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != callers*each {
			t.Errorf("rows: got %d, want %d", got, callers*each)
		}
	})
}

func TestFailingNeighboursChangeNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return insertTicket(tx, "taken") }); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		const rounds, callers = 10, 60
		for round := range rounds {
			dbtest.Contend(t, callers, func(i int) {
				id := fmt.Sprintf("r%d-%d", round, i)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				var caught any
				err := func() (err error) {
					defer func() { caught = recover() }()
					return d.Write(ctx, func(tx *db.Tx) error {
						if err := insertTicket(tx, id); err != nil {
							return err
						}
						switch i % 6 {
						case 1:
							return boom
						case 2:
							return insertTicket(tx, "taken")
						case 3:
							panic("kaputt")
						case 4:
							cancel()
						case 5:
							_, _ = tx.Exec(`INSERT INTO nowhere (id) VALUES (1)`) // the error is swallowed
						}
						return nil
					})
				}()
				switch i % 6 {
				case 0, 4:
					if err != nil || caught != nil {
						t.Errorf("good caller %d: %v, %v", i, err, caught)
					}
				case 1:
					if err != boom { //nolint:errorlint // as it is, not wrapped
						t.Errorf("got %v, want the closure's own error", err)
					}
				case 2:
					if !db.IsUnique(err, "sample_ticket") {
						t.Errorf("got %v, want a unique violation", err)
					}
				case 3:
					p, ok := caught.(*db.Panic)
					if !ok || p.Value != "kaputt" {
						t.Errorf("got %v, want the closure's panic", caught)
					}
				case 5:
					if !errors.Is(err, db.ErrAborted) {
						t.Errorf("got %v, want ErrAborted", err)
					}
				}
			})
		}
		want := int64(1 + rounds*callers/3)
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != want {
			t.Errorf("rows: got %d, want %d", got, want)
		}
	})
}

func TestCancelledInQueueWritesNothing(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			d := dbtest.OpenConfig(t, db.Config{URL: dbtest.URL(t, e), Writers: 1})
			if err := d.Migrate(t.Context(), sample()...); err != nil {
				t.Fatal(err)
			}
			busy, free := make(chan struct{}), make(chan struct{})
			var wg sync.WaitGroup
			wg.Go(func() {
				if err := d.Write(context.Background(), func(tx *db.Tx) error {
					close(busy)
					<-free
					return insertTicket(tx, "first")
				}); err != nil {
					t.Error(err)
				}
			})
			<-busy
			ctx, cancel := context.WithCancel(t.Context())
			left := make(chan error, 3)
			for i := range cap(left) {
				go func() {
					left <- d.Write(ctx, func(tx *db.Tx) error { return insertTicket(tx, fmt.Sprint("second", i)) })
				}()
			}
			for db.Queued(d) < cap(left) {
				runtime.Gosched()
			}
			cancel()
			for range cap(left) {
				if err := <-left; !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled while the writer is busy", err)
				}
			}
			close(free)
			wg.Wait()
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return insertTicket(tx, "third") }); err != nil {
				t.Fatal(err)
			}
			if got := d.Stats().Retries; got != 0 {
				t.Errorf("retries: got %d, want 0: the writer waited for a caller that had left", got)
			}
			if got := count(t, d, `SELECT count(*) FROM sample_ticket WHERE id IN ('first', 'third')`); got != 2 {
				t.Errorf("kept rows: got %d, want 2", got)
			}
			if got := count(t, d, `SELECT count(*) FROM sample_ticket WHERE id LIKE 'second%'`); got != 0 {
				t.Errorf("cancelled caller's rows: got %d, want 0", got)
			}
		})
	}
}
