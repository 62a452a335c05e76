package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrNoBackup reports an engine that is backed up by its own tools
// (pg_basebackup with WAL archiving, or pg_dump).
var ErrNoBackup = errors.New("db: this engine is backed up by its own tools")

// Backup writes a consistent copy of a SQLite database to a new file, readable
// by its owner only, while writes go on, and returns once it is on stable
// storage. It is compact and holds every commit acknowledged before the call.
// PostgreSQL: ErrNoBackup.
func (d *DB) Backup(ctx context.Context, path string) (err error) {
	if d.Engine() != SQLite {
		return ErrNoBackup
	}
	if strings.ContainsRune(path, 0) || path == "" {
		return fmt.Errorf("%w: path of the copy", ErrArgument)
	}
	if err := syscall.Mknod(path, syscall.S_IFREG|0o600, 0); err != nil { // also refuses to overwrite
		return fmt.Errorf("db: backup: create file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	p, err := openSQLitePool(d.target.path, false, 1)
	if err != nil {
		return fmt.Errorf("db: backup: %w", err)
	}
	defer func() { _ = p.Close() }()
	if _, err := p.ExecContext(ctx, `VACUUM INTO $1`, path); err != nil {
		return fmt.Errorf("db: backup: %w", err)
	}
	return syncFile(path)
}

// syncFile flushes a file and its folder's entry for it.
func syncFile(path string) error {
	for _, p := range []string{path, filepath.Dir(path)} {
		f, err := os.Open(p)
		if err != nil {
			return fmt.Errorf("db: backup: %w", err)
		}
		err = f.Sync()
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("db: backup: flush: %w", err)
		}
	}
	return nil
}
