package pades_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

var lengthEntry = regexp.MustCompile(`/Length \d+`)

// variant is one small change of an object.
type variant struct {
	path, body string
}

// variants changes an object in every small way: each entry taken out, written
// twice or given a value of another kind, each list shortened and prolonged,
// each flag set or cleared, an entry added.
func variants(t testing.TB, raw string) []variant {
	v, _, err := cos.ParseValue([]byte(raw), cos.Limits{})
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	var out []variant
	splice := func(path string, from, to int, with string) {
		out = append(out, variant{path + " → " + with, raw[:from] + " " + with + " " + raw[to:]})
	}
	var visit func(v cos.Value, path string, depth int)
	visit = func(v cos.Value, path string, depth int) {
		from, to := v.Span()
		for _, with := range []string{"null", "[]", "<<>>", "4 0 R"} {
			if old := raw[from:to]; old != with {
				splice(path, from, to, with)
			}
		}
		switch v.Kind() {
		case cos.Integer:
			n, _ := v.Int()
			splice(path, from, to, fmt.Sprint(n+1))
			for bit := range 11 {
				if strings.HasSuffix(path, "/F") || strings.HasSuffix(path, "Flags") {
					splice(path, from, to, fmt.Sprint(n^1<<bit))
				}
			}
		case cos.Array:
			for i, e := range v.Elems() {
				a, b := e.Span()
				splice(fmt.Sprintf("%s[%d] out", path, i), a, b, "")
				if depth < 2 {
					visit(e, fmt.Sprintf("%s[%d]", path, i), depth+1)
				}
			}
			for _, with := range []string{"7", "4 0 R"} {
				splice(path+" longer", to-1, to-1, with)
			}
			if n := v.Len(); n > 0 {
				a, b := v.Elem(n - 1).Span()
				splice(path+" twice", b, b, raw[a:b])
			}
		case cos.Dict:
			for i := range v.Len() {
				k, e := v.Entry(i)
				a, _ := k.Span()
				_, b := e.Span()
				here := path + "/" + k.Name()
				splice(here+" out", a, b, "")
				splice(here+" twice", to-2, to-2, raw[a:b])
				splice(here+" twice", to-2, to-2, "/"+k.Name()+"(zz)")
				if depth < 2 {
					visit(e, here, depth+1)
				}
			}
			splice(path+" more", to-2, to-2, "/Zz 1")
		}
	}
	visit(v, "", 0)
	return out
}

// current returns the objects of a file as they are now, by number.
func current(t testing.TB, b []byte) map[int]costest.Obj {
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	objs := map[int]costest.Obj{}
	err = f.Objects(func(num uint32, e cos.Entry) error {
		o, err := f.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil || o.Value.Get("Type").Name() == "ObjStm" || o.Value.Get("Type").Name() == "XRef" {
			return err
		}
		obj := costest.Obj{Num: int(num), Body: string(o.Raw)}
		if o.Stream != nil {
			obj.Data = b[o.Stream.Offset:][:o.Stream.Length]
			obj.Body = lengthEntry.ReplaceAllString(obj.Body, "")
		}
		objs[int(num)] = obj
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

// TestNoSingleChangePasses changes every object of signed files in every small
// way. Nothing but what is listed may pass.
func TestNoSingleChangePasses(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for name, c := range map[string]struct {
		base    costest.Options
		options pades.Options
	}{
		"plain":    {costest.Options{Form: true, CatalogExtra: "/Version/1.7/DSS" + testDSS + "/Extensions" + testExtensions}, pades.Options{}},
		"indirect": {costest.Options{Form: true, IndirectForm: true, IndirectAnnots: true, Shape: costest.Stream, CatalogExtra: "/DSS 43 0 R/Extensions 45 0 R"}, pades.Options{Seal: &pades.Seal{Name: "Ana"}}},
	} {
		c.base.Extra = []costest.Obj{{Num: 30, Body: "<<>>", Data: who.chain[1].Raw}, {Num: 32, Body: "[31 0 R]"}, {Num: 31, Body: "<<>>", Data: []byte("x")}}
		if name == "indirect" {
			c.base.Extra = append(c.base.Extra, costest.Obj{Num: 43, Body: strings.Replace(testDSS, testVRI, " 44 0 R", 1)},
				costest.Obj{Num: 44, Body: "<</AB 46 0 R>>"}, costest.Obj{Num: 46, Body: "<</Cert[30 0 R]/TU(D:2026)>>"}, costest.Obj{Num: 45, Body: testExtensions})
		}
		c.options.Reserve = pades.Reserve{Exact: 3000}
		w := &world{t: t, shape: c.base.Shape, file: sign(t, costest.Sample(c.base), who, c.options), who: who}
		wantVerdicts(t, name, verify(t, w.file), pades.Valid)
		n := 0
		for num, o := range current(t, w.file) {
			if slices.Contains([]int{costest.Page2, costest.Font, costest.Content2, 32}, num) {
				continue // others of their kind are changed
			}
			for _, v := range variants(t, o.Body) {
				changed := o
				changed.Body = v.body
				if o.Data != nil && !strings.HasSuffix(strings.TrimSpace(v.body), ">>") {
					changed.Data = nil
				}
				n++
				got := firstVerdict(t, w.update(changed))
				listed := slices.ContainsFunc(mayChange, func(re *regexp.Regexp) bool { return re.MatchString(fmt.Sprint(num, v.path)) })
				if holds(got) != listed {
					t.Errorf("%s: %d%s: %s", name, num, v.path, got)
				}
			}
		}
		if n < 800 {
			t.Errorf("%s: only %d changes", name, n)
		}
	}
}

const (
	testVRI        = "<</AB<</Cert[30 0 R]/TU(D:2026)>>>>"
	testDSS        = "<</Certs[30 0 R]/OCSPs[]/CRLs 32 0 R/VRI" + testVRI + ">>"
	testExtensions = "<</ESIC<</BaseVersion/1.7/ExtensionLevel 2>>>>"
)

// mayChange are the changes that pass: values and harmless flags of fields,
// growing lists of evidence and declarations, the name of the program.
var mayChange = []*regexp.Regexp{
	regexp.MustCompile(`^12/V (out|→)`),
	regexp.MustCompile(`^1[23]/F → (68|132|516)$`),
	regexp.MustCompile(`^8/Producer (out|→)`),
	regexp.MustCompile(`^(1/DSS/|43/)OCSPs (out|→ (null|\[\])$)`), // an empty list
	regexp.MustCompile(`^((1/DSS/|43/)Certs|32) twice → 3. 0 R$`),
	regexp.MustCompile(`^(1/AcroForm|11)/DR(/Font)? more`),
	regexp.MustCompile(`^(1/Extensions|45)(/ESIC)? more`),
	// Entries of /VRI may be made anew: they are an index of the lists beside.
	regexp.MustCompile(`^(1/DSS/VRI/AB|44/AB) → (<<>>|4 0 R)$`),
	regexp.MustCompile(`^(1/DSS/VRI/AB|46)( more|/Cert out|/Cert\[0\] out|/Cert → (null|\[\])$|/Cert twice → 30|/TU out|/TU →| → <<>>)`),
	regexp.MustCompile(`^(6|30|31) → <<>>$`), // written again as they were
}

// TestNoSingleChangeOfAnUpdatePasses changes the objects of updates that pass,
// in every small way.
func TestNoSingleChangeOfAnUpdatePasses(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	w := &world{t: t, file: sign(t, costest.Sample(costest.Options{Form: true}), who, pades.Options{Reserve: pades.Reserve{Exact: 3000}}), who: who}
	catalog := func(more string) costest.Obj {
		return costest.Obj{Num: costest.Catalog, Body: with(w.body(costest.Catalog), more)}
	}
	for name, objs := range map[string][]costest.Obj{
		"evidence": {{Num: 50, Body: "<<>>", Data: who.chain[1].Raw}, {Num: 51, Body: "[50 0 R]"}, {Num: 52, Body: "<</Type/DSS/Certs 51 0 R/OCSPs[]/VRI 53 0 R>>"},
			{Num: 53, Body: "<</AB<</Cert[50 0 R]/TU(D:2026)>>>>"}, catalog("/DSS 52 0 R/Extensions<</ESIC<</BaseVersion/1.7/ExtensionLevel 2>>>>/Version/1.7")},
		"looks": {{Num: 50, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 100 20]>>", Data: []byte("BT ET")},
			{Num: costest.TextA, Body: with(w.swap(w.body(costest.TextA), "(uno)", "(dos)"), "/AP<</N 50 0 R>>")}},
		"empty field": {{Num: 50, Body: "<</Type/Annot/Subtype/Widget/FT/Sig/T(vacio)/Rect[0 0 0 0]/F 4/P 3 0 R/H/N>>"},
			{Num: costest.Page1, Body: strings.Replace(w.body(costest.Page1), "] /Tabs", " 50 0 R] /Tabs", 1)},
			{Num: costest.Catalog, Body: w.swap(w.body(costest.Catalog), "] /DR", " 50 0 R] /DR")}},
		"date": {{Num: costest.Info, Body: with(w.body(costest.Info), "/ModDate(D:2027)")}},
	} {
		if got := firstVerdict(t, w.update(objs...)); !holds(got) {
			t.Fatalf("%s: %s as it is", name, got)
		}
		for i, o := range objs {
			for _, v := range variants(t, o.Body) {
				changed := slices.Clone(objs)
				changed[i].Body = v.body
				if o.Data != nil && !strings.HasSuffix(strings.TrimSpace(v.body), ">>") {
					changed[i].Data = nil
				}
				got := firstVerdict(t, w.update(changed...))
				if holds(got) && !mayDiffer.MatchString(fmt.Sprint(name, " ", o.Num, v.path)) {
					t.Errorf("%s %d%s: %s", name, o.Num, v.path, got)
				}
			}
		}
	}
}

// mayDiffer are the places where updates may be otherwise: evidence, looks and
// values of fields, declarations, and what shows nothing.
var mayDiffer = regexp.MustCompile(`^(evidence (5[0-3]|1/(DSS|Extensions|Version|AcroForm/DR))|looks (50|12/(F → (68|132|516)$|V|AP))|` +
	`empty field (50(/(Rect\[|F |P |H )|/Type (out|→ null))|1/AcroForm/DR|3/(Tabs|Annots\[5\] out))|date 8(/ModDate|/Producer))`)

// firstVerdict is about the first signature of a file, "" if nothing can be said.
func firstVerdict(t testing.TB, b []byte) pades.Verdict {
	t.Helper()
	r, err := pades.Verify(t.Context(), bytes.NewReader(b), int64(len(b)), trust(t, now.Add(time.Hour)))
	if err != nil || len(r.Signatures) == 0 {
		return ""
	}
	return r.Signatures[0].Verdict
}
