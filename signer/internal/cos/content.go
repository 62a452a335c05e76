package cos

import (
	"bytes"
	"encoding/ascii85"
	"io"
)

// Operation is one operator of a content stream with its operands (§7.8.2).
// An inline image is one operation, BI, whose operands are the keys and values
// of its dictionary.
type Operation struct {
	Operator string
	Operands []Value
}

// maxOperands bounds the operands of one operation; the standard has none
// with more than 33.
const maxOperands = 512

// Content cuts a decoded content stream into operations.
type Content struct{ p parser }

// Content returns the operations of a decoded content stream.
func (f *File) Content(data []byte) *Content {
	return &Content{parser{lex: lexer{text: data, final: true, base: -1}, lim: &f.lim}}
}

// Next returns the next operation, io.EOF after the last, or the error that
// makes the rest unreadable.
func (c *Content) Next() (Operation, error) {
	word, args, err := c.words()
	if err != nil || word != "BI" {
		return Operation{word, args}, err
	}
	if word, args, err = c.words(); err != nil {
		return Operation{}, err
	}
	if word != "ID" || len(args)%2 != 0 {
		return Operation{}, damaged(CodeSyntax, -1, "inline image without data")
	}
	return Operation{"BI", args}, c.skipImage(args)
}

// words reads operands up to an operator.
func (c *Content) words() (string, []Value, error) {
	p := &c.p
	p.stack, p.frames, p.nodes = nil, nil, 0
	for {
		t, err := p.lex.next()
		if err != nil {
			return "", nil, err
		}
		open := len(p.frames) > 0
		if !open && t.kind == tokEOF {
			return "", nil, io.EOF
		}
		if !open && t.kind == tokKeyword && t.str != "true" && t.str != "false" && t.str != "null" {
			return t.str, p.stack, nil
		}
		if _, err := p.feed(t); err != nil {
			return "", nil, err
		}
		if len(p.frames) == 0 && len(p.stack) > maxOperands {
			return "", nil, refuse(ErrLimit, CodeSyntax, -1, "more than %d operands", maxOperands)
		}
	}
}

// skipImage passes over the data of an inline image. Their length is not
// written (§8.9.7): uncompressed ones are as long as their dictionary says, and
// the end of others is the first EI behind which text goes on.
func (c *Content) skipImage(dict []Value) error {
	text, at := c.p.lex.text, c.p.lex.pos+1
	least, ok := imageLength(dict)
	if !ok || at > len(text) || least > int64(len(text)-at) {
		return damaged(CodeSyntax, -1, "inline image longer than the content")
	}
	for at += int(least); at < len(text); at++ {
		i := bytes.Index(text[at:], []byte("EI"))
		if i < 0 {
			break
		}
		at += i
		if before := isSpace(text[at-1]) || least > 0 && i == 0; before && (at+2 == len(text) || isSpace(text[at+2])) && plain(text[at+2:min(len(text), at+34)]) {
			c.p.lex.pos = at + 2
			return nil
		}
	}
	return damaged(CodeSyntax, -1, "inline image without an end")
}

// imageLength is how many bytes of data an inline image has at least.
func imageLength(dict []Value) (int64, bool) {
	get := func(short, long string) Value {
		for i := 0; i+1 < len(dict); i += 2 {
			if k := dict[i].Name(); k == short || k == long {
				return dict[i+1]
			}
		}
		return Value{}
	}
	if !get("F", "Filter").IsNull() {
		return 0, true
	}
	w, _ := get("W", "Width").Int()
	h, _ := get("H", "Height").Int()
	bits, has := get("BPC", "BitsPerComponent").Int()
	if mask, _ := get("IM", "ImageMask").Bool(); mask || !has {
		bits = 1
	}
	colors := int64(1)
	switch get("CS", "ColorSpace").Name() {
	case "RGB", "DeviceRGB":
		colors = 3
	case "CMYK", "DeviceCMYK":
		colors = 4
	}
	if w < 0 || h < 0 || w > 1<<20 || h > 1<<20 || bits < 0 || bits > 16 {
		return 0, false
	}
	return (w*bits*colors + 7) / 8 * h, true
}

// plain reports whether b looks like operators and operands.
func plain(b []byte) bool {
	for _, c := range b {
		if !isSpace(c) && (c < ' ' || c > '~') || c == 0 {
			return false
		}
	}
	return true
}

// maxFilters bounds a chain of filters.
const maxFilters = 4

// DecodeContent is [File.Decode] for the filters that content streams have
// besides: ASCII85Decode, ASCIIHexDecode and RunLengthDecode, up to four in a
// row.
func (f *File) DecodeContent(o *Object) ([]byte, error) {
	if o.Stream == nil {
		return nil, damaged(CodeStream, o.Offset, "object is no stream")
	}
	names, parms, err := f.filters(o)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 || len(names) == 1 && (names[0] == "FlateDecode" || names[0] == "Crypt") {
		return f.Decode(o)
	}
	if o.Stream.Length > f.lim.Inflate {
		return nil, refuse(ErrLimit, CodeStream, o.Stream.Offset, "stream of %d bytes", o.Stream.Length)
	}
	cipher, err := f.streamCipher(o, false, "")
	if err != nil {
		return nil, err
	}
	data := make([]byte, o.Stream.Length)
	if err := readFull(f.r, data, o.Stream.Offset); err != nil {
		return nil, err
	}
	if cipher != identity {
		var ok bool
		if data, ok = decrypt(cipher, f.crypt.objectKey(o.Ref, cipher), data); !ok {
			return nil, damaged(CodeEncrypt, o.Stream.Offset, "stream that does not decrypt")
		}
	}
	for i, name := range names {
		if err := f.spend(int64(len(data)), o); err != nil {
			return nil, err
		}
		if data, err = f.undo(o, name, parms[i], data); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// filters returns the names of a stream's filters and their parameters.
func (f *File) filters(o *Object) ([]string, []Value, error) {
	list, err := f.Resolve(o.Value.Get("Filter"))
	if err != nil {
		return nil, nil, err
	}
	parm, err := f.Resolve(o.Value.Get("DecodeParms"))
	if err != nil {
		return nil, nil, err
	}
	all, parms := []Value{list}, []Value{parm}
	if list.IsNull() {
		return nil, nil, nil
	}
	if list.Kind() == Array {
		all = list.Elems()
		if parm.Kind() == Array {
			parms = parm.Elems()
		}
	}
	if len(all) > maxFilters {
		return nil, nil, refuse(ErrUnsupported, CodeFilter, o.Offset, "more than %d filters", maxFilters)
	}
	var names []string
	var out []Value
	for i, v := range all {
		if v, err = f.Resolve(v); err != nil {
			return nil, nil, err
		}
		names, out = append(names, v.Name()), append(out, Value{})
		if i < len(parms) {
			if out[i], err = f.Resolve(parms[i]); err != nil {
				return nil, nil, err
			}
		}
	}
	return names, out, nil
}

// undo undoes one filter.
func (f *File) undo(o *Object, name string, parms Value, data []byte) ([]byte, error) {
	switch name {
	case "FlateDecode":
		return f.inflate(o, bytes.NewReader(data), f.lim.Inflate, parms)
	case "ASCII85Decode":
		end := bytes.IndexByte(data, '~')
		if end < 0 {
			end = len(data)
		}
		out := make([]byte, 4*end+4)
		n, _, err := ascii85.Decode(out, data[:end], true)
		if err != nil {
			return nil, damaged(CodeFilter, o.Stream.Offset, "ASCII85 data")
		}
		return out[:n], nil
	case "ASCIIHexDecode":
		end := bytes.IndexByte(data, '>')
		if end < 0 {
			end = len(data)
		}
		l := lexer{text: append(append([]byte{'<'}, data[:end]...), '>'), final: true, base: -1}
		t, err := l.hexString()
		return []byte(t.str), err
	case "RunLengthDecode":
		return f.unrun(o, data)
	}
	return nil, refuse(ErrUnsupported, CodeFilter, o.Offset, "filter of a content stream")
}

// unrun undoes RunLengthDecode (§7.4.5).
func (f *File) unrun(o *Object, data []byte) ([]byte, error) {
	var out []byte
	for i := 0; i < len(data) && data[i] != 128; {
		n := int(data[i])
		if n < 128 {
			if i+2+n > len(data) {
				return nil, damaged(CodeFilter, o.Stream.Offset, "run of bytes that is cut")
			}
			out = append(out, data[i+1:i+2+n]...)
			i += 2 + n
			continue
		}
		if i+1 >= len(data) {
			return nil, damaged(CodeFilter, o.Stream.Offset, "run of bytes that is cut")
		}
		out = append(out, bytes.Repeat(data[i+1:i+2], 257-n)...)
		i += 2
		if int64(len(out)) > f.lim.Inflate {
			return nil, refuse(ErrLimit, CodeFilter, o.Stream.Offset, "stream decodes to more than %d bytes", f.lim.Inflate)
		}
	}
	return out, nil
}
