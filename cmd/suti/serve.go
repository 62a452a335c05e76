package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/cmd/internal/config"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/signer/core"
)

func (c *cli) newServeCommand() *cobra.Command {
	var f configFlags
	var role string
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the server",
		Long: "Run the server until SIGTERM or SIGINT, then end in an orderly way within listen.shutdown_limit.\n\n" +
			"It refuses to start where it could not keep its promises: a key file or passphrase that others can read, a\n" +
			"public address without TLS, an arc that is not your institution's, a newer schema. It brings an older schema\n" +
			"up to date by itself.",
		Example: "  suti serve --config suti.toml\n  suti serve --config suti.toml --set listen.public=127.0.0.1:8443",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role != roleAll {
				return usagef("leave --role out, or say --role all, and run as many such nodes as are needed on one PostgreSQL database",
					"--role %s: this version runs all roles in one process", role)
			}
			cfg, err := c.load(f)
			if err != nil {
				return err
			}
			return c.serve(cmd.Context(), cfg)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&role, "role", roleAll, "what this process serves; this version knows only all")
	return cmd
}

// roleAll is the one role that there is: every context in this process.
const roleAll = "all"

// server is a running node.
type server struct {
	cfg      *config.Config
	log      *slog.Logger
	app      *app.App
	registry *prometheus.Registry
	started  time.Time

	public           *web.Server
	mtls             *web.Server // asks applications for certificates; nil without mtls.listen
	publicLn, privLn net.Listener
	adminLn, mtlsLn  net.Listener
	private, admin   *sideServer
	failed           chan error // a listener that ended by itself
}

// serve runs a node until ctx ends or something in it fails.
func (c *cli) serve(ctx context.Context, cfg *config.Config) error {
	if err := readyToServe(cfg); err != nil {
		return err
	}
	s := &server{cfg: cfg, log: c.logger(cfg), registry: prometheus.NewRegistry(), started: c.now(), failed: make(chan error, 4)}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if err := s.listen(ctx); err != nil {
		return err
	}
	defer s.closeListeners()
	ac, err := c.appConfig(cfg)
	if err != nil {
		return err
	}
	if ac.VerifyCommand, err = workerCommand(); err != nil {
		return err
	}
	ac.Logger, ac.Metrics = s.log, s.registry
	s.app, err = app.New(ctx, ac)
	clear(ac.Passphrase)
	if err != nil {
		return startFault(err)
	}
	s.registerMetrics()
	if err := s.pin(ctx); err != nil {
		return errors.Join(err, s.app.Close())
	}
	return s.run(ctx, c.getenv)
}

// readyToServe gathers what would make the server unsafe, all at once.
func readyToServe(cfg *config.Config) error {
	var faults config.Faults
	if pass, err := cfg.Passphrase(); err != nil {
		faults = append(faults, config.Fault{Where: "passphrase_file", What: err.Error()})
	} else {
		clear(pass)
	}
	_, err := envelope.ReadHeader(cfg.KeyPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		faults = append(faults, config.Fault{Where: cfg.KeyPath(), What: "is missing", Next: "make it once with: suti key init"})
	case errors.Is(err, envelope.ErrMode):
		faults = append(faults, config.Fault{Where: cfg.KeyPath(), What: "can be read by others", Next: "chmod 600 " + cfg.KeyPath()})
	case err != nil:
		faults = append(faults, config.Fault{Where: cfg.KeyPath(), What: err.Error()})
	}
	for key, read := range map[string]func() (string, error){"database.url_file": cfg.Database, "cache.redis_url_file": cfg.Redis} {
		if _, err := read(); err != nil {
			faults = append(faults, config.Fault{Where: key, What: err.Error()})
		}
	}
	_, bad := mailSender(cfg)
	faults = append(faults, bad...)
	_, bad = smsSender(cfg, time.Now)
	faults = append(faults, bad...)
	if cfg.Listen.TLSCertFile != "" {
		if _, err := newCertificates(cfg.Listen.TLSCertFile, cfg.Listen.TLSKeyFile); err != nil {
			faults = append(faults, config.Fault{Where: "listen.tls_cert_file", What: err.Error()})
		}
		if loose := looseMode(cfg.Listen.TLSKeyFile); loose != "" {
			faults = append(faults, config.Fault{Where: "listen.tls_key_file", What: loose})
		}
	}
	if _, err := cfg.MTLS.ClientCAs(); err != nil {
		faults = append(faults, config.Fault{Where: "mtls.client_ca_file", What: err.Error()})
	}
	if len(faults) > 0 {
		return usagef("", "will not start: %w", faults)
	}
	return nil
}

// startFault tells what to do when the assembly could not be opened.
func startFault(err error) error {
	next := ""
	switch {
	case errors.Is(err, audit.ErrRolledBack):
		return refusedf("restore the newer state; if there is none: suti log reopen --config FILE --reason TEXT\n"+
			"(docs/operations/backup-and-restore.md tells the order)", "will not start on a database that is older than the published log: %w", err)
	case errors.Is(err, ca.ErrNeedsRoot):
		next = "this version makes roots online only: set ca.insecure_online_root = true, and read docs/operations/install.md on what that means"
	case errors.Is(err, ca.ErrBusy):
		next = "another node makes authorities or keys at this moment; start again in a few seconds"
	case errors.Is(err, envelope.ErrPassphrase):
		next = "passphrase_file must hold the passphrase of this very key file"
	}
	return failedf(next, "start: %w", err)
}

// listen takes all addresses before anything else is opened.
func (s *server) listen(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			s.closeListeners()
		}
	}()
	var lc net.ListenConfig
	if s.publicLn, err = lc.Listen(ctx, "tcp", s.cfg.Listen.Public); err != nil {
		return failedf("stop what holds it, or change listen.public", "%w", err)
	}
	if s.cfg.MTLS.Listen != "" {
		if s.mtlsLn, err = lc.Listen(ctx, "tcp", s.cfg.MTLS.Listen); err != nil {
			return failedf("stop what holds it, or change mtls.listen", "%w", err)
		}
	}
	if s.privLn, err = lc.Listen(ctx, "tcp", s.cfg.Listen.Private); err != nil {
		return failedf("stop what holds it, or change listen.private", "%w", err)
	}
	if s.adminLn, err = listenAdmin(ctx, s.cfg.Listen.AdminSocket); err != nil {
		return failedf("change listen.admin_socket", "%w", err)
	}
	return nil
}

func (s *server) closeListeners() {
	for _, l := range []net.Listener{s.publicLn, s.privLn, s.adminLn, s.mtlsLn} {
		if l != nil {
			_ = l.Close() // closed twice after an orderly end
		}
	}
}

// pin makes the signing core trust the configured founding act and no other.
// Without one in the configuration the core trusts what it pinned before.
func (s *server) pin(ctx context.Context) error {
	if s.cfg.GenesisHash == "" {
		got, err := s.app.Core.Genesis(ctx)
		switch {
		case core.CodeOf(err) == core.CodeNoGenesis:
			s.log.WarnContext(ctx, "not founded yet: nobody can sign before; found it with: suti person genesis")
		case err != nil:
			return failedf("", "pinned genesis: %w", err)
		default:
			s.log.WarnContext(ctx, "genesis_hash is not set: a database with other founders would not be noticed", "genesis_hash", got.String())
		}
		return nil
	}
	hash, err := hex.DecodeString(s.cfg.GenesisHash)
	if err != nil || len(hash) != len(act.Hash{}) {
		return usagef("", "genesis_hash is malformed")
	}
	if err := s.app.Core.Pin(ctx, act.Hash(hash)); err != nil {
		return failedf("genesis_hash must be the one that was pinned first", "pin genesis: %w", err)
	}
	return nil
}

// run serves until ctx ends, a listener fails or the database breaks.
func (s *server) run(ctx context.Context, getenv func(string) string) error {
	if err := s.start(); err != nil {
		return errors.Join(err, s.app.Close())
	}
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.app.Run(work); err != nil {
			s.failed <- failedf("start the process afresh; if it happens again: suti doctor --log", "%w", err)
		}
	})
	tell := newNotifier(getenv)
	wg.Go(func() { tell.watchdog(work, s.healthy) })
	s.log.InfoContext(ctx, "ready", "public", s.publicLn.Addr().String(), "private", s.privLn.Addr().String(), "node", s.cfg.Node, "took_ms", time.Since(s.started).Milliseconds())
	tell.send("READY=1")

	var cause error
	select {
	case <-ctx.Done():
	case cause = <-s.failed:
	case <-s.app.DB.Broken():
		cause = failedf("start the process afresh; if it happens again, look at the disk", "the database stopped: %w", s.app.DB.Err())
	}
	tell.send("STOPPING=1")
	s.log.Info("stopping")
	end, cancel := context.WithTimeout(context.Background(), s.cfg.Listen.ShutdownLimit)
	defer cancel()
	errs := []error{cause, s.public.Shutdown(end, s.cfg.Listen.ShutdownNotice)}
	if s.mtls != nil {
		errs = append(errs, s.mtls.Shutdown(end, 0))
	}
	stopWork()
	errs = append(errs, s.admin.shutdown(end), s.private.shutdown(end))
	if err := waitFor(end, &wg); err != nil {
		stacks := make([]byte, 256<<10)
		s.log.Error("background work does not end", "stacks", string(stacks[:runtime.Stack(stacks, true)]))
		errs = append(errs, err)
	}
	errs = append(errs, s.app.Close())
	if err := errors.Join(errs...); err != nil {
		s.log.Error("stopped", "error", err.Error())
		return failedf("", "%w", err)
	}
	s.log.Info("stopped")
	return nil
}

// start begins to answer on all listeners.
func (s *server) start() (err error) {
	var tlsConfig *tls.Config
	if s.cfg.Listen.TLSCertFile != "" {
		certs, err := newCertificates(s.cfg.Listen.TLSCertFile, s.cfg.Listen.TLSKeyFile)
		if err != nil {
			return usagef("", "listen.tls_cert_file: %w", err)
		}
		tlsConfig = &tls.Config{GetCertificate: certs.get, MinVersion: tls.VersionTLS12}
	}
	if s.public, err = web.NewServer(web.ServerConfig{Handler: s.app.Handler(), TLS: tlsConfig, Logger: s.log}); err != nil {
		return err
	}
	if s.mtlsLn != nil {
		asks := tlsConfig.Clone()
		asks.ClientAuth = tls.RequestClientCert // the provider judges it
		if s.mtls, err = web.NewServer(web.ServerConfig{Handler: s.app.Handler(), TLS: asks, Logger: s.log}); err != nil {
			return err
		}
	}
	s.private, s.admin = newSideServer(s.privateHandler()), newSideServer(s.adminHandler())
	s.admin.http.ConnContext = withOperator
	serves := map[string]func() error{
		"public":  func() error { return s.public.Serve(s.publicLn) },
		"private": func() error { return s.private.serve(s.privLn) },
		"admin":   func() error { return s.admin.serve(s.adminLn) },
	}
	if s.mtls != nil {
		serves["mtls"] = func() error { return s.mtls.Serve(s.mtlsLn) }
	}
	for name, serve := range serves {
		go func() {
			if err := serve(); err != nil {
				s.failed <- fmt.Errorf("%s listener: %w", name, err)
			}
		}()
	}
	return nil
}

// waitFor waits for background work until ctx ends.
func waitFor(ctx context.Context, wg *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("background work did not end in time")
	}
}

// certificates is the certificate of the public listener, read again when its
// file changes.
type certificates struct {
	certFile, keyFile string
	mu                sync.Mutex // guards the fields below
	cert              *tls.Certificate
	modified, looked  time.Time
}

// lookAgain is how often the file's time is looked at.
const lookAgain = 10 * time.Second

func newCertificates(certFile, keyFile string) (*certificates, error) {
	c := &certificates{certFile: certFile, keyFile: keyFile}
	return c, c.load()
}

func (c *certificates) load() error {
	st, err := os.Stat(c.certFile)
	if err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate and key: %w", err)
	}
	c.cert, c.modified, c.looked = &pair, st.ModTime(), time.Now()
	return nil
}

// get implements tls.Config.GetCertificate. A new file that cannot be used
// leaves the old certificate in use.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > lookAgain {
		c.looked = time.Now()
		if st, err := os.Stat(c.certFile); err == nil && !st.ModTime().Equal(c.modified) {
			_ = c.load() // the key may be written a moment later; it is tried again
		}
	}
	return c.cert, nil
}
