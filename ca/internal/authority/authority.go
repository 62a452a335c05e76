// Package authority holds the parsed root and issuing authorities of the
// deployment in memory, as the database names them. It answers who issues now,
// which authority an OCSP request means, and what the path of a certificate is.
//
// Only the packages of the authority import it.
package authority

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"oruro.gob.bo/suti/ca/internal/der"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/profile"
)

// ErrNone reports that there is no such authority, or none that may issue.
var ErrNone = errors.New("ca: no such authority")

// PurposeRoot and the others are the purposes of keys in the key store.
const (
	PurposeRoot    = "ca.root"
	PurposeIssuing = "ca.issuing"
	PurposeOCSP    = "ocsp"
	PurposeTSU     = "tsa"
)

// PurposeOf returns the key purpose of a profile of an authority or service.
func PurposeOf(k profile.Kind) string {
	switch k {
	case profile.Root:
		return PurposeRoot
	case profile.Firma, profile.Servicios:
		return PurposeIssuing
	case profile.OCSP:
		return PurposeOCSP
	case profile.TSU:
		return PurposeTSU
	}
	return ""
}

// Authority is an active root or issuing authority.
type Authority struct {
	store.Authority
	Cert      *x509.Certificate
	Issuer    profile.Issuer
	Algorithm profile.SignatureAlgorithm
	Hasher    der.Hasher
}

// HalfLife is when the authority stops issuing anything but revocation
// information and responders.
func (a *Authority) HalfLife() time.Time {
	return a.Cert.NotBefore.Add(a.Cert.NotAfter.Sub(a.Cert.NotBefore) / 2)
}

// Directory is the set of authorities. It is safe for concurrent use.
type Directory struct {
	store *store.Store

	mu     sync.RWMutex
	bySlug map[string]*Authority // guarded by mu
	all    []*Authority          // guarded by mu; newest generation of a kind first
	// next is the generation that a new authority of a kind gets; abandoned
	// ones count. Guarded by mu.
	next map[profile.Kind]int64
}

// New returns an empty directory; call [Directory.Load].
func New(s *store.Store) *Directory { return &Directory{store: s} }

// Load reads the authorities afresh.
func (d *Directory) Load(ctx context.Context) error {
	rows, err := d.store.Authorities(ctx)
	if err != nil {
		return fmt.Errorf("read authorities: %w", err)
	}
	bySlug := map[string]*Authority{}
	next := map[profile.Kind]int64{}
	var all []*Authority
	for _, r := range rows {
		next[r.Kind] = max(next[r.Kind], r.Generation)
		if r.State != "active" {
			continue
		}
		a, err := parse(r)
		if err != nil {
			return fmt.Errorf("authority %s: %w", r.Slug, err)
		}
		bySlug[r.Slug] = a
		all = append(all, a)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.bySlug, d.all, d.next = bySlug, all, next
	return nil
}

func parse(r store.Authority) (*Authority, error) {
	cert, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return nil, err
	}
	a := &Authority{Authority: r, Cert: cert}
	if a.Issuer, err = profile.IssuerOf(r.Kind, r.Slug, cert); err != nil {
		return nil, err
	}
	if a.Algorithm, err = profile.AlgorithmOf(cert.PublicKey); err != nil {
		return nil, err
	}
	if a.Hasher, err = der.NewHasher(cert.RawSubject, cert.RawSubjectPublicKeyInfo); err != nil {
		return nil, err
	}
	return a, nil
}

// BySlug returns an active authority, or [ErrNone].
func (d *Directory) BySlug(slug string) (*Authority, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if a, ok := d.bySlug[slug]; ok {
		return a, nil
	}
	return nil, ErrNone
}

// All returns the active authorities, the newest of each kind first.
func (d *Directory) All() []*Authority {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.all)
}

// Next returns the generation number for a new authority of a kind, from 1.
func (d *Directory) Next(k profile.Kind) int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.next[k] + 1
}

// Issuing returns the newest authority of a kind that is valid, not revoked and
// in the first half of its life, or [ErrNone].
func (d *Directory) Issuing(k profile.Kind, now time.Time) (*Authority, error) {
	for _, a := range d.All() {
		if a.Kind == k && a.RevokedAt.IsZero() && !now.Before(a.Cert.NotBefore) && !now.After(a.HalfLife()) {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w that issues: %s", ErrNone, k)
}

// Match returns the authority that a CertID names, or [ErrNone].
func (d *Directory) Match(id der.CertID) (*Authority, error) {
	if id.Hash != crypto.SHA1 && id.Hash != crypto.SHA256 {
		return nil, ErrNone
	}
	for _, a := range d.All() {
		own := a.Hasher.CertID(id.Hash, []byte{1})
		if bytes.Equal(own.KeyHash, id.KeyHash) && bytes.Equal(own.NameHash, id.NameHash) {
			return a, nil
		}
	}
	return nil, ErrNone
}

// Path returns the authorities from slug up to the root, both included.
func (d *Directory) Path(slug string) ([]*Authority, error) {
	var out []*Authority
	for range 4 { // root, issuing, and room to notice a loop
		a, err := d.BySlug(slug)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
		if a.Parent == slug {
			return out, nil
		}
		slug = a.Parent
	}
	return nil, fmt.Errorf("%w: path does not end in a root", ErrNone)
}
