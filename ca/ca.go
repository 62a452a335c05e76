package ca

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"oruro.gob.bo/suti/ca/internal/authority"
	"oruro.gob.bo/suti/ca/internal/issuance"
	"oruro.gob.bo/suti/ca/internal/status"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/lint"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/ca/tsa"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/keystore"
)

// Migrations creates the tables of the authority and of its time-stamping.
var Migrations = store.Migrations

// Mode says what the authority may do to come into being.
type Mode string

// The modes. Demo makes an online root by itself and may use the documentation
// arc. Production refuses both.
const (
	Demo       Mode = "demo"
	Production Mode = "production"
)

// Errors that callers branch on. profile, lint and subject add their own:
// profile.ErrSubject, profile.ErrValidity, lint.ErrKey, lint.ErrLint,
// subject.ErrStale, subject.ErrNotActive.
var (
	// ErrNotReady: Init has not succeeded yet.
	ErrNotReady = errors.New("ca: not initialised")
	// ErrNeedsRoot: there is no root, and production does not make one by itself.
	ErrNeedsRoot = errors.New("ca: no root; it is made in a ceremony")
	// ErrRequest: a request that cannot be.
	ErrRequest = errors.New("ca: bad request")
	// ErrProof: the proof of possession does not hold.
	ErrProof = errors.New("ca: proof of possession refused")
	// ErrNotFound: no such certificate or authority.
	ErrNotFound = store.ErrNotFound
	// ErrRevoked: revoked before.
	ErrRevoked = store.ErrRevoked
	// ErrReason: a reason for which nobody is revoked here.
	ErrReason = errors.New("ca: reason not allowed")
	// ErrNotIssued: the number has no certificate.
	ErrNotIssued = errors.New("ca: number has no certificate")
	// ErrKeyTaken and ErrKeyBlocked: the public key is another subject's, or blocked.
	ErrKeyTaken   = store.ErrKeyTaken
	ErrKeyBlocked = store.ErrKeyBlocked
	// ErrIssuerRevoked: the authority that was to sign is revoked.
	ErrIssuerRevoked = store.ErrIssuerRevoked
	// ErrInProgress, ErrAbandoned, ErrConflict: what became of an intent.
	ErrInProgress = issuance.ErrInProgress
	ErrAbandoned  = issuance.ErrAbandoned
	ErrConflict   = issuance.ErrConflict
	// ErrBusy: another node does this now.
	ErrBusy = status.ErrBusy
	// ErrNoAuthority: no authority may issue this now.
	ErrNoAuthority = authority.ErrNone
)

// Config configures [New]. DB, Keys, Audit, BaseURL and Organization are required.
type Config struct {
	DB    *db.DB
	Keys  *keystore.Store
	Audit *audit.Log
	// BaseURL is where /pki/… is served, http:// without a trailing slash. It
	// stands in certificates for as long as they live.
	BaseURL string
	// Mode; default Demo.
	Mode Mode
	// InsecureOnlineRoot lets production make and keep its root key in the
	// online key store. Whoever then takes over the node can make authorities.
	InsecureOnlineRoot bool
	// Arc is the private enterprise arc of the policies; default the
	// documentation arc, which production refuses.
	Arc string
	// Organization runs the authority; OrganizationID is its NIT, ShortName and
	// Notice go into the user notice (see profile.Settings).
	Organization, OrganizationID, ShortName, Notice string
	// Node names this node for good; default "embedded". Two nodes on one
	// database MUST have different names: each draws numbers under its own prefix.
	Node string
	// Prefix, if not 0, is the prefix that this node must have, 1 to 127.
	Prefix uint8
	// IssuerAlg is the algorithm of new authorities, default ES384; ServiceAlg
	// that of OCSP responders and time-stamping units, default ES256.
	IssuerAlg, ServiceAlg keystore.Alg
	// Clock is the time-stamping service's; default tsa.SystemClock on Now.
	Clock tsa.Clock
	// Accuracy is what tokens state; default 500 ms.
	Accuracy time.Duration
	Logger   *slog.Logger
	// Now is the clock of certificates and lists; default time.Now.
	Now func() time.Time
}

// CA is the authority. It is safe for concurrent use.
type CA struct {
	cfg         Config
	holder      string
	profiles    *profile.Set
	linter      *lint.Linter
	store       *store.Store
	authorities *authority.Directory
	responder   *status.Responder
	publisher   *status.Publisher
	live        atomic.Pointer[live] // nil until Init has claimed the prefix
}

// live is what needs the node's prefix.
type live struct {
	engine *issuance.Engine
	tsa    *tsa.Service
}

// New checks the configuration. Call [CA.Init] before anything else.
func New(c Config) (*CA, error) {
	if c.DB == nil || c.Keys == nil || c.Audit == nil {
		return nil, errors.New("ca: Config needs DB, Keys and Audit")
	}
	if c.Mode == "" {
		c.Mode = Demo
	}
	if c.Mode != Demo && c.Mode != Production {
		return nil, fmt.Errorf("ca: unknown mode %q", c.Mode)
	}
	if c.Node == "" {
		c.Node = "embedded"
	}
	if c.IssuerAlg == "" {
		c.IssuerAlg = keystore.ES384
	}
	if c.ServiceAlg == "" {
		c.ServiceAlg = keystore.ES256
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Clock == nil {
		c.Clock = tsa.SystemClock{Source: c.Now}
	}
	set, err := profile.New(profile.Settings{Arc: c.Arc, Production: c.Mode == Production, BaseURL: c.BaseURL,
		Organization: c.Organization, OrganizationID: c.OrganizationID, ShortName: c.ShortName, Notice: c.Notice})
	if err != nil {
		return nil, err
	}
	linter, err := lint.New(set)
	if err != nil {
		return nil, err
	}
	x := &CA{cfg: c, holder: "ca-" + rand.Text(), profiles: set, linter: linter, store: store.New(c.DB, c.Audit, c.Keys)}
	x.authorities = authority.New(x.store)
	x.responder = status.New(status.Config{Store: x.store, Authorities: x.authorities, Keys: c.Keys, Now: c.Now})
	x.publisher = status.NewPublisher(status.PublisherConfig{DB: c.DB, Store: x.store, Authorities: x.authorities,
		Keys: c.Keys, Linter: linter, Holder: x.holder, Now: c.Now})
	return x, nil
}

// engine returns the issuing engine, or [ErrNotReady].
func (c *CA) engine() (*issuance.Engine, error) {
	if l := c.live.Load(); l != nil {
		return l.engine, nil
	}
	return nil, ErrNotReady
}

// TSA returns the time-stamping service, or nil before Init.
func (c *CA) TSA() *tsa.Service {
	if l := c.live.Load(); l != nil {
		return l.tsa
	}
	return nil
}

// Profiles returns the deployment's profiles, for their policies and notice.
func (c *CA) Profiles() *profile.Set { return c.profiles }

// Roots returns the trust anchors, newest first.
func (c *CA) Roots() []*x509.Certificate {
	var out []*x509.Certificate
	for _, a := range c.authorities.All() {
		if a.Kind == profile.Root {
			out = append(out, a.Cert)
		}
	}
	return out
}

// Certificate is an issued certificate. Serial is its number, big-endian.
type Certificate struct {
	Serial    []byte
	DER       []byte
	Kind      profile.Kind
	NotBefore time.Time
	NotAfter  time.Time
	// Path is the certificates above it in DER: the issuing authority, the root.
	Path [][]byte
	// AuditIntent is the audit entry that announced it; another closes it.
	AuditIntent string
	// Existing tells that the same request was served before.
	Existing bool
}

// Chain returns the certificate with that number and its path. Errors:
// [ErrNotFound], [ErrNotIssued].
func (c *CA) Chain(ctx context.Context, serial []byte) (Certificate, error) {
	in, err := c.store.BySN(ctx, serial)
	if err != nil {
		return Certificate{}, err
	}
	der, err := c.store.Certificate(ctx, serial)
	if errors.Is(err, store.ErrNotFound) {
		return Certificate{}, ErrNotIssued
	}
	if err != nil {
		return Certificate{}, err
	}
	return c.certificate(issuance.Issued{Intent: in, DER: der, Existing: true})
}

func (c *CA) certificate(i issuance.Issued) (Certificate, error) {
	path, err := c.authorities.Path(i.Intent.Issuer)
	if err != nil {
		return Certificate{}, err
	}
	out := Certificate{Serial: i.Intent.SN, DER: i.DER, Kind: i.Intent.Kind, NotBefore: i.Intent.NotBefore, NotAfter: i.Intent.NotAfter,
		AuditIntent: i.Intent.AuditIntent, Existing: i.Existing}
	for _, a := range path {
		out.Path = append(out.Path, a.Cert.Raw)
	}
	return out, nil
}

// Status is how a number stands. State is "intended", "issued" or "abandoned";
// an abandoned number is revoked.
type Status struct {
	Issuer    string
	State     string
	Revoked   bool
	Reason    Reason
	RevokedAt time.Time
}

// Status reads how a number stands, or [ErrNotFound].
func (c *CA) Status(ctx context.Context, serial []byte) (Status, error) {
	st, err := c.store.Status(ctx, serial, 0)
	if err != nil {
		return Status{}, err
	}
	return Status{Issuer: st.Issuer, State: string(st.State), Revoked: st.Revoked, Reason: Reason(st.Reason), RevokedAt: st.RevokedAt}, nil
}
