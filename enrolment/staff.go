package enrolment

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
)

// GrantRequest says who is to hold a role of staff.
type GrantRequest struct {
	Person      identity.PersonID
	Role        act.Role
	Institution identity.InstitutionID // for act.InstitutionAdmin, and only there
	From, To    time.Time              // zero: at once, until ended
}

// Grant drafts the grant of a role: an administrator signs it, a supervisor
// approves it. The person has to be enrolled at N2 or above.
func (s *Service) Grant(ctx context.Context, by identity.PersonID, r GrantRequest) (Draft, error) {
	k, _, err := s.capable(ctx, by, "", machine.Proposal, machine.Nothing, machine.ProposeRole, machine.Another)
	if err != nil {
		return Draft{}, err
	}
	if by == r.Person {
		return Draft{}, fmt.Errorf("%w: own role", act.ErrSelf)
	}
	if err := enrolled(k.chain, r.Person, identity.N2, s.now()); err != nil {
		return Draft{}, err
	}
	return s.propose(ctx, proposal{genesis: k.genesis, body: &act.RoleGrant{
		Person: r.Person, Role: r.Role, Institution: r.Institution, From: micro(r.From), To: micro(r.To), Proposer: by,
	}})
}

// EndRole drafts the end of a role: its holder, an administrator or a supervisor signs it.
func (s *Service) EndRole(ctx context.Context, by, person identity.PersonID, r act.Role, ins identity.InstitutionID, reason string) (Draft, error) {
	k, err := s.load(ctx)
	if err != nil {
		return Draft{}, err
	}
	capacity := act.Holder
	if by != person {
		if _, capacity, err = s.capable(ctx, by, "", machine.Role, machine.RoleHeld, machine.EndRole, machine.Signed); err != nil {
			return Draft{}, err
		}
	}
	return s.propose(ctx, proposal{genesis: k.genesis, body: &act.End{What: act.EndRole, Person: person, Role: r, Institution: ins, Reason: reason, By: by, Capacity: capacity}})
}

// capable returns in which capacity a person may give a command, by the table of
// a machine; act.ErrRole if in none. Holder is no capacity of staff.
func (s *Service) capable(ctx context.Context, by identity.PersonID, ins identity.InstitutionID, m *machine.Machine, from machine.State, do machine.Command, with machine.Evidence) (*known, act.Role, error) {
	k, err := s.load(ctx)
	if err != nil {
		return nil, "", err
	}
	r, err := capacityOf(k.chain, by, ins, s.now(), rolesOf(m.Actors(from, do, with))...)
	return k, r, err
}

// rolesOf are the roles of staff among actors, spelled alike.
func rolesOf(list []machine.Actor) []act.Role {
	var out []act.Role
	for _, a := range list {
		if a != machine.Holder {
			out = append(out, act.Role(a))
		}
	}
	return out
}

// Waiting is an act that waits for an approval.
type Waiting struct {
	ID        identity.ActID
	Statement act.Statement
	Person    identity.PersonID
	Proposer  identity.PersonID
	Missing   string // what package act says is missing
}

// WaitingFor lists the acts that a person may approve now.
func (s *Service) WaitingFor(ctx context.Context, approver identity.PersonID) ([]Waiting, error) {
	k, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	decided, err := s.decided(ctx)
	if err != nil {
		return nil, err
	}
	var out []Waiting
	old := s.now().Add(-act.ApprovalTerm)
	for _, r := range k.chain.Waiting() {
		if decided[r.ID] {
			continue
		}
		w, err := waiting(k.chain, r)
		if err != nil {
			return nil, err
		}
		if _, err := s.approver(ctx, k.chain, w, approver); err == nil && w.Statement.At.After(old) {
			out = append(out, w)
		}
	}
	return out, nil
}

func waiting(c *act.Chain, r *act.Refusal) (Waiting, error) {
	signed, err := target(c, r.Act)
	if err != nil {
		return Waiting{}, err
	}
	st := signed.Statement()
	person, proposer := parties(st.Body)
	return Waiting{ID: st.ID, Statement: st, Person: person, Proposer: proposer, Missing: r.Missing}, nil
}

// WaitingAct returns an act that waits, if the person may approve it; a typed
// reason of act if not, ErrUnknown if no such act waits, or ErrDone if it was
// rejected or withdrawn.
func (s *Service) WaitingAct(ctx context.Context, approver identity.PersonID, id identity.ActID) (Waiting, error) {
	k, err := s.load(ctx)
	if err != nil {
		return Waiting{}, err
	}
	decided, err := s.decided(ctx)
	if err != nil {
		return Waiting{}, err
	}
	for _, r := range k.chain.Waiting() {
		if r.ID != id {
			continue
		}
		if decided[id] {
			return Waiting{}, ErrDone
		}
		w, err := waiting(k.chain, r)
		if err == nil {
			_, err = s.approver(ctx, k.chain, w, approver)
		}
		return w, err
	}
	return Waiting{}, ErrUnknown
}

// approver returns in which capacity a person may approve an act that waits. A
// first enrolment of somebody who looks like a person proven already needs a
// supervisor.
func (s *Service) approver(ctx context.Context, c *act.Chain, w Waiting, p identity.PersonID) (act.Role, error) {
	switch p {
	case w.Proposer:
		return "", fmt.Errorf("%w: proposed by the approver", act.ErrSamePerson)
	case w.Person:
		return "", fmt.Errorf("%w: about the approver", act.ErrSelf)
	}
	if err := s.deciding(ctx, p, w); err != nil {
		return "", err
	}
	do, ins := machine.ApproveOther, identity.InstitutionID("")
	switch b := w.Statement.Body.(type) {
	case *act.Enrolment:
		do = machine.ApproveEnrolment
		if b.Level <= identity.N2 && !b.Replaces {
			alike, err := s.cfg.Accounts.Similar(ctx, b.Person)
			if err != nil {
				return "", err
			}
			// Whether look-alikes are one person is for a supervisor to say.
			if _, err := c.Enrolled(b.Person, s.now()); errors.Is(err, act.ErrNotEnrolled) && len(alike) == 0 {
				do = machine.ApproveFirst
			}
		}
	case *act.RoleGrant:
		do = machine.ApproveRole
	case *act.Appointment:
		do, ins = machine.ApproveAppointment, b.Institution
	case *act.Lift:
		do = machine.ApproveLift
	}
	return capacityOf(c, p, ins, s.now(), rolesOf(machine.Proposal.Actors(machine.Waits, do, machine.Another))...)
}

// Approve drafts the approval of an act that waits. Its signer must hold a role
// that may approve it and be neither its proposer nor the person concerned.
func (s *Service) Approve(ctx context.Context, approver identity.PersonID, id identity.ActID) (Draft, error) {
	w, err := s.WaitingAct(ctx, approver, id)
	if err != nil {
		return Draft{}, err
	}
	k, err := s.load(ctx)
	if err != nil {
		return Draft{}, err
	}
	capacity, err := s.approver(ctx, k.chain, w, approver)
	if err != nil {
		return Draft{}, err
	}
	hash, err := w.Statement.Hash()
	if err != nil {
		return Draft{}, err
	}
	body := &act.Approval{Target: hash, TargetKind: w.Statement.Body.Kind(), Approver: approver, Capacity: capacity}
	if a, ok := w.Statement.Body.(*act.Appointment); ok && capacity == act.InstitutionAdmin {
		body.Institution = a.Institution
	}
	return s.propose(ctx, proposal{genesis: k.genesis, at: timeAfter(s.now(), w.Statement.At), body: body, concern: w.Person})
}

// Suspend drafts the suspension of a person by staff: a registrar, supervisor or
// administrator signs it (not a registrar, of a member of staff). With the
// signature every session, token and pending signature is dead.
func (s *Service) Suspend(ctx context.Context, by, person identity.PersonID, reason string) (Draft, error) {
	k, err := s.load(ctx)
	if err != nil {
		return Draft{}, err
	}
	if by == person {
		return Draft{}, fmt.Errorf("%w: use the own stop button", act.ErrSelf)
	}
	_, capacity, err := s.capable(ctx, by, "", machine.Person, machine.Live, machine.Stop, machine.Signed)
	if err != nil {
		return Draft{}, err
	}
	return s.propose(ctx, proposal{genesis: k.genesis, body: &act.Suspension{Person: person, Reason: reason, By: by, Capacity: capacity}})
}

// Stop is a person's own stop button: it needs no signature, so that it works
// without the lost passkey. account.ErrState if the person is stopped already,
// act.ErrLastHolder if nobody else in use holds one of her general roles: nobody
// could lift that stop.
func (s *Service) Stop(ctx context.Context, person identity.PersonID) error {
	if err := s.stop(ctx, machine.Basis{By: machine.Holder, With: machine.Session}, actor(person), person, "own-stop"); err != nil {
		return err
	}
	return failpoint.Hit(failpoint.EnrolSuspendAfter)
}

// Lift drafts the end of a suspension that an act made: a supervisor, an
// administrator or a registrar signs it, a supervisor or an administrator other
// than that approves it.
func (s *Service) Lift(ctx context.Context, by identity.PersonID, suspension identity.ActID, reason string) (Draft, error) {
	k, err := s.load(ctx)
	if err != nil {
		return Draft{}, err
	}
	var row store.Act
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.ActByID(tx, suspension)
		return err
	})
	if errors.Is(err, store.ErrNone) || err == nil && row.Kind != string(act.KindSuspension) {
		return Draft{}, ErrUnknown
	}
	if err != nil {
		return Draft{}, err
	}
	if by == row.Person {
		return Draft{}, fmt.Errorf("%w: own suspension", act.ErrSelf)
	}
	_, capacity, err := s.capable(ctx, by, "", machine.Proposal, machine.Nothing, machine.ProposeLift, machine.Another)
	if err != nil {
		return Draft{}, err
	}
	return s.propose(ctx, proposal{genesis: k.genesis, body: &act.Lift{Suspension: act.Hash(row.Hash), Person: row.Person, Reason: reason, By: by, Capacity: capacity}})
}

// AddKey drafts the addition of a passkey that a person has registered: one of
// her earlier keys and the new one sign it, nobody approves it. act.ErrNotEnrolled
// for a person who is not enrolled: her passkeys become part of the enrolment.
func (s *Service) AddKey(ctx context.Context, person identity.PersonID, id identity.CredentialID) (Draft, error) {
	k, err := s.load(ctx)
	if err != nil {
		return Draft{}, err
	}
	now := s.now()
	if _, err := k.chain.Enrolled(person, now); err != nil {
		return Draft{}, err
	}
	have, err := s.cfg.Passkeys.Credentials(ctx, person)
	if err != nil {
		return Draft{}, err
	}
	i := slices.IndexFunc(have, func(c passkey.Credential) bool { return c.ID == id && c.State == passkey.Active })
	if i < 0 {
		return Draft{}, passkey.ErrUnknown
	}
	fresh, err := record(have[i])
	if err != nil {
		return Draft{}, err
	}
	var earlier *act.KeyGrant
	for _, g := range k.chain.Keys(person, now) {
		active := slices.ContainsFunc(have, func(c passkey.Credential) bool {
			return c.State == passkey.Active && act.Hash(sha256.Sum256(c.PublicKey)) == g.Key
		})
		if active && g.Key != fresh.ID() && (earlier == nil || g.Level > earlier.Level) {
			earlier = &g
		}
	}
	if earlier == nil {
		return Draft{}, fmt.Errorf("%w: no earlier passkey", act.ErrUnknownKey)
	}
	level := earlier.Level
	if fresh.Backup != act.SingleDevice && level > identity.N2 {
		level = identity.N2
	}
	return s.propose(ctx, proposal{genesis: k.genesis, body: &act.KeyAddition{Person: person, Earlier: earlier.Key, Key: fresh, Level: level}})
}

// StaffRole is a role that a person holds.
type StaffRole struct {
	Role        act.Role
	Institution identity.InstitutionID // for act.InstitutionAdmin
}

// Roles lists the roles that a person holds now; none before the founding.
func (s *Service) Roles(ctx context.Context, person identity.PersonID) ([]StaffRole, error) {
	k, err := s.load(ctx)
	if errors.Is(err, ErrNoGenesis) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := s.now()
	var out []StaffRole
	for _, r := range []act.Role{act.Administrator, act.Registrar, act.Supervisor} {
		if k.chain.HasRole(person, r, "", now) == nil {
			out = append(out, StaffRole{Role: r})
		}
	}
	all, err := s.Institutions(ctx)
	for _, ins := range all {
		if k.chain.HasRole(person, act.InstitutionAdmin, ins.ID, now) == nil {
			out = append(out, StaffRole{Role: act.InstitutionAdmin, Institution: ins.ID})
		}
	}
	return out, err
}

// Profile is what other contexts may know of a person: that of the registry,
// with the present roles.
func (s *Service) Profile(ctx context.Context, person identity.PersonID) (identity.Profile, error) {
	p, err := s.cfg.Accounts.Profile(ctx, person)
	if err != nil {
		return p, err
	}
	roles, err := s.Roles(ctx, person)
	names := map[act.Role]identity.Role{
		act.Administrator: identity.RoleAdmin, act.InstitutionAdmin: identity.RoleAdmin, act.Registrar: identity.RoleRegistrar, act.Supervisor: identity.RoleSupervisor,
	}
	for _, r := range roles {
		if name := names[r.Role]; !slices.Contains(p.Roles, name) {
			p.Roles = append(p.Roles, name)
		}
	}
	return p, err
}

// FindByDocument returns who has proven to hold a document, or account.ErrUnknown.
func (s *Service) FindByDocument(ctx context.Context, doc identity.Document) (identity.PersonID, error) {
	return s.cfg.Accounts.FindByDocument(ctx, doc)
}

// ActsFor returns the acts on which a person's present keys and appointments
// rest, founding included, in order: what an evidence bundle carries.
func (s *Service) ActsFor(ctx context.Context, person identity.PersonID) ([][]byte, error) {
	k, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now()
	var of []act.Hash
	for _, g := range k.chain.Keys(person, now) {
		of = append(of, g.Act)
	}
	held, err := s.Appointments(ctx, person)
	if err != nil {
		return nil, err
	}
	for _, a := range held {
		p, err := k.chain.Appointment(a.ID, person, now)
		if err != nil {
			return nil, err
		}
		of = append(of, p.Act)
	}
	if len(of) == 0 {
		return nil, fmt.Errorf("%w: no key in effect", act.ErrUnknownKey)
	}
	proof, err := k.chain.Proof(of...)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(proof))
	for i, a := range proof {
		if out[i], err = a.Marshal(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
