package pades_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"oruro.gob.bo/suti/signer/pades"
)

// highWater returns the most memory, in bytes, that this process has taken.
func highWater() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("no VmHWM")
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10, err
}

// measureMemory is the child of peakMemory: it signs and verifies the file named and
// prints by how much that raised the most memory it took.
func measureMemory(t *testing.T, path string) error {
	who := authority(t).signer(t, "Ana", nil)
	run := func(f *os.File, n int64) error {
		s, err := pades.SignTo(context.Background(), io.Discard, f, n, who.key, who.chain, nil, pades.Options{SigningTime: now})
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(s.Tail(), n); err != nil {
			return err
		}
		defer f.Truncate(n)
		return verifyAll(f, s.Size(), authority(t), 1)
	}
	small, n := largeFile(t, 1000, 1)
	if err := run(small, n); err != nil { // what a process takes at all
		return err
	}
	idle, err := highWater()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := run(f, info.Size()); err != nil {
		return err
	}
	most, err := highWater()
	if err != nil {
		return err
	}
	fmt.Printf("\nMEMORY %d\n", most-idle)
	return f.Close()
}

// peakMemory returns by how much signing and verifying a file of that size
// raises the memory of a process of its own, in bytes.
func peakMemory(t testing.TB, size int64) int64 {
	t.Helper()
	f, _ := largeFile(t, size, 100)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestMemoryIsFlat$", "-test.v")
	cmd.Env = append(os.Environ(), "SUTI_TEST_MEASURE="+f.Name())
	out, err := cmd.CombinedOutput()
	m := regexp.MustCompile(`\nMEMORY (-?\d+)\n`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("%v: %s", err, out)
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n
}

// Signing and verifying takes at most 12 MB more than a process that signed a
// small file takes, whatever the size.
func TestMemoryIsFlat(t *testing.T) {
	if path := os.Getenv("SUTI_TEST_MEASURE"); path != "" {
		if err := measureMemory(t, path); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Parallel()
	if _, err := highWater(); err != nil {
		t.Skip("the memory of a process cannot be told here: ", err)
	}
	if n := peakMemory(t, 64<<20); n > 12<<20 {
		t.Errorf("64 MB took %d kB above idle", n>>10)
	}
}

// BenchmarkGoalMemory: at most 12 MB above idle for a file of nearly 2 GB.
func BenchmarkGoalMemory(b *testing.B) {
	for b.Loop() {
		n := peakMemory(b, 2_000_000_000)
		report(b, map[string]float64{"MB-above-idle": float64(n) / (1 << 20)})
	}
}
