package machine

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

var all = []*Machine{Person, Credential, Card, Trust, Vouching, Post, Proposal, Role, Deployment}

// alphabet is everything that the tables speak of.
type alphabet struct {
	states   []State
	commands []Command
	actors   []Actor
	evidence []Evidence
}

func (m *Machine) alphabet() alphabet {
	var a alphabet
	for _, r := range m.Rows {
		a.states = append(a.states, r.From, r.To)
		a.commands = append(a.commands, r.Do)
	}
	for _, m := range all {
		for _, r := range m.Rows {
			a.actors, a.evidence = append(a.actors, r.By), append(a.evidence, r.With)
		}
	}
	slices.Sort(a.states)
	slices.Sort(a.commands)
	slices.Sort(a.actors)
	slices.Sort(a.evidence)
	return alphabet{slices.Compact(a.states), slices.Compact(a.commands), slices.Compact(a.actors), slices.Compact(a.evidence)}
}

// TestTables: no line stands twice, every state but the first is reached, and
// every pair that has no line is refused.
func TestTables(t *testing.T) {
	t.Parallel()
	for _, m := range all {
		t.Run(m.Name, func(t *testing.T) {
			a := m.alphabet()
			legal, illegal := 0, 0
			for _, s := range a.states {
				for _, c := range a.commands {
					for _, by := range a.actors {
						for _, with := range a.evidence {
							n := 0
							for _, r := range m.Rows {
								if r.From == s && r.Do == c && r.By == by && r.With == with {
									n++
								}
							}
							_, err := m.Next(s, c, Basis{by, with})
							var no *Illegal
							switch {
							case n > 1:
								t.Errorf("%q %s %s %q stands %d times", s, c, by, with, n)
							case n == 1 && err != nil, n == 0 && (!errors.Is(err, ErrIllegal) || !errors.As(err, &no) || no.From != s || no.Do != c):
								t.Errorf("%q %s %s %q: %d lines, got %v", s, c, by, with, n, err)
							}
							legal, illegal = legal+n, illegal+1-n
						}
					}
				}
			}
			if legal != len(m.Rows) {
				t.Errorf("%d of %d lines can be asked for", legal, len(m.Rows))
			}
			t.Logf("%d legal, %d illegal pairs", legal, illegal)
		})
	}
}

// TestFinal names the states that nothing leads out of, and who never appears.
func TestFinal(t *testing.T) {
	t.Parallel()
	for m, want := range map[*Machine][]State{
		Person: nil, Credential: {KeyRevoked}, Card: nil, Trust: {TrustEnded}, Vouching: nil, Post: {PostEnded}, Proposal: {InEffect, Withdrawn}, Role: {RoleEnded}, Deployment: {Founded},
	} {
		var got []State
		for _, s := range m.alphabet().states {
			if !slices.ContainsFunc(m.Rows, func(r Row) bool { return r.From == s }) {
				got = append(got, s)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: final %q, want %q", m.Name, got, want)
		}
	}
}

// TestIllegalPairs lists what must never be possible, by name.
func TestIllegalPairs(t *testing.T) {
	t.Parallel()
	staff := []Actor{Registrar, Supervisor, Administrator, InstitutionAdmin, Operator, System}
	for _, c := range []struct {
		why  string
		m    *Machine
		from []State
		do   Command
		by   []Actor
		with []Evidence
	}{
		{"nobody of staff adds a passkey for somebody", Credential, []State{Nothing}, AddKey, staff, nil},
		{"a revoked passkey stays revoked", Credential, []State{KeyRevoked}, UseKey, nil, nil},
		{"a suspect or pending passkey does not enter", Credential, []State{KeySuspect, KeySuspended, KeyPending}, UseKey, nil, nil},
		{"no stop is lifted by one", Person, []State{Suspended}, Lift, nil, []Evidence{Word, Session, Key, Secret, Signed, First, Own}},
		{"nobody lifts her own stop", Person, []State{Suspended}, Lift, []Actor{Holder, Browser}, nil},
		{"an operator lifts nothing", Person, []State{Suspended}, Lift, []Actor{Operator, System}, nil},
		{"no level by one", Person, []State{Requested, Live}, Prove, nil, []Evidence{Word, Session, Key, Secret, Signed, First, Own}},
		{"nobody comes back with a new passkey by one", Person, []State{Suspended, Live}, Recover, nil, []Evidence{Word, Session, Key, Secret, Signed, First, Own, Counter}},
		{"a pending passkey is confirmed by two", Credential, []State{KeyPending}, ConfirmKey, nil, []Evidence{Word, Session, Key, Secret, Signed, First, Own, Counter}},
		{"no level while stopped", Person, []State{Suspended}, Prove, nil, nil},
		{"nobody approves her own proposal", Proposal, []State{Waits}, ApproveRole, nil, []Evidence{Own, Word, Signed}},
		{"no registrar approves a later enrolment", Proposal, []State{Waits}, ApproveEnrolment, []Actor{Registrar}, nil},
		{"no registrar approves a lifting", Proposal, []State{Waits}, ApproveLift, []Actor{Registrar}, nil},
		{"what was withdrawn or rejected is never approved", Proposal, []State{Withdrawn, Rejected, InEffect}, ApproveFirst, nil, nil},
		{"no card later than the first visit but by a recovery", Card, []State{CardOrdered, CardPrinted, CardLive}, AskCard, staff, []Evidence{Word, Session, Key, Signed, First}},
		{"no sheet without an order", Card, []State{Nothing}, PrintCard, staff, nil},
		{"who ordered a sheet does not print it", Card, nil, PrintCard, staff, []Evidence{Own, Word, Signed, First, Counter}},
		{"who ordered a sheet does not open it", Card, nil, OpenCard, nil, []Evidence{Own, Word, Signed, First, Counter, Another}},
		{"nobody enters with a closed sheet", Card, []State{Nothing, CardOrdered, CardPrinted}, EnterByCard, nil, nil},
		{"nobody of staff sets a password", Card, nil, SetPassword, staff, nil},
		{"nobody is trusted without accepting", Trust, []State{Nothing}, NameTrusted, []Actor{Contact, Registrar, Supervisor, Operator, System}, nil},
		{"nobody accepts for somebody else", Trust, nil, AcceptTrusted, append(staff, Holder), nil},
		{"nobody of staff vouches", Vouching, nil, VouchFor, append(staff, Holder), nil},
		{"one voucher is not enough", Vouching, []State{VouchOpen, VouchOne}, Ripen, nil, nil},
		{"nobody shortens the wait", Vouching, nil, Ripen, []Actor{Holder, Contact, Registrar, Supervisor, Administrator, Operator}, nil},
		{"no second founding", Deployment, []State{Founded}, Found, nil, nil},
		{"an ended post stays ended", Post, []State{PostEnded}, ApprovePost, nil, nil},
		{"no post by one", Post, []State{PostProposed}, ApprovePost, nil, []Evidence{Signed, Word, Own}},
	} {
		a := c.m.alphabet()
		if c.by == nil {
			c.by = a.actors
		}
		if c.with == nil {
			c.with = a.evidence
		}
		if c.from == nil {
			c.from = a.states
		}
		for _, from := range c.from {
			for _, by := range c.by {
				for _, with := range c.with {
					if r, err := c.m.Next(from, c.do, Basis{by, with}); err == nil {
						t.Errorf("%s: %+v", c.why, r)
					}
				}
			}
		}
	}
}

// TestReprintVoids: a sheet is never printed, ordered or refused beside another that still counts.
func TestReprintVoids(t *testing.T) {
	t.Parallel()
	for _, r := range Card.Rows {
		want := slices.Contains([]Command{OrderCard, RefuseCard, VoidCard}, r.Do) || r.Do == PrintCard && (r.By != Demo || r.From == CardLive)
		if got := r.Has(CardVoided); got != want {
			t.Errorf("%+v: voids %v, want %v", r, got, want)
		}
	}
}

// TestEpochMoves: whoever is stopped, comes back, or loses a role, a post or a
// passkey by an act loses every session.
func TestEpochMoves(t *testing.T) {
	t.Parallel()
	for _, m := range all {
		for _, r := range m.Rows {
			want := slices.Contains([]Command{Stop, Lift, LiftUnproven, Recover, EndPost, EndRole}, r.Do) && m != Proposal || r.Do == RevokeKey && r.With == Signed
			if got := r.Has(EpochMoves); got != want {
				t.Errorf("%s: %s: epoch moves %v, want %v", m.Name, fmt.Sprint(r), got, want)
			}
		}
	}
}
