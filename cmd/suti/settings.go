package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/cmd/internal/config"
	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

// configFlags name the configuration of commands about a server.
type configFlags struct {
	path string
	set  []string
}

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "config", "", "configuration file; default $SUTI_CONFIG")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "key=value, before the file and the environment; may be repeated")
}

// load reads the configuration; its faults have exit code 2.
func (c *cli) load(f configFlags) (*config.Config, error) {
	path := f.path
	if path == "" {
		path = c.getenv("SUTI_CONFIG")
	}
	cfg, err := config.Load(config.Options{Path: path, Set: f.set, Getenv: c.getenv})
	if err == nil {
		return cfg, nil
	}
	next := "suti config show --all tells every key"
	if path == "" {
		next = "name a file with --config FILE; deploy/config holds examples to start from"
	}
	return nil, usagef(next, "%w", err)
}

// logger writes structured lines to stderr.
func (c *cli) logger(cfg *config.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(c.stderr, &slog.HandlerOptions{Level: level}))
}

// openDB opens the configured database as it is: it does not migrate it.
func (c *cli) openDB(ctx context.Context, cfg *config.Config) (*db.DB, error) {
	url, err := cfg.Database()
	if err != nil {
		return nil, usagef("", "database.url_file: %w", err)
	}
	d, err := db.Open(ctx, db.Config{URL: url, Now: c.now})
	if err != nil {
		return nil, failedf("check database.url, that the server runs, and that this user may use it", "open the database: %w", err)
	}
	return d, nil
}

// openKeyFile opens the key file with the configured passphrase.
func (c *cli) openKeyFile(cfg *config.Config) (*envelope.File, error) {
	pass, err := cfg.Passphrase()
	if err != nil {
		return nil, usagef("the passphrase opens "+cfg.KeyPath(), "%w", err)
	}
	defer clear(pass)
	f, err := envelope.OpenFile(cfg.KeyPath(), pass)
	if err != nil {
		return nil, keyFileFault(cfg.KeyPath(), err)
	}
	return f, nil
}

// keyFileFault tells what to do about a key file that does not open.
func keyFileFault(path string, err error) error {
	next := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		next = "make it once with: suti key init --config FILE; on a further node add --same-keys-as"
	case errors.Is(err, envelope.ErrMode):
		next = "chmod 600 " + path
	case errors.Is(err, envelope.ErrPassphrase):
		next = "passphrase_file must hold the passphrase of this very file"
	case errors.Is(err, envelope.ErrFormat):
		next = "restore it from a copy; without it the keys in the database cannot be used"
	}
	return usagef(next, "open the key file %s: %w", path, err)
}

// openKeys opens the key store of an open database whose schema is this program's.
func (c *cli) openKeys(ctx context.Context, cfg *config.Config, d *db.DB) (*keystore.Store, *envelope.File, error) {
	if err := d.Check(ctx, app.Lines()...); err != nil {
		return nil, nil, failedf("if it is older: suti migrate; if it is newer: use the newer program", "%w", err)
	}
	file, err := c.openKeyFile(cfg)
	if err != nil {
		return nil, nil, err
	}
	keks := file.KEKs()
	store, err := keystore.Open(ctx, keystore.Config{DB: d, KEK: keks[0], MoreKEKs: keks[1:], Now: c.now})
	if err != nil {
		file.Wipe()
		return nil, nil, failedf("the key file must be the one of this database", "open the key store: %w", err)
	}
	return store, file, nil
}

// appConfig is the configuration as the assembly takes it.
func (c *cli) appConfig(cfg *config.Config) (app.Config, error) {
	pass, err := cfg.Passphrase()
	if err != nil {
		return app.Config{}, usagef("the passphrase opens "+cfg.KeyPath(), "%w", err)
	}
	url, err := cfg.Database()
	if err != nil {
		return app.Config{}, usagef("", "database.url_file: %w", err)
	}
	redis, err := cfg.Redis()
	if err != nil {
		return app.Config{}, usagef("", "cache.redis_url_file: %w", err)
	}
	mail, faults := mailSender(cfg)
	sms, more := smsSender(cfg, c.now)
	if faults = append(faults, more...); len(faults) > 0 {
		return app.Config{}, usagef("", "%w", faults)
	}
	out := app.Config{
		DataDir: cfg.DataDir, DatabaseURL: url, RedisURL: redis, PublicURL: cfg.PublicURL, PKIURL: cfg.PKIURL, Passphrase: pass, Node: cfg.Node,
		Organization: cfg.Organization.Name, OrganizationID: cfg.Organization.NIT, ShortName: cfg.Organization.ShortName,
		Arc: cfg.PolicyArc, InsecureOnlineRoot: cfg.InsecureOnlineRoot,
		BackchannelHosts: cfg.BackchannelHosts, TrustedProxies: cfg.Listen.TrustedProxies, LoginsPerMinute: cfg.LoginsPerMinute, Now: time.Now,
	}
	if cfg.MTLS.Used() {
		roots, err := cfg.MTLS.ClientCAs()
		if err != nil {
			return app.Config{}, usagef("", "mtls.client_ca_file: %w", err)
		}
		out.MTLS = &idp.MTLS{Proxies: cfg.MTLS.Proxies, ClientCAs: roots, Alias: cfg.MTLS.AliasURL}
	}
	if mail != nil {
		out.Email = mail
	}
	if sms != nil {
		out.SMS = sms
	}
	return out, nil
}
