package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/sqlite"
)

// sqliteBusy is how long SQLite waits for another process's write lock.
const sqliteBusy = 10 * time.Second

// sqliteDSN returns the data source name of one pool. synchronous=FULL is what
// makes an acknowledged commit survive a loss of power (design D14).
func sqliteDSN(path string, readOnly bool) string {
	q := url.Values{}
	for _, p := range []string{
		"busy_timeout(" + strconv.FormatInt(sqliteBusy.Milliseconds(), 10) + ")",
		"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "trusted_schema(0)", "cell_size_check(1)",
		"cache_size(-16384)", "temp_store(MEMORY)", "journal_size_limit(67108864)",
		"secure_delete(FAST)", // deleted and shortened rows are overwritten: erasure of keys relies on it
	} {
		q.Add("_pragma", p)
	}
	q.Set("_dqs", "0")
	q.Set("_defensive", "1")
	if readOnly {
		q.Add("_pragma", "query_only(1)")
		q.Set("_txlock", "deferred")
	} else {
		q.Set("_txlock", "immediate")
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	return u.String()
}

func openSQLitePool(path string, readOnly bool, maxConns int) (*sql.DB, error) {
	c, err := sqlite.NewConnector(sqliteDSN(path, readOnly))
	if err != nil {
		return nil, err
	}
	p := sql.OpenDB(c)
	p.SetMaxOpenConns(maxConns)
	p.SetMaxIdleConns(maxConns)
	return p, nil
}

func (d *DB) openSQLite(ctx context.Context) error {
	// Only the owner may read the file; the journal files take its mode. mknod
	// makes it without a descriptor, whose closing would drop another handle's locks.
	err := syscall.Mknod(d.target.path, syscall.S_IFREG|0o600, 0)
	if err != nil && !errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("create file: %w", err)
	}
	if d.writers, err = openSQLitePool(d.target.path, false, 1); err != nil {
		return err
	}
	var mode string
	var sync, fk int
	if err := d.writers.QueryRowContext(ctx, `SELECT j.journal_mode, s.synchronous, f.foreign_keys
		FROM pragma_journal_mode AS j, pragma_synchronous AS s, pragma_foreign_keys AS f`).Scan(&mode, &sync, &fk); err != nil {
		return err
	}
	if mode != "wal" || sync != 2 || fk != 1 {
		return fmt.Errorf("settings did not take: journal_mode=%s synchronous=%d foreign_keys=%d", mode, sync, fk)
	}
	if d.readers, err = openSQLitePool(d.target.path, true, d.cfg.MaxReaders); err != nil {
		return err
	}
	return d.readers.PingContext(ctx)
}

// warned is the key under which a connection keeps the last warning it got.
const warned = "suti.warned"

// pgPool opens a pool with the session settings common to all our connections.
func (d *DB) pgPool(ctx context.Context, maxConns int, params map[string]string) (*sql.DB, func(), error) {
	cfg, err := pgxpool.ParseConfig(d.target.dsn)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s", ErrURL, d.target.redact(err.Error()))
	}
	cfg.MaxConns = int32(min(max(maxConns, 1), 1000))
	cfg.MinConns = 0
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	rp := cfg.ConnConfig.RuntimeParams
	if rp["application_name"] == "" {
		rp["application_name"] = "suti"
	}
	rp["timezone"] = "UTC"
	rp["client_encoding"] = "UTF8"
	rp["default_transaction_isolation"] = "read committed"
	rp["statement_timeout"] = millis(d.cfg.StatementTimeout)
	rp["lock_timeout"] = millis(d.cfg.StatementTimeout / 2)
	for k, v := range params {
		rp[k] = v
	}
	// A standby lags: reading from one would show what has been revoked since.
	cfg.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	cfg.ConnConfig.OnNotice = func(c *pgconn.PgConn, n *pgconn.Notice) {
		if n.SeverityUnlocalized == "WARNING" {
			c.CustomData()[warned] = n.Code
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, nil, errors.New(d.target.redact(err.Error()))
	}
	return stdlib.OpenDBFromPool(pool), pool.Close, nil
}

func millis(t time.Duration) string { return strconv.FormatInt(max(t.Milliseconds(), 1), 10) }

func (d *DB) openPostgres(ctx context.Context) error {
	open := func(n int, params map[string]string) (*sql.DB, error) {
		p, closer, err := d.pgPool(ctx, n, params)
		if err == nil {
			d.closers = append(d.closers, closer)
		}
		return p, err
	}
	var err error
	if d.readers, err = open(d.cfg.MaxReaders, map[string]string{"default_transaction_read_only": "on"}); err != nil {
		return err
	}
	// One connection more than writers, to look up the outcome of a lost commit.
	if d.writers, err = open(d.cfg.Writers+1, map[string]string{
		"idle_in_transaction_session_timeout": millis(2 * d.cfg.ClosureTimeout),
		"lock_timeout":                        millis(batchLockWait),
	}); err != nil {
		return err
	}
	du, err := d.Durability(ctx)
	if err != nil {
		return errors.New(d.target.redact(err.Error()))
	}
	if du.SynchronousCommit == "off" {
		return errors.New("synchronous_commit is off for this user or database: acknowledged commits could be lost")
	}
	if !du.Fsync || !du.FullPageWrites {
		d.cfg.Logger.Warn("database server does not flush to disk: for tests only", "fsync", du.Fsync, "full_page_writes", du.FullPageWrites)
	}
	return nil
}

// Durability is what the database promises about an acknowledged commit.
type Durability struct {
	Version           string // of the engine
	Fsync             bool   // commits are flushed to stable storage
	FullPageWrites    bool   // a page torn by a crash can be restored
	SynchronousCommit string // PostgreSQL's setting; "on" on SQLite, which always flushes here
	// SyncStandbys counts the PostgreSQL standbys that must confirm a commit and
	// are connected. Production needs one (design D14). -1: this user may not see it.
	SyncStandbys int
}

// Durability reads the present settings, for health checks.
func (d *DB) Durability(ctx context.Context) (Durability, error) {
	if d.Engine() == SQLite {
		du := Durability{Fsync: true, FullPageWrites: true, SynchronousCommit: "on"} // Open has checked the settings
		err := d.readers.QueryRowContext(ctx, `SELECT sqlite_version()`).Scan(&du.Version)
		return du, err
	}
	var du Durability
	err := d.writers.QueryRowContext(ctx, `SELECT current_setting('server_version'), current_setting('fsync') = 'on',
		current_setting('full_page_writes') = 'on', current_setting('synchronous_commit'),
		CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE')
		THEN (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) ELSE -1 END`).
		Scan(&du.Version, &du.Fsync, &du.FullPageWrites, &du.SynchronousCommit, &du.SyncStandbys)
	return du, err
}
