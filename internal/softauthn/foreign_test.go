package softauthn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/softauthn"
)

const (
	rpID   = "id.example.org"
	origin = "https://id.example.org"
)

// account is a user of the foreign relying party.
type account struct {
	handle      []byte
	credentials []webauthn.Credential
}

func (a *account) WebAuthnID() []byte                         { return a.handle }
func (a *account) WebAuthnName() string                       { return "maria" }
func (a *account) WebAuthnDisplayName() string                { return "María" }
func (a *account) WebAuthnCredentials() []webauthn.Credential { return a.credentials }

func relyingParty(t *testing.T) *webauthn.WebAuthn {
	t.Helper()
	w, err := webauthn.New(&webauthn.Config{RPID: rpID, RPDisplayName: "Suti", RPOrigins: []string{origin}})
	if err != nil {
		t.Fatalf("relying party: %v", err)
	}
	return w
}

func register(w *webauthn.WebAuthn, u *account, a *softauthn.Authenticator, opts ...webauthn.RegistrationOption) error {
	options, session, err := w.BeginRegistration(u, opts...)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	raw, err := json.Marshal(options)
	if err != nil {
		return err
	}
	answer, err := a.Create(origin, raw)
	if err != nil {
		return err
	}
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	c, err := w.CreateCredential(u, *session, parsed)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	u.credentials = append(u.credentials, *c)
	return nil
}

func login(w *webauthn.WebAuthn, u *account, a *softauthn.Authenticator) (*webauthn.Credential, error) {
	options, session, err := w.BeginLogin(u, webauthn.WithUserVerification(protocol.VerificationRequired))
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	raw, err := json.Marshal(options)
	if err != nil {
		return nil, err
	}
	answer, err := a.Get(origin, raw)
	if err != nil {
		return nil, err
	}
	if err := verifyOwn(answer, session.Challenge, u); err != nil {
		return nil, fmt.Errorf("own verifier: %w", err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return w.ValidateLogin(u, *session, parsed)
}

// verifyOwn checks the same answer with internal/assertion, under the key that
// the foreign relying party stored.
func verifyOwn(answer []byte, challenge string, u *account) error {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return err
	}
	raw, err := decodeB64(challenge)
	if err != nil {
		return err
	}
	var key []byte
	for _, c := range u.credentials {
		if string(c.ID) == string(parsed.RawID) {
			key = c.PublicKey
		}
	}
	_, err = assertion.Verify(assertion.Response{
		AuthenticatorData: parsed.Raw.AssertionResponse.AuthenticatorData,
		ClientDataJSON:    parsed.Raw.AssertionResponse.ClientDataJSON,
		Signature:         parsed.Raw.AssertionResponse.Signature,
	}, assertion.Expected{RPID: rpID, Origins: []string{origin}, Challenge: raw, PublicKey: key, RequireUV: true})
	return err
}

func TestForeignServerAcceptsEveryES256Registration(t *testing.T) {
	t.Parallel()
	n := 3200
	if testing.Short() {
		n = 600
	}
	w := relyingParty(t)
	a := softauthn.New(softauthn.Config{Algs: []softauthn.Alg{softauthn.ES256}})
	padded := 0
	for i := range n {
		if i%2 == 1 {
			a.Behave(func(b *softauthn.Behaviour) { b.Attestation = "packed" })
		} else {
			a.Behave(func(b *softauthn.Behaviour) { b.Attestation = "none" })
		}
		u := &account{handle: fmt.Appendf(nil, "user-%d", i)}
		if err := register(w, u, a); err != nil {
			t.Fatalf("registration %d: %v", i, err)
		}
		cose := u.credentials[0].PublicKey
		if cose[10] == 0 || cose[10+32+3] == 0 {
			padded++
		}
		// One authenticator per hundred people keeps the search for a passkey short.
		if i%100 == 99 {
			a = softauthn.New(softauthn.Config{Algs: []softauthn.Alg{softauthn.ES256}})
		}
		if i%10 == 0 {
			if _, err := login(w, u, a); err != nil {
				t.Fatalf("login %d: %v", i, err)
			}
		}
	}
	// The chance of a coordinate with a leading zero byte is 2/256 a key.
	if !testing.Short() && padded == 0 {
		t.Errorf("no key of %d has a coordinate with a leading zero byte", n)
	}
}

func TestForeignServerAcceptsEdDSAAndCounters(t *testing.T) {
	t.Parallel()
	w := relyingParty(t)
	for _, alg := range []softauthn.Alg{softauthn.ES256, softauthn.EdDSA} {
		a := softauthn.New(softauthn.Config{Algs: []softauthn.Alg{alg}, AAGUID: [16]byte{1, 2, 3}})
		a.Behave(func(b *softauthn.Behaviour) { b.Attestation = "packed"; b.BE, b.BS = true, true })
		u := &account{handle: []byte("u1")}
		if err := register(w, u, a, webauthn.WithCredentialParameters(webauthn.CredentialParametersRecommendedL3())); err != nil {
			t.Fatalf("%d: %v", alg, err)
		}
		c := u.credentials[0]
		if !c.Flags.BackupEligible || !c.Flags.BackupState || !c.Flags.UserVerified {
			t.Errorf("%d: got flags %+v", alg, c.Flags)
		}
		if string(c.Authenticator.AAGUID[:3]) != "\x01\x02\x03" {
			t.Errorf("%d: got AAGUID %x", alg, c.Authenticator.AAGUID)
		}
		for want := uint32(1); want <= 3; want++ {
			got, err := login(w, u, a)
			if err != nil {
				t.Fatalf("%d: login: %v", alg, err)
			}
			if got.Authenticator.SignCount != want || got.Authenticator.CloneWarning {
				t.Errorf("%d: got counter %d, clone %v; want %d", alg, got.Authenticator.SignCount, got.Authenticator.CloneWarning, want)
			}
			u.credentials[0] = *got
		}
		if err := a.SetCounter(c.ID, 0); err != nil {
			t.Fatal(err)
		}
		got, err := login(w, u, a)
		if err != nil {
			t.Fatalf("%d: login after rollback: %v", alg, err)
		}
		if !got.Authenticator.CloneWarning {
			t.Errorf("%d: the foreign server saw no counter rollback", alg)
		}
	}
}

func TestDiscoverableLoginNamesTheUser(t *testing.T) {
	t.Parallel()
	w := relyingParty(t)
	a := softauthn.New(softauthn.Config{})
	u := &account{handle: []byte("handle-of-maria")}
	if err := register(w, u, a); err != nil {
		t.Fatal(err)
	}
	options, session, err := w.BeginDiscoverableLogin()
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(options)
	answer, err := a.Get(origin, raw)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	_, err = w.ValidateDiscoverableLogin(func(_, handle []byte) (webauthn.User, error) {
		got = string(handle)
		return u, nil
	}, *session, parsed)
	if err != nil || got != "handle-of-maria" {
		t.Errorf("got handle %q, %v", got, err)
	}
}

func TestRefusalsAreThoseOfABrowser(t *testing.T) {
	t.Parallel()
	w := relyingParty(t)
	a := softauthn.New(softauthn.Config{})
	u := &account{handle: []byte("u")}
	if err := register(w, u, a); err != nil {
		t.Fatal(err)
	}
	exclude := webauthn.WithExclusions([]protocol.CredentialDescriptor{u.credentials[0].Descriptor()})
	if err := register(w, u, a, exclude); !errors.Is(err, softauthn.ErrInvalidState) {
		t.Errorf("excluded credential: got %v, want ErrInvalidState", err)
	}
	if _, err := a.Get("https://other.example.net", []byte(`{"challenge":"AAAA","rpId":"id.example.org"}`)); !errors.Is(err, softauthn.ErrSecurity) {
		t.Errorf("foreign origin: got %v, want ErrSecurity", err)
	}
	if _, err := a.Get("https://evil-id.example.org", []byte(`{"challenge":"AAAA","rpId":"id.example.org"}`)); !errors.Is(err, softauthn.ErrSecurity) {
		t.Errorf("sibling origin: got %v, want ErrSecurity", err)
	}
	if _, err := a.Get("https://example.org", []byte(`{"challenge":"AAAA"}`)); !errors.Is(err, softauthn.ErrNotAllowed) {
		t.Errorf("no passkey for the site: got %v, want ErrNotAllowed", err)
	}
	if _, err := a.Get(origin, []byte(`{"challenge":7}`)); !errors.Is(err, softauthn.ErrOptions) {
		t.Errorf("malformed options: got %v, want ErrOptions", err)
	}
	if _, err := a.Create(origin, []byte(`{"rp":{},"user":{"id":"AA"},"challenge":"AAAA","pubKeyCredParams":[{"type":"public-key","alg":-257}]}`)); !errors.Is(err, softauthn.ErrNotSupported) {
		t.Errorf("RS256 only: got %v, want ErrNotSupported", err)
	}
	a.Behave(func(b *softauthn.Behaviour) { b.UV = false })
	if _, err := login(w, u, a); !errors.Is(err, softauthn.ErrNotAllowed) {
		t.Errorf("no verification: got %v, want ErrNotAllowed", err)
	}
}

func TestForeignServerRefusesWhatWeMakeBadly(t *testing.T) {
	t.Parallel()
	w := relyingParty(t)
	for name, change := range map[string]func(*softauthn.Behaviour){
		"backed up but not eligible": func(b *softauthn.Behaviour) { b.BS = true },
		"eligibility flips":          func(b *softauthn.Behaviour) { b.BE, b.OverrideBE = true, true },
		"cross-origin frame":         func(b *softauthn.Behaviour) { b.CrossOrigin = true },
	} {
		a := softauthn.New(softauthn.Config{})
		u := &account{handle: []byte("u")}
		if err := register(w, u, a); err != nil {
			t.Fatal(err)
		}
		a.Behave(change)
		if _, err := login(w, u, a); err == nil || strings.Contains(err.Error(), "softauthn") {
			t.Errorf("%s: got %v, want a refusal by the server", name, err)
		}
	}
}
