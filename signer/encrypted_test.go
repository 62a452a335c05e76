package signer_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

// encryptedSample is a sample that qpdf encrypts.
func encryptedSample(t *testing.T, user string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("qpdf"); err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("qpdf is not installed")
		}
		t.Skip("qpdf is not installed")
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pdf"), filepath.Join(dir, "out.pdf")
	if err := os.WriteFile(in, costest.Sample(costest.Options{}), 0o600); err != nil {
		t.Fatal(err)
	}
	all := slices.Concat([]string{"--encrypt", user, "secreta"}, args, []string{"--", in, out})
	if msg, err := exec.Command("qpdf", all...).CombinedOutput(); err != nil {
		t.Fatalf("qpdf %v: %v\n%s", all, err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Encrypted documents are taken if everybody can open them and they permit to
// be signed; their pages can be shown.
func TestEncryptedDocuments(t *testing.T) {
	open, closed := encryptedSample(t, "", "256"), encryptedSample(t, "usuario", "256")
	bound := encryptedSample(t, "", "128", "--use-aes=y", "--modify=none")
	pages, err := signer.NewRenderer(t.TempDir()).Render(t.Context(), bytes.NewReader(open), int64(len(open)), 2, func(int, int, int, []byte) error { return nil })
	if err != nil || pages != 2 {
		t.Errorf("%d pages, %v", pages, err)
	}
	each(t, func(t *testing.T, g *rig) {
		for want, pdf := range map[string][]byte{"": open, "encrypted": closed, "permissions": bound} {
			if d := g.upload("doc-"+want, pdf); d.Preflight == nil || d.Preflight.Refusal != want || want == "" && d.Pages != 2 {
				t.Errorf("got %+v, want refusal %q", d.Preflight, want)
			}
		}
	})
}
