package cms

import (
	"bytes"
	"crypto/x509"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

var (
	tag0 = cbasn1.Tag(0).ContextSpecific().Constructed()
	tag1 = cbasn1.Tag(1).ContextSpecific().Constructed()
)

// AssembleOptions says what goes around the signature.
type AssembleOptions struct {
	// Certificates are the path of the signer's certificate, which is added by
	// itself; repeats are dropped.
	Certificates []*x509.Certificate
	// OmitCertificates leaves out all certificates (a time-stamp asked for
	// without certReq, RFC 3161 §2.4.1). Certificates must then be empty.
	OmitCertificates bool
	// Unsigned are unsigned attributes, for instance a signature-time-stamp.
	Unsigned []Attribute
}

// Assemble encodes the ContentInfo around a signature value. It first verifies
// the value under the certificate's key: a wrong key or a faulty signing device
// gives [ErrSignature] or [ErrSignatureMalformed] and no output. The result is
// DER: certificates and attributes are in SET OF order.
func (p *Prepared) Assemble(signature []byte, o AssembleOptions) ([]byte, error) {
	if err := p.scheme.verify(p.scheme.PublicKey(p.cert), p.signedAttrs, signature, p.scheme.Hash.Size()); err != nil {
		return nil, err
	}
	return p.encode(signature, o)
}

// AssembleVerified is [Prepared.Assemble], but instead of the value alone it
// checks the whole result: it reads it as a verifier would and verifies it
// against v, once. Only what a verifier accepts under the very certificate that
// was prepared for is returned. Errors: those of [Parse] and
// [SignedData.Verify]; [ErrSignerCertificate] where another certificate verifies.
func (p *Prepared) AssembleVerified(signature []byte, o AssembleOptions, v VerifyOptions) ([]byte, error) {
	der, err := p.encode(signature, o)
	if err != nil {
		return nil, err
	}
	if err := DERCheck(der, MaxSize, MaxDepth); err != nil {
		return nil, err
	}
	sd, err := parse(der, false, p.more(), o.Certificates...)
	if err != nil {
		return nil, err
	}
	got, err := sd.Verify(v)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(got.Raw, p.cert.Raw) {
		return nil, ErrSignerCertificate
	}
	return der, nil
}

// more is the scheme that was given, for a reader that does not know it.
func (p *Prepared) more() []Scheme {
	if p.scheme.alg != 0 {
		return nil
	}
	return []Scheme{*p.scheme}
}

// Size returns an upper bound of what [Prepared.Assemble] will produce, in
// octets, if unsigned attribute values of extra octets are added afterwards.
func (p *Prepared) Size(o AssembleOptions, extra int) (int, error) {
	b, err := p.encode(make([]byte, p.scheme.MaxSize(p.scheme.PublicKey(p.cert))), o)
	if err != nil {
		return 0, err
	}
	const overhead = 64 // the attribute's own headers and longer lengths around it
	if extra > 0 {
		extra += overhead
	}
	return len(b) + extra, nil
}

func (p *Prepared) encode(signature []byte, o AssembleOptions) ([]byte, error) {
	if o.OmitCertificates && len(o.Certificates) > 0 {
		return nil, fmt.Errorf("%w: certificates given and omitted", ErrParams)
	}
	var certs, unsigned []byte
	var err error
	if !o.OmitCertificates {
		if certs, err = p.certificateSet(o.Certificates); err != nil {
			return nil, err
		}
	}
	if len(o.Unsigned) > 0 {
		if unsigned, err = marshalAttributes(o.Unsigned, tag1); err != nil {
			return nil, err
		}
	}
	version := int64(1) // RFC 5652 §5.1
	if !p.contentType.Equal(OIDData) {
		version = 3
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // ContentInfo
		b.AddASN1ObjectIdentifier(OIDSignedData)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // SignedData
				b.AddASN1Int64(version)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { AddDigestAlgorithm(b, p.scheme.Hash) })
				p.addContent(b)
				b.AddBytes(certs)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { p.addSignerInfo(b, signature, unsigned) })
			})
		})
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParams, err)
	}
	if len(out) > MaxSize {
		return nil, fmt.Errorf("%w: %d octets", ErrTooLarge, len(out))
	}
	return out, nil
}

// certificateSet returns certificates [0] IMPLICIT SET OF, the signer's included.
func (p *Prepared) certificateSet(path []*x509.Certificate) ([]byte, error) {
	raw := [][]byte{p.cert.Raw}
next:
	for _, c := range path {
		for _, seen := range raw {
			if bytes.Equal(seen, c.Raw) {
				continue next
			}
		}
		raw = append(raw, c.Raw)
	}
	if len(raw) > MaxCertificates {
		return nil, fmt.Errorf("%w: %d certificates", ErrTooMany, len(raw))
	}
	return marshalSet(raw, tag0)
}

// addContent writes EncapsulatedContentInfo.
func (p *Prepared) addContent(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(p.contentType)
		if p.content == nil {
			return
		}
		b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddASN1OctetString(p.content) })
	})
}

// addSignerInfo writes SignerInfo, version 1 (issuerAndSerialNumber).
func (p *Prepared) addSignerInfo(b *cryptobyte.Builder, signature, unsigned []byte) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(p.cert.RawIssuer)
			b.AddASN1BigInt(p.cert.SerialNumber)
		})
		AddDigestAlgorithm(b, p.scheme.Hash)
		b.AddUint8(uint8(tag0)) // [0] IMPLICIT in place of SET
		b.AddBytes(p.signedAttrs[1:])
		addSignatureAlgorithm(b, p.scheme)
		b.AddASN1OctetString(signature)
		b.AddBytes(unsigned)
	})
}
