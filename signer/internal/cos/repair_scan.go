package cos

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
)

// space is white space in a regular expression (table 1).
const space = `[\x00\t\n\f\r ]`

var (
	objectStart  = regexp.MustCompile(`(\d{1,10})` + space + `{1,16}(\d{1,5})` + space + `{1,16}obj|trailer`)
	lengthObject = regexp.MustCompile(`(\d{1,10})` + space + `{1,16}\d{1,5}` + space + `{1,16}obj` + space + `{1,16}(\d{1,10})` + space + `{1,16}endobj`)
)

// overlap is more than either expression can match.
const overlap = 128

// definition is an object as the scan found it.
type definition struct {
	ref    Ref
	found  int64 // of "N G obj" in the damaged file
	at     int64 // and in the repaired one
	end    int64 // after endobj
	value  Value
	raw    []byte // of the value
	stream *Span
	anew   bool // its text does not read strictly: it must be written anew
}

// scan reads a damaged file from its beginning to its end, trusting no
// cross-reference.
type scan struct {
	f        *File
	ctx      context.Context
	fixes    map[string]int
	defs     []definition
	trailers []Object
	lengths  map[uint32][]int64

	win    []byte // last bytes read by window, at winOff
	winOff int64
}

// window returns bytes at pos: at least 4 KiB, unless the file ends before.
func (s *scan) window(pos int64) ([]byte, error) {
	if at := pos - s.winOff; at < 0 || at > int64(len(s.win)) || int64(len(s.win))-at < 4<<10 {
		n := min(256<<10, s.f.size-pos)
		if int64(cap(s.win)) < n {
			s.win = make([]byte, 256<<10)
		}
		s.win, s.winOff = s.win[:n], pos
		if err := readFull(s.f.r, s.win, pos); err != nil {
			s.win = s.win[:0]
			return nil, err
		}
	}
	return s.win[pos-s.winOff:], nil
}

// each calls fn for every match of re from pos on, until fn returns a negative
// offset; else the search goes on from there.
func (s *scan) each(re *regexp.Regexp, pos int64, fn func(at int64, m []byte) (int64, error)) error {
	for pos < s.f.size {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		text, err := s.window(pos)
		if err != nil {
			return err
		}
		final := pos+int64(len(text)) >= s.f.size
		m := re.FindIndex(text)
		switch {
		case m == nil && final:
			return nil
		case m == nil:
			pos += int64(len(text) - overlap)
			continue
		case m[1] > len(text)-overlap && !final && m[0] > 0:
			pos += int64(m[0]) // read on before judging a match at the end
			continue
		}
		next, err := fn(pos+int64(m[0]), bytes.Clone(text[m[0]:m[1]]))
		if err != nil || next < 0 {
			return err
		}
		pos = max(next, pos+int64(m[0])+1)
	}
	return nil
}

// readLengths notes the objects that are plain integers: they may be lengths
// of streams.
func (s *scan) readLengths() error {
	s.lengths = map[uint32][]int64{}
	return s.each(lengthObject, 0, func(at int64, m []byte) (int64, error) {
		g := lengthObject.FindSubmatch(m)
		num, err1 := strconv.ParseUint(string(g[1]), 10, 32)
		n, err2 := strconv.ParseInt(string(g[2]), 10, 64)
		if err1 == nil && err2 == nil && len(s.lengths) < s.f.lim.RepairObjects && len(s.lengths[uint32(num)]) < 8 {
			s.lengths[uint32(num)] = append(s.lengths[uint32(num)], n)
		}
		return at + int64(len(m)), nil
	})
}

// run finds all objects and trailers from pos on.
func (s *scan) run(pos int64) error {
	if err := s.readLengths(); err != nil {
		return err
	}
	from := pos
	return s.each(objectStart, pos, func(at int64, m []byte) (int64, error) {
		if end, err := s.inComment(from, at); err != nil || end > 0 {
			from = max(end, from)
			return end, err
		}
		next, err := s.item(at, m)
		from = max(next, from)
		return next, err
	})
}

// inComment returns the end of the line if a comment that begins between from
// and at goes on to at; else 0.
func (s *scan) inComment(from, at int64) (int64, error) {
	from = max(from, at-1024)
	text, err := s.f.bytesAt(from, int(at-from))
	if err != nil {
		return 0, err
	}
	line := text[bytes.LastIndexAny(text, "\r\n")+1:]
	if !bytes.Contains(line, []byte("%")) {
		return 0, nil
	}
	s.fixes[FixComment]++
	return at + 1, nil // whatever else stands on the line is looked at again
}

// item reads the trailer or object at an offset and returns where it ends.
func (s *scan) item(at int64, m []byte) (int64, error) {
	if string(m) == "trailer" {
		raw, v, start, err := s.f.valueAt(at + int64(len(m)))
		if err != nil || v.Kind() != Dict {
			return at + int64(len(m)), nil //nolint:nilerr // a word like another
		}
		if len(s.trailers) < 4*s.f.lim.Revisions {
			s.trailers = append(s.trailers, Object{Value: v, Raw: raw, Offset: start})
		}
		return start + int64(len(raw)), nil
	}
	g := objectStart.FindSubmatch(m)
	num, err1 := strconv.ParseInt(string(g[1]), 10, 64)
	gen, err2 := strconv.ParseInt(string(g[2]), 10, 64)
	if err1 != nil || err2 != nil || num == 0 || num > int64(s.f.lim.ObjectNumber) || gen > 65535 {
		return 0, refuse(ErrLimit, CodeObject, at, "object number out of range")
	}
	if len(s.defs) >= s.f.lim.RepairObjects {
		return 0, refuse(ErrLimit, CodeObject, at, "more than %d objects to repair", s.f.lim.RepairObjects)
	}
	d := definition{ref: Ref{Num: uint32(num), Gen: uint16(gen)}, found: at}
	var start int64
	var err error
	if d.raw, d.value, start, err = s.f.valueAt(at + int64(len(m))); err != nil {
		return 0, err
	}
	if _, dup := d.value.Duplicate(); dup {
		return 0, refuse(ErrAmbiguous, CodeObject, at, "key written twice")
	}
	if d.end, err = s.ending(&d, start+int64(len(d.raw))); err != nil {
		return 0, err
	}
	if d.stream != nil && d.value.Get("Type").Name() == "XRef" {
		if len(s.trailers) < 4*s.f.lim.Revisions {
			s.trailers = append(s.trailers, Object{Value: d.value, Raw: d.raw, Offset: start})
		}
		return d.end, nil
	}
	if !keepsValue(d) {
		d.value, d.raw = Value{}, nil
	}
	s.defs = append(s.defs, d)
	return d.end, nil
}

// keepsValue reports whether the value is needed after the scan; others are
// read again, so that the scan holds little.
func keepsValue(d definition) bool {
	t := d.value.Get("Type").Name()
	return d.anew || t == "ObjStm" || t == "Catalog" || d.value.Has("Linearized")
}

// ending reads what follows a value at pos and returns the end of the object.
func (s *scan) ending(d *definition, pos int64) (int64, error) {
	word, start, end, err := s.f.wordAt(pos)
	if err != nil {
		return 0, err
	}
	switch word {
	case "endobj":
		return end, nil
	case "stream":
		return s.stream(d, start+int64(len("stream")))
	}
	d.anew = true
	s.fixes[FixEndobj]++
	return pos, nil
}

// stream finds the data of a stream by its length, or else by the next endstream.
func (s *scan) stream(d *definition, pos int64) (int64, error) {
	if d.value.Kind() != Dict {
		return 0, damaged(CodeStream, pos, "stream without dictionary")
	}
	eol, err := s.f.bytesAt(pos, 2)
	if err != nil {
		return 0, err
	}
	switch {
	case bytes.HasPrefix(eol, []byte("\r\n")):
		pos += 2
	case bytes.HasPrefix(eol, []byte("\n")):
		pos++
	default:
		if bytes.HasPrefix(eol, []byte("\r")) {
			pos++
		}
		d.anew = true
		s.fixes[FixStreamStart]++
	}
	d.stream = &Span{Offset: pos}
	for _, n := range s.lengthsOf(d) {
		if n < 0 || n > s.f.size-pos {
			continue
		}
		if end, err := s.f.endstream(pos + n); err == nil {
			d.stream.Length = n
			return s.afterStream(d, end)
		}
	}
	end, err := s.find("endstream", pos)
	if err != nil {
		return 0, err
	}
	data, err := s.f.bytesAt(max(pos, end-2), int(min(2, end-pos)))
	if err != nil {
		return 0, err
	}
	n := end - pos
	switch {
	case bytes.HasSuffix(data, []byte("\r\n")):
		n -= 2
	case bytes.HasSuffix(data, []byte("\n")), bytes.HasSuffix(data, []byte("\r")):
		n--
	}
	d.stream.Length, d.anew = n, true
	s.fixes[FixStreamLength]++
	return s.afterStream(d, end+int64(len("endstream")))
}

// lengthsOf returns what /Length may say. Where an indirect one is not clear,
// the object is written anew with what fits.
func (s *scan) lengthsOf(d *definition) []int64 {
	v := d.value.Get("Length")
	if n, ok := v.Int(); ok {
		return []int64{n}
	}
	r, ok := v.Ref()
	if !ok {
		return nil
	}
	if len(s.lengths[r.Num]) != 1 && !d.anew {
		d.anew = true
		s.fixes[FixStreamLength]++
	}
	return s.lengths[r.Num]
}

func (s *scan) afterStream(d *definition, end int64) (int64, error) {
	word, _, after, err := s.f.wordAt(end)
	if err == nil && word == "endobj" {
		return after, nil
	}
	if !d.anew {
		s.fixes[FixEndobj]++
	}
	d.anew = true
	return end, nil
}

// find returns where a word stands next.
func (s *scan) find(word string, pos int64) (int64, error) {
	re, at := regexp.MustCompile(word), int64(-1)
	err := s.each(re, pos, func(where int64, _ []byte) (int64, error) {
		at = where
		return -1, nil
	})
	if err == nil && at < 0 {
		err = damaged(CodeStream, pos, "no %s up to the end of the file", word)
	}
	return at, err
}
