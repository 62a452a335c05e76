package tsa

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/tsp"
)

// ErrNoUnit reports that no unit's certificate and key may be used now.
var ErrNoUnit = errors.New("tsa: no time-stamping unit")

// Unit is a time-stamping unit: its certificate, the path above it without the
// root, and its key.
type Unit struct {
	SN          []byte // number of the certificate
	Certificate *x509.Certificate
	Path        []*x509.Certificate
	Signer      crypto.Signer
	// UseUntil ends the key's use (PrivateKeyUsagePeriod).
	UseUntil time.Time
}

// Units finds the unit to use.
//
// Unit MUST return [ErrNoUnit], or a unit whose certificate is valid at now and
// whose key may still be used then.
type Units interface {
	Unit(ctx context.Context, now time.Time) (Unit, error)
}

// Config configures [New]. DB, Audit, Units and Policy are required.
type Config struct {
	DB    *db.DB
	Audit *audit.Log
	Units Units
	// Policy is the identifier of the TSA policy.
	Policy asn1.ObjectIdentifier
	// Prefix is the first octet of token numbers, the node's own, 1 to 127.
	Prefix uint8
	// Clock; default [SystemClock].
	Clock Clock
	// Accuracy is stated in tokens, and bounds the clock's own error; default 500 ms.
	Accuracy time.Duration
	// MaxBatch bounds the tokens of one transaction; default 64.
	MaxBatch int
	// MaxQueue bounds the requests that wait; default 1024. Beyond: [ErrBusy].
	MaxQueue int
}

// ErrBusy reports that too many requests wait.
var ErrBusy = errors.New("tsa: too busy")

// Service issues tokens. It is safe for concurrent use.
type Service struct {
	cfg Config

	mu      sync.Mutex
	queue   []*pending // guarded by mu
	leading bool       // a goroutine drains the queue; guarded by mu
	last    time.Time  // greatest time known to be used; only the leader touches it
}

// pending is one request on its way to its number.
type pending struct {
	imprint tsp.Imprint
	nonce   *big.Int
	done    chan struct{}
	// Set before done is closed:
	sn   []byte
	info *tsp.TSTInfo
	unit Unit
	err  error
}

// New returns a service on a database with the authority's migrations.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Audit == nil || c.Units == nil || len(c.Policy) < 3 {
		return nil, errors.New("tsa: Config needs DB, Audit, Units and Policy")
	}
	if c.Prefix < 1 || c.Prefix > 127 {
		return nil, fmt.Errorf("tsa: number prefix %d is not 1 to 127", c.Prefix)
	}
	if c.Clock == nil {
		c.Clock = SystemClock{}
	}
	if c.Accuracy <= 0 {
		c.Accuracy = 500 * time.Millisecond
	}
	if c.MaxBatch <= 0 {
		c.MaxBatch = 64
	}
	if c.MaxQueue <= 0 {
		c.MaxQueue = 1024
	}
	return &Service{cfg: c}, nil
}

// Hashes are the digests that imprints may be made with.
func Hashes() []crypto.Hash { return []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} }

// Reply answers a TimeStampReq in DER with a TimeStampResp in DER: a token, or
// a rejection with its failInfo. It never fails.
func (s *Service) Reply(ctx context.Context, request []byte) []byte {
	req, err := tsp.ParseRequest(request)
	if err == nil {
		err = req.Check(Hashes(), []asn1.ObjectIdentifier{s.cfg.Policy})
	}
	if err != nil {
		return tsp.RejectError(err, "")
	}
	token, err := s.token(ctx, req)
	if err == nil {
		if out, err := tsp.Grant(token); err == nil {
			return out
		}
	}
	if errors.Is(err, ErrTime) || errors.Is(err, ErrNoUnit) {
		return tsp.Reject(tsp.TimeNotAvailable, "")
	}
	return tsp.Reject(tsp.SystemFailure, "")
}

// Stamp returns a token over an imprint, with the certificates in it. Errors:
// [ErrTime], [ErrNoUnit], [ErrBusy], [*tsp.RequestError], and those of the database.
func (s *Service) Stamp(ctx context.Context, imprint tsp.Imprint) ([]byte, error) {
	req := &tsp.Request{Imprint: imprint, CertReq: true}
	if err := req.Check(Hashes(), nil); err != nil {
		return nil, err
	}
	if len(imprint.Digest) != imprint.Hash.Size() {
		return nil, &tsp.RequestError{Fail: tsp.BadDataFormat, Err: tsp.ErrMalformed}
	}
	return s.token(ctx, req)
}

func (s *Service) token(ctx context.Context, req *tsp.Request) ([]byte, error) {
	p, err := s.allocate(ctx, req)
	if err != nil {
		return nil, err
	}
	if err := failpoint.Hit(failpoint.StampAfterSerial); err != nil {
		return nil, err
	}
	prepared, err := tsp.PrepareToken(p.info, p.unit.Certificate, 0)
	if err != nil {
		return nil, fmt.Errorf("prepare token: %w", err)
	}
	sig, err := prepared.Sign(rand.Reader, p.unit.Signer)
	if err != nil {
		return nil, fmt.Errorf("sign token: %w", err)
	}
	opts := cms.AssembleOptions{OmitCertificates: !req.CertReq}
	if req.CertReq {
		opts.Certificates = p.unit.Path
	}
	token, err := prepared.Assemble(sig, opts) // verifies the signature
	if err != nil {
		return nil, fmt.Errorf("assemble token: %w", err)
	}
	return token, failpoint.Hit(failpoint.StampAfterSign)
}
