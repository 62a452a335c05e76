package logverify_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

const origin = "suti.example/log"

func key(n byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, 32)) }

func vkey(t testing.TB, n byte) string {
	t.Helper()
	v, err := logverify.VerifierKey(origin, key(n).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(t testing.TB, tree logverify.Tree) []byte {
	t.Helper()
	b, err := logverify.SignCheckpoint(logverify.Checkpoint{Origin: origin, Tree: tree}, key(1))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testTree holds all stored hashes of a counting tree, for x/mod's provers.
type testTree struct{ stored []tlog.Hash }

func (r *testTree) ReadHashes(ix []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(ix))
	for i, x := range ix {
		out[i] = r.stored[x]
	}
	return out, nil
}

func newTestTree(t testing.TB, size int) *testTree {
	t.Helper()
	r := &testTree{}
	for i := range size {
		hs, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(counting(i)), r)
		if err != nil {
			t.Fatal(err)
		}
		r.stored = append(r.stored, hs...)
	}
	return r
}

func (r *testTree) tree(t testing.TB, size int64) logverify.Tree {
	t.Helper()
	h, err := tlog.TreeHash(size, r)
	if err != nil {
		t.Fatal(err)
	}
	return logverify.Tree{Size: size, Root: logverify.Hash(h)}
}

func (r *testTree) inclusion(t testing.TB, size, index int64) logverify.Proof {
	t.Helper()
	p, err := tlog.ProveRecord(size, index, r)
	if err != nil {
		t.Fatal(err)
	}
	return logverify.Proof{Index: index, Hashes: hashes(p), Checkpoint: sign(t, r.tree(t, size))}
}

func hashes(in []tlog.Hash) []logverify.Hash {
	var out []logverify.Hash
	for _, h := range in {
		out = append(out, logverify.Hash(h))
	}
	return out
}

func TestCheckpointRoundTrip(t *testing.T) {
	t.Parallel()
	for _, tree := range []logverify.Tree{{Root: logverify.EmptyRoot()}, {Size: 1, Root: logverify.Hash{1}}, {Size: logverify.MaxSize}} {
		signed := sign(t, tree)
		got, err := logverify.VerifyCheckpoint(signed, vkey(t, 1))
		want := logverify.Checkpoint{Origin: origin, Tree: tree}
		if err != nil || got != want {
			t.Errorf("size %d: got %+v, %v, want %+v", tree.Size, got, err, want)
		}
		if _, err := logverify.VerifyCheckpoint(signed, vkey(t, 2)); !errors.Is(err, logverify.ErrSignature) {
			t.Errorf("size %d, other key: got %v, want ErrSignature", tree.Size, err)
		}
	}
}

// TestCheckpointVerifiesWithOpenSSL lets another implementation check the
// signature over the note's text (C2SP signed-note: Ed25519, RFC 8032).
func TestCheckpointVerifiesWithOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("openssl is required and not installed")
		}
		t.Skip("openssl is not installed")
	}
	signed := sign(t, logverify.Tree{Size: 3, Root: logverify.Hash{3}})
	text, line, ok := bytes.Cut(signed, []byte("\n\n"))
	if !ok {
		t.Fatalf("no signature block in %q", signed)
	}
	f := strings.Fields(string(line))
	if len(f) != 3 || f[0] != "—" || f[1] != origin {
		t.Fatalf("signature line %q", line)
	}
	sig, err := base64.StdEncoding.DecodeString(f[2])
	if err != nil || len(sig) != 4+ed25519.SignatureSize {
		t.Fatalf("signature %q: %v", f[2], err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key(1).Public())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{
		"text": append(text, '\n'), "sig": sig[4:], "pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(openssl, "pkeyutl", "-verify", "-rawin", "-in", "text", "-sigfile", "sig", "-pubin", "-inkey", "pub")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v: %s", err, out)
	}
}

// TestVerifierKeyExample checks the example of C2SP signed-note.
func TestVerifierKeyExample(t *testing.T) {
	t.Parallel()
	const example = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
	got, err := logverify.CheckVerifierKey(example)
	if err != nil || got != "example.com/foo" {
		t.Fatalf("got %q, %v", got, err)
	}
	raw, err := base64.StdEncoding.DecodeString(example[strings.LastIndex(example, "+")+1:])
	if err != nil {
		t.Fatal(err)
	}
	if got, err := logverify.VerifierKey("example.com/foo", raw[1:]); err != nil || got != example {
		t.Errorf("VerifierKey: got %q, %v, want %q", got, err, example)
	}
	for _, bad := range []string{"", "example.com/foo", example[:len(example)-4], "x" + example, strings.Repeat("a", 400), strings.Replace(example, "53", "54", 1)} {
		if _, err := logverify.CheckVerifierKey(bad); !errors.Is(err, logverify.ErrVerifierKey) {
			t.Errorf("%q: got %v, want ErrVerifierKey", bad, err)
		}
	}
}

func TestVerifyCheckpointRefuses(t *testing.T) {
	t.Parallel()
	good := string(sign(t, logverify.Tree{Size: 5, Root: logverify.Hash{5}}))
	resign := func(text string) string {
		// A note that the right key signed, whatever its text.
		return string(signNote(t, text))
	}
	root := logverify.Hash{5}.String()
	for name, c := range map[string]struct {
		note string
		want error
	}{
		"size raised":        {strings.Replace(good, "\n5\n", "\n6\n", 1), logverify.ErrSignature},
		"root changed":       {strings.Replace(good, root, logverify.Hash{6}.String(), 1), logverify.ErrSignature},
		"no signature":       {good[:strings.Index(good, "\n\n")+2], logverify.ErrCheckpoint},
		"empty":              {"", logverify.ErrCheckpoint},
		"too long":           {strings.Repeat("a", logverify.MaxCheckpoint+1), logverify.ErrCheckpoint},
		"extension line":     {resign(origin + "\n5\n" + root + "\nmore\n"), logverify.ErrCheckpoint},
		"other origin":       {resign("other.example/log\n5\n" + root + "\n"), logverify.ErrCheckpoint},
		"leading zero":       {resign(origin + "\n05\n" + root + "\n"), logverify.ErrCheckpoint},
		"beyond the limit":   {resign(origin + "\n281474976710657\n" + root + "\n"), logverify.ErrCheckpoint},
		"short root":         {resign(origin + "\n5\nAAAA\n"), logverify.ErrCheckpoint},
		"root of empty tree": {resign(origin + "\n0\n" + root + "\n"), logverify.ErrCheckpoint},
		"two lines":          {resign(origin + "\n5\n"), logverify.ErrCheckpoint},
	} {
		if got, err := logverify.VerifyCheckpoint([]byte(c.note), vkey(t, 1)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", name, got, err, c.want)
		}
	}
	cosigned := good + "— witness.example AAAAAAAAAAAA\n"
	if _, err := logverify.VerifyCheckpoint([]byte(cosigned), vkey(t, 1)); err != nil {
		t.Errorf("with a witness's line: %v, want it ignored", err)
	}
}

func TestInclusionProofs(t *testing.T) {
	t.Parallel()
	r := newTestTree(t, 600)
	for _, size := range []int64{1, 2, 3, 7, 8, 255, 256, 257, 600} {
		for _, index := range []int64{0, 1, size / 2, size - 2, size - 1} {
			if index < 0 || index >= size {
				continue
			}
			p := r.inclusion(t, size, index)
			text, err := p.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			back, err := logverify.ParseProof(text)
			if diff := cmp.Diff(back, p); diff != "" || err != nil {
				t.Fatalf("round trip: %v (-got +want):\n%s", err, diff)
			}
			leaf := []byte(decimal(index))
			if c, err := logverify.VerifyInclusion(back, leaf, vkey(t, 1)); err != nil || c.Size != size {
				t.Errorf("%d in %d: %+v, %v", index, size, c, err)
			}
			if _, err := logverify.VerifyInclusion(back, append(leaf, 'x'), vkey(t, 1)); !errors.Is(err, logverify.ErrNotIncluded) {
				t.Errorf("%d in %d, other leaf: got %v, want ErrNotIncluded", index, size, err)
			}
			moved := back
			moved.Index = (index + 1) % max(size, 2)
			if _, err := logverify.VerifyInclusion(moved, leaf, vkey(t, 1)); !errors.Is(err, logverify.ErrNotIncluded) {
				t.Errorf("%d in %d, other index: got %v, want ErrNotIncluded", index, size, err)
			}
			longer := back
			longer.Hashes = append(longer.Hashes[:len(longer.Hashes):len(longer.Hashes)], logverify.Hash{})
			if _, err := logverify.VerifyInclusion(longer, leaf, vkey(t, 1)); !errors.Is(err, logverify.ErrNotIncluded) {
				t.Errorf("%d in %d, one hash more: got %v, want ErrNotIncluded", index, size, err)
			}
			if _, err := logverify.VerifyInclusion(back, leaf, vkey(t, 2)); !errors.Is(err, logverify.ErrSignature) {
				t.Errorf("%d in %d, other key: got %v, want ErrSignature", index, size, err)
			}
		}
	}
}

func TestConsistencyProofs(t *testing.T) {
	t.Parallel()
	r := newTestTree(t, 600)
	empty := logverify.Tree{Root: logverify.EmptyRoot()}
	for _, later := range []int64{1, 2, 255, 256, 257, 600} {
		for _, earlier := range []int64{1, 2, 3, 128, 255, 256, 599, 600} {
			if earlier > later {
				if err := logverify.CheckConsistency(r.tree(t, earlier), r.tree(t, later), nil); !errors.Is(err, logverify.ErrInconsistent) {
					t.Errorf("%d to %d: got %v, want ErrInconsistent", earlier, later, err)
				}
				continue
			}
			p, err := tlog.ProveTree(later, earlier, r)
			if err != nil {
				t.Fatal(err)
			}
			a, b := sign(t, r.tree(t, earlier)), sign(t, r.tree(t, later))
			if err := logverify.VerifyConsistency(a, b, hashes(p), vkey(t, 1)); err != nil {
				t.Errorf("%d to %d: %v", earlier, later, err)
			}
			fork := r.tree(t, earlier)
			fork.Root[0] ^= 1
			if err := logverify.CheckConsistency(fork, r.tree(t, later), hashes(p)); !errors.Is(err, logverify.ErrInconsistent) {
				t.Errorf("%d to %d, forked: got %v, want ErrInconsistent", earlier, later, err)
			}
			if err := logverify.CheckConsistency(r.tree(t, earlier), r.tree(t, later), append(hashes(p), logverify.Hash{})); !errors.Is(err, logverify.ErrInconsistent) {
				t.Errorf("%d to %d, one hash more: got %v, want ErrInconsistent", earlier, later, err)
			}
		}
		if err := logverify.CheckConsistency(empty, r.tree(t, later), nil); err != nil {
			t.Errorf("empty to %d: %v", later, err)
		}
	}
	for name, c := range map[string]struct{ a, b logverify.Tree }{
		"false empty root":  {logverify.Tree{}, r.tree(t, 5)},
		"negative":          {logverify.Tree{Size: -1}, r.tree(t, 5)},
		"two empty trees":   {empty, logverify.Tree{}},
		"beyond the limit":  {r.tree(t, 5), logverify.Tree{Size: logverify.MaxSize + 1}},
		"same size, forked": {r.tree(t, 5), logverify.Tree{Size: 5}},
	} {
		if err := logverify.CheckConsistency(c.a, c.b, nil); !errors.Is(err, logverify.ErrInconsistent) {
			t.Errorf("%s: got %v, want ErrInconsistent", name, err)
		}
	}
}

// TestParseProofForm uses the layout of the example in C2SP tlog-proof.
func TestParseProofForm(t *testing.T) {
	t.Parallel()
	const text = "c2sp.org/tlog-proof@v1\n" +
		"extra AAEC\n" +
		"index 73894\n" +
		"gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n" +
		"B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n" +
		"\n" +
		"example.com/fancylog\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n— example.com/fancylog hI2DJwAAAAA=\n"
	p, err := logverify.ParseProof([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if p.Index != 73894 || len(p.Hashes) != 2 || !bytes.Equal(p.Extra, []byte{0, 1, 2}) || !bytes.HasPrefix(p.Checkpoint, []byte("example.com/fancylog\n")) {
		t.Errorf("got %+v", p)
	}
	if back, err := p.MarshalText(); err != nil || string(back) != text {
		t.Errorf("written back: %v\n%s", err, back)
	}
	for name, s := range map[string]string{
		"empty":           "",
		"other version":   strings.Replace(text, "@v1", "@v2", 1),
		"no index":        strings.Replace(text, "index 73894\n", "", 1),
		"index first":     strings.Replace(text, "extra AAEC\nindex 73894\n", "index 73894\nextra AAEC\n", 1),
		"leading zero":    strings.Replace(text, "73894", "073894", 1),
		"negative":        strings.Replace(text, "73894", "-1", 1),
		"beyond":          strings.Replace(text, "73894", "281474976710656", 1),
		"short hash":      strings.Replace(text, "gSKy", "", 1),
		"empty extra":     strings.Replace(text, "AAEC", "", 1),
		"bad extra":       strings.Replace(text, "AAEC", "AA", 1),
		"no checkpoint":   text[:strings.Index(text, "\n\n")+2],
		"no empty line":   strings.Replace(text, "\n\n", "\n", 1),
		"too many hashes": strings.Replace(text, "index 73894\n", "index 73894\n"+strings.Repeat(logverify.Hash{}.String()+"\n", 62), 1),
		"too long":        text + strings.Repeat("a", logverify.MaxProof),
		"carriage return": strings.Replace(text, "73894\n", "73894\r\n", 1),
	} {
		if p, err := logverify.ParseProof([]byte(s)); !errors.Is(err, logverify.ErrProof) {
			t.Errorf("%s: got %+v, %v, want ErrProof", name, p, err)
		}
	}
}

func FuzzParseProof(f *testing.F) {
	r := newTestTree(f, 20)
	for _, i := range []int64{0, 7, 19} {
		p := r.inclusion(f, 20, i)
		p.Extra = []byte("extra")
		text, err := p.MarshalText()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	k := vkey(f, 1)
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := logverify.ParseProof(b)
		if err != nil {
			if !errors.Is(err, logverify.ErrProof) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		back, err := p.MarshalText()
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("accepted %q, writes %q, %v", b, back, err)
		}
		_, _ = logverify.VerifyInclusion(p, []byte("7"), k)
	})
}

func FuzzVerifyCheckpoint(f *testing.F) {
	for _, n := range []int64{1, 256, 1 << 40} {
		f.Add(sign(f, logverify.Tree{Size: n, Root: logverify.Hash{1}}))
	}
	f.Add(signNote(f, origin+"\n0\n"+logverify.EmptyRoot().String()+"\nextension\n"))
	k := vkey(f, 1)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := logverify.VerifyCheckpoint(b, k)
		if err == nil && !bytes.HasPrefix(b, []byte(c.Text()+"\n")) {
			t.Fatalf("accepted %q as %+v", b, c)
		}
		text, _, _ := bytes.Cut(b, []byte("\n\n"))
		if c, err := logverify.ParseCheckpointText(string(text) + "\n"); err == nil && c.Text() != string(text)+"\n" {
			t.Fatalf("parsed %q as %+v", text, c)
		}
	})
}
