package identity

import (
	"strings"
	"time"
)

// Name is a person's registered name. One of the two surnames may be empty,
// never both; accents are kept.
type Name struct {
	Given         string // nombres, one or more words
	FirstSurname  string // primer apellido
	SecondSurname string // segundo apellido
}

// Full returns given names and surnames separated by single spaces.
func (n Name) Full() string {
	return strings.Join(strings.Fields(n.Given+" "+n.FirstSurname+" "+n.SecondSurname), " ")
}

// Surnames returns the surnames separated by one space.
func (n Name) Surnames() string {
	return strings.Join(strings.Fields(n.FirstSurname+" "+n.SecondSurname), " ")
}

// DocumentType is the kind of identity document, in the words of the civil
// registries: CI, CIE or PAS.
type DocumentType string

// The kinds of identity document.
const (
	DocumentCI       DocumentType = "CI"  // cédula de identidad
	DocumentCIE      DocumentType = "CIE" // cédula de identidad de extranjero
	DocumentPassport DocumentType = "PAS"
)

// Document names an identity document in normal form: the number without
// spaces or signs, the complement (CI only) upper case or empty. The number
// alone is not a key of a person: numbers have been given twice.
type Document struct {
	Type       DocumentType
	Number     string
	Complement string
}

// String returns the document as people write it: "1234567-1A".
func (d Document) String() string {
	if d.Complement == "" {
		return d.Number
	}
	return d.Number + "-" + d.Complement
}

// Date is a calendar date without a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// String returns the date in ISO 8601 form, "2006-01-02".
func (d Date) String() string {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// IsZero reports whether the date is unset.
func (d Date) IsZero() bool { return d == Date{} }

// Epoch counts the changes of a person that end everything that was granted
// before: suspension, recovery, end of an appointment. It only grows.
type Epoch int64

// Profile is what other contexts may know of a person, on a legal basis that
// they record. Level is what identity proofing reached; the level of a session
// also depends on its authentication.
type Profile struct {
	Person    PersonID
	Name      Name
	Document  Document
	BirthDate Date
	Email     string // empty if unknown or unverified
	Phone     string // E.164, empty if unknown or unverified
	Level     Level
	Epoch     Epoch
	Active    bool
	Roles     []Role
}

// Role is a duty of staff.
type Role string

// The roles; no role may act on itself or on a case it opened.
const (
	RoleRegistrar  Role = "registrador"
	RoleSupervisor Role = "supervisor"
	RoleAdmin      Role = "administrador" // of an institution
	RoleAuditor    Role = "auditor"
	RoleOperator   Role = "operador"
)

// Institution is a public institution.
type Institution struct {
	ID        InstitutionID
	Name      string
	ShortName string
	TaxID     string // NIT, digits
}

// AppointmentKind says how a post is held.
type AppointmentKind string

// The ways to hold a post.
const (
	Titular  AppointmentKind = "titular"
	Interim  AppointmentKind = "interino"
	Deputing AppointmentKind = "suplente"
)

// Appointment is one person's holding of a post, [From, To). To is the zero
// time when no end is set.
type Appointment struct {
	ID          AppointmentID
	Person      PersonID
	Institution Institution
	Post        PostID
	Title       string // denominación del cargo
	Unit        string // organisational unit, may be empty
	Kind        AppointmentKind
	From, To    time.Time
	LegalAct    string // number of the resolution or memorandum
}

// HeldAt reports whether the appointment is in force at t.
func (a Appointment) HeldAt(t time.Time) bool {
	return !t.Before(a.From) && (a.To.IsZero() || t.Before(a.To))
}

// Method is how a person authenticated.
type Method string

// The methods. MethodCard is password and one cell of the printed code card.
const (
	MethodPasskey Method = "llave"
	MethodCard    Method = "clave-tarjeta"
)

// Authentication is what one ceremony proved. Only the verifier of that
// ceremony makes one.
type Authentication struct {
	Person       PersonID
	Epoch        Epoch // the person's epoch when the ceremony was verified
	Method       Method
	Credential   CredentialID // empty for MethodCard
	UserVerified bool         // the assertion's own UV flag
	DeviceBound  bool         // BE clear
	Attested     bool         // a verified attestation stands behind the credential
	At           time.Time
}

// PhishingResistant reports whether the method cannot be relayed by a false site.
func (a Authentication) PhishingResistant() bool { return a.Method == MethodPasskey }

// AMR returns the RFC 8176 authentication method references.
func (a Authentication) AMR() []string {
	switch {
	case a.Method == MethodCard:
		return []string{"pwd", "otp", "mfa"}
	case a.DeviceBound && a.UserVerified:
		return []string{"hwk", "pop", "user", "mfa"}
	case a.DeviceBound:
		return []string{"hwk", "pop"}
	case a.UserVerified:
		return []string{"swk", "pop", "user", "mfa"}
	default:
		return []string{"swk", "pop"}
	}
}
