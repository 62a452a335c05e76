package core

import (
	"context"
	"crypto"
	"embed"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/signer/pades"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the migration line of the core's tables.
var Migrations = db.Line{Name: "signer_core", FS: files}

// CertificateRequest asks the authority for a certificate of a personal key.
type CertificateRequest struct {
	// IntentID makes repeated requests have one effect.
	IntentID    string
	Profile     identity.Profile
	Epoch       identity.Epoch
	Appointment *identity.Appointment // nil: the person signs as such
	PublicKey   crypto.PublicKey
	Proof       []byte // PKCS #10 in DER, common name IntentID
	Actor       string
}

// Certifier is the certification authority, as the core sees it.
type Certifier interface {
	// Certificate returns the person's certificate and its path in DER. It MUST
	// be idempotent by IntentID. An error that wraps [ErrCertificateAbandoned]
	// says that this intent will never succeed.
	Certificate(ctx context.Context, r CertificateRequest) (chain [][]byte, err error)
	// OCSP returns a response (RFC 6960) about the certificate with that serial
	// number, big-endian. It MUST reflect every revocation that was answered before the call.
	OCSP(ctx context.Context, serial []byte) ([]byte, error)
}

// Standing is the people's standing (design D16). [LocalStanding] reads the
// table subject of the same database.
type Standing interface {
	// Check returns subject.ErrStale, subject.ErrNotActive or subject.ErrUnknown
	// unless the person is active at epoch.
	Check(ctx context.Context, person identity.PersonID, epoch subject.Epoch) error
	// Require does the same inside a write and holds it until the commit. A core
	// with a database of its own returns nil and relies on Check and its acts.
	Require(tx *db.Tx, person identity.PersonID, epoch subject.Epoch) error
}

// Hint is a passkey as the registration service knows it.
type Hint struct {
	CredentialID []byte // of WebAuthn
	COSE         []byte
}

// Hints tells which credential id belongs to which key. It is not trusted: what
// it names must be accepted by the core's own acts. Without it people choose among
// the passkeys that their device offers.
type Hints interface {
	// OfPerson lists a person's passkeys.
	OfPerson(ctx context.Context, person identity.PersonID) ([]Hint, error)
	// ByID returns the key of a credential id of anybody; nil if unknown.
	ByID(ctx context.Context, credentialID []byte) (cose []byte, err error)
}

// KeyPolicy says which passkeys may activate signatures.
type KeyPolicy string

// The policies. Any accepts synchronised passkeys too; the evidence names the
// policy and the kind of key.
const (
	AnyKey      KeyPolicy = "any"
	DeviceBound KeyPolicy = "device-bound"
)

// Config configures [New]. DB, Keys, Audit, Certifier and Timestamper are required.
type Config struct {
	DB          *db.DB
	Keys        *keystore.Store
	Audit       *audit.Log
	Certifier   Certifier
	Timestamper pades.Timestamper
	// Standing defaults to [LocalStanding] on DB.
	Standing Standing
	Hints    Hints
	// Genesis is the pinned trust anchor; if zero, the one that [Core.Pin] stored.
	Genesis act.Hash
	// KeyPolicy defaults to AnyKey.
	KeyPolicy KeyPolicy
	// Least is the least level at which a passkey must be enrolled; default N2.
	Least identity.Level
	// Term is how long an activation may be used; default 5 minutes, at most 10.
	Term time.Duration
	// Suspect, if set, is told of a passkey whose counter did not rise, so that
	// the registration service suspends it. It MUST return quickly.
	Suspect func(ctx context.Context, person identity.PersonID, cose []byte)
	// Zone is in which signing times are written; default UTC−4 (Bolivia).
	Zone   *time.Location
	Logger *slog.Logger
	Now    func() time.Time
}

// Core is the signing core. It is safe for concurrent use.
type Core struct {
	cfg    Config
	loadMu sync.Mutex // serialises loading of acts
	acts   atomic.Pointer[snapshot]
}

// MaxTerm is the longest term of an activation.
const MaxTerm = 10 * time.Minute

// New checks the configuration.
func New(c Config) (*Core, error) {
	if c.DB == nil || c.Keys == nil || c.Audit == nil || c.Certifier == nil || c.Timestamper == nil {
		return nil, errors.New("core: DB, Keys, Audit, Certifier and Timestamper are required")
	}
	if c.KeyPolicy == "" {
		c.KeyPolicy = AnyKey
	}
	if c.KeyPolicy != AnyKey && c.KeyPolicy != DeviceBound {
		return nil, errors.New("core: unknown key policy")
	}
	if c.Least == identity.N0 {
		c.Least = identity.N2
	}
	if c.Term == 0 {
		c.Term = 5 * time.Minute
	}
	if c.Term < 0 || c.Term > MaxTerm {
		return nil, errors.New("core: term of activations out of bounds")
	}
	if c.Zone == nil {
		c.Zone = time.FixedZone("-04", -4*60*60)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Standing == nil {
		c.Standing = LocalStanding{DB: c.DB}
	}
	return &Core{cfg: c}, nil
}

// KeyPolicy returns the policy in force.
func (c *Core) KeyPolicy() KeyPolicy { return c.cfg.KeyPolicy }

// LocalStanding reads the table subject of the core's own database.
type LocalStanding struct{ DB *db.DB }

// Check implements [Standing].
func (l LocalStanding) Check(ctx context.Context, person identity.PersonID, epoch subject.Epoch) error {
	var s subject.Subject
	err := l.DB.Read(ctx, func(tx *db.Tx) (err error) {
		s, err = subject.Current(tx, person)
		return err
	})
	switch {
	case err != nil:
		return err
	case s.State != subject.Active:
		return subject.ErrNotActive
	case s.Epoch != epoch:
		return subject.ErrStale
	}
	return nil
}

// Require implements [Standing].
func (l LocalStanding) Require(tx *db.Tx, person identity.PersonID, epoch subject.Epoch) error {
	return subject.Require(tx, person, epoch)
}

// standingError maps the reasons of [Standing].
func standingError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, subject.ErrNotActive):
		return refuse(CodeSuspended, err)
	case errors.Is(err, subject.ErrStale):
		return refuse(CodeStale, err)
	case errors.Is(err, subject.ErrUnknown):
		return refuse(CodeNotEnrolled, err)
	}
	return err
}
