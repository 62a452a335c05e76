package cades

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

// Sign signs content with a key at hand: Prepare, sign, time-stamp, Embed, and
// Extend where the level asks for it. ts is needed from level B-T on, and
// Options.Extend for B-LT; if they fail, so does Sign.
func Sign(ctx context.Context, content io.Reader, key crypto.Signer, chain []*x509.Certificate, ts Timestamper, o Options) (*Signed, error) {
	if o.Hash == 0 && len(chain) > 0 {
		if alg, err := algorithmOf(chain[0], o.Algorithm); err == nil {
			o.Hash = alg.Hash()
		}
	}
	var x ExtendOptions
	if o.Level >= LevelBLT {
		if o.Extend == nil {
			return nil, fmt.Errorf("%w: level %v needs Options.Extend", ErrOptions, o.Level)
		}
		x = *o.Extend
		if err := x.check(); err != nil {
			return nil, err
		}
		// The key is not used for what would lead nowhere.
		if len(chain) > 0 {
			if _, err := x.Evidence.Path(ctx, chain[0], chain[1:], x.Roots, o.SigningTime); err != nil {
				return nil, err
			}
		}
	}
	s, err := Prepare(ctx, content, o)
	if err != nil {
		return nil, err
	}
	tbs, err := s.SignedAttributes(chain, AttributeOptions{Algorithm: o.Algorithm})
	if err != nil {
		return nil, err
	}
	value, err := key.Sign(rand.Reader, tbs.Input, tbs.Opts)
	if err != nil {
		return nil, fmt.Errorf("cades: private key: %w", err)
	}
	sig := Signature{Value: value, Attributes: tbs.Attributes, Algorithm: tbs.Algorithm, Chain: chain}
	if s.requested >= LevelBT {
		if ts == nil {
			return nil, ErrNoTimestamp
		}
		h, sum := TimestampInput(value)
		if sig.Token, err = ts.Timestamp(ctx, h, sum); err != nil {
			return nil, fmt.Errorf("cades: time-stamp: %w", err)
		}
	}
	signed, err := s.Embed(ctx, sig)
	if err != nil || s.requested < LevelBLT {
		return signed, err
	}
	return signed.Extend(ctx, x)
}
