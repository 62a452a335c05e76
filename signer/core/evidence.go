package core

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/signer/pades"
)

// Evidence assembles the evidence bundle of a finished activation. The log proof
// is "pending" until a checkpoint covers the result. A refusal has
// [CodeUnknownActivation] if there is no such activation or nothing came of it.
func (c *Core) Evidence(ctx context.Context, id string) (*bundle.Bundle, error) {
	row, err := c.loadActivation(ctx, id)
	if err != nil {
		return nil, err
	}
	if row.state != Done {
		return nil, refuse(CodeUnknownActivation, fmt.Errorf("state %s", row.state))
	}
	b := &bundle.Bundle{
		Format: bundle.Format, Class: identity.Llave, Preimage: row.preimage, SignedAt: db.Micros(row.signed), OCSP: row.ocsp,
		Assertion: bundle.Assertion{AuthenticatorData: row.response.AuthenticatorData, ClientDataJSON: row.response.ClientDataJSON,
			COSEKey: row.cose, Signature: row.response.Signature},
		Log: bundle.Log{State: bundle.LogPending},
	}
	for _, x := range row.chain {
		b.Certificates = append(b.Certificates, x.Raw)
	}
	for _, d := range row.documents {
		b.Documents = append(b.Documents, d.evidence())
	}
	if b.Acts, err = c.proof(ctx, row); err != nil {
		return nil, err
	}
	receipt, err := c.receipt(ctx, row.result)
	if err != nil {
		return nil, err
	}
	if receipt != nil {
		b.Log = bundle.Log{State: bundle.LogProved, Receipt: receipt}
	}
	return b, nil
}

func (d *document) evidence() bundle.Document {
	file, value := d.session.BaseSHA256(), sha256.Sum256(d.value)
	_, digest := d.session.Digest()
	out := bundle.Document{
		Achieved: levelName(d.achieved), Requested: levelName(d.session.Level()), CMS: d.cms, Digest: digest, Name: d.session.Field(),
		SHA256: file[:], SignatureSHA256: value[:], Timestamp: d.token,
	}
	for _, p := range d.pages {
		out.Pages = append(out.Pages, p[:])
	}
	return out
}

func levelName(l pades.Level) string {
	if l == pades.LevelBT {
		return bundle.LevelBT
	}
	return bundle.LevelBB
}

// proof collects the acts on which the signature rests, with their receipts.
func (c *Core) proof(ctx context.Context, row *activation) ([]bundle.Act, error) {
	snap, err := c.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	g, err := snap.chain.Key(sha256.Sum256(row.cose), row.person, c.cfg.Least, row.signed)
	if err != nil {
		return nil, fmt.Errorf("core: evidence: %w", err)
	}
	of := []act.Hash{g.Act}
	if row.appointment != "" {
		p, err := snap.chain.Appointment(row.appointment, row.person, row.signed)
		if err != nil {
			return nil, fmt.Errorf("core: evidence: %w", err)
		}
		of = append(of, p.Act)
	}
	acts, err := snap.chain.Proof(of...)
	if err != nil {
		return nil, fmt.Errorf("core: evidence: %w", err)
	}
	var out []bundle.Act
	for _, s := range acts {
		h := s.Hash()
		var raw []byte
		var entry string
		if err := c.cfg.DB.QueryRow(ctx, "SELECT raw, entry FROM signer_core_act WHERE hash = $1", h[:]).Scan(&raw, &entry); err != nil {
			return nil, err
		}
		receipt, err := c.receipt(ctx, entry)
		if err != nil {
			return nil, err
		}
		out = append(out, bundle.Act{Act: raw, Receipt: receipt})
	}
	return out, nil
}

// receipt returns the log's receipt for an entry, or nil while it is pending.
func (c *Core) receipt(ctx context.Context, entry string) ([]byte, error) {
	r, err := c.cfg.Audit.InclusionProof(ctx, entry)
	if errors.Is(err, audit.ErrPending) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.MarshalText()
}
