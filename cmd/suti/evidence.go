package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/signer/pades"
)

// checkDocument is the name of the check of the file beside the bundle.
const checkDocument = "document"

// verifyEvidence verifies an evidence bundle and, if a file is given, that it
// is a document that was signed.
func (c *cli) verifyEvidence(ctx context.Context, f verifyFlags, args []string, at time.Time, pool *x509.CertPool) error {
	if len(args) > 1 {
		return usagef("see: suti verify --help", "one PDF file at most can stand beside a bundle")
	}
	genesis, err := hex.DecodeString(f.genesis)
	if err != nil || len(genesis) != len(act.Hash{}) {
		return usagef("the deployment publishes it; it is 64 hexadecimal digits", "--evidence needs --genesis HEX")
	}
	raw, err := readBounded(f.evidence, bundle.MaxSize)
	if err != nil {
		return refusedf("", "read the bundle: %w", err)
	}
	report, err := bundle.Verify(raw, bundle.Trust{Genesis: act.Hash(genesis), Now: at, Roots: pool, TSARoots: pool, LogKey: f.logKey})
	if err != nil {
		return c.refuse(f.json, "bundle", err.Error())
	}
	if len(args) == 1 {
		b, err := bundle.Decode(raw)
		if err != nil {
			return c.refuse(f.json, "bundle", err.Error())
		}
		check, err := documentCheck(ctx, b.Documents, args[0], at)
		if err != nil {
			return err
		}
		report.Checks = append(report.Checks, check)
		if check.Status == bundle.Failed {
			report.Verdict = bundle.Invalid
		}
	}
	if f.json {
		err = c.json(report)
	} else {
		err = writeEvidenceText(c.stdout, report)
	}
	if err != nil {
		return err
	}
	switch report.Verdict {
	case bundle.Valid:
		return nil
	case bundle.Indeterminate:
		return told(verifyIndeterminate)
	default:
		return told(verifyFails)
	}
}

// documentCheck looks for a signature of the file whose byte range has a
// digest that the bundle's person consented to.
func documentCheck(ctx context.Context, documents []bundle.Document, path string, at time.Time) (bundle.Check, error) {
	check := bundle.Check{Name: checkDocument, Status: bundle.Failed, Required: true}
	file, size, err := openRegular(path)
	if err != nil {
		return check, refusedf("", "read the document: %w", err)
	}
	defer file.Close()
	report, err := pades.Verify(ctx, file, size, pades.VerifyOptions{At: at})
	if err != nil {
		check.Detail, check.Err = "the file cannot be read in one way only", err
		return check, nil
	}
	for _, s := range report.Signatures {
		for _, d := range documents {
			same, err := sameRange(ctx, file, s, d.Digest)
			if err != nil {
				return check, refusedf("", "read the document: %w", err)
			}
			if !same {
				continue
			}
			check.Detail = fmt.Sprintf("signature in field %q", s.Field)
			if s.Verdict == pades.Invalid || s.Verdict == pades.ModifiedForbidden {
				check.Detail += ": " + string(s.Verdict)
				return check, nil
			}
			check.Status = bundle.OK
			return check, nil
		}
	}
	check.Detail = "no signature of the file covers what was signed"
	return check, nil
}

// sameRange reports whether the byte range of a signature has the digest.
func sameRange(ctx context.Context, file io.ReaderAt, s pades.SignatureReport, digest []byte) (bool, error) {
	var h crypto.Hash
	for _, known := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if known.Size() == len(digest) {
			h = known
		}
	}
	if h == 0 || s.SignedBytes == 0 {
		return false, nil
	}
	sum := h.New()
	for _, part := range []*io.SectionReader{
		io.NewSectionReader(file, s.ByteRange[0], s.ByteRange[1]), io.NewSectionReader(file, s.ByteRange[2], s.ByteRange[3]),
	} {
		if _, err := copyInto(ctx, sum, part); err != nil {
			return false, err
		}
	}
	return bytes.Equal(sum.Sum(nil), digest), nil
}

var evidenceWords = map[bundle.Verdict]string{
	bundle.Valid:         "LA EVIDENCIA ES VÁLIDA",
	bundle.Invalid:       "LA EVIDENCIA NO ES VÁLIDA",
	bundle.Indeterminate: "NO SE PUEDE AFIRMAR",
}

func writeEvidenceText(w io.Writer, r *bundle.Report) error {
	p := &printer{w: w}
	p.linef("%s (%s)", evidenceWords[r.Verdict], r.Verdict)
	p.linef("  solicitud %s, persona %s, nivel %s, clase %s", r.RequestID, r.Person, r.Level, r.Class)
	p.linef("  firmado el %s", r.SignedAt.Format(time.RFC3339))
	for _, d := range r.Documents {
		p.linef("  documento %s, campo %s, nivel %s (pedido %s)", d.SHA256, d.Name, d.Achieved, d.Requested)
	}
	for _, check := range r.Checks {
		p.linef("  %-12s %-22s %s", check.Status, check.Name, check.Detail)
	}
	return p.err
}
