package pades_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// picture is a page as a renderer paints it, one pixel a point.
type picture struct {
	w, h int
	rgb  []byte
}

// white reports whether a pixel is, but for what a renderer loses by rounding
// where half a pixel of white is blended with white.
func (p picture) white(x, y int) bool {
	at := 3 * (y*p.w + x)
	return min(p.rgb[at], p.rgb[at+1], p.rgb[at+2]) >= 253
}

// paintedBy has mutool paint a page, counted from 1, with its annotations.
func paintedBy(t testing.TB, b []byte, page int) picture {
	t.Helper()
	out := filepath.Join(t.TempDir(), "page.ppm")
	if msg, err := run(t, "mutool", "draw", "-q", "-r", "72", "-c", "rgb", "-F", "pnm", "-o", out, writeFile(t, "x.pdf", b), fmt.Sprint(page)); err != nil {
		t.Fatalf("mutool: %v\n%s", err, msg)
	}
	ppm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var p picture
	var depth int
	if _, err := fmt.Sscanf(string(ppm[:min(len(ppm), 40)]), "P6\n%d %d\n%d\n", &p.w, &p.h, &depth); err != nil || depth != 255 {
		t.Fatalf("picture: %v, %.20q", err, ppm)
	}
	p.rgb = ppm[len(ppm)-3*p.w*p.h:]
	return p
}

// sealPixels is where the newest field stands in the picture of its page.
func sealPixels(t testing.TB, b []byte) (page int, box [4]float64) {
	t.Helper()
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var w *cos.Object
	if err := f.Fields(func(field *cos.Field) bool {
		if field.Type == "Sig" && field.Object.Ref.Num > 0 && (w == nil || field.Object.Ref.Num > w.Ref.Num) {
			w = field.Widgets[0]
		}
		return true
	}); err != nil || w == nil {
		t.Fatalf("no signature field: %v", err)
	}
	numbers := func(v cos.Value) (n [4]float64) {
		v, err := f.Resolve(v)
		if err != nil || v.Len() != 4 {
			t.Fatalf("rectangle: %v", err)
		}
		for i, e := range v.Elems() {
			n[i], _ = e.Number()
		}
		return n
	}
	on, _ := w.Value.Get("P").Ref()
	for n := 0; ; n++ {
		p, err := f.Page(n)
		if err != nil {
			t.Fatal(err)
		}
		if p.Ref != on {
			continue
		}
		crop := numbers(p.Attribute("MediaBox"))
		if v := p.Attribute("CropBox"); !v.IsNull() {
			c := numbers(v)
			crop = [4]float64{max(c[0], crop[0]), max(c[1], crop[1]), min(c[2], crop[2]), min(c[3], crop[3])}
		}
		unit, ok := p.Value.Get("UserUnit").Number()
		if !ok {
			unit = 1
		}
		turn, _ := p.Attribute("Rotate").Int()
		r := numbers(w.Value.Get("Rect"))
		x0, y0, x1, y1 := r[0]-crop[0], crop[3]-r[3], r[2]-crop[0], crop[3]-r[1] // from the upper left
		wide, high := crop[2]-crop[0], crop[3]-crop[1]
		switch (turn%360 + 360) % 360 {
		case 90:
			x0, y0, x1, y1 = high-y1, x0, high-y0, x1
		case 180:
			x0, y0, x1, y1 = wide-x1, high-y1, wide-x0, high-y0
		case 270:
			x0, y0, x1, y1 = y0, wide-x1, y1, wide-x0
		}
		return n + 1, [4]float64{x0 * unit, y0 * unit, x1 * unit, y1 * unit}
	}
}

// sealedOnWhite signs with a seal and checks with another program that the
// place was blank before and that nothing changes but there. It returns the
// box of the seal in pixels.
func sealedOnWhite(t testing.TB, name string, base []byte, place pades.Placement) [4]float64 {
	t.Helper()
	who := authority(t).signer(t, "Ana", nil)
	seal := &pades.Seal{Name: "Ana Núñez", Post: "Directora", Tier: "Firma electrónica", URL: "https://example.org/v/A", Date: now}
	b := sign(t, base, who, pades.Options{Seal: seal, Placement: place})
	page, box := sealPixels(t, b)
	before, after := paintedBy(t, base, page), paintedBy(t, b, page)
	if before.w != after.w || before.h != after.h {
		t.Fatalf("%s: the page has another size", name)
	}
	changed, blank := 0, true
	for y := range before.h {
		for x := range before.w {
			in := float64(x) >= math.Floor(box[0]) && float64(x) < math.Ceil(box[2]) && float64(y) >= math.Floor(box[1]) && float64(y) < math.Ceil(box[3])
			at := 3 * (y*before.w + x)
			if same := bytes.Equal(before.rgb[at:at+3], after.rgb[at:at+3]); in && !same {
				changed++
			} else if !same {
				t.Fatalf("%s: pixel %d,%d changes outside of the seal %v", name, x, y, box)
			}
			if in && !before.white(x, y) {
				blank = false
			}
		}
	}
	if changed < 200 {
		t.Errorf("%s: no seal in %v, %d pixels change", name, box, changed)
	}
	if place.Free && !blank {
		t.Errorf("%s: something was painted where the seal %v is put", name, box)
	}
	if w, h := box[2]-box[0], box[3]-box[1]; math.Abs(w-220) > 0.1 || math.Abs(h-80) > 0.1 {
		t.Errorf("%s: seal of %.1f by %.1f points, as shown", name, w, h)
	}
	return box
}

// onePage is a document of one page of A4 with that content. Objects 20 and
// above are free for more.
func onePage(page, resources, content string, extra ...costest.Obj) []byte {
	if !strings.Contains(resources, "/Font") {
		resources += "/Font<</F 5 0 R>>"
	}
	objs := append([]costest.Obj{
		{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>"},
		{Num: 2, Body: "<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 595 842]>>"},
		{Num: 3, Body: "<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<<" + resources + ">>" + page + ">>"},
		{Num: 4, Body: "<<>>", Data: []byte(content)},
		{Num: 5, Body: "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"},
	}, extra...)
	return costest.File{Objs: objs, Trailer: "/Root 1 0 R/ID[<00><00>]"}.Bytes()
}

// filled is text on the whole page but between two heights.
func filled(from, to float64) string {
	var b strings.Builder
	for y := 830.0; y > 0; y -= 12 {
		if y+12 < from || y > to {
			fmt.Fprintf(&b, "BT /F 10 Tf 20 %g Td (%s) Tj ET\n", y, strings.Repeat("Resuelve ", 14))
		}
	}
	return b.String()
}

func TestSealInFreeSpace(t *testing.T) {
	t.Parallel()
	typeThree := costest.Obj{Num: 20, Body: "<</Type/Font/Subtype/Type3/FontBBox[0 0 0 0]/FontMatrix[.001 0 0 .001 0 0]/FirstChar 65/LastChar 65/Widths[1000]" +
		"/Encoding<</Differences[65/square]>>/CharProcs<</square 21 0 R>>>>"}
	square := costest.Obj{Num: 21, Body: "<<>>", Data: []byte("1000 0 -4000 -9000 1000 1000 d1 -4000 -9000 5000 10000 re f")}
	form := costest.Obj{Num: 22, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 100 100]/Matrix[2 0 0 2 300 0]>>", Data: []byte("0 g -50 -50 400 105 re f")}
	wide := costest.Obj{Num: 23, Body: "<</Type/Font/Subtype/Type0/BaseFont/Foo/Encoding/Identity-H/DescendantFonts[<</Type/Font/Subtype/CIDFontType2/BaseFont/Foo/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>/DW 600>>]>>"}
	border := "2 w 20 20 555 802 re S 36 100 m 500 140 l S 300 300 m 300 60 500 60 550 300 c S "
	for name, c := range map[string]struct {
		page, resources, content string
		extra                    []costest.Obj
		corner                   pades.Corner
		want                     [2]float64 // of the seal's upper left corner, in pixels; 0 for anywhere
	}{
		"nothing on the page":     {want: [2]float64{339, 726}},
		"upper left corner":       {corner: pades.TopLeft, want: [2]float64{36, 36}},
		"text, and a gap":         {content: filled(300, 420)},
		"gap at the top":          {content: filled(700, 800)},
		"frame, lines and curves": {content: border},
		"white background":        {content: "1 1 1 rg 0 0 595 842 re f 0 g " + filled(200, 330)},
		"white without ink":       {content: "0 0 0 0 k 0 0 595 842 re f 0 g", want: [2]float64{339, 726}},
		"clipped":                 {content: "q 0 0 595 100 re W n 0.5 g 0 0 595 842 re f Q"},
		"image":                   {content: "q 400 0 0 200 150 10 cm BI /W 2 /H 2 /BPC 8 /CS /G ID aEI EI Q"},
		"form":                    {resources: "/XObject<</X 22 0 R>>", content: "/X Do", extra: []costest.Obj{form}},
		"glyphs that are drawn":   {resources: "/Font<</F 20 0 R>>", content: "BT /F 20 Tf 400 300 Td (A) Tj ET", extra: []costest.Obj{typeThree, square}},
		"moved and turned":        {content: "q 0.7 0.7 -0.7 0.7 300 0 cm BT /F 30 Tf 1 0 0 1 10 10 Tm [(Uno)-3000(dos)] TJ T* (tres) ' ET Q"},
		"wide codes":              {resources: "/Font<</F 23 0 R>>", content: "BT /F 40 Tf 300 60 Td <002100220023> Tj ET", extra: []costest.Obj{wide}},
		"turned by 90":            {page: "/Rotate 90", content: filled(100, 350)},
		"turned by 180":           {page: "/Rotate 180", content: filled(500, 620)},
		"turned by 270":           {page: "/Rotate 270", content: filled(0, 270)},
		"cropped":                 {page: "/CropBox[100 100 500 700]", content: filled(200, 320)},
		"cropped beyond the page": {page: "/CropBox[100 -500 5000 700]/Rotate 90", content: "1 g 0 0 600 900 re f"},
		"large units":             {page: "/UserUnit 2.5/MediaBox[0 0 240 330]", content: "2 w 10 20 m 200 20 l S"},
		"small units, turned":     {page: "/UserUnit 0.5/MediaBox[-100 -100 1090 1584]/Rotate 90", content: "0 0 1 rg -100 -100 150 600 re f"},
		"notes":                   {page: "/Annots[<</Type/Annot/Subtype/Square/Rect[300 20 590 150]/C[1 0 0]/IC[1 1 0]/F 4>>]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := onePage(c.page, c.resources, c.content, c.extra...)
			box := sealedOnWhite(t, name, base, pades.Placement{Page: -1, Free: true, Corner: c.corner})
			if c.want != [2]float64{} && (math.Abs(box[0]-c.want[0]) > 1 || math.Abs(box[1]-c.want[1]) > 1) {
				t.Errorf("seal at %v, want %v", box, c.want)
			}
		})
	}
}

// Where it is not known that a place is blank, no seal is put there.
func TestNoFreeSpaceIsRefused(t *testing.T) {
	t.Parallel()
	image := costest.Obj{Num: 20, Body: "<</Type/XObject/Subtype/Image/Width 1/Height 1/BitsPerComponent 8/ColorSpace/DeviceGray>>", Data: []byte{255}}
	odd := costest.Obj{Num: 21, Body: "<</Type/ExtGState/BM/Difference>>"}
	self := costest.Obj{Num: 22, Body: "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 22 0 R>>>>>>", Data: []byte("/X Do")}
	for name, base := range map[string][]byte{
		"text everywhere":           onePage("", "", filled(0, 0)),
		"an image of the page":      onePage("", "/XObject<</X 20 0 R>>", "595 0 0 842 0 0 cm /X Do", image),
		"grey background":           onePage("", "", "0.9 g 0 0 595 842 re f"),
		"white that inverts":        onePage("", "/ExtGState<</G 21 0 R>>", "/G gs 1 g 0 0 595 842 re f", odd),
		"white that is another":     onePage("", "/ColorSpace<</DefaultGray[/Separation/Black/DeviceGray<</FunctionType 2/Domain[0 1]/C0[1]/C1[0]/N 1>>]>>", "1 g 0 0 595 842 re f"),
		"shading":                   onePage("", "/Shading<</S<</ShadingType 1/ColorSpace/DeviceGray/Function<</FunctionType 2/N 1/Domain[0 1]>>>>>>", "/S sh"),
		"unknown operator":          onePage("", "", "1 2 foo"),
		"form within itself":        onePage("", "/XObject<</X 22 0 R>>", "/X Do", self),
		"font that is not there":    onePage("", "", "BT /G 12 Tf 100 100 Td (x) Tj ET"),
		"content that is cut":       onePage("", "", "BT /F 12 Tf (x"),
		"filter that is not read":   costest.File{Objs: []costest.Obj{{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>"}, {Num: 2, Body: "<</Type/Pages/Kids[3 0 R]/Count 1>>"}, {Num: 3, Body: "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R>>"}, {Num: 4, Body: "<</Filter/LZWDecode>>", Data: []byte("x")}}, Trailer: "/Root 1 0 R"}.Bytes(),
		"page smaller than a seal":  onePage("/MediaBox[0 0 200 200]", "", ""),
		"coordinates out of bounds": onePage("", "", strings.Repeat("9999999999 0 0 9999999999 0 0 cm ", 40)+"BT /F 12 Tf (x) Tj ET"),
	} {
		_, err := pades.Prepare(context.Background(), bytes.NewReader(base), int64(len(base)),
			pades.Options{SigningTime: now, Seal: &pades.Seal{Name: "A"}, Placement: pades.Placement{Free: true}})
		want := pades.CodeNoRoom
		if name == "page smaller than a seal" {
			want = pades.CodeSeal
		}
		wantRefusal(t, name, err, want)
	}
}

// Seals of several people, and prepared fields, find room beside each other.
func TestFreeSpaceIsSharedOut(t *testing.T) {
	t.Parallel()
	base := onePage("", "", filled(0, 400))
	boxes := [][4]float64{sealedOnWhite(t, "first", base, pades.Placement{Free: true})}
	b := sign(t, base, authority(t).signer(t, "Ana", nil), pades.Options{Seal: &pades.Seal{Name: "Ana"}, Placement: pades.Placement{Free: true}})
	boxes = append(boxes, sealedOnWhite(t, "second", b, pades.Placement{Free: true}))
	a, err := pades.AddFields(context.Background(), bytes.NewReader(base), int64(len(base)), []pades.NewField{
		{Name: "uno", Placement: &pades.Placement{Free: true}}, {Name: "dos", Placement: &pades.Placement{Free: true}},
	}, pades.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := cos.Open(bytes.NewReader(append(bytes.Clone(base), a.Tail()...)), a.Size(), cos.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var rects []string
	if err := f.Fields(func(field *cos.Field) bool {
		r := field.Object.Value.Get("Rect")
		from, to := r.Span()
		rects = append(rects, string(field.Object.Raw[from:to]))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if boxes[0] == boxes[1] || len(rects) != 2 || rects[0] == rects[1] {
		t.Errorf("seals at %v, fields at %v", boxes, rects)
	}
}

func TestSealAtAPoint(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]string{"upright": "", "turned": "/Rotate 270", "cropped": "/CropBox[50 60 500 700]", "units": "/UserUnit 2"} {
		box := sealedOnWhite(t, name, onePage(page, "", ""), pades.Placement{At: &[2]float64{100, 40}})
		high := map[string]float64{"upright": 842, "turned": 595, "cropped": 640, "units": 1684}[name]
		if math.Abs(box[0]-100) > 0.1 || math.Abs(box[3]-(high-40)) > 0.1 {
			t.Errorf("%s: seal at %v", name, box)
		}
	}
}
