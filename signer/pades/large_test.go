package pades_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// largeFile writes a document with a stream of n zeros, which takes no room on
// disk, and pages pages.
func largeFile(t testing.TB, n int64, pages int) (*os.File, int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "large.pdf"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	pos := int64(0)
	write := func(s string) {
		if _, err := f.WriteAt([]byte(s), pos); err != nil {
			t.Fatal(err)
		}
		pos += int64(len(s))
	}
	write("%PDF-1.7\n")
	offsets := []int64{0}
	obj := func(body string) {
		offsets = append(offsets, pos)
		write(fmt.Sprintf("%d 0 obj\n%s\nendobj\n", len(offsets)-1, body))
	}
	const branch = 500 // pages in one node of the tree
	nodes := (pages + branch - 1) / branch
	list := func(first, n int) string {
		var kids bytes.Buffer
		for i := range n {
			fmt.Fprintf(&kids, "%d 0 R ", first+i)
		}
		return kids.String()
	}
	obj("<</Type/Catalog/Pages 2 0 R/X 3 0 R>>")
	obj(fmt.Sprintf("<</Type/Pages/Count %d/Kids[%s]/MediaBox[0 0 595 842]>>", pages, list(4, nodes)))
	offsets = append(offsets, pos)
	write(fmt.Sprintf("3 0 obj\n<</Length %d>>\nstream\n", n))
	pos += n
	write("\nendstream\nendobj\n")
	for i := range nodes {
		n := min(branch, pages-i*branch)
		obj(fmt.Sprintf("<</Type/Pages/Parent 2 0 R/Count %d/Kids[%s]>>", n, list(4+nodes+i*branch, n)))
	}
	for i := range pages {
		obj(fmt.Sprintf("<</Type/Page/Parent %d 0 R>>", 4+i/branch))
	}
	x := pos
	var xref bytes.Buffer
	fmt.Fprintf(&xref, "xref\n0 %d\n0000000000 65535 f \n", len(offsets))
	for _, o := range offsets[1:] {
		fmt.Fprintf(&xref, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&xref, "trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(offsets), x)
	write(xref.String())
	return f, pos
}

// allocated returns how many bytes fn takes from the heap in all.
func allocated(fn func()) uint64 {
	var a, b runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&a)
	fn()
	runtime.ReadMemStats(&b)
	return b.TotalAlloc - a.TotalAlloc
}

// Memory does not grow with the size of the file: not even what is allocated
// and given back in all comes near it.
func TestLargeFilesAreStreamed(t *testing.T) {
	ca := authority(t)
	who := ca.signer(t, "Ana", nil)
	ctx := context.Background()
	const most = 4 << 20
	for _, size := range []int64{1 << 20, 100 << 20} {
		f, n := largeFile(t, size, 100)
		var signed *pades.Signed
		used := allocated(func() {
			var err error
			signed, err = pades.Sign(ctx, f, n, who.key, who.chain, nil, pades.Options{SigningTime: now})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := signed.WriteTo(ctx, io.Discard, f); err != nil {
				t.Fatal(err)
			}
		})
		if used > most {
			t.Errorf("signing %d MB allocates %d kB", size>>20, used>>10)
		}
		if _, err := f.WriteAt(signed.Tail(), n); err != nil {
			t.Fatal(err)
		}
		var r *pades.Report
		used = allocated(func() {
			var err error
			r, err = pades.Verify(ctx, f, signed.Size(), pades.VerifyOptions{Roots: ca.roots(), At: now})
			if err != nil {
				t.Fatal(err)
			}
		})
		wantVerdicts(t, "large", r, pades.Valid)
		if used > most {
			t.Errorf("verifying %d MB allocates %d kB", size>>20, used>>10)
		}
	}
}

func TestCancelStopsReading(t *testing.T) {
	t.Parallel()
	f, n := largeFile(t, 10<<20, 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := pades.Prepare(ctx, f, n, pades.Options{SigningTime: now}); err == nil || !isCanceled(err) {
		t.Errorf("Prepare: got %v", err)
	}
	if _, err := pades.Preflight(ctx, f, n, pades.Limits{}); err == nil || !isCanceled(err) {
		t.Errorf("Preflight: got %v", err)
	}
	signed := sign(t, costest.Sample(costest.Options{}), authority(t).signer(t, "Ana", nil), pades.Options{})
	if _, err := pades.Verify(ctx, bytes.NewReader(signed), int64(len(signed)), pades.VerifyOptions{At: now}); err == nil || !isCanceled(err) {
		t.Errorf("Verify: got %v", err)
	}
}

// Fifty signatures in one file are verified without the file being read fifty times.
func TestManySignatures(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	b := costest.Sample(costest.Options{Shape: costest.Stream})
	const n = 50
	for range n {
		b = sign(t, b, who, pades.Options{Reserve: pades.Reserve{Exact: 3000}})
	}
	counted := &countingReader{r: bytes.NewReader(b)}
	r, err := pades.Verify(context.Background(), counted, int64(len(b)), pades.VerifyOptions{Roots: authority(t).roots(), At: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range r.Signatures {
		want := pades.ValidExtended
		if i == n-1 {
			want = pades.Valid
		}
		if s.Verdict != want {
			t.Fatalf("signature %d: %s, %s", i, s.Verdict, s.Detail)
		}
	}
	if len(r.Signatures) != n {
		t.Errorf("%d signatures", len(r.Signatures))
	}
	// It is hashed once (see TestByteRangesShareTheirBeginning); but each revision
	// has a few objects that are looked up by themselves, and the file is small.
	if times := counted.n / int64(len(b)); times > 40 {
		t.Errorf("the file was read %d times over", times)
	}
}

type countingReader struct {
	r io.ReaderAt
	n int64
}

func (c *countingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n += int64(n)
	return n, err
}

func BenchmarkSign20kB(b *testing.B) {
	who := authority(b).signer(b, "Ana", nil)
	base := costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 40, Body: "<<>>", Data: make([]byte, 20<<10)}}})
	rep, err := pades.Preflight(context.Background(), bytes.NewReader(base), int64(len(base)), pades.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), who.key, who.chain, nil, pades.Options{SigningTime: now, Preflight: rep}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign100MB(b *testing.B) {
	who := authority(b).signer(b, "Ana", nil)
	f, n := largeFile(b, 100<<20, 1000)
	b.SetBytes(n)
	b.ReportAllocs()
	for b.Loop() {
		s, err := pades.Sign(context.Background(), f, n, who.key, who.chain, nil, pades.Options{SigningTime: now})
		if err != nil {
			b.Fatal(err)
		}
		_ = s.Tail()
	}
}

func BenchmarkVerify20kB(b *testing.B) {
	ca := authority(b)
	who := ca.signer(b, "Ana", nil)
	file := sign(b, costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 40, Body: "<<>>", Data: make([]byte, 20<<10)}}}), who, pades.Options{})
	o := pades.VerifyOptions{Roots: ca.roots(), At: now}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pades.Verify(context.Background(), bytes.NewReader(file), int64(len(file)), o); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	who := authority(b).signer(b, "Ana", nil)
	base := costest.Sample(costest.Options{})
	seal := &pades.Seal{Name: "Ana Núñez", Post: "Directora", Institution: "Gobierno Autónomo Departamental de Oruro", Date: now, Tier: "Firma electrónica, certificado interno", URL: "https://example.org/verificar/ABCD", Code: "ABCD"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), who.key, who.chain, nil, pades.Options{SigningTime: now, Seal: seal}); err != nil {
			b.Fatal(err)
		}
	}
}
