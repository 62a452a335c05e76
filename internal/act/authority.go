package act

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// staffLevel is the least level at which a member of staff may act.
const staffLevel = identity.N2

// joinReason makes an error that is both a reason of this package and its cause.
func joinReason(reason, cause error) error { return fmt.Errorf("%w: %w", reason, cause) }

// reason unwraps a refusal to what it refuses for.
func reason(err error) error {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Reason
	}
	return err
}

func missing(err error) string {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Missing
	}
	return ""
}

// person returns the record of a person, made on first use.
func (c *Chain) person(id identity.PersonID) *person {
	p := c.people[id]
	if p == nil {
		p = &person{}
		c.people[id] = p
	}
	return p
}

// suspendedAt reports whether a person is suspended at t.
func (c *Chain) suspendedAt(id identity.PersonID, t time.Time) bool {
	p := c.people[id]
	return p != nil && slices.ContainsFunc(p.suspensions, func(s *suspension) bool { return s.at(t) == nil })
}

// acceptedKey returns what is known about a key if it is one of the person's
// and in effect at t.
func (c *Chain) acceptedKey(id Hash, who identity.PersonID, t time.Time) (*keyGrant, error) {
	k := c.keys[id]
	if k == nil {
		return nil, refuse(ErrUnknownKey, "no act in effect names key %v", id)
	}
	if k.person != who && !c.rules.anyKeySigns {
		return nil, refuse(ErrOtherPerson, "key %v", id)
	}
	g, err := k.at(t)
	if err != nil {
		return nil, refuse(err, "key %v", id)
	}
	if c.suspendedAt(k.person, t) {
		return nil, refuse(ErrSuspended, "%s", k.person)
	}
	return g, nil
}

// roleAt returns the grant by which a person holds a role at t.
func (c *Chain) roleAt(who identity.PersonID, r Role, ins identity.InstitutionID, t time.Time) *role {
	for _, g := range c.roles[who] {
		if g.role == r && g.institution == ins && g.at(t) == nil {
			return g
		}
	}
	return nil
}

// needRole demands that the author of e holds a role, and that the key with
// which they signed is strong enough for staff.
func (c *Chain) needRole(e *entry, who identity.PersonID, r Role, ins identity.InstitutionID) error {
	if c.rules.rolesUnchecked {
		return nil
	}
	g := c.roleAt(who, r, ins, e.act.statement.At)
	if g == nil {
		return refuse(ErrRole, "%s as %s", who, r)
	}
	for _, s := range e.act.signatures {
		k := c.keys[s.Key]
		if s.Person != who || k == nil {
			continue
		}
		if g, err := k.at(e.act.statement.At); err != nil || g.level < staffLevel {
			return refuse(ErrLevel, "staff need a key of %v", staffLevel)
		}
	}
	e.relies = append(e.relies, g.entry)
	return nil
}

// rule applies the rules of one kind of act.
func (c *Chain) rule(i int, e *entry) error {
	switch b := e.act.statement.Body.(type) {
	case *Enrolment:
		return c.ruleEnrolment(i, e, b)
	case *KeyAddition:
		return c.ruleAddition(i, e, b)
	case *RoleGrant:
		return c.ruleGrant(i, e, b)
	case *Appointment:
		return c.ruleAppointment(i, e, b)
	case *Amendment:
		if err := c.needRole(e, b.Proposer, Administrator, ""); err != nil {
			return err
		}
		return c.propose(i, e)
	case *Approval:
		return c.ruleApproval(i, e, b)
	case *End:
		return c.ruleEnd(e, b)
	case *Suspension:
		return c.ruleSuspension(e, b)
	case *Lift:
		return c.ruleLift(i, e, b)
	case *Presence:
		return c.rulePresence(i, e, b)
	}
	return refuse(ErrTarget, "no rule for this kind")
}

func notSelf(author, subject identity.PersonID) error {
	if author == subject {
		return refuse(ErrSelf, "%s", author)
	}
	return nil
}

// propose leaves an act waiting for its approval.
func (c *Chain) propose(i int, e *entry) error {
	if c.rules.noApproval {
		return c.effect(i, e, e.act.statement.At)
	}
	e.waiting = true
	return nil
}

func (c *Chain) ruleEnrolment(i int, e *entry, b *Enrolment) error {
	if err := notSelf(b.Registrar, b.Person); err != nil {
		return err
	}
	if err := c.needRole(e, b.Registrar, Registrar, ""); err != nil {
		return err
	}
	if err := c.free(b.Person, e.act.statement.At, b.Keys); err != nil {
		return err
	}
	return c.propose(i, e)
}

// free demands that each key is bound to nobody, or is a key of this person
// that has not ended by t.
func (c *Chain) free(who identity.PersonID, t time.Time, keys []KeyRecord) error {
	for i := range keys {
		k := c.keys[keys[i].ID()]
		if k == nil || k.person == who && (k.ended.IsZero() || t.Before(k.ended)) {
			continue // unknown, or theirs and not ended
		}
		return refuse(ErrKeyBound, "key %v", k.id)
	}
	return nil
}

func (c *Chain) ruleAddition(i int, e *entry, b *KeyAddition) error {
	at := e.act.statement.At
	earlier, err := c.acceptedKey(b.Earlier, b.Person, at)
	if err != nil {
		return err
	}
	if b.Level > earlier.level {
		return refuse(ErrLevel, "the earlier key has %v", earlier.level)
	}
	if id := b.Key.ID(); c.keys[id] != nil {
		return refuse(ErrKeyBound, "key %v", id)
	}
	return c.effect(i, e, at)
}

func (c *Chain) ruleGrant(i int, e *entry, b *RoleGrant) error {
	if err := notSelf(b.Proposer, b.Person); err != nil {
		return err
	}
	if err := c.needRole(e, b.Proposer, Administrator, ""); err != nil {
		return err
	}
	return c.propose(i, e)
}

func (c *Chain) ruleAppointment(i int, e *entry, b *Appointment) error {
	if err := notSelf(b.Proposer, b.Person); err != nil {
		return err
	}
	ins := b.Institution
	if b.Capacity == Administrator {
		ins = ""
	}
	if err := c.needRole(e, b.Proposer, b.Capacity, ins); err != nil {
		return err
	}
	if c.appointments[b.Appointment] != nil {
		return refuse(ErrDuplicate, "appointment %s", b.Appointment)
	}
	return c.propose(i, e)
}

// ruleApproval lets a waiting act take effect.
func (c *Chain) ruleApproval(i int, e *entry, b *Approval) error {
	t, ok := c.byHash[b.Target]
	if !ok {
		return refuse(ErrTarget, "act %v is not there or was refused", b.Target)
	}
	target := c.entries[t]
	at := e.act.statement.At
	switch {
	case target.act.statement.Body.Kind() != b.TargetKind:
		return refuse(ErrTarget, "act %v is not of kind %s", b.Target, b.TargetKind)
	case !target.waiting:
		return refuse(ErrTarget, "act %v does not wait for approval", b.Target)
	case !at.After(target.act.statement.At):
		return refuse(ErrTime, "approved before it was proposed")
	case at.Sub(target.act.statement.At) > ApprovalTerm:
		return refuse(ErrTime, "approved more than %v after it was proposed", ApprovalTerm)
	}
	proposer, subject := parties(target.act.statement.Body)
	if b.Approver == proposer && !c.rules.selfApproval {
		return refuse(ErrSamePerson, "%s", proposer)
	}
	if b.Approver == subject {
		return refuse(ErrSelf, "%s", subject)
	}
	if err := c.approverCapacity(target.act.statement.Body, b); err != nil {
		return err
	}
	if err := c.needRole(e, b.Approver, b.Capacity, b.Institution); err != nil {
		return err
	}
	if err := c.effect(t, target, at); err != nil {
		return err
	}
	e.relies = append(e.relies, t)
	target.waiting, target.approval = false, i
	return nil
}

// parties returns who proposed an act and whom it concerns.
func parties(b Body) (proposer, subject identity.PersonID) {
	switch b := b.(type) {
	case *Enrolment:
		return b.Registrar, b.Person
	case *RoleGrant:
		return b.Proposer, b.Person
	case *Appointment:
		return b.Proposer, b.Person
	case *Lift:
		return b.By, b.Person
	case *Amendment:
		return b.Proposer, ""
	}
	return "", ""
}

// approverCapacity says who may approve what: always a supervisor; for the
// first enrolment of a person up to N2 also another registrar; for an
// appointment also an administrator of the institution; for a lift also an
// administrator.
func (c *Chain) approverCapacity(target Body, a *Approval) error {
	if a.Capacity == Supervisor {
		return nil
	}
	switch b := target.(type) {
	case *Enrolment:
		first := len(c.person(b.Person).enrolments) == 0
		if a.Capacity == Registrar && first && b.Level <= identity.N2 && !b.Replaces {
			return nil
		}
		if a.Capacity == Registrar {
			return refuse(ErrCapacity, "N3 and any later enrolment need a supervisor")
		}
	case *Appointment:
		if a.Capacity == InstitutionAdmin && a.Institution == b.Institution {
			return nil
		}
	case *Lift:
		if a.Capacity == Administrator {
			return nil
		}
	}
	return refuse(ErrCapacity, "%s approves no act of this kind here", a.Capacity)
}
