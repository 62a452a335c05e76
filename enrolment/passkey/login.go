package passkey

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// BeginLogin starts the use of a passkey: to enter, to step up, or to sign a
// challenge that the caller built. Sign and Act need a person and a challenge of
// 32 bytes.
func (s *Service) BeginLogin(ctx context.Context, b Begin) (Ceremony, error) {
	signs := b.Purpose == Sign || b.Purpose == Act || b.Purpose == Recover
	switch {
	case len(b.Binding) == 0, b.Purpose == Enrol:
		return Ceremony{}, fmt.Errorf("%w: a login is bound to a browser and does not enrol", ErrCeremony)
	case signs && (len(b.Challenge) != 32 || b.Person == ""):
		return Ceremony{}, fmt.Errorf("%w: signing needs a person and a challenge of 32 bytes", ErrCeremony)
	case !signs && b.Challenge != nil:
		return Ceremony{}, fmt.Errorf("%w: only signing brings a challenge", ErrCeremony)
	case (b.Purpose == Recover) != (b.Pending != ""):
		return Ceremony{}, fmt.Errorf("%w: a pending passkey is for recover, and only that", ErrCeremony)
	case b.Person == "" && b.Purpose != Login:
		return Ceremony{}, fmt.Errorf("%w: only a login may leave the person open", ErrCeremony)
	}
	opts := []webauthn.LoginOption{webauthn.WithUserVerification(protocol.VerificationRequired)}
	if b.Challenge != nil {
		opts = append(opts, webauthn.WithChallenge(b.Challenge))
	}
	if b.Person == "" {
		options, session, err := s.lib.BeginDiscoverableLogin(opts...)
		if err != nil {
			return Ceremony{}, fmt.Errorf("passkey: begin login: %w", err)
		}
		return s.begun(ctx, "get", b, options, session)
	}
	handle, err := s.handleOf(ctx, b.Person)
	if err != nil {
		return Ceremony{}, err
	}
	u := &user{handle: handle}
	have, err := s.byPerson(ctx, b.Person)
	if err != nil {
		return Ceremony{}, err
	}
	for _, c := range have {
		if c.State == Active && b.Pending == "" || c.State == Pending && c.ID == b.Pending {
			u.credentials = append(u.credentials, c.record)
		}
	}
	if len(u.credentials) == 0 {
		return Ceremony{}, ErrUnknown
	}
	options, session, err := s.lib.BeginLogin(u, opts...)
	if err != nil {
		return Ceremony{}, fmt.Errorf("passkey: begin login: %w", err)
	}
	return s.begun(ctx, "get", b, options, session)
}

// FinishLogin verifies the browser's answer to BeginLogin (WebAuthn Level 3
// §7.2). The ceremony is spent whatever the outcome. A refusal of a passkey that
// is known comes with its person, and nothing else.
func (s *Service) FinishLogin(ctx context.Context, id string, purpose Purpose, binding []byte, response json.RawMessage) (Assertion, error) {
	c, err := s.takeCeremony(ctx, id, "get", purpose, binding)
	if err != nil {
		return Assertion{}, err
	}
	var session webauthn.SessionData
	if err := json.Unmarshal([]byte(c.session), &session); err != nil {
		return Assertion{}, fmt.Errorf("passkey: stored session: %w", err)
	}
	if len(response) > maxResponse {
		return Assertion{}, fmt.Errorf("%w: answer over %d bytes", ErrRefused, maxResponse)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return Assertion{}, refused(err)
	}
	cred, handle, err := s.byCredentialID(ctx, parsed.RawID)
	if err != nil {
		return Assertion{}, err
	}
	if c.person != "" && c.person != cred.Person {
		return Assertion{}, fmt.Errorf("%w: the passkey is another person's", ErrRefused)
	}
	tried := Assertion{Authentication: identity.Authentication{Person: cred.Person}} // whose passkey it would be
	record, err := s.verify(session, parsed, cred, handle, c.person != "")
	if err != nil {
		return tried, err
	}
	flags := parsed.Response.AuthenticatorData.Flags
	if !flags.HasUserVerified() {
		return tried, fmt.Errorf("%w: the person was not verified", ErrRefused)
	}
	if record.Authenticator.CloneWarning {
		return tried, s.suspect(ctx, cred, parsed.Response.AuthenticatorData.Counter)
	}
	now := s.cfg.Now()
	who, err := s.used(ctx, c.purpose, cred, record, now)
	if err != nil {
		return tried, err
	}
	return Assertion{
		Authentication: identity.Authentication{
			Person: cred.Person, Epoch: identity.Epoch(who.Epoch), Method: identity.MethodPasskey, Credential: cred.ID, UserVerified: true,
			DeviceBound: !cred.BackupEligible, Attested: cred.Attested, At: now,
		},
		Evidence: Evidence{
			CredentialID: parsed.RawID, PublicKey: cred.PublicKey, AuthenticatorData: parsed.Raw.AssertionResponse.AuthenticatorData,
			ClientDataJSON: parsed.Raw.AssertionResponse.ClientDataJSON, Signature: parsed.Response.Signature,
		},
		Preimage: c.preimage,
	}, nil
}

// verify runs the library over one credential. A change of backup eligibility
// is told apart, because the person then needs other help.
func (s *Service) verify(session webauthn.SessionData, parsed *protocol.ParsedCredentialAssertionData, cred *stored, handle []byte, known bool) (*webauthn.Credential, error) {
	u := &user{handle: handle, credentials: []webauthn.Credential{cred.record}}
	// The library checks that the person owns every allowed credential; the one
	// that answered is loaded, so the list is narrowed to it after looking.
	if known {
		listed := false
		for _, id := range session.AllowedCredentialIDs {
			listed = listed || bytes.Equal(id, parsed.RawID)
		}
		if !listed {
			return nil, fmt.Errorf("%w: passkey was not offered", ErrRefused)
		}
		session.AllowedCredentialIDs = [][]byte{parsed.RawID}
	}
	var record *webauthn.Credential
	var err error
	if known {
		record, err = s.lib.ValidateLogin(u, session, parsed)
	} else {
		record, err = s.lib.ValidateDiscoverableLogin(func(_, got []byte) (webauthn.User, error) {
			if !bytes.Equal(got, handle) {
				return nil, ErrUnknown
			}
			return u, nil
		}, session, parsed)
	}
	if err == nil {
		return record, nil
	}
	if parsed.Response.AuthenticatorData.Flags.HasBackupEligible() != cred.BackupEligible {
		return nil, ErrBackupChanged
	}
	return nil, refused(err)
}

// used stores the counter and the backup state of a use, if the credential and
// the person are active and no later use got ahead.
func (s *Service) used(ctx context.Context, purpose Purpose, cred *stored, record *webauthn.Credential, now time.Time) (who subject.Subject, err error) {
	count := int64(record.Authenticator.SignCount)
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if who, err = subject.Current(tx, cred.Person); err != nil {
			return err
		}
		do := machine.UseKey
		if purpose == Recover { // somebody who stopped herself signs her recovery too
			do = machine.SignPending
		} else if who.State != subject.Active {
			return ErrNotActive
		}
		row, err := machine.Credential.Next(machine.State(cred.State), do, machine.Basis{By: machine.Holder, With: machine.Key})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotActive, err)
		}
		n, err := tx.Exec(`UPDATE enrolment_credential SET sign_count = $2, backed_up = $3, used_at = $4 WHERE id = $1 AND state = $5 AND (sign_count < $2 OR sign_count = 0 AND $2 = 0)`,
			string(cred.ID), count, flag(record.Flags.BackupState), db.Micros(now), string(row.From))
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrNotActive
		}
		return nil
	})
	if errors.Is(err, subject.ErrUnknown) {
		err = ErrNotActive
	}
	return who, err
}

// suspect takes a credential whose counter did not rise out of use.
func (s *Service) suspect(ctx context.Context, cred *stored, counter uint32) error {
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "enrolment.passkey.suspect", Subject: cred.Person, Actor: "service:passkey", Object: string(cred.ID), Outcome: "suspended",
		Payload: map[string]any{"stored_counter": cred.record.Authenticator.SignCount, "shown_counter": counter},
	})
	if err != nil {
		return err
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		err := Move(tx, cred.Person, cred.ID, machine.SuspectKey, machine.Basis{By: machine.System, With: machine.Measured}, s.cfg.Now())
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrUnknown) {
			return nil // out of use already
		}
		if err != nil {
			return err
		}
		_, err = s.cfg.Audit.Append(tx, entry)
		return err
	})
	if err != nil {
		return err
	}
	return ErrClone
}

// Credentials returns every passkey ever bound to a person, the newest first.
func (s *Service) Credentials(ctx context.Context, person identity.PersonID) ([]Credential, error) {
	have, err := s.byPerson(ctx, person)
	if err != nil {
		return nil, err
	}
	out := make([]Credential, 0, len(have))
	for _, c := range have {
		out = append(out, c.Credential)
	}
	return out, nil
}

// Suspend takes a passkey out of use of which this program measured that it may
// be a copy. It returns ErrUnknown if it is not in use.
func (s *Service) Suspend(ctx context.Context, actor string, person identity.PersonID, id identity.CredentialID) error {
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.passkey.changed", Subject: person, Actor: actor, Object: string(id), Outcome: string(Suspended)})
	if err != nil {
		return err
	}
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := Move(tx, person, id, machine.SuspendKey, machine.Basis{By: machine.System, With: machine.Measured}, s.cfg.Now()); err != nil {
			return err
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
}

// Move moves a person's passkey as the table of passkeys says, in the caller's
// transaction, which MUST hold the audit entry of its cause. ErrRefused if the
// table has no such line, ErrUnknown if there is no such passkey.
func Move(tx *db.Tx, person identity.PersonID, id identity.CredentialID, do machine.Command, b machine.Basis, now time.Time) error {
	var state machine.State
	err := tx.QueryRow(`SELECT state FROM enrolment_credential WHERE id = $1 AND person = $2`, string(id), string(person)).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrUnknown
	}
	if err != nil {
		return err
	}
	row, err := machine.Credential.Next(state, do, b)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	n, err := tx.Exec(`UPDATE enrolment_credential SET state = $4, changed_at = $5 WHERE id = $1 AND person = $2 AND state = $3`,
		string(id), string(person), string(row.From), string(row.To), db.Micros(now))
	if err == nil && n == 0 {
		err = ErrUnknown
	}
	return err
}

// Rename changes what a person calls one of her passkeys.
func (s *Service) Rename(ctx context.Context, person identity.PersonID, id identity.CredentialID, label string) error {
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.passkey.renamed", Subject: person, Actor: string(person), Object: string(id), Outcome: "renamed"})
	if err != nil {
		return err
	}
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`UPDATE enrolment_credential SET label = $3, changed_at = $4 WHERE id = $1 AND person = $2 AND state <> 'revoked'`,
			string(id), string(person), cleanLabel(label), db.Micros(s.cfg.Now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrUnknown
		}
		_, err = s.cfg.Audit.Append(tx, entry)
		return err
	})
}

// ByCredentialID returns the credential with that WebAuthn id, whatever its
// state, or ErrUnknown.
func (s *Service) ByCredentialID(ctx context.Context, id []byte) (Credential, error) {
	c, _, err := s.byCredentialID(ctx, id)
	if err != nil {
		return Credential{}, err
	}
	return c.Credential, nil
}
