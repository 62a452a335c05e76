package machine

// Nothing is the state before the first command.
const Nothing State = ""

// States of a person's record.
const (
	Requested State = "solicitada" // on her word
	Live      State = "activa"
	Suspended State = "suspendida"
	Closed    State = "cerrada" // no command leads there yet, none leads away
)

// Commands on a person's record.
const (
	Register Command = "register"
	Correct  Command = "correct"
	Prove    Command = "prove" // the level is raised by the act that proves it
	Stop     Command = "stop"
	Lift     Command = "lift"
	// Recover brings back whoever lost her passkeys, or stopped herself, with a new one.
	Recover Command = "recover"
	// LiftUnproven is Lift where nothing had been proven yet.
	LiftUnproven Command = "lift-unproven"
)

// Person is the table of a person's record.
var Person = table("person",
	each(states(Nothing), Register, actors(Browser), Word, Requested),
	each(states(Requested), Correct, actors(Browser), Secret, Requested),
	each(states(Requested, Live), Prove, actors(Supervisor, Registrar), Approved, Live, LevelSet),
	each(states(Requested, Live), Prove, actors(Founder), Together, Live, LevelSet),
	each(states(Requested, Live), Stop, actors(Holder), Session, Suspended, EpochMoves),
	each(states(Requested, Live), Stop, actors(Operator), Word, Suspended, EpochMoves),
	each(states(Requested, Live), Stop, actors(Supervisor, Administrator, Registrar, Holder), Signed, Suspended, EpochMoves),
	each(states(Suspended), Stop, actors(Supervisor, Administrator, Registrar), Signed, Suspended, EpochMoves), // the act that records a stop
	each(states(Suspended), Lift, actors(Supervisor, Administrator), Approved, Live, EpochMoves),
	each(states(Live, Suspended), Recover, actors(Supervisor), Approved, Live, LevelSet, EpochMoves),
	each(states(Suspended), LiftUnproven, actors(Supervisor, Administrator), Approved, Requested, EpochMoves),
)

// States of a passkey.
const (
	KeyPending   State = "pending" // made at a counter, its act not approved yet
	KeyActive    State = "active"
	KeySuspect   State = "suspect"
	KeySuspended State = "suspended"
	KeyRevoked   State = "revoked"
)

// Commands on a passkey.
const (
	AddKey      Command = "add"
	UseKey      Command = "use"
	SuspectKey  Command = "suspect"
	SuspendKey  Command = "suspend"
	RevokeKey   Command = "revoke"
	SignPending Command = "sign-pending" // the act that names it, and nothing else
	ConfirmKey  Command = "confirm"
	ReplaceKey  Command = "replace"
)

// Credential is the table of a passkey.
var Credential = table("credential",
	each(states(Nothing), AddKey, actors(Browser), Secret, KeyActive), // the one of the registration
	each(states(Nothing), AddKey, actors(Holder), Key, KeyActive),
	each(states(Nothing), AddKey, actors(Browser), Counter, KeyPending),
	each(states(KeyPending), SignPending, actors(Holder), Key, KeyPending),
	each(states(KeyPending), ConfirmKey, actors(Supervisor), Approved, KeyActive),
	each(states(KeyPending, KeyActive, KeySuspect, KeySuspended), ReplaceKey, actors(Supervisor), Approved, KeyRevoked),
	each(states(KeyActive), UseKey, actors(Holder), Key, KeyActive),
	each(states(KeyActive), SuspectKey, actors(System), Measured, KeySuspect),
	each(states(KeyActive), SuspendKey, actors(System), Measured, KeySuspended),
	each(states(KeyActive, KeySuspect, KeySuspended), RevokeKey, actors(Holder), Key, KeyRevoked), // that no act names
	each(states(KeyActive, KeySuspect, KeySuspended), RevokeKey, actors(Holder, Registrar, Supervisor, Administrator), Signed, KeyRevoked, EpochMoves),
)

// States of password and code sheet. Whoever sees the password never sees the
// sheet: see design note 0024.
const (
	CardOrdered State = "ordered" // approved; the password is taken, the sheet is not printed yet
	CardPrinted State = "printed" // closed, on its way to the person; nobody enters with it
	CardLive    State = "live"
)

// Commands on the code sheet and its password.
const (
	AskCard     Command = "ask" // the password is typed at the counter, for the act that is drawn up next
	OrderCard   Command = "order"
	PrintCard   Command = "print"
	OpenCard    Command = "open"
	RefuseCard  Command = "refuse" // the sheet came open, or never
	VoidCard    Command = "void"
	SetPassword Command = "password"
	EnterByCard Command = "enter"
)

// Card is the table of password and code sheet. Another is whoever did not order
// it and is not the person: who orders it may have seen the password.
var Card = table("card",
	each(states(Nothing), AskCard, actors(Registrar), First, stays),
	each(states(Nothing, CardOrdered, CardPrinted, CardLive), AskCard, actors(Registrar), Counter, stays),
	each(states(Nothing, CardOrdered, CardPrinted, CardLive), OrderCard, actors(Supervisor, Registrar), Approved, CardOrdered, CardVoided),
	each(states(CardOrdered, CardPrinted), PrintCard, actors(Registrar, Supervisor), Another, CardPrinted, CardVoided),
	each(states(CardPrinted), OpenCard, actors(Registrar, Supervisor), Witness, CardLive),
	each(states(CardPrinted), RefuseCard, actors(Registrar, Supervisor), Another, CardOrdered, CardVoided),
	each(states(Nothing, CardOrdered, CardPrinted, CardLive), VoidCard, actors(Supervisor), Approved, Nothing, CardVoided),
	each(states(CardLive), EnterByCard, actors(Holder), Cell, CardLive),
	each(states(Nothing, CardLive), SetPassword, actors(Demo), Word, stays),
	each(states(Nothing), PrintCard, actors(Demo), Word, CardLive),
	each(states(CardLive), PrintCard, actors(Demo), Word, CardLive, CardVoided),
)

// States of a trust: that somebody may say of a person that she is herself.
const (
	TrustProposed State = "propuesta"
	TrustAccepted State = "aceptada"
	TrustEnded    State = "terminada"
)

// Commands on a trust.
const (
	NameTrusted   Command = "name"
	AcceptTrusted Command = "accept"
	EndTrusted    Command = "end-trust"
)

// Trust is the table of a trust. Either side ends it, at once.
var Trust = table("trust",
	each(states(Nothing), NameTrusted, actors(Holder), Key, TrustProposed),
	each(states(TrustProposed), AcceptTrusted, actors(Contact), Key, TrustAccepted),
	each(states(TrustProposed, TrustAccepted), EndTrusted, actors(Holder, Contact), Session, TrustEnded),
)

// States of a recovery without a document.
const (
	VouchOpen State = "abierta"
	VouchOne  State = "una"
	VouchTwo  State = "dos" // enough; the time of waiting runs
	VouchRipe State = "madura"
)

// Commands on such a recovery. What it leads to is proposed and approved like
// every recovery; it is proposed when it is ripe.
const (
	OpenVouching  Command = "open-vouching"
	VouchFor      Command = "vouch"
	Ripen         Command = "ripen"
	CancelRecover Command = "cancel"
)

// Vouching is the table of a recovery without a document. Nobody who vouches is
// of those who open, propose or approve it.
var Vouching = table("vouching",
	each(states(Nothing), OpenVouching, actors(Registrar), Another, VouchOpen),
	each(states(VouchOpen), VouchFor, actors(Contact), Settled, VouchOne),
	each(states(VouchOne), VouchFor, actors(Contact), Settled, VouchTwo),
	each(states(VouchTwo), Ripen, actors(System), Waited, VouchRipe),
	each(states(VouchOpen, VouchOne, VouchTwo, VouchRipe), CancelRecover, actors(Holder), Session, Nothing),
)

// States of an appointment.
const (
	PostProposed State = "propuesto"
	PostHeld     State = "vigente"
	PostEnded    State = "cesado"
)

// Commands on an appointment.
const (
	ProposePost Command = "propose"
	ApprovePost Command = "approve"
	EndPost     Command = "end"
)

// Post is the table of an appointment. That its term is up is read from its
// dates and needs no command.
var Post = table("post",
	each(states(Nothing), ProposePost, actors(InstitutionAdmin, Administrator), Signed, PostProposed),
	each(states(PostProposed), ApprovePost, actors(Supervisor, InstitutionAdmin), Approved, PostHeld),
	each(states(PostHeld), EndPost, actors(InstitutionAdmin, Administrator, Supervisor, Holder), Signed, PostEnded, EpochMoves),
)

// States of a proposal: an act that is signed and needs an approval.
const (
	Waits     State = "espera"
	InEffect  State = "en-efecto"
	Rejected  State = "rechazado"
	Withdrawn State = "retirado"
)

// Commands on proposals. What is approved is rejected by the same people.
const (
	ProposeEnrolment   Command = "propose-enrolment"
	ProposeRole        Command = "propose-role"
	ProposeAppointment Command = "propose-appointment"
	ProposeLift        Command = "propose-lift"
	ApproveFirst       Command = "approve-first-enrolment" // of a person, up to N2
	ApproveEnrolment   Command = "approve-enrolment"       // N3, or a later one
	ApproveRole        Command = "approve-role"
	ApproveAppointment Command = "approve-appointment"
	ApproveLift        Command = "approve-lift"
	ApproveOther       Command = "approve-other"
	Withdraw           Command = "withdraw"
)

// Proposal is the table of proposals. Another is on every line of an approval:
// neither the proposer nor the person concerned.
var Proposal = table("proposal",
	each(states(Nothing), ProposeEnrolment, actors(Registrar), Another, Waits),
	each(states(Nothing), ProposeRole, actors(Administrator), Another, Waits),
	each(states(Nothing), ProposeAppointment, actors(InstitutionAdmin, Administrator), Another, Waits),
	each(states(Nothing), ProposeLift, actors(Supervisor, Administrator, Registrar), Another, Waits),
	each(states(Waits), ApproveFirst, actors(Supervisor, Registrar), Another, InEffect),
	each(states(Waits), ApproveEnrolment, actors(Supervisor), Another, InEffect),
	each(states(Waits), ApproveRole, actors(Supervisor), Another, InEffect),
	each(states(Waits), ApproveAppointment, actors(Supervisor, InstitutionAdmin), Another, InEffect),
	each(states(Waits), ApproveLift, actors(Supervisor, Administrator), Another, InEffect),
	each(states(Waits), ApproveOther, actors(Supervisor), Another, InEffect),
	each(states(Waits), Withdraw, actors(Holder), Own, Withdrawn),
)

// Commands that take a role away, and the states of one.
const (
	RoleHeld  State   = "held"
	RoleEnded State   = "ended"
	EndRole   Command = "end-role"
)

// Role is the table of a role of staff.
var Role = table("role",
	each(states(RoleHeld), EndRole, actors(Administrator, Supervisor, Holder), Signed, RoleEnded, EpochMoves),
)

// Founded is the state of a deployment that has its founding act.
const (
	Founded State   = "fundada"
	Found   Command = "found"
)

// Deployment is the table of the deployment: it is founded once.
var Deployment = table("deployment",
	each(states(Nothing), Found, actors(Founder), Together, Founded),
)
