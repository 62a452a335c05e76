package explore

import (
	"slices"

	m "oruro.gob.bo/suti/enrolment/internal/machine"
)

type game struct {
	t       Tables
	a       Attacker
	o       Options
	refused int // commands that no line allows
}

// everything that evidence can be.
var evidence = []m.Evidence{m.Counter, m.Word, m.Session, m.Key, m.Secret, m.Signed, m.Approved, m.Together, m.First, m.Another, m.Own, m.Measured, m.Cell, m.Witness}

// learns reports whether reading the database tells a secret.
func (g *game) learns(s Secret) bool {
	how := g.t.Stored[s]
	return g.a.Reads && (how == "clear" || how == "hash" && (s == Cells || s == TicketCode))
}

func (g *game) is(a m.Actor) bool { return slices.Contains(g.a.Capacities, a) }

// first reports whether the attacker stands with the victim at a counter at which
// nothing is proven, made or drawn up.
func (g *game) first(w World) bool {
	return g.is(m.Registrar) && w.Holds && w.Victim == m.Requested && !w.Proven && w.Own != m.KeyActive && w.Evil != m.KeyActive && w.Enrolment.State == m.Nothing
}

// brings reports whether the attacker can show evidence of a kind. A session of
// the victim's is the end of the search, so never the beginning of a move.
func (g *game) brings(w World, e m.Evidence) bool {
	switch e {
	case m.Word:
		return true
	case m.Signed:
		return len(g.a.Capacities) > 0 && !(len(g.a.Capacities) == 1 && g.is(m.Operator)) // an operator signs no acts
	case m.Secret:
		return g.learns(BrowserSecret)
	case m.First:
		return g.first(w)
	case m.Counter: // a registrar opens a recovery and claims it herself; anybody may photograph a code
		return g.recoverable(w) && (g.is(m.Registrar) || w.Fresh == m.Nothing && w.Stolen)
	case m.Cell:
		return w.Copied && w.Told
	}
	return false // Approved, Another, Own and Witness hang on a proposal, Together on a founding; the rest is the victim's or the system's
}

// capacities are those in which the attacker asks: staff, operator, or anybody
// with a browser. In the name of the holder or of the system nobody else asks;
// Founder is whoever signs a founding.
func (g *game) capacities() []m.Actor {
	return append([]m.Actor{m.Browser, m.Founder}, g.a.Capacities...)
}

// recoverable reports whether a recovery of the victim may be opened.
func (g *game) recoverable(w World) bool {
	return w.Deployment == m.Founded && w.Proven && !w.ByAct && (w.Victim == m.Live || w.Victim == m.Suspended)
}

// try plays a command of a table in every way that is open to the attacker.
func (g *game) try(w World, table *m.Machine, from m.State, do m.Command, variant string, yield func(Step, World), extra []m.Evidence, then func(*World, m.Row)) {
	for _, by := range g.capacities() {
		for _, e := range evidence {
			if !g.brings(w, e) && !slices.Contains(extra, e) {
				continue
			}
			b := m.Basis{By: by, With: e}
			row, err := table.Next(from, do, b)
			if err != nil {
				g.refused++
				continue
			}
			next := w
			then(&next, row)
			yield(Step{"attacker", table.Name, do, b, variant}, next)
		}
	}
}

// as plays what honest people do; a command that the table refuses is none.
func (g *game) as(who string, w World, table *m.Machine, from m.State, do m.Command, b m.Basis, variant string, yield func(Step, World), then func(*World, m.Row)) {
	row, err := table.Next(from, do, b)
	if err != nil {
		return
	}
	next := w
	then(&next, row)
	yield(Step{who, table.Name, do, b, variant}, next)
}

// moves yields every state one command away.
func (g *game) moves(w World, yield func(Step, World)) {
	g.attackRecord(w, yield)
	g.attackCard(w, yield)
	g.attackProposals(w, yield)
	g.vouching(w, yield)
	g.victim(w, yield)
	g.staff(w, yield)
}

func stopped(w *World, row m.Row, act bool) {
	w.Victim = row.To
	w.ByAct = w.ByAct || act
}

func lifted(w *World, row m.Row) {
	w.Victim, w.ByAct, w.Lift = row.To, false, progress{}
}

// attackRecord: person, passkeys, deployment, ticket.
func (g *game) attackRecord(w World, yield func(Step, World)) {
	if w.Victim != m.Nothing {
		g.try(w, g.t.Credential, w.Evil, m.AddKey, "", yield, nil, func(n *World, r m.Row) { n.Evil = r.To })
		g.try(w, g.t.Credential, w.Own, m.RevokeKey, "", yield, nil, func(n *World, r m.Row) { n.Own, n.OwnActs = r.To, false })
		g.try(w, g.t.Person, w.Victim, m.Stop, "", yield, nil, func(n *World, r m.Row) { stopped(n, r, true) })
		lift := m.Lift
		if !w.Proven {
			lift = m.LiftUnproven
		}
		g.try(w, g.t.Person, w.Victim, lift, "", yield, nil, lifted)
		for _, do := range []m.Command{m.ConfirmKey, m.ReplaceKey} {
			g.try(w, g.t.Credential, w.Evil, do, "", yield, nil, func(n *World, r m.Row) { n.Evil = r.To })
		}
		g.try(w, g.t.Person, w.Victim, m.Recover, "", yield, nil, func(n *World, r m.Row) { n.Victim = r.To })
		g.try(w, g.t.Person, w.Victim, m.Prove, " naming evil", yield, nil, func(n *World, r m.Row) { n.Victim, n.Proven, n.EvilActs = r.To, true, true })
	}
	var together []m.Evidence
	if g.is(m.Operator) { // the founders are the operator and the helper; whom a founding proves are its founders
		together = append(together, m.Together)
	}
	g.try(w, g.t.Deployment, w.Deployment, m.Found, "", yield, together, func(n *World, r m.Row) {
		n.Deployment, n.Refounded = r.To, w.Deployment == m.Founded
	})
	if g.is(m.Registrar) && w.Deployment == m.Founded && w.Victim == m.Requested && !w.Holds && w.Enrolment.State == m.Nothing {
		next := w
		next.Holds = true
		yield(Step{"attacker", "ticket", "take", m.Basis{By: m.Registrar, With: m.Signed}, ""}, next)
	}
}

// kinds of proposals, with how a world holds them and what they do in effect.
type kind struct {
	propose, approve m.Command
	at               func(*World) *progress
	open             func(World) bool // may be proposed
	variant          string
	waits            func(World) bool // what waits is of this kind
	set              func(*World)
	effect           func(g *game, w *World, by m.Actor) bool
}

func (g *game) kinds(w World) []kind {
	approveEnrolment := m.ApproveEnrolment
	if !w.Proven {
		approveEnrolment = m.ApproveFirst
	}
	enrol := func(g *game, w *World, by m.Actor) bool {
		row, err := g.t.Person.Next(w.Victim, m.Prove, m.Basis{By: by, With: m.Approved})
		if err != nil {
			return false
		}
		w.Victim, w.Proven, w.Holds = row.To, true, false
		w.EvilActs, w.OwnActs = w.EvilActs || w.WithEvil, w.OwnActs || w.WithOwn
		mine, withCard := w.Enrolment.Mine, w.WithCard
		w.WithEvil, w.WithOwn, w.WithCard, w.Enrolment = false, false, false, progress{}
		return !withCard || g.ordered(w, by, mine)
	}
	enrolment := func(w *World) *progress { return &w.Enrolment }
	gain := func(p func(*World) *progress) func(*game, *World, m.Actor) bool {
		return func(_ *game, w *World, _ m.Actor) bool { *p(w), w.Helper = progress{}, true; return true }
	}
	always := func(World) bool { return true }
	recovery := func(w *World) *progress { return &w.Recovery }
	role := func(w *World) *progress { return &w.RoleOf }
	post := func(w *World) *progress { return &w.PostOf }
	return []kind{
		{m.ProposeEnrolment, approveEnrolment, enrolment, func(w World) bool { return w.Victim != m.Nothing && w.Victim != m.Suspended }, " naming evil", func(w World) bool { return w.WithEvil }, func(w *World) { w.WithEvil, w.Holds = true, false }, enrol},
		{m.ProposeEnrolment, approveEnrolment, enrolment, func(w World) bool {
			return w.Victim == m.Requested && w.Holds && (w.Own == m.KeyActive || g.asks(w, m.First))
		}, " naming her own", func(w World) bool { return !w.WithEvil }, func(w *World) { w.WithOwn, w.WithCard, w.Holds = w.Own == m.KeyActive, w.Own != m.KeyActive, false }, enrol},
		{m.ProposeLift, m.ApproveLift, func(w *World) *progress { return &w.Lift }, func(w World) bool { return w.Victim == m.Suspended && w.ByAct }, "", always, func(*World) {}, func(g *game, w *World, by m.Actor) bool {
			do := m.Lift
			if !w.Proven {
				do = m.LiftUnproven
			}
			row, err := g.t.Person.Next(w.Victim, do, m.Basis{By: by, With: m.Approved})
			if err == nil {
				lifted(w, row)
			}
			return err == nil
		}},
		{m.ProposeEnrolment, m.ApproveEnrolment, recovery, func(w World) bool { return g.recoverable(w) && w.Evil == m.KeyPending }, " a recovery naming evil",
			func(w World) bool { return w.ByEvil }, func(w *World) { w.ByEvil = true }, recovered},
		{m.ProposeEnrolment, m.ApproveEnrolment, recovery, func(w World) bool { return g.is(m.Registrar) && g.recoverable(w) && g.asks(w, m.Counter) }, " a recovery with a card",
			func(w World) bool { return w.ByCard }, func(w *World) { w.ByCard = true }, recovered},
		{m.ProposeEnrolment, m.ApproveEnrolment, recovery, func(World) bool { return false }, " a recovery naming her new one", func(w World) bool { return !w.ByEvil && !w.ByCard }, func(*World) {}, recovered},
		{m.ProposeRole, m.ApproveRole, role, func(World) bool { return true }, " for the helper, a role", always, func(*World) {}, gain(role)},
		{m.ProposeAppointment, m.ApproveAppointment, post, func(World) bool { return true }, " for the helper, a post", always, func(*World) {}, gain(post)},
	}
}

// recovered replaces what the victim had by the passkey that a recovery names.
func recovered(g *game, w *World, by m.Actor) bool {
	b := m.Basis{By: by, With: m.Approved}
	person, err := g.t.Person.Next(w.Victim, m.Recover, b)
	pending := w.Fresh
	if w.ByEvil {
		pending = w.Evil
	}
	key, err2 := g.t.Credential.Next(pending, m.ConfirmKey, b)
	if w.ByCard {
		err2 = nil
	}
	if err != nil || err2 != nil || w.ByAct {
		return false
	}
	replaced := func(s m.State) m.State {
		if r, err := g.t.Credential.Next(s, m.ReplaceKey, b); err == nil {
			return r.To
		}
		return s
	}
	mine, byCard := w.Recovery.Mine, w.ByCard
	w.Victim, w.Recovery = person.To, progress{}
	switch {
	case byCard:
		w.Own, w.OwnActs, w.Evil, w.EvilActs, w.Stolen = replaced(w.Own), false, replaced(w.Evil), false, false
	case w.ByEvil:
		w.Own, w.OwnActs, w.Evil, w.EvilActs = replaced(w.Own), false, key.To, true
	default:
		w.Evil, w.EvilActs, w.Own, w.OwnActs, w.Stolen = replaced(w.Evil), false, key.To, true, false
	}
	w.Fresh, w.ByEvil, w.ByCard, w.ByVouch, w.Vouch, w.Vouched = m.Nothing, false, false, false, m.Nothing, 0
	if byCard {
		return g.ordered(w, by, mine)
	}
	row, err := g.t.Card.Next(w.Card, m.VoidCard, b)
	if err != nil {
		return false
	}
	g.voided(w, row)
	return true
}

// attackProposals: proposing, and approving in whatever capacity.
func (g *game) attackProposals(w World, yield func(Step, World)) {
	if w.Deployment != m.Founded {
		return
	}
	for _, k := range g.kinds(w) {
		at := *k.at(&w)
		if at.State == m.Nothing && k.open(w) {
			g.try(w, g.t.Proposal, m.Nothing, k.propose, k.variant, yield, []m.Evidence{m.Another}, func(n *World, r m.Row) {
				*k.at(n) = progress{r.To, true}
				k.set(n)
			})
		}
		if at.State != m.Waits || !k.waits(w) {
			continue
		}
		relation := m.Another
		if at.Mine {
			relation = m.Own
		}
		g.approvals(w, k, relation, yield)
		if at.Mine {
			next := w
			*k.at(&next) = progress{}
			switch k.at(&next) { // an act that is withdrawn takes along what it named
			case &next.Enrolment:
				next.WithEvil, next.WithOwn, next.WithCard = false, false, false
			case &next.Recovery:
				next.ByEvil, next.ByCard, next.ByVouch = false, false, false
			}
			yield(Step{"attacker", g.t.Proposal.Name, m.Withdraw, m.Basis{By: m.Holder, With: m.Own}, k.variant}, next)
		}
	}
}

// approvals plays what an approval by the attacker brings about.
func (g *game) approvals(w World, k kind, relation m.Evidence, yield func(Step, World)) {
	for _, by := range g.capacities() {
		b := m.Basis{By: by, With: relation}
		if _, err := g.t.Proposal.Next(m.Waits, k.approve, b); err != nil {
			continue
		}
		next := w
		if k.effect(g, &next, by) {
			yield(Step{"attacker", g.t.Proposal.Name, k.approve, b, k.variant}, next)
		}
	}
}

// victim is what she does: register, make a passkey, stop herself, and remove a
// passkey; she does not help the attacker.
func (g *game) victim(w World, yield func(Step, World)) {
	browser := m.Basis{By: m.Browser, With: m.Secret}
	g.as("victim", w, g.t.Person, w.Victim, m.Register, m.Basis{By: m.Browser}, "", yield, func(n *World, r m.Row) { n.Victim = r.To })
	if w.Victim == m.Requested && !w.Holds && w.Enrolment.State == m.Nothing {
		g.as("victim", w, g.t.Credential, w.Own, m.AddKey, browser, "", yield, func(n *World, r m.Row) { n.Own = r.To })
	}
	if w.Own == m.KeyActive && !w.Stolen || w.Card == m.CardLive {
		g.as("victim", w, g.t.Person, w.Victim, m.Stop, m.Basis{By: m.Holder, With: m.Session}, "", yield, func(n *World, r m.Row) { stopped(n, r, false) })
	}
}

// staff is what honest colleagues do, each step by another of them: they enrol
// the victim with the passkey or the card that she holds, stop her, take a stolen
// passkey away, and lift a stop when no stolen passkey is left.
func (g *game) staff(w World, yield func(Step, World)) {
	if w.Deployment != m.Founded || w.Victim == m.Nothing {
		return
	}
	signed := m.Basis{By: m.Supervisor, With: m.Signed}
	g.as("staff", w, g.t.Person, w.Victim, m.Stop, signed, "", yield, func(n *World, r m.Row) { stopped(n, r, true) })
	g.as("staff", w, g.t.Credential, w.Own, m.RevokeKey, signed, "", yield, func(n *World, r m.Row) { n.Own, n.OwnActs, n.Stolen = r.To, false, false })
	ready := w.Own == m.KeyActive && !w.Stolen || w.Own != m.KeyActive && w.Evil != m.KeyActive && g.asks(w, m.First)
	if w.Victim == m.Requested && !w.Holds && ready && w.Enrolment.State == m.Nothing {
		g.as("staff", w, g.t.Proposal, m.Nothing, m.ProposeEnrolment, m.Basis{By: m.Registrar, With: m.Another}, "", yield, func(n *World, r m.Row) {
			n.Enrolment, n.WithOwn, n.WithCard = progress{r.To, false}, w.Own == m.KeyActive, w.Own != m.KeyActive
		})
	}
	g.staffCard(w, yield)
	if w.Victim == m.Suspended && w.ByAct && !w.Stolen && w.Lift.State == m.Nothing {
		g.as("staff", w, g.t.Proposal, m.Nothing, m.ProposeLift, m.Basis{By: m.Registrar, With: m.Another}, "", yield, func(n *World, r m.Row) { n.Lift = progress{r.To, false} })
	}
	if g.recoverable(w) && w.Recovery.State == m.Nothing {
		if g.asks(w, m.Counter) {
			g.as("staff", w, g.t.Proposal, m.Nothing, m.ProposeEnrolment, m.Basis{By: m.Registrar, With: m.Another}, " a recovery with a card", yield, func(n *World, r m.Row) { n.Recovery, n.ByCard = progress{r.To, false}, true })
		}
		if w.Fresh == m.Nothing {
			g.as("victim", w, g.t.Credential, w.Fresh, m.AddKey, m.Basis{By: m.Browser, With: m.Counter}, " at the counter", yield, func(n *World, r m.Row) { n.Fresh = r.To })
		} else {
			g.as("staff", w, g.t.Proposal, m.Nothing, m.ProposeEnrolment, m.Basis{By: m.Registrar, With: m.Another}, " a recovery naming her new one", yield, func(n *World, r m.Row) { n.Recovery = progress{r.To, false} })
		}
	}
	for _, k := range g.kinds(w) {
		at := *k.at(&w)
		honest := k.variant == " a recovery naming her new one" && !w.ByEvil || k.variant == " a recovery with a card" || k.variant == " a recovery naming evil" && w.ByVouch || !w.WithEvil && (w.WithCard || w.WithOwn) && k.propose == m.ProposeEnrolment && k.variant == " naming her own" || k.propose == m.ProposeLift && !w.Stolen
		if at.State != m.Waits || !honest || !k.waits(w) {
			continue
		}
		b := m.Basis{By: m.Supervisor, With: m.Another}
		if _, err := g.t.Proposal.Next(m.Waits, k.approve, b); err != nil {
			continue
		}
		next := w
		if k.effect(g, &next, m.Supervisor) {
			yield(Step{"staff", g.t.Proposal.Name, k.approve, b, k.variant}, next)
		}
	}
}
