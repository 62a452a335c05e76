package pades

import (
	"bytes"
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// maxGap is how many bytes between objects of an update are looked at.
const maxGap = 4096

// tiling checks that the bytes of the revision are its objects, its
// cross-reference sections and white space or comments, and nothing else: no
// second definition of an object, nothing that only some readers would find.
func (s *step) tiling() error {
	revs, err := s.v.f.Revisions()
	if err != nil {
		return err
	}
	rev := revs[s.rev]
	spans, err := s.v.f.SectionSpans(s.rev)
	if err != nil {
		return err
	}
	for _, sp := range spans {
		if sp.Offset < rev.Start || sp.Offset+sp.Length > rev.End {
			s.forbid("structure", 0, "cross-reference section outside its revision")
			return nil
		}
	}
	sections := slices.Clone(spans)
	err = s.v.f.Added(s.rev, func(num uint32, _ cos.Entry) error {
		e, err := s.b.Lookup(num)
		if err != nil {
			return err
		}
		switch e.Kind {
		case cos.InUse:
			return s.inUse(num, e, rev, sections, &spans)
		case cos.Compressed:
			return s.container(num, e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.gaps(rev, spans)
}

func (s *step) inUse(num uint32, e cos.Entry, rev cos.Revision, sections []cos.Span, spans *[]cos.Span) error {
	if old, err := s.a.Lookup(num); err != nil || old == e {
		return err
	}
	if e.Offset < rev.Start || e.Offset >= rev.End {
		s.forbid("structure", num, "points to bytes of an earlier revision")
		return nil
	}
	o, err := s.b.Get(cos.Ref{Num: num, Gen: e.Gen})
	if err != nil {
		return err
	}
	*spans = append(*spans, cos.Span{Offset: o.Header, Length: o.End - o.Header})
	for _, sp := range sections {
		if sp.Offset == o.Header && s.added[num] {
			s.claim(num, "cross-reference stream")
		}
	}
	return nil
}

// container claims the object stream that holds an object of the revision; it
// must be new.
func (s *step) container(num uint32, e cos.Entry) error {
	if old, err := s.a.Lookup(num); err != nil || old == e {
		return err
	}
	if !s.added[e.Container] {
		s.forbid("structure", num, "lies in an object stream of an earlier revision")
		return nil
	}
	s.claim(e.Container, "object stream")
	return nil
}

// gaps checks what lies between the spans of a revision.
func (s *step) gaps(rev cos.Revision, spans []cos.Span) error {
	slices.SortFunc(spans, func(a, b cos.Span) int {
		switch {
		case a.Offset < b.Offset:
			return -1
		case a.Offset > b.Offset:
			return 1
		}
		return 0
	})
	pos := rev.Start
	for i, sp := range spans {
		if i > 0 && sp == spans[i-1] {
			continue // a cross-reference stream that lists itself
		}
		if sp.Offset < pos {
			s.forbid("structure", 0, "objects overlap at byte %d", sp.Offset)
			return nil
		}
		if err := s.gap(pos, sp.Offset-pos); err != nil {
			return err
		}
		pos = sp.Offset + sp.Length
	}
	// Behind the last section stand only startxref and %%EOF, which reading
	// the revisions has checked; they must come right after it.
	last := int64(0)
	sections, err := s.v.f.SectionSpans(s.rev)
	if err != nil {
		return err
	}
	for _, sp := range sections {
		last = max(last, sp.Offset+sp.Length)
	}
	if pos != last {
		s.forbid("structure", 0, "objects behind the cross-reference section")
	}
	return nil
}

func (s *step) gap(off, n int64) error {
	if n == 0 {
		return nil
	}
	if n > maxGap {
		s.forbid("structure", 0, "%d bytes at %d that no object owns", n, off)
		return nil
	}
	text, err := readAt(s.v.f.Reader(), off, int(n))
	if err != nil {
		return err
	}
	for line := range bytes.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = bytes.Trim(line, " \t\f\x00")
		if len(line) == 0 || line[0] == '%' && !bytes.HasPrefix(line, []byte("%%EOF")) && !bytes.HasPrefix(line, []byte("%PDF")) {
			continue
		}
		s.forbid("structure", 0, "bytes at %d that no object owns", off)
		return nil
	}
	return nil
}
