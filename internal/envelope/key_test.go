package envelope_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/envelope"
)

// key returns the key whose bytes count up from first.
func key(t testing.TB, first byte) envelope.Key {
	t.Helper()
	b := make([]byte, envelope.KeySize)
	for i := range b {
		b[i] = first + byte(i)
	}
	k, err := envelope.KeyFromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// holder is how other packages keep keys: in an unexported field.
type holder struct {
	name string
	k    envelope.Key
	list []envelope.Key
	m    map[string]envelope.Key
}

// TestKeyNeverShowsItsBytes prints a key in every way a careless caller might,
// and looks for the bytes in every notation they could take.
func TestKeyNeverShowsItsBytes(t *testing.T) {
	t.Parallel()
	k := key(t, 0xa7) // a7 a8 a9 …: 167 168 169
	h := holder{name: "x", k: k, list: []envelope.Key{k}, m: map[string]envelope.Key{"a": k}}
	exported := struct {
		Name string
		K    envelope.Key
		P    *envelope.Key
	}{"x", k, &k}
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%b", "%c", "%U", "%p", "%T", "%10.3v", "%!"} {
		for what, x := range map[string]any{
			"key": k, "pointer": &k, "slice": []envelope.Key{k}, "map": map[string]envelope.Key{"a": k},
			"holder": h, "holder pointer": &h, "exported": exported, "error": fmt.Errorf("a %v", k),
		} {
			out[what+" "+verb] = fmt.Sprintf(verb, x)
		}
	}
	out["string"] = k.String()
	for what, x := range map[string]any{"json key": k, "json exported": exported, "json holder": h} {
		b, err := json.Marshal(x)
		if err != nil {
			t.Fatal(err)
		}
		out[what] = string(b)
	}
	if b, err := xml.Marshal(exported); err == nil {
		out["xml"] = string(b)
	}
	var text, js bytes.Buffer
	for _, l := range []*slog.Logger{slog.New(slog.NewTextHandler(&text, nil)), slog.New(slog.NewJSONHandler(&js, nil))} {
		l.Info("m", "key", k, "pointer", &k, "slice", []envelope.Key{k}, "holder", h, "exported", exported, slog.Group("g", "k", k))
	}
	out["slog text"], out["slog json"] = text.String(), js.String()

	raw := k.Reveal()
	forms := []string{string(raw[:4]), hex.EncodeToString(raw[:4]), strings.ToUpper(hex.EncodeToString(raw[:4])),
		"a7 a8 a9", "A7 A8 A9", "167 168 169", "167, 168", "0xa7, 0xa8", "p6ip", "247 250 251", "10100111"}
	for what, s := range out {
		for _, f := range forms {
			if strings.Contains(s, f) {
				t.Errorf("%s: got %q, which holds %q", what, s, f)
			}
		}
	}
	if got := fmt.Sprintf("%v %s %#v %x", k, k, k, k); got != "[redacted] [redacted] [redacted] [redacted]" {
		t.Errorf("formats: got %q", got)
	}
}

func TestZeroAndWipedKeysDoNothing(t *testing.T) {
	t.Parallel()
	aad := envelope.Place("t", "c", "r")
	live := envelope.NewKey()
	box := envelope.Seal(live, []byte("x"), aad)
	wiped := live
	live.Wipe() // reaches the copy
	for name, k := range map[string]envelope.Key{"zero": {}, "wiped": wiped} {
		if !k.IsZero() || k.Equal(k) || k.Reveal() != nil {
			t.Errorf("%s: counts as a key", name)
		}
		if _, err := envelope.Open(k, box, aad); !errors.Is(err, envelope.ErrNoKey) {
			t.Errorf("%s: Open: got %v, want ErrNoKey", name, err)
		}
		for what, f := range map[string]func(){
			"Seal":        func() { envelope.Seal(k, nil, aad) },
			"Derive":      func() { envelope.Derive(k, "x") },
			"Fingerprint": func() { _ = k.Fingerprint() },
		} {
			if !panics(f) {
				t.Errorf("%s: %s did not panic", name, what)
			}
		}
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := envelope.KeyFromBytes(bytes.Repeat([]byte{1}, n)); !errors.Is(err, envelope.ErrNoKey) {
			t.Errorf("KeyFromBytes of %d: got %v, want ErrNoKey", n, err)
		}
	}
	if _, err := envelope.KeyFromBytes(make([]byte, 32)); !errors.Is(err, envelope.ErrNoKey) {
		t.Errorf("KeyFromBytes of zeros: got %v, want ErrNoKey", err)
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

// TestDeriveAgreesWithOpenSSL compares with a foreign HKDF.
func TestDeriveAgreesWithOpenSSL(t *testing.T) {
	t.Parallel()
	k := key(t, 0)
	for label, got := range map[string][]byte{
		"suti/derive/v1\x00audit": envelope.Derive(k, "audit").Reveal(),
		"suti/derive/v1\x00blob":  envelope.Derive(k, "blob").Reveal(),
	} {
		want := opensslExpand(t, k, label, 32)
		if !bytes.Equal(got, want) {
			t.Errorf("%q: got %x, want %x", label, got, want)
		}
	}
	if got, want := k.Fingerprint(), hex.EncodeToString(opensslExpand(t, k, "suti/fingerprint/v1", 16)); got != want {
		t.Errorf("Fingerprint: got %s, want %s", got, want)
	}
	if envelope.Derive(k, "a").Equal(envelope.Derive(k, "b")) || envelope.Derive(k, "a").Equal(envelope.Derive(key(t, 1), "a")) {
		t.Error("derived keys do not depend on label and key")
	}
	if !envelope.Derive(k, "a").Equal(envelope.Derive(k, "a")) {
		t.Error("Derive is not a function")
	}
}

// opensslExpand runs HKDF-Expand in the openssl command.
func opensslExpand(t *testing.T, k envelope.Key, info string, n int) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("openssl is required")
		}
		t.Skip("no openssl command")
	}
	out, err := exec.Command(path, "kdf", "-binary", "-keylen", fmt.Sprint(n), "-kdfopt", "digest:SHA256", "-kdfopt", "mode:EXPAND_ONLY",
		"-kdfopt", "hexkey:"+hex.EncodeToString(k.Reveal()), "-kdfopt", "hexinfo:"+hex.EncodeToString([]byte(info)), "HKDF").Output()
	if err != nil {
		t.Fatalf("openssl kdf: %v", err)
	}
	return out
}
