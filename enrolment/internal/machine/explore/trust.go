package explore

import (
	m "oruro.gob.bo/suti/enrolment/internal/machine"
)

// vouching plays a recovery without a document: somebody at the counter who says
// that she is the victim, with accomplices among her people of trust. Honest staff
// takes her for the victim as soon as the table lets them: they see no document.
func (g *game) vouching(w World, yield func(Step, World)) {
	if g.a.Accomplices == 0 || !g.recoverable(w) {
		return
	}
	if w.Vouch == m.Nothing {
		who := "staff"
		if g.is(m.Registrar) {
			who = "attacker"
		}
		g.as(who, w, g.t.Vouching, w.Vouch, m.OpenVouching, m.Basis{By: m.Registrar, With: m.Another}, " for an impostor", yield, func(n *World, r m.Row) { n.Vouch = r.To })
		return
	}
	if w.Vouched < g.a.Accomplices {
		g.as("attacker", w, g.t.Vouching, w.Vouch, m.VouchFor, m.Basis{By: m.Contact, With: m.Settled}, " by an accomplice", yield, func(n *World, r m.Row) {
			n.Vouch, n.Vouched = r.To, w.Vouched+1
		})
	}
	// Every contact of hers is told, and she objects within the time of waiting.
	g.as("victim", w, g.t.Vouching, w.Vouch, m.CancelRecover, m.Basis{By: m.Holder, With: m.Session}, "", yield, func(n *World, r m.Row) { n.Vouch, n.Vouched = r.To, 0 })
	if g.o.Unreachable {
		g.as("system", w, g.t.Vouching, w.Vouch, m.Ripen, m.Basis{By: m.System, With: m.Waited}, "", yield, func(n *World, r m.Row) { n.Vouch = r.To })
	}
	g.try(w, g.t.Vouching, w.Vouch, m.Ripen, " at once", yield, []m.Evidence{m.Another, m.Own}, func(n *World, r m.Row) { n.Vouch = r.To })
	if w.Evil == m.Nothing || w.Evil == m.KeyRevoked {
		g.as("attacker", w, g.t.Credential, m.Nothing, m.AddKey, m.Basis{By: m.Browser, With: m.Counter}, " by the impostor", yield, func(n *World, r m.Row) { n.Evil = r.To })
	}
	if w.Vouch == m.VouchRipe && w.Evil == m.KeyPending && w.Recovery.State == m.Nothing {
		g.as("staff", w, g.t.Proposal, m.Nothing, m.ProposeEnrolment, m.Basis{By: m.Registrar, With: m.Another}, " a recovery of the impostor", yield, func(n *World, r m.Row) {
			n.Recovery, n.ByEvil, n.ByVouch = progress{r.To, false}, true, true
		})
	}
}
