package act

import (
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// Index is what a store of acts keeps in columns. To judge one person it loads
// the acts with that Subject, the acts whose Target is one of these, and the
// same again for every Author it meets, until nothing new comes: a few dozen
// acts, however large the register. Genesis and amendments always belong to
// it. To admit an act, the store adds what the rules compare it with: the acts
// about everybody who holds a role, those with the same Post, and those with
// one of its Keys.
type Index struct {
	Kind    Kind
	ID      identity.ActID
	At      time.Time
	Subject identity.PersonID // whom the act is about; empty for genesis, amendments and approvals
	Author  identity.PersonID // who proposed, approved, ended or attested; empty for genesis
	Target  Hash              // of an approval or a lift; zero otherwise
	Post    identity.PostID   // of an appointment
	Keys    []Hash            // keys that the act names as somebody's
}

// Index returns the columns of an act.
func (s *Signed) Index() Index {
	x := Index{Kind: s.statement.Body.Kind(), ID: s.statement.ID, At: s.statement.At}
	switch b := s.statement.Body.(type) {
	case *Genesis:
		for _, f := range b.Founders {
			x.Keys = appendIDs(x.Keys, f.Keys)
		}
	case *Amendment:
		x.Author = b.Proposer
	case *Enrolment:
		x.Subject, x.Author, x.Keys = b.Person, b.Registrar, appendIDs(nil, b.Keys)
	case *KeyAddition:
		x.Subject, x.Author, x.Keys = b.Person, b.Person, []Hash{b.Key.ID()}
	case *RoleGrant:
		x.Subject, x.Author = b.Person, b.Proposer
	case *Appointment:
		x.Subject, x.Author, x.Post = b.Person, b.Proposer, b.Post
	case *Approval:
		x.Author, x.Target = b.Approver, b.Target
	case *End:
		x.Subject, x.Author = b.Person, b.By
	case *Suspension:
		x.Subject, x.Author = b.Person, b.By
	case *Lift:
		x.Subject, x.Author, x.Target = b.Person, b.By, b.Suspension
	case *Presence:
		x.Subject, x.Author = b.Person, b.Registrar
	}
	return x
}

func appendIDs(ids []Hash, keys []KeyRecord) []Hash {
	for i := range keys {
		ids = append(ids, keys[i].ID())
	}
	return ids
}
