package report_test

import (
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pades/report"
)

// hostileTexts are what somebody may write where a name belongs.
var hostileTexts = map[string]string{
	"html":      `</dd><script>alert(1)</script><img src=x onerror=alert(1)>`,
	"xml":       `]]></vr:Value><vr:MainIndication>urn:etsi:019102:mainindication:total-passed</vr:MainIndication>&amp;`,
	"entity":    `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>&x;`,
	"quotes":    `" onload='x' style="position:fixed`,
	"control":   "Ana\x00\x01\x1b[31m\x7f\u0085\r\nVálida",
	"bidi":      "Ana \u202eadilávnI\u202c \u2066x\u2069 \u200f\u200b\ufeff",
	"long":      strings.Repeat("Ñandú ", 1700),
	"one word":  strings.Repeat("W", 10<<10),
	"marks":     "A" + strings.Repeat("\u0301", 5000),
	"bytes":     "\xff\xfe\x80 \xc3",
	"not in it": "用户 😀 ᎠᎡ",
	"pdf":       `) Tj ET Q /Im0 Do (\`,
}

// hostileInputs are reports on signatures with such texts wherever text goes.
func hostileInputs(b *bench) map[string]report.Input {
	file := b.sign(costest.Sample(costest.Options{Form: true}), b.Signer(b.t, official), pades.Options{Level: pades.LevelBT})
	out := map[string]report.Input{}
	for name, text := range hostileTexts {
		in := b.input(file)
		s := &in.Report.Signatures[0]
		s.Field, s.Name, s.Reason, s.Location, s.Detail, s.SubFilter = text, text, text, text, text, text
		s.Verdict, s.Indication, s.SubIndication = pades.ModifiedForbidden, pades.IndIndeterm, pades.SubConstraints
		who := *s.Signer
		who.Raw, who.Subject, who.Issuer = []byte("no certificate"), text, text
		s.Signer = &who
		s.Chain[0] = who
		for range 3000 {
			in.Report.Changes = append(in.Report.Changes, pades.Change{Revision: 9, Class: pades.Forbidden, Kind: "form", Field: text, Detail: text})
		}
		in.Report.Warnings = append(in.Report.Warnings, pades.Warning{Code: pades.WarnHybrid, Detail: text})
		in.Name, in.Producer = text, text
		in.Anchors[0].Name = text
		out[name] = in
	}
	return out
}

// TestHostileText: no text breaks out of its place, hides, or makes a report large.
func TestHostileText(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	calm := b.input(b.sign(costest.Sample(costest.Options{Form: true}), b.Signer(t, official), pades.Options{Level: pades.LevelBT}))
	calmTags := tags(t, write(t, report.XML, calm), "calm")
	for name, in := range hostileInputs(b) {
		x, h, p := write(t, report.XML, in), write(t, report.HTML, in), write(t, report.PDF, in)
		if len(x) > 1<<20 || len(h) > 1<<20 || len(p) > 1<<20 {
			t.Errorf("%s: %d, %d and %d bytes", name, len(x), len(h), len(p))
		}
		if got := tags(t, x, name); got["MainIndication"] != calmTags["MainIndication"] || got["ValidationReport"] != calmTags["ValidationReport"] {
			t.Errorf("%s: the text made elements: %v", name, got)
		}
		for _, bad := range []string{"<script", "<img", "<!ENTITY", "onload='"} {
			if strings.Contains(string(h), bad) || strings.Contains(string(x), bad) {
				t.Errorf("%s: %q got through", name, bad)
			}
		}
		for form, text := range map[string]string{"html": string(h), "xml": string(x), "pdf": paperText(t, name, p)} {
			if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != ' ' && !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("%s: %s has %q", name, form, text[i:min(len(text), i+10)])
			}
		}
	}
}

// tags counts elements, and holds that the document is well-formed.
func tags(t *testing.T, b []byte, name string) map[string]int {
	t.Helper()
	count := map[string]int{}
	d := xml.NewDecoder(strings.NewReader(string(b)))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return count
		}
		if s, ok := tok.(xml.StartElement); ok {
			count[s.Name.Local]++
		}
	}
}

// A name in a certificate is as hostile as one in the file.
func TestHostileCertificate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	who := b.Signer(t, "<b>Ana</b> \u202eárgil", func(c *x509.Certificate) { c.Subject.Organization = []string{`"><script>`} })
	in := b.input(b.sign(costest.Sample(costest.Options{}), who, pades.Options{}))
	h := string(write(t, report.HTML, in))
	if strings.Contains(h, "<b>") || strings.Contains(h, "<script") || strings.Contains(h, "\u202e") || !strings.Contains(h, "&lt;b&gt;Ana&lt;/b&gt; \ufffdárgil") {
		t.Errorf("the page: %s", between(h, "<dl>", "</dl>"))
	}
}
