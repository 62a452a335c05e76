package app

import (
	"context"
	"encoding/json"
	"errors"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
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
	if errors.Is(err, ca.ErrAbandoned) {
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
	return a.IDP.EndPerson(ctx, person, cause)
}

// certificateRevoked has nothing to end: the signing core asks the authority
// for the status of a certificate each time it is to use its key.
func (a *App) certificateRevoked(context.Context, outbox.Message) error { return nil }
