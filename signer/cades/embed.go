package cades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// AttributeOptions says what is signed besides the digest, the time, the media
// type and the certificate.
type AttributeOptions struct {
	// Algorithm is the name of the algorithm to sign with, such as
	// "rsa-pss-sha256"; by default the one of the certificate's key.
	Algorithm string
	// Commitment adds a commitment-type-indication (for instance proof of
	// approval, 1.2.840.113549.1.9.16.6.5) unless nil.
	Commitment asn1.ObjectIdentifier
	// Extra are further signed attributes in DER, such as signer-attributes-v2.
	Extra []cms.Attribute
}

// ToBeSigned is what the signer's key has to sign.
type ToBeSigned struct {
	// Attributes is the DER of the signed attributes, the message that the
	// signature covers. It goes into [Signature].
	Attributes []byte
	// Input and Opts are the arguments of crypto.Signer.Sign.
	Input []byte
	Opts  crypto.SignerOpts
	// Algorithm is a stable name such as "ecdsa-sha256". It goes into
	// [Signature], where it is not the default of the key.
	Algorithm string
}

// SignedAttributes builds the signed attributes for the certificate chain[0],
// followed by its path. Equal arguments give equal bytes.
//
// Errors: [ErrCertificate]; [*RefusedError] if the certificate has signed the
// content already; those of internal/cms.
func (s *Session) SignedAttributes(chain []*x509.Certificate, o AttributeOptions) (*ToBeSigned, error) {
	alg, err := s.checkSigner(chain, o.Algorithm)
	if err != nil {
		return nil, err
	}
	media, err := cms.MimeType(s.mediaType)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	p, err := cms.PrepareSignedAttrs(cms.Params{
		Certificate: chain[0], Algorithm: alg, Digest: s.digest, SigningTime: s.signingTime,
		Commitment: o.Commitment, Extra: append([]cms.Attribute{media}, o.Extra...),
	})
	if err != nil {
		return nil, fmt.Errorf("cades: signed attributes: %w", err)
	}
	return &ToBeSigned{Attributes: p.SignedAttrs(), Input: p.Input(), Opts: alg.SignerOpts(), Algorithm: alg.String()}, nil
}

// checkSigner checks what can be said of the certificate without trust, and
// returns the algorithm of that name, by default the key's, which must digest
// as the content was digested.
func (s *Session) checkSigner(chain []*x509.Certificate, algorithm string) (cms.Algorithm, error) {
	if len(chain) == 0 || chain[0] == nil {
		return 0, fmt.Errorf("%w: none given", ErrCertificate)
	}
	c := chain[0]
	if why := judge.Unfit(c); why != "" {
		return 0, fmt.Errorf("%w: %s", ErrCertificate, why)
	}
	if s.signingTime.Before(c.NotBefore) || s.signingTime.After(c.NotAfter) {
		return 0, fmt.Errorf("%w: not valid at the signing time", ErrCertificate)
	}
	alg, err := algorithmOf(c, algorithm)
	if err != nil {
		return 0, err
	}
	if alg.Hash() != s.hash {
		return 0, fmt.Errorf("%w: its key signs with %v, the content was digested with %v", ErrCertificate, alg.Hash(), s.hash)
	}
	if s.existing == nil {
		return alg, nil
	}
	others, err := parse(s.existing)
	if err != nil {
		return 0, err
	}
	for _, sd := range others {
		if other, err := sd.SignerCertificate(); err == nil && bytes.Equal(other.Raw, c.Raw) {
			return 0, &RefusedError{Code: CodeSigned, Detail: "this certificate has signed the file already"}
		}
	}
	return alg, nil
}

func algorithmOf(cert *x509.Certificate, name string) (cms.Algorithm, error) {
	if name != "" {
		alg, err := cms.ParseAlgorithm(name)
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrOptions, err)
		}
		return alg, nil // whether it fits the key, internal/cms checks
	}
	alg, err := cms.AlgorithmFor(cert.PublicKey)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return alg, nil
}

// Signature is what [Session.Embed] takes.
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
}

// Signed is a finished signature.
type Signed struct {
	Requested, Achieved Level
	// CMS is the signature file in DER, with the signatures of others that it
	// was put beside.
	CMS []byte

	session *Session
	own     []byte // of this signer alone
	token   []byte
	chain   []*x509.Certificate
}

// SHA256 returns the SHA-256 of the content.
func (o *Signed) SHA256() [32]byte { return o.session.sha256 }

// TimestampInput returns what a time-stamp over a signature value must stamp:
// its SHA-256 digest.
func TimestampInput(value []byte) (crypto.Hash, []byte) { return judge.StampInput(value) }

// Embed checks the signature value against the certificate and the token
// against the value, and only then encodes the signature.
//
// Errors: [ErrCertificate], [ErrNoTimestamp], [ErrTimestamp], [*RefusedError],
// and those of internal/cms, such as cms.ErrSignature.
func (s *Session) Embed(ctx context.Context, sig Signature) (*Signed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if sig.Token == nil && s.requested >= LevelBT {
		return nil, ErrNoTimestamp
	}
	alg, err := s.checkSigner(sig.Chain, sig.Algorithm)
	if err != nil {
		return nil, err
	}
	p, err := cms.Resume(sig.Chain[0], alg, sig.Attributes, nil)
	if err != nil {
		return nil, fmt.Errorf("cades: signed attributes: %w", err)
	}
	out := &Signed{Requested: s.requested, Achieved: LevelBB, session: s, token: sig.Token, chain: sig.Chain}
	// Read and verified as a verifier would, against the digest of the session.
	out.own, err = p.AssembleVerified(sig.Value, cms.AssembleOptions{Certificates: sig.Chain}, cms.VerifyOptions{Digest: s.digest})
	if err != nil {
		return nil, fmt.Errorf("cades: signature: %w", err)
	}
	if sig.Token != nil {
		if err := judge.CheckToken(sig.Token, sig.Value); err != nil {
			return nil, err
		}
		if out.own, err = cms.AddSignatureTimestamp(out.own, sig.Token); err != nil {
			return nil, fmt.Errorf("cades: time-stamp: %w", err)
		}
		out.Achieved = LevelBT
	}
	sd, err := cms.Parse(out.own)
	if err != nil {
		return nil, fmt.Errorf("cades: signature: %w", err)
	}
	if sd.Signer.SigningTime.IsZero() || sd.Signer.MimeType != s.mediaType {
		return nil, fmt.Errorf("%w: signed attributes are not those of the session", ErrSession)
	}
	return out, out.join()
}

// join puts the signature beside those of others.
func (o *Signed) join() error {
	o.CMS = o.own
	if o.session.existing == nil {
		return nil
	}
	both, err := cms.JoinSigners(o.session.existing, o.own)
	if err != nil {
		return fmt.Errorf("cades: join signatures: %w", err)
	}
	o.CMS = both
	return nil
}
