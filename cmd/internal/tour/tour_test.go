package tour_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"oruro.gob.bo/suti/cmd/internal/sample"
	"oruro.gob.bo/suti/cmd/internal/tour"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

// artefacts are what a tour leaves behind.
func artefacts() []string {
	return []string{"firmado.pdf", "evidencia.json", "id-token.jwt", "cadena.pem", "raiz.pem", "checkpoint.txt", "prueba.txt"}
}

func take(t *testing.T, c tour.Config) {
	t.Helper()
	var out bytes.Buffer
	c.Out, c.Stdout = t.TempDir(), &out
	_, err := tour.Run(t.Context(), c)
	t.Log(out.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range artefacts() {
		if info, err := os.Stat(filepath.Join(c.Out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	checkSeal(t, filepath.Join(c.Out, "firmado.pdf"), c.PDF == "")
}

// checkSeal wants the seal to say, in text that can be searched, that it is of a
// demonstration. The built-in document says so twice itself.
func checkSeal(t *testing.T, path string, builtIn bool) {
	t.Helper()
	if _, err := exec.LookPath("pdftotext"); err != nil {
		dbtest.Missing(t, "pdftotext is not installed")
	}
	text, err := exec.CommandContext(t.Context(), "pdftotext", path, "-").CombinedOutput()
	want := 1
	if builtIn {
		want = 3
	}
	if n := bytes.Count(text, []byte(identity.DemoNotice)); err != nil || n < want {
		t.Errorf("%q stands %d times in the signed file, want %d or more: %v", identity.DemoNotice, n, want, err)
	}
}

func TestTourEmbedded(t *testing.T) {
	t.Parallel()
	take(t, tour.Config{})
}

// TestTourOverTLS takes it over https, the applications, the SDK and the notices
// of logout included. Nobody there trusts anything but the demo's root for it.
func TestTourOverTLS(t *testing.T) {
	t.Parallel()
	take(t, tour.Config{TLS: true, FirstPort: 18650})
}

// TestTourOnServers takes the tour on PostgreSQL and Redis.
func TestTourOnServers(t *testing.T) {
	t.Parallel()
	redis := os.Getenv("SUTI_TEST_REDIS")
	if redis == "" {
		dbtest.Missing(t, "SUTI_TEST_REDIS is not set")
	}
	take(t, tour.Config{DatabaseURL: dbtest.URL(t, db.Postgres), RedisURL: redis})
}

// TestTourWithFilesOfThreeProducers signs what other programs wrote.
func TestTourWithFilesOfThreeProducers(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T, in, out string) *exec.Cmd{
		"qpdf, object streams": func(_ *testing.T, in, out string) *exec.Cmd {
			return exec.Command("qpdf", "--object-streams=generate", "--linearize", in, out)
		},
		"cairo":  func(_ *testing.T, in, out string) *exec.Cmd { return exec.Command("pdftocairo", "-pdf", in, out) },
		"mutool": func(_ *testing.T, in, out string) *exec.Cmd { return exec.Command("mutool", "clean", "-z", in, out) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			in, out := filepath.Join(dir, "in.pdf"), filepath.Join(dir, "out.pdf")
			if err := os.WriteFile(in, sample.PDF(), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := make(t, in, out)
			if _, err := exec.LookPath(cmd.Args[0]); err != nil {
				dbtest.Missing(t, cmd.Args[0]+" is not installed")
			}
			if msg, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, msg)
			}
			take(t, tour.Config{PDF: out})
		})
	}
}
