package enrolment_test

import (
	"errors"
	"sync"
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
)

// together runs functions at the same moment and returns what each returned.
func together(fns ...func() error) []error {
	errs := make([]error, len(fns))
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() {
			<-start
			errs[i] = fn()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// TestLastHolderStaysInUse: whatever stops somebody, her own button, an operator
// or an act, each general role keeps a holder whose account is in use. Without one
// nothing could be approved any more, nor the stop be lifted.
func TestLastHolderStaysInUse(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		for _, m := range []*member{h.supervisor, h.admin} {
			wantErr(h.t, "own stop of the last holder", h.svc.Stop(h.ctx(), m.id), act.ErrLastHolder)
			if p, err := h.svc.Profile(h.ctx(), m.id); err != nil || !p.Active {
				h.t.Errorf("a refused stop took effect: %+v, %v", p, err)
			}
		}
		deputy, sanctioned := h.enrol(identity.N2), h.enrol(identity.N2)
		h.grant(deputy, act.Supervisor, "")
		if err := h.svc.Stop(h.ctx(), deputy.id); err != nil {
			h.t.Fatalf("one of two: %v", err)
		}
		// For the chain the deputy, who stopped herself, is a holder still.
		wantErr(h.t, "own stop beside a stopped one", h.svc.Stop(h.ctx(), h.supervisor.id), act.ErrLastHolder)
		d, err := h.svc.EndRole(h.ctx(), h.supervisor.id, h.supervisor.id, act.Supervisor, "", "renuncia")
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(d, h.supervisor)
		wantErr(h.t, "resignation beside a stopped one", err, act.ErrLastHolder)
		d, err = h.svc.Suspend(h.ctx(), h.admin.id, h.supervisor.id, "sospecha")
		if err != nil {
			h.t.Fatal(err)
		}
		_, err = h.sign(d, h.admin)
		wantErr(h.t, "suspension beside a stopped one", err, act.ErrLastHolder)

		// So the stopped one can come back.
		d, err = h.svc.Suspend(h.ctx(), h.registrar.id, deputy.id, "perdida")
		wantErr(h.t, "a registrar of a member of staff", signed(h, d, err, h.registrar), act.ErrCapacity)
		d, err = h.svc.Suspend(h.ctx(), h.admin.id, deputy.id, "perdida")
		stop := h.do(d, err, h.admin)
		d, err = h.svc.Lift(h.ctx(), h.admin.id, stop.ID, "recuperado")
		h.approve(h.do(d, err, h.admin), h.supervisor)
		d, err = h.svc.EndRole(h.ctx(), h.supervisor.id, h.supervisor.id, act.Supervisor, "", "renuncia")
		h.do(d, err, h.supervisor)

		// Somebody without a role is stopped as before.
		if err := h.svc.Stop(h.ctx(), sanctioned.id); err != nil {
			h.t.Error(err)
		}
		wantErr(h.t, "twice", h.svc.Stop(h.ctx(), sanctioned.id), account.ErrState)
		h.check()
	})
}

func signed(h *harness, d enrolment.Draft, err error, by *member) error {
	if err == nil {
		_, err = h.sign(d, by)
	}
	return err
}

// TestLastHoldersStoppedAtOnce: of the last two, stopped at the same moment in
// different ways, one stays.
func TestLastHoldersStoppedAtOnce(t *testing.T) {
	each(t, func(h *harness) {
		h.found()
		deputy := h.enrol(identity.N2)
		h.grant(deputy, act.Supervisor, "")
		other := h.service() // another node
		errs := together(
			func() error { return h.svc.StopPerson(h.ctx(), operator, h.supervisor.id, "se perdió el celular") },
			func() error { return other.Stop(h.ctx(), deputy.id) },
		)
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), act.ErrLastHolder) {
			h.t.Errorf("stopped at once: %v", errs)
		}
	})
}

// TestFoundingsProposedAtOnce: one founding waits at a time, on every engine.
func TestFoundingsProposedAtOnce(t *testing.T) {
	each(t, func(h *harness) {
		ask, _, _ := h.founders()
		var fns []func() error
		for range 6 {
			s := h.service()
			fns = append(fns, func() error {
				_, err := s.ProposeGenesis(h.ctx(), operator, ask)
				return err
			})
		}
		made := 0
		for _, err := range together(fns...) {
			if err == nil {
				made++
			} else if !errors.Is(err, enrolment.ErrFounding) {
				h.t.Errorf("proposed at once: %v", err)
			}
		}
		if made != 1 {
			h.t.Errorf("%d foundings wait", made)
		}
	})
}
