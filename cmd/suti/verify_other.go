package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"oruro.gob.bo/suti/signer/cades"
	"oruro.gob.bo/suti/signer/jades"
	"oruro.gob.bo/suti/signer/pades"
)

// formatOf says what kind of signature a file holds, by its beginning: what
// neither looks like CMS nor like JWS is for the reader of PDF files.
func formatOf(head []byte) string {
	switch {
	case len(head) > 1 && head[0] == 0x30 && head[1] >= 0x80, bytes.HasPrefix(head, []byte("-----BEGIN CMS-----")), bytes.HasPrefix(head, []byte("-----BEGIN PKCS7-----")):
		return formatCAdES
	case jades.LooksLike(head):
		return formatJAdES
	}
	return formatPAdES
}

// readHead returns the beginning of a file.
func readHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 256)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:n], err
}

// verifyOther verifies a signature that is no part of a PDF file.
func (c *cli) verifyOther(ctx context.Context, f verifyFlags, format, path string, o pades.VerifyOptions) error {
	if format == formatCAdES && f.content == "" {
		return usagef("add --content FILE, the file that was signed", "%s is a signature over another file", path)
	}
	if f.passwordFile != "" {
		return usagef("", "--password-file is about a PDF file alone")
	}
	limit := int64(jades.MaxCompact)
	if format == formatCAdES {
		limit = maxSignature * 2 // PEM
	}
	sig, err := readBounded(path, limit)
	if err != nil {
		return refusedf("", "read the signature: %w", err)
	}
	prog := c.progress("verificando", 1, f.json)
	var content io.Reader
	if f.content != "" {
		file, size, err := openRegular(f.content)
		if err != nil {
			return refusedf("", "read the signed file: %w", err)
		}
		defer file.Close()
		prog.set(0, size)
		content = io.NewSectionReader(watchedReader{file, prog}, 0, size)
	}
	verify := verifyJAdES
	if format == formatCAdES {
		verify = verifyCAdES
	}
	report, other, err := verify(ctx, sig, content, o)
	prog.end()
	if err != nil {
		if told := c.otherFault(f.json, err); told != nil {
			return told
		}
		return refusedf("", "verify: %w", err)
	}
	known := anchors(o.Constraints, o.Intermediates)
	if f.json {
		out := newVerifyReport(report, other.sum, format, known)
		for i := range out.Signatures {
			out.Signatures[i].MediaType = other.mediaTypes[i]
		}
		if err := c.json(out); err != nil {
			return err
		}
		return told(verifyCode(report))
	}
	if err := writeVerifyText(c.stdout, path, report, format, known, other.mediaTypes...); err != nil {
		return err
	}
	return told(verifyCode(report))
}

// otherReport is what reports about PDF files have no place for.
type otherReport struct {
	sum        string   // SHA-256 of the content
	mediaTypes []string // declared in each signature
}

// verifyCAdES returns what a report about a PDF file would say.
func verifyCAdES(ctx context.Context, sig []byte, content io.Reader, o pades.VerifyOptions) (*pades.Report, otherReport, error) {
	r, err := cades.Verify(ctx, fromPEM(sig), content, cades.VerifyOptions{
		Roots: o.Roots, TimestampRoots: o.TimestampRoots, Intermediates: o.Intermediates, At: o.At, Revocation: o.Revocation, Constraints: o.Constraints,
	})
	if err != nil {
		return nil, otherReport{}, err
	}
	other := otherReport{sum: r.SHA256}
	out := &pades.Report{Size: r.Size, At: r.At, Revisions: 1, Constraints: o.Constraints, Warnings: []pades.Warning{}}
	for _, s := range r.Signatures {
		one := pades.SignatureReport{
			Kind: "signature", Verdict: pades.Verdict(s.Verdict), Indication: s.Indication, SubIndication: s.SubIndication, Detail: s.Detail,
			Level: pades.Level(s.Level), Algorithm: s.Algorithm, Signer: s.Signer, Chain: s.Chain, Trusted: s.Trusted,
			ClaimedTime: s.ClaimedTime, ProvenTime: s.ProvenTime, Timestamps: s.Timestamps, Revocation: s.Revocation, Warnings: s.Warnings,
		}
		out.Signatures = append(out.Signatures, whole(one, r.Size))
		other.mediaTypes = append(other.mediaTypes, s.MediaType)
	}
	return out, other, nil
}

// whole says that a signature covers the one version of the content there is,
// unless it is not over it.
func whole(s pades.SignatureReport, size int64) pades.SignatureReport {
	if s.Verdict != pades.Invalid {
		s.Revision, s.SignedBytes, s.CoversFile = 1, size, true
	}
	return s
}

func verifyJAdES(ctx context.Context, sig []byte, content io.Reader, o pades.VerifyOptions) (*pades.Report, otherReport, error) {
	r, err := jades.Verify(ctx, sig, content, jades.VerifyOptions{
		Roots: o.Roots, Intermediates: o.Intermediates, At: o.At, Revocation: o.Revocation, Constraints: o.Constraints,
	})
	if err != nil {
		return nil, otherReport{}, err
	}
	one := pades.SignatureReport{
		Kind: "signature", Verdict: pades.Verdict(r.Verdict), Indication: r.Indication, SubIndication: r.SubIndication, Detail: r.Detail,
		Level: pades.Level(r.Level), Algorithm: r.Algorithm, Signer: r.Signer, Chain: r.Chain, Trusted: r.Trusted,
		ClaimedTime: r.ClaimedTime, Revocation: r.Revocation, Warnings: r.Warnings,
	}
	return &pades.Report{
		Size: r.Size, At: r.At, Revisions: 1, Constraints: o.Constraints, Warnings: []pades.Warning{}, Signatures: []pades.SignatureReport{whole(one, r.Size)},
	}, otherReport{r.SHA256, []string{r.MediaType}}, nil
}
