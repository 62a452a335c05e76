package incr

import (
	"bytes"
	"fmt"
	"math/bits"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// Tail is a finished update: what is to follow the file.
type Tail struct {
	// Bytes are to be written right after the file.
	Bytes []byte
	base  int64
	body  map[uint32]int64 // file offset of each object's text
}

// Body returns the file offset, in bytes, at which the text of a new or
// changed object begins; -1 if the update does not hold it.
func (t *Tail) Body(r cos.Ref) int64 {
	if off, ok := t.body[r.Num]; ok {
		return off
	}
	return -1
}

type row struct {
	num    uint32
	gen    uint16
	offset int64
}

// Finish writes the update. The file's last byte is looked at; an end of line
// is put first if it has none.
func (u *Update) Finish() (*Tail, error) {
	if u.err != nil {
		return nil, u.err
	}
	t := &Tail{base: u.f.Size(), body: map[uint32]int64{}}
	var last [1]byte
	if _, err := u.f.Reader().ReadAt(last[:], u.f.Size()-1); err != nil {
		return nil, fmt.Errorf("incr: read end of file: %w", err)
	}
	var out bytes.Buffer
	size := 1024
	for _, o := range u.objs {
		size += len(o.body) + 64
	}
	out.Grow(size)
	if last[0] != '\n' && last[0] != '\r' {
		out.WriteByte('\n')
	}
	var rows []row
	for _, num := range u.Numbers() {
		o := u.objs[num]
		rows = append(rows, row{num: num, gen: o.gen, offset: t.base + int64(out.Len())})
		fmt.Fprintf(&out, "%d %d obj\n", num, o.gen)
		t.body[num] = t.base + int64(out.Len())
		out.Write(o.body)
		out.WriteString("\nendobj\n")
	}
	start := t.base + int64(out.Len())
	if u.f.NewestIsStream() {
		u.writeStream(&out, rows, start)
	} else if err := u.writeTable(&out, rows); err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "startxref\n%d\n%%%%EOF\n", start)
	t.Bytes = out.Bytes()
	return t, nil
}

// runs calls fn for each run of consecutive numbers.
func runs(rows []row, fn func([]row)) {
	for i := 0; i < len(rows); {
		j := i + 1
		for j < len(rows) && rows[j].num == rows[j-1].num+1 {
			j++
		}
		fn(rows[i:j])
		i = j
	}
}

// size returns the /Size of the new section.
func (u *Update) size() uint32 {
	n := u.next
	if old, ok := u.f.Trailer().Get("Size").Int(); ok && old > int64(n) && old <= 1<<31 {
		n = uint32(old)
	}
	return n
}

func (u *Update) writeTable(out *bytes.Buffer, rows []row) error {
	out.WriteString("xref\n")
	runs(rows, func(run []row) {
		fmt.Fprintf(out, "%d %d\n", run[0].num, len(run))
		for _, r := range run {
			fmt.Fprintf(out, "%010d %05d n \n", r.offset, r.gen)
		}
	})
	if len(rows) > 0 && rows[len(rows)-1].offset > 9_999_999_999 {
		return ErrTooLarge
	}
	out.WriteString("trailer\n<<")
	u.copyTrailer(out)
	fmt.Fprintf(out, " /Size %d /Prev %d>>\n", u.size(), u.f.StartXref())
	return nil
}

// writeStream writes an uncompressed cross-reference stream (§7.5.8), listing
// itself as well.
func (u *Update) writeStream(out *bytes.Buffer, rows []row, start int64) {
	self := u.next
	for u.taken != nil && u.taken(self) {
		self++
	}
	u.next = self + 1
	rows = append(rows, row{num: self, offset: start})
	width := max(1, (bits.Len64(uint64(start))+7)/8)
	var index, data bytes.Buffer
	runs(rows, func(run []row) {
		fmt.Fprintf(&index, " %d %d", run[0].num, len(run))
		for _, r := range run {
			data.WriteByte(1)
			for i := width - 1; i >= 0; i-- {
				data.WriteByte(byte(r.offset >> (8 * i)))
			}
			data.WriteByte(byte(r.gen >> 8))
			data.WriteByte(byte(r.gen))
		}
	})
	fmt.Fprintf(out, "%d 0 obj\n<</Type /XRef", self)
	u.copyTrailer(out)
	fmt.Fprintf(out, " /Size %d /Prev %d /W [1 %d 2] /Index [%s] /Length %d>>\nstream\n",
		u.size(), u.f.StartXref(), width, bytes.TrimSpace(index.Bytes()), data.Len())
	out.Write(data.Bytes())
	out.WriteString("\nendstream\nendobj\n")
}

// copyTrailer copies the entries of the newest trailer, as they are written,
// that do not describe the section itself.
func (u *Update) copyTrailer(out *bytes.Buffer) {
	tr := u.f.TrailerObject()
	for i := range tr.Value.Len() {
		key, val := tr.Value.Entry(i)
		switch key.Name() {
		case "Size", "Prev", "XRefStm", "Type", "W", "Index", "Length", "Filter", "DecodeParms", "F", "FFilter", "FDecodeParms", "DL":
			continue
		}
		ks, ke := key.Span()
		vs, ve := val.Span()
		out.WriteByte(' ')
		out.Write(tr.Raw[ks:ke])
		out.WriteByte(' ')
		out.Write(tr.Raw[vs:ve])
	}
}
