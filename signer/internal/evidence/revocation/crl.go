package revocation

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

// CRL is a certificate revocation list whose signature has been verified. It
// keeps the encoding and searches in it; it is immutable and safe for
// concurrent use.
type CRL struct {
	// Raw is the DER, shared with what was given to [OpenCRL].
	Raw []byte
	// Number is the CRL number, nil where the list has none.
	Number     *big.Int
	ThisUpdate time.Time
	NextUpdate time.Time

	issuer  *x509.Certificate
	entries cryptobyte.String // body of revokedCertificates
	idp     *distributionPoint
}

// distributionPoint is IssuingDistributionPoint (RFC 5280 §5.2.5).
type distributionPoint struct {
	uris      []string // nil: no distributionPoint
	named     bool     // distributionPoint is present
	userOnly  bool
	caOnly    bool
	attrOnly  bool
	indirect  bool
	someCause bool
}

// OpenCRL reads a list of at most [MaxCRL] octets and verifies that issuer
// signed it. It keeps der, which must not be changed. It refuses what could not
// be a complete list of issuer's own certificates: delta and indirect lists,
// and those restricted to some reasons ([ErrScope]). Whether the list is
// current and covers a certificate, [CRL.Check] says.
func OpenCRL(der []byte, issuer *x509.Certificate) (*CRL, error) {
	if len(der) > MaxCRL {
		return nil, fmt.Errorf("%w: list of %d octets", ErrTooLarge, len(der))
	}
	if err := cms.DERCheck(der, MaxCRL, maxDepth); err != nil {
		return nil, err
	}
	in := cryptobyte.String(der)
	var body, tbs, outer cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1Element(&tbs, cbasn1.SEQUENCE) {
		return nil, malformed("CertificateList")
	}
	signed := tbs
	algorithm := body
	if !body.ReadASN1Element(&outer, cbasn1.SEQUENCE) {
		return nil, malformed("signatureAlgorithm")
	}
	scheme, err := cms.ReadSignatureScheme(&algorithm)
	if err != nil {
		return nil, err
	}
	var bits asn1.BitString
	if !body.ReadASN1BitString(&bits) || bits.BitLength%8 != 0 || !body.Empty() {
		return nil, malformed("signatureValue")
	}
	c := &CRL{Raw: der, issuer: issuer}
	inner, err := c.read(tbs)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(inner, outer) {
		return nil, malformed("two signature algorithms")
	}
	if issuer.KeyUsage != 0 && issuer.KeyUsage&x509.KeyUsageCRLSign == 0 {
		return nil, fmt.Errorf("%w: its key usage has no cRLSign", ErrIssuer)
	}
	if err := scheme.Verify(issuer.PublicKey, signed, bits.Bytes); err != nil {
		return nil, err
	}
	return c, nil
}

// read reads TBSCertList and returns its signature AlgorithmIdentifier.
func (c *CRL) read(tbs cryptobyte.String) (algorithm []byte, err error) {
	var body, alg, name, exts cryptobyte.String
	var present bool
	version := 0
	if !tbs.ReadASN1(&body, cbasn1.SEQUENCE) ||
		body.PeekASN1Tag(cbasn1.INTEGER) && (!body.ReadASN1Integer(&version) || version != 1) ||
		!body.ReadASN1Element(&alg, cbasn1.SEQUENCE) || !body.ReadASN1Element(&name, cbasn1.SEQUENCE) {
		return nil, malformed("TBSCertList")
	}
	if !bytes.Equal(name, c.issuer.RawSubject) {
		return nil, ErrIssuer
	}
	var ok bool
	if c.ThisUpdate, ok = readTime(&body, true); !ok {
		return nil, malformed("thisUpdate")
	}
	// RFC 5280 §5.1.2.5: conforming issuers always tell nextUpdate.
	if c.NextUpdate, ok = readTime(&body, true); !ok || c.NextUpdate.Before(c.ThisUpdate) {
		return nil, malformed("nextUpdate")
	}
	if !body.ReadOptionalASN1(&c.entries, nil, cbasn1.SEQUENCE) {
		return nil, malformed("revokedCertificates")
	}
	if !body.ReadOptionalASN1(&exts, &present, context(0)) || !body.Empty() || present && version == 0 {
		return nil, malformed("crlExtensions")
	}
	if present {
		return alg, c.readExtensions(exts)
	}
	return alg, nil
}

func (c *CRL) readExtensions(explicit cryptobyte.String) error {
	var list cryptobyte.String
	if !explicit.ReadASN1(&list, cbasn1.SEQUENCE) || !explicit.Empty() {
		return malformed("crlExtensions")
	}
	for !list.Empty() {
		e, ok := readExtension(&list)
		if !ok {
			return malformed("extension")
		}
		switch {
		case e.is(oidCRLNumber):
			c.Number = new(big.Int)
			if v := e.value; !v.ReadASN1Integer(c.Number) || !v.Empty() {
				return malformed("cRLNumber")
			}
		case e.is(oidAuthorityKeyID):
		case e.is(oidDeltaCRLIndicator):
			return fmt.Errorf("%w: delta", ErrScope)
		case e.is(oidIssuingDistPoint):
			if c.idp != nil {
				return malformed("issuingDistributionPoint repeated")
			}
			var err error
			if c.idp, err = readDistributionPoint(e.value); err != nil {
				return err
			}
		case e.critical:
			return fmt.Errorf("%w: %s", ErrExtension, e.name())
		}
	}
	if c.idp != nil && (c.idp.indirect || c.idp.someCause || c.idp.attrOnly) {
		return fmt.Errorf("%w: indirect, of some reasons or of attribute certificates", ErrScope)
	}
	return nil
}

func readDistributionPoint(v cryptobyte.String) (*distributionPoint, error) {
	bad := malformed("issuingDistributionPoint")
	d := &distributionPoint{}
	var body, point, full cryptobyte.String
	if !v.ReadASN1(&body, cbasn1.SEQUENCE) || !v.Empty() || !body.ReadOptionalASN1(&point, &d.named, context(0)) {
		return nil, bad
	}
	if d.named {
		if !point.PeekASN1Tag(context(0)) {
			return nil, fmt.Errorf("%w: named relative to the issuer", ErrScope)
		}
		if !point.ReadASN1(&full, context(0)) || !point.Empty() {
			return nil, bad
		}
		for !full.Empty() {
			var name cryptobyte.String
			var tag cbasn1.Tag
			if !full.ReadAnyASN1(&name, &tag) || len(d.uris) == 64 {
				return nil, bad
			}
			if tag == cbasn1.Tag(6).ContextSpecific() {
				d.uris = append(d.uris, string(name))
			}
		}
	}
	tag := func(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific() }
	if !readFlag(&body, tag(1), &d.userOnly) || !readFlag(&body, tag(2), &d.caOnly) ||
		!body.ReadOptionalASN1(&full, &d.someCause, tag(3)) ||
		!readFlag(&body, tag(4), &d.indirect) || !readFlag(&body, tag(5), &d.attrOnly) || !body.Empty() {
		return nil, bad
	}
	return d, nil
}

// covers reports whether the scope of the list includes cert.
func (c *CRL) covers(cert *x509.Certificate) error {
	d := c.idp
	switch {
	case d == nil:
		return nil
	case d.userOnly && cert.IsCA, d.caOnly && !cert.IsCA:
		return fmt.Errorf("%w: kind of certificate", ErrScope)
	case d.named && !slices.ContainsFunc(d.uris, func(u string) bool { return slices.Contains(cert.CRLDistributionPoints, u) }):
		return fmt.Errorf("%w: another distribution point", ErrScope)
	}
	return nil
}

// Check says what the list proves of cert. Absence is proof of being good only
// where the list covers the certificate and every critical part of it is
// understood: a critical extension on any entry makes the list unusable
// (RFC 5280 §5.3).
func (c *CRL) Check(cert *x509.Certificate, o Options) (*Status, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(cert.RawIssuer, c.issuer.RawSubject) {
		return nil, ErrIssuer
	}
	if err := c.covers(cert); err != nil {
		return nil, err
	}
	if err := o.current(c.ThisUpdate, c.NextUpdate); err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1BigInt(cert.SerialNumber)
	serial, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: serial number", ErrParams)
	}
	st := &Status{State: Good, Reason: NoReason, ThisUpdate: c.ThisUpdate, NextUpdate: c.NextUpdate}
	entries := c.entries
	for !entries.Empty() {
		var entry, number cryptobyte.String
		if !entries.ReadASN1(&entry, cbasn1.SEQUENCE) || !entry.ReadASN1Element(&number, cbasn1.INTEGER) {
			return nil, malformed("entry")
		}
		match := bytes.Equal(number, serial)
		if err := st.readEntry(entry, match); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// readEntry reads an entry after its serial number. Every entry's extensions
// are looked at, the rest only of a match.
func (st *Status) readEntry(s cryptobyte.String, match bool) error {
	at := s
	var list cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadAnyASN1(&list, &tag) || tag != cbasn1.UTCTime && tag != cbasn1.GeneralizedTime {
		return malformed("revocationDate")
	}
	if match {
		var ok bool
		st.State = Revoked
		if st.RevokedAt, ok = readTime(&at, true); !ok {
			return malformed("revocationDate")
		}
	}
	if s.Empty() {
		return nil
	}
	if !s.ReadASN1(&list, cbasn1.SEQUENCE) || !s.Empty() {
		return malformed("crlEntryExtensions")
	}
	for !list.Empty() {
		e, ok := readExtension(&list)
		if !ok {
			return malformed("extension")
		}
		switch {
		case e.is(oidReasonCode):
			if match && !st.readReason(e.value) {
				return malformed("reasonCode")
			}
		case e.is(oidInvalidityDate):
		case e.critical:
			return fmt.Errorf("%w: %s", ErrExtension, e.name())
		}
	}
	return nil
}
