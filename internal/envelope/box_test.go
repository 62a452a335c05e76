package envelope_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"testing"

	"oruro.gob.bo/suti/internal/envelope"
)

func TestSealOpensOnlyInItsPlace(t *testing.T) {
	t.Parallel()
	k := key(t, 0)
	aad := envelope.Place("key_private", "sealed", "prv_1")
	for _, n := range []int{0, 1, 15, 16, 17, 4096, 1 << 20} {
		plain := bytes.Repeat([]byte{0x5a}, n)
		box := envelope.Seal(k, plain, aad)
		if len(box) != n+envelope.Overhead {
			t.Errorf("%d bytes: box of %d, want %d more", n, len(box), envelope.Overhead)
		}
		got, err := envelope.Open(k, box, aad)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: Open: %d bytes, %v", n, len(got), err)
		}
	}
	box := envelope.Seal(k, []byte("secret"), aad)
	for name, other := range map[string][]byte{
		"row": envelope.Place("key_private", "sealed", "prv_2"), "column": envelope.Place("key_private", "spki", "prv_1"),
		"table": envelope.Place("key_data", "sealed", "prv_1"), "empty": nil, "longer": envelope.Bind(aad, nil),
	} {
		if got, err := envelope.Open(k, box, other); !errors.Is(err, envelope.ErrTampered) || got != nil {
			t.Errorf("other %s: got %q, %v, want ErrTampered", name, got, err)
		}
	}
	for name, other := range map[string]envelope.Key{"other": key(t, 1), "derived": envelope.Derive(k, "x")} {
		if _, err := envelope.Open(other, box, aad); !errors.Is(err, envelope.ErrTampered) {
			t.Errorf("%s key: got %v, want ErrTampered", name, err)
		}
	}
}

// TestOpenRefusesEveryChange flips each bit, cuts each length and appends.
func TestOpenRefusesEveryChange(t *testing.T) {
	t.Parallel()
	k, aad := key(t, 0), envelope.Place("t", "c", "r")
	box := envelope.Seal(k, []byte("forty-two"), aad)
	for i := range box {
		for bit := range 8 {
			bad := bytes.Clone(box)
			bad[i] ^= 1 << bit
			want := envelope.ErrTampered
			if i == 0 {
				want = envelope.ErrVersion
			}
			if got, err := envelope.Open(k, bad, aad); !errors.Is(err, want) || got != nil {
				t.Errorf("byte %d bit %d: got %q, %v, want %v", i, bit, got, err, want)
			}
		}
	}
	for n := range len(box) {
		want := envelope.ErrTampered
		if n < envelope.Overhead {
			want = envelope.ErrTooShort
		}
		if _, err := envelope.Open(k, box[:n], aad); !errors.Is(err, want) {
			t.Errorf("cut to %d: got %v, want %v", n, err, want)
		}
	}
	if _, err := envelope.Open(k, append(bytes.Clone(box), 0), aad); !errors.Is(err, envelope.ErrTampered) {
		t.Errorf("one byte more: got %v", err)
	}
	long := make([]byte, envelope.MaxPlaintext+envelope.Overhead+1)
	long[0] = 1
	if _, err := envelope.Open(k, long, aad); !errors.Is(err, envelope.ErrTooLong) {
		t.Errorf("too long: got %v", err)
	}
}

func TestSealPanicsOnMisuse(t *testing.T) {
	t.Parallel()
	k := key(t, 0)
	for name, f := range map[string]func(){
		"no aad":         func() { envelope.Seal(k, []byte("x"), nil) },
		"too much":       func() { envelope.Seal(k, make([]byte, envelope.MaxPlaintext+1), []byte("a")) },
		"no label":       func() { envelope.Derive(k, "") },
		"no row":         func() { envelope.Place("t", "c", "") },
		"dot in table":   func() { envelope.Place("t.c", "d", "r") },
		"colon in colum": func() { envelope.Place("t", "c:r", "s") },
	} {
		if !panics(f) {
			t.Errorf("%s: no panic", name)
		}
	}
}

// TestEveryBoxHasItsOwnNonce would fail if the nonce came from a short counter.
func TestEveryBoxHasItsOwnNonce(t *testing.T) {
	t.Parallel()
	k, aad := key(t, 0), []byte("a")
	seen := map[string]bool{}
	for range 10_000 {
		n := string(envelope.Seal(k, nil, aad)[1:25])
		if seen[n] {
			t.Fatal("a nonce came twice")
		}
		seen[n] = true
	}
}

func TestBindIsInjective(t *testing.T) {
	t.Parallel()
	b := func(s ...string) string {
		var f [][]byte
		for _, x := range s {
			f = append(f, []byte(x))
		}
		return string(envelope.Bind([]byte("t.c:r"), f...))
	}
	seen := map[string][]string{}
	for _, c := range [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab"}, {"a", "b"}, {"\x00\x00\x00\x00\x00"}} {
		if was, dup := seen[b(c...)]; dup {
			t.Errorf("%q and %q bind alike", was, c)
		}
		seen[b(c...)] = c
	}
}

// Test vector of docs/design/0004, section "Box".
const boxVector = "01000102030405060708090a0b0c0d0e0f10111213141516176b4c13e9ce7678f0a4c04ce230e3da12879bf20a"

// TestBoxVector fixes the bytes, and opens them again from the primitives in
// the words of the note, with HKDF from openssl.
func TestBoxVector(t *testing.T) {
	t.Parallel()
	k, aad := key(t, 0), envelope.Place("key_private", "sealed", "prv_1")
	var nonce [24]byte
	for i := range nonce {
		nonce[i] = byte(i)
	}
	box := envelope.SealWith(k, nonce, []byte("Suti"), aad)
	if got := hex.EncodeToString(box); got != boxVector {
		t.Errorf("box: got %s, want %s", got, boxVector)
	}
	okm := opensslExpand(t, k, "suti/seal/v1\x00"+string(nonce[:]), 44)
	block, err := aes.NewCipher(okm[:32])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, okm[32:], box[25:], append([]byte{1}, "key_private.sealed:prv_1"...))
	if err != nil || string(plain) != "Suti" {
		t.Errorf("opened by hand: got %q, %v", plain, err)
	}
}

func FuzzOpen(f *testing.F) {
	k, aad := key(f, 0), envelope.Place("t", "c", "r")
	f.Add([]byte(nil), []byte("a"))
	f.Add([]byte{1}, []byte("a"))
	f.Add(envelope.Seal(k, []byte("x"), aad), aad)
	f.Add(envelope.Seal(k, nil, aad), aad)
	f.Add(envelope.Seal(k, nil, []byte("b")), aad)
	f.Fuzz(func(t *testing.T, box, aad []byte) {
		plain, err := envelope.Open(k, box, aad)
		if err != nil {
			if plain != nil {
				t.Error("plaintext beside an error")
			}
			return
		}
		var nonce [24]byte
		copy(nonce[:], box[1:25])
		if !bytes.Equal(envelope.SealWith(k, nonce, plain, aad), box) {
			t.Error("opened a box that does not seal back")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k, aad := key(b, 0), envelope.Place("t", "c", "r")
	for _, n := range []int{100, 1 << 20} {
		plain := make([]byte, n)
		b.Run(map[bool]string{true: "100B", false: "1MiB"}[n == 100], func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				envelope.Seal(k, plain, aad)
			}
		})
	}
}
