package logverify_test

import (
	"crypto/ed25519"
	"strconv"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

// signNote signs any text with key 1 under the name origin.
func signNote(t testing.TB, text string) []byte {
	t.Helper()
	v, err := note.NewVerifier(vkey(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	b, err := note.Sign(&note.Note{Text: text}, testSigner{v})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type testSigner struct{ note.Verifier }

func (testSigner) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(key(1), msg), nil }
