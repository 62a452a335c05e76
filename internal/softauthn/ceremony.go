package softauthn

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// b64 is a byte string that travels as base64url without padding.
type b64 []byte

func (b b64) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

func (b *b64) UnmarshalText(t []byte) error {
	v, err := base64.RawURLEncoding.AppendDecode(nil, bytes.TrimRight(t, "="))
	*b = v
	return err
}

type descriptor struct {
	ID   b64    `json:"id"`
	Type string `json:"type"`
}

// creationOptions is the part of PublicKeyCredentialCreationOptionsJSON that matters here.
type creationOptions struct {
	RP struct {
		ID string `json:"id"`
	} `json:"rp"`
	User struct {
		ID          b64    `json:"id"`
		Name        string `json:"name"`
		DisplayName string `json:"displayName"`
	} `json:"user"`
	Challenge b64 `json:"challenge"`
	Params    []struct {
		Type string `json:"type"`
		Alg  Alg    `json:"alg"`
	} `json:"pubKeyCredParams"`
	Exclude   []descriptor `json:"excludeCredentials"`
	Selection struct {
		ResidentKey      string `json:"residentKey"`
		UserVerification string `json:"userVerification"`
	} `json:"authenticatorSelection"`
	Extensions struct {
		CredProps bool `json:"credProps"`
	} `json:"extensions"`
}

// requestOptions is the part of PublicKeyCredentialRequestOptionsJSON that matters here.
type requestOptions struct {
	Challenge        b64          `json:"challenge"`
	RPID             string       `json:"rpId"`
	Allow            []descriptor `json:"allowCredentials"`
	UserVerification string       `json:"userVerification"`
}

type registrationJSON struct {
	ID         string           `json:"id"`
	RawID      b64              `json:"rawId"`
	Type       string           `json:"type"`
	Attachment string           `json:"authenticatorAttachment"`
	Extensions map[string]any   `json:"clientExtensionResults"`
	Response   registrationBody `json:"response"`
}

type registrationBody struct {
	ClientDataJSON     b64      `json:"clientDataJSON"`
	AttestationObject  b64      `json:"attestationObject"`
	AuthenticatorData  b64      `json:"authenticatorData"`
	Transports         []string `json:"transports"`
	PublicKey          b64      `json:"publicKey"`
	PublicKeyAlgorithm Alg      `json:"publicKeyAlgorithm"`
}

type authenticationJSON struct {
	ID         string             `json:"id"`
	RawID      b64                `json:"rawId"`
	Type       string             `json:"type"`
	Attachment string             `json:"authenticatorAttachment"`
	Extensions map[string]any     `json:"clientExtensionResults"`
	Response   authenticationBody `json:"response"`
}

type authenticationBody struct {
	ClientDataJSON    b64 `json:"clientDataJSON"`
	AuthenticatorData b64 `json:"authenticatorData"`
	Signature         b64 `json:"signature"`
	UserHandle        b64 `json:"userHandle,omitempty"`
}

// decodeOptions accepts the options themselves or an object with a publicKey member.
func decodeOptions(raw []byte, to any) error {
	var outer struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	if err := json.Unmarshal(raw, &outer); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if outer.PublicKey != nil {
		raw = outer.PublicKey
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

// relyingParty returns the effective relying party id for an origin.
func relyingParty(origin, rpID string) (string, error) {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" {
		return "", fmt.Errorf("%w: origin", ErrSecurity)
	}
	host := u.Hostname()
	switch {
	case rpID == "":
		return host, nil
	case rpID == host || strings.HasSuffix(host, "."+rpID):
		return rpID, nil
	}
	return "", fmt.Errorf("%w: %q at host %q", ErrSecurity, rpID, host)
}

// clientData builds client data JSON as WebAuthn L3 §5.8.1.1 serialises it.
func clientData(kind, origin string, challenge []byte, cross bool) []byte {
	quote := func(s string) string {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(s) // a string always encodes
		return strings.TrimSuffix(b.String(), "\n")
	}
	return fmt.Appendf(nil, `{"type":%s,"challenge":%s,"origin":%s,"crossOrigin":%t}`,
		quote(kind), quote(base64.RawURLEncoding.EncodeToString(challenge)), quote(origin), cross)
}

// Create answers navigator.credentials.create() at the given origin
// (for instance "https://id.example.org"). Passkeys are always discoverable.
func (a *Authenticator) Create(origin string, optionsJSON []byte) ([]byte, error) {
	var o creationOptions
	if err := decodeOptions(optionsJSON, &o); err != nil {
		return nil, err
	}
	rpID, err := relyingParty(origin, o.RP.ID)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range o.Exclude {
		if c := a.byID(d.ID); c != nil && c.RPID == rpID {
			return nil, ErrInvalidState
		}
	}
	alg, err := a.choose(o)
	if err != nil {
		return nil, err
	}
	if err := a.consent(o.Selection.UserVerification); err != nil {
		return nil, err
	}
	c, err := a.create(rpID, alg, user{o.User.ID, o.User.Name, o.User.DisplayName})
	if err != nil {
		return nil, err
	}
	return a.registration(c, origin, o)
}

// choose returns the first acceptable algorithm in the server's order
// (WebAuthn L3 §6.3.2 step 2); an empty list means ES256 and RS256.
func (a *Authenticator) choose(o creationOptions) (Alg, error) {
	if len(o.Params) == 0 && slices.Contains(a.algs, ES256) {
		return ES256, nil
	}
	for _, p := range o.Params {
		if p.Type == "public-key" && slices.Contains(a.algs, p.Alg) {
			return p.Alg, nil
		}
	}
	return 0, ErrNotSupported
}

// consent refuses a ceremony that the user did not take part in as asked.
func (a *Authenticator) consent(userVerification string) error {
	if !a.behaviour.UP || (userVerification == "required" && !a.behaviour.UV) {
		return ErrNotAllowed
	}
	return nil
}

func (a *Authenticator) registration(c *credential, origin string, o creationOptions) ([]byte, error) {
	client := clientData("webauthn.create", origin, o.Challenge, a.behaviour.CrossOrigin)
	hash := sha256.Sum256(client)
	auth := authData(c.RPID, a.behaviour.flags(c.BE), c.Counter, a.attestedData(c))
	object, err := a.attestationObject(c, auth, hash[:])
	if err != nil {
		return nil, err
	}
	spki, err := c.key.spki()
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	extensions := map[string]any{}
	if o.Extensions.CredProps {
		extensions["credProps"] = map[string]any{"rk": true}
	}
	transports := a.behaviour.Transports
	if transports == nil {
		transports = []string{"internal"}
	}
	return json.Marshal(registrationJSON{
		ID: base64.RawURLEncoding.EncodeToString(c.ID), RawID: c.ID, Type: "public-key",
		Attachment: "platform", Extensions: extensions,
		Response: registrationBody{
			ClientDataJSON: client, AttestationObject: object, AuthenticatorData: auth,
			Transports: transports, PublicKey: spki, PublicKeyAlgorithm: c.Alg,
		},
	})
}

// Get answers navigator.credentials.get() at the given origin. With an empty
// allow list it uses the newest passkey of the relying party.
func (a *Authenticator) Get(origin string, optionsJSON []byte) ([]byte, error) {
	var o requestOptions
	if err := decodeOptions(optionsJSON, &o); err != nil {
		return nil, err
	}
	rpID, err := relyingParty(origin, o.RPID)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.find(rpID, o.Allow)
	if c == nil {
		return nil, fmt.Errorf("%w: no passkey for this site", ErrNotAllowed)
	}
	if err := a.consent(o.UserVerification); err != nil {
		return nil, err
	}
	r, err := a.assert(c, rpID, origin, o.Challenge)
	if err != nil {
		return nil, err
	}
	return json.Marshal(authenticationJSON{
		ID: base64.RawURLEncoding.EncodeToString(c.ID), RawID: c.ID, Type: "public-key",
		Attachment: "platform", Extensions: map[string]any{},
		Response: authenticationBody{
			ClientDataJSON: r.ClientDataJSON, AuthenticatorData: r.AuthenticatorData,
			Signature: r.Signature, UserHandle: r.UserHandle,
		},
	})
}

func (a *Authenticator) find(rpID string, allow []descriptor) *credential {
	for _, c := range slices.Backward(a.credentials) {
		if c.RPID != rpID {
			continue
		}
		if len(allow) == 0 || slices.ContainsFunc(allow, func(d descriptor) bool { return bytes.Equal(d.ID, c.ID) }) {
			return c
		}
	}
	return nil
}

// Raw is an assertion as bytes, the input of internal/assertion.
type Raw struct {
	CredentialID      []byte
	AuthenticatorData []byte
	ClientDataJSON    []byte
	Signature         []byte
	UserHandle        []byte
}

// Assert signs a challenge with one credential, without any of the checks a
// browser makes: rpID and origin may be foreign, the user absent.
func (a *Authenticator) Assert(credentialID []byte, rpID, origin string, challenge []byte) (Raw, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.byID(credentialID)
	if c == nil {
		return Raw{}, fmt.Errorf("%w: no such credential", ErrNotAllowed)
	}
	return a.assert(c, rpID, origin, challenge)
}

// assert makes one assertion and counts it. The caller holds mu.
func (a *Authenticator) assert(c *credential, rpID, origin string, challenge []byte) (Raw, error) {
	c.Counter += a.behaviour.CounterStep
	be := c.BE
	if a.behaviour.OverrideBE {
		be = a.behaviour.BE
	}
	auth := authData(rpID, a.behaviour.flags(be), c.Counter, nil)
	client := clientData("webauthn.get", origin, challenge, a.behaviour.CrossOrigin)
	hash := sha256.Sum256(client)
	sig, err := c.key.sign(slices.Concat(auth, hash[:]))
	if err != nil {
		return Raw{}, fmt.Errorf("sign assertion: %w", err)
	}
	return Raw{
		CredentialID: bytes.Clone(c.ID), AuthenticatorData: auth, ClientDataJSON: client,
		Signature: sig, UserHandle: bytes.Clone(c.UserHandle),
	}, nil
}
