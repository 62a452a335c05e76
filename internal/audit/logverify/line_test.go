package logverify_test

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

func TestBaseOrigin(t *testing.T) {
	t.Parallel()
	for origin, want := range map[string]struct {
		base   string
		number int64
	}{
		"id.example/log":             {"id.example/log", 1},
		"id.example/log/2":           {"id.example/log", 2},
		"id.example:8443/log/17":     {"id.example:8443/log", 17},
		"id.example/log/1":           {"id.example/log/1", 1}, // the first has no number
		"id.example/log/0":           {"id.example/log/0", 1},
		"id.example/log/02":          {"id.example/log/02", 1},
		"id.example/log/+2":          {"id.example/log/+2", 1},
		"id.example/log/2/3":         {"id.example/log/2/3", 1},
		"id.example/blog/2":          {"id.example/blog/2", 1},
		"id.example/2":               {"id.example/2", 1},
		"id.example/log/99999999999": {"id.example/log/99999999999", 1},
		"log":                        {"log", 1},
		"":                           {"", 1},
	} {
		base, number := logverify.BaseOrigin(origin)
		if base != want.base || number != want.number {
			t.Errorf("%q: got %q, %d; want %q, %d", origin, base, number, want.base, want.number)
		}
		if back := logverify.LineOrigin(base, number); back != origin {
			t.Errorf("%q: comes back as %q", origin, back)
		}
	}
}

// TestKeysOfALine signs a checkpoint under the name of each log of a line, and
// takes each with the key of any other; another line's and another key's never.
func TestKeysOfALine(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	other := ed25519.NewKeyFromSeed([]byte("another seed of thirty-two bytes"))
	line := []string{"id.example/log", "id.example/log/2", "id.example/log/3"}
	vkey := func(origin string, k ed25519.PrivateKey) string {
		t.Helper()
		v, err := logverify.VerifierKey(origin, k.Public().(ed25519.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	note := func(origin string, k ed25519.PrivateKey) []byte {
		t.Helper()
		b, err := logverify.SignCheckpoint(logverify.Checkpoint{Origin: origin, Tree: logverify.Tree{Root: logverify.EmptyRoot()}}, k)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, trusted := range line {
		for _, signed := range line {
			n := note(signed, key)
			derived := logverify.LineKey(vkey(trusted, key), n)
			if derived != vkey(signed, key) {
				t.Errorf("key for %s by %s: %s", signed, trusted, derived)
			}
			if cp, err := logverify.VerifyCheckpoint(n, derived); err != nil || cp.Origin != signed {
				t.Errorf("%s by %s: %+v, %v", signed, trusted, cp, err)
			}
			if _, err := logverify.VerifyCheckpoint(note(signed, other), derived); !errors.Is(err, logverify.ErrSignature) {
				t.Errorf("%s signed by another key: %v", signed, err)
			}
		}
		for _, foreign := range []string{"else.example/log", "else.example/log/2", "id.example/log/x", "id.example"} {
			if got := logverify.LineKey(vkey(trusted, key), note(foreign, key)); got != vkey(trusted, key) {
				t.Errorf("%s gives a key for %s", trusted, foreign)
			}
			if _, err := logverify.KeyFor(vkey(trusted, key), foreign); !errors.Is(err, logverify.ErrOrigin) {
				t.Errorf("%s by %s: %v", foreign, trusted, err)
			}
		}
	}
	for _, bad := range []string{"", "x", "id.example/log+00000000+AAAA"} {
		if _, err := logverify.KeyFor(bad, "id.example/log"); !errors.Is(err, logverify.ErrVerifierKey) {
			t.Errorf("key %q: %v", bad, err)
		}
		if got := logverify.LineKey(bad, note("id.example/log", key)); got != bad {
			t.Errorf("key %q becomes %q", bad, got)
		}
	}
}
