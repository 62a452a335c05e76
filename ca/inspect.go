package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"time"

	"oruro.gob.bo/suti/ca/internal/issuance"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/identity"
)

// AuthorityInfo describes a root or issuing authority.
type AuthorityInfo struct {
	Slug        string // its name in addresses
	Kind        profile.Kind
	Certificate *x509.Certificate
	// IssuesUntil is half of its life: from then on it only revokes.
	IssuesUntil time.Time
}

// Authorities lists the active authorities, the newest of each kind first.
func (c *CA) Authorities() []AuthorityInfo {
	var out []AuthorityInfo
	for _, a := range c.authorities.All() {
		out = append(out, AuthorityInfo{Slug: a.Slug, Kind: a.Kind, Certificate: a.Cert, IssuesUntil: a.HalfLife()})
	}
	return out
}

// maxList bounds what OfPerson returns.
const maxList = 200

// Entry is a certificate in a list, with its standing.
type Entry struct {
	Certificate
	Appointment identity.AppointmentID
	Status      Status
}

// OfPerson lists a person's certificates, newest first, at most 200.
func (c *CA) OfPerson(ctx context.Context, person identity.PersonID) ([]Entry, error) {
	list, err := c.store.ByPerson(ctx, person, maxList)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, in := range list {
		if in.State != store.Issued {
			continue
		}
		der, err := c.store.Certificate(ctx, in.SN)
		if err != nil {
			return nil, err
		}
		cert, err := c.certificate(issuance.Issued{Intent: in, DER: der, Existing: true})
		if err != nil {
			return nil, err
		}
		st, err := c.Status(ctx, in.SN)
		if err != nil {
			return nil, err
		}
		out = append(out, Entry{Certificate: cert, Appointment: in.Appointment, Status: st})
	}
	return out, nil
}

// Fault is something that cannot be, found by [CA.Inspect].
type Fault struct {
	Serial []byte
	What   string
}

// Inspect walks through every certificate and checks it against its intent and
// its issuer's key, as an examiner would who trusts neither the code that made
// it nor the database. It returns how many it looked at.
func (c *CA) Inspect(ctx context.Context) (int, []Fault, error) {
	const page = 200
	var faults []Fault
	n := 0
	for at := []byte{}; ; {
		list, err := c.store.After(ctx, at, page)
		if err != nil {
			return n, faults, err
		}
		for _, in := range list {
			at = in.SN
			n++
			what, err := c.inspect(ctx, in)
			if err != nil {
				return n, faults, err
			}
			if what != "" {
				faults = append(faults, Fault{Serial: in.SN, What: what})
			}
		}
		if len(list) < page {
			return n, faults, nil
		}
	}
}

func (c *CA) inspect(ctx context.Context, in store.Intent) (string, error) {
	der, err := c.store.Certificate(ctx, in.SN)
	if err != nil {
		return "", fmt.Errorf("read certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return "unreadable certificate", nil
	}
	issuer, err := c.authorities.BySlug(in.Issuer)
	if err != nil {
		return "issuer unknown", nil
	}
	spki := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	switch {
	case !bytes.Equal(cert.RawTBSCertificate, in.TBS):
		return "not what was linted", nil
	case !bytes.Equal(cert.SerialNumber.Bytes(), in.SN):
		return "another number", nil
	case !bytes.Equal(spki[:], in.SPKIHash):
		return "another public key", nil
	case issuer.Algorithm.Verify(issuer.Cert.PublicKey, cert.RawTBSCertificate, cert.Signature) != nil:
		return "signature does not verify under the issuer", nil
	}
	return "", nil
}
