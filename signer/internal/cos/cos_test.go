package cos_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

func open(t *testing.T, b []byte) *cos.File {
	t.Helper()
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestOpenShapes(t *testing.T) {
	t.Parallel()
	for _, shape := range costest.Shapes() {
		b := costest.Sample(costest.Options{Shape: shape, Form: true, IndirectForm: true, IndirectAnnots: true})
		qpdfCheck(t, b)
		f := open(t, b)
		if got, want := f.NewestIsStream(), shape == costest.Stream; got != want {
			t.Errorf("%v: NewestIsStream = %v", shape, got)
		}
		if got, want := f.IsHybrid(), shape == costest.Hybrid; got != want {
			t.Errorf("%v: IsHybrid = %v", shape, got)
		}
		cat, err := f.Catalog()
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := cat.Value.Get("Lang").Text(); s != "es-BO" {
			t.Errorf("%v: Lang %q", shape, s)
		}
		if got, want := cat.Container != 0, shape != costest.Table; got != want {
			t.Errorf("%v: catalog in object stream %v, want %v", shape, got, want)
		}
		info, err := f.Resolve(f.Trailer().Get("Info"))
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := info.Get("Title").Text(); s != "Resoluci\xf3n (uno)" {
			t.Errorf("%v: title %q", shape, s)
		}
		if s, _ := info.Get("Producer").Text(); s != "\xfe\xff\x00\xe1" {
			t.Errorf("%v: producer %q", shape, s)
		}
	}
}

func TestPagesInheritAttributes(t *testing.T) {
	t.Parallel()
	f := open(t, costest.Sample(costest.Options{Shape: costest.Stream}))
	for n, rotate := range map[int]int64{0: 0, 1: 90, -1: 90, -2: 0} {
		p, err := f.Page(n)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := p.Attribute("Rotate").Int(); got != rotate {
			t.Errorf("page %d: rotate %d, want %d", n, got, rotate)
		}
		if p.Attribute("MediaBox").Len() != 4 || p.Attribute("Resources").Kind() != cos.Dict {
			t.Errorf("page %d: inherited attributes missing", n)
		}
	}
	if _, err := f.Page(2); !errors.Is(err, cos.ErrDamaged) {
		t.Errorf("page 2 of 2: got %v", err)
	}
}

func TestPageFindsPagesInDeepAndFlatTrees(t *testing.T) {
	t.Parallel()
	kids := func(from, n int) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf("%d 0 R", from+i))
		}
		return "[" + strings.Join(s, " ") + "]"
	}
	objs := []costest.Obj{
		{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>"},
		{Num: 2, Body: "<</Type/Pages/Count 9/Kids[10 0 R 11 0 R 12 0 R]>>"},
		{Num: 10, Body: "<</Type/Pages/Count 4/Kids" + kids(20, 4) + ">>"},
		{Num: 11, Body: "<</Type/Page/N 4>>"},
		{Num: 12, Body: "<</Type/Pages/Count 4/Kids[13 0 R 28 0 R]>>"},
		{Num: 13, Body: "<</Type/Pages/Count 3/Kids" + kids(25, 3) + ">>"},
	}
	for i, n := range []int{0, 1, 2, 3, -1, 5, 6, 7, 8} {
		if n >= 0 {
			objs = append(objs, costest.Obj{Num: 20 + i, Body: fmt.Sprintf("<</Type/Page/N %d>>", n)})
		}
	}
	f := open(t, costest.File{Objs: objs, Trailer: "/Root 1 0 R"}.Bytes())
	for n := range 9 {
		p, err := f.Page(n)
		if err != nil {
			t.Fatalf("page %d: %v", n, err)
		}
		if got, _ := p.Value.Get("N").Int(); got != int64(n) {
			t.Errorf("page %d: found page %d", n, got)
		}
	}
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	for _, first := range costest.Shapes() {
		for _, second := range costest.Shapes() {
			base := costest.Sample(costest.Options{Shape: first})
			trailer := costest.TrailerEntries(base)
			up1 := costest.Append(base, second, []costest.Obj{{Num: costest.Info, Body: "<</Title (dos)>>"}}, trailer)
			up2 := costest.Append(up1, first, []costest.Obj{{Num: costest.Info, Body: "<</Title (tres)>>"}, {Num: costest.Link, Free: true}}, trailer)
			f := open(t, up2)
			revs, err := f.Revisions()
			if err != nil {
				t.Fatalf("%v %v: %v", first, second, err)
			}
			want := []int{len(base), len(up1), len(up2)}
			titles := []string{"Resoluci\xf3n (uno)", "dos", "tres"}
			if len(revs) != 3 {
				t.Fatalf("%v %v: %d revisions", first, second, len(revs))
			}
			for i, r := range revs {
				if r.End != int64(want[i]) || r.EOF != r.End-1 {
					t.Errorf("%v %v: revision %d ends at %d (EOF %d), want %d", first, second, i, r.End, r.EOF, want[i])
				}
				old, err := f.AtRevision(i)
				if err != nil {
					t.Fatal(err)
				}
				info, err := old.Resolve(old.Trailer().Get("Info"))
				if err != nil {
					t.Fatal(err)
				}
				if s, _ := info.Get("Title").Text(); s != titles[i] {
					t.Errorf("%v %v: revision %d has title %q", first, second, i, s)
				}
			}
			if e, _ := f.Lookup(costest.Link); e.Kind != cos.Free {
				t.Errorf("deleted object is %v", e)
			}
		}
	}
}

// Some writers let startxref and /Prev point to the white space before a section.
func TestRevisionsWithSpaceBeforeTheSection(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	at := costest.StartXref(base)
	base = bytes.Replace(base, fmt.Appendf(nil, "startxref\n%d\n", at), fmt.Appendf(nil, "startxref\n%d\n", at-1), 1)
	f := open(t, base)
	if f.StartXref() != int64(at-1) {
		t.Errorf("StartXref is %d, want %d as written", f.StartXref(), at-1)
	}
	f = open(t, costest.Append(base, costest.Table, nil, costest.TrailerEntries(base)))
	if revs, err := f.Revisions(); err != nil || len(revs) != 2 {
		t.Errorf("%d revisions, %v", len(revs), err)
	}
}

func TestStreamLengthMayBeIndirectButMustBeRight(t *testing.T) {
	t.Parallel()
	body := func(n int) []byte {
		var out []byte
		out = append(out, "%PDF-1.4\n"...)
		var at [5]int
		for i, s := range []string{"<</Type/Catalog>>", "<</Length 3 0 R>>\nstream\nabcde\nendstream", fmt.Sprint(n)} {
			at[i+1] = len(out)
			out = append(out, fmt.Sprintf("%d 0 obj %s endobj\n", i+1, s)...)
		}
		x := len(out)
		out = append(out, "xref\n0 4\n0000000000 65535 f \n"...)
		for i := 1; i < 4; i++ {
			out = append(out, fmt.Sprintf("%010d 00000 n \n", at[i])...)
		}
		return append(out, fmt.Sprintf("trailer<</Size 4/Root 1 0 R>>\nstartxref %d\n%%%%EOF", x)...)
	}
	f := open(t, body(5))
	o, err := f.Get(cos.Ref{Num: 2})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.ReadAll(f.StreamReader(o))
	if string(got) != "abcde" {
		t.Errorf("data %q", got)
	}
	for _, n := range []int{0, 4, 7, 1 << 30, -1} {
		if _, err := open(t, body(n)).Get(cos.Ref{Num: 2}); !errors.Is(err, cos.ErrDamaged) {
			t.Errorf("length %d: got %v, want ErrDamaged", n, err)
		}
	}
}

// Files that other programs write must open; see tools_test.go of signer/pades
// for what becomes of them when signed.
func TestForeignProducers(t *testing.T) {
	t.Parallel()
	in := filepath.Join(t.TempDir(), "in.pdf")
	if err := os.WriteFile(in, costest.Sample(costest.Options{Form: true}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"linearized":            {"qpdf", "--linearize"},
		"object streams":        {"qpdf", "--object-streams=generate"},
		"linearized and packed": {"qpdf", "--linearize", "--object-streams=generate"},
		"qdf":                   {"qpdf", "--qdf", "--object-streams=disable"},
		"mutool":                {"mutool", "clean", "-g"},
		"cairo":                 {"pdftocairo", "-pdf"},
	} {
		requireTool(t, args[0])
		out := filepath.Join(t.TempDir(), "out.pdf")
		if msg, err := exec.Command(args[0], append(args[1:], in, out)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, msg)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		f := open(t, b)
		if revs, err := f.Revisions(); err != nil || len(revs) != 1 {
			t.Errorf("%s: %d revisions, %v", name, len(revs), err)
		}
		if n, err := f.PageCount(); err != nil || n != 2 {
			t.Errorf("%s: %d pages, %v", name, n, err)
		}
		if err := f.Objects(func(num uint32, e cos.Entry) error {
			_, err := f.Get(cos.Ref{Num: num, Gen: e.Gen})
			return err
		}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func requireTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

func qpdfCheck(t *testing.T, b []byte) {
	t.Helper()
	requireTool(t, "qpdf")
	p := filepath.Join(t.TempDir(), "x.pdf")
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("qpdf", "--check", p).CombinedOutput(); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, out)
	}
}
