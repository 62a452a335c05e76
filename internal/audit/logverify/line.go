package logverify

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// A log that continues another one takes the other's origin with a number:
// "id.example/log", "id.example/log/2", "id.example/log/3" are one line of logs,
// of one operator. Each is also the address under which its tiles are served.

// firstSuffix ends the origin of the first log of a line.
const firstSuffix = "/log"

// BaseOrigin returns the origin of the first log of a line and the number of
// the one named: 1 for the first, and for an origin that is of no line.
func BaseOrigin(origin string) (base string, number int64) {
	at := strings.LastIndexByte(origin, '/')
	if at < 0 || !strings.HasSuffix(origin[:at], firstSuffix) {
		return origin, 1
	}
	n, err := strconv.ParseUint(origin[at+1:], 10, 31)
	if err != nil || n < 2 || strconv.FormatUint(n, 10) != origin[at+1:] {
		return origin, 1
	}
	return origin[:at], int64(n)
}

// LineOrigin returns the origin of a log of a line, by the first one's origin
// and its number.
func LineOrigin(base string, number int64) string {
	if number <= 1 {
		return base
	}
	return base + "/" + strconv.FormatInt(number, 10)
}

// KeyFor returns the verifier key of the log of an origin, if it is of the same
// line as that of vkey: the same public key under the other name. Who trusts a
// key trusts its holder to name the logs that it signs; what is signed under one
// name still cannot pass for another. Errors: [ErrVerifierKey], [ErrOrigin].
func KeyFor(vkey, origin string) (string, error) {
	name, err := CheckVerifierKey(vkey)
	if err != nil || name == origin {
		return vkey, err
	}
	mine, _ := BaseOrigin(name)
	other, _ := BaseOrigin(origin)
	if mine != other {
		return "", fmt.Errorf("%w: %q does not continue %q", ErrOrigin, origin, name)
	}
	parts := strings.SplitN(vkey, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return "", ErrVerifierKey
	}
	return VerifierKey(origin, ed25519.PublicKey(raw[1:]))
}

// LineKey returns the key with which a signed checkpoint is to be verified by
// who trusts vkey: vkey, or the same public key under the checkpoint's origin if
// that is of the same line. It verifies nothing.
func LineKey(vkey string, signed []byte) string {
	origin, _, _ := strings.Cut(string(signed[:min(len(signed), MaxOrigin+1)]), "\n")
	if key, err := KeyFor(vkey, origin); err == nil {
		return key
	}
	return vkey
}
