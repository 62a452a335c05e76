package pades_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// redefine writes the signature dictionary anew, changed.
func redefine(re, with string) func(*world) []byte {
	return func(w *world) []byte {
		_, _, sig := w.field()
		body := w.body(sig)
		now := regexp.MustCompile(re).ReplaceAllString(body, with)
		if now == body {
			w.t.Fatalf("%q changes nothing", re)
		}
		return w.update(costest.Obj{Num: sig, Body: now, Plain: true})
	}
}

// dictionaryAttacks are about the signature dictionary and what is in it.
func dictionaryAttacks() map[string]attack {
	const contents, byteRange = `/Contents <[0-9a-f]*>`, `/ByteRange \[[^\]]*\]`
	m := map[string]attack{
		"contents missing":       {want: invalid, make: redefine(contents, "")},
		"contents null":          {want: invalid, make: redefine(contents, "/Contents null")},
		"contents empty":         {want: invalid, make: redefine(contents, "/Contents <>")},
		"contents zero":          {want: invalid, make: redefine(contents, "/Contents <00>")},
		"contents a literal":     {want: invalid, make: redefine(contents, "/Contents (x)")},
		"byte range missing":     {want: invalid, make: redefine(byteRange, "")},
		"byte range null":        {want: invalid, make: redefine(byteRange, "/ByteRange null")},
		"byte range empty":       {want: invalid, make: redefine(byteRange, "/ByteRange []")},
		"byte range of zeros":    {want: invalid, make: redefine(byteRange, "/ByteRange [0 0 0 0]")},
		"byte range negative":    {want: invalid, make: redefine(byteRange, "/ByteRange [0 -1 -1 -1]")},
		"byte range of two":      {want: invalid, make: redefine(byteRange, "/ByteRange [0 100]")},
		"byte range of words":    {want: invalid, make: redefine(byteRange, "/ByteRange [(0) (1) (2) (3)]")},
		"sub-filter unknown":     {want: forbidden, make: redefine(`/SubFilter /ETSI.CAdES.detached`, "/SubFilter /x")},
		"filter missing":         {want: invalid, make: redefine(`/Filter /Adobe.PPKLite`, "")},
		"dictionary copied":      {want: invalid, make: redefine(`/M `, "/M  ")},
		"time changed":           {want: invalid, make: redefine(`/M \(D:2026`, "/M (D:2020")},
		"contents key misspelt":  {want: invalid, make: func(w *world) []byte { return w.edit("/Contents <", "/Kontents <") }},
		"byte range key changed": {want: invalid, make: func(w *world) []byte { return w.edit("/ByteRange", "/ByteRang_") }},
		"field points to a copy": {want: invalid, make: func(w *world) []byte {
			num, body, sig := w.field()
			n := w.next()
			return w.update(costest.Obj{Num: n, Body: w.body(sig), Plain: true},
				costest.Obj{Num: num, Body: w.swap(body, fmt.Sprintf("/V %d 0 R", sig), fmt.Sprintf("/V %d 0 R", n))})
		}},
		"two fields share the signature": {want: []pades.Verdict{pades.Invalid, pades.Invalid}, make: func(w *world) []byte {
			_, body, _ := w.field()
			n := w.next()
			return w.update(costest.Obj{Num: n, Body: w.swap(body, "/T ", "/T <41> /Tx ")},
				costest.Obj{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), "] /DR", fmt.Sprintf(" %d 0 R] /DR", n))})
		}},
		"signature of another file": {want: invalid, make: func(w *world) []byte {
			other := &world{t: w.t, file: sign(w.t, costest.Sample(costest.Options{Text: "Otro"}), w.who, pades.Options{})}
			from, to := other.hole()
			return w.put(other.file[from:to])
		}},
		"garbage behind the signature": {want: invalid, make: func(w *world) []byte {
			from, to := w.hole()
			return w.put(append(bytes.Clone(w.file[from:to-2]), "ff"...))
		}},
		"two signers": {want: invalid, make: func(w *world) []byte { return w.putDER(doubleSigner(w.t, w.der())) }},
		"certificate swapped": {want: untold, make: func(w *world) []byte {
			other := authority(w.t).signer(w.t, "Otra", w.who.key)
			return w.putDER(swapCertificate(w.t, w.der(), w.who.chain[0], other.chain[0]))
		}},
		"signature value of zeros": {want: invalid, make: func(w *world) []byte {
			der := w.der()
			sd, err := cms.Parse(der)
			if err != nil {
				w.t.Fatal(err)
			}
			zero := make([]byte, len(sd.Signer.Signature))
			copy(zero, sd.Signer.Signature[:2])
			return w.putDER(bytes.Replace(der, sd.Signer.Signature, zero, 1))
		}},
	}
	// A signature dictionary that is redefined is neither where the signature
	// was nor explained as a change; only what cannot even be located is Invalid.
	m["sub-filter unknown"] = attack{want: invalid, make: m["sub-filter unknown"].make}
	return m
}

// der returns the signature in the file.
func (w *world) der() []byte {
	from, to := w.hole()
	b, err := hex.DecodeString(string(w.file[from:to]))
	if err != nil {
		w.t.Fatal(err)
	}
	if b, err = cms.TrimZeroPadding(b); err != nil {
		w.t.Fatal(err)
	}
	return b
}

// put writes hexadecimal digits into the hole.
func (w *world) put(digits []byte) []byte {
	from, to := w.hole()
	if len(digits) > to-from {
		w.t.Fatalf("%d digits for a hole of %d", len(digits), to-from)
	}
	out := bytes.Clone(w.file)
	for i := from; i < to; i++ {
		out[i] = '0'
	}
	copy(out[from:], digits)
	return out
}

func (w *world) putDER(der []byte) []byte { return w.put([]byte(hex.EncodeToString(der))) }

// shadowAttacks use content that was put into the file before it was signed.
func shadowAttacks() map[string]attack {
	hidden := func(o *costest.Options) {
		o.Extra = []costest.Obj{
			{Num: 50, Body: "<<>>", Data: []byte("x\nendstream\nendobj\n6 0 obj\n<</Length 49>>\nstream\n" + evil + "\nendstream\nendobj\n50 1 obj\n<</Length 1>>\nstream\n1")},
		}
		o.CatalogExtra = "/Z 50 0 R"
	}
	return map[string]attack{
		"cross-reference points to hidden content": {want: forbidden, base: hidden, make: func(w *world) []byte {
			return repoint(w, costest.Content1, bytes.Index(w.file, []byte("6 0 obj\n<</Length 49>>")))
		}},
		"cross-reference points to an older state": {want: forbidden, make: func(w *world) []byte {
			// The page as it was before it had the signature's widget.
			at := bytes.Index(w.base, fmt.Appendf(nil, "\n%d 0 obj", costest.Page1))
			return repoint(w, costest.Page1, at+1)
		}, shapes: []costest.Shape{costest.Table}},
		"reference to nothing comes to life": {want: forbidden, base: func(o *costest.Options) { o.CatalogExtra = "/Z 90 0 R" }, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: 90, Body: "<</Evil true>>"})
		}},
		"free object comes to life": {want: forbidden, base: func(o *costest.Options) {
			o.Extra = []costest.Obj{{Num: 60, Free: true}}
			o.CatalogExtra = "/Z 60 0 R"
		}, make: func(w *world) []byte { return w.update(costest.Obj{Num: 60, Body: "<</Evil true>>"}) }},
		"object stream replaced": {want: forbidden, shapes: []costest.Shape{costest.Stream, costest.Hybrid}, make: func(w *world) []byte {
			f, err := cos.Open(bytes.NewReader(w.file), int64(len(w.file)), cos.Limits{})
			if err != nil {
				w.t.Fatal(err)
			}
			e, err := f.Lookup(costest.Font)
			if err != nil {
				w.t.Fatal(err)
			}
			o, err := f.Get(cos.Ref{Num: e.Container})
			if err != nil {
				w.t.Fatal(err)
			}
			data, err := f.Decode(o)
			if err != nil {
				w.t.Fatal(err)
			}
			data = bytes.Replace(data, []byte("Helvetica"), []byte("Symbolics"), 1)
			body := strings.Replace(string(o.Raw), "/Filter /FlateDecode", "", 1)
			body = regexp.MustCompile(`/Length \d+`).ReplaceAllString(body, "")
			return w.update(costest.Obj{Num: int(e.Container), Body: body, Data: data})
		}},
		"length of a stream changed": {want: forbidden, base: func(o *costest.Options) {
			o.Extra = []costest.Obj{{Num: 70, Body: "50", Plain: true}, {Num: 71, Body: "<</X 70 0 R>>"}}
			o.CatalogExtra = "/Z 71 0 R"
		}, make: func(w *world) []byte { return w.update(costest.Obj{Num: 70, Body: "20", Plain: true}) }},
	}
}

// repoint appends an update that has no objects but says that num is at an
// offset of the signed part.
func repoint(w *world, num, at int) []byte {
	if at < 0 {
		w.t.Fatal("nothing to point to")
	}
	out := bytes.Clone(w.file)
	start := len(out)
	prev := costest.StartXref(w.file)
	trailer := costest.TrailerEntries(w.file)
	if w.shape == costest.Stream {
		n := w.next()
		row := []byte{1, byte(at >> 24), byte(at >> 16), byte(at >> 8), byte(at), 0, 0}
		out = costest.Object(out, costest.Obj{Num: n, Body: fmt.Sprintf("<</Type/XRef/W[1 4 2]/Index[%d 1]/Size %d/Prev %d %s>>", num, n+1, prev, trailer), Data: row})
	} else {
		out = fmt.Appendf(out, "xref\n%d 1\n%010d 00000 n \ntrailer\n<</Size 99/Prev %d %s>>\n", num, at, prev, trailer)
	}
	return fmt.Appendf(out, "startxref\n%d\n%%%%EOF\n", start)
}

// structureAttacks make readers see different files.
func structureAttacks() map[string]attack {
	insert := func(text string) func(*world) []byte {
		return func(w *world) []byte {
			grown := append(bytes.Clone(w.file), text...)
			return w.updateOn(grown, costest.Obj{Num: costest.Info, Body: with(w.body(costest.Info), "/ModDate(D:20270101)")})
		}
	}
	return map[string]attack{
		"object twice in an update": {want: forbidden, make: insert("6 0 obj\n<<>>\nstream\n" + evil + "\nendstream\nendobj\n")},
		"second end of file":        {want: forbidden, make: insert("%%EOF\n")},
		"second header":             {want: forbidden, make: insert("%PDF-1.7\n")},
		"stray words":               {want: forbidden, make: insert("trailer <</Size 9>>\n")},
		"comment in an update":      {want: extended, make: insert("% una nota\n")},
		"another catalog": {want: forbidden, make: func(w *world) []byte {
			n := w.next()
			return costest.Append(w.file, w.shape, []costest.Obj{{Num: n, Body: w.body(costest.Catalog)}},
				strings.Replace(costest.TrailerEntries(w.file), fmt.Sprintf("/Root %d 0 R", costest.Catalog), fmt.Sprintf("/Root %d 0 R", n), 1))
		}},
		"another identifier": {want: extended, make: func(w *world) []byte {
			return costest.Append(w.file, w.shape, nil, strings.Replace(costest.TrailerEntries(w.file), "<0011", "<FF11", 1))
		}},
		"encryption declared": {refused: pades.CodeAmbiguous, make: func(w *world) []byte {
			return costest.Append(w.file, w.shape, nil, costest.TrailerEntries(w.file)+"/Encrypt<</Filter/Standard>>")
		}},
		"object of another generation": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Content1, Gen: 1, Body: "<<>>", Data: []byte(evil)})
		}},
		"key twice in the catalog": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), fmt.Sprintf("/Pages %d 0 R", costest.Page1))})
		}},
		"stream and table disagree": {refused: pades.CodeAmbiguous, shapes: []costest.Shape{costest.Table}, make: func(w *world) []byte {
			out := bytes.Clone(w.file)
			a := len(out)
			out = costest.Object(out, costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte(evil)})
			b := len(out)
			out = costest.Object(out, costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte("BT ET")})
			n := w.next()
			x := len(out)
			row := []byte{1, byte(b >> 24), byte(b >> 16), byte(b >> 8), byte(b), 0, 0}
			out = costest.Object(out, costest.Obj{Num: n, Body: fmt.Sprintf("<</Type/XRef/W[1 4 2]/Index[%d 1]/Size %d>>", costest.Content1, n+1), Data: row})
			start := len(out)
			return fmt.Appendf(out, "xref\n%d 1\n%010d 00000 n \ntrailer\n<</Size %d/Prev %d/XRefStm %d %s>>\nstartxref\n%d\n%%%%EOF\n",
				costest.Content1, a, n+1, costest.StartXref(w.file), x, costest.TrailerEntries(w.file), start)
		}},
		"cross-reference loop": {refused: pades.CodeAmbiguous, make: func(w *world) []byte {
			b := w.update()
			at := costest.StartXref(b)
			re := regexp.MustCompile(`/Prev \d+`)
			all := re.FindAllIndex(b, -1)
			last := all[len(all)-1]
			return append(append(bytes.Clone(b[:last[0]]), fmt.Sprintf("/Prev %0*d", last[1]-last[0]-6, at)...), b[last[1]:]...)
		}, shapes: []costest.Shape{costest.Table, costest.Stream}},
	}
}

// permissionAttacks go beyond what a certification or a lock allows.
func permissionAttacks() map[string]attack {
	fill := func(w *world) []byte {
		return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "(uno)", "(dos)")})
	}
	lock := func(names string) func(*costest.Options) {
		return func(o *costest.Options) {
			o.FieldExtra = "/Lock<</Type/SigFieldLock/Action/Include/Fields[" + names + "]>>"
		}
	}
	signAgain := func(o pades.Options) func(*world) []byte {
		return func(w *world) []byte { return sign(w.t, w.file, w.who, o) }
	}
	stranger := func(o pades.Options) func(*world) []byte {
		return func(w *world) []byte {
			other := newPKI(w.t).signer(w.t, "Nadie", nil)
			return sign(w.t, w.file, other, o)
		}
	}
	seal := &pades.Seal{Name: "Pague 1.000.000"}
	return map[string]attack{
		"no changes, field filled in":    {want: forbidden, options: pades.Options{Certify: pades.NoChanges}, make: fill},
		"no changes, date changed":       {want: forbidden, options: pades.Options{Certify: pades.NoChanges}, make: contentAttacks()["date of modification changed"].make},
		"forms, field filled in":         {want: permitted, options: pades.Options{Certify: pades.FormsAndSigning}, make: fill},
		"forms, annotation added":        {want: forbidden, options: pades.Options{Certify: pades.FormsAndSigning}, make: contentAttacks()["free text over the page"].make},
		"forms, page content replaced":   {want: forbidden, options: pades.Options{Certify: pades.AlsoAnnotations}, make: savingAttacks()["page content replaced"].make},
		"forms, signed again":            {want: []pades.Verdict{pades.ValidExtended, pades.Valid}, options: pades.Options{Certify: pades.FormsAndSigning}, make: signAgain(pades.Options{})},
		"locked field filled in":         {want: forbidden, base: lock("(a)"), options: pades.Options{Field: "Firma"}, make: fill},
		"other field locked":             {want: permitted, base: lock("(grupo)"), options: pades.Options{Field: "Firma"}, make: fill},
		"lock whose name is a beginning": {want: permitted, base: lock("()"), options: pades.Options{Field: "Firma"}, make: fill},
		"field under a locked one": {want: forbidden, base: lock("(grupo)"), options: pades.Options{Field: "Firma"}, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.TextB, Body: with(w.body(costest.TextB), "/V(x)")})
		}},
		"sealed by a stranger":        {want: []pades.Verdict{pades.Indeterminate, pades.Indeterminate}, make: stranger(pades.Options{Seal: seal})},
		"signed unseen by a stranger": {want: []pades.Verdict{pades.ValidExtended, pades.Indeterminate}, make: stranger(pades.Options{})},
		"sealed by one who is known":  {want: []pades.Verdict{pades.ValidExtended, pades.Valid}, make: signAgain(pades.Options{Seal: seal})},
		"permissions added by an update": {want: forbidden, make: func(w *world) []byte {
			_, _, sig := w.field()
			return w.update(costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), fmt.Sprintf("/Perms<</DocMDP %d 0 R>>", sig))})
		}},
		"seal replaced": {want: forbidden, options: pades.Options{Seal: &pades.Seal{Name: "Ana"}}, make: func(w *world) []byte {
			num, body, _ := w.field()
			n := w.next()
			return w.update(costest.Obj{Num: n, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]>>", Data: []byte("n")},
				costest.Obj{Num: num, Body: regexp.MustCompile(`/AP <</N \d+`).ReplaceAllString(body, fmt.Sprintf("/AP <</N %d", n))})
		}},
		"seal replaced in place": {want: forbidden, options: pades.Options{Seal: &pades.Seal{Name: "Ana"}}, make: func(w *world) []byte {
			_, body, _ := w.field()
			var n int
			m := regexp.MustCompile(`/AP <</N (\d+)`).FindStringSubmatch(body)
			_, _ = fmt.Sscan(m[1], &n)
			return w.update(costest.Obj{Num: n, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]>>", Data: []byte(evil)})
		}},
		"signature taken out of its field": {want: nil, make: func(w *world) []byte {
			num, body, sig := w.field()
			return w.update(costest.Obj{Num: num, Body: w.swap(body, fmt.Sprintf("/V %d 0 R", sig), "")})
		}},
		"later signature whose place is written twice": {want: []pades.Verdict{pades.ModifiedForbidden, pades.Valid}, make: func(w *world) []byte {
			b := sign(w.t, w.file, w.who, pades.Options{Reserve: pades.Reserve{Exact: 5000}})
			return resign(w, b, "/TU <", "/Rect [0 0 595 842] /TU <")
		}},
		"later signature with every harmless entry": {want: []pades.Verdict{pades.ValidExtended, pades.Valid}, make: func(w *world) []byte {
			b := sign(w.t, w.file, w.who, pades.Options{Reserve: pades.Reserve{Exact: 5000}})
			return resign(w, b, "/TU <", "/TM(x)/Ff 0/AS/N/SV<<>>/MK<<>>/DA(x)/DR<<>>/Q 0/H/N/BS<</W 0>>/Border[0 0 0]/M(D:2026)/NM(x)/StructParent 7/Contents(x)/TU <")
		}},
		"later signature with an action on its field": {want: []pades.Verdict{pades.ModifiedForbidden, pades.Valid}, make: func(w *world) []byte {
			b := sign(w.t, w.file, w.who, pades.Options{Reserve: pades.Reserve{Exact: 5000}})
			return resign(w, b, "/TU <", "/AA <<>> /TU <")
		}},
	}
}

// evidenceChanges add to and take from the document security store.
func evidenceChanges() map[string]attack {
	add := func(w *world, b []byte) []byte {
		n := w.next()
		return w.updateOn(b, costest.Obj{Num: n, Body: "<<>>", Data: w.who.chain[1].Raw}, costest.Obj{Num: n + 1, Body: fmt.Sprintf("[%d 0 R]", n)},
			costest.Obj{Num: n + 2, Body: fmt.Sprintf("<</Certs %d 0 R/VRI<</ABCD<</Cert[%d 0 R]>>>>>>", n+1, n)},
			costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), fmt.Sprintf("/DSS %d 0 R", n+2))})
	}
	return map[string]attack{
		"evidence added":                     {want: extended, make: func(w *world) []byte { return add(w, w.file) }},
		"evidence added to a certified file": {want: extended, options: pades.Options{Certify: pades.NoChanges}, make: func(w *world) []byte { return add(w, w.file) }},
		"evidence taken out": {want: forbidden, make: func(w *world) []byte {
			n := w.next()
			return w.updateOn(add(w, w.file), costest.Obj{Num: n + 1, Body: "[]"})
		}},
		"evidence that is a page": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), "/DSS 99 0 R")}, costest.Obj{Num: 99, Body: fmt.Sprintf("<</Certs[%d 0 R]>>", 98)}, costest.Obj{Num: 98, Body: "<</Type/Page>>"})
		}},
		"evidence with a side effect": {want: forbidden, make: func(w *world) []byte {
			return w.update(costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), "/DSS<</X 98 0 R>>")}, costest.Obj{Num: 98, Body: "<</Type/Page>>"})
		}},
	}
}
