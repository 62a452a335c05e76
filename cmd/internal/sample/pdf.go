package sample

import (
	"bytes"
	"fmt"
	"strings"
)

// A4 in points, and where the text stands.
const (
	pageWidth, pageHeight = 595, 842
	margin                = 72
)

// line is one line of text in a standard font (ISO 32000-1 §9.6.2.2).
type line struct {
	bold bool
	size int // points
	skip int // points above
	text string
}

// PDF returns the built-in resolution: one page of PDF 1.7 with a
// cross-reference table, the same bytes each time. It says of itself that it
// is a demonstration.
func PDF() []byte {
	return writePDF("Resolución Administrativa de ejemplo", []line{
		{true, 11, 0, "DEMOSTRACIÓN - SIN VALIDEZ LEGAL"},
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
		{false, 9, 230, "DEMOSTRACIÓN - SIN VALIDEZ LEGAL. Firma electrónica, no firma digital (Ley 164)."},
	})
}

// writePDF writes a file of one page.
func writePDF(title string, lines []line) []byte {
	var text bytes.Buffer
	y := pageHeight - margin
	text.WriteString("BT\n")
	for _, l := range lines {
		y -= l.skip
		font := "F1"
		if l.bold {
			font = "F2"
		}
		fmt.Fprintf(&text, "/%s %d Tf 1 0 0 1 %d %d Tm (%s) Tj\n", font, l.size, margin, y, escape(l.text))
	}
	text.WriteString("ET\n")

	var out bytes.Buffer
	out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	var offsets []int
	object := func(body string) {
		offsets = append(offsets, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", len(offsets), body)
	}
	object("<< /Type /Catalog /Pages 2 0 R /Lang (es-BO) /ViewerPreferences << /DisplayDocTitle true >> >>")
	object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>")
	object(fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> /Contents 4 0 R >>", pageWidth, pageHeight))
	object(fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", text.Len(), text.Bytes()))
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>")
	object(fmt.Sprintf("<< /Title (%s) /Producer (Suti) /CreationDate (D:20261124090000-04'00') >>", escape(title)))

	start := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, at := range offsets {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	const id = "<53757469446d6f5265736f6c7563696e>"
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R /Info 7 0 R /ID [%s %s] >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, id, id, start)
	return out.Bytes()
}

// escape writes text of Latin-1 characters, which PDFDocEncoding and
// WinAnsiEncoding share, as the inside of a literal string (ISO 32000-1 §7.3.4.2).
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '(' || r == ')' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x80:
			b.WriteRune(r)
		case r >= 0xa1 && r <= 0xff:
			fmt.Fprintf(&b, "\\%03o", r)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}
