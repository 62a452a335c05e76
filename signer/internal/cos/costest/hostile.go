package costest

import (
	"bytes"
	"fmt"
	"strings"
)

// XrefFile is a file whose only cross-reference section is a stream with the
// given dictionary entries and data.
func XrefFile(dict string, data []byte) []byte {
	out := []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[]/Count 0>>\nendobj\n")
	at := len(out)
	out = Object(out, Obj{Num: 3, Body: "<</Type/XRef/Root 1 0 R " + dict + ">>", Data: data})
	return append(out, fmt.Sprintf("startxref\n%d\n%%%%EOF\n", at)...)
}

// TableFile is a file with the given cross-reference table and trailer, whose page
// tree holds itself.
func TableFile(table string) []byte {
	out := []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[2 0 R]/Count 1>>\nendobj\n")
	at := len(out)
	return append(out, fmt.Sprintf("xref\n%s\nstartxref\n%d\n%%%%EOF\n", table, at)...)
}

// Hostile returns small files that cost careless readers their memory, their stack or
// their time, by what is wrong with them. None can be read.
func Hostile() map[string][]byte {
	pages := func(objs ...Obj) []byte {
		objs = append(objs, Obj{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>"})
		return File{Objs: objs, Trailer: "/Root 1 0 R"}.Bytes()
	}
	zeros := Deflate(make([]byte, 70<<20))
	m := map[string][]byte{
		"xref stream with a huge /Size":      XrefFile("/W[1 2 1]/Size 20000000000", []byte("aaaa")),
		"xref stream with a negative /Size":  XrefFile("/W[1 2 1]/Size -5", []byte("aaaa")),
		"xref stream with a huge /W":         XrefFile("/W[1 9000000000 1]/Size 4", []byte("aaaa")),
		"xref stream with a negative /W":     XrefFile("/W[1 -2 1]/Size 4", []byte("aaaa")),
		"xref stream with /W of zeros":       XrefFile("/W[0 0 0]/Size 4", []byte("aaaa")),
		"xref stream with a huge /Index":     XrefFile("/W[1 2 1]/Size 4/Index[4000000000 1]", []byte("aaaa")),
		"xref stream with a negative /Index": XrefFile("/W[1 2 1]/Size 4/Index[-1 1]", []byte("aaaa")),
		"xref stream with odd /Index":        XrefFile("/W[1 2 1]/Size 4/Index[1]", []byte("aaaa")),
		"xref stream listing a number twice": XrefFile("/W[1 2 1]/Size 4/Index[1 2 2 1]", make([]byte, 12)),
		"xref stream that inflates too much": XrefFile("/W[1 2 1]/Size 4/Filter/FlateDecode", zeros),
		"xref stream that is not compressed": XrefFile("/W[1 2 1]/Size 4/Filter/FlateDecode", []byte("nonsense")),
		"xref stream with a wild predictor":  XrefFile("/W[1 2 1]/Size 4/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 2147483647/Colors 32>>", Deflate([]byte("abcd"))),
		"xref stream with PNG filter 9":      XrefFile("/W[1 2 1]/Size 1/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>", Deflate([]byte{9, 0, 0, 0, 0})),
		"xref table starting at 3000000000":  TableFile("3000000000 1\n0000000009 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"xref table with negative start":     TableFile("-1 1\n0000000009 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"xref table of 900 million entries":  TableFile("0 900000000\n0000000009 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"xref table listing a number twice":  TableFile("1 1\n0000000009 00000 n \n0 2\n0000000000 65535 f \n0000000052 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"xref table with words for digits":   TableFile("1 1\n00000000o9 00000 n \ntrailer<</Root 1 0 R/Size 3>>"),
		"/Prev to itself":                    nil,
		"page tree that holds itself":        pages(Obj{Num: 2, Body: "<</Type/Pages/Count 5/Kids[2 0 R]>>"}),
		"page tree loop of two": pages(Obj{Num: 2, Body: "<</Type/Pages/Count 5/Kids[3 0 R]>>"},
			Obj{Num: 3, Body: "<</Type/Pages/Count 5/Kids[2 0 R]>>"}),
		"page tree with a negative /Count": pages(Obj{Num: 2, Body: "<</Type/Pages/Count -5/Kids[2 0 R]>>"}),
		"nested arrays":                    pages(Obj{Num: 2, Body: strings.Repeat("[", 3_000_000)}),
		"nested dictionaries":              pages(Obj{Num: 2, Body: strings.Repeat("<</A", 1_000_000)}),
		"nested parentheses":               pages(Obj{Num: 2, Body: strings.Repeat("(", 3_000_000)}),
		"array of 4 million numbers":       pages(Obj{Num: 2, Body: "[" + strings.Repeat("0 ", 4_000_000) + "]"}),
		"reference to itself":              pages(Obj{Num: 2, Body: "2 0 R"}),
		"length that is its own stream":    pages(Obj{Num: 2, Body: "<</Type/Pages/Count 1/Kids[2 0 R]/Length 2 0 R>>\nstream\nx\nendstream"}),
		"startxref behind the end":         []byte("%PDF-1.7\nstartxref\n999999999999999\n%%EOF"),
		"startxref without number":         []byte("%PDF-1.7\nstartxref\n%%EOF"),
		"nothing":                          {},
		"header only":                      []byte("%PDF-1.7"),
		"header late":                      append([]byte("\n"), Sample(Options{})...),
		"bytes after the end":              append(Sample(Options{}), "more"...),
		"encrypted":                        File{Objs: []Obj{{Num: 1, Body: "<<>>"}}, Trailer: "/Root 1 0 R/Encrypt<</Filter/Adobe.PubSec>>"}.Bytes(),
	}
	loop := TableFile("0 1\n0000000000 65535 f \ntrailer<</Root 1 0 R/Size 3/Prev XXX>>")
	m["/Prev to itself"] = bytes.Replace(loop, []byte("XXX"), []byte(fmt.Sprintf("%03d", StartXref(loop))), 1)
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
		out = Object(out, Obj{Num: 4, Body: body, Data: data})
		at := len(out)
		out = Object(out, Obj{Num: 5, Body: "<</Type/XRef/Root 1 0 R/Size 5/W[1 2 1]>>", Data: rows(stm)})
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
			Deflate(make([]byte, 70<<20)), normal),
	}
}
