package cos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
)

// Kinds of repair that [Repaired.Fixes] counts. Values are stable.
const (
	FixHeader       = "header"        // bytes before the header were left out
	FixXref         = "xref"          // the cross-reference was made anew
	FixTrailer      = "trailer"       // no trailer names the catalog: the only one was taken
	FixStreamLength = "stream-length" // the length of a stream was corrected
	FixStreamStart  = "stream-start"  // no proper end of line before the data of a stream
	FixEndobj       = "endobj"        // an object without its end
	FixSuperseded   = "superseded"    // an older definition of an object was left out
	FixComment      = "comment"       // an object within a comment was left out
	FixLinearized   = "linearized"    // the hints for reading page by page were left out
)

// ErrSigned: the file holds a signature, which a repair would break.
var ErrSigned = errors.New("cos: file holds a signature")

// Repaired is a file made from a damaged one: all objects of it, each in its
// newest form and as it was written, behind a new cross-reference. It reads
// from the damaged file.
type Repaired struct {
	// Fixes counts what was done, by kind.
	Fixes map[string]int
	// Objects is how many objects it has.
	Objects int

	r      io.ReaderAt
	pieces []piece
	size   int64
}

// piece is a part of a repaired file: text, or a span of the damaged file.
type piece struct {
	at   int64
	text []byte
	from Span
}

func (p *piece) len() int64 {
	if p.text != nil {
		return int64(len(p.text))
	}
	return p.from.Length
}

// Size returns the size of the repaired file in bytes.
func (p *Repaired) Size() int64 { return p.size }

// ReadAt implements io.ReaderAt.
func (p *Repaired) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("cos: negative offset")
	}
	i := sort.Search(len(p.pieces), func(i int) bool { return p.pieces[i].at+p.pieces[i].len() > off })
	n := 0
	for ; n < len(b) && i < len(p.pieces); i++ {
		q := &p.pieces[i]
		skip := off + int64(n) - q.at
		if q.text != nil {
			n += copy(b[n:], q.text[skip:])
			continue
		}
		want := int(min(int64(len(b)-n), q.from.Length-skip))
		m, err := p.r.ReadAt(b[n:n+want], q.from.Offset+skip)
		n += m
		if m < want {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (p *Repaired) add(q piece) {
	q.at = p.size
	p.size += q.len()
	p.pieces = append(p.pieces, q)
}

func (p *Repaired) write(format string, args ...any) {
	p.add(piece{text: fmt.Appendf(nil, format, args...)})
}

// Repair makes a file that reads strictly from one that does not: whose header
// is not at byte 0, or whose cross-reference is wrong. It finds the objects by
// reading the whole file; of an object that is defined more than once the last
// counts. Nothing is dropped that does not read, and nothing guessed at: then
// the file is refused. A file with a signature is refused with [ErrSigned],
// since no signature survives.
//
// What comes out is another document than what some reader may have shown of
// the damaged one: a person must look at it before it is used.
func Repair(ctx context.Context, r io.ReaderAt, size int64, password string, lim Limits) (*Repaired, error) {
	lim = lim.withDefaults()
	if size > lim.RepairSize {
		return nil, refuse(ErrLimit, CodeSize, -1, "file of %d bytes, at most %d are repaired", size, lim.RepairSize)
	}
	f := &File{r: r, size: size, lim: lim, inflated: new(int64), objstms: map[uint32]*objectStream{}, cache: newCache()}
	start, version, err := f.findHeader()
	if err != nil {
		return nil, err
	}
	s := &scan{f: f, ctx: ctx, fixes: map[string]int{FixXref: 1}}
	if start > 0 {
		s.fixes[FixHeader] = 1
	}
	if at, err := s.find(`/ByteRange`, 0); err == nil && at >= 0 {
		return nil, fmt.Errorf("%w at byte %d", ErrSigned, at)
	} else if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := s.run(start); err != nil {
		return nil, err
	}
	b := &rebuild{s: s, version: version, password: password}
	return b.run()
}

// findHeader finds "%PDF-n.n" in the first 1,024 bytes.
func (f *File) findHeader() (int64, string, error) {
	head, err := f.bytesAt(0, 1024+8)
	if err != nil {
		return 0, "", err
	}
	at := bytes.Index(head, []byte("%PDF-"))
	if at < 0 || len(head) < at+8 || !isDigit(head[at+5]) || head[at+6] != '.' || !isDigit(head[at+7]) {
		return 0, "", refuse(ErrHeader, CodeHeader, 0, "none in the first 1,024 bytes")
	}
	return int64(at), string(head[at+5 : at+8]), nil
}

// rebuild lays a repaired file out.
type rebuild struct {
	s        *scan
	version  string
	password string
	last     map[uint32]int // index in defs of the newest plain definition
	packed   map[uint32]Entry
	trailer  Object
	root     Ref
	out      *Repaired
}

func (b *rebuild) run() (*Repaired, error) {
	b.last = map[uint32]int{}
	for i, d := range b.s.defs {
		if _, twice := b.last[d.ref.Num]; twice {
			b.s.fixes[FixSuperseded]++
		}
		b.last[d.ref.Num] = i
	}
	if err := b.chooseTrailer(); err != nil {
		return nil, err
	}
	if err := b.unpack(); err != nil {
		return nil, err
	}
	b.layout()
	b.finish()
	f, err := OpenPassword(b.out, b.out.size, b.password, b.s.f.lim)
	if err != nil {
		return nil, err
	}
	if _, err := f.Revisions(); err != nil {
		return nil, err
	}
	return b.out, b.check(f)
}

// check reads every object of the result: each must be what it was, and none a
// signature.
func (b *rebuild) check(f *File) error {
	return f.Objects(func(num uint32, e Entry) error {
		if err := b.s.ctx.Err(); err != nil {
			return err
		}
		o, err := f.Get(Ref{Num: num, Gen: e.Gen})
		if err != nil {
			return err
		}
		if signed(o.Value) {
			return fmt.Errorf("%w: object %d", ErrSigned, num)
		}
		return nil
	})
}

// signed reports whether a signature dictionary stands anywhere in v.
func signed(v Value) bool {
	found := false
	v.Visit(func(d Value) bool {
		found = found || d.Kind() == Dict && d.Has("ByteRange")
		return !found
	})
	return found
}

// chooseTrailer takes the last trailer that names a catalog, or else the one
// catalog there is.
func (b *rebuild) chooseTrailer() error {
	for _, t := range slices.Backward(b.s.trailers) {
		if r, ok := t.Value.Get("Root").Ref(); ok {
			if _, dup := t.Value.Duplicate(); dup {
				return refuse(ErrAmbiguous, CodeTrailer, t.Offset, "key written twice")
			}
			b.trailer, b.root = t, r
			return b.sameEncryption()
		}
	}
	for _, i := range b.last {
		if d := b.s.defs[i]; d.value.Get("Type").Name() == "Catalog" {
			if b.root.Num != 0 {
				return refuse(ErrAmbiguous, CodeTrailer, d.found, "no trailer, and more than one catalog")
			}
			b.root = d.ref
		}
	}
	if b.root.Num == 0 {
		return damaged(CodeTrailer, -1, "no trailer and no catalog")
	}
	b.s.fixes[FixTrailer] = 1
	return nil
}

// sameEncryption refuses trailers that disagree about the encryption.
func (b *rebuild) sameEncryption() error {
	for _, t := range b.s.trailers {
		if t.Value.Has("Root") && !Equal(t.Value.Get("Encrypt"), b.trailer.Value.Get("Encrypt")) {
			return refuse(ErrAmbiguous, CodeEncrypt, t.Offset, "trailers disagree about /Encrypt")
		}
	}
	return nil
}

// unpack finds the objects in object streams. Of an object that is defined
// more than once, the last in the file counts; an object in an object stream
// stands where that does.
func (b *rebuild) unpack() error {
	b.packed = map[uint32]Entry{}
	b.layout()
	f := &File{r: b.out, size: b.out.size, lim: b.s.f.lim, inflated: b.s.f.inflated, objstms: map[uint32]*objectStream{}, cache: newCache()}
	f.sections = []*section{b.section()}
	if v := b.trailer.Value.Get("Encrypt"); !v.IsNull() {
		if r, ok := v.Ref(); ok && b.times(r.Num) != 1 {
			return refuse(ErrAmbiguous, CodeEncrypt, -1, "encryption dictionary is not one plain object")
		}
		if err := f.openCrypt(b.password); err != nil {
			return err
		}
	}
	for i, d := range b.s.defs {
		if d.value.Get("Type").Name() != "ObjStm" || d.stream == nil || b.last[d.ref.Num] != i {
			continue
		}
		o, err := f.Get(d.ref)
		if err != nil {
			return err
		}
		stm, err := f.parseObjectStream(o)
		if err != nil {
			return err
		}
		if len(b.packed)+len(stm.numbers) > b.s.f.lim.RepairObjects {
			return refuse(ErrLimit, CodeObjStm, d.found, "more than %d objects to repair", b.s.f.lim.RepairObjects)
		}
		for k, num := range stm.numbers {
			if j, plain := b.last[num]; plain && j > i {
				b.s.fixes[FixSuperseded]++
				continue
			} else if plain {
				b.s.fixes[FixSuperseded]++
				delete(b.last, num)
			}
			if _, twice := b.packed[num]; twice {
				b.s.fixes[FixSuperseded]++
			}
			b.packed[num] = Entry{Kind: Compressed, Container: d.ref.Num, Index: k}
		}
	}
	return nil
}

func (b *rebuild) times(num uint32) int {
	n := 0
	for _, d := range b.s.defs {
		if d.ref.Num == num {
			n++
		}
	}
	return n
}
