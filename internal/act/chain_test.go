package act

import (
	"errors"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

func wantErr(t *testing.T, name string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || (want == nil && got != nil) {
		t.Errorf("%s: got %v, want %v", name, got, want)
	}
}

func TestFoundersAct(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.clean()
	for _, m := range []*member{w.admin, w.registrar, w.supervisor} {
		g, err := c.Key(m.dev.id(), m.id, identity.N3, w.now)
		if err != nil || g.Person != m.id || g.Act != w.genesis {
			t.Errorf("founder's key: got %+v, %v", g, err)
		}
	}
	_, err := c.Key(w.admin.dev.id(), w.registrar.id, identity.N0, w.now)
	wantErr(t, "key of another founder", err, ErrOtherPerson)
	wantErr(t, "role", c.HasRole(w.admin.id, Administrator, "", w.now), nil)
	wantErr(t, "other role", c.HasRole(w.admin.id, Supervisor, "", w.now), ErrRole)
	if d := c.Deployment(w.now); d.RPID != testRPID || d.Genesis != w.genesis || d.Policy != "1.0" {
		t.Errorf("got %+v", d)
	}
}

func TestEnrolmentNeedsApproval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.member(10, "maria")
	s := w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs())
	before := w.now
	c := w.clean()
	_, err := c.Key(m.dev.id(), m.id, identity.N2, w.now)
	wantErr(t, "before approval", err, ErrPending)
	var r *Refusal
	if !errors.As(err, &r) || r.ID != s.Statement().ID || r.Missing == "" {
		t.Errorf("the refusal does not say what is missing: %v", err)
	}
	if got := c.Waiting(); len(got) != 1 || got[0].Act != s.Hash() {
		t.Errorf("got waiting %v", got)
	}
	w.approve(s)
	c = w.clean()
	g, err := c.Key(m.dev.id(), m.id, identity.N2, w.now)
	if err != nil || g.Level != identity.N2 || g.Act != s.Hash() {
		t.Errorf("after approval: got %+v, %v", g, err)
	}
	_, err = c.Key(m.dev.id(), m.id, identity.N2, before)
	wantErr(t, "in the time before approval", err, ErrNotYet)
	_, err = c.Key(m.dev.id(), m.id, identity.N3, w.now)
	wantErr(t, "at a higher level", err, ErrLevel)
	_, err = c.Key(Hash{1}, m.id, identity.N0, w.now)
	wantErr(t, "unknown key", err, ErrUnknownKey)
	if l, err := c.Enrolled(m.id, w.now); l != identity.N2 || err != nil {
		t.Errorf("Enrolled: got %v, %v", l, err)
	}
	_, err = c.Enrolled(personID(77), w.now)
	wantErr(t, "nobody", err, ErrNotEnrolled)
}

func TestSecondRegistrarApprovesAFirstEnrolment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.enrol(4, "second registrar", identity.N2)
	w.grant(second, Registrar, "")
	approve := func(s *Signed) *Signed {
		return w.do(&Approval{Target: s.Hash(), TargetKind: KindEnrolment, Approver: second.id, Capacity: Registrar}, second.signs())
	}
	m := w.member(10, "maria")
	approve(w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs()))
	c := w.clean()
	_, err := c.Key(m.dev.id(), m.id, identity.N2, w.now)
	wantErr(t, "first enrolment at N2", err, nil)

	n := w.member(11, "nina")
	s := approve(w.do(w.enrolment(n, identity.N3), w.registrar.signs(), n.signs()))
	refusedFor(t, w, s, "first enrolment at N3", ErrCapacity)

	again := &member{id: m.id, dev: newDevice(t, "new phone", softauthn.ES256)}
	s = approve(w.do(w.enrolment(again, identity.N2), w.registrar.signs(), again.signs()))
	refusedFor(t, w, s, "second enrolment", ErrCapacity)
}

func TestKeyAdditionAndEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.enrol(10, "maria", identity.N3)
	next := &member{id: m.id, dev: newDevice(t, "second key", softauthn.EdDSA)}
	w.do(&KeyAddition{Person: m.id, Earlier: m.dev.id(), Key: next.dev.record, Level: identity.N3}, m.signs(), next.signs())
	added := w.now
	w.do(&End{What: EndKey, Person: m.id, Key: m.dev.id(), Reason: "lost", By: m.id, Capacity: Holder}, next.signs())
	c := w.clean()
	_, err := c.Key(next.dev.id(), m.id, identity.N3, w.now)
	wantErr(t, "added key", err, nil)
	_, err = c.Key(m.dev.id(), m.id, identity.N3, w.now)
	wantErr(t, "ended key", err, ErrEnded)
	_, err = c.Key(m.dev.id(), m.id, identity.N3, added)
	wantErr(t, "ended key, before its end", err, nil)
	if got := c.Keys(m.id, w.now); len(got) != 1 || got[0].Key != next.dev.id() {
		t.Errorf("got keys %v", got)
	}
	s := w.do(&KeyAddition{Person: m.id, Earlier: next.dev.id(), Key: m.dev.record, Level: identity.N2}, next.signs(), m.signs())
	refusedFor(t, w, s, "ended key comes back", ErrKeyBound)
}

func TestSynchronisedKeyCountsForN2AtMost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.member(10, "maria")
	m.dev.auth.Behave(func(b *softauthn.Behaviour) { b.BE, b.OverrideBE = true, true })
	m.dev.record.Backup = MultiDevice
	w.approve(w.do(w.enrolment(m, identity.N3), w.registrar.signs(), m.signs()))
	c := w.clean()
	_, err := c.Key(m.dev.id(), m.id, identity.N2, w.now)
	wantErr(t, "N2", err, nil)
	_, err = c.Key(m.dev.id(), m.id, identity.N3, w.now)
	wantErr(t, "N3", err, ErrLevel)

	n := w.member(11, "nina") // says it stays on its device, but the key says otherwise
	n.dev.auth.Behave(func(b *softauthn.Behaviour) { b.BE, b.OverrideBE = true, true })
	s := w.do(w.enrolment(n, identity.N2), w.registrar.signs(), n.signs())
	refusedFor(t, w, s, "backup flag is not as enrolled", ErrBackup)
}

func TestLaterEnrolmentRaisesOrReplaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.enrol(10, "maria", identity.N2)
	low := w.now
	w.approve(w.do(w.enrolment(m, identity.N3), w.registrar.signs(), m.signs()))
	c := w.clean()
	_, err := c.Key(m.dev.id(), m.id, identity.N3, low)
	wantErr(t, "N3 before the later enrolment", err, ErrLevel)
	_, err = c.Key(m.dev.id(), m.id, identity.N3, w.now)
	wantErr(t, "N3 after", err, nil)

	phone := &member{id: m.id, dev: newDevice(t, "new phone", softauthn.ES256)}
	e := w.enrolment(phone, identity.N2)
	e.Replaces, e.ValidFrom = true, w.now.Add(72*time.Hour)
	w.approve(w.do(e, w.registrar.signs(), phone.signs()))
	c = w.clean()
	_, err = c.Key(m.dev.id(), m.id, identity.N0, w.now)
	wantErr(t, "replaced key", err, ErrEnded)
	_, err = c.Key(phone.dev.id(), m.id, identity.N2, w.now)
	wantErr(t, "new key before its time", err, ErrNotYet)
	_, err = c.Key(phone.dev.id(), m.id, identity.N2, e.ValidFrom)
	wantErr(t, "new key in its time", err, nil)
}

func TestSuspensionStopsAndLiftRestores(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.enrol(10, "maria", identity.N2)
	s := w.do(&Suspension{Person: m.id, Reason: "lost-phone", By: m.id, Capacity: Holder}, m.signs())
	c := w.clean()
	_, err := c.Key(m.dev.id(), m.id, identity.N0, w.now)
	wantErr(t, "suspended", err, ErrSuspended)
	if by, ok := w.clean().Suspension(m.id, w.now); !ok || by != s.Hash() {
		t.Errorf("stopped by %v %v, want %v", by, ok, s.Hash())
	}
	_, err = c.Enrolled(m.id, w.now)
	wantErr(t, "suspended enrolment", err, ErrSuspended)
	lift := w.do(&Lift{Suspension: s.Hash(), Person: m.id, Reason: "seen-at-counter", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
	_, err = w.clean().Key(m.dev.id(), m.id, identity.N0, w.now)
	wantErr(t, "lift not approved", err, ErrSuspended)
	during := w.now
	w.approve(lift)
	c = w.clean()
	_, err = c.Key(m.dev.id(), m.id, identity.N0, w.now)
	wantErr(t, "lifted", err, nil)
	_, err = c.Key(m.dev.id(), m.id, identity.N0, during)
	wantErr(t, "while suspended", err, ErrSuspended)
}

func TestAppointmentLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.enrol(10, "maria", identity.N3)
	a := w.appointmentBody(m, 1)
	a.To = w.now.Add(24 * time.Hour)
	s := w.do(a, w.admin.signs())
	c := w.clean()
	_, err := c.Appointment(a.Appointment, m.id, w.now)
	wantErr(t, "not approved", err, ErrPending)
	w.approve(s)
	c = w.clean()
	p, err := c.Appointment(a.Appointment, m.id, w.now)
	if err != nil || p.LegalAct != a.LegalAct || p.Act != s.Hash() || !p.Since.Equal(w.now) {
		t.Errorf("got %+v, %v", p, err)
	}
	_, err = c.Appointment(a.Appointment, w.admin.id, w.now)
	wantErr(t, "of another person", err, ErrOtherPerson)
	_, err = c.Appointment(identity.AppointmentID(fixedID("apt", 99)), m.id, w.now)
	wantErr(t, "unknown", err, ErrNoAppointment)
	_, err = c.Appointment(a.Appointment, m.id, w.now.Add(-time.Second))
	wantErr(t, "before", err, ErrNotYet)
	_, err = c.Appointment(a.Appointment, m.id, a.To.Add(-time.Microsecond))
	wantErr(t, "last instant", err, nil)
	_, err = c.Appointment(a.Appointment, m.id, a.To)
	wantErr(t, "at the end", err, ErrEnded)
	w.do(&End{What: EndAppointment, Person: m.id, Appointment: a.Appointment, Reason: "removed", By: w.supervisor.id, Capacity: Supervisor}, w.supervisor.signs())
	_, err = w.clean().Appointment(a.Appointment, m.id, w.now)
	wantErr(t, "ended", err, ErrEnded)
}

func (w *world) appointmentBody(m *member, n int) *Appointment {
	return &Appointment{
		Appointment: identity.AppointmentID(fixedID("apt", n)), Institution: identity.InstitutionID(fixedID("ins", 1)),
		Post: identity.PostID(fixedID("pst", 1)), Person: m.id, Holding: Titular, Exclusive: true,
		Scopes: []string{"resolution"}, LegalAct: "Memorándum 12/2026", Proposer: w.admin.id, Capacity: Administrator,
	}
}

func TestExclusivePost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m, n := w.enrol(10, "maria", identity.N3), w.enrol(11, "nina", identity.N3)
	first := w.appointmentBody(m, 1)
	first.To = w.now.Add(48 * time.Hour)
	w.approve(w.do(first, w.admin.signs()))

	clash := w.appointmentBody(n, 2)
	clash.From = w.now.Add(24 * time.Hour)
	s := w.approve(w.do(clash, w.admin.signs()))
	refusedFor(t, w, s, "overlapping holder", ErrPostTaken)
	w.acts = w.acts[:len(w.acts)-2]

	sub := w.appointmentBody(n, 3)
	sub.Holding, sub.To = Suplente, w.now.Add(24*time.Hour)
	w.approve(w.do(sub, w.admin.signs()))
	after := w.appointmentBody(n, 4)
	after.From = first.To
	w.approve(w.do(after, w.admin.signs()))
	c := w.clean()
	_, err := c.Appointment(sub.Appointment, n.id, w.now)
	wantErr(t, "substitute", err, nil)
	_, err = c.Appointment(after.Appointment, n.id, first.To)
	wantErr(t, "successor", err, nil)

	foreign := w.appointmentBody(n, 5)
	foreign.Institution, foreign.From = identity.InstitutionID(fixedID("ins", 2)), w.now.Add(1000*time.Hour)
	s = w.approve(w.do(foreign, w.admin.signs()))
	refusedFor(t, w, s, "post of another institution", ErrPostTaken)
}

func TestInstitutionAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ins, other := identity.InstitutionID(fixedID("ins", 1)), identity.InstitutionID(fixedID("ins", 2))
	a, b, x := w.enrol(4, "a", identity.N2), w.enrol(5, "b", identity.N2), w.enrol(6, "x", identity.N2)
	w.grant(a, InstitutionAdmin, ins)
	w.grant(b, InstitutionAdmin, ins)
	w.grant(x, InstitutionAdmin, other)
	m := w.enrol(10, "maria", identity.N3)
	body := w.appointmentBody(m, 1)
	body.Proposer, body.Capacity = a.id, InstitutionAdmin
	approve := func(s *Signed, by *member, ins identity.InstitutionID) *Signed {
		return w.do(&Approval{Target: s.Hash(), TargetKind: KindAppointment, Approver: by.id, Capacity: InstitutionAdmin, Institution: ins}, by.signs())
	}
	s := w.do(body, a.signs())
	refusedFor(t, w, approve(s, a, ins), "by its proposer", ErrSamePerson)
	refusedFor(t, w, approve(s, x, other), "by another institution", ErrCapacity)
	refusedFor(t, w, approve(s, x, ins), "claiming an institution", ErrRole)
	approve(s, b, ins)
	_, err := w.chain().Appointment(body.Appointment, m.id, w.now)
	wantErr(t, "by another administrator of the institution", err, nil)

	foreign := w.appointmentBody(m, 2)
	foreign.Proposer, foreign.Capacity = x.id, InstitutionAdmin
	refusedFor(t, w, w.do(foreign, x.signs()), "proposed by another institution", ErrRole)
}

func TestPresence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.member(10, "maria")
	e := w.enrolment(m, identity.N2)
	e.Keys = nil // has no device
	w.approve(w.do(e, w.registrar.signs()))
	body := w.presence(m.id, Hash{7})
	s := w.do(body, w.registrar.signs())
	c := w.clean()
	p, h, err := c.Attested(Hash{7}, m.id, w.now)
	if err != nil || p.Registrar != w.registrar.id || h != s.Hash() {
		t.Errorf("got %+v, %v", p, err)
	}
	_, _, err = c.Attested(Hash{7}, w.admin.id, w.now)
	wantErr(t, "another person", err, ErrOtherPerson)
	_, _, err = c.Attested(Hash{8}, m.id, w.now)
	wantErr(t, "another challenge", err, ErrNoPresence)
	_, _, err = c.Attested(Hash{7}, m.id, w.now.Add(-time.Second))
	wantErr(t, "before it was attested", err, ErrNoPresence)
	refusedFor(t, w, w.do(w.presence(w.registrar.id, Hash{9}), w.registrar.signs()), "registrar attests themself", ErrSelf)
	refusedFor(t, w, w.do(w.presence(personID(50), Hash{9}), w.registrar.signs()), "person not enrolled", ErrNotEnrolled)
}

func (w *world) presence(who identity.PersonID, challenge Hash) *Presence {
	return &Presence{
		Person: who, Registrar: w.registrar.id, Site: "site-1", RequestID: "req-1", Challenge: challenge,
		Card: Fact{Label: "card-cell", Commit: Hash{1}}, Language: "es-BO",
	}
}

func TestAmendment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.now
	s := w.do(&Amendment{Settings: Settings{
		Origins: []string{testOrigin, "https://id.example.org:8443"}, LogOrigin: "id.example.org/log2", LogKey: "k", Policy: "1.1",
	}, Proposer: w.admin.id}, w.admin.signs())
	if got := w.clean().Deployment(w.now); got.Policy != "1.0" {
		t.Errorf("before approval: got policy %s", got.Policy)
	}
	w.approve(s)
	c := w.clean()
	if got := c.Deployment(w.now); got.Policy != "1.1" || len(got.Origins) != 2 || got.RPID != testRPID {
		t.Errorf("got %+v", got)
	}
	if got := c.Deployment(old); got.Policy != "1.0" {
		t.Errorf("before: got policy %s", got.Policy)
	}
}

func TestProofIsEnoughAndNotMore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.enrol(4, "second registrar", identity.N2)
	w.grant(second, Registrar, "")
	w.enrol(11, "unrelated", identity.N2)
	m := w.member(10, "maria")
	e := w.enrolment(m, identity.N3)
	e.Registrar = second.id
	enrolment := w.do(e, second.signs(), m.signs())
	w.approve(enrolment)
	a := w.do(w.appointmentBody(m, 1), w.admin.signs())
	w.approve(a)
	c := w.clean()
	proof, err := c.Proof(enrolment.Hash(), a.Hash())
	if err != nil {
		t.Fatal(err)
	}
	// genesis; enrolment, grant of the registrar; enrolment, appointment of maria; each but genesis with its approval
	if len(proof) != 9 {
		t.Errorf("got %d acts, want 9", len(proof))
	}
	small, err := Build(w.genesis, proof)
	if err != nil {
		t.Fatal(err)
	}
	_, err = small.Key(m.dev.id(), m.id, identity.N3, w.now)
	wantErr(t, "key by the proof alone", err, nil)
	_, err = small.Appointment(identity.AppointmentID(fixedID("apt", 1)), m.id, w.now)
	wantErr(t, "appointment by the proof alone", err, nil)
	for i, left := range proof {
		rest := append(append([]*Signed{}, proof[:i]...), proof[i+1:]...)
		less, err := Build(w.genesis, rest)
		if err != nil {
			continue // genesis left out
		}
		_, errKey := less.Key(m.dev.id(), m.id, identity.N3, w.now)
		_, errPost := less.Appointment(identity.AppointmentID(fixedID("apt", 1)), m.id, w.now)
		if errKey == nil && errPost == nil {
			t.Errorf("the proof also holds without act %d (%s)", i, left.Statement().Body.Kind())
		}
	}
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	m := w.enrol(10, "maria", identity.N2)
	for i, j := 0, len(w.acts)-1; i < j; i, j = i+1, j-1 {
		w.acts[i], w.acts[j] = w.acts[j], w.acts[i]
	}
	_, err := w.clean().Key(m.dev.id(), m.id, identity.N2, w.now)
	wantErr(t, "acts in reverse", err, nil)
	c, err := Build(w.genesis, w.acts[len(w.acts)-1:])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range w.acts[:len(w.acts)-1] {
		if c, err = c.Extend(s); err != nil {
			t.Fatal(err)
		}
	}
	_, err = c.Key(m.dev.id(), m.id, identity.N2, w.now)
	wantErr(t, "acts one by one, in reverse", err, nil)
}
