package main

import (
	"errors"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/tour"
)

// newTourCommand takes the whole system through its main job, headless.
func (c *cli) newTourCommand() *cobra.Command {
	var t tour.Config
	cmd := &cobra.Command{
		Use:   "tour",
		Short: "Take the whole system through its main job and try to cheat it",
		Long: "Enrols, logs in at two applications, signs a PDF with a passkey, verifies the result with our own and\n" +
			"foreign tools and tries to cheat, over real HTTP with a software authenticator. It leaves the signed PDF,\n" +
			"the evidence, the ID token, the certificates and the log's checkpoint in a folder, prints a table of steps\n" +
			"with their times, and ends with 0 only if every step held.",
		Example: "  suti tour --pdf resolution.pdf --out ./tour\n  suti tour --db postgres://suti@127.0.0.1/tour --redis redis://127.0.0.1/0",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if t.VerifyCommand, err = workerCommand(); err != nil {
				return err
			}
			t.Stdout = c.stdout
			_, err = tour.Run(cmd.Context(), t)
			if errors.Is(err, tour.ErrFailed) {
				return failedf("", "a step did not hold; see the table above")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&t.PDF, "pdf", "", "the PDF to be signed (default: a built-in resolution)")
	cmd.Flags().StringVar(&t.Out, "out", "tour-out", "folder for what comes out")
	cmd.Flags().StringVar(&t.DatabaseURL, "db", "", "an empty database, sqlite:PATH or postgres://… (default: embedded)")
	cmd.Flags().StringVar(&t.RedisURL, "redis", "", "a Redis server (default: in-process)")
	cmd.Flags().BoolVar(&t.TLS, "tls", false, "take it over https, as suti demo --tls serves it")
	return cmd
}
