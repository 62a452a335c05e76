package pades

import (
	"regexp"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// pdfaPart finds the part of ISO 19005 in XMP metadata, as attribute or element.
var pdfaPart = regexp.MustCompile(`pdfaid:part\s*(?:=\s*["']|>)\s*1\s*["'<]`)

// declaresPDFA1 reports whether the document says that it conforms to PDF/A-1
// (ISO 19005-1 §6.7.11). Metadata that do not read say nothing.
func declaresPDFA1(f *cos.File) bool {
	cat, err := f.Catalog()
	if err != nil {
		return false
	}
	o, err := f.ResolveObject(cat.Value.Get("Metadata"))
	if err != nil || o.Stream == nil || o.Stream.Length > maxMetadata {
		return false
	}
	xmp, err := f.Decode(o)
	return err == nil && pdfaPart.Match(xmp)
}
