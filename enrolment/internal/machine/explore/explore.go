// Package explore plays the tables of enrolment/internal/machine: one attacker,
// with whatever a scenario gives, against everybody else, every sequence of
// commands up to a depth. It looks for a sequence after which the attacker
// enters or signs as somebody else, or has made staff of a helper (invariant 3
// of the design).
//
// What the attacker may ask for is not listed: each command of each table is
// tried in every capacity and with every evidence that the attacker can bring,
// and the table decides. So a line that is added to a table is a line that the
// search uses.
//
// The attacker sees, copies and keeps whatever passes over her own desk: a
// password typed there, now or at a later visit, a sheet that she prints, and a
// closed one on its way, which she opens.
//
// What it takes for granted, and what no table can show: honest people approve
// only what they checked themselves; whoever sees a closed sheet opened notices
// that it was open already (Options.Unnoticed takes that back); and the person
// types her password before nobody who printed her sheet, nor shows the sheet
// (Options.Careless). That cryptography holds is not tried here.
//
// Only tests import it.
package explore

import (
	"fmt"
	"slices"

	m "oruro.gob.bo/suti/enrolment/internal/machine"
)

// Tables are the tables that are played.
type Tables struct {
	Person, Credential, Card, Vouching, Post, Proposal, Role, Deployment *m.Machine
	// Stored says how the database keeps each secret: "keyed", "hash" or "clear".
	Stored map[Secret]string
}

// Secret is something whoever reads the database must not learn.
type Secret string

// The secrets. Code and Cells are short: a hash without a key does not hide them.
const (
	BrowserSecret Secret = "browser"
	TicketCode    Secret = "code"
	Cells         Secret = "cells"
	Password      Secret = "password"
)

// Real are the tables as the services use them.
func Real() Tables {
	return Tables{m.Person, m.Credential, m.Card, m.Vouching, m.Post, m.Proposal, m.Role, m.Deployment,
		map[Secret]string{BrowserSecret: "hash", TicketCode: "keyed", Cells: "keyed", Password: "hash"}}
}

// Attacker is what the attacker is.
type Attacker struct {
	Name       string
	Capacities []m.Actor // of staff, Operator, or none
	Reads      bool      // the database
	// Accomplices so many of the victim's people of trust are; none in [Attackers].
	Accomplices int
}

// Attackers are all single-handed ones.
func Attackers() []Attacker {
	staff := []m.Actor{m.Registrar, m.Supervisor, m.Administrator, m.InstitutionAdmin}
	out := []Attacker{{Name: "citizen"}, {Name: "database reader", Reads: true}, {Name: "operator", Capacities: []m.Actor{m.Operator}, Reads: true}}
	for _, s := range staff {
		out = append(out, Attacker{Name: string(s), Capacities: []m.Actor{s}})
	}
	return append(out, Attacker{Name: "all roles, reading the database", Capacities: staff, Reads: true})
}

// Progress of a proposal, with who made it.
type progress struct {
	State m.State
	Mine  bool // the attacker proposed it
}

// World is where everything stands. The victim is one person; own is her
// passkey, evil one in the attacker's hand on her record.
type World struct {
	Deployment m.State
	Victim     m.State
	Proven     bool // level above N0
	ByAct      bool // what stops her is an act
	Own, Evil  m.State
	Stolen     bool // own is in the attacker's hand
	OwnActs    bool // an act in effect names own
	EvilActs   bool // or evil
	Enrolment  progress
	WithEvil   bool // the enrolment that waits names evil
	WithOwn    bool // or own
	Lift       progress
	RoleOf     progress // for the attacker's helper
	PostOf     progress
	Fresh      m.State  // her new passkey, made at a counter
	Recovery   progress // by which her new passkey, or evil, replaces the others
	ByEvil     bool     // it names evil
	Vouch      m.State  // a recovery without a document
	Vouched    int      // by so many accomplices
	ByVouch    bool     // the recovery that waits is such a one
	Helper     bool     // the helper has a role, or a post
	Holds      bool     // the ticket is in the attacker's hand
	Card       m.State  // password and code card
	WithCard   bool     // the enrolment that waits orders a card
	ByCard     bool     // the recovery that waits does
	Told       bool     // the attacker knows the password of the card
	Ordered    bool     // the attacker ordered the card
	Printed    bool     // or printed it
	Copied     bool     // or knows its cells
	Broken     bool     // it was opened on its way
	Refounded  bool
}

// Scenario is where a search begins.
type Scenario struct {
	Name  string
	World World
}

// Scenarios are all beginnings.
func Scenarios() []Scenario {
	requested := World{Deployment: m.Founded, Victim: m.Requested}
	withKey := requested
	withKey.Own = m.KeyActive
	live := World{Deployment: m.Founded, Victim: m.Live, Proven: true, Own: m.KeyActive, OwnActs: true}
	carded := World{Deployment: m.Founded, Victim: m.Live, Proven: true, Card: m.CardLive}
	stopped := live
	stopped.Victim, stopped.Stolen = m.Suspended, true
	byAct := stopped
	byAct.ByAct = true
	before := withKey
	before.Deployment = m.Nothing
	return []Scenario{
		{"nobody yet", World{Deployment: m.Founded}}, {"registered", requested}, {"registered with a passkey", withKey}, {"enrolled", live}, {"enrolled with a card", carded},
		{"phone stolen, stopped by herself or an operator", stopped}, {"phone stolen, stopped by an act", byAct}, {"before the founding", before},
	}
}

// Step is one command as it was played.
type Step struct {
	Who     string // "attacker", "victim" or "staff"
	Table   string
	Do      m.Command
	Basis   m.Basis
	Variant string // which of several
}

// String names the step.
func (s Step) String() string {
	return fmt.Sprintf("%s: %s %s as %s on %q%s", s.Who, s.Table, s.Do, s.Basis.By, s.Basis.With, s.Variant)
}

// Options bound a search.
type Options struct {
	Depth int
	// Unnoticed lets a closed sheet be opened on its way without a trace.
	Unnoticed bool
	// Careless lets the person type her password before whoever printed her sheet,
	// and show it to whoever saw her type.
	Careless bool
	// Unreachable: no notice reaches her, and she does not look, for three days.
	Unreachable bool
}

// Report is what a search found.
type Report struct {
	States, Transitions, Refused int
	Found                        string // "" or what the attacker has
	Path                         []Step // shortest
}

// node is a state with how it was reached.
type node struct {
	world World
	from  int
	step  Step
	depth int
}

// Search plays every sequence up to the depth.
func Search(t Tables, a Attacker, s Scenario, o Options) Report {
	g := &game{t: t, a: a, o: o}
	nodes := []node{{world: s.World, from: -1}}
	seen := map[World]bool{s.World: true}
	var out Report
	for i := 0; i < len(nodes); i++ {
		n := nodes[i]
		if got := g.gained(n.world); got != "" {
			out.Found, out.States = got, len(nodes)
			for at := i; nodes[at].from >= 0; at = nodes[at].from {
				out.Path = append(out.Path, nodes[at].step)
			}
			slices.Reverse(out.Path)
			return out
		}
		if n.depth == o.Depth {
			continue
		}
		g.moves(n.world, func(st Step, w World) {
			out.Transitions++
			if !seen[w] {
				seen[w] = true
				nodes = append(nodes, node{w, i, st, n.depth + 1})
			}
		})
	}
	out.States, out.Refused = len(nodes), g.refused
	return out
}

// enters reports whether a passkey in a state lets its holder in.
func (g *game) enters(s m.State) bool {
	_, err := g.t.Credential.Next(s, m.UseKey, m.Basis{By: m.Holder, With: m.Key})
	return err == nil
}

func (g *game) entersByCard(s m.State) bool {
	_, err := g.t.Card.Next(s, m.EnterByCard, m.Basis{By: m.Holder, With: m.Cell})
	return err == nil
}

// gained names what the attacker has, or "".
func (g *game) gained(w World) string {
	active := w.Victim == m.Requested || w.Victim == m.Live
	switch {
	case active && g.enters(w.Evil):
		return "a passkey of the attacker's enters as the victim"
	case active && w.Stolen && g.enters(w.Own):
		return "the stolen passkey enters again"
	case active && w.Proven && w.Told && w.Copied && g.entersByCard(w.Card):
		return "a code card in the attacker's hand enters as the victim"
	case w.Victim != m.Suspended && w.EvilActs:
		return "a passkey of the attacker's signs as the victim"
	case w.Helper:
		return "the helper has a role or a post"
	case w.Refounded:
		return "the deployment was founded again"
	}
	return ""
}

// Walk plays one sequence: at each world choose picks one of n steps that change
// something and that the caller supports; it ends when nothing is left, or when
// the attacker has won. then is told every step and the world that it led to.
func Walk(t Tables, a Attacker, from World, depth int, supported func(Step, World) bool, choose func(n int) int, then func(Step, World) error) error {
	g := &game{t: t, a: a}
	for range depth {
		var steps []Step
		var worlds []World
		g.moves(from, func(s Step, w World) {
			if w != from && supported(s, w) {
				steps, worlds = append(steps, s), append(worlds, w)
			}
		})
		if len(steps) == 0 || g.gained(from) != "" {
			return nil
		}
		i := choose(len(steps))
		from = worlds[i]
		if err := then(steps[i], from); err != nil {
			return err
		}
	}
	return nil
}

// Waiting says which proposals wait: of an enrolment, a lifting, a role, a post, a recovery.
func (w World) Waiting() [5]bool {
	is := func(p progress) bool { return p.State == m.Waits }
	return [5]bool{is(w.Enrolment), is(w.Lift), is(w.RoleOf), is(w.PostOf), is(w.Recovery)}
}

// First reports whether the attacker may take a password at a first visit.
func (w World) First(a Attacker) bool { return (&game{a: a}).first(w) }
