package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// readAttempts bounds how often a read is run again after a lost connection or
// a stale plan.
const readAttempts = 3

// Read runs fn in one read-only transaction of the read pool that sees one
// snapshot. fn may run more than once. Both engines refuse writes in it
// (ErrReadOnly). ctx cancels the statements.
func (d *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	if d.reentrant(ctx) {
		return ErrReentrant
	}
	for attempt := 1; ; attempt++ {
		again, err := d.readOnce(ctx, fn)
		if !again || attempt == readAttempts || ctx.Err() != nil {
			return err
		}
	}
}

func (d *DB) readOnce(ctx context.Context, fn func(*Tx) error) (again bool, err error) {
	opts := &sql.TxOptions{ReadOnly: true}
	if d.Engine() == Postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	stx, err := d.readers.BeginTx(ctx, opts)
	if err != nil {
		return classify(err) == classLost, d.readError(ctx, err)
	}
	defer func() { _ = stx.Rollback() }()
	tx := &Tx{d: d, ctx: ctx, conn: stx, deadline: time.Time{}}
	defer func() { _ = tx.finish(ErrTxDone) }()
	if err := fn(tx); err != nil {
		if failed := tx.finish(ErrTxDone); failed != nil {
			c := classify(failed)
			again = c == classLost || c == classRetry
		}
		return again, err
	}
	if failed := tx.finish(ErrTxDone); failed != nil {
		c := classify(failed)
		return c == classLost || c == classRetry, d.mapError(failed)
	}
	return false, nil
}

// readError maps err, keeping the caller's own cancellation recognisable.
func (d *DB) readError(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	if ctx.Err() != nil {
		return err
	}
	return d.mapError(err)
}

// Query runs one statement on the read pool, outside a transaction. The caller
// closes the rows. Use [DB.Read] where two statements must agree.
func (d *DB) Query(ctx context.Context, q string, args ...any) (*sql.Rows, error) {
	if d.reentrant(ctx) {
		return nil, ErrReentrant
	}
	vals, err := portable(q, args)
	if err != nil {
		return nil, err
	}
	d.stats.statements.Add(1)
	rows, err := d.readers.QueryContext(ctx, q, vals...)
	if err != nil && classify(err) == classRetry {
		rows, err = d.readers.QueryContext(ctx, q, vals...) // a stale plan is prepared afresh
	}
	if err != nil {
		return nil, d.readError(ctx, err)
	}
	return rows, nil
}

// QueryRow runs one statement on the read pool that returns at most one row.
// Its error comes from Scan.
func (d *DB) QueryRow(ctx context.Context, q string, args ...any) *sql.Row {
	if d.reentrant(ctx) {
		return errorRow(d.readers, ErrReentrant)
	}
	vals, err := portable(q, args)
	if err != nil {
		return errorRow(d.readers, err)
	}
	d.stats.statements.Add(1)
	row := d.readers.QueryRowContext(ctx, q, vals...)
	if err := row.Err(); err != nil && classify(err) == classRetry {
		row = d.readers.QueryRowContext(ctx, q, vals...)
	}
	if err := row.Err(); err != nil {
		return errorRow(d.readers, d.readError(ctx, err))
	}
	return row
}
