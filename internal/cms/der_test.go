package cms

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestDERCheck(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want error
	}{
		{"0500", nil},
		{"3000", nil},
		{"0101ff", nil},
		{"020100", nil},
		{"0202ff7f", nil},
		{"03020780", nil},
		{"030100", nil},
		{"06032a0304", nil},
		{"30050201010500", nil},
		{"9f1f00", nil},
		{"bf8148020500", nil},
		{"8100", nil},

		{"", ErrTruncated},
		{"05", ErrTruncated},
		{"0501", ErrTruncated},
		{"1f", ErrTruncated},
		{"9f81", ErrTruncated},
		{"3003020100ff", ErrTrailingData},
		{"3004020100", ErrTruncated},
		{"30800500" + "0000", ErrNotDER},
		{"0480", ErrNotBER},
		{"04ff", ErrNotBER},
		{"050000", ErrTrailingData},
		{"048101aa", ErrNotDER},
		{"04820080" + hexOf(0x80), ErrNotDER},
		{"0500" + "00", ErrTrailingData},
		{"0000", ErrNotDER},
		{"010101", ErrNotDER},
		{"0100", ErrNotDER},
		{"0200", ErrNotDER},
		{"02020001", ErrNotDER},
		{"0202ff80", ErrNotDER},
		{"0300", ErrNotDER},
		{"030108", ErrNotDER},
		{"030101", ErrNotDER},
		{"03020781", ErrNotDER},
		{"050100", ErrNotDER},
		{"0600", ErrNotDER},
		{"060180", ErrNotDER},
		{"06032a8001", ErrNotDER},
		{"06022a83", ErrNotDER},
		{"1000", ErrNotDER},
		{"1100", ErrNotDER},
		{"2403040100", ErrNotDER},
		{"2c020c00", ErrNotDER},
		{"9f1e00", ErrNotDER},
		{"9f801f00", ErrNotDER},
		{"9fffffffff7f00", ErrTooLarge},
	} {
		if err := DERCheck(unhex(t, tt.in), MaxSize, MaxDepth); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.in, err, tt.want)
		}
	}
	nested := func(n int) []byte {
		b := []byte{5, 0}
		for range n {
			b = append([]byte{0x30, byte(len(b))}, b...)
		}
		return b
	}
	if err := DERCheck(nested(5), 100, 5); err != nil {
		t.Errorf("five levels of five: %v", err)
	}
	if err := DERCheck(nested(6), 100, 5); !errors.Is(err, ErrTooDeep) {
		t.Errorf("six levels of five: %v, want ErrTooDeep", err)
	}
	if err := DERCheck(nested(5), 11, 5); !errors.Is(err, ErrTooLarge) {
		t.Errorf("12 octets of 11: %v, want ErrTooLarge", err)
	}
}

func hexOf(n int) string { return hex.EncodeToString(make([]byte, n)) }

func TestNormalizeBER(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, want string
		err            error
	}{
		{"DER stays", "30050201010500", "30050201010500", nil},
		{"indefinite", "30800201010000", "3003020101", nil},
		{"indefinite in indefinite", "308030800201010000" + "0000", "30053003020101", nil},
		{"indefinite in definite", "3007308002010100" + "00", "30053003020101", nil},
		{"context tag", "a0800201010000", "a003020101", nil},
		{"long tag", "bf81488005000000", "bf8148020500", nil},
		{"long length", "3082000302" + "0101", "3003020101", nil},
		{"longer length", "30840000000302" + "0101", "3003020101", nil},
		{"length over four octets", "3088000000000000000302" + "0101", "3003020101", nil},
		{"true is not FF", "010101", "0101ff", nil},
		{"octet string in segments", "24800402aabb0401cc0000", "0403aabbcc", nil},
		{"octet string in definite segments", "24070402aabb0401cc", "0403aabbcc", nil},
		{"segments within segments", "248024800401aa00000401bb0000", "0402aabb", nil},
		{"text of octet strings", "2c8004016100" + "00", "0c0161", nil},
		{"no segments", "24800000", "0400", nil},
		{"implicit string is left constructed", "a0800401aa0000", "a00304" + "01aa", nil},

		{"end of contents alone", "0000", "", ErrNotBER},
		{"end of contents in definite", "30020000", "", ErrNotBER},
		{"no end of contents", "3080020101", "", ErrTruncated},
		{"segment of another type", "24800201010000", "", ErrNotBER},
		{"bit string in segments", "2380030200aa0000", "", ErrNotBER},
		{"integer not minimal", "02020001", "", ErrNotDER},
		{"after the end", "3080000000", "", ErrTrailingData},
		{"element across its parent", "3003040201" + "02", "", ErrTruncated},
	} {
		got, err := NormalizeBER(unhex(t, tt.in), MaxSize, MaxDepth)
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if err == nil && hex.EncodeToString(got) != tt.want {
			t.Errorf("%s: %x, want %s", tt.name, got, tt.want)
		}
	}
	// Definite lengths may need more octets than the indefinite form: the output is bounded too.
	in := append(append([]byte{0x30, 0x80, 0x04, 0x83, 0x01, 0x00, 0x00}, make([]byte, 65536)...), 0, 0)
	if _, err := NormalizeBER(in, len(in), MaxDepth); !errors.Is(err, ErrTooLarge) {
		t.Errorf("output over the limit: %v, want ErrTooLarge", err)
	}
	if _, err := NormalizeBER(in, len(in)+1, MaxDepth); err != nil {
		t.Errorf("output at the limit: %v", err)
	}
}

func TestTrimZeroPadding(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, want string
		err      error
	}{
		{"3003020101", "3003020101", nil},
		{"3003020101" + hexOf(100), "3003020101", nil},
		{"3003020100" + hexOf(3), "3003020100", nil},
		{"30800201000000" + hexOf(5), "30800201000000", nil},
		{"3003020101000001", "", ErrTrailingData},
		{"3005020101", "", ErrTruncated},
		{"3080020101", "", ErrTruncated},
		{"", "", ErrTruncated},
		{hexOf(50), "", ErrTruncated},
	} {
		got, err := TrimZeroPadding(unhex(t, tt.in))
		if !errors.Is(err, tt.err) || hex.EncodeToString(got) != tt.want {
			t.Errorf("%s: %x, %v; want %s, %v", tt.in, got, err, tt.want, tt.err)
		}
	}
	if _, err := TrimZeroPadding(bytes.Repeat([]byte{0x30, 0x80}, 5000)); !errors.Is(err, ErrTooDeep) {
		t.Errorf("nested: %v, want ErrTooDeep", err)
	}
}

// TestBERSignatureKeepsItsSignature writes one of our signatures again with
// indefinite lengths everywhere outside certificates and signed attributes.
func TestBERSignatureKeepsItsSignature(t *testing.T) {
	t.Parallel()
	id := who(t, "p256")
	der := signDetached(t, id, Params{}, AssembleOptions{})
	ber := toIndefinite(t, der, 4)
	if bytes.Equal(ber, der) {
		t.Fatal("nothing became indefinite")
	}
	back, err := NormalizeBER(ber, MaxSize, MaxDepth)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back, der) {
		t.Error("normalising does not give the original back")
	}
	// Every constructed element, the signed attributes included.
	sd, err := ParseBER(toIndefinite(t, der, MaxDepth))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sd.Verify(VerifyOptions{Digest: digestOf(sd.Signer.DigestAlgorithm, document), Profile: ProfilePAdES}); err != nil {
		t.Error(err)
	}
}

// toIndefinite rewrites constructed elements of the first levels.
func toIndefinite(tb testing.TB, b []byte, levels int) []byte {
	tb.Helper()
	var out []byte
	for len(b) > 0 {
		h, err := readHeader(b)
		if err != nil {
			tb.Fatal(err)
		}
		body := b[h.hdr : h.hdr+h.body]
		if h.constructed && levels > 0 && h.number < 31 {
			out = append(out, b[0], 0x80)
			out = append(out, toIndefinite(tb, body, levels-1)...)
			out = append(out, 0, 0)
		} else {
			out = append(out, b[:h.hdr+h.body]...)
		}
		b = b[h.hdr+h.body:]
	}
	return out
}
