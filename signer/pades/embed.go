package pades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// Signature is what [Session.Embed] writes.
type Signature struct {
	// Value is what the key gave for [ToBeSigned].Input.
	Value []byte
	// Attributes are [ToBeSigned].Attributes.
	Attributes []byte
	// Algorithm is [ToBeSigned].Algorithm; "" for the default of the key.
	Algorithm string
	// Chain is the signer's certificate and its path.
	Chain []*x509.Certificate
	// Token is the DER of a time-stamp token over Value.
	Token []byte
	// AllowLower writes level B-B if B-T or more was asked for and Token is nil.
	// [Signed].Achieved tells.
	AllowLower bool
}

// Signed is a finished signature: the update that makes the file a signed one.
type Signed struct {
	Requested, Achieved Level
	// CMS is the signature as embedded, without padding.
	CMS []byte

	session *Session
	tail    []byte
	token   []byte
	chain   []*x509.Certificate
}

// TimestampInput returns what a time-stamp over a signature value must stamp:
// its SHA-256 digest.
func TimestampInput(value []byte) (crypto.Hash, []byte) {
	return judge.StampInput(value)
}

// Embed checks the signature value against the certificate and the token
// against the value, and only then fills the hole.
//
// Errors: [ErrCertificate], [ErrNoTimestamp], [ErrTimestamp], [*ReserveError],
// and those of internal/cms, such as cms.ErrSignature.
func (s *Session) Embed(ctx context.Context, sig Signature) (*Signed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := &Signed{Requested: s.requested, Achieved: LevelBB, session: s, token: sig.Token, chain: sig.Chain}
	if sig.Token == nil && s.requested >= LevelBT && !sig.AllowLower {
		return nil, ErrNoTimestamp
	}
	if err := s.checkSigner(sig.Chain); err != nil {
		return nil, err
	}
	alg, err := schemeFor(sig.Chain[0], sig.Algorithm, s.hash, s.schemes)
	if err != nil {
		return nil, err
	}
	p, err := cms.ResumeScheme(sig.Chain[0], alg, sig.Attributes, nil)
	if err != nil {
		return nil, fmt.Errorf("pades: signed attributes: %w", err)
	}
	// Read and verified as a verifier would, against the digest of the session.
	out.CMS, err = p.AssembleVerified(sig.Value, cms.AssembleOptions{Certificates: sig.Chain},
		cms.VerifyOptions{Digest: s.digest, Profile: cms.ProfilePAdES})
	if err != nil {
		return nil, fmt.Errorf("pades: signature: %w", err)
	}
	if sig.Token != nil {
		if err := judge.CheckToken(sig.Token, sig.Value); err != nil {
			return nil, err
		}
		if out.CMS, err = cms.AddSignatureTimestamp(out.CMS, sig.Token, s.schemes...); err != nil {
			return nil, fmt.Errorf("pades: time-stamp: %w", err)
		}
		out.Achieved = LevelBT
	}
	if len(out.CMS) > s.reserve {
		return nil, &ReserveError{Need: len(out.CMS), Have: s.reserve}
	}
	out.tail = s.fill(out.CMS)
	return out, nil
}

// fill writes the CMS into the hole, in hexadecimal, padded with zeros.
func (s *Session) fill(der []byte) []byte {
	hole := bytes.Repeat([]byte{'0'}, 2*s.reserve+2)
	hole[0], hole[len(hole)-1] = '<', '>'
	hex.Encode(hole[1:], der)
	return slices.Concat(s.before, hole, s.after)
}

// Tail returns the bytes that follow the file. File and tail together are the
// signed file.
func (o *Signed) Tail() []byte { return o.tail }

// Field returns the name of the signature field.
func (o *Signed) Field() string { return o.session.field }

// Size returns the size of the signed file in bytes.
func (o *Signed) Size() int64 { return o.session.baseSize + int64(len(o.tail)) }

// WriteTo copies base to w, and the signature behind it. It returns [ErrBase],
// before any of the signature is written, if base
// is no longer the file that was prepared.
func (o *Signed) WriteTo(ctx context.Context, w io.Writer, base io.ReaderAt) (int64, error) {
	return writeWithTail(ctx, w, base, o.session.baseSize, o.session.baseSHA256, o.tail)
}

func copyBase(ctx context.Context, w io.Writer, base io.ReaderAt, size int64) (int64, error) {
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	buf := *b
	done := int64(0)
	for done < size {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		n, err := base.ReadAt(buf[:min(int64(len(buf)), size-done)], done)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = fmt.Errorf("%w: it is shorter", ErrBase)
			}
			return done, err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return done, err
		}
		done += int64(n)
	}
	return done, nil
}
