package paint_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/paint"
)

// fuzzed is a page with that content and those resources, and a form that runs
// the same content.
func fuzzed(content, resources []byte) []byte {
	return costest.File{Objs: []costest.Obj{
		{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>"},
		{Num: 2, Body: "<</Type/Pages/Kids[3 0 R]/Count 1>>"},
		{Num: 3, Body: "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources 5 0 R/MediaBox[0 0 100 100]>>"},
		{Num: 4, Body: "<<>>", Data: content},
		{Num: 5, Body: "<<" + string(resources) + ">>"},
		{Num: 6, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 50 50]>>", Data: content},
		{Num: 7, Body: "<</Type/Font/Subtype/Type3/FontMatrix[1 0 0 1 0 0]/Encoding<</Differences[65/A]>>/CharProcs<</A 6 0 R>>>>"},
		{Num: 8, Body: "<</Type/Font/Subtype/Type1/FirstChar 60/Widths[500 600]/FontDescriptor<</FontBBox[0 -1 2 3]>>>>"},
	}, Trailer: "/Root 1 0 R"}.Bytes()
}

func look(tb testing.TB, ctx context.Context, b []byte) (*paint.Map, error) {
	tb.Helper()
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{InflateTotal: 1 << 20})
	if err != nil {
		return nil, nil //nolint:nilerr // not this package's
	}
	p, err := f.Page(0)
	if err != nil {
		return nil, nil //nolint:nilerr // not this package's
	}
	return paint.Page(ctx, f, p, paint.Rect{X1: 100, Y1: 100}, 1)
}

// FuzzPage runs content that may be anything: a page is told or opaque, never an error.
func FuzzPage(f *testing.F) {
	f.Add([]byte("q 1 0 0 1 5 5 cm /X Do Q BT /A 9 Tf (AB) Tj 3 Tr [(x) 9] TJ ET"), []byte("/XObject<</X 6 0 R>>/Font<</A 7 0 R/B 8 0 R>>"))
	f.Add([]byte("0 0 m 5 5 l 9 9 3 4 8 8 c h b* W n 1 g 0 0 9 9 re f sh"), []byte("/ExtGState<</G<</BM/Multiply>>>>"))
	f.Add([]byte("BI /W 1 /H 1 /BPC 8 ID x EI BX foo EX /B 9 Tf (a) ' 1 2 (b) \""), []byte("/Font<</B 8 0 R>>"))
	f.Fuzz(func(t *testing.T, content, resources []byte) {
		m, err := look(t, context.Background(), fuzzed(content, resources))
		if err != nil {
			t.Fatal(err)
		}
		if m == nil {
			return
		}
		if r, ok := m.Find(paint.Rect{X1: 100, Y1: 100}, 20, 10, 1, true, false); ok && (!m.Free(r) || m.Reason != "") {
			t.Errorf("%v is not free (%s)", r, m.Reason)
		}
	})
}

func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	// Each level runs the one below ten times: without a bound, 10^11 operations.
	var objs []costest.Obj
	for n := range 11 {
		objs = append(objs, costest.Obj{Num: 10 + n, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X " + cos.Ref{Num: uint32(11 + n)}.String() + ">>>>>>", Data: []byte(strings.Repeat("/X Do ", 10))})
	}
	objs = append(objs, costest.Obj{Num: 21, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]>>", Data: []byte("0 0 1 1 re f")},
		costest.Obj{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>"}, costest.Obj{Num: 2, Body: "<</Type/Pages/Kids[3 0 R]/Count 1>>"},
		costest.Obj{Num: 3, Body: "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</XObject<</X 11 0 R>>>>/MediaBox[0 0 100 100]>>"},
		costest.Obj{Num: 4, Body: "<<>>", Data: []byte("/X Do")})
	m, err := look(t, context.Background(), costest.File{Objs: objs, Trailer: "/Root 1 0 R"}.Bytes())
	if err != nil || m == nil || m.Reason == "" || m.Free(paint.Rect{X0: 50, Y0: 50, X1: 60, Y1: 60}) {
		t.Errorf("got %v, %v", m, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := look(t, ctx, fuzzed([]byte("0 g"), nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func TestFiltersOfContent(t *testing.T) {
	t.Parallel()
	ink := "0 0 60 60 re f"
	for name, c := range map[string]struct{ filter, data string }{
		"none":                {"", ink},
		"hexadecimal":         {"/Filter/ASCIIHexDecode", "302030203630203630 207265 2066>"},
		"ASCII 85":            {"/Filter[/A#53CII85Decode]", "0H`%l2D?730HbCI+D(~>"},
		"run lengths":         {"/Filter/RunLengthDecode", "\x0d" + ink + "\x80"},
		"run lengths, packed": {"/Filter[/ASCIIHexDecode/FlateDecode]", hexOf(costest.Deflate([]byte(ink))) + ">"},
	} {
		b := costest.File{Objs: []costest.Obj{
			{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>"}, {Num: 2, Body: "<</Type/Pages/Kids[3 0 R]/Count 1>>"},
			{Num: 3, Body: "<</Type/Page/Parent 2 0 R/Contents[4 0 R]/MediaBox[0 0 100 100]>>"},
			{Num: 4, Body: "<<" + c.filter + ">>", Data: []byte(c.data)},
		}, Trailer: "/Root 1 0 R"}.Bytes()
		m, err := look(t, context.Background(), b)
		if err != nil || m == nil || m.Reason != "" {
			t.Fatalf("%s: the page is not read: %v", name, err)
		}
		if m.Free(paint.Rect{X0: 20, Y0: 20, X1: 30, Y1: 30}) || !m.Free(paint.Rect{X0: 70, Y0: 70, X1: 90, Y1: 90}) {
			t.Errorf("%s: the square is not where it is painted", name)
		}
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var out strings.Builder
	for _, c := range b {
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}
