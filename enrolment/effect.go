package enrolment

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// effectsOf says what an act changes in the tables; the chain is that before it.
func (s *Service) effectsOf(ctx context.Context, chain *act.Chain, signed *act.Signed) (effects, error) {
	st := signed.Statement()
	e := effects{entry: audit.Entry{Kind: "enrolment.act." + string(st.Body.Kind())}}
	switch b := st.Body.(type) {
	case *act.Enrolment:
		e.apply = func(tx *db.Tx) error {
			row, err := store.DraftByID(tx, st.ID)
			if err != nil {
				return err
			}
			return usedIf(store.MoveTicket(tx, row.Ticket, st.ID, store.TicketAtCounter, store.TicketInReview))
		}
	case *act.Appointment:
		e.entry.Kind, e.entry.Institution = "enrolment.appointment.proposed", string(b.Institution)
		e.apply = func(tx *db.Tx) error {
			a := store.Appointment{Act: st.ID, Appointment: identity.Appointment{
				ID: b.Appointment, Person: b.Person, Institution: identity.Institution{ID: b.Institution}, Post: b.Post,
				Kind: identity.AppointmentKind(b.Holding), LegalAct: b.LegalAct, From: b.From, To: b.To,
			}}
			if a.From.IsZero() {
				a.From = st.At
			}
			row, err := machine.Post.Next(machine.Nothing, machine.ProposePost, signedBy(b.Capacity))
			if err != nil {
				return err
			}
			return store.PutAppointment(tx, a, row)
		}
	case *act.Approval:
		return s.approvalEffects(ctx, chain, st, b)
	case *act.End:
		return s.endEffects(ctx, chain, b)
	case *act.Suspension:
		e.after = failpoint.EnrolSuspendAfter
		now := s.now()
		others := othersWith(chain, b.Person, generalRoles(chain, b.Person, now), now)
		e.apply = func(tx *db.Tx) error {
			who, err := subject.Current(tx, b.Person)
			if err != nil {
				return err
			}
			if who.State == subject.Active { // of somebody stopped already it takes nothing
				if err := others.inUse(tx); err != nil {
					return err
				}
			}
			return account.SuspendIn(tx, signedBy(b.Capacity), b.Person, "suspension."+b.Reason, now)
		}
	}
	return e, nil
}

// target returns the act that has the hash.
func target(chain *act.Chain, hash act.Hash) (*act.Signed, error) {
	for _, a := range chain.Acts() {
		if a.Hash() == hash {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w: act to approve", ErrUnknown)
}

func (s *Service) approvalEffects(ctx context.Context, chain *act.Chain, st act.Statement, b *act.Approval) (e effects, err error) {
	e = effects{entry: audit.Entry{Kind: "enrolment.act.approval", Institution: string(b.Institution)}}
	signed, err := target(chain, b.Target)
	if err != nil {
		return e, err
	}
	to := signed.Statement()
	now := s.now()
	defer func() { // whatever is approved must still wait
		apply := e.apply
		e.apply = func(tx *db.Tx) error {
			if err := undecided(tx, to.ID); err != nil || apply == nil {
				return err
			}
			return apply(tx)
		}
	}()
	switch t := to.Body.(type) {
	case *act.Enrolment:
		e.entry.Kind = "enrolment.registration.approved"
		have, err := s.cfg.Passkeys.Credentials(ctx, t.Person)
		if err != nil {
			return e, err
		}
		if _, stopped := chain.Suspension(t.Person, now); stopped && t.Replaces {
			return e, fmt.Errorf("%w: stopped by an act meanwhile", account.ErrState)
		}
		e.apply = func(tx *db.Tx) error {
			row, err := store.DraftByID(tx, to.ID)
			if err != nil {
				return err
			}
			if err := usedIf(store.MoveTicket(tx, row.Ticket, to.ID, store.TicketInReview, store.TicketDone)); err != nil {
				return err
			}
			if t.Replaces {
				err = s.recovered(tx, t, row.Ticket, approvedBy(b.Capacity), have)
			} else {
				err = account.Raise(tx, approvedBy(b.Capacity), t.Person, t.Level, now)
			}
			if err != nil {
				return err
			}
			return ordered(tx, approvedBy(b.Capacity), row.Ticket, t, now)
		}
	case *act.Appointment:
		e.entry.Kind, e.entry.Institution = "enrolment.appointment.approved", string(t.Institution)
		from := t.From
		if from.Before(st.At) {
			from = st.At
		}
		e.apply = func(tx *db.Tx) error {
			return movePost(tx, t.Appointment, machine.ApprovePost, approvedBy(b.Capacity), func(row machine.Row) error {
				return store.ValidateAppointment(tx, t.Appointment, from, row)
			})
		}
	case *act.Lift:
		e.apply = func(tx *db.Tx) error {
			return account.ReactivateIn(tx, approvedBy(b.Capacity), t.Person, "lift."+t.Reason, now)
		}
	}
	return e, nil
}

func (s *Service) endEffects(ctx context.Context, chain *act.Chain, b *act.End) (effects, error) {
	e := effects{entry: audit.Entry{Kind: "enrolment.act.end"}}
	now := s.now()
	bump := func(tx *db.Tx) error { return account.Bump(tx, b.Person, "", "end."+b.What+"."+b.Reason, now) }
	switch b.What {
	case act.EndAppointment:
		e.entry.Kind, e.after = "enrolment.appointment.ended", failpoint.EnrolAppointEndAfter
		e.apply = func(tx *db.Tx) error {
			if err := movePost(tx, b.Appointment, machine.EndPost, signedBy(b.Capacity), func(row machine.Row) error {
				return store.EndAppointment(tx, b.Appointment, now, b.By, b.Reason, row)
			}); err != nil {
				return err
			}
			return bump(tx)
		}
	case act.EndKey:
		have, err := s.cfg.Passkeys.Credentials(ctx, b.Person)
		if err != nil {
			return e, err
		}
		e.apply = func(tx *db.Tx) error {
			if err := passkey.Lock(tx, b.Person); err != nil {
				return err
			}
			for _, c := range have {
				if sha256.Sum256(c.PublicKey) != b.Key || c.State == passkey.Revoked {
					continue
				}
				if err := passkey.Move(tx, b.Person, c.ID, machine.RevokeKey, signedBy(b.Capacity), now); err != nil {
					return err
				}
			}
			if b.By == b.Person { // nobody locks herself out unawares
				if err := keepsWay(tx, b.Person, b.Reason); err != nil {
					return err
				}
			}
			return bump(tx)
		}
	default: // a role
		var others holders
		if b.Role != act.InstitutionAdmin {
			others = othersWith(chain, b.Person, []act.Role{b.Role}, now)
		}
		e.apply = func(tx *db.Tx) error {
			if err := others.inUse(tx); err != nil {
				return err
			}
			if _, err := machine.Role.Next(machine.RoleHeld, machine.EndRole, signedBy(b.Capacity)); err != nil {
				return err
			}
			return bump(tx)
		}
	}
	return e, nil
}

// signedBy and approvedBy are the basis of what an act does by itself, and of
// what its approval does.
func signedBy(capacity act.Role) machine.Basis {
	return machine.Basis{By: machine.Actor(capacity), With: machine.Signed}
}

func approvedBy(capacity act.Role) machine.Basis {
	return machine.Basis{By: machine.Actor(capacity), With: machine.Approved}
}

// movePost moves an appointment as the table says.
func movePost(tx *db.Tx, id identity.AppointmentID, do machine.Command, b machine.Basis, move func(machine.Row) error) error {
	a, err := store.AppointmentByID(tx, id)
	if err != nil {
		return err
	}
	row, err := machine.Post.Next(machine.State(a.State), do, b)
	if err != nil {
		return err
	}
	return move(row)
}

// usedIf maps a ticket that is not where it should be to ErrTicketUsed.
func usedIf(err error) error {
	if errors.Is(err, store.ErrNone) {
		return ErrTicketUsed
	}
	return err
}
