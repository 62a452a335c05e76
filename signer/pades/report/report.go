package report

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/signer/pades"
)

// Format is a form of a report. The values are stable.
type Format string

// Formats.
const (
	XML  Format = "xml"  // ETSI TS 119 102-2, version 1.4.1
	HTML Format = "html" // one page that needs nothing else
	PDF  Format = "pdf"  // PDF 1.7, tagged
)

// FormatOf returns the format that a file's name asks for.
func FormatOf(name string) (Format, bool) {
	name = strings.ToLower(name)
	for _, f := range []Format{XML, HTML, PDF} {
		if strings.HasSuffix(name, "."+string(f)) {
			return f, true
		}
	}
	return "", false
}

// MediaType returns the media type of a format.
func (f Format) MediaType() string {
	switch f {
	case XML:
		return "application/xml"
	case PDF:
		return "application/pdf"
	}
	return "text/html; charset=utf-8"
}

// ErrNoSignature says that a file has no signature, about which alone TS 119
// 102-2 can say something.
var ErrNoSignature = errors.New("report: the file has no signature to report on in this format")

// ErrFormat reports an unknown format.
var ErrFormat = errors.New("report: no such format")

// Anchor is a trust anchor that was given to the verifier.
type Anchor struct {
	Certificate []byte // DER
	// Name is what the one who gave it calls it; the certificate's own if empty.
	Name string
	// Tier is a tier of pades ("A", "C"), or empty if none was told, for Uses
	// (pades.UseSignatures, pades.UseTimestamps; nil for both).
	Tier string
	Uses []string
}

// Input is what is reported.
type Input struct {
	// Report is the verifier's, made with VerifyOptions.Material.
	Report *pades.Report
	Sums   Sums
	// Name is that of the file, if it has one.
	Name string
	// Anchors are all trust anchors of signers and time-stamps.
	Anchors []Anchor
	// Lang is the language of HTML and PDF; Spanish by default.
	Lang i18n.Lang
	// Producer names the program and its version.
	Producer string
}

// Write makes a report.
func Write(f Format, in Input) ([]byte, error) {
	if in.Report == nil || in.Report.Constraints == nil || len(in.Sums.Signed) != len(in.Report.Signatures) {
		return nil, errors.New("report: the verifier was not asked for what a report needs")
	}
	switch f {
	case XML:
		return writeXML(in)
	case HTML:
		return writeHTML(in)
	case PDF:
		return writePDF(in)
	}
	return nil, fmt.Errorf("%w: %q", ErrFormat, f)
}

// Sums are SHA-256 digests: of the file, and of the version that each signature
// signed, zero where that cannot be said.
type Sums struct {
	File   [32]byte
	Signed [][32]byte
}

// Digest reads a file once and makes its sums.
func Digest(ctx context.Context, r io.ReaderAt, rep *pades.Report) (Sums, error) {
	s := Sums{Signed: make([][32]byte, len(rep.Signatures))}
	ends := []int64{rep.Size}
	for _, g := range rep.Signatures {
		ends = append(ends, g.SignedBytes)
	}
	slices.Sort(ends)
	at := map[int64][32]byte{}
	h, buf, pos := sha256.New(), make([]byte, 256<<10), int64(0)
	for _, end := range slices.Compact(ends) {
		for pos < end {
			if err := ctx.Err(); err != nil {
				return s, err
			}
			n, err := r.ReadAt(buf[:min(int64(len(buf)), end-pos)], pos)
			if n == 0 {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return s, fmt.Errorf("report: read file at %d: %w", pos, err)
			}
			_, _ = h.Write(buf[:n])
			pos += int64(n)
		}
		at[end] = [32]byte(h.Sum(nil)) // which leaves the state as it was
	}
	s.File = at[rep.Size]
	for i, g := range rep.Signatures {
		if g.SignedBytes > 0 {
			s.Signed[i] = at[g.SignedBytes]
		}
	}
	return s, nil
}
