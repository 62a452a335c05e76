package pades

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
)

// Timestamper asks a time-stamping authority.
//
// Timestamp returns the DER of a TimeStampToken (RFC 3161) over the digest.
// It MUST return only after the token has been checked against the request,
// and MUST obey ctx. It is called at most once per signature.
type Timestamper interface {
	Timestamp(ctx context.Context, h crypto.Hash, digest []byte) ([]byte, error)
}

// Sign signs a file with a key at hand: Prepare, sign, time-stamp, Embed. ts is
// needed for level B-T only; if it fails, so does Sign.
func Sign(ctx context.Context, base io.ReaderAt, size int64, key crypto.Signer, chain []*x509.Certificate, ts Timestamper, o Options) (*Signed, error) {
	if o.Reserve == (Reserve{}) {
		for _, c := range chain {
			o.Reserve.Certificates += len(c.Raw)
		}
	}
	if o.Hash == 0 && len(chain) > 0 {
		if alg, err := algorithmOf(chain[0], o.Algorithm); err == nil {
			o.Hash = alg.Hash()
		}
	}
	s, err := Prepare(ctx, base, size, o)
	if err != nil {
		return nil, err
	}
	tbs, err := s.SignedAttributes(chain, AttributeOptions{Algorithm: o.Algorithm})
	if err != nil {
		return nil, err
	}
	value, err := key.Sign(rand.Reader, tbs.Input, tbs.Opts)
	if err != nil {
		return nil, fmt.Errorf("pades: private key: %w", err)
	}
	sig := Signature{Value: value, Attributes: tbs.Attributes, Algorithm: tbs.Algorithm, Chain: chain}
	if s.Level() == LevelBT {
		if ts == nil {
			return nil, ErrNoTimestamp
		}
		h, digest := TimestampInput(value)
		if sig.Token, err = ts.Timestamp(ctx, h, digest); err != nil {
			return nil, fmt.Errorf("pades: time-stamp: %w", err)
		}
	}
	return s.Embed(ctx, sig)
}
