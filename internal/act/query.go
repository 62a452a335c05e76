package act

import (
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// KeyGrant says what a key is good for at a time.
type KeyGrant struct {
	Key         Hash
	COSE        []byte
	Person      identity.PersonID
	Level       identity.Level
	AAGUID      [16]byte
	Backup      string // SingleDevice or MultiDevice
	Attestation string
	Act         Hash // the enrolment or key addition that says so
}

// Key answers whether a key may sign for a person at time t with at least the
// given level. The refusal names what is missing: [ErrUnknownKey],
// [ErrPending], [ErrOtherPerson], [ErrLevel], [ErrNotYet], [ErrEnded],
// [ErrSuspended], or the reason for which the act that names the key was refused.
func (c *Chain) Key(key Hash, who identity.PersonID, least identity.Level, t time.Time) (KeyGrant, error) {
	if c.keys[key] == nil {
		return KeyGrant{}, c.whyUnknown(key)
	}
	g, err := c.acceptedKey(key, who, t)
	if err != nil {
		return KeyGrant{}, err
	}
	if g.level < least {
		return KeyGrant{}, refuse(ErrLevel, "the key has %v, %v is asked for", g.level, least)
	}
	return KeyGrant{
		Key: key, COSE: slices.Clone(g.record.COSE), Person: c.keys[key].person, Level: g.level,
		AAGUID: g.record.AAGUID, Backup: g.record.Backup, Attestation: g.record.Attestation,
		Act: c.entries[g.entry].act.hash,
	}, nil
}

// whyUnknown looks for an act that names a key but does not bind it.
func (c *Chain) whyUnknown(key Hash) error {
	for _, e := range slices.Backward(c.entries) {
		if !names(e.act.statement.Body, key) {
			continue
		}
		if e.refusal != nil {
			return e.refusal
		}
		if e.waiting {
			st := e.act.statement
			return &Refusal{Act: e.act.hash, ID: st.ID, Kind: st.Body.Kind(), Reason: ErrPending, Missing: needed(st.Body)}
		}
	}
	return refuse(ErrUnknownKey, "no act names key %v", key)
}

func names(b Body, key Hash) bool {
	switch b := b.(type) {
	case *Enrolment:
		return slices.ContainsFunc(b.Keys, func(r KeyRecord) bool { return r.ID() == key })
	case *KeyAddition:
		return b.Key.ID() == key
	}
	return false
}

// needed says whose approval an act waits for.
func needed(b Body) string {
	switch b := b.(type) {
	case *Enrolment:
		if b.Level <= identity.N2 && !b.Replaces {
			return "approval by a supervisor, or for a first enrolment by another registrar"
		}
	case *Appointment:
		return "approval by a supervisor or another administrator of the institution"
	case *Lift:
		return "approval by a supervisor or an administrator other than the author"
	}
	return "approval by a supervisor"
}

// Keys lists the keys of a person that are accepted at t, in the order in which they were bound.
func (c *Chain) Keys(who identity.PersonID, t time.Time) []KeyGrant {
	var out []KeyGrant
	p := c.people[who]
	if p == nil {
		return nil
	}
	for _, k := range p.keys {
		if g, err := c.Key(k.id, who, identity.N0, t); err == nil {
			out = append(out, g)
		}
	}
	return out
}

// Enrolled returns the level at which a person is enrolled at t. Errors:
// [ErrNotEnrolled], [ErrNotYet], [ErrSuspended].
func (c *Chain) Enrolled(who identity.PersonID, t time.Time) (identity.Level, error) {
	en, err := c.enrolledAt(who, t)
	return en.level, err
}

// Suspension returns the act that keeps a person suspended at t; ok is false if none does.
func (c *Chain) Suspension(who identity.PersonID, t time.Time) (act Hash, ok bool) {
	if p := c.people[who]; p != nil {
		for _, s := range p.suspensions {
			if s.at(t) == nil {
				return s.act, true
			}
		}
	}
	return Hash{}, false
}

// Post is an appointment as a chain knows it.
type Post struct {
	Appointment
	Since time.Time // when it took effect
	Act   Hash
}

// Appointment answers whether a person holds an appointment at t. Errors:
// [ErrNoAppointment], [ErrPending], [ErrOtherPerson], [ErrNotYet],
// [ErrEnded], [ErrSuspended].
func (c *Chain) Appointment(id identity.AppointmentID, who identity.PersonID, t time.Time) (Post, error) {
	a := c.appointments[id]
	if a == nil {
		for _, e := range slices.Backward(c.entries) {
			b, ok := e.act.statement.Body.(*Appointment)
			if !ok || b.Appointment != id {
				continue
			}
			if e.refusal != nil {
				return Post{}, e.refusal
			}
			return Post{}, &Refusal{Act: e.act.hash, ID: e.act.statement.ID, Kind: KindAppointment, Reason: ErrPending, Missing: needed(b)}
		}
		return Post{}, refuse(ErrNoAppointment, "%s", id)
	}
	if a.body.Person != who {
		return Post{}, refuse(ErrOtherPerson, "appointment %s", id)
	}
	if err := a.at(t); err != nil {
		return Post{}, refuse(err, "appointment %s", id)
	}
	if c.suspendedAt(who, t) {
		return Post{}, refuse(ErrSuspended, "%s", who)
	}
	return Post{Appointment: *a.body, Since: a.from, Act: c.entries[a.entry].act.hash}, nil
}

// HasRole answers whether a person holds a role at t; ins is empty but for
// InstitutionAdmin. Errors: [ErrRole], [ErrSuspended].
func (c *Chain) HasRole(who identity.PersonID, r Role, ins identity.InstitutionID, t time.Time) error {
	if c.roleAt(who, r, ins, t) == nil {
		return refuse(ErrRole, "%s as %s", who, r)
	}
	if c.suspendedAt(who, t) {
		return refuse(ErrSuspended, "%s", who)
	}
	return nil
}

// Attested answers whether a registrar attested, not after t, that a person
// was present for exactly this challenge. Errors: [ErrNoPresence], [ErrOtherPerson].
func (c *Chain) Attested(challenge Hash, who identity.PersonID, t time.Time) (Presence, Hash, error) {
	var other bool
	for _, p := range c.presences[challenge] {
		switch {
		case p.at.After(t):
		case p.body.Person != who:
			other = true
		default:
			return *p.body, c.entries[p.entry].act.hash, nil
		}
	}
	if other {
		return Presence{}, Hash{}, refuse(ErrOtherPerson, "presence attested of somebody else")
	}
	return Presence{}, Hash{}, refuse(ErrNoPresence, "challenge %v", challenge)
}

// Deployment is what genesis and its amendments say at a time.
type Deployment struct {
	Name    string
	RPID    string
	Genesis Hash
	Settings
}

// Deployment returns the settings in force at t.
func (c *Chain) Deployment(t time.Time) Deployment {
	s := c.settings[0]
	for _, later := range c.settings[1:] {
		if !t.Before(later.from) {
			s = later
		}
	}
	g := c.entries[0].act.statement.Body.(*Genesis) // begin made sure
	s.Origins = slices.Clone(s.Origins)
	return Deployment{Name: g.Name, RPID: c.rpID, Genesis: c.pinned, Settings: s.Settings}
}

// Refusals lists the acts that have no effect, in the order of the chain.
func (c *Chain) Refusals() []*Refusal {
	var out []*Refusal
	for _, e := range c.entries {
		if e.refusal != nil {
			out = append(out, e.refusal)
		}
	}
	return out
}

// Waiting lists the acts that wait for an approval, each as a refusal with
// reason [ErrPending] that says whose.
func (c *Chain) Waiting() []*Refusal {
	var out []*Refusal
	for _, e := range c.entries {
		if e.waiting {
			st := e.act.statement
			out = append(out, &Refusal{Act: e.act.hash, ID: st.ID, Kind: st.Body.Kind(), Reason: ErrPending, Missing: needed(st.Body)})
		}
	}
	return out
}

// Acts returns all acts in the order of the chain, genesis first.
func (c *Chain) Acts() []*Signed {
	out := make([]*Signed, len(c.entries))
	for i, e := range c.entries {
		out[i] = e.act
	}
	return out
}

// Proof returns the acts on which the given acts rest, themselves and genesis
// included, in the order of the chain: what an evidence bundle has to carry.
// An act that is not in effect yields its refusal.
func (c *Chain) Proof(of ...Hash) ([]*Signed, error) {
	marked := map[int]bool{0: true}
	var mark func(i int)
	mark = func(i int) {
		if marked[i] {
			return
		}
		marked[i] = true
		e := c.entries[i]
		for _, r := range e.relies {
			mark(r) // always a lower index, or the approval of one
		}
		if e.approval >= 0 {
			mark(e.approval)
		}
	}
	for _, h := range of {
		i, ok := c.byHash[h]
		if !ok {
			return nil, refuse(ErrTarget, "act %v is not in effect", h)
		}
		if c.entries[i].waiting {
			return nil, refuse(ErrPending, "%s", needed(c.entries[i].act.statement.Body))
		}
		mark(i)
	}
	var out []*Signed
	for i, e := range c.entries {
		if marked[i] {
			out = append(out, e.act)
		}
	}
	return out, nil
}

// Bounds on the time of an act that is admitted while it happens.
const (
	// MaxSkew is how far ahead of the admitting clock an act may be.
	MaxSkew = 2 * time.Minute
	// MaxDelay is how late an act may arrive.
	MaxDelay = 10 * time.Minute
	// MaxBacklog is how late an enrolment or a presence may arrive, from a counter without a network.
	MaxBacklog = 72 * time.Hour
)

// Admit extends a chain with one act that arrives at time now, or says why
// not. Beyond what [Build] asks, the act must be recent, so that nobody can
// take authority away in retrospect, and whoever adds authority must still
// have theirs now, so that the former holder of a role cannot date an act
// back. The caller keeps the returned chain only if it also stored the act.
func (c *Chain) Admit(s *Signed, now time.Time) (*Chain, error) {
	at := s.statement.At
	if at.After(now.Add(MaxSkew)) {
		return nil, refuse(ErrTime, "in the future")
	}
	late := MaxDelay
	if k := s.statement.Body.Kind(); k == KindEnrolment || k == KindPresence {
		late = MaxBacklog
	}
	if at.Before(now.Add(-late)) {
		return nil, refuse(ErrTime, "older than %v", late)
	}
	next, err := c.Extend(s)
	if err != nil {
		return nil, err
	}
	for _, e := range next.entries {
		if e.act == s && e.refusal != nil {
			return nil, e.refusal
		}
	}
	if err := next.stillAuthorised(s, now); err != nil {
		return nil, err
	}
	return next, nil
}

// stillAuthorised checks the author of an act that adds authority at now.
func (c *Chain) stillAuthorised(s *Signed, now time.Time) error {
	st := s.statement
	if now.Before(st.At) { // within the skew
		now = st.At
	}
	if st.Body.Kind() == KindEnd || st.Body.Kind() == KindSuspension {
		return nil
	}
	for _, w := range st.Body.signers() {
		if w.fresh != nil {
			continue
		}
		for _, g := range s.signatures {
			if !w.matches(g) {
				continue
			}
			if _, err := c.acceptedKey(g.Key, w.person, now); err != nil {
				return fmt.Errorf("author at the time of arrival: %w", err)
			}
		}
	}
	who, r, ins := author(st.Body)
	if r == "" {
		return nil
	}
	return c.HasRole(who, r, ins, now)
}

// author returns who acts as staff in an act, and in which role.
func author(b Body) (identity.PersonID, Role, identity.InstitutionID) {
	switch b := b.(type) {
	case *Enrolment:
		return b.Registrar, Registrar, ""
	case *RoleGrant:
		return b.Proposer, Administrator, ""
	case *Amendment:
		return b.Proposer, Administrator, ""
	case *Appointment:
		if b.Capacity == InstitutionAdmin {
			return b.Proposer, InstitutionAdmin, b.Institution
		}
		return b.Proposer, Administrator, ""
	case *Approval:
		return b.Approver, b.Capacity, b.Institution
	case *Lift:
		return b.By, b.Capacity, ""
	case *Presence:
		return b.Registrar, Registrar, ""
	}
	return "", "", ""
}
