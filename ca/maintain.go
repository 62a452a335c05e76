package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/ca/internal/authority"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/ca/tsa"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/keystore"
)

// PublishWithin bounds the time from a revocation to the list that has it.
const PublishWithin = 60 * time.Second

// step is the pause between steps of Run; a revocation waits at most this long
// for its list, and revocations close together share one.
const step = 15 * time.Second

// PublishCRL publishes a list for each authority that needs one: with new
// revocations, or at least hourly. It returns how many, or [ErrBusy].
func (c *CA) PublishCRL(ctx context.Context) (int, error) { return c.publisher.Publish(ctx) }

// Run keeps the authority going until ctx ends.
func (c *CA) Run(ctx context.Context) {
	t := time.NewTicker(step)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if err := c.Maintain(ctx); err != nil && !errors.Is(err, ErrBusy) && ctx.Err() == nil {
			c.cfg.Logger.ErrorContext(ctx, "authority not maintained", "error", err)
		}
	}
}

// Maintain is one step of what keeps the authority going: recovery, lists,
// successors of authorities, responders and units, renewed OCSP answers, spent
// keys. [CA.Run] repeats it. One part that fails does not hold up the others:
// above all, lists and answers go on when nothing can be issued. It returns
// [ErrBusy] if another node does the parts that one node does; that is not a
// failure.
func (c *CA) Maintain(ctx context.Context) error {
	engine, err := c.engine()
	if err != nil {
		return err
	}
	if err := c.authorities.Load(ctx); err != nil { // another node may have made some
		return err
	}
	_, err = engine.Recover(ctx)
	errs := []error{err, c.publish(ctx)}
	// The lease only spares two nodes the same work: constraints decide. So it is
	// the node's, not the process's, and a node that was restarted goes on.
	_, ok, err := c.cfg.DB.AcquireLease(ctx, maintainLease, "node:"+c.cfg.Node, maintainLeaseLife)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	if !ok {
		if err := errors.Join(errs...); err != nil {
			return err
		}
		return ErrBusy
	}
	errs = append(errs, c.provide(ctx))
	_, err = c.responder.Renew(ctx, renewBatch)
	errs = append(errs, err, c.publish(ctx)) // new authorities have no list yet
	if err := c.destroySpent(ctx); err != nil {
		errs = append(errs, fmt.Errorf("destroy spent keys: %w", err))
	}
	return errors.Join(errs...)
}

// renewBatch bounds the OCSP answers renewed in one step.
const renewBatch = 500

func (c *CA) publish(ctx context.Context) error {
	if _, err := c.PublishCRL(ctx); err != nil && !errors.Is(err, ErrBusy) {
		return err
	}
	return nil
}

// destroySpent destroys the keys of units past their period of use, of responders
// whose certificates have ended, and of services that were never issued: nothing
// may be signed with them any more (EN 319 421 §7.6).
func (c *CA) destroySpent(ctx context.Context) error {
	now := c.cfg.Now()
	for _, purpose := range []string{authority.PurposeTSU, authority.PurposeOCSP} {
		keys, err := c.cfg.Keys.Active(ctx, purpose)
		if err != nil {
			return err
		}
		for _, k := range keys {
			in, err := c.store.ByKeyID(ctx, k.ID)
			if errors.Is(err, store.ErrNotFound) {
				continue // not ours
			}
			if err != nil {
				return err
			}
			if !spent(in, now) {
				continue
			}
			if err := c.destroy(ctx, k, in); err != nil {
				return err
			}
		}
	}
	return nil
}

func spent(in store.Intent, now time.Time) bool {
	return in.State == store.Abandoned || now.After(in.NotAfter) ||
		in.Kind == profile.TSU && !now.Before(useUntil(in.NotBefore))
}

func (c *CA) destroy(ctx context.Context, k keystore.Info, in store.Intent) error {
	kind := "ca.key.destroy"
	if in.Kind == profile.TSU {
		kind = "tsa.key.destroy"
	}
	entry, err := c.cfg.Audit.Prepare(ctx, audit.Entry{Kind: kind, Actor: "service:ca", Purpose: string(in.Kind),
		Outcome: audit.OutcomeOK, Object: k.ID, Leaf: k.SPKIHash[:]})
	if err != nil {
		return err
	}
	return c.store.DestroyKey(ctx, k.ID, entry)
}

// useUntil is when a unit's key stops signing: the PrivateKeyUsagePeriod that
// begins with its certificate.
func useUntil(notBefore time.Time) time.Time {
	p, err := profile.Of(profile.TSU)
	if err != nil {
		return notBefore
	}
	return notBefore.Add(p.KeyUse)
}

// units gives the time-stamping service its unit.
type units struct{ c *CA }

// Unit implements tsa.Units: the newest unit whose key may be used at now.
func (u units) Unit(ctx context.Context, now time.Time) (tsa.Unit, error) {
	for _, a := range u.c.authorities.All() {
		if a.Kind != profile.Servicios {
			continue
		}
		list, err := u.c.store.Services(ctx, a.Slug, profile.TSU, now)
		if err != nil {
			return tsa.Unit{}, err
		}
		for _, s := range list {
			if s.NotBefore.After(now) || !now.Before(useUntil(s.NotBefore)) {
				continue
			}
			cert, err := x509.ParseCertificate(s.Certificate)
			if err != nil {
				return tsa.Unit{}, err
			}
			signer, err := u.c.cfg.Keys.Signer(ctx, s.KeyID, authority.PurposeTSU)
			if err != nil {
				return tsa.Unit{}, err
			}
			return tsa.Unit{SN: s.SN, Certificate: cert, Path: []*x509.Certificate{a.Cert}, Signer: signer, UseUntil: useUntil(s.NotBefore)}, nil
		}
	}
	return tsa.Unit{}, tsa.ErrNoUnit
}
