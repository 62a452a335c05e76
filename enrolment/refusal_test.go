package enrolment_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/subject"
)

func TestOneMemberOfStaffAlone(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		citizen, ticket := h.preregister()

		_, err := h.svc.OpenTicket(h.ctx(), h.admin.id, ticket.Code)
		wantErr(h.t, "an administrator at the counter", err, act.ErrRole)
		_, err = h.svc.OpenTicket(h.ctx(), citizen.id, ticket.Code)
		wantErr(h.t, "a citizen at the counter", err, act.ErrRole)

		d, err := h.draw(h.registrar, ticket, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		// The registrar signs for the citizen, with her own passkey.
		_, err = h.signWith(h.svc, d, citizen.id, h.registrar.auth)
		wantErr(h.t, "the registrar's passkey for the citizen", err, softauthn.ErrNotAllowed)
		_, err = h.sign(d, h.supervisor)
		wantErr(h.t, "a signature nobody asked for", err, enrolment.ErrDraft)
		d = h.do(d, nil, citizen, h.registrar)

		_, err = h.svc.Approve(h.ctx(), h.registrar.id, d.ID)
		wantErr(h.t, "approval by its registrar", err, act.ErrSamePerson)
		_, err = h.svc.Approve(h.ctx(), citizen.id, d.ID)
		wantErr(h.t, "approval by the citizen", err, act.ErrSelf)
		_, err = h.svc.Approve(h.ctx(), h.admin.id, d.ID)
		wantErr(h.t, "approval by an administrator", err, act.ErrRole)
		h.approve(d, h.supervisor)
		_, err = h.svc.Approve(h.ctx(), h.supervisor.id, d.ID)
		wantErr(h.t, "approval twice", err, enrolment.ErrUnknown)

		_, err = h.svc.Grant(h.ctx(), h.admin.id, enrolment.GrantRequest{Person: h.admin.id, Role: act.Supervisor})
		wantErr(h.t, "a role for oneself", err, act.ErrSelf)
		_, err = h.svc.Grant(h.ctx(), h.supervisor.id, enrolment.GrantRequest{Person: citizen.id, Role: act.Registrar})
		wantErr(h.t, "a role by a supervisor", err, act.ErrRole)
		stranger, _ := h.preregister()
		_, err = h.svc.Grant(h.ctx(), h.admin.id, enrolment.GrantRequest{Person: stranger.id, Role: act.Registrar})
		wantErr(h.t, "a role for somebody unproven", err, act.ErrNotEnrolled)
		g, err := h.svc.Grant(h.ctx(), h.admin.id, enrolment.GrantRequest{Person: citizen.id, Role: act.Registrar})
		g = h.do(g, err, h.admin)
		_, err = h.svc.OpenTicket(h.ctx(), citizen.id, ticket.Code)
		wantErr(h.t, "a role that waits for its approval", err, act.ErrRole)
		_, err = h.svc.Approve(h.ctx(), h.admin.id, g.ID)
		wantErr(h.t, "a role approved by its proposer", err, act.ErrSamePerson)
		h.check()
	})
}

// Another registrar may be the second person for a citizen's first enrolment,
// not for an official's.
func TestSecondRegistrarApproves(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		h.second = h.enrol(identity.N2)
		h.grant(h.second, act.Registrar, "")
		m, ticket := h.preregister()
		d, err := h.draw(h.registrar, ticket, identity.N2)
		h.approve(h.do(d, err, h.registrar, m), h.second)
		if got := h.level(m.id); got != identity.N2 {
			h.t.Errorf("got %v, want N2", got)
		}
		m, ticket = h.preregister()
		d, err = h.draw(h.registrar, ticket, identity.N3)
		d = h.do(d, err, h.registrar, m)
		_, err = h.svc.Approve(h.ctx(), h.second.id, d.ID)
		wantErr(h.t, "an official approved by a registrar", err, act.ErrRole)
		waiting, err := h.svc.WaitingFor(h.ctx(), h.supervisor.id)
		if err != nil || len(waiting) != 1 || waiting[0].ID != d.ID || waiting[0].Person != m.id {
			h.t.Errorf("waiting for the supervisor: %+v, %v", waiting, err)
		}
		if list, _ := h.svc.WaitingFor(h.ctx(), h.registrar.id); len(list) != 0 {
			h.t.Errorf("waiting for its registrar: %v", list)
		}
		h.check()
	})
}

func TestRegistrarMayNotEnrolHerself(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		// The person becomes registrar, and only then goes to the counter with a ticket of her own.
		m, ticket := h.preregister()
		d, err := h.draw(h.registrar, ticket, 0)
		h.approve(h.do(d, err, h.registrar, m), h.supervisor)
		h.grant(m, act.Registrar, "")
		_, err = h.svc.OpenTicket(h.ctx(), m.id, ticket.Code)
		wantErr(h.t, "own ticket", err, act.ErrSelf)
	})
}

func TestAssertionsServeOnce(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m, ticket := h.preregister()
		d, err := h.draw(h.registrar, ticket, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		_, otherTicket := h.preregister()
		e, err := h.draw(h.registrar, otherTicket, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		begin := func(d enrolment.Draft, who *member) (string, []byte) {
			h.t.Helper()
			c, err := h.svc.BeginSign(h.ctx(), d.ID, who.id, bind)
			if err != nil {
				h.t.Fatal(err)
			}
			answer, err := who.auth.Get(h.origin, c.Options)
			if err != nil {
				h.t.Fatal(err)
			}
			return c.ID, answer
		}
		finish := func(d enrolment.Draft, who *member, id string, binding, answer []byte) error {
			_, err := h.svc.FinishSign(h.ctx(), enrolment.Answer{Draft: d.ID, Person: who.id, Ceremony: id, Binding: binding, Response: answer})
			return err
		}
		id, answer := begin(d, h.registrar)
		wantErr(h.t, "for another draft", finish(e, h.registrar, id, bind, answer), enrolment.ErrDraft)
		wantErr(h.t, "again, for its own", finish(d, h.registrar, id, bind, answer), passkey.ErrCeremony)
		id, _ = begin(e, h.registrar)
		wantErr(h.t, "an old answer to another draft's question", finish(e, h.registrar, id, bind, answer), passkey.ErrRefused)
		id, answer = begin(d, h.registrar)
		wantErr(h.t, "in another session", finish(d, h.registrar, id, []byte("another"), answer), passkey.ErrCeremony)
		id, answer = begin(d, h.registrar)
		wantErr(h.t, "in another's name", finish(d, m, id, bind, answer), enrolment.ErrDraft)
		// A login is no signature.
		c, err := h.keys.BeginLogin(h.ctx(), passkey.Begin{Purpose: passkey.Login, Binding: bind})
		if err != nil {
			h.t.Fatal(err)
		}
		if answer, err = h.registrar.auth.Get(h.origin, c.Options); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "a login", finish(d, h.registrar, c.ID, bind, answer), passkey.ErrCeremony)
		id, answer = begin(d, h.registrar)
		if err := finish(d, h.registrar, id, bind, answer); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.BeginSign(h.ctx(), d.ID, h.registrar.id, bind)
		wantErr(h.t, "signed already", err, enrolment.ErrDraft)
		h.do(d, nil, m)
		_, err = h.svc.BeginSign(h.ctx(), d.ID, m.id, bind)
		wantErr(h.t, "done already", err, enrolment.ErrDone)
		h.check()
	})
}

func TestTickets(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		h.second = h.enrol(identity.N2)
		h.grant(h.second, act.Registrar, "")
		m, ticket := h.preregister()
		open := func(r *member, code string) error { _, err := h.svc.OpenTicket(h.ctx(), r.id, code); return err }

		for _, bad := range []string{"", "0000-0000", "nada", "UUUU-UUUU", "' OR 1=1 --", string(make([]byte, 200))} {
			wantErr(h.t, "code "+bad, open(h.registrar, bad), enrolment.ErrTicket)
		}
		if err := open(h.registrar, " "+ticket.Code[:4]+" "+ticket.Code[5:]); err != nil {
			h.t.Errorf("typed with a space: %v", err)
		}
		wantErr(h.t, "at two counters", open(h.second, ticket.Code), enrolment.ErrTicketTaken)
		_, err := h.svc.Verify(h.ctx(), h.second.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields()})
		wantErr(h.t, "verified at the other", err, enrolment.ErrTicketHold)
		_, _, err = h.svc.TicketInHand(h.ctx(), h.second.id, ticket.ID)
		wantErr(h.t, "read at the other", err, enrolment.ErrTicketHold)
		wantErr(h.t, "released at the other", h.svc.ReleaseTicket(h.ctx(), h.second.id, ticket.ID), enrolment.ErrTicketHold)

		_, err = h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: []string{enrolment.FieldDocument, enrolment.FieldGiven}})
		var mismatch *enrolment.MismatchError
		if !errors.As(err, &mismatch) || !slices.Equal(mismatch.Fields, []string{"original", "surnames", "birth_date"}) {
			h.t.Errorf("fields left open: got %v", err)
		}

		// The first counter's time is up: what it drew up leads nowhere any more.
		stale, err := h.svc.Verify(h.ctx(), h.registrar.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields()})
		if err != nil {
			h.t.Fatal(err)
		}
		h.clock.Add(enrolment.CounterHold)
		_, err = h.sign(stale, h.registrar)
		wantErr(h.t, "signed too late", err, enrolment.ErrDraft)
		d, err := h.draw(h.second, ticket, 0)
		d = h.do(d, err, h.second, m)
		wantErr(h.t, "opened in review", open(h.registrar, ticket.Code), enrolment.ErrTicketUsed)
		h.approve(d, h.supervisor)
		wantErr(h.t, "opened when done", open(h.registrar, ticket.Code), enrolment.ErrTicketUsed)

		_, late := h.preregister()
		h.clock.Add(enrolment.TicketLifetime)
		wantErr(h.t, "opened after 30 days", open(h.registrar, late.Code), enrolment.ErrTicketExpired)
		h.check()
	})
}

// A registrar who draws an enrolment up twice can finish only the later one.
func TestTicketLeadsToOneEnrolment(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m, ticket := h.preregister()
		first, err := h.draw(h.registrar, ticket, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		second, err := h.draw(h.registrar, ticket, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.sign(first, m); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(first, h.registrar)
		wantErr(h.t, "the earlier one", err, enrolment.ErrTicketUsed)
		h.approve(h.do(second, nil, m, h.registrar), h.supervisor)
		h.check()
	})
}

func TestTicketGoesToOneCounterUnderContention(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		registrars := []*member{h.registrar}
		for range 3 {
			m := h.enrol(identity.N2)
			h.grant(m, act.Registrar, "")
			registrars = append(registrars, m)
		}
		_, ticket := h.preregister()
		var got atomic.Int64
		dbtest.Contend(h.t, len(registrars), func(i int) {
			switch _, err := h.svc.OpenTicket(h.ctx(), registrars[i].id, ticket.Code); {
			case err == nil:
				got.Add(1)
			case !errors.Is(err, enrolment.ErrTicketTaken):
				h.t.Errorf("counter %d: %v", i, err)
			}
		})
		if got.Load() != 1 {
			h.t.Errorf("%d counters have the ticket", got.Load())
		}
	})
}

// The browser that registered can make one passkey, for an hour, until the counter begins.
func TestRegistrationsBrowser(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		_, err := h.svc.BeginKey(h.ctx(), []byte("somebody's"))
		wantErr(h.t, "another browser", err, enrolment.ErrTicket)
		_, ticket := h.preregister()
		secret := secretOf(h.people)
		_, err = h.svc.BeginKey(h.ctx(), secret)
		wantErr(h.t, "a second passkey", err, enrolment.ErrHasKey)
		if got, err := h.svc.TicketOfBrowser(h.ctx(), secret); err != nil || got.Code != ticket.Code {
			h.t.Errorf("ticket shown again: %+v, %v", got, err)
		}
		bare, err := h.svc.Register(h.ctx(), h.registration(), []byte("bare"))
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.svc.OpenTicket(h.ctx(), h.registrar.id, bare.Code); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.BeginKey(h.ctx(), []byte("bare"))
		wantErr(h.t, "while at the counter", err, enrolment.ErrTicketUsed)
		h.clock.Add(enrolment.BrowserHold)
		_, err = h.svc.TicketOfBrowser(h.ctx(), secret)
		wantErr(h.t, "an hour later", err, enrolment.ErrTicket)
	})
}

// Two people say that they hold one document: only the first proof counts.
func TestSecondProofOfADocument(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		in := h.registration()
		var drafts []enrolment.Draft
		var people []*member
		for range 2 {
			in.Document.Number = "7770001"
			tk, err := h.svc.Register(h.ctx(), in, []byte("x"+in.Document.Number))
			if err != nil {
				h.t.Fatal(err)
			}
			m := &member{id: tk.Person, auth: softauthn.New(softauthn.Config{})}
			c, err := h.svc.BeginKey(h.ctx(), []byte("x"+in.Document.Number))
			if err != nil {
				h.t.Fatal(err)
			}
			answer, err := m.auth.Create(h.origin, c.Options)
			if err == nil {
				_, err = h.svc.FinishKey(h.ctx(), []byte("x"+in.Document.Number), c.ID, answer, "")
			}
			if err != nil {
				h.t.Fatal(err)
			}
			d, err := h.draw(h.registrar, tk, 0)
			drafts, people = append(drafts, h.do(d, err, h.registrar, m)), append(people, m)
		}
		h.approve(drafts[0], h.supervisor)
		d, err := h.svc.Approve(h.ctx(), h.supervisor.id, drafts[1].ID)
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(d, h.supervisor)
		wantErr(h.t, "the second proof", err, account.ErrExists)
		if h.level(people[0].id) != identity.N2 || h.level(people[1].id) != identity.N0 {
			h.t.Error("the wrong one was raised")
		}
		_, err = h.svc.Register(h.ctx(), in, []byte("third"))
		wantErr(h.t, "a third registration", err, account.ErrExists)
		h.check()
	})
}

func TestSuspensionAndLift(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m := h.enrol(identity.N2)
		_, err := h.svc.Suspend(h.ctx(), m.id, h.registrar.id, "sospecha")
		wantErr(h.t, "by a citizen", err, act.ErrRole)
		before := h.epoch(m.id)
		d, err := h.svc.Suspend(h.ctx(), h.registrar.id, m.id, "sospecha")
		d = h.do(d, err, h.registrar)
		p, _ := h.svc.Profile(h.ctx(), m.id)
		if p.Active || p.Epoch != before+1 {
			h.t.Errorf("suspended: %+v", p)
		}
		h.check()
		lift, err := h.svc.Lift(h.ctx(), h.registrar.id, d.ID, "aclarado")
		lift = h.do(lift, err, h.registrar)
		_, err = h.svc.Approve(h.ctx(), h.registrar.id, lift.ID)
		wantErr(h.t, "lifted by one alone", err, act.ErrSamePerson)
		h.approve(lift, h.supervisor)
		if p, _ := h.svc.Profile(h.ctx(), m.id); !p.Active || p.Level != identity.N2 || p.Epoch != before+2 {
			h.t.Errorf("lifted: %+v", p)
		}
		// A registrar may not stop a member of staff.
		d, err = h.svc.Suspend(h.ctx(), h.registrar.id, h.admin.id, "sospecha")
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(d, h.registrar)
		wantErr(h.t, "staff by a registrar", err, act.ErrCapacity)
		h.check()

		// The own stop button needs nothing, and makes every act of its owner impossible.
		official := h.enrol(identity.N2)
		h.grant(official, act.Registrar, "")
		_, ticket := h.preregister()
		e, err := h.draw(official, ticket, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		if err := h.svc.Stop(h.ctx(), official.id); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "stopped twice", h.svc.Stop(h.ctx(), official.id), account.ErrState)
		_, err = h.sign(e, official)
		wantErr(h.t, "an act after the stop", err, passkey.ErrNotActive)
		h.check()
	})
}

func TestSecondPasskey(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		m := h.enrol(identity.N2)
		phone := softauthn.New(softauthn.Config{})
		c, err := h.keys.BeginRegistration(h.ctx(), passkey.Begin{Purpose: passkey.Enrol, Person: m.id, Binding: bind}, "Persona")
		if err != nil {
			h.t.Fatal(err)
		}
		answer, err := phone.Create(h.origin, c.Options)
		if err != nil {
			h.t.Fatal(err)
		}
		cred, err := h.keys.FinishRegistration(h.ctx(), machine.Basis{By: machine.Holder, With: machine.Key}, c.ID, passkey.Enrol, bind, answer, "Otro celular")
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.AddKey(h.ctx(), h.registrar.id, cred.ID)
		wantErr(h.t, "another's passkey", err, passkey.ErrUnknown)
		d, err := h.svc.AddKey(h.ctx(), m.id, cred.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		if d, err = h.signWith(h.svc, d, m.id, phone); err != nil || d.Done {
			h.t.Fatalf("signed by the new one alone: %v, %v", d.Done, err)
		}
		_, err = h.signWith(h.svc, d, m.id, phone)
		wantErr(h.t, "signed by the new one twice", err, enrolment.ErrDraft)
		h.do(d, nil, m)
		chain := h.check()
		if got := chain.Keys(m.id, h.clock.Now()); len(got) != 2 {
			h.t.Errorf("%d keys, want 2", len(got))
		}
		// The first one is lost: the second ends it.
		first, err := h.keys.Credentials(h.ctx(), m.id)
		if err != nil {
			h.t.Fatal(err)
		}
		before := h.epoch(m.id)
		e, err := h.svc.EndKey(h.ctx(), m.id, first[1].ID, "perdida")
		if err == nil {
			_, err = h.signWith(h.svc, e, m.id, phone)
		}
		if err != nil {
			h.t.Fatal(err)
		}
		have, _ := h.keys.Credentials(h.ctx(), m.id)
		if have[1].State != passkey.Revoked || h.epoch(m.id) != before+1 {
			h.t.Errorf("lost passkey: %v, epoch %d after %d", have[1].State, h.epoch(m.id), before)
		}
		chain = h.check()
		if _, err := chain.Key(m.coseID(), m.id, identity.N0, h.clock.Now()); !errors.Is(err, act.ErrEnded) {
			h.t.Errorf("lost passkey in the chain: %v", err)
		}
		stranger, _ := h.preregister()
		mine, _ := h.keys.Credentials(h.ctx(), stranger.id)
		_, err = h.svc.AddKey(h.ctx(), stranger.id, mine[0].ID)
		wantErr(h.t, "before the enrolment", err, act.ErrNotEnrolled)
	})
}

func TestPostsAreChecked(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		ins, post, clerk := h.office()
		_, err := h.svc.CreateInstitution(h.ctx(), clerk.id, identity.Institution{Name: "Otra institución"})
		wantErr(h.t, "an institution by a clerk", err, act.ErrRole)
		_, err = h.svc.CreateInstitution(h.ctx(), h.admin.id, identity.Institution{Name: ins.Name})
		wantErr(h.t, "an institution twice", err, enrolment.ErrExists)
		for _, bad := range []identity.Institution{{Name: ""}, {Name: "a\u202eb cd"}, {Name: "Una más", TaxID: "12"}} {
			_, err = h.svc.CreateInstitution(h.ctx(), h.admin.id, bad)
			wantErr(h.t, "institution "+bad.Name, err, enrolment.ErrInput)
		}
		other, err := h.svc.CreateInstitution(h.ctx(), h.admin.id, identity.Institution{Name: "Municipio de prueba"})
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.CreatePost(h.ctx(), clerk.id, enrolment.Post{Institution: other, Title: "Secretario"})
		wantErr(h.t, "a post elsewhere", err, act.ErrRole)
		_, err = h.svc.CreatePost(h.ctx(), clerk.id, enrolment.Post{Institution: ins, Title: "Otra secretaría", Item: post.Item})
		wantErr(h.t, "an item twice", err, enrolment.ErrExists)
		second, err := h.svc.CreatePost(h.ctx(), clerk.id, enrolment.Post{Institution: ins, Unit: post.Unit, Title: "Auxiliar"})
		if err != nil {
			h.t.Fatal(err)
		}
		posts, err := h.svc.Posts(h.ctx(), ins.ID)
		if err != nil || len(posts) != 2 || posts[0].ID != second.ID || posts[1].Scopes[0] != "resolucion" || !posts[1].Exclusive {
			h.t.Errorf("posts: %+v, %v", posts, err)
		}
		m := h.enrol(identity.N2)
		req := enrolment.AppointmentRequest{Person: m.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 1"}
		_, err = h.svc.Appoint(h.ctx(), h.registrar.id, req)
		wantErr(h.t, "appointed by a registrar", err, act.ErrRole)
		_, err = h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: clerk.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 1"})
		wantErr(h.t, "appointing oneself", err, act.ErrSelf)
		bad := req
		bad.LegalAct = ""
		_, err = h.svc.Appoint(h.ctx(), clerk.id, bad)
		wantErr(h.t, "without a legal act", err, enrolment.ErrInput)
		bad = req
		bad.Kind = "eterno"
		_, err = h.svc.Appoint(h.ctx(), clerk.id, bad)
		wantErr(h.t, "of an unknown kind", err, enrolment.ErrInput)
		d, err := h.svc.Appoint(h.ctx(), clerk.id, req)
		d = h.do(d, err, clerk)
		_, err = h.svc.Approve(h.ctx(), clerk.id, d.ID)
		wantErr(h.t, "approved by its proposer", err, act.ErrSamePerson)
		_, err = h.svc.EndAppointment(h.ctx(), clerk.id, d.Statement.Body.(*act.Appointment).Appointment, "renuncia")
		wantErr(h.t, "ended before it began", err, act.ErrPending)
		// A draft that nobody signs in time is over.
		late, err := h.svc.Appoint(h.ctx(), clerk.id, req)
		if err != nil {
			h.t.Fatal(err)
		}
		h.clock.Add(enrolment.DraftLifetime + time.Minute)
		_, err = h.sign(late, clerk)
		wantErr(h.t, "signed too late", err, enrolment.ErrDraft)
		h.check()
	})
}

// The epoch of a suspended person who is neither active nor told: no act of hers stands.
func TestSuspendedStaffCannotAct(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		second := h.enrol(identity.N2)
		h.grant(second, act.Supervisor, "")
		m, ticket := h.preregister()
		d, err := h.draw(h.registrar, ticket, 0)
		d = h.do(d, err, h.registrar, m)
		a, err := h.svc.Approve(h.ctx(), second.id, d.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		s, err := h.svc.Suspend(h.ctx(), h.supervisor.id, second.id, "sospecha")
		h.do(s, err, h.supervisor)
		if _, err = h.sign(a, second); !errors.Is(err, passkey.ErrNotActive) && !errors.Is(err, subject.ErrNotActive) {
			h.t.Errorf("approval by a suspended supervisor: got %v", err)
		}
		if got := h.level(m.id); got != identity.N0 {
			h.t.Errorf("level: got %v, want N0", got)
		}
		h.check()
	})
}
