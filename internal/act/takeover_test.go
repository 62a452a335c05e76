package act

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// The takeover search plays one member of staff who holds every role there is,
// helped by a citizen without any, against everybody else. It may use those
// two people's keys and as many fresh ones as it likes, in anybody's name, and
// looks for a sequence of acts after which one of these keys is accepted for
// somebody else, or a role, an appointment or a setting came about (invariant 3).

type attacker struct {
	*world
	staff, citizen *member // the attacker's two people
	victim         *member // an enrolled person
	colleague      *member // an honest registrar and supervisor, so that no last-holder rule is in the way
	nobody         identity.PersonID
	fresh          []*device
	next           int // of the fresh devices
	base           int // acts that belong to the honest past
	memo           *memo
	owner          map[Hash]identity.PersonID // whose each controlled key may be
}

func newAttacker(t testing.TB, fresh []*device) *attacker {
	w := newWorld(t)
	a := &attacker{world: w, nobody: personID(99), fresh: fresh, memo: &memo{seen: map[Hash]bool{}}}
	a.staff, a.citizen = w.enrol(20, "staff", identity.N3), w.enrol(21, "citizen", identity.N3)
	a.victim, a.colleague = w.enrol(22, "victim", identity.N3), w.enrol(23, "colleague", identity.N3)
	ins := identity.InstitutionID(fixedID("ins", 1))
	for _, r := range []Role{Administrator, Registrar, Supervisor} {
		w.grant(a.staff, r, "")
		w.grant(a.colleague, r, "")
	}
	w.grant(a.staff, InstitutionAdmin, ins)
	w.clean()
	a.base = len(w.acts)
	a.owner = map[Hash]identity.PersonID{a.staff.dev.id(): a.staff.id, a.citizen.dev.id(): a.citizen.id}
	return a
}

// freshDevice hands out a key that nobody has.
func (a *attacker) freshDevice() *device {
	a.next++
	return a.fresh[(a.next-1)%len(a.fresh)]
}

// forge signs a body with the devices given, in whatever name it asks for.
func (a *attacker) forge(b Body, devices ...*device) *Signed {
	a.nextID++
	st := Statement{ID: identity.ActID(fixedID("act", a.nextID)), Genesis: a.genesis, At: a.now, Body: b}
	if _, err := st.Encode(); err != nil {
		return nil // not a legal act at all
	}
	var signers []by
	for i, s := range b.signers() {
		signers = append(signers, by{s.person, devices[min(i, len(devices)-1)]})
	}
	return a.signStatement(st, signers...)
}

// grow lists acts that would add authority, in the state c.
func (a *attacker) grow(c *Chain) []*Signed {
	var out []*Signed
	add := func(b Body, devices ...*device) {
		if s := a.forge(b, devices...); s != nil {
			out = append(out, s)
		}
	}
	own := []*member{a.staff, a.citizen}
	names := []identity.PersonID{a.staff.id, a.citizen.id, a.colleague.id}
	targets := []identity.PersonID{a.victim.id, a.colleague.id, a.nobody, a.staff.id, a.citizen.id}
	for _, name := range names {
		for _, with := range own {
			if name != with.id && name != a.colleague.id {
				continue // in a name of their own they use the key of that name
			}
			for _, who := range targets {
				d := a.freshDevice()
				e := a.enrolment(&member{id: who, dev: d}, identity.N3)
				e.Registrar, e.Replaces = name, who == a.victim.id
				add(e, with.dev, d)
				add(&RoleGrant{Person: who, Role: Supervisor, Proposer: name}, with.dev)
				ap := a.appointmentBody(&member{id: who}, a.nextID)
				ap.Exclusive, ap.Proposer = false, name
				add(ap, with.dev)
				ap2 := *ap
				ap2.Appointment, ap2.Capacity = identity.AppointmentID(fixedID("apt", 5000+a.nextID)), InstitutionAdmin
				add(&ap2, with.dev)
			}
			add(&Amendment{Settings: Settings{Origins: []string{"https://evil.example.org"}, LogOrigin: "x", Policy: "0"}, Proposer: name}, with.dev)
		}
	}
	for _, who := range targets {
		for _, with := range own {
			d := a.freshDevice()
			add(&KeyAddition{Person: who, Earlier: with.dev.id(), Key: d.record, Level: identity.N2}, with.dev, d)
			add(&KeyAddition{Person: who, Earlier: a.victim.dev.id(), Key: d.record, Level: identity.N2}, with.dev, d)
		}
	}
	for _, r := range c.Waiting() {
		for _, name := range names {
			for _, with := range own {
				for _, role := range []Role{Supervisor, Registrar, Administrator, InstitutionAdmin} {
					ap := &Approval{Target: r.Act, TargetKind: r.Kind, Approver: name, Capacity: role}
					if role == InstitutionAdmin {
						ap.Institution = identity.InstitutionID(fixedID("ins", 1))
					}
					add(ap, with.dev)
				}
			}
		}
	}
	return out
}

// reduce lists acts that would take authority away.
func (a *attacker) reduce() []*Signed {
	var out []*Signed
	for _, m := range []*member{a.victim, a.colleague, a.supervisor, a.citizen} {
		if s := a.forge(&Suspension{Person: m.id, Reason: "x", By: a.staff.id, Capacity: Supervisor}, a.staff.dev); s != nil {
			out = append(out, s)
		}
		if s := a.forge(&End{What: EndKey, Person: m.id, Key: m.dev.id(), Reason: "x", By: a.staff.id, Capacity: Supervisor}, a.staff.dev); s != nil {
			out = append(out, s)
		}
	}
	for _, m := range []*member{a.supervisor, a.colleague} {
		out = append(out, a.forge(&End{What: EndRole, Person: m.id, Role: Supervisor, Reason: "x", By: a.staff.id, Capacity: Administrator}, a.staff.dev))
	}
	return out
}

// takeover names what the attacker has gained in the state c, or "".
func (a *attacker) takeover(c *Chain, t time.Time) string {
	mine := func(who identity.PersonID) bool { return who == a.staff.id || who == a.citizen.id }
	for id, k := range c.keys {
		if _, err := c.Key(id, k.person, identity.N0, t); err != nil {
			continue
		}
		_, controlled := a.owner[id]
		controlled = controlled || slices.ContainsFunc(a.fresh, func(d *device) bool { return d.id() == id })
		if controlled && !mine(k.person) {
			return fmt.Sprintf("a key of the attacker is accepted for %s", k.person)
		}
		if want, ok := a.owner[id]; ok && want != k.person {
			return "a key changed hands"
		}
	}
	if c.HasRole(a.citizen.id, Supervisor, "", t) == nil || c.HasRole(a.nobody, Supervisor, "", t) == nil {
		return "a role came about"
	}
	for _, ap := range c.appointments {
		return fmt.Sprintf("%s was appointed", ap.body.Person)
	}
	if c.Deployment(t).Policy != "1.0" {
		return "the settings were changed"
	}
	return ""
}

// state builds the chain of the honest past and the attacker's acts.
func (a *attacker) state(r rules) *Chain {
	a.t.Helper()
	c, err := build(a.genesis, a.acts, r, a.memo)
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

// stand lists which of the acts have an effect, or wait for one, next to the present ones.
func (a *attacker) stand(r rules, acts []*Signed) []*Signed {
	var out []*Signed
	n := len(a.acts)
	for _, s := range acts {
		a.acts = append(a.acts[:n:n], s)
		c := a.state(r)
		if c.entries[len(c.entries)-1].act != s {
			a.t.Fatal("the newest act is not the last")
		}
		if c.entries[len(c.entries)-1].refusal == nil {
			out = append(out, s)
		}
	}
	a.acts = a.acts[:n]
	return out
}

// search tries every sequence of at most depth acts and returns the first takeover.
func (a *attacker) search(r rules, depth int) (string, int) {
	c := a.state(r)
	if got := a.takeover(c, a.now); got != "" || depth == 0 {
		return got, 1
	}
	a.tick()
	defer func(now time.Time, n int) { a.now, a.acts = now, a.acts[:n] }(a.now, len(a.acts))
	seen := 1
	for _, s := range a.stand(r, append(a.grow(c), a.reduce()...)) {
		n := len(a.acts)
		now := a.now
		a.acts = append(a.acts[:n:n], s)
		got, states := a.search(r, depth-1)
		a.acts, a.now = a.acts[:n], now
		seen += states
		if got != "" {
			return got, seen
		}
	}
	return "", seen
}

// saturate adds everything that stands, round after round: acts that add
// authority do not stand in each other's way when every one has a fresh key,
// so this covers all sequences of them up to that many rounds at once.
func (a *attacker) saturate(r rules, rounds int) string {
	for range rounds {
		c := a.state(r)
		if got := a.takeover(c, a.now); got != "" {
			return got
		}
		a.tick()
		a.acts = append(a.acts, a.stand(r, a.grow(c))...)
	}
	return a.takeover(a.state(r), a.now)
}

// longTests reports whether searches may take minutes.
func longTests() bool { return os.Getenv("SUTI_TEST_LONG") == "1" }

func freshDevices(t testing.TB, n int) []*device {
	out := make([]*device, n)
	for i := range out {
		alg := softauthn.ES256
		if i%2 == 1 {
			alg = softauthn.EdDSA
		}
		out[i] = newDevice(t, fmt.Sprintf("fresh %d", i), alg)
	}
	return out
}

func TestNoSequenceByOneMemberOfStaffTakesOver(t *testing.T) {
	t.Parallel()
	depth := 2
	if longTests() {
		depth = 3
	}
	a := newAttacker(t, freshDevices(t, 400))
	got, states := a.search(rules{}, depth)
	if got != "" {
		t.Errorf("takeover: %s, by %d acts", got, len(a.acts)-a.base)
	}
	if states < 100 {
		t.Errorf("only %d states were searched", states)
	}
	t.Logf("%d states to depth %d", states, depth)
}

func TestNoLongSequenceTakesOver(t *testing.T) {
	t.Parallel()
	fresh := freshDevices(t, 400)
	for _, first := range []int{-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9} {
		a := newAttacker(t, fresh)
		if first >= 0 { // begin by taking something away from the others
			a.tick()
			a.acts = append(a.acts, a.stand(rules{}, a.reduce()[first:first+1])...)
		}
		rounds := 2
		switch {
		case longTests() && first < 0:
			rounds = 6
		case longTests() || first < 0:
			rounds = 3
		}
		if got := a.saturate(rules{}, rounds); got != "" {
			t.Errorf("takeover after reduction %d: %s", first, got)
		}
	}
}

// TestSearchNoticesABrokenRule breaks one rule of authority at a time: the
// search has to find what follows from it.
func TestSearchNoticesABrokenRule(t *testing.T) {
	t.Parallel()
	fresh := freshDevices(t, 400)
	for name, broken := range map[string]rules{
		"no approval needed":          {noApproval: true},
		"proposers approve":           {selfApproval: true},
		"any key signs for anybody":   {anyKeySigns: true},
		"staff need not hold a role":  {rolesUnchecked: true},
		"no approval, roles or names": {noApproval: true, rolesUnchecked: true, anyKeySigns: true},
	} {
		a := newAttacker(t, fresh)
		if got, _ := a.search(broken, 2); got == "" {
			t.Errorf("%s: the search to depth 2 found nothing", name)
		}
		b := newAttacker(t, fresh)
		if got := b.saturate(broken, 3); got == "" {
			t.Errorf("%s: saturation found nothing", name)
		}
	}
}

// TestTwoMembersOfStaffSuffice shows that the search fails for want of a
// second person, not because its acts are malformed.
func TestTwoMembersOfStaffSuffice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.enrol(10, "m", identity.N3)
	thief := &member{id: m.id, dev: newDevice(t, "thief", softauthn.ES256)}
	e := w.enrolment(thief, identity.N3)
	e.Replaces = true
	w.approve(w.do(e, w.registrar.signs(), thief.signs()))
	_, err := w.clean().Key(thief.dev.id(), m.id, identity.N3, w.now)
	wantErr(t, "registrar and supervisor together", err, nil)
}
