package revocation

import (
	"bytes"
	"crypto/sha1" // ResponderID byKey (RFC 6960 §4.2.1)
	"crypto/x509"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// CheckOCSP says what an OCSP response proves of cert, which issuer has issued.
// The response must be signed by issuer itself, or by a certificate that issuer
// issued directly, valid at the time of judgement and with extended key usage
// OCSP signing (RFC 6960 §4.2.2.2). Where several answers are about cert, one
// that says revoked prevails. Errors: [*ResponseError] and the sentinels of
// this package and of internal/cms.
func CheckOCSP(der []byte, cert, issuer *x509.Certificate, o Options) (*Status, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(cert.RawIssuer, issuer.RawSubject) {
		return nil, ErrIssuer
	}
	r, err := parseOCSP(der)
	if err != nil {
		return nil, err
	}
	if o.Nonce != nil && r.nonce != nil && !bytes.Equal(o.Nonce, r.nonce) {
		return nil, ErrNonce
	}
	at := o.At
	if o.AtProduction {
		at = r.producedAt
	}
	responder, err := r.authorise(issuer, at, o)
	if err != nil {
		return nil, err
	}
	st, err := r.find(cert, issuer, o)
	if err != nil {
		return nil, err
	}
	st.ProducedAt = r.producedAt
	if responder != issuer {
		st.Responder = responder
		st.NoCheck = hasExtension(responder, oidNoCheck)
	}
	return st, nil
}

// authorise finds whose signature it is, verifies it and checks the delegation.
func (r *ocspResponse) authorise(issuer *x509.Certificate, at time.Time, o Options) (*x509.Certificate, error) {
	if r.identifies(issuer) {
		if err := r.scheme.Verify(issuer.PublicKey, r.tbs, r.signature); err == nil {
			return issuer, nil
		} else if len(r.certificates) == 0 && len(o.Certificates) == 0 {
			return nil, err
		}
	}
	last := error(ErrResponder)
	for _, list := range [][]*x509.Certificate{r.certificates, o.Certificates} {
		for _, c := range list {
			if c == nil || !r.identifies(c) {
				continue
			}
			if err := r.scheme.Verify(c.PublicKey, r.tbs, r.signature); err != nil {
				last = err
				continue
			}
			if last = delegated(c, issuer, at, o.Skew); last == nil {
				return c, nil
			}
		}
	}
	return nil, last
}

// identifies reports whether ResponderID names cert.
func (r *ocspResponse) identifies(cert *x509.Certificate) bool {
	if r.name != nil {
		return bytes.Equal(r.name, cert.RawSubject)
	}
	key, ok := publicKeyBits(cert)
	if !ok {
		return false
	}
	h := sha1.Sum(key)
	return bytes.Equal(r.keyHash, h[:])
}

// delegated reports whether issuer let c sign OCSP responses at a time.
func delegated(c, issuer *x509.Certificate, at time.Time, skew time.Duration) error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrResponder, what) }
	ok := false
	for _, u := range c.ExtKeyUsage {
		ok = ok || u == x509.ExtKeyUsageOCSPSigning
	}
	switch {
	case !ok:
		return bad("extended key usage")
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return bad("key usage")
	case len(c.UnhandledCriticalExtensions) > 0:
		return fmt.Errorf("%w: of the responder's certificate", ErrExtension)
	case at.Add(skew).Before(c.NotBefore) || at.Add(-skew).After(c.NotAfter):
		return bad("validity")
	case !bytes.Equal(c.RawIssuer, issuer.RawSubject):
		return bad("not of this issuer")
	}
	if err := c.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%w: %w", ErrResponder, err)
	}
	return nil
}

// find gathers the answers about cert.
func (r *ocspResponse) find(cert, issuer *x509.Certificate, o Options) (*Status, error) {
	var found *Status
	list := r.singles
	for n := 0; !list.Empty(); n++ {
		if n == maxSingles {
			return nil, malformed("too many answers")
		}
		var body cryptobyte.String
		if !list.ReadASN1(&body, cbasn1.SEQUENCE) {
			return nil, malformed("SingleResponse")
		}
		id, ok := readCertID(&body)
		if !ok {
			return nil, malformed("certID")
		}
		if !id.names(cert, issuer) {
			continue
		}
		st, err := readSingle(body)
		if err != nil {
			return nil, err
		}
		if st.ThisUpdate.After(r.producedAt.Add(o.Skew)) {
			return nil, malformed("thisUpdate after producedAt")
		}
		if err := o.current(st.ThisUpdate, st.NextUpdate); err != nil {
			return nil, err
		}
		if found == nil || st.State == Revoked && found.State == Good {
			found = st
		}
	}
	if found == nil {
		return nil, ErrNotCovered
	}
	return found, nil
}

// readSingle reads a SingleResponse after its certID.
func readSingle(s cryptobyte.String) (*Status, error) {
	st := &Status{Reason: NoReason}
	var body cryptobyte.String
	var ok bool
	switch {
	case s.PeekASN1Tag(cbasn1.Tag(0).ContextSpecific()):
		if !s.ReadASN1(&body, cbasn1.Tag(0).ContextSpecific()) || !body.Empty() {
			return nil, malformed("good")
		}
		st.State = Good
	case s.PeekASN1Tag(context(1)):
		if !s.ReadASN1(&body, context(1)) {
			return nil, malformed("revoked")
		}
		st.State = Revoked
		if st.RevokedAt, ok = readTime(&body, false); !ok {
			return nil, malformed("revocationTime")
		}
		var reason cryptobyte.String
		var present bool
		if !body.ReadOptionalASN1(&reason, &present, context(0)) || !body.Empty() {
			return nil, malformed("revocationReason")
		}
		if present && !st.readReason(reason) {
			return nil, malformed("revocationReason")
		}
	case s.PeekASN1Tag(cbasn1.Tag(2).ContextSpecific()):
		return nil, ErrUnknown
	default:
		return nil, malformed("certStatus")
	}
	if st.ThisUpdate, ok = readTime(&s, false); !ok {
		return nil, malformed("thisUpdate")
	}
	var next cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&next, &present, context(0)) {
		return nil, malformed("nextUpdate")
	}
	if present {
		if st.NextUpdate, ok = readTime(&next, false); !ok || !next.Empty() || st.NextUpdate.Before(st.ThisUpdate) {
			return nil, malformed("nextUpdate")
		}
	}
	return st, readOCSPExtensions(&s, 1, nil)
}

// readReason reads ENUMERATED CRLReason, the whole of s.
func (st *Status) readReason(s cryptobyte.String) bool {
	var n int
	if !s.ReadASN1Enum(&n) || !s.Empty() || n < 0 || n > 10 {
		return false
	}
	st.Reason = Reason(n)
	return true
}
