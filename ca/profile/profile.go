package profile

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Kind names a profile.
type Kind string

// The profiles of this version. The seal of an institution (sello) and the
// server certificate (tls) are reserved numbers 4 and 7 and not built yet.
const (
	Root        Kind = "raiz"        // self-signed trust anchor
	Firma       Kind = "firma"       // issuing authority for people
	Servicios   Kind = "servicios"   // issuing authority for time-stamping units
	Ciudadano   Kind = "ciudadano"   // a natural person
	Funcionario Kind = "funcionario" // a natural person in a post of an institution
	FirmaUnica  Kind = "firma-unica" // one signature by a person or official, minutes long
	TSU         Kind = "tsu"         // time-stamping unit
	OCSP        Kind = "ocsp"        // delegated OCSP responder
)

// ErrKind reports an unknown profile.
var ErrKind = errors.New("profile: unknown profile")

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// KeyAlgorithm is a kind of subject key that a profile may certify.
type KeyAlgorithm string

// Subject key algorithms. RSA covers 2048 to 4096 bits.
const (
	P256    KeyAlgorithm = "P-256"
	P384    KeyAlgorithm = "P-384"
	Ed25519 KeyAlgorithm = "Ed25519"
	RSA     KeyAlgorithm = "RSA"
)

// Attribute is a subject attribute in the order in which a profile writes it.
type Attribute string

// Subject attributes. Country is PrintableString, as X.520 demands;
// serialNumber likewise; all others are UTF8String.
const (
	AttrCountry        Attribute = "C"
	AttrOrganization   Attribute = "O"
	AttrOrganizationID Attribute = "organizationIdentifier"
	AttrUnit           Attribute = "OU"
	AttrTitle          Attribute = "title"
	AttrSurname        Attribute = "SN"
	AttrGivenName      Attribute = "GN"
	AttrSerialNumber   Attribute = "serialNumber"
	AttrCommonName     Attribute = "CN"
)

// Profile is the fixed part of a kind of certificate. Values are plain data so
// that [Profile.Hash] covers all of them.
type Profile struct {
	Kind    Kind
	Arc     int // number of the policy under arc.1.1
	Version int // changed whenever anything else changes

	Issuers []Kind // which kinds of authority may issue it; a root issues itself

	CA      bool
	PathLen int // only read when CA; negative: no limit

	Subject     []Attribute    // required attributes, in order
	Optional    []Attribute    // those of Subject that may be absent
	Keys        []KeyAlgorithm // subject keys accepted
	KeyUsage    x509.KeyUsage  // always critical
	EKU         []string       // dotted; empty: no extension
	EKUCritical bool

	MaxValidity time.Duration
	KeyUse      time.Duration // PrivateKeyUsagePeriod; zero: no extension
	HalfLife    bool          // refused when the issuer is past half of its own life
	Clamp       bool          // shortened, not refused, when the issuer ends earlier

	AnyPolicy bool // authorities: anyPolicy without qualifiers
	Policy    bool // policy identifier with the user notice
	CRL       bool // cRLDistributionPoints
	Responder bool // authorityInfoAccess names the OCSP responder
	NoCheck   bool // id-pkix-ocsp-nocheck
	Semantics string
}

func person(k Kind, arc int, validity time.Duration, subject, optional []Attribute) Profile {
	return Profile{
		Kind: k, Arc: arc, Version: 1, Issuers: []Kind{Firma},
		Subject: subject, Optional: optional,
		Keys:        []KeyAlgorithm{P256, P384, RSA},
		KeyUsage:    x509.KeyUsageContentCommitment,
		EKU:         []string{ekuDocumentSigning, ekuMSDocumentSigning},
		MaxValidity: validity, HalfLife: true,
		Policy: true, CRL: true, Responder: true, Semantics: semanticsNatural,
	}
}

func issuing(k Kind, arc int, eku []string) Profile {
	return Profile{
		Kind: k, Arc: arc, Version: 1, Issuers: []Kind{Root}, CA: true, PathLen: 0,
		Subject:     []Attribute{AttrCountry, AttrOrganization, AttrOrganizationID, AttrCommonName},
		Optional:    []Attribute{AttrOrganizationID},
		Keys:        []KeyAlgorithm{P256, P384, RSA},
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		EKU:         eku,
		MaxValidity: 8 * year, HalfLife: true,
		AnyPolicy: true, CRL: true,
	}
}

// table builds every profile afresh, so that no caller can change another's.
func table() []Profile {
	official := []Attribute{AttrCountry, AttrOrganization, AttrOrganizationID, AttrUnit, AttrTitle,
		AttrSurname, AttrGivenName, AttrSerialNumber, AttrCommonName}
	citizen := []Attribute{AttrCountry, AttrSurname, AttrGivenName, AttrSerialNumber, AttrCommonName}
	service := []Attribute{AttrCountry, AttrOrganization, AttrOrganizationID, AttrCommonName}
	noID := []Attribute{AttrOrganizationID}
	root := issuing(Root, 10, nil)
	root.PathLen, root.MaxValidity, root.AnyPolicy, root.CRL, root.HalfLife = -1, 20*year, false, false, false
	return []Profile{
		root,
		// No ocspSigning here: it would make each authority a responder for the
		// root's certificates, its own included. Delegated responders need no nesting.
		issuing(Firma, 11, []string{ekuDocumentSigning, ekuMSDocumentSigning}),
		issuing(Servicios, 12, []string{ekuTimeStamping}),
		person(Ciudadano, 1, year, citizen, nil),
		person(Funcionario, 2, year, official, []Attribute{AttrOrganizationID, AttrUnit}),
		person(FirmaUnica, 3, 15*time.Minute, official,
			[]Attribute{AttrOrganization, AttrOrganizationID, AttrUnit, AttrTitle}),
		{
			Kind: TSU, Arc: 5, Version: 1, Issuers: []Kind{Servicios},
			Subject: service, Optional: noID, Keys: []KeyAlgorithm{P256, P384, RSA},
			KeyUsage: x509.KeyUsageDigitalSignature,
			EKU:      []string{ekuTimeStamping}, EKUCritical: true,
			MaxValidity: 6 * year, KeyUse: year, HalfLife: true, Clamp: true,
			Policy: true, CRL: true, Responder: true,
		},
		{
			Kind: OCSP, Arc: 6, Version: 1, Issuers: []Kind{Firma, Servicios},
			Subject: service, Optional: noID, Keys: []KeyAlgorithm{P256, P384, Ed25519, RSA},
			KeyUsage: x509.KeyUsageDigitalSignature, EKU: []string{ekuOCSPSigning},
			MaxValidity: 30 * day, Clamp: true,
			NoCheck: true,
		},
	}
}

// Kinds lists every profile in the order of the table.
func Kinds() []Kind {
	var out []Kind
	for _, p := range table() {
		out = append(out, p.Kind)
	}
	return out
}

// Of returns the profile of a kind, or [ErrKind].
func Of(k Kind) (Profile, error) {
	for _, p := range table() {
		if p.Kind == k {
			return p, nil
		}
	}
	return Profile{}, fmt.Errorf("%w: %q", ErrKind, k)
}

// Hash is the lower-case hexadecimal SHA-256 of every field of the profile. It
// is stored beside each certificate, and a test pins its value.
func (p Profile) Hash() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "suti/profile/v1\n%#v", p))
	return hex.EncodeToString(sum[:])
}

// Natural reports whether the subject is a natural person.
func (p Profile) Natural() bool { return p.Semantics == semanticsNatural }

func (p Profile) optional(a Attribute) bool     { return slices.Contains(p.Optional, a) }
func (p Profile) issuedBy(k Kind) bool          { return slices.Contains(p.Issuers, k) }
func (p Profile) selfSigned() bool              { return p.Kind == Root }
func (p Profile) certifies(a KeyAlgorithm) bool { return slices.Contains(p.Keys, a) }
