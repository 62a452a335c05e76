package audit

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

func testMark(t testing.TB, size int64) *highWater {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	cp := logverify.Checkpoint{Origin: "suti.example/log", Tree: logverify.Tree{Size: size, Root: logverify.Hash{1}}}
	note, err := logverify.SignCheckpoint(cp, key)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := logverify.VerifierKey(cp.Origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return &highWater{vkey: vkey, note: note, cp: cp}
}

func TestHighWaterRoundTrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mark")
	if m, err := readHighWater(path); m != nil || err != nil {
		t.Fatalf("no file: got %+v, %v", m, err)
	}
	for _, size := range []int64{1, 2} { // the second replaces the first
		want := testMark(t, size)
		if err := want.write(path); err != nil {
			t.Fatal(err)
		}
		got, err := readHighWater(path)
		if err != nil || got.cp != want.cp || got.vkey != want.vkey || !bytes.Equal(got.note, want.note) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
}

func FuzzParseHighWater(f *testing.F) {
	m := testMark(f, 7)
	f.Add([]byte(highWaterTag + "\n" + m.vkey + "\n\n" + string(m.note)))
	f.Add([]byte(highWaterTag + "\n\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseHighWater(b)
		if err == nil && !bytes.Equal([]byte(highWaterTag+"\n"+m.vkey+"\n\n"+string(m.note)), b) {
			t.Fatalf("accepted %q as %+v", b, m)
		}
	})
}
