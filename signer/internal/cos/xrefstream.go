package cos

// readXrefStream reads the cross-reference stream at off (§7.5.8).
func (f *File) readXrefStream(off int64) (*section, error) {
	o, err := f.objectAt(off)
	if err != nil {
		return nil, err
	}
	d := o.Value
	if o.Stream == nil || d.Get("Type").Name() != "XRef" {
		return nil, damaged(CodeXref, off, "object is no cross-reference stream")
	}
	s := &section{sought: off, offset: o.Header, end: o.End, isStream: true, object: o.Ref, trailer: *o, prev: -1}
	row, err := s.readWidths()
	if err != nil {
		return nil, err
	}
	if s.data, err = f.decode(o, f.lim.XrefBytes); err != nil {
		return nil, err
	}
	if err := f.readIndex(s, row); err != nil {
		return nil, err
	}
	if err := s.seal(); err != nil {
		return nil, err
	}
	return s, f.readLinks(s)
}

// readWidths reads /W and returns the length of a row.
func (s *section) readWidths() (int, error) {
	w := s.trailer.Value.Get("W")
	if w.Kind() != Array || w.Len() != 3 {
		return 0, damaged(CodeXref, s.offset, "/W is not an array of three")
	}
	row := 0
	for i := range 3 {
		n, ok := w.Elem(i).Int()
		if !ok || n < 0 || n > 8 {
			return 0, damaged(CodeXref, s.offset, "width outside 0 to 8")
		}
		s.widths[i] = int(n)
		row += int(n)
	}
	if row == 0 {
		return 0, damaged(CodeXref, s.offset, "rows of no bytes")
	}
	return row, nil
}

// readIndex reads /Index, by default [0 Size].
func (f *File) readIndex(s *section, row int) error {
	rows := int64(len(s.data) / row)
	size, ok := s.trailer.Value.Get("Size").Int()
	if !ok || size < 0 {
		return damaged(CodeXref, s.offset, "/Size is no count")
	}
	idx := s.trailer.Value.Get("Index")
	if idx.IsNull() {
		if size > rows {
			return damaged(CodeXref, s.offset, "fewer rows than /Size says")
		}
		return s.add(subsection{count: uint32(size), stride: row}, &f.lim)
	}
	if idx.Kind() != Array || idx.Len()%2 != 0 {
		return damaged(CodeXref, s.offset, "/Index is not an array of pairs")
	}
	at := int64(0)
	for i := 0; i < idx.Len(); i += 2 {
		first, ok1 := idx.Elem(i).Int()
		count, ok2 := idx.Elem(i + 1).Int()
		if !ok1 || !ok2 || first < 0 || count < 0 {
			return damaged(CodeXref, s.offset, "/Index holds something else than counts")
		}
		if first > int64(f.lim.ObjectNumber) {
			return refuse(ErrLimit, CodeXref, s.offset, "object number above %d", f.lim.ObjectNumber)
		}
		if count > rows-at {
			return damaged(CodeXref, s.offset, "fewer rows than /Index says")
		}
		if err := s.add(subsection{first: uint32(first), count: uint32(count), at: int(at) * row, stride: row}, &f.lim); err != nil {
			return err
		}
		at += count
	}
	return nil
}

// streamEntry reads one row (§7.5.8.3). A row of unknown type is a null object.
func (s *section) streamEntry(row []byte) (Entry, error) {
	var v [3]uint64
	at := 0
	for i, w := range s.widths {
		for range w {
			v[i] = v[i]<<8 | uint64(row[at])
			at++
		}
	}
	if s.widths[0] == 0 {
		v[0] = 1
	}
	switch v[0] {
	case 0:
		return Entry{Kind: Free, Gen: uint16(min(v[2], 65535))}, nil
	case 1:
		if v[1] > 1<<62 || v[2] > 65535 {
			return Entry{}, damaged(CodeXref, s.offset, "row out of range")
		}
		if v[1] == 0 {
			return Entry{Kind: Free, Gen: uint16(v[2])}, nil
		}
		return Entry{Kind: InUse, Offset: int64(v[1]), Gen: uint16(v[2])}, nil
	case 2:
		if v[1] > 1<<31 || v[2] > 1<<30 {
			return Entry{}, damaged(CodeXref, s.offset, "row out of range")
		}
		return Entry{Kind: Compressed, Container: uint32(v[1]), Index: int(v[2])}, nil
	default:
		return Entry{Kind: Free}, nil
	}
}
