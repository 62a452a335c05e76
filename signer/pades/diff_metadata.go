package pades

import (
	"bytes"
	"regexp"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// info compares the document information dictionaries: only the date of
// modification and the program's name may change.
func (s *step) info(a, b cos.Value) error {
	x, y, err := s.pair(a, b)
	if err != nil {
		return err
	}
	if y.v.IsNull() && !x.v.IsNull() {
		s.forbid("metadata", y.num, "the document information is removed")
		return nil
	}
	if y.num != 0 {
		s.claimOnly(y.num, "document information", trailerNum)
	}
	changed := false
	for _, k := range keysOf(x.v, y.v) {
		if cos.Equal(x.v.Get(k), y.v.Get(k)) {
			continue
		}
		changed = true
		if k != "ModDate" && k != "Producer" {
			s.forbid("metadata", y.num, "document information /%s changes", printable(k))
		}
		if err := s.claimNew(y.v.Get(k), "document information"); err != nil {
			return err
		}
	}
	if changed {
		s.allow(Extension, "metadata", "", y.num, "date of modification")
	}
	return nil
}

// maxMetadata is the greatest size of metadata that are compared, in bytes.
const maxMetadata = 4 << 20

// metadata compares the document's XMP metadata: dates, identifiers and
// histories of the file may change.
func (s *step) metadata(a, b place, catalog uint32) error {
	if !s.added[b.num] && !s.changed[b.num] && a.num == b.num {
		return nil
	}
	if b.obj == nil || b.obj.Stream == nil || !a.v.IsNull() && (a.obj == nil || a.obj.Stream == nil) {
		s.forbid("metadata", b.num, "metadata of another type")
		return nil
	}
	s.claimOnly(b.num, "metadata", catalog)
	for _, k := range keysOf(a.v, b.v) {
		switch k {
		case "Length", "Filter", "DecodeParms": // what they make of the data is compared below
		default:
			if !a.v.IsNull() && !cos.Equal(a.v.Get(k), b.v.Get(k)) {
				s.forbid("metadata", b.num, "entry /%s of the metadata changes", printable(k))
			}
		}
	}
	if a.v.IsNull() {
		s.allow(Allowed, "metadata", "", b.num, "metadata are added")
		return nil
	}
	if a.obj.Stream.Length > maxMetadata || b.obj.Stream.Length > maxMetadata {
		s.forbid("metadata", b.num, "metadata too long to be compared")
		return nil
	}
	old, err := s.a.Decode(a.obj)
	if err != nil {
		return err
	}
	now, err := s.b.Decode(b.obj)
	if err != nil {
		return err
	}
	if !bytes.Equal(steadyXMP(old), steadyXMP(now)) {
		s.forbid("metadata", b.num, "metadata change")
		return nil
	}
	s.allow(Extension, "metadata", "", b.num, "dates in metadata")
	return nil
}

// steadyXMP returns XMP without what programs change when they save a file,
// and without white space.
func steadyXMP(b []byte) []byte {
	const names = `(?:xmp:ModifyDate|xmp:MetadataDate|pdf:Producer|xmpMM:InstanceID|xmpMM:History|xmpMM:VersionID|xmpMM:RenditionClass)`
	element := regexp.MustCompile(`(?s)<` + names + `(?:\s[^>]*)?(?:/>|>.*?</` + names + `>)`)
	attribute := regexp.MustCompile(`\s` + names + `\s*=\s*(?:"[^"]*"|'[^']*')`)
	toolkit := regexp.MustCompile(`\sx:xmptk\s*=\s*(?:"[^"]*"|'[^']*')`)
	for _, re := range []*regexp.Regexp{element, attribute, toolkit} {
		b = re.ReplaceAll(b, nil)
	}
	return bytes.Join(bytes.Fields(b), nil)
}
