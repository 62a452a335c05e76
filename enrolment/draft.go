package enrolment

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Draft is an act on its way: a statement and who still has to sign it.
type Draft struct {
	ID        identity.ActID
	Statement act.Statement
	Hash      act.Hash          // what the passkeys sign
	Person    identity.PersonID // whom it concerns; empty for the founding
	Author    identity.PersonID
	Ticket    string // for an enrolment
	Expires   time.Time
	Needs     []Need
	// Done says that the act is stored. One that needs an approval waits for it.
	Done bool
}

// Need is a signature that a draft needs.
type Need struct {
	Person identity.PersonID
	// Key is the hash of a certain key, or zero for any of the person's.
	Key    act.Hash
	Signed bool
}

// Lacks reports whether a signature of the person is missing.
func (d Draft) Lacks(p identity.PersonID) bool {
	return slices.ContainsFunc(d.Needs, func(n Need) bool { return n.Person == p && !n.Signed })
}

// needs mirrors who must sign an act, by package act.
func needs(b act.Body) []Need {
	keys := func(p identity.PersonID, list []act.KeyRecord) []Need {
		var out []Need
		for i := range list {
			out = append(out, Need{Person: p, Key: list[i].ID()})
		}
		return out
	}
	switch b := b.(type) {
	case *act.Genesis:
		var out []Need
		for _, f := range b.Founders {
			out = append(out, keys(f.Person, f.Keys)...)
		}
		return out
	case *act.Enrolment:
		return append([]Need{{Person: b.Registrar}}, keys(b.Person, b.Keys)...)
	case *act.KeyAddition:
		return []Need{{Person: b.Person, Key: b.Earlier}, {Person: b.Person, Key: b.Key.ID()}}
	}
	_, author := parties(b)
	return []Need{{Person: author}}
}

// parties returns whom an act concerns and who is its author.
func parties(b act.Body) (person, author identity.PersonID) {
	switch b := b.(type) {
	case *act.Genesis:
		return "", b.Founders[0].Person
	case *act.Enrolment:
		return b.Person, b.Registrar
	case *act.KeyAddition:
		return b.Person, b.Person
	case *act.RoleGrant:
		return b.Person, b.Proposer
	case *act.Appointment:
		return b.Person, b.Proposer
	case *act.Approval:
		return "", b.Approver
	case *act.End:
		return b.Person, b.By
	case *act.Suspension:
		return b.Person, b.By
	case *act.Lift:
		return b.Person, b.By
	}
	return "", ""
}

// proposal is a body with what belongs to its draft.
type proposal struct {
	genesis act.Hash // zero for the founding
	at      time.Time
	body    act.Body
	concern identity.PersonID // overrides whom it concerns
	ticket  string
	life    time.Duration
	with    func(tx *db.Tx, id identity.ActID) error // more rows; may be nil
}

// propose stores a draft.
func (s *Service) propose(ctx context.Context, p proposal) (Draft, error) {
	now := s.now()
	if p.at.IsZero() {
		p.at = now
	}
	if p.life == 0 {
		p.life = DraftLifetime
	}
	st := act.Statement{ID: identity.ActID(identity.NewID(identity.PrefixAct, now)), Genesis: p.genesis, At: p.at, Body: p.body}
	raw, err := st.Encode()
	if err != nil {
		return Draft{}, fmt.Errorf("%w: %w", ErrInput, err)
	}
	row := store.Draft{ID: st.ID, Kind: string(p.body.Kind()), Statement: raw, Ticket: p.ticket, Created: now, Expires: now.Add(p.life)}
	row.Person, row.Author = parties(p.body)
	if p.concern != "" {
		row.Person = p.concern
	}
	for _, n := range needs(p.body) {
		row.Needs = append(row.Needs, store.Need{Person: n.Person, Key: keyBytes(n.Key)})
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := store.PutDraft(tx, row); err != nil {
			return err
		}
		if p.with == nil {
			return nil
		}
		return p.with(tx, st.ID)
	})
	if err != nil {
		return Draft{}, err
	}
	return draftOf(row)
}

func keyBytes(h act.Hash) []byte {
	if h.IsZero() {
		return []byte{}
	}
	return h[:]
}

func draftOf(row store.Draft) (Draft, error) {
	st, err := act.ParseStatement(row.Statement)
	if err != nil {
		return Draft{}, fmt.Errorf("stored draft %s: %w", row.ID, err)
	}
	d := Draft{
		ID: row.ID, Statement: st, Hash: sha256.Sum256(row.Statement), Person: row.Person, Author: row.Author, Ticket: row.Ticket,
		Expires: row.Expires, Done: row.Done,
	}
	for _, n := range row.Needs {
		need := Need{Person: n.Person, Signed: n.SignedKey != nil}
		if len(n.Key) == len(need.Key) {
			need.Key = act.Hash(n.Key)
		}
		d.Needs = append(d.Needs, need)
	}
	return d, nil
}

func (s *Service) row(ctx context.Context, id identity.ActID) (row store.Draft, err error) {
	if identity.CheckID(identity.PrefixAct, string(id)) != nil {
		return row, ErrDraft
	}
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		row, err = store.DraftByID(tx, id)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		err = ErrDraft
	}
	return row, err
}

// Draft returns a draft, also one that is done. ErrDraft if there is none. Who
// may see it is for the caller to decide.
func (s *Service) Draft(ctx context.Context, id identity.ActID) (Draft, error) {
	row, err := s.row(ctx, id)
	if err != nil {
		return Draft{}, err
	}
	return draftOf(row)
}

// BeginSign starts the ceremony in which a person signs a draft with a passkey.
// ErrDone if the act is stored, ErrDraft if the draft is over or needs no
// signature of the person.
func (s *Service) BeginSign(ctx context.Context, id identity.ActID, person identity.PersonID, binding []byte) (passkey.Ceremony, error) {
	d, err := s.Draft(ctx, id)
	switch {
	case err != nil:
		return passkey.Ceremony{}, err
	case d.Done:
		return passkey.Ceremony{}, ErrDone
	case !s.now().Before(d.Expires) || !d.Lacks(person):
		return passkey.Ceremony{}, ErrDraft
	}
	b := passkey.Begin{Purpose: passkey.Act, Person: person, Binding: binding, Challenge: d.Hash[:], Preimage: []byte(id)}
	if recovers(d.Statement.Body, person) {
		b.Purpose = passkey.Recover
		if b.Pending, err = s.pendingOf(ctx, d.Statement.Body.(*act.Enrolment)); err != nil {
			return passkey.Ceremony{}, err
		}
	}
	return s.cfg.Passkeys.BeginLogin(ctx, b)
}

// Answer is a browser's answer to BeginSign.
type Answer struct {
	Draft    identity.ActID
	Person   identity.PersonID
	Ceremony string
	Binding  []byte
	Response json.RawMessage
}

// FinishSign verifies a person's signature on a draft and, if it was the last,
// makes the act. The ceremony is spent whatever the outcome. Errors are those of
// passkey, a refusal of act, or one of this package; a refused act leaves the
// draft without signatures.
func (s *Service) FinishSign(ctx context.Context, a Answer) (Draft, error) {
	purpose := passkey.Act
	if d, err := s.Draft(ctx, a.Draft); err == nil && recovers(d.Statement.Body, a.Person) {
		purpose = passkey.Recover
	}
	got, err := s.cfg.Passkeys.FinishLogin(ctx, a.Ceremony, purpose, a.Binding, a.Response)
	if err != nil {
		return Draft{}, err
	}
	if got.Authentication.Person != a.Person || string(got.Preimage) != string(a.Draft) {
		return Draft{}, ErrDraft
	}
	key := sha256.Sum256(got.Evidence.PublicKey)
	now := s.now()
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		return store.PutSignature(tx, a.Draft, store.Need{
			Person: a.Person, SignedKey: key[:], AuthData: got.Evidence.AuthenticatorData, ClientData: got.Evidence.ClientDataJSON, Signature: got.Evidence.Signature,
		}, now)
	})
	if errors.Is(err, store.ErrNone) {
		if d, derr := s.Draft(ctx, a.Draft); derr == nil && d.Done {
			return d, ErrDone
		}
		return Draft{}, ErrDraft
	}
	if err != nil {
		return Draft{}, err
	}
	return s.complete(ctx, a.Draft)
}

// complete makes the act of a draft that lacks no signature; one that does is
// returned as it is.
func (s *Service) complete(ctx context.Context, id identity.ActID) (Draft, error) {
	row, err := s.row(ctx, id)
	if err != nil {
		return Draft{}, err
	}
	d, err := draftOf(row)
	if err != nil || d.Done || slices.ContainsFunc(d.Needs, func(n Need) bool { return !n.Signed }) {
		return d, err
	}
	signatures := make([]act.Signature, len(row.Needs))
	for i, n := range row.Needs {
		signatures[i] = act.Signature{Person: n.Person, Key: act.Hash(n.SignedKey), Response: assertion.Response{
			AuthenticatorData: n.AuthData, ClientDataJSON: n.ClientData, Signature: n.Signature,
		}}
	}
	signed, err := act.Sign(d.Statement, signatures...)
	if err == nil {
		if d.Statement.Body.Kind() == act.KindGenesis {
			err = s.found(ctx, signed, row)
		} else {
			err = s.admit(ctx, signed, row)
		}
	}
	if err != nil {
		return d, s.dropped(ctx, id, err)
	}
	d.Done = true
	return d, nil
}

// dropped takes the signatures off a draft that was refused, so that recovery
// does not try it for ever, and returns the reason.
func (s *Service) dropped(ctx context.Context, id identity.ActID, reason error) error {
	if act.Code(reason) == "internal" && !errors.Is(reason, ErrRace) && !errors.Is(reason, ErrTicketUsed) && !errors.Is(reason, ErrSession) && !errors.Is(reason, ErrLastWay) {
		return reason // not a refusal
	}
	ctx = db.Requiring(ctx, nil) // also where the session is over: what it signed must not count later
	if err := s.cfg.DB.Write(ctx, func(tx *db.Tx) error { return store.DropSignatures(tx, id) }); err != nil {
		return errors.Join(reason, err)
	}
	return reason
}

// Recover makes the acts of drafts that were signed in full before a process
// stopped, and returns how many. It is to be called at start and now and then.
func (s *Service) Recover(ctx context.Context) (int, error) {
	var ids []identity.ActID
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		ids, err = store.SignedDrafts(tx, s.now(), 100)
		return err
	})
	if err != nil {
		return 0, err
	}
	made := 0
	var failed error
	for _, id := range ids {
		if d, err := s.complete(ctx, id); err == nil && d.Done {
			made++
		} else if err != nil && act.Code(err) == "internal" {
			failed = errors.Join(failed, err)
		}
	}
	return made, failed
}

// Purge removes drafts that came to nothing before a time, at most limit.
func (s *Service) Purge(ctx context.Context, before time.Time, limit int) (n int64, err error) {
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err = store.PurgeDrafts(tx, before, limit)
		return err
	})
	return n, err
}
