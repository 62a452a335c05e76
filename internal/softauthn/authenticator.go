package softauthn

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Errors, named after the DOMException that a browser would throw
// (WebAuthn L3 §5.1.3, §5.1.4).
var (
	// ErrNotAllowed: no matching credential, or the user did not consent (Behaviour.UP is false where it is asked).
	ErrNotAllowed = errors.New("softauthn: NotAllowedError")
	// ErrInvalidState: a credential of the exclude list is on this authenticator.
	ErrInvalidState = errors.New("softauthn: InvalidStateError")
	// ErrNotSupported: none of the algorithms asked for is available.
	ErrNotSupported = errors.New("softauthn: NotSupportedError")
	// ErrSecurity: the relying party id is neither the origin's host nor a parent domain of it.
	ErrSecurity = errors.New("softauthn: SecurityError")
	// ErrOptions: the options are not the JSON of WebAuthn L3 §5.1.8 or §5.1.9.
	ErrOptions = errors.New("softauthn: malformed options")
	// ErrFile: a passkey file that cannot be used.
	ErrFile = errors.New("softauthn: malformed passkey file")
)

// Behaviour is what the authenticator reports; tests change it between calls.
type Behaviour struct {
	UP bool // user present
	UV bool // user verified
	BE bool // backup eligible, taken by new credentials
	BS bool // backed up
	// OverrideBE makes assertions report BE as given above instead of the credential's own.
	OverrideBE bool
	// CounterStep is added to a credential's counter before each assertion.
	// Zero keeps counters at zero, as synchronised passkeys do.
	CounterStep uint32
	// Attestation is "none" or "packed" (self attestation).
	Attestation string
	// CrossOrigin is reported in the client data when true.
	CrossOrigin bool
	// Transports are reported at registration; nil means ["internal"].
	Transports []string
}

// Config configures an Authenticator. The zero value makes ES256 keys with
// user presence and verification, not backup eligible, attestation none.
type Config struct {
	// Rand is the source of keys, credential ids and nothing else. Nil means crypto/rand.
	Rand io.Reader
	// AAGUID names the model; all zero by default.
	AAGUID [16]byte
	// Algs are the algorithms on offer, most liked first. Nil means ES256, then EdDSA.
	Algs []Alg
	// Behaviour replaces the default behaviour if not nil.
	Behaviour *Behaviour
}

// Credential is the public face of one passkey.
type Credential struct {
	ID          []byte
	RPID        string
	UserHandle  []byte
	UserName    string
	DisplayName string
	Alg         Alg
	Counter     uint32
	BE          bool
	COSE        []byte // COSE_Key, CTAP2 canonical
}

type credential struct {
	Credential
	key *privateKey
}

// Authenticator holds passkeys of any number of relying parties. It is safe
// for concurrent use.
type Authenticator struct {
	mu          sync.Mutex // guards all fields below
	rand        io.Reader
	aaguid      [16]byte
	algs        []Alg
	behaviour   Behaviour
	credentials []*credential
}

// New returns an empty authenticator.
func New(c Config) *Authenticator {
	a := &Authenticator{rand: c.Rand, aaguid: c.AAGUID, algs: slices.Clone(c.Algs)}
	if a.rand == nil {
		a.rand = rand.Reader
	}
	if len(a.algs) == 0 {
		a.algs = []Alg{ES256, EdDSA}
	}
	a.behaviour = Behaviour{UP: true, UV: true, Attestation: "none", CounterStep: 1}
	if c.Behaviour != nil {
		a.behaviour = *c.Behaviour
	}
	return a
}

// Behave changes the behaviour of later ceremonies.
func (a *Authenticator) Behave(change func(*Behaviour)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.behaviour)
}

// SetCounter sets a credential's counter, also backwards; the next assertion adds the step to it.
func (a *Authenticator) SetCounter(credentialID []byte, n uint32) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.byID(credentialID)
	if c == nil {
		return fmt.Errorf("%w: no such credential", ErrNotAllowed)
	}
	c.Counter = n
	return nil
}

// Remove forgets a credential, as a user would in the settings of a phone.
func (a *Authenticator) Remove(credentialID []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.credentials = slices.DeleteFunc(a.credentials, func(c *credential) bool {
		return bytes.Equal(c.ID, credentialID)
	})
}

// Credentials lists the passkeys in order of creation.
func (a *Authenticator) Credentials() []Credential {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Credential, 0, len(a.credentials))
	for _, c := range a.credentials {
		out = append(out, c.Credential)
	}
	return out
}

func (a *Authenticator) byID(id []byte) *credential {
	for _, c := range a.credentials {
		if bytes.Equal(c.ID, id) {
			return c
		}
	}
	return nil
}

// NewCredential makes a passkey without a ceremony, for tests that need only a
// key and its assertions.
func (a *Authenticator) NewCredential(rpID string, userHandle []byte) (Credential, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, err := a.create(rpID, a.algs[0], user{ID: userHandle})
	if err != nil {
		return Credential{}, err
	}
	return c.Credential, nil
}

type user struct {
	ID                []byte
	Name, DisplayName string
}

// create adds a credential. The caller holds mu.
func (a *Authenticator) create(rpID string, alg Alg, u user) (*credential, error) {
	id := make([]byte, 32)
	if _, err := io.ReadFull(a.rand, id); err != nil {
		return nil, fmt.Errorf("draw credential id: %w", err)
	}
	key, err := newKey(alg, a.rand)
	if err != nil {
		return nil, err
	}
	cose, err := key.cose()
	if err != nil {
		return nil, err
	}
	c := &credential{key: key, Credential: Credential{
		ID: id, RPID: rpID, UserHandle: bytes.Clone(u.ID), UserName: u.Name, DisplayName: u.DisplayName,
		Alg: alg, BE: a.behaviour.BE, COSE: cose,
	}}
	a.credentials = append(a.credentials, c)
	return c, nil
}

// Flags of authenticator data (WebAuthn L3 §6.1).
const (
	flagUP = 1 << 0
	flagUV = 1 << 2
	flagBE = 1 << 3
	flagBS = 1 << 4
	flagAT = 1 << 6
)

func (b Behaviour) flags(be bool) byte {
	var f byte
	for _, bit := range []struct {
		on   bool
		flag byte
	}{{b.UP, flagUP}, {b.UV, flagUV}, {be, flagBE}, {b.BS, flagBS}} {
		if bit.on {
			f |= bit.flag
		}
	}
	return f
}

// authData builds authenticator data; attested is nil in assertions.
func authData(rpID string, flags byte, counter uint32, attested []byte) []byte {
	hash := sha256.Sum256([]byte(rpID))
	out := slices.Clone(hash[:])
	if attested != nil {
		flags |= flagAT
	}
	out = append(out, flags)
	out = binary.BigEndian.AppendUint32(out, counter)
	return append(out, attested...)
}

// attestedData builds attested credential data (WebAuthn L3 §6.5.1).
func (a *Authenticator) attestedData(c *credential) []byte {
	out := slices.Clone(a.aaguid[:])
	out = binary.BigEndian.AppendUint16(out, uint16(len(c.ID)))
	out = append(out, c.ID...)
	return append(out, c.COSE...)
}

// attestationObject builds an attestation object of format none or packed-self.
func (a *Authenticator) attestationObject(c *credential, auth, clientHash []byte) ([]byte, error) {
	out := appendText(appendHead(nil, 5, 3), "fmt")
	switch a.behaviour.Attestation {
	case "", "none":
		out = appendText(out, "none")
		out = appendHead(appendText(out, "attStmt"), 5, 0)
	case "packed":
		sig, err := c.key.sign(slices.Concat(auth, clientHash))
		if err != nil {
			return nil, fmt.Errorf("self attestation: %w", err)
		}
		out = appendText(out, "packed")
		out = appendHead(appendText(out, "attStmt"), 5, 2)
		out = appendHead(appendText(out, "alg"), 1, int(-1-c.Alg))
		out = appendBytes(appendText(out, "sig"), sig)
	default:
		return nil, fmt.Errorf("%w: attestation format %q", ErrNotSupported, a.behaviour.Attestation)
	}
	return appendBytes(appendText(out, "authData"), auth), nil
}
