package passkey

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

const (
	// CeremonyLifetime is how long a ceremony waits for the browser's answer.
	CeremonyLifetime = 5 * time.Minute
	maxResponse      = 64 << 10
	maxPreimage      = 256 << 10
	maxPerPerson     = 20
)

// Errors that callers branch on. The library's own details never leave.
var (
	// ErrCeremony reports a ceremony that is unknown, used, expired, of another
	// purpose or of another browser.
	ErrCeremony = errors.New("passkey: no such ceremony here")
	// ErrRefused reports an answer that does not verify.
	ErrRefused = errors.New("passkey: refused")
	// ErrUnknown reports a credential that is not, or no longer, registered.
	ErrUnknown = errors.New("passkey: unknown credential")
	// ErrNotActive reports a credential or person that may not authenticate.
	ErrNotActive = errors.New("passkey: not active")
	// ErrClone reports a counter that did not rise; the credential is suspended.
	ErrClone = errors.New("passkey: counter did not rise, credential suspended")
	// ErrBackupChanged reports that the backup-eligible flag is not what it was at registration.
	ErrBackupChanged = errors.New("passkey: backup eligibility changed")
	// ErrExists reports a credential id that is registered already.
	ErrExists = errors.New("passkey: credential is registered already")
	// ErrTooMany reports a person with the largest number of passkeys allowed.
	ErrTooMany = errors.New("passkey: too many passkeys")
)

// Purpose says what a ceremony is for; one begun for one purpose cannot end as another.
type Purpose string

// The purposes.
const (
	Enrol   Purpose = "enrol"
	Login   Purpose = "login"
	StepUp  Purpose = "step-up"
	Sign    Purpose = "sign"
	Act     Purpose = "act"
	Recover Purpose = "recover"
)

// DataKeys gives the keys under which credential records are sealed.
type DataKeys interface {
	DataKey(ctx context.Context, owner string) (envelope.Key, error)
}

// Config configures New; Origin, DB, Keys and Audit are needed.
type Config struct {
	// Origin is the public address of the provider, for instance
	// "https://id.oruro.example". Its host is the RP ID and can never change.
	Origin string
	// Name is shown by authenticators.
	Name  string
	DB    *db.DB
	Keys  DataKeys
	Audit *audit.Log
	Now   func() time.Time
}

// Service registers and verifies passkeys. It is safe for concurrent use.
type Service struct {
	cfg Config
	lib *webauthn.WebAuthn
	rp  string
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	u, err := url.Parse(c.Origin)
	if err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost") {
		return nil, errors.New("passkey: Origin must be https, or http on localhost, without a path")
	}
	if c.DB == nil || c.Keys == nil || c.Audit == nil {
		return nil, errors.New("passkey: DB, Keys and Audit are needed")
	}
	if c.Name == "" {
		c.Name = "Suti"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	timeout := webauthn.TimeoutConfig{Enforce: true, Timeout: CeremonyLifetime, TimeoutUVD: CeremonyLifetime}
	lib, err := webauthn.New(&webauthn.Config{
		RPID: u.Hostname(), RPDisplayName: c.Name, RPOrigins: []string{c.Origin},
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(), UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: timeout, Registration: timeout},
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &Service{cfg: c, lib: lib, rp: u.Hostname()}, nil
}

// RPID returns the relying party id.
func (s *Service) RPID() string { return s.rp }

// Begin says what ceremony to start.
type Begin struct {
	Purpose Purpose
	// Person is whose passkey it is to be. Empty, for Login only: whoever answers.
	Person identity.PersonID
	// Binding ties the ceremony to a browser; Finish must bring the same bytes.
	Binding []byte
	// Challenge is what the passkey signs; 32 bytes of which the caller kept the
	// preimage, for Sign and Act. Nil draws one.
	Challenge []byte
	// Preimage is given back by FinishLogin.
	Preimage []byte
	// Pending, with Recover, asks for one pending passkey of the person's, which
	// signs the act that names it: Challenge is needed.
	Pending identity.CredentialID
	// Attest asks the authenticator to prove its model at registration.
	Attest bool
}

// Ceremony is a ceremony under way.
type Ceremony struct {
	ID      string
	Options json.RawMessage // {"publicKey": …} in the JSON form of WebAuthn Level 3 §5.1.8 and §5.1.9
	Expires time.Time
}

// Evidence is an assertion as the authenticator made it, for verifiers that do
// not trust this service (design D8).
type Evidence struct {
	CredentialID      []byte
	PublicKey         []byte // COSE_Key
	AuthenticatorData []byte
	ClientDataJSON    []byte
	Signature         []byte
}

// Assertion is a verified ceremony.
type Assertion struct {
	Authentication identity.Authentication
	Evidence       Evidence
	Preimage       []byte
}

// State is where a credential is in its life.
type State string

// The states. Suspect is a credential whose counter did not rise.
const (
	Pending   = State(machine.KeyPending) // enters nowhere
	Active    = State(machine.KeyActive)
	Suspect   = State(machine.KeySuspect)
	Suspended = State(machine.KeySuspended)
	Revoked   = State(machine.KeyRevoked)
)

// Credential is a registered passkey.
type Credential struct {
	ID             identity.CredentialID
	Person         identity.PersonID
	CredentialID   []byte
	PublicKey      []byte // COSE_Key
	Label          string
	State          State
	BackupEligible bool
	BackedUp       bool
	Attested       bool
	CreatedAt      time.Time
	UsedAt         time.Time // zero if never used
}

// user presents a person and the credentials to the library.
type user struct {
	handle      []byte
	name        string
	credentials []webauthn.Credential
}

// WebAuthnID implements webauthn.User.
func (u *user) WebAuthnID() []byte { return u.handle }

// WebAuthnName implements webauthn.User.
func (u *user) WebAuthnName() string { return u.name }

// WebAuthnDisplayName implements webauthn.User.
func (u *user) WebAuthnDisplayName() string { return u.name }

// WebAuthnCredentials implements webauthn.User.
func (u *user) WebAuthnCredentials() []webauthn.Credential { return u.credentials }
