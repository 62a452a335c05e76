package envelope_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"oruro.gob.bo/suti/internal/envelope"
)

// TestFileTamper changes each byte of a file; nothing opens, nothing panics,
// and no change of the costs makes the opening dearer than the bounds.
func TestFileTamper(t *testing.T) {
	t.Parallel()
	path, _ := create(t, envelope.FileConfig{Created: created})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	try := func(name string, b []byte, want ...error) {
		t.Helper()
		p := filepath.Join(t.TempDir(), "k")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := envelope.OpenFile(p, passphrase)
		if err == nil || !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, r := range [][2]string{
		{"m=8192", "m=8193"}, {"m=8192", "m=16384"}, {"t=1", "t=2"}, {"p=1", "p=2"},
		{"12:00:00", "12:00:01"}, {"box A", "box B"},
	} {
		b := bytes.Replace(good, []byte(r[0]), []byte(r[1]), 1)
		if bytes.Equal(b, good) {
			t.Fatalf("%q is not in the file", r[0])
		}
		try(r[1], b, envelope.ErrPassphrase, envelope.ErrVersion)
	}
	for _, r := range [][2]string{
		{"m=8192", "m=1048577"}, {"m=8192", "m=4294967295"}, {"m=8192", "m=8191"}, {"t=1", "t=17"}, {"t=1", "t=0"}, {"p=1", "p=0"}, {"p=1", "p=255"},
	} {
		try(r[1], bytes.Replace(good, []byte(r[0]), []byte(r[1]), 1), envelope.ErrParameters)
	}
	for _, r := range [][2]string{
		{"m=8192", "m=08192"}, {"m=8192", "m=+8192"}, {"m=8192", "m=4294967296"}, {"p=1", "p=256"}, {"\n", "\r\n"}, {"Z\n", "+00:00\n"},
		{"suti-keyfile 1", "suti-keyfile 2"}, {"purpose node", "purpose  node"}, {" p=1", ""}, {"12:00:00Z", "12:00:00.0Z"}, {"argon2id", "argon2i"},
	} {
		try(fmt.Sprintf("%q", r[1]), bytes.Replace(good, []byte(r[0]), []byte(r[1]), 1), envelope.ErrFormat)
	}
	try("other purpose", bytes.Replace(good, []byte("purpose node"), []byte("purpose mode"), 1), envelope.ErrPurpose)
	try("empty", nil, envelope.ErrFormat)
	try("cut", good[:len(good)-1], envelope.ErrFormat)
	try("more", append(bytes.Clone(good), '\n'), envelope.ErrFormat)
	try("long", append(bytes.Clone(good), bytes.Repeat([]byte{'A'}, 4096)...), envelope.ErrFormat)
	try("padded", append(bytes.Clone(good[:len(good)-1]), "==\n"...), envelope.ErrFormat)
}

// Test vector of docs/design/0004, section "Key file": the default costs.
const fileVector = "suti-keyfile 1\npurpose node\ncreated 2026-11-24T12:00:00Z\n" +
	"argon2id m=65536 t=3 p=4 salt=AAECAwQFBgcICQoLDA0ODw\n" +
	"box AQABAgMEBQYHCAkKCwwNDg8QERITFBUWF1IBa/35EZ8pMZWb7bdkjIndKxsPVR//XY20JdioacTw0lkSIML8dY2QQvPvNqQPwaqqMUzac81NHMKbOdZM3Bg1IJ9V1VFcXT7l/h27MjNwZSIpYf4Ink3XN+c+EmoJl9IBILYo2sah/fPhLowsrbK4\n"

func TestFileVector(t *testing.T) {
	t.Parallel()
	var salt [16]byte
	var nonce [24]byte
	for i := range nonce {
		nonce[i] = byte(i)
	}
	copy(salt[:], nonce[:])
	got := envelope.SealFileWith([]byte("correct horse battery staple"), envelope.Params{MemoryKiB: 65536, Time: 3, Threads: 4}, created,
		salt, nonce, "nod_00000000000000000000000000", 0x01, key(t, 0x20), key(t, 0x40))
	if string(got) != fileVector {
		t.Errorf("got\n%s\nwant\n%s", got, fileVector)
	}
	path := filepath.Join(t.TempDir(), "k")
	if err := os.WriteFile(path, []byte(fileVector), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := envelope.OpenFile(path, []byte("correct horse battery staple"))
	if err != nil {
		t.Fatal(err)
	}
	if !f.KEK().Equal(key(t, 0x40)) || f.NodeID != "nod_00000000000000000000000000" || f.SerialPrefix != 1 ||
		!bytes.Equal(f.NodeKey().Seed(), key(t, 0x20).Reveal()) {
		t.Error("the vector opens to something else")
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add([]byte(fileVector))
	f.Add([]byte("suti-keyfile 1\npurpose a\ncreated 0001-01-01T00:00:00Z\nargon2id m=0 t=0 p=0 salt=\nbox \n"))
	f.Add([]byte("suti-keyfile 1\n\n\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, box, err := envelope.ParseHeader(b)
		if err != nil {
			return
		}
		if h.Params.MemoryKiB > envelope.MaxMemoryKiB || h.Params.Time > envelope.MaxTime || h.Params.Threads > envelope.MaxThreads || h.Params.Threads == 0 {
			t.Errorf("costs out of bounds: %+v", h.Params)
		}
		if again := envelope.EncodeHeader(h, box); !bytes.Equal(again, b) {
			t.Errorf("two spellings of one file:\n%q\n%q", b, again)
		}
	})
}

func FuzzParsePayload(f *testing.F) {
	_, file := create(f, envelope.FileConfig{})
	f.Add(envelope.EncodePayload(file))
	f.Add([]byte{1})
	f.Add(bytes.Repeat([]byte{1}, 97))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := envelope.ParsePayload(b)
		if err == nil && !bytes.Equal(envelope.EncodePayload(p), b) {
			t.Error("accepted a payload that encodes otherwise")
		}
	})
}

// TestVectorsAreInTheNote keeps the document and the tests from drifting apart.
func TestVectorsAreInTheNote(t *testing.T) {
	t.Parallel()
	note, err := os.ReadFile(filepath.Join("..", "..", "docs", "design", "0004-keystore-and-envelope.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(note, []byte(fileVector)) {
		t.Error("the key file of the note is not the vector")
	}
	if !bytes.Contains(bytes.ReplaceAll(note, []byte("\n"), nil), []byte(boxVector)) {
		t.Error("the box of the note is not the vector")
	}
}
