package blob_test

import (
	"context"
	"io"
	"runtime"
	"testing"

	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/db"
)

// watched is a source (or sink) of bytes that notes the largest live heap.
type watched struct {
	left, peak int64
	base       uint64
}

func newWatched(n int64) *watched { return &watched{left: n, base: liveHeap()} }

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (w *watched) note() {
	if h := liveHeap(); h > w.base {
		w.peak = max(w.peak, int64(h-w.base))
	}
}

func (w *watched) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	w.note()
	n := int(min(int64(len(p)), w.left))
	for i := range p[:n] {
		p[i] = byte(w.left >> (i % 24))
	}
	w.left -= int64(n)
	return n, nil
}

func (w *watched) Write(p []byte) (int, error) {
	w.note()
	return len(p), nil
}

// TestMemoryIsBounded puts and reads a blob of 24 MiB; the live heap grows by
// a few chunks only. It does not run in parallel, and neither do its subtests.
func TestMemoryIsBounded(t *testing.T) {
	const size, bound = 24 << 20, 10 << 20
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		for _, backend := range []string{"database", "directory"} {
			t.Run(e.String()+" "+backend, func(t *testing.T) {
				b := newBench(t, e, backend)
				src := newWatched(size)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				ref, err := b.store.Put(t.Context(), src, blob.MaxSize, person())
				if err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				if src.peak > bound {
					t.Errorf("Put: %d MiB live, want at most %d", src.peak>>20, bound>>20)
				}
				if total := after.TotalAlloc - before.TotalAlloc; total > 5*size {
					t.Errorf("Put: %d MiB allocated in all for %d MiB", total>>20, size>>20)
				}
				r, err := b.store.OpenRef(t.Context(), ref.SHA256)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				sink := newWatched(0)
				if _, err := r.WriteTo(sink); err != nil || sink.peak > bound {
					t.Errorf("WriteTo: %d MiB live, %v", sink.peak>>20, err)
				}
				random := newWatched(0)
				p := make([]byte, 1000)
				for i := range int64(60) {
					if _, err := r.ReadAt(p, i*7_654_321%size/2); err != nil {
						t.Fatal(err)
					}
					random.note()
				}
				if random.peak > bound {
					t.Errorf("ReadAt: %d MiB live", random.peak>>20)
				}
			})
		}
	}
}

func BenchmarkPut(b *testing.B) {
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		for _, backend := range []string{"database", "directory"} {
			x := newBench(b, e, backend)
			for name, n := range map[string]int{"200KiB": 200 << 10, "16MiB": 16 << 20} {
				b.Run(e.String()+"/"+backend+"/"+name, func(b *testing.B) {
					content := random(uint64(n), n)
					b.SetBytes(int64(n))
					for i := 0; b.Loop(); i++ {
						content[i%n]++
						if _, err := x.store.Put(context.Background(), io.NewSectionReader(bytesAt(content), 0, int64(n)), blob.MaxSize, crashOwner); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) { return copy(p, b[off:]), nil }
