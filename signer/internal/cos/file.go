package cos

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// File is an open PDF file, or one of its revisions (see [File.AtRevision]).
type File struct {
	r       io.ReaderAt
	size    int64
	lim     Limits
	version string

	sections []*section // newest first: the order in which objects are looked up
	startRef int64      // value of the last startxref

	win      []byte // last bytes read, at winOff
	winOff   int64
	inflated *int64 // decoded bytes so far, shared by the revisions of a file
	objstms  map[uint32]*objectStream
	objOrder []uint32 // keys of objstms, oldest first
	loading  bool     // an object stream is being read
	crypt    *Crypt   // nil: not encrypted, or not opened yet
	cache    *cache   // shared by the revisions of a file
	fields   []*Field // once they have been read; nil before, or if they are many
	revs     []Revision
	revsErr  error
	revsDone bool
}

// Open reads the header and the cross-reference sections of a file of size
// bytes. It returns an [*Error] if the file cannot be read in exactly one way,
// or an error of r. An encrypted file is opened with the empty password.
func Open(r io.ReaderAt, size int64, lim Limits) (*File, error) {
	return OpenPassword(r, size, "", lim)
}

// OpenPassword is [Open] with a password, in UTF-8, of the owner or of a user.
// For files that are not encrypted it is not looked at. Passwords are used as
// given: callers that let people type them should normalize them (SASLprep).
func OpenPassword(r io.ReaderAt, size int64, password string, lim Limits) (*File, error) {
	return open(r, size, password, lim, nil)
}

// Grown opens a file that begins with all of f's bytes and goes on after them.
// The cross-reference sections that f has read are not read again.
func (f *File) Grown(r io.ReaderAt, size int64, password string) (*File, error) {
	return open(r, size, password, f.lim, f)
}

func open(r io.ReaderAt, size int64, password string, lim Limits, older *File) (*File, error) {
	f := &File{r: r, size: size, lim: lim.withDefaults(), inflated: new(int64), objstms: map[uint32]*objectStream{}, cache: newCache()}
	if size > f.lim.FileSize {
		return nil, refuse(ErrLimit, CodeSize, -1, "file of %d bytes, limit %d", size, f.lim.FileSize)
	}
	if err := f.readHeader(); err != nil {
		return nil, err
	}
	off, err := f.findStartXref()
	if err != nil {
		return nil, err
	}
	if err := f.readSections(off, older); err != nil {
		return nil, err
	}
	f.startRef = f.sections[0].sought
	if err := f.openCrypt(password); err != nil {
		return nil, err
	}
	if _, ok := f.Trailer().Get("Root").Ref(); !ok {
		return nil, damaged(CodeTrailer, f.sections[0].offset, "no /Root reference")
	}
	return f, nil
}

// Size returns the length of the file or revision in bytes.
func (f *File) Size() int64 { return f.size }

// Reader returns the reader given to [Open]; it may hold more than [File.Size] bytes.
func (f *File) Reader() io.ReaderAt { return f.r }

// HeaderVersion returns the version in the header, such as "1.7".
func (f *File) HeaderVersion() string { return f.version }

// Trailer returns the trailer dictionary of the newest section. For a
// cross-reference stream it is the dictionary of the stream.
func (f *File) Trailer() Value { return f.sections[0].trailer.Value }

// TrailerObject returns [File.Trailer] with its bytes.
func (f *File) TrailerObject() *Object { return &f.sections[0].trailer }

// StartXref returns where the newest section is sought: its offset, or that of
// white space before it.
func (f *File) StartXref() int64 { return f.startRef }

// NewestIsStream reports whether the newest section is a cross-reference
// stream; a hybrid section counts as a table.
func (f *File) NewestIsStream() bool { return f.sections[0].isStream }

// IsHybrid reports whether any section is a table with /XRefStm.
func (f *File) IsHybrid() bool {
	for _, s := range f.sections {
		if s.hybrid != nil {
			return true
		}
	}
	return false
}

// NextNumber returns the least object number above all that the file defines
// or that its trailers announce. A number at or above it is new.
func (f *File) NextNumber() uint32 {
	next := uint32(1)
	for _, s := range f.sections {
		next = max(next, s.next())
		if s.hybrid != nil {
			next = max(next, s.hybrid.next())
		}
	}
	return next
}

func (f *File) readHeader() error {
	head, err := f.bytesAt(0, 16)
	if err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(head, []byte("%PDF-"))
	if !ok || len(rest) < 3 || !isDigit(rest[0]) || rest[1] != '.' || !isDigit(rest[2]) {
		return refuse(ErrHeader, CodeHeader, 0, "file begins with something else")
	}
	f.version = string(rest[:3])
	return nil
}

// bytesAt returns up to n bytes at off, fewer only at the end of the file. The
// slice is valid until the next call.
func (f *File) bytesAt(off int64, n int) ([]byte, error) {
	if off < 0 || off > f.size {
		return nil, damaged(CodeSyntax, off, "offset outside the file")
	}
	n = int(min(int64(n), f.size-off))
	if off >= f.winOff && off+int64(n) <= f.winOff+int64(len(f.win)) {
		return f.win[off-f.winOff:][:n], nil
	}
	want := int64(4 << 10)
	if off >= f.winOff && off <= f.winOff+int64(len(f.win))+want {
		want = 64 << 10 // reading on: take more at once
	}
	want = min(max(want, int64(n)), f.size-off)
	if int64(cap(f.win)) < want {
		f.win = make([]byte, want)
	}
	f.win = f.win[:want]
	f.winOff = off
	if err := readFull(f.r, f.win, off); err != nil {
		f.win = f.win[:0]
		return nil, err
	}
	if cap(f.win) > 1<<20 { // give large windows back
		out := f.win[:n]
		f.win = nil
		return out, nil
	}
	return f.win[:n], nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at %d: %w", len(p), off, err)
}

// findStartXref finds the last "startxref N %%EOF" of the file (§7.5.5).
func (f *File) findStartXref() (int64, error) {
	n := min(f.size, int64(f.lim.Trailing))
	tail, err := f.bytesAt(f.size-n, int(n))
	if err != nil {
		return 0, err
	}
	at := bytes.LastIndex(tail, []byte("startxref"))
	if at < 0 {
		return 0, damaged(CodeStartXref, -1, "none in the last %d bytes", n)
	}
	off, end, err := parseStartXref(tail[at:])
	if err != nil {
		return 0, damaged(CodeStartXref, f.size-n+int64(at), "%v", err)
	}
	if off >= f.size-n+int64(at) {
		return 0, damaged(CodeStartXref, f.size-n+int64(at), "points behind itself")
	}
	for _, c := range tail[at+end:] {
		if !isSpace(c) {
			return 0, damaged(CodeStartXref, f.size, "bytes after the last %%%%EOF")
		}
	}
	return off, nil
}

// parseStartXref reads "startxref N %%EOF" at the beginning of text and
// returns N and the offset after %%EOF.
func parseStartXref(text []byte) (n int64, end int, err error) {
	i := len("startxref")
	skip := func() {
		for i < len(text) && isSpace(text[i]) {
			i++
		}
	}
	skip()
	start := i
	for i < len(text) && isDigit(text[i]) && i-start < 18 {
		n = n*10 + int64(text[i]-'0')
		i++
	}
	if i == start || i == len("startxref") {
		return 0, 0, errors.New("no number")
	}
	skip()
	if !bytes.HasPrefix(text[i:], []byte("%%EOF")) {
		return 0, 0, errors.New("no %%EOF after it")
	}
	return n, i + len("%%EOF"), nil
}
