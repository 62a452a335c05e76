package cos

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
)

// Decode returns the decoded data of a stream whose filter is none or
// FlateDecode with any predictor. Other filters are [ErrUnsupported].
func (f *File) Decode(o *Object) ([]byte, error) {
	return f.decode(o, f.lim.Inflate)
}

// StreamReader returns the data of a stream as it is stored.
func (f *File) StreamReader(o *Object) *io.SectionReader {
	return io.NewSectionReader(f.r, o.Stream.Offset, o.Stream.Length)
}

func (f *File) decode(o *Object, limit int64) ([]byte, error) {
	if o.Stream == nil {
		return nil, damaged(CodeStream, o.Offset, "object is no stream")
	}
	filter, parms, err := f.soleFilter(o)
	if err != nil {
		return nil, err
	}
	limit = min(limit, f.lim.Inflate)
	if o.Stream.Length > limit {
		return nil, refuse(ErrLimit, CodeStream, o.Stream.Offset, "stream of %d bytes, limit %d", o.Stream.Length, limit)
	}
	switch filter {
	case "":
		data := make([]byte, o.Stream.Length)
		if err := readFull(f.r, data, o.Stream.Offset); err != nil {
			return nil, err
		}
		return data, f.spend(int64(len(data)), o)
	case "FlateDecode":
		data, err := f.inflate(o, limit)
		if err != nil {
			return nil, err
		}
		return unpredict(data, parms, o)
	default:
		return nil, refuse(ErrUnsupported, CodeFilter, o.Stream.Offset, "filter of a structural stream")
	}
}

// soleFilter returns the name of the one filter of a stream and its parameters.
func (f *File) soleFilter(o *Object) (string, Value, error) {
	v, parms := o.Value.Get("Filter"), o.Value.Get("DecodeParms")
	if v.Kind() == Array {
		switch v.Len() {
		case 0:
			return "", Value{}, nil
		case 1:
			v = v.Elem(0)
			if parms.Kind() == Array && parms.Len() == 1 {
				parms = parms.Elem(0)
			}
		default:
			return "", Value{}, refuse(ErrUnsupported, CodeFilter, o.Offset, "more than one filter")
		}
	}
	if v.IsNull() {
		return "", Value{}, nil
	}
	if v.Kind() != Name || (parms.Kind() != Dict && parms.Kind() != Null) || !o.Value.Get("F").IsNull() {
		return "", Value{}, refuse(ErrUnsupported, CodeFilter, o.Offset, "indirect filter, parameters or data")
	}
	return v.Name(), parms, nil
}

// spend counts decoded bytes against the life-time budget.
func (f *File) spend(n int64, o *Object) error {
	*f.inflated += n
	if *f.inflated > f.lim.InflateTotal {
		return refuse(ErrLimit, CodeStream, o.Stream.Offset, "more than %d bytes decoded in all", f.lim.InflateTotal)
	}
	return nil
}

func (f *File) inflate(o *Object, limit int64) ([]byte, error) {
	bound := min(limit, max(f.lim.InflateFree, o.Stream.Length*f.lim.InflateRatio))
	zr, err := zlib.NewReader(f.StreamReader(o))
	if err != nil {
		return nil, flateFault(err, o)
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(zr, bound+1))
	if spent := f.spend(n, o); spent != nil {
		return nil, spent
	}
	if n > bound {
		return nil, refuse(ErrLimit, CodeFilter, o.Stream.Offset, "stream decodes to more than %d bytes", bound)
	}
	if err != nil {
		return nil, flateFault(err, o)
	}
	return buf.Bytes(), nil
}

func flateFault(err error, o *Object) error {
	if errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) || errors.Is(err, zlib.ErrDictionary) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return damaged(CodeFilter, o.Stream.Offset, "compressed data: %v", err)
	}
	return damaged(CodeFilter, o.Stream.Offset, "compressed data do not decode")
}

// unpredict undoes a predictor (§7.4.4.4), in place where it can.
func unpredict(data []byte, parms Value, o *Object) ([]byte, error) {
	p := intOr(parms, "Predictor", 1)
	if p == 1 {
		return data, nil
	}
	colors, bits, columns := intOr(parms, "Colors", 1), intOr(parms, "BitsPerComponent", 8), intOr(parms, "Columns", 1)
	if colors < 1 || colors > 32 || columns < 1 || columns > 1<<20 || bits != 8 {
		return nil, refuse(ErrUnsupported, CodeFilter, o.Offset, "predictor parameters")
	}
	row, bpp := int(colors*columns), int(colors)
	switch {
	case p == 2:
		return unpredictTIFF(data, row, bpp), nil
	case p >= 10 && p <= 15:
		return unpredictPNG(data, row, bpp, o)
	default:
		return nil, refuse(ErrUnsupported, CodeFilter, o.Offset, "predictor %d", p)
	}
}

func intOr(d Value, key string, def int64) int64 {
	v := d.Get(key)
	if v.IsNull() {
		return def
	}
	n, ok := v.Int()
	if !ok {
		return -1
	}
	return n
}

func unpredictTIFF(data []byte, row, bpp int) []byte {
	for at := 0; at < len(data); at += row {
		line := data[at:min(at+row, len(data))]
		for i := bpp; i < len(line); i++ {
			line[i] += line[i-bpp]
		}
	}
	return data
}

// unpredictPNG undoes the filters of PNG (RFC 2083 §6): each row is preceded
// by the number of its filter. A last row that is cut is refused.
func unpredictPNG(data []byte, row, bpp int, o *Object) ([]byte, error) {
	if len(data)%(row+1) != 0 {
		return nil, damaged(CodeFilter, o.Offset, "predicted data end inside a row")
	}
	out := data[:0]
	up := make([]byte, row)
	for at := 0; at < len(data); at += row + 1 {
		tag := data[at]
		line := append(out[len(out):], data[at+1:at+1+row]...) // moves left within data
		for i := range line {
			var left, upLeft byte
			if i >= bpp {
				left, upLeft = line[i-bpp], up[i-bpp]
			}
			switch tag {
			case 0:
			case 1:
				line[i] += left
			case 2:
				line[i] += up[i]
			case 3:
				line[i] += byte((int(left) + int(up[i])) / 2)
			case 4:
				line[i] += paeth(left, up[i], upLeft)
			default:
				return nil, damaged(CodeFilter, o.Offset, "PNG filter %d", tag)
			}
		}
		out = out[:len(out)+row]
		up = line
	}
	return out, nil
}

func paeth(a, b, c byte) byte {
	p := int(a) + int(b) - int(c)
	pa, pb, pc := abs(p-int(a)), abs(p-int(b)), abs(p-int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	default:
		return c
	}
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
