package act

import "oruro.gob.bo/suti/internal/identity"

// What an [End] ends.
const (
	EndKey         = "key"
	EndRole        = "role"
	EndAppointment = "appointment"
)

// End ends a key, a role or an appointment for good, at the time of the act.
// One person suffices.
type End struct {
	What string // EndKey, EndRole or EndAppointment
	// Person, whose key, role or appointment it is.
	Person identity.PersonID
	// Key is the key's id, for EndKey only.
	Key Hash
	// Role and Institution, for EndRole only; Institution for InstitutionAdmin only.
	Role        Role
	Institution identity.InstitutionID
	// Appointment, for EndAppointment only.
	Appointment identity.AppointmentID
	Reason      string // a label
	By          identity.PersonID
	Capacity    Role // Holder, or a role
}

// Kind returns KindEnd.
func (*End) Kind() Kind { return KindEnd }

func (e *End) fields(c *codec) {
	str(c, "what", &e.What, len(EndAppointment))
	str(c, "person", &e.Person, maxID)
	switch e.What {
	case EndKey:
		c.hash("key", &e.Key)
	case EndRole:
		str(c, "role", &e.Role, 20)
		str(c, "institution", &e.Institution, maxID)
	case EndAppointment:
		str(c, "appointment", &e.Appointment, maxID)
	default:
		c.fail(ErrValue, "what", "unknown value")
	}
	authorFields(c, &e.Reason, &e.By, &e.Capacity)
}

func authorFields(c *codec, reason *string, by *identity.PersonID, capacity *Role) {
	str(c, "reason", reason, 40)
	str(c, "by", by, maxID)
	str(c, "capacity", capacity, 20)
}

func (e *End) check(k *checks) {
	k.person("person", e.Person)
	k.that((e.What == EndKey) == !e.Key.IsZero(), "key", "belongs to the end of a key")
	k.that((e.What == EndAppointment) == (e.Appointment != ""), "appointment", "belongs to the end of an appointment")
	switch e.What {
	case EndRole:
		checkRole(k, e.Role, e.Institution)
	case EndAppointment:
		k.id("appointment", identity.PrefixAppointment, string(e.Appointment), false)
		k.that(e.Role == "" && e.Institution == "", "role", "belongs to the end of a role")
	case EndKey:
		k.that(e.Role == "" && e.Institution == "", "role", "belongs to the end of a role")
	default:
		k.that(false, "what", "unknown value")
	}
	checkAuthor(k, e.Reason, e.By, e.Capacity)
}

func checkAuthor(k *checks, reason string, by identity.PersonID, capacity Role) {
	k.label("reason", reason)
	k.person("by", by)
	k.oneOf("capacity", string(capacity), string(Holder), string(Administrator), string(Registrar),
		string(Supervisor), string(InstitutionAdmin))
}

func (e *End) signers() []signer { return []signer{{person: e.By}} }

// Suspension stops all keys of a person until it is lifted. One person
// suffices, also the person concerned.
type Suspension struct {
	Person   identity.PersonID
	Reason   string // a label
	By       identity.PersonID
	Capacity Role // Holder, or a role
}

// Kind returns KindSuspension.
func (*Suspension) Kind() Kind { return KindSuspension }

func (s *Suspension) fields(c *codec) {
	str(c, "person", &s.Person, maxID)
	authorFields(c, &s.Reason, &s.By, &s.Capacity)
}

func (s *Suspension) check(k *checks) {
	k.person("person", s.Person)
	checkAuthor(k, s.Reason, s.By, s.Capacity)
}

func (s *Suspension) signers() []signer { return []signer{{person: s.By}} }

// Lift ends one suspension. It takes effect when a supervisor or an
// administrator other than its author approves it.
type Lift struct {
	Suspension Hash // hash of the act of suspension
	Person     identity.PersonID
	Reason     string // a label
	By         identity.PersonID
	Capacity   Role
}

// Kind returns KindLift.
func (*Lift) Kind() Kind { return KindLift }

func (l *Lift) fields(c *codec) {
	c.hash("suspension", &l.Suspension)
	str(c, "person", &l.Person, maxID)
	authorFields(c, &l.Reason, &l.By, &l.Capacity)
}

func (l *Lift) check(k *checks) {
	k.that(!l.Suspension.IsZero(), "suspension", "zero")
	k.person("person", l.Person)
	checkAuthor(k, l.Reason, l.By, l.Capacity)
	k.that(l.Capacity != Holder, "capacity", "nobody lifts their own suspension")
}

func (l *Lift) signers() []signer { return []signer{{person: l.By}} }
