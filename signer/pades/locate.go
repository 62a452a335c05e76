package pades

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// candidate is a signature that is being verified.
type candidate struct {
	schemes []Scheme // understood besides our own
	existing
	// Case is what is found of it; its Revision is -1 until the byte range is accepted.
	judge.Case
	rep    SignatureReport // of the dictionary; the rest comes from Case in the end
	hole   [2]int64        // of the signature: from "<" to after ">"
	length int64           // of the version signed
	sd     *cms.SignedData
	token  *tsp.Token // of a document time-stamp
	sum    []byte     // digest of the byte range
	later  bool       // changes after it, and nothing else, stand against it
}

// Sub-filters (ISO 32000-2 §12.8.3).
const (
	filterCAdES  = "ETSI.CAdES.detached"
	filterLegacy = "adbe.pkcs7.detached"
	filterStamp  = "ETSI.RFC3161"
)

// locate reads the signature dictionary and checks the byte range: it must be
// all of one revision but exactly the /Contents of this dictionary.
func (c *candidate) locate(f *cos.File, shared map[cos.Ref]int) error {
	d := c.dict.Value
	c.Revision = -1
	c.describe(f)
	if c.dict.Ref.Num == 0 || c.dict.Offset < 0 {
		c.Fail(TotalFailed, SubFormat, "signature dictionary is not an object of its own")
		return nil
	}
	if own, _ := c.field.Object.Value.Get("V").Ref(); own != c.dict.Ref || shared[c.dict.Ref] > 1 {
		c.Fail(TotalFailed, SubFormat, "signature dictionary is not the value of exactly one field")
		return nil
	}
	if _, dup := d.Duplicate(); dup {
		c.Fail(TotalFailed, SubFormat, "signature dictionary writes a key twice")
		return nil
	}
	if d.Get("Filter").Name() == "" && c.rep.SubFilter != filterStamp {
		c.Fail(TotalFailed, SubFormat, "no /Filter")
		return nil
	}
	if t := d.Get("Type"); !t.IsNull() && t.Name() != "Sig" && t.Name() != "DocTimeStamp" {
		c.Fail(TotalFailed, SubFormat, "signature dictionary of another /Type")
		return nil
	}
	if !c.readByteRange(f) {
		return nil
	}
	return c.readContents()
}

// describe fills in what the dictionary says of itself.
func (c *candidate) describe(f *cos.File) {
	d := c.dict.Value
	c.rep.Field = c.field.Name
	c.rep.SubFilter = d.Get("SubFilter").Name()
	c.rep.Kind = "signature"
	c.rep.Certification = c.docMDP
	if c.docMDP != Uncertified {
		c.rep.Kind = "certification"
	}
	if c.rep.SubFilter == filterStamp {
		c.rep.Kind = "document-timestamp"
	}
	for key, to := range map[string]*string{"Name": &c.rep.Name, "Reason": &c.rep.Reason, "Location": &c.rep.Location} {
		if v, err := f.Resolve(d.Get(key)); err == nil {
			s, _ := v.Text()
			*to = cos.TextString(s)
		}
	}
	if s, ok := d.Get("M").Text(); ok {
		c.ClaimedTime, _ = parseDate(s)
	}
}

func (c *candidate) readByteRange(f *cos.File) bool {
	bad := func(why string) bool {
		c.Fail(TotalFailed, SubFormat, "byte range: %s", why)
		return false
	}
	d := c.dict.Value
	br := d.Get("ByteRange")
	if br.Kind() != cos.Array || br.Len() != 4 {
		return bad("not an array of four")
	}
	for i, e := range br.Elems() {
		n, ok := e.Int()
		if !ok || n < 0 || n > f.Size() {
			return bad("not four offsets in the file")
		}
		c.rep.ByteRange[i] = n
	}
	contents := d.Get("Contents")
	start, end := contents.Span()
	if contents.Kind() != cos.String || c.dict.Raw[start] != '<' {
		return bad("no hexadecimal /Contents")
	}
	c.hole = [2]int64{c.dict.Offset + int64(start), c.dict.Offset + int64(end)}
	r := c.rep.ByteRange
	switch {
	case r[0] != 0:
		return bad("does not begin with the file")
	case r[1] != c.hole[0] || r[2] != c.hole[1]:
		return bad("leaves out something else than /Contents")
	case r[3] > f.Size()-r[2]:
		return bad("reaches beyond the file")
	}
	c.length = r[2] + r[3]
	revs, err := f.Revisions()
	if err != nil {
		return bad("file has no clear revisions")
	}
	for i, rev := range revs {
		if c.length < rev.EOF || c.length > rev.End {
			continue
		}
		if c.dict.Header < rev.Start || c.dict.End > c.length {
			return bad("ends a revision that the signature is not part of")
		}
		c.Revision = i
		c.rep.Revision, c.rep.SignedBytes, c.rep.CoversFile = i+1, c.length, i == len(revs)-1
		return true
	}
	return bad("does not end where a revision ends")
}

// readContents parses the CMS in /Contents.
func (c *candidate) readContents() error {
	raw, _ := c.dict.Value.Get("Contents").Text()
	der, err := cms.TrimZeroPadding([]byte(raw))
	if err != nil {
		c.Fail(TotalFailed, SubFormat, "/Contents: %v", err)
		return nil
	}
	switch c.rep.SubFilter {
	case filterStamp:
		if c.token, err = tsp.ParseToken(der); err != nil {
			c.FailCMS(err)
			return nil
		}
		c.sd = c.token.SignedData
	case filterCAdES, filterLegacy:
		if c.sd, err = cms.ParseBERWith(der, c.schemes); err != nil {
			c.FailCMS(err)
			return nil
		}
	default:
		c.Fail(IndIndeterm, SubPolicyNotUsable, "kind of signature that is not supported")
		return nil
	}
	if c.sd.WasBER {
		c.Warn(WarnBER, "the signature is not in DER")
	}
	c.rep.Algorithm = c.sd.Signer.Scheme.Name
	return nil
}

// inRevision checks that the field was there, with this value, in the version
// signed.
func (c *candidate) inRevision(a *cos.File) error {
	found := false
	err := a.Fields(func(field *cos.Field) bool {
		v, _ := field.Object.Value.Get("V").Ref()
		found = field.Object.Ref == c.field.Object.Ref && field.Name == c.field.Name && field.Type == "Sig" && v == c.dict.Ref
		return !found
	})
	if err != nil {
		return err
	}
	if !found {
		c.Fail(TotalFailed, SubFormat, "the version signed does not have this signature in its form")
	}
	return nil
}

// parseDate reads a PDF date (ISO 32000-2 §7.9.4) with at least a day.
func parseDate(s string) (time.Time, bool) {
	b, ok := bytes.CutPrefix([]byte(s), []byte("D:"))
	if !ok || len(b) < 8 {
		return time.Time{}, false
	}
	digits := 0
	for digits < len(b) && digits < 14 && b[digits] >= '0' && b[digits] <= '9' {
		digits++
	}
	zone := bytes.ReplaceAll(b[digits:], []byte("'"), nil)
	const layout = "20060102150405"
	if digits < 8 || digits%2 != 0 {
		return time.Time{}, false
	}
	if len(zone) == 5 && (zone[0] == '+' || zone[0] == '-') {
		t, err := time.Parse(layout[:digits]+"-0700", string(b[:digits])+string(zone))
		return t, err == nil
	}
	t, err := time.Parse(layout[:digits], string(b[:digits]))
	return t, err == nil
}

// readAt reads a span of the file.
func readAt(r io.ReaderAt, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if m, err := r.ReadAt(b, off); m < n {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("pades: read %d bytes at %d: %w", n, off, err)
	}
	return b, nil
}
