package incr_test

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
	"oruro.gob.bo/suti/signer/internal/incr"
)

func open(t *testing.T, b []byte) *cos.File {
	t.Helper()
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// addField adds a text field with a widget to page 1, as signing does.
func addField(t *testing.T, base []byte, name string) []byte {
	t.Helper()
	u := incr.New(open(t, base), nil)
	r, err := u.Alloc()
	if err != nil {
		t.Fatal(err)
	}
	page, err := u.File().Page(0)
	if err != nil {
		t.Fatal(err)
	}
	u.Put(r, fmt.Appendf(nil, "<</Type /Annot /Subtype /Widget /FT /Tx /T (%s) /Rect [0 0 0 0] /F 132 /P %v>>", name, page.Ref))
	if err := u.AddAnnot(page.Ref, r); err != nil {
		t.Fatal(err)
	}
	if err := u.AddField(r); err != nil {
		t.Fatal(err)
	}
	tail, err := u.Finish()
	if err != nil {
		t.Fatal(err)
	}
	out := append(bytes.Clone(base), tail.Bytes...)
	if at := tail.Body(r); !bytes.HasPrefix(out[at:], []byte("<</Type /Annot")) {
		t.Errorf("Body is %d, not where the text is", at)
	}
	return out
}

// variants are documents that differ in where form, fields and annotations are.
func variants() map[string]costest.Options {
	m := map[string]costest.Options{}
	for _, s := range costest.Shapes() {
		m[s.String()+" without form"] = costest.Options{Shape: s}
		m[s.String()+" inline"] = costest.Options{Shape: s, Form: true}
		m[s.String()+" indirect"] = costest.Options{Shape: s, Form: true, IndirectForm: true, IndirectAnnots: true}
	}
	return m
}

func TestUpdateKeepsWhatItDoesNotEdit(t *testing.T) {
	t.Parallel()
	for name, o := range variants() {
		base := costest.Sample(o)
		out := addField(t, base, "n1")
		if !bytes.HasPrefix(out, base) {
			t.Fatalf("%s: the file itself changed", name)
		}
		out = addField(t, out, "n2")
		qpdfCheck(t, name, out)
		before, after := open(t, base), open(t, out)
		if before.NewestIsStream() != after.NewestIsStream() {
			t.Errorf("%s: other kind of cross-reference", name)
		}
		for _, key := range []string{"Root", "Info", "ID"} {
			if !cos.Equal(before.Trailer().Get(key), after.Trailer().Get(key)) {
				t.Errorf("%s: trailer /%s changed", name, key)
			}
		}
		if revs, err := after.Revisions(); err != nil || len(revs) < 3 {
			t.Errorf("%s: %d revisions, %v", name, len(revs), err)
		}
		compareObjects(t, name, before, after)
		want := 2
		if o.Form {
			want = 5
		}
		var names []string
		if err := after.Fields(func(f *cos.Field) bool { names = append(names, f.Name); return true }); err != nil {
			t.Fatal(err)
		}
		if len(names) != want || names[want-1] != "n2" || names[want-2] != "n1" {
			t.Errorf("%s: fields %q", name, names)
		}
	}
}

// compareObjects checks that every object is as before, but for additions to
// /Annots, /AcroForm, /Fields and /SigFlags.
func compareObjects(t *testing.T, name string, before, after *cos.File) {
	t.Helper()
	err := before.Objects(func(num uint32, e cos.Entry) error {
		old, err := before.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil {
			return err
		}
		now, err := after.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil {
			return err
		}
		if bytes.Equal(old.Raw, now.Raw) {
			return nil
		}
		// What was written stays, in order; only new bytes come between.
		rest := now.Raw
		for _, line := range bytes.FieldsFunc(old.Raw, func(r rune) bool { return r == ']' || r == '>' }) {
			i := bytes.Index(rest, line)
			if i < 0 {
				t.Errorf("%s: object %d lost %q", name, num, line)
				return nil
			}
			rest = rest[i+len(line):]
		}
		if i := strings.Index(string(now.Raw), "n1"); i >= 0 {
			t.Errorf("%s: object %d holds a new field", name, num)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSplicesKeepCommentsAndOddSpacing(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{Shape: costest.Stream})
	f := open(t, addField(t, base, "x"))
	page, err := f.Page(0)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page.Raw, []byte("% a comment >> with brackets\n")) || page.Value.Get("Annots").Len() != 2 || page.Value.Get("Tabs").Name() != "R" {
		t.Errorf("page is now %q", page.Raw)
	}
	if page.Container != 0 {
		t.Error("page is still in an object stream")
	}
}

func TestSigFlagsKeepOtherBits(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"": 3, "/SigFlags 1": 3, "/SigFlags 3": 3, "/SigFlags 8": 11, "/SigFlags null": 3} {
		base := costest.Sample(costest.Options{CatalogExtra: "/AcroForm<</Fields[]" + in + ">>"})
		f := open(t, addField(t, base, "x"))
		cat, err := f.Catalog()
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := cat.Value.Get("AcroForm").Get("SigFlags").Int(); got != want {
			t.Errorf("%q: flags %d, want %d", in, got, want)
		}
	}
}

func TestRefusesWhatItCannotEditSafely(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]costest.Options{
		"catalog with a key twice": {CatalogExtra: "/Lang(x)"},
		"form that is a number":    {CatalogExtra: "/AcroForm 7"},
		"fields that are a name":   {CatalogExtra: "/AcroForm<</Fields/x>>"},
	} {
		u := incr.New(open(t, costest.Sample(o)), nil)
		r, _ := u.Alloc()
		err := u.AddField(r)
		var form *incr.FormError
		if !errors.Is(err, incr.ErrAmbiguous) && !errors.As(err, &form) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	u := incr.New(open(t, costest.Sample(costest.Options{})), nil)
	if err := u.Set(incr.Place{Ref: cos.Ref{Num: costest.Content1}}, "A", []byte("1")); !errors.Is(err, incr.ErrStream) {
		t.Errorf("stream: got %v", err)
	}
}

func TestNewNumbersKeepClearOfTakenOnes(t *testing.T) {
	t.Parallel()
	f := open(t, costest.Sample(costest.Options{Shape: costest.Stream}))
	next := f.NextNumber()
	taken := func(n uint32) bool { return n == next || n == next+2 || n == next+4 }
	u := incr.New(f, taken)
	for _, want := range []uint32{next + 1, next + 3} {
		r, err := u.Alloc()
		if err != nil || r.Num != want {
			t.Errorf("got number %d, want %d (%v)", r.Num, want, err)
		}
		u.Put(r, []byte("null"))
	}
	tail, err := u.Finish()
	if err != nil {
		t.Fatal(err)
	}
	// The cross-reference stream needs a number too.
	if !bytes.Contains(tail.Bytes, fmt.Appendf(nil, "\n%d 0 obj\n<</Type /XRef", next+5)) {
		t.Error("the cross-reference stream took a number that is taken")
	}
}

// sparse is a file with a gap of zeros in it.
type sparse struct {
	head, tail []byte
	size       int64
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	if off >= s.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.size-off))
	clear(p[:n])
	if off < int64(len(s.head)) {
		copy(p[:n], s.head[off:])
	}
	if from := s.size - int64(len(s.tail)); off+int64(n) > from {
		if off >= from {
			copy(p[:n], s.tail[off-from:])
		} else {
			copy(p[from-off:n], s.tail)
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func TestOffsetsAboveFourGigabytes(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{5 << 30, 20 << 30} {
		for _, stream := range []bool{false, true} {
			head := []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 1>>\nendobj\n3 0 obj\n<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>\nendobj\n")
			var tail []byte
			section := func(at int64) []byte {
				if !stream {
					return fmt.Appendf(nil, "xref\n0 4\n0000000000 65535 f \n%010d 00000 n \n%010d 00000 n \n%010d 00000 n \ntrailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", 9, 54, 106, at)
				}
				o := costest.Object(nil, costest.Obj{Num: 4, Body: "<</Type/XRef/Size 4/W[1 1 0]/Root 1 0 R>>", Data: []byte{0, 0, 1, 9, 1, 54, 1, 106}})
				return fmt.Appendf(o, "startxref\n%d\n%%%%EOF\n", at)
			}
			tail = section(size - int64(len(section(size))))
			r := &sparse{head: head, tail: tail, size: size}
			f, err := cos.Open(r, size, cos.Limits{FileSize: 1 << 40})
			if err != nil {
				t.Fatalf("%d: %v", size, err)
			}
			u := incr.New(f, nil)
			ref, _ := u.Alloc()
			u.Put(ref, []byte("<</Subtype/Widget/T(x)>>"))
			if err := u.AddField(ref); err != nil {
				t.Fatal(err)
			}
			upd, err := u.Finish()
			if !stream && size > 10_000_000_000 {
				if !errors.Is(err, incr.ErrTooLarge) {
					t.Errorf("table of %d bytes: got %v", size, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			r.tail = append(r.tail, upd.Bytes...)
			r.size += int64(len(upd.Bytes))
			f, err = cos.Open(r, r.size, cos.Limits{FileSize: 1 << 40})
			if err != nil {
				t.Fatal(err)
			}
			o, err := f.Get(ref)
			if err != nil || o.Value.Get("Subtype").Name() != "Widget" || o.Offset != upd.Body(ref) {
				t.Errorf("stream %v, %d bytes: object is %q at %d (%v), want at %d", stream, size, o.Raw, o.Offset, err, upd.Body(ref))
			}
		}
	}
}

func qpdfCheck(t *testing.T, name string, b []byte) {
	t.Helper()
	if _, err := exec.LookPath("qpdf"); err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("qpdf is not installed")
		}
		t.Skip("qpdf is not installed")
	}
	p := filepath.Join(t.TempDir(), "x.pdf")
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("qpdf", "--check", p).CombinedOutput(); err != nil {
		t.Fatalf("%s: qpdf: %v\n%s", name, err, out)
	}
}
