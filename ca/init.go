package ca

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"oruro.gob.bo/suti/ca/internal/authority"
	"oruro.gob.bo/suti/ca/internal/issuance"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/ca/tsa"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
)

const (
	// maintainLease names the right to make authorities and services.
	maintainLease     = "ca.maintain"
	maintainLeaseLife = time.Minute
	// A successor is made this long before its predecessor stops.
	authorityAhead = 30 * 24 * time.Hour
	unitAhead      = 30 * 24 * time.Hour
	responderAhead = 15 * 24 * time.Hour
)

// Init claims this node's number prefix, abandons what a crash left open, makes
// what is missing (root, issuing authorities, OCSP responders, time-stamping
// unit) and publishes the first lists. It is idempotent. It returns [ErrBusy]
// while another node makes what this one needs, [ErrNeedsRoot] in production
// without a root.
func (c *CA) Init(ctx context.Context) error {
	if c.live.Load() == nil {
		prefix, err := c.store.Instance(ctx, c.cfg.Node, c.cfg.Prefix, c.cfg.Now())
		if err != nil {
			return err
		}
		l := &live{}
		if l.engine, err = issuance.New(issuance.Config{Store: c.store, Authorities: c.authorities, Keys: c.cfg.Keys, Audit: c.cfg.Audit,
			Profiles: c.profiles, Linter: c.linter, Answers: c.responder, Prefix: prefix, Now: c.cfg.Now}); err != nil {
			return err
		}
		if l.tsa, err = tsa.New(tsa.Config{DB: c.cfg.DB, Audit: c.cfg.Audit, Units: units{c}, Policy: c.profiles.Arc().TimeStampPolicy(),
			Prefix: prefix, Clock: c.cfg.Clock, Accuracy: c.cfg.Accuracy}); err != nil {
			return err
		}
		c.live.CompareAndSwap(nil, l)
	}
	if err := c.authorities.Load(ctx); err != nil {
		return err
	}
	err := c.Maintain(ctx)
	if errors.Is(err, ErrBusy) && c.ready(ctx) == nil {
		return nil
	}
	return err
}

// ready reports what this node still lacks to serve.
func (c *CA) ready(ctx context.Context) error {
	now := c.cfg.Now()
	for _, k := range []profile.Kind{profile.Firma, profile.Servicios} {
		a, err := c.authorities.Issuing(k, now)
		if err != nil {
			return err
		}
		if err := c.responder.Ready(ctx, a.Slug); err != nil {
			return err
		}
	}
	_, err := units{c}.Unit(ctx, now)
	return err
}

// provide makes what is missing or about to end. Each step reads the clock
// afresh: what the step before it made may be valid from a later second on.
func (c *CA) provide(ctx context.Context) error {
	if err := c.provideRoot(ctx); err != nil {
		return err
	}
	for _, k := range []profile.Kind{profile.Firma, profile.Servicios} {
		if err := c.provideIssuing(ctx, k, c.cfg.Now()); err != nil {
			return fmt.Errorf("issuing authority %s: %w", k, err)
		}
	}
	for _, a := range c.authorities.All() {
		if a.Kind == profile.Root {
			continue
		}
		if err := c.provideResponder(ctx, a, c.cfg.Now()); err != nil {
			return fmt.Errorf("OCSP responder of %s: %w", a.Slug, err)
		}
	}
	if err := c.provideUnit(ctx, c.cfg.Now()); err != nil {
		return fmt.Errorf("time-stamping unit: %w", err)
	}
	return nil
}

func (c *CA) provideRoot(ctx context.Context) error {
	if len(c.Roots()) > 0 {
		return nil
	}
	if c.cfg.Mode == Production && !c.cfg.InsecureOnlineRoot {
		return ErrNeedsRoot
	}
	return c.makeAuthority(ctx, profile.Root, nil)
}

func (c *CA) provideIssuing(ctx context.Context, k profile.Kind, now time.Time) error {
	current, err := c.authorities.Issuing(k, now)
	if err == nil && now.Before(current.HalfLife().Add(-authorityAhead)) {
		return nil
	}
	root, rootErr := c.authorities.Issuing(profile.Root, now)
	if rootErr != nil {
		if err == nil {
			return nil // the present one still issues; the root's successor is a ceremony
		}
		return rootErr
	}
	return c.makeAuthority(ctx, k, root)
}

// makeAuthority makes the next generation of an authority with a new key.
func (c *CA) makeAuthority(ctx context.Context, k profile.Kind, root *authority.Authority) error {
	gen := c.authorities.Next(k)
	slug := fmt.Sprintf("%s-g%d", k, gen)
	key, err := c.cfg.Keys.Generate(keystore.Spec{Purpose: authority.PurposeOf(k), Alg: c.cfg.IssuerAlg, Owner: "system:" + slug, Activate: true})
	if err != nil {
		return err
	}
	o := issuance.Order{Kind: k, Owner: "authority:" + slug, Key: key, Issuer: root,
		Input:     profile.Input{PublicKey: key.Public(), Subject: profile.Subject{CommonName: c.commonName(k, gen)}},
		Authority: &store.Authority{Slug: slug, Kind: k, Generation: gen, Parent: slug, KeyID: key.ID()}}
	if root != nil {
		o.Authority.Parent = root.Slug
	}
	if err := c.own(ctx, o); err != nil {
		return err
	}
	return c.authorities.Load(ctx)
}

// own issues a certificate for an authority or service.
func (c *CA) own(ctx context.Context, o issuance.Order) error {
	engine, err := c.engine()
	if err != nil {
		return err
	}
	o.Intent = identity.NewID("int", c.cfg.Now())
	o.RequestHash = sha256.Sum256([]byte(o.Intent))
	o.Actor = "service:ca"
	token, err := engine.Prepare(ctx, o)
	if err != nil {
		return err
	}
	_, err = engine.Issue(ctx, token)
	if errors.Is(err, store.ErrAuthorityTaken) {
		return ErrBusy
	}
	return err
}

// commonName names an authority or service within 64 characters.
func (c *CA) commonName(k profile.Kind, gen int64) string {
	base := map[profile.Kind]string{profile.Root: "Autoridad interna raíz", profile.Firma: "Autoridad interna de firma",
		profile.Servicios: "Autoridad interna de servicios", profile.TSU: "Unidad de sello de tiempo", profile.OCSP: "Servicio de estado OCSP"}[k]
	tail := fmt.Sprintf(" G%d", gen)
	if name := base + " " + c.cfg.ShortName + tail; c.cfg.ShortName != "" && utf8.RuneCountInString(name) <= 64 {
		return name
	}
	return base + tail
}

func (c *CA) provideResponder(ctx context.Context, a *authority.Authority, now time.Time) error {
	list, err := c.store.Services(ctx, a.Slug, profile.OCSP, now)
	if err != nil {
		return err
	}
	if len(list) > 0 && (now.Before(list[0].NotAfter.Add(-responderAhead)) || !list[0].NotAfter.Before(a.Cert.NotAfter)) {
		return nil
	}
	if !now.Before(a.Cert.NotAfter) {
		return nil
	}
	if err := c.makeService(ctx, profile.OCSP, authority.PurposeOCSP, a); err != nil {
		return err
	}
	c.responder.Forget()
	return nil
}

func (c *CA) provideUnit(ctx context.Context, now time.Time) error {
	a, err := c.authorities.Issuing(profile.Servicios, now)
	if err != nil {
		return err
	}
	list, err := c.store.Services(ctx, a.Slug, profile.TSU, now)
	if err != nil {
		return err
	}
	if len(list) > 0 && now.Before(useUntil(list[0].NotBefore).Add(-unitAhead)) {
		return nil
	}
	return c.makeService(ctx, profile.TSU, authority.PurposeTSU, a)
}

func (c *CA) makeService(ctx context.Context, k profile.Kind, purpose string, a *authority.Authority) error {
	key, err := c.cfg.Keys.Generate(keystore.Spec{Purpose: purpose, Alg: c.cfg.ServiceAlg, Owner: "system:" + a.Slug, Activate: true})
	if err != nil {
		return err
	}
	return c.own(ctx, issuance.Order{Kind: k, Owner: "service:" + string(k) + ":" + a.Slug, Key: key, Issuer: a,
		Input: profile.Input{PublicKey: key.Public(), Subject: profile.Subject{CommonName: c.commonName(k, a.Generation)}}})
}
