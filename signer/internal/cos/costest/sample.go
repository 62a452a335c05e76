package costest

import "fmt"

// Numbers of the objects of [Sample].
const (
	Catalog  = 1
	Pages    = 2
	Page1    = 3
	Page2    = 4
	Font     = 5
	Content1 = 6
	Content2 = 7
	Info     = 8
	Link     = 9
	AnnotArr = 10
	AcroForm = 11
	TextA    = 12
	TextB    = 13
	EmptySig = 14
	FieldsAr = 15
	Metadata = 16
	Group    = 17
)

// Options of [Sample].
type Options struct {
	Shape Shape
	// Form adds an AcroForm with two text fields ("a", "grupo.b"), /DR, /DA,
	// /CO and an empty signature field "Firma".
	Form bool
	// IndirectForm puts the AcroForm in an object of its own and its /Fields too.
	IndirectForm bool
	// IndirectAnnots puts page 1's /Annots in an object of its own.
	IndirectAnnots bool
	// Text is shown on page 1, "Hola" by default.
	Text string
	// CatalogExtra and FieldExtra are written into the catalog and the empty
	// signature field.
	CatalogExtra, FieldExtra string
	// Extra objects.
	Extra []Obj
}

// Sample writes a document of two pages with inherited attributes, a link,
// metadata, Info and, if asked for, a form.
func Sample(o Options) []byte { return SampleFile(o).Bytes() }

// SampleFile is Sample before it is written.
func SampleFile(o Options) File {
	if o.Text == "" {
		o.Text = "Hola"
	}
	annots := fmt.Sprintf("[%d 0 R]", Link)
	objs := []Obj{
		{Num: Pages, Body: fmt.Sprintf("<</Type /Pages /Kids [%d 0 R %d 0 R] /Count 2 /MediaBox [0 0 595 842] /Resources <</Font <</F1 %d 0 R>>>> /Rotate 0>>", Page1, Page2, Font)},
		{Num: Page2, Body: fmt.Sprintf("<</Type /Page /Parent %d 0 R /Contents %d 0 R /Rotate 90>>", Pages, Content2)},
		{Num: Font, Body: "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding>>"},
		{Num: Content1, Body: "<<>>", Data: []byte("BT /F1 24 Tf 72 720 Td (" + o.Text + ") Tj ET")},
		{Num: Content2, Body: "<</Filter /FlateDecode>>", Data: Deflate([]byte("BT /F1 24 Tf 72 720 Td (Segunda) Tj ET"))},
		{Num: Info, Body: "<</Title (Resoluci\\363n \\(uno\\)) /Producer <FEFF00E1> /CreationDate (D:20260101000000Z)>>"},
		{Num: Link, Body: "<</Type /Annot /Subtype /Link /Rect [10 10 20 20] /Border [0 0 0] /A <</S /URI /URI (https://example.org/)>>>>"},
		{Num: Metadata, Body: "<</Type /Metadata /Subtype /XML>>", Data: []byte("<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'/><?xpacket end='w'?>")},
	}
	form := ""
	if o.Form {
		annots = fmt.Sprintf("[%d 0 R %d 0 R %d 0 R %d 0 R]", Link, TextA, TextB, EmptySig)
		var fo []Obj
		form, fo = sampleForm(o)
		objs = append(objs, fo...)
	}
	if o.IndirectAnnots {
		objs = append(objs, Obj{Num: AnnotArr, Body: annots})
		annots = fmt.Sprintf("%d 0 R", AnnotArr)
	}
	objs = append(objs,
		Obj{Num: Page1, Body: fmt.Sprintf("<< /Type /Page %% a comment >> with brackets\n /Parent %d 0 R /Contents %d 0 R /Annots %s /Tabs/R>>", Pages, Content1, annots)},
		Obj{Num: Catalog, Body: fmt.Sprintf("<</Type /Catalog /Pages %d 0 R /Lang(es-BO)/Metadata %d 0 R%s%s>>", Pages, Metadata, form, o.CatalogExtra)},
	)
	objs = append(objs, o.Extra...)
	return File{Shape: o.Shape, Objs: objs,
		Trailer: fmt.Sprintf("/Root %d 0 R /Info %d 0 R /ID [<00112233445566778899AABBCCDDEEFF> <00112233445566778899AABBCCDDEEFF>]", Catalog, Info)}
}

func sampleForm(o Options) (entry string, objs []Obj) {
	widget := fmt.Sprintf("/Type /Annot /Subtype /Widget /P %d 0 R /F 4", Page1)
	objs = []Obj{
		{Num: TextA, Body: "<<" + widget + " /FT /Tx /T (a) /V (uno) /Rect [72 600 200 620] /DA (/Helv 12 Tf 0 g)>>"},
		{Num: Group, Body: fmt.Sprintf("<</FT /Tx /T (grupo) /Kids [%d 0 R]>>", TextB)},
		{Num: TextB, Body: fmt.Sprintf("<<%s /Parent %d 0 R /T (b) /Rect [72 560 200 580]>>", widget, Group)},
		{Num: EmptySig, Body: "<<" + widget + " /FT /Sig /T (Firma) /Rect [300 560 500 620]" + o.FieldExtra + ">>"},
	}
	fields := fmt.Sprintf("[%d 0 R %d 0 R %d 0 R]", TextA, Group, EmptySig)
	if o.IndirectForm {
		objs = append(objs, Obj{Num: FieldsAr, Body: fields})
		fields = fmt.Sprintf("%d 0 R", FieldsAr)
	}
	form := fmt.Sprintf("<</Fields %s /DR <</Font <</Helv %d 0 R>>>> /DA (/Helv 0 Tf 0 g \\(x\\)) /CO [%d 0 R]>>", fields, Font, TextA)
	if o.IndirectForm {
		objs = append(objs, Obj{Num: AcroForm, Body: form})
		return fmt.Sprintf(" /AcroForm %d 0 R", AcroForm), objs
	}
	return " /AcroForm " + form, objs
}
