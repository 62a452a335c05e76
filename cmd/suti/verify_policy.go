package main

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pades/report"
)

// reportFlags are the flags about constraints and about reports in other forms.
type reportFlags struct {
	policy             string
	printPolicy        bool
	path, format, lang string
}

func (f *reportFlags) register(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.policy, "policy", "default", `file of validation constraints, JSON; "default" for the built-in ones`)
	fl.BoolVar(&f.printPolicy, "print-policy", false, "write the constraints, and verify nothing")
	fl.StringVar(&f.path, "report", "", "also write a report to this file: .xml (ETSI TS 119 102-2), .html or .pdf")
	fl.StringVar(&f.format, "report-format", "", "form of the report, xml, html or pdf; default by its name")
	fl.StringVar(&f.lang, "report-lang", "es", "language of a report for people, es or en")
}

// used reports whether any of the flags is there.
func (f *reportFlags) used() bool { return f.policy != "default" || f.printPolicy || f.path != "" }

// check returns the format asked for, empty if no report is.
func (f *reportFlags) check() (report.Format, error) {
	if f.path == "" {
		if f.format != "" {
			return "", usagef("add --report FILE", "--report-format is about a report")
		}
		return "", nil
	}
	if f.lang != string(i18n.ES) && f.lang != string(i18n.EN) {
		return "", usagef("es or en", "--report-lang %q is not known", f.lang)
	}
	if f.format == "" {
		format, ok := report.FormatOf(f.path)
		if !ok {
			return "", usagef("name it .xml, .html or .pdf, or add --report-format", "--report %q tells no format", f.path)
		}
		return format, nil
	}
	format, ok := report.FormatOf("." + f.format)
	if !ok {
		return "", usagef("xml, html or pdf", "--report-format %q is not known", f.format)
	}
	return format, nil
}

// constraints reads the constraints named.
func (f *reportFlags) constraints() (*pades.Constraints, error) {
	if f.policy == "default" {
		return pades.DefaultConstraints(), nil
	}
	b, err := readBounded(f.policy, pades.MaxConstraints)
	if err != nil {
		return nil, usagef("", "--policy: %w", err)
	}
	k, err := pades.ParseConstraints(b)
	if err != nil {
		return nil, usagef("compare it with: suti verify --print-policy", "--policy %s: %w", f.policy, err)
	}
	return k, nil
}

// anchors are what --trust gave, with those of the constraints, which have a tier.
func anchors(k *pades.Constraints, trusted []*x509.Certificate) []report.Anchor {
	var out []report.Anchor
	for _, a := range k.Anchors {
		out = append(out, report.Anchor{Certificate: a.Certificate, Name: a.Name, Tier: a.Tier, Uses: a.Uses})
	}
	for _, c := range trusted {
		out = append(out, report.Anchor{Certificate: c.Raw})
	}
	return out
}

// pools joins the anchors of the constraints to those of --trust.
func pools(k *pades.Constraints, trusted []*x509.Certificate) (roots, timestamps *x509.CertPool) {
	roots, timestamps = x509.NewCertPool(), x509.NewCertPool()
	for _, c := range trusted {
		roots.AddCert(c)
		timestamps.AddCert(c)
	}
	for _, c := range k.AnchorCertificates(pades.UseSignatures) {
		roots.AddCert(c)
	}
	for _, c := range k.AnchorCertificates(pades.UseTimestamps) {
		timestamps.AddCert(c)
	}
	return roots, timestamps
}

// writeReport writes the report on a file, all or nothing.
func (c *cli) writeReport(ctx context.Context, f reportFlags, format report.Format, base io.ReaderAt, name string, r *pades.Report, a []report.Anchor) error {
	if sameFile(f.path, name) {
		return usagef("name another file", "--report is the document itself")
	}
	sums, err := report.Digest(ctx, base, r)
	if err != nil {
		return refusedf("", "read the document: %w", err)
	}
	b, err := report.Write(format, report.Input{
		Report: r, Sums: sums, Name: filepath.Base(name), Anchors: a, Lang: i18n.Lang(f.lang), Producer: "Suti " + thisBuild().Version,
	})
	if errors.Is(err, report.ErrNoSignature) {
		return refusedf("ask for .html or .pdf", "the document has no signature: there is no XML report about none")
	}
	if err != nil {
		return failedf("", "write the report: %w", err)
	}
	err = writeWhole(f.path, 0o644, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil {
		return refusedf("", "write the report: %w", err)
	}
	return nil
}
