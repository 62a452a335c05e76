package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
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
		"cache_size(-16384)", "temp_store(MEMORY)",
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
	var err error
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
	}); err != nil {
		return err
	}
	var fsync, fullPage, syncCommit string
	if err := d.writers.QueryRowContext(ctx, `SELECT current_setting('fsync'), current_setting('full_page_writes'),
		current_setting('synchronous_commit')`).Scan(&fsync, &fullPage, &syncCommit); err != nil {
		return errors.New(d.target.redact(err.Error()))
	}
	if syncCommit == "off" {
		return errors.New("synchronous_commit is off for this user or database: acknowledged commits could be lost")
	}
	if fsync != "on" || fullPage != "on" {
		d.cfg.Logger.Warn("database server does not flush to disk: for tests only", "fsync", fsync, "full_page_writes", fullPage)
	}
	return nil
}
