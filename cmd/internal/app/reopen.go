package app

import (
	"context"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/audit"
)

// leaseWait bounds the wait for the lead of the log: a restored database may
// hold the lease of whoever led it when the backup was made.
const leaseWait = 15 * time.Second

// LogState is what ReopenLog found, and what it made of it.
type LogState struct {
	// Before and After are the logs of the database.
	Before, After []audit.LogInfo
	// Behind is how the database is older than what this node signed, or nil.
	Behind *audit.RollbackError
}

// ReopenLog continues the log of a database of which an older state was
// restored, under the next origin of its line (design D22), and signs the first
// checkpoint there. Every server on the database must be stopped. Without
// really nothing is changed but that the database is migrated.
func ReopenLog(ctx context.Context, c Config, o audit.ContinueOptions, really bool) (s LogState, err error) {
	if err := c.check(); err != nil {
		return s, err
	}
	b := &Bones{}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.open(ctx, &c); err != nil {
		return s, err
	}
	if s.Before, err = b.Audit.Logs(ctx); err != nil {
		return s, err
	}
	if err := b.Audit.CompareHighWater(ctx, c.path(highWaterFile)); err != nil && !errors.As(err, &s.Behind) {
		return s, err
	}
	if !really {
		return s, nil
	}
	sc, err := sequencerConfig(ctx, &c, b)
	if err != nil {
		return s, err
	}
	sc.Origin = c.logOrigin()
	seq, err := continueLog(ctx, sc, o)
	if err != nil {
		return s, err
	}
	defer seq.Resign(ctx)
	if _, err := seq.Step(ctx); err != nil {
		return s, err
	}
	s.After, err = b.Audit.Logs(ctx)
	return s, err
}

// continueLog waits for a lease that nobody renews any more.
func continueLog(ctx context.Context, sc audit.SequencerConfig, o audit.ContinueOptions) (*audit.Sequencer, error) {
	end := time.NewTimer(leaseWait)
	defer end.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		seq, err := audit.Continue(ctx, sc, o)
		if !errors.Is(err, audit.ErrNotLeader) {
			return seq, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-end.C:
			return nil, err
		case <-tick.C:
		}
	}
}
