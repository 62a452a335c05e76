package act

import (
	"fmt"
	"slices"
	"testing"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// selectFor loads acts the way Index says a store should.
func selectFor(all []*Signed, who identity.PersonID) []*Signed {
	taken := map[Hash]bool{}
	seen := map[identity.PersonID]bool{}
	people := []identity.PersonID{who}
	for len(people) > 0 {
		p := people[0]
		people = people[1:]
		if seen[p] {
			continue
		}
		seen[p] = true
		for _, s := range all {
			x := s.Index()
			if x.Subject == p || x.Kind == KindGenesis || x.Kind == KindAmendment {
				taken[s.Hash()] = true
			}
		}
		for _, s := range all {
			if x := s.Index(); taken[x.Target] {
				taken[s.Hash()] = true
			}
		}
		for _, s := range all {
			if x := s.Index(); taken[s.Hash()] && x.Author != "" {
				people = append(people, x.Author)
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(s *Signed) bool { return !taken[s.Hash()] })
}

func TestActsSelectedByIndexSuffice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := w.enrol(4, "second registrar", identity.N2)
	w.grant(second, Registrar, "")
	var people []*member
	for n := range 20 {
		people = append(people, w.enrol(100+n, fmt.Sprint("p", n), identity.N3))
	}
	m := people[7]
	w.approve(w.do(w.appointmentBody(m, 1), w.admin.signs()))
	s := w.do(&Suspension{Person: m.id, Reason: "x", By: second.id, Capacity: Supervisor}, second.signs()) // refused: no such role
	refusedFor(t, w, s, "suspension by a registrar as supervisor", ErrRole)
	s = w.do(&Suspension{Person: people[8].id, Reason: "x", By: second.id, Capacity: Registrar}, second.signs())
	w.approve(w.do(&Lift{Suspension: s.Hash(), Person: people[8].id, Reason: "x", By: second.id, Capacity: Registrar}, second.signs()))
	whole := w.chain()
	for _, p := range people {
		acts := selectFor(w.acts, p.id)
		if len(acts) > 20 {
			t.Errorf("%d of %d acts selected", len(acts), len(w.acts))
		}
		part, err := Build(w.genesis, acts)
		if err != nil {
			t.Fatal(err)
		}
		for at := testStart; !at.After(w.now); at = at.Add(w.now.Sub(testStart) / 16) {
			_, want := whole.Key(p.dev.id(), p.id, identity.N2, at)
			_, got := part.Key(p.dev.id(), p.id, identity.N2, at)
			if Code(got) != Code(want) {
				t.Errorf("%s at %v: got %v, want %v", p.id, at, got, want)
			}
			apt := identity.AppointmentID(fixedID("apt", 1))
			_, want = whole.Appointment(apt, m.id, at)
			_, got = part.Appointment(apt, m.id, at)
			if p == m && Code(got) != Code(want) {
				t.Errorf("appointment at %v: got %v, want %v", at, got, want)
			}
		}
	}
}

func TestIndexNamesKeys(t *testing.T) {
	t.Parallel()
	_, acts, _ := exampleActs(t)
	want := map[Kind]int{KindGenesis: 3, KindEnrolment: 1, KindKeyAddition: 1}
	for _, s := range acts {
		x := s.Index()
		if len(x.Keys) != want[x.Kind] || x.ID != s.Statement().ID {
			t.Errorf("%s: got %d keys, want %d", x.Kind, len(x.Keys), want[x.Kind])
		}
		if x.Author == "" && x.Kind != KindGenesis {
			t.Errorf("%s: no author", x.Kind)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	w := newWorld(b)
	for n := range 200 {
		m := &member{id: personID(100 + n), dev: newDevice(b, fmt.Sprint("p", n), softauthn.ES256)}
		w.approve(w.do(w.enrolment(m, identity.N2), w.registrar.signs(), m.signs()))
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := Build(w.genesis, w.acts); err != nil {
				b.Fatal(err)
			}
		}
	})
	c := w.chain()
	last := w.signed(&Suspension{Person: personID(100), Reason: "x", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs())
	b.Run("one more", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Extend(last); err != nil {
				b.Fatal(err)
			}
		}
	})
}
