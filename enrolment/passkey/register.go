package passkey

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// BeginRegistration starts the making of a passkey for a person, who is shown
// to the authenticator by name. Passkeys that the person has are excluded.
func (s *Service) BeginRegistration(ctx context.Context, b Begin, name string) (Ceremony, error) {
	if err := identity.CheckID(identity.PrefixPerson, string(b.Person)); err != nil {
		return Ceremony{}, err
	}
	if b.Purpose != Enrol && b.Purpose != Recover || len(b.Binding) == 0 || b.Challenge != nil {
		return Ceremony{}, fmt.Errorf("%w: a registration is for enrol or recover, bound to a browser, with a drawn challenge", ErrCeremony)
	}
	handle, err := s.handleOf(ctx, b.Person)
	if err != nil {
		return Ceremony{}, err
	}
	have, err := s.byPerson(ctx, b.Person)
	if err != nil {
		return Ceremony{}, err
	}
	u := &user{handle: handle, name: name}
	var exclude []protocol.CredentialDescriptor
	live := 0
	for _, c := range have {
		if c.State != Revoked {
			live++
			exclude = append(exclude, c.record.Descriptor())
		}
	}
	if live >= maxPerPerson {
		return Ceremony{}, ErrTooMany
	}
	conveyance := protocol.PreferNoAttestation
	if b.Attest {
		conveyance = protocol.PreferDirectAttestation
	}
	creation, session, err := s.lib.BeginRegistration(u,
		webauthn.WithExclusions(exclude), webauthn.WithConveyancePreference(conveyance),
		webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3()),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()))
	if err != nil {
		return Ceremony{}, fmt.Errorf("passkey: begin registration: %w", err)
	}
	return s.begun(ctx, "create", b, creation, session)
}

// begun stores a ceremony and returns what the browser gets.
func (s *Service) begun(ctx context.Context, kind string, b Begin, options any, session *webauthn.SessionData) (Ceremony, error) {
	if session.Expires.IsZero() {
		return Ceremony{}, fmt.Errorf("passkey: the library set no end to the ceremony")
	}
	if len(b.Preimage) > maxPreimage {
		return Ceremony{}, fmt.Errorf("%w: preimage over %d bytes", ErrCeremony, maxPreimage)
	}
	rawOptions, err := json.Marshal(options)
	if err != nil {
		return Ceremony{}, err
	}
	rawSession, err := json.Marshal(session)
	if err != nil {
		return Ceremony{}, err
	}
	now := s.cfg.Now()
	c := &ceremony{
		id: identity.NewID("cer", now), kind: kind, purpose: b.Purpose, person: b.Person, binding: b.Binding, session: string(rawSession),
		preimage: b.Preimage, expires: now.Add(CeremonyLifetime),
	}
	if err := s.putCeremony(ctx, c); err != nil {
		return Ceremony{}, err
	}
	return Ceremony{ID: c.id, Options: rawOptions, Expires: c.expires}, nil
}

// FinishRegistration verifies the browser's answer to BeginRegistration (WebAuthn
// Level 3 §7.1) and stores the passkey under a label. The basis says by which
// line of the table of passkeys it may be added; ErrRefused if there is none.
func (s *Service) FinishRegistration(ctx context.Context, b machine.Basis, id string, purpose Purpose, binding []byte, response json.RawMessage, label string) (Credential, error) {
	row, err := machine.Credential.Next(machine.Nothing, machine.AddKey, b)
	if err != nil {
		return Credential{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	c, err := s.takeCeremony(ctx, id, "create", purpose, binding)
	if err != nil {
		return Credential{}, err
	}
	var session webauthn.SessionData
	if err := json.Unmarshal([]byte(c.session), &session); err != nil {
		return Credential{}, fmt.Errorf("passkey: stored session: %w", err)
	}
	if len(response) > maxResponse {
		return Credential{}, fmt.Errorf("%w: answer over %d bytes", ErrRefused, maxResponse)
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Credential{}, refused(err)
	}
	handle, err := s.handleOf(ctx, c.person)
	if err != nil {
		return Credential{}, err
	}
	record, err := s.lib.CreateCredential(&user{handle: handle}, session, parsed)
	if err != nil {
		return Credential{}, refused(err)
	}
	if !parsed.Response.AttestationObject.AuthData.Flags.HasUserVerified() {
		return Credential{}, fmt.Errorf("%w: the person was not verified", ErrRefused)
	}
	return s.insert(ctx, row, c.person, record, label)
}

func (s *Service) insert(ctx context.Context, row machine.Row, person identity.PersonID, record *webauthn.Credential, label string) (Credential, error) {
	now := s.cfg.Now()
	out := Credential{
		ID: identity.CredentialID(identity.NewID(identity.PrefixCredential, now)), Person: person, CredentialID: record.ID, PublicKey: record.PublicKey,
		Label: cleanLabel(label), State: State(row.To), BackupEligible: record.Flags.BackupEligible, BackedUp: record.Flags.BackupState,
		// Without a list of trusted makers no attestation proves a model: none is claimed.
		Attested: false, CreatedAt: now,
	}
	raw, err := json.Marshal(record)
	if err != nil {
		return out, err
	}
	key, err := s.cfg.Keys.DataKey(ctx, recordOwner)
	if err != nil {
		return out, err
	}
	sealed := envelope.Seal(key, raw, envelope.Place("enrolment_credential", "record", string(out.ID)))
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "enrolment.passkey.registered", Subject: person, Actor: string(person), Object: string(out.ID), Outcome: "registered",
		Payload: map[string]any{"label": out.Label, "backup_eligible": out.BackupEligible, "format": record.AttestationFormat},
	})
	if err != nil {
		return out, err
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`INSERT INTO enrolment_credential (id, person, rp_id, credential_id, record, label, state, backup_eligible, backed_up, attested, sign_count, created_at, changed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)`,
			string(out.ID), string(person), s.rp, record.ID, sealed, out.Label, string(row.To), flag(out.BackupEligible), flag(out.BackedUp), flag(out.Attested),
			int64(record.Authenticator.SignCount), db.Micros(now)); err != nil {
			return err
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
	if db.IsUnique(err, "enrolment_credential_unique") {
		return Credential{}, ErrExists
	}
	if err != nil {
		return Credential{}, err
	}
	return out, nil
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// cleanLabel keeps what a person calls a passkey within its column.
func cleanLabel(label string) string {
	label = strings.Join(strings.Fields(strings.ToValidUTF8(label, "")), " ")
	if label == "" {
		return "Mi llave"
	}
	for utf8.RuneCountInString(label) > 60 {
		_, size := utf8.DecodeLastRuneInString(label)
		label = label[:len(label)-size]
	}
	return label
}

// refused maps a library error to ErrRefused with the kind of fault only: its
// details may hold the expected challenge.
func refused(err error) error {
	kind := "malformed"
	if e, ok := err.(*protocol.Error); ok {
		kind = e.Type
	}
	return fmt.Errorf("%w: %s", ErrRefused, kind)
}
