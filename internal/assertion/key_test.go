package assertion_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/softauthn"
)

// rsaCOSE encodes an RS256 key with the members given.
func rsaCOSE(n, e []byte) []byte {
	head := []byte{0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, byte(len(n) >> 8), byte(len(n))}
	return slices.Concat(head, n, []byte{0x21, byte(0x40 | len(e))}, e)
}

func okpCOSE(x []byte) []byte {
	return slices.Concat([]byte{0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 32}, x)
}

func goodKey(t *testing.T, alg softauthn.Alg) []byte {
	t.Helper()
	_, e := signed(t, alg, nil)
	return e.PublicKey
}

func TestParseKeyRefusesEC2(t *testing.T) {
	t.Parallel()
	good := goodKey(t, softauthn.ES256)
	// a5 | 01 02 | 03 26 | 20 01 | 21 58 20 x | 22 58 20 y
	x, y := good[10:42], good[45:]
	set := func(i int, v byte) []byte {
		out := bytes.Clone(good)
		out[i] = v
		return out
	}
	for name, tc := range map[string]struct {
		key  []byte
		want error
	}{
		"empty":              {nil, assertion.ErrKey},
		"not a map":          {[]byte{0x85}, assertion.ErrKey},
		"truncated":          {good[:len(good)-1], assertion.ErrKey},
		"bytes after":        {append(bytes.Clone(good), 0), assertion.ErrKey},
		"pair after":         {slices.Concat([]byte{0xa6}, good[1:], []byte{0x23, 0}), assertion.ErrKey},
		"wrong key type":     {set(2, 1), assertion.ErrKey},
		"ES384":              {slices.Concat(good[:4], []byte{0x38, 0x22}, good[5:]), assertion.ErrAlgorithm},
		"EdDSA on P-256":     {set(4, 0x27), assertion.ErrKey},
		"other curve":        {set(6, 2), assertion.ErrKey},
		"labels swapped":     {slices.Concat([]byte{0xa5, 3, 0x26, 1, 2}, good[5:]), assertion.ErrKey},
		"long form of kty":   {slices.Concat([]byte{0xa5, 1, 0x18, 2}, good[3:]), assertion.ErrKey},
		"off the curve":      {set(len(good)-1, good[len(good)-1]^1), assertion.ErrKey},
		"x of 31 bytes":      {slices.Concat(good[:8], []byte{0x58, 31}, x[1:], good[42:]), assertion.ErrKey},
		"x of 33 bytes":      {slices.Concat(good[:8], []byte{0x58, 33, 0}, x, good[42:]), assertion.ErrKey},
		"compressed y":       {slices.Concat(good[:43], []byte{0xf5}), assertion.ErrKey},
		"x twice":            {slices.Concat(good[:42], []byte{0x21, 0x58, 32}, y), assertion.ErrKey},
		"point at infinity":  {slices.Concat(good[:10], make([]byte, 32), good[42:45], make([]byte, 32)), assertion.ErrKey},
		"indefinite":         {slices.Concat([]byte{0xbf}, good[1:], []byte{0xff}), assertion.ErrKey},
		"x above the field":  {slices.Concat(good[:10], bytes.Repeat([]byte{0xff}, 32), good[42:]), assertion.ErrKey},
		"fully specified id": {set(4, 0x28), assertion.ErrAlgorithm},
		"oversized":          {make([]byte, assertion.MaxKeySize+1), assertion.ErrSize},
	} {
		if _, err := assertion.ParseKey(tc.key); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
	if _, err := assertion.ParseKey(good); err != nil {
		t.Errorf("good key: %v", err)
	}
}

func TestParseKeyRefusesOKP(t *testing.T) {
	t.Parallel()
	good := goodKey(t, softauthn.EdDSA)
	if _, err := assertion.ParseKey(good); err != nil {
		t.Fatalf("good key: %v", err)
	}
	x25519 := bytes.Clone(good)
	x25519[6] = 4
	for name, key := range map[string][]byte{
		"X25519":      x25519,
		"31 bytes":    slices.Concat(good[:9], []byte{31}, good[11:]),
		"bytes after": append(bytes.Clone(good), 0),
	} {
		if _, err := assertion.ParseKey(key); !errors.Is(err, assertion.ErrKey) {
			t.Errorf("%s: got %v, want ErrKey", name, err)
		}
	}
	// The encodings of points of small order, canonical and not.
	for _, h := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	} {
		x, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := assertion.ParseKey(okpCOSE(x)); !errors.Is(err, assertion.ErrKey) {
				t.Errorf("%x: got %v, want ErrKey", x, err)
			}
			x[31] |= 0x80
		}
	}
}

func TestParseKeyRefusesRSA(t *testing.T) {
	t.Parallel()
	modulus := func(bits uint) []byte { // odd, with the top bit set
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return n.Add(n, big.NewInt(12345)).Bytes()
	}
	e := []byte{1, 0, 1}
	for _, bits := range []uint{2048, 3072, 4096} {
		if _, err := assertion.ParseKey(rsaCOSE(modulus(bits), e)); err != nil {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	even := modulus(2048)
	even[255]--
	for name, key := range map[string][]byte{
		"1024 bits":       rsaCOSE(modulus(1024), e),
		"2047 bits":       rsaCOSE(modulus(2047), e),
		"4104 bits":       rsaCOSE(modulus(4104), e),
		"padded modulus":  rsaCOSE(append([]byte{0}, modulus(2048)...), e),
		"even modulus":    rsaCOSE(even, e),
		"exponent 1":      rsaCOSE(modulus(2048), []byte{1}),
		"exponent 3":      rsaCOSE(modulus(2048), []byte{3}),
		"padded exponent": rsaCOSE(modulus(2048), []byte{0, 1, 0, 1}),
		"empty modulus":   {0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x40, 0x21, 0x43, 1, 0, 1},
	} {
		if _, err := assertion.ParseKey(key); !errors.Is(err, assertion.ErrKey) {
			t.Errorf("%s: got %v, want ErrKey", name, err)
		}
	}
}

// TestOneEncodingOfAKey changes every byte around the coordinates: none may be
// free, so that the hash of an encoding can name the key.
func TestOneEncodingOfAKey(t *testing.T) {
	t.Parallel()
	for _, alg := range []softauthn.Alg{softauthn.ES256, softauthn.EdDSA} {
		good := goodKey(t, alg)
		if _, err := assertion.ParseKey(good); err != nil {
			t.Fatal(err)
		}
		frame := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
		if alg == softauthn.ES256 {
			frame = append(frame, 42, 43, 44)
		}
		for _, i := range frame {
			for v := range 256 {
				changed := bytes.Clone(good)
				changed[i] = byte(v)
				if bytes.Equal(changed, good) {
					continue
				}
				if _, err := assertion.ParseKey(changed); err == nil {
					t.Errorf("alg %d, byte %d = %#x: accepted", alg, i, v)
				}
			}
		}
	}
}
