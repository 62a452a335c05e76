package issuance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/ca/internal/der"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/internal/audit"
)

// OpenFor is how long an intent may stay without a certificate. It is longer
// than finishTimeout, so that no issuance still runs.
const OpenFor = 60 * time.Second

// recoverBatch bounds one pass.
const recoverBatch = 100

func hexOf(b []byte) string { return hex.EncodeToString(b) }

// Recover abandons the intents that have no certificate after [OpenFor]: each
// number is revoked, since its signature may exist somewhere, and its audit
// intent is closed. It returns how many. An intent that is completed meanwhile
// is left alone.
func (e *Engine) Recover(ctx context.Context) (int, error) {
	now := e.cfg.Now()
	open, err := e.cfg.Store.OpenIntents(ctx, now.Add(-OpenFor), recoverBatch)
	if err != nil {
		return 0, fmt.Errorf("list open intents: %w", err)
	}
	n := 0
	for _, in := range open {
		err := e.abandon(ctx, in, now)
		if errors.Is(err, store.ErrNotOpen) {
			continue
		}
		if err != nil {
			return n, fmt.Errorf("abandon intent: %w", err)
		}
		n++
	}
	return n, nil
}

func (e *Engine) abandon(ctx context.Context, in store.Intent, now time.Time) error {
	sum := sha256.Sum256(in.TBS)
	entry, err := e.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "ca.issue", Subject: in.Person, Actor: "service:ca", Purpose: string(in.Kind),
		Outcome: audit.OutcomeAbandoned, Intent: in.AuditIntent, Object: hexOf(in.SN), Leaf: sum[:],
	})
	if errors.Is(err, audit.ErrErased) {
		// The person was erased meanwhile; the number must be revoked all the same.
		entry, err = e.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "ca.issue", Actor: "service:ca", Purpose: string(in.Kind),
			Outcome: audit.OutcomeAbandoned, Intent: in.AuditIntent, Object: hexOf(in.SN), Leaf: sum[:]})
	}
	if err != nil {
		return err
	}
	r := store.Revocation{SN: in.SN, Issuer: in.Issuer, Reason: int64(der.ReasonUnspecified), RevokedAt: now, Actor: "service:ca"}
	if r.Entry, err = der.Entry(in.SN, now, der.ReasonUnspecified, time.Time{}); err != nil {
		return err
	}
	return e.cfg.Store.Abandon(ctx, in, r, entry)
}
