package main

import "github.com/spf13/cobra"

// commands returns all subcommands, in no particular order.
func (c *cli) commands() []*cobra.Command {
	return []*cobra.Command{
		c.newSignCommand(), c.newVerifyCommand(), c.newPDFCommand(),
		c.newLogCommand(),
		c.newVersionCommand(),
	}
}
