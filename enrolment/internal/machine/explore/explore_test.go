package explore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/machine/explore"
)

// depth is how many commands are played, at most.
const depth = 8

// TestNoSingleHandReachesSomebodyElse searches every sequence of at most eight
// commands, for every attacker and from every beginning.
func TestNoSingleHandReachesSomebodyElse(t *testing.T) {
	t.Parallel()
	began := time.Now()
	states, transitions, refused, searches := 0, 0, 0, 0
	for _, a := range explore.Attackers() {
		own := 0
		for _, s := range explore.Scenarios() {
			r := explore.Search(explore.Real(), a, s, explore.Options{Depth: depth})
			if r.Found != "" {
				t.Errorf("%s, %s: %s\n%s", a.Name, s.Name, r.Found, path(r))
			}
			own += r.States
			states, transitions, refused, searches = states+r.States, transitions+r.Transitions, refused+r.Refused, searches+1
		}
		t.Logf("%s: %d states", a.Name, own)
	}
	took := time.Since(began)
	t.Logf("%d searches to depth %d: %d states, %d transitions, %d commands refused by the tables, in %v", searches, depth, states, transitions, refused, took)
	if states < 1000 || refused < 10_000 {
		t.Error("the search is smaller than it should be")
	}
	if took > 20*time.Second {
		t.Errorf("the search took %v, at most 20 s are meant", took)
	}
}

func path(r explore.Report) string {
	var b strings.Builder
	for _, s := range r.Path {
		b.WriteString("\t" + s.String() + "\n")
	}
	return b.String()
}

// more is a table with lines of its own, or without some.
func more(m *machine.Machine, drop func(machine.Row) bool, rows ...machine.Row) *machine.Machine {
	out := &machine.Machine{Name: m.Name, Rows: slices.Clone(m.Rows)}
	if drop != nil {
		out.Rows = slices.DeleteFunc(out.Rows, drop)
	}
	out.Rows = append(out.Rows, rows...)
	return out
}

// mutants are rules broken on purpose.
var mutants = []struct {
	name  string
	broke func(*explore.Tables)
}{
	{"a registrar approves her own enrolment", func(t *explore.Tables) {
		t.Proposal = more(t.Proposal, nil, machine.Row{From: machine.Waits, Do: machine.ApproveFirst, By: machine.Registrar, With: machine.Own, To: machine.InEffect})
	}},
	{"a supervisor approves her own lifting", func(t *explore.Tables) {
		t.Proposal = more(t.Proposal, nil, machine.Row{From: machine.Waits, Do: machine.ApproveLift, By: machine.Supervisor, With: machine.Own, To: machine.InEffect})
	}},
	{"an administrator approves her own grant of a role", func(t *explore.Tables) {
		t.Proposal = more(t.Proposal, nil, machine.Row{From: machine.Waits, Do: machine.ApproveRole, By: machine.Administrator, With: machine.Own, To: machine.InEffect})
	}},
	{"an institution's administrator approves her own appointment", func(t *explore.Tables) {
		t.Proposal = more(t.Proposal, nil, machine.Row{From: machine.Waits, Do: machine.ApproveAppointment, By: machine.InstitutionAdmin, With: machine.Own, To: machine.InEffect})
	}},
	{"a new order does not void the card before", func(t *explore.Tables) {
		t.Card = more(t.Card, nil)
		for i := range t.Card.Rows {
			t.Card.Rows[i].Events = nil
		}
	}},
	{"who saw the password prints the card", func(t *explore.Tables) {
		t.Card = more(t.Card, nil, machine.Row{From: machine.CardOrdered, Do: machine.PrintCard, By: machine.Registrar, With: machine.Own, To: machine.CardPrinted})
	}},
	{"a card counts before it was opened", func(t *explore.Tables) {
		t.Card = more(t.Card, nil, machine.Row{From: machine.CardPrinted, Do: machine.EnterByCard, By: machine.Holder, With: machine.Cell, To: machine.CardPrinted})
	}},
	{"who saw the password says that it came closed", func(t *explore.Tables) {
		t.Card = more(t.Card, nil, machine.Row{From: machine.CardPrinted, Do: machine.OpenCard, By: machine.Registrar, With: machine.Own, To: machine.CardLive})
	}},
	{"anybody else of staff says that it came closed", func(t *explore.Tables) {
		t.Card = more(t.Card, nil, machine.Row{From: machine.CardPrinted, Do: machine.OpenCard, By: machine.Registrar, With: machine.Another, To: machine.CardLive})
	}},
	{"a lost card is printed again without a new password", func(t *explore.Tables) {
		t.Card = more(t.Card, nil, machine.Row{From: machine.CardLive, Do: machine.PrintCard, By: machine.Supervisor, With: machine.Another, To: machine.CardPrinted, Events: []machine.Event{machine.CardVoided}})
	}},
	{"staff sets a password", func(t *explore.Tables) {
		t.Card = more(t.Card, nil, machine.Row{From: machine.CardLive, Do: machine.SetPassword, By: machine.Supervisor, With: machine.Signed, To: machine.CardLive})
	}},
	{"a new enrolment counts with the registrar's signature alone", func(t *explore.Tables) {
		t.Person = more(t.Person, nil, machine.Row{From: machine.Live, Do: machine.Prove, By: machine.Registrar, With: machine.Signed, To: machine.Live})
	}},
	{"a stop is lifted by one", func(t *explore.Tables) {
		t.Person = more(t.Person, nil, machine.Row{From: machine.Suspended, Do: machine.Lift, By: machine.Supervisor, With: machine.Signed, To: machine.Live})
	}},
	{"an operator lifts a stop", func(t *explore.Tables) {
		t.Person = more(t.Person, nil, machine.Row{From: machine.Suspended, Do: machine.Lift, By: machine.Operator, With: machine.Word, To: machine.Live})
	}},
	{"an operator adds a passkey", func(t *explore.Tables) {
		t.Credential = more(t.Credential, nil, machine.Row{From: machine.Nothing, Do: machine.AddKey, By: machine.Operator, With: machine.Word, To: machine.KeyActive})
	}},
	{"a supervisor adds a passkey", func(t *explore.Tables) {
		t.Credential = more(t.Credential, nil, machine.Row{From: machine.Nothing, Do: machine.AddKey, By: machine.Supervisor, With: machine.Signed, To: machine.KeyActive})
	}},
	{"the ticket is enough to add a passkey", func(t *explore.Tables) {
		t.Credential = more(t.Credential, nil, machine.Row{From: machine.Nothing, Do: machine.AddKey, By: machine.Registrar, With: machine.First, To: machine.KeyActive})
	}},
	{"a recovery is approved by who proposed it", func(t *explore.Tables) {
		t.Proposal = more(t.Proposal, nil, machine.Row{From: machine.Waits, Do: machine.ApproveEnrolment, By: machine.Registrar, With: machine.Own, To: machine.InEffect})
		t.Person = more(t.Person, nil, machine.Row{From: machine.Live, Do: machine.Recover, By: machine.Registrar, With: machine.Approved, To: machine.Live})
		t.Credential = more(t.Credential, nil, machine.Row{From: machine.KeyPending, Do: machine.ConfirmKey, By: machine.Registrar, With: machine.Approved, To: machine.KeyActive})
	}},
	{"a registrar confirms a pending passkey alone", func(t *explore.Tables) {
		t.Credential = more(t.Credential, nil, machine.Row{From: machine.KeyPending, Do: machine.ConfirmKey, By: machine.Registrar, With: machine.Signed, To: machine.KeyActive})
	}},
	{"a pending passkey enters", func(t *explore.Tables) {
		t.Credential = more(t.Credential, nil, machine.Row{From: machine.KeyPending, Do: machine.UseKey, By: machine.Holder, With: machine.Key, To: machine.KeyPending})
	}},
	{"a recovery brings back with one signature", func(t *explore.Tables) {
		t.Person = more(t.Person, nil, machine.Row{From: machine.Suspended, Do: machine.Recover, By: machine.Registrar, With: machine.Signed, To: machine.Live})
	}},
	{"the deployment is founded again", func(t *explore.Tables) {
		t.Deployment = more(t.Deployment, nil, machine.Row{From: machine.Founded, Do: machine.Found, By: machine.Founder, With: machine.Together, To: machine.Founded})
	}},
	{"the browser's secret stands in clear", func(t *explore.Tables) { t.Stored[explore.BrowserSecret] = "clear" }},
	{"cells and password stand in clear", func(t *explore.Tables) { t.Stored[explore.Cells], t.Stored[explore.Password] = "clear", "clear" }},
	{"cells are hashed without a key, the password stands in clear", func(t *explore.Tables) {
		t.Stored[explore.Cells], t.Stored[explore.Password] = "hash", "clear"
	}},
	{"anybody proposes and approves enrolments", func(t *explore.Tables) {
		t.Proposal = more(t.Proposal, nil, machine.Row{From: machine.Waits, Do: machine.ApproveFirst, By: machine.Browser, With: machine.Own, To: machine.InEffect},
			machine.Row{From: machine.Nothing, Do: machine.ProposeEnrolment, By: machine.Browser, With: machine.Another, To: machine.Waits})
		t.Person = more(t.Person, nil, machine.Row{From: machine.Requested, Do: machine.Prove, By: machine.Browser, With: machine.Approved, To: machine.Live})
	}},
}

// TestBrokenRulesAreFound breaks one rule at a time: the search has to find what
// follows, or it proves nothing.
func TestBrokenRulesAreFound(t *testing.T) {
	t.Parallel()
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			tables := explore.Real()
			m.broke(&tables)
			for _, a := range explore.Attackers() {
				for _, s := range explore.Scenarios() {
					if r := explore.Search(tables, a, s, explore.Options{Depth: depth}); r.Found != "" {
						t.Logf("%s, %s: %s, by %d commands\n%s", a.Name, s.Name, r.Found, len(r.Path), path(r))
						return
					}
				}
			}
			t.Error("the search found nothing")
		})
	}
}

// TestWhatIsTakenForGranted states what no table can prevent: each of these, taken
// back, lets one member of staff in.
func TestWhatIsTakenForGranted(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]explore.Options{
		"a closed card is opened on its way without a trace":                  {Depth: depth, Unnoticed: true},
		"she types before who printed, or shows her card to who saw her type": {Depth: depth, Careless: true},
	} {
		registrar := explore.Attacker{Name: "registrar", Capacities: []machine.Actor{machine.Registrar}}
		found := explore.Search(explore.Real(), registrar, explore.Scenario{Name: "registered", World: explore.World{Deployment: machine.Founded, Victim: machine.Requested}}, o)
		if !strings.Contains(found.Found, "code card") {
			t.Errorf("%s: found %q", name, found.Found)
		}
		t.Logf("%s: %s\n%s", name, found.Found, path(found))
	}
}

// TestCopiedSheet: a registrar who has the password typed before her reaches
// nothing by whatever she copies, opens or keeps; in the rules of before, under
// which she printed the card as well, the search finds it.
func TestCopiedSheet(t *testing.T) {
	t.Parallel()
	registrar := explore.Attacker{Name: "registrar", Capacities: []machine.Actor{machine.Registrar}}
	village := explore.Scenario{Name: "registered", World: explore.World{Deployment: machine.Founded, Victim: machine.Requested}}
	if r := explore.Search(explore.Real(), registrar, village, explore.Options{Depth: 12}); r.Found != "" {
		t.Errorf("%s\n%s", r.Found, path(r))
	} else {
		t.Logf("%d states to depth 12, no takeover", r.States)
	}
	before := explore.Real()
	before.Card = more(before.Card, nil, machine.Row{From: machine.CardOrdered, Do: machine.PrintCard, By: machine.Registrar, With: machine.Own, To: machine.CardLive})
	r := explore.Search(before, registrar, village, explore.Options{Depth: depth})
	if !strings.Contains(r.Found, "code card") {
		t.Errorf("found %q", r.Found)
	}
	t.Logf("%s\n%s", r.Found, path(r))
}

// withAccomplices are all attackers, with so many of the victim's people of trust.
func withAccomplices(n int) []explore.Attacker {
	out := explore.Attackers()
	for i := range out {
		out[i].Accomplices = n
	}
	return out
}

// known are beginnings in which the victim is somebody who can be recovered.
func known() []explore.Scenario {
	var out []explore.Scenario
	for _, s := range explore.Scenarios() {
		if s.World.Proven {
			out = append(out, s)
		}
	}
	return out
}

func searched(t explore.Tables, as []explore.Attacker, o explore.Options) (found explore.Report, states int) {
	for _, a := range as {
		for _, s := range known() {
			r := explore.Search(t, a, s, o)
			if states += r.States; r.Found != "" {
				return r, states
			}
		}
	}
	return found, states
}

// TestPeopleOfTrust states what is proven of a recovery without a document, in
// which honest staff believe the vouchers and see no document: one accomplice
// among her people of trust, with one member of staff of any role, reaches
// nothing, even of somebody who cannot be reached; and any number of them reach
// nothing while she can object. Enough of them, of somebody who does not hear of
// it for three days, do: that is known.
func TestPeopleOfTrust(t *testing.T) {
	t.Parallel()
	const depth = 7 // from somebody enrolled; a takeover needs seven
	if r, n := searched(explore.Real(), withAccomplices(1), explore.Options{Depth: depth, Unreachable: true}); r.Found != "" {
		t.Errorf("one accomplice: %s\n%s", r.Found, path(r))
	} else {
		t.Logf("one accomplice, she is not reached: %d states", n)
	}
	if r, n := searched(explore.Real(), withAccomplices(3), explore.Options{Depth: depth}); r.Found != "" {
		t.Errorf("three accomplices, she can object: %s\n%s", r.Found, path(r))
	} else {
		t.Logf("three accomplices, she can object: %d states", n)
	}
	r, _ := searched(explore.Real(), withAccomplices(2), explore.Options{Depth: depth, Unreachable: true})
	if r.Found == "" {
		t.Error("enough accomplices of somebody who is not reached: the search finds nothing, so it proves nothing")
	}
	t.Logf("two accomplices, she is not reached: %s\n%s", r.Found, path(r))
	for name, c := range map[string]struct {
		row machine.Row
		n   int
		o   explore.Options
	}{
		"one voucher is enough": {machine.Row{From: machine.VouchOne, Do: machine.Ripen, By: machine.System, With: machine.Waited, To: machine.VouchRipe}, 1, explore.Options{Depth: depth, Unreachable: true}},
		"without a wait":        {machine.Row{From: machine.VouchTwo, Do: machine.Ripen, By: machine.Browser, With: machine.Another, To: machine.VouchRipe}, 2, explore.Options{Depth: depth}},
	} {
		broken := explore.Real()
		broken.Vouching = more(broken.Vouching, nil, c.row)
		if r, _ := searched(broken, withAccomplices(c.n), c.o); r.Found == "" {
			t.Errorf("%s: the search finds nothing", name)
		}
	}
}
