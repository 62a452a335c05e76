package pades

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// AttributeOptions says what is signed besides the digest and the certificate.
type AttributeOptions struct {
	// Algorithm is the name of the algorithm to sign with, such as
	// "rsa-pss-sha256"; by default the one of the certificate's key: RSA PKCS #1
	// v1.5 with SHA-256, ECDSA with the digest of the curve's size, Ed25519.
	Algorithm string
	// Commitment adds a commitment-type-indication (for instance proof of
	// approval, 1.2.840.113549.1.9.16.6.5) unless nil. EN 319 142-1 §6.3 does
	// not allow it together with Options.Reason.
	Commitment asn1.ObjectIdentifier
	// Extra are further signed attributes in DER, such as signer-attributes-v2.
	Extra []cms.Attribute
}

// ToBeSigned is what the signer's key has to sign.
type ToBeSigned struct {
	// Attributes is the DER of the signed attributes, the message that the
	// signature covers. It goes into [Signature].
	Attributes []byte
	// Input and Opts are the arguments of crypto.Signer.Sign: for all
	// algorithms but Ed25519 Input is the digest of Attributes.
	Input []byte
	Opts  crypto.SignerOpts
	// Algorithm is a stable name such as "ecdsa-sha256". It goes into
	// [Signature], where it is not the default of the key.
	Algorithm string
}

// SignedAttributes builds the signed attributes for the certificate chain[0],
// followed by its path. Equal arguments give equal bytes.
//
// Errors: [ErrCertificate]; [*ReserveError] if chain and the token size that
// was prepared for cannot fit; those of internal/cms.
func (s *Session) SignedAttributes(chain []*x509.Certificate, o AttributeOptions) (*ToBeSigned, error) {
	if err := s.checkSigner(chain); err != nil {
		return nil, err
	}
	alg, err := schemeFor(chain[0], o.Algorithm, s.hash, s.schemes)
	if err != nil {
		return nil, err
	}
	p, err := cms.PrepareSignedAttrs(cms.Params{
		Certificate: chain[0], Scheme: alg, Digest: s.digest, Commitment: o.Commitment, Extra: o.Extra,
	})
	if err != nil {
		return nil, fmt.Errorf("pades: signed attributes: %w", err)
	}
	need, err := p.Size(cms.AssembleOptions{Certificates: chain}, 0)
	if err != nil {
		return nil, fmt.Errorf("pades: size of signature: %w", err)
	}
	if need > s.reserve {
		return nil, &ReserveError{Need: need, Have: s.reserve}
	}
	return &ToBeSigned{Attributes: p.SignedAttrs(), Input: p.Input(), Opts: alg.Opts, Algorithm: alg.Name}, nil
}

// schemeFor returns the algorithm of that name, by default the key's, which must
// fit the key and digest as the byte range was digested.
func schemeFor(cert *x509.Certificate, name string, h crypto.Hash, more []Scheme) (*Scheme, error) {
	alg, err := schemeOf(cert, name, more)
	if err != nil {
		return nil, err
	}
	if alg.Hash != h {
		return nil, fmt.Errorf("%w: its key signs with %v, the file was prepared with %v", ErrCertificate, alg.Hash, h)
	}
	return alg, nil
}

func schemeOf(cert *x509.Certificate, name string, more []Scheme) (*Scheme, error) {
	s, err := cms.SchemeOf(cert, name, more)
	switch {
	case err == nil:
		return s, nil
	case s == nil && name != "":
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	case name == "":
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	return nil, err
}

// checkSigner checks what can be said of the certificate without trust: that
// it is for signing, and valid at the time claimed.
func (s *Session) checkSigner(chain []*x509.Certificate) error {
	if len(chain) == 0 || chain[0] == nil {
		return fmt.Errorf("%w: none given", ErrCertificate)
	}
	c := chain[0]
	if why := judge.Unfit(c); why != "" {
		return fmt.Errorf("%w: %s", ErrCertificate, why)
	}
	if s.signingTime.Before(c.NotBefore) || s.signingTime.After(c.NotAfter) {
		return fmt.Errorf("%w: not valid at the signing time", ErrCertificate)
	}
	return nil
}
