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

// Sign signs a file with a key at hand: Prepare, sign, time-stamp, Embed, and
// Extend where the level asks for it. ts is needed from level B-T on, and
// Options.Extend above it; if they fail, so does Sign.
func Sign(ctx context.Context, base io.ReaderAt, size int64, key crypto.Signer, chain []*x509.Certificate, ts Timestamper, o Options) (*Signed, error) {
	return sign(ctx, base, size, key, chain, ts, o)
}

// SignTo is [Sign] and [Signed.WriteTo] in one reading of the file: what is
// read to be signed is written to w at once, and the signature behind it. So it
// takes half as long for large files. After an error, what w was given is to be
// thrown away.
func SignTo(ctx context.Context, w io.Writer, base io.ReaderAt, size int64, key crypto.Signer, chain []*x509.Certificate, ts Timestamper, o Options) (*Signed, error) {
	s, err := sign(ctx, base, size, key, chain, ts, o, w)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(s.tail); err != nil {
		return nil, fmt.Errorf("pades: write signature: %w", err)
	}
	return s, nil
}

func sign(ctx context.Context, base io.ReaderAt, size int64, key crypto.Signer, chain []*x509.Certificate, ts Timestamper, o Options, copies ...io.Writer) (*Signed, error) {
	if o.Reserve == (Reserve{}) {
		for _, c := range chain {
			o.Reserve.Certificates += len(c.Raw)
		}
	}
	if len(chain) > 0 {
		if alg, err := schemeOf(chain[0], o.Algorithm, o.Schemes); err == nil {
			if o.Hash == 0 {
				o.Hash = alg.Hash
			}
			if o.Reserve.Signature == 0 {
				o.Reserve.Signature = alg.MaxSize(alg.PublicKey(chain[0]))
			}
		}
	}
	if o.Level > LevelBT {
		if err := checkExtend(&o, ts); err != nil {
			return nil, err
		}
		// The key is not used for what would lead nowhere.
		if len(chain) > 0 {
			if _, err := o.Extend.Evidence.Path(ctx, chain[0], chain[1:], o.Extend.Roots, o.SigningTime); err != nil {
				return nil, err
			}
		}
	}
	s, err := prepare(ctx, base, size, o, copies...)
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
	if s.Level() >= LevelBT {
		if ts == nil {
			return nil, ErrNoTimestamp
		}
		h, digest := TimestampInput(value)
		if sig.Token, err = ts.Timestamp(ctx, h, digest); err != nil {
			return nil, fmt.Errorf("pades: time-stamp: %w", err)
		}
	}
	signed, err := s.Embed(ctx, sig)
	if err != nil || s.Level() <= LevelBT {
		return signed, err
	}
	return signed.Extend(ctx, base, *o.Extend)
}

// checkExtend completes and checks Options.Extend before a key is used.
func checkExtend(o *Options, ts Timestamper) error {
	if o.Extend == nil {
		return fmt.Errorf("%w: level %v needs Options.Extend", ErrOptions, o.Level)
	}
	x := *o.Extend
	x.Level = o.Level
	if x.Timestamper == nil {
		x.Timestamper = ts
	}
	if x.Limits == (Limits{}) {
		x.Limits = o.Limits
	}
	if x.Password == "" {
		x.Password = o.Password
	}
	o.Extend = &x
	return x.check()
}
