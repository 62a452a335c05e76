package status

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/ca/internal/authority"
	"oruro.gob.bo/suti/ca/internal/der"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/lint"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/keystore"
)

// Lease names the right to publish lists.
const Lease = "ca.crl"

const (
	leaseLife = 30 * time.Second
	// lintedEntries is the size up to which a list is also linted.
	lintedEntries = 20_000
)

// ErrBusy reports that another node holds the lease.
var ErrBusy = errors.New("ca: another node does this now")

// PublisherConfig configures [NewPublisher]. All fields are required.
type PublisherConfig struct {
	DB          *db.DB
	Store       *store.Store
	Authorities *authority.Directory
	Keys        keystore.Signers
	Linter      *lint.Linter
	Holder      string // unique to this run of the process
	Now         func() time.Time
}

// Publisher builds the CRLs. It is safe for concurrent use.
type Publisher struct{ cfg PublisherConfig }

// NewPublisher returns a publisher.
func NewPublisher(c PublisherConfig) *Publisher { return &Publisher{cfg: c} }

// schedule returns how often an authority's list is renewed without a new
// revocation, and how long a list holds.
func schedule(k profile.Kind) (every, life time.Duration) {
	if k == profile.Root {
		return 24 * time.Hour, 10 * 24 * time.Hour
	}
	return time.Hour, 7 * 24 * time.Hour
}

// Publish builds and stores a list for each authority that needs one: it has
// none, the last is old, or it has revocations that are not listed. It returns
// how many it published, and [ErrBusy] if another node leads.
func (p *Publisher) Publish(ctx context.Context) (int, error) {
	lease, ok, err := p.cfg.DB.AcquireLease(ctx, Lease, p.cfg.Holder, leaseLife)
	if err != nil {
		return 0, fmt.Errorf("lead publication: %w", err)
	}
	if !ok {
		return 0, ErrBusy
	}
	defer func() {
		// Best effort: a lease that is not released lapses.
		_ = p.cfg.DB.ReleaseLease(context.WithoutCancel(ctx), lease)
	}()
	var errs []error
	n := 0
	for _, a := range p.cfg.Authorities.All() {
		done, err := p.publish(ctx, a, lease)
		if err != nil {
			errs = append(errs, fmt.Errorf("publish CRL of %s: %w", a.Slug, err))
			continue
		}
		if done {
			n++
		}
	}
	return n, errors.Join(errs...)
}

func (p *Publisher) publish(ctx context.Context, a *authority.Authority, lease db.Lease) (bool, error) {
	now := p.cfg.Now()
	every, life := schedule(a.Kind)
	last, err := p.cfg.Store.LatestCRL(ctx, a.Slug)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	if err == nil {
		count, err := p.cfg.Store.CountRevocations(ctx, a.Slug)
		if err != nil {
			return false, err
		}
		if count == last.Entries && now.Before(last.ThisUpdate.Add(every)) {
			return false, nil
		}
	}
	// A clock that was put back must not make a list seem older than the one before.
	if now.Before(last.ThisUpdate) {
		now = last.ThisUpdate
	}
	c, err := p.build(ctx, a, last, now, life)
	if err != nil {
		return false, err
	}
	if err := failpoint.Hit(failpoint.CRLBeforePublish); err != nil {
		return false, err
	}
	if err := p.cfg.Store.PutCRL(ctx, c, lease); err != nil {
		return false, err
	}
	return true, failpoint.Hit(failpoint.CRLAfterPublish)
}

// build signs a list and checks it as a storer that trusts nobody.
func (p *Publisher) build(ctx context.Context, a *authority.Authority, last store.CRL, now time.Time, life time.Duration) (store.CRL, error) {
	entries, n, err := p.cfg.Store.Entries(ctx, a.Slug)
	if err != nil {
		return store.CRL{}, err
	}
	signer, err := p.cfg.Keys.Signer(ctx, a.KeyID, authority.PurposeOf(a.Kind))
	if err != nil {
		return store.CRL{}, err
	}
	// At least the second: a database restored from a backup must not give a
	// number again that was published after it (RFC 5280 §5.2.3).
	number := max(last.Number+1, now.Unix())
	list := der.CRL{Issuer: a.Cert.RawSubject, KeyID: a.Cert.SubjectKeyId, Number: number,
		ThisUpdate: now, NextUpdate: now.Add(life), ExpiredSince: a.Cert.NotBefore, Entries: entries}
	out, err := list.Sign(a.Algorithm, signer)
	if err != nil {
		return store.CRL{}, err
	}
	h, err := der.ParseCRL(out)
	if err != nil {
		return store.CRL{}, err
	}
	switch {
	case h.Number <= last.Number, int64(h.Entries) != n, int64(h.Entries) < last.Entries, h.Partitioned:
		return store.CRL{}, errors.New("ca: list contradicts what it was made from")
	}
	if err := a.Algorithm.Verify(a.Cert.PublicKey, h.TBS, h.Signature); err != nil {
		return store.CRL{}, err
	}
	if n <= lintedEntries {
		if err := p.cfg.Linter.CRL(out); err != nil {
			return store.CRL{}, err
		}
	}
	sum := sha256.Sum256(out)
	return store.CRL{Issuer: a.Slug, Number: h.Number, ThisUpdate: h.ThisUpdate, NextUpdate: h.NextUpdate, Entries: n, SHA256: sum[:], DER: out}, nil
}
