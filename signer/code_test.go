package signer

import (
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestCodes(t *testing.T) {
	t.Parallel()
	code := newCode()
	for _, typed := range []string{code, printCode(code), strings.ToLower(printCode(code)), " " + strings.ReplaceAll(printCode(code), "-", " ")} {
		if got, ok := ParseCode(typed); !ok || got != code {
			t.Errorf("ParseCode(%q) = %q %v, want %q", typed, got, ok, code)
		}
	}
	if got, ok := ParseCode("OIL0-0000-0000-0000"); !ok || got != "0110000000000000" {
		t.Errorf("letters that look alike: %q %v", got, ok)
	}
	for _, bad := range []string{"", "1", code + "1", strings.Repeat("-", 65), "U" + code[1:], "é" + code[2:]} {
		if got, ok := ParseCode(bad); ok {
			t.Errorf("ParseCode(%q) = %q", bad, got)
		}
	}
	if a, b := newCode(), newCode(); a == b {
		t.Error("two codes are equal")
	}
}

// TestCodeScanner finds an address however it is written and wherever a piece ends.
func TestCodeScanner(t *testing.T) {
	t.Parallel()
	code := newCode()
	address := "https://id.example.org/verificar/" + printCode(code)
	decoy := "/verificar/x /verificar/" + strings.Repeat("U", codeLetter)
	for _, text := range []string{decoy + address, decoy + strings.ToUpper(hex.EncodeToString([]byte(address)))} {
		whole := strings.Repeat("x", 500) + text + strings.Repeat("y", 500)
		for range 200 {
			c := &codeScanner{}
			for rest := whole; rest != ""; {
				n := min(1+rand.N(60), len(rest))
				_, _ = c.Write([]byte(rest[:n]))
				rest = rest[n:]
			}
			if c.found != code {
				t.Fatalf("found %q, want %q", c.found, code)
			}
		}
	}
}

func TestHashWords(t *testing.T) {
	t.Parallel()
	// The example of the proposal: 127.0.0.1 is lusab-babad.
	if got := hashWords([32]byte{127, 0, 0, 1}); got != "lusab babad babab babab babab" {
		t.Errorf("words %q", got)
	}
}

func FuzzParseCode(f *testing.F) {
	f.Add("ABCD-EFGH-JKMN-PQRS")
	f.Fuzz(func(t *testing.T, s string) {
		code, ok := ParseCode(s)
		if !ok {
			return
		}
		if again, ok := ParseCode(printCode(code)); !ok || again != code {
			t.Errorf("%q: %q is not kept", s, code)
		}
	})
}
