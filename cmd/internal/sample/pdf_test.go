package sample_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/cmd/internal/sample"
	"oruro.gob.bo/suti/signer/pades"
)

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func TestPDFIsSoundForForeignReaders(t *testing.T) {
	t.Parallel()
	b := sample.PDF()
	if len(b) > 40<<10 {
		t.Errorf("%d bytes for one page", len(b))
	}
	file := filepath.Join(t.TempDir(), "r.pdf")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("qpdf", func(t *testing.T) {
		if out := tool(t, "qpdf", "--check", file); !strings.Contains(out, "No syntax or stream encoding errors") {
			t.Error(out)
		}
	})
	t.Run("mutool", func(t *testing.T) {
		text := tool(t, "mutool", "draw", "-q", "-F", "text", file)
		for _, want := range []string{"DEMOSTRACIÓN - SIN VALIDEZ LEGAL", "Resolución Administrativa N.º 000/2026", "archívese"} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	})
	t.Run("fonts", func(t *testing.T) {
		list := tool(t, "pdffonts", file)
		if n := strings.Count(list, "CID TrueType"); n != 2 || strings.Count(list, "yes yes yes") != 2 { // embedded, subset, with characters
			t.Errorf("not two embedded fonts:\n%s", list)
		}
	})
	report, err := pades.Preflight(t.Context(), bytes.NewReader(b), int64(len(b)), pades.Limits{})
	if err != nil || report.Pages != 1 || report.Kind != "table" || report.Version != "1.7" || len(report.Findings) != 0 {
		t.Errorf("our own reader: %+v, %v", report, err)
	}
}
