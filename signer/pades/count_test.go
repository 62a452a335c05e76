package pades_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades"
)

// countedFiles are files in which little but one stream, and nothing but
// objects, can be read twice.
func countedFiles(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for name, k := range map[string]struct {
		size  int64
		pages int
	}{"one stream": {8 << 20, 1}, "objects": {100, 30_000}} {
		f, n := goalFile(t, k.size, k.pages)
		b := make([]byte, n)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	var objs []costest.Obj
	for i := range 3000 {
		o := costest.Obj{Num: 100 + i, Body: fmt.Sprintf("<</N %d/T(%s)>>", i, strings.Repeat("suti ", 60))}
		if i%3 == 0 {
			o.Data = noise(3000)
		}
		objs = append(objs, o)
	}
	for _, shape := range []costest.Shape{costest.Table, costest.Stream} {
		out["mixed, "+shape.String()] = costest.Sample(costest.Options{Shape: shape, Extra: objs})
	}
	return out
}

// Whatever is done with a file, its bytes are read once: all of them for the
// digests, with the objects coming out of the same reading. Twice are read only
// the cross-reference, which says where objects are, and single objects.
func TestBytesAreReadOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, time.Time{})
	who, ctx := l.Signer(t, "Ana"), context.Background()
	for name, base := range countedFiles(t) {
		x := l.options(pades.LevelBLTA)
		// Besides the file: the cross-reference, which is a quarter of the file
		// where there are only small objects, and a window for each of the few
		// objects that are looked up by themselves.
		allowed := 0.2
		if name == "objects" {
			allowed = 0.6
		}
		once := func(step string, file []byte, do func(in *countingReader) error) {
			in := &countingReader{r: bytes.NewReader(file)}
			if err := do(in); err != nil {
				t.Fatalf("%s: %s: %v", name, step, err)
			}
			more := float64(in.n)/float64(len(file)) - 1
			if more < 0 || more > allowed {
				t.Errorf("%s: %s: %.2f times the %d bytes of the file were read, want at most %.2f", name, step, 1+more, len(file), 1+allowed)
			}
		}
		var files [][]byte
		for _, level := range []pades.Level{pades.LevelBB, pades.LevelBT, pades.LevelBLT, pades.LevelBLTA} {
			out := &countingWriter{}
			once("sign "+level.String()[6:], base, func(in *countingReader) error {
				s, err := pades.SignTo(ctx, out, in, int64(len(base)), who.Key, who.Chain(), l, pades.Options{Level: level, SigningTime: l.Now(), Extend: &x})
				if err == nil && s.Size() != out.n {
					err = fmt.Errorf("%d bytes written, the file has %d", out.n, s.Size())
				}
				return err
			})
			files = append(files, out.Bytes())
		}
		once("renew", files[3], func(in *countingReader) error {
			_, err := pades.Extend(ctx, in, int64(len(files[3])), x)
			return err
		})
		for i, file := range files {
			once("verify "+pades.Level(i + 1).String()[6:], file, func(in *countingReader) error {
				_, err := pades.Verify(ctx, in, int64(len(file)), pades.VerifyOptions{Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: l.Now()})
				return err
			})
		}
	}
}

type countingWriter struct {
	bytes.Buffer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Buffer.Write(p)
}

// A fault of the output, or of whoever inspects what is in the file, ends
// signing before the key is used.
func TestSignToStops(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	base := costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 40, Body: "<</S/JavaScript/JS(x)>>"}}})
	used := &usedKey{Signer: who.key}
	try := func(w io.Writer, inspect func(*pades.PreflightReport) error) error {
		_, err := pades.SignTo(context.Background(), w, bytes.NewReader(base), int64(len(base)), used, who.chain, nil, pades.Options{SigningTime: now, Inspect: inspect})
		return err
	}
	full, refusal := errors.New("disk full"), errors.New("refused")
	if err := try(failingWriter{full}, nil); !errors.Is(err, full) {
		t.Errorf("output that cannot be written: got %v, want %v", err, full)
	}
	var seen *pades.PreflightReport
	if err := try(io.Discard, func(r *pades.PreflightReport) error { seen = r; return refusal }); !errors.Is(err, refusal) {
		t.Errorf("refused by Inspect: got %v, want %v", err, refusal)
	}
	if used.n != 0 {
		t.Errorf("the key was used %d times", used.n)
	}
	want, err := pades.Preflight(context.Background(), bytes.NewReader(base), int64(len(base)), pades.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("Inspect is told otherwise than Preflight says (-want +got):\n%s", diff)
	}
	var out bytes.Buffer
	if err := try(&out, func(*pades.PreflightReport) error { return nil }); err != nil || used.n != 1 {
		t.Fatalf("got %v, key used %d times", err, used.n)
	}
	r, err := pades.Verify(context.Background(), bytes.NewReader(out.Bytes()), int64(out.Len()), pades.VerifyOptions{Roots: authority(t).roots(), At: now})
	if err != nil {
		t.Fatal(err)
	}
	wantVerdicts(t, "signed in one reading", r, pades.Valid)
}

type usedKey struct {
	crypto.Signer
	n int
}

func (k *usedKey) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	k.n++
	return k.Signer.Sign(r, digest, o)
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }
