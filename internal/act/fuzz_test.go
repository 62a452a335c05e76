package act

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
)

func readVectors(t testing.TB, name string) vectorFile {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var f vectorFile
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestVectorsStandAlone rebuilds the bytes from the fields in the files, with
// nothing but the rule of docs/acts.md: tag, zero, then length and value of each.
func TestVectorsStandAlone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"signing.json", "acts.json"} {
		f := readVectors(t, name)
		if len(f.Vectors) == 0 {
			t.Errorf("%s: no vectors", name)
		}
		for _, v := range f.Vectors {
			b := append([]byte(v.Tag), 0)
			for _, field := range v.Fields {
				value := unhex(t, field.Hex)
				b = append(binary.BigEndian.AppendUint32(b, uint32(len(value))), value...)
			}
			if hex.EncodeToString(b) != v.Bytes {
				t.Errorf("%s, %s: the fields do not give the bytes", name, v.Name)
			}
		}
	}
}

// TestEveryByteCounts changes every byte of every vector: each change must
// give another value or none, never the same one.
func TestEveryByteCounts(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"signing.json", "acts.json"} {
		for _, v := range readVectors(t, name).Vectors {
			raw := unhex(t, v.Bytes)
			for i := range raw {
				changed := bytes.Clone(raw)
				changed[i] ^= 0x01
				back, ok := reencode(changed)
				if ok && !bytes.Equal(back, changed) {
					t.Fatalf("%s, %s: byte %d: accepted in a form that is not canonical", name, v.Name, i)
				}
			}
		}
	}
}

// reencode parses any format of this package and encodes what it found.
func reencode(raw []byte) ([]byte, bool) {
	if a, err := ParseActivation(raw); err == nil {
		out, err := a.Preimage()
		return out, err == nil
	}
	if st, err := ParseStatement(raw); err == nil {
		out, err := st.Encode()
		return out, err == nil
	}
	if s, err := Parse(raw); err == nil {
		out, err := s.Marshal()
		return out, err == nil
	}
	return nil, false
}

func TestDecodersBoundSizes(t *testing.T) {
	t.Parallel()
	big := func(tag string, n int) []byte { return append(append([]byte(tag), 0), make([]byte, n)...) }
	if _, err := ParseActivation(big(TagSigning, MaxPreimage)); !errors.Is(err, ErrSize) {
		t.Errorf("activation: got %v", err)
	}
	if _, err := ParseActivation(big(TagHashSigning, MaxPreimage)); !errors.Is(err, ErrSize) {
		t.Errorf("hash activation: got %v", err)
	}
	if _, err := ParseStatement(big(TagAct, MaxStatement)); !errors.Is(err, ErrSize) {
		t.Errorf("statement: got %v", err)
	}
	if _, err := Parse(big(TagSigned, MaxSigned)); !errors.Is(err, ErrSize) {
		t.Errorf("signed act: got %v", err)
	}
	if _, err := build(Hash{}, make([]*Signed, MaxActs+1), rules{}, nil); !errors.Is(err, ErrSize) {
		t.Errorf("chain: got %v", err)
	}
}

func FuzzParseActivation(f *testing.F) {
	for _, v := range readVectors(f, "signing.json").Vectors {
		f.Add(unhex(f, v.Bytes))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := ParseActivation(raw)
		if err != nil {
			if Code(err) == "internal" {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if out, err := a.Preimage(); err != nil || !bytes.Equal(out, raw) {
			t.Errorf("not canonical: %v", err)
		}
	})
}

func FuzzParseStatement(f *testing.F) {
	for _, v := range readVectors(f, "acts.json").Vectors {
		f.Add(unhex(f, v.Bytes))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		st, err := ParseStatement(raw)
		if err != nil {
			if Code(err) == "internal" {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if out, err := st.Encode(); err != nil || !bytes.Equal(out, raw) {
			t.Errorf("not canonical: %v", err)
		}
	})
}

func FuzzParseSigned(f *testing.F) {
	w := newWorld(f)
	w.enrol(10, "maria", 2)
	for _, s := range w.acts {
		raw, err := s.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	good := w.acts
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Parse(raw)
		if err != nil {
			if Code(err) == "internal" {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if out, err := s.Marshal(); err != nil || !bytes.Equal(out, raw) {
			t.Errorf("not canonical: %v", err)
		}
		// Whatever it is, the chain copes with it and no new key comes of it.
		c, err := Build(good[0].Hash(), append(good[:len(good):len(good)], s))
		if err != nil {
			t.Fatalf("build: %v", err)
		}
		if len(c.keys) != 4 {
			t.Errorf("got %d keys, want 4", len(c.keys))
		}
	})
}
