package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/signer/pades"
)

const repairLong = `Make a file that can be signed from one that is refused because its header is not at its beginning or its
cross-reference is wrong.

The objects of the file are found by reading all of it; of an object that is defined more than once the last counts.
Each is kept as it is written, behind a new cross-reference; what does not read is not guessed at, and the file refused.
The damaged file is not changed. The result is another document than the one that some viewer may show of the damaged
file: look at it before you sign it. What was done is reported.

A file that holds a signature is refused: no signature survives a repair. Neither "suti sign" nor "suti verify" repairs.

Exit codes: 0 repaired, 1 failed, 2 used wrongly, 3 refused (with --json: {"refused":"…","detail":"…"}), also when
there is nothing to repair ("sound").`

func (c *cli) newRepairCommand() *cobra.Command {
	var out, passwordFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "repair --out OUT.pdf IN.pdf",
		Short:   "Make a new file from one that is damaged, before it is signed",
		Long:    repairLong,
		Example: "  suti pdf repair --out repaired.pdf damaged.pdf",
		Args:    operands(1, 1, "the PDF file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "out"); err != nil {
				return err
			}
			return c.repair(cmd.Context(), asJSON, args[0], out, passwordFile)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "where the repaired file goes; one that exists is replaced")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	passwordFlag(cmd, &passwordFile)
	return cmd
}

// repairResult is what "suti pdf repair --json" writes.
type repairResult struct {
	Repaired string `json:"repaired"` // path of the new file
	pades.RepairReport
}

func (c *cli) repair(ctx context.Context, asJSON bool, in, out, passwordFile string) error {
	if sameFile(in, out) {
		return usagef("give --out another name", "%s would be written over itself", in)
	}
	password, err := c.readPassword(passwordFile)
	if err != nil {
		return err
	}
	base, size, err := openRegular(in)
	if err != nil {
		return failedf("", "read the document: %w", err)
	}
	defer base.Close()
	prog := c.progress("reparando", 6*size, asJSON)
	defer prog.end()
	r, err := pades.Repair(ctx, watchedReader{base, prog}, size, pades.RepairOptions{Password: password})
	var refused *pades.RefusedError
	switch {
	case errors.Is(err, pades.ErrNothingToRepair):
		return c.refuse(asJSON, "sound", "there is nothing to repair: the file can be signed as it is")
	case errors.As(err, &refused):
		return c.refuse(asJSON, string(refused.Code), refused.Detail)
	case err != nil:
		return failedf("nothing was written", "repair: %w", err)
	}
	if err := writeWhole(out, 0o644, func(w io.Writer) error {
		_, err := r.WriteTo(ctx, w)
		return err
	}); err != nil {
		return failedf("nothing was left at "+out, "write the repaired file: %w", err)
	}
	prog.end()
	if asJSON {
		return c.json(repairResult{Repaired: out, RepairReport: r.RepairReport})
	}
	p := &printer{w: c.stdout}
	p.linef("Reparado: %s (%d bytes, %d páginas, %d objetos). Es otro documento: mírelo antes de firmarlo.", out, r.AfterSize, r.Pages, r.Objects)
	p.linef("  se rechazaba por: %s (%s)", r.Refused, r.Detail)
	for _, f := range r.Fixes {
		p.linef("  %s: %d", fixWords(f.Code), f.Count)
	}
	p.linef("  SHA-256 de antes %s\n  SHA-256 de ahora %s", r.BeforeSHA256, r.AfterSHA256)
	return p.err
}

// fixWords says what a repair did.
func fixWords(code string) string {
	if s, ok := map[string]string{
		pades.FixHeader:       "se quitó lo que había antes del encabezado",
		pades.FixXref:         "se hizo de nuevo la tabla de referencias",
		pades.FixTrailer:      "no había final que nombre el catálogo; se tomó el único que hay",
		pades.FixStreamLength: "longitudes de contenidos corregidas",
		pades.FixStreamStart:  "contenidos sin fin de línea antes de sus datos",
		pades.FixEndobj:       "objetos sin su final",
		pades.FixSuperseded:   "versiones anteriores de objetos que se dejaron fuera",
		pades.FixComment:      "objetos dentro de comentarios que se dejaron fuera",
		pades.FixLinearized:   "indicaciones de lectura por partes que se dejaron fuera",
	}[code]; ok {
		return s
	}
	return code
}
