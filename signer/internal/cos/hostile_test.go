package cos_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

// touch does with a file what signing and verifying do.
func touch(b []byte) error {
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{})
	if err != nil {
		return err
	}
	if _, err := f.Revisions(); err != nil {
		return err
	}
	if _, err := f.Page(0); err != nil {
		return err
	}
	if _, err := f.Page(-1); err != nil {
		return err
	}
	return f.Objects(func(num uint32, e cos.Entry) error {
		o, err := f.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil {
			return err
		}
		o.Value.Duplicate()
		if o.Stream != nil && o.Value.Get("Type").Name() == "ObjStm" {
			_, err = f.Decode(o)
		}
		return err
	})
}

// xrefFile is a file whose only cross-reference section is a stream with the
// given dictionary entries and data.
func xrefFile(dict string, data []byte) []byte {
	out := []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n")
	at := len(out)
	out = costest.Object(out, costest.Obj{Num: 3, Body: "<</Type/XRef/Root 1 0 R " + dict + ">>", Data: data})
	return append(out, fmt.Sprintf("startxref\n%d\n%%%%EOF\n", at)...)
}

func tableFile(table string) []byte {
	out := []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[2 0 R]/Count 1>>\nendobj\n")
	at := len(out)
	return append(out, fmt.Sprintf("xref\n%s\nstartxref\n%d\n%%%%EOF\n", table, at)...)
}

func hostileFiles() map[string][]byte {
	pages := func(objs ...costest.Obj) []byte {
		objs = append(objs, costest.Obj{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>"})
		return costest.File{Objs: objs, Trailer: "/Root 1 0 R"}.Bytes()
	}
	zeros := costest.Deflate(make([]byte, 70<<20))
	m := map[string][]byte{
		"xref stream with a huge /Size":      xrefFile("/W[1 2 1]/Size 20000000000", []byte("aaaa")),
		"xref stream with a negative /Size":  xrefFile("/W[1 2 1]/Size -5", []byte("aaaa")),
		"xref stream with a huge /W":         xrefFile("/W[1 9000000000 1]/Size 4", []byte("aaaa")),
		"xref stream with a negative /W":     xrefFile("/W[1 -2 1]/Size 4", []byte("aaaa")),
		"xref stream with /W of zeros":       xrefFile("/W[0 0 0]/Size 4", []byte("aaaa")),
		"xref stream with a huge /Index":     xrefFile("/W[1 2 1]/Size 4/Index[4000000000 1]", []byte("aaaa")),
		"xref stream with a negative /Index": xrefFile("/W[1 2 1]/Size 4/Index[-1 1]", []byte("aaaa")),
		"xref stream with odd /Index":        xrefFile("/W[1 2 1]/Size 4/Index[1]", []byte("aaaa")),
		"xref stream listing a number twice": xrefFile("/W[1 2 1]/Size 4/Index[1 2 2 1]", make([]byte, 12)),
		"xref stream that inflates too much": xrefFile("/W[1 2 1]/Size 4/Filter/FlateDecode", zeros),
		"xref stream that is not compressed": xrefFile("/W[1 2 1]/Size 4/Filter/FlateDecode", []byte("nonsense")),
		"xref stream with a wild predictor":  xrefFile("/W[1 2 1]/Size 4/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 2147483647/Colors 32>>", costest.Deflate([]byte("abcd"))),
		"xref stream with PNG filter 9":      xrefFile("/W[1 2 1]/Size 1/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>", costest.Deflate([]byte{9, 0, 0, 0, 0})),
		"xref table starting at 3000000000":  tableFile("3000000000 1\n0000000009 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"xref table with negative start":     tableFile("-1 1\n0000000009 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"xref table of 900 million entries":  tableFile("0 900000000\n0000000009 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"xref table listing a number twice":  tableFile("1 1\n0000000009 00000 n \n0 2\n0000000000 65535 f \n0000000052 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"xref table with words for digits":   tableFile("1 1\n00000000o9 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"/Prev to itself":                    nil,
		"page tree that holds itself":        pages(costest.Obj{Num: 2, Body: "<</Type/Pages/Count 5/Kids[2 0 R]>>"}),
		"page tree loop of two": pages(costest.Obj{Num: 2, Body: "<</Type/Pages/Count 5/Kids[3 0 R]>>"},
			costest.Obj{Num: 3, Body: "<</Type/Pages/Count 5/Kids[2 0 R]>>"}),
		"page tree with a negative /Count": pages(costest.Obj{Num: 2, Body: "<</Type/Pages/Count -5/Kids[2 0 R]>>"}),
		"nested arrays":                    pages(costest.Obj{Num: 2, Body: strings.Repeat("[", 3_000_000)}),
		"nested dictionaries":              pages(costest.Obj{Num: 2, Body: strings.Repeat("<</A", 1_000_000)}),
		"nested parentheses":               pages(costest.Obj{Num: 2, Body: strings.Repeat("(", 3_000_000)}),
		"array of 4 million numbers":       pages(costest.Obj{Num: 2, Body: "[" + strings.Repeat("0 ", 4_000_000) + "]"}),
		"reference to itself":              pages(costest.Obj{Num: 2, Body: "2 0 R"}),
		"length that is its own stream":    pages(costest.Obj{Num: 2, Body: "<</Type/Pages/Count 1/Kids[2 0 R]/Length 2 0 R>>\nstream\nx\nendstream"}),
		"startxref behind the end":         []byte("%PDF-1.7\nstartxref\n999999999999999\n%%EOF"),
		"startxref without number":         []byte("%PDF-1.7\nstartxref\n%%EOF"),
		"nothing":                          {},
		"header only":                      []byte("%PDF-1.7"),
		"header late":                      append([]byte("\n"), costest.Sample(costest.Options{})...),
		"bytes after the end":              append(costest.Sample(costest.Options{}), "more"...),
		"encrypted":                        costest.File{Objs: []costest.Obj{{Num: 1, Body: "<<>>"}}, Trailer: "/Root 1 0 R/Encrypt<</Filter/Standard>>"}.Bytes(),
	}
	loop := tableFile("0 1\n0000000000 65535 f \ntrailer<</Root 1 0 R/Size 3/Prev XXX>>")
	m["/Prev to itself"] = bytes.Replace(loop, []byte("XXX"), []byte(fmt.Sprintf("%03d", costest.StartXref(loop))), 1)
	for k, v := range hostileStreams() {
		m[k] = v
	}
	return m
}

// hostileStreams are files with object streams that cannot be read.
func hostileStreams() map[string][]byte {
	row := func(kind byte, a, b int) []byte { return []byte{kind, byte(a >> 8), byte(a), byte(b)} }
	file := func(body string, data []byte, rows func(stm int) []byte) []byte {
		out := []byte("%PDF-1.7\n")
		stm := len(out)
		out = costest.Object(out, costest.Obj{Num: 4, Body: body, Data: data})
		at := len(out)
		out = costest.Object(out, costest.Obj{Num: 5, Body: "<</Type/XRef/Root 1 0 R/Size 5/W[1 2 1]>>", Data: rows(stm)})
		return append(out, fmt.Sprintf("startxref\n%d\n%%%%EOF\n", at)...)
	}
	normal := func(stm int) []byte {
		return bytes.Join([][]byte{row(0, 0, 0), row(2, 4, 0), row(2, 4, 1), row(0, 0, 0), row(1, stm, 0)}, nil)
	}
	within := func(int) []byte {
		return bytes.Join([][]byte{row(0, 0, 0), row(2, 4, 0), row(2, 4, 1), row(0, 0, 0), row(2, 4, 2)}, nil)
	}
	objs := []byte("1 0 2 30 <</Type/Catalog/Pages 2 0 R>>    <</Type/Pages/Kids[2 0 R]/Count 1>>")
	return map[string][]byte{
		"object stream that holds itself":     file("<</Type/ObjStm/N 2/First 9>>", objs, within),
		"object stream that extends itself":   file("<</Type/ObjStm/N 2/First 9/Extends 4 0 R>>", objs, normal),
		"object stream whose length is in it": file("<</Type/ObjStm/N 2/First 9/Length 1 0 R>>", objs, normal),
		"object stream with a huge /N":        file("<</Type/ObjStm/N 2000000000/First 9>>", objs, normal),
		"object stream with a huge /First":    file("<</Type/ObjStm/N 2/First 2000000000>>", objs, normal),
		"object stream with negative numbers": file("<</Type/ObjStm/N -2/First -9>>", objs, normal),
		"object stream with wild offsets":     file("<</Type/ObjStm/N 2/First 14>>", []byte("1 0 2 9999999 <</Type/Catalog/Pages 2 0 R>>"), normal),
		"object stream that inflates too much": file("<</Type/ObjStm/N 2/First 9/Filter/FlateDecode>>",
			costest.Deflate(make([]byte, 70<<20)), normal),
	}
}

func TestHostileFilesAreRefusedCheaply(t *testing.T) {
	for name, b := range hostileFiles() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		err := touch(b)
		spent := time.Since(start)
		runtime.ReadMemStats(&after)
		var refusal *cos.Error
		if !errors.As(err, &refusal) {
			t.Errorf("%s: got %v, want a *cos.Error", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 400<<20 {
			t.Errorf("%s: allocated %d MB", name, used>>20)
		}
		if spent > 5*time.Second {
			t.Errorf("%s: took %v", name, spent)
		}
	}
}

func TestClassesOfRefusal(t *testing.T) {
	t.Parallel()
	files := hostileFiles()
	for name, want := range map[string]error{
		"header late":                          cos.ErrHeader,
		"nothing":                              cos.ErrHeader,
		"encrypted":                            cos.ErrEncrypted,
		"bytes after the end":                  cos.ErrDamaged,
		"xref table listing a number twice":    cos.ErrAmbiguous,
		"xref stream listing a number twice":   cos.ErrAmbiguous,
		"/Prev to itself":                      cos.ErrAmbiguous,
		"page tree that holds itself":          cos.ErrAmbiguous,
		"object stream that extends itself":    cos.ErrAmbiguous,
		"nested arrays":                        cos.ErrLimit,
		"array of 4 million numbers":           cos.ErrLimit,
		"xref stream that inflates too much":   cos.ErrLimit,
		"object stream that inflates too much": cos.ErrLimit,
		"xref table starting at 3000000000":    cos.ErrLimit,
		"reference to itself":                  cos.ErrLimit,
	} {
		if err := touch(files[name]); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	for range 12 {
		base = costest.Append(base, costest.Table, nil, costest.TrailerEntries(base))
	}
	_, err := cos.Open(bytes.NewReader(base), int64(len(base)), cos.Limits{Revisions: 10})
	if !errors.Is(err, cos.ErrLimit) {
		t.Errorf("13 revisions of 10: got %v", err)
	}
	if _, err := cos.Open(bytes.NewReader(base), int64(len(base)), cos.Limits{FileSize: 100}); !errors.Is(err, cos.ErrLimit) {
		t.Errorf("file size: got %v", err)
	}
	chain := []costest.Obj{{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>", Plain: true}}
	for i := range 12 {
		chain = append(chain, costest.Obj{Num: 10 + i, Body: fmt.Sprintf("<</Type/ObjStm/N 0/First 0/Extends %d 0 R>>", 11+i), Data: []byte{}})
	}
	chain = append(chain, costest.Obj{Num: 22, Body: "<</Type/ObjStm/N 0/First 0>>", Data: []byte{}})
	b := costest.File{Shape: costest.Stream, Objs: append(chain, costest.Obj{Num: 2, Body: "<</Type/Pages/Kids[]/Count 0>>"}), Trailer: "/Root 1 0 R"}.Bytes()
	b = bytes.Replace(b, []byte("/Type /ObjStm"), []byte("/Extends 10 0 R /Type /ObjStm"), 1)
	at := bytes.LastIndex(b, []byte("\n24 0 obj")) + 1 // the object stream grew before the cross-reference
	b = append(b[:bytes.LastIndex(b, []byte("startxref"))], fmt.Sprintf("startxref\n%d\n%%%%EOF\n", at)...)
	f := open(t, b)
	if _, err := f.Get(cos.Ref{Num: 2}); !errors.Is(err, cos.ErrLimit) {
		t.Errorf("chain of 13 /Extends: got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range costest.Shapes() {
		f.Add(costest.Sample(costest.Options{Shape: s, Form: true}))
	}
	for _, b := range hostileFiles() {
		if len(b) < 4096 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		_ = touch(b)
	})
}

func FuzzXrefStream(f *testing.F) {
	f.Add("/W[1 2 1]/Size 4", []byte("aaaabbbbccccdddd"))
	f.Add("/W[1 2 1]/Size 4/Index[1 2 3 1]", []byte("aaaabbbbcccc"))
	f.Add("/W[1 2 1]/Size 1/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>", costest.Deflate([]byte{2, 0, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, dict string, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		_ = touch(xrefFile(dict, data))
	})
}

func FuzzValue(f *testing.F) {
	f.Add([]byte("<</A [1 2 0 R (a\\)b\\053\\\n) <48 6> /N#41 -1.5 null true]>>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, end, err := cos.ParseValue(b, cos.Limits{})
		if err != nil {
			return
		}
		if !cos.Equal(v, v) {
			if _, dup := v.Duplicate(); !dup {
				t.Fatalf("value of %q is not equal to itself", b)
			}
		}
		start, stop := v.Span()
		if start < 0 || stop > end || start >= stop {
			t.Fatalf("span [%d,%d) of %q, end %d", start, stop, b, end)
		}
		again, _, err := cos.ParseValue(b[start:stop], cos.Limits{})
		if err != nil {
			t.Fatalf("span of %q does not parse: %v", b, err)
		}
		if _, dup := v.Duplicate(); !dup && !cos.Equal(v, again) {
			t.Fatalf("span of %q parses to another value", b)
		}
	})
}
