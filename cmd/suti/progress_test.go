package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// Long work on files tells how far it is, short work nothing; JSON is never mixed with it.
func TestProgress(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		quiet, tty bool
		step       time.Duration
		want       string
	}{
		"short":         {step: time.Millisecond},
		"in a log":      {step: 3 * time.Second, want: "firmando: 50 %\nfirmando: 100 %\n"},
		"on a terminal": {tty: true, step: 150 * time.Millisecond, want: "\rfirmando: 50 %\x1b[K\rfirmando: 100 %\x1b[K\r\x1b[K"},
		"as JSON":       {quiet: true, step: time.Hour},
	} {
		var stderr bytes.Buffer
		now := time.Unix(0, 0)
		cmd := &cli{stderr: &stderr, now: func() time.Time { return now }}
		p := cmd.progress("firmando", 400, c.quiet)
		if c.tty {
			p.tty, p.every = true, progressOnTTY
		}
		r := watchedReader{strings.NewReader(strings.Repeat("x", 400)), p}
		for at := range int64(4) {
			now = now.Add(c.step)
			if _, err := r.ReadAt(make([]byte, 100), 100*at); err != nil {
				t.Fatal(err)
			}
		}
		p.end()
		if got := stderr.String(); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
