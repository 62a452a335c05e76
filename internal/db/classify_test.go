package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	sqlite3 "modernc.org/sqlite/lib"
)

func TestClassifyPostgres(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, severity, routine string
		want                    class
	}{
		{"40001", "ERROR", "", classRetry},
		{"40P01", "ERROR", "", classRetry},
		{"55P03", "ERROR", "", classRetry},
		{"0A000", "ERROR", "RevalidateCachedQuery", classRetry},
		{"0A000", "ERROR", "other", classOther}, // feature not supported: again would fail again
		{"57014", "ERROR", "", classTimeout},
		{"25006", "ERROR", "", classReadOnly},
		{"53100", "ERROR", "", classFull},
		{"58030", "ERROR", "", classIO},
		{"XX001", "ERROR", "", classIO},
		{"XX000", "PANIC", "", classIO},
		{"XX000", "ERROR", "", classOther},
		{"57P01", "FATAL", "", classLost},
		{"57P03", "FATAL", "", classLost},
		{"25P03", "FATAL", "", classLost},
		{"08006", "FATAL", "", classLost},
		{"53300", "FATAL", "", classLost},
		{"23505", "ERROR", "", classConstraint},
		{"42601", "ERROR", "", classOther},
	} {
		err := fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: c.code, SeverityUnlocalized: c.severity, Routine: c.routine})
		if got := classify(err); got != c.want {
			t.Errorf("%s %s %s: got class %d, want %d", c.severity, c.code, c.routine, got, c.want)
		}
	}
}

func TestClassifyOthers(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]class{
		sqlite3.SQLITE_BUSY: classRetry, sqlite3.SQLITE_BUSY_SNAPSHOT: classRetry, sqlite3.SQLITE_IOERR_FSYNC: classIO,
		sqlite3.SQLITE_IOERR_WRITE: classIO, sqlite3.SQLITE_CORRUPT: classIO, sqlite3.SQLITE_FULL: classFull,
		sqlite3.SQLITE_READONLY: classReadOnly, sqlite3.SQLITE_INTERRUPT: classTimeout,
		sqlite3.SQLITE_CONSTRAINT_CHECK: classConstraint, sqlite3.SQLITE_ERROR: classOther,
	} {
		if got := classifySQLite(code); got != want {
			t.Errorf("SQLite %d: got class %d, want %d", code, got, want)
		}
	}
	for err, want := range map[error]class{
		io.ErrUnexpectedEOF: classLost, net.ErrClosed: classLost, context.DeadlineExceeded: classTimeout,
		errors.New("anything"): classOther, ErrDeadline: classTimeout,
	} {
		if got := classify(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v: got class %d, want %d", err, got, want)
		}
	}
}
