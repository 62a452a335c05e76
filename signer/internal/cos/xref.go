package cos

import (
	"bytes"
	"errors"
	"sort"
)

// EntryKind is the type of a cross-reference entry (§7.5.4, §7.5.8.3).
type EntryKind uint8

// Kinds of entries. Absent is the zero kind.
const (
	Absent EntryKind = iota
	Free
	InUse
	Compressed
)

// Entry says where an object is.
type Entry struct {
	Kind      EntryKind
	Gen       uint16
	Offset    int64  // InUse: byte offset of "N G obj"
	Container uint32 // Compressed: number of the object stream
	Index     int    // Compressed: index within it
}

// subsection is a run of entries: numbers first … first+count-1, written in
// section.data from at, stride bytes each.
type subsection struct {
	first  uint32
	count  uint32
	at     int
	stride int
}

// section is one cross-reference table or stream.
type section struct {
	sought   int64 // where /Prev or startxref points: white space may follow
	offset   int64 // of "xref" or of the stream's "N G obj"
	end      int64 // after the trailer dictionary or after "endobj"
	isStream bool
	object   Ref // of the stream
	trailer  Object
	subs     []subsection // sorted by first, not overlapping
	data     []byte       // entries as written in the table, or decoded
	widths   [3]int       // stream only
	hybrid   *section     // what /XRefStm points to
	prev     int64        // -1: none
}

// next returns the least number above all entries and the /Size.
func (s *section) next() uint32 {
	n := uint32(0)
	if k := len(s.subs); k > 0 {
		n = s.subs[k-1].first + s.subs[k-1].count
	}
	if size, ok := s.trailer.Value.Get("Size").Int(); ok && size > int64(n) && size <= 1<<23 {
		n = uint32(size)
	}
	return n
}

// find returns the entry of an object in this section alone.
func (s *section) find(num uint32) (Entry, error) {
	i := sort.Search(len(s.subs), func(i int) bool { return s.subs[i].first > num })
	if i == 0 || num-s.subs[i-1].first >= s.subs[i-1].count {
		return Entry{}, nil
	}
	sub := &s.subs[i-1]
	row := s.data[sub.at+int(num-sub.first)*sub.stride:]
	if s.isStream {
		return s.streamEntry(row)
	}
	return s.tableEntry(row)
}

// tableEntry reads "nnnnnnnnnn ggggg n" (§7.5.4).
func (s *section) tableEntry(row []byte) (Entry, error) {
	off, ok := digits(row[:10])
	gen, ok2 := digits(row[11:16])
	if !ok || !ok2 || row[10] != ' ' || row[16] != ' ' {
		return Entry{}, damaged(CodeXref, s.offset, "malformed entry")
	}
	switch {
	case row[17] == 'n' && off > 0 && gen <= 65535:
		return Entry{Kind: InUse, Offset: off, Gen: uint16(gen)}, nil
	case row[17] == 'f' || row[17] == 'n' && off == 0: // at offset 0 is the header, no object
		return Entry{Kind: Free, Gen: uint16(min(gen, 65535))}, nil
	}
	return Entry{}, damaged(CodeXref, s.offset, "entry of type %q", row[17])
}

func digits(b []byte) (int64, bool) {
	n := int64(0)
	for _, c := range b {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// add appends a subsection, keeping the total bounded.
func (s *section) add(sub subsection, lim *Limits) error {
	if uint64(sub.first)+uint64(sub.count) > uint64(lim.ObjectNumber)+1 {
		return refuse(ErrLimit, CodeXref, s.offset, "object number above %d", lim.ObjectNumber)
	}
	if len(s.subs) >= lim.Subsections {
		return refuse(ErrLimit, CodeXref, s.offset, "more than %d subsections", lim.Subsections)
	}
	if sub.count > 0 {
		s.subs = append(s.subs, sub)
	}
	return nil
}

// seal sorts the subsections and refuses a number that is listed twice.
func (s *section) seal() error {
	sort.SliceStable(s.subs, func(i, j int) bool { return s.subs[i].first < s.subs[j].first })
	for i := 1; i < len(s.subs); i++ {
		if s.subs[i].first-s.subs[i-1].first < s.subs[i-1].count {
			return refuse(ErrAmbiguous, CodeXref, s.offset, "object %d is listed twice", s.subs[i].first)
		}
	}
	return nil
}

// readSections follows /Prev from off (§7.5.6) and fills f.sections; those
// that older has read, which is the beginning of this file or nil, are taken
// from there.
func (f *File) readSections(off int64, older *File) error {
	seen := map[int64]bool{}
	total := int64(0)
	for off >= 0 {
		if older != nil && off == older.startRef {
			if n := len(f.sections) + len(older.sections) - 1; n > f.lim.Revisions {
				return refuse(ErrLimit, CodeXref, off, "more than %d revisions", f.lim.Revisions)
			}
			f.sections = append(f.sections, older.sections...)
			return nil
		}
		if seen[off] {
			return refuse(ErrAmbiguous, CodeXref, off, "/Prev loop")
		}
		seen[off] = true
		if len(f.sections) > f.lim.Revisions {
			return refuse(ErrLimit, CodeXref, off, "more than %d revisions", f.lim.Revisions)
		}
		s, err := f.readSection(off)
		if err != nil {
			return err
		}
		if s.hybrid != nil {
			total += int64(len(s.hybrid.data))
		}
		if total += int64(len(s.data)); total > f.lim.XrefBytes {
			return refuse(ErrLimit, CodeXref, off, "cross-reference sections of more than %d bytes", f.lim.XrefBytes)
		}
		f.sections = append(f.sections, s)
		off = s.prev
	}
	return nil
}

func (f *File) readSection(off int64) (*section, error) {
	head, err := f.bytesAt(off, 64)
	if err != nil {
		return nil, err
	}
	i := 0
	for i < len(head) && isSpace(head[i]) {
		i++
	}
	if i == len(head) {
		return nil, damaged(CodeXref, off, "no cross-reference section")
	}
	if bytes.HasPrefix(head[i:], []byte("xref")) {
		return f.readTable(off, off+int64(i))
	}
	if !isDigit(head[i]) {
		return nil, damaged(CodeXref, off, "no cross-reference section")
	}
	return f.readXrefStream(off)
}

// readTable reads the table whose "xref" is at pos; off is where it was sought.
func (f *File) readTable(off, pos int64) (*section, error) {
	s := &section{sought: off, offset: pos, prev: -1}
	pos += int64(len("xref"))
	for {
		first, count, next, found, err := f.subsectionHead(pos)
		if err != nil {
			return nil, err
		}
		if !found {
			pos = next
			break
		}
		if pos, err = f.readTableEntries(s, first, count, next); err != nil {
			return nil, err
		}
	}
	if err := s.seal(); err != nil {
		return nil, err
	}
	raw, v, start, err := f.valueAt(pos)
	if err != nil {
		return nil, err
	}
	if v.Kind() != Dict {
		return nil, damaged(CodeTrailer, pos, "trailer is a %v", v.Kind())
	}
	s.trailer = Object{Value: v, Raw: raw, Offset: start}
	s.end = start + int64(len(raw))
	if err := f.readLinks(s); err != nil {
		return nil, err
	}
	return s, f.readHybrid(s)
}

// subsectionHead reads "first count" or "trailer" at pos. found is false for a
// trailer, and next is then the offset after the word.
func (f *File) subsectionHead(pos int64) (first, count, next int64, found bool, err error) {
	text, err := f.bytesAt(pos, 256)
	if err != nil {
		return 0, 0, 0, false, err
	}
	l := lexer{text: text, base: pos, final: pos+int64(len(text)) == f.size}
	t, err := l.next()
	if err != nil {
		return 0, 0, 0, false, tooLong(err, CodeXref, pos)
	}
	if t.kind == tokKeyword && t.str == "trailer" {
		return 0, 0, pos + int64(t.end), false, nil
	}
	u, err := l.next()
	if err != nil {
		return 0, 0, 0, false, tooLong(err, CodeXref, pos)
	}
	if t.kind != tokInteger || u.kind != tokInteger || t.num < 0 || u.num < 0 {
		return 0, 0, 0, false, damaged(CodeXref, pos+int64(t.start), "neither subsection nor trailer")
	}
	return t.num, u.num, pos + int64(u.end), true, nil
}

// tooLong turns errShort, where a bounded window must suffice, into a fault.
func tooLong(err error, code Code, off int64) error {
	if errors.Is(err, errShort) {
		return damaged(code, off, "token too long")
	}
	return err
}

// readTableEntries reads count entries that follow the line that ends at pos.
// Entries are 20 bytes; tables with 19 or 21 throughout are read too.
func (f *File) readTableEntries(s *section, first, count, pos int64) (int64, error) {
	const least = 19
	if first > int64(f.lim.ObjectNumber) || count > int64(f.lim.ObjectNumber)+1 {
		return 0, refuse(ErrLimit, CodeXref, pos, "object number above %d", f.lim.ObjectNumber)
	}
	if count > (f.size-pos)/(least-1) || count*20 > f.lim.XrefBytes {
		return 0, damaged(CodeXref, pos, "more entries than the file can hold")
	}
	text, err := f.bytesAt(pos, 64)
	if err != nil {
		return 0, err
	}
	i := 0
	for i < len(text) && isSpace(text[i]) {
		i++
	}
	if count == 0 {
		return pos + int64(i), nil
	}
	stride := 18
	for i+stride < len(text) && isSpace(text[i+stride]) && stride < 22 {
		stride++
	}
	if count > 1 && (stride < least || stride > 21) {
		return 0, damaged(CodeXref, pos, "entry that is not 20 bytes long")
	}
	pos += int64(i)
	length := (count-1)*int64(stride) + 18
	if pos+length > f.size {
		return 0, damaged(CodeXref, pos, "table reaches beyond the file")
	}
	data, err := f.bytesAt(pos, int(length))
	if err != nil {
		return 0, err
	}
	sub := subsection{first: uint32(first), count: uint32(count), at: len(s.data), stride: stride}
	s.data = append(s.data, data...)
	for k := 0; k < len(data); k += stride {
		if _, err := s.tableEntry(data[k:]); err != nil {
			return 0, err
		}
	}
	return pos + length, s.add(sub, &f.lim)
}

// readLinks checks /Prev of a section's trailer.
func (f *File) readLinks(s *section) error {
	if k, dup := s.trailer.Value.Duplicate(); dup {
		_ = k
		return refuse(ErrAmbiguous, CodeTrailer, s.offset, "key written twice")
	}
	p := s.trailer.Value.Get("Prev")
	if p.IsNull() {
		return nil
	}
	n, ok := p.Int()
	if !ok || n <= 0 || n >= f.size {
		return damaged(CodeTrailer, s.offset, "/Prev is not an offset in the file")
	}
	s.prev = n
	return nil
}

// readHybrid reads the stream that /XRefStm of a table names (§7.5.8.4). An
// object that both list must be at the same place: readers that know streams
// and readers that do not must see the same.
func (f *File) readHybrid(s *section) error {
	p := s.trailer.Value.Get("XRefStm")
	if p.IsNull() {
		return nil
	}
	n, ok := p.Int()
	if !ok || n <= 0 || n >= f.size {
		return damaged(CodeTrailer, s.offset, "/XRefStm is not an offset in the file")
	}
	h, err := f.readXrefStream(n)
	if err != nil {
		return err
	}
	for _, sub := range h.subs {
		for i := range sub.count {
			a, err := s.find(sub.first + i)
			if err != nil {
				return err
			}
			b, err := h.find(sub.first + i)
			if err != nil {
				return err
			}
			if a.Kind == InUse && a != b {
				return refuse(ErrAmbiguous, CodeXref, n, "hybrid parts disagree about object %d", sub.first+i)
			}
		}
	}
	s.hybrid = h
	return nil
}

// Lookup returns the entry of an object: from the newest section that lists
// it, tables before their hybrid part; Absent if none does.
func (f *File) Lookup(num uint32) (Entry, error) {
	for _, s := range f.sections {
		e, err := s.effective(num)
		if err != nil || e.Kind != Absent {
			return e, err
		}
	}
	return Entry{}, nil
}

// effective is find with the hybrid part: what the table leaves free, the
// stream may define.
func (s *section) effective(num uint32) (Entry, error) {
	e, err := s.find(num)
	if err != nil || s.hybrid == nil || e.Kind == InUse {
		return e, err
	}
	h, err := s.hybrid.find(num)
	if err != nil || h.Kind == Absent {
		return e, err
	}
	return h, nil
}
