package enrolment

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Founder is one of the first people and what they are to be.
type Founder struct {
	Person identity.PersonID
	Roles  []act.Role // of Administrator, Registrar, Supervisor
}

// GenesisRequest says how to found a deployment.
type GenesisRequest struct {
	// LogOrigin and LogKey are the origin line and verifier key of the
	// transparency log. An empty origin is the one that the key names, or else
	// the RP ID and "/log".
	LogOrigin, LogKey string
	// Founders are two people or more, registered and with a passkey each.
	// Together they hold all three roles, and one is supervisor only.
	Founders []Founder
}

// genesisLife is how long a founding waits for its signatures.
const genesisLife = 24 * time.Hour

// BeginGenesis drafts the founding act (design D20): every passkey of every
// founder has to sign it. ErrGenesisDone once there is one; ErrInput if the
// founders do not fill the roles.
func (s *Service) BeginGenesis(ctx context.Context, r GenesisRequest) (Draft, error) {
	return s.beginGenesis(ctx, r, nil)
}

func (s *Service) beginGenesis(ctx context.Context, r GenesisRequest, with func(*db.Tx, identity.ActID) error) (Draft, error) {
	if _, err := s.load(ctx); err == nil {
		return Draft{}, ErrGenesisDone
	} else if !errors.Is(err, ErrNoGenesis) {
		return Draft{}, err
	}
	keyed, _, _ := strings.Cut(r.LogKey, "+") // C2SP signed-note: name, "+", hash, "+", key
	body := &act.Genesis{Name: s.cfg.Name, RPID: s.rpID, Settings: act.Settings{
		Origins: []string{s.origin}, LogOrigin: cmp.Or(r.LogOrigin, keyed, s.rpID+"/log"), LogKey: r.LogKey, Policy: s.cfg.Policy,
	}}
	for _, f := range r.Founders {
		keys, err := s.keysOf(ctx, f.Person)
		if err != nil {
			return Draft{}, err
		}
		if len(keys) == 0 {
			return Draft{}, fmt.Errorf("%w: a founder without a passkey", ErrKey)
		}
		roles := slices.Clone(f.Roles)
		slices.Sort(roles)
		body.Founders = append(body.Founders, act.Founder{Person: f.Person, Roles: slices.Compact(roles), Keys: keys})
	}
	slices.SortFunc(body.Founders, func(a, b act.Founder) int { return cmp.Compare(a.Person, b.Person) })
	if len(body.Founders) == 0 {
		return Draft{}, fmt.Errorf("%w: no founders", ErrInput)
	}
	return s.propose(ctx, proposal{body: body, life: genesisLife, with: with})
}

// found stores the founding act; the first one that gets here is the only one.
func (s *Service) found(ctx context.Context, signed *act.Signed, row store.Draft) error {
	hash := signed.Hash()
	chain, err := act.Build(hash, []*act.Signed{signed})
	if err != nil {
		return err
	}
	body := signed.Statement().Body.(*act.Genesis) // Build made sure
	now := s.now()
	together := machine.Basis{By: machine.Founder, With: machine.Together}
	err = s.admitted(ctx, signed, row, 0, func(tx *db.Tx) error {
		if _, err := machine.Deployment.Next(store.Founded(tx), machine.Found, together); errors.Is(err, machine.ErrIllegal) {
			return ErrGenesisDone
		}
		if err := store.Found(tx, hash[:], now); errors.Is(err, store.ErrNone) {
			return ErrGenesisDone
		} else if err != nil {
			return err
		}
		return nil
	}, effects{
		entry: audit.Entry{Kind: "enrolment.act.genesis"},
		apply: func(tx *db.Tx) error {
			for _, f := range body.Founders {
				if err := account.Raise(tx, together, f.Person, identity.N3, now); err != nil {
					return err
				}
			}
			return nil
		},
	})
	if err != nil {
		return err
	}
	s.keep(&known{chain: chain, head: 1, genesis: hash})
	return nil
}

// keysOf returns a person's active passkeys as acts name them, in rising order.
func (s *Service) keysOf(ctx context.Context, person identity.PersonID) ([]act.KeyRecord, error) {
	have, err := s.cfg.Passkeys.Credentials(ctx, person)
	if err != nil {
		return nil, err
	}
	var out []act.KeyRecord
	for _, c := range have {
		if c.State != passkey.Active {
			continue
		}
		r, err := record(c)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b act.KeyRecord) int { return bytes.Compare(a.COSE, b.COSE) })
	return out, nil
}

// record is a passkey as acts name it. Its model stays unnamed: without a
// verified attestation it is a claim.
func record(c passkey.Credential) (act.KeyRecord, error) {
	if _, err := assertion.ParseKey(c.PublicKey); err != nil {
		return act.KeyRecord{}, fmt.Errorf("%w: %w", ErrKey, err)
	}
	r := act.KeyRecord{COSE: c.PublicKey, Backup: act.SingleDevice, Attestation: act.AttestationNone}
	if c.BackupEligible {
		r.Backup = act.MultiDevice
	}
	return r, nil
}
