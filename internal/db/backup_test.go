package db_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

func TestBackupIsConsistentWhileWriting(t *testing.T) {
	t.Parallel()
	u := dbtest.URL(t, db.SQLite)
	d := dbtest.OpenConfig(t, db.Config{URL: u})
	if err := d.Migrate(t.Context(), sample()...); err != nil {
		t.Fatal(err)
	}
	// Each closure writes two rows: a copy must have both or neither.
	pair := func(i int) error {
		return d.Write(context.Background(), func(tx *db.Tx) error {
			if err := insertTicket(tx, fmt.Sprint("a", i)); err != nil {
				return err
			}
			return insertTicket(tx, fmt.Sprint("b", i))
		})
	}
	const before = 50
	for i := range before {
		if err := pair(i); err != nil {
			t.Fatal(err)
		}
	}
	copyPath := filepath.Join(t.TempDir(), "copy.db")
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := before; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := pair(i); err != nil {
				t.Error(err)
			}
		}
	})
	err := d.Backup(t.Context(), copyPath)
	close(stop)
	writer.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{copyPath, strings.TrimPrefix(u, "sqlite:")} {
		if st, err := os.Stat(p); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("mode of %s: got %v, %v; want 0600", filepath.Base(p), st.Mode(), err)
		}
	}
	c := dbtest.OpenConfig(t, db.Config{URL: "sqlite:" + copyPath})
	if err := c.Check(t.Context(), sample()...); err != nil {
		t.Error(err)
	}
	n := count(t, c, `SELECT count(*) FROM sample_ticket WHERE id LIKE 'a%'`)
	if m := count(t, c, `SELECT count(*) FROM sample_ticket WHERE id LIKE 'b%'`); n != m || n < before {
		t.Errorf("copy: got %d and %d rows, want equal and at least %d", n, m, before)
	}
	if err := d.Backup(t.Context(), copyPath); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an existing file: got %v, want fs.ErrExist", err)
	}
}

func TestDurabilityIsReported(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		du, err := d.Durability(t.Context())
		if err != nil || du.Version == "" || du.SynchronousCommit == "" {
			t.Errorf("got %+v, %v", du, err)
		}
		if d.Engine() == db.SQLite && !du.Fsync {
			t.Error("SQLite: fsync is off")
		}
	})
}

func TestSQLitePathIsTakenLiterally(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "con espacio ñ & = + 'x'.db")
	d := dbtest.OpenConfig(t, db.Config{URL: "sqlite:" + path})
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Size() == 0 {
		t.Errorf("the named file is not the database: %v, %v", st, err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) != 1 {
		t.Errorf("got files %v, %v; want one", files, err)
	}
}
