package profile

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// ErrSettings reports settings with which no certificate may be made.
var ErrSettings = errors.New("profile: bad settings")

// Settings are what a deployment adds to the compiled-in profiles.
type Settings struct {
	// Arc is the private enterprise arc, "1.3.6.1.4.1.N". Empty: [DocumentationArc].
	Arc string
	// Production refuses [DocumentationArc].
	Production bool
	// BaseURL is where /pki/… is served, without a trailing slash. It MUST be
	// http: whoever fetches a CRL or an OCSP answer cannot yet trust a TLS
	// certificate (RFC 5280 §8).
	BaseURL string
	// Country is ISO 3166-1 alpha-2. Empty: "BO".
	Country string
	// Organization runs the authority; OrganizationID is its NIT (may be empty).
	Organization, OrganizationID string
	// Notice is the user notice of every policy, at most 200 characters. Empty:
	// the text that says what these certificates are not, naming ShortName.
	Notice string
	// ShortName names the organisation in the default notice. Empty: Organization.
	ShortName string
}

// noticeFormat states the legal tier; every certificate carries it (D12).
const noticeFormat = "Certificado interno de %s. No emitido por entidad certificadora autorizada por ATT (Ley 164): firma electrónica, no firma digital."

// Set is the profiles bound to one deployment. It is immutable.
type Set struct {
	cfg    Settings
	arc    Arc
	notice string
}

// New checks the settings. Errors match [ErrSettings], [ErrArc] or [ErrSubject].
func New(c Settings) (*Set, error) {
	if c.Arc == "" {
		c.Arc = DocumentationArc
	}
	arc, err := ParseArc(c.Arc, c.Production)
	if err != nil {
		return nil, err
	}
	if c.Country == "" {
		c.Country = "BO"
	}
	if len(c.Country) != 2 || !capitalsOnly(c.Country) {
		return nil, fmt.Errorf("%w: country must be two capital letters", ErrSettings)
	}
	if err := checkText(AttrOrganization, c.Organization, officialMarks, true, maxName); err != nil {
		return nil, err
	}
	if c.OrganizationID != "" {
		if _, err := organizationID(c.OrganizationID); err != nil {
			return nil, err
		}
	}
	if err := checkBase(c.BaseURL); err != nil {
		return nil, err
	}
	if c.ShortName == "" {
		c.ShortName = c.Organization
	}
	if c.Notice == "" {
		c.Notice = fmt.Sprintf(noticeFormat, c.ShortName)
	}
	n := utf8.RuneCountInString(c.Notice)
	if n == 0 || n > maxNotice || strings.ContainsFunc(c.Notice, func(r rune) bool { return !printable(r) }) {
		return nil, fmt.Errorf("%w: notice must be 1 to %d printable characters, has %d", ErrSettings, maxNotice, n)
	}
	return &Set{cfg: c, arc: arc, notice: c.Notice}, nil
}

func checkBase(base string) error {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(base, "/") {
		return fmt.Errorf("%w: base address must be http://host[:port][/path] without trailing slash", ErrSettings)
	}
	for i := range len(base) {
		if base[i] <= ' ' || base[i] >= 0x7f {
			return fmt.Errorf("%w: base address must be ASCII", ErrSettings)
		}
	}
	return nil
}

// Arc returns the policy arc in use.
func (s *Set) Arc() Arc { return s.arc }

// Notice returns the user notice in use.
func (s *Set) Notice() string { return s.notice }

// Policy returns the policy identifier of a profile.
func (s *Set) Policy(p Profile) asn1.ObjectIdentifier { return s.arc.Policy(p) }

// CertificateURL is where an authority's certificate is published as DER.
func (s *Set) CertificateURL(slug string) string { return s.cfg.BaseURL + "/pki/ca/" + slug + ".cer" }

// CRLURL is where an authority's full CRL is published.
func (s *Set) CRLURL(slug string) string { return s.cfg.BaseURL + "/pki/crl/" + slug + ".crl" }

// OCSPURL is the address of the OCSP responder.
func (s *Set) OCSPURL() string { return s.cfg.BaseURL + "/pki/ocsp" }

// checkSlug accepts the names that authorities have in addresses.
func checkSlug(slug string) error {
	if slug == "" || len(slug) > 40 || strings.Trim(slug, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%w: bad address name of an authority", ErrSettings)
	}
	return nil
}
