package cos

import (
	"bytes"
	"errors"
)

// Object is an indirect object as it is written. It is shared and must not be
// changed.
type Object struct {
	Ref   Ref
	Value Value
	// Raw are the bytes of Value; its spans are offsets in Raw. In an encrypted
	// file the strings of Value are decrypted, those of Raw as they are written.
	Raw []byte
	// Offset is the file offset of Raw[0]; -1 if the object is in an object stream.
	Offset int64
	// Header and End are the file offsets of "N G obj" and after "endobj"; 0
	// for an object in an object stream and for a trailer.
	Header, End int64
	// Stream is where the stream data is, nil if the object is no stream.
	Stream *Span
	// Container is the number of the object stream that holds the object, 0 if none.
	Container uint32
}

// Span is a range of bytes in the file.
type Span struct{ Offset, Length int64 }

// Exists reports whether the object is defined at all; a reference to an
// object that is not is a reference to null (§7.3.10).
func (o *Object) Exists() bool { return o.Raw != nil }

// Get returns the object that r names. If the file does not define it, the
// object is null and does not [Object.Exists].
func (f *File) Get(r Ref) (*Object, error) {
	e, err := f.Lookup(r.Num)
	if err != nil {
		return nil, err
	}
	switch e.Kind {
	case InUse:
		if e.Gen != r.Gen {
			return nil, refuse(ErrAmbiguous, CodeObject, e.Offset, "object %d is referred to by another generation", r.Num)
		}
		return f.inUse(r, e)
	case Compressed:
		if r.Gen != 0 {
			return nil, refuse(ErrAmbiguous, CodeObject, -1, "object %d is referred to by another generation", r.Num)
		}
		return f.compressed(r, e)
	default:
		return &Object{Ref: r, Offset: -1}, nil
	}
}

// Resolve returns v, or what it refers to, following references to references
// up to 16 steps.
func (f *File) Resolve(v Value) (Value, error) {
	o, err := f.ResolveObject(v)
	if err != nil {
		return Value{}, err
	}
	return o.Value, nil
}

// ResolveObject is [File.Resolve] with the object around the value. For a
// direct value only Value is set.
func (f *File) ResolveObject(v Value) (*Object, error) {
	o := &Object{Value: v, Offset: -1}
	for range 16 {
		r, ok := o.Value.Ref()
		if !ok {
			return o, nil
		}
		next, err := f.Get(r)
		if err != nil {
			return nil, err
		}
		o = next
	}
	return nil, refuse(ErrLimit, CodeObject, -1, "more than 16 references in a row")
}

func (f *File) inUse(r Ref, e Entry) (*Object, error) {
	o, err := f.objectAt(e.Offset)
	if err != nil {
		return nil, err
	}
	if o.Ref != r {
		return nil, damaged(CodeObject, e.Offset, "object %d is not where the cross-reference says", r.Num)
	}
	return o, nil
}

// valueAt parses the direct object at or after pos (white space and comments
// may precede it) and returns a copy of its bytes, the value and its offset.
func (f *File) valueAt(pos int64) (raw []byte, v Value, start int64, err error) {
	for n := 1024; ; n *= 2 {
		n = min(n, f.lim.ObjectSize)
		text, err := f.bytesAt(pos, n)
		if err != nil {
			return nil, Value{}, 0, err
		}
		final := pos+int64(len(text)) >= f.size
		raw, v, i, err := f.parseText(text, pos, final)
		if err == nil {
			return raw, v, pos + int64(i), nil
		}
		if !errors.Is(err, errShort) {
			return nil, Value{}, 0, err
		}
		if n == f.lim.ObjectSize {
			return nil, Value{}, 0, refuse(ErrLimit, CodeObject, pos, "object longer than %d bytes", n)
		}
	}
}

func (f *File) parseText(text []byte, pos int64, final bool) (raw []byte, v Value, start int, err error) {
	l := lexer{text: text, final: final, base: pos}
	if err := l.skipSpace(); err != nil {
		return nil, Value{}, 0, err
	}
	v, end, err := parseValue(text[l.pos:], final, pos+int64(l.pos), &f.lim)
	if err != nil {
		return nil, Value{}, 0, err
	}
	return bytes.Clone(text[l.pos : l.pos+end]), v, l.pos, nil
}

// objectAt reads "N G obj … endobj" at off, where white space may precede it.
func (f *File) objectAt(off int64) (*Object, error) {
	if o := f.cache.get(off, f.size); o != nil {
		return o, nil
	}
	text, err := f.bytesAt(off, 128)
	if err != nil {
		return nil, err
	}
	l := lexer{text: text, base: off, final: off+int64(len(text)) >= f.size}
	var t [3]token
	for i := range t {
		if t[i], err = l.next(); err != nil {
			return nil, tooLong(err, CodeObject, off)
		}
	}
	if t[0].kind != tokInteger || t[1].kind != tokInteger || t[2].kind != tokKeyword || t[2].str != "obj" ||
		t[0].num < 0 || t[0].num > int64(f.lim.ObjectNumber) || t[1].num < 0 || t[1].num > 65535 {
		return nil, damaged(CodeObject, off, "no object here")
	}
	o := &Object{Ref: Ref{Num: uint32(t[0].num), Gen: uint16(t[1].num)}, Header: off + int64(t[0].start)}
	o.Raw, o.Value, o.Offset, err = f.valueAt(off + int64(t[2].end))
	if err != nil {
		return nil, err
	}
	if err := f.readEnd(o); err != nil {
		return nil, err
	}
	if err := f.decryptObject(o); err != nil {
		return nil, err
	}
	f.cache.put(off, o)
	return o, nil
}

// readEnd reads what follows the value: endobj, or a stream.
func (f *File) readEnd(o *Object) error {
	pos := o.Offset + int64(len(o.Raw))
	word, start, end, err := f.wordAt(pos)
	if err != nil {
		return err
	}
	switch word {
	case "endobj":
		o.End = end
		return nil
	case "stream":
		return f.readStream(o, start+int64(len("stream")))
	default:
		return damaged(CodeObject, pos, "object without endobj")
	}
}

// wordAt reads the keyword at or after pos.
func (f *File) wordAt(pos int64) (word string, start, end int64, err error) {
	text, err := f.bytesAt(pos, 256)
	if err != nil {
		return "", 0, 0, err
	}
	l := lexer{text: text, base: pos, final: pos+int64(len(text)) >= f.size}
	if err := l.skipSpace(); err != nil {
		return "", 0, 0, tooLong(err, CodeObject, pos)
	}
	// Stream data may follow "stream" after one end of line, so only the word
	// itself is looked at.
	i := l.pos
	for i < len(text) && i-l.pos < 16 && text[i] >= 'a' && text[i] <= 'z' {
		i++
	}
	return string(text[l.pos:i]), pos + int64(l.pos), pos + int64(i), nil
}

// readStream finds the data of a stream (§7.3.8.1). pos is after "stream".
func (f *File) readStream(o *Object, pos int64) error {
	if o.Value.Kind() != Dict {
		return damaged(CodeStream, pos, "stream without dictionary")
	}
	eol, err := f.bytesAt(pos, 2)
	if err != nil {
		return err
	}
	switch {
	case len(eol) == 2 && eol[0] == '\r' && eol[1] == '\n':
		pos += 2
	case len(eol) >= 1 && eol[0] == '\n':
		pos++
	default:
		return damaged(CodeStream, pos, "no end of line after stream")
	}
	o.Stream = &Span{Offset: pos}
	n, err := f.streamLength(o)
	if err != nil {
		return err
	}
	if n < 0 || n > f.size-pos {
		return damaged(CodeStream, pos, "/Length reaches beyond the file")
	}
	o.Stream.Length = n
	end, err := f.endstream(pos + n)
	if err != nil {
		return err
	}
	word, _, end, err := f.wordAt(end)
	if err != nil {
		return err
	}
	if word != "endobj" {
		return damaged(CodeStream, pos, "stream without endobj")
	}
	o.End = end
	return nil
}

// endstream checks that the word endstream stands at pos, after white space at
// most, and returns the offset after it.
func (f *File) endstream(pos int64) (int64, error) {
	text, err := f.bytesAt(pos, 64)
	if err != nil {
		return 0, err
	}
	i := 0
	for i < len(text) && isSpace(text[i]) {
		i++
	}
	if !bytes.HasPrefix(text[i:], []byte("endstream")) {
		return 0, damaged(CodeStream, pos, "/Length does not lead to endstream")
	}
	return pos + int64(i+len("endstream")), nil
}

// streamLength returns /Length. An indirect one must be a plain integer object.
func (f *File) streamLength(o *Object) (int64, error) {
	v := o.Value.Get("Length")
	if r, ok := v.Ref(); ok {
		if len(f.sections) == 0 {
			return 0, damaged(CodeStream, o.Offset, "cross-reference stream with indirect /Length")
		}
		e, err := f.Lookup(r.Num)
		if err != nil {
			return 0, err
		}
		if v, err = f.lengthObject(r, e); err != nil {
			return 0, err
		}
	}
	n, ok := v.Int()
	if !ok {
		return 0, damaged(CodeStream, o.Offset, "/Length is no integer")
	}
	return n, nil
}

// lengthObject reads an integer object without being able to meet a stream, so
// that lengths cannot chain.
func (f *File) lengthObject(r Ref, e Entry) (Value, error) {
	if e.Kind == Compressed {
		if f.loading {
			return Value{}, damaged(CodeStream, -1, "/Length of an object stream lies in an object stream")
		}
		o, err := f.compressed(r, e)
		if err != nil {
			return Value{}, err
		}
		return o.Value, nil
	}
	if e.Kind != InUse || e.Gen != r.Gen {
		return Value{}, damaged(CodeStream, -1, "/Length refers to nothing")
	}
	text, err := f.bytesAt(e.Offset, 256)
	if err != nil {
		return Value{}, err
	}
	l := lexer{text: text, base: e.Offset, final: e.Offset+int64(len(text)) >= f.size}
	var t [4]token
	for i := range t {
		if t[i], err = l.next(); err != nil {
			return Value{}, tooLong(err, CodeStream, e.Offset)
		}
	}
	if t[0].kind != tokInteger || t[0].num != int64(r.Num) || t[1].kind != tokInteger || t[1].num != int64(r.Gen) ||
		t[2].str != "obj" || t[3].kind != tokInteger {
		return Value{}, damaged(CodeStream, e.Offset, "/Length refers to something else than an integer")
	}
	return Value{kind: Integer, num: t[3].num}, nil
}
