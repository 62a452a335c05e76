package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pades/online"
	"oruro.gob.bo/suti/signer/pades/report"
)

// Exit codes of verify, which scripts branch on. They differ from those of the
// other commands: a wrong use is 3, so that it is never taken for a verdict.
const (
	verifyHolds         = 0
	verifyFails         = 1
	verifyIndeterminate = 2
	verifyRefused       = 3
	verifyNoSignature   = 4
)

// verifyFlags are the flags of "suti verify".
type verifyFlags struct {
	online, allowPrivate bool
	trust                []string
	at                   string
	json                 bool
	evidence, genesis    string
	logKey               string
	passwordFile         string
	content              string
	report               reportFlags
}

const verifyLong = `Verify every signature of a PDF file, or a signature over a file of any kind, without a server and without
trusting one. What kind it is shows in the file: PDF; CMS (.p7s, with --content the file that was signed); JWS in
its compact form, with its content inside or with --content.

Trust comes from --trust alone: without it, no signer is known and a sound signature is INDETERMINATE.
Revocation is judged by the evidence in the file (levels B-LT and B-LTA). Nothing is looked up, and where there is none
the report says that it was not checked; with --online the addresses in the certificates are asked, those of private
networks only with --allow-private. --at may be long after certificates have expired.

With --policy a file says what a signature must be beyond being sound (algorithms and keys with an end, level, time-stamp,
revocation, usages), and may bring trust anchors with their tier; --print-policy writes the built-in one, to begin with.
--report also writes a report to keep: XML of ETSI TS 119 102-2, a page or a PDF file. It is not signed.

With --evidence, an evidence bundle is verified instead: the signer's assertion, the acts that brought
the key, certificate, time-stamp and place in the log. --genesis is the deployment's genesis hash, from a
source other than the bundle. If FILE.pdf is given too, it must be the document signed.

Exit codes: 0 every signature is VALID, VALID-EXTENDED or MODIFIED-ALLOWED; 1 one is MODIFIED-FORBIDDEN or
does not fit; 2 one is INDETERMINATE; 3 unreadable, refused or used wrongly; 4 there is no signature.`

func (c *cli) newVerifyCommand() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify [--trust ROOT.pem]... [--content FILE] FILE",
		Short: "Verify the signatures of a PDF file, a CAdES or JAdES signature, or an evidence bundle",
		Long:  verifyLong,
		Example: "  suti verify --trust root.pem signed.pdf\n" +
			"  suti verify --trust root.pem --at 2026-11-24T12:00:00Z --json signed.pdf\n" +
			"  suti verify --trust root.pem --content planilla.csv planilla.csv.p7s\n" +
			"  suti verify --trust root.pem acta.jws\n" +
			"  suti verify --trust root.pem --policy rules.json --report report.pdf signed.pdf\n" +
			"  suti verify --policy default --print-policy\n" +
			"  suti verify --evidence bundle.json --genesis 5f0c…e1 --trust root.pem signed.pdf",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return verifyUsage(c.verify(cmd.Context(), f, args))
		},
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.trust, "trust", nil, "trust anchor of signers and time-stamps, PEM; may be repeated")
	fl.StringVar(&f.content, "content", "", "the file that a CAdES or JAdES signature is about")
	fl.StringVar(&f.at, "at", "", "time of verification, RFC 3339; default now")
	fl.BoolVar(&f.json, "json", false, "write JSON")
	fl.StringVar(&f.evidence, "evidence", "", "evidence bundle to verify")
	fl.StringVar(&f.genesis, "genesis", "", "hash of the deployment's genesis, in hexadecimal")
	fl.StringVar(&f.logKey, "log-key", "", "verifier key of the transparency log; default the one in the acts")
	fl.BoolVar(&f.online, "online", false, "ask the addresses in certificates whether they are revoked now")
	fl.BoolVar(&f.allowPrivate, "allow-private", false, "with --online, ask loopback and private addresses too")
	passwordFlag(cmd, &f.passwordFile)
	f.report.register(cmd)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return verifyUsage(usagef("see: suti verify --help", "%w", err))
	})
	return cmd
}

// verifyUsage gives usage errors the code that no verdict has.
func verifyUsage(err error) error {
	var e *exitError
	if errors.As(err, &e) && e.code == exitUsage && !e.quiet {
		e.code = verifyRefused
	}
	return err
}

func (c *cli) verify(ctx context.Context, f verifyFlags, args []string) error {
	at := c.now()
	if f.at != "" {
		t, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return usagef("for example 2026-11-24T12:00:00-04:00", "--at %q is no time of RFC 3339", f.at)
		}
		at = t
	}
	pool, trusted, err := readRoots(f.trust)
	if err != nil {
		return usagef("", "--trust: %w", err)
	}
	if f.evidence != "" && (f.passwordFile != "" || f.report.used()) {
		return usagef("", "--password-file, --policy and --report are about a PDF file alone")
	}
	if f.evidence != "" && f.content != "" {
		return usagef("", "--content is about CAdES and JAdES signatures")
	}
	if f.evidence != "" {
		return c.verifyEvidence(ctx, f, args, at, pool)
	}
	if f.genesis != "" || f.logKey != "" {
		return usagef("add --evidence BUNDLE.json", "--genesis and --log-key are about evidence bundles")
	}
	k, err := f.report.constraints()
	if err != nil {
		return err
	}
	if f.report.printPolicy {
		b, err := k.JSON()
		if err == nil {
			_, err = c.stdout.Write(b)
		}
		return err
	}
	if len(args) != 1 {
		return usagef("see: suti verify --help", "suti verify wants one signed file or signature, and got %d operands", len(args))
	}
	password, err := c.readPassword(f.passwordFile)
	if err != nil {
		return err
	}
	o := pades.VerifyOptions{Intermediates: trusted, At: at, Password: password, Constraints: k, Material: true}
	o.Roots, o.TimestampRoots = pools(k, trusted)
	if f.online {
		if o.Revocation, err = online.New(online.Config{AllowPrivate: f.allowPrivate, Now: c.now}); err != nil {
			return failedf("", "%w", err)
		}
	}
	head, err := readHead(args[0])
	if err != nil {
		return refusedf("", "read the document: %w", err)
	}
	if format := formatOf(head); format != formatPAdES {
		if f.report.path != "" {
			return usagef("use --json", "--report is about a PDF file alone")
		}
		return c.verifyOther(ctx, f, format, args[0], o)
	}
	if f.content != "" {
		return usagef("give the signature as the operand", "%s is neither a CMS nor a compact JWS signature", args[0])
	}
	return c.verifyPDF(ctx, f, args[0], o)
}

func (c *cli) verifyPDF(ctx context.Context, f verifyFlags, path string, o pades.VerifyOptions) error {
	format, err := f.report.check()
	if err != nil {
		return err
	}
	base, size, err := openRegular(path)
	if err != nil {
		return refusedf("", "read the document: %w", err)
	}
	defer base.Close()
	prog := c.progress("verificando", size, f.json)
	watched := watchedReader{base, prog}
	r, err := pades.Verify(ctx, watched, size, o)
	prog.end()
	var refused *pades.RefusedError
	if errors.As(err, &refused) {
		return c.refuse(f.json, string(refused.Code), refused.Detail)
	}
	if err != nil {
		return refusedf("", "verify: %w", err)
	}
	known := anchors(o.Constraints, o.Intermediates)
	if format != "" {
		if err := c.writeReport(ctx, f.report, format, base, path, r, known); err != nil {
			return err
		}
	}
	if !f.json {
		if err := writeVerifyText(c.stdout, path, r, formatPAdES, known); err != nil {
			return err
		}
		return told(verifyCode(r))
	}
	sum, err := hashFile(ctx, base, size)
	if err != nil {
		return refusedf("", "read the document: %w", err)
	}
	if err := c.json(newVerifyReport(r, sum, formatPAdES, known)); err != nil {
		return err
	}
	return told(verifyCode(r))
}

// verifyCode is the exit code for a report: the worst signature decides.
func verifyCode(r *pades.Report) int {
	if len(r.Signatures) == 0 {
		return verifyNoSignature
	}
	code := verifyHolds
	for _, s := range r.Signatures {
		switch s.Verdict {
		case pades.Valid, pades.ValidExtended, pades.ModifiedAllowed:
		case pades.Indeterminate:
			if code == verifyHolds {
				code = verifyIndeterminate
			}
		default:
			code = verifyFails
		}
	}
	return code
}

// writeVerifyText writes the report for people, in Spanish.
func writeVerifyText(w io.Writer, path string, r *pades.Report, format string, known []report.Anchor, mediaTypes ...string) error {
	p := &printer{w: w}
	if len(r.Signatures) == 0 {
		p.linef("%s: no tiene firmas.", path)
	}
	for i, s := range r.Signatures {
		p.linef("Firma %d de %d%s: %s", i+1, len(r.Signatures), fieldWord(s.Field), verdictWords[s.Verdict])
		if s.Signer != nil {
			who := "firmante no verificado"
			if s.Trusted {
				who = "verificado con una raíz de confianza dada"
			}
			p.linef("  firmante: %s (%s)", subjectOf(s.Signer), who)
		}
		if !s.ClaimedTime.IsZero() {
			p.linef("  fecha que declara el firmante: %s", s.ClaimedTime.Format(time.RFC3339))
		}
		if !s.ProvenTime.IsZero() {
			p.linef("  existía el: %s (sello de tiempo)", s.ProvenTime.Format(time.RFC3339))
		}
		if i < len(mediaTypes) && mediaTypes[i] != "" {
			p.linef("  firmado como: %s", mediaTypes[i])
		}
		p.linef("  nivel: %s", levelWord(s.Level, format))
		p.linef("  por ley: %s", tierWords[tierOf(&s, known)])
		p.linef("  resultado: %s", strings.TrimSpace(strings.Join([]string{string(s.Verdict), s.Indication, s.SubIndication}, " ")))
		if s.SubIndication != "" {
			p.linef("  motivo: %s", word(reasonWords, s.SubIndication))
		}
		for _, warn := range s.Warnings {
			p.linef("  aviso: %s", word(warningWords, warn.Code))
		}
	}
	for _, ch := range r.Changes {
		p.linef("Cambio en la revisión %d: %s (%s)%s", ch.Revision, word(changeWords, ch.Kind), word(classWords, ch.Class), fieldWord(ch.Field))
	}
	for _, warn := range r.Warnings {
		p.linef("Aviso: %s", word(warningWords, warn.Code))
	}
	return p.err
}

// levelWord names a level, and says so where there is none.
func levelWord(l pades.Level, format string) string {
	if short := shortLevel(l); short != "" {
		return formatNames[format] + " " + short
	}
	return "ninguno de " + formatNames[format]
}

func fieldWord(field string) string {
	if field == "" {
		return ""
	}
	return fmt.Sprintf(", campo %q", field)
}

// printer writes lines until one fails. What comes from documents is quoted by
// printable, so that it cannot steer a terminal.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) linef(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, printable(fmt.Sprintf(format, args...)))
	}
}

// cells writes a line of a table.
func (p *printer) cells(cells ...string) {
	if p.err != nil {
		return
	}
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	_, p.err = fmt.Fprintln(p.w, strings.Join(cells, "\t"))
}
