package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
)

// Assertion is a passkey's answer, byte for byte.
type Assertion struct {
	CredentialID []byte
	assertion.Response
}

// MaxAssertion bounds the JSON of an assertion, in bytes.
const MaxAssertion = 32 << 10

func encode64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ParseAssertion reads an AuthenticationResponseJSON (WebAuthn L3 §5.1.7). A
// refusal has [CodeAssertion].
func ParseAssertion(raw []byte) (Assertion, error) {
	var in struct {
		RawID    string `json:"rawId"`
		Type     string `json:"type"`
		Response struct {
			ClientDataJSON    string `json:"clientDataJSON"`
			AuthenticatorData string `json:"authenticatorData"`
			Signature         string `json:"signature"`
		} `json:"response"`
	}
	if len(raw) > MaxAssertion {
		return Assertion{}, refuse(CodeAssertion, assertion.ErrSize)
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return Assertion{}, refuse(CodeAssertion, errors.New("not the JSON of an assertion"))
	}
	if in.Type != "public-key" {
		return Assertion{}, refuse(CodeAssertion, errors.New("not a public-key credential"))
	}
	var a Assertion
	for _, f := range []struct {
		to   *[]byte
		text string
	}{{&a.CredentialID, in.RawID}, {&a.ClientDataJSON, in.Response.ClientDataJSON}, {&a.AuthenticatorData, in.Response.AuthenticatorData}, {&a.Signature, in.Response.Signature}} {
		b, err := base64.RawURLEncoding.Strict().DecodeString(f.text)
		if err != nil || len(b) == 0 {
			return Assertion{}, refuse(CodeAssertion, errors.New("a part of the assertion is missing or not base64url"))
		}
		*f.to = b
	}
	return a, nil
}

// finishWithin bounds what follows the use of an activation.
const finishWithin = 45 * time.Second

const spendTries = 5

// errMoved says that acts arrived between judgement and commit.
var errMoved = errors.New("core: acts arrived meanwhile")

// Activate uses an activation once: it verifies the assertion and everything that
// entitles the person, commits the intent, signs, stamps, and commits the result.
// From the intent on it no longer depends on ctx. Refusals are [*RefusedError];
// with [CodeTimestampUnavailable] the signature exists and recovery finishes it.
func (c *Core) Activate(ctx context.Context, id string, a Assertion) (*Result, error) {
	for range spendTries {
		row, err := c.loadActivation(ctx, id)
		if err != nil {
			return nil, err
		}
		if err := c.spend(ctx, row, a); errors.Is(err, errMoved) {
			continue
		} else if err != nil {
			c.recordRefusal(ctx, row, err)
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishWithin)
		defer cancel()
		return c.perform(ctx, row)
	}
	return nil, db.ErrBusy
}

// recordRefusal keeps a trace of a refused approval, for the person to see. That it
// could not be kept changes nothing for the caller.
func (c *Core) recordRefusal(ctx context.Context, row *activation, cause error) {
	code := CodeOf(cause)
	if code == "" || code == CodeExpired {
		return
	}
	entry, err := c.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "signer.refusal", Subject: row.person, Actor: "service:signer-core", Client: row.client, Institution: row.institution,
		Outcome: audit.OutcomeRefused, Object: row.id, Payload: map[string]any{"request": row.request, "code": code},
	})
	if err == nil {
		err = c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
			_, err := c.cfg.Audit.Append(tx, entry)
			return err
		})
	}
	if err != nil {
		c.cfg.Logger.ErrorContext(ctx, "refused approval not recorded", "activation", row.id, "error", err)
	}
}

// spend judges everything and commits the intent.
func (c *Core) spend(ctx context.Context, row *activation, a Assertion) error {
	now := c.cfg.Now()
	switch {
	case row.state != Open:
		return refuse(CodeUsed, nil)
	case !now.Before(row.expires):
		return refuse(CodeExpired, nil)
	}
	snap, err := c.snapshot(ctx)
	if err != nil {
		return err
	}
	grant, verified, err := c.verify(ctx, snap, row, a, now)
	if err != nil {
		return err
	}
	if err := standingError(c.cfg.Standing.Check(ctx, row.person, row.epoch)); err != nil {
		return err
	}
	if err := snap.standing(row.person, row.appointment, now); err != nil {
		return err
	}
	if err := c.stillCurrent(ctx, row); err != nil {
		return err
	}
	if row.ocsp, err = c.checkStatus(ctx, row.chain); err != nil {
		return err
	}
	entry, err := c.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "signer.sign", Subject: row.person, Actor: string(row.person), Client: row.client, Institution: row.institution,
		Outcome: audit.OutcomeIntent, Object: row.id, Payload: intentPayload(row, grant, c.cfg.KeyPolicy),
	})
	if err != nil {
		return err
	}
	row.cose, row.response, row.used, row.intent = grant.COSE, a.Response, now, entry.ID()
	err = c.cfg.DB.Write(ctx, func(tx *db.Tx) error { return c.commitIntent(tx, row, snap.seq, grant.Key, verified.Counter(), entry) })
	if CodeOf(err) == CodeCounter && c.cfg.Suspect != nil {
		c.cfg.Suspect(ctx, row.person, grant.COSE)
	}
	if err != nil {
		return err
	}
	row.state = Intent
	return failpoint.Hit(failpoint.SignAssertionSpent)
}

// verify finds the key and checks the assertion with it.
func (c *Core) verify(ctx context.Context, snap *snapshot, row *activation, a Assertion, now time.Time) (act.KeyGrant, assertion.Verified, error) {
	if err := c.aboutThis(ctx, row, a); err != nil {
		return act.KeyGrant{}, assertion.Verified{}, err
	}
	candidates, err := c.candidates(ctx, snap, row, a, now)
	if err != nil {
		return act.KeyGrant{}, assertion.Verified{}, err
	}
	d := snap.chain.Deployment(now)
	var last error
	for _, g := range candidates {
		v, err := assertion.Verify(a.Response, assertion.Expected{
			RPID: d.RPID, Origins: d.Origins, Challenge: row.challenge[:], PublicKey: g.COSE, RequireUV: true,
		})
		switch {
		case errors.Is(err, assertion.ErrUserVerification):
			return g, v, refuse(CodeNoUserVerification, err)
		case err != nil:
			last = err
			continue
		case v.BE() != (g.Backup == act.MultiDevice):
			return g, v, refuse(CodeAssertion, act.ErrBackup)
		case !c.allowed(g):
			return g, v, refuse(CodeKeyPolicy, nil)
		}
		return g, v, nil
	}
	return act.KeyGrant{}, assertion.Verified{}, refuse(CodeAssertion, last)
}

// aboutThis tells an assertion that was made for something else by what it was made for.
func (c *Core) aboutThis(ctx context.Context, row *activation, a Assertion) error {
	cd, err := assertion.ParseClientData(a.ClientDataJSON)
	if err != nil {
		return refuse(CodeAssertion, err)
	}
	got, err := base64.RawURLEncoding.DecodeString(cd.Challenge)
	if err != nil {
		return refuse(CodeAssertion, assertion.ErrChallenge)
	}
	if bytes.Equal(got, row.challenge[:]) {
		return nil
	}
	var other State
	err = c.cfg.DB.QueryRow(ctx, "SELECT state FROM signer_core_activation WHERE challenge = $1", got).Scan(&other)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return refuse(CodeAssertion, assertion.ErrChallenge)
	case err != nil:
		return err
	case other == Open:
		return refuse(CodeOtherDocuments, assertion.ErrChallenge)
	}
	return refuse(CodeReplayed, assertion.ErrChallenge)
}

// candidates returns the keys that may have signed: the one that the hint names,
// which must be the person's, or all of the person's.
func (c *Core) candidates(ctx context.Context, snap *snapshot, row *activation, a Assertion, now time.Time) ([]act.KeyGrant, error) {
	if c.cfg.Hints != nil {
		cose, err := c.cfg.Hints.ByID(ctx, a.CredentialID)
		if err != nil {
			return nil, fmt.Errorf("core: hints: %w", err)
		}
		if cose != nil {
			g, err := snap.chain.Key(sha256.Sum256(cose), row.person, c.cfg.Least, now)
			switch {
			case err == nil:
				return []act.KeyGrant{g}, nil
			case errors.Is(err, act.ErrOtherPerson):
				return nil, refuse(CodeOtherPerson, err)
			case errors.Is(err, act.ErrSuspended):
				return nil, refuse(CodeSuspended, err)
			}
			return nil, refuse(CodeKeyNotAccepted, err)
		}
	}
	var out []act.KeyGrant
	for _, g := range snap.chain.Keys(row.person, now) {
		if g.Level >= c.cfg.Least {
			out = append(out, g)
		}
	}
	if len(out) == 0 {
		if err := snap.standing(row.person, row.appointment, now); err != nil {
			return nil, err
		}
		return nil, refuse(CodeKeyNotAccepted, nil)
	}
	return out, nil
}

// stillCurrent refuses a personal key that was given up since the request.
func (c *Core) stillCurrent(ctx context.Context, row *activation) error {
	k, err := c.currentKey(ctx, row.person, row.appointment)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err != nil || k.id != row.keyID || k.state != "certified" {
		return refuse(CodeCertificateExpired, errors.New("the key was replaced since the request"))
	}
	return nil
}

type intentDocument struct {
	SHA256 act.Hash `json:"sha256"`
	Field  string   `json:"field"`
	Digest act.Hash `json:"digest"`
	Pages  int      `json:"pages_shown"`
}

func intentPayload(row *activation, g act.KeyGrant, policy KeyPolicy) any {
	var docs []intentDocument
	for _, d := range row.documents {
		_, digest := d.session.Digest()
		docs = append(docs, intentDocument{d.session.BaseSHA256(), d.session.Field(), act.Hash(digest), len(d.pages)})
	}
	return map[string]any{
		"request": row.request, "appointment": row.appointment, "challenge": row.challenge, "documents": docs,
		"passkey": g.Key, "passkey_backup": g.Backup, "passkey_level": g.Level.String(), "key_policy": policy,
	}
}

// commitIntent is TX1: the activation is spent, the counter rises, the person is
// still who they were, no act has arrived since, and the record says so.
func (c *Core) commitIntent(tx *db.Tx, row *activation, seq int64, key act.Hash, counter uint32, entry *audit.Prepared) error {
	n, err := tx.Exec(`UPDATE signer_core_activation SET state = 'intent', used_at = $2, cose = $3, auth_data = $4, client_data = $5, assertion = $6,
		ocsp = $7, intent_entry = $8 WHERE id = $1 AND state = 'open' AND expires_at > $2`,
		row.id, db.Micros(row.used), row.cose, row.response.AuthenticatorData, row.response.ClientDataJSON, row.response.Signature, row.ocsp, row.intent)
	if err != nil {
		return err
	}
	if n != 1 {
		return refuse(CodeUsed, nil)
	}
	n, err = tx.Exec(`INSERT INTO signer_core_counter (key_hash, counter, used_at) VALUES ($1, $2, $3)
		ON CONFLICT (key_hash) DO UPDATE SET counter = excluded.counter, used_at = excluded.used_at
		WHERE excluded.counter > signer_core_counter.counter OR (excluded.counter = 0 AND signer_core_counter.counter = 0)`,
		key[:], int64(counter), db.Micros(row.used))
	if err != nil {
		return err
	}
	if n != 1 {
		return refuse(CodeCounter, assertion.ErrCounter)
	}
	if err := standingError(c.cfg.Standing.Require(tx, row.person, row.epoch)); err != nil {
		return err
	}
	var last int64
	if err := tx.QueryRow("SELECT COALESCE(MAX(seq), 0) FROM signer_core_act").Scan(&last); err != nil {
		return err
	}
	if last != seq {
		return errMoved
	}
	_, err = c.cfg.Audit.Append(tx, entry)
	return err
}
