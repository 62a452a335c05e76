package profile

import (
	"strings"
	"unicode/utf8"

	"oruro.gob.bo/suti/internal/identity"
)

// Person is a natural person as the registry knows them.
type Person struct {
	Name     identity.Name
	Document identity.Document
	// Country issued the passport, ISO 3166-1 alpha-2; empty for national cards.
	Country string
}

// Office is the post on whose authority an official signs.
type Office struct {
	Organization   string // name of the institution
	OrganizationID string // its NIT, digits only; empty if unknown
	Unit           string // organisational unit; may be empty
	Title          string // the post ("cargo")
}

// OfficeOf returns what a certificate says of an appointment.
func OfficeOf(a identity.Appointment) Office {
	return Office{Organization: a.Institution.Name, OrganizationID: a.Institution.TaxID, Unit: a.Unit, Title: a.Title}
}

// Subject is the only source of names in a certificate. People fill Person,
// and Office when they act in a post; authorities and services fill CommonName
// and, through the settings, the organisation that runs them.
type Subject struct {
	Person     Person
	Office     Office
	CommonName string
}

// SerialNumber returns the semantics identifier of EN 319 412-1 §5.1.3 for the
// serialNumber attribute: "IDCBO-1234567", "IDCBO-1234567-1A",
// "IDCBO-E-1234567" (card of a foreign resident) or "PASPE-AB12345".
func (p Person) SerialNumber() (string, error) {
	refuse := func(reason string) (string, error) {
		return "", &SubjectError{Field: AttrSerialNumber, Reason: reason}
	}
	d := p.Document
	if d.Type != identity.DocumentCI && d.Complement != "" {
		return refuse("has a complement, which only a CI may have")
	}
	if d.Type == identity.DocumentPassport {
		if len(p.Country) != 2 || !capitalsOnly(p.Country) {
			return refuse("needs the two-letter country of the passport")
		}
		if len(d.Number) < 5 || len(d.Number) > 15 || strings.Trim(d.Number, capitals+digits) != "" {
			return refuse("needs a passport number of 5 to 15 capital letters and digits")
		}
		return "PAS" + p.Country + "-" + d.Number, nil
	}
	if p.Country != "" && p.Country != "BO" {
		return refuse("names a foreign issuer of a national card")
	}
	number := d.Number
	if d.Type == identity.DocumentCIE {
		number = strings.TrimPrefix(number, "E")
	}
	if !digitsOnly(number) || len(number) < 4 || len(number) > 10 {
		return refuse("needs a card number of 4 to 10 digits")
	}
	switch {
	case d.Type == identity.DocumentCIE:
		return "IDCBO-E-" + number, nil
	case d.Type != identity.DocumentCI:
		return refuse("has an unknown kind of document")
	case d.Complement == "":
		return "IDCBO-" + number, nil
	case len(d.Complement) != 2 || !digitsOnly(d.Complement[:1]) || !capitalsOnly(d.Complement[1:]):
		return refuse("needs a complement of one digit and one capital letter")
	}
	return "IDCBO-" + number + "-" + d.Complement, nil
}

// organizationID returns "VATBO-<NIT>" (EN 319 412-1 §5.1.4).
func organizationID(nit string) (string, error) {
	if !digitsOnly(nit) || len(nit) < 5 || len(nit) > 12 {
		return "", &SubjectError{Field: AttrOrganizationID, Reason: "needs a NIT of 5 to 12 digits"}
	}
	return "VATBO-" + nit, nil
}

// DisplayName is the common name of a person: given names and surnames. Where
// that exceeds the 64 characters of RFC 5280 it leaves out given names from the
// last, never the first; givenName and surname stay complete.
func (p Person) DisplayName() (string, error) {
	given := strings.Fields(p.Name.Given)
	for len(given) > 0 {
		name := strings.Join(given, " ") + " " + p.Name.Surnames()
		if utf8.RuneCountInString(name) <= maxName {
			return name, nil
		}
		given = given[:len(given)-1]
	}
	return "", &SubjectError{Field: AttrCommonName, Reason: "does not fit 64 characters with one given name"}
}

const (
	digits   = "0123456789"
	capitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

func digitsOnly(s string) bool {
	return s != "" && strings.Trim(s, digits) == ""
}

func capitalsOnly(s string) bool {
	return s != "" && strings.Trim(s, capitals) == ""
}

// nameAttribute is one attribute of a distinguished name, alone in its RDN.
type nameAttribute struct {
	attr  Attribute
	value string
}

// attributes lists the subject's attributes in the profile's order, or the
// reason why the data do not fit the profile.
func (s *Set) attributes(p Profile, sub Subject) ([]nameAttribute, error) {
	values, err := s.values(p, sub)
	if err != nil {
		return nil, err
	}
	var out []nameAttribute
	for _, a := range p.Subject {
		v := values[a]
		delete(values, a)
		if v == "" {
			if !p.optional(a) {
				return nil, &SubjectError{Field: a, Reason: "is required by the profile"}
			}
			continue
		}
		if err := checkAttribute(a, v, p); err != nil {
			return nil, err
		}
		out = append(out, nameAttribute{attr: a, value: v})
	}
	for a, v := range values {
		if v != "" {
			return nil, &SubjectError{Field: a, Reason: "is not part of the profile"}
		}
	}
	return out, nil
}

// values collects what the subject says, whether or not the profile wants it.
func (s *Set) values(p Profile, sub Subject) (map[Attribute]string, error) {
	v := map[Attribute]string{AttrCountry: s.cfg.Country, AttrCommonName: sub.CommonName}
	office := sub.Office
	if !p.Natural() {
		if sub.Person != (Person{}) || sub.Office != (Office{}) {
			return nil, &SubjectError{Field: AttrCommonName, Reason: "belongs to a service, which has neither person nor post"}
		}
		office = Office{Organization: s.cfg.Organization, OrganizationID: s.cfg.OrganizationID}
	} else {
		if sub.CommonName != "" {
			return nil, &SubjectError{Field: AttrCommonName, Reason: "of a person is derived, not given"}
		}
		serial, err := sub.Person.SerialNumber()
		if err != nil {
			return nil, err
		}
		v[AttrSerialNumber] = serial
		v[AttrSurname], v[AttrGivenName] = sub.Person.Name.Surnames(), strings.Join(strings.Fields(sub.Person.Name.Given), " ")
		if v[AttrCommonName], err = sub.Person.DisplayName(); err != nil {
			return nil, err
		}
		if (office.Organization == "") != (office.Title == "") {
			return nil, &SubjectError{Field: AttrTitle, Reason: "and the organisation come together or not at all"}
		}
	}
	v[AttrOrganization], v[AttrUnit], v[AttrTitle] = office.Organization, office.Unit, office.Title
	if office.OrganizationID != "" {
		id, err := organizationID(office.OrganizationID)
		if err != nil {
			return nil, err
		}
		v[AttrOrganizationID] = id
	}
	return v, nil
}

// checkAttribute applies the character rules of each attribute.
func checkAttribute(a Attribute, v string, p Profile) error {
	switch a {
	case AttrCountry, AttrSerialNumber, AttrOrganizationID:
		return nil // built here, or checked with the settings
	case AttrSurname, AttrGivenName:
		return checkText(a, v, personalMarks, false, maxName)
	case AttrCommonName:
		if p.Natural() {
			return checkText(a, v, personalMarks, false, maxName)
		}
	}
	return checkText(a, v, officialMarks, true, maxName)
}
