package cos

import "bytes"

// Revision is one state of a file: the bytes up to the end of an incremental
// update (§7.5.6). Revision 0 is the file as first written.
type Revision struct {
	// Start is where its own bytes begin, End is after its "%%EOF" and the
	// end of line that follows, if any. The last revision ends with the file.
	Start, End int64
	// EOF is the offset after its "%%EOF", without an end of line.
	EOF int64
	// sections are the sections it adds, newest first, with the older ones
	// behind them in File.sections from index at.
	at, count int
}

// Revisions returns the revisions of the file, oldest first. It refuses a file
// in which the sections do not follow each other in the order of their /Prev,
// except for the two of a linearized first revision, or in which a revision
// does not end with "startxref N %%EOF" of its own newest section.
func (f *File) Revisions() ([]Revision, error) {
	if !f.revsDone {
		f.revs, f.revsErr = f.findRevisions()
		f.revsDone = true
	}
	return f.revs, f.revsErr
}

func (f *File) findRevisions() ([]Revision, error) {
	var out []Revision
	start := int64(0)
	for i := len(f.sections) - 1; i >= 0; {
		r := Revision{Start: start, at: i, count: 1}
		from := f.sections[i].lastEnd()
		if i > 0 && len(out) == 0 && f.sections[i-1].offset < f.sections[i].offset {
			// Linearized (annex F): the section that /Prev reaches last stands
			// at the end, the one that startxref names at the beginning.
			r.at, r.count = i-1, 2
		}
		for r.at > 0 && f.joined(from, f.sections[r.at-1]) {
			r.at--
			r.count++
			from = f.sections[r.at].lastEnd()
		}
		if f.sections[i].offset < start {
			return nil, refuse(ErrAmbiguous, CodeRevision, f.sections[i].offset, "sections are not in the order of their /Prev")
		}
		if err := f.endOfRevision(&r, from); err != nil {
			return nil, err
		}
		i = r.at - 1
		if i < 0 {
			if err := f.blank(r.EOF, f.size); err != nil {
				return nil, err
			}
			r.End = f.size
		}
		out = append(out, r)
		start = r.End
	}
	return out, nil
}

// blank checks that nothing but white space stands in the file from one offset
// to another.
func (f *File) blank(from, to int64) error {
	if to-from <= int64(f.lim.Trailing) {
		text, err := f.bytesAt(from, int(to-from))
		if err != nil {
			return err
		}
		if len(bytes.Trim(text, " \n\r\t\x00\f")) == 0 {
			return nil
		}
	}
	return refuse(ErrAmbiguous, CodeRevision, from, "bytes that belong to no revision")
}

// joined reports whether section s follows at from without a startxref
// between: some writers of hybrid files put two tables in one update, the
// second for the part that only newer readers see.
func (f *File) joined(from int64, s *section) bool {
	if s.offset < from || s.hybrid == nil {
		return false
	}
	gap := []Span{{Offset: from, Length: s.offset - from}}
	if h := s.hybrid; h.offset >= from && h.end <= s.offset {
		gap = []Span{{Offset: from, Length: h.offset - from}, {Offset: h.end, Length: s.offset - h.end}}
	}
	for _, g := range gap {
		if g.Length > 1024 {
			return false
		}
		text, err := f.bytesAt(g.Offset, int(g.Length))
		if err != nil || len(bytes.Trim(text, " \r\n\t\x00\f")) > 0 {
			return false
		}
	}
	return true
}

// lastEnd returns where the section ends, with its hybrid part.
func (s *section) lastEnd() int64 {
	if s.hybrid != nil {
		return max(s.end, s.hybrid.end)
	}
	return s.end
}

// endOfRevision reads "startxref N %%EOF" after the section that ends at from.
func (f *File) endOfRevision(r *Revision, from int64) error {
	text, err := f.bytesAt(from, 1024)
	if err != nil {
		return err
	}
	l := lexer{text: text, base: from, final: true}
	if err := l.skipSpace(); err != nil {
		return err
	}
	if !bytes.HasPrefix(text[l.pos:], []byte("startxref")) {
		return refuse(ErrAmbiguous, CodeRevision, from, "no startxref after a cross-reference section")
	}
	n, end, err := parseStartXref(text[l.pos:])
	if err != nil {
		return damaged(CodeRevision, from, "%v", err)
	}
	if newest := f.sections[r.at]; n != newest.offset && n != newest.sought {
		return refuse(ErrAmbiguous, CodeRevision, from, "startxref of a revision names another section")
	}
	i := l.pos + end
	r.EOF = from + int64(i)
	switch {
	case bytes.HasPrefix(text[i:], []byte("\r\n")):
		i += 2
	case i < len(text) && (text[i] == '\n' || text[i] == '\r'):
		i++
	}
	r.End = from + int64(i)
	return nil
}

// AtRevision returns the file as it was at the end of revision i: a File that
// reads only the first Revision.End bytes.
func (f *File) AtRevision(i int) (*File, error) {
	revs, err := f.Revisions()
	if err != nil {
		return nil, err
	}
	r := revs[i]
	return &File{
		r: f.r, size: r.End, lim: f.lim, version: f.version, startRef: f.sections[r.at].sought,
		sections: f.sections[r.at:], inflated: f.inflated, objstms: map[uint32]*objectStream{}, cache: f.cache, crypt: f.crypt,
	}, nil
}

// Added returns the entries that revision i lists, in the order written, with
// what they mean together with a hybrid part.
func (f *File) Added(i int, fn func(num uint32, e Entry) error) error {
	revs, err := f.Revisions()
	if err != nil {
		return err
	}
	r := revs[i]
	for _, s := range f.sections[r.at : r.at+r.count] {
		if err := s.each(fn); err != nil {
			return err
		}
	}
	return nil
}

// each calls fn for every number that the section or its hybrid part lists.
func (s *section) each(fn func(num uint32, e Entry) error) error {
	for _, part := range []*section{s, s.hybrid} {
		if part == nil {
			continue
		}
		for _, sub := range part.subs {
			for k := range sub.count {
				num := sub.first + k
				if part == s.hybrid {
					if e, err := s.find(num); err != nil || e.Kind != Absent {
						if err != nil {
							return err
						}
						continue // told with the table
					}
				}
				e, err := s.effective(num)
				if err != nil {
					return err
				}
				if err := fn(num, e); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// SectionSpans returns where the cross-reference sections of revision i stand
// in the file: from "xref" or "N G obj" to the end of the trailer dictionary
// or endobj.
func (f *File) SectionSpans(i int) ([]Span, error) {
	revs, err := f.Revisions()
	if err != nil {
		return nil, err
	}
	var out []Span
	for _, s := range f.sections[revs[i].at : revs[i].at+revs[i].count] {
		out = append(out, Span{Offset: s.offset, Length: s.end - s.offset})
		if s.hybrid != nil {
			out = append(out, Span{Offset: s.hybrid.offset, Length: s.hybrid.end - s.hybrid.offset})
		}
	}
	return out, nil
}

// Objects calls fn once for every object in use, with its effective entry,
// newest sections first.
func (f *File) Objects(fn func(num uint32, e Entry) error) error {
	seen := make([]uint64, f.NextNumber()/64+1)
	for _, s := range f.sections {
		err := s.each(func(num uint32, e Entry) error {
			if seen[num/64]&(1<<(num%64)) != 0 {
				return nil
			}
			seen[num/64] |= 1 << (num % 64)
			if e.Kind != InUse && e.Kind != Compressed {
				return nil
			}
			return fn(num, e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Names reports whether a section of any revision says that an object with
// that number begins at that offset, or is the section that begins there.
func (f *File) Names(num, off int64) bool {
	for _, s := range f.sections {
		for _, part := range []*section{s, s.hybrid} {
			if part == nil {
				continue
			}
			if part.isStream && part.offset == off {
				return true
			}
			if num > int64(f.lim.ObjectNumber) {
				continue
			}
			if e, err := part.find(uint32(num)); err == nil && e.Kind == InUse && sameStart(f, e.Offset, off) {
				return true
			}
		}
	}
	return false
}

// sameStart reports whether an entry for offset from means the object at off:
// white space may come first.
func sameStart(f *File, from, off int64) bool {
	if from == off {
		return true
	}
	if from > off || off-from > 64 {
		return false
	}
	text, err := f.bytesAt(from, int(off-from))
	return err == nil && len(bytes.TrimSpace(text)) == 0
}

// IsSection reports whether a cross-reference section begins at that offset.
func (f *File) IsSection(off int64) bool {
	for _, s := range f.sections {
		if s.offset == off || s.hybrid != nil && s.hybrid.offset == off {
			return true
		}
	}
	return false
}
