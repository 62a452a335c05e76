package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocumentedCommandsAreRun holds that every command of the operators'
// guide stands in a script, word for word, and that scripts run it.
func TestDocumentedCommandsAreRun(t *testing.T) {
	t.Parallel()
	ran := map[string]bool{}
	scripts, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	run := regexp.MustCompile(`^(?:! )?(?:exec |exits [0-9] )(?:suti )?(.*?)(?: &[a-z]*&)?$`)
	for _, s := range scripts {
		for _, l := range strings.Split(readText(t, s), "\n") {
			if m := run.FindStringSubmatch(strings.TrimSpace(l)); m != nil {
				ran[unquoted(m[1])] = true
			}
		}
	}
	guides, err := filepath.Glob("../../docs/operations/*.md")
	if err != nil || len(guides) < 5 {
		t.Fatalf("%d guides, %v", len(guides), err)
	}
	count := 0
	for _, g := range guides {
		for i, block := range strings.Split(readText(t, g), "```") {
			if i%2 == 0 {
				continue
			}
			for _, l := range strings.Split(block, "\n") {
				cmd, ok := strings.CutPrefix(strings.TrimSpace(l), "suti ")
				if !ok {
					continue
				}
				count++
				if !ran[unquoted(cmd)] {
					t.Errorf("%s: no script runs: suti %s", filepath.Base(g), cmd)
				}
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d commands found in the guides", count)
	}
}

// unquoted takes the quotes out of a command, which shells and scripts set differently.
func unquoted(cmd string) string { return strings.NewReplacer(`"`, "", `'`, "").Replace(cmd) }

// TestEveryCommandHelps holds that each command has a summary and an example
// that this program understands.
func TestEveryCommandHelps(t *testing.T) {
	t.Parallel()
	c := &cli{stdout: t.Output(), stderr: t.Output(), getenv: func(string) string { return "" }}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			return
		}
		if cmd.Short == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: summary %q, example %q", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
		for _, l := range strings.Split(cmd.Example, "\n") {
			if words := strings.Fields(strings.ReplaceAll(l, `"$(cat log.vkey)"`, "KEY")); len(words) > 1 && words[0] == "suti" {
				exampleParses(t, words[1:])
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(c.root())
}

// exampleParses fails unless words name a command and flags that it has.
func exampleParses(t *testing.T, words []string) {
	t.Helper()
	c := &cli{stdout: t.Output(), stderr: t.Output(), getenv: func(string) string { return "" }}
	cmd, rest, err := c.root().Find(words)
	if err != nil {
		t.Errorf("suti %s: %v", strings.Join(words, " "), err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("suti %s: %v", strings.Join(words, " "), err)
	}
}
