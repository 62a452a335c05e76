// Package dbtest gives tests real databases: a SQLite file or a PostgreSQL
// schema for each test, migrated and removed afterwards. PostgreSQL comes from
// the environment variable SUTI_TEST_POSTGRES; without it those tests are
// skipped, or fail if SUTI_TEST_REQUIRE is 1. Only tests import this package.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
)

// EnvPostgres names the variable that holds the URL of a server where schemas may be created.
const EnvPostgres = "SUTI_TEST_POSTGRES"

// EnvRequire names the variable that turns skips into failures when it is 1.
const EnvRequire = "SUTI_TEST_REQUIRE"

// Each runs fn as parallel subtests "sqlite" and "postgres", each on an empty
// database of its own with the lines migrated.
func Each(t *testing.T, lines []db.Line, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			fn(t, Open(t, e, lines))
		})
	}
}

// Open opens an empty database of the engine with the lines migrated, closed
// and removed at the end of the test.
func Open(t testing.TB, e db.Engine, lines []db.Line) *db.DB {
	t.Helper()
	d := OpenConfig(t, db.Config{URL: URL(t, e)})
	if err := d.Migrate(t.Context(), lines...); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return d
}

// OpenConfig opens c with small pools and closes it at the end of the test.
func OpenConfig(t testing.TB, c db.Config) *db.DB {
	t.Helper()
	if c.MaxReaders == 0 {
		c.MaxReaders = 3
	}
	if c.Writers == 0 {
		c.Writers = 2
	}
	d, err := db.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

// URL returns the URL of an empty database of the engine, removed at the end
// of the test. Opening it twice gives two handles on one database.
func URL(t testing.TB, e db.Engine) string {
	t.Helper()
	if e == db.SQLite {
		return "sqlite:" + filepath.Join(t.TempDir(), "suti.db")
	}
	raw := os.Getenv(EnvPostgres)
	if raw == "" {
		Missing(t, EnvPostgres+" is not set: no PostgreSQL to test on")
	}
	admin, err := adminPool(raw)
	if err != nil {
		t.Fatalf("%s: %v", EnvPostgres, err)
	}
	schema := fmt.Sprintf("t_%d_%s", time.Now().Unix(), strings.ToLower(rand.Text()[:10]))
	if _, err := admin.ExecContext(t.Context(), "CREATE SCHEMA "+schema); err != nil {
		t.Fatalf("create schema: %v", err)
	}
	t.Cleanup(func() {
		if _, err := admin.ExecContext(context.Background(), "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			t.Errorf("drop schema: %v", err)
		}
	})
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatalf("%s is not a URL", EnvPostgres)
	}
	q := u.Query()
	q.Set("search_path", schema)
	u.RawQuery = q.Encode()
	return u.String()
}

// Missing skips the test for want of a service or tool, or fails it if
// SUTI_TEST_REQUIRE is 1.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(EnvRequire) == "1" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Admin returns a small pool on the server of SUTI_TEST_POSTGRES with the
// rights of its user, for tests that disturb it. It must not be closed.
func Admin(t testing.TB) *sql.DB {
	t.Helper()
	raw := os.Getenv(EnvPostgres)
	if raw == "" {
		Missing(t, EnvPostgres+" is not set: no PostgreSQL to test on")
	}
	p, err := adminPool(raw)
	if err != nil {
		t.Fatalf("%s: %v", EnvPostgres, err)
	}
	return p
}

var (
	adminMu sync.Mutex
	admin   *sql.DB // guarded by adminMu; lives as long as the test binary
)

// staleAfter is the age at which a schema left by a killed test is dropped.
const staleAfter = 2 * time.Hour

func adminPool(raw string) (*sql.DB, error) {
	adminMu.Lock()
	defer adminMu.Unlock()
	if admin != nil {
		return admin, nil
	}
	p, err := sql.Open("pgx", raw)
	if err != nil {
		return nil, err
	}
	p.SetMaxOpenConns(2)
	p.SetMaxIdleConns(1)
	p.SetConnMaxIdleTime(5 * time.Second)
	if err := dropStale(p); err != nil {
		_ = p.Close()
		return nil, err
	}
	admin = p
	return p, nil
}

func dropStale(p *sql.DB) error {
	rows, err := p.Query(`SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname ~ '^t_[0-9]+_[a-z0-9]+$'`)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var stale []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return err
		}
		made, err := strconv.ParseInt(strings.Split(n, "_")[1], 10, 64)
		if err == nil && time.Since(time.Unix(made, 0)) > staleAfter {
			stale = append(stale, n)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, n := range stale {
		if _, err := p.Exec("DROP SCHEMA IF EXISTS " + n + " CASCADE"); err != nil {
			return err
		}
	}
	return nil
}

// Contend runs fn(0) … fn(n-1) on n goroutines that start together, and waits
// for all. fn may call t.Error, not t.Fatal.
func Contend(t testing.TB, n int, fn func(i int)) {
	t.Helper()
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-start
			fn(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}
