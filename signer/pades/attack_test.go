package pades_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// attack is a way to change a signed file. The file given is a sample with a
// form, signed once into a new invisible field.
type attack struct {
	make func(*world) []byte
	// want are the verdicts of all signatures in the order of their revisions;
	// refused is set instead where nothing can be said of the file.
	want    []pades.Verdict
	refused pades.Code
	// shapes are those of the base; all if empty.
	shapes []costest.Shape
	// believes, where set, says whether the report believes what the attack
	// pretends, although the verdict stays: a time, for instance.
	believes func(*pades.Report) bool
	// base changes the document before it is signed, options how it is signed.
	base    func(*costest.Options)
	options pades.Options
	who     *signer // who signs it, Ana by default
	// whole, where set, makes the file and says how it is verified; of the
	// fields above only want, believes and shapes are used.
	whole func(testing.TB, costest.Shape) ([]byte, pades.VerifyOptions)
}

// world is a signed file that is about to be attacked.
type world struct {
	t     testing.TB
	shape costest.Shape
	base  []byte
	file  []byte // signed
	who   signer
}

// update appends objects with a well-formed cross-reference section.
func (w *world) update(objs ...costest.Obj) []byte {
	return w.updateOn(w.file, objs...)
}

func (w *world) updateOn(b []byte, objs ...costest.Obj) []byte {
	return costest.Append(b, w.shape, objs, costest.TrailerEntries(b))
}

// body returns the text of an object as it is in the file.
func (w *world) body(num int) string {
	f, err := cos.Open(bytes.NewReader(w.file), int64(len(w.file)), cos.Limits{})
	if err != nil {
		w.t.Fatal(err)
	}
	o, err := f.Get(cos.Ref{Num: uint32(num)})
	if err != nil {
		w.t.Fatal(err)
	}
	return string(o.Raw)
}

// next returns a number that the file does not use.
func (w *world) next() int {
	f, err := cos.Open(bytes.NewReader(w.file), int64(len(w.file)), cos.Limits{})
	if err != nil {
		w.t.Fatal(err)
	}
	return int(f.NextNumber())
}

// with adds entries to the end of a dictionary.
func with(dict, entries string) string {
	return strings.TrimSuffix(strings.TrimSpace(dict), ">>") + entries + ">>"
}

// swap replaces text, which must be there.
func (w *world) swap(s, old, now string) string {
	if !strings.Contains(s, old) {
		w.t.Fatalf("no %q in %.300q", old, s)
	}
	return strings.Replace(s, old, now, 1)
}

// field returns the number and text of the signed field, and the number of its
// signature dictionary.
func (w *world) field() (num int, body string, sig int) {
	f, err := cos.Open(bytes.NewReader(w.file), int64(len(w.file)), cos.Limits{})
	if err != nil {
		w.t.Fatal(err)
	}
	err = f.Fields(func(fl *cos.Field) bool {
		if r, ok := fl.Value.Ref(); ok && fl.Type == "Sig" {
			num, body, sig = int(fl.Object.Ref.Num), string(fl.Object.Raw), int(r.Num)
		}
		return true
	})
	if err != nil || num == 0 {
		w.t.Fatalf("no signed field: %v", err)
	}
	return num, body, sig
}

// hole returns where the hexadecimal signature is, without brackets.
func (w *world) hole() (int, int) {
	m := regexp.MustCompile(`/Contents <([0-9a-fA-F]+)>`).FindSubmatchIndex(w.file)
	if m == nil {
		w.t.Fatal("no /Contents")
	}
	return m[2], m[3]
}

// edit changes bytes of the signed file in place; the length must stay.
func (w *world) edit(old, now string) []byte {
	if len(old) != len(now) {
		w.t.Fatalf("%q and %q differ in length", old, now)
	}
	return []byte(w.swap(string(w.file), old, now))
}

const evil = "BT /F1 24 Tf 72 720 Td (Pague 1.000.000 Bs) Tj ET"

var (
	forbidden = []pades.Verdict{pades.ModifiedForbidden}
	invalid   = []pades.Verdict{pades.Invalid}
	extended  = []pades.Verdict{pades.ValidExtended}
	permitted = []pades.Verdict{pades.ModifiedAllowed}
	untold    = []pades.Verdict{pades.Indeterminate}
)

// savingAttacks add an update or bytes.
func savingAttacks() map[string]attack {
	return map[string]attack{
		"page content replaced": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte(evil)})
		}},
		"page points to new content": {want: forbidden, make: func(w *world) []byte {
			n := w.next()
			page := w.swap(w.body(costest.Page1), fmt.Sprintf("/Contents %d 0 R", costest.Content1), fmt.Sprintf("/Contents %d 0 R", n))
			return w.update(costest.Obj{Num: n, Body: "<<>>", Data: []byte(evil)}, costest.Obj{Num: costest.Page1, Body: page})
		}},
		"page put in": {want: forbidden, make: func(w *world) []byte {
			n := w.next()
			return w.update(costest.Obj{Num: n, Body: fmt.Sprintf("<</Type/Page/Parent %d 0 R>>", costest.Pages)},
				costest.Obj{Num: costest.Pages, Body: w.swap(w.swap(w.body(costest.Pages), "[", fmt.Sprintf("[%d 0 R ", n)), "/Count 2", "/Count 3")})
		}},
		"page taken out": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Pages, Body: w.swap(w.swap(w.body(costest.Pages), fmt.Sprintf("%d 0 R]", costest.Page2), "]"), "/Count 2", "/Count 1")})
		}},
		"font replaced": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Font, Body: "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"})
		}},
		"media box changed by inheritance": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Pages, Body: w.swap(w.body(costest.Pages), "0 0 595 842", "0 0 595 300")})
		}},
		"script added": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), "/OpenAction<</S/JavaScript/JS(x)>>")})
		}},
		"object deleted": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Content1, Free: true})
		}},
		"nothing but an empty update": {want: extended, make: func(w *world) []byte { return w.update() }},
		"object that nothing needs": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: w.next(), Body: "<</Type/Page>>"})
		}},
		"bytes behind the end": {refused: pades.CodeDamaged, make: func(w *world) []byte {
			return append(bytes.Clone(w.file), "6 0 obj <<>> endobj\n"...)
		}},
		"update without cross-reference": {refused: pades.CodeDamaged, make: func(w *world) []byte {
			b := costest.Object(bytes.Clone(w.file), costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte(evil)})
			return append(b, "trailer<</Root 1 0 R>>\n"...)
		}},
		"update without end": {refused: pades.CodeDamaged, make: func(w *world) []byte {
			b := w.update(costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte(evil)})
			return bytes.TrimSuffix(b, []byte("%%EOF\n"))
		}},
		"update whose startxref is the old one": {refused: pades.CodeAmbiguous, make: func(w *world) []byte {
			// Readers that follow startxref see the old file, others repair.
			b := costest.Object(bytes.Clone(w.file), costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte(evil)})
			return append(b, fmt.Sprintf("startxref\n%d\n%%%%EOF\n", costest.StartXref(w.file))...)
		}},
		"bytes before the header": {refused: pades.CodeHeader, make: func(w *world) []byte { return append([]byte("\n"), w.file...) }},
		"byte of the content changed": {want: invalid, shapes: []costest.Shape{costest.Table}, make: func(w *world) []byte {
			return w.edit("(Hola)", "(Hole)")
		}},
		"signed version cut short": {want: nil, make: func(w *world) []byte { return w.base }},
	}
}

func contentAttacks() map[string]attack {
	annot := func(body string) func(*world) []byte {
		return func(w *world) []byte {
			n := w.next()
			page := w.swap(w.body(costest.Page1), "/Annots [", fmt.Sprintf("/Annots [%d 0 R ", n))
			return w.update(costest.Obj{Num: n, Body: body}, costest.Obj{Num: costest.Page1, Body: page})
		}
	}
	return map[string]attack{
		"free text over the page":     {want: forbidden, make: annot("<</Type/Annot/Subtype/FreeText/Rect[0 0 500 800]/Contents(x)>>")},
		"widget that is no signature": {want: forbidden, make: annot("<</Type/Annot/Subtype/Widget/FT/Tx/T(z)/Rect[0 0 500 800]>>")},
		"annotation changed": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Link, Body: w.swap(w.body(costest.Link), "example.org", "example.com")})
		}},
		"annotation removed from the page": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Page1, Body: w.swap(w.body(costest.Page1), fmt.Sprintf("[%d 0 R ", costest.Link), "[")})
		}},
		"title changed": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Info, Body: "<</Title(x)>>"})
		}},
		"date of modification changed": {want: extended, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Info, Body: with(w.body(costest.Info), "/ModDate(D:20270101)")})
		}},
		"metadata changed": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Metadata, Body: "<</Type/Metadata/Subtype/XML>>", Data: []byte("<x:xmpmeta xmlns:x='adobe:ns:meta/'><a>b</a></x:xmpmeta>")})
		}},
		"date in metadata changed": {want: extended, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Metadata, Body: "<</Type/Metadata/Subtype/XML>>",
				Data: []byte("<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'/><xmp:ModifyDate>2027</xmp:ModifyDate><?xpacket end='w'?>")})
		}},
		"metadata that are page content too": {want: forbidden, base: func(o *costest.Options) {
			o.Extra = []costest.Obj{{Num: 40, Body: fmt.Sprintf("<</X %d 0 R>>", costest.Metadata)}}
		},
			make: func(w *world) []byte {
				return w.update(costest.Obj{Num: costest.Metadata, Body: "<</Type/Metadata/Subtype/XML>>",
					Data: []byte("<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'/><xmp:ModifyDate>2027</xmp:ModifyDate><?xpacket end='w'?>")})
			}},
		"object written again as it was": {want: extended, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Pages, Body: " " + w.body(costest.Pages)}, costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte("BT /F1 24 Tf 72 720 Td (Hola) Tj ET")})
		}},
		"layers added": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), "/OCProperties<</OCGs[]/D<<>>>>")})
		}},
		"language changed": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), "es-BO", "es-AR")})
		}},
		"extension level declared": {want: extended, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), "/Extensions<</ESIC<</BaseVersion/1.7/ExtensionLevel 2>>>>")})
		}},
	}
}

func formAttacks() map[string]attack {
	return map[string]attack{
		"field filled in": {want: permitted, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "(uno)", "(dos)")})
		}},
		"field filled in with new looks": {want: permitted, make: func(w *world) []byte {
			n := w.next()
			return w.update(costest.Obj{Num: n, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 100 20]>>", Data: []byte("BT ET")},
				costest.Obj{Num: costest.TextA, Body: with(w.swap(w.body(costest.TextA), "(uno)", "(dos)"), fmt.Sprintf("/AP<</N %d 0 R>>", n))})
		}},
		"field moved": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "[72 600 200 620]", "[0 0 500 800]")})
		}},
		"field renamed": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "/T (a)", "/T (z)")})
		}},
		"field gets an action": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextA, Body: with(w.body(costest.TextA), "/AA<<>>")})
		}},
		"hidden field shown": {want: forbidden, base: func(o *costest.Options) { o.FieldExtra = "" }, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "/F 4", "/F 6")})
		}},
		"text field added": {want: forbidden, make: func(w *world) []byte {
			n := w.next()
			return w.update(costest.Obj{Num: n, Body: "<</FT/Tx/T(z)/Subtype/Widget/Rect[0 0 0 0]>>"},
				costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), "] /DR", fmt.Sprintf(" %d 0 R] /DR", n))})
		}},
		"fields taken out of the form": {want: nil, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: regexp.MustCompile(`/Fields \[[^\]]*\]`).ReplaceAllString(w.body(costest.Catalog), "/Fields []")})
		}},
		"text fields taken out of the form": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), fmt.Sprintf("/Fields [%d 0 R", costest.TextA), "/Fields [")})
		}},
		"viewers told to draw fields": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), "/SigFlags", "/NeedAppearances true /SigFlags")})
		}},
		"default appearance changed": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), "0 Tf 0 g", "0 Tf 1 g")})
		}},
		"looks shared with the page replaced in place": {want: forbidden, base: func(o *costest.Options) {
			o.Extra = []costest.Obj{{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]>>", Data: []byte("n")},
				{Num: 41, Body: "<</FT/Tx/T(shared)/Subtype/Widget/Rect[0 0 9 9]/AP<</N 40 0 R>>>>"},
				{Num: 42, Body: "<</XObject<</X 40 0 R>>>>"}}
			o.CatalogExtra = "/Y 42 0 R/Z 41 0 R"
		}, make: func(w *world) []byte {
			b := w.update(costest.Obj{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 500 800]>>", Data: []byte(evil)})
			return b
		}},
		"looks replaced in place of a field": {want: permitted, base: withOwnLooks, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 100 20]>>", Data: []byte("BT ET")})
		}},
		"looks replaced in place, also used under a false type": {want: forbidden, base: func(o *costest.Options) {
			withOwnLooks(o)
			o.Extra = append(o.Extra, costest.Obj{Num: 42, Body: "<</Type/XRef/XObject<</X 40 0 R>>>>"})
		}, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 100 20]>>", Data: []byte("BT ET")})
		}},
	}
}

// withOwnLooks gives the empty text field's place to one with an appearance
// stream of its own, object 40.
func withOwnLooks(o *costest.Options) {
	o.Form = false
	o.CatalogExtra = "/AcroForm<</Fields[41 0 R]>>"
	o.Extra = []costest.Obj{{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]>>", Data: []byte("n")},
		{Num: 41, Body: "<</FT/Tx/T(own)/Subtype/Widget/Rect[0 0 9 9]/AP<</N 40 0 R>>>>"}}
}
