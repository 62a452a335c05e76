package signer

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/sdk/api"
	"oruro.gob.bo/suti/signer/internal/store"
	"oruro.gob.bo/suti/signer/pades"
)

// Prefixes of identifiers.
const (
	PrefixDocument = "doc"
	PrefixRequest  = "sig"
)

// Upload stores a document of an application. The same key with the same content
// gets the same answer; with other content a refusal. What is no PDF at all is
// refused; a PDF that may not be signed is stored, and its preflight says why.
func (s *Service) Upload(ctx context.Context, c APIClient, key string, body io.Reader) (json.RawMessage, error) {
	ref, err := s.cfg.Blobs.Put(ctx, body, s.cfg.MaxDocument, owner(c.Institution))
	if err != nil {
		return nil, err
	}
	if err := failpoint.Hit(failpoint.SignBaseStored); err != nil {
		return nil, err
	}
	a := store.Answer{Client: c.ID, Route: "documents", Key: key, Body: ref.SHA256, Status: http.StatusCreated, At: s.cfg.Now()}
	if done, err := s.store.Answered(ctx, a); err == nil || !errors.Is(err, store.ErrNotFound) {
		return done.JSON, err
	}
	d, err := s.preflight(ctx, c, ref)
	if err != nil {
		return nil, err
	}
	if a.JSON, err = json.Marshal(d.wire()); err != nil {
		return nil, err
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "signer.document.upload", Actor: "client:" + c.ID, Client: c.ID, Institution: string(c.Institution),
		Outcome: audit.OutcomeOK, Object: d.ID, Payload: map[string]any{"sha256": hex.EncodeToString(ref.SHA256[:]), "size": ref.Size, "refusal": d.Refusal}})
	if err != nil {
		return nil, err
	}
	err = s.store.AddDocument(ctx, d.Document, a, entry)
	if store.IsRepeated(err) {
		done, err := s.store.Answered(ctx, a)
		return done.JSON, err
	}
	return a.JSON, err
}

type document struct{ store.Document }

func (d document) wire() api.Document {
	return api.Document{ID: d.ID, SHA256: hex.EncodeToString(d.SHA256[:]), Size: d.Size, Pages: d.Pages, Preflight: &api.Preflight{
		Signable: d.Refusal == "", Refusal: d.Refusal, Detail: d.Detail, Warnings: d.Warnings}}
}

// preflight looks into a stored file.
func (s *Service) preflight(ctx context.Context, c APIClient, ref blob.Ref) (document, error) {
	now := s.cfg.Now()
	d := document{store.Document{ID: identity.NewID(PrefixDocument, now), Client: c.ID, Owner: ref.Owner, SHA256: ref.SHA256, Size: ref.Size, CreatedAt: now}}
	r, err := s.cfg.Blobs.OpenOwned(ctx, ref.Owner, ref.SHA256)
	if err != nil {
		return d, err
	}
	defer r.Close()
	report, err := pades.Preflight(ctx, r, r.Size(), pades.Limits{})
	var no *pades.RefusedError
	switch {
	case errors.As(err, &no) && no.Code == pades.CodeHeader:
		return d, err
	case errors.As(err, &no):
		d.Refusal, d.Detail = string(no.Code), no.Detail
	case err != nil:
		return d, err
	}
	if report == nil {
		return d, nil
	}
	d.Pages = report.Pages
	for _, f := range report.Findings {
		if slices.Contains(s.cfg.RefuseFindings, f.Code) && d.Refusal == "" {
			d.Refusal, d.Detail = f.Code, "what is shown could change after signing"
			continue
		}
		d.Warnings = append(d.Warnings, f.Code)
	}
	if report.Kind == "hybrid" && d.Refusal == "" {
		d.Refusal, d.Detail = "hybrid", "older and newer viewers may show different documents"
	}
	return d, nil
}
