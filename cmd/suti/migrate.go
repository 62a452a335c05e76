package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/internal/db"
)

func (c *cli) newMigrateCommand() *cobra.Command {
	var f configFlags
	var check bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the database to this program's schema",
		Long: "Bring the database to this program's schema, forward only and under a lock. A schema that is newer than this\n" +
			"program is refused. Take a backup before: suti backup.\n\n" +
			"Exit codes: 0 the schema is this program's, 1 failed, 2 used or configured wrongly, 3 with --check: it is not.",
		Example: "  suti migrate --config suti.toml --check\n  suti migrate --config suti.toml",
		Args:    operands(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.migrate(cmd.Context(), f, check) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "only tell whether the schema is this program's")
	return cmd
}

func (c *cli) migrate(ctx context.Context, f configFlags, check bool) error {
	cfg, err := c.load(f)
	if err != nil {
		return err
	}
	d, err := c.openDB(ctx, cfg)
	if err != nil {
		return err
	}
	defer d.Close()
	if check {
		if err := d.Check(ctx, app.Lines()...); err != nil {
			return schemaFault(err)
		}
		c.printf("The schema is this program's.\n")
		return nil
	}
	if err := d.Migrate(ctx, app.Lines()...); err != nil {
		return schemaFault(err)
	}
	c.printf("The schema is now this program's.\n")
	return nil
}

func schemaFault(err error) error {
	switch {
	case errors.Is(err, db.ErrSchemaOld):
		return refusedf("take a backup, then: suti migrate", "%w", err)
	case errors.Is(err, db.ErrSchemaNew):
		return refusedf("use the newer program; schemas go forward only", "%w", err)
	default:
		return failedf("what was migrated before the failure stays", "migrate: %w", err)
	}
}
