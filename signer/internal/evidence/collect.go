package evidence

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"

	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
)

// Defaults of [CollectorConfig].
const (
	DefaultCRLTimeout = 30 * time.Second
	DefaultMaxAge     = 10 * time.Minute
	DefaultCacheBytes = 64 << 20
)

// Bounds of one collection.
const (
	maxChains  = 16
	maxLength  = 10 // certificates of a chain
	maxSources = 4  // addresses of one kind in one certificate
	maxAtOnce  = 4  // certificates asked about at the same time
)

// CollectorConfig configures a [Collector]. HTTP is required, and Hosts or AnyHost.
type CollectorConfig struct {
	HTTP Doer
	// Hosts are those to which addresses in certificates may lead: "host", or
	// "host:port" for a port that is not the scheme's own; lower case.
	Hosts []string
	// AnyHost lets them lead anywhere. HTTP must then be the one to refuse
	// private addresses, as safehttp does.
	AnyHost bool
	// Certificates are known responders' and issuers'.
	Certificates []*x509.Certificate
	// Timeout bounds an exchange with a responder or for a certificate, CRLTimeout
	// one for a list; DefaultTimeout and DefaultCRLTimeout if zero.
	Timeout    time.Duration
	CRLTimeout time.Duration
	// Skew is how far others' clocks may differ; DefaultSkew if zero.
	Skew time.Duration
	// MaxAge is how long evidence is kept at most, even if it would be current
	// for longer; DefaultMaxAge if zero.
	MaxAge time.Duration
	// CacheBytes bounds what is kept; DefaultCacheBytes if zero.
	CacheBytes int64
	// Nonce sends one with each OCSP request. Responders that answer from stock
	// leave it out of their answer, and that is accepted.
	Nonce bool
	// Now is time.Now, Rand crypto/rand if nil.
	Now  func() time.Time
	Rand io.Reader
}

// Collector fetches revocation evidence and issuers. It is safe for concurrent use.
type Collector struct {
	c     CollectorConfig
	hosts hostList
	cache *cache
}

// NewCollector checks c and returns a collector. The error is [ErrParams].
func NewCollector(c CollectorConfig) (*Collector, error) {
	if c.HTTP == nil || c.Timeout < 0 || c.CRLTimeout < 0 || c.Skew < 0 || c.MaxAge < 0 || c.CacheBytes < 0 {
		return nil, fmt.Errorf("%w: client and bounds", ErrParams)
	}
	if len(c.Hosts) == 0 && !c.AnyHost {
		return nil, fmt.Errorf("%w: no host may be asked", ErrParams)
	}
	hosts, err := newHostList(c.Hosts, c.AnyHost)
	if err != nil {
		return nil, err
	}
	c.Timeout, c.CRLTimeout = orDefault(c.Timeout, DefaultTimeout), orDefault(c.CRLTimeout, DefaultCRLTimeout)
	c.Skew, c.MaxAge = orDefault(c.Skew, DefaultSkew), orDefault(c.MaxAge, DefaultMaxAge)
	if c.CacheBytes == 0 {
		c.CacheBytes = DefaultCacheBytes
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Collector{c: c, hosts: hosts, cache: newCache(c.Now, c.CacheBytes)}, nil
}

// Source is where an answer comes from.
type Source string

// The sources.
const (
	FromOCSP Source = "ocsp"
	FromCRL  Source = "crl"
	// FromIssuer: the issuer declares that it publishes no revocation of the
	// certificate (noRevAvail, RFC 9608); Status is zero and there is no evidence.
	FromIssuer Source = "no-rev-avail"
)

// Answer is what is known of one certificate.
type Answer struct {
	Certificate *x509.Certificate
	Issuer      *x509.Certificate
	// Source is empty where nothing is known.
	Source Source
	Status revocation.Status
	// Evidence is the OCSP response or the list, in DER.
	Evidence []byte
	// Fresh says that Status was known at or after Query.Since.
	Fresh bool
	// Attempts are all tries, the successful one last.
	Attempts []Attempt
}

// Query says what evidence is wanted for.
type Query struct {
	// Chains are paths from an end certificate to a trust anchor, which is the
	// last one and is not asked about. Each certificate must be issued by the next.
	Chains [][]*x509.Certificate
	// Since is the time of what the evidence is to support, for instance of the
	// signature-time-stamp: evidence in the cache that was fetched earlier and
	// tells of an earlier moment is fetched again. Zero takes what is current.
	Since time.Time
}

// Material is what was found, for a document security store.
type Material struct {
	// Answers are one per certificate, in the order of the chains, responders'
	// certificates last.
	Answers []Answer
	// Certificates are those of the chains and the responders', without repeats.
	Certificates []*x509.Certificate
	// OCSPs and CRLs are the evidence in DER, without repeats.
	OCSPs [][]byte
	CRLs  [][]byte
}

// Collect gathers revocation evidence for every certificate of the chains but
// their anchors, OCSP before lists, and for delegated responders that their
// issuer does not exempt. Only without an error is everything proven good. With a
// [*RevokedError] or an [*IncompleteError] the material holds what was found; it
// is nil with [ErrParams] and where the context has ended.
func (c *Collector) Collect(ctx context.Context, q Query) (*Material, error) {
	pairs, certs, err := q.pairs()
	if err != nil {
		return nil, err
	}
	answers := make([]Answer, len(pairs))
	extra := make([]*Answer, len(pairs))
	var g errgroup.Group
	g.SetLimit(maxAtOnce)
	for i, p := range pairs {
		g.Go(func() error {
			answers[i] = c.answer(ctx, p[0], p[1], q.Since, true)
			if r := answers[i].Status.Responder; r != nil && !answers[i].Status.NoCheck {
				a := c.answer(ctx, r, p[1], q.Since, false)
				extra[i] = &a
			}
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("evidence: collect: %w", err)
	}
	m := &Material{Answers: answers, Certificates: certs}
	for _, a := range extra {
		if a != nil && !m.knows(a.Certificate) {
			m.Answers = append(m.Answers, *a)
		}
	}
	return m, m.settle()
}

// pairs returns each certificate with its issuer, and all certificates.
func (q Query) pairs() (pairs [][2]*x509.Certificate, certs []*x509.Certificate, err error) {
	if len(q.Chains) == 0 || len(q.Chains) > maxChains {
		return nil, nil, fmt.Errorf("%w: %d chains", ErrParams, len(q.Chains))
	}
	for _, chain := range q.Chains {
		if len(chain) == 0 || len(chain) > maxLength {
			return nil, nil, fmt.Errorf("%w: chain of %d certificates", ErrParams, len(chain))
		}
		for i, cert := range chain {
			if cert == nil {
				return nil, nil, fmt.Errorf("%w: no certificate", ErrParams)
			}
			certs = addCertificate(certs, cert)
			if i == len(chain)-1 {
				break
			}
			issuer := chain[i+1]
			if issuer == nil || !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
				return nil, nil, fmt.Errorf("%w: chain out of order", ErrParams)
			}
			dup := false
			for _, p := range pairs {
				dup = dup || p[0].Equal(cert) && p[1].Equal(issuer)
			}
			if !dup {
				pairs = append(pairs, [2]*x509.Certificate{cert, issuer})
			}
		}
	}
	return pairs, certs, nil
}

func addCertificate(list []*x509.Certificate, c *x509.Certificate) []*x509.Certificate {
	for _, o := range list {
		if o.Equal(c) {
			return list
		}
	}
	return append(list, c)
}

func addBytes(list [][]byte, b []byte) [][]byte {
	for _, o := range list {
		if bytes.Equal(o, b) {
			return list
		}
	}
	return append(list, b)
}

func (m *Material) knows(cert *x509.Certificate) bool {
	for _, a := range m.Answers {
		if a.Certificate.Equal(cert) {
			return true
		}
	}
	return false
}

// settle fills in the evidence and decides whether everything is proven.
func (m *Material) settle() error {
	var missing []Answer
	var revoked *RevokedError
	for _, a := range m.Answers {
		switch a.Source {
		case FromOCSP:
			m.OCSPs = addBytes(m.OCSPs, a.Evidence)
			if a.Status.Responder != nil {
				m.Certificates = addCertificate(m.Certificates, a.Status.Responder)
			}
		case FromCRL:
			m.CRLs = addBytes(m.CRLs, a.Evidence)
		case "":
			missing = append(missing, a)
		}
		if a.Status.State == revocation.Revoked && revoked == nil {
			revoked = &RevokedError{Answer: a}
		}
	}
	switch {
	case revoked != nil:
		return revoked
	case missing != nil:
		return &IncompleteError{Missing: missing}
	}
	return nil
}

// answer asks about one certificate. Lists are used where OCSP gives nothing,
// and alone where ocsp is false (of responders, lest they vouch for themselves).
func (c *Collector) answer(ctx context.Context, cert, issuer *x509.Certificate, since time.Time, ocsp bool) Answer {
	a := Answer{Certificate: cert, Issuer: issuer}
	if revocation.NoRevocationAvailable(cert) {
		a.Source, a.Fresh = FromIssuer, true
		return a
	}
	if ocsp {
		for _, address := range firstOf(cert.OCSPServer) {
			if c.try(ctx, &a, FromOCSP, address, since) || ctx.Err() != nil {
				return a
			}
		}
	}
	for _, address := range firstOf(cert.CRLDistributionPoints) {
		if c.try(ctx, &a, FromCRL, address, since) || ctx.Err() != nil {
			return a
		}
	}
	if len(a.Attempts) == 0 {
		a.Attempts = []Attempt{{Source: "certificate", Err: ErrNoSource}}
	}
	return a
}

func firstOf(list []string) []string { return list[:min(len(list), maxSources)] }

// try asks one source and fills a if it proves something.
func (c *Collector) try(ctx context.Context, a *Answer, from Source, address string, since time.Time) bool {
	start := c.c.Now()
	get := c.ocsp
	if from == FromCRL {
		get = c.crl
	}
	st, der, err := get(ctx, a.Certificate, a.Issuer, address, since)
	a.Attempts = append(a.Attempts, Attempt{Source: address, Err: err, Took: c.c.Now().Sub(start)})
	if err != nil {
		return false
	}
	a.Source, a.Status, a.Evidence = from, *st, der
	a.Fresh = since.IsZero() || !st.ThisUpdate.Before(since)
	return true
}

// expiry returns until when something is kept.
func (c *Collector) expiry(nextUpdate time.Time) time.Time {
	t := c.c.Now().Add(c.c.MaxAge)
	if !nextUpdate.IsZero() && nextUpdate.Before(t) {
		return nextUpdate
	}
	return t
}
