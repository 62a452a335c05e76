package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/signer/pdffont"
)

// writePDF writes a tagged file of PDF 1.7 with its fonts in it, by the rules of
// PDF/A-2a and PDF/UA-1.
func writePDF(in Input) ([]byte, error) {
	v, err := newView(in)
	if err != nil {
		return nil, err
	}
	l, err := newLayout()
	if err != nil {
		return nil, err
	}
	if err := l.show(v); err != nil {
		return nil, err
	}
	if err := l.footers(func(page int) string { return v.Title + " · " + v.pageOf(page, len(l.pages)) }); err != nil {
		return nil, err
	}
	return l.file(v, in)
}

// show lays out the whole view.
func (l *layout) show(v *view) error {
	if err := l.paragraph("H1", l.bold, 17, inkBlack, v.Title); err != nil {
		return err
	}
	for _, s := range strings.Split(v.Lead, "\n") {
		if err := l.paragraph("P", l.regular, bodySize, inkSoft, s); err != nil {
			return err
		}
	}
	l.down(10)
	l.bar = v.Tone
	if err := l.paragraph("P", l.bold, 12, inks[v.Tone], v.Verdict); err != nil {
		return err
	}
	if err := l.paragraph("P", l.regular, bodySize, inkBlack, v.Means); err != nil {
		return err
	}
	l.bar = "-"
	for i := range v.Sections {
		l.down(14)
		l.need(90) // a heading does not stand alone at the foot
		if err := l.section(&v.Sections[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *layout) section(s *section) error {
	l.bar = s.Tone
	defer func() { l.bar = "-" }()
	if err := l.paragraph("H2", l.bold, 12, inkBlack, s.Title); err != nil {
		return err
	}
	if s.Badge != "" {
		if err := l.paragraph("P", l.bold, 11, inks[s.Tone], s.Badge); err != nil {
			return err
		}
	}
	for _, t := range s.Text {
		if err := l.paragraph("P", l.regular, bodySize, inkBlack, t); err != nil {
			return err
		}
		l.down(2.5)
	}
	for _, f := range s.Facts {
		size := bodySize
		if f.Code {
			size = codeSize
		}
		if err := l.row(f.Label, f.Value, size); err != nil {
			return err
		}
	}
	for _, t := range s.Items {
		if err := l.paragraph("P", l.regular, bodySize, inkBlack, "– "+t); err != nil {
			return err
		}
		l.down(2.5)
	}
	return nil
}

// pdfFile is a file being written: the objects by number, from 1.
type pdfFile struct{ objects []string }

func (f *pdfFile) add(body string) int {
	f.objects = append(f.objects, body)
	return len(f.objects)
}

// stream adds a compressed stream.
func (f *pdfFile) stream(extra string, data []byte) int {
	o := pdffont.Deflated(extra, data)
	return f.put(o, 0)
}

// put adds an object of pdffont; first is the number of the first of its group.
func (f *pdfFile) put(o pdffont.Object, first int) int {
	dict := o.Dict
	for key, i := range o.Uses {
		dict = strings.ReplaceAll(dict, "{"+key+"}", strconv.Itoa(first+i)+" 0 R")
	}
	if o.Data != nil {
		dict = fmt.Sprintf("%s /Length %d>>\nstream\n%s\nendstream", strings.TrimSuffix(dict, ">>"), len(o.Data), o.Data)
	}
	return f.add(dict)
}

func (f *pdfFile) font(t *typeface) (int, error) {
	objects, err := t.face.Objects()
	if err != nil {
		return 0, err
	}
	first := len(f.objects) + 1
	for _, o := range objects {
		f.put(o, first)
	}
	return first, nil
}

// Numbers of the objects that others refer to.
const (
	objCatalog = iota + 1
	objPages
	objTree
	objDocument
)

// file puts pages, structure and fonts together.
func (l *layout) file(v *view, in Input) ([]byte, error) {
	f := &pdfFile{objects: make([]string, objDocument)}
	info := f.add(fmt.Sprintf("<</Title <%s> /Producer <%s> /CreationDate (D:%s-04'00')>>", utf16Hex(v.Title), utf16Hex(clean(in.Producer)),
		in.Report.At.In(i18n.Bolivia).Format("20060102150405")))
	meta := []byte(metadata(v.Title, clean(in.Producer), in.Report.At))
	xmp := f.add(fmt.Sprintf("<</Type /Metadata /Subtype /XML /Length %d>>\nstream\n%s\nendstream", len(meta), meta))
	regular, err := f.font(l.regular)
	if err != nil {
		return nil, err
	}
	bold, err := f.font(l.bold)
	if err != nil {
		return nil, err
	}
	space := f.add("[/CalRGB <</WhitePoint [0.9505 1 1.089] /Gamma [2.2 2.2 2.2] /Matrix [0.4124 0.2126 0.0193 0.3576 0.7152 0.1192 0.1805 0.0722 0.9505]>>]")
	resources := f.add(fmt.Sprintf("<</Font <</F1 %d 0 R /F2 %d 0 R>> /ColorSpace <</CS0 %d 0 R>>>>", regular, bold, space))
	pages := make([]int, len(l.pages))
	var kids strings.Builder
	for i, p := range l.pages {
		content := f.stream("", p.Bytes())
		pages[i] = f.add(fmt.Sprintf("<</Type /Page /Parent %d 0 R /MediaBox [0 0 %s %s] /Resources %d 0 R /Contents %d 0 R /StructParents %d /Tabs /S>>",
			objPages, pdffont.Number(paperWidth), pdffont.Number(paperHeight), resources, content, i))
		fmt.Fprintf(&kids, "%d 0 R ", pages[i])
	}
	f.objects[objPages-1] = fmt.Sprintf("<</Type /Pages /Count %d /Kids [%s]>>", len(pages), kids.String())
	l.tree(f, pages)
	f.objects[objCatalog-1] = fmt.Sprintf("<</Type /Catalog /Pages %d 0 R /Lang (%s) /MarkInfo <</Marked true>> /StructTreeRoot %d 0 R /Metadata %d 0 R"+
		" /ViewerPreferences <</DisplayDocTitle true>>>>", objPages, v.Lang, objTree, xmp)
	return f.bytes(info), nil
}

// tree writes the structure (ISO 32000-1 §14.7): one element for the document,
// in it headings and paragraphs in their order.
func (l *layout) tree(f *pdfFile, pages []int) {
	numbers := make([]int, len(l.elements))
	var kids strings.Builder
	for i, e := range l.elements {
		var marks strings.Builder
		for _, m := range e.marks {
			fmt.Fprintf(&marks, "<</Type /MCR /Pg %d 0 R /MCID %d>> ", pages[m.page], m.id)
		}
		numbers[i] = f.add(fmt.Sprintf("<</Type /StructElem /S /%s /P %d 0 R /K [%s]>>", e.kind, objDocument, marks.String()))
		fmt.Fprintf(&kids, "%d 0 R ", numbers[i])
	}
	f.objects[objDocument-1] = fmt.Sprintf("<</Type /StructElem /S /Document /P %d 0 R /K [%s]>>", objTree, kids.String())
	var nums strings.Builder
	for i, marks := range l.marks {
		fmt.Fprintf(&nums, "%d [", i)
		for _, e := range marks {
			fmt.Fprintf(&nums, "%d 0 R ", numbers[e])
		}
		nums.WriteString("] ")
	}
	parents := f.add("<</Nums [" + nums.String() + "]>>")
	f.objects[objTree-1] = fmt.Sprintf("<</Type /StructTreeRoot /K %d 0 R /ParentTree %d 0 R /ParentTreeNextKey %d>>", objDocument, parents, len(l.marks))
}

// bytes writes the file with its cross-reference table (ISO 32000-1 §7.5.4).
func (f *pdfFile) bytes(info int) []byte {
	var out, table bytes.Buffer
	out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	for i, body := range f.objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	start, id := out.Len(), sha256.Sum256(out.Bytes())
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d /Root %d 0 R /Info %d 0 R /ID [<%x> <%x>]>>\nstartxref\n%d\n%%%%EOF\n",
		len(f.objects)+1, table.Bytes(), len(f.objects)+1, objCatalog, info, id[:16], id[:16], start)
	return out.Bytes()
}

// utf16Hex writes text as the inside of a hexadecimal string: UTF-16 with its
// byte order mark (ISO 32000-1 §7.9.2.2).
func utf16Hex(s string) string {
	var b strings.Builder
	b.WriteString("FEFF")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}

// metadata is the XMP packet: what the information dictionary says, and by which
// standards the file is written.
func metadata(title, producer string, at time.Time) string {
	escape := func(s string) string {
		var b bytes.Buffer
		_ = xml.EscapeText(&b, []byte(s)) // a bytes.Buffer does not fail
		return b.String()
	}
	return "<?xpacket begin=\"\ufeff\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?>\n" + `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"` +
		` xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/">` +
		`<dc:title><rdf:Alt><rdf:li xml:lang="x-default">` + escape(title) + `</rdf:li></rdf:Alt></dc:title>` +
		`<pdf:Producer>` + escape(producer) + `</pdf:Producer><xmp:CreateDate>` + at.In(i18n.Bolivia).Format("2006-01-02T15:04:05-07:00") + `</xmp:CreateDate>` +
		`<pdfaid:part>2</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance><pdfuaid:part>1</pdfuaid:part>` + extension +
		`</rdf:Description></rdf:RDF></x:xmpmeta>` + "\n<?xpacket end=\"w\"?>"
}

// extension describes the one property of PDF/UA, which PDF/A does not know
// (ISO 19005-2 §6.6.2.3.3).
const extension = `<pdfaExtension:schemas xmlns:pdfaExtension="http://www.aiim.org/pdfa/ns/extension/" xmlns:pdfaSchema="http://www.aiim.org/pdfa/ns/schema#"` +
	` xmlns:pdfaProperty="http://www.aiim.org/pdfa/ns/property#"><rdf:Bag><rdf:li rdf:parseType="Resource"><pdfaSchema:schema>PDF/UA identification</pdfaSchema:schema>` +
	`<pdfaSchema:namespaceURI>http://www.aiim.org/pdfua/ns/id/</pdfaSchema:namespaceURI><pdfaSchema:prefix>pdfuaid</pdfaSchema:prefix><pdfaSchema:property><rdf:Seq>` +
	`<rdf:li rdf:parseType="Resource"><pdfaProperty:name>part</pdfaProperty:name><pdfaProperty:valueType>Integer</pdfaProperty:valueType>` +
	`<pdfaProperty:category>internal</pdfaProperty:category><pdfaProperty:description>part of ISO 14289</pdfaProperty:description></rdf:li>` +
	`</rdf:Seq></pdfaSchema:property></rdf:li></rdf:Bag></pdfaExtension:schemas>`
