package assertion

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
)

// Bounds of a verification, in bytes.
const (
	// MinChallenge is the shortest challenge (WebAuthn L3 §13.4.3).
	MinChallenge = 16
	maxChallenge = 1024
	// MaxSignature bounds a signature: RS256 with 4096 bits.
	MaxSignature = 512
)

// Response is what the authenticator and the browser returned, byte for byte
// (AuthenticatorAssertionResponse, WebAuthn L3 §5.2.2).
type Response struct {
	AuthenticatorData []byte
	ClientDataJSON    []byte
	Signature         []byte
}

// Expected is what the caller knows before it looks at the response. Every
// field but RequireUV is mandatory.
type Expected struct {
	// RPID is the relying party id, a domain.
	RPID string
	// Origins lists the allowed origins; the comparison is exact.
	Origins []string
	// Challenge is the raw challenge, at least [MinChallenge] bytes.
	Challenge []byte
	// PublicKey is the COSE_Key of the credential, from a source that the caller trusts.
	PublicKey []byte
	// RequireUV asks for user verification. Every signing or approving use MUST set it.
	RequireUV bool
}

// Verified is the proof that [Verify] accepted an assertion. Only Verify makes
// one for which OK is true, so that a function may demand it as a token.
type Verified struct {
	ok        bool
	flags     Flags
	counter   uint32
	keyID     KeyID
	alg       Algorithm
	origin    string
	challenge string
}

// OK reports whether v comes from a successful [Verify]; the zero value does not.
func (v Verified) OK() bool { return v.ok }

// Counter returns the signature counter; see [CheckCounter].
func (v Verified) Counter() uint32 { return v.counter }

// Flags returns the flags of this ceremony.
func (v Verified) Flags() Flags { return v.flags }

// UV reports whether the user was verified in this ceremony.
func (v Verified) UV() bool { return v.flags.Has(FlagUV) }

// BE reports whether the credential may be synchronised to other devices.
func (v Verified) BE() bool { return v.flags.Has(FlagBE) }

// BS reports whether the credential is backed up at present.
func (v Verified) BS() bool { return v.flags.Has(FlagBS) }

// KeyID returns the name of the key that signed.
func (v Verified) KeyID() KeyID { return v.keyID }

// Algorithm returns the algorithm of the key that signed.
func (v Verified) Algorithm() Algorithm { return v.alg }

// Origin returns the origin at which the ceremony took place, one of those allowed.
func (v Verified) Origin() string { return v.origin }

// IsFor reports whether the assertion answers exactly this challenge.
func (v Verified) IsFor(challenge []byte) bool {
	return v.ok && v.challenge == string(challenge)
}

// Verify checks a raw assertion against what the caller expects: steps 10 to
// 21 of WebAuthn L3 §7.2 (client data, relying party, flags, signature), with
// stricter parsing. The signature counter and single use of the challenge
// remain with the caller. It returns one of this package's errors.
func Verify(r Response, e Expected) (Verified, error) {
	if err := e.check(); err != nil {
		return Verified{}, err
	}
	if len(r.Signature) > MaxSignature {
		return Verified{}, fmt.Errorf("%w: signature of %d bytes", ErrSize, len(r.Signature))
	}
	key, err := ParseKey(e.PublicKey)
	if err != nil {
		return Verified{}, err
	}
	origin, err := checkClientData(r.ClientDataJSON, e)
	if err != nil {
		return Verified{}, err
	}
	auth, err := checkAuthData(r.AuthenticatorData, e)
	if err != nil {
		return Verified{}, err
	}
	hash := sha256.Sum256(r.ClientDataJSON)
	if err := key.verify(slices.Concat(r.AuthenticatorData, hash[:]), r.Signature); err != nil {
		return Verified{}, err
	}
	return Verified{
		ok:        true,
		flags:     auth.Flags,
		counter:   auth.Counter,
		keyID:     key.ID(),
		alg:       key.Algorithm(),
		origin:    origin,
		challenge: string(e.Challenge),
	}, nil
}

func (e Expected) check() error {
	switch {
	case e.RPID == "":
		return fmt.Errorf("%w: relying party id", ErrExpected)
	case len(e.Origins) == 0 || slices.Contains(e.Origins, ""):
		return fmt.Errorf("%w: origins", ErrExpected)
	case len(e.Challenge) < MinChallenge || len(e.Challenge) > maxChallenge:
		return fmt.Errorf("%w: challenge of %d bytes", ErrExpected, len(e.Challenge))
	case len(e.PublicKey) == 0:
		return fmt.Errorf("%w: public key", ErrExpected)
	}
	return nil
}

func checkClientData(raw []byte, e Expected) (origin string, err error) {
	cd, err := ParseClientData(raw)
	if err != nil {
		return "", err
	}
	if cd.Type != TypeGet {
		return "", ErrType
	}
	// The comparison of encodings also refuses padding, line breaks and
	// non-zero trailing bits, which a decoder might let pass.
	want := base64.RawURLEncoding.EncodeToString(e.Challenge)
	if subtle.ConstantTimeCompare([]byte(cd.Challenge), []byte(want)) != 1 {
		return "", ErrChallenge
	}
	if !slices.Contains(e.Origins, cd.Origin) {
		return "", ErrOrigin
	}
	if cd.CrossOrigin || cd.HasTop {
		return "", ErrCrossOrigin
	}
	return cd.Origin, nil
}

func checkAuthData(raw []byte, e Expected) (*AuthData, error) {
	auth, err := ParseAuthData(raw)
	if err != nil {
		return nil, err
	}
	if auth.RPIDHash != sha256.Sum256([]byte(e.RPID)) {
		return nil, ErrRPID
	}
	if auth.Flags.Has(FlagAT) { // WebAuthn L3 §6.3.3: assertions exclude attested credential data
		return nil, fmt.Errorf("%w: AT in an assertion", ErrFlags)
	}
	if !auth.Flags.Has(FlagUP) {
		return nil, ErrUserPresence
	}
	if e.RequireUV && !auth.Flags.Has(FlagUV) {
		return nil, ErrUserVerification
	}
	return auth, nil
}

// CheckCounter applies WebAuthn L3 §7.2 step 22 with refusal: unless both are
// zero, the counter received must be greater than the one stored. It returns
// [ErrCounter], on which the caller suspends the credential.
func CheckCounter(stored, received uint32) error {
	if (stored != 0 || received != 0) && received <= stored {
		return fmt.Errorf("%w: stored %d, received %d", ErrCounter, stored, received)
	}
	return nil
}
