package cos_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

// fuzzLimits keeps single inputs cheap; the default ones have tests of their own.
var fuzzLimits = cos.Limits{Inflate: 1 << 16, InflateFree: 1 << 14, XrefBytes: 1 << 16}

// FuzzXrefTable reads cross-reference tables and trailers alone. What is read
// lies in the file, and every object is looked up the same way twice.
func FuzzXrefTable(f *testing.F) {
	f.Add("0 3\n0000000000 65535 f \n0000000009 00000 n \n0000000056 00000 n \ntrailer<</Root 1 0 R/Size 3>>")
	f.Add("1 2\n0000000009 00000 n\n0000000056 00000 n\ntrailer\n<</Root 1 0 R/Size 3/Prev 110>>")
	f.Add("0 1\n0000000000 65535 f\r\n1 1\n0000000009 00000 n\r\n7 0\ntrailer<</Root 1 0 R/XRefStm 9>>")
	f.Fuzz(func(t *testing.T, table string) {
		if len(table) > 1<<12 {
			return
		}
		lookups(t, costest.TableFile(table))
	})
}

// lookups opens a file and reads all that its cross-reference leads to.
func lookups(t *testing.T, b []byte) {
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), fuzzLimits)
	var refused *cos.Error
	if err != nil {
		if !errors.As(err, &refused) {
			t.Fatalf("got %v, want a *cos.Error", err)
		}
		return
	}
	n := 0
	err = f.Objects(func(num uint32, e cos.Entry) error {
		if n++; n > 100 {
			return errEnough
		}
		if e.Kind == cos.InUse && e.Gen == 0 {
			if o, err := f.Get(cos.Ref{Num: num}); err == nil && !o.Value.IsNull() && (o.Offset <= 0 || o.End > int64(len(b))) {
				t.Fatalf("object %d lies in [%d,%d) of %d bytes", num, o.Offset, o.End, len(b))
			}
		}
		if again, err := f.Lookup(num); err != nil || again != e {
			t.Fatalf("object %d: %+v, then %+v, %v", num, e, again, err)
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) && !errors.As(err, &refused) {
		t.Fatalf("got %v, want a *cos.Error", err)
	}
}

var errEnough = errors.New("enough")

// decodeStream decodes object 4 of a file with a stream of that dictionary.
func decodeStream(t *testing.T, dict string, data []byte) ([]byte, error) {
	out := []byte("%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n")
	at := len(out)
	out = fmt.Appendf(out, "4 0 obj\n<</Length %d%s>>\nstream\n", len(data), dict)
	out = append(append(out, data...), "\nendstream\nendobj\n"...)
	xref := len(out)
	out = fmt.Appendf(out, "xref\n1 1\n%010d 00000 n \n4 1\n%010d 00000 n \ntrailer<</Root 1 0 R/Size 5>>\nstartxref\n%d\n%%%%EOF\n", 9, at, xref)
	f, err := cos.Open(bytes.NewReader(out), int64(len(out)), fuzzLimits)
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.Get(cos.Ref{Num: 4})
	if err != nil {
		return nil, err
	}
	b, err := f.Decode(o)
	var refused *cos.Error
	if err != nil && !errors.As(err, &refused) {
		t.Fatalf("got %v, want a *cos.Error", err)
	}
	if int64(len(b)) > fuzzLimits.Inflate {
		t.Fatalf("%d bytes, limit %d", len(b), fuzzLimits.Inflate)
	}
	return b, err
}

// FuzzFlate decodes anything as FlateDecode, with any parameters.
func FuzzFlate(f *testing.F) {
	f.Add("", costest.Deflate([]byte("Hola, hola, hola")))
	f.Add("/DecodeParms<</Predictor 12/Columns 4>>", costest.Deflate([]byte{2, 1, 2, 3, 4, 0, 1, 1, 1, 1}))
	f.Add("/DecodeParms[<</Predictor 2/Colors 3/Columns 2>>]", costest.Deflate([]byte("abcdefghijkl")))
	f.Fuzz(func(t *testing.T, dict string, data []byte) {
		if len(data) > 1<<12 || len(dict) > 256 {
			return
		}
		_, _ = decodeStream(t, "/Filter/FlateDecode"+dict, data)
	})
}

// stored writes zlib data in blocks that are not compressed (RFC 1951 §3.2.4).
func stored(b []byte) []byte {
	out := []byte{0x78, 1, 1}
	out = binary.LittleEndian.AppendUint16(out, uint16(len(b)))
	out = binary.LittleEndian.AppendUint16(out, ^uint16(len(b)))
	return binary.BigEndian.AppendUint32(append(out, b...), adler32.Checksum(b))
}

// FuzzPredictor undoes predictors and compares the result with that of a plain
// reading of the specification.
func FuzzPredictor(f *testing.F) {
	for p := range uint8(6) {
		f.Add(p, uint8(1), uint8(4), []byte{p, 1, 2, 3, 4, p, 5, 250, 7, 8})
	}
	f.Add(uint8(9), uint8(3), uint8(2), []byte("abcdefghijklmn"))
	f.Fuzz(func(t *testing.T, predictor, colors, columns uint8, data []byte) {
		if len(data) > 1<<10 {
			return
		}
		p := 10 + int(predictor)%6
		if predictor == 9 {
			p = 2
		}
		dict := fmt.Sprintf("/Filter/FlateDecode/DecodeParms<</Predictor %d/Colors %d/Columns %d>>", p, colors, columns)
		got, err := decodeStream(t, dict, stored(data))
		bpp, row := int(colors), int(colors)*int(columns)
		if bpp == 0 || bpp > 32 || columns == 0 {
			if !errors.Is(err, cos.ErrUnsupported) {
				t.Fatalf("%d colours, %d columns: got %v", colors, columns, err)
			}
			return
		}
		want, ok := plainPredictor(p, bpp, row, data)
		if ok != (err == nil) || ok && !bytes.Equal(got, want) {
			t.Fatalf("got %x, %v, want %x, %v", got, err, want, ok)
		}
	})
}

func plainPredictor(p, bpp, row int, data []byte) ([]byte, bool) {
	if p == 2 {
		out := bytes.Clone(data)
		for i := range out {
			if i%row >= bpp {
				out[i] += out[i-bpp]
			}
		}
		return out, true
	}
	if len(data)%(row+1) != 0 {
		return nil, false
	}
	var out []byte
	for y := 0; y*(row+1) < len(data); y++ {
		line := data[y*(row+1):][:row+1]
		at := func(x, y int) int {
			if x < 0 || y < 0 {
				return 0
			}
			return int(out[y*row+x])
		}
		for x, v := range line[1:] {
			left, above, corner := at(x-bpp, y), at(x, y-1), at(x-bpp, y-1)
			add := 0
			switch line[0] {
			case 0:
			case 1:
				add = left
			case 2:
				add = above
			case 3:
				add = (left + above) / 2
			case 4:
				add = nearest(left, above, corner)
			default:
				return nil, false
			}
			out = append(out, v+byte(add))
		}
	}
	return out, true
}

// nearest is PaethPredictor of RFC 2083 §6.6.
func nearest(a, b, c int) int {
	dist := func(n int) int { return max(n-(a+b-c), (a+b-c)-n) }
	best := a
	for _, n := range []int{b, c} {
		if dist(n) < dist(best) {
			best = n
		}
	}
	return best
}
