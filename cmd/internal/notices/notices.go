// Package notices turns what the audit log says happened to a person into
// notices to her. It reads the log in its order, which has no gaps, so that no
// context has to know of notices and nothing that was committed is missed; an
// entry gives at most one notice, however often it is read. Only cmd imports it.
package notices

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/notify"
)

const (
	cursorName = "notices"
	batch      = 100
	// stale is the age from which a person is not told any more: after a long
	// stop, old news would frighten more than help.
	stale = 72 * time.Hour
	pause = time.Second
)

// kinds says what a kind of entry tells its subject; "kind|outcome" before "kind".
var kinds = map[string]notify.Kind{
	"enrolment.passkey.registered":      notify.PasskeyAdded,
	"enrolment.passkey.suspect":         notify.PasskeySuspended,
	"enrolment.passkey.changed|revoked": notify.PasskeyRevoked,
	"enrolment.card.issued":             notify.CardIssued,
	"enrolment.card.opened":             notify.CardOpened,
	"enrolment.account.password":        notify.PasswordSet,
	"enrolment.account.suspended":       notify.Blocked,
	"enrolment.act.suspension":          notify.Blocked,
	"enrolment.account.reactivated":     notify.Unblocked,
	"enrolment.registration.approved":   notify.Verified,
	"enrolment.registration.rejected":   notify.Rejected,
	"enrolment.recovery.opened":         notify.RecoveryOpened,
	"enrolment.recovery.vouched":        notify.RecoveryVouched,
	"enrolment.trusted.accepted":        notify.TrustedAccepted,
	"enrolment.trusting.named":          notify.TrustAsked,
	"enrolment.appointment.approved":    notify.Appointed,
	"signer.request.signed":             notify.Signed,
}

// Config configures [New]. DB is needed.
type Config struct {
	DB     *db.DB
	Logger *slog.Logger
	Now    func() time.Time
}

// Follower reads the log. Several may run on one database.
type Follower struct{ cfg Config }

// New checks the configuration.
func New(c Config) (*Follower, error) {
	if c.DB == nil {
		return nil, errors.New("notices: DB is needed")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Follower{c}, nil
}

// Step reads the next entries and queues their notices, in one transaction. It
// returns how many entries it read; 0 means that it is at the end.
func (f *Follower) Step(ctx context.Context) (n int, err error) {
	oldest := f.cfg.Now().Add(-stale)
	var idle bool
	if err := f.cfg.DB.Read(ctx, func(tx *db.Tx) error { // so that an idle follower writes nothing
		at, err := notify.Cursor(tx, cursorName)
		if err != nil {
			return err
		}
		next, err := audit.After(tx, at.Log, at.Index, 1)
		idle = len(next) == 0
		return err
	}); err != nil || idle {
		return 0, err
	}
	err = f.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n = 0
		from, err := notify.Cursor(tx, cursorName)
		if err != nil {
			return err
		}
		entries, err := audit.After(tx, from.Log, from.Index, batch)
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			kind := kinds[e.Kind+"|"+e.Outcome]
			if kind == "" {
				kind = kinds[e.Kind]
			}
			if kind == "" || e.Subject == "" || e.At.Before(oldest) {
				continue
			}
			if err := notify.Put(tx, notify.Notice{ID: e.ID, Person: e.Subject, Kind: kind, At: e.At}); err != nil {
				return err
			}
		}
		n = len(entries)
		last := entries[n-1]
		return notify.MoveCursor(tx, cursorName, from, notify.Place{Log: last.Log, Index: last.Index})
	})
	if errors.Is(err, notify.ErrMoved) { // another node read them
		return batch, nil
	}
	if err != nil {
		n = 0
	}
	return n, err
}

// Run follows the log until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	t := time.NewTicker(pause)
	defer t.Stop()
	for ctx.Err() == nil {
		n, err := f.Step(ctx)
		if err != nil && ctx.Err() == nil {
			f.cfg.Logger.WarnContext(ctx, "notices step failed", "error", err.Error())
		}
		if n > 0 && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-t.C:
		}
	}
}
