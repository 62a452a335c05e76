package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// maxPassword is how long a password of a file may be, in bytes.
const maxPassword = 1024

// passwordFlag adds --password-file. A password never stands on the command
// line itself, where every process of the machine could read it.
func passwordFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "password-file", "", "file whose first line is the password of an encrypted PDF, \"-\" for standard input")
}

// readPassword reads the first line of a file; "" if none is named.
func (c *cli) readPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	var in io.Reader = c.stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", usagef("", "--password-file: %w", err)
		}
		defer f.Close()
		in = f
		if warn := looseMode(path); warn != "" {
			c.warnf("warning: %s", warn)
		}
	}
	b, err := io.ReadAll(io.LimitReader(in, maxPassword+3))
	if err != nil {
		return "", usagef("", "--password-file: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(line) == 0:
		err = fmt.Errorf("the first line is empty")
	case len(line) > maxPassword:
		err = fmt.Errorf("the first line is longer than %d bytes", maxPassword)
	}
	if err != nil {
		return "", usagef("put the password, in UTF-8, into the first line", "--password-file %s: %w", path, err)
	}
	return string(line), nil
}
