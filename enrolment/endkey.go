package enrolment

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// ReasonLastKey is the reason of EndKey that says: the person knows that she
// cannot enter any more. It stands in the act that she signs.
const ReasonLastKey = "quitada-la-ultima"

// reasonRemoved is the reason that the page gives where something remains.
const reasonRemoved = "quitada"

// Ways is with what a person can enter.
type Ways struct {
	Keys int // passkeys in use
	Card bool
}

func waysIn(q db.Querier, person identity.PersonID) (w Ways, err error) {
	if w.Keys, err = passkey.Usable(q, person); err == nil {
		w.Card, err = account.HasCard(q, person)
	}
	return w, err
}

// WaysOf says with what a person can enter now.
func (s *Service) WaysOf(ctx context.Context, person identity.PersonID) (w Ways, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		w, err = waysIn(tx, person)
		return err
	})
	return w, err
}

// keepsWay refuses the removal of a passkey, done in this transaction, after
// which a person could not enter, unless the reason says that she knows it.
func keepsWay(tx *db.Tx, person identity.PersonID, reason string) error {
	if reason == ReasonLastKey {
		return nil
	}
	w, err := waysIn(tx, person)
	if err == nil && w.Keys == 0 && !w.Card {
		err = ErrLastWay
	}
	return err
}

// EndKey drafts the end of one of a person's passkeys, for good; any passkey of
// hers signs it. A passkey that no act names is revoked at once, and the draft
// is zero. ErrLastWay if she could not enter any more, unless the reason is
// [ReasonLastKey]; it is judged again when the act is made.
func (s *Service) EndKey(ctx context.Context, person identity.PersonID, id identity.CredentialID, reason string) (Draft, error) {
	have, err := s.cfg.Passkeys.Credentials(ctx, person)
	if err != nil {
		return Draft{}, err
	}
	i := slices.IndexFunc(have, func(c passkey.Credential) bool { return c.ID == id && c.State != passkey.Revoked })
	if i < 0 {
		return Draft{}, passkey.ErrUnknown
	}
	k, err := s.load(ctx)
	if err != nil && !errors.Is(err, ErrNoGenesis) {
		return Draft{}, err
	}
	hash := act.Hash(sha256.Sum256(have[i].PublicKey))
	if k != nil {
		if _, err := k.chain.Key(hash, person, identity.N0, s.now()); err == nil {
			w, err := s.WaysOf(ctx, person)
			if err != nil {
				return Draft{}, err
			}
			if reason != ReasonLastKey && w.Keys == 1 && have[i].State == passkey.Active && !w.Card {
				return Draft{}, ErrLastWay
			}
			return s.propose(ctx, proposal{genesis: k.genesis, body: &act.End{What: act.EndKey, Person: person, Key: hash, Reason: reason, By: person, Capacity: act.Holder}})
		}
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.passkey.changed", Subject: person, Actor: actor(person), Object: string(id), Outcome: string(passkey.Revoked)})
	if err != nil {
		return Draft{}, err
	}
	return Draft{}, s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := passkey.Lock(tx, person); err != nil {
			return err
		}
		if err := passkey.Move(tx, person, id, machine.RevokeKey, machine.Basis{By: machine.Holder, With: machine.Key}, s.now()); err != nil {
			return err
		}
		if have[i].State == passkey.Active {
			if err := keepsWay(tx, person, reason); err != nil {
				return err
			}
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
}
