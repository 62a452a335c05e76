package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/stamp"
	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pades/online"
)

// evidenceFlags say where evidence about certificates comes from.
type evidenceFlags struct {
	trust        []string
	allowPrivate bool
}

// extendFlags are the flags of "suti pdf extend".
type extendFlags struct {
	evidenceFlags
	level, tsa, out string
	passwordFile    string
	fresh, json     bool
}

// extendResult is what "suti pdf extend --json" tells of an extended file.
type extendResult struct {
	Extended  string     `json:"extended"` // path of the file
	Size      int64      `json:"size"`
	Requested string     `json:"requested"`
	Achieved  string     `json:"achieved"`
	Timestamp *time.Time `json:"timestamp"` // of the newest document time-stamp added; null if none was
	Took      string     `json:"took"`
}

const extendLong = `Add what keeps signatures verifiable for longer to a signed PDF file: time-stamps of the document, and
evidence that the certificates were not revoked.

B-T adds a document time-stamp where a signature has no time-stamp. B-LT adds the evidence, fetched now from
the addresses in the certificates. B-LTA adds a document time-stamp over all that; of a file that has it, it is
the renewal: do it before the certificate of the last time-stamp expires.

Signatures are not touched, and all must be valid and lead to an anchor of --trust. What cannot be had is told
with the certificate that it is about, and nothing is written: a level is never lowered. Addresses in
certificates that lead to loopback or private networks are asked only with --allow-private.

Exit codes: 0 extended, 1 failed, 2 used wrongly, 3 refused (with --json: {"refused":"…","detail":"…"}).`

func (c *cli) newExtendCommand() *cobra.Command {
	var f extendFlags
	cmd := &cobra.Command{
		Use:   "extend --level LEVEL --trust ROOT.pem [--tsa URL] --out OUT.pdf IN.pdf",
		Short: "Add evidence and time-stamps to a signed file, or renew them",
		Long:  extendLong,
		Example: "  suti pdf extend --level B-LTA --tsa https://tsa.example/ --trust root.pem --trust tsa-root.pem --out archived.pdf signed.pdf\n" +
			"  suti pdf extend --level B-LT --trust root.pem --json --out longer.pdf signed.pdf",
		Args: operands(1, 1, "the PDF file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "out"); err != nil {
				return err
			}
			return c.extend(cmd.Context(), f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.level, "level", "B-LTA", "B-T, B-LT or B-LTA")
	fl.StringVar(&f.tsa, "tsa", "", "address of a time-stamping authority (RFC 3161)")
	fl.StringArrayVar(&f.trust, "trust", nil, "trust anchor of signers and time-stamps, PEM; may be repeated")
	fl.BoolVar(&f.allowPrivate, "allow-private", false, "ask addresses in certificates that lead to loopback and private networks too")
	fl.BoolVar(&f.fresh, "fresh", false, "refuse evidence that tells of a moment before the signature")
	fl.BoolVar(&f.json, "json", false, "write JSON")
	fl.StringVar(&f.out, "out", "", "where the extended file goes; one that exists is replaced")
	passwordFlag(cmd, &f.passwordFile)
	return cmd
}

// parseLevel reads a level.
func parseLevel(s string) (pades.Level, error) {
	var l pades.Level
	name := "PAdES-" + strings.TrimPrefix(s, "PAdES-")
	if err := l.UnmarshalText([]byte(name)); err != nil || l == pades.LevelNone {
		return 0, usagef("levels are B-B, B-T, B-LT and B-LTA", "there is no level %q", s)
	}
	return l, nil
}

// options are those that do not concern a time-stamping authority.
func (f *evidenceFlags) options(level pades.Level, now func() time.Time) (pades.ExtendOptions, error) {
	pool, roots, err := readRoots(f.trust)
	if err != nil {
		return pades.ExtendOptions{}, usagef("", "--trust: %w", err)
	}
	if pool == nil {
		return pades.ExtendOptions{}, usagef("add --trust ROOT.pem, for the signer's and the time-stamping authority's root", "level %s needs trust anchors", shortLevel(level))
	}
	source, err := online.New(online.Config{AllowPrivate: f.allowPrivate, Now: now})
	if err != nil {
		return pades.ExtendOptions{}, failedf("", "%w", err)
	}
	return pades.ExtendOptions{Level: level, Roots: pool, TimestampRoots: pool, Intermediates: roots, Evidence: source, Now: now}, nil
}

func (c *cli) extend(ctx context.Context, f extendFlags, in string) error {
	start := c.now()
	level, err := parseLevel(f.level)
	if err != nil {
		return err
	}
	if level < pades.LevelBT {
		return usagef("use B-T, B-LT or B-LTA", "a signed file has level %s already", shortLevel(level))
	}
	if sameFile(in, f.out) {
		return usagef("give --out another name", "%s would be written over itself", in)
	}
	o, err := f.options(level, c.now)
	if err != nil {
		return err
	}
	o.RequireFresh = f.fresh
	if o.Password, err = c.readPassword(f.passwordFile); err != nil {
		return err
	}
	if f.tsa != "" {
		client, err := stamp.New(stamp.Config{URL: f.tsa, Roots: o.TimestampRoots})
		if err != nil {
			return usagef("see: suti pdf extend --help", "--tsa: %w", err)
		}
		o.Timestamper = client
	}
	base, size, err := openRegular(in)
	if err != nil {
		return failedf("", "read the document: %w", err)
	}
	defer base.Close()
	prog := c.progress("ampliando", 3*size, f.json)
	defer prog.end()
	watched := watchedReader{base, prog}
	x, err := pades.Extend(ctx, watched, size, o)
	if err != nil {
		return c.signFault(f.json, err)
	}
	if err := writeWhole(f.out, 0o644, func(w io.Writer) error {
		_, err := x.WriteTo(ctx, w, watched)
		return err
	}); err != nil {
		return failedf("nothing was left at "+f.out, "write the extended file: %w", err)
	}
	prog.end()
	res := extendResult{
		Extended: f.out, Size: x.Size(), Requested: shortLevel(x.Requested), Achieved: shortLevel(x.Achieved),
		Timestamp: timeOrNull(x.Timestamp), Took: c.now().Sub(start).Round(time.Millisecond).String(),
	}
	if f.json {
		return c.json(res)
	}
	c.printf("Ampliado: %s (%d bytes)\n  nivel %s\n", res.Extended, res.Size, res.Achieved)
	return nil
}

// refuseEvidence tells of what evidence is lacking.
func (c *cli) refuseEvidence(asJSON bool, e *pades.EvidenceError) error {
	r := refusal{Refused: "evidence", Detail: evidenceDetail(e), Reason: e.Reason}
	if e.Certificate != nil {
		r.Certificate, r.Serial = e.Certificate.Subject.String(), e.Certificate.SerialNumber.Text(16)
	}
	if asJSON {
		if err := c.json(r); err != nil {
			return err
		}
		return told(exitRefused)
	}
	return refusedf(evidenceHint(e.Reason), "refused (evidence, %s): %s", e.Reason, r.Detail)
}

func evidenceDetail(e *pades.EvidenceError) string {
	if e.Certificate == nil {
		return e.Detail
	}
	return fmt.Sprintf("certificate of %s: %s", certName(e.Certificate), e.Detail)
}

func certName(c *x509.Certificate) string { return nameText(c.RawSubject, c.Subject.String()) }

// evidenceHint is the next step for a reason.
func evidenceHint(reason string) string {
	switch reason {
	case pades.Refused:
		return "if the address is one of your own network or laboratory, add --allow-private"
	case pades.NoPath:
		return "give its root with --trust"
	case pades.NoTimestamps:
		return "add --tsa URL"
	case pades.Unreachable:
		return "try again later, or ask whoever runs that address"
	case pades.NotFresh:
		return "wait until the authority has published anew, or leave out --fresh"
	case pades.NoAddress:
		return "levels above B-T cannot be reached with this certificate"
	}
	return "nothing was written"
}

// evidenceFault returns the EvidenceError in err, nil if there is none.
func evidenceFault(err error) *pades.EvidenceError {
	var e *pades.EvidenceError
	if errors.As(err, &e) {
		return e
	}
	return nil
}
