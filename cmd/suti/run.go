package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes of every command but verify.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
)

// cli is what a command may use of the world around it.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
}

// run executes one command line and returns the process's exit code. It stops
// in an orderly way on SIGINT and SIGTERM, or when ctx ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	c := &cli{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv, now: time.Now}
	root := c.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	return c.report(err)
}

// report writes an error to stderr and returns its exit code.
func (c *cli) report(err error) int {
	var e *exitError
	if !errors.As(err, &e) {
		fmt.Fprintf(c.stderr, "suti: %v\n", err)
		return exitFailed
	}
	if !e.quiet {
		fmt.Fprintf(c.stderr, "suti: %v\n", e)
	}
	return e.code
}

// exitError is an error with an exit code and what to do about it.
type exitError struct {
	code  int
	err   error  // what happened, and why
	next  string // what to do now; may be empty
	quiet bool   // the command has told already
}

// Error tells what, why and the next step.
func (e *exitError) Error() string {
	if e.next == "" {
		return e.err.Error()
	}
	return e.err.Error() + "\n  " + strings.ReplaceAll(e.next, "\n", "\n  ")
}

// Unwrap returns the cause.
func (e *exitError) Unwrap() error { return e.err }

func usagef(next, format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...), next: next}
}

func failedf(next, format string, args ...any) error {
	return &exitError{code: exitFailed, err: fmt.Errorf(format, args...), next: next}
}

func refusedf(next, format string, args ...any) error {
	return &exitError{code: exitRefused, err: fmt.Errorf(format, args...), next: next}
}

// told ends the process with a code after the command has written its result.
func told(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code, err: fmt.Errorf("exit code %d", code), quiet: true}
}

// root returns the command tree.
func (c *cli) root() *cobra.Command {
	root := group("suti", "One name, one login, one signature",
		"Suti is a digital identity and electronic signature service in one program.\n\n"+
			"Exit codes: 0 done, 1 failed, 2 used or configured wrongly, 3 refused for a stated reason\n(\"suti verify --help\" tells its own).",
		"  suti sign --key key.pem --cert chain.pem --out signed.pdf document.pdf\n  suti verify --trust root.pem signed.pdf")
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetIn(c.stdin)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("see: "+cmd.CommandPath()+" --help", "%s: %w", cmd.CommandPath(), err)
	})
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(c.commands()...)
	return root
}

// group returns a command that only holds others.
func group(use, short, long, example string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: cobra.ArbitraryArgs, SuggestionsMinimumDistance: 2,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			next := "see: " + cmd.CommandPath() + " --help"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				next = "did you mean: " + cmd.CommandPath() + " " + near[0]
			}
			return usagef(next, "%s has no command %q", cmd.CommandPath(), args[0])
		},
	}
}

// operands checks how many operands a command got.
func operands(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		want := "no operands"
		if names != "" {
			want = names
		}
		return usagef("see: "+cmd.CommandPath()+" --help", "%s wants %s, and got %d operands", cmd.CommandPath(), want, len(args))
	}
}

// required reports the flags of a command that were left out.
func required(cmd *cobra.Command, names ...string) error {
	var missing []string
	for _, n := range names {
		if f := cmd.Flags().Lookup(n); f == nil || f.Value.String() == "" {
			missing = append(missing, "--"+n)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return usagef("see: "+cmd.CommandPath()+" --help", "%s needs %s", cmd.CommandPath(), strings.Join(missing, " and "))
}

// json writes v, indented, to stdout.
func (c *cli) json(v any) error {
	e := json.NewEncoder(c.stdout)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (c *cli) printf(format string, args ...any) {
	fmt.Fprintf(c.stdout, format, args...)
}

func (c *cli) warnf(format string, args ...any) {
	fmt.Fprintf(c.stderr, "suti: "+format+"\n", args...)
}
