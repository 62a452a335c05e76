package signer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/sdk/api"
	"oruro.gob.bo/suti/signer/core"
	"oruro.gob.bo/suti/signer/internal/appearance"
	"oruro.gob.bo/suti/signer/internal/store"
	"oruro.gob.bo/suti/signer/pades"
)

// placement says where the seal of the signer at that turn stands.
func placement(seal *api.Seal, pages, turn int) (pades.Placement, bool, error) {
	if seal == nil {
		return pades.Placement{}, false, nil
	}
	n, err := sealPage(seal.Page, pages)
	if err != nil {
		return pades.Placement{}, false, err
	}
	p := pades.Placement{Page: n, Slot: turn}
	switch seal.Corner {
	case "", "bottom-right":
		p.Corner = appearance.BottomRight
	case "bottom-left":
		p.Corner = appearance.BottomLeft
	case "top-right":
		p.Corner = appearance.TopRight
	case "top-left":
		p.Corner = appearance.TopLeft
	default:
		return p, false, fmt.Errorf("signer: corner %.20q", seal.Corner)
	}
	return p, true, nil
}

// capacity is a signer as people read it.
type capacity struct {
	profile     identity.Profile
	appointment *identity.Appointment
}

func (s *Service) capacity(ctx context.Context, p store.Party) (capacity, error) {
	var c capacity
	var err error
	if c.profile, err = s.cfg.Directory.Profile(ctx, p.Person); err != nil {
		return c, err
	}
	if p.Appointment != "" {
		a, err := s.cfg.Directory.Appointment(ctx, p.Appointment)
		if err != nil {
			return c, err
		}
		c.appointment = &a
	}
	return c, nil
}

// post returns the post as it is written: "Secretaria de Minería, interino".
func (c capacity) post() string {
	if c.appointment == nil {
		return ""
	}
	if c.appointment.Kind == identity.Titular || c.appointment.Kind == "" {
		return c.appointment.Title
	}
	return c.appointment.Title + ", " + string(c.appointment.Kind)
}

func (c capacity) institution() string {
	if c.appointment == nil {
		return ""
	}
	return c.appointment.Institution.Name
}

func epoch(p identity.Profile) subject.Epoch { return subject.Epoch(p.Epoch) }

// turn returns a pending request in which it is the person's turn.
func (s *Service) turn(ctx context.Context, p web.Principal, id string) (store.Request, store.Party, error) {
	r, err := s.store.Request(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !slices.ContainsFunc(r.Parties, func(x store.Party) bool { return x.Person == p.Person() }) {
		return r, store.Party{}, refuse(CodeNotFound, nil)
	}
	switch {
	case err != nil:
		return r, store.Party{}, err
	case r.State != store.Pending || !s.cfg.Now().Before(r.ExpiresAt):
		return r, store.Party{}, refuse(CodeState, nil)
	case r.Parties[r.Turn].Person != p.Person():
		return r, store.Party{}, refuse(CodeNotYourTurn, nil)
	}
	return r, r.Parties[r.Turn], nil
}

// Begin prepares what the person whose turn it is approves, and returns the
// challenge. Every call makes a new one.
func (s *Service) Begin(ctx context.Context, p web.Principal, id string) (*core.Activation, error) {
	r, party, err := s.turn(ctx, p, id)
	if err != nil {
		return nil, err
	}
	if int64(party.Epoch) != p.Epoch() {
		return nil, refuse(CodeChanged, nil)
	}
	c, err := s.capacity(ctx, party)
	if err != nil {
		return nil, err
	}
	o := core.Order{Request: r.ID, Person: party.Person, Epoch: identity.Epoch(party.Epoch), Profile: c.profile, Appointment: c.appointment,
		Client: r.Client, Institution: string(r.Institution)}
	for _, d := range r.Documents {
		file, err := s.cfg.Blobs.OpenOwned(ctx, r.Owner, d.SHA256)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		od, err := s.order(ctx, r, d, c, file)
		if err != nil {
			return nil, err
		}
		o.Documents = append(o.Documents, od)
	}
	a, err := s.cfg.Core.BeginActivation(ctx, o)
	if err != nil {
		return nil, err
	}
	return a, s.store.AddAttempt(ctx, store.Attempt{Activation: a.ID, Request: r.ID, Party: r.Turn}, s.cfg.Now())
}

// order says how a file is signed.
func (s *Service) order(ctx context.Context, r store.Request, d store.RequestDocument, c capacity, file *blob.Reader) (core.OrderDocument, error) {
	var seal *api.Seal
	if err := json.Unmarshal(r.Seal, &seal); err != nil {
		return core.OrderDocument{}, err
	}
	o := pades.Options{Level: pades.LevelBT, Name: c.profile.Name.Full(), Reason: r.Reason, ContactInfo: s.cfg.Public.Link(codePath(r.Code), nil)}
	if r.Level == levelBB {
		o.Level = pades.LevelBB
	}
	place, visible, err := placement(seal, d.Pages, r.Turn)
	if err != nil {
		return core.OrderDocument{}, err
	}
	if visible {
		o.Placement = place
		o.Seal = &pades.Seal{Name: c.profile.Name.Full(), Post: c.post(), Institution: c.institution(), Tier: Tier, Demo: s.cfg.Demo,
			URL: o.ContactInfo, Address: strings.TrimPrefix(s.cfg.Public.Link("/verificar", nil), "https://"), Code: printCode(r.Code)}
	}
	shown, err := s.store.Pages(ctx, d.SHA256, r.Owner)
	if err != nil {
		return core.OrderDocument{}, err
	}
	od := core.OrderDocument{Base: file, Size: file.Size(), SHA256: d.SHA256, Options: o}
	for _, p := range shown {
		od.Pages = append(od.Pages, p.Image)
	}
	return od, nil
}

// Finish hands the passkey's answer to the core and releases what it signed.
func (s *Service) Finish(ctx context.Context, p web.Principal, id, activation string, response json.RawMessage) (store.Request, error) {
	as, err := core.ParseAssertion(response)
	if err != nil {
		return store.Request{}, err
	}
	at, err := s.store.Attempt(ctx, activation)
	if errors.Is(err, store.ErrNotFound) || err == nil && at.Request != id {
		return store.Request{}, refuse(CodeUnknownAttempt, nil)
	}
	if err != nil {
		return store.Request{}, err
	}
	r, err := s.store.Request(ctx, id)
	if err != nil {
		return r, err
	}
	party := r.Parties[at.Party]
	if party.Person != p.Person() {
		return r, refuse(CodeNotYourTurn, nil)
	}
	if int64(party.Epoch) != p.Epoch() {
		return r, refuse(CodeChanged, nil)
	}
	if at.State == store.AttemptSettled { // nothing can come of it; the core knows the name of the refusal
		_, err := s.cfg.Core.Activate(ctx, activation, as)
		if err == nil {
			err = errors.New("signer: a settled activation was used")
		}
		return r, err
	}
	if err := s.store.Spend(ctx, at, s.cfg.Now()); errors.Is(err, store.ErrState) {
		return r, refuse(CodeState, nil)
	} else if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
	defer cancel()
	_, cause := s.cfg.Core.Activate(ctx, activation, as)
	if err := s.settle(ctx, activation, true); err != nil {
		return r, errors.Join(cause, err)
	}
	if r, err = s.store.Request(ctx, id); err != nil {
		return r, errors.Join(cause, err)
	}
	if r.Parties[at.Party].Activation == activation && cause != nil && core.CodeOf(cause) == "" {
		return r, nil // the fault came after the result was committed, and it is released
	}
	return r, cause
}

// finishWithin bounds signing, stamping and storing.
const finishWithin = 2 * time.Minute

// settle brings an attempt to where the core's record says: released, closed, open
// again, or left to the next step. called says that the caller has just called the
// core; a step has not, and closes what is open only when no call can still come.
func (s *Service) settle(ctx context.Context, activation string, called bool) error {
	at, err := s.store.Attempt(ctx, activation)
	if err != nil || at.State == store.AttemptSettled {
		return err
	}
	res, err := s.cfg.Core.Result(ctx, activation)
	if err != nil {
		return err
	}
	switch res.State {
	case core.Open:
		if called {
			return s.store.Unspend(ctx, activation)
		}
		if s.cfg.Now().Sub(at.CreatedAt) > core.MaxTerm+finishWithin {
			return s.store.Settle(ctx, activation)
		}
	case core.Failed, core.Abandoned:
		return s.store.Settle(ctx, activation)
	case core.Done:
		return s.release(ctx, at, res)
	}
	return nil // recovery of the core has to decide first
}

// release stores the signed files and moves the request on.
func (s *Service) release(ctx context.Context, at store.Attempt, res *core.Result) error {
	r, err := s.store.Request(ctx, at.Request)
	if err != nil {
		return err
	}
	if len(res.Documents) != len(r.Documents) {
		return errors.New("signer: the core signed another number of documents")
	}
	var files []store.File
	for _, d := range res.Documents {
		if d.Achieved != d.Requested {
			return fmt.Errorf("signer: level %s, %s was asked for", d.Achieved, d.Requested)
		}
		f, err := s.compose(ctx, r.Owner, d)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "signer.request.signed", Subject: res.Person, Actor: string(res.Person), Client: r.Client,
		Institution: string(r.Institution), Outcome: audit.OutcomeOK, Object: r.ID, Payload: map[string]any{"activation": res.ID, "signature_entry": res.Entry}})
	if err != nil {
		return err
	}
	err = s.store.Release(ctx, at, files, s.cfg.Now(), entry)
	if !errors.Is(err, store.ErrState) {
		return err
	}
	now, err := s.store.Request(ctx, at.Request)
	if err == nil && now.State != store.Pending && now.Parties[at.Party].Activation != at.Activation {
		s.cfg.Logger.WarnContext(ctx, "signature came after its request had ended", "request", r.ID, "activation", at.Activation)
		return s.store.Settle(ctx, at.Activation)
	}
	return err
}

// compose stores file and signature as one new file.
func (s *Service) compose(ctx context.Context, owner string, d core.SignedDocument) (store.File, error) {
	base, err := s.cfg.Blobs.OpenOwned(ctx, owner, d.FileSHA256)
	if err != nil {
		return store.File{}, err
	}
	defer base.Close()
	whole := io.MultiReader(io.NewSectionReader(base, 0, base.Size()), strings.NewReader(string(d.Tail)))
	ref, err := s.cfg.Blobs.Put(ctx, whole, base.Size()+int64(len(d.Tail)), owner)
	if err != nil {
		return store.File{}, err
	}
	return store.File{SHA256: ref.SHA256, Size: ref.Size}, nil
}

// Decline ends a request because a signer does not want to sign; why reaches the applicant.
func (s *Service) Decline(ctx context.Context, p web.Principal, id, why string) error {
	r, _, err := s.turn(ctx, p, id)
	if err != nil {
		return err
	}
	why = strings.TrimSpace(why)
	if why == "" || !plain(strings.NewReplacer("\r", " ", "\n", " ").Replace(why), maxReason) {
		return refuseField(CodeInvalid, "/reason")
	}
	return s.close(ctx, r, store.Declined, r.Turn, strings.NewReplacer("\r", "", "\n", " ").Replace(why), string(p.Person()))
}
