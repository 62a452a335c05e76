package db

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// session is one writer's connection and the transaction on it.
type session struct {
	d     *DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // SQLite: prepared statements of this connection

	// PostgreSQL: who this session is in db_commit, and its last batch number.
	id    string
	batch int64
}

// connectTimeout bounds taking a connection for a writer.
const connectTimeout = 5 * time.Second

func (d *DB) newSession() (*session, error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	c, err := d.writers.Conn(ctx)
	if err != nil {
		return nil, errors.New(d.target.redact(err.Error()))
	}
	s := &session{d: d, conn: c, id: rand.Text()}
	if d.Engine() == SQLite {
		s.stmts = map[string]*sql.Stmt{}
		return s, nil
	}
	if _, err := c.ExecContext(ctx, purgeSQL); err != nil && classify(err) == classLost {
		s.discard()
		return nil, errors.New(d.target.redact(err.Error()))
	} // else: not migrated yet; the first commit will say so
	return s, nil
}

// discard drops the connection; the server rolls back what was open on it.
func (s *session) discard() {
	for _, st := range s.stmts {
		_ = st.Close()
	}
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
}

// release gives the connection back to the pool.
func (s *session) release() {
	for _, st := range s.stmts {
		_ = st.Close()
	}
	_ = s.conn.Close()
}

// The statements that frame a batch. On PostgreSQL two of them travel together.
const (
	sqlBegin    = "BEGIN"
	sqlBeginIm  = "BEGIN IMMEDIATE"
	sqlSave     = "SAVEPOINT w"
	sqlRelease  = "RELEASE SAVEPOINT w"
	sqlBack     = "ROLLBACK TO SAVEPOINT w"
	sqlRollback = "ROLLBACK"
	sqlCommit   = "COMMIT"
)

// batchLockWait bounds the wait for a row that another writer's batch holds.
// Batches hold the rows of closures that have nothing to do with each other, so
// two of them can wait for each other although no two closures could; the
// server would notice only after its deadlock_timeout (1 s), with the writers
// standing still. A closure that waited this long runs again in a transaction
// of its own, which may wait as long as a statement may run.
const batchLockWait = 50 * time.Millisecond

// control runs framing statements, in one round trip where there are several.
func (s *session) control(ctx context.Context, stmts ...string) error {
	if s.d.Engine() == SQLite {
		for _, q := range stmts {
			if _, err := s.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	}
	return s.raw(func(c *pgx.Conn) error {
		q := stmts[0]
		for _, more := range stmts[1:] {
			q += "; " + more
		}
		res, err := c.PgConn().Exec(ctx, q).ReadAll()
		if err != nil {
			return err
		}
		for _, r := range res {
			if r.Err != nil {
				return r.Err
			}
		}
		return nil
	})
}

func (s *session) raw(fn func(*pgx.Conn) error) error {
	var inner error
	err := s.conn.Raw(func(dc any) error {
		inner = fn(dc.(*stdlib.Conn).Conn())
		return nil
	})
	if inner != nil {
		return inner
	}
	return err
}

// maxStmts bounds the prepared statements kept by a SQLite session.
const maxStmts = 256

// ExecContext implements conn. On SQLite it keeps statements prepared.
func (s *session) ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error) {
	if s.stmts == nil {
		return s.conn.ExecContext(ctx, q, args...)
	}
	st := s.stmts[q]
	if st == nil {
		if len(s.stmts) >= maxStmts {
			return s.conn.ExecContext(ctx, q, args...)
		}
		var err error
		if st, err = s.conn.PrepareContext(ctx, q); err != nil {
			return nil, err
		}
		s.stmts[q] = st
	}
	return st.ExecContext(ctx, args...)
}

// QueryContext implements conn.
func (s *session) QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	return s.conn.QueryContext(ctx, q, args...)
}

// QueryRowContext implements conn.
func (s *session) QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row {
	return s.conn.QueryRowContext(ctx, q, args...)
}

// alive reports whether the connection can still be used.
func (s *session) alive() bool {
	if s.d.Engine() == SQLite {
		return true
	}
	return s.raw(func(c *pgx.Conn) error {
		if c.IsClosed() {
			return driver.ErrBadConn
		}
		return nil
	}) == nil
}

// aborted reports whether the open transaction can only be rolled back, though
// no statement error was seen.
func (s *session) aborted() bool {
	if s.d.Engine() == SQLite {
		return false
	}
	bad := false
	err := s.raw(func(c *pgx.Conn) error {
		bad = c.PgConn().TxStatus() != 'T'
		return nil
	})
	return err != nil || bad
}

// serverMicros is the server's time: rows of this table are purged by age, and
// the nodes' clocks may differ.
const serverMicros = `CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)`

// purgeSQL forgets sessions that ended long before any commit could still be in flight.
const purgeSQL = `DELETE FROM db_commit WHERE at < ` + serverMicros + ` - CAST(7 AS BIGINT) * 86400 * 1000000`

// markSQL records the batch in the transaction that it is part of. A session
// that was probed meanwhile violates NOT NULL here and so cannot commit.
const markSQL = `INSERT INTO db_commit (writer, batch, probed, at) VALUES ($1, $2, 0, ` + serverMicros + `)
	ON CONFLICT (writer) DO UPDATE SET
	batch = CASE WHEN db_commit.probed = 0 THEN excluded.batch END, at = excluded.at`

// probeSQL waits for a transaction that may still be committing (its row lock),
// bars the session from committing later, and tells its last batch. Being a
// write, its own answer comes after whatever standby must have confirmed.
const probeSQL = `INSERT INTO db_commit (writer, batch, probed, at) VALUES ($1, 0, 1, ` + serverMicros + `)
	ON CONFLICT (writer) DO UPDATE SET probed = db_commit.probed + 1, at = excluded.at
	RETURNING batch`

// errAmbiguous wraps an error of a commit whose outcome is not known yet.
var errAmbiguous = errors.New("commit not confirmed")

// errNotCommitted reports a COMMIT that the server answered with ROLLBACK.
var errNotCommitted = errors.New("db: server rolled back at commit")

// commit commits the open transaction. errAmbiguous means: use settle.
func (s *session) commit() error {
	if s.d.Engine() == SQLite {
		_, err := s.ExecContext(context.Background(), sqlCommit)
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.d.cfg.ResolveTimeout)
	defer cancel()
	s.batch++
	return s.raw(func(c *pgx.Conn) error {
		delete(c.PgConn().CustomData(), warned)
		var b pgx.Batch
		b.Queue(markSQL, s.id, s.batch)
		b.Queue(sqlCommit)
		br := c.SendBatch(ctx, &b)
		_, err := br.Exec()
		var tag pgconn.CommandTag
		if err == nil {
			tag, err = br.Exec()
		}
		if cerr := br.Close(); err == nil {
			err = cerr
		}
		var pe *pgconn.PgError
		switch {
		case errors.As(err, &pe) && pe.SeverityUnlocalized == "ERROR":
			return err // the server refused: nothing was committed
		case err != nil && pgconn.SafeToRetry(err):
			return err // nothing was sent
		case err != nil:
			return fmt.Errorf("%w: %w", errAmbiguous, err)
		case tag.String() != sqlCommit:
			return errNotCommitted
		case c.PgConn().CustomData()[warned] != nil:
			// For instance: the wait for the synchronous standby was cancelled.
			return fmt.Errorf("%w: warning %v", errAmbiguous, c.PgConn().CustomData()[warned])
		}
		return nil
	})
}

// settle learns whether this session's last batch was committed, on a new
// connection, and bars it from being committed later.
func (s *session) settle() (committed bool, err error) {
	deadline := time.Now().Add(s.d.cfg.ResolveTimeout)
	for attempt := 0; ; attempt++ {
		committed, err = s.probe(deadline)
		if err == nil {
			return committed, nil
		}
		wait := backoff(attempt + 3)
		if time.Now().Add(wait).After(deadline) {
			return false, fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
		}
		time.Sleep(wait)
	}
}

func (s *session) probe(deadline time.Time) (bool, error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	var batch int64
	err := s.d.writers.QueryRowContext(ctx, probeSQL, s.id).Scan(&batch)
	if err != nil {
		return false, errors.New(s.d.target.redact(err.Error()))
	}
	return batch == s.batch, nil
}
