package signer

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
)

// crockford is the alphabet of verification codes (Crockford's base 32): no I, L, O, U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// codeLength is the number of symbols: 80 random bits.
const codeLength = 16

// newCode draws a verification code.
func newCode() string {
	var b [codeLength]byte
	_, _ = rand.Read(b[:]) // never fails
	for i := range b {
		b[i] = crockford[b[i]&31]
	}
	return string(b[:])
}

// printCode groups a code as it is printed.
func printCode(code string) string {
	var parts []string
	for len(code) > 4 {
		parts, code = append(parts, code[:4]), code[4:]
	}
	return strings.Join(append(parts, code), "-")
}

// ParseCode reads a code as people type it: any case, with or without hyphens and
// spaces, O for 0, I and L for 1. ok is false if it cannot be one.
func ParseCode(s string) (code string, ok bool) {
	if len(s) > 64 {
		return "", false
	}
	s = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(s))
	if len(s) != codeLength || strings.Trim(s, crockford) != "" {
		return "", false
	}
	return s, true
}

// codePath returns the path at which a code is looked up.
func codePath(code string) string { return "/verificar/" + printCode(code) }

// hashWords renders the first 80 bits of a hash as five words that can be read out
// and compared (D. Wilkerson, "A Proposal for Proquints", 2009).
func hashWords(sum [32]byte) string {
	const con, vow = "bdfghjklmnprstvz", "aiou"
	var words []string
	for i := 0; i < 10; i += 2 {
		v := binary.BigEndian.Uint16(sum[i:])
		words = append(words, string([]byte{con[v>>12], vow[v>>10&3], con[v>>6&15], vow[v>>4&3], con[v&15]}))
	}
	return strings.Join(words, " ")
}
