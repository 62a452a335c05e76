package assertion

import "fmt"

// MaxAttestationObject bounds an attestation object with its certificates, in bytes.
const MaxAttestationObject = 32 << 10

// Attestation is a parsed attestation object (WebAuthn L3 §6.5.4). The
// attestation statement is not judged: format "packed" says nothing about the
// authenticator until someone verified it in the registration ceremony.
type Attestation struct {
	Format   string
	AuthData *AuthData // Attested is never nil
}

// ParseAttestationObject parses an attestation object in CTAP2 canonical CBOR
// and the authenticator data in it, so that evidence of a registration yields
// the public key. Errors: as [ParseAuthData].
func ParseAttestationObject(raw []byte) (*Attestation, error) {
	if len(raw) > MaxAttestationObject {
		return nil, fmt.Errorf("%w: attestation object of %d bytes", ErrSize, len(raw))
	}
	c := &cursor{b: raw}
	if n, err := c.mapHeader(); err != nil || n != 3 {
		return nil, formatErr("attestation object is not a map of three")
	}
	out := &Attestation{}
	var err error
	if err = textKey(c, "fmt"); err != nil {
		return nil, err
	}
	if out.Format, err = c.text(); err != nil {
		return nil, err
	}
	if err = textKey(c, "attStmt"); err != nil {
		return nil, err
	}
	if len(c.b) == 0 || c.b[0]>>5 != majorMap {
		return nil, formatErr("attestation statement is not a map")
	}
	if err = c.skip(1); err != nil {
		return nil, err
	}
	if err = textKey(c, "authData"); err != nil {
		return nil, err
	}
	auth, err := c.bytes()
	if err != nil {
		return nil, err
	}
	if len(c.b) != 0 {
		return nil, formatErr("bytes after the attestation object")
	}
	if out.AuthData, err = ParseAuthData(auth); err != nil {
		return nil, err
	}
	if out.AuthData.Attested == nil {
		return nil, fmt.Errorf("%w: registration without attested credential data", ErrFlags)
	}
	return out, nil
}

func textKey(c *cursor, want string) error {
	if got, err := c.text(); err != nil || got != want {
		return formatErr("member %q missing or out of order", want)
	}
	return nil
}
