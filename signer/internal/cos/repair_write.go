package cos

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"slices"
)

// layout puts the newest definition of every object one behind the other.
func (b *rebuild) layout() {
	b.out = &Repaired{Fixes: b.s.fixes, r: b.s.f.r}
	b.out.write("%%PDF-%s\n%%\xe2\xe3\xcf\xd3\n", b.version)
	for i := range b.s.defs {
		d := &b.s.defs[i]
		if j, ok := b.last[d.ref.Num]; !ok || j != i {
			continue
		}
		if d.value.Has("Linearized") {
			b.s.fixes[FixLinearized] = 1
			delete(b.last, d.ref.Num)
			continue
		}
		d.at = b.place(d)
	}
}

// place writes one object and returns where it begins.
func (b *rebuild) place(d *definition) int64 {
	at := b.out.size
	if !d.anew {
		b.out.add(piece{from: Span{Offset: d.found, Length: d.end - d.found}})
		b.out.write("\n")
		return at
	}
	raw := d.raw
	if d.stream != nil {
		n := fmt.Appendf(nil, "%d", d.stream.Length)
		if d.value.Has("Length") {
			s, e := d.value.Get("Length").Span()
			raw = slices.Concat(raw[:s], []byte(" "), n, []byte(" "), raw[e:])
		} else {
			raw = slices.Concat(raw[:len(raw)-2], []byte(" /Length "), n, []byte(">>"))
		}
	}
	b.out.write("%d %d obj\n%s\n", d.ref.Num, d.ref.Gen, raw)
	if d.stream != nil {
		b.out.write("stream\n")
		b.out.add(piece{from: *d.stream})
		b.out.write("\nendstream\n")
	}
	b.out.write("endobj\n")
	return at
}

// section describes the plain objects where they are laid out.
func (b *rebuild) section() *section {
	s := &section{isStream: true, prev: -1, trailer: b.trailer, widths: [3]int{1, 8, 2}}
	const stride = 11
	for _, num := range slices.Sorted(maps.Keys(b.last)) {
		d := b.s.defs[b.last[num]]
		row := binary.BigEndian.AppendUint64([]byte{1}, uint64(d.at))
		row = binary.BigEndian.AppendUint16(row, d.ref.Gen)
		s.subs = append(s.subs, subsection{first: num, count: 1, at: len(s.data), stride: stride})
		s.data = append(s.data, row...)
	}
	return s
}

// finish writes the cross-reference: a table, or a stream if there are objects
// in object streams.
func (b *rebuild) finish() {
	start := b.out.size
	nums := slices.Concat(slices.Collect(maps.Keys(b.last)), slices.Collect(maps.Keys(b.packed)))
	slices.Sort(nums)
	b.out.Objects = len(nums)
	size := uint32(1)
	if len(nums) > 0 {
		size = nums[len(nums)-1] + 1
	}
	if len(b.packed) == 0 {
		b.writeTable(nums, size)
	} else {
		b.writeStream(nums, size, start)
	}
	b.out.write("startxref\n%d\n%%%%EOF\n", start)
}

// entries copies what the trailer says of the document.
func (b *rebuild) entries() string {
	out := " /Root " + b.root.String()
	for _, key := range []string{"Info", "ID", "Encrypt"} {
		if v := b.trailer.Value.Get(key); !v.IsNull() {
			s, e := v.Span()
			out += " /" + key + " " + string(b.trailer.Raw[s:e])
		}
	}
	return out
}

func (b *rebuild) writeTable(nums []uint32, size uint32) {
	var t bytes.Buffer
	t.WriteString("xref\n0 1\n0000000000 65535 f \n")
	for i := 0; i < len(nums); {
		j := i + 1
		for j < len(nums) && nums[j] == nums[j-1]+1 {
			j++
		}
		fmt.Fprintf(&t, "%d %d\n", nums[i], j-i)
		for ; i < j; i++ {
			d := b.s.defs[b.last[nums[i]]]
			fmt.Fprintf(&t, "%010d %05d n \n", d.at, d.ref.Gen)
		}
	}
	fmt.Fprintf(&t, "trailer\n<<%s /Size %d>>\n", b.entries(), size)
	b.out.add(piece{text: t.Bytes()})
}

func (b *rebuild) writeStream(nums []uint32, size uint32, start int64) {
	self := size
	width := max(3, (bits.Len64(uint64(start))+7)/8)
	var index, data bytes.Buffer
	row := func(kind byte, x int64, y uint32) {
		data.WriteByte(kind)
		for i := width - 1; i >= 0; i-- {
			data.WriteByte(byte(x >> (8 * i)))
		}
		data.Write(binary.BigEndian.AppendUint32(nil, y))
	}
	index.WriteString("0 1")
	row(0, 0, 65535)
	for i := 0; i < len(nums); {
		j := i + 1
		for j < len(nums) && nums[j] == nums[j-1]+1 {
			j++
		}
		fmt.Fprintf(&index, " %d %d", nums[i], j-i)
		for ; i < j; i++ {
			if e, ok := b.packed[nums[i]]; ok {
				row(2, int64(e.Container), uint32(e.Index))
				continue
			}
			d := b.s.defs[b.last[nums[i]]]
			row(1, d.at, uint32(d.ref.Gen))
		}
	}
	fmt.Fprintf(&index, " %d 1", self)
	row(1, start, 0)
	b.out.write("%d 0 obj\n<</Type /XRef%s /Size %d /W [1 %d 4] /Index [%s] /Length %d>>\nstream\n", self, b.entries(), self+1, width, index.String(), data.Len())
	b.out.add(piece{text: data.Bytes()})
	b.out.write("\nendstream\nendobj\n")
}
