package core

import (
	"context"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
)

const (
	// settleAfter is how long an intent is left to whoever committed it.
	settleAfter = finishWithin + 15*time.Second
	// stampWithin is how long after the use of the key a time-stamp still proves
	// it; verifiers allow ten minutes.
	stampWithin  = 8 * time.Minute
	recoverBatch = 32
)

// Recover closes intents that a crash or a failing time-stamp left open: with the
// stored signature value it finishes them, as long as a time-stamp still proves
// the moment; else it abandons them. It never uses a key. It returns how many it
// closed; every node may run it at any time.
func (c *Core) Recover(ctx context.Context) (int, error) {
	now := c.cfg.Now()
	ids, err := c.unfinished(ctx, now.Add(-settleAfter))
	if err != nil {
		return 0, err
	}
	n := 0
	var errs []error
	for _, id := range ids {
		closed, err := c.settle(ctx, id, now)
		if err != nil {
			errs = append(errs, err)
		}
		if closed {
			n++
		}
	}
	return n, errors.Join(errs...)
}

func (c *Core) unfinished(ctx context.Context, before time.Time) ([]string, error) {
	rows, err := c.cfg.DB.Query(ctx, "SELECT id FROM signer_core_activation WHERE state IN ('intent', 'signed') AND used_at <= $1 ORDER BY used_at LIMIT $2",
		db.Micros(before), recoverBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// settle closes one intent.
func (c *Core) settle(ctx context.Context, id string, now time.Time) (bool, error) {
	row, err := c.loadActivation(ctx, id)
	if err != nil {
		return false, err
	}
	switch row.state {
	case Intent:
		err = c.closeIntent(ctx, row, Abandoned, CodeFailed, audit.OutcomeAbandoned)
	case Signed:
		if err = c.complete(ctx, row); err != nil && now.Sub(row.signed) > stampWithin {
			err = c.closeIntent(ctx, row, Abandoned, CodeTimestampUnavailable, audit.OutcomeAbandoned)
		}
	default:
		return false, nil
	}
	if errors.Is(err, errClosed) {
		return false, nil
	}
	return err == nil, err
}

// Purge forgets activations that were never used and expired before the time, at
// most limit. Used ones are evidence and stay.
func (c *Core) Purge(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	err = c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		const which = "SELECT id FROM signer_core_activation WHERE state = 'open' AND expires_at < $1 ORDER BY expires_at LIMIT $2"
		if _, err := tx.Exec("DELETE FROM signer_core_document WHERE activation IN ("+which+")", db.Micros(before), limit); err != nil {
			return err
		}
		n, err = tx.Exec("DELETE FROM signer_core_activation WHERE id IN ("+which+")", db.Micros(before), limit)
		return err
	})
	return n, err
}
