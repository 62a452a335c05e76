package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDemoOverTLS runs the command as a person does: the greeting is at most
// twelve lines and says what to import; the folder is one of its own; the other
// kind of demo is refused there with what to do.
func TestDemoOverTLS(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	getenv := func(name string) string {
		if name == "XDG_STATE_HOME" {
			return state
		}
		return ""
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	var errs bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"demo", "--tls", "--port", "18800"}, nil, in, &errs, getenv)
		_ = in.Close() // a pipe's writer never fails to close
	}()
	var lines []string
	for s := bufio.NewScanner(out); s.Scan(); {
		if lines = append(lines, s.Text()); strings.Contains(s.Text(), "Ctrl-C") {
			stop()
		}
	}
	if got := <-code; got != exitOK {
		t.Fatalf("exit code %d: %s", got, errs.String())
	}
	greeting, dir := strings.Join(lines[:len(lines)-1], "\n"), filepath.Join(state, "suti-demo-tls")
	root := filepath.Join(dir, "tls-root.pem")
	if len(lines)-1 > 12 || !strings.Contains(greeting, "importe en su navegador "+root) || !strings.Contains(greeting, "https://localhost:") || strings.Contains(greeting, "http://") {
		t.Errorf("%d lines:\n%s", len(lines)-1, greeting)
	}
	if _, err := os.Stat(root); err != nil {
		t.Error(err)
	}
	errs.Reset()
	if got := run(t.Context(), []string{"demo", "--data", dir}, nil, io.Discard, &errs, getenv); got != exitUsage || !strings.Contains(errs.String(), "add --tls, or name another folder with --data") {
		t.Errorf("exit code %d: %s", got, errs.String())
	}
}
