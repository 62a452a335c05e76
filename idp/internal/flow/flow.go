// Package flow is the login as a persisted state machine. A request becomes an
// interaction, a row that its browser alone may see; one dispatcher looks at
// that row, at the browser's session and at the clock and says what is next:
// authenticate, step up, consent, or answer the application. Nothing else is
// remembered, so that several tabs, reload, the back button and an hour's pause
// all end well. The answer is one transaction with its audit entry, and an
// interaction has one. Only idp may import it.
package flow

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"oruro.gob.bo/suti/idp/internal/live"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/page"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// LocalClient is the client id under which Suti's own pages ask for a login.
const LocalClient = "suti"

// interactionLifetime is how long a login may take. An older one begins anew
// from its stored request.
const interactionLifetime = time.Hour

// consentLifetime is how long a permission holds without being asked again.
const consentLifetime = 365 * 24 * time.Hour

// LoginRequest asks for a passkey ceremony.
type LoginRequest struct {
	Person  identity.PersonID // empty: whoever the authenticator names
	Binding []byte            // ties the ceremony to a browser and a purpose
}

// LoginCeremony is a passkey ceremony under way.
type LoginCeremony struct {
	ID      string
	Options json.RawMessage // {"publicKey": PublicKeyCredentialRequestOptionsJSON} (WebAuthn Level 3 §5.1.8)
	Expires time.Time
}

// Authenticator verifies passkeys.
type Authenticator interface {
	// BeginLogin starts a ceremony that can be finished once, within minutes.
	BeginLogin(ctx context.Context, req LoginRequest) (LoginCeremony, error)
	// FinishLogin verifies the browser's answer. It MUST consume the ceremony
	// before verifying and refuse another binding. A refusal wraps ErrRefused
	// and may name whose credential it was in Person, of which the person is
	// told; any other error is a fault.
	FinishLogin(ctx context.Context, id string, binding []byte, response json.RawMessage) (identity.Authentication, error)
}

// CardChallenge asks for one cell of a person's printed code card.
type CardChallenge struct {
	ID   string
	Cell string // the cell's number as printed
}

// CardAuthenticator verifies password and code card.
type CardAuthenticator interface {
	// BeginCard names an unused cell. For an unknown login it MUST answer in the
	// same shape and time. It may refuse with ErrThrottled.
	BeginCard(ctx context.Context, login string, binding []byte) (CardChallenge, error)
	// FinishCard verifies both and spends the cell. A refusal wraps ErrRefused
	// or ErrThrottled, does not tell which part was wrong, and may name in Person
	// who was meant.
	FinishCard(ctx context.Context, id string, binding []byte, password, code string) (identity.Authentication, error)
}

// Directory tells what is known of people.
type Directory = session.Directory

// ErrRefused reports credentials that prove nothing.
var ErrRefused = errors.New("idp: authentication refused")

// ErrThrottled reports too many failures; the person must wait or come to a counter.
var ErrThrottled = errors.New("idp: too many failed attempts")

// Config configures New; all fields but Cards, Leads, Logger and Now are needed.
type Config struct {
	Issuer  string
	DB      *db.DB
	Clients *live.Clients
	Audit   *audit.Log
	Limiter cache.Taker
	// LoginsPerMinute is how many logins one address may begin, twice as many at once.
	LoginsPerMinute int
	Engine          *oauth.Engine
	Session         *session.Manager
	Pages           *page.Pages
	Authenticator   Authenticator
	Cards           CardAuthenticator
	Directory       Directory
	// Institution names an institution; nil leaves it out.
	Institution func(context.Context, identity.InstitutionID) (string, error)
	// Leads are what the login page says for our own pages, by path prefix.
	Leads  map[string]string
	Logger *slog.Logger
	Now    func() time.Time
}

// Flow serves the login. It is safe for concurrent use and keeps nothing in memory.
type Flow struct {
	cfg     Config
	refusal chan struct{} // a place for each record of a refusal under way
	records sync.WaitGroup
}

// New checks the configuration.
func New(c Config) (*Flow, error) {
	if c.Issuer == "" || c.DB == nil || c.Clients == nil || c.Audit == nil || c.Limiter == nil || c.LoginsPerMinute < 1 || c.Engine == nil || c.Session == nil || c.Pages == nil || c.Authenticator == nil || c.Directory == nil {
		return nil, errors.New("idp: flow lacks a dependency")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Flow{cfg: c, refusal: make(chan struct{}, maxRecords)}, nil
}
