package act

import (
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// effect lets an act take effect at t. It checks first and changes afterwards.
func (c *Chain) effect(i int, e *entry, t time.Time) error {
	switch b := e.act.statement.Body.(type) {
	case *Enrolment:
		return c.enrol(i, b, t)
	case *KeyAddition:
		c.bind(b.Key, b.Person, b.Level, during(b.ValidFrom, b.ValidTo, t), i)
	case *RoleGrant:
		c.roles[b.Person] = append(c.roles[b.Person], &role{
			person: b.Person, role: b.Role, institution: b.Institution, span: during(b.From, b.To, t), entry: i,
		})
	case *Appointment:
		return c.appoint(i, b, t)
	case *Amendment:
		c.settings = append(c.settings, settingsAt{Settings: b.Settings, from: t, entry: i})
	case *Lift:
		return c.lift(b, t)
	}
	return nil
}

// during is the span of something that takes effect at t.
func during(from, to, t time.Time) span {
	if from.Before(t) {
		from = t
	}
	return span{from: from, to: to}
}

// bind gives a key to a person, or adds what an act says about a key of
// theirs. A key that may leave its device never counts for more than N2.
func (c *Chain) bind(r KeyRecord, who identity.PersonID, level identity.Level, s span, i int) {
	if r.Backup != SingleDevice && level > identity.N2 {
		level = identity.N2
	}
	id := r.ID()
	k := c.keys[id]
	if k == nil {
		k = &boundKey{id: id, person: who}
		c.keys[id] = k
		p := c.person(who)
		p.keys = append(p.keys, k)
	}
	k.grants = append(k.grants, keyGrant{record: r, level: level, span: s, entry: i})
}

func (c *Chain) enrol(i int, b *Enrolment, t time.Time) error {
	if err := c.free(b.Person, t, b.Keys); err != nil {
		return err
	}
	p := c.person(b.Person)
	if b.Replaces {
		for _, k := range p.keys {
			if !slices.ContainsFunc(b.Keys, func(r KeyRecord) bool { return r.ID() == k.id }) {
				k.end(t)
			}
		}
	}
	p.enrolments = append(p.enrolments, enrolled{level: b.Level, from: t, entry: i})
	for _, k := range b.Keys {
		c.bind(k, b.Person, b.Level, during(b.ValidFrom, b.ValidTo, t), i)
	}
	return nil
}

func (c *Chain) appoint(i int, b *Appointment, t time.Time) error {
	if c.appointments[b.Appointment] != nil {
		return refuse(ErrDuplicate, "appointment %s", b.Appointment)
	}
	a := &appointment{body: b, span: during(b.From, b.To, t), entry: i}
	if !a.to.IsZero() && !a.from.Before(a.to) {
		return refuse(ErrTime, "the appointment is over before it takes effect")
	}
	for _, other := range c.posts[b.Post] {
		if other.body.Institution != b.Institution {
			return refuse(ErrPostTaken, "post %s is of another institution", b.Post)
		}
		if (b.Exclusive || other.body.Exclusive) && b.Holding != Suplente && other.body.Holding != Suplente && a.overlaps(other.span) {
			return refuse(ErrPostTaken, "post %s, by appointment %s", b.Post, other.body.Appointment)
		}
	}
	c.appointments[b.Appointment] = a
	c.posts[b.Post] = append(c.posts[b.Post], a)
	return nil
}

// ruleEnd ends a key, a role or an appointment at the time of the act.
func (c *Chain) ruleEnd(e *entry, b *End) error {
	at := e.act.statement.At
	allowed := map[string][]Role{
		EndKey:         {Holder, Registrar, Supervisor, Administrator},
		EndRole:        {Holder, Supervisor, Administrator},
		EndAppointment: {Holder, Supervisor, Administrator, InstitutionAdmin},
	}[b.What]
	ins := identity.InstitutionID("")
	if a := c.appointments[b.Appointment]; a != nil && b.Capacity == InstitutionAdmin {
		ins = a.body.Institution
	}
	if err := c.mayReduce(e, b.Person, b.By, b.Capacity, ins, allowed); err != nil {
		return err
	}
	return c.end(b, at)
}

// end closes what the act names, or returns ErrTarget.
func (c *Chain) end(b *End, t time.Time) error {
	found := false
	switch b.What {
	case EndKey:
		if k := c.keys[b.Key]; k != nil && k.person == b.Person && (k.ended.IsZero() || t.Before(k.ended)) {
			k.end(t)
			found = true
		}
	case EndRole:
		if c.roleAt(b.Person, b.Role, b.Institution, t) != nil {
			if err := c.keepsOne(b.Person, b.Role, t); err != nil {
				return err
			}
		}
		for _, g := range c.roles[b.Person] { // every grant of it, also those that begin later
			if g.role == b.Role && g.institution == b.Institution && g.at(t) != ErrEnded {
				g.end(t)
				found = true
			}
		}
	case EndAppointment:
		if a := c.appointments[b.Appointment]; a != nil && a.body.Person == b.Person && a.at(t) != ErrEnded {
			a.end(t)
			found = true
		}
	}
	if !found {
		return refuse(ErrTarget, "the %s is not there or has ended", b.What)
	}
	return nil
}

// mayReduce decides whether somebody may take authority away from a person.
func (c *Chain) mayReduce(e *entry, who, by identity.PersonID, capacity Role, ins identity.InstitutionID, allowed []Role) error {
	if !slices.Contains(allowed, capacity) {
		return refuse(ErrCapacity, "not as %s", capacity)
	}
	if capacity == Holder {
		if by != who {
			return refuse(ErrOtherPerson, "only the person concerned acts as holder")
		}
		return nil
	}
	if err := notSelf(by, who); err != nil {
		return err
	}
	return c.needRole(e, by, capacity, ins)
}

// keepsOne demands that somebody else holds a role without which nothing could
// be proposed or approved any more.
func (c *Chain) keepsOne(who identity.PersonID, r Role, t time.Time) error {
	if r == InstitutionAdmin {
		return nil
	}
	for other := range c.roles {
		if other != who && c.roleAt(other, r, "", t) != nil && !c.suspendedAt(other, t) {
			return nil
		}
	}
	return refuse(ErrLastHolder, "%s", r)
}

// holdsAny reports whether a person holds a role of staff at t.
func (c *Chain) holdsAny(who identity.PersonID, t time.Time) []Role {
	var out []Role
	for _, g := range c.roles[who] {
		if g.at(t) == nil {
			out = append(out, g.role)
		}
	}
	return out
}

func (c *Chain) ruleSuspension(e *entry, b *Suspension) error {
	at := e.act.statement.At
	allowed := []Role{Holder, Registrar, Supervisor, Administrator}
	held := c.holdsAny(b.Person, at)
	if len(held) > 0 {
		allowed = []Role{Holder, Supervisor, Administrator}
	}
	if err := c.mayReduce(e, b.Person, b.By, b.Capacity, "", allowed); err != nil {
		return err
	}
	if b.Capacity != Holder { // a person's own stop button always works
		for _, r := range held {
			if err := c.keepsOne(b.Person, r, at); err != nil {
				return err
			}
		}
	}
	if c.suspendedAt(b.Person, at) {
		return refuse(ErrDuplicate, "already suspended")
	}
	p := c.person(b.Person)
	p.suspensions = append(p.suspensions, &suspension{span: span{from: at}, act: e.act.hash, person: b.Person})
	return nil
}

// openSuspension returns the suspension that an act made, if it is open at t.
func (c *Chain) openSuspension(who identity.PersonID, act Hash, t time.Time) *suspension {
	for _, s := range c.person(who).suspensions {
		if s.act == act && s.at(t) == nil {
			return s
		}
	}
	return nil
}

func (c *Chain) ruleLift(i int, e *entry, b *Lift) error {
	if err := notSelf(b.By, b.Person); err != nil {
		return err
	}
	if b.Capacity == InstitutionAdmin {
		return refuse(ErrCapacity, "not as %s", b.Capacity)
	}
	if err := c.needRole(e, b.By, b.Capacity, ""); err != nil {
		return err
	}
	if c.openSuspension(b.Person, b.Suspension, e.act.statement.At) == nil {
		return refuse(ErrTarget, "no such suspension is open")
	}
	return c.propose(i, e)
}

func (c *Chain) lift(b *Lift, t time.Time) error {
	s := c.openSuspension(b.Person, b.Suspension, t)
	if s == nil {
		return refuse(ErrTarget, "no such suspension is open")
	}
	s.end(t)
	return nil
}

func (c *Chain) rulePresence(i int, e *entry, b *Presence) error {
	at := e.act.statement.At
	if err := notSelf(b.Registrar, b.Person); err != nil {
		return err
	}
	if err := c.needRole(e, b.Registrar, Registrar, ""); err != nil {
		return err
	}
	en, err := c.enrolledAt(b.Person, at)
	if err != nil {
		return err
	}
	e.relies = append(e.relies, en.entry)
	c.presences[b.Challenge] = append(c.presences[b.Challenge], &presence{body: b, at: at, entry: i})
	return nil
}

// enrolledAt returns the latest enrolment of a person in effect at t.
func (c *Chain) enrolledAt(who identity.PersonID, t time.Time) (enrolled, error) {
	p := c.people[who]
	if p == nil || len(p.enrolments) == 0 {
		return enrolled{}, refuse(ErrNotEnrolled, "%s", who)
	}
	for _, en := range slices.Backward(p.enrolments) {
		if !t.Before(en.from) {
			if c.suspendedAt(who, t) {
				return enrolled{}, refuse(ErrSuspended, "%s", who)
			}
			return en, nil
		}
	}
	return enrolled{}, refuse(ErrNotYet, "enrolment of %s", who)
}
