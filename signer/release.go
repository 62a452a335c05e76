package signer

import (
	"context"
	"errors"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/signer/internal/store"
)

// SignedFile opens a signed document of a completed request for its application.
// The reading is recorded. The caller closes the reader.
func (s *Service) SignedFile(ctx context.Context, c APIClient, id, document string) (*blob.Reader, store.RequestDocument, error) {
	r, err := s.ofClient(ctx, c, id)
	if err != nil {
		return nil, store.RequestDocument{}, err
	}
	for _, d := range r.Documents {
		if d.ID != document {
			continue
		}
		if r.State != store.Completed {
			return nil, d, refuse(CodeNotYet, nil)
		}
		if err := s.recordReading(ctx, c, r, document); err != nil {
			return nil, d, err
		}
		f, err := s.cfg.Blobs.OpenOwned(ctx, r.Owner, d.SHA256)
		return f, d, err
	}
	return nil, store.RequestDocument{}, refuse(CodeNotFound, nil)
}

func (s *Service) recordReading(ctx context.Context, c APIClient, r store.Request, what string) error {
	for _, p := range r.Parties {
		err := s.record(ctx, audit.Entry{Kind: "signer.read.document", Subject: p.Person, Actor: "client:" + c.ID, Client: c.ID,
			Institution: string(c.Institution), Outcome: audit.OutcomeOK, Object: r.ID, Payload: map[string]any{"what": what}})
		if err != nil {
			return err
		}
	}
	return nil
}

// Evidence returns the evidence bundle of one signature of a completed request, by
// default of the last signer; party counts from 0.
func (s *Service) Evidence(ctx context.Context, c APIClient, id string, party int) ([]byte, error) {
	r, err := s.ofClient(ctx, c, id)
	if err != nil {
		return nil, err
	}
	if party < 0 {
		party = len(r.Parties) - 1
	}
	if party >= len(r.Parties) {
		return nil, refuse(CodeNotFound, nil)
	}
	if r.Parties[party].State != store.HasSigned {
		return nil, refuse(CodeNotYet, nil)
	}
	b, err := s.cfg.Core.Evidence(ctx, r.Parties[party].Activation)
	if err != nil {
		return nil, err
	}
	if err := s.recordReading(ctx, c, r, "evidence"); err != nil {
		return nil, err
	}
	return b.Encode()
}

var errNoEntry = errors.New("signer: entry not recorded")

func (s *Service) record(ctx context.Context, e audit.Entry) error {
	p, err := s.cfg.Audit.Prepare(ctx, e)
	if err != nil {
		return errors.Join(errNoEntry, err)
	}
	return s.append(ctx, p)
}

func (s *Service) append(ctx context.Context, p *audit.Prepared) error {
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := s.cfg.Audit.Append(tx, p)
		return err
	})
}
