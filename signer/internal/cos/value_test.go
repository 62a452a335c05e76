package cos_test

import (
	"errors"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
)

func parse(t *testing.T, s string) cos.Value {
	t.Helper()
	v, _, err := cos.ParseValue([]byte(s), cos.Limits{})
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return v
}

func TestStringsAndNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"(a(b)c)":              "a(b)c",
		`(\n\r\t\b\f\(\)\\)`:   "\n\r\t\b\f()\\",
		`(\101\7\1234\x)`:      "A\x07S4x",
		"(a\r\nb\rc\nd)":       "a\nb\nc\nd",
		"(a\\\r\nb\\\nc\\\rd)": "abcd",
		"<48 65\n6c6C 6>":      "Hell`",
		"<>":                   "",
		"()":                   "",
	} {
		if got, ok := parse(t, in).Text(); !ok || got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"/A#42c": "ABc", "/": "", "/A#": "A#", "/A#4": "A#4", "/A#zz": "A#zz", "/#2F": "/"} {
		if got := parse(t, in); got.Kind() != cos.Name || got.Name() != want {
			t.Errorf("%q: got %q, want %q", in, got.Name(), want)
		}
	}
}

func TestNumbersAndReferences(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]float64{"0": 0, "+17": 17, "-98": -98, "34.5": 34.5, "-.002": -.002, "4.": 4, "99999999999999999999": 1e20} {
		if got, ok := parse(t, in).Number(); !ok || got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
	v := parse(t, "[1 0 R 2 3 R%x\n 4 5]")
	if v.Len() != 4 {
		t.Fatalf("%d elements", v.Len())
	}
	if r, ok := v.Elem(1).Ref(); !ok || r != (cos.Ref{Num: 2, Gen: 3}) {
		t.Errorf("got %v", r)
	}
	if r, ok := parse(t, "12 0 R").Ref(); !ok || r.Num != 12 {
		t.Errorf("top-level reference: %v", r)
	}
	for _, in := range []string{"--1", "1-2", "1.2.3", "+", ".", "1e5", "[R]", "[1 R]", "[-1 0 R]", "[1 70000 R]", "<</A>>", "<<1 2>>", "[}", "(", "<4g>", "]", ">>", "bad", "<</A [>>]"} {
		if _, _, err := cos.ParseValue([]byte(in), cos.Limits{}); !errors.Is(err, cos.ErrDamaged) {
			t.Errorf("%q: got %v, want ErrDamaged", in, err)
		}
	}
}

func TestEqualIgnoresHowValuesAreWritten(t *testing.T) {
	t.Parallel()
	for _, p := range [][2]string{
		{"<</A 1/B[2 0 R (x)]>>", "<< /B [ 2 0 R <78> ] % c\n /#41 1.0 >>"},
		{"null", "null"},
	} {
		if !cos.Equal(parse(t, p[0]), parse(t, p[1])) {
			t.Errorf("%q and %q differ", p[0], p[1])
		}
	}
	for _, p := range [][2]string{
		{"<</A 1>>", "<</A 2>>"}, {"<</A 1>>", "<</B 1>>"}, {"<</A 1>>", "<</A 1/B 1>>"}, {"[1 2]", "[2 1]"}, {"[1]", "1"},
		{"(a)", "/a"}, {"1 0 R", "1 1 R"}, {"true", "false"}, {"<</A 1/A 1>>", "<</A 1/B 1>>"}, {"<</A null>>", "<</B null>>"},
	} {
		if cos.Equal(parse(t, p[0]), parse(t, p[1])) {
			t.Errorf("%q and %q are equal", p[0], p[1])
		}
	}
}

func TestDuplicateKeysAreFoundAtAnyDepth(t *testing.T) {
	t.Parallel()
	if k, ok := parse(t, "<</A [<</B 1/#42 2>>]>>").Duplicate(); !ok || k != "B" {
		t.Errorf("got %q, %v", k, ok)
	}
	if k, ok := parse(t, "<</A [<</B 1>> <</B 2>>]>>").Duplicate(); ok {
		t.Errorf("got %q", k)
	}
}
