package main

import (
	"time"

	"github.com/spf13/cobra"
)

func (c *cli) newCACommand() *cobra.Command {
	cmd := group("ca", "The certification authority", "See the authorities, and take certificates out of use.",
		"  suti ca list --config suti.toml\n  suti ca revoke --config suti.toml --reason key-compromise 0123456789abcdef")
	cmd.AddCommand(c.newCAListCommand(), c.newCARevokeCommand())
	return cmd
}

func (c *cli) newCAListCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the active authorities and until when they last",
		Long:    "List the active authorities. One issues for half of its life and revokes until its end; successors come by themselves.",
		Example: "  suti ca list --config suti.toml\n  suti ca list --config suti.toml --json", Args: operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []authorityView
			if err := c.ask(cmd.Context(), f, adminAuthorities, nothing{}, &list); err != nil {
				return err
			}
			if f.json {
				return c.json(list)
			}
			rows := [][]string{{"name", "kind", "issues until", "ends", "serial"}}
			for _, a := range list {
				rows = append(rows, []string{a.Name, a.Kind, a.IssuesUntil.Format(time.DateOnly), a.NotAfter.Format(time.DateOnly), a.Serial})
			}
			return c.table(rows)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) newCARevokeCommand() *cobra.Command {
	var f adminFlags
	var in revokeRequest
	cmd := &cobra.Command{
		Use: "revoke SERIAL", Short: "Revoke a certificate, for good",
		Long: "Revoke a certificate, for good. Status answers say so at once, the list within a minute. It is recorded, and its\n" +
			"holder sees it. With key-compromise every other certificate on the same key goes too, and the key is never\n" +
			"certified again.\n\n" +
			"Reasons: unspecified, key-compromise, affiliation-changed, superseded, cessation-of-operation, privilege-withdrawn.",
		Example: "  suti ca revoke --config suti.toml --reason key-compromise 0123456789abcdef",
		Args:    operands(1, 1, "the serial of a certificate"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "reason"); err != nil {
				return err
			}
			in.Serial = args[0]
			var out revokeView
			if err := c.ask(cmd.Context(), f, adminRevoke, in, &out); err != nil {
				return err
			}
			if f.json {
				return c.json(out)
			}
			c.printf("%s (%s) is revoked since %s: %s\n", out.Serial, out.Kind, dateTime(out.Revoked), out.Reason)
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&in.Reason, "reason", "", "why; see above")
	cmd.Flags().BoolVar(&in.Authority, "authority", false, "also if it is an authority, with all that it certified")
	return cmd
}
