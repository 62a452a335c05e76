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

// StreamReader returns the data of a stream as it is stored, encrypted where
// the file is.
func (f *File) StreamReader(o *Object) *io.SectionReader {
	return io.NewSectionReader(f.r, o.Stream.Offset, o.Stream.Length)
}

func (f *File) decode(o *Object, limit int64) ([]byte, error) {
	if o.Stream == nil {
		return nil, damaged(CodeStream, o.Offset, "object is no stream")
	}
	fl, err := f.soleFilter(o)
	if err != nil {
		return nil, err
	}
	limit = min(limit, f.lim.Inflate)
	if o.Stream.Length > limit {
		return nil, refuse(ErrLimit, CodeStream, o.Stream.Offset, "stream of %d bytes, limit %d", o.Stream.Length, limit)
	}
	switch {
	case fl.name != "" && fl.name != "FlateDecode":
		return nil, refuse(ErrUnsupported, CodeFilter, o.Stream.Offset, "filter of a structural stream")
	case fl.name == "" || fl.cipher != identity:
		data := make([]byte, o.Stream.Length)
		if err := readFull(f.r, data, o.Stream.Offset); err != nil {
			return nil, err
		}
		if err := f.spend(int64(len(data)), o); err != nil {
			return nil, err
		}
		if fl.cipher != identity {
			var ok bool
			if data, ok = decrypt(fl.cipher, f.crypt.objectKey(o.Ref, fl.cipher), data); !ok {
				return nil, damaged(CodeEncrypt, o.Stream.Offset, "stream that does not decrypt")
			}
		}
		if fl.name == "" {
			return data, nil
		}
		return f.inflate(o, bytes.NewReader(data), limit, fl.parms)
	default:
		return f.inflate(o, f.StreamReader(o), limit, fl.parms)
	}
}

// filter is how the data of a stream are to be decoded.
type filter struct {
	name   string // "" for none
	parms  Value
	cipher cipherKind
}

// soleFilter returns the one filter of a stream and its parameters, with the
// cipher before it.
func (f *File) soleFilter(o *Object) (filter, error) {
	names, parms := []Value{o.Value.Get("Filter")}, []Value{o.Value.Get("DecodeParms")}
	if names[0].Kind() == Array {
		names = names[0].Elems()
		if parms[0].Kind() == Array {
			parms = parms[0].Elems()
		} else if len(names) > 1 && !parms[0].IsNull() {
			return filter{}, refuse(ErrUnsupported, CodeFilter, o.Offset, "parameters that fit no filter")
		}
	} else if names[0].IsNull() {
		names = nil
	}
	if !o.Value.Get("F").IsNull() {
		return filter{}, refuse(ErrUnsupported, CodeFilter, o.Offset, "data outside the file")
	}
	parm := func(i int) Value {
		if i < len(parms) {
			return parms[i]
		}
		return Value{}
	}
	for i, n := range names {
		if p := parm(i); n.Kind() != Name || p.Kind() != Dict && p.Kind() != Null {
			return filter{}, refuse(ErrUnsupported, CodeFilter, o.Offset, "indirect filter or parameters")
		}
	}
	var fl filter
	var err error
	at := 0
	crypt := len(names) > 0 && names[0].Name() == "Crypt"
	named := ""
	if crypt {
		at = 1
		if named = parm(0).Get("Name").Name(); named == "" {
			named = "Identity"
		}
	}
	if fl.cipher, err = f.streamCipher(o, crypt, named); err != nil {
		return filter{}, err
	}
	switch len(names) - at {
	case 0:
	case 1:
		fl.name, fl.parms = names[at].Name(), parm(at)
	default:
		return filter{}, refuse(ErrUnsupported, CodeFilter, o.Offset, "more than one filter")
	}
	return fl, nil
}

// spend counts decoded bytes against the life-time budget.
func (f *File) spend(n int64, o *Object) error {
	*f.inflated += n
	if *f.inflated > f.lim.InflateTotal {
		return refuse(ErrLimit, CodeStream, o.Stream.Offset, "more than %d bytes decoded in all", f.lim.InflateTotal)
	}
	return nil
}

func (f *File) inflate(o *Object, from io.Reader, limit int64, parms Value) ([]byte, error) {
	bound := min(limit, max(f.lim.InflateFree, o.Stream.Length*f.lim.InflateRatio))
	zr, err := zlib.NewReader(from)
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
	return unpredict(buf.Bytes(), parms, o)
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
