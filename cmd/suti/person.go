package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
)

func (c *cli) newPersonCommand() *cobra.Command {
	cmd := group("person", "The founding, and people as an operator sees them",
		"Operators found a deployment together with its first staff, see how people's records stand, and can stop a\n"+
			"person to protect her. Who a person is they read only for a stated purpose, and the person sees that they did.\n"+
			"Everything that gives authority is an act of staff, at /ventanilla.",
		"  suti person genesis --config suti.toml --founder 7K2M-40QX:administrator --founder 9B1C-22ZZ:registrar --founder 3TTE-81AA:supervisor\n"+
			"  suti person list --config suti.toml --staff")
	cmd.AddCommand(c.newGenesisCommand(), c.newPersonListCommand(), c.newPersonShowCommand(), c.newPersonSuspendCommand())
	return cmd
}

type genesisFlags struct {
	admin       adminFlags
	founders    []string
	yes, noWait bool
}

func (c *cli) newGenesisCommand() *cobra.Command {
	var f genesisFlags
	cmd := &cobra.Command{
		Use: "genesis", Short: "Found the deployment with its first staff, once and for ever",
		Long: "Found the deployment. The first administrator, registrar and supervisor register themselves at /registro like\n" +
			"anybody, with a passkey, and bring the code of their ticket. This command shows who they are, to be read aloud\n" +
			"and compared with their documents, draws up the founding act and tells the page on which each of them signs it\n" +
			"with the own passkey. It waits until all have signed, a day at most.\n\n" +
			"Two people suffice if one is administrator and registrar; one has to be supervisor and nothing else. There is\n" +
			"no second founding: further staff is appointed by two of those who are there.",
		Example: "  suti person genesis --config suti.toml --founder 7K2M-40QX:administrator --founder 9B1C-22ZZ:registrar --founder 3TTE-81AA:supervisor\n" +
			"  suti person genesis --config suti.toml --founder 7K2M-40QX:administrator,registrar --founder 3TTE-81AA:supervisor --yes --no-wait",
		Args: operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return c.genesis(cmd.Context(), f) },
	}
	f.admin.add(cmd)
	cmd.Flags().StringArrayVar(&f.founders, "founder", nil, "CODE:ROLE[,ROLE], the code of a ticket and what the person is to be; repeated")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do not ask whether the people are the right ones")
	cmd.Flags().BoolVar(&f.noWait, "no-wait", false, "do not wait for the signatures")
	cmd.AddCommand(
		c.newAdminCall("status", "Tell how far the founding is", "  suti person genesis status --config suti.toml --json", func(ctx context.Context, f adminFlags) error {
			return c.tellGenesis(ctx, f, adminGenesisStatus)
		}),
		c.newAdminCall("cancel", "Take back a founding that waits for signatures", "  suti person genesis cancel --config suti.toml", func(ctx context.Context, f adminFlags) error {
			return c.tellGenesis(ctx, f, adminGenesisCancel)
		}),
	)
	return cmd
}

// newAdminCall returns a command without operands that talks to the server.
func (c *cli) newAdminCall(use, short, example string, run func(context.Context, adminFlags) error) *cobra.Command {
	var f adminFlags
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), f) },
	}
	f.add(cmd)
	return cmd
}

// parseFounder reads CODE:ROLE[,ROLE].
func parseFounder(s string) (founderRequest, error) {
	code, words, ok := strings.Cut(s, ":")
	if !ok || code == "" || words == "" {
		return founderRequest{}, usagef("for example: --founder 7K2M-40QX:administrator", "--founder %s is not CODE:ROLE", s)
	}
	f := founderRequest{Ticket: code}
	for _, w := range strings.Split(words, ",") {
		f.Roles = append(f.Roles, act.Role(w))
	}
	return f, nil
}

func (c *cli) genesis(ctx context.Context, f genesisFlags) error {
	var in foundersRequest
	for _, s := range f.founders {
		one, err := parseFounder(s)
		if err != nil {
			return err
		}
		in.Founders = append(in.Founders, one)
	}
	if err := fillRoles(in.Founders); err != nil {
		return err
	}
	var people []candidate
	if err := c.ask(ctx, f.admin, adminCandidates, in, &people); err != nil {
		return err
	}
	if err := c.showCandidates(f, people); err != nil {
		return err
	}
	if !f.yes {
		if err := c.confirm("Read this aloud. Are these people here, and are these their documents?"); err != nil {
			return err
		}
	}
	var st genesisStatus
	if err := c.ask(ctx, f.admin, adminGenesisBegin, in, &st); err != nil {
		return err
	}
	if f.noWait {
		return c.writeGenesis(f.admin, st)
	}
	if !f.admin.json {
		if err := c.writeGenesis(f.admin, st); err != nil {
			return err
		}
	}
	return c.awaitGenesis(ctx, f.admin, st)
}

func (c *cli) showCandidates(f genesisFlags, people []candidate) error {
	rows := [][]string{{"ticket", "name", "document", "born", "passkeys", "to be"}}
	for _, p := range people {
		roles := make([]string, len(p.Roles))
		for i, r := range p.Roles {
			roles[i] = string(r)
		}
		rows = append(rows, []string{p.Ticket, p.Name, p.Document, p.BirthDate, fmt.Sprint(p.Keys), strings.Join(roles, ", ")})
	}
	if f.admin.json {
		return nil // the answer alone goes to stdout
	}
	return c.table(rows)
}

// genesisPoll is how often the command looks for further signatures.
const genesisPoll = 2 * time.Second

// awaitGenesis waits until everybody has signed and the core trusts the founding.
func (c *cli) awaitGenesis(ctx context.Context, f adminFlags, st genesisStatus) error {
	tick := time.NewTicker(genesisPoll)
	defer tick.Stop()
	left := -1
	for {
		if st.State == genesisDone && st.Pinned {
			return c.writeGenesis(f, st)
		}
		if st.State == genesisNone {
			return refusedf("begin again with: suti person genesis", "the founding was cancelled, or its day is over")
		}
		missing := 0
		for _, p := range st.Founders {
			if p.Missing > 0 {
				missing++
			}
		}
		if missing != left && st.State == genesisWaiting {
			left = missing
			c.warnf("waiting for %d of %d people to sign", missing, len(st.Founders))
		}
		select {
		case <-ctx.Done():
			return failedf("it goes on without this command: suti person genesis status, suti person genesis cancel", "stopped waiting: %w", ctx.Err())
		case <-tick.C:
		}
		if err := c.ask(ctx, f, adminGenesisStatus, nothing{}, &st); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (c *cli) tellGenesis(ctx context.Context, f adminFlags, path string) error {
	var st genesisStatus
	if err := c.ask(ctx, f, path, nothing{}, &st); err != nil {
		return err
	}
	return c.writeGenesis(f, st)
}

func (c *cli) writeGenesis(f adminFlags, st genesisStatus) error {
	if f.json {
		return c.json(st)
	}
	switch st.State {
	case genesisNone:
		c.printf("Not founded, and nothing waits for signatures.\nBegin with: suti person genesis --founder CODE:administrator --founder CODE:registrar --founder CODE:supervisor\n")
		return nil
	case genesisDone:
		c.printf("Founded on %s.\n\nPut this line into the configuration, before its first table, so that a database with other founders is noticed:\n\n  genesis_hash = \"%s\"\n",
			dateTime(st.Founded), st.Hash)
		if !st.Pinned {
			c.printf("\nThe signing core does not trust it yet; look again in a few seconds.\n")
		}
		return nil
	}
	c.printf("\nEach founder opens this page, compares the fingerprint, types the code of the own ticket and signs with the own passkey:\n\n"+
		"  %s\n  fingerprint %s\n\nUntil %s. Take it back with: suti person genesis cancel\n\n", st.Page, st.Fingerprint, dateTime(st.Expires))
	rows := [][]string{}
	for _, p := range st.Founders {
		state := "has signed"
		if p.Missing > 0 {
			state = fmt.Sprintf("signatures missing: %d", p.Missing)
		}
		roles := make([]string, len(p.Roles))
		for i, r := range p.Roles {
			roles[i] = string(r)
		}
		rows = append(rows, []string{string(p.Person), strings.Join(roles, ", "), state})
	}
	return c.table(rows)
}

func (c *cli) newPersonListCommand() *cobra.Command {
	var f adminFlags
	var in peopleRequest
	cmd := &cobra.Command{
		Use: "list", Short: "List people by the order of their registration",
		Long: "List people by the order of their registration, without who they are. With --purpose the names of at most 50\n" +
			"are read; each of them sees it, with the purpose, among those who saw their data.",
		Example: "  suti person list --config suti.toml\n  suti person list --config suti.toml --staff --purpose \"audit 2026\" --json",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var list []personView
			if err := c.ask(cmd.Context(), f, adminPeopleList, in, &list); err != nil {
				return err
			}
			if f.json {
				return c.json(list)
			}
			rows := [][]string{{"person", "state", "level", "passkeys", "roles", "registered", "name"}}
			for _, p := range list {
				rows = append(rows, []string{string(p.Person), p.State, p.Level, fmt.Sprint(p.Keys), strings.Join(p.Roles, " "), dateTime(p.Registered), p.Name})
			}
			return c.table(rows)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar((*string)(&in.After), "after", "", "only those who come after this person")
	cmd.Flags().IntVar(&in.Limit, "limit", 100, "at most so many, up to 500")
	cmd.Flags().BoolVar(&in.Staff, "staff", false, "only administrators, registrars and supervisors")
	cmd.Flags().StringVar(&in.Purpose, "purpose", "", "read names, for this purpose")
	return cmd
}

func (c *cli) newPersonShowCommand() *cobra.Command {
	var f adminFlags
	var purpose string
	cmd := &cobra.Command{
		Use: "show PERSON", Short: "Show how a person's record stands",
		Long: "Show how a person's record stands. Name and document are read only with --purpose; the person sees it, with\n" +
			"the purpose, among those who saw her data.",
		Example: "  suti person show --config suti.toml per_01k4h0000000000000000000\n" +
			"  suti person show --config suti.toml --purpose \"request 12/2026\" per_01k4h0000000000000000000",
		Args: operands(1, 1, "the id of a person"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.tellPerson(cmd.Context(), f, adminPersonShow, personRequest{Person: identity.PersonID(args[0]), Purpose: purpose})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&purpose, "purpose", "", "read name and document, for this purpose")
	return cmd
}

func (c *cli) newPersonSuspendCommand() *cobra.Command {
	var f adminFlags
	var reason string
	cmd := &cobra.Command{
		Use: "suspend PERSON", Short: "Stop a person at once, to protect her",
		Long: "Stop a person at once: every session, token and pending signature of hers is dead. It is recorded, and she is\n" +
			"told. The last active administrator, registrar or supervisor cannot be stopped.\n\n" +
			"There is no command that lifts it: nobody may be given back an identity by one person alone. Two members of\n" +
			"staff lift it by their acts (docs/acts.md).",
		Example: "  suti person suspend --config suti.toml --reason \"phone stolen\" per_01k4h0000000000000000000",
		Args:    operands(1, 1, "the id of a person"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "reason"); err != nil {
				return err
			}
			return c.tellPerson(cmd.Context(), f, adminPersonSuspend, personRequest{Person: identity.PersonID(args[0]), Reason: reason})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, 3 to 80 letters")
	return cmd
}

func (c *cli) tellPerson(ctx context.Context, f adminFlags, path string, in personRequest) error {
	var p personView
	if err := c.ask(ctx, f, path, in, &p); err != nil {
		return err
	}
	if f.json {
		return c.json(p)
	}
	posts := make([]string, len(p.Appointments))
	for i, a := range p.Appointments {
		posts[i] = a.Title + ", " + a.Institution
	}
	return c.table(filled([][]string{
		{"person", string(p.Person)}, {"name", p.Name}, {"document", p.Document}, {"state", p.State}, {"level", p.Level}, {"passkeys", fmt.Sprint(p.Keys)},
		{"roles", strings.Join(p.Roles, ", ")}, {"posts", strings.Join(posts, "; ")}, {"registered", dateTime(p.Registered)}, {"changed", dateTime(p.Changed)},
	}))
}

// filled leaves out the rows whose value is empty.
func filled(rows [][]string) [][]string {
	var out [][]string
	for _, r := range rows {
		if r[1] != "" {
			out = append(out, r)
		}
	}
	return out
}
