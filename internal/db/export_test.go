package db

import "context"

// LockSchema takes the migration lock of a SQLite database, for tests.
func LockSchema(ctx context.Context, d *DB) (unlock func(), err error) { return d.lockSchema(ctx, nil) }
