package lint

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/ca/profile"
)

// subject is what a rule judges: a parsed certificate against the profile and
// the registry data it was made from.
type subject struct {
	cert *x509.Certificate
	p    profile.Profile
	set  *profile.Set
	in   profile.Input
}

// rule is one of our own lints. check returns "" or what is wrong, without
// personal data.
type rule struct {
	name, source string
	check        func(s subject) string
}

const (
	oidSKI         = "2.5.29.14"
	oidKeyUsage    = "2.5.29.15"
	oidKeyUse      = "2.5.29.16"
	oidConstraints = "2.5.29.19"
	oidCRL         = "2.5.29.31"
	oidPolicies    = "2.5.29.32"
	oidAKI         = "2.5.29.35"
	oidEKU         = "2.5.29.37"
	oidAIA         = "1.3.6.1.5.5.7.1.1"
	oidQC          = "1.3.6.1.5.5.7.1.3"
	oidBinding     = "1.3.6.1.5.5.7.1.37"
	oidNoCheck     = "1.3.6.1.5.5.7.48.1.5"

	oidCRLNumber    = "2.5.29.20"
	oidExpiredOnCRL = "2.5.29.60"
)

func rules() []rule {
	return []rule{
		{"suti_version_and_serial", "RFC 5280 §4.1.2.2", checkSerial},
		{"suti_size", "suti", checkSize},
		{"suti_extension_set", "suti profile", checkExtensionSet},
		{"suti_subject_order", "EN 319 412-2 §4.2.4", checkSubjectOrder},
		{"suti_subject_registry", "EN 319 411-1", checkSubjectRegistry},
		{"suti_semantics_identifier", "EN 319 412-1 §5.1", checkSemantics},
		{"suti_key_identifiers", "RFC 5280 §4.2.1.1", checkKeyIdentifiers},
		{"suti_key_usage", "suti profile", checkKeyUsage},
		{"suti_extended_key_usage", "RFC 9336, RFC 3161 §2.3", checkEKU},
		{"suti_basic_constraints", "RFC 5280 §4.2.1.9", checkConstraints},
		{"suti_policy_and_notice", "Ley 164", checkPolicy},
		{"suti_no_quality_claim", "EN 319 412-5", checkQC},
		{"suti_validity", "suti profile", checkValidity},
		{"suti_private_key_usage_period", "EN 319 422 §6", checkKeyUse},
		{"suti_addresses", "RFC 5280 §4.2.1.13", checkAddresses},
		{"suti_document_binding", "draft-ietf-lamps-one-signature-certs", checkBinding},
	}
}

// own runs our own rules. The error is about the kind, not a finding.
func (l *Linter) own(cert *x509.Certificate, k profile.Kind, in profile.Input) ([]Finding, error) {
	p, err := profile.Of(k)
	if err != nil {
		return nil, err
	}
	s := subject{cert: cert, p: p, set: l.set, in: in}
	var out []Finding
	for _, r := range rules() {
		if d := r.check(s); d != "" {
			out = append(out, Finding{Rule: r.name, Severity: "error", Source: r.source, Detail: d})
		}
	}
	return out, nil
}

func (s subject) root() bool { return s.p.Kind == profile.Root }

func (s subject) ext(oid string) (pkix.Extension, bool) {
	for _, e := range s.cert.Extensions {
		if e.Id.String() == oid {
			return e, true
		}
	}
	return pkix.Extension{}, false
}

func checkSerial(s subject) string {
	n := s.cert.SerialNumber
	switch {
	case s.cert.Version != 3:
		return "not version 3"
	case n.Sign() <= 0 || n.BitLen() > 159:
		return "serial not positive or longer than 20 octets"
	case !bytes.Equal(n.Bytes(), s.in.Serial):
		return "serial is not the one allocated"
	}
	return ""
}

func checkSize(s subject) string {
	if len(s.cert.RawTBSCertificate) > profile.MaxTBS {
		return "too large"
	}
	return ""
}

// checkExtensionSet demands exactly the profile's extensions with its
// criticality, so that nothing a request asked for can slip in.
func checkExtensionSet(s subject) string {
	want := map[string]bool{oidSKI: false, oidKeyUsage: true}
	add := func(cond bool, oid string, critical bool) {
		if cond {
			want[oid] = critical
		}
	}
	add(!s.root(), oidAKI, false)
	add(!s.root(), oidAIA, false)
	add(s.p.KeyUse > 0, oidKeyUse, false)
	add(s.p.Policy || s.p.AnyPolicy, oidPolicies, false)
	add(s.p.CA, oidConstraints, true)
	add(len(s.p.EKU) > 0, oidEKU, s.p.EKUCritical)
	add(s.p.CRL, oidCRL, false)
	add(s.p.Semantics != "", oidQC, false)
	add(s.in.Binding != nil, oidBinding, false)
	add(s.p.NoCheck, oidNoCheck, false)
	for _, e := range s.cert.Extensions {
		critical, ok := want[e.Id.String()]
		switch {
		case !ok:
			return "unexpected or repeated extension " + e.Id.String()
		case critical != e.Critical:
			return "wrong criticality of " + e.Id.String()
		}
		delete(want, e.Id.String())
	}
	for oid := range want {
		return "missing extension " + oid
	}
	return ""
}

// attributeOIDs maps the profile's attributes to X.520 types.
func attributeOIDs() map[string]profile.Attribute {
	return map[string]profile.Attribute{
		"2.5.4.6": profile.AttrCountry, "2.5.4.10": profile.AttrOrganization,
		"2.5.4.97": profile.AttrOrganizationID, "2.5.4.11": profile.AttrUnit, "2.5.4.12": profile.AttrTitle,
		"2.5.4.4": profile.AttrSurname, "2.5.4.42": profile.AttrGivenName,
		"2.5.4.5": profile.AttrSerialNumber, "2.5.4.3": profile.AttrCommonName,
	}
}

// rdn is one relative distinguished name as encoded.
type rdn struct {
	attr  profile.Attribute // empty: unknown type
	tag   cbasn1.Tag
	value string
}

// readName reads a name with one attribute per RDN.
func readName(der []byte) ([]rdn, bool) {
	in := cryptobyte.String(der)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, false
	}
	known := attributeOIDs()
	var out []rdn
	for !seq.Empty() {
		var set, pair, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		var tag cbasn1.Tag
		if !seq.ReadASN1(&set, cbasn1.SET) || !set.ReadASN1(&pair, cbasn1.SEQUENCE) || !set.Empty() ||
			!pair.ReadASN1ObjectIdentifier(&oid) || !pair.ReadAnyASN1(&value, &tag) || !pair.Empty() {
			return nil, false
		}
		out = append(out, rdn{attr: known[oid.String()], tag: tag, value: string(value)})
	}
	return out, true
}

func checkSubjectOrder(s subject) string {
	names, ok := readName(s.cert.RawSubject)
	if !ok {
		return "subject has several attributes in one RDN"
	}
	i := 0
	for _, want := range s.p.Subject {
		if i < len(names) && names[i].attr == want {
			if string(names[i].value) == "" {
				return "empty " + string(want)
			}
			printable := want == profile.AttrCountry || want == profile.AttrSerialNumber
			if printable != (names[i].tag == cbasn1.PrintableString) || !printable && names[i].tag != cbasn1.UTF8String {
				return "wrong string type of " + string(want)
			}
			i++
			continue
		}
		if !slices.Contains(s.p.Optional, want) {
			return "missing or misplaced " + string(want)
		}
	}
	if i != len(names) {
		return "attribute outside the profile"
	}
	return ""
}

// checkSubjectRegistry compares each attribute with the registry data; it
// derives them again and does not trust the encoder.
func checkSubjectRegistry(s subject) string {
	names, ok := readName(s.cert.RawSubject)
	if !ok {
		return "unreadable subject"
	}
	got := map[profile.Attribute]string{}
	for _, n := range names {
		got[n.attr] = n.value
	}
	want := map[profile.Attribute]string{profile.AttrUnit: s.in.Subject.Office.Unit, profile.AttrTitle: s.in.Subject.Office.Title}
	if s.p.Natural() {
		person := s.in.Subject.Person
		want[profile.AttrOrganization] = s.in.Subject.Office.Organization
		want[profile.AttrGivenName] = strings.Join(strings.Fields(person.Name.Given), " ")
		want[profile.AttrSurname] = person.Name.Surnames()
	} else {
		want[profile.AttrCommonName] = s.in.Subject.CommonName
	}
	if nit := s.in.Subject.Office.OrganizationID; nit != "" && s.p.Natural() {
		want[profile.AttrOrganizationID] = "VATBO-" + nit
	}
	for a, v := range want {
		if got[a] != v {
			return "does not say what the registry says: " + string(a)
		}
	}
	return ""
}

var (
	personID = regexp.MustCompile(`^(IDCBO-(E-)?[0-9]{4,10}|IDCBO-[0-9]{4,10}-[0-9][A-Z]|PAS[A-Z]{2}-[0-9A-Z]{5,15})$`)
	legalID  = regexp.MustCompile(`^VATBO-[0-9]{5,12}$`)
)

func checkSemantics(s subject) string {
	names, ok := readName(s.cert.RawSubject)
	if !ok {
		return "unreadable subject"
	}
	for _, n := range names {
		if n.attr == profile.AttrSerialNumber && !personID.MatchString(n.value) {
			return "serialNumber has no semantics identifier"
		}
		if n.attr == profile.AttrOrganizationID && !legalID.MatchString(n.value) {
			return "organizationIdentifier has no semantics identifier"
		}
	}
	return ""
}

func checkKeyIdentifiers(s subject) string {
	id, err := profile.KeyID(s.cert.RawSubjectPublicKeyInfo)
	if err != nil || !bytes.Equal(id, s.cert.SubjectKeyId) {
		return "subject key identifier is not derived from the key"
	}
	if s.root() {
		if !bytes.Equal(s.cert.RawIssuer, s.cert.RawSubject) {
			return "root is not self-issued"
		}
		return ""
	}
	if !bytes.Equal(s.cert.AuthorityKeyId, s.in.Issuer.KeyID) || !bytes.Equal(s.cert.RawIssuer, s.in.Issuer.Name) {
		return "issuer name or key identifier is not the issuer's"
	}
	return ""
}

func checkKeyUsage(s subject) string {
	if s.cert.KeyUsage != s.p.KeyUsage {
		return fmt.Sprintf("key usage bits %#x", int(s.cert.KeyUsage))
	}
	return ""
}

func checkEKU(s subject) string {
	e, ok := s.ext(oidEKU)
	if !ok {
		return "" // the set of extensions is checked elsewhere
	}
	in := cryptobyte.String(e.Value)
	var seq cryptobyte.String
	if !in.ReadASN1(&seq, cbasn1.SEQUENCE) || !in.Empty() {
		return "malformed"
	}
	var got []string
	for !seq.Empty() {
		var oid asn1.ObjectIdentifier
		if !seq.ReadASN1ObjectIdentifier(&oid) {
			return "malformed"
		}
		got = append(got, oid.String())
	}
	if !slices.Equal(got, s.p.EKU) {
		return "not exactly the profile's usages"
	}
	return ""
}

func checkConstraints(s subject) string {
	if s.cert.IsCA != s.p.CA {
		return "wrong CA flag"
	}
	if s.p.CA && (s.cert.MaxPathLen != s.p.PathLen || s.cert.MaxPathLenZero != (s.p.PathLen == 0)) {
		return "wrong path length"
	}
	return ""
}

func checkValidity(s subject) string {
	c := s.cert
	end := s.in.AppointmentEnd
	switch {
	case !c.NotBefore.Before(c.NotAfter):
		return "empty period"
	case c.NotAfter.Sub(c.NotBefore)+time.Second > s.p.MaxValidity:
		return "longer than the profile allows"
	case c.NotBefore.After(s.in.Now):
		return "begins after the time of issue"
	case s.in.Now.Sub(c.NotBefore) >= time.Second:
		return "begins before the time of issue"
	case !end.IsZero() && !c.NotAfter.Before(end):
		return "outlives the appointment"
	case !s.root() && c.NotAfter.After(s.in.Issuer.NotAfter):
		return "outlives the issuer"
	}
	return ""
}
