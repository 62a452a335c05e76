package envelope

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// A box is: suite (1 byte) ‖ nonce (24 bytes) ‖ AES-256-GCM ciphertext ‖ tag (16 bytes).
//
// Suite 1: HKDF-Expand(SHA-256, key, "suti/seal/v1" 0x00 nonce, 44) gives the
// message key (32 bytes) and the GCM nonce (12 bytes); the associated data is
// the suite byte followed by the caller's.
const (
	suiteAESGCM = 1
	nonceSize   = 24
	gcmNonce    = 12
	tagSize     = 16
	headSize    = 1 + nonceSize

	// Overhead is the number of bytes by which a box is longer than its plaintext.
	Overhead = headSize + tagSize
	// MaxPlaintext is the largest plaintext of one box, in bytes (64 MiB).
	// What is larger is cut into chunks, as internal/blob does.
	MaxPlaintext = 64 << 20
)

// Errors of [Open]; [Open] returns also [ErrNoKey].
var (
	// ErrTooShort: shorter than an empty box.
	ErrTooShort = errors.New("envelope: sealed box is too short")
	// ErrTooLong: longer than a box of [MaxPlaintext] bytes.
	ErrTooLong = errors.New("envelope: sealed box is too long")
	// ErrVersion: the first byte names a suite this program does not know.
	ErrVersion = errors.New("envelope: unknown version of sealed box")
	// ErrTampered: the box was changed, belongs to another place, or was
	// sealed under another key. Which of these cannot be told.
	ErrTampered = errors.New("envelope: sealed box does not open (changed, moved or other key)")
)

// Place returns the associated data "table.column:row" that binds a box to the
// one row and column it may stand in. More to be bound is appended with
// [Bind]. It panics if a part is empty, or if table or column holds a
// separator, so that two places never have the same bytes.
func Place(table, column, row string) []byte {
	if !isName(table) || !isName(column) || row == "" {
		panic("envelope: Place needs a table, a column and a row")
	}
	return []byte(table + "." + column + ":" + row)
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// Bind appends each field to aad behind its length (4 bytes, big-endian) and a
// zero byte, so that distinct lists of fields give distinct bytes.
func Bind(aad []byte, fields ...[]byte) []byte {
	out := append([]byte(nil), aad...)
	for _, f := range fields {
		n := len(f)
		out = append(out, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
		out = append(out, f...)
	}
	return out
}

// Seal returns plaintext sealed under k for the place named by aad. The result
// is [Overhead] bytes longer. It panics on a programmer's errors: the zero
// key, empty aad, or more than [MaxPlaintext] bytes, which the caller MUST
// have bounded.
func Seal(k Key, plaintext, aad []byte) []byte {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // crypto/rand.Read never returns an error (Go 1.24)
	return sealWith(k, nonce, plaintext, aad)
}

func sealWith(k Key, nonce [nonceSize]byte, plaintext, aad []byte) []byte {
	if len(aad) == 0 {
		panic("envelope: Seal needs associated data")
	}
	if len(plaintext) > MaxPlaintext {
		panic(fmt.Sprintf("envelope: Seal of %d bytes", len(plaintext)))
	}
	aead, iv := suite1(k, nonce[:])
	out := make([]byte, headSize, len(plaintext)+Overhead)
	out[0] = suiteAESGCM
	copy(out[1:], nonce[:])
	return aead.Seal(out, iv, plaintext, prefixed(aad))
}

// Open returns the plaintext of a box sealed under k for the place named by
// aad, in a new slice. On any error it returns no byte of it.
func Open(k Key, sealed, aad []byte) ([]byte, error) {
	switch {
	case k.IsZero():
		return nil, ErrNoKey
	case len(sealed) < 1:
		return nil, ErrTooShort
	case sealed[0] != suiteAESGCM:
		return nil, fmt.Errorf("%w: %d", ErrVersion, sealed[0])
	case len(sealed) < Overhead:
		return nil, ErrTooShort
	case len(sealed) > MaxPlaintext+Overhead:
		return nil, ErrTooLong
	case len(aad) == 0:
		return nil, ErrTampered // Seal makes no such box
	}
	aead, iv := suite1(k, sealed[1:headSize])
	plain, err := aead.Open(make([]byte, 0, len(sealed)-Overhead), iv, sealed[headSize:], prefixed(aad))
	if err != nil {
		return nil, ErrTampered
	}
	return plain, nil
}

func prefixed(aad []byte) []byte {
	out := make([]byte, 0, 1+len(aad))
	return append(append(out, suiteAESGCM), aad...)
}

func suite1(k Key, nonce []byte) (cipher.AEAD, []byte) {
	okm := expand(k, "suti/seal/v1\x00"+string(nonce), KeySize+gcmNonce)
	defer clear(okm[:KeySize])
	block, err := aes.NewCipher(okm[:KeySize])
	if err != nil { // only for a wrong key length
		panic("envelope: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil { // only for a block size other than 16
		panic("envelope: " + err.Error())
	}
	return aead, okm[KeySize:]
}
