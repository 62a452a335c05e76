package idp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/flow"
	"oruro.gob.bo/suti/idp/internal/jwks"
	"oruro.gob.bo/suti/idp/internal/live"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/page"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/web"
)

// Migrations is the provider's migration line.
var Migrations = store.Migrations

// Texts returns the catalogue of the provider's pages.
func Texts() fs.FS { return page.Texts() }

// The interfaces that the provider consumes; see their methods for the contract.
type (
	Authenticator     = flow.Authenticator
	CardAuthenticator = flow.CardAuthenticator
	Directory         = flow.Directory
	LoginRequest      = flow.LoginRequest
	LoginCeremony     = flow.LoginCeremony
	CardChallenge     = flow.CardChallenge
	Fetcher           = client.Fetcher
)

// Refusals that the authenticators wrap.
var (
	ErrRefused   = flow.ErrRefused
	ErrThrottled = flow.ErrThrottled
)

// Config configures New. Issuer, DB, Keys, KEK, Audit, Limiter,
// Authenticator, Directory and Pages are needed.
type Config struct {
	// Issuer is the public address, an origin without path or slash at its end.
	Issuer string
	DB     *db.DB
	Keys   *keystore.Store
	// KEK is the key from which the provider's own secrets are derived.
	KEK   envelope.Key
	Audit *audit.Log
	// Limiter counts logins begun and requests pushed. What it loses is counted anew.
	Limiter cache.Taker
	// LoginsPerMinute is how many logins one address (IPv6: one /64) may begin a
	// minute, twice as many at once; 60 if 0, since a whole office may stand behind
	// one address. A public client may push five times as many requests from one
	// address, a confidential one a hundred times as many from all of its own.
	LoginsPerMinute int

	Authenticator Authenticator
	Cards         CardAuthenticator // nil: no password and code card
	Directory     Directory
	// Institution names an institution to people, on pages where they must know
	// who asks; nil leaves it out.
	Institution func(context.Context, identity.InstitutionID) (string, error)

	// MTLS lets clients prove themselves, and bind tokens, by certificate; nil: they cannot.
	MTLS *MTLS

	// DeviceBoundN3 asks device-bound keys for N3; the demo leaves it off and says so.
	DeviceBoundN3 bool
	// Fetcher reads the keys that clients publish at an address; nil: none may. It
	// MUST check addresses when it dials, bound time and size, and follow no redirect.
	Fetcher Fetcher
	// Leads says, by the path below which a page of this site lies, what the login
	// page tells whoever comes for it: keys of texts without arguments, which must
	// give nothing away to strangers. The longest path counts.
	Leads map[string]string
	// Pages renders pages; its catalogue holds Texts.
	Pages  *web.Pages
	Logger *slog.Logger
	Now    func() time.Time
}

// Provider is the OpenID provider. It is safe for concurrent use.
type Provider struct {
	cfg     Config
	engine  *oauth.Engine
	keys    *jwks.Keys
	clients *client.Authenticator
	live    *live.Follower
	known   *live.Clients
	tokens  *live.Tokens
	session *session.Manager
	flow    *flow.Flow
	pages   *page.Pages

	nonceKey []byte // authenticates DPoP nonces, the same on every node
}

// New checks the configuration, makes the signing keys that are missing and
// returns the provider. The migrations must have run.
func New(ctx context.Context, c Config) (*Provider, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	p := &Provider{cfg: c, keys: jwks.New(jwks.Config{DB: c.DB, Keys: c.Keys, Now: c.Now})}
	if err := p.keys.Ensure(ctx); err != nil {
		return nil, fmt.Errorf("idp: signing keys: %w", err)
	}
	secret := secretOf(c.KEK, "suti/idp/code")
	p.nonceKey = secretOf(c.KEK, "suti/idp/dpop-nonce")
	var err error
	if p.engine, err = oauth.New(oauth.Config{Issuer: c.Issuer, Secret: secret, Signer: p.keys, Now: c.Now}); err != nil {
		return nil, err
	}
	p.live = live.New(live.Config{DB: c.DB, Now: c.Now, Logger: c.Logger})
	p.known, p.tokens = live.NewClients(p.live), live.NewTokens(p.live)
	if p.clients, err = client.New(client.Config{
		DB: c.DB, Clients: p.known, Issuer: c.Issuer, SecretKey: secretOf(c.KEK, "suti/idp/client-secret"), Fetcher: c.Fetcher, Audit: c.Audit, Logger: c.Logger, Now: c.Now,
		Endpoints: []string{c.Issuer + pathToken, c.Issuer + pathPAR, c.Issuer + pathIntrospect, c.Issuer + pathRevoke, c.Issuer + pathDevice},
		TLS:       c.MTLS.source(),
	}); err != nil {
		return nil, err
	}
	if p.pages, err = page.New(c.Pages); err != nil {
		return nil, err
	}
	if p.session, err = session.New(session.Config{DB: c.DB, Live: p.live, Audit: c.Audit, Directory: c.Directory, DeviceBoundN3: c.DeviceBoundN3, Now: c.Now}); err != nil {
		return nil, err
	}
	p.flow, err = flow.New(flow.Config{
		Issuer: c.Issuer, DB: c.DB, Clients: p.known, Audit: c.Audit, Limiter: c.Limiter, LoginsPerMinute: c.LoginsPerMinute, Engine: p.engine, Session: p.session,
		Authenticator: c.Authenticator, Cards: c.Cards, Directory: c.Directory, Institution: c.Institution, Leads: c.Leads, Pages: p.pages, Logger: c.Logger, Now: c.Now,
	})
	if err != nil {
		return nil, err
	}
	return p, p.ensureLocal(ctx)
}

// maxLoginsPerMinute keeps a hundred times as many within what a limiter counts.
const maxLoginsPerMinute = 100_000

func (c *Config) check() error {
	u, err := url.Parse(c.Issuer)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(c.Issuer, "/") {
		return errors.New("idp: Issuer must be an origin such as https://id.oruro.example")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "localhost") {
		return errors.New("idp: Issuer must be https, or http on localhost")
	}
	if c.DB == nil || c.Keys == nil || c.Audit == nil || c.Limiter == nil || c.Authenticator == nil || c.Directory == nil || c.Pages == nil {
		return errors.New("idp: DB, Keys, Audit, Limiter, Authenticator, Directory and Pages are needed")
	}
	if c.LoginsPerMinute == 0 {
		c.LoginsPerMinute = 60
	}
	if c.LoginsPerMinute < 0 || c.LoginsPerMinute > maxLoginsPerMinute {
		return fmt.Errorf("idp: LoginsPerMinute must be from 1 to %d", maxLoginsPerMinute)
	}
	if err := c.MTLS.check(); err != nil {
		return err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

// secretOf derives a secret of the provider from the KEK.
func secretOf(kek envelope.Key, label string) []byte {
	k := envelope.Derive(kek, label)
	return k.Reveal()
}

// Settle waits until the records of refused logins, which are written aside so
// that an answer takes as long for a stranger as for somebody known, are written.
func (p *Provider) Settle() { p.flow.Settle() }

// keepReceipts is how long receipts of notices are kept after they were closed.
const keepReceipts = 30 * 24 * time.Hour

// Run follows the changes that end what this node keeps in memory, until ctx
// ends. A node on which it does not run asks the database every time.
func (p *Provider) Run(ctx context.Context) { p.live.Run(ctx) }

// Follow reads the changes once, as Run does five times a second.
func (p *Provider) Follow(ctx context.Context) error { return p.live.Step(ctx) }

// Purge removes rows that expired before the time given, at most limit of a kind.
func (p *Provider) Purge(ctx context.Context, before time.Time, limit int) error {
	return p.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := store.Purge(tx, before, limit); err != nil {
			return err
		}
		return store.PurgeNotices(tx, before.Add(-keepReceipts), limit)
	})
}
