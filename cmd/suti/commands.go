package main

import "github.com/spf13/cobra"

// commands returns all subcommands, in no particular order.
func (c *cli) commands() []*cobra.Command {
	return []*cobra.Command{
		c.newDemoCommand(), c.newTourCommand(),
		c.newSignCommand(), c.newVerifyCommand(), c.newPDFCommand(),
		c.newLogCommand(),
		c.newServeCommand(), c.newPersonCommand(), c.newInstitutionCommand(), c.newPostCommand(), c.newClientCommand(), c.newCACommand(), c.newAdminCommand(), c.newHealthcheckCommand(), c.newConfigCommand(),
		c.newKeyCommand(), c.newMigrateCommand(), c.newDoctorCommand(), c.newBackupCommand(), c.newRestoreCommand(),
		c.newVersionCommand(),
	}
}
