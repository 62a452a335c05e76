package lint

import (
	"bytes"
	"encoding/asn1"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const (
	anyPolicy    = "2.5.29.32.0"
	qtUserNotice = "1.3.6.1.5.5.7.2.2"
	qcSyntaxV2   = "1.3.6.1.5.5.7.11.2"
)

// checkPolicy demands the one policy of the profile with the notice that says
// which legal tier this is (D12), or plain anyPolicy in an authority.
func checkPolicy(s subject) string {
	e, ok := s.ext(oidPolicies)
	if !ok {
		return ""
	}
	in := cryptobyte.String(e.Value)
	var seq, info cryptobyte.String
	var policy asn1.ObjectIdentifier
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1(&info, cbasn1.SEQUENCE) || !seq.Empty() ||
		!info.ReadASN1ObjectIdentifier(&policy) {
		return "not exactly one policy"
	}
	if s.p.AnyPolicy {
		if policy.String() != anyPolicy || !info.Empty() {
			return "an authority carries anyPolicy without qualifiers"
		}
		return ""
	}
	if !policy.Equal(s.set.Policy(s.p)) {
		return "not the profile's policy"
	}
	var quals, qual, notice, text cryptobyte.String
	var qt asn1.ObjectIdentifier
	if !info.ReadASN1(&quals, cbasn1.SEQUENCE) || !info.Empty() || !quals.ReadASN1(&qual, cbasn1.SEQUENCE) || !quals.Empty() ||
		!qual.ReadASN1ObjectIdentifier(&qt) || qt.String() != qtUserNotice ||
		!qual.ReadASN1(&notice, cbasn1.SEQUENCE) || !qual.Empty() ||
		!notice.ReadASN1(&text, cbasn1.UTF8String) || !notice.Empty() {
		return "no user notice"
	}
	if string(text) != s.set.Notice() {
		return "another notice than the deployment's"
	}
	return ""
}

// checkQC demands that QCStatements says how to read the names and nothing
// about quality: no QcCompliance, QcType or other ETSI statement.
func checkQC(s subject) string {
	e, ok := s.ext(oidQC)
	if !ok {
		return ""
	}
	in := cryptobyte.String(e.Value)
	var seq, statement, info cryptobyte.String
	var id, semantics asn1.ObjectIdentifier
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1(&statement, cbasn1.SEQUENCE) || !seq.Empty() ||
		!statement.ReadASN1ObjectIdentifier(&id) || id.String() != qcSyntaxV2 ||
		!statement.ReadASN1(&info, cbasn1.SEQUENCE) || !statement.Empty() ||
		!info.ReadASN1ObjectIdentifier(&semantics) || !info.Empty() {
		return "not exactly the statement of semantics"
	}
	if semantics.String() != s.p.Semantics {
		return "another semantics identifier"
	}
	return ""
}

// checkKeyUse demands PrivateKeyUsagePeriod to begin with the certificate and
// to end after the profile's period of use, within the validity.
func checkKeyUse(s subject) string {
	e, ok := s.ext(oidKeyUse)
	if !ok {
		return ""
	}
	in := cryptobyte.String(e.Value)
	var seq, from, to cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() ||
		!seq.ReadASN1(&from, cbasn1.Tag(0).ContextSpecific()) || !seq.ReadASN1(&to, cbasn1.Tag(1).ContextSpecific()) || !seq.Empty() {
		return "malformed"
	}
	const layout = "20060102150405Z"
	a, errA := time.Parse(layout, string(from))
	b, errB := time.Parse(layout, string(to))
	if errA != nil || errB != nil {
		return "malformed time"
	}
	if !a.Equal(s.cert.NotBefore) || b.Sub(a) != s.p.KeyUse || b.After(s.cert.NotAfter.Add(time.Second)) {
		return "not the profile's period of use within the validity"
	}
	return ""
}

// checkAddresses demands the deployment's own addresses and no others.
func checkAddresses(s subject) string {
	c, slug := s.cert, s.in.Issuer.Slug
	var crl, responder, issuers []string
	if s.p.CRL {
		crl = []string{s.set.CRLURL(slug)}
	}
	if s.p.Responder {
		responder = []string{s.set.OCSPURL()}
	}
	if !s.root() {
		issuers = []string{s.set.CertificateURL(slug)}
	}
	switch {
	case !slices.Equal(c.CRLDistributionPoints, crl):
		return "CRL distribution point"
	case !slices.Equal(c.OCSPServer, responder):
		return "OCSP responder"
	case !slices.Equal(c.IssuingCertificateURL, issuers):
		return "issuer's certificate"
	}
	return ""
}

func checkBinding(s subject) string {
	e, ok := s.ext(oidBinding)
	if !ok {
		return ""
	}
	in := cryptobyte.String(e.Value)
	var seq, digest, alg cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() || !seq.ReadASN1(&digest, cbasn1.OCTET_STRING) ||
		!seq.ReadASN1(&alg, cbasn1.SEQUENCE) {
		return "malformed"
	}
	if s.in.Binding == nil || !bytes.Equal(digest, s.in.Binding.Digest) {
		return "another document"
	}
	return ""
}
