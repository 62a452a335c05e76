// Package enrolment brings people into Suti and says who may do what for the
// State: it founds a deployment, proves identities at the counter, appoints
// members of staff and officials, and takes all of that back.
//
// Whatever gives or takes authority is a signed act (internal/act). It begins
// as a [Draft]: a statement whose hash the passkeys of its signers sign, each
// in a ceremony of its own ([Service.BeginSign], [Service.FinishSign]). When the
// last signature is there, the act is judged by the chain of all earlier acts,
// stored with its effects, its audit entry and its notice to the signing core in
// one transaction, or refused with a reason of package act.
//
// Invariants:
//   - the first act is the founding ([Service.BeginGenesis]); it happens once
//     and is signed by every founder's passkey; no other path makes staff
//     without a second person's approval;
//   - a person's level rises only by an approved enrolment act;
//   - a ticket leads to at most one enrolment, one registrar has it in hand at a
//     time, and never the person it is about;
//   - what was rejected or withdrawn is never approved, and its ticket is free;
//   - what a person says of herself can be corrected until she has a passkey or a
//     counter has begun, in the same record and under the same ticket;
//   - a passkey made for a recovery enters nowhere until a supervisor has approved
//     the act that names it, and then it replaces all that the person had;
//   - nobody's last way to enter is removed without her saying that she knows it;
//   - every write that a page leads to requires the epoch of its session;
//   - suspension and the ends of appointments, roles and keys commit cause,
//     epoch and notices together (design D16);
//   - the tables never say more than the chain of acts does.
//
// Only cmd may import it.
package enrolment

import (
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/db"
)

// Migrations is the migration line of this package. Those of account, passkey,
// audit, keystore, outbox and subject are needed beside it.
var Migrations = db.Line{
	Name: store.Migrations.Name, FS: store.Migrations.FS,
	Requires: []string{"enrolment_account", "enrolment_passkey"},
}
