// Package machine says as tables what may happen to a person's record, a
// passkey, a code card, an appointment, a proposal and the deployment: which
// command leads from which state to which, by whom, and on what evidence. What
// stands in no table does not happen.
//
// The services of enrolment ask these tables and nothing else; the exhaustive
// search for takeovers (takeover_test.go) plays them, so that a rule that is
// changed here is changed in both. The rules of authority themselves are judged
// once more, independently, by internal/act.
//
// enrolment, enrolment/account and enrolment/passkey import it. It imports
// nothing.
package machine

import (
	"errors"
	"fmt"
	"slices"
)

// ErrIllegal reports a command that no row allows. It comes as a [*Illegal].
var ErrIllegal = errors.New("machine: not possible in this state")

// State is a state as the tables of the database name it; empty: nothing is there yet.
type State string

// Command is what is asked for.
type Command string

// Actor is in which capacity somebody asks.
type Actor string

// The actors. Those of staff and Holder are spelled as roles of internal/act.
const (
	Holder           Actor = "holder" // the person concerned, in a session of hers
	Registrar        Actor = "registrar"
	Supervisor       Actor = "supervisor"
	Administrator    Actor = "administrator"
	InstitutionAdmin Actor = "institution-admin" // of the institution concerned
	Founder          Actor = "founder"
	Browser          Actor = "browser"  // whoever registers, without a session
	Operator         Actor = "operator" // of the machine, whose word stands behind no signature
	System           Actor = "system"   // this program, on what it measures
	Contact          Actor = "contact"  // whom the person trusts to say that she is herself
	Demo             Actor = "demo"     // the seeded people of a demonstration
)

// Evidence is what stands behind a command.
type Evidence string

// The kinds of evidence.
const (
	Word     Evidence = ""          // nothing but that it is asked for
	Session  Evidence = "session"   // a session of the person's, however old
	Key      Evidence = "key"       // a passkey of the person's, used just now
	Secret   Evidence = "secret"    // the secret of the browser that registered
	Signed   Evidence = "signed"    // an act signed by its one author
	Approved Evidence = "approved"  // an act approved by a second member of staff
	Together Evidence = "together"  // an act signed by every founder
	Counter  Evidence = "counter"   // the code of a ticket of recovery that a registrar has in hand
	First    Evidence = "first"     // ticket in hand; nothing proven, no passkey, nothing drawn up
	Another  Evidence = "another"   // neither proposer nor the person concerned
	Own      Evidence = "own"       // the proposer
	Measured Evidence = "measured"  // a counter that went back, a passkey that failed to sign
	Cell     Evidence = "cell+word" // password and an unused cell
	Settled  Evidence = "settled"   // the code of the recovery, by one who accepted long enough ago and is not of those who decide
	Waited   Evidence = "waited"    // so many have vouched, the time of waiting is over, and she did not object
	Witness  Evidence = "witness"   // who printed the card saw the person open it, closed and with its word inside
)

// Basis is who asks, and on what evidence.
type Basis struct {
	By   Actor
	With Evidence
}

// Event is what else happens with a transition.
type Event string

// The events.
const (
	EpochMoves Event = "epoch"  // every session, token and pending signature ends
	LevelSet   Event = "level"  // the level is that of the act
	CardVoided Event = "voided" // what the person entered with by card is void
)

// Row is one line of a table.
type Row struct {
	From   State
	Do     Command
	By     Actor
	With   Evidence
	To     State
	Events []Event
}

// Machine is a table. It is immutable.
type Machine struct {
	Name string
	Rows []Row
}

// Illegal is a command that no row allows.
type Illegal struct {
	Machine string
	From    State
	Do      Command
	Basis
}

// Error names the pair, which holds no personal datum.
func (e *Illegal) Error() string {
	return fmt.Sprintf("machine: %s in state %q: no %s by %s on %q", e.Machine, e.From, e.Do, e.By, e.With)
}

// Unwrap returns ErrIllegal.
func (*Illegal) Unwrap() error { return ErrIllegal }

// Next returns the row that allows a command, or an [*Illegal].
func (m *Machine) Next(from State, do Command, b Basis) (Row, error) {
	for _, r := range m.Rows {
		if r.From == from && r.Do == do && r.By == b.By && r.With == b.With {
			return r, nil
		}
	}
	return Row{}, &Illegal{m.Name, from, do, b}
}

// Actors lists who may give a command in a state on that evidence, in the order
// of the table: first the capacity in which somebody who has several acts.
func (m *Machine) Actors(from State, do Command, with Evidence) []Actor {
	var out []Actor
	for _, r := range m.Rows {
		if r.From == from && r.Do == do && r.With == with && !slices.Contains(out, r.By) {
			out = append(out, r.By)
		}
	}
	return out
}

// Has reports whether a row brings an event about.
func (r Row) Has(e Event) bool { return slices.Contains(r.Events, e) }

// each expands a line for several states and actors; an empty to stays where it is.
func each(from []State, do Command, by []Actor, with Evidence, to State, events ...Event) []Row {
	var out []Row
	for _, f := range from {
		for _, b := range by {
			target := to
			if target == stays {
				target = f
			}
			out = append(out, Row{f, do, b, with, target, events})
		}
	}
	return out
}

const stays State = "="

func table(name string, parts ...[]Row) *Machine {
	return &Machine{Name: name, Rows: slices.Concat(parts...)}
}

func states(s ...State) []State { return s }
func actors(a ...Actor) []Actor { return a }
