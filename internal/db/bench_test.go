package db_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// BenchmarkWrite measures one-row writes by 1, 16 and 64 callers. rows/commit
// says how many were gathered.
func BenchmarkWrite(b *testing.B) {
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", e, callers), func(b *testing.B) {
				d := dbtest.OpenConfig(b, db.Config{URL: dbtest.URL(b, e), Writers: 4})
				if err := d.Migrate(b.Context(), sample()...); err != nil {
					b.Fatal(err)
				}
				before := d.Stats()
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ReportAllocs()
				b.ResetTimer()
				for range callers {
					wg.Go(func() {
						for {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							id := fmt.Sprint("t", n)
							if err := d.Write(context.Background(), func(tx *db.Tx) error { return insertTicket(tx, id) }); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				after := d.Stats()
				b.ReportMetric(float64(after.Writes-before.Writes)/float64(max(1, after.Commits-before.Commits)), "rows/commit")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkRead measures a look-up by key on the read pool.
func BenchmarkRead(b *testing.B) {
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		b.Run(e.String(), func(b *testing.B) {
			d := dbtest.Open(b, e, sample())
			if err := d.Write(b.Context(), func(tx *db.Tx) error { return insertTicket(tx, "t") }); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				var n int64
				if err := d.QueryRow(context.Background(), `SELECT n FROM sample_ticket WHERE id = $1`, "t").Scan(&n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
