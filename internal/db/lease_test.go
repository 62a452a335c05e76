package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

func TestLeaseHasOneHolder(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	now := func() time.Time { return time.UnixMicro(1_800_000_000_000_000 + clock.Load()) }
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			d := dbtest.OpenConfig(t, db.Config{URL: dbtest.URL(t, e), Now: now})
			if err := d.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			for round := range int64(10) {
				var mu sync.Mutex
				var won []db.Lease
				dbtest.Contend(t, 16, func(i int) {
					l, ok, err := d.AcquireLease(context.Background(), "lead", fmt.Sprintf("%d-%d", round, i), time.Minute)
					if err != nil {
						t.Error(err)
					}
					if ok {
						mu.Lock()
						won = append(won, l)
						mu.Unlock()
					}
				})
				if len(won) != 1 || won[0].Fence != round+1 {
					t.Fatalf("round %d: got holders %+v, want one with fence %d", round, won, round+1)
				}
				again, ok, err := d.AcquireLease(ctx, "lead", won[0].Holder, 2*time.Minute)
				if err != nil || !ok || again.Fence != won[0].Fence || !again.Until.Equal(now().Add(2*time.Minute)) {
					t.Errorf("renewal: got %+v, %v, %v", again, ok, err)
				}
				if round%2 == 0 {
					clock.Add((2 * time.Minute).Microseconds())
				} else if err := d.ReleaseLease(ctx, again); err != nil {
					t.Error(err)
				}
			}
			if _, _, err := d.AcquireLease(ctx, "", "h", time.Minute); err == nil {
				t.Error("a lease without a name was granted")
			}
		})
	}
}

// A leader that slept past its lease must not write, nor slip a write in while
// another takes over.
func TestFencedLeaderCannotWrite(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	now := func() time.Time { return time.UnixMicro(1_800_000_000_000_000 + clock.Load()) }
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			d := dbtest.OpenConfig(t, db.Config{URL: dbtest.URL(t, e), Now: now, Writers: 4})
			if err := d.Migrate(t.Context(), line("led", `CREATE TABLE led_entry (fence BIGINT NOT NULL, n BIGINT NOT NULL);`)); err != nil {
				t.Fatal(err)
			}
			const leaders, each = 6, 20
			dbtest.Contend(t, leaders, func(i int) {
				for range each {
					l, ok, err := d.AcquireLease(context.Background(), "lead", fmt.Sprint(i), time.Millisecond)
					if err != nil {
						t.Error(err)
					}
					clock.Add(time.Second.Microseconds()) // every lease has run out by the time it is used
					if !ok {
						continue
					}
					err = d.Write(context.Background(), func(tx *db.Tx) error {
						if err := db.CheckFence(tx, "lead", l.Fence); err != nil {
							return err
						}
						_, err := tx.Exec(`INSERT INTO led_entry (fence, n) SELECT $1, count(*) FROM led_entry`, l.Fence)
						return err
					})
					if err != nil && !errors.Is(err, db.ErrFenced) {
						t.Error(err)
					}
				}
			})
			// n counts the entries before: with one leader at a time it has no repeats, and fences never go back.
			if got := count(t, d, `SELECT count(*) - count(DISTINCT n) FROM led_entry`); got != 0 {
				t.Errorf("%d entries were written by two leaders at a time", got)
			}
			if got := count(t, d, `SELECT count(*) FROM led_entry AS a, led_entry AS b WHERE a.n < b.n AND a.fence > b.fence`); got != 0 {
				t.Errorf("%d pairs were written by a leader after its successor", got)
			}
			if got := count(t, d, `SELECT count(*) FROM led_entry`); got == 0 {
				t.Error("nobody wrote: the test shows nothing")
			}
		})
	}
}
