package act

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"oruro.gob.bo/suti/internal/identity"
)

// checks gathers the first fault of a value's fields.
type checks struct{ err error }

func (k *checks) that(ok bool, name, what string) {
	if k.err == nil && !ok {
		k.err = fmt.Errorf("%w: field %s: %s", ErrValue, name, what)
	}
}

// id wants an identifier of the given kind; an empty one passes if optional.
func (k *checks) id(name, prefix, value string, optional bool) {
	if optional && value == "" {
		return
	}
	k.that(identity.CheckID(prefix, value) == nil, name, "not an identifier of kind "+prefix)
}

func (k *checks) person(name string, p identity.PersonID) {
	k.id(name, identity.PrefixPerson, string(p), false)
}

// token wants 1 to max symbols of A-Z a-z 0-9 . _ : / -
func (k *checks) token(name, value string, max int) {
	k.that(value != "" && len(value) <= max && strings.IndexFunc(value, notToken) < 0, name, "not a token")
}

func notToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._:/-", r)
}

// label wants 1 to 40 symbols of a-z 0-9 . _ -
func (k *checks) label(name, value string) {
	bad := strings.IndexFunc(value, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
	k.that(value != "" && len(value) <= 40 && bad < 0, name, "not a label")
}

// text wants 1 to max bytes of UTF-8 without the characters of [hidden].
func (k *checks) text(name, value string, max int) {
	k.that(value != "" && len(value) <= max && cleanText(value), name, "not a plain text")
}

func cleanText(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, hidden) < 0
}

// hidden reports characters that a reader cannot see or that reorder others:
// controls, line and paragraph separators, joiners, direction marks, tags. The
// list is part of the formats; it does not follow versions of Unicode.
func hidden(r rune) bool {
	for _, span := range [][2]rune{
		{0x0000, 0x001f}, {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x180e, 0x180e}, {0x200b, 0x200f},
		{0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
	} {
		if r >= span[0] && r <= span[1] {
			return true
		}
	}
	return false
}

// printable wants 1 to max bytes of ASCII from ! to ~.
func (k *checks) printable(name, value string, max int) {
	bad := strings.IndexFunc(value, func(r rune) bool { return r < '!' || r > '~' })
	k.that(value != "" && len(value) <= max && bad < 0, name, "not printable ASCII")
}

// oid wants an object identifier in dotted decimal form (X.660) of at most 64 bytes.
func (k *checks) oid(name, value string) {
	arcs := strings.Split(value, ".")
	ok := len(value) <= 64 && len(arcs) >= 2
	for _, a := range arcs {
		ok = ok && a != "" && (a == "0" || a[0] != '0') && strings.Trim(a, "0123456789") == ""
	}
	if ok {
		ok = (arcs[0] == "0" || arcs[0] == "1") && (len(arcs[1]) == 1 || len(arcs[1]) == 2 && arcs[1] < "40") || arcs[0] == "2"
	}
	k.that(ok, name, "not an object identifier")
}

// host wants a lower-case domain name (a WebAuthn relying party id).
func (k *checks) host(name, value string) {
	ok := value != "" && len(value) <= 253
	for part := range strings.SplitSeq(value, ".") {
		bad := strings.IndexFunc(part, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
		ok = ok && part != "" && len(part) <= 63 && bad < 0 && part[0] != '-' && part[len(part)-1] != '-'
	}
	k.that(ok, name, "not a lower-case domain name")
}

// origin wants a web origin in serialised form, or an app origin such as
// android:apk-key-hash:…
func (k *checks) origin(name, value string) {
	k.printable(name, value, 255)
	scheme, rest, ok := strings.Cut(value, ":")
	ok = ok && scheme != "" && strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz") == "" && rest != ""
	if scheme == "https" || scheme == "http" {
		hostPort, found := strings.CutPrefix(rest, "//")
		ok = ok && found && hostPort != "" && !strings.ContainsAny(hostPort, "/?#@\\") && hostPort == strings.ToLower(hostPort)
	}
	k.that(ok, name, "not an origin")
}

// interval wants to to be absent or after from.
func (k *checks) interval(name string, from, to time.Time) {
	k.that(to.IsZero() || to.After(from), name, "ends before it begins")
}

func (k *checks) oneOf(name, value string, allowed ...string) {
	k.that(slices.Contains(allowed, value), name, "unknown value")
}

// rising wants keys in strictly rising order, hence none twice.
func rising[T any](k *checks, name string, items []T, key func(T) string) {
	for i := 1; i < len(items); i++ {
		k.that(key(items[i-1]) < key(items[i]), name, "repeated or out of order")
	}
}

// digest wants 32, 48 or 64 bytes: SHA-256, SHA-384 or SHA-512.
func (k *checks) digest(name string, value []byte) {
	n := len(value)
	k.that(n == sha256.Size || n == 48 || n == 64, name, "not a digest of 32, 48 or 64 bytes")
}
