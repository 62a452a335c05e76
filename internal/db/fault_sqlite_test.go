package db_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// childEnv holds the database URL when this binary runs as a writing child.
const childEnv = "SUTI_DB_TEST_CHILD"

// TestChild is not a test: it is what the fault tests run and break. It writes
// from several goroutines and prints one line for each outcome, after it.
func TestChild(t *testing.T) {
	u := os.Getenv(childEnv)
	if u == "" {
		return // runs only as a child of the fault tests
	}
	d, err := db.Open(context.Background(), db.Config{URL: u})
	if err != nil {
		fmt.Println("open", err)
		os.Exit(1)
	}
	callers, each := 4, 1<<30
	if os.Getenv(childEnv+"_EACH") != "" {
		_, _ = fmt.Sscan(os.Getenv(childEnv+"_EACH"), &each)
	}
	var wg sync.WaitGroup
	var next atomic.Int64
	for range callers {
		wg.Go(func() {
			for range each {
				entry := fmt.Sprintf("%d-%d", os.Getpid(), next.Add(1))
				err := d.Write(context.Background(), func(tx *db.Tx) error { return enter(tx, entry+strings.Repeat(" ", 2000)) })
				switch {
				case err == nil:
					fmt.Println("ack", entry)
				case errors.Is(err, db.ErrOutcomeUnknown):
					fmt.Println("unknown", entry)
				case errors.Is(err, db.ErrFull):
					fmt.Println("full", entry)
				case errors.Is(err, db.ErrStopped):
					fmt.Println("stopped", entry)
					return
				default:
					fmt.Println("other", entry, err)
				}
			}
		})
	}
	wg.Wait()
	select {
	case <-d.Broken():
		fmt.Println("broken")
	default:
	}
	if err := d.Close(); err != nil {
		fmt.Println("close", err)
	}
	os.Exit(0)
}

// child runs TestChild on the database, under the given command prefix, and
// gives each line it prints to line; kill ends it.
func child(t *testing.T, url string, env []string, prefix []string, line func(words []string, kill func())) {
	t.Helper()
	args := append(prefix, os.Args[0], "-test.run=^TestChild$")
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(append(os.Environ(), childEnv+"="+url), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		line(strings.Fields(sc.Text()), func() { _ = cmd.Process.Kill() })
	}
	_ = cmd.Wait() // how it ended is not the point
}

func ledgerFile(t *testing.T) string {
	t.Helper()
	u := dbtest.URL(t, db.SQLite)
	d, err := db.Open(t.Context(), db.Config{URL: u})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Migrate(t.Context(), ledger()...); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return u
}

// verify reopens the database and checks every entry: n rows where want says n.
func verify(t *testing.T, url string, acked, refused map[string]bool) {
	t.Helper()
	d := dbtest.OpenConfig(t, db.Config{URL: url})
	var ok string
	if err := d.QueryRow(t.Context(), `SELECT integrity_check FROM pragma_integrity_check`).Scan(&ok); err != nil || ok != "ok" {
		t.Fatalf("integrity: %q, %v", ok, err)
	}
	rows, err := d.Query(t.Context(), `SELECT trim(entry), count(*) FROM ledger GROUP BY entry`)
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
		if n != 1 {
			t.Errorf("%s: %d rows", e, n)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for e := range acked {
		if found[e] != 1 {
			t.Errorf("%s was acknowledged and is lost", e)
		}
	}
	for e := range refused {
		if found[e] != 0 {
			t.Errorf("%s was refused and is there", e)
		}
	}
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	u := ledgerFile(t)
	acked := map[string]bool{}
	for round := range 4 {
		n := 0
		child(t, u, nil, nil, func(words []string, kill func()) {
			if len(words) == 2 && words[0] == "ack" {
				acked[words[1]] = true
				if n++; n == 50+30*round {
					kill()
				}
			}
		})
	}
	if len(acked) < 200 {
		t.Fatalf("only %d writes were acknowledged", len(acked))
	}
	verify(t, u, acked, nil)
}

func strace(t *testing.T, calls, fault string) []string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		dbtest.Missing(t, "strace is not installed: no way to make the disk fail")
	}
	return []string{path, "-f", "-qq", "-o", os.DevNull, "-e", "trace=" + calls, "-e", "inject=" + calls + ":" + fault}
}

func TestFailedFsyncStopsWrites(t *testing.T) {
	t.Parallel()
	u := ledgerFile(t)
	acked, refused := map[string]bool{}, map[string]bool{}
	counts := map[string]int{}
	child(t, u, []string{childEnv + "_EACH=1000"}, strace(t, "fsync,fdatasync", "error=EIO:when=20"), func(words []string, _ func()) {
		counts[words[0]]++
		switch words[0] {
		case "ack":
			acked[words[1]] = true
		case "stopped":
			refused[words[1]] = true
		case "other", "open", "full":
			t.Error(words)
		}
	})
	if counts["ack"] == 0 || counts["unknown"] == 0 || counts["stopped"] != 4 || counts["broken"] != 1 {
		t.Errorf("outcomes: got %v; want acks, then unknown, then every caller stopped and the handle broken", counts)
	}
	if counts["unknown"] > 4 {
		t.Errorf("%d outcomes unknown: writes went on after the failure", counts["unknown"])
	}
	verify(t, u, acked, refused)
}

func TestFullDiskRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	u := ledgerFile(t)
	acked, refused := map[string]bool{}, map[string]bool{}
	lastFull, afterFull := false, 0
	child(t, u, []string{childEnv + "_EACH=60"}, strace(t, "pwrite64", "error=ENOSPC:when=100..130"), func(words []string, _ func()) {
		switch words[0] {
		case "ack":
			acked[words[1]] = true
			if lastFull {
				afterFull++
			}
		case "full":
			refused[words[1]] = true
			lastFull = true
		default:
			t.Error(words)
		}
	})
	if len(refused) == 0 || afterFull == 0 {
		t.Errorf("got %d refusals and %d acknowledgements after the first, want some of both", len(refused), afterFull)
	}
	verify(t, u, acked, refused)
}

// Two handles on one file, as two processes would have.
func TestTwoHandlesShareOneFile(t *testing.T) {
	t.Parallel()
	u := dbtest.URL(t, db.SQLite)
	a, b := dbtest.OpenConfig(t, db.Config{URL: u}), dbtest.OpenConfig(t, db.Config{URL: u})
	if err := a.Migrate(t.Context(), sample()...); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(t.Context(), sample()...); err != nil {
		t.Fatal(err)
	}
	if err := a.Write(t.Context(), func(tx *db.Tx) error { return insertTicket(tx, "n") }); err != nil {
		t.Fatal(err)
	}
	const callers, each = 16, 25
	dbtest.Contend(t, callers, func(i int) {
		d := []*db.DB{a, b}[i%2]
		for range each {
			if err := d.Write(context.Background(), func(tx *db.Tx) error {
				_, err := tx.Exec(`UPDATE sample_ticket SET n = n + 1 WHERE id = 'n'`)
				return err
			}); err != nil {
				t.Error(err)
			}
		}
	})
	if got := count(t, b, `SELECT n FROM sample_ticket`); got != callers*each {
		t.Errorf("got %d, want %d", got, callers*each)
	}
}
