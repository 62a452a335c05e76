package evidence

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/tsp"
)

// Defaults of [PoolConfig].
const (
	DefaultTimeout  = 10 * time.Second
	DefaultSkew     = 10 * time.Second
	DefaultCoolDown = 30 * time.Second
)

const nonceBits = 127

// TSA is one time-stamping authority.
type TSA struct {
	// Name stands in attempts and reports.
	Name string
	// URL is its http(s) address. The operator chose it, so no list of hosts applies.
	URL string
	// Roots are the anchors of this authority alone. Required.
	Roots *x509.CertPool
	// Certificates help where the token does not hold the whole path.
	Certificates []*x509.Certificate
	// Policy is asked for; nil leaves the choice to the authority.
	Policy asn1.ObjectIdentifier
	// Accept are the policies that are accepted; empty accepts Policy, or any
	// where that is nil too.
	Accept []asn1.ObjectIdentifier
	// Authorize, if not nil, adds credentials to a request.
	Authorize func(*http.Request)
}

// PoolConfig configures a [Pool]. TSAs and HTTP are required.
type PoolConfig struct {
	// TSAs are tried in this order.
	TSAs []TSA
	HTTP Doer
	// Timeout bounds each exchange; DefaultTimeout if zero.
	Timeout time.Duration
	// Skew is how far an authority's clock may differ from ours, either way;
	// DefaultSkew if zero. The time it takes to answer is allowed beside it.
	Skew time.Duration
	// CoolDown is how long an authority that failed is tried last; DefaultCoolDown if zero.
	CoolDown time.Duration
	// Now is time.Now if nil.
	Now func() time.Time
	// Rand makes nonces; crypto/rand if nil.
	Rand io.Reader
}

// Pool asks time-stamping authorities, one after the other until one gives a
// token that verifies. It is safe for concurrent use.
type Pool struct {
	c    PoolConfig
	urls []*url.URL

	mu   sync.Mutex  // guards cold
	cold []time.Time // per authority, until when it is tried last
}

// NewPool checks c and returns a pool. The error is [ErrParams].
func NewPool(c PoolConfig) (*Pool, error) {
	if len(c.TSAs) == 0 || c.HTTP == nil || c.Timeout < 0 || c.Skew < 0 || c.CoolDown < 0 {
		return nil, fmt.Errorf("%w: authorities, client and bounds", ErrParams)
	}
	p := &Pool{c: c, cold: make([]time.Time, len(c.TSAs))}
	for _, t := range c.TSAs {
		u, err := parseURL(t.URL)
		if err != nil || t.Name == "" || t.Roots == nil {
			return nil, fmt.Errorf("%w: authority %q wants a name, an http(s) address and roots", ErrParams, t.Name)
		}
		p.urls = append(p.urls, u)
	}
	p.c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	p.c.Skew = orDefault(c.Skew, DefaultSkew)
	p.c.CoolDown = orDefault(c.CoolDown, DefaultCoolDown)
	if p.c.Now == nil {
		p.c.Now = time.Now
	}
	if p.c.Rand == nil {
		p.c.Rand = rand.Reader
	}
	return p, nil
}

func orDefault(v, def time.Duration) time.Duration {
	if v == 0 {
		return def
	}
	return v
}

// Stamp is an accepted time-stamp.
type Stamp struct {
	// Token is the TimeStampToken in DER, for a signature-time-stamp attribute or
	// the Contents of a document time-stamp.
	Token []byte
	// TSA is the name of the authority.
	TSA string
	// Verified holds the TSTInfo, the certificate and its chains.
	Verified *tsp.Verified
	// Attempts are all tries, the successful one last.
	Attempts []Attempt
}

// Stamp asks for a time-stamp over an imprint. It returns only what has been
// verified in full, revocation excepted (see [Collector.Collect] with the
// chain). The error is a [*PoolError], or the context's where the caller gave up.
func (p *Pool) Stamp(ctx context.Context, imprint tsp.Imprint) (*Stamp, error) {
	var attempts []Attempt
	for _, i := range p.order() {
		start := p.c.Now()
		s, err := p.ask(ctx, i, imprint)
		a := Attempt{Source: p.c.TSAs[i].Name, Err: err, Took: p.c.Now().Sub(start)}
		attempts = append(attempts, a)
		if err == nil {
			p.setCold(i, time.Time{})
			s.Attempts = attempts
			return s, nil
		}
		if gaveUp(ctx, err) {
			return nil, fmt.Errorf("evidence: time-stamp: %w", ctx.Err())
		}
		p.setCold(i, p.c.Now().Add(p.c.CoolDown))
	}
	return nil, &PoolError{Attempts: attempts}
}

// order returns the indices of the authorities, those that failed of late last.
func (p *Pool) order() []int {
	now := p.c.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	var warm, cold []int
	for i, until := range p.cold {
		if now.Before(until) {
			cold = append(cold, i)
		} else {
			warm = append(warm, i)
		}
	}
	return append(warm, cold...)
}

func (p *Pool) setCold(i int, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cold[i] = until
}

// ask performs one exchange with one authority and verifies its token.
func (p *Pool) ask(ctx context.Context, i int, imprint tsp.Imprint) (*Stamp, error) {
	t := p.c.TSAs[i]
	nonce, err := rand.Int(p.c.Rand, new(big.Int).Lsh(big.NewInt(1), nonceBits))
	if err != nil {
		return nil, fmt.Errorf("evidence: nonce: %w", err)
	}
	q, err := (&tsp.Request{Imprint: imprint, Policy: t.Policy, Nonce: nonce, CertReq: true}).Marshal()
	if err != nil {
		return nil, err
	}
	asked := p.c.Now()
	body, err := fetch(ctx, p.c.HTTP, request{
		url: p.urls[i], body: q, mediaType: tsp.RequestType, accept: tsp.ResponseType,
		max: tsp.MaxResponse, timeout: p.c.Timeout, authorize: t.Authorize,
	})
	if err != nil {
		return nil, err
	}
	resp, err := tsp.ParseResponse(body)
	if err != nil {
		return nil, err
	}
	if err := resp.Err(); err != nil {
		return nil, err
	}
	tok, err := tsp.ParseToken(resp.Token)
	if err != nil {
		return nil, err
	}
	accept := t.Accept
	if len(accept) == 0 && t.Policy != nil {
		accept = []asn1.ObjectIdentifier{t.Policy}
	}
	v, err := tok.Verify(tsp.VerifyOptions{
		Imprint: imprint, Nonce: nonce, Policies: accept, Roots: t.Roots, Certificates: t.Certificates,
		Now: p.c.Now(), MaxAhead: p.c.Skew, NotBefore: asked.Add(-p.c.Skew),
	})
	if err != nil {
		return nil, err
	}
	return &Stamp{Token: tok.SignedData.Raw, TSA: t.Name, Verified: v}, nil
}
