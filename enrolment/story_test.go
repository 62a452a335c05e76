package enrolment_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

func TestStory(t *testing.T) {
	each(t, func(h *harness) {
		_, err := h.svc.Genesis(h.ctx())
		wantErr(h.t, "before the founding", err, enrolment.ErrNoGenesis)
		h.found()
		if got := h.level(h.admin.id); got != identity.N3 {
			h.t.Errorf("founder: got %v, want N3", got)
		}
		h.check()

		citizen, ticket := h.preregister()
		if got := h.level(citizen.id); got != identity.N0 {
			h.t.Errorf("on a word alone: got %v, want N0", got)
		}
		d, err := h.draw(h.registrar, ticket, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		if d, err = h.sign(d, citizen); err != nil || d.Done {
			h.t.Fatalf("signed by the citizen alone: %+v, %v", d, err)
		}
		d = h.do(d, nil, h.registrar)
		if got := h.level(citizen.id); got != identity.N0 {
			h.t.Errorf("before the approval: got %v, want N0", got)
		}
		h.check()
		h.approve(d, h.supervisor)
		if got := h.level(citizen.id); got != identity.N2 {
			h.t.Errorf("enrolled: got %v, want N2", got)
		}
		chain := h.check()
		if _, err := chain.Key(citizen.coseID(), citizen.id, identity.N2, h.clock.Now()); err != nil {
			h.t.Errorf("the citizen's key: %v", err)
		}

		ins, post, clerk := h.office()
		official := h.enrol(identity.N3)
		d, err = h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: official.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 12/2026"})
		d = h.do(d, err, clerk)
		apt := d.Statement.Body.(*act.Appointment).Appointment
		_, err = h.svc.Appointment(h.ctx(), apt)
		wantErr(h.t, "before the approval", err, act.ErrPending)
		if held, _ := h.svc.Appointments(h.ctx(), official.id); len(held) != 0 {
			h.t.Errorf("holds %v before the approval", held)
		}
		h.approve(d, h.supervisor)
		h.check()
		held, err := h.svc.Appointments(h.ctx(), official.id)
		if err != nil || len(held) != 1 || held[0].Title != "Secretaria General" || held[0].Unit != "Secretaría General" || held[0].Institution != ins || held[0].LegalAct != "RAD 12/2026" {
			h.t.Fatalf("holds %+v, %v", held, err)
		}
		acts, err := h.svc.ActsFor(h.ctx(), official.id)
		if err != nil {
			h.t.Fatal(err)
		}
		proves(h, acts, official, apt)

		before, at := h.epoch(official.id), h.clock.Now()
		d, err = h.svc.EndAppointment(h.ctx(), clerk.id, apt, "renuncia")
		h.do(d, err, clerk)
		h.check()
		if got := h.epoch(official.id); got != before+1 {
			h.t.Errorf("epoch after the end: got %d, want %d", got, before+1)
		}
		if held, _ := h.svc.Appointments(h.ctx(), official.id); len(held) != 0 {
			h.t.Errorf("still holds %v", held)
		}
		if who, err := h.svc.WhoHeld(h.ctx(), post.ID, at); err != nil || len(who) != 1 || who[0].Person != official.id {
			h.t.Errorf("who held the post then: %v, %v", who, err)
		}
	})
}

// proves builds a chain from an evidence bundle's acts alone.
func proves(h *harness, acts [][]byte, m *member, apt identity.AppointmentID) {
	h.t.Helper()
	var signed []*act.Signed
	for _, raw := range acts {
		s, err := act.Parse(raw)
		if err != nil {
			h.t.Fatal(err)
		}
		signed = append(signed, s)
	}
	genesis, err := h.svc.Genesis(h.ctx())
	if err != nil {
		h.t.Fatal(err)
	}
	c, err := act.Build(genesis, signed)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := c.Key(m.coseID(), m.id, identity.N3, h.clock.Now()); err != nil {
		h.t.Errorf("key from the bundle: %v", err)
	}
	if _, err := c.Appointment(apt, m.id, h.clock.Now()); err != nil {
		h.t.Errorf("appointment from the bundle: %v", err)
	}
}

func TestGenesisHappensOnce(t *testing.T) {
	each(t, func(h *harness) {
		first := h.genesisDraft()
		ask := enrolment.GenesisRequest{Founders: []enrolment.Founder{
			{Person: h.admin.id, Roles: []act.Role{act.Administrator, act.Registrar}}, {Person: h.supervisor.id, Roles: []act.Role{act.Supervisor}},
		}}
		second, err := h.svc.BeginGenesis(h.ctx(), ask)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, d := range []enrolment.Draft{first, second} {
			if d, err = h.sign(d, h.admin); err != nil || d.Done {
				h.t.Fatalf("one signature: %v, %v", d.Done, err)
			}
		}
		if _, err := h.sign(first, h.registrar); err != nil {
			h.t.Fatal(err)
		}
		// A synchronised passkey keeps no counter, so that two answers at once are possible.
		h.supervisor.auth.Behave(func(b *softauthn.Behaviour) { b.CounterStep = 0 })
		var done atomic.Int64
		nodes := []*enrolment.Service{h.svc, h.service()}
		drafts := []enrolment.Draft{first, second}
		dbtest.Contend(h.t, 2, func(i int) {
			d, err := h.signWith(nodes[i], drafts[i], h.supervisor.id, h.supervisor.auth)
			if err == nil && d.Done {
				done.Add(1)
			} else if !errors.Is(err, enrolment.ErrGenesisDone) {
				h.t.Errorf("draft %d: %v", i, err)
			}
		})
		if done.Load() != 1 {
			h.t.Fatalf("founded %d times", done.Load())
		}
		_, err = h.svc.BeginGenesis(h.ctx(), ask)
		wantErr(h.t, "afterwards", err, enrolment.ErrGenesisDone)
		h.check()
	})
}

func TestGenesisNeedsItsPeople(t *testing.T) {
	each(t, func(h *harness) {
		a, _ := h.preregister()
		b, _ := h.preregister()
		nobody, err := h.svc.Register(h.ctx(), h.registration(), secretOf(99))
		if err != nil {
			h.t.Fatal(err)
		}
		all := []act.Role{act.Administrator, act.Registrar, act.Supervisor}
		for name, c := range map[string]struct {
			founders []enrolment.Founder
			want     error
		}{
			"one person":                {[]enrolment.Founder{{Person: a.id, Roles: all}}, enrolment.ErrInput},
			"no independent supervisor": {[]enrolment.Founder{{Person: a.id, Roles: all}, {Person: b.id, Roles: all}}, enrolment.ErrInput},
			"no registrar":              {[]enrolment.Founder{{Person: a.id, Roles: all[:1]}, {Person: b.id, Roles: all[2:]}}, enrolment.ErrInput},
			"no passkey":                {[]enrolment.Founder{{Person: a.id, Roles: all[:2]}, {Person: nobody.Person, Roles: all[2:]}}, enrolment.ErrKey},
			"nobody":                    {nil, enrolment.ErrInput},
			"the same twice":            {[]enrolment.Founder{{Person: a.id, Roles: all[:2]}, {Person: a.id, Roles: all[2:]}}, enrolment.ErrInput},
		} {
			_, err := h.svc.BeginGenesis(h.ctx(), enrolment.GenesisRequest{Founders: c.founders})
			wantErr(h.t, name, err, c.want)
		}
	})
}

// Nobody can do anything for the State before the founding.
func TestNothingBeforeGenesis(t *testing.T) {
	each(t, func(h *harness) {
		m, ticket := h.preregister()
		_, err := h.svc.OpenTicket(h.ctx(), m.id, ticket.Code)
		wantErr(h.t, "counter", err, enrolment.ErrNoGenesis)
		_, err = h.svc.CreateInstitution(h.ctx(), m.id, identity.Institution{Name: "Una institución"})
		wantErr(h.t, "institution", err, enrolment.ErrNoGenesis)
		_, err = h.svc.Grant(h.ctx(), m.id, enrolment.GrantRequest{Person: m.id, Role: act.Registrar})
		wantErr(h.t, "role", err, enrolment.ErrNoGenesis)
		if roles, err := h.svc.Roles(h.ctx(), m.id); err != nil || len(roles) != 0 {
			h.t.Errorf("roles: %v, %v", roles, err)
		}
	})
}

// Two nodes admit acts at the same time: each act once, none lost.
func TestActsFromTwoNodes(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		type job struct {
			m *member
			d enrolment.Draft
		}
		var jobs []job
		for range 6 {
			m, ticket := h.preregister()
			d, err := h.draw(h.registrar, ticket, 0)
			if err == nil {
				_, err = h.sign(d, m)
			}
			if err != nil {
				h.t.Fatal(err)
			}
			jobs = append(jobs, job{m, d})
		}
		nodes := []*enrolment.Service{h.svc, h.service()}
		var mu sync.Mutex // the registrar has one authenticator, whose counter must rise
		dbtest.Contend(h.t, len(jobs), func(i int) {
			s := nodes[i%2]
			mu.Lock()
			defer mu.Unlock()
			if d, err := h.signWith(s, jobs[i].d, h.registrar.id, h.registrar.auth); err != nil || !d.Done {
				h.t.Errorf("act %d: %v, %v", i, d.Done, err)
			}
		})
		second := h.enrol(identity.N2)
		h.grant(second, act.Supervisor, "")
		// Two supervisors approve in parallel, also the same acts.
		var done atomic.Int64
		supervisors := []*member{h.supervisor, second}
		dbtest.Contend(h.t, 2, func(n int) {
			for _, j := range jobs {
				a, err := nodes[n].Approve(h.ctx(), supervisors[n].id, j.d.ID)
				if err == nil {
					a, err = h.signWith(nodes[n], a, supervisors[n].id, supervisors[n].auth)
				}
				switch {
				case err == nil && a.Done:
					done.Add(1)
				case errors.Is(err, enrolment.ErrUnknown), errors.Is(err, act.ErrTarget), errors.Is(err, enrolment.ErrRace), errors.Is(err, enrolment.ErrTicketUsed):
				default:
					h.t.Errorf("approval: %v", err)
				}
			}
		})
		if done.Load() < 1 || done.Load() > int64(len(jobs)) {
			h.t.Errorf("%d approvals of %d acts", done.Load(), len(jobs))
		}
		h.check()
	})
}

func TestTimeOfAppointments(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		_, post, clerk := h.office()
		a, b := h.enrol(identity.N2), h.enrol(identity.N2)
		start := h.clock.Now()
		d, err := h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: a.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 1", To: start.Add(48 * time.Hour)})
		h.approve(h.do(d, err, clerk), h.supervisor)
		// Another holder at the same time is refused, a deputy is not.
		d, err = h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: b.id, Post: post.ID, Kind: identity.Interim, LegalAct: "RAD 2"})
		if err != nil {
			h.t.Fatal(err)
		}
		overlapping := h.do(d, nil, clerk)
		ap, err := h.svc.Approve(h.ctx(), h.supervisor.id, overlapping.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(ap, h.supervisor)
		wantErr(h.t, "a second holder", err, act.ErrPostTaken)
		d, err = h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: b.id, Post: post.ID, Kind: identity.Deputing, LegalAct: "MEMO 3", To: start.Add(24 * time.Hour)})
		h.approve(h.do(d, err, clerk), h.supervisor)
		_, err = h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: b.id, Post: post.ID, Kind: identity.Deputing, LegalAct: "MEMO 4"})
		wantErr(h.t, "a deputy without end", err, enrolment.ErrInput)
		h.check()
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{time.Hour, 2}, {25 * time.Hour, 1}, {49 * time.Hour, 0}} {
			if who, err := h.svc.WhoHeld(h.ctx(), post.ID, start.Add(c.after)); err != nil || len(who) != c.want {
				h.t.Errorf("after %v: %v, %v, want %d", c.after, who, err, c.want)
			}
		}
	})
}
