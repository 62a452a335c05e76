package act

import (
	"errors"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// TestRefusals makes one illegal act each and wants it refused for its reason.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		want error
		make func(w *world) *Signed // the last act, already taken into the world
	}{
		{"second genesis", ErrGenesis, func(w *world) *Signed {
			st := Statement{ID: identity.ActID(fixedID("act", 900)), At: w.tick(), Body: w.genesisBody()}
			return w.take(w.signStatement(st, w.admin.signs(), w.registrar.signs(), w.supervisor.signs()))
		}},
		{"made for another genesis", ErrForeign, func(w *world) *Signed {
			w.genesis, w.nextID = Hash{1}, 800
			s := w.do(w.enrolment(w.member(10, "m"), identity.N2), w.registrar.signs(), w.member(10, "m").signs())
			w.genesis = w.acts[0].Hash()
			return s
		}},
		{"at the time of genesis", ErrTime, func(w *world) *Signed {
			m := w.member(10, "m")
			return w.take(w.signed(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs()))
		}},
		{"the same act again", ErrDuplicate, func(w *world) *Signed {
			m := w.member(10, "m")
			s := w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
			return w.take(w.signStatement(s.Statement(), w.registrar.signs(), m.signs()))
		}},
		{"identifier used again", ErrDuplicate, func(w *world) *Signed {
			m := w.member(10, "m")
			w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
			w.nextID--
			return w.do(w.enrolment(m, identity.N1), w.registrar.signs(), m.signs())
		}},

		{"registrar enrols themself", ErrSelf, func(w *world) *Signed {
			m := &member{id: w.registrar.id, dev: newDevice(w.t, "other", softauthn.ES256)}
			return w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
		}},
		{"enrolment by an administrator", ErrRole, func(w *world) *Signed {
			m := w.member(10, "m")
			e := w.enrolment(m, identity.N2)
			e.Registrar = w.admin.id
			return w.do(e, w.admin.signs(), m.signs())
		}},
		{"enrolment by a citizen", ErrRole, func(w *world) *Signed {
			c, m := w.enrol(11, "c", identity.N3), w.member(10, "m")
			e := w.enrolment(m, identity.N2)
			e.Registrar = c.id
			return w.do(e, c.signs(), m.signs())
		}},
		{"enrolment by nobody", ErrUnknownKey, func(w *world) *Signed {
			x, m := w.member(11, "x"), w.member(10, "m")
			e := w.enrolment(m, identity.N2)
			e.Registrar = x.id
			return w.do(e, x.signs(), m.signs())
		}},
		{"enrolment in another's name", ErrOtherPerson, func(w *world) *Signed {
			m := w.member(10, "m")
			return w.do(w.enrolment(m, identity.N2), by{w.registrar.id, w.admin.dev}, m.signs())
		}},
		{"enrolment without the person's signature", ErrSignatures, func(w *world) *Signed {
			return w.do(w.enrolment(w.member(10, "m"), identity.N2), w.registrar.signs())
		}},
		{"enrolment with another key's signature", ErrSignatures, func(w *world) *Signed {
			m := w.member(10, "m")
			return w.do(w.enrolment(m, identity.N2), w.registrar.signs(), by{m.id, newDevice(w.t, "y", softauthn.ES256)})
		}},
		{"enrolment with one signature too many", ErrSignatures, func(w *world) *Signed {
			m := w.member(10, "m")
			return w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs(), w.supervisor.signs())
		}},
		{"enrolment of another person's key", ErrKeyBound, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N2)
			thief := &member{id: personID(11), dev: m.dev}
			return w.do(w.enrolment(thief, identity.N2), w.registrar.signs(), thief.signs())
		}},
		{"key that two enrolments wait for", ErrKeyBound, func(w *world) *Signed {
			m := w.member(10, "m")
			a := w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
			m.id = personID(11)
			b := w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
			w.approve(a)
			return w.approve(b)
		}},
		{"registrar whose role has ended", ErrRole, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N2)
			w.grant(r, Registrar, "")
			w.do(&End{What: EndRole, Person: r.id, Role: Registrar, Reason: "left", By: w.admin.id, Capacity: Administrator}, w.admin.signs())
			return w.enrolBy(r)
		}},
		{"registrar with two grants, both ended", ErrRole, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N2)
			w.grant(r, Registrar, "")
			w.approve(w.do(&RoleGrant{Person: r.id, Role: Registrar, From: w.now.Add(5 * time.Minute), Proposer: w.admin.id}, w.admin.signs()))
			w.do(&End{What: EndRole, Person: r.id, Role: Registrar, Reason: "left", By: w.admin.id, Capacity: Administrator}, w.admin.signs())
			w.now = w.now.Add(time.Hour)
			return w.enrolBy(r)
		}},
		{"registrar whose term is over", ErrRole, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N2)
			w.approve(w.do(&RoleGrant{Person: r.id, Role: Registrar, To: w.now.Add(time.Hour), Proposer: w.admin.id}, w.admin.signs()))
			w.now = w.now.Add(time.Hour)
			return w.enrolBy(r)
		}},
		{"registrar whose term has not begun", ErrRole, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N2)
			w.approve(w.do(&RoleGrant{Person: r.id, Role: Registrar, From: w.now.Add(time.Hour), Proposer: w.admin.id}, w.admin.signs()))
			return w.enrolBy(r)
		}},
		{"registrar whose grant is not approved", ErrRole, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N2)
			w.do(&RoleGrant{Person: r.id, Role: Registrar, Proposer: w.admin.id}, w.admin.signs())
			return w.enrolBy(r)
		}},
		{"suspended registrar", ErrSuspended, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N2)
			w.grant(r, Registrar, "")
			w.do(&Suspension{Person: r.id, Reason: "suspicion", By: w.supervisor.id, Capacity: Supervisor}, w.supervisor.signs())
			return w.enrolBy(r)
		}},
		{"registrar with an ended key", ErrEnded, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N2)
			w.grant(r, Registrar, "")
			w.do(&End{What: EndKey, Person: r.id, Key: r.dev.id(), Reason: "lost", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
			return w.enrolBy(r)
		}},
		{"registrar with a weak key", ErrLevel, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N1)
			w.grant(r, Registrar, "")
			return w.enrolBy(r)
		}},

		{"approval by the registrar", ErrSamePerson, func(w *world) *Signed {
			r := w.enrol(4, "r", identity.N2)
			w.grant(r, Registrar, "")
			w.grant(r, Supervisor, "")
			s := w.enrolBy(r)
			return w.do(&Approval{Target: s.Hash(), TargetKind: KindEnrolment, Approver: r.id, Capacity: Supervisor}, r.signs())
		}},
		{"approval by the person enrolled", ErrSelf, func(w *world) *Signed {
			m := w.enrol(4, "m", identity.N2)
			w.grant(m, Supervisor, "")
			s := w.do(w.enrolment(m, identity.N3), w.registrar.signs(), m.signs())
			return w.do(&Approval{Target: s.Hash(), TargetKind: KindEnrolment, Approver: m.id, Capacity: Supervisor}, m.signs())
		}},
		{"approval by a citizen", ErrRole, func(w *world) *Signed {
			c := w.enrol(11, "c", identity.N3)
			s := w.waiting()
			return w.do(&Approval{Target: s.Hash(), TargetKind: KindEnrolment, Approver: c.id, Capacity: Supervisor}, c.signs())
		}},
		{"approval of an enrolment by an administrator", ErrCapacity, func(w *world) *Signed {
			s := w.waiting()
			return w.do(&Approval{Target: s.Hash(), TargetKind: KindEnrolment, Approver: w.admin.id, Capacity: Administrator}, w.admin.signs())
		}},
		{"approval of a grant by a registrar", ErrCapacity, func(w *world) *Signed {
			m := w.enrol(4, "m", identity.N2)
			s := w.do(&RoleGrant{Person: m.id, Role: Registrar, Proposer: w.admin.id}, w.admin.signs())
			return w.do(&Approval{Target: s.Hash(), TargetKind: KindRoleGrant, Approver: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
		}},
		{"approval of nothing", ErrTarget, func(w *world) *Signed {
			return w.do(&Approval{Target: Hash{9}, TargetKind: KindEnrolment, Approver: w.supervisor.id, Capacity: Supervisor}, w.supervisor.signs())
		}},
		{"approval under another kind", ErrTarget, func(w *world) *Signed {
			s := w.waiting()
			return w.do(&Approval{Target: s.Hash(), TargetKind: KindRoleGrant, Approver: w.supervisor.id, Capacity: Supervisor}, w.supervisor.signs())
		}},
		{"second approval", ErrTarget, func(w *world) *Signed {
			s := w.waiting()
			w.approve(s)
			return w.approve(s)
		}},
		{"approval of a refused act", ErrTarget, func(w *world) *Signed {
			m := w.member(10, "m")
			return w.approve(w.do(w.enrolment(m, identity.N2), w.registrar.signs()))
		}},
		{"approval a month late", ErrTime, func(w *world) *Signed {
			s := w.waiting()
			w.now = w.now.Add(ApprovalTerm)
			return w.approve(s)
		}},
		{"approval at the same time", ErrTime, func(w *world) *Signed {
			// The order of equal times is that of hashes: try until the target comes first.
			for n := range 40 {
				m := w.member(100+n, "m")
				m.dev = newDevice(w.t, string(rune('a'+n)), softauthn.EdDSA)
				s := w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
				a := w.signed(&Approval{Target: s.Hash(), TargetKind: KindEnrolment, Approver: w.supervisor.id, Capacity: Supervisor}, w.supervisor.signs())
				if s.Hash().String() < a.Hash().String() {
					return w.take(a)
				}
			}
			w.t.Fatal("no such pair in forty")
			return nil
		}},

		{"key added by another person", ErrOtherPerson, func(w *world) *Signed {
			m, x := w.enrol(10, "m", identity.N2), w.enrol(11, "x", identity.N2)
			n := &member{id: m.id, dev: newDevice(w.t, "n", softauthn.ES256)}
			return w.do(&KeyAddition{Person: m.id, Earlier: x.dev.id(), Key: n.dev.record, Level: identity.N2}, by{m.id, x.dev}, n.signs())
		}},
		{"key added at a higher level", ErrLevel, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N2)
			n := &member{id: m.id, dev: newDevice(w.t, "n", softauthn.ES256)}
			return w.do(&KeyAddition{Person: m.id, Earlier: m.dev.id(), Key: n.dev.record, Level: identity.N3}, m.signs(), n.signs())
		}},
		{"key added by a waiting key", ErrUnknownKey, func(w *world) *Signed {
			m := w.member(10, "m")
			w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
			n := &member{id: m.id, dev: newDevice(w.t, "n", softauthn.ES256)}
			return w.do(&KeyAddition{Person: m.id, Earlier: m.dev.id(), Key: n.dev.record, Level: identity.N2}, m.signs(), n.signs())
		}},
		{"key added by a suspended person", ErrSuspended, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N2)
			w.do(&Suspension{Person: m.id, Reason: "lost", By: m.id, Capacity: Holder}, m.signs())
			n := &member{id: m.id, dev: newDevice(w.t, "n", softauthn.ES256)}
			return w.do(&KeyAddition{Person: m.id, Earlier: m.dev.id(), Key: n.dev.record, Level: identity.N2}, m.signs(), n.signs())
		}},
		{"key of another person added", ErrKeyBound, func(w *world) *Signed {
			m, x := w.enrol(10, "m", identity.N2), w.enrol(11, "x", identity.N2)
			return w.do(&KeyAddition{Person: m.id, Earlier: m.dev.id(), Key: x.dev.record, Level: identity.N2}, m.signs(), by{m.id, x.dev})
		}},
		{"key added without the new key's signature", ErrSignatures, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N2)
			return w.do(&KeyAddition{Person: m.id, Earlier: m.dev.id(), Key: newDevice(w.t, "n", softauthn.ES256).record, Level: identity.N2}, m.signs())
		}},

		{"administrator grants themself a role", ErrSelf, func(w *world) *Signed {
			return w.do(&RoleGrant{Person: w.admin.id, Role: Supervisor, Proposer: w.admin.id}, w.admin.signs())
		}},
		{"registrar grants a role", ErrRole, func(w *world) *Signed {
			return w.do(&RoleGrant{Person: personID(10), Role: Supervisor, Proposer: w.registrar.id}, w.registrar.signs())
		}},
		{"supervisor grants a role", ErrRole, func(w *world) *Signed {
			return w.do(&RoleGrant{Person: personID(10), Role: Registrar, Proposer: w.supervisor.id}, w.supervisor.signs())
		}},
		{"amendment by a supervisor", ErrRole, func(w *world) *Signed {
			return w.do(&Amendment{Settings: w.genesisBody().Settings, Proposer: w.supervisor.id}, w.supervisor.signs())
		}},
		{"administrator appoints themself", ErrSelf, func(w *world) *Signed {
			return w.do(w.appointmentBody(w.admin, 1), w.admin.signs())
		}},
		{"appointment identifier used again", ErrDuplicate, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N3)
			w.approve(w.do(w.appointmentBody(m, 1), w.admin.signs()))
			return w.do(w.appointmentBody(m, 1), w.admin.signs())
		}},
		{"appointment that is over when approved", ErrTime, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N3)
			a := w.appointmentBody(m, 1)
			a.To = w.now.Add(time.Minute)
			return w.approve(w.do(a, w.admin.signs()))
		}},

		{"end of the last supervisor", ErrLastHolder, func(w *world) *Signed {
			return w.do(&End{What: EndRole, Person: w.supervisor.id, Role: Supervisor, Reason: "left", By: w.admin.id, Capacity: Administrator}, w.admin.signs())
		}},
		{"last supervisor resigns", ErrLastHolder, func(w *world) *Signed {
			return w.do(&End{What: EndRole, Person: w.supervisor.id, Role: Supervisor, Reason: "left", By: w.supervisor.id, Capacity: Holder}, w.supervisor.signs())
		}},
		{"end of a role by a registrar", ErrCapacity, func(w *world) *Signed {
			return w.do(&End{What: EndRole, Person: w.supervisor.id, Role: Supervisor, Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
		}},
		{"end of a role nobody has", ErrTarget, func(w *world) *Signed {
			return w.do(&End{What: EndRole, Person: personID(10), Role: Registrar, Reason: "x", By: w.admin.id, Capacity: Administrator}, w.admin.signs())
		}},
		{"end of another's key as holder", ErrOtherPerson, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N2)
			return w.do(&End{What: EndKey, Person: w.admin.id, Key: w.admin.dev.id(), Reason: "x", By: m.id, Capacity: Holder}, m.signs())
		}},
		{"end of a key under another's name", ErrTarget, func(w *world) *Signed {
			return w.do(&End{What: EndKey, Person: personID(10), Key: w.admin.dev.id(), Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
		}},
		{"end of an own key as staff", ErrSelf, func(w *world) *Signed {
			return w.do(&End{What: EndKey, Person: w.registrar.id, Key: w.registrar.dev.id(), Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
		}},
		{"end of an appointment by another institution", ErrRole, func(w *world) *Signed {
			m, x := w.enrol(10, "m", identity.N3), w.enrol(11, "x", identity.N2)
			w.approve(w.do(w.appointmentBody(m, 1), w.admin.signs()))
			w.grant(x, InstitutionAdmin, identity.InstitutionID(fixedID("ins", 2)))
			return w.do(&End{What: EndAppointment, Person: m.id, Appointment: identity.AppointmentID(fixedID("apt", 1)), Reason: "x", By: x.id, Capacity: InstitutionAdmin}, x.signs())
		}},

		{"registrar suspends staff", ErrCapacity, func(w *world) *Signed {
			return w.do(&Suspension{Person: w.supervisor.id, Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
		}},
		{"administrator suspends the last supervisor", ErrLastHolder, func(w *world) *Signed {
			return w.do(&Suspension{Person: w.supervisor.id, Reason: "x", By: w.admin.id, Capacity: Administrator}, w.admin.signs())
		}},
		{"citizen suspends another", ErrRole, func(w *world) *Signed {
			m, x := w.enrol(10, "m", identity.N2), w.enrol(11, "x", identity.N2)
			return w.do(&Suspension{Person: m.id, Reason: "x", By: x.id, Capacity: Supervisor}, x.signs())
		}},
		{"second suspension", ErrDuplicate, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N2)
			w.do(&Suspension{Person: m.id, Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
			return w.do(&Suspension{Person: m.id, Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
		}},
		{"lift of nothing", ErrTarget, func(w *world) *Signed {
			return w.do(&Lift{Suspension: Hash{3}, Person: personID(10), Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
		}},
		{"lift approved by its author", ErrSamePerson, func(w *world) *Signed {
			m := w.enrol(10, "m", identity.N2)
			s := w.do(&Suspension{Person: m.id, Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
			return w.approve(w.do(&Lift{Suspension: s.Hash(), Person: m.id, Reason: "x", By: w.supervisor.id, Capacity: Supervisor}, w.supervisor.signs()))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			refusedFor(t, w, tc.make(w), tc.name, tc.want)
		})
	}
}

// take takes a ready act into the world.
func (w *world) take(s *Signed) *Signed {
	w.acts = append(w.acts, s)
	return s
}

// enrolBy lets somebody enrol a new person.
func (w *world) enrolBy(r *member) *Signed {
	m := w.member(50, "new person")
	e := w.enrolment(m, identity.N2)
	e.Registrar = r.id
	return w.do(e, r.signs(), m.signs())
}

// waiting makes an enrolment that waits for approval.
func (w *world) waiting() *Signed {
	m := w.member(60, "waiting")
	return w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
}

func TestBadAssertionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(w *world, s *Signature)
		want   error
	}{
		"user not verified": {func(w *world, s *Signature) {
			w.registrar.dev.auth.Behave(func(b *softauthn.Behaviour) { b.UV = false })
		}, assertion.ErrUserVerification},
		"user not present": {func(w *world, s *Signature) {
			w.registrar.dev.auth.Behave(func(b *softauthn.Behaviour) { b.UP = false })
		}, assertion.ErrUserPresence},
		"cross-origin frame": {func(w *world, s *Signature) {
			w.registrar.dev.auth.Behave(func(b *softauthn.Behaviour) { b.CrossOrigin = true })
		}, assertion.ErrCrossOrigin},
	} {
		w := newWorld(t)
		m := w.member(10, "m")
		tc.change(w, nil)
		s := w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
		refusedFor(t, w, s, name, ErrSignature)
		refusedFor(t, w, s, name, tc.want)
	}
	// An assertion for another act, another site or another relying party.
	for name, tc := range map[string]struct {
		rpID, origin string
		other        bool
		want         error
	}{
		"another act":           {testRPID, testOrigin, true, assertion.ErrChallenge},
		"another origin":        {testRPID, "https://evil.example.org", false, assertion.ErrOrigin},
		"another relying party": {"evil.example.org", testOrigin, false, assertion.ErrRPID},
	} {
		w := newWorld(t)
		m := w.member(10, "m")
		good := w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
		w.acts = w.acts[:1]
		challenge := good.Hash()
		if tc.other {
			challenge[0] ^= 1
		}
		r, err := w.registrar.dev.auth.Assert(w.registrar.dev.cred.ID, tc.rpID, tc.origin, challenge[:])
		if err != nil {
			t.Fatal(err)
		}
		sigs := good.Signatures()
		for i := range sigs {
			if sigs[i].Person == w.registrar.id {
				sigs[i].Response = assertion.Response{AuthenticatorData: r.AuthenticatorData, ClientDataJSON: r.ClientDataJSON, Signature: r.Signature}
			}
		}
		bad, err := Sign(good.Statement(), sigs...)
		if err != nil {
			t.Fatal(err)
		}
		refusedFor(t, w, w.take(bad), name, tc.want)
		// A spoilt copy does not keep the good one out.
		refusedFor(t, w, w.take(good), name+", good copy", nil)
	}
}

func TestGenesisRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := Build(Hash{1}, w.acts); !errors.Is(err, ErrGenesis) {
		t.Errorf("another pinned hash: got %v", err)
	}
	m := w.member(10, "m")
	s := w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
	if _, err := Build(s.Hash(), w.acts); !errors.Is(err, ErrGenesis) {
		t.Errorf("pinned act of another kind: got %v", err)
	}
	for name, signers := range map[string][]by{
		"one founder did not sign":      {w.admin.signs(), w.registrar.signs()},
		"one founder signed for two":    {w.admin.signs(), w.registrar.signs(), {w.supervisor.id, w.registrar.dev}},
		"somebody else signed as well":  {w.admin.signs(), w.registrar.signs(), w.supervisor.signs(), m.signs()},
		"nobody but a stranger's key":   {m.signs()},
		"a founder's key in two names?": {w.admin.signs(), {w.registrar.id, w.admin.dev}, w.supervisor.signs()},
	} {
		g := w.signStatement(w.acts[0].Statement(), signers...)
		if _, err := Build(g.Hash(), []*Signed{g}); !errors.Is(err, ErrGenesis) || !errors.Is(err, ErrSignatures) {
			t.Errorf("%s: got %v, want ErrGenesis and ErrSignatures", name, err)
		}
	}
}

func TestGenesisBodyRules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, change := range map[string]func(*Genesis){
		"one person only": func(g *Genesis) {
			g.Founders = g.Founders[:1]
			g.Founders[0].Roles = []Role{Administrator, Registrar, Supervisor}
		},
		"no supervisor":                func(g *Genesis) { g.Founders = g.Founders[:2] },
		"no registrar":                 func(g *Genesis) { g.Founders[1].Roles = []Role{Administrator} },
		"supervisor is registrar too":  func(g *Genesis) { g.Founders[2].Roles = []Role{Registrar, Supervisor} },
		"roles out of order":           func(g *Genesis) { g.Founders[0].Roles = []Role{Registrar, Administrator} },
		"role twice":                   func(g *Genesis) { g.Founders[0].Roles = []Role{Administrator, Administrator} },
		"institution's administrator":  func(g *Genesis) { g.Founders[0].Roles = []Role{Administrator, InstitutionAdmin} },
		"founder without role":         func(g *Genesis) { g.Founders[0].Roles = nil },
		"founder without key":          func(g *Genesis) { g.Founders[0].Keys = nil },
		"one key of two people":        func(g *Genesis) { g.Founders[0].Keys = g.Founders[1].Keys },
		"founders out of order":        func(g *Genesis) { g.Founders[0], g.Founders[1] = g.Founders[1], g.Founders[0] },
		"one person twice":             func(g *Genesis) { g.Founders[0].Person = g.Founders[1].Person },
		"upper-case relying party":     func(g *Genesis) { g.RPID = "ID.example.org" },
		"no origin":                    func(g *Genesis) { g.Origins = nil },
		"origin with a path":           func(g *Genesis) { g.Origins = []string{testOrigin + "/"} },
		"origins out of order":         func(g *Genesis) { g.Origins = []string{"https://b.example.org", "https://a.example.org"} },
		"line break in the name":       func(g *Genesis) { g.Name = "a\nb" },
		"direction mark in the name":   func(g *Genesis) { g.Name = "a\u202eb" },
		"key off the curve":            func(g *Genesis) { g.Founders[0].Keys[0].COSE[20] ^= 1 },
		"unknown backup word":          func(g *Genesis) { g.Founders[0].Keys[0].Backup = "maybe" },
		"policy that is not a token":   func(g *Genesis) { g.Policy = "1 0" },
		"log key with a space in it":   func(g *Genesis) { g.LogKey = "a b" },
		"more founders than are legal": func(g *Genesis) { g.Founders = make([]Founder, 17) },
	} {
		g := w.genesisBody()
		for i := range g.Founders { // own copies of what the cases change
			g.Founders[i].Keys = []KeyRecord{g.Founders[i].Keys[0]}
			g.Founders[i].Keys[0].COSE = append([]byte{}, g.Founders[i].Keys[0].COSE...)
		}
		change(g)
		st := Statement{ID: identity.ActID(fixedID("act", 1)), At: testStart, Body: g}
		if _, err := st.Encode(); !errors.Is(err, ErrValue) {
			t.Errorf("%s: got %v, want ErrValue", name, err)
		}
	}
	two := w.genesisBody()
	two.Founders = two.Founders[1:]
	two.Founders[0].Roles = []Role{Administrator, Registrar}
	st := Statement{ID: identity.ActID(fixedID("act", 1)), At: testStart, Body: two}
	if _, err := st.Encode(); err != nil {
		t.Errorf("two people suffice: %v", err)
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.enrol(4, "r", identity.N2)
	w.grant(r, Registrar, "")
	granted := w.now
	m := w.member(10, "m")
	e := w.enrolment(m, identity.N2)
	e.Registrar = r.id
	w.tick()
	enrolment := w.signed(e, r.signs(), m.signs())
	c := w.chain()
	next, err := c.Admit(enrolment, w.now)
	if err != nil || len(next.Waiting()) != 1 || len(c.Waiting()) != 0 {
		t.Fatalf("in time: %v", err)
	}
	if _, err := c.Admit(enrolment, w.now.Add(MaxBacklog)); err != nil {
		t.Errorf("from a counter without a network: %v", err)
	}
	_, err = c.Admit(enrolment, w.now.Add(MaxBacklog+time.Second))
	wantErr(t, "too late", err, ErrTime)
	_, err = c.Admit(enrolment, w.now.Add(-MaxSkew-time.Second))
	wantErr(t, "from the future", err, ErrTime)
	_, err = next.Admit(enrolment, w.now)
	wantErr(t, "twice", err, ErrDuplicate)

	// Nothing is taken away in retrospect.
	stop := w.signed(&Suspension{Person: r.id, Reason: "x", By: w.admin.id, Capacity: Administrator}, w.admin.signs())
	_, err = c.Admit(stop, w.now.Add(MaxDelay+time.Second))
	wantErr(t, "late suspension", err, ErrTime)

	// Whoever lost the role since cannot date an act back to before.
	w.now = granted.Add(30 * time.Minute)
	w.do(&End{What: EndRole, Person: r.id, Role: Registrar, Reason: "left", By: w.admin.id, Capacity: Administrator}, w.admin.signs())
	c = w.clean()
	_, err = c.Admit(enrolment, w.now.Add(time.Minute))
	wantErr(t, "dated back by a former registrar", err, ErrRole)
	w.do(&End{What: EndKey, Person: r.id, Key: r.dev.id(), Reason: "lost", By: r.id, Capacity: Holder}, r.signs())
	_, err = w.clean().Admit(enrolment, w.now.Add(time.Minute))
	wantErr(t, "dated back with a key that has ended", err, ErrEnded)
}
