package enrolment_test

import (
	"errors"
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
)

// Failpoints are global to the process: these tests do not run in parallel.

func eachAlone(t *testing.T, fn func(h *harness)) {
	t.Helper()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) { fn(newHarness(t, dbtest.Open(t, e, lines()))) })
	}
}

var errCrash = errors.New("crash")

// crash makes the process stop at a point while fn runs.
func crash(t *testing.T, point string, fn func() error) {
	t.Helper()
	disarm := failpoint.Arm(point, func() error { return errCrash })
	err := fn()
	disarm()
	if !errors.Is(err, errCrash) {
		t.Fatalf("%s: got %v, want the crash", point, err)
	}
}

func (h *harness) recover(want int) {
	h.t.Helper()
	n, err := h.service().Recover(h.ctx())
	if err != nil || n != want {
		h.t.Errorf("recovered %d, %v, want %d", n, err, want)
	}
}

func TestCrashAroundAnAct(t *testing.T) {
	eachAlone(t, func(h *harness) {
		g := h.genesisDraft()
		for _, m := range []*member{h.admin, h.registrar} {
			if _, err := h.sign(g, m); err != nil {
				h.t.Fatal(err)
			}
		}
		crash(h.t, failpoint.EnrolActBeforeCommit, func() error { _, err := h.sign(g, h.supervisor); return err })
		_, err := h.svc.Genesis(h.ctx())
		wantErr(h.t, "after the crash", err, enrolment.ErrNoGenesis)
		h.recover(1)
		h.recover(0)
		h.check()

		for point, made := range map[string]int{failpoint.EnrolActBeforeCommit: 1, failpoint.EnrolActAfterCommit: 0} {
			m, ticket := h.preregister()
			d, err := h.draw(h.registrar, ticket, 0)
			if err == nil {
				_, err = h.sign(d, m)
			}
			if err != nil {
				h.t.Fatal(err)
			}
			crash(h.t, point, func() error { _, err := h.sign(d, h.registrar); return err })
			h.recover(made)
			a, err := h.svc.Approve(h.ctx(), h.supervisor.id, d.ID)
			if err != nil {
				h.t.Fatal(err)
			}
			crash(h.t, point, func() error { _, err := h.sign(a, h.supervisor); return err })
			if got := h.level(m.id); (got == identity.N2) != (made == 0) {
				h.t.Errorf("%s: level %v right after", point, got)
			}
			h.recover(made)
			if got := h.level(m.id); got != identity.N2 {
				h.t.Errorf("%s: level %v after recovery", point, got)
			}
			h.check()
		}
	})
}

func TestCrashAfterAnEnd(t *testing.T) {
	eachAlone(t, func(h *harness) {
		h.found()
		_, post, clerk := h.office()
		m := h.enrol(identity.N2)
		d, err := h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: m.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 1"})
		d = h.do(d, err, clerk)
		h.approve(d, h.supervisor)
		before := h.epoch(m.id)
		e, err := h.svc.EndAppointment(h.ctx(), clerk.id, d.Statement.Body.(*act.Appointment).Appointment, "renuncia")
		if err != nil {
			h.t.Fatal(err)
		}
		crash(h.t, failpoint.EnrolAppointEndAfter, func() error { _, err := h.sign(e, clerk); return err })
		h.told(m.id, before+1)
		crash(h.t, failpoint.EnrolSuspendAfter, func() error { return h.svc.Stop(h.ctx(), m.id) })
		h.told(m.id, before+2)
		other := h.enrol(identity.N2)
		s, err := h.svc.Suspend(h.ctx(), h.registrar.id, other.id, "sospecha")
		if err != nil {
			h.t.Fatal(err)
		}
		before = h.epoch(other.id)
		crash(h.t, failpoint.EnrolSuspendAfter, func() error { _, err := h.sign(s, h.registrar); return err })
		h.told(other.id, before+1)
		h.recover(0)
		h.check()
	})
}

// told wants the epoch and a notice of it in the outbox: effects elsewhere follow.
func (h *harness) told(p identity.PersonID, epoch identity.Epoch) {
	h.t.Helper()
	if got := h.epoch(p); got != epoch {
		h.t.Errorf("epoch: got %d, want %d", got, epoch)
	}
	var n int
	if err := h.d.QueryRow(h.ctx(), `SELECT count(*) FROM outbox_message WHERE topic = $1 AND key = $2`, account.TopicSubject, string(p)).Scan(&n); err != nil {
		h.t.Fatal(err)
	}
	if n == 0 {
		h.t.Error("nobody is told")
	}
}

// A core that is away for a while gets every act, in order.
func TestCoreComesLate(t *testing.T) {
	each(t, func(h *harness) {
		h.core.fails = 3
		h.found()
		h.enrol(identity.N2)
		h.check()
	})
}
