package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/cmd/internal/console"
	"oruro.gob.bo/suti/cmd/internal/notices"
	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/safehttp"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/core"
)

// Lines returns every migration line of this program.
func Lines() []db.Line {
	return append([]db.Line{
		subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, blob.Migrations,
		notify.Migrations, account.Migrations, passkey.Migrations, enrolment.Migrations, idp.Migrations, ca.Migrations,
	}, signer.Migrations...)
}

// App is the whole service in one process.
type App struct {
	*Bones
	Config    Config
	Site      *web.Site
	Pages     *web.Pages
	Accounts  *account.Service
	Passkeys  *passkey.Service
	Enrolment *enrolment.Service
	CA        *ca.CA
	Core      *core.Core
	Signer    *signer.Service
	IDP       *idp.Provider

	catalog  *i18n.Catalog
	draws    drawer
	rates    *cache.Limiter
	notices  *notices.Follower
	mailbox  *notify.Demo // of a demonstration
	outbox   *outbox.Worker
	muxes    []web.Mux
	browser  *web.BrowserMux
	protocol *web.ProtocolMux
	api      *web.APIMux
	once     sync.Once
	handler  http.Handler
}

// New opens everything, makes what is missing and wires the contexts. Nothing
// runs in the background until Run.
func New(ctx context.Context, c Config) (*App, error) {
	bones, err := OpenBones(ctx, &c)
	if err != nil {
		return nil, err
	}
	a := &App{Bones: bones, Config: c}
	for _, step := range []func(context.Context) error{a.openSite, a.openEnrolment, a.openCA, a.openIDP, a.openSigner, a.openNotices, a.openOutbox} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	if err := a.routes(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) openSite(context.Context) error {
	var err error
	a.catalog, err = i18n.New(map[string]fs.FS{
		"web": web.Texts(), "idp": idp.Texts(), "enrolment": enrolment.Texts(), "signer": signer.Texts(), "console": console.Texts(), "notify": notify.Texts(),
	})
	if err != nil {
		return err
	}
	if a.Pages, err = web.NewPages(web.PagesConfig{Catalog: a.catalog, Demo: a.Config.Demo}); err != nil {
		return err
	}
	public, err := web.ParsePublicURL(a.Config.PublicURL)
	if err != nil {
		return err
	}
	if a.Site, err = web.New(web.Config{
		Public: public, Catalog: a.catalog, Pages: a.Pages, TrustedProxies: a.Config.TrustedProxies, Logger: a.Config.Logger, Metrics: a.Config.Metrics, Now: a.Config.Now,
	}); err != nil {
		return err
	}
	if a.browser, err = a.Site.NewBrowserMux(web.BrowserConfig{InsecureCrossOriginBypass: []string{idp.AuthorizePost, idp.LogoutPost}}); err != nil {
		return err
	}
	a.protocol, a.api = a.Site.NewProtocolMux(), a.Site.NewAPIMux()
	a.muxes = []web.Mux{a.browser, a.protocol, a.api}
	return nil
}

func (a *App) openCA(ctx context.Context) error {
	mode := ca.Production
	if a.Config.Demo {
		mode = ca.Demo
	}
	var err error
	a.CA, err = ca.New(ca.Config{
		DB: a.DB, Keys: a.Keys, Audit: a.Audit, BaseURL: a.Config.PKIURL, Mode: mode, InsecureOnlineRoot: a.Config.InsecureOnlineRoot, Arc: a.Config.Arc,
		Organization: a.Config.Organization, OrganizationID: a.Config.OrganizationID, ShortName: a.Config.ShortName, Node: a.Config.Node,
		Logger: a.Config.Logger, Now: a.Config.Now,
	})
	if err != nil {
		return err
	}
	if err := a.CA.Init(ctx); err != nil {
		return fmt.Errorf("certification authority: %w", err)
	}
	return nil
}

func (a *App) openIDP(ctx context.Context) error {
	logins := a.Config.LoginsPerMinute
	if a.Config.Demo && logins == 0 {
		logins = demoLogins
	}
	keys, err := a.callClients(64 << 10)
	if err != nil {
		return err
	}
	a.IDP, err = idp.New(ctx, idp.Config{
		Fetcher: keys, Issuer: a.Config.PublicURL, DB: a.DB, Keys: a.Keys, KEK: a.Node.KEK(), Audit: a.Audit, Limiter: a.rates, LoginsPerMinute: logins, Pages: a.Pages,
		Authenticator: passkeyLogin{a.Passkeys}, Cards: cardLogin{a.Accounts}, Directory: a.Accounts, Institution: a.institutionName, Leads: signer.LoginLeads(), DeviceBoundN3: !a.Config.Demo, MTLS: a.Config.MTLS,
		Logger: a.Config.Logger, Now: a.Config.Now,
	})
	return err
}

// demoLogins is how many logins a minute one address may begin at a
// demonstration, where all come from this machine and programs try it out.
const demoLogins = 100_000

// openOutbox makes the one worker that carries effects between contexts.
func (a *App) openOutbox(context.Context) error {
	client, err := a.callClients(64 << 10)
	if err != nil {
		return err
	}
	topic, notify := a.IDP.BackchannelHandler(client)
	handlers := map[string]outbox.Handler{topic: notify, account.TopicSubject: a.subjectChanged, ca.TopicRevoked: a.certificateRevoked}
	for t, h := range a.Enrolment.Handlers() {
		handlers[t] = h
	}
	tell, err := a.notifier()
	if err != nil {
		return err
	}
	for t, h := range tell.Handlers() {
		handlers[t] = h
	}
	a.outbox, err = outbox.New(outbox.Config{DB: a.DB, Handlers: handlers, GivenUp: map[string]func(*db.Tx, outbox.Message) error{topic: a.IDP.BackchannelGivenUp}, Logger: a.Config.Logger, Now: a.Config.Now})
	return err
}

// callClients returns a client for the addresses that applications register.
func (a *App) callClients(most int64) (*safehttp.Client, error) {
	return safehttp.New(safehttp.Config{
		AllowHosts: a.backchannelHosts(), InsecureAllowHTTP: a.Config.Demo && !a.Site.Public().Secure(), TLS: a.Config.BackchannelTLS,
		Ports: []uint16{0}, Timeout: 10 * time.Second, MaxResponse: most, Now: a.Config.Now,
	})
}

func (a *App) backchannelHosts() []string {
	if a.Config.Demo {
		return append([]string{"localhost"}, a.Config.BackchannelHosts...)
	}
	return a.Config.BackchannelHosts
}

// routes mounts what every context serves. Further pages may be added by
// Browser before Handler is called.
func (a *App) routes() error {
	a.IDP.Browser(a.browser)
	a.IDP.Protocol(a.protocol)
	a.Signer.RegisterBrowser(a.browser)
	a.Signer.RegisterAPI(a.api)
	if err := a.Enrolment.Routes(enrolment.WebConfig{Mux: a.browser, Pages: a.Pages, Auth: a.IDP, SignOut: console.PathSignOut, NotMe: console.PathNotMe, Nav: console.Nav}); err != nil {
		return err
	}
	c := console.Config{
		Mux: a.browser, Pages: a.Pages, Auth: a.IDP, Account: a.IDP, Registry: a.Enrolment, DB: a.DB, Audit: a.Audit,
		VerifierKey: a.Seq.VerifierKey, Public: a.Config.PublicURL, Now: a.Config.Now,
	}
	if a.mailbox != nil {
		c.Mailbox = a.mailbox
	}
	return console.Register(c)
}

// Browser returns the mux of pages, to which demo and console add theirs before Handler.
func (a *App) Browser() *web.BrowserMux { return a.browser }

// Handler returns what the public listener serves. Certificates, status and
// the log are reached before any path is cleaned, as their protocols need.
func (a *App) Handler() http.Handler {
	a.once.Do(func() {
		site, pki := a.Site.Handler(a.muxes...), a.CA.Handler()
		log := a.Audit.Handler(func(r *http.Request, err error) {
			a.Config.Logger.ErrorContext(r.Context(), "log request failed", "error", err.Error())
		})
		a.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/pki/"):
				pki.ServeHTTP(w, r)
			case r.URL.Path == "/log", strings.HasPrefix(r.URL.Path, "/log/"):
				log.ServeHTTP(w, r)
			default:
				site.ServeHTTP(w, r)
			}
		})
	})
	return a.handler
}

// Run does the background work until ctx ends: effects, log, revocation lists,
// planned key changes, clean-up. It returns when all have stopped: nil if ctx
// ended, else what the log cannot survive (audit.ErrRolledBack, audit.ErrCorrupt),
// after which nothing may be served.
func (a *App) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	var fatal error
	wg.Go(func() { a.outbox.Run(ctx) })
	wg.Go(func() {
		if err := a.Seq.Run(ctx); err != nil {
			fatal = fmt.Errorf("log: %w", err)
			stop()
		}
	})
	wg.Go(func() { a.CA.Run(ctx) })
	wg.Go(func() { a.IDP.Run(ctx) })
	wg.Go(func() { a.notices.Run(ctx) })
	go a.warm(ctx) // not waited for: compiling cannot be interrupted and leaves nothing behind
	wg.Go(func() { every(ctx, 5*time.Second, a.signerStep) })
	wg.Go(func() { every(ctx, time.Minute, a.tidy) })
	wg.Wait()
	return fatal
}

// signerStep expires requests and closes what a crash left open.
func (a *App) signerStep(ctx context.Context) {
	if err := a.Recover(ctx); err != nil && ctx.Err() == nil {
		a.Config.Logger.ErrorContext(ctx, "recovery failed", "error", err.Error())
	}
}

// Recover closes what a crash left open in signing and enrolment, and expires
// requests. Run does it every few seconds.
func (a *App) Recover(ctx context.Context) error {
	_, err1 := a.Signer.Step(ctx)
	_, err2 := a.Enrolment.Recover(ctx)
	return errors.Join(err1, err2)
}

// tidy removes what can no longer matter and carries out planned key changes.
func (a *App) tidy(ctx context.Context) {
	before := a.Config.Now().Add(-24 * time.Hour)
	err := errors.Join(
		ignoreCount(a.Passkeys.Purge(ctx, before, 1000)), a.Accounts.Purge(ctx, before, 1000), a.IDP.Purge(ctx, before, 1000), ignoreInt(a.Keys.Advance(ctx)),
		outbox.Purge(ctx, a.DB, before),
		a.DB.Write(ctx, func(tx *db.Tx) error { return ignoreCount(notify.Purge(tx, before.Add(-30*24*time.Hour), 1000)) }),
	)
	if err != nil && ctx.Err() == nil {
		a.Config.Logger.ErrorContext(ctx, "clean-up failed", "error", err.Error())
	}
}

func ignoreCount(_ int64, err error) error { return err }

func ignoreInt(_ int, err error) error { return err }

func every(ctx context.Context, d time.Duration, fn func(context.Context)) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		fn(ctx)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Settle runs the background work to its end, in steps: for the tour and for
// tests, which must not wait for time to pass.
func (a *App) Settle(ctx context.Context) error {
	a.IDP.Settle()
	for range 100 {
		n, err := a.outbox.Step(ctx)
		if err != nil {
			return err
		}
		m, err := a.Seq.Step(ctx)
		if err != nil && !errors.Is(err, audit.ErrNotLeader) {
			return err
		}
		k, err := a.notices.Step(ctx)
		if err != nil {
			return err
		}
		if n > 0 || m > 0 || k > 0 {
			continue
		}
		// What Run took up beside is awaited too.
		if quiet, err := a.outbox.Quiet(ctx); err != nil || quiet {
			return err
		}
	}
	return errors.New("app: background work does not end")
}

// Close releases everything. Requests must have ended.
func (a *App) Close() error {
	if a.Bones == nil {
		return nil
	}
	if a.IDP != nil {
		a.IDP.Settle()
	}
	return a.Bones.Close()
}

// PinGenesis makes the signing core trust the founding act of this deployment.
// It succeeds once; the same founding again is no error.
func (a *App) PinGenesis(ctx context.Context) error {
	hash, err := a.Enrolment.Genesis(ctx)
	if err != nil {
		return err
	}
	return a.Core.Pin(ctx, hash)
}
