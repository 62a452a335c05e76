package main

import (
	"context"
	"errors"

	"oruro.gob.bo/suti/internal/audit"
)

// restored tells of a database that is older than what was published, and of
// what a restore has lost for good.
func (d *doctor) restored(ctx context.Context, log *audit.Log) {
	err := log.CompareHighWater(ctx, d.cfg.HighWaterPath())
	switch {
	case errors.Is(err, audit.ErrRolledBack):
		d.add("restore", statusFault, "restore the newer state; if there is none: suti log reopen", "%v", err)
	case err != nil:
		d.add("restore", statusFault, "", "%v", err)
	}
	logs, err := log.Logs(ctx)
	if err != nil {
		d.add("restore", statusFault, "", "%v", err)
		return
	}
	if len(logs) < 2 {
		return
	}
	last := logs[len(logs)-1]
	if n := audit.Lost(logs); n > 0 {
		d.add("restore", statusWarning, "repeat erasures, revocations and appointments; certificates issued meanwhile are not known here, so OCSP calls none of them good",
			"%d published entries were lost; the log goes on as %s", n, last.Origin)
		return
	}
	d.add("restore", statusOK, "", "the log goes on as %s, and nothing was lost", last.Origin)
}
