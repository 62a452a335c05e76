package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"
)

// Migrate brings the lines, and those of this package, to the version of this
// binary, in the order of their requirements. It waits for a concurrent
// Migrate on the same database. It returns ErrSchemaNew, having changed
// nothing, if a line is newer in the database; ErrLine if the lines are
// malformed. A migration that fails is rolled back; earlier ones stay.
func (d *DB) Migrate(ctx context.Context, lines ...Line) error {
	sorted, err := order(lines)
	if err != nil {
		return err
	}
	admin, closeAdmin, err := d.openAdmin(ctx)
	if err != nil {
		return fmt.Errorf("db: migrate: %w", err)
	}
	defer closeAdmin()
	unlock, err := d.lockSchema(ctx, admin)
	if err != nil {
		return fmt.Errorf("db: lock schema: %w", err)
	}
	defer unlock()
	for _, l := range sorted {
		if err := d.checkLine(ctx, admin, l); err != nil && !errors.Is(err, ErrSchemaOld) {
			return err
		}
	}
	for _, l := range sorted {
		if err := d.migrateLine(ctx, admin, l); err != nil {
			return fmt.Errorf("db: migrate line %q: %w", l.Name, err)
		}
	}
	return nil
}

// Check reports ErrSchemaOld or ErrSchemaNew, naming the line and the versions,
// unless every line is exactly at this binary's version. It changes nothing.
func (d *DB) Check(ctx context.Context, lines ...Line) error {
	sorted, err := order(lines)
	if err != nil {
		return err
	}
	for _, l := range sorted {
		if err := d.checkLine(ctx, d.readers, l); err != nil {
			return err
		}
	}
	return nil
}

func versionTable(line string) string { return "db_version_" + line }

func (d *DB) checkLine(ctx context.Context, pool *sql.DB, l Line) error {
	_, want, err := l.forEngine(d.Engine())
	if err != nil {
		return err
	}
	have, err := d.version(ctx, pool, l.Name)
	switch {
	case err != nil:
		return fmt.Errorf("db: version of line %q: %w", l.Name, err)
	case have > want:
		return fmt.Errorf("%w: line %q is at %d, this program knows %d", ErrSchemaNew, l.Name, have, want)
	case have < want:
		return fmt.Errorf("%w: line %q is at %d, this program needs %d", ErrSchemaOld, l.Name, have, want)
	}
	return nil
}

// version returns the version of a line in the database, 0 if it was never migrated.
func (d *DB) version(ctx context.Context, pool *sql.DB, line string) (int64, error) {
	q := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1`
	if d.Engine() == Postgres {
		q = `SELECT count(*) FROM pg_catalog.pg_class WHERE relname = $1 AND relkind = 'r' AND pg_catalog.pg_table_is_visible(oid)`
	}
	var n int64
	if err := pool.QueryRowContext(ctx, q, versionTable(line)).Scan(&n); err != nil || n == 0 {
		return 0, err
	}
	var v sql.NullInt64
	err := pool.QueryRowContext(ctx, `SELECT max(version_id) FROM `+versionTable(line)).Scan(&v) // the name was checked by order
	return v.Int64, err
}

func (d *DB) migrateLine(ctx context.Context, admin *sql.DB, l Line) error {
	files, _, err := l.forEngine(d.Engine())
	if err != nil {
		return err
	}
	dialect := goose.DialectSQLite3
	if d.Engine() == Postgres {
		dialect = goose.DialectPostgres
	}
	p, err := goose.NewProvider(dialect, admin, files,
		goose.WithTableName(versionTable(l.Name)), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	done, err := p.Up(ctx)
	for _, r := range done {
		d.cfg.Logger.InfoContext(ctx, "migrated", "line", l.Name, "version", r.Source.Version, "duration", r.Duration.String())
	}
	return err
}

// migrationTimeout bounds one statement of a migration.
const migrationTimeout = time.Hour

// openAdmin opens connections for migrations, apart from the writers'.
func (d *DB) openAdmin(ctx context.Context) (*sql.DB, func(), error) {
	if d.Engine() == SQLite {
		p, err := openSQLitePool(d.target.path, false, 2)
		if err != nil {
			return nil, nil, err
		}
		return p, func() { _ = p.Close() }, nil
	}
	p, closer, err := d.pgPool(ctx, 2, map[string]string{"statement_timeout": millis(migrationTimeout), "lock_timeout": millis(migrationTimeout)})
	if err != nil {
		return nil, nil, err
	}
	return p, func() { _ = p.Close(); closer() }, nil
}

// lockSchema excludes other migrations of the same schema, in this process or
// another, until unlock.
func (d *DB) lockSchema(ctx context.Context, admin *sql.DB) (unlock func(), err error) {
	if d.Engine() == SQLite {
		return lockFile(ctx, d.target.path+".migrate-lock")
	}
	c, err := admin.Conn(ctx)
	if err != nil {
		return nil, err
	}
	const key = `pg_catalog.hashtextextended('suti migrate ' || current_schema(), 0)`
	if _, err := c.ExecContext(ctx, `SELECT pg_advisory_lock(`+key+`)`); err != nil {
		_ = c.Close()
		return nil, err
	}
	return func() {
		_, _ = c.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock(`+key+`)`)
		_ = c.Close()
	}, nil
}

// lockPoll is how often a held lock file is tried again.
const lockPoll = 20 * time.Millisecond

// lockFile takes an advisory lock on a file beside the database. It is not the
// database file itself: closing any descriptor of that would drop SQLite's own locks.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, err
		}
		if err := sleep(ctx, lockPoll); err != nil {
			_ = f.Close()
			return nil, err
		}
	}
}
