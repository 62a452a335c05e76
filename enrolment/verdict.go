package enrolment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// Reasons for which an act is rejected.
const (
	ReasonMismatch  = "dato-no-coincide"
	ReasonDocument  = "documento-dudoso"
	ReasonDuplicate = "posible-duplicado"
	ReasonAbsent    = "persona-ausente"
	ReasonBacking   = "sin-respaldo"
	ReasonMistake   = "acta-equivocada"
	ReasonOther     = "otro" // needs a note
)

// RejectionReasons lists why an act of a kind may be rejected.
func RejectionReasons(k act.Kind) []string {
	if k == act.KindEnrolment {
		return []string{ReasonMismatch, ReasonDocument, ReasonDuplicate, ReasonAbsent, ReasonMistake, ReasonOther}
	}
	return []string{ReasonBacking, ReasonMistake, ReasonOther}
}

// maxNote bounds a note, in characters.
const maxNote = 300

// Rejection says why an act is rejected.
type Rejection struct {
	Reason string // of RejectionReasons
	Note   string // at most 300 characters, sealed; needed for ReasonOther
}

// Verdict is what became of an act that waited, beside its approval. It takes
// nothing away that is in effect, so it is no act of the chain: it stands in the
// audit log, and no approval is admitted after it.
type Verdict struct {
	Act       identity.ActID
	Withdrawn bool // by its author; else rejected by By
	By        identity.PersonID
	Reason    string
	Note      string
	At        time.Time
}

// Reject refuses an act that waits, in place of approving it: whoever may approve
// it may reject it. The ticket of an enrolment can then be taken in hand anew.
// ErrInput for an unknown reason or a bad note; else the errors of Approve.
func (s *Service) Reject(ctx context.Context, by identity.PersonID, id identity.ActID, r Rejection) error {
	w, err := s.WaitingAct(ctx, by, id)
	if err != nil {
		return err
	}
	note := strings.TrimSpace(r.Note)
	if !slices.Contains(RejectionReasons(w.Statement.Body.Kind()), r.Reason) || !utf8.ValidString(note) || utf8.RuneCountInString(note) > maxNote || r.Reason == ReasonOther && note == "" {
		return fmt.Errorf("%w: reason or note", ErrInput)
	}
	return s.conclude(ctx, w, store.Verdict{Verdict: store.Rejected, By: by, Reason: r.Reason}, note)
}

// Withdraw takes back an act of one's own that waits. ErrUnknown if none does.
func (s *Service) Withdraw(ctx context.Context, author identity.PersonID, id identity.ActID) error {
	w, err := s.ProposalOf(ctx, author, id)
	if err != nil {
		return err
	}
	if w.Verdict != nil {
		return ErrDone
	}
	if _, err := machine.Proposal.Next(machine.Waits, machine.Withdraw, machine.Basis{By: machine.Holder, With: machine.Own}); err != nil {
		return err
	}
	return s.conclude(ctx, w.Waiting, store.Verdict{Verdict: store.Withdrawn, By: author}, "")
}

// conclude stores a verdict on an act that waits.
func (s *Service) conclude(ctx context.Context, w Waiting, v store.Verdict, note string) error {
	body := w.Statement.Body
	v.Act, v.Person, v.Author, v.At = w.ID, w.Person, w.Proposer, s.now()
	if note != "" {
		key, err := s.noteKey(ctx, w.Person)
		if err != nil {
			return err
		}
		v.Note = envelope.Seal(key, []byte(note), envelope.Place("enrolment_verdict", "note", string(w.ID)))
	}
	topic, outcome := "enrolment.proposal.", map[string]string{store.Rejected: "rejected", store.Withdrawn: "withdrawn"}[v.Verdict]
	if body.Kind() == act.KindEnrolment {
		topic = "enrolment.registration."
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: topic + outcome, Subject: w.Person, Actor: actor(v.By), Object: string(w.ID), Outcome: outcome,
		Payload: map[string]any{"act": string(body.Kind()), "reason": v.Reason, "note": note},
	})
	if err != nil {
		return err
	}
	for range maxRounds {
		k, err := s.load(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(k.chain.Waiting(), func(r *act.Refusal) bool { return r.ID == w.ID }) {
			return ErrDone
		}
		err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
			if err := store.Hold(tx, k.head); errors.Is(err, store.ErrNone) {
				return errMoved
			} else if err != nil {
				return err
			}
			if err := store.PutVerdict(tx, v); err != nil {
				return doneIf(err)
			}
			if body.Kind() == act.KindEnrolment {
				if err := usedIf(store.ReopenTicket(tx, w.ID)); err != nil {
					return err
				}
			}
			_, err := s.cfg.Audit.Append(tx, entry)
			return err
		})
		if !errors.Is(err, errMoved) {
			return err
		}
	}
	return ErrRace
}

// noteKey seals notes: under the person's own key, if it is about one.
func (s *Service) noteKey(ctx context.Context, person identity.PersonID) (envelope.Key, error) {
	if person == "" {
		return s.cfg.Keys.DataKey(ctx, keyOwner)
	}
	return s.cfg.Keys.DataKey(ctx, string(person))
}

func (s *Service) verdictOf(ctx context.Context, v store.Verdict) (*Verdict, error) {
	out := &Verdict{Act: v.Act, Withdrawn: v.Verdict == store.Withdrawn, By: v.By, Reason: v.Reason, At: v.At}
	if len(v.Note) == 0 {
		return out, nil
	}
	key, err := s.noteKey(ctx, v.Person)
	if err != nil {
		return nil, err
	}
	note, err := envelope.Open(key, v.Note, envelope.Place("enrolment_verdict", "note", string(v.Act)))
	out.Note = string(note)
	return out, err
}

// Proposal is an act of one's own that waits, or waited and came to nothing.
type Proposal struct {
	Waiting
	Verdict *Verdict // nil while it waits
}

// proposalAge is how long an author is shown what became of a proposal.
const proposalAge = 30 * 24 * time.Hour

// ProposalsOf lists what a person proposed and what waits still, the newest first,
// then what was rejected or withdrawn lately.
func (s *Service) ProposalsOf(ctx context.Context, author identity.PersonID) ([]Proposal, error) {
	k, err := s.load(ctx)
	if err != nil {
		return nil, err
	}
	var rows []store.Verdict
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		rows, err = store.VerdictsSince(tx, author, s.now().Add(-proposalAge), 50)
		return err
	})
	if err != nil {
		return nil, err
	}
	var out []Proposal
	old := s.now().Add(-act.ApprovalTerm)
	for _, r := range slices.Backward(k.chain.Waiting()) {
		w, err := waiting(k.chain, r)
		if err != nil {
			return nil, err
		}
		if w.Proposer == author && w.Statement.At.After(old) && !slices.ContainsFunc(rows, func(v store.Verdict) bool { return v.Act == w.ID }) {
			out = append(out, Proposal{Waiting: w})
		}
	}
	for _, v := range rows {
		p, err := s.concluded(ctx, k.chain, v)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// ProposalOf returns one proposal of a person, or ErrUnknown.
func (s *Service) ProposalOf(ctx context.Context, author identity.PersonID, id identity.ActID) (Proposal, error) {
	k, err := s.load(ctx)
	if err != nil {
		return Proposal{}, err
	}
	var v store.Verdict
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		v, err = store.VerdictOn(tx, id)
		return err
	})
	switch {
	case err == nil && v.Author == author:
		return s.concluded(ctx, k.chain, v)
	case err == nil:
		return Proposal{}, ErrUnknown
	case !errors.Is(err, store.ErrNone):
		return Proposal{}, err
	}
	for _, r := range k.chain.Waiting() {
		if r.ID != id {
			continue
		}
		if w, err := waiting(k.chain, r); err != nil || w.Proposer == author {
			return Proposal{Waiting: w}, err
		}
	}
	return Proposal{}, ErrUnknown
}

func (s *Service) concluded(ctx context.Context, c *act.Chain, row store.Verdict) (Proposal, error) {
	i := slices.IndexFunc(c.Acts(), func(a *act.Signed) bool { return a.Statement().ID == row.Act })
	if i < 0 {
		return Proposal{}, fmt.Errorf("%w: act with a verdict", ErrUnknown)
	}
	st := c.Acts()[i].Statement()
	out := Proposal{Waiting: Waiting{ID: st.ID, Statement: st}}
	out.Person, out.Proposer = parties(st.Body)
	v, err := s.verdictOf(ctx, row)
	out.Verdict = v
	return out, err
}

// decided returns the acts among those that the chain lets wait on which there is a verdict.
func (s *Service) decided(ctx context.Context) (map[identity.ActID]bool, error) {
	out := map[identity.ActID]bool{}
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		clear(out)
		rows, err := store.VerdictsSince(tx, "", s.now().Add(-2*act.ApprovalTerm), act.MaxActs)
		for _, v := range rows {
			out[v.Act] = true
		}
		return err
	})
	return out, err
}

// undecided refuses an approval of what was rejected or withdrawn.
func undecided(tx *db.Tx, id identity.ActID) error {
	_, err := store.VerdictOn(tx, id)
	switch {
	case errors.Is(err, store.ErrNone):
		return nil
	case err == nil:
		return fmt.Errorf("%w: rejected or withdrawn", act.ErrTarget)
	}
	return err
}

// Standing is where a person's registration is.
type Standing struct {
	Level   identity.Level
	Ticket  *Ticket  // the newest; nil: none. Without its code
	Verdict *Verdict // on the newest enrolment, if it came to nothing
}

// StandingOf says where a person's registration is.
func (s *Service) StandingOf(ctx context.Context, person identity.PersonID) (out Standing, err error) {
	p, err := s.cfg.Accounts.Profile(ctx, person)
	if err != nil {
		return out, err
	}
	out.Level = p.Level
	var v store.Verdict
	var found bool
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		found = false
		t, err := store.TicketByPerson(tx, person)
		if err == nil {
			ticket := ticketOf(t)
			out.Ticket = &ticket
		} else if !errors.Is(err, store.ErrNone) {
			return err
		}
		id, err := store.LastEnrolment(tx, person)
		if err == nil {
			v, err = store.VerdictOn(tx, id)
			found = err == nil
		}
		if errors.Is(err, store.ErrNone) {
			err = nil
		}
		return err
	})
	if err == nil && found {
		out.Verdict, err = s.verdictOf(ctx, v)
	}
	return out, err
}
