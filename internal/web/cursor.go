package web

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// maxCursor bounds a cursor, in characters.
const maxCursor = 1024

// ErrCursor reports a cursor that this site did not give out for this list and
// this owner.
var ErrCursor = errors.New("web: bad cursor")

// Cursors seals the place in a list where the next page begins, so that a client
// can neither read nor make one (AES-256-GCM with a random nonce).
type Cursors struct{ aead cipher.AEAD }

// NewCursors takes a secret of 32 bytes, the same on all nodes.
func NewCursors(key [32]byte) (*Cursors, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Cursors{aead: aead}, nil
}

// Seal returns the cursor of place, a small value that JSON can carry. list names
// the list with its filters, owner whoever may use the cursor; Open must be given
// the same.
func (c *Cursors) Seal(list, owner string, place any) (string, error) {
	b, err := json.Marshal(place)
	if err != nil {
		return "", fmt.Errorf("seal cursor: %w", err)
	}
	s := base64.RawURLEncoding.EncodeToString(c.aead.Seal(nil, nil, b, cursorData(list, owner)))
	if len(s) > maxCursor {
		return "", errors.New("seal cursor: place is too large")
	}
	return s, nil
}

// Open reads a cursor into place. The error is an [*Error] 400 around [ErrCursor].
func (c *Cursors) Open(list, owner, cursor string, place any) error {
	if len(cursor) > maxCursor {
		return badCursor()
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return badCursor()
	}
	b, err := c.aead.Open(nil, nil, sealed, cursorData(list, owner))
	if err != nil || json.Unmarshal(b, place) != nil {
		return badCursor()
	}
	return nil
}

func badCursor() error {
	return &Error{Status: http.StatusBadRequest, Code: "invalid_cursor", Detail: "web.error.cursor", Err: ErrCursor}
}

// cursorData joins list and owner so that no two pairs give the same bytes.
func cursorData(list, owner string) []byte {
	b, _ := json.Marshal([]string{"suti/cursor/v1", list, owner}) // strings always marshal
	return b
}

// NewCursorKey returns a fresh secret, for a demo or a test; a site with several
// nodes derives it from its key store.
func NewCursorKey() (key [32]byte) {
	_, _ = rand.Read(key[:]) // never fails (Go 1.24)
	return key
}
