package issuance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"oruro.gob.bo/suti/ca/internal/authority"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/lint"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/subject"
)

// Errors that callers branch on, beside those of store, profile and lint.
var (
	// ErrInProgress: the intent is being signed; ask again.
	ErrInProgress = errors.New("ca: issuance in progress")
	// ErrAbandoned: the intent came to nothing; use a new one.
	ErrAbandoned = errors.New("ca: intent was abandoned")
	// ErrConflict: the idempotency key was used for another request.
	ErrConflict = errors.New("ca: intent was used for another request")
	// ErrRedeemed: the token was used before.
	ErrRedeemed = errors.New("ca: issuance token was used")
	// ErrMismatch: the signed certificate is not what was linted.
	ErrMismatch = errors.New("ca: signed certificate differs from what was linted")
)

// finishTimeout bounds an issuance once it has begun, whatever the client does.
const finishTimeout = 30 * time.Second

// Answers signs OCSP answers ahead; see status.Responder.
type Answers interface {
	// Ready MUST return an error unless answers of the authority can be signed now.
	Ready(ctx context.Context, slug string) error
	// SignAhead returns the answers for a number: good, or revoked.
	SignAhead(ctx context.Context, slug string, sn []byte, revoked *store.Revocation) ([]store.OCSPRow, error)
}

// Config configures [New]. All fields are required.
type Config struct {
	Store       *store.Store
	Authorities *authority.Directory
	Keys        keystore.Signers
	Audit       *audit.Log
	Profiles    *profile.Set
	Linter      *lint.Linter
	Answers     Answers
	Prefix      uint8 // first octet of numbers, 1 to 127
	Now         func() time.Time
}

// Engine issues certificates. It is safe for concurrent use.
type Engine struct{ cfg Config }

// New returns an engine.
func New(c Config) (*Engine, error) {
	if c.Prefix < 1 || c.Prefix > 127 {
		return nil, fmt.Errorf("issuance: number prefix %d is not 1 to 127", c.Prefix)
	}
	return &Engine{cfg: c}, nil
}

// Order is one certificate to be made.
type Order struct {
	Intent      string // idempotency key
	RequestHash [32]byte
	Kind        profile.Kind
	// Input without Serial, Issuer and Now.
	Input       profile.Input
	Owner       string // of the public key
	Person      identity.PersonID
	Epoch       subject.Epoch
	Appointment identity.AppointmentID
	Institution string
	Actor       string
	// Key is the own key of an authority or service; its public part is Input.PublicKey.
	Key *keystore.Pending
	// Authority is the authority to be made, or nil.
	Authority *store.Authority
	// Issuer is who signs; nil for a root.
	Issuer *authority.Authority
}

// Issued is the result.
type Issued struct {
	Intent store.Intent
	DER    []byte
	// Existing tells that the same request was served before.
	Existing bool
}

// Token is the right to issue one certificate that was linted. It is used once.
type Token struct {
	mu     sync.Mutex
	engine *Engine // nil once used; guarded by mu
	order  Order
	tbs    profile.TBS
	now    time.Time
	signer crypto.Signer
	public crypto.PublicKey // the issuer's
}

// Existing returns what came of an idempotency key: the certificate, or
// [ErrInProgress], [ErrAbandoned], [ErrConflict], store.ErrNotFound.
func (e *Engine) Existing(ctx context.Context, intent string, requestHash [32]byte) (Issued, error) {
	in, err := e.cfg.Store.ByIntent(ctx, intent)
	if err != nil {
		return Issued{}, err
	}
	if !bytes.Equal(in.RequestHash, requestHash[:]) {
		return Issued{}, ErrConflict
	}
	switch in.State {
	case store.Intended:
		return Issued{}, ErrInProgress
	case store.Abandoned:
		return Issued{}, ErrAbandoned
	}
	der, err := e.cfg.Store.Certificate(ctx, in.SN)
	if err != nil {
		return Issued{}, err
	}
	return Issued{Intent: in, DER: der, Existing: true}, nil
}

// Prepare builds and lints the exact bytes to be signed. It writes nothing and
// uses no issuer's key.
func (e *Engine) Prepare(ctx context.Context, o Order) (*Token, error) {
	if err := lint.Key(o.Input.PublicKey); err != nil {
		return nil, err
	}
	in := o.Input
	in.Now = e.cfg.Now()
	in.Serial = make([]byte, 17)
	_, _ = rand.Read(in.Serial) // crypto/rand.Read never returns an error (Go 1.24)
	in.Serial[0] = e.cfg.Prefix
	t := &Token{engine: e, order: o, now: in.Now}
	if o.Issuer == nil {
		if o.Key == nil || o.Kind != profile.Root {
			return nil, fmt.Errorf("%w: only a root signs itself", profile.ErrInput)
		}
		t.signer, t.public = o.Key.Signer(), o.Key.Public()
	} else {
		in.Issuer = o.Issuer.Issuer
		s, err := e.cfg.Keys.Signer(ctx, o.Issuer.KeyID, authority.PurposeOf(o.Issuer.Kind))
		if err != nil {
			return nil, fmt.Errorf("open issuer's key: %w", err)
		}
		t.signer, t.public = s, o.Issuer.Cert.PublicKey
	}
	p, err := profile.Of(o.Kind)
	if err != nil {
		return nil, err
	}
	if p.Responder {
		if err := e.cfg.Answers.Ready(ctx, o.Issuer.Slug); err != nil {
			return nil, fmt.Errorf("OCSP must be ready first: %w", err)
		}
	}
	if t.tbs, err = e.cfg.Profiles.Build(o.Kind, in); err != nil {
		return nil, err
	}
	if err := e.cfg.Linter.TBS(t.tbs, in); err != nil {
		return nil, err
	}
	return t, nil
}

// Issue redeems a token of this engine. Once the intent is written it runs to
// its end whatever becomes of ctx. Any error after that leaves the number to
// recovery.
func (e *Engine) Issue(ctx context.Context, t *Token) (Issued, error) {
	t.mu.Lock()
	owner := t.engine
	t.engine = nil
	t.mu.Unlock()
	if owner != e {
		return Issued{}, ErrRedeemed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
	defer cancel()
	in, err := e.intend(ctx, t)
	if errors.Is(err, store.ErrIntentTaken) {
		return e.Existing(ctx, t.order.Intent, t.order.RequestHash)
	}
	if err != nil {
		return Issued{}, err
	}
	der, err := e.sign(t)
	if err != nil {
		return Issued{}, err
	}
	if err := failpoint.Hit(failpoint.IssueAfterSign); err != nil {
		return Issued{}, err
	}
	if err := e.complete(ctx, t, in, der); err != nil {
		return Issued{}, err
	}
	in.State = store.Issued
	return Issued{Intent: in, DER: der}, nil
}

// intend is TX1.
func (e *Engine) intend(ctx context.Context, t *Token) (store.Intent, error) {
	o, tbs := t.order, t.tbs
	spki := sha256.Sum256(tbs.SPKI)
	in := store.Intent{SN: tbs.Serial, Kind: o.Kind, ProfileHash: tbs.ProfileHash, Intent: o.Intent, RequestHash: o.RequestHash[:],
		Subject: o.Owner, Person: o.Person, Appointment: o.Appointment, Epoch: o.Epoch, SPKIHash: spki[:], TBS: tbs.DER,
		NotBefore: tbs.NotBefore, NotAfter: tbs.NotAfter, State: store.Intended, At: t.now}
	if o.Issuer != nil {
		in.Issuer = o.Issuer.Slug
	} else {
		in.Issuer = o.Authority.Slug
	}
	if o.Key != nil {
		in.KeyID = o.Key.ID()
	}
	tbsHash := sha256.Sum256(tbs.DER)
	entry, err := e.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "ca.issue", Subject: o.Person, Actor: o.Actor, Institution: o.Institution, Purpose: string(o.Kind),
		Outcome: audit.OutcomeIntent, Object: hexOf(tbs.Serial), Leaf: tbsHash[:],
		Payload: details{Kind: o.Kind, Issuer: in.Issuer, Intent: o.Intent, Appointment: o.Appointment, NotBefore: tbs.NotBefore, NotAfter: tbs.NotAfter, SPKI: hexOf(spki[:])},
	})
	if err != nil {
		return in, err
	}
	if err := failpoint.Hit(failpoint.IssueBeforeIntent); err != nil {
		return in, err
	}
	if err := e.cfg.Store.Intend(ctx, store.NewIntent{Intent: in, Key: o.Key, Authority: o.Authority, Entry: entry}); err != nil {
		return in, fmt.Errorf("record intent: %w", err)
	}
	in.AuditIntent = entry.ID()
	return in, failpoint.Hit(failpoint.IssueAfterIntent)
}

// details is the sealed part of the audit entries.
type details struct {
	Kind        profile.Kind           `json:"kind"`
	Issuer      string                 `json:"issuer"`
	Intent      string                 `json:"intent"`
	Appointment identity.AppointmentID `json:"appointment,omitempty"`
	NotBefore   time.Time              `json:"not_before"`
	NotAfter    time.Time              `json:"not_after"`
	SPKI        string                 `json:"spki_sha256"`
}

// sign uses the issuer's key once and checks what comes back.
func (e *Engine) sign(t *Token) ([]byte, error) {
	sig, err := t.tbs.Algorithm.Sign(t.signer, t.tbs.DER)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	// The signer may be a module elsewhere: what counts is the issuer's
	// certificate, not the key that the module says it used.
	if err := t.tbs.Algorithm.Verify(t.public, t.tbs.DER, sig); err != nil {
		return nil, err
	}
	der := t.tbs.Certificate(sig)
	cert, err := x509.ParseCertificate(der)
	if err != nil || !bytes.Equal(cert.RawTBSCertificate, t.tbs.DER) || !bytes.Equal(cert.Signature, sig) {
		return nil, ErrMismatch
	}
	return der, nil
}

// complete is TX2.
func (e *Engine) complete(ctx context.Context, t *Token, in store.Intent, der []byte) error {
	o := t.order
	sum := sha256.Sum256(der)
	p, err := profile.Of(o.Kind)
	if err != nil {
		return err
	}
	var answers []store.OCSPRow
	if p.Responder {
		if answers, err = e.cfg.Answers.SignAhead(ctx, in.Issuer, in.SN, nil); err != nil {
			return fmt.Errorf("sign OCSP answer: %w", err)
		}
	}
	entry, err := e.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "ca.issue", Subject: o.Person, Actor: o.Actor, Institution: o.Institution, Purpose: string(o.Kind),
		Outcome: audit.OutcomeOK, Intent: in.AuditIntent, Object: hexOf(in.SN), Leaf: sum[:],
	})
	if err != nil {
		return err
	}
	err = e.cfg.Store.Complete(ctx, store.Completion{Intent: in, Certificate: der, SHA256: sum[:], At: e.cfg.Now(), Answers: answers, Entry: entry})
	switch {
	case errors.Is(err, store.ErrNotOpen), errors.Is(err, audit.ErrIntentClosed):
		return fmt.Errorf("store certificate: %w", ErrAbandoned)
	case err != nil:
		return fmt.Errorf("store certificate: %w", err)
	}
	return failpoint.Hit(failpoint.IssueAfterStore)
}
