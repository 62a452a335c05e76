package main

import (
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (c *cli) newConfigCommand() *cobra.Command {
	cmd := group("config", "Check and show a server's configuration", "Check and show a server's configuration. Nothing is opened or started.",
		"  suti config check --config suti.toml\n  suti config show --config suti.toml --all")
	cmd.AddCommand(c.newConfigCheckCommand(), c.newConfigShowCommand())
	return cmd
}

func (c *cli) newConfigCheckCommand() *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "check", Short: "Tell every fault of a configuration", Example: "  suti config check --config suti.toml",
		Args: operands(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			if _, err := c.load(f); err != nil {
				return err
			}
			c.printf("The configuration is in order.\n")
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) newConfigShowCommand() *cobra.Command {
	var f configFlags
	var asJSON, all bool
	cmd := &cobra.Command{
		Use: "show", Short: "Show what is configured and where each value came from",
		Long:    "Show what is configured and where each value came from. There is no secret among the values: secrets are named\nby the path of their file.",
		Example: "  suti config show --config suti.toml\n  suti config show --config suti.toml --all --json",
		Args:    operands(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			cfg, err := c.load(f)
			if err != nil {
				return err
			}
			items := cfg.Items()
			if asJSON {
				return c.json(items)
			}
			w := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
			p := &printer{w: w}
			for _, i := range items {
				switch {
				case all:
					p.cells(i.Key, i.Value, i.Source, i.Env, i.Doc)
				case i.Source != "default":
					p.cells(i.Key, i.Value, i.Source)
				}
			}
			if p.err != nil {
				return p.err
			}
			return w.Flush()
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.Flags().BoolVar(&all, "all", false, "show every key, with its environment variable and meaning")
	return cmd
}
