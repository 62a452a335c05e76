package signer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/sdk/api"
	"oruro.gob.bo/suti/signer/core"
	"oruro.gob.bo/suti/signer/internal/store"
)

// Bounds of a request.
const (
	MaxSigners   = 20
	maxTitle     = 200 // characters
	maxReason    = 500
	maxReturnURL = 2000 // bytes
	defaultTerm  = 7 * 24 * time.Hour
	maxTerm      = 90 * 24 * time.Hour
)

// Levels of a request.
const (
	levelBB = "B-B"
	levelBT = "B-T"
)

// Create makes a signing request. raw is the body as sent, for the idempotency key.
func (s *Service) Create(ctx context.Context, c APIClient, key string, raw []byte, in api.SigningRequest) (json.RawMessage, error) {
	now := s.cfg.Now().Truncate(time.Microsecond)
	a := store.Answer{Client: c.ID, Route: "signing-requests", Key: key, Body: sha256.Sum256(raw), Status: http.StatusCreated, At: now}
	if done, err := s.store.Answered(ctx, a); err == nil || !errors.Is(err, store.ErrNotFound) {
		return done.JSON, err
	}
	r, err := s.draft(ctx, c, in, now)
	if err != nil {
		return nil, err
	}
	if a.JSON, err = json.Marshal(s.wire(r)); err != nil {
		return nil, err
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "signer.request.create", Actor: "client:" + c.ID, Client: c.ID, Institution: string(c.Institution),
		Outcome: audit.OutcomeOK, Object: r.ID, Payload: map[string]any{"documents": len(r.Documents), "signers": r.Parties, "level": r.Level}})
	if err != nil {
		return nil, err
	}
	err = s.store.CreateRequest(ctx, r, a, entry)
	if store.IsRepeated(err) {
		done, err := s.store.Answered(ctx, a)
		return done.JSON, err
	}
	return a.JSON, err
}

// draft checks a request and resolves what it names.
func (s *Service) draft(ctx context.Context, c APIClient, in api.SigningRequest, now time.Time) (store.Request, error) {
	r := store.Request{ID: identity.NewID(PrefixRequest, now), Client: c.ID, ClientName: c.Name, Institution: c.Institution, Asker: c.Name,
		Owner: owner(c.Institution), State: store.Pending, Level: in.Level, ReturnURL: in.ReturnURL, Reason: in.Reason, Code: newCode(), CreatedAt: now}
	if r.Level == "" {
		r.Level = levelBT
	}
	switch {
	case r.Level != levelBB && r.Level != levelBT:
		return r, refuseField(CodeInvalid, "/level")
	case !plain(in.Reason, maxReason):
		return r, refuseField(CodeInvalid, "/reason")
	case !returnURL(in.ReturnURL):
		return r, refuseField(CodeInvalid, "/return_url")
	}
	r.ExpiresAt = now.Add(defaultTerm)
	if in.ExpiresAt != nil {
		r.ExpiresAt = in.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	if !r.ExpiresAt.After(now) || r.ExpiresAt.After(now.Add(maxTerm)) {
		return r, refuseField(CodeInvalid, "/expires_at")
	}
	ins, err := s.cfg.Directory.Institution(ctx, c.Institution)
	switch {
	case err == nil && ins.Name != "":
		r.Asker = ins.Name
	case err != nil && !errors.Is(err, ErrUnknown):
		return r, err
	}
	if r.Documents, err = s.documents(ctx, c, in.Documents); err != nil {
		return r, err
	}
	if r.Parties, err = s.parties(ctx, c, in.Signers, now); err != nil {
		return r, err
	}
	if r.Seal, err = json.Marshal(in.Seal); err != nil {
		return r, err
	}
	for _, d := range r.Documents {
		if _, _, err := placement(in.Seal, d.Pages, 0); err != nil {
			return r, refuseField(CodeInvalid, "/seal")
		}
	}
	return r, nil
}

func (s *Service) documents(ctx context.Context, c APIClient, in []api.RequestDocument) ([]store.RequestDocument, error) {
	if len(in) == 0 || len(in) > core.MaxDocuments {
		return nil, refuseField(CodeInvalid, "/documents")
	}
	seen := map[string]bool{}
	var out []store.RequestDocument
	for i, d := range in {
		at := fmt.Sprintf("/documents/%d", i)
		if seen[d.ID] || d.Title == "" || !plain(d.Title, maxTitle) {
			return nil, refuseField(CodeInvalid, at)
		}
		seen[d.ID] = true
		doc, err := s.store.Document(ctx, d.ID)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && doc.Client != c.ID:
			return nil, refuseField(CodeDocument, at)
		case err != nil:
			return nil, err
		case doc.Refusal != "":
			return nil, &Refusal{Code: CodeNotSignable, Field: at, Document: doc.Refusal}
		}
		out = append(out, store.RequestDocument{ID: d.ID, Title: d.Title, BaseSHA256: doc.SHA256, Pages: doc.Pages, SHA256: doc.SHA256, Size: doc.Size})
	}
	return out, nil
}

func (s *Service) parties(ctx context.Context, c APIClient, in []api.Signer, now time.Time) ([]store.Party, error) {
	if len(in) == 0 || len(in) > MaxSigners {
		return nil, refuseField(CodeInvalid, "/signers")
	}
	seen := map[[2]string]bool{}
	var out []store.Party
	for i, g := range in {
		at := fmt.Sprintf("/signers/%d", i)
		person, err := s.resolve(ctx, c, g, at)
		if errors.Is(err, ErrUnknown) {
			return nil, refuseField(CodeSigner, at)
		}
		if err != nil {
			return nil, err
		}
		profile, err := s.cfg.Directory.Profile(ctx, person)
		if errors.Is(err, ErrUnknown) || err == nil && !profile.Active {
			return nil, refuseField(CodeSigner, at)
		}
		if err != nil {
			return nil, err
		}
		if g.Appointment != "" {
			a, err := s.cfg.Directory.Appointment(ctx, identity.AppointmentID(g.Appointment))
			if errors.Is(err, ErrUnknown) || err == nil && (a.Person != person || !a.HeldAt(now)) {
				return nil, refuseField(CodeNotHeld, at+"/appointment")
			}
			if err != nil {
				return nil, err
			}
		}
		id := [2]string{string(person), g.Appointment}
		if seen[id] {
			return nil, refuseField(CodeInvalid, at)
		}
		seen[id] = true
		p := store.Party{Person: person, Appointment: identity.AppointmentID(g.Appointment), State: store.Waiting}
		p.Epoch = epoch(profile)
		out = append(out, p)
	}
	return out, nil
}

func (s *Service) resolve(ctx context.Context, c APIClient, g api.Signer, at string) (identity.PersonID, error) {
	switch {
	case (g.Subject == "") == (g.Document == nil):
		return "", refuseField(CodeInvalid, at)
	case g.Subject != "":
		return s.cfg.Subjects.PersonBySubject(ctx, c.ID, g.Subject)
	}
	d := identity.Document{Type: identity.DocumentType(g.Document.Type), Number: g.Document.Number, Complement: g.Document.Complement}
	if d.Type != identity.DocumentCI && d.Type != identity.DocumentCIE && d.Type != identity.DocumentPassport || d.Number == "" || len(d.Number) > 40 || len(d.Complement) > 10 {
		return "", refuseField(CodeInvalid, at+"/document")
	}
	return s.cfg.Directory.FindByDocument(ctx, d)
}

// plain reports whether a text is UTF-8 of one line with at most max characters.
func plain(s string, max int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= max && !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || r == 0x7f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	})
}

// returnURL accepts where a person may be sent back: nothing, https, or http on
// this machine.
func returnURL(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	if err != nil || len(s) > maxReturnURL || u.Host == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost"))
}

// wire is a request as the application sees it.
func (s *Service) wire(r store.Request) api.SigningStatus {
	out := api.SigningStatus{ID: r.ID, State: string(r.State), ExpiresAt: r.ExpiresAt, RequestedLevel: r.Level, DeclineReason: r.DeclineReason,
		VerificationCode: printCode(r.Code), VerificationURL: s.cfg.Public.Link(codePath(r.Code), nil), Documents: []api.SignedOutcome{}}
	if r.State == store.Pending {
		out.SignURL = s.cfg.Public.Link("/firmas/"+r.ID, nil)
	}
	if r.State == store.Completed {
		out.AchievedLevel = r.Level // a lower one is never released
	}
	for _, d := range r.Documents {
		o := api.SignedOutcome{ID: d.ID, Title: d.Title, SHA256: hex.EncodeToString(d.BaseSHA256[:])}
		if r.State == store.Completed {
			o.SignedSHA256 = hex.EncodeToString(d.SHA256[:])
		}
		out.Documents = append(out.Documents, o)
	}
	return out
}

// Status returns a request of an application as it stands.
func (s *Service) Status(ctx context.Context, c APIClient, id string) (api.SigningStatus, error) {
	r, err := s.ofClient(ctx, c, id)
	if err != nil {
		return api.SigningStatus{}, err
	}
	return s.wire(r), nil
}

// ofClient returns a request if it is the application's; else it does not exist.
func (s *Service) ofClient(ctx context.Context, c APIClient, id string) (store.Request, error) {
	r, err := s.store.Request(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && r.Client != c.ID {
		return r, refuse(CodeNotFound, nil)
	}
	return r, err
}

// Cancel withdraws a pending request. Cancelling it again is no error.
func (s *Service) Cancel(ctx context.Context, c APIClient, id string) (api.SigningStatus, error) {
	r, err := s.ofClient(ctx, c, id)
	if err != nil {
		return api.SigningStatus{}, err
	}
	if r.State != store.Cancelled {
		if err := s.close(ctx, r, store.Cancelled, -1, "", "client:"+c.ID); err != nil {
			return api.SigningStatus{}, err
		}
	}
	return s.Status(ctx, c, id)
}

// close ends a pending request.
func (s *Service) close(ctx context.Context, r store.Request, to store.State, party int, why, actor string) error {
	e := audit.Entry{Kind: "signer.request." + string(to), Actor: actor, Client: r.Client, Institution: string(r.Institution), Outcome: audit.OutcomeOK, Object: r.ID}
	if party >= 0 {
		e.Subject, e.Payload = r.Parties[party].Person, map[string]any{"reason": why}
	}
	entry, err := s.cfg.Audit.Prepare(ctx, e)
	if err != nil {
		return err
	}
	err = s.store.Close(ctx, r.ID, to, party, why, s.cfg.Now(), entry)
	if errors.Is(err, store.ErrState) {
		now, err := s.store.Request(ctx, r.ID)
		if err != nil {
			return err
		}
		if now.State == store.Pending {
			return refuse(CodeBusy, nil)
		}
		return refuse(CodeState, nil)
	}
	return err
}

// sealPage returns the page of a seal, from 0; -1 is the last.
func sealPage(s string, pages int) (int, error) {
	switch s {
	case "", "last":
		return -1, nil
	case "first":
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > pages {
		return 0, fmt.Errorf("signer: page %.10q of %d for the seal", s, pages)
	}
	return n - 1, nil
}
