// Package stamp asks a time-stamping authority named by its address for a
// token (RFC 3161 over HTTP, §3.4), for the command line.
//
// Invariants: a token is returned only after it was checked against the
// request (imprint, nonce, time, signature, usage of the certificate); the
// answer is bounded in size and time; an authority that is not among the roots
// given is never said to be trusted. Only cmd/suti imports it.
package stamp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/safehttp"
	"oruro.gob.bo/suti/internal/tsp"
)

// maxSkew is how far the authority's clock may differ from ours, either way,
// beside the time it takes to answer.
const maxSkew = 10 * time.Second

const nonceBits = 127

// Errors of [New] and [Client.Timestamp], beside those of internal/tsp and
// internal/safehttp.
var (
	// ErrConfig: an address or setting that cannot be used.
	ErrConfig = errors.New("stamp: bad configuration")
	// ErrAnswer: what came back is not a time-stamp response.
	ErrAnswer = errors.New("stamp: bad answer")
)

// Config configures a Client. URL is required.
type Config struct {
	// URL of the authority, http or https. Whoever configures it vouches for
	// its host: private addresses are allowed.
	URL string
	// Roots are the authority's trust anchors. If nil, the token is checked in
	// itself, and [Client.Trusted] stays false.
	Roots *x509.CertPool
	// Timeout bounds the exchange; default 15 s.
	Timeout time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Client asks one authority. It implements the Timestamper of signer/pades.
type Client struct {
	c       Config
	http    *safehttp.Client
	trusted bool
}

// New checks c and returns a client. The error is ErrConfig.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%w: the address of an authority is http://… or https://…", ErrConfig)
	}
	if c.Timeout == 0 {
		c.Timeout = 15 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	client, err := safehttp.New(safehttp.Config{
		AllowHosts: []string{strings.ToLower(u.Hostname())}, InsecureAllowHTTP: u.Scheme == "http", Ports: []uint16{0},
		Timeout: c.Timeout, MaxResponse: tsp.MaxResponse, Now: c.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return &Client{c: c, http: client}, nil
}

// Trusted reports whether the last token came from an authority under the roots given.
func (c *Client) Trusted() bool { return c.trusted }

// Timestamp returns the DER of a checked token over the digest.
func (c *Client) Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), nonceBits))
	if err != nil {
		return nil, fmt.Errorf("stamp: nonce: %w", err)
	}
	imprint := tsp.Imprint{Hash: h, Digest: digest}
	query, err := (&tsp.Request{Imprint: imprint, Nonce: nonce, CertReq: true}).Marshal()
	if err != nil {
		return nil, err
	}
	asked := c.c.Now()
	body, err := c.post(ctx, query)
	if err != nil {
		return nil, err
	}
	resp, err := tsp.ParseResponse(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if err := resp.Err(); err != nil {
		return nil, err
	}
	tok, err := tsp.ParseToken(resp.Token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	roots := c.c.Roots
	if roots == nil {
		roots = ownRoots(tok)
	}
	if _, err := tok.Verify(tsp.VerifyOptions{
		Imprint: imprint, Nonce: nonce, Roots: roots, Now: c.c.Now(), MaxAhead: maxSkew, NotBefore: asked.Add(-maxSkew),
	}); err != nil {
		return nil, err
	}
	c.trusted = c.c.Roots != nil
	return tok.SignedData.Raw, nil
}

// ownRoots takes the certificates of the token itself for anchors: everything
// but who the authority is can then be checked.
func ownRoots(tok *tsp.Token) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, c := range tok.SignedData.Certificates() {
		pool.AddCert(c)
	}
	return pool
}

func (c *Client) post(ctx context.Context, query []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.c.URL, bytes.NewReader(query))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	req.Header.Set("Content-Type", tsp.RequestType)
	req.Header.Set("Accept", tsp.ResponseType)
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: HTTP status %d", ErrAnswer, res.StatusCode)
	}
	return io.ReadAll(res.Body)
}
