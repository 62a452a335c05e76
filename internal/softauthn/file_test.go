package softauthn_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/softauthn"
)

func decodeB64(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

// stream is a fixed sequence of bytes.
type stream struct{ next byte }

func (s *stream) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = s.next
		s.next++
	}
	return len(p), nil
}

func TestSaveAndLoadKeepEverything(t *testing.T) {
	t.Parallel()
	w := relyingParty(t)
	a := softauthn.New(softauthn.Config{AAGUID: [16]byte{9}})
	u := &account{handle: []byte("u")}
	if err := register(w, u, a); err != nil {
		t.Fatal(err)
	}
	if _, err := login(w, u, a); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "passkeys.json")
	if err := a.Save(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("got mode %v, %v; want 0600", info.Mode(), err)
	}
	b, err := softauthn.Load(path, softauthn.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b.Credentials(), a.Credentials()); d != "" {
		t.Errorf("credentials differ (-got +want):\n%s", d)
	}
	got, err := login(w, u, b)
	if err != nil || got.Authenticator.SignCount != 2 {
		t.Errorf("login after load: got %+v, %v; want counter 2", got, err)
	}
}

func TestFixedRandomnessReproducesEveryByte(t *testing.T) {
	t.Parallel()
	options := []byte(`{"rp":{"id":"id.example.org"},"user":{"id":"AQI","name":"n","displayName":"d"},"challenge":"AAECAwQFBgcICQoLDA0ODw","pubKeyCredParams":[{"type":"public-key","alg":-7}]}`)
	var first []byte
	for range 2 {
		a := softauthn.New(softauthn.Config{Rand: &stream{next: 1}})
		created, err := a.Create(origin, options)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Get(origin, []byte(`{"challenge":"AAECAwQFBgcICQoLDA0ODw","rpId":"id.example.org"}`))
		if err != nil {
			t.Fatal(err)
		}
		all := append(created, got...)
		if first != nil && !bytes.Equal(first, all) {
			t.Error("two runs with the same randomness differ")
		}
		first = all
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	a := softauthn.New(softauthn.Config{})
	if _, err := a.NewCredential(rpID, []byte("u")); err != nil {
		t.Fatal(err)
	}
	good, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := softauthn.Unmarshal(good, softauthn.Config{}); err != nil {
		t.Fatalf("good file: %v", err)
	}
	change := func(from, to string) []byte {
		out := strings.Replace(string(good), from, to, 1)
		if out == string(good) {
			t.Fatalf("%q is not in the file", from)
		}
		return []byte(out)
	}
	for name, raw := range map[string][]byte{
		"empty":            nil,
		"other format":     change("file/v1", "file/v2"),
		"unknown member":   change(`"alg"`, `"algo"`),
		"unknown alg":      change(`"alg": -7`, `"alg": -257`),
		"short key":        change(`"private_key": "`, `"private_key": "AA`),
		"no rp":            change(`"rp_id": "id.example.org"`, `"rp_id": ""`),
		"aaguid":           change(`"aaguid": "00`, `"aaguid": "`),
		"scalar zero":      bytes.Replace(good, secretOf(t, good), []byte(strings.Repeat("A", 43)), 1),
		"scalar too large": bytes.Replace(good, secretOf(t, good), []byte(strings.Repeat("_", 42)+"8"), 1),
	} {
		if _, err := softauthn.Unmarshal(raw, softauthn.Config{}); err == nil || !errors.Is(err, softauthn.ErrFile) && !errors.Is(err, softauthn.ErrNotSupported) {
			t.Errorf("%s: got %v, want ErrFile", name, err)
		}
	}
}

func secretOf(t *testing.T, file []byte) []byte {
	t.Helper()
	_, rest, ok := bytes.Cut(file, []byte(`"private_key": "`))
	if !ok {
		t.Fatal("no private key in the file")
	}
	return rest[:bytes.IndexByte(rest, '"')]
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte(`{"publicKey":{"rp":{"id":"id.example.org"},"user":{"id":"AQI"},"challenge":"AAAA","pubKeyCredParams":[]}}`))
	f.Add([]byte(`{"challenge":"AAAA","rpId":"example.org","allowCredentials":[{"id":"AA","type":"public-key"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a := softauthn.New(softauthn.Config{Rand: &stream{}})
		_, _ = a.Create(origin, raw)
		_, _ = a.Get(origin, raw)
	})
}
