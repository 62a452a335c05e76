package explore

import (
	m "oruro.gob.bo/suti/enrolment/internal/machine"
)

// asks reports whether a registrar may have a password typed now.
func (g *game) asks(w World, with m.Evidence) bool {
	_, err := g.t.Card.Next(w.Card, m.AskCard, m.Basis{By: m.Registrar, With: with})
	return err == nil
}

// voided forgets what was known of the card before.
func (g *game) voided(w *World, row m.Row) {
	w.Card = row.To
	if row.Has(m.CardVoided) {
		w.Printed, w.Copied, w.Broken = false, false, false
	}
}

// ordered makes an order of the card of an act that is approved; the password was
// typed before who proposed it.
func (g *game) ordered(w *World, by m.Actor, mine bool) bool {
	row, err := g.t.Card.Next(w.Card, m.OrderCard, m.Basis{By: by, With: m.Approved})
	if err != nil {
		return false
	}
	g.voided(w, row)
	w.Told, w.Ordered = mine, mine
	return true
}

// attackCard: she prints a sheet and copies it, opens a closed one on its way,
// says that she saw one opened, and looks on where a password is typed.
func (g *game) attackCard(w World, yield func(Step, World)) {
	if w.Victim == m.Nothing {
		return
	}
	relation := m.Another
	if w.Ordered {
		relation = m.Own
	}
	g.try(w, g.t.Card, w.Card, m.PrintCard, "", yield, []m.Evidence{relation}, func(n *World, r m.Row) {
		g.voided(n, r)
		n.Printed, n.Copied = true, true
	})
	if staff := len(g.a.Capacities) > 0 && !g.is(m.Operator); staff && w.Card == m.CardPrinted && !w.Copied {
		next := w
		next.Copied, next.Broken = true, true
		yield(Step{Who: "attacker", Table: "sheet", Do: "open on its way"}, next)
	}
	saw := []m.Evidence{relation}
	if w.Printed { // that she saw it opened she may say untruly
		saw = append(saw, m.Witness)
	}
	g.try(w, g.t.Card, w.Card, m.OpenCard, "", yield, saw, func(n *World, r m.Row) { n.Card = r.To })
	g.try(w, g.t.Card, w.Card, m.RefuseCard, "", yield, []m.Evidence{relation}, func(n *World, r m.Row) { g.voided(n, r) })
	for _, do := range []m.Command{m.SetPassword, m.VoidCard, m.OrderCard} {
		g.try(w, g.t.Card, w.Card, do, "", yield, nil, func(n *World, r m.Row) {
			g.voided(n, r)
			n.Told = n.Told || do != m.VoidCard
		})
	}
	g.lookOn(w, yield)
	if g.learns(Cells) && w.Card != m.Nothing && !w.Copied {
		next := w
		next.Copied = true
		yield(Step{Who: "attacker", Table: "database", Do: "read cells"}, next)
	}
	if g.learns(Password) && w.Card != m.Nothing && !w.Told {
		next := w
		next.Told = true
		yield(Step{Who: "attacker", Table: "database", Do: "read password"}, next)
	}
}

// lookOn: the person enters at the attacker's desk, who sees the password and one
// cell, used up. At the desk that printed her sheet she does not type it, and the
// sheet she shows nowhere, unless she is careless.
func (g *game) lookOn(w World, yield func(Step, World)) {
	if len(g.a.Capacities) == 0 || g.is(m.Operator) || w.Card != m.CardLive {
		return
	}
	if !w.Told && (!w.Printed || g.o.Careless) {
		next := w
		next.Told = true
		yield(Step{Who: "victim", Table: "card", Do: m.EnterByCard, Variant: " at the attacker's desk"}, next)
	}
	if g.o.Careless && !w.Copied {
		next := w
		next.Copied = true
		yield(Step{Who: "victim", Table: "card", Do: "show", Variant: " the sheet"}, next)
	}
}

// staffCard is what honest colleagues do with a card: one who did not order it
// prints it, closes it, and sees the person open it, or refuses one that is open.
func (g *game) staffCard(w World, yield func(Step, World)) {
	another := m.Basis{By: m.Supervisor, With: m.Another}
	if w.Card == m.CardOrdered {
		g.as("staff", w, g.t.Card, w.Card, m.PrintCard, another, "", yield, func(n *World, r m.Row) { g.voided(n, r) })
	}
	if w.Broken {
		g.as("staff", w, g.t.Card, w.Card, m.RefuseCard, another, "", yield, func(n *World, r m.Row) { g.voided(n, r) })
	}
	if !w.Printed && (!w.Broken || g.o.Unnoticed) { // by the colleague who printed it
		g.as("staff", w, g.t.Card, w.Card, m.OpenCard, m.Basis{By: m.Supervisor, With: m.Witness}, "", yield, func(n *World, r m.Row) { n.Card = r.To })
	}
}
