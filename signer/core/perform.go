package core

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/signer/pades"
)

// SignedDocument is what became of one document: file and tail together are the signed file.
type SignedDocument struct {
	FileSHA256 [32]byte
	Field      string
	Tail       []byte
	CMS        []byte
	Requested  pades.Level
	Achieved   pades.Level
}

// Result is an activation as it stands. Documents are there when State is Done.
type Result struct {
	ID, Request string
	Person      identity.PersonID
	Appointment identity.AppointmentID
	State       State
	Failure     Code // for Failed and Abandoned
	SignedAt    time.Time
	Certificate act.Hash
	// Entry is the audit entry of the result, whose leaf is in the transparency log.
	Entry     string
	Documents []SignedDocument
}

// Result returns an activation as it stands, or a refusal with [CodeUnknownActivation].
func (c *Core) Result(ctx context.Context, id string) (*Result, error) {
	row, err := c.loadActivation(ctx, id)
	if err != nil {
		return nil, err
	}
	return row.asResult(), nil
}

func (a *activation) asResult() *Result {
	r := &Result{ID: a.id, Request: a.request, Person: a.person, Appointment: a.appointment, State: a.state, Failure: Code(a.failure),
		SignedAt: a.signed, Certificate: certificateHash(a.chain[0]), Entry: a.result}
	if a.state != Done {
		return r
	}
	for _, d := range a.documents {
		r.Documents = append(r.Documents, SignedDocument{FileSHA256: d.session.BaseSHA256(), Field: d.session.Field(), Tail: d.tail, CMS: d.cms,
			Requested: d.session.Level(), Achieved: d.achieved})
	}
	return r
}

// perform follows a committed intent to its end.
func (c *Core) perform(ctx context.Context, row *activation) (*Result, error) {
	err := failpoint.Hit(failpoint.SignAfterIntent)
	if err == nil {
		err = c.useKey(ctx, row)
	}
	if err != nil {
		return nil, c.giveUp(ctx, row, CodeFailed, err)
	}
	if err := c.complete(ctx, row); err != nil {
		return nil, err
	}
	return c.Result(ctx, row.id)
}

// useKey signs every document once, checks each signature, and stores the values.
// What it does not store is lost: nobody signs again.
func (c *Core) useKey(ctx context.Context, row *activation) error {
	key, err := c.cfg.Keys.Signer(ctx, row.keyID, purpose)
	if err != nil {
		return err
	}
	for i := range row.documents {
		d := &row.documents[i]
		tbs, err := d.session.SignedAttributes(row.chain, pades.AttributeOptions{})
		if err != nil {
			return err
		}
		if d.value, err = key.Sign(rand.Reader, tbs.Input, tbs.Opts); err != nil {
			return err
		}
		d.attributes = tbs.Attributes
		// The self-check: Embed verifies the value against the certificate.
		if _, err := d.session.Embed(ctx, pades.Signature{Value: d.value, Attributes: d.attributes, Chain: row.chain, AllowLower: true}); err != nil {
			return fmt.Errorf("core: self-check: %w", err)
		}
	}
	if err := failpoint.Hit(failpoint.SignAfterKeyUse); err != nil {
		return err
	}
	row.signed = c.cfg.Now()
	return c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("UPDATE signer_core_activation SET state = 'signed', signed_at = $2 WHERE id = $1 AND state = 'intent'", row.id, db.Micros(row.signed))
		if err != nil {
			return err
		}
		if n != 1 {
			return errors.New("core: recovery abandoned the intent meanwhile")
		}
		for i, d := range row.documents {
			if _, err := tx.Exec("UPDATE signer_core_document SET attributes = $3, value = $4 WHERE activation = $1 AND pos = $2", row.id, i, d.attributes, d.value); err != nil {
				return err
			}
		}
		return nil
	})
}

// complete stamps stored values, embeds them and commits the result. It may run
// again, also twice at once: one commit wins.
func (c *Core) complete(ctx context.Context, row *activation) error {
	for i := range row.documents {
		if err := c.finishDocument(ctx, row, &row.documents[i]); err != nil {
			return err
		}
	}
	if err := failpoint.Hit(failpoint.SignBeforeResult); err != nil {
		return err
	}
	if err := c.commitResult(ctx, row); err != nil {
		return err
	}
	return failpoint.Hit(failpoint.SignAfterResult)
}

func (c *Core) finishDocument(ctx context.Context, row *activation, d *document) error {
	sig := pades.Signature{Value: d.value, Attributes: d.attributes, Chain: row.chain}
	if d.session.Level() == pades.LevelBT {
		if age := c.cfg.Now().Sub(row.signed); age > stampWithin {
			return refuse(CodeTimestampUnavailable, fmt.Errorf("the signature is %v old: a time-stamp would not prove when it was made", age))
		}
		h, digest := pades.TimestampInput(d.value)
		token, err := c.cfg.Timestamper.Timestamp(ctx, h, digest)
		if err != nil {
			return refuse(CodeTimestampUnavailable, err)
		}
		sig.Token, d.token = token, token
		if err := failpoint.Hit(failpoint.SignAfterStamp); err != nil {
			return err
		}
	}
	out, err := d.session.Embed(ctx, sig)
	if err != nil {
		return fmt.Errorf("core: embed: %w", err)
	}
	d.cms, d.tail, d.achieved = out.CMS, out.Tail(), out.Achieved
	return nil
}

// made lists the signatures for the log's leaf.
func (a *activation) made() []act.MadeSignature {
	var out []act.MadeSignature
	for _, d := range a.documents {
		_, digest := d.session.Digest()
		out = append(out, act.MadeSignature{Digest: digest, Signature: sha256.Sum256(d.value), Shown: act.Shown(d.pages)})
	}
	return out
}

// commitResult is TX2.
func (c *Core) commitResult(ctx context.Context, row *activation) error {
	leaf, err := act.SignatureLeaf(row.challenge, certificateHash(row.chain[0]), row.signed, row.made())
	if err != nil {
		return err
	}
	entry, err := c.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "signer.sign", Subject: row.person, Actor: string(row.person), Client: row.client, Institution: row.institution,
		Intent: row.intent, Outcome: audit.OutcomeOK, Object: row.id, Leaf: leaf, Payload: map[string]any{"request": row.request},
	})
	if err != nil {
		return err
	}
	err = c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("UPDATE signer_core_activation SET state = 'done', result_entry = $2 WHERE id = $1 AND state = 'signed'", row.id, entry.ID())
		if err != nil {
			return err
		}
		if n != 1 {
			return errClosed
		}
		for i, d := range row.documents {
			level, err := d.achieved.MarshalText()
			if err != nil {
				return err
			}
			_, err = tx.Exec("UPDATE signer_core_document SET token = $3, cms = $4, tail = $5, achieved = $6 WHERE activation = $1 AND pos = $2",
				row.id, i, bytesOrEmpty(d.token), d.cms, d.tail, string(level))
			if err != nil {
				return err
			}
		}
		_, err = c.cfg.Audit.Append(tx, entry)
		return err
	})
	if errors.Is(err, errClosed) {
		return nil // somebody else finished; what they committed is the result
	}
	return err
}

// errClosed says that an intent has its outcome already.
var errClosed = errors.New("core: already closed")

func bytesOrEmpty(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// giveUp closes an intent whose signature was not stored, and returns the refusal.
func (c *Core) giveUp(ctx context.Context, row *activation, code Code, cause error) error {
	err := c.closeIntent(ctx, row, Failed, code, audit.OutcomeFailed)
	if errors.Is(err, errClosed) {
		return cause // not ours to judge any more: the stored state tells what became of it
	}
	if err != nil {
		c.cfg.Logger.ErrorContext(ctx, "signing intent not closed; recovery will", "activation", row.id, "error", err)
	}
	return refuse(code, cause)
}

// closeIntent records that nothing came of an intent.
func (c *Core) closeIntent(ctx context.Context, row *activation, to State, code Code, outcome string) error {
	entry, err := c.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "signer.sign", Subject: row.person, Actor: "service:signer-core", Client: row.client, Institution: row.institution,
		Intent: row.intent, Outcome: outcome, Object: row.id, Payload: map[string]any{"request": row.request, "code": code},
	})
	if err != nil {
		return err
	}
	return c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("UPDATE signer_core_activation SET state = $3, failure = $4, result_entry = $5 WHERE id = $1 AND state = $2",
			row.id, string(row.state), string(to), string(code), entry.ID())
		if err != nil {
			return err
		}
		if n != 1 {
			return errClosed
		}
		_, err = c.cfg.Audit.Append(tx, entry)
		return err
	})
}
