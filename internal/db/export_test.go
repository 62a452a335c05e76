package db

import "context"

// LockSchema takes the migration lock of a SQLite database, for tests.
func LockSchema(ctx context.Context, d *DB) (unlock func(), err error) { return d.lockSchema(ctx, nil) }

// Queued returns the number of requests in the queue, for tests.
func Queued(d *DB) int { return len(d.queue) }
