package ca

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/ca/internal/issuance"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// maxProof bounds a proof of possession in octets.
const maxProof = 8 << 10

// Request asks for one certificate of a person. IntentID, Person, Epoch, Name,
// Document, PublicKey, Proof and Actor are required.
type Request struct {
	// IntentID is the caller's idempotency key, 8 to 128 of A–Z a–z 0–9 _ . : -.
	// The same id with the same request gives the same certificate.
	IntentID string
	Person   identity.PersonID
	// Epoch of the person at the decision; a later change refuses the issue.
	Epoch    identity.Epoch
	Name     identity.Name
	Document identity.Document
	// DocumentCountry issued the passport, ISO 3166-1 alpha-2; empty for cards.
	DocumentCountry string
	// Appointment is required for officials and refused for citizens. Its end
	// bounds the certificate.
	Appointment *identity.Appointment
	PublicKey   crypto.PublicKey
	// Proof of possession: a PKCS #10 request in DER, signed with the key, whose
	// subject's common name is IntentID. Nothing else in it is read.
	Proof []byte
	// NotAfter asks for an earlier end; zero: the profile's.
	NotAfter time.Time
	// Binding ties a one-signature certificate to what it signs; optional.
	Binding *profile.Binding
	// Actor is who asked: a person's id, "service:…".
	Actor string
}

// IssueCitizen issues a certificate for a person's own signatures, for a year.
func (c *CA) IssueCitizen(ctx context.Context, r Request) (Certificate, error) {
	if r.Appointment != nil {
		return Certificate{}, fmt.Errorf("%w: a citizen signs without a post", ErrRequest)
	}
	return c.issue(ctx, profile.Ciudadano, r)
}

// IssueOfficial issues a certificate for signatures with the authority of a
// post, for a year and no longer than the appointment.
func (c *CA) IssueOfficial(ctx context.Context, r Request) (Certificate, error) {
	if r.Appointment == nil {
		return Certificate{}, fmt.Errorf("%w: an official needs an appointment", ErrRequest)
	}
	return c.issue(ctx, profile.Funcionario, r)
}

// IssueOneShot issues a certificate for one signature, for 15 minutes, of a
// person or, with an appointment, of an official.
func (c *CA) IssueOneShot(ctx context.Context, r Request) (Certificate, error) {
	return c.issue(ctx, profile.FirmaUnica, r)
}

// issue returns, beside this package's errors, [*profile.SubjectError],
// profile.ErrValidity, profile.ErrHalfLife, [*lint.KeyError], [*lint.Failure],
// subject.ErrStale and subject.ErrNotActive.
func (c *CA) issue(ctx context.Context, k profile.Kind, r Request) (Certificate, error) {
	engine, err := c.engine()
	if err != nil {
		return Certificate{}, err
	}
	spki, err := r.check(c.cfg.Now())
	if err != nil {
		return Certificate{}, err
	}
	hash, err := r.hash(k, spki)
	if err != nil {
		return Certificate{}, err
	}
	existing, err := engine.Existing(ctx, r.IntentID, hash)
	if err == nil {
		return c.certificate(existing)
	}
	if !errors.Is(err, store.ErrNotFound) {
		return Certificate{}, err
	}
	issuer, err := c.authorities.Issuing(profile.Firma, c.cfg.Now())
	if err != nil {
		return Certificate{}, err
	}
	o := issuance.Order{Intent: r.IntentID, RequestHash: hash, Kind: k, Owner: string(r.Person), Person: r.Person,
		Epoch: subject.Epoch(r.Epoch), Actor: r.Actor, Issuer: issuer,
		Input: profile.Input{PublicKey: r.PublicKey, NotAfter: r.NotAfter, Binding: r.Binding,
			Subject: profile.Subject{Person: profile.Person{Name: r.Name, Document: r.Document, Country: r.DocumentCountry}}}}
	if a := r.Appointment; a != nil {
		o.Appointment, o.Institution = a.ID, string(a.Institution.ID)
		o.Input.Subject.Office, o.Input.AppointmentEnd = profile.OfficeOf(*a), a.To
	}
	token, err := engine.Prepare(ctx, o)
	if err != nil {
		return Certificate{}, err
	}
	issued, err := engine.Issue(ctx, token)
	if err != nil {
		return Certificate{}, err
	}
	if err := failpoint.Hit(failpoint.IssueBeforeReply); err != nil {
		return Certificate{}, err
	}
	return c.certificate(issued)
}

// check validates what the profiles do not: identifiers, the appointment and the
// proof of possession. It returns the key's SubjectPublicKeyInfo.
func (r Request) check(now time.Time) ([]byte, error) {
	if !intentID(r.IntentID) {
		return nil, fmt.Errorf("%w: intent id", ErrRequest)
	}
	if err := identity.CheckID(identity.PrefixPerson, string(r.Person)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if r.Actor == "" {
		return nil, fmt.Errorf("%w: no actor", ErrRequest)
	}
	if a := r.Appointment; a != nil {
		switch {
		case identity.CheckID(identity.PrefixAppointment, string(a.ID)) != nil:
			return nil, fmt.Errorf("%w: appointment id", ErrRequest)
		case a.Person != r.Person:
			return nil, fmt.Errorf("%w: the appointment is another person's", ErrRequest)
		case !a.HeldAt(now):
			return nil, fmt.Errorf("%w: the appointment is not in force", ErrRequest)
		}
	}
	spki, err := x509.MarshalPKIXPublicKey(r.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrRequest, err)
	}
	return spki, r.checkProof(spki)
}

func (r Request) checkProof(spki []byte) error {
	if len(r.Proof) > maxProof {
		return fmt.Errorf("%w: more than %d octets", ErrProof, maxProof)
	}
	csr, err := x509.ParseCertificateRequest(r.Proof)
	if err != nil {
		return fmt.Errorf("%w: not a PKCS #10 request", ErrProof)
	}
	if !bytes.Equal(csr.RawSubjectPublicKeyInfo, spki) {
		return fmt.Errorf("%w: made with another key", ErrProof)
	}
	if csr.Subject.CommonName != r.IntentID {
		return fmt.Errorf("%w: made for another intent", ErrProof)
	}
	if err := csr.CheckSignature(); err != nil {
		return fmt.Errorf("%w: signature", ErrProof)
	}
	return nil
}

func intentID(s string) bool {
	if len(s) < 8 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '.' && c != ':' && c != '-' {
			return false
		}
	}
	return true
}

// hash covers everything that decides the certificate's content. The proof is
// left out: it is random, and proves the same. Times are microseconds, so that
// the same instant in another zone is the same request.
func (r Request) hash(k profile.Kind, spki []byte) ([32]byte, error) {
	var office profile.Office
	var appointment identity.AppointmentID
	var end int64
	if a := r.Appointment; a != nil {
		office, appointment, end = profile.OfficeOf(*a), a.ID, db.Micros(a.To)
	}
	b, err := json.Marshal(struct {
		Tag         string
		Kind        profile.Kind
		Person      identity.PersonID
		Epoch       identity.Epoch
		Name        identity.Name
		Document    identity.Document
		Country     string
		Appointment identity.AppointmentID
		Office      profile.Office
		End         int64
		SPKI        []byte
		NotAfter    int64
		Binding     *profile.Binding
	}{"suti/issue/v1", k, r.Person, r.Epoch, r.Name, r.Document, r.DocumentCountry, appointment, office, end, spki, db.Micros(r.NotAfter), r.Binding})
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return sha256.Sum256(b), nil
}
