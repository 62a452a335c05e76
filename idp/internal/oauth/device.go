package oauth

import (
	"crypto/rand"
	"math/big"
	"net/url"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
)

// GrantDevice is the device authorization grant (RFC 8628 §3.4).
const GrantDevice = "urn:ietf:params:oauth:grant-type:device_code"

// Error codes of RFC 8628 §3.5.
const (
	AuthorizationPending = "authorization_pending"
	SlowDown             = "slow_down"
	ExpiredToken         = "expired_token"
)

const (
	devicePrefix = "suti_dc_"
	// userAlphabet has no vowels, so that no words arise, and no digits that look
	// like letters (RFC 8628 §6.1): 20 letters, 34.5 bits in 8 of them.
	userAlphabet = "BCDFGHJKLMNPQRSTVWXZ"
	userLen      = 8
)

// Device is what a request of the device grant carries besides its scopes.
type Device struct {
	Hash     []byte `json:"hash,omitempty"`      // of the device code
	UserCode string `json:"user_code,omitempty"` // as it is shown, while the person decides; never kept in a grant
	From     string `json:"from,omitempty"`      // network address that asked
	Agent    string `json:"agent,omitempty"`     // a few words on the program that asked
	Shared   bool   `json:"shared,omitempty"`    // the person said that others use the device, or said nothing
}

// ParseDevice checks a device authorization request (RFC 8628 §3.1).
func ParseDevice(form url.Values, c *store.Client, now time.Time) (*Request, *Error) {
	if !contains(c.Grants, GrantDevice) {
		return nil, Refuse(UnauthorizedClient, "the client may not use the device authorization grant")
	}
	if form.Has("authorization_details") {
		return nil, Refuse(InvalidAuthorizationDetails, "a device may not ask for authorization details: its screen is not the person's")
	}
	r := &Request{Client: c.ID, At: now.UTC()}
	if e := checkScope(form, c, r, now); e != nil {
		return nil, e
	}
	raw := form.Get("acr_values")
	if len(raw) > maxSmall {
		return nil, Refuse(InvalidRequest, "acr_values is longer than %d bytes", maxSmall)
	}
	r.ACRValues = strings.Fields(raw)
	if e := checkResource(form, c, r, now); e != nil {
		return nil, e
	}
	return r, nil
}

// NewDeviceCode draws a device code of 256 random bits and its row key.
func NewDeviceCode() (value string, hash []byte) {
	value = bearer(devicePrefix)
	return value, store.Hash("device", value)
}

// DeviceHash returns the row key of a device code, or false if the value cannot be one.
func DeviceHash(value string) ([]byte, bool) {
	if len(value) != tokenLen || !strings.HasPrefix(value, devicePrefix) {
		return nil, false
	}
	return store.Hash("device", value), true
}

// NewUserCode draws a user code as it is shown: eight letters in two groups.
func NewUserCode() string {
	var b strings.Builder
	for i := range userLen {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(userAlphabet))))
		if err != nil {
			panic(err) // crypto/rand never fails (Go 1.24)
		}
		if i == userLen/2 {
			b.WriteByte('-')
		}
		b.WriteByte(userAlphabet[n.Int64()])
	}
	return b.String()
}

// UserCode reads a user code as people type it: any case, with or without
// hyphens and spaces. It returns the code as it is shown and its row key, or
// false if it cannot be one.
func UserCode(typed string) (shown string, hash []byte, ok bool) {
	if len(typed) > 64 {
		return "", nil, false
	}
	letters := strings.Map(func(c rune) rune {
		switch {
		case strings.ContainsRune(" -\u2010\u2011\u2013\u2014\t._", c):
			return -1
		case c >= 'a' && c <= 'z':
			return c - 'a' + 'A'
		}
		return c
	}, typed)
	if len(letters) != userLen || strings.Trim(letters, userAlphabet) != "" {
		return "", nil, false
	}
	return letters[:userLen/2] + "-" + letters[userLen/2:], UserCodeHash(letters), true
}

// UserCodeHash returns the row key of a user code, shown or bare.
func UserCodeHash(code string) []byte {
	return store.Hash("user-code", strings.ReplaceAll(code, "-", ""))
}
