package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/signer/pades"
)

func (c *cli) newPDFCommand() *cobra.Command {
	cmd := group("pdf", "Look into PDF files, repair them, extend signed ones", "Look into PDF files before they are signed, repair damaged ones, and keep signed ones verifiable.", "  suti pdf preflight document.pdf")
	cmd.AddCommand(c.newExtendCommand(), c.newPreflightCommand(), c.newRepairCommand())
	return cmd
}

func (c *cli) newPreflightCommand() *cobra.Command {
	var asJSON bool
	var passwordFile string
	cmd := &cobra.Command{
		Use:   "preflight FILE.pdf",
		Short: "Tell what is in a file that is to be signed, and whether it can be",
		Long: "Read every object of a PDF file and report what a signer should know of: scripts, layers, external\n" +
			"references, fonts that are not embedded, and whether the file can be signed without risk.\n\n" +
			"Exit codes: 0 it can be signed, 2 used wrongly, 3 it is refused or unreadable.",
		Example: "  suti pdf preflight document.pdf\n  suti pdf preflight --json document.pdf",
		Args:    operands(1, 1, "the PDF file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.preflight(cmd.Context(), asJSON, args[0], passwordFile)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	passwordFlag(cmd, &passwordFile)
	return cmd
}

// preflightResult is what "suti pdf preflight --json" writes.
type preflightResult struct {
	Signable bool   `json:"signable"`
	Refused  string `json:"refused,omitempty"`
	Detail   string `json:"detail,omitempty"`
	*pades.PreflightReport
}

func (c *cli) preflight(ctx context.Context, asJSON bool, path, passwordFile string) error {
	password, err := c.readPassword(passwordFile)
	if err != nil {
		return err
	}
	base, size, err := openRegular(path)
	if err != nil {
		return refusedf("", "read the document: %w", err)
	}
	defer base.Close()
	prog := c.progress("leyendo", 2*size, asJSON)
	rep, err := pades.PreflightPassword(ctx, watchedReader{base, prog}, size, password, pades.Limits{})
	prog.end()
	var refused *pades.RefusedError
	if err != nil && !errors.As(err, &refused) {
		return refusedf("", "read the document: %w", err)
	}
	res := preflightResult{Signable: refused == nil, PreflightReport: rep}
	if refused != nil {
		res.Refused, res.Detail = string(refused.Code), refused.Detail
	}
	if asJSON {
		err = c.json(res)
	} else {
		err = c.preflightText(path, res)
	}
	if err == nil && !res.Signable {
		err = told(exitRefused)
	}
	return err
}

func (c *cli) preflightText(path string, r preflightResult) error {
	p := &printer{w: c.stdout}
	if r.Signable {
		p.linef("%s: se puede firmar", path)
	} else {
		p.linef("%s: no se puede firmar (%s): %s", path, r.Refused, r.Detail)
	}
	p.linef("  %d bytes, PDF %s, %d páginas, %d objetos, %d revisiones", r.Size, r.Version, r.Pages, r.Objects, r.Revisions)
	if e := r.Encryption; e != nil {
		p.linef("  cifrado con %s; permite cambios: %s, campos nuevos: %s, llenar y firmar campos: %s", e.Method, yes(e.Modify), yes(e.AddFields), yes(e.FillIn))
	}
	for _, f := range r.Fields {
		state := "libre"
		if f.Signed {
			state = "firmado"
		} else if f.Locked {
			state = "bloqueado"
		}
		p.linef("  campo de firma %q: %s", f.Name, state)
	}
	for _, f := range r.Findings {
		p.linef("  contiene %s: %d", f.Code, f.Count)
	}
	return p.err
}

func yes(b bool) string {
	if b {
		return "sí"
	}
	return "no"
}
