package ca

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/ca/internal/der"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
)

// Reason is a CRLReason (RFC 5280 §5.3.1).
type Reason uint8

// The reasons for which certificates are revoked here.
const (
	Unspecified          = Reason(der.ReasonUnspecified)
	KeyCompromise        = Reason(der.ReasonKeyCompromise) // also blocks the key, for ever
	AffiliationChanged   = Reason(der.ReasonAffiliationChanged)
	Superseded           = Reason(der.ReasonSuperseded)
	CessationOfOperation = Reason(der.ReasonCessationOfOperation)
	PrivilegeWithdrawn   = Reason(der.ReasonPrivilegeWithdrawn)
)

// Valid reports whether r is one of the reasons above.
func (r Reason) Valid() bool {
	switch r {
	case Unspecified, KeyCompromise, AffiliationChanged, Superseded, CessationOfOperation, PrivilegeWithdrawn:
		return true
	}
	return false
}

// Outbox topic of revocations and its payload: other contexts end what depends
// on the certificate. Handlers are idempotent.
const TopicRevoked = store.TopicRevoked

// RevokedMessage is the payload of [TopicRevoked], in JSON.
type RevokedMessage = store.RevokedMessage

// Revoke revokes a certificate for good. When it returns nil, the revocation is
// durable and every answer from now on obeys it; the list follows within
// [PublishWithin]. actor is who decided: a person's id, "service:…". The caller
// has authorised it. Errors: [ErrNotFound], [ErrNotIssued], [ErrReason],
// [ErrRevoked] (then the first revocation stands). With [KeyCompromise] every
// other certificate on the same key is revoked too.
func (c *CA) Revoke(ctx context.Context, serial []byte, reason Reason, actor string) error {
	if !reason.Valid() {
		return ErrReason
	}
	if actor == "" {
		return fmt.Errorf("%w: no actor", ErrRequest)
	}
	in, err := c.store.BySN(ctx, serial)
	if err != nil {
		return err
	}
	if in.State != store.Issued {
		return ErrNotIssued
	}
	if in.Kind == profile.Root {
		return fmt.Errorf("%w: a root cannot be revoked, only distrusted", ErrRequest)
	}
	if err := c.revoke(ctx, in, reason, actor); err != nil {
		return err
	}
	if p, err := profile.Of(in.Kind); err == nil && p.CA { // it must not issue any more; a successor follows with Maintain
		if err := c.authorities.Load(ctx); err != nil {
			return err
		}
	}
	if reason != KeyCompromise {
		return nil
	}
	return c.revokeKey(ctx, in.SPKIHash, actor)
}

// revokeKey revokes what else stands on a compromised key. It is blocked
// already, so nothing is added meanwhile.
func (c *CA) revokeKey(ctx context.Context, spki []byte, actor string) error {
	others, err := c.store.ByKey(ctx, spki)
	if err != nil {
		return err
	}
	return c.revokeAll(ctx, others, KeyCompromise, actor)
}

func (c *CA) revokeAll(ctx context.Context, list []store.Intent, reason Reason, actor string) error {
	var errs []error
	for _, in := range list {
		if in.State != store.Issued { // what is still open fails by the epoch, or is abandoned
			continue
		}
		if err := c.revoke(ctx, in, reason, actor); err != nil && !errors.Is(err, store.ErrRevoked) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *CA) revoke(ctx context.Context, in store.Intent, reason Reason, actor string) error {
	cert, err := c.store.Certificate(ctx, in.SN)
	if err != nil {
		return err
	}
	now := c.cfg.Now()
	r := store.Revocation{SN: in.SN, Issuer: in.Issuer, Reason: int64(reason), RevokedAt: now, Actor: actor}
	if r.Entry, err = der.Entry(in.SN, now, der.Reason(reason), time.Time{}); err != nil {
		return err
	}
	sum := sha256.Sum256(cert)
	e := audit.Entry{Kind: "ca.revoke", Subject: in.Person, Actor: actor, Purpose: string(in.Kind), Outcome: audit.OutcomeOK,
		Object: hex.EncodeToString(in.SN), Leaf: sum[:], Payload: map[string]any{"reason": reason, "appointment": in.Appointment}}
	entry, err := c.cfg.Audit.Prepare(ctx, e)
	if errors.Is(err, audit.ErrErased) { // an erased person's certificate can be revoked all the same
		e.Subject, e.Payload = "", nil
		entry, err = c.cfg.Audit.Prepare(ctx, e)
	}
	if err != nil {
		return err
	}
	if err := c.store.Revoke(ctx, in, r, entry); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	if err := failpoint.Hit(failpoint.RevokeAfterCommit); err != nil {
		return err
	}
	// Answers signed ahead as "good" do not count any more; renewing them only
	// spares the next requester a signature.
	if err := c.responder.Refresh(context.WithoutCancel(ctx), in.SN); err != nil {
		c.cfg.Logger.WarnContext(ctx, "OCSP answer not renewed after revocation", "error", err)
	}
	return failpoint.Hit(failpoint.RevokeAfterOCSP)
}

// RevokePerson revokes every valid certificate of a person. It is idempotent.
func (c *CA) RevokePerson(ctx context.Context, person identity.PersonID, reason Reason, actor string) error {
	if !reason.Valid() || actor == "" {
		return fmt.Errorf("%w: reason or actor", ErrRequest)
	}
	if err := identity.CheckID(identity.PrefixPerson, string(person)); err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	list, err := c.store.Live(ctx, person, "", c.cfg.Now())
	if err != nil {
		return err
	}
	return c.revokeAll(ctx, list, reason, actor)
}

// OnPersonEnded is the outbox handler's body for the death of a person or the
// closing of an account: all their certificates are revoked. It may run again.
func (c *CA) OnPersonEnded(ctx context.Context, person identity.PersonID) error {
	return c.RevokePerson(ctx, person, CessationOfOperation, "service:ca")
}

// OnAppointmentEnded is the outbox handler's body for the end of an appointment:
// the certificates of that post are revoked, the person's others are not. It
// may run again.
func (c *CA) OnAppointmentEnded(ctx context.Context, a identity.AppointmentID) error {
	if err := identity.CheckID(identity.PrefixAppointment, string(a)); err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	list, err := c.store.Live(ctx, "", a, c.cfg.Now())
	if err != nil {
		return err
	}
	return c.revokeAll(ctx, list, AffiliationChanged, "service:ca")
}

// BlockKey refuses a public key (SubjectPublicKeyInfo in DER) for ever and
// revokes what stands on it. why is a word for the record.
func (c *CA) BlockKey(ctx context.Context, spki []byte, why, actor string) error {
	if why == "" || len(why) > 100 || actor == "" {
		return fmt.Errorf("%w: why and actor", ErrRequest)
	}
	sum := sha256.Sum256(spki)
	if err := c.store.BlockKey(ctx, sum[:], why, c.cfg.Now()); err != nil {
		return err
	}
	return c.revokeKey(ctx, sum[:], actor)
}
