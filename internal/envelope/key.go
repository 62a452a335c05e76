package envelope

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// KeySize is the length of a [Key] in bytes.
const KeySize = 32

// fingerprintSize is the length of the hash behind [Key.Fingerprint], in bytes.
const fingerprintSize = 16

// redacted is what every printer shows instead of a key.
const redacted = "[redacted]"

// ErrNoKey reports the zero [Key] or one that was wiped.
var ErrNoKey = errors.New("envelope: no key")

// Key is 32 secret bytes for AES-256-GCM and HKDF-SHA256. Copies share the
// bytes, so that [Key.Wipe] reaches all of them. The zero value is no key:
// [Seal] panics on it and [Open] returns [ErrNoKey]. Keys cannot be compared
// with ==; use [Key.Equal]. It is safe for concurrent use, [Key.Wipe] excepted.
type Key struct {
	// bytes returns the one array that all copies share. It is a function
	// because printers that meet a Key in an unexported field ask no methods
	// and follow pointers, but of a function they can show only the address.
	// It also makes Key incomparable; == would have compared addresses.
	bytes func() *[KeySize]byte
}

func makeKey() Key {
	b := new([KeySize]byte)
	return Key{bytes: func() *[KeySize]byte { return b }}
}

// NewKey returns a fresh random key.
func NewKey() Key {
	k := makeKey()
	_, _ = rand.Read(k.bytes()[:]) // crypto/rand.Read never returns an error (Go 1.24)
	return k
}

// KeyFromBytes returns a key that holds a copy of b, which MUST be [KeySize]
// bytes and not all zero. The caller wipes b.
func KeyFromBytes(b []byte) (Key, error) {
	if len(b) != KeySize {
		return Key{}, fmt.Errorf("%w: got %d bytes, want %d", ErrNoKey, len(b), KeySize)
	}
	k := makeKey()
	copy(k.bytes()[:], b)
	if k.IsZero() {
		return Key{}, ErrNoKey
	}
	return k, nil
}

// IsZero reports whether k is the zero value, or was wiped.
func (k Key) IsZero() bool {
	var zero [KeySize]byte
	return k.bytes == nil || subtle.ConstantTimeCompare(k.bytes()[:], zero[:]) == 1
}

// Equal compares two keys in constant time. No key equals the zero value.
func (k Key) Equal(other Key) bool {
	if k.IsZero() || other.IsZero() {
		return false
	}
	return subtle.ConstantTimeCompare(k.bytes()[:], other.bytes()[:]) == 1
}

// Reveal returns a copy of the secret bytes, or nil for the zero key. Its only
// good use is to seal them under another key; wipe the copy afterwards.
func (k Key) Reveal() []byte {
	if k.IsZero() {
		return nil
	}
	return append([]byte(nil), k.bytes()[:]...)
}

// Wipe overwrites the bytes that all copies of k share; they are then no key.
// The caller MUST know that no other goroutine is using any of them.
func (k Key) Wipe() {
	if k.bytes != nil {
		clear(k.bytes()[:])
	}
}

// clone returns a key with bytes of its own.
func (k Key) clone() Key {
	if k.bytes == nil {
		return k
	}
	c := makeKey()
	copy(c.bytes()[:], k.bytes()[:])
	return c
}

// Derive returns the key HKDF-Expand(SHA-256, k, "suti/derive/v1" 0x00 label)
// of RFC 5869 §2.3; k is uniformly random, so the extract step is left out
// (§3.3). It panics on the zero key and on an empty label.
func Derive(k Key, label string) Key {
	if label == "" {
		panic("envelope: Derive needs a label")
	}
	d := makeKey()
	copy(d.bytes()[:], expand(k, "suti/derive/v1\x00"+label, KeySize))
	return d
}

// Fingerprint returns 32 hexadecimal digits that name the key without
// telling anything about it: HKDF-Expand(SHA-256, k, "suti/fingerprint/v1").
// It panics on the zero key.
func (k Key) Fingerprint() string {
	return hex.EncodeToString(expand(k, "suti/fingerprint/v1", fingerprintSize))
}

// expand panics on the zero key: callers check keys that come from outside.
func expand(k Key, info string, n int) []byte {
	if k.IsZero() {
		panic("envelope: the zero Key was used")
	}
	out, err := hkdf.Expand(sha256.New, k.bytes()[:], info, n)
	if err != nil { // only for more than 255 hash lengths
		panic("envelope: " + err.Error())
	}
	return out
}

// Format implements [fmt.Formatter] for every verb and flag.
func (Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String implements [fmt.Stringer].
func (Key) String() string { return redacted }

// LogValue implements [slog.LogValuer].
func (Key) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], which encoding/json and
// encoding/xml use too. There is no counterpart: keys are not configuration.
func (Key) MarshalText() ([]byte, error) { return []byte(redacted), nil }
