package signer

import (
	"context"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/signer/internal/store"
)

const (
	stepBatch  = 50
	keepAnswer = 24 * time.Hour
	// settleAfter leaves a spent attempt to the request that spent it.
	settleAfter = finishWithin + 10*time.Second
	keepOpen    = time.Hour // activations that were never used
)

// Step does what is due: expires requests, closes what the core left open,
// releases what was signed before a crash, and forgets old answers. Every node may
// run it at any time; it returns how much it did.
func (s *Service) Step(ctx context.Context) (int, error) {
	now := s.cfg.Now()
	var errs []error
	n, err := s.cfg.Core.Recover(ctx)
	errs = append(errs, err)
	spent, err := s.store.Unsettled(ctx, now.Add(-settleAfter), stepBatch)
	errs = append(errs, err)
	for _, id := range spent {
		errs = append(errs, s.settle(ctx, id, false))
	}
	late, err := s.store.Overdue(ctx, now, stepBatch)
	errs = append(errs, err)
	for _, id := range late {
		errs = append(errs, s.end(ctx, id, store.Expired))
	}
	_, err = s.cfg.Core.Purge(ctx, now.Add(-keepOpen), stepBatch)
	errs = append(errs, err, s.store.ForgetAnswers(ctx, now.Add(-keepAnswer)))
	return n + len(spent) + len(late), errors.Join(errs...)
}

// OnSubjectChanged is the outbox handler's body for a change of a person's epoch:
// requests that still await the person's signature are cancelled. That nothing is
// signed under an old epoch does not depend on it. It may run again.
func (s *Service) OnSubjectChanged(ctx context.Context, person identity.PersonID) error {
	ids, err := s.store.PendingOf(ctx, person)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		errs = append(errs, s.end(ctx, id, store.Cancelled))
	}
	return errors.Join(errs...)
}

// end closes a request from within; one that is closed already, or in which a
// signature is under way, is left.
func (s *Service) end(ctx context.Context, id string, to store.State) error {
	r, err := s.store.Request(ctx, id)
	if err != nil {
		return err
	}
	err = s.close(ctx, r, to, -1, "", "service:signer")
	if c := CodeOf(err); c == string(CodeState) || c == string(CodeBusy) {
		return nil
	}
	return err
}
