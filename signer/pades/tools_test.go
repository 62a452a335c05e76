package pades_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cms"
)

func requireTool(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

func run(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	requireTool(t, name)
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

func writeFile(t testing.TB, name string, b []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// noTools reports whether other programs are left out and the tests that ask
// them go on without: so it is when faults are made (docs/design/0023).
func noTools() bool { return os.Getenv("SUTI_TEST_TOOLS") == "none" }

// checkWithTools has four other programs look at a file signed n times.
func checkWithTools(t testing.TB, name string, b []byte, n int) {
	t.Helper()
	if noTools() {
		return
	}
	p := writeFile(t, "signed.pdf", b)
	if out, err := run(t, "qpdf", "--check", p); err != nil {
		t.Errorf("%s: qpdf: %v\n%s", name, err, out)
	}
	out, _ := run(t, "pdfsig", "-nocert", p)
	if got := strings.Count(out, "Signature is Valid."); got != n {
		t.Errorf("%s: pdfsig finds %d valid signatures, want %d\n%s", name, got, n, out)
	}
	if !strings.Contains(out, "Total document signed") || !strings.Contains(out, "ETSI.CAdES.detached") {
		t.Errorf("%s: pdfsig: %s", name, out)
	}
	out, _ = run(t, "mutool", "sign", "-v", p)
	if got := strings.Count(out, "The document is unchanged since signing") + strings.Count(out, "Signature is valid"); strings.Contains(out, "rror: ") && got == 0 {
		t.Errorf("%s: mutool: %s", name, out)
	}
}

// pixels renders page 1 without forms and annotations drawn later.
func pixels(t testing.TB, b []byte, page string) []byte {
	t.Helper()
	p := writeFile(t, "page.pdf", b)
	prefix := filepath.Join(t.TempDir(), "out")
	if out, err := run(t, "pdftoppm", "-r", "50", "-f", page, "-l", page, "-singlefile", p, prefix); err != nil {
		t.Fatalf("pdftoppm: %v\n%s", err, out)
	}
	img, err := os.ReadFile(prefix + ".ppm")
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func signedBytes(base []byte, tail []byte) []byte {
	return append(bytes.Clone(base), tail...)
}

// unhex decodes the hole of a signature without its padding.
func unhex(t testing.TB, hexa []byte) []byte {
	t.Helper()
	b, err := hex.DecodeString(string(hexa))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = cms.TrimZeroPadding(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func timestamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
