package db_test

import (
	"context"
	"fmt"
	"testing"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// Closures that each change one of two rows cannot deadlock by themselves, but
// the batches that hold them could. Such a batch must give way quickly, not
// after the server's deadlock detector (1 s) has stopped several writers.
func TestHotRowsDoNotStallOtherWriters(t *testing.T) {
	t.Parallel()
	d := dbtest.OpenConfig(t, db.Config{URL: dbtest.URL(t, db.Postgres), Writers: 4})
	if err := d.Migrate(t.Context(), sample()...); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"hot0", "hot1"} {
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return insertTicket(tx, id) }); err != nil {
			t.Fatal(err)
		}
	}
	const callers, each = 48, 15
	dbtest.Contend(t, callers, func(i int) {
		for k := range each {
			err := d.Write(context.Background(), func(tx *db.Tx) error {
				_, err := tx.Exec(`UPDATE sample_ticket SET n = n + 1 WHERE id = $1`, fmt.Sprint("hot", (i+k)%2))
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	if got := d.Stats().Deadlocks; got != 0 {
		t.Errorf("deadlocks: got %d, want 0: the writers stood still for a second each time", got)
	}
	if got := count(t, d, `SELECT sum(n) FROM sample_ticket`); got != callers*each {
		t.Errorf("sum: got %d, want %d", got, callers*each)
	}
}
