package app

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"os"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/cmd/internal/console"
	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/cache/memory"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/core"
	"oruro.gob.bo/suti/signer/isolate"
)

// openEnrolment opens the registry, the passkeys and the enrolment upon them.
// What it admits goes to the signing core, which is opened after it.
func (a *App) openEnrolment(context.Context) error {
	c, err := a.Config, error(nil)
	if a.Accounts, err = account.New(account.Config{DB: a.DB, Keys: a.Keys, KEK: a.Node.KEK(), Audit: a.Audit, Now: c.Now}); err != nil {
		return err
	}
	if a.Passkeys, err = passkey.New(passkey.Config{Origin: c.PublicURL, Name: "Suti", DB: a.DB, Keys: a.Keys, Audit: a.Audit, Now: c.Now}); err != nil {
		return err
	}
	if a.rates, err = a.limiter(); err != nil {
		return err
	}
	a.Enrolment, err = enrolment.New(enrolment.Config{
		DB: a.DB, Accounts: a.Accounts, Passkeys: a.Passkeys, Keys: a.Keys, Audit: a.Audit, Acts: actSink{a}, Origin: c.PublicURL, Name: c.Organization,
		Limiter: a.rates, Now: c.Now,
	})
	return err
}

// limiter counts on this node and, where there is one, in the shared cache; when
// that is away the node's own count still limits.
func (a *App) limiter() (*cache.Limiter, error) {
	local, err := memory.New(memory.Config{Now: a.Config.Now})
	if err != nil {
		return nil, err
	}
	c := cache.LimiterConfig{Local: local, Now: a.Config.Now, OnFallback: func(err error) {
		a.Config.Logger.Warn("rates are counted on this node alone", "error", err.Error())
	}}
	if a.Config.RedisURL != "" {
		shared, ok := a.Cache.(cache.Taker)
		if !ok {
			return nil, errors.New("app: the shared cache cannot count")
		}
		c.Shared = shared
	}
	return cache.NewLimiter(c)
}

// actSink gives enrolment its ActSink: the signing core of this process.
type actSink struct{ a *App }

// AcceptAct implements enrolment.ActSink. A core that trusts no founding yet,
// neither by configuration nor by an earlier pin, takes up this deployment's,
// which has just been signed.
func (s actSink) AcceptAct(ctx context.Context, raw []byte) error {
	err := s.a.Core.AcceptAct(ctx, raw)
	if core.CodeOf(err) != core.CodeNoGenesis {
		return err
	}
	if err := s.a.PinGenesis(ctx); err != nil {
		return err
	}
	return s.a.Core.AcceptAct(ctx, raw)
}

// openSigner opens the signing core and the service before it.
func (a *App) openSigner(context.Context) error {
	policy := core.DeviceBound
	if a.Config.Demo {
		policy = core.AnyKey
	}
	c, err := a.Config, error(nil)
	a.Core, err = core.New(core.Config{
		DB: a.DB, Keys: a.Keys, Audit: a.Audit, Certifier: certifier{a.CA}, Timestamper: stamper{a.CA}, Hints: hints{a.Passkeys}, KeyPolicy: policy,
		Suspect: a.suspect, Logger: c.Logger, Now: c.Now,
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.RenderCache, 0o700); err != nil {
		return err
	}
	draw := signer.NewRenderer(c.RenderCache)
	a.draws = draw
	uploads, err := emptyFolder(c.path("uploads"))
	if err != nil {
		return err
	}
	verify, err := a.verifier()
	if err != nil {
		return err
	}
	a.Signer, err = signer.New(signer.Config{
		DB: a.DB, Blobs: a.Blobs, Audit: a.Audit, Core: a.Core, Directory: directory{a.Enrolment}, Subjects: clients{a.IDP}, API: clients{a.IDP}, Auth: a.IDP,
		Pages: a.Pages, Public: a.Site.Public(), Verifier: verify, Limiter: a.rates, TempDir: uploads, Renderer: draw, SignOut: console.PathSignOut, NotMe: console.PathNotMe, Demo: c.Demo,
		Logger: c.Logger, Now: c.Now,
	})
	return err
}

// verifier judges the files of strangers: in child processes, where it is told how
// to start them.
func (a *App) verifier() (signer.Verifier, error) {
	c := a.Config
	if len(c.VerifyCommand) == 0 {
		return signer.LocalVerifier{Roots: a.anchors, TimestampRoots: a.anchors, Now: c.Now}, nil
	}
	return isolate.New(isolate.Config{
		Command: c.VerifyCommand, Roots: a.CA.Roots, TimestampRoots: a.CA.Roots, Limits: c.VerifyLimits, Metrics: c.Metrics, Logger: c.Logger, Now: c.Now,
	})
}

// emptyFolder makes a folder that nobody else can read, or empties it of what a
// process left that died between making a file and taking its name away.
func emptyFolder(path string) (string, error) {
	if err := os.RemoveAll(path); err != nil {
		return "", err
	}
	return path, os.MkdirAll(path, 0o700)
}

// suspect suspends the passkey whose counter did not rise when it signed, which
// may be a copy.
func (a *App) suspect(ctx context.Context, person identity.PersonID, cose []byte) {
	have, err := a.Passkeys.Credentials(ctx, person)
	for _, c := range have {
		if c.State == passkey.Active && bytes.Equal(c.PublicKey, cose) {
			err = errors.Join(err, a.Passkeys.Suspend(ctx, "service:signer", person, c.ID))
		}
	}
	if err != nil {
		a.Config.Logger.ErrorContext(ctx, "a suspect passkey was not suspended", "person", person, "error", err.Error())
	}
}

// drawer draws the pages of documents.
type drawer interface{ Warm() error }

// warm prepares the drawer, so that nobody has to wait for it.
func (a *App) warm(ctx context.Context) {
	if err := a.draws.Warm(); err != nil {
		a.Config.Logger.ErrorContext(ctx, "pages cannot be drawn", "error", err.Error())
	}
}

// anchors are the certificates that verification trusts: the department's roots.
func (a *App) anchors() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, r := range a.CA.Roots() {
		pool.AddCert(r)
	}
	return pool
}

// stamper gives signatures the department's own time-stamps.
type stamper struct{ ca *ca.CA }

// Timestamp implements pades.Timestamper.
func (s stamper) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	return s.ca.TSA().Stamp(ctx, tsp.Imprint{Hash: h, Digest: digest})
}
