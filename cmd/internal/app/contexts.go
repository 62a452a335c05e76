package app

import (
	"context"
	"crypto"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer/core"
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
	limiter, _ := a.Cache.(cache.Taker)
	a.Enrolment, err = enrolment.New(enrolment.Config{
		DB: a.DB, Accounts: a.Accounts, Passkeys: a.Passkeys, Keys: a.Keys, Audit: a.Audit, Acts: actSink{a}, Origin: c.PublicURL, Name: c.Organization,
		Limiter: limiter, Now: c.Now,
	})
	return err
}

// actSink gives enrolment its ActSink: the signing core of this process.
type actSink struct{ a *App }

// AcceptAct implements enrolment.ActSink.
func (s actSink) AcceptAct(ctx context.Context, raw []byte) error {
	return s.a.Core.AcceptAct(ctx, raw)
}

// openSigner opens the signing core and the service before it.
func (a *App) openSigner(context.Context) error {
	policy := core.DeviceBound
	if a.Config.Demo {
		policy = core.AnyKey
	}
	var err error
	a.Core, err = core.New(core.Config{
		DB: a.DB, Keys: a.Keys, Audit: a.Audit, Certifier: certifier{a.CA}, Timestamper: stamper{a.CA}, Hints: hints{a.Passkeys}, KeyPolicy: policy,
		Logger: a.Config.Logger, Now: a.Config.Now,
	})
	return err
}

// stamper gives signatures the department's own time-stamps.
type stamper struct{ ca *ca.CA }

// Timestamp implements pades.Timestamper.
func (s stamper) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	return s.ca.TSA().Stamp(ctx, tsp.Imprint{Hash: h, Digest: digest})
}
