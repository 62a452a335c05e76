package db

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that callers branch on.
var (
	// ErrURL reports a Config.URL that cannot be used.
	ErrURL = errors.New("db: bad URL")
	// ErrClosed reports a call after Close.
	ErrClosed = errors.New("db: closed")
	// ErrStopped reports that stable storage failed earlier; the process must stop.
	ErrStopped = errors.New("db: stopped after a storage failure")
	// ErrOutcomeUnknown reports that the connection was lost during the commit
	// and it could not be learnt whether the write took effect. The caller MUST
	// NOT assume either.
	ErrOutcomeUnknown = errors.New("db: outcome of the write is unknown")
	// ErrBusy reports that the write did not reach a writer in time. Nothing was written.
	ErrBusy = errors.New("db: too busy")
	// ErrUnavailable reports that retries were used up (connection, lock or
	// serialization failures). Nothing was written.
	ErrUnavailable = errors.New("db: unavailable")
	// ErrDeadline reports a closure or statement that ran longer than allowed. Nothing was written.
	ErrDeadline = errors.New("db: statement or closure took too long")
	// ErrReentrant reports Write, Read or Query called with the context of a running closure.
	ErrReentrant = errors.New("db: called from inside a closure")
	// ErrReadOnly reports a write on the read side.
	ErrReadOnly = errors.New("db: read-only")
	// ErrAborted reports a statement, or a successful return, after a statement of the same closure failed.
	ErrAborted = errors.New("db: an earlier statement of this closure failed")
	// ErrTxDone reports use of a Tx after its closure returned.
	ErrTxDone = errors.New("db: transaction is over")
	// ErrFull reports that the database's disk is full. Nothing was written.
	ErrFull = errors.New("db: disk full")
	// ErrArgument reports a parameter that is not portable: a time.Time, text
	// that is not UTF-8 or holds NUL, an unsigned integer above 2⁶³−1.
	ErrArgument = errors.New("db: parameter not portable")
	// ErrStatement reports a statement about the transaction or the session
	// (BEGIN, COMMIT, SET, PRAGMA …), which callers may not run.
	ErrStatement = errors.New("db: statement not allowed")
	// ErrSchemaOld reports a database that lacks migrations this binary needs.
	ErrSchemaOld = errors.New("db: schema is older than this program; run the migrations")
	// ErrSchemaNew reports a database migrated by a newer binary.
	ErrSchemaNew = errors.New("db: schema is newer than this program; use the newer program")
	// ErrLine reports a malformed set of migration lines.
	ErrLine = errors.New("db: bad migration line")
	// ErrFenced reports a lease that has passed to another holder.
	ErrFenced = errors.New("db: lease lost")
)

// ConstraintKind says which rule of the schema a write broke.
type ConstraintKind string

// The kinds.
const (
	Unique     ConstraintKind = "unique" // includes primary keys
	ForeignKey ConstraintKind = "foreign key"
	Check      ConstraintKind = "check"
	NotNull    ConstraintKind = "not null"
)

// ConstraintError is a write refused by the schema. For Unique, Table, Columns
// and Constraint (the index or constraint name; PostgreSQL's default name for
// unnamed ones) are the same on both engines, with Columns empty for an index
// on expressions. For Check, Constraint is the same if the constraint is named.
// For NotNull, Table and Columns are the same. For ForeignKey, SQLite tells
// nothing but the kind. The text never contains row values.
type ConstraintError struct {
	Kind       ConstraintKind
	Table      string
	Constraint string
	Columns    []string
	Err        error // the driver's error
}

// Error names the kind, the table and the constraint.
func (e *ConstraintError) Error() string {
	var b strings.Builder
	b.WriteString("db: ")
	b.WriteString(string(e.Kind))
	b.WriteString(" constraint failed")
	if e.Table != "" {
		b.WriteString(" on " + e.Table)
	}
	if e.Constraint != "" {
		b.WriteString(" (" + e.Constraint + ")")
	}
	return b.String()
}

// Unwrap returns the driver's error.
func (e *ConstraintError) Unwrap() error { return e.Err }

// IsUnique reports whether err is a unique violation on the given table or of
// the given constraint or index name. An empty string matches any.
func IsUnique(err error, tableOrConstraint string) bool {
	var c *ConstraintError
	return errors.As(err, &c) && c.Kind == Unique &&
		(tableOrConstraint == "" || c.Table == tableOrConstraint || c.Constraint == tableOrConstraint)
}

// IsConstraint reports whether err is a violation of the given kind.
func IsConstraint(err error, kind ConstraintKind) bool {
	var c *ConstraintError
	return errors.As(err, &c) && c.Kind == kind
}

// class says what a driver's error means for the transaction it happened in.
type class int

const (
	classOther      class = iota // the statement is at fault
	classConstraint              // refused by the schema
	classRetry                   // lock, deadlock, serialization, stale plan: run again
	classLost                    // the connection is gone or unusable
	classIO                      // stable storage failed
	classFull                    // no space left
	classReadOnly
	classTimeout
)

// classify maps a driver's error by code, never by text.
func classify(err error) class {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return classifyPostgres(pe)
	}
	var se *sqlite.Error
	if errors.As(err, &se) {
		return classifySQLite(se.Code())
	}
	var ne net.Error
	switch {
	case errors.Is(err, driver.ErrBadConn), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF),
		errors.Is(err, net.ErrClosed), pgconn.SafeToRetry(err):
		return classLost
	case errors.Is(err, ErrDeadline), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return classTimeout // before net.Error, which DeadlineExceeded is too
	case errors.As(err, &ne):
		return classLost
	}
	return classOther
}

func classifyPostgres(pe *pgconn.PgError) class {
	switch pe.Code {
	case "40001", "40P01", "55P03", "0A000": // serialization, deadlock, lock timeout, cached plan
		if pe.Code == "0A000" && !strings.Contains(pe.Routine, "RevalidateCachedQuery") {
			return classOther
		}
		return classRetry
	case "57014": // query_canceled: statement timeout
		return classTimeout
	case "25006":
		return classReadOnly
	case "53100":
		return classFull
	case "58030", "F0000", "XX001", "XX002": // io_error, config_file_error, data_corrupted, index_corrupted
		return classIO
	case "25P03", "25P04": // idle-in-transaction and transaction timeouts end the session
		return classLost
	}
	switch {
	case pe.SeverityUnlocalized == "PANIC":
		return classIO
	case pe.SeverityUnlocalized == "FATAL", strings.HasPrefix(pe.Code, "08"), strings.HasPrefix(pe.Code, "57P"), pe.Code == "53300":
		return classLost
	case strings.HasPrefix(pe.Code, "23"):
		return classConstraint
	}
	return classOther
}

func classifySQLite(code int) class {
	switch code & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return classRetry
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return classIO
	case sqlite3.SQLITE_FULL:
		return classFull
	case sqlite3.SQLITE_READONLY:
		return classReadOnly
	case sqlite3.SQLITE_INTERRUPT:
		return classTimeout
	case sqlite3.SQLITE_CONSTRAINT:
		return classConstraint
	}
	return classOther
}

// mapError turns a driver's error into what this package documents. It is the
// one place where driver errors are read.
func (d *DB) mapError(err error) error {
	if err == nil {
		return nil
	}
	var c *ConstraintError
	if errors.As(err, &c) {
		return err
	}
	switch classify(err) {
	case classConstraint:
		return d.constraint(err)
	case classReadOnly:
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case classFull:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case classTimeout:
		if errors.Is(err, ErrDeadline) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrDeadline, err)
	}
	return err
}

// retryable counts the kind of a failure that will be retried.
func (s *stats) retryable(err error) {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "40P01" {
		s.deadlocks.Add(1)
	}
}

// commitError is mapError for a failed commit, which includes the record of the batch.
func (d *DB) commitError(err error) error {
	var pe *pgconn.PgError
	if errors.As(err, &pe) && pe.Code == "42P01" { // undefined_table: db_commit
		return fmt.Errorf("%w: %w", ErrSchemaOld, err)
	}
	return d.mapError(err)
}
