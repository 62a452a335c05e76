package audit_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// fill appends n entries, many to a transaction.
func (h *harness) fill(n int) {
	h.t.Helper()
	for n > 0 {
		k := min(n, 500)
		ps := make([]*audit.Prepared, k)
		for i := range ps {
			ps[i] = h.prepare(event(i))
		}
		err := h.d.Write(h.t.Context(), func(tx *db.Tx) error {
			for _, p := range ps {
				if _, err := h.log.Append(tx, p); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			h.t.Fatal(err)
		}
		n -= k
	}
}

// TestTallTree grows past 65,536 leaves, where a third level of tiles begins.
func TestTallTree(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("66,000 entries take some seconds")
	}
	h := newHarness(t, dbtest.URL(t, db.SQLite), nil)
	h.cfg.Batch = 10_000
	h.restart()
	total := 0
	for _, n := range []int{65_000, 536, 300} {
		h.fill(n)
		for {
			k, err := h.seq.Step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if total += k; k == 0 {
				break
			}
		}
	}
	if got := h.check(); got != 65_836 || total != 65_836 {
		t.Fatalf("size %d, placed %d; want 65,836", got, total)
	}
	dir := t.TempDir()
	cp, err := h.log.Export(t.Context(), audit.ExportOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rep, err := logverify.VerifyLog(t.Context(), logverify.FSSource(os.DirFS(dir)), logverify.LogOptions{Key: h.seq.VerifierKey(), Earlier: h.notes})
	if err != nil || rep.Checkpoint != cp {
		t.Errorf("export: %+v, %v", rep, err)
	}
}

func benchEach(b *testing.B, fn func(b *testing.B, h *harness)) {
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		b.Run(e.String(), func(b *testing.B) { fn(b, newHarness(b, dbtest.URL(b, e), nil)) })
	}
}

// BenchmarkPrepare is the cryptography of one entry.
func BenchmarkPrepare(b *testing.B) {
	h := newHarness(b, dbtest.URL(b, db.SQLite), nil)
	e := event(1)
	b.ReportAllocs()
	for b.Loop() {
		h.prepare(e)
	}
}

// BenchmarkAppend is one entry in a write of its own, from many callers.
func BenchmarkAppend(b *testing.B) {
	benchEach(b, func(b *testing.B, h *harness) {
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				h.append(event(1))
			}
		})
	})
}

// BenchmarkStep places 1,000 entries and signs; entries/s is the figure.
func BenchmarkStep(b *testing.B) {
	benchEach(b, func(b *testing.B, h *harness) {
		for b.Loop() {
			b.StopTimer()
			h.fill(1000)
			b.StartTimer()
			if n, err := h.seq.Step(b.Context()); err != nil || n != 1000 {
				b.Fatal(n, err)
			}
		}
		b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "entries/s")
	})
}

// BenchmarkInclusionProof proves entries of a tree of 20,000.
func BenchmarkInclusionProof(b *testing.B) {
	benchEach(b, func(b *testing.B, h *harness) {
		h.cfg.Batch = 20_000
		h.restart()
		h.fill(20_000)
		for {
			if n, err := h.seq.Step(b.Context()); err != nil && !errors.Is(err, audit.ErrNotLeader) {
				b.Fatal(err)
			} else if n == 0 {
				break
			}
			h.clock.Advance(time.Second)
		}
		ids := placesOf(b, h)
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			if _, err := h.log.InclusionProof(b.Context(), ids[(i*7919)%len(ids)]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCheck verifies a record of 20,000; entries/s is the figure.
func BenchmarkCheck(b *testing.B) {
	benchEach(b, func(b *testing.B, h *harness) {
		h.cfg.Batch = 20_000
		h.restart()
		h.fill(20_000)
		h.step(20_000)
		for b.Loop() {
			if r, err := h.log.Check(b.Context(), audit.CheckOptions{}); err != nil || !r.OK() {
				b.Fatal(r, err)
			}
		}
		b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "entries/s")
	})
}
