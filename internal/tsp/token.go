package tsp

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
)

var (
	oidExtKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// PrepareToken fixes the signed attributes of a token over info. The caller
// signs, and assembles with the certificates if the request asked for them:
//
//	p, err := tsp.PrepareToken(info, cert, 0)
//	sig, err := p.Sign(rand, key)
//	token, err := p.Assemble(sig, cms.AssembleOptions{OmitCertificates: !req.CertReq, …})
//
// It refuses a certificate that may not sign time-stamps ([ErrUsage]) or is not
// valid at the token's time ([ErrGenTime]). alg 0 is the key's own.
func PrepareToken(info *TSTInfo, cert *x509.Certificate, alg cms.Algorithm) (*cms.Prepared, error) {
	if err := CheckCertificate(cert); err != nil {
		return nil, err
	}
	if info.GenTime.Before(cert.NotBefore) || info.GenTime.After(cert.NotAfter) {
		return nil, fmt.Errorf("%w: outside the certificate's validity", ErrGenTime)
	}
	if info.TSA != nil && !names(cert, info.TSA) {
		return nil, ErrTSAName
	}
	der, err := info.Marshal()
	if err != nil {
		return nil, err
	}
	return cms.PrepareSignedAttrs(cms.Params{
		Certificate: cert, Algorithm: alg, Content: der, ContentType: cms.OIDTSTInfo, IssuerSerial: true,
	})
}

// CheckCertificate reports whether a certificate is one of a time-stamping
// unit: not a CA's, one extended key usage, which is time-stamping and critical
// (RFC 3161 §2.3), and key usage, if present, of digital signature or
// non-repudiation only. The error is [ErrUsage].
func CheckCertificate(cert *x509.Certificate) error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrUsage, what) }
	if cert == nil {
		return bad("no certificate")
	}
	if cert.IsCA {
		return bad("a CA")
	}
	if len(cert.ExtKeyUsage) != 1 || len(cert.UnknownExtKeyUsage) != 0 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageTimeStamping {
		return bad("extended key usage is not time-stamping alone")
	}
	for _, e := range cert.Extensions {
		if e.Id.Equal(oidExtKeyUsage) && !e.Critical {
			return bad("extended key usage is not critical")
		}
	}
	const allowed = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment
	if cert.KeyUsage&^allowed != 0 {
		return bad("key usage beyond signatures")
	}
	return nil
}

// Token is a parsed TimeStampToken. Nothing in it is to be believed before
// [Token.Verify] has succeeded.
type Token struct {
	SignedData *cms.SignedData
	Info       *TSTInfo
}

// ParseToken reads a TimeStampToken in DER, or in BER as foreign services write it.
func ParseToken(b []byte) (*Token, error) {
	sd, err := cms.ParseBER(b)
	if err != nil {
		return nil, err
	}
	if !sd.ContentType.Equal(cms.OIDTSTInfo) {
		return nil, fmt.Errorf("%w: %v", cms.ErrContentType, sd.ContentType)
	}
	if sd.Content == nil {
		return nil, cms.ErrContentMissing
	}
	info, err := ParseTSTInfo(sd.Content)
	if err != nil {
		return nil, err
	}
	return &Token{SignedData: sd, Info: info}, nil
}

// VerifyOptions says what a token must hold. Imprint, Roots and Now are required.
type VerifyOptions struct {
	// Imprint is of what should have been stamped, by the token's own digest
	// algorithm ([Token].Info.Imprint.Hash).
	Imprint Imprint
	// Nonce is the request's; nil does not look at the token's.
	Nonce *big.Int
	// Policies are those accepted; empty accepts any.
	Policies []asn1.ObjectIdentifier
	// Roots are the trust anchors. There is no system default.
	Roots *x509.CertPool
	// Certificates are further candidates for the signer's certificate and its
	// path, beside those in the token.
	Certificates []*x509.Certificate
	// Now bounds the token's time from above, with MaxAhead for clocks that differ.
	Now      time.Time
	MaxAhead time.Duration
	// NotBefore, unless zero, bounds the token's time from below: a client that
	// has just asked gives the time of its request, less what clocks may differ.
	NotBefore time.Time
}

// Verified is the result of a successful [Token.Verify].
type Verified struct {
	Info        *TSTInfo
	Certificate *x509.Certificate
	// Chains are the paths from the certificate to the roots, each valid at Info.GenTime.
	Chains [][]*x509.Certificate
}

// Verify checks the token in full but for revocation: imprint, nonce, policy
// and time as asked for, the signature and its attributes, the certificate's
// usage, and a path valid at the token's time. The error wraps a sentinel of
// this package or of internal/cms.
func (t *Token) Verify(o VerifyOptions) (*Verified, error) {
	if o.Roots == nil || o.Now.IsZero() || !o.Imprint.valid() {
		return nil, fmt.Errorf("%w: imprint, roots and time are required", ErrParams)
	}
	if !t.Info.Imprint.Equal(o.Imprint) {
		return nil, ErrImprint
	}
	if o.Nonce != nil && (t.Info.Nonce == nil || t.Info.Nonce.Cmp(o.Nonce) != 0) {
		return nil, ErrNonce
	}
	if len(o.Policies) > 0 && !slices.ContainsFunc(o.Policies, t.Info.Policy.Equal) {
		return nil, fmt.Errorf("%w: %v", ErrPolicy, t.Info.Policy)
	}
	gen := t.Info.GenTime
	if gen.After(o.Now.Add(o.MaxAhead)) {
		return nil, fmt.Errorf("%w: %v is in the future", ErrGenTime, gen)
	}
	if !o.NotBefore.IsZero() && gen.Before(o.NotBefore) {
		return nil, fmt.Errorf("%w: %v is before the request", ErrGenTime, gen)
	}
	cert, err := t.SignedData.Verify(cms.VerifyOptions{Profile: cms.ProfileTimestamp, Certificates: o.Certificates})
	if err != nil {
		return nil, err
	}
	if err := CheckCertificate(cert); err != nil {
		return nil, err
	}
	if t.Info.TSA != nil && !names(cert, t.Info.TSA) {
		return nil, ErrTSAName
	}
	pool := x509.NewCertPool()
	for _, list := range [][]*x509.Certificate{t.SignedData.Certificates(), o.Certificates} {
		for _, c := range list {
			if c != nil {
				pool.AddCert(c)
			}
		}
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots: o.Roots, Intermediates: pool, CurrentTime: gen,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping},
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	return &Verified{Info: t.Info, Certificate: cert, Chains: chains}, nil
}

// names reports whether the GeneralName is the certificate's subject or one of
// its alternative names (RFC 3161 §2.4.2, tsa).
func names(cert *x509.Certificate, general []byte) bool {
	if bytes.Equal(general, DirectoryName(cert.RawSubject)) {
		return true
	}
	for _, e := range cert.Extensions {
		if !e.Id.Equal(oidSubjectAltName) {
			continue
		}
		in := cryptobyte.String(e.Value)
		var list, one cryptobyte.String
		if !in.ReadASN1(&list, cbasn1.SEQUENCE) {
			return false
		}
		for list.ReadAnyASN1Element(&one, nil) {
			if bytes.Equal(one, general) {
				return true
			}
		}
	}
	return false
}
