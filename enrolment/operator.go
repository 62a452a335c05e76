package enrolment

import (
	"context"
	"errors"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// What an operator may do, whose word stands behind no signature: take up
// institutions and posts, which give nobody authority until members of staff
// appoint somebody; read, for a stated purpose and visibly; and stop a person,
// which two members of staff can undo. Whatever gives authority is an act.

// KindRead is the kind of an entry that tells a person that an operator read
// her name and document; its payload says for what.
const KindRead = "enrolment.read.operator"

// PlaceInstitution takes an institution up on an operator's word. ErrInput names
// the field that is wrong; ErrExists if the name is taken.
func (s *Service) PlaceInstitution(ctx context.Context, actor string, in identity.Institution) (identity.Institution, error) {
	return s.putInstitution(ctx, actor, in)
}

// PlacePost takes a post up on an operator's word. Errors: ErrInput, ErrExists if
// the item number is taken, ErrUnknown if the institution is not there.
func (s *Service) PlacePost(ctx context.Context, actor string, p Post) (Post, error) {
	return s.putPost(ctx, actor, p)
}

// ReadPerson returns what is known of a person, for a purpose that the person
// will read in the list of who saw her data. ErrInput if the purpose is not told.
func (s *Service) ReadPerson(ctx context.Context, actor string, person identity.PersonID, purpose string) (identity.Profile, error) {
	purpose, err := text("purpose", purpose, 3, 200)
	if err != nil {
		return identity.Profile{}, err
	}
	p, err := s.cfg.Accounts.Profile(ctx, person)
	if err != nil {
		return identity.Profile{}, err
	}
	return p, s.recorded(ctx, audit.Entry{
		Kind: KindRead, Subject: person, Actor: actor, Purpose: "operation", Object: string(person), Outcome: audit.OutcomeOK, Payload: map[string]any{"purpose": purpose},
	}, func(*db.Tx) error { return nil })
}

// StopPerson suspends a person on an operator's word, to protect her: with the
// commit every session, token and pending signature of hers is dead. It is
// undone by an act of suspension and its lifting, which take two members of
// staff. Errors: ErrInput, account.ErrUnknown, account.ErrState if she is
// suspended or closed already, act.ErrLastHolder if the deployment would be left
// without an administrator, registrar or supervisor.
func (s *Service) StopPerson(ctx context.Context, actor string, person identity.PersonID, reason string) error {
	reason, err := text("reason", reason, 3, 80)
	if err != nil {
		return err
	}
	if _, err := s.cfg.Accounts.Profile(ctx, person); err != nil {
		return err
	}
	return s.stop(ctx, machine.Basis{By: machine.Operator}, actor, person, "operator: "+reason)
}

// Staff lists the people who hold a general role now.
func (s *Service) Staff(ctx context.Context) ([]identity.PersonID, error) {
	k, err := s.load(ctx)
	if errors.Is(err, ErrNoGenesis) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return staffOf(k.chain, s.now()), nil
}

// Overview is a person as an operator sees her without a purpose: nothing that
// tells who she is.
type Overview struct {
	account.Standing
	Keys         int // active passkeys
	Roles        []StaffRole
	Appointments []identity.Appointment
}

// Overview returns one person, or account.ErrUnknown.
func (s *Service) Overview(ctx context.Context, person identity.PersonID) (Overview, error) {
	st, err := s.cfg.Accounts.Standing(ctx, person)
	if err != nil {
		return Overview{}, err
	}
	return s.overview(ctx, st)
}

// Overviews lists people by id, that is in the order of their registration, at
// most limit that come after one.
func (s *Service) Overviews(ctx context.Context, after identity.PersonID, limit int) ([]Overview, error) {
	list, err := s.cfg.Accounts.List(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Overview, len(list))
	for i, st := range list {
		if out[i], err = s.overview(ctx, st); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) overview(ctx context.Context, st account.Standing) (Overview, error) {
	keys, err1 := s.keysOf(ctx, st.Person)
	roles, err2 := s.Roles(ctx, st.Person)
	held, err3 := s.Appointments(ctx, st.Person)
	return Overview{Standing: st, Keys: len(keys), Roles: roles, Appointments: held}, errors.Join(err1, err2, err3)
}

// InstitutionOf returns an institution, or ErrUnknown.
func (s *Service) InstitutionOf(ctx context.Context, id identity.InstitutionID) (identity.Institution, error) {
	var all []identity.Institution
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = store.Institutions(tx)
		return err
	})
	for _, i := range all {
		if i.ID == id {
			return i, err
		}
	}
	if err == nil {
		err = ErrUnknown
	}
	return identity.Institution{}, err
}
