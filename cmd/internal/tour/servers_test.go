package tour

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestTourSaysWhatItRunsOn takes a tour on a database, finds it named, and is
// refused a second one on what the first left.
func TestTourSaysWhatItRunsOn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := Config{DatabaseURL: "sqlite:" + filepath.Join(t.TempDir(), "used.db"), Out: t.TempDir(), Stdout: &out, FirstPort: 18670}
	if _, err := Run(t.Context(), c); err != nil {
		t.Fatal(err, out.String())
	}
	first, _, _ := strings.Cut(strings.SplitAfter(out.String(), "0 Sistema\n")[1], "\n")
	if !strings.Contains(first, "base de datos y caché: SQLite 3.") || !strings.HasSuffix(first, "; caché en el proceso") {
		t.Errorf("first row: %s", first)
	}
	if _, err := Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "the database is not empty") {
		t.Errorf("second tour on the same database: got %v", err)
	}
}

func TestTourRefusesACacheThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{"redis://" + address + "/0": "the cache does not answer", "http://" + address: "--redis"} {
		steps, err := Run(t.Context(), Config{RedisURL: url, Out: t.TempDir()})
		if err == nil || len(steps) != 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v after %d steps, want %q", url, err, len(steps), want)
		}
	}
}
