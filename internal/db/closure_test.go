package db_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// eachConfig runs fn on both engines with a configuration of its own.
func eachConfig(t *testing.T, c db.Config, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			c := c
			c.URL = dbtest.URL(t, e)
			d := dbtest.OpenConfig(t, c)
			if err := d.Migrate(t.Context(), sample()...); err != nil {
				t.Fatal(err)
			}
			fn(t, d)
		})
	}
}

func TestReentrancyIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			ctx := tx.Context()
			_, qerr := d.Query(ctx, `SELECT 1`)
			var n int
			for name, err := range map[string]error{
				"Write": d.Write(ctx, func(*db.Tx) error { return nil }), "Read": d.Read(ctx, func(*db.Tx) error { return nil }),
				"Query": qerr, "QueryRow": d.QueryRow(ctx, `SELECT 1`).Scan(&n),
			} {
				if !errors.Is(err, db.ErrReentrant) {
					t.Errorf("%s: got %v, want ErrReentrant", name, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

type ctxKey struct{}

func TestClosureContextKeepsValuesAndDropsCancellation(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "v"))
		err := d.Write(ctx, func(tx *db.Tx) error {
			cancel()
			if got := tx.Context().Value(ctxKey{}); got != "v" {
				t.Errorf("value: got %v", got)
			}
			if err := tx.Context().Err(); err != nil {
				t.Errorf("closure's context: %v", err)
			}
			return insertTicket(tx, "x")
		})
		if err != nil {
			t.Errorf("cancelled while running: got %v, want the true outcome", err)
		}
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != 1 {
			t.Errorf("rows: got %d, want 1", got)
		}
	})
}

func TestTxIsOverAfterItsClosure(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		var kept *db.Tx
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			kept = tx
			_, err := tx.Query(`SELECT id FROM sample_ticket`) // left open on purpose
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if err := insertTicket(kept, "late"); !errors.Is(err, db.ErrTxDone) {
			t.Errorf("got %v, want ErrTxDone", err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return insertTicket(tx, "next") }); err != nil {
			t.Errorf("after rows left open: %v", err)
		}
	})
}

func TestSecondStatementAfterAnErrorIsRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := insertTicket(tx, "x"); err != nil {
				return err
			}
			_ = insertTicket(tx, "x")
			return insertTicket(tx, "y")
		})
		if !errors.Is(err, db.ErrAborted) || !db.IsUnique(err, "sample_ticket") {
			t.Errorf("got %v, want ErrAborted for a unique violation", err)
		}
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != 0 {
			t.Errorf("rows: got %d, want 0", got)
		}
	})
}

func TestFramingStatementsAreRefused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		for _, q := range []string{"COMMIT", " rollback;", "\nSavepoint w", "PRAGMA synchronous = OFF", "SET synchronous_commit = off"} {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(q)
				return err
			})
			if !errors.Is(err, db.ErrStatement) {
				t.Errorf("%q: got %v, want ErrStatement", q, err)
			}
		}
	})
}

// A closure may end its goroutine (t.FailNow does); the writer must live on and
// the neighbours must be served.
func TestGoexitInClosure(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, sample(), func(t *testing.T, d *db.DB) {
		const callers = 20
		dbtest.Contend(t, callers, func(i int) {
			err := d.Write(context.Background(), func(tx *db.Tx) error {
				if err := insertTicket(tx, fmt.Sprint(i)); err != nil {
					return err
				}
				if i%4 == 0 {
					runtime.Goexit()
				}
				return nil
			})
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
			}
		})
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != callers*3/4 {
			t.Errorf("rows: got %d, want %d", got, callers*3/4)
		}
	})
}

// slow is a statement that runs for minutes if nobody stops it.
func slow(tx *db.Tx) error {
	q := `WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000000000) SELECT count(*) FROM c`
	if tx.Engine() == db.Postgres {
		q = `SELECT count(*) FROM pg_sleep(600)`
	}
	var n int64
	return tx.QueryRow(q).Scan(&n)
}

func TestSlowStatementEndsAlone(t *testing.T) {
	t.Parallel()
	eachConfig(t, db.Config{Writers: 1, StatementTimeout: 200 * time.Millisecond, ClosureTimeout: 400 * time.Millisecond}, func(t *testing.T, d *db.DB) {
		const callers = 6
		dbtest.Contend(t, callers, func(i int) {
			err := d.Write(context.Background(), func(tx *db.Tx) error {
				if i == 0 {
					return slow(tx)
				}
				return insertTicket(tx, fmt.Sprint(i))
			})
			if i == 0 && !errors.Is(err, db.ErrDeadline) {
				t.Errorf("slow caller: got %v, want ErrDeadline", err)
			}
			if i != 0 && err != nil {
				t.Errorf("neighbour %d: %v", i, err)
			}
		})
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != callers-1 {
			t.Errorf("rows: got %d, want %d", got, callers-1)
		}
	})
}

// A closure that hangs in Go code is abandoned; when it wakes it can write
// nothing, and its caller is told.
func TestHangingClosureIsAbandoned(t *testing.T) {
	t.Parallel()
	eachConfig(t, db.Config{Writers: 1, ClosureTimeout: 50 * time.Millisecond}, func(t *testing.T, d *db.DB) {
		hung, wake := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := d.Write(context.Background(), func(tx *db.Tx) error {
				if err := insertTicket(tx, "before"); err != nil {
					return err
				}
				close(hung)
				<-wake
				if err := insertTicket(tx, "after"); !errors.Is(err, db.ErrDeadline) {
					t.Errorf("statement after the deadline: got %v, want ErrDeadline", err)
				}
				return nil
			})
			if !errors.Is(err, db.ErrDeadline) {
				t.Errorf("got %v, want ErrDeadline", err)
			}
		})
		<-hung
		if err := d.Write(context.Background(), func(tx *db.Tx) error { return insertTicket(tx, "neighbour") }); err != nil {
			t.Error(err)
		}
		close(wake)
		wg.Wait()
		if got := count(t, d, `SELECT count(*) FROM sample_ticket WHERE id = 'neighbour'`); got != 1 {
			t.Errorf("neighbour's rows: got %d, want 1", got)
		}
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != 1 {
			t.Errorf("rows: got %d, want 1", got)
		}
	})
}

func TestQueueTimeoutSheds(t *testing.T) {
	t.Parallel()
	eachConfig(t, db.Config{Writers: 1, QueueTimeout: 30 * time.Millisecond}, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(*db.Tx) error {
			// With a context of its own the nesting is not seen; the queue's limit ends it.
			if err := d.Write(context.Background(), func(tx *db.Tx) error { return insertTicket(tx, "inner") }); !errors.Is(err, db.ErrBusy) {
				t.Errorf("got %v, want ErrBusy", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if got := count(t, d, `SELECT count(*) FROM sample_ticket`); got != 0 {
			t.Errorf("rows: got %d, want 0", got)
		}
	})
}

func TestCloseDrains(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			u := dbtest.URL(t, e)
			d := dbtest.OpenConfig(t, db.Config{URL: u})
			if err := d.Migrate(t.Context(), sample()...); err != nil {
				t.Fatal(err)
			}
			const callers = 40
			var mu sync.Mutex
			acked := 0
			dbtest.Contend(t, callers+1, func(i int) {
				if i == callers {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
					return
				}
				err := d.Write(context.Background(), func(tx *db.Tx) error { return insertTicket(tx, fmt.Sprint(i)) })
				if err != nil && !errors.Is(err, db.ErrClosed) {
					t.Errorf("caller %d: got %v, want nil or ErrClosed", i, err)
				}
				if err == nil {
					mu.Lock()
					acked++
					mu.Unlock()
				}
			})
			if err := d.Write(t.Context(), func(*db.Tx) error { return nil }); !errors.Is(err, db.ErrClosed) {
				t.Errorf("after Close: got %v, want ErrClosed", err)
			}
			again := dbtest.OpenConfig(t, db.Config{URL: u})
			if got := count(t, again, `SELECT count(*) FROM sample_ticket`); got != int64(acked) {
				t.Errorf("rows after reopening: got %d, want the %d acknowledged", got, acked)
			}
		})
	}
}

func TestWriteBeforeMigrateSaysSo(t *testing.T) {
	t.Parallel()
	d := dbtest.OpenConfig(t, db.Config{URL: dbtest.URL(t, db.Postgres)})
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE early (id TEXT)`)
		return err
	})
	if !errors.Is(err, db.ErrSchemaOld) {
		t.Errorf("got %v, want ErrSchemaOld", err)
	}
}
