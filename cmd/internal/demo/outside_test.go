package demo_test

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// TestOutsideProgram: a program in another language, with an ordinary cookie jar
// and no knowledge but demo.json, enters as every person by the pages' forms.
func TestOutsideProgram(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		dbtest.Missing(t, "python3 is not installed")
	}
	dir := t.TempDir()
	i, err := demo.Start(t.Context(), demo.Config{Dir: dir, FirstPort: 18760})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	})
	for n, want := range map[string]string{"3": "Ana María Mamani Quispe", "4": "Carlos Condori"} {
		out, err := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "outside.py"), filepath.Join(dir, demo.FileName), "heredada", n).CombinedOutput()
		if err != nil {
			t.Fatalf("person %s: %v\n%s", n, err, out)
		}
		var got struct{ Names, ACR string }
		if err := json.Unmarshal(out, &got); err != nil || got.Names != want || got.ACR == "" {
			t.Errorf("person %s: got %s, want %s (%v)", n, out, want, err)
		}
	}
}
