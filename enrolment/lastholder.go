package enrolment

import (
	"context"
	"errors"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// The chain keeps a holder of each role that genesis needs, but knows only of
// suspensions that are acts. Who stopped herself, or was stopped by an operator,
// is a holder for it, though she signs nothing. Without anybody who does, nothing
// could be approved any more, and the stop itself never be lifted: so whatever
// stops a person or ends her role is judged by the accounts as well.

// essential are the roles that a deployment cannot be without.
var essential = []act.Role{act.Administrator, act.Registrar, act.Supervisor}

// staffOf lists the people who hold a general role at a time.
func staffOf(c *act.Chain, now time.Time) []identity.PersonID {
	seen := map[identity.PersonID]bool{}
	var out []identity.PersonID
	add := func(p identity.PersonID) {
		if !seen[p] && len(generalRoles(c, p, now)) > 0 {
			out = append(out, p)
		}
		seen[p] = true
	}
	for _, a := range c.Acts() {
		switch b := a.Statement().Body.(type) {
		case *act.Genesis:
			for _, f := range b.Founders {
				add(f.Person)
			}
		case *act.RoleGrant:
			add(b.Person)
		}
	}
	return out
}

// generalRoles lists the general roles that a person holds at a time.
func generalRoles(c *act.Chain, p identity.PersonID, now time.Time) []act.Role {
	var out []act.Role
	for _, r := range essential {
		if c.HasRole(p, r, "", now) == nil {
			out = append(out, r)
		}
	}
	return out
}

// holders are, for each of some roles, the people other than one who hold it.
type holders [][]identity.PersonID

func othersWith(c *act.Chain, person identity.PersonID, roles []act.Role, now time.Time) holders {
	staff := staffOf(c, now)
	out := make(holders, len(roles))
	for i, r := range roles {
		for _, p := range staff {
			if p != person && c.HasRole(p, r, "", now) == nil {
				out[i] = append(out[i], p)
			}
		}
	}
	return out
}

// inUse demands that for each role the account of one of its holders is in use.
// The transaction MUST hold the chain, so that of two stops one sees the other.
func (h holders) inUse(tx *db.Tx) error {
	for _, people := range h {
		found := false
		for _, p := range people {
			who, err := subject.Current(tx, p)
			if err != nil {
				return err
			}
			if found = who.State == subject.Active; found {
				break
			}
		}
		if !found {
			return act.ErrLastHolder
		}
	}
	return nil
}

// stop suspends a person without an act. act.ErrLastHolder if nobody else holds
// one of her general roles whose account is in use.
func (s *Service) stop(ctx context.Context, b machine.Basis, actor string, person identity.PersonID, cause string) error {
	for range maxRounds {
		k, err := s.load(ctx)
		if err != nil && !errors.Is(err, ErrNoGenesis) {
			return err
		}
		var others holders
		if k != nil {
			now := s.now()
			others = othersWith(k.chain, person, generalRoles(k.chain, person, now), now)
		}
		err = s.cfg.Accounts.SuspendIf(ctx, b, actor, person, cause, func(tx *db.Tx) error {
			if len(others) == 0 { // no staff: nothing hangs on her
				return nil
			}
			if err := store.Hold(tx, k.head); errors.Is(err, store.ErrNone) {
				return errMoved
			} else if err != nil {
				return err
			}
			return others.inUse(tx)
		})
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return ErrRace
}
