package enrolment_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/machine/explore"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// stage plays the steps of the search for takeovers on the real services.
type stage struct {
	*harness
	attacker, helper *member
	roles            []machine.Actor
	post             identity.PostID

	victim    *member
	ticket    enrolment.Ticket
	secret    []byte
	proposals map[machine.Command]enrolment.Draft // that wait, by the command that made them
	sheet     account.Sheet                       // that was printed last
}

// recovery is the key of a recovery among the proposals.
const recovery machine.Command = "recovery"

// supported leaves out what has no service: an act that names a passkey which is
// on nobody's record, recovery with a new passkey (TestRecoveryAtTheCounter plays it), the end of a passkey by staff.
func supported(s explore.Step, _ explore.World) bool {
	return !strings.Contains(s.Variant, "evil") && !strings.Contains(s.Variant, "her new one") && s.Basis.With != machine.Counter && s.Do != machine.RevokeKey && s.Table != "deployment" && s.Table != "database" && s.Basis.By != machine.Operator
}

// play does one step, or returns why the services refuse it.
func (g *stage) play(s explore.Step) error {
	staff := g.supervisor
	proposer := g.registrar
	if s.Who == "attacker" {
		staff, proposer = g.attacker, g.attacker
	}
	switch s.Do {
	case machine.Register:
		in := g.registration()
		g.secret = secretOf(g.people)
		t, err := g.svc.Register(g.ctx(), in, g.secret)
		g.ticket, g.victim = t, &member{id: t.Person, doc: in.Document, auth: softauthn.New(softauthn.Config{})}
		return err
	case machine.AddKey:
		c, err := g.svc.BeginKey(g.ctx(), g.secret)
		if err != nil {
			return err
		}
		answer, err := g.victim.auth.Create(g.origin, c.Options)
		if err == nil {
			_, err = g.svc.FinishKey(g.ctx(), g.secret, c.ID, answer, "Mi celular")
		}
		return err
	case machine.Stop:
		if s.Who == "victim" {
			return g.svc.Stop(g.ctx(), g.victim.id)
		}
		d, err := g.svc.Suspend(g.ctx(), staff.id, g.victim.id, "sospecha")
		return g.signed(d, err, staff)
	case "take":
		_, err := g.svc.OpenTicket(g.ctx(), g.attacker.id, g.ticket.Code)
		return err
	case machine.PrintCard:
		sheet, err := g.svc.PrintSheet(g.ctx(), staff.id, g.victim.id)
		if err == nil {
			g.sheet = sheet
		}
		return err
	case machine.OpenCard:
		return g.svc.OpenSheet(g.ctx(), staff.id, g.victim.id, g.sheet.Word)
	case machine.RefuseCard:
		return g.svc.RefuseSheet(g.ctx(), staff.id, g.victim.id)
	case "open on its way", machine.EnterByCard:
		return nil // on paper, and before her eyes
	case machine.Withdraw:
		key := keyOf(s)
		if d, ok := g.proposals[key]; ok && d.Author == g.attacker.id {
			delete(g.proposals, key)
			return g.svc.Withdraw(g.ctx(), g.attacker.id, d.ID)
		}
		return fmt.Errorf("nothing to withdraw: %s", s)
	}
	if made := keyOf(s); strings.HasPrefix(string(s.Do), "approve") {
		d := g.proposals[made]
		a, err := g.svc.Approve(g.ctx(), staff.id, d.ID)
		if err = g.signed(a, err, staff); err == nil {
			delete(g.proposals, made)
		}
		return err
	}
	d, err := g.propose(s, proposer)
	if err == nil {
		g.proposals[keyOf(s)] = d
	}
	return err
}

// keyOf is where the proposals keep what a step is about.
func keyOf(s explore.Step) machine.Command {
	switch {
	case strings.Contains(s.Variant, "recovery"):
		return recovery
	case s.Do == machine.Withdraw && strings.Contains(s.Variant, "own"):
		return machine.ProposeEnrolment
	case s.Do == machine.Withdraw && strings.Contains(s.Variant, "role"):
		return machine.ProposeRole
	case s.Do == machine.Withdraw && strings.Contains(s.Variant, "post"):
		return machine.ProposeAppointment
	case s.Do == machine.Withdraw:
		return machine.ProposeLift
	}
	return cmp.Or(approves[s.Do], s.Do)
}

var approves = map[machine.Command]machine.Command{
	machine.ApproveFirst: machine.ProposeEnrolment, machine.ApproveEnrolment: machine.ProposeEnrolment, machine.ApproveLift: machine.ProposeLift,
	machine.ApproveRole: machine.ProposeRole, machine.ApproveAppointment: machine.ProposeAppointment,
}

// propose drafts and signs what a step proposes.
func (g *stage) propose(s explore.Step, by *member) (d enrolment.Draft, err error) {
	signers := []*member{by}
	switch s.Do {
	case machine.ProposeEnrolment:
		if s.Who == "staff" && keyOf(s) != recovery {
			if _, err := g.svc.OpenTicket(g.ctx(), by.id, g.ticket.Code); err != nil {
				return d, err
			}
		}
		ticket := g.ticket
		if keyOf(s) == recovery {
			if ticket, err = g.svc.OpenRecovery(g.ctx(), by.id, g.victim.id); err != nil {
				return d, err
			}
		}
		if len(g.victim.auth.Credentials()) == 0 || ticket.Recovery {
			if err := g.svc.AskCard(g.ctx(), by.id, ticket.ID, "clave-de-prueba"); err != nil {
				return d, err
			}
		}
		d, err = g.svc.Verify(g.ctx(), by.id, enrolment.Verification{Ticket: ticket.ID, Confirmed: enrolment.Fields()})
		if len(d.Needs) > 1 {
			signers = append(signers, g.victim)
		}
	case machine.ProposeLift:
		c, cerr := g.svc.Case(g.ctx(), by.id, g.victim.id)
		if cerr != nil || c.Suspension == nil {
			return d, errors.Join(cerr, errors.New("no act to lift"))
		}
		d, err = g.svc.Lift(g.ctx(), by.id, c.Suspension.ID, "aclarado")
	case machine.ProposeRole:
		d, err = g.svc.Grant(g.ctx(), by.id, enrolment.GrantRequest{Person: g.helper.id, Role: act.Registrar})
	case machine.ProposeAppointment:
		d, err = g.svc.Appoint(g.ctx(), by.id, enrolment.AppointmentRequest{Person: g.helper.id, Post: g.post, Kind: identity.Titular, LegalAct: "RAD 1/2026"})
	default:
		return d, fmt.Errorf("no service for %s", s)
	}
	return d, g.signed(d, err, signers...)
}

func (g *stage) signed(d enrolment.Draft, err error, by ...*member) error {
	for _, m := range by {
		if err == nil {
			_, err = g.sign(d, m)
		}
	}
	return err
}

// compare holds the real state against the world of the search.
func (g *stage) compare(w explore.World) error {
	standing, err := g.accounts.Standing(g.ctx(), g.victim.id)
	if err != nil {
		return err
	}
	have, err := g.keys.Credentials(g.ctx(), g.victim.id)
	if err != nil {
		return err
	}
	chain, err := g.svc.Chain(g.ctx())
	if err != nil {
		return err
	}
	_, byAct := chain.Suspension(g.victim.id, g.clock.Now())
	card := machine.Nothing
	if err := g.d.Read(g.ctx(), func(tx *db.Tx) error {
		live, err := account.HasCard(tx, g.victim.id)
		o, none := account.OrderOf(tx, g.victim.id)
		switch {
		case live:
			card = machine.CardLive
		case none == nil && o.Number != "":
			card = machine.CardPrinted
		case none == nil:
			card = machine.CardOrdered
		}
		return err
	}); err != nil {
		return err
	}
	var waiting [5]bool
	for i, do := range []machine.Command{machine.ProposeEnrolment, machine.ProposeLift, machine.ProposeRole, machine.ProposeAppointment, recovery} {
		d, ok := g.proposals[do]
		waiting[i] = ok && slices.ContainsFunc(chain.Waiting(), func(r *act.Refusal) bool { return r.ID == d.ID })
	}
	own := slices.ContainsFunc(have, func(c passkey.Credential) bool { return c.State == passkey.Active })
	got := fmt.Sprint(standing.State, standing.Level > 0, byAct, own, card, waiting)
	want := fmt.Sprint(w.Victim, w.Proven, w.ByAct, w.Own == machine.KeyActive, w.Card, w.Waiting())
	if got != want {
		return fmt.Errorf("the services are at %s, the search is at %s", got, want)
	}
	if len(have) > 0 {
		_, err := chain.Key(act.Hash(sha256.Sum256(have[0].PublicKey)), g.victim.id, identity.N0, g.clock.Now())
		// A stop that is no act is known to the registry, and not to the chain.
		if signs := err == nil; signs != (w.OwnActs && !w.ByAct) {
			return fmt.Errorf("her passkey signs: %v, the search says %v", signs, w.OwnActs)
		}
	}
	return nil
}

// refuses tries what the tables forbid in a world.
func (g *stage) refuses(a explore.Attacker, w explore.World) error {
	for do, d := range g.proposals {
		if d.Author != g.attacker.id {
			continue
		}
		if _, err := g.svc.Approve(g.ctx(), g.attacker.id, d.ID); err == nil {
			return fmt.Errorf("%s is approved by its proposer", do)
		}
	}
	if !w.First(a) {
		if err := g.svc.AskCard(g.ctx(), g.attacker.id, g.ticket.ID, "clave-de-prueba"); err == nil {
			return errors.New("a password is taken later than at the first visit")
		}
	}
	if w.Ordered {
		if _, err := g.svc.PrintSheet(g.ctx(), g.attacker.id, g.victim.id); err == nil {
			return errors.New("the card is printed by who saw the password")
		}
	}
	if w.Card == machine.CardPrinted && !w.Printed {
		if err := g.svc.OpenSheet(g.ctx(), g.attacker.id, g.victim.id, g.sheet.Word); err == nil {
			return errors.New("the card is opened before somebody who did not print it")
		}
	}
	if _, err := g.svc.BeginSign(g.ctx(), "act_x", g.victim.id, bind); err == nil {
		return errors.New("a draft that is not there is signed")
	}
	for _, by := range g.roles {
		b := machine.Basis{By: by, With: machine.Signed}
		if err := g.d.Write(g.ctx(), func(tx *db.Tx) error { return account.ReactivateIn(tx, b, g.victim.id, "x", g.clock.Now()) }); err == nil {
			return errors.New("a stop is lifted by one signature")
		}
		if err := g.d.Write(g.ctx(), func(tx *db.Tx) error { return account.Raise(tx, b, g.victim.id, identity.N2, g.clock.Now()) }); err == nil {
			return errors.New("a level is raised by one signature")
		}
		if _, err := g.keys.FinishRegistration(g.ctx(), b, "cer_x", passkey.Enrol, bind, nil, ""); !errors.Is(err, passkey.ErrRefused) {
			return fmt.Errorf("a passkey added by staff: %v", err)
		}
	}
	return nil
}

// TestServicesFollowTheSearch replays sampled sequences of the exhaustive search
// on the real services: what the tables allow succeeds and leads to the same
// state, what they forbid is refused.
func TestServicesFollowTheSearch(t *testing.T) {
	t.Parallel()
	const walks, length = 20, 14
	for _, a := range explore.Attackers() {
		if len(a.Capacities) == 0 || a.Capacities[0] == machine.Operator {
			continue
		}
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
			h.found()
			ins, post, _ := h.office()
			g := &stage{harness: h, attacker: h.enrol(identity.N2), helper: h.enrol(identity.N2), roles: a.Capacities, post: post.ID}
			for _, r := range a.Capacities {
				of := identity.InstitutionID("")
				if r == machine.InstitutionAdmin {
					of = ins.ID
				}
				h.grant(g.attacker, act.Role(r), of)
			}
			random := rand.New(rand.NewPCG(1, uint64(len(a.Name))))
			steps := map[machine.Command]int{}
			for range walks {
				g.proposals, g.victim = map[machine.Command]enrolment.Draft{}, nil
				var told []string
				err := explore.Walk(explore.Real(), a, explore.World{Deployment: machine.Founded}, length, func(s explore.Step, w explore.World) bool {
					return supported(s, w) && (g.victim != nil || s.Do == machine.Register) // somebody to play with
				}, random.IntN, func(s explore.Step, w explore.World) error {
					told = append(told, s.String())
					steps[s.Do]++
					if err := g.play(s); err != nil {
						return err
					}
					return errors.Join(g.compare(w), g.refuses(a, w))
				})
				if err != nil {
					t.Fatalf("%v\n\t%s", err, strings.Join(told, "\n\t"))
				}
			}
			t.Logf("steps played: %v", steps)
			g.secretsAtRest()
			for n, err := 1, error(nil); n > 0; {
				if n, err = h.worker.Step(h.ctx()); err != nil {
					t.Fatal(err)
				}
			}
			h.check()
		})
	}
}

// secretsAtRest holds what explore.Tables.Stored says against real rows.
func (g *stage) secretsAtRest() {
	var code, sealed, browser []byte
	if err := g.d.QueryRow(g.ctx(), `SELECT code, code_sealed, browser FROM enrolment_ticket WHERE id = $1`, g.ticket.ID).Scan(&code, &sealed, &browser); err != nil {
		g.t.Fatal(err)
	}
	plain := sha256.Sum256([]byte(g.ticket.Code))
	if bytes.Contains(sealed, []byte(g.ticket.Code)) || bytes.Equal(code, plain[:]) || bytes.Contains(code, []byte(g.ticket.Code)) {
		g.t.Error("the ticket's code can be read, or guessed, from its row")
	}
	if hashed := sha256.Sum256(g.secret); bytes.Contains(browser, g.secret) || !bytes.Equal(browser, hashed[:]) {
		g.t.Error("the browser's secret is not stored as its hash")
	}
	var clear int64
	if err := g.d.QueryRow(g.ctx(), `SELECT count(*) FROM enrolment_password WHERE hash NOT LIKE '$argon2id$%'`).Scan(&clear); err != nil || clear > 0 {
		g.t.Errorf("%d passwords not hashed, %v", clear, err)
	}
}
