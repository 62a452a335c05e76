package pades_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// coverageAttacks leave the signature right for other bytes than the file's.
func coverageAttacks() map[string]attack {
	room := pades.Options{Reserve: pades.Reserve{Exact: 4000}}
	crafted := func(choose func(hole, end, size int) []int) attack {
		return attack{want: invalid, options: room, make: func(w *world) []byte { return craft(w.t, w.file, w.who, choose) }}
	}
	return map[string]attack{
		"end not covered":         crafted(func(h, e, n int) []int { return []int{0, h, e, n - e - 20} }),
		"beginning not covered":   crafted(func(h, e, n int) []int { return []int{9, h - 9, e, n - e} }),
		"hole larger than needed": crafted(func(h, e, n int) []int { return []int{0, h - 11, e, n - e} }),
		"hole smaller":            crafted(func(h, e, n int) []int { return []int{0, h + 1, e, n - e} }),
		"parts overlap":           crafted(func(h, e, n int) []int { return []int{0, h, h - 100, n - h + 100} }),
		"parts overlap wholly":    crafted(func(h, e, n int) []int { return []int{0, h, 0, h} }),
		"three parts":             crafted(func(h, e, n int) []int { return []int{0, h, e, 10, e + 10, n - e - 10} }),
		"parts exchanged":         crafted(func(h, e, n int) []int { return []int{e, n - e, 0, h} }),
		"one part":                crafted(func(h, e, n int) []int { return []int{0, h} }),
		"hole in another place": {make: func(w *world) []byte {
			// The range is right for the old file: the second part is moved to the
			// end and something else put in its place.
			from, to := w.hole()
			second := bytes.Clone(w.file[to+1:])
			out := bytes.Clone(w.file[:to+1])
			out = append(out, "\n6 0 obj\n<<>>\nstream\n"+evil+"\nendstream\nendobj\n"...)
			moved := len(out)
			out = append(out, second...)
			text := fmt.Sprintf("/ByteRange [0 %d %d %d]", from-1, moved, len(second))
			return regexp.MustCompile(`/ByteRange \[[^\]]*\]`).ReplaceAll(out, fmt.Appendf(nil, "%-*s", 11+64, text))
		}, refused: pades.CodeDamaged},
		"content put between the parts": {want: invalid, make: func(w *world) []byte {
			// The hole is stretched over an object of the attacker's.
			from, to := w.hole()
			n := (to - from) / 2
			inner := ">/X<" // a second string begins within the hole
			out := bytes.Clone(w.file)
			copy(out[from+n:], inner)
			return out
		}},
		"changed, then sealed by one who is known": {want: []pades.Verdict{pades.ModifiedForbidden, pades.Valid}, make: func(w *world) []byte {
			b := savingAttacks()["page content replaced"].make(w)
			return sign(w.t, b, w.who, pades.Options{Seal: &pades.Seal{Name: "Ana"}})
		}},
		"changed, then time-stamped": {want: []pades.Verdict{pades.ModifiedForbidden, pades.Valid}, make: func(w *world) []byte {
			return stampDocument(w.t, savingAttacks()["page content replaced"].make(w), w.shape, authority(w.t).stamper(now))
		}},
		"changed and changed back": {want: forbidden, make: func(w *world) []byte {
			first := w.body(costest.Info)
			b := w.updateOn(w.file, costest.Obj{Num: costest.Info, Body: "<</Title(x)>>"})
			return w.updateOn(b, costest.Obj{Num: costest.Info, Body: first})
		}},
		"old version put behind a change": {want: forbidden, make: func(w *world) []byte {
			b := savingAttacks()["page content replaced"].make(w)
			return w.updateOn(b, costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte("BT /F1 24 Tf 72 720 Td (Hola) Tj ET")})
		}},
	}
}

// annotationAttacks are made after a certification that allows annotations, and
// after an ordinary signature.
func annotationAttacks() map[string]attack {
	m := map[string]attack{}
	add := func(extra string, objs func(n int) []costest.Obj) func(*world) []byte {
		return func(w *world) []byte {
			n := w.next()
			page := w.swap(w.body(costest.Page1), "/Annots [", fmt.Sprintf("/Annots [%d 0 R ", n))
			out := []costest.Obj{{Num: n, Body: "<</Type/Annot/Rect[0 0 595 842]/F 4" + extra + ">>"}, {Num: costest.Page1, Body: page}}
			if objs != nil {
				out = append(out, objs(n+1)...)
			}
			return w.update(out...)
		}
	}
	for _, kind := range []string{"FreeText", "Stamp", "Redact", "Text", "Highlight", "Ink", "Square", "FileAttachment", "Popup", "Link", "Screen", "3D", "Watermark", "RichMedia"} {
		m["certified for annotations: "+kind] = attack{want: forbidden, options: pades.Options{Certify: pades.AlsoAnnotations}, make: add("/Subtype/"+kind+"/Contents(Pague 1.000.000)", nil)}
	}
	m["annotation without a kind"] = attack{want: forbidden, make: add("/Contents(x)", nil)}
	m["push button that covers the page"] = attack{want: forbidden, make: add("/Subtype/Widget/FT/Btn/Ff 65536/T(z)/MK<</CA(Pague)>>", nil)}
	m["annotation looks replaced in place"] = attack{want: forbidden, base: func(o *costest.Options) {
		o.Extra = []costest.Obj{{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]>>", Data: []byte("n")},
			{Num: 41, Body: "<</Type/Annot/Subtype/Stamp/Rect[0 0 9 9]/AP<</N 40 0 R>>>>"}}
		o.CatalogExtra = "/Z 41 0 R"
	}, make: func(w *world) []byte {
		return w.update(costest.Obj{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 595 842]>>", Data: []byte(evil)})
	}}
	m["unsigned field that shows a text"] = attack{want: forbidden, make: emptyField("/AP<</N %d 0 R>>")}
	m["unsigned field that shows a text, annotations allowed"] = attack{want: forbidden, options: pades.Options{Certify: pades.AlsoAnnotations}, make: emptyField("/AP<</N %d 0 R>>")}
	m["unsigned field that is a square"] = attack{want: forbidden, make: emptyField("/Subtype/Square/H/N")}
	m["unsigned field that is a stamp, annotations allowed"] = attack{want: forbidden, options: pades.Options{Certify: pades.AlsoAnnotations}, make: emptyField("/Subtype/Stamp/H/N")}
	m["unsigned field with a caption"] = attack{want: forbidden, make: emptyField("/MK<</CA(Pague 1.000.000)/BG[1 1 1]>>")}
	m["unsigned field with a thick border"] = attack{want: forbidden, make: emptyField("/Border[0 0 500]/H/N")}
	m["unsigned field after a certification"] = attack{want: forbidden, options: pades.Options{Certify: pades.FormsAndSigning}, make: emptyField("/H/N")}
	m["unsigned field that shows nothing"] = attack{want: permitted, make: emptyField("/H/N")}
	m["new field although all are locked"] = attack{want: forbidden, options: pades.Options{Lock: &pades.Lock{}}, make: emptyField("/H/N")}
	return m
}

// emptyField adds a signature field without a signature over a whole page.
func emptyField(entries string) func(*world) []byte {
	return func(w *world) []byte {
		n := w.next()
		entries := strings.ReplaceAll(entries, "%d", fmt.Sprint(n+1))
		if !strings.Contains(entries, "/Subtype") {
			entries += "/Subtype/Widget"
		}
		page := regexp.MustCompile(`(/Annots \[[^\]]*)\]`).ReplaceAllString(w.body(costest.Page1), fmt.Sprintf("$1 %d 0 R]", n))
		catalog := w.swap(w.body(costest.Catalog), "] /DR", fmt.Sprintf(" %d 0 R] /DR", n))
		objs := []costest.Obj{
			{Num: n, Body: fmt.Sprintf("<</Type/Annot/FT/Sig/T(vacio)/Rect[0 0 595 842]/F 4/P %d 0 R %s>>", costest.Page1, entries)},
			{Num: costest.Page1, Body: page}, {Num: costest.Catalog, Body: catalog},
		}
		if strings.Contains(entries, "/AP") {
			objs = append(objs, costest.Obj{Num: n + 1, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 595 842]>>", Data: []byte(evil)})
		}
		return w.update(objs...)
	}
}

// preparedAttacks use what was put into the document, out of sight, before it
// was signed: the classes hide, replace, and hide and replace.
func preparedAttacks() map[string]attack {
	base := func(catalog string, objs ...costest.Obj) func(*costest.Options) {
		return func(o *costest.Options) { o.CatalogExtra, o.Extra = catalog, objs }
	}
	overlay := base("/Z 41 0 R", costest.Obj{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 595 842]>>", Data: []byte("1 g 0 0 595 842 re f")},
		costest.Obj{Num: 41, Body: "<</XObject<</O 40 0 R>>>>"})
	hiddenContent := costest.Obj{Num: 43, Body: "<<>>", Data: []byte(evil)}
	hiddenPage := costest.Obj{Num: 42, Body: fmt.Sprintf("<</Type/Page/Parent %d 0 R/Contents 43 0 R>>", costest.Pages)}
	hidden := base("/Z[42 0 R 43 0 R 44 0 R 45 0 R]", hiddenContent, hiddenPage,
		costest.Obj{Num: 44, Body: "<</Type/Pages/Kids[42 0 R]/Count 1/MediaBox[0 0 595 842]>>"},
		costest.Obj{Num: 45, Body: "<</Type/Catalog/Pages 44 0 R>>"})
	layers := base("/OCProperties<</OCGs[46 0 R]/D 47 0 R>>", costest.Obj{Num: 46, Body: "<</Type/OCG/Name(capa)>>"}, costest.Obj{Num: 47, Body: "<</BaseState/ON>>"})
	return map[string]attack{
		"hide: overlay emptied": {want: forbidden, base: overlay, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: 40, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 0 0]>>", Data: []byte("n")})
		}},
		"hide: overlay freed":     {want: forbidden, base: overlay, make: func(w *world) []byte { return w.update(costest.Obj{Num: 40, Free: true}) }},
		"hide: overlay made null": {want: forbidden, base: overlay, make: func(w *world) []byte { return w.update(costest.Obj{Num: 40, Body: "null"}) }},
		"hide: layer turned off":  {want: forbidden, base: layers, make: func(w *world) []byte { return w.update(costest.Obj{Num: 47, Body: "<</BaseState/OFF>>"}) }},
		"hide: annotation hidden": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Link, Body: with(w.body(costest.Link), "/F 2")})
		}},
		"replace: page takes the hidden content": {want: forbidden, base: hidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Page1, Body: w.swap(w.body(costest.Page1), fmt.Sprintf("/Contents %d 0 R", costest.Content1), "/Contents 43 0 R")})
		}},
		"replace: hidden page shown": {want: forbidden, base: hidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Pages, Body: w.swap(w.body(costest.Pages), fmt.Sprintf("%d 0 R ", costest.Page1), "42 0 R ")})
		}},
		"hide and replace: hidden pages shown": {want: forbidden, base: hidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), fmt.Sprintf("/Pages %d 0 R", costest.Pages), "/Pages 44 0 R")})
		}},
		"hide and replace: hidden catalog shown": {want: nil, base: hidden, make: func(w *world) []byte {
			return costest.Append(w.file, w.shape, nil, strings.Replace(costest.TrailerEntries(w.file), fmt.Sprintf("/Root %d 0 R", costest.Catalog), "/Root 45 0 R", 1))
		}},
		"prepared face of a button, no changes allowed": {want: forbidden, base: prepareButton, options: pades.Options{Certify: pades.NoChanges}, make: pressButton},
		"prepared face of a button, locked":             {want: forbidden, base: prepareButton, options: pades.Options{Lock: &pades.Lock{}}, make: pressButton},
		"face of a push button replaced": {want: forbidden, base: func(o *costest.Options) {
			prepareButton(o)
			last := &o.Extra[len(o.Extra)-1]
			last.Body = strings.Replace(last.Body, "/FT/Btn", "/FT/Btn/Ff 65536", 1)
		}, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: 41, Body: w.swap(w.body(41), "/N<</Off 42", "/N<</Off 43")})
		}},
		"button pressed": {want: permitted, base: prepareButton, make: pressButton},
	}
}

// prepareButton puts a check box with two faces into the form.
func prepareButton(o *costest.Options) {
	o.Form = false
	o.CatalogExtra = "/AcroForm<</Fields[41 0 R]>>"
	face := func(n int, text string) costest.Obj {
		return costest.Obj{Num: n, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 595 842]>>", Data: []byte(text)}
	}
	o.Extra = []costest.Obj{face(42, "n"), face(43, evil),
		{Num: 41, Body: "<</FT/Btn/T(casilla)/Subtype/Widget/Rect[0 0 595 842]/F 4/V/Off/AS/Off/AP<</N<</Off 42 0 R/Si 43 0 R>>>>>>"}}
}

func pressButton(w *world) []byte {
	return w.update(costest.Obj{Num: 41, Body: w.swap(w.body(41), "/V/Off/AS/Off", "/V/Si/AS/Si")})
}

// fontAttacks make the same text look another way.
func fontAttacks() map[string]attack {
	put := func(num int, body string) func(*world) []byte {
		return func(w *world) []byte { return w.update(costest.Obj{Num: num, Body: body}) }
	}
	form := func(old, now string) func(*world) []byte {
		return func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), old, now)})
		}
	}
	const dr = "/Font <</Helv 5 0 R>>"
	return map[string]attack{
		"font gets another encoding": {want: forbidden, make: put(costest.Font, "<</Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding<</Differences[72/P/a/g/u/e]>>>>")},
		"font becomes one of drawings": {want: forbidden, make: put(costest.Font,
			"<</Type/Font/Subtype/Type3/FontBBox[0 0 1 1]/FontMatrix[1 0 0 1 0 0]/CharProcs<<>>/Encoding<</Differences[]>>/FirstChar 0/LastChar 0/Widths[0]>>")},
		"font of the form replaced under its name": {want: forbidden, make: func(w *world) []byte {
			n := w.next()
			return w.update(costest.Obj{Num: n, Body: "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>"},
				costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), dr, fmt.Sprintf("/Font <</Helv %d 0 R>>", n))})
		}},
		"font added to the form under a new name": {want: extended, make: func(w *world) []byte {
			n := w.next()
			return w.update(costest.Obj{Num: n, Body: "<</Type/Font/Subtype/Type1/BaseFont/Courier/Encoding/WinAnsiEncoding>>"},
				costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), dr, fmt.Sprintf("/Font <</Helv 5 0 R/Cour %d 0 R>>", n))})
		}},
		"font of the form taken out":            {want: forbidden, make: form(dr, "/Font <<>>")},
		"font added to the form that is a page": {want: forbidden, make: form(dr, "/Font <</Helv 5 0 R/X 6 0 R>>")},
		"default appearance of a field changed": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "12 Tf 0 g", "99 Tf 1 g")})
		}},
		"order of calculation changed": {want: forbidden, make: form("/CO [", "/CO [13 0 R ")},
		"XFA added":                    {want: forbidden, make: form("/CO [", "/XFA[] /CO [")},
		"signature flags cleared":      {want: forbidden, make: form("/SigFlags 3", "/SigFlags 0")},
		"page resources overridden":    {want: forbidden, make: pageEntry("/Resources<</Font<</F1 99 0 R>>>>")},
		"page turned":                  {want: forbidden, make: pageEntry("/Rotate 180")},
		"page cropped":                 {want: forbidden, make: pageEntry("/CropBox[0 0 10 10]")},
		"page scaled":                  {want: forbidden, make: pageEntry("/UserUnit 10")},
		"page gets an action":          {want: forbidden, make: pageEntry("/AA<</O<</S/JavaScript/JS(x)>>>>")},
		"page loses its tab order": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Page1, Body: w.swap(w.body(costest.Page1), "/Tabs/R", "/Tabs/S")})
		}},
		"value given to a group of fields": {want: forbidden, make: put(costest.Group, "<</FT /Tx /T (grupo) /Kids [13 0 R]/V(x)>>")},
		"field gets a child": {refused: pades.CodeDamaged, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextA, Body: with(w.body(costest.TextA), "/Kids[14 0 R]")})
		}},
		"field becomes another type": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "/FT /Tx", "/FT /Btn")})
		}},
		"empty signature field moved": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.EmptySig, Body: w.swap(w.body(costest.EmptySig), "300 560", "0 0")})
		}},
		"empty signature field locks": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.EmptySig, Body: with(w.body(costest.EmptySig), "/Lock<</Action/All>>")})
		}},
		"signed field loses its lock": {want: forbidden, options: pades.Options{Lock: &pades.Lock{Action: pades.LockInclude, Fields: []string{"a"}}}, make: unlock},
		"signed field's widget unlocked": {want: forbidden, make: func(w *world) []byte {
			num, body, _ := w.field()
			return w.update(costest.Obj{Num: num, Body: w.swap(body, "/F 132", "/F 2")})
		}},
	}
}

func pageEntry(entry string) func(*world) []byte {
	return func(w *world) []byte {
		return w.update(costest.Obj{Num: costest.Page1, Body: with(w.body(costest.Page1), entry)})
	}
}

func unlock(w *world) []byte {
	num, body, _ := w.field()
	now := regexp.MustCompile(`/Lock <<.*?>>`).ReplaceAllString(body, "")
	if now == body {
		w.t.Fatal("no lock")
	}
	return w.update(costest.Obj{Num: num, Body: now})
}
