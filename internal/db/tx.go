package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Querier is what a read helper needs; *Tx satisfies it in Read and in Write.
type Querier interface {
	Query(q string, args ...any) (*sql.Rows, error)
	QueryRow(q string, args ...any) *sql.Row
}

// conn is the part of *sql.Conn and *sql.Tx that Tx uses.
type conn interface {
	ExecContext(ctx context.Context, q string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, q string, args ...any) *sql.Row
}

// Tx is what a closure works with, from its call to its return. It is not safe
// for use by several goroutines at a time.
type Tx struct {
	d        *DB
	ctx      context.Context
	conn     conn
	write    bool
	deadline time.Time // of the closure

	mu   sync.Mutex  // guards the fields below against the writer's watchdog
	done error       // not nil: no statement may start
	err  error       // the first statement error, as the driver gave it
	rows []*sql.Rows // to close when the closure returns
}

// Context returns the context of the running closure: the caller's values
// without its cancellation.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Engine says which database this is.
func (tx *Tx) Engine() Engine { return tx.d.Engine() }

// Now returns the database's configured time, for bookkeeping columns.
func (tx *Tx) Now() time.Time { return tx.d.Now() }

// Lock makes writes that name the same lock wait for each other until they have
// committed; what a statement after it reads, no other of them changes. It is for
// rules over rows that are not there yet, which no row can be held for. On SQLite
// there is one writer anyway.
func (tx *Tx) Lock(name string) error {
	if tx.Engine() != Postgres {
		return nil
	}
	_, err := tx.Exec(`SELECT pg_advisory_xact_lock(hashtextextended('suti lock ' || current_schema() || ' ' || $1, 0))`, name)
	return err
}

// Exec runs a statement and returns the number of rows it changed.
func (tx *Tx) Exec(q string, args ...any) (int64, error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := tx.ready(); err != nil {
		return 0, err
	}
	if !tx.write {
		return 0, tx.fail(ErrReadOnly)
	}
	vals, err := portable(q, args)
	if err != nil {
		return 0, tx.fail(err)
	}
	res, err := tx.conn.ExecContext(tx.ctx, q, vals...)
	if err != nil {
		return 0, tx.fail(err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, tx.fail(err)
	}
	return n, nil
}

// Query runs a statement that returns rows. The rows must be closed before the
// next statement; what is still open when the closure returns is closed then.
func (tx *Tx) Query(q string, args ...any) (*sql.Rows, error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := tx.ready(); err != nil {
		return nil, err
	}
	vals, err := portable(q, args)
	if err != nil {
		return nil, tx.fail(err)
	}
	rows, err := tx.conn.QueryContext(tx.ctx, q, vals...)
	if err != nil {
		return nil, tx.fail(err)
	}
	tx.rows = append(tx.rows, rows)
	return rows, nil
}

// QueryRow runs a statement that returns at most one row. Its error, if any,
// comes from Scan, mapped like that of Exec; sql.ErrNoRows means no row and is
// not a failed statement. The row must be scanned before the next statement.
func (tx *Tx) QueryRow(q string, args ...any) *sql.Row {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if err := tx.ready(); err != nil {
		return tx.errorRow(err)
	}
	vals, err := portable(q, args)
	if err != nil {
		return tx.errorRow(tx.fail(err))
	}
	row := tx.conn.QueryRowContext(tx.ctx, q, vals...)
	if err := row.Err(); err != nil {
		return tx.errorRow(tx.fail(err))
	}
	return row
}

func (tx *Tx) errorRow(err error) *sql.Row { return errorRow(tx.d.readers, err) }

// errorRow returns a row whose Scan gives err. No connection is taken: the
// pool looks at the context first and returns its error as it is.
func errorRow(p *sql.DB, err error) *sql.Row {
	return p.QueryRowContext(failed{context.Background(), err}, "SELECT 1")
}

// failed is a context that was over from the start, with an error of our choice.
type failed struct {
	context.Context
	err error
}

func (f failed) Done() <-chan struct{} { return over }
func (f failed) Err() error            { return f.err }

var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// ready reports why no statement may start. The caller holds tx.mu.
func (tx *Tx) ready() error {
	switch {
	case tx.done != nil:
		return tx.done
	case tx.err != nil:
		return fmt.Errorf("%w: %w", ErrAborted, tx.d.mapError(tx.err))
	case tx.write && time.Now().After(tx.deadline):
		tx.err = ErrDeadline
		return ErrDeadline
	}
	tx.d.stats.statements.Add(1)
	return nil
}

// fail records the first statement error and returns it mapped. The caller holds tx.mu.
func (tx *Tx) fail(err error) error {
	if tx.err == nil {
		tx.err = err
	}
	return tx.d.mapError(err)
}

// finish ends the use of tx and closes its rows. It returns the first statement error.
func (tx *Tx) finish(why error) error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.done == nil {
		tx.done = why
	}
	for _, r := range tx.rows {
		err := r.Close()
		if err == nil {
			err = r.Err() // of an iteration that the closure did not check
		}
		if err != nil && tx.err == nil {
			tx.err = err
		}
	}
	tx.rows = nil
	return tx.err
}

// framing are the words that begin statements about the transaction or the
// session, which belong to this package alone.
var framing = map[string]bool{
	"BEGIN": true, "START": true, "COMMIT": true, "END": true, "ROLLBACK": true, "ABORT": true, "SAVEPOINT": true,
	"RELEASE": true, "PREPARE": true, "SET": true, "RESET": true, "DISCARD": true, "LISTEN": true,
	"PRAGMA": true, "ATTACH": true, "DETACH": true, "VACUUM": true,
}

// checkStatement refuses framing statements.
func checkStatement(q string) error {
	word := strings.TrimLeft(q, " \t\r\n")
	if i := strings.IndexAny(word, " \t\r\n;"); i >= 0 {
		word = word[:i]
	}
	if len(word) <= len("SAVEPOINT") && framing[strings.ToUpper(word)] {
		return fmt.Errorf("%w: %s", ErrStatement, strings.ToUpper(word))
	}
	return nil
}

// portable checks a statement and converts its parameters to the types that
// both engines take alike: int64, float64, bool, string, []byte, nil.
func portable(q string, args []any) ([]any, error) {
	if err := checkStatement(q); err != nil {
		return nil, err
	}
	vals := make([]any, len(args))
	for i, a := range args {
		v, err := driver.DefaultParameterConverter.ConvertValue(a)
		if err != nil {
			return nil, fmt.Errorf("%w: $%d: type %T", ErrArgument, i+1, a)
		}
		switch v := v.(type) {
		case time.Time:
			return nil, fmt.Errorf("%w: $%d: time.Time; pass db.Micros", ErrArgument, i+1)
		case string:
			if strings.IndexByte(v, 0) >= 0 || !utf8.ValidString(v) {
				return nil, fmt.Errorf("%w: $%d: text with NUL or not UTF-8", ErrArgument, i+1)
			}
		}
		vals[i] = v
	}
	return vals, nil
}

// joined is a writer's context with a caller's values.
type joined struct {
	context.Context
	values context.Context
}

type txKey struct{ d *DB }

// Value asks the writer's context first, so that cancellation stays its own.
func (j joined) Value(key any) any {
	if v := j.Context.Value(key); v != nil {
		return v
	}
	return j.values.Value(key)
}

// reentrant reports whether ctx belongs to a running closure of d.
func (d *DB) reentrant(ctx context.Context) bool { return ctx.Value(txKey{d}) != nil }
