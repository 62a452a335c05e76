// Package online gets the evidence that signatures need for levels B-LT and
// B-LTA from the addresses in certificates: OCSP responders, lists, issuers
// (RFC 6960, RFC 5280). It is the network that package pades itself has not.
//
// Invariants: nothing is believed because it was fetched; addresses lead to
// public hosts only, unless the configuration says otherwise; every answer is
// bounded in size and time; what could not be had is a [*pades.EvidenceError]
// that names the certificate and the reason.
//
// Anyone above signer/pades may import it.
package online

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/safehttp"
	"oruro.gob.bo/suti/signer/internal/evidence"
	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
	"oruro.gob.bo/suti/signer/pades"
)

// Config configures a Source. The zero value reaches any public host on the
// usual ports.
type Config struct {
	// Hosts, if not empty, are the only ones that addresses in certificates may
	// lead to: "host", or "host:port" for a port that is not the scheme's own.
	Hosts []string
	// AllowPrivate lets addresses lead to loopback and private networks, and to
	// any port: for laboratories, and authorities in one's own network.
	AllowPrivate bool
	// Certificates are known responders' and issuers'.
	Certificates []*x509.Certificate
	// Timeout bounds one exchange, CRLTimeout that for a list; 10 s and 30 s if zero.
	Timeout, CRLTimeout time.Duration
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Source gets evidence. It implements pades.EvidenceSource and
// pades.Revocation, keeps what it has while it is current, and is safe for
// concurrent use.
type Source struct {
	c            *evidence.Collector
	allowPrivate bool
}

// New checks c and returns a source.
func New(c Config) (*Source, error) {
	if c.CRLTimeout == 0 {
		c.CRLTimeout = evidence.DefaultCRLTimeout
	}
	web := safehttp.Config{InsecureAllowHTTP: true, Timeout: c.CRLTimeout, MaxResponse: revocation.MaxCRL, Now: c.Now}
	if c.AllowPrivate {
		web.AllowPrefixes = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	}
	if c.AllowPrivate || len(c.Hosts) > 0 {
		web.Ports = []uint16{0} // the list of hosts names them
	}
	client, err := safehttp.New(web)
	if err != nil {
		return nil, fmt.Errorf("online: %w", err)
	}
	return newSource(c, client)
}

func newSource(c Config, client evidence.Doer) (*Source, error) {
	col, err := evidence.NewCollector(evidence.CollectorConfig{
		HTTP: client, Hosts: c.Hosts, AnyHost: len(c.Hosts) == 0, Certificates: c.Certificates,
		Timeout: c.Timeout, CRLTimeout: c.CRLTimeout, Now: c.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("online: %w", err)
	}
	return &Source{c: col, allowPrivate: c.AllowPrivate}, nil
}

// Path implements pades.EvidenceSource.
func (s *Source) Path(ctx context.Context, cert *x509.Certificate, known []*x509.Certificate, roots *x509.CertPool, at time.Time) ([][]*x509.Certificate, error) {
	chains, err := s.c.Complete(ctx, cert, evidence.PathQuery{Certificates: known, Roots: roots, At: at})
	if err == nil {
		return chains, nil
	}
	if ctx.Err() != nil || errors.Is(err, evidence.ErrParams) {
		return nil, err
	}
	return nil, &pades.EvidenceError{Reason: pades.NoPath, Certificate: cert, Detail: err.Error(), Err: err}
}

// Gather implements pades.EvidenceSource.
func (s *Source) Gather(ctx context.Context, chains [][]*x509.Certificate, since time.Time) (*pades.Evidence, error) {
	m, err := s.c.Collect(ctx, evidence.Query{Chains: chains, Since: since})
	if m == nil {
		return nil, err
	}
	ev := &pades.Evidence{Certificates: m.Certificates, OCSPs: m.OCSPs, CRLs: m.CRLs}
	for _, a := range m.Answers {
		if a.Source == "" {
			return ev, s.missing(a)
		}
	}
	return ev, nil // that something is revoked is evidence
}

// missing says why there is no answer.
func (s *Source) missing(a evidence.Answer) error {
	var errs []error
	detail := ""
	for _, t := range a.Attempts {
		if t.Err == nil {
			continue
		}
		errs = append(errs, t.Err)
		if detail != "" {
			detail += "; "
		}
		detail += fmt.Sprintf("%s: %v", t.Source, t.Err)
	}
	err := errors.Join(errs...)
	e := &pades.EvidenceError{Reason: pades.Unreachable, Certificate: a.Certificate, Detail: detail, Err: err}
	switch {
	case errors.Is(err, evidence.ErrNoSource):
		e.Reason, e.Detail = pades.NoAddress, "it names neither a responder nor a list"
	case errors.Is(err, safehttp.ErrAddress), errors.Is(err, safehttp.ErrURL), errors.Is(err, evidence.ErrAddress):
		e.Reason = pades.Refused
		if !s.allowPrivate && errors.Is(err, safehttp.ErrAddress) {
			e.Detail += " (private and loopback addresses must be allowed expressly)"
		}
	}
	return e
}

// Status implements pades.Revocation: it asks now.
func (s *Source) Status(ctx context.Context, cert, issuer *x509.Certificate, _ time.Time) (pades.RevocationStatus, error) {
	m, err := s.c.Collect(ctx, evidence.Query{Chains: [][]*x509.Certificate{{cert, issuer}}})
	if m == nil {
		return pades.RevocationStatus{}, err
	}
	i := slices.IndexFunc(m.Answers, func(a evidence.Answer) bool { return a.Certificate.Equal(cert) })
	if i < 0 || m.Answers[i].Source == "" {
		return pades.RevocationStatus{}, err
	}
	a := m.Answers[i]
	if a.Status.State == revocation.Revoked {
		return pades.RevocationStatus{State: pades.Revoked, RevokedAt: a.Status.RevokedAt}, nil
	}
	if err != nil {
		return pades.RevocationStatus{}, err // its responder is revoked or unknown
	}
	return pades.RevocationStatus{State: pades.RevocationGood}, nil
}
