package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"oruro.gob.bo/suti/signer/cades"
	"oruro.gob.bo/suti/signer/jades"
	"oruro.gob.bo/suti/signer/pades"
)

// Formats of --format.
const (
	formatPAdES = "pades"
	formatCAdES = "cades"
	formatJAdES = "jades"
)

// mediaTypes are those of file names, as --media-type has them by default.
var mediaTypes = map[string]string{
	".csv": "text/csv", ".txt": "text/plain", ".xml": "application/xml", ".json": "application/json", ".html": "text/html",
	".zip": "application/zip", ".pdf": "application/pdf", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
	".odt":  "application/vnd.oasis.opendocument.text",
	".ods":  "application/vnd.oasis.opendocument.spreadsheet",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

// checkFormat checks --format and what goes with it.
func (f *signFlags) checkFormat() error {
	switch f.format {
	case formatPAdES:
		if f.mediaType != "" || f.addTo != "" || f.detached {
			return usagef("add --format cades or jades", "--media-type, --add-to and --detached are not about PDF signatures")
		}
		return nil
	case formatCAdES, formatJAdES:
	default:
		return usagef("use pades, cades or jades", "there is no format %q", f.format)
	}
	if f.certify != 0 || f.field != "" || f.visible || f.placed || f.strict || f.reason != "" || f.location != "" || f.passwordFile != "" {
		return usagef("leave them out", "--certify, --field, --visible, --strict, --reason, --location and --password-file are about PDF signatures")
	}
	if f.format == formatCAdES && f.detached {
		return usagef("leave out --detached", "CAdES signatures are detached always")
	}
	if f.format == formatJAdES && f.addTo != "" {
		return usagef("use --format cades", "the compact form of JAdES has one signer")
	}
	if f.format == formatJAdES && (f.tsa != "" || f.level != "" && f.level != "B-B") {
		return usagef("leave out --tsa and --level, or use --format cades", "the compact form of JAdES has no place for a time-stamp or evidence; its level is B-B")
	}
	if f.format == formatCAdES && f.level == "B-LTA" {
		return usagef("use --level B-LT", "level B-LTA of CAdES is not written")
	}
	return nil
}

// signOther signs a file of any kind: a signature in a file of its own.
func (c *cli) signOther(ctx context.Context, f signFlags, in string) error {
	start := c.now()
	if sameFile(in, f.out) {
		return usagef("give --out another name", "%s would be written over itself", in)
	}
	key, chain, err := f.signer()
	if err != nil {
		return usagef("see: suti sign --help", "%w", err)
	}
	if warn := looseMode(f.key); warn != "" {
		c.warnf("warning: %s", warn)
	}
	if f.mediaType == "" {
		f.mediaType = mediaTypes[strings.ToLower(filepath.Ext(in))]
	}
	file, size, err := openRegular(in)
	if err != nil {
		return failedf("", "read the file: %w", err)
	}
	defer file.Close()
	prog := c.progress("firmando", size, f.json)
	defer prog.end()
	s := otherSigning{
		cli: c, f: f, key: key, chain: chain, content: io.NewSectionReader(watchedReader{file, prog}, 0, size), now: c.now().Truncate(time.Second),
		res: signResult{
			Signed: f.out, Format: f.format, Requested: "B-B", Achieved: "B-B", Signer: chain[0].Subject.String(), CertificateSHA: hexSHA256(chain[0].Raw), Warnings: []string{},
		},
	}
	sign := s.cades
	if f.format == formatJAdES {
		sign = func(ctx context.Context) ([]byte, error) { return s.jades(ctx, in) }
	}
	out, err := sign(ctx)
	if err != nil {
		return c.signFault(f.json, err)
	}
	if err := writeWhole(f.out, 0o644, func(w io.Writer) error {
		_, err := w.Write(out)
		return err
	}); err != nil {
		return failedf("nothing was left at "+f.out, "write the signature: %w", err)
	}
	prog.end()
	res := s.res
	res.SigningTime, res.Size, res.Took = s.now.Format(time.RFC3339), int64(len(out)), c.now().Sub(start).Round(time.Millisecond).String()
	if f.json {
		return c.json(res)
	}
	c.printf("Firmado: %s (%d bytes), firma de %s\n  nivel %s %s, tipo %s, firmante %s\n",
		res.Signed, res.Size, in, formatNames[f.format], res.Achieved, res.MediaType, nameText(chain[0].RawSubject, res.Signer))
	return nil
}

// formatNames are the formats as the standards write them.
var formatNames = map[string]string{formatPAdES: "PAdES", formatCAdES: "CAdES", formatJAdES: "JAdES"}

// otherSigning is the work of signOther.
type otherSigning struct {
	*cli
	f       signFlags
	key     crypto.Signer
	chain   []*x509.Certificate
	content io.Reader
	now     time.Time
	res     signResult
}

// maxSignature bounds a signature file that another is put beside, in bytes.
const maxSignature = 1 << 20

func (s *otherSigning) cades(ctx context.Context) ([]byte, error) {
	level, err := s.f.padesLevel()
	if err != nil {
		return nil, err
	}
	o := cades.Options{Level: cades.Level(level), SigningTime: s.now, MediaType: s.f.mediaType, Algorithm: s.f.algorithm}
	if s.f.addTo != "" {
		b, err := readBounded(s.f.addTo, maxSignature)
		if err != nil {
			return nil, failedf("", "--add-to: %w", err)
		}
		o.Existing = fromPEM(b)
	}
	ts, client, err := s.f.timestamper(level)
	if err != nil {
		return nil, err
	}
	if level > pades.LevelBT {
		x, err := s.f.evidenceFlags.options(level, s.cli.now)
		if err != nil {
			return nil, err
		}
		o.Extend = &cades.ExtendOptions{Roots: x.Roots, TimestampRoots: x.TimestampRoots, Intermediates: x.Intermediates, Evidence: x.Evidence, Now: x.Now}
	}
	signed, err := cades.Sign(ctx, s.content, s.key, s.chain, ts, o)
	if err != nil {
		return nil, err
	}
	if s.res.MediaType = s.f.mediaType; s.res.MediaType == "" {
		s.res.MediaType = cades.DefaultMediaType
	}
	sum := signed.SHA256()
	s.res.ContentSHA256, s.res.Requested, s.res.Achieved = hexOf(sum[:]), shortLevel(pades.Level(signed.Requested)), shortLevel(pades.Level(signed.Achieved))
	if client != nil {
		t := client.Trusted()
		s.res.TimestampTrusted = &t
		if !t {
			s.warnf("warning: %s", untrustedStamp)
		}
	}
	return signed.CMS, nil
}

func (s *otherSigning) jades(ctx context.Context, in string) ([]byte, error) {
	o := jades.Options{SigningTime: s.now, MediaType: s.f.mediaType, Algorithm: s.f.algorithm}
	if s.f.detached {
		o.Name = url.PathEscape(filepath.Base(in))
		if o.MediaType == "" {
			o.MediaType = cades.DefaultMediaType
		}
	}
	signed, err := jades.Sign(ctx, s.content, s.key, s.chain, o)
	if err != nil {
		return nil, err
	}
	if s.res.MediaType = o.MediaType; s.res.MediaType == "" {
		s.res.MediaType = jades.DefaultMediaType
	}
	s.res.ContentSHA256 = hexOf(signed.SHA256[:])
	return append(signed.Compact, '\n'), nil
}

// otherFault tells an error of signing or verifying files of other kinds, nil
// if it is none of theirs.
func (c *cli) otherFault(asJSON bool, err error) error {
	var ofCAdES *cades.RefusedError
	var ofJAdES *jades.RefusedError
	switch {
	case errors.As(err, &ofCAdES):
		return c.refuse(asJSON, string(ofCAdES.Code), ofCAdES.Detail)
	case errors.As(err, &ofJAdES):
		return c.refuse(asJSON, string(ofJAdES.Code), ofJAdES.Detail)
	case errors.Is(err, cades.ErrCertificate), errors.Is(err, jades.ErrCertificate):
		return c.refuse(asJSON, "certificate", err.Error())
	case errors.Is(err, cades.ErrOptions), errors.Is(err, jades.ErrOptions):
		return usagef("see: suti sign --help", "%w", err)
	}
	return nil
}

// fromPEM returns the DER of a signature written as PEM (RFC 7468 §6, §9), or what it was given.
func fromPEM(b []byte) []byte {
	if p, _ := pem.Decode(b); p != nil && (p.Type == "CMS" || p.Type == "PKCS7") {
		return p.Bytes
	}
	return b
}
