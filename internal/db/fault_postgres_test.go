package db_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// ledger has no key on purpose: a write applied twice shows as two rows.
func ledger() []db.Line {
	return []db.Line{line("ledger", `CREATE TABLE ledger (entry TEXT NOT NULL);`)}
}

func enter(tx *db.Tx, entry string) error {
	_, err := tx.Exec(`INSERT INTO ledger (entry) VALUES ($1)`, entry)
	return err
}

// overProxy opens a handle with one writer through a proxy and warms its
// statements up.
func overProxy(t *testing.T, c db.Config) (*db.DB, *proxy) {
	t.Helper()
	p, u := newProxy(t, dbtest.URL(t, db.Postgres))
	c.URL, c.Writers = u, 1
	d := dbtest.OpenConfig(t, c)
	if err := d.Migrate(t.Context(), ledger()...); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return enter(tx, "warm") }); err != nil {
		t.Fatal(err)
	}
	return d, p
}

func TestLostCommitIsAppliedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault fault
		runs  int // of the closure
	}{
		"connection ends before the commit": {cutBefore, 2},
		"answer to the commit is lost":      {cutAfter, 1},
		"commit answered with a warning":    {warn, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, p := overProxy(t, db.Config{})
			p.arm(c.fault)
			runs := 0
			if err := d.Write(t.Context(), func(tx *db.Tx) error { runs++; return enter(tx, "x") }); err != nil {
				t.Fatal(err)
			}
			<-p.struck
			if got := d.Stats().Ambiguous; got != 1 {
				t.Errorf("commits looked up: got %d, want 1", got)
			}
			if runs != c.runs {
				t.Errorf("closure ran %d times, want %d", runs, c.runs)
			}
			if got := count(t, d, `SELECT count(*) FROM ledger WHERE entry = 'x'`); got != 1 {
				t.Errorf("rows: got %d, want 1", got)
			}
		})
	}
}

// The network delivers a commit after the client has given its connection up,
// learnt that nothing was committed, and run the closure again.
func TestLateCommitIsBarred(t *testing.T) {
	t.Parallel()
	d, p := overProxy(t, db.Config{})
	p.arm(holdMark)
	runs := 0
	if err := d.Write(t.Context(), func(tx *db.Tx) error { runs++; return enter(tx, "x") }); err != nil {
		t.Fatal(err)
	}
	<-p.struck
	p.release <- true
	if got := <-p.late; got != "delivered" {
		t.Fatalf("late commit: %s", got)
	}
	if got := count(t, d, `SELECT count(*) FROM ledger WHERE entry = 'x'`); got != 1 || runs != 2 {
		t.Errorf("got %d rows after %d runs, want 1 after 2: the late commit took effect", got, runs)
	}
}

// The server has the batch record but not yet the COMMIT: the outcome is open
// until the old session ends one way or the other.
func TestOutcomeWaitsForTheOldSession(t *testing.T) {
	t.Parallel()
	for name, deliver := range map[string]bool{"it commits": true, "it ends": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, p := overProxy(t, db.Config{})
			p.arm(holdCommit)
			go func() {
				<-p.struck
				p.release <- deliver
				<-p.late
			}()
			runs := 0
			if err := d.Write(t.Context(), func(tx *db.Tx) error { runs++; return enter(tx, "x") }); err != nil {
				t.Fatal(err)
			}
			want := 1
			if !deliver {
				want = 2
			}
			if got := count(t, d, `SELECT count(*) FROM ledger WHERE entry = 'x'`); got != 1 || runs != want {
				t.Errorf("got %d rows after %d runs, want 1 after %d", got, runs, want)
			}
		})
	}
}

func TestOutcomeUnknownIsSaid(t *testing.T) {
	t.Parallel()
	d, p := overProxy(t, db.Config{StatementTimeout: 300 * time.Millisecond, ResolveTimeout: 700 * time.Millisecond})
	p.arm(holdCommit)
	runs := 0
	err := d.Write(t.Context(), func(tx *db.Tx) error { runs++; return enter(tx, "x") })
	if !errors.Is(err, db.ErrOutcomeUnknown) || runs != 1 {
		t.Errorf("got %v after %d runs, want ErrOutcomeUnknown after 1", err, runs)
	}
	p.release <- false
	<-p.late
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return enter(tx, "y") }); err != nil {
		t.Errorf("the writer does not go on: %v", err)
	}
}

// Sessions are killed all the time while many callers write. Whatever was
// acknowledged is there once; whatever was refused is not there.
func TestKilledSessionsLoseAndRepeatNothing(t *testing.T) {
	t.Parallel()
	admin := dbtest.Admin(t)
	u, err := url.Parse(dbtest.URL(t, db.Postgres))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	name := "kill-" + q.Get("search_path")
	q.Set("application_name", name)
	u.RawQuery = q.Encode()
	d := dbtest.OpenConfig(t, db.Config{URL: u.String(), Writers: 3})
	if err := d.Migrate(t.Context(), ledger()...); err != nil {
		t.Fatal(err)
	}
	var kills atomic.Int64
	stop := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		pace := time.NewTicker(15 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
			}
			var n int64
			if err := admin.QueryRow(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE application_name = $1 AND state <> 'idle'`, name).Scan(&n); err != nil {
				t.Error(err)
				return
			}
			kills.Add(n)
		}
	})
	const callers, each, enough = 24, 40, 25
	var mu sync.Mutex
	acked := map[string]bool{}
	dbtest.Contend(t, callers, func(i int) {
		for k := 0; k < each || kills.Load() < enough && !t.Failed(); k++ {
			entry := fmt.Sprintf("%d-%d", i, k)
			err := d.Write(context.Background(), func(tx *db.Tx) error { return enter(tx, entry) })
			if err != nil && !errors.Is(err, db.ErrUnavailable) {
				t.Errorf("%s: %v", entry, err)
			}
			mu.Lock()
			acked[entry] = err == nil
			mu.Unlock()
		}
	})
	close(stop)
	killer.Wait()
	rows, err := d.Query(t.Context(), `SELECT entry, count(*) FROM ledger GROUP BY entry`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	found := map[string]int{}
	for rows.Next() {
		var e string
		var n int
		if err := rows.Scan(&e, &n); err != nil {
			t.Fatal(err)
		}
		found[e] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for entry, ok := range acked {
		if want := map[bool]int{true: 1, false: 0}[ok]; found[entry] != want {
			t.Errorf("%s: got %d rows, want %d", entry, found[entry], want)
		}
	}
	t.Logf("%d kills, %+v", kills.Load(), d.Stats())
}

func TestDeadlockIsRetried(t *testing.T) {
	t.Parallel()
	d := dbtest.OpenConfig(t, db.Config{URL: dbtest.URL(t, db.Postgres), Writers: 2, MaxBatch: 1})
	if err := d.Migrate(t.Context(), sample()...); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b"} {
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return insertTicket(tx, id) }); err != nil {
			t.Fatal(err)
		}
	}
	var meet sync.WaitGroup
	meet.Add(2)
	dbtest.Contend(t, 2, func(i int) {
		ids := []string{"a", "b"}
		first := true
		err := d.Write(context.Background(), func(tx *db.Tx) error {
			if _, err := tx.Exec(`UPDATE sample_ticket SET n = n + 1 WHERE id = $1`, ids[i]); err != nil {
				return err
			}
			if first {
				first = false
				meet.Done()
				meet.Wait() // both hold their first row
			}
			_, err := tx.Exec(`UPDATE sample_ticket SET n = n + 1 WHERE id = $1`, ids[1-i])
			return err
		})
		if err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
	})
	if got := count(t, d, `SELECT sum(n) FROM sample_ticket`); got != 4 {
		t.Errorf("sum: got %d, want 4", got)
	}
	if d.Stats().Retries == 0 {
		t.Error("no retry: the deadlock did not happen")
	}
}
