package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/keystore"
)

// The child process of TestCrash is told what to do by these variables.
const (
	envURL = "SUTI_BLOB_CRASH_URL"
	envDir = "SUTI_BLOB_CRASH_DIR"
)

const (
	crashOwner = "per_01890000000000000000000000"
	crashSize  = 3*blob.ChunkSize + 9
)

// TestCrashChild is not a test: it is what TestCrash kills.
func TestCrashChild(t *testing.T) {
	url := os.Getenv(envURL)
	if url == "" {
		return
	}
	if err := failpoint.ArmFromEnv(os.Getenv); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	d, err := db.Open(ctx, db.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keystore.Open(ctx, keystore.Config{DB: d, KEK: testKEK(t)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := blob.Open(blob.Config{DB: d, Keys: keys, Dir: os.Getenv(envDir)})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range []int{crashSize, 100} {
		if _, err := s.Put(ctx, bytes.NewReader(random(uint64(i), n)), blob.MaxSize, crashOwner); err != nil {
			t.Fatal(err)
		}
		fmt.Println("stored", i) // acknowledged to the parent
	}
}

// TestCrash kills a process at each failpoint of Put. What was acknowledged is
// there, what was not is wholly absent, and a sweep leaves nothing behind.
func TestCrash(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		inline := b.dir == "" // a small blob is one write there
		for _, c := range []struct {
			point string
			hit   int
			acked int
		}{
			{failpoint.BlobPutAfterChunk, 1, 0}, {failpoint.BlobPutAfterChunk, 2, 0}, {failpoint.BlobPutAfterChunk, 4, 0},
			{failpoint.BlobPutBeforeMetadata, 1, 0}, {failpoint.BlobPutBeforeMetadata, 2, 1}, {failpoint.BlobPutAfterChunk, 5, 1},
		} {
			if inline && c.hit == 5 {
				continue
			}
			name := fmt.Sprintf("%s@%d", c.point, c.hit)
			cmd := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
			cmd.Env = append(os.Environ(), envURL+"="+b.url, envDir+"="+b.dir, fmt.Sprintf("%s=%s=kill@%d", failpoint.EnvVar, c.point, c.hit))
			out, err := cmd.Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Fatalf("%s: child ended with %v: %s", name, err, out)
			}
			if got := bytes.Count(out, []byte("stored")); got != c.acked {
				t.Errorf("%s: %d acknowledged, want %d", name, got, c.acked)
			}
			u := b.usage()
			if u.objects != c.acked {
				t.Errorf("%s: %d objects, want %d", name, u.objects, c.acked)
			}
			if u.loose != 1 && (!inline || c.acked == 0) {
				t.Errorf("%s: nothing left to sweep: %+v", name, u)
			}
			// Real time has passed in the child; this clock is another.
			b.c.Add(time.Now().Add(2 * time.Hour).Sub(b.c.Now()))
			if _, err := b.store.Sweep(t.Context(), time.Hour); err != nil {
				t.Errorf("%s: sweep: %v", name, err)
			}
			want := usage{}
			if c.acked == 1 {
				want = usage{objects: 1, chunks: 4}
				if b.dir != "" {
					want = usage{objects: 1, files: 1}
				}
			}
			if u := b.usage(); u != want {
				t.Errorf("%s: after the sweep: %+v, want %+v", name, u, want)
			}
			// The same Put again succeeds as if nothing had been.
			if err := b.store.Verify(t.Context(), b.put(random(0, crashSize), crashOwner)); err != nil {
				t.Errorf("%s: again: %v", name, err)
			}
			for n := 1; n > 0; {
				if n, err = b.store.DeleteOwner(t.Context(), crashOwner); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestFaults lets each failpoint fail instead: Put reports it and cleans up.
func TestFaults(t *testing.T) {
	b := newBench(t, db.SQLite, "database")
	boom := errors.New("boom")
	for _, name := range []string{failpoint.BlobPutAfterChunk, failpoint.BlobPutBeforeMetadata} {
		disarm := failpoint.Arm(name, func() error { return boom })
		_, err := b.store.Put(t.Context(), bytes.NewReader(random(1, crashSize)), blob.MaxSize, crashOwner)
		disarm()
		if !errors.Is(err, boom) {
			t.Errorf("%s: got %v", name, err)
		}
		if u := b.usage(); u != (usage{}) {
			t.Errorf("%s: left %+v", name, u)
		}
	}
}

// slow gives chunks of a blob and runs a function before each but the first.
type slow struct {
	content *bytes.Reader
	between func(n int)
	n       int
}

func (s *slow) Read(p []byte) (int, error) {
	if s.n > 0 {
		s.between(s.n)
	}
	s.n++
	return s.content.Read(p[:min(len(p), blob.ChunkSize)])
}

// TestSweepAndLiveUploads: an upload that moves is spared, however long it
// takes in all; one that stood still is given up, and says so.
func TestSweepAndLiveUploads(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		owner := person()
		content := random(5, 24*blob.ChunkSize)
		swept := 0
		r := &slow{content: bytes.NewReader(content), between: func(int) {
			b.c.Add(3 * time.Minute)
			n, err := b.store.Sweep(t.Context(), time.Hour)
			if err != nil {
				t.Error(err)
			}
			swept += n
		}}
		ref, err := b.store.Put(t.Context(), r, blob.MaxSize, owner)
		if err != nil || swept != 0 {
			t.Fatalf("a moving upload: %v, swept %d", err, swept)
		}
		if err := b.store.Verify(t.Context(), ref); err != nil {
			t.Error(err)
		}
		for _, at := range []int{2, 3} {
			r = &slow{content: bytes.NewReader(random(6, 3*blob.ChunkSize)), between: func(n int) {
				if n == at {
					b.c.Add(61 * time.Minute)
					if n, err := b.store.Sweep(t.Context(), time.Hour); err != nil || n != 1 {
						t.Errorf("standing upload: swept %d, %v", n, err)
					}
				}
			}}
			if _, err := b.store.Put(t.Context(), r, blob.MaxSize, owner); !errors.Is(err, blob.ErrSwept) {
				t.Errorf("standing at read %d: got %v, want ErrSwept", at, err)
			}
		}
		want := usage{objects: 1, chunks: len(content) / blob.ChunkSize}
		if b.dir != "" {
			want = usage{objects: 1, files: 1}
		}
		if u := b.usage(); u != want {
			t.Errorf("left %+v, want %+v", u, want)
		}
		// However short a time is asked for, a minute is granted.
		r = &slow{content: bytes.NewReader(random(7, 3*blob.ChunkSize)), between: func(int) {
			b.c.Add(10 * time.Second)
			if n, err := b.store.Sweep(t.Context(), -time.Hour); n != 0 || err != nil {
				t.Errorf("swept %d, %v", n, err)
			}
		}}
		if _, err := b.store.Put(t.Context(), r, blob.MaxSize, owner); err != nil {
			t.Error(err)
		}
	})
}

// TestSweepAgainstEverything: uploads, deletions and merciless sweeps at once.
// What Put acknowledged and nobody deleted is whole; nothing else remains.
func TestSweepAgainstEverything(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		owner := person()
		var running atomic.Int32
		running.Store(3)
		kept := make(chan blob.Ref, 100)
		work := func(worker uint64) {
			defer running.Add(-1)
			for i := range uint64(6) {
				content := random(worker*100+i, int(1+i%3)*blob.ChunkSize/2*2+int(i))
				ref, err := b.store.Put(t.Context(), bytes.NewReader(content), blob.MaxSize, owner)
				if err != nil {
					if !errors.Is(err, blob.ErrSwept) {
						t.Error(err)
					}
					continue
				}
				if i%2 == 0 {
					kept <- ref
				} else if err := b.store.Delete(t.Context(), owner, ref.SHA256); err != nil {
					t.Error(err)
				}
			}
		}
		for w := range uint64(3) {
			go work(w)
		}
		for running.Load() > 0 {
			b.c.Add(40 * time.Second)
			if _, err := b.store.Sweep(t.Context(), time.Minute); err != nil {
				t.Error(err)
			}
		}
		close(kept)
		chunks, objects := 0, 0
		for ref := range kept {
			objects++
			chunks += int(max(1, (ref.Size+blob.ChunkSize-1)/blob.ChunkSize))
			if err := b.store.Verify(t.Context(), ref); err != nil {
				t.Error(err)
			}
		}
		b.c.Add(2 * time.Hour)
		for n := 1; n > 0; {
			var err error
			if n, err = b.store.Sweep(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		want := usage{objects: objects, chunks: chunks}
		if b.dir != "" {
			want = usage{objects: objects, files: objects}
		}
		if u := b.usage(); u != want {
			t.Errorf("left %+v, want %+v", u, want)
		}
	})
}
