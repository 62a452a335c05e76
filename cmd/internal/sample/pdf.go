package sample

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode/utf16"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/signer/pdffont"
)

// A4 in points, and where the text stands.
const (
	pageWidth, pageHeight = 595, 842
	margin                = 72
)

// line is one line of text.
type line struct {
	bold bool
	size int // points
	skip int // points above
	text string
}

// PDF returns the built-in resolution: one page of PDF 1.7 with a
// cross-reference table and its fonts embedded, the same bytes each time. It
// says of itself that it is a demonstration. The caller must not change it.
var PDF = sync.OnceValue(func() []byte {
	return writePDF("Resolución Administrativa de ejemplo", []line{
		{true, 11, 0, identity.DemoNotice},
		{true, 16, 44, "Resolución Administrativa N.º 000/2026"},
		{false, 11, 22, "Gobierno Autónomo Departamental de Oruro (institución de ejemplo)"},
		{true, 12, 36, "VISTOS Y CONSIDERANDO:"},
		{false, 11, 20, "Que los trámites de la gobernación pueden hacerse con documentos electrónicos;"},
		{false, 11, 16, "Que la ciudadanía necesita comprobar por sí misma quién firmó un documento,"},
		{false, 11, 16, "en ejercicio de qué cargo, cuándo, y que nadie lo cambió después;"},
		{false, 11, 16, "Que este texto fue escrito solo para mostrar cómo se firma y no dispone nada."},
		{true, 12, 36, "POR TANTO, SE RESUELVE:"},
		{true, 11, 20, "Artículo primero."},
		{false, 11, 16, "Autorizar el uso de este documento como ejemplo de firma electrónica."},
		{true, 11, 20, "Artículo segundo."},
		{false, 11, 16, "Recordar que una copia impresa se compara con el documento registrado, y que"},
		{false, 11, 16, "solo la revisión del archivo dice si es el mismo que se firmó."},
		{false, 11, 36, "Regístrese, comuníquese y archívese."},
		{false, 9, 230, identity.DemoNotice + ". Firma electrónica, no firma digital (Ley 164)."},
	})
})

// file is a PDF being written: the objects by number, from 1.
type file struct{ objects []string }

// add appends an object and returns its number.
func (f *file) add(body string) int {
	f.objects = append(f.objects, body)
	return len(f.objects)
}

// font adds what a face needs and returns the number of the font.
func (f *file) font(face *pdffont.Face) int {
	objects, first := must(face.Objects()), len(f.objects)+1
	for _, o := range objects {
		dict := o.Dict
		for key, i := range o.Uses {
			dict = strings.ReplaceAll(dict, "{"+key+"}", strconv.Itoa(first+i)+" 0 R")
		}
		if o.Data != nil {
			dict = fmt.Sprintf("%s /Length %d>>\nstream\n%s\nendstream", strings.TrimSuffix(dict, ">>"), len(o.Data), o.Data)
		}
		f.add(dict)
	}
	return first
}

// must returns a value: the fonts are built in and the text is ours, so that an
// error can only be one of this file, which its test would show.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// writePDF writes a file of one page.
func writePDF(title string, lines []line) []byte {
	regular, bold := must(pdffont.Regular()), must(pdffont.Bold())
	var text bytes.Buffer
	y := pageHeight - margin
	text.WriteString("BT\n")
	for _, l := range lines {
		y -= l.skip
		name, face := "F1", regular
		if l.bold {
			name, face = "F2", bold
		}
		fmt.Fprintf(&text, "/%s %d Tf 1 0 0 1 %d %d Tm %s Tj\n", name, l.size, margin, y, must(face.Encode(l.text)))
	}
	text.WriteString("ET\n")

	f := &file{}
	f.add("<< /Type /Catalog /Pages 2 0 R /Lang (es-BO) /ViewerPreferences << /DisplayDocTitle true >> >>")
	f.add("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
	page := f.add("")
	content := f.add(fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", text.Len(), text.Bytes()))
	info := f.add(fmt.Sprintf("<< /Title <%s> /Producer (Suti) /CreationDate (D:20261124090000-04'00') >>", textString(title)))
	f.objects[page-1] = fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Resources << /Font << /F1 %d 0 R /F2 %d 0 R >> >> /Contents %d 0 R >>",
		pageWidth, pageHeight, f.font(regular), f.font(bold), content)
	return f.bytes(info)
}

// bytes writes the file with its cross-reference table (ISO 32000-1 §7.5.4).
func (f *file) bytes(info int) []byte {
	var out, table bytes.Buffer
	out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	for i, body := range f.objects {
		fmt.Fprintf(&table, "%010d 00000 n \n", out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	const id = "<53757469446d6f5265736f6c7563696e>"
	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R /Info %d 0 R /ID [%s %s] >>\nstartxref\n%d\n%%%%EOF\n",
		len(f.objects)+1, table.Bytes(), len(f.objects)+1, info, id, id, start)
	return out.Bytes()
}

// textString writes text as the inside of a hexadecimal string: UTF-16 with its
// byte order mark (ISO 32000-1 §7.9.2.2).
func textString(s string) string {
	var b strings.Builder
	b.WriteString("FEFF")
	for _, u := range utf16.Encode([]rune(s)) {
		fmt.Fprintf(&b, "%04X", u)
	}
	return b.String()
}
