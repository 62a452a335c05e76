package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func (c *cli) newInstitutionCommand() *cobra.Command {
	cmd := group("institution", "The institutions that this deployment serves",
		"Institutions own posts and client applications. Taking one up gives nobody any authority: who holds a post is an\n"+
			"act of two members of staff.",
		"  suti institution add --config suti.toml --name \"Gobernación de Oruro\" --short-name GAD --nit 1020255020\n  suti institution list --config suti.toml")
	cmd.AddCommand(c.newInstitutionListCommand(), c.newInstitutionAddCommand())
	return cmd
}

func (c *cli) newInstitutionListCommand() *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List institutions by name", Example: "  suti institution list --config suti.toml --json", Args: operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []institutionView
			if err := c.ask(cmd.Context(), f, adminInstitutionList, nothing{}, &list); err != nil {
				return err
			}
			return c.tellInstitutions(f, list, list)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) newInstitutionAddCommand() *cobra.Command {
	var f adminFlags
	var in institutionView
	cmd := &cobra.Command{
		Use: "add", Short: "Take an institution up",
		Example: "  suti institution add --config suti.toml --name \"Gobernación de Oruro\" --short-name GAD --nit 1020255020",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "name"); err != nil {
				return err
			}
			var out institutionView
			if err := c.ask(cmd.Context(), f, adminInstitutionAdd, in, &out); err != nil {
				return err
			}
			return c.tellInstitutions(f, out, []institutionView{out})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&in.Name, "name", "", "full name, 3 to 200 letters")
	cmd.Flags().StringVar(&in.ShortName, "short-name", "", "short name, up to 30 letters")
	cmd.Flags().StringVar(&in.TaxID, "nit", "", "tax number, 9 to 12 digits")
	return cmd
}

func (c *cli) tellInstitutions(f adminFlags, asJSON any, list []institutionView) error {
	if f.json {
		return c.json(asJSON)
	}
	rows := [][]string{{"id", "short name", "nit", "name"}}
	for _, i := range list {
		rows = append(rows, []string{string(i.ID), i.ShortName, i.TaxID, i.Name})
	}
	return c.table(rows)
}

func (c *cli) newPostCommand() *cobra.Command {
	cmd := group("post", "The posts (cargos) of institutions",
		"A post gives nobody authority before an administrator appoints a person to it, at /ventanilla/nombrar, and\n"+
			"another member of staff approves.",
		"  suti post add --config suti.toml --institution GAD --title \"Secretaria General\" --item 17 --exclusive\n  suti post list --config suti.toml --institution GAD")
	cmd.AddCommand(c.newPostListCommand(), c.newPostAddCommand())
	return cmd
}

func (c *cli) newPostListCommand() *cobra.Command {
	var f adminFlags
	var in postView
	cmd := &cobra.Command{
		Use: "list", Short: "List the posts of an institution", Example: "  suti post list --config suti.toml --institution GAD --json", Args: operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "institution"); err != nil {
				return err
			}
			var list []postView
			if err := c.ask(cmd.Context(), f, adminPostList, in, &list); err != nil {
				return err
			}
			return c.tellPosts(f, list, list)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&in.Institution, "institution", "", "its id, short name or name")
	return cmd
}

func (c *cli) newPostAddCommand() *cobra.Command {
	var f adminFlags
	var in postView
	cmd := &cobra.Command{
		Use: "add", Short: "Take a post up",
		Example: "  suti post add --config suti.toml --institution GAD --title \"Secretaria General\" --item 17 --exclusive --scope resolucion",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "institution", "title"); err != nil {
				return err
			}
			var out postView
			if err := c.ask(cmd.Context(), f, adminPostAdd, in, &out); err != nil {
				return err
			}
			return c.tellPosts(f, out, []postView{out})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&in.Institution, "institution", "", "its id, short name or name")
	cmd.Flags().StringVar(&in.Title, "title", "", "denomination of the post, 3 to 200 letters")
	cmd.Flags().StringVar(&in.Unit, "unit", "", "organisational unit")
	cmd.Flags().StringVar(&in.Item, "item", "", "item number, if there is one")
	cmd.Flags().BoolVar(&in.Exclusive, "exclusive", false, "one holder at a time")
	cmd.Flags().StringArrayVar(&in.Scopes, "scope", nil, "what the post may sign, a label such as resolucion; repeated")
	return cmd
}

func (c *cli) tellPosts(f adminFlags, asJSON any, list []postView) error {
	if f.json {
		return c.json(asJSON)
	}
	rows := [][]string{{"id", "item", "title", "unit", "holders", "may sign"}}
	for _, p := range list {
		holders := "several"
		if p.Exclusive {
			holders = "one"
		}
		rows = append(rows, []string{string(p.ID), p.Item, p.Title, p.Unit, holders, strings.Join(p.Scopes, " ")})
	}
	return c.table(rows)
}
