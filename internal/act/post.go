package act

import (
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// RoleGrant gives a person a role of staff. An administrator proposes it; it
// takes effect when a supervisor approves it.
type RoleGrant struct {
	Person      identity.PersonID
	Role        Role
	Institution identity.InstitutionID // for InstitutionAdmin, and only there
	From        time.Time              // zero: at once
	To          time.Time              // zero: until ended
	Proposer    identity.PersonID
}

// Kind returns KindRoleGrant.
func (*RoleGrant) Kind() Kind { return KindRoleGrant }

func (g *RoleGrant) fields(c *codec) {
	str(c, "person", &g.Person, maxID)
	str(c, "role", &g.Role, 20)
	str(c, "institution", &g.Institution, maxID)
	c.instant("from", &g.From)
	c.instant("to", &g.To)
	str(c, "proposer", &g.Proposer, maxID)
}

// checkRole wants a role with an institution exactly where one belongs.
func checkRole(k *checks, role Role, ins identity.InstitutionID) {
	k.oneOf("role", string(role), string(Administrator), string(Registrar), string(Supervisor), string(InstitutionAdmin))
	if role == InstitutionAdmin {
		k.id("institution", identity.PrefixInstitution, string(ins), false)
	} else {
		k.that(ins == "", "institution", "only for an institution's administrator")
	}
}

func (g *RoleGrant) check(k *checks) {
	k.person("person", g.Person)
	checkRole(k, g.Role, g.Institution)
	k.interval("to", g.From, g.To)
	k.person("proposer", g.Proposer)
}

func (g *RoleGrant) signers() []signer { return []signer{{person: g.Proposer}} }

// Ways to hold a post.
const (
	Titular  = "titular"
	Interino = "interino"
	Suplente = "suplente" // a substitute, always with an end
)

// Appointment gives a person a post. An administrator of the institution, or
// an administrator, proposes it; it takes effect when another administrator of
// the institution, or a supervisor, approves it.
type Appointment struct {
	Appointment identity.AppointmentID
	Institution identity.InstitutionID
	Post        identity.PostID
	Person      identity.PersonID
	Holding     string // Titular, Interino or Suplente
	// Exclusive refuses a second Titular or Interino of the post at the same time.
	Exclusive bool
	// Scopes are what the post may sign, labels in rising order; empty means what its institution's rules say.
	Scopes []string
	// LegalAct is the number of the legal act of appointment, public.
	LegalAct string
	From     time.Time // zero: at once
	To       time.Time // zero: until ended
	Proposer identity.PersonID
	Capacity Role // InstitutionAdmin or Administrator
}

// Kind returns KindAppointment.
func (*Appointment) Kind() Kind { return KindAppointment }

func (a *Appointment) fields(c *codec) {
	str(c, "appointment", &a.Appointment, maxID)
	str(c, "institution", &a.Institution, maxID)
	str(c, "post", &a.Post, maxID)
	str(c, "person", &a.Person, maxID)
	str(c, "holding", &a.Holding, 10)
	c.flag("exclusive", &a.Exclusive)
	texts(c, "scopes", &a.Scopes, maxScopes, 40)
	str(c, "legal_act", &a.LegalAct, 96)
	c.instant("from", &a.From)
	c.instant("to", &a.To)
	str(c, "proposer", &a.Proposer, maxID)
	str(c, "capacity", &a.Capacity, 20)
}

func (a *Appointment) check(k *checks) {
	k.id("appointment", identity.PrefixAppointment, string(a.Appointment), false)
	k.id("institution", identity.PrefixInstitution, string(a.Institution), false)
	k.id("post", identity.PrefixPost, string(a.Post), false)
	k.person("person", a.Person)
	k.oneOf("holding", a.Holding, Titular, Interino, Suplente)
	k.that(len(a.Scopes) <= maxScopes, "scopes", "too many")
	for _, s := range a.Scopes {
		k.label("scopes[]", s)
	}
	rising(k, "scopes", a.Scopes, func(s string) string { return s })
	k.text("legal_act", a.LegalAct, 96)
	k.interval("to", a.From, a.To)
	k.that(a.Holding != Suplente || !a.To.IsZero(), "to", "a substitute needs an end")
	k.person("proposer", a.Proposer)
	k.oneOf("capacity", string(a.Capacity), string(InstitutionAdmin), string(Administrator))
}

func (a *Appointment) signers() []signer { return []signer{{person: a.Proposer}} }

// Approval makes an act that waits for it take effect.
type Approval struct {
	Target      Hash
	TargetKind  Kind
	Approver    identity.PersonID
	Capacity    Role
	Institution identity.InstitutionID // for InstitutionAdmin, and only there
}

// Kind returns KindApproval.
func (*Approval) Kind() Kind { return KindApproval }

func (a *Approval) fields(c *codec) {
	c.hash("target", &a.Target)
	str(c, "target_kind", &a.TargetKind, 20)
	str(c, "approver", &a.Approver, maxID)
	str(c, "capacity", &a.Capacity, 20)
	str(c, "institution", &a.Institution, maxID)
}

func (a *Approval) check(k *checks) {
	k.that(!a.Target.IsZero(), "target", "zero")
	k.oneOf("target_kind", string(a.TargetKind), string(KindAmendment), string(KindEnrolment),
		string(KindRoleGrant), string(KindAppointment), string(KindLift))
	k.person("approver", a.Approver)
	checkRole(k, a.Capacity, a.Institution)
}

func (a *Approval) signers() []signer { return []signer{{person: a.Approver}} }
