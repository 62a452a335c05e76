package deps

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeProgramCompiles builds the program of README.md as a reader would
// who copies it and its go.mod into a folder beside this one, without a network.
func TestReadmeProgramCompiles(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(raw), "```go\n")
	program, rest, ok2 := strings.Cut(text, "```")
	i := strings.Index(rest, "```\nmodule ")
	if !ok || !ok2 || i < 0 {
		t.Fatal("README.md has no program with a go.mod after it")
	}
	mod, _, _ := strings.Cut(rest[i+len("```\n"):], "```")
	mod = strings.Replace(mod, "=> ../suti/sdk", "=> "+filepath.Join(root(t), "sdk"), 1)
	dir := t.TempDir()
	for name, content := range map[string]string{"main.go": program, "go.mod": mod} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"gofmt", "-l", "."}, {"go", "vet", "."}, {"go", "build", "-o", filepath.Join(dir, "out"), "."}} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil || args[0] == "gofmt" && len(bytes.TrimSpace(out)) > 0 {
			t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
