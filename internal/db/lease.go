package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"database/sql"
)

// Lease is the right to lead a task for a time. Fence rises with each change
// of holder.
type Lease struct {
	Name   string
	Holder string
	Fence  int64
	Until  time.Time
}

// AcquireLease takes or renews the named lease for ttl from now. holder MUST be
// unique to this run of the process (draw it at start), so that a restarted
// process does not pass for the one before. ok is false while another holds it.
//
// The lease only elects; it does not protect: the clocks of two nodes differ
// and a process may be frozen past its ttl. Every write of the leader MUST call
// [CheckFence].
func (d *DB) AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (l Lease, ok bool, err error) {
	if name == "" || holder == "" || ttl <= 0 {
		return Lease{}, false, errors.New("db: lease needs a name, a holder and a positive ttl")
	}
	err = d.Write(ctx, func(tx *Tx) error {
		l, ok = Lease{Name: name, Holder: holder}, false
		now := d.cfg.Now()
		var until int64
		err := tx.QueryRow(`INSERT INTO db_lease (name, holder, fence, until, checks) VALUES ($1, $2, 1, $3, 0)
			ON CONFLICT (name) DO UPDATE SET
			fence = CASE WHEN db_lease.holder = excluded.holder THEN db_lease.fence ELSE db_lease.fence + 1 END,
			holder = excluded.holder, until = excluded.until
			WHERE db_lease.holder = excluded.holder OR db_lease.until <= $4
			RETURNING fence, until`, name, holder, Micros(now.Add(ttl)), Micros(now)).Scan(&l.Fence, &until)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		ok, l.Until = true, Time(until)
		return nil
	})
	if err != nil || !ok {
		return Lease{}, false, err
	}
	return l, true, nil
}

// CheckFence returns ErrFenced, so that the closure fails, if the lease has
// passed to another holder. It locks the lease until the commit, so that a new
// holder's writes come after all writes of the old one.
func CheckFence(tx *Tx, name string, fence int64) error {
	n, err := tx.Exec(`UPDATE db_lease SET checks = checks + 1 WHERE name = $1 AND fence = $2`, name, fence)
	if err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: %s, fence %d", ErrFenced, name, fence)
	}
	return nil
}

// ReleaseLease ends l early, so that another can take it at once. It does
// nothing if l was lost.
func (d *DB) ReleaseLease(ctx context.Context, l Lease) error {
	return d.Write(ctx, func(tx *Tx) error {
		_, err := tx.Exec(`UPDATE db_lease SET until = 0 WHERE name = $1 AND holder = $2 AND fence = $3`, l.Name, l.Holder, l.Fence)
		return err
	})
}
