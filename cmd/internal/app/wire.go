package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/core"
)

// passkeyLogin gives the provider its Authenticator.
type passkeyLogin struct{ keys *passkey.Service }

// BeginLogin implements idp.Authenticator.
func (p passkeyLogin) BeginLogin(ctx context.Context, req idp.LoginRequest) (idp.LoginCeremony, error) {
	b := passkey.Begin{Purpose: passkey.Login, Person: req.Person, Binding: req.Binding}
	c, err := p.keys.BeginLogin(ctx, b)
	if errors.Is(err, passkey.ErrUnknown) { // the person has no passkey: ask for any, which will then be refused
		b.Person = ""
		c, err = p.keys.BeginLogin(ctx, b)
	}
	return idp.LoginCeremony{ID: c.ID, Options: c.Options, Expires: c.Expires}, err
}

// FinishLogin implements idp.Authenticator.
func (p passkeyLogin) FinishLogin(ctx context.Context, id string, binding []byte, response json.RawMessage) (identity.Authentication, error) {
	got, err := p.keys.FinishLogin(ctx, id, passkey.Login, binding, response)
	for _, refusal := range []error{passkey.ErrCeremony, passkey.ErrRefused, passkey.ErrUnknown, passkey.ErrNotActive, passkey.ErrClone, passkey.ErrBackupChanged} {
		if errors.Is(err, refusal) {
			return got.Authentication, errors.Join(idp.ErrRefused, err)
		}
	}
	return got.Authentication, err
}

// cardLogin gives the provider its CardAuthenticator.
type cardLogin struct{ accounts *account.Service }

// BeginCard implements idp.CardAuthenticator.
func (c cardLogin) BeginCard(ctx context.Context, login string, binding []byte) (idp.CardChallenge, error) {
	ch, err := c.accounts.Ask(ctx, login, binding)
	if errors.Is(err, account.ErrThrottled) {
		err = errors.Join(idp.ErrThrottled, err)
	}
	return idp.CardChallenge{ID: ch.ID, Cell: ch.Cell}, err
}

// FinishCard implements idp.CardAuthenticator.
func (c cardLogin) FinishCard(ctx context.Context, id string, binding []byte, password, code string) (identity.Authentication, error) {
	a, err := c.accounts.Answer(ctx, id, binding, password, code)
	switch {
	case errors.Is(err, account.ErrRefused):
		err = errors.Join(idp.ErrRefused, err)
	case errors.Is(err, account.ErrThrottled):
		err = errors.Join(idp.ErrThrottled, err)
	}
	return a, err
}

// certifier gives the signing core its Certifier.
type certifier struct{ ca *ca.CA }

// Certificate implements core.Certifier.
func (c certifier) Certificate(ctx context.Context, r core.CertificateRequest) ([][]byte, error) {
	issue := c.ca.IssueCitizen
	if r.Appointment != nil {
		issue = c.ca.IssueOfficial
	}
	cert, err := issue(ctx, ca.Request{
		IntentID: r.IntentID, Person: r.Profile.Person, Epoch: r.Epoch, Name: r.Profile.Name, Document: r.Profile.Document,
		Appointment: r.Appointment, PublicKey: r.PublicKey, Proof: r.Proof, Actor: r.Actor,
	})
	if errors.Is(err, ca.ErrAbandoned) || errors.Is(err, ca.ErrConflict) { // a conflict: the person changed since the key was made
		err = errors.Join(core.ErrCertificateAbandoned, err)
	}
	if err != nil {
		return nil, err
	}
	return append([][]byte{cert.DER}, cert.Path...), nil
}

// OCSP implements core.Certifier.
func (c certifier) OCSP(ctx context.Context, serial []byte) ([]byte, error) {
	return c.ca.OCSP(ctx, serial)
}

// hints gives the signing core its Hints.
type hints struct{ keys *passkey.Service }

// OfPerson implements core.Hints.
func (h hints) OfPerson(ctx context.Context, person identity.PersonID) ([]core.Hint, error) {
	have, err := h.keys.Credentials(ctx, person)
	if err != nil {
		return nil, err
	}
	out := make([]core.Hint, 0, len(have))
	for _, c := range have {
		if c.State == passkey.Active {
			out = append(out, core.Hint{CredentialID: c.CredentialID, COSE: c.PublicKey})
		}
	}
	return out, nil
}

// ByID implements core.Hints.
func (h hints) ByID(ctx context.Context, credentialID []byte) ([]byte, error) {
	c, err := h.keys.ByCredentialID(ctx, credentialID)
	if errors.Is(err, passkey.ErrUnknown) {
		return nil, nil
	}
	return c.PublicKey, err
}

// subjectChanged fans out the end of what a person was granted (design D16).
// Each consumer is idempotent, so that a repeat does no harm.
func (a *App) subjectChanged(ctx context.Context, m outbox.Message) error {
	person, cause, err := account.ParseChanged(m.Payload)
	if err != nil {
		return errors.Join(outbox.ErrPermanent, err)
	}
	return errors.Join(a.IDP.EndPerson(ctx, person, cause), a.Signer.OnSubjectChanged(ctx, person), a.revokeEnded(ctx, person))
}

// revokeEnded revokes the certificates of a person who is gone, and those for
// posts that a person no longer holds.
func (a *App) revokeEnded(ctx context.Context, person identity.PersonID) error {
	var who subject.Subject
	err := a.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = subject.Current(tx, person)
		return err
	})
	if err != nil {
		return err
	}
	if who.State == subject.Closed || who.State == subject.Deceased {
		return a.CA.OnPersonEnded(ctx, person)
	}
	have, err := a.CA.OfPerson(ctx, person)
	if err != nil {
		return err
	}
	for _, c := range have {
		if c.Appointment == "" || c.Status.Revoked {
			continue
		}
		held, err := a.Enrolment.Appointment(ctx, c.Appointment)
		if err != nil {
			return err
		}
		if held.HeldAt(a.Config.Now()) {
			continue
		}
		if err := a.CA.OnAppointmentEnded(ctx, c.Appointment); err != nil {
			return err
		}
	}
	return nil
}

// certificateRevoked has nothing to end: the signing core asks the authority
// for the status of a certificate each time it is to use its key.
func (a *App) certificateRevoked(context.Context, outbox.Message) error { return nil }

// directory gives the signer its Directory.
type directory struct {
	people *enrolment.Service
}

// unknown turns enrolment's words for "there is none" into the signer's.
func unknown(err error) error {
	for _, e := range []error{account.ErrUnknown, enrolment.ErrUnknown} {
		if errors.Is(err, e) {
			return errors.Join(signer.ErrUnknown, err)
		}
	}
	return err
}

// Profile implements signer.Directory.
func (d directory) Profile(ctx context.Context, person identity.PersonID) (identity.Profile, error) {
	p, err := d.people.Profile(ctx, person)
	return p, unknown(err)
}

// Appointment implements signer.Directory.
func (d directory) Appointment(ctx context.Context, id identity.AppointmentID) (identity.Appointment, error) {
	a, err := d.people.Appointment(ctx, id)
	return a, unknown(err)
}

// FindByDocument implements signer.Directory.
func (d directory) FindByDocument(ctx context.Context, doc identity.Document) (identity.PersonID, error) {
	p, err := d.people.FindByDocument(ctx, doc)
	return p, unknown(err)
}

// Institution implements signer.Directory.
func (d directory) Institution(ctx context.Context, id identity.InstitutionID) (identity.Institution, error) {
	all, err := d.people.Institutions(ctx)
	if err != nil {
		return identity.Institution{}, err
	}
	for _, i := range all {
		if i.ID == id {
			return i, nil
		}
	}
	return identity.Institution{}, signer.ErrUnknown
}

// institutionName names an institution on the provider's pages, "" if nobody knows it.
func (a *App) institutionName(ctx context.Context, id identity.InstitutionID) (string, error) {
	i, err := directory{a.Enrolment}.Institution(ctx, id)
	if errors.Is(err, signer.ErrUnknown) {
		return "", nil
	}
	return i.Name, err
}

// clients gives the signer its APIAuth and its Subjects.
type clients struct{ idp *idp.Provider }

// APIClient implements signer.APIAuth.
func (c clients) APIClient(r *http.Request) (signer.APIClient, error) {
	got, err := c.idp.APIClient(r)
	if errors.Is(err, idp.ErrAPIToken) {
		err = errors.Join(signer.ErrToken, err)
	}
	return signer.APIClient{ID: got.ID, Name: got.Name, Institution: got.Institution, Scopes: got.Scopes}, err
}

// PersonBySubject implements signer.Subjects.
func (c clients) PersonBySubject(ctx context.Context, client, sub string) (identity.PersonID, error) {
	p, err := c.idp.PersonBySubject(ctx, client, sub)
	if errors.Is(err, idp.ErrUnknownSubject) {
		err = errors.Join(signer.ErrUnknown, err)
	}
	return p, err
}
