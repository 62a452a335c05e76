package assertion

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Flags is the flags byte of authenticator data (WebAuthn L3 §6.1).
type Flags byte

// The flags that WebAuthn L3 defines; the other two bits are reserved and ignored.
const (
	FlagUP Flags = 1 << 0 // user present
	FlagUV Flags = 1 << 2 // user verified
	FlagBE Flags = 1 << 3 // backup eligible
	FlagBS Flags = 1 << 4 // backed up
	FlagAT Flags = 1 << 6 // attested credential data included
	FlagED Flags = 1 << 7 // extension data included
)

// Has reports whether all flags of f are set.
func (g Flags) Has(f Flags) bool { return g&f == f }

// Bounds on inputs, in bytes.
const (
	// MaxAuthData bounds authenticator data: a long credential id, an RSA key and extensions.
	MaxAuthData = 4096
	// MaxCredentialID is the longest credential id (WebAuthn L3 §4).
	MaxCredentialID = 1023
	// minCredentialID is the shortest credential id that can hold 100 bits of entropy (WebAuthn L3 §4).
	minCredentialID = 16

	authDataHead = sha256.Size + 1 + 4
)

// AuthData is parsed authenticator data (WebAuthn L3 §6.1).
type AuthData struct {
	// RPIDHash is the SHA-256 of the relying party id.
	RPIDHash [sha256.Size]byte
	// Flags is the flags byte, reserved bits included.
	Flags Flags
	// Counter is the signature counter; zero where the authenticator keeps none.
	Counter uint32
	// Attested is nil unless the AT flag is set.
	Attested *Attested
	// Extensions is the raw CBOR map of extension outputs, nil unless the ED flag is set.
	Extensions []byte
}

// Attested is attested credential data (WebAuthn L3 §6.5.1).
type Attested struct {
	AAGUID       [16]byte
	CredentialID []byte // 16 to 1,023 bytes
	COSE         []byte // the COSE_Key as it stands in the data
	Key          *Key   // the same, parsed
}

// ParseAuthData parses authenticator data of either ceremony. It refuses bytes
// left over, flags that contradict the content, and BS without BE.
// Errors: [ErrSize], [ErrFormat], [ErrFlags], [ErrKey], [ErrAlgorithm].
func ParseAuthData(raw []byte) (*AuthData, error) {
	if len(raw) > MaxAuthData {
		return nil, fmt.Errorf("%w: authenticator data of %d bytes", ErrSize, len(raw))
	}
	if len(raw) < authDataHead {
		return nil, formatErr("authenticator data of %d bytes", len(raw))
	}
	d := &AuthData{
		RPIDHash: [sha256.Size]byte(raw[:sha256.Size]),
		Flags:    Flags(raw[sha256.Size]),
		Counter:  binary.BigEndian.Uint32(raw[sha256.Size+1 : authDataHead]),
	}
	if d.Flags.Has(FlagBS) && !d.Flags.Has(FlagBE) {
		return nil, fmt.Errorf("%w: BS without BE", ErrFlags)
	}
	c := &cursor{b: raw[authDataHead:]}
	if d.Flags.Has(FlagAT) {
		a, err := readAttested(c)
		if err != nil {
			return nil, err
		}
		d.Attested = a
	}
	if d.Flags.Has(FlagED) {
		ext, err := readExtensions(c)
		if err != nil {
			return nil, err
		}
		d.Extensions = ext
	}
	if len(c.b) != 0 {
		return nil, formatErr("%d bytes after the authenticator data", len(c.b))
	}
	return d, nil
}

func readAttested(c *cursor) (*Attested, error) {
	head, err := c.take(18)
	if err != nil {
		return nil, formatErr("attested credential data truncated")
	}
	a := &Attested{AAGUID: [16]byte(head[:16])}
	n := binary.BigEndian.Uint16(head[16:])
	if n < minCredentialID || n > MaxCredentialID {
		return nil, formatErr("credential id of %d bytes", n)
	}
	id, err := c.take(uint64(n))
	if err != nil {
		return nil, formatErr("credential id truncated")
	}
	a.CredentialID = bytes.Clone(id)
	before := c.b
	if a.Key, err = readKey(c); err != nil {
		return nil, err
	}
	a.COSE = bytes.Clone(before[:len(before)-len(c.b)])
	a.Key.id = sha256.Sum256(a.COSE)
	return a, nil
}

// readExtensions reads a non-empty map with text keys (WebAuthn L3 §9.4).
func readExtensions(c *cursor) ([]byte, error) {
	before := c.b
	n, err := c.mapHeader()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, fmt.Errorf("%w: ED without extensions", ErrFlags)
	}
	var last []byte
	for range n {
		if len(c.b) > 0 && c.b[0]>>5 != majorText {
			return nil, formatErr("extension identifier is not text")
		}
		if last, err = c.mapKey(last); err != nil {
			return nil, err
		}
		if err := c.skip(1); err != nil {
			return nil, err
		}
	}
	return bytes.Clone(before[:len(before)-len(c.b)]), nil
}
