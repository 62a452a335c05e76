package profile

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Extension identifiers.
const (
	extAKI         = "2.5.29.35"
	extSKI         = "2.5.29.14"
	extKeyUsage    = "2.5.29.15"
	extKeyUse      = "2.5.29.16" // privateKeyUsagePeriod
	extPolicies    = "2.5.29.32"
	extConstraints = "2.5.29.19"
	extEKU         = "2.5.29.37"
	extCRL         = "2.5.29.31"
	extAIA         = "1.3.6.1.5.5.7.1.1"
	extQC          = "1.3.6.1.5.5.7.1.3"
	extNoCheck     = "1.3.6.1.5.5.7.48.1.5"
	// extBinding is signedDocumentBinding as its implementers use it today; the
	// IETF draft has not been assigned a number yet.
	extBinding = "1.3.6.1.5.5.7.1.37"

	anyPolicy      = "2.5.29.32.0"
	qtUserNotice   = "1.3.6.1.5.5.7.2.2"
	adOCSP         = "1.3.6.1.5.5.7.48.1"
	adIssuers      = "1.3.6.1.5.5.7.48.2"
	qcSyntaxV2     = "1.3.6.1.5.5.7.11.2"
	oidSHA256      = "2.16.840.1.101.3.4.2.1"
	oidSHA384      = "2.16.840.1.101.3.4.2.2"
	oidSHA512      = "2.16.840.1.101.3.4.2.3"
	bindingMaxType = 64
)

// Binding is the content of signedDocumentBinding (IETF
// draft-ietf-lamps-one-signature-certs): a digest of the data to be signed.
type Binding struct {
	Hash   crypto.Hash // SHA-256, SHA-384 or SHA-512
	Digest []byte
	Type   string // how the data were derived, for instance "cades"; may be empty
}

func (bd *Binding) oid() (string, error) {
	oid, ok := map[crypto.Hash]string{crypto.SHA256: oidSHA256, crypto.SHA384: oidSHA384, crypto.SHA512: oidSHA512}[bd.Hash]
	if !ok || len(bd.Digest) != bd.Hash.Size() {
		return "", fmt.Errorf("%w: binding needs a SHA-2 digest of its full length", ErrInput)
	}
	if len(bd.Type) > bindingMaxType || strings.Trim(bd.Type, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", fmt.Errorf("%w: bad binding type", ErrInput)
	}
	return oid, nil
}

type extensions struct {
	set      *Set
	p        Profile
	in       Input
	keyID    []byte
	from, to time.Time
}

// add writes the extensions in a fixed order.
func (e extensions) add(b *cryptobyte.Builder) {
	p := e.p
	if !p.selfSigned() {
		addExt(b, extAKI, false, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(e.in.Issuer.KeyID) })
			})
		})
	}
	addExt(b, extSKI, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(e.keyID) })
	addExt(b, extKeyUsage, true, func(b *cryptobyte.Builder) { addKeyUsage(b, p.KeyUsage) })
	if p.KeyUse > 0 {
		addExt(b, extKeyUse, false, e.addKeyUse)
	}
	if p.AnyPolicy || p.Policy {
		addExt(b, extPolicies, false, e.addPolicies)
	}
	if p.CA {
		addExt(b, extConstraints, true, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Boolean(true)
				if p.PathLen >= 0 {
					b.AddASN1Int64(int64(p.PathLen))
				}
			})
		})
	}
	if len(p.EKU) > 0 {
		addExt(b, extEKU, p.EKUCritical, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				for _, oid := range p.EKU {
					b.AddASN1ObjectIdentifier(mustOID(oid))
				}
			})
		})
	}
	e.addAddresses(b)
	if p.Semantics != "" {
		addExt(b, extQC, false, func(b *cryptobyte.Builder) { addSemantics(b, p.Semantics) })
	}
	if e.in.Binding != nil {
		addExt(b, extBinding, false, e.addBinding)
	}
	if p.NoCheck {
		addExt(b, extNoCheck, false, func(b *cryptobyte.Builder) { b.AddASN1NULL() })
	}
}

func (e extensions) addAddresses(b *cryptobyte.Builder) {
	if e.p.selfSigned() {
		return
	}
	slug := e.in.Issuer.Slug
	if e.p.CRL {
		addExt(b, extCRL, false, func(b *cryptobyte.Builder) { addDistributionPoint(b, e.set.CRLURL(slug)) })
	}
	addExt(b, extAIA, false, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if e.p.Responder {
				addAccess(b, adOCSP, e.set.OCSPURL())
			}
			addAccess(b, adIssuers, e.set.CertificateURL(slug))
		})
	})
}

// addKeyUse writes PrivateKeyUsagePeriod: from notBefore for the profile's
// period of use (EN 319 422 §6 asks it of time-stamping units).
func (e extensions) addKeyUse(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i, t := range []time.Time{e.from, e.from.Add(e.p.KeyUse)} {
			b.AddASN1(cbasn1.Tag(i).ContextSpecific(), func(b *cryptobyte.Builder) {
				b.AddBytes([]byte(t.UTC().Format("20060102150405Z")))
			})
		}
	})
}

func (e extensions) addPolicies(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if e.p.AnyPolicy {
				b.AddASN1ObjectIdentifier(mustOID(anyPolicy))
				return
			}
			b.AddASN1ObjectIdentifier(e.set.Policy(e.p))
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(mustOID(qtUserNotice))
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(e.set.notice)) })
					})
				})
			})
		})
	})
}

func (e extensions) addBinding(b *cryptobyte.Builder) {
	oid, err := e.in.Binding.oid()
	if err != nil {
		b.SetError(err)
		return
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1OctetString(e.in.Binding.Digest)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(mustOID(oid)) })
		if t := e.in.Binding.Type; t != "" {
			b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(t)) })
		}
	})
}

func addExt(b *cryptobyte.Builder, oid string, critical bool, value func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(mustOID(oid))
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(cbasn1.OCTET_STRING, value)
	})
}

// addKeyUsage writes the named bit list without trailing zero bits (X.690 §11.2.2).
func addKeyUsage(b *cryptobyte.Builder, ku x509.KeyUsage) {
	var octet byte
	for i := range 8 {
		if ku&(1<<i) != 0 {
			octet |= 0x80 >> i
		}
	}
	unused := 0
	for unused < 7 && octet>>unused&1 == 0 {
		unused++
	}
	b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) {
		b.AddUint8(uint8(unused))
		b.AddUint8(octet)
	})
}

func addSemantics(b *cryptobyte.Builder, semantics string) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(mustOID(qcSyntaxV2))
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(mustOID(semantics)) })
		})
	})
}

func addDistributionPoint(b *cryptobyte.Builder, uri string) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { addURI(b, uri) })
			})
		})
	})
}

func addAccess(b *cryptobyte.Builder, method, uri string) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(mustOID(method))
		addURI(b, uri)
	})
}

// addURI writes a GeneralName of the form uniformResourceIdentifier.
func addURI(b *cryptobyte.Builder, uri string) {
	b.AddASN1(cbasn1.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(uri)) })
}

// attributeType returns the identifier (X.520; EN 319 412-1 §5.1.4 for
// organizationIdentifier) and the string type of an attribute.
func attributeType(a Attribute) (asn1.ObjectIdentifier, cbasn1.Tag) {
	oid := map[Attribute]string{
		AttrCountry: "2.5.4.6", AttrOrganization: "2.5.4.10", AttrOrganizationID: "2.5.4.97",
		AttrUnit: "2.5.4.11", AttrTitle: "2.5.4.12", AttrSurname: "2.5.4.4", AttrGivenName: "2.5.4.42",
		AttrSerialNumber: "2.5.4.5", AttrCommonName: "2.5.4.3",
	}[a]
	if a == AttrCountry || a == AttrSerialNumber {
		return mustOID(oid), cbasn1.PrintableString
	}
	return mustOID(oid), cbasn1.UTF8String
}
