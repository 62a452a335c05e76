package enrolment

import (
	"context"
	"errors"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// KindReadStaff is the kind of an entry that tells a person that a member of
// staff looked her up.
const KindReadStaff = "enrolment.read.staff"

// Case is a person as members of staff see her who stop her, lift a stop or end
// what she holds.
type Case struct {
	Profile      identity.Profile
	State        account.State
	Roles        []StaffRole
	Appointments []identity.Appointment
	// Suspension is the act that keeps her stopped. It is nil if she is not
	// stopped, and if she or an operator stopped her, which is no act: then an act
	// of suspension comes first, and what lifts that ends the stop as well.
	Suspension *act.Statement
	// Lift is the lifting of it that waits for its approval, or nil.
	Lift *act.Statement
}

// Stopped reports whether the person is out of use.
func (c Case) Stopped() bool { return c.State == account.Suspended }

// caseRoles are the roles of those who may look people up.
var caseRoles = []act.Role{act.Supervisor, act.Administrator, act.Registrar}

// FindPerson returns who has proven to hold a document, for a member of staff
// who looks her up; [account.ErrUnknown] if nobody has, act.ErrRole.
func (s *Service) FindPerson(ctx context.Context, by identity.PersonID, doc identity.Document) (identity.PersonID, error) {
	k, err := s.load(ctx)
	if err != nil {
		return "", err
	}
	if _, err := capacityOf(k.chain, by, "", s.now(), caseRoles...); err != nil {
		return "", err
	}
	return s.cfg.Accounts.FindByDocument(ctx, doc)
}

// Case looks a person up for a registrar, supervisor or administrator. Somebody
// else's case is recorded, and that person sees that it was opened. Errors:
// act.ErrRole, account.ErrUnknown.
func (s *Service) Case(ctx context.Context, by, person identity.PersonID) (Case, error) {
	k, err := s.load(ctx)
	if err != nil {
		return Case{}, err
	}
	if _, err := capacityOf(k.chain, by, "", s.now(), caseRoles...); err != nil {
		return Case{}, err
	}
	standing, err := s.cfg.Accounts.Standing(ctx, person)
	if err != nil {
		return Case{}, err
	}
	out := Case{State: standing.State}
	var err1, err2, err3 error
	out.Profile, err1 = s.cfg.Accounts.Profile(ctx, person)
	out.Roles, err2 = s.Roles(ctx, person)
	out.Appointments, err3 = s.Appointments(ctx, person)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Case{}, err
	}
	if hash, ok := k.chain.Suspension(person, s.now()); ok {
		signed, err := target(k.chain, hash)
		if err != nil {
			return Case{}, err
		}
		st := signed.Statement()
		out.Suspension = &st
		if out.Lift, err = s.lifting(ctx, k.chain, hash); err != nil {
			return Case{}, err
		}
	}
	if by == person {
		return out, nil
	}
	return out, s.recorded(ctx, audit.Entry{Kind: KindReadStaff, Subject: person, Actor: actor(by), Object: string(person), Outcome: audit.OutcomeOK, Purpose: "enrolment"},
		func(*db.Tx) error { return nil })
}

// lifting returns the lifting of a suspension that can still be approved, or nil.
func (s *Service) lifting(ctx context.Context, c *act.Chain, suspension act.Hash) (*act.Statement, error) {
	decided, err := s.decided(ctx)
	if err != nil {
		return nil, err
	}
	old := s.now().Add(-act.ApprovalTerm)
	for _, r := range c.Waiting() {
		w, err := waiting(c, r)
		if err != nil {
			return nil, err
		}
		if b, ok := w.Statement.Body.(*act.Lift); ok && b.Suspension == suspension && !decided[w.ID] && w.Statement.At.After(old) {
			return &w.Statement, nil
		}
	}
	return nil, nil
}
