// Package costest writes PDF files for tests: documents of several shapes and
// incremental updates to them. It is written apart from signer/internal/incr,
// so that neither can hide a fault of the other, and it writes whatever it is
// told to, malformed files included.
package costest

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Shape is how the objects of a file or of an update are cross-referenced.
type Shape int

// Shapes.
const (
	Table  Shape = iota // classic table
	Stream              // cross-reference stream, plain objects in an object stream
	Hybrid              // table with /XRefStm: plain objects in an object stream, hidden from old readers
)

// Shapes lists all shapes.
func Shapes() []Shape { return []Shape{Table, Stream, Hybrid} }

// String returns the name of the shape.
func (s Shape) String() string { return [...]string{"table", "stream", "hybrid"}[s] }

// Obj is an indirect object to be written. Data, if not nil, makes it a
// stream; /Length is added to Body, which must then end with ">>". Free
// entries have Free set. Plain keeps the object out of object streams.
type Obj struct {
	Num   int
	Gen   int
	Body  string
	Data  []byte
	Free  bool
	Plain bool
}

// File is a document to be written.
type File struct {
	Shape   Shape
	Objs    []Obj
	Trailer string // entries besides Size, Prev, W, Index and so on
	Version string // "1.7" if empty
}

// Bytes writes the document.
func (f File) Bytes() []byte {
	v := f.Version
	if v == "" {
		v = "1.7"
	}
	head := []byte("%PDF-" + v + "\n%\xe2\xe3\xcf\xd3\n")
	return write(head, f.Shape, f.Objs, f.Trailer, -1)
}

// Append writes an incremental update after base, with the trailer entries
// given in full (Root, Info, ID …).
func Append(base []byte, shape Shape, objs []Obj, trailer string) []byte {
	if n := len(base); n > 0 && base[n-1] != '\n' {
		base = append(bytes.Clone(base), '\n')
	}
	return write(bytes.Clone(base), shape, objs, trailer, StartXref(base))
}

// StartXref returns the last startxref of a file.
func StartXref(file []byte) int {
	all := regexp.MustCompile(`startxref\s+(\d+)`).FindAllSubmatch(file, -1)
	n, _ := strconv.Atoi(string(all[len(all)-1][1]))
	return n
}

// TrailerEntries returns Root, Info and ID of the newest trailer of a file
// written by this package.
func TrailerEntries(file []byte) string {
	var out []string
	for _, re := range []string{`/Root \d+ \d+ R`, `/Info \d+ \d+ R`, `/ID ?\[[^\]]*\]`} {
		if all := regexp.MustCompile(re).FindAll(file, -1); len(all) > 0 {
			out = append(out, string(all[len(all)-1]))
		}
	}
	return strings.Join(out, " ")
}

type entry struct {
	kind, a, b int // 0 free, 1 offset/gen, 2 container/index
}

func write(out []byte, shape Shape, objs []Obj, trailer string, prev int) []byte {
	entries := map[int]entry{}
	next := 0
	for _, o := range objs {
		next = max(next, o.Num+1)
	}
	for _, m := range regexp.MustCompile(`\n(\d+) \d+ obj`).FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		next = max(next, n+1)
	}
	for _, m := range regexp.MustCompile(`/Size (\d+)`).FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		next = max(next, n)
	}
	if prev < 0 {
		entries[0] = entry{0, 0, 65535}
	}
	var packed []Obj
	for _, o := range objs {
		switch {
		case o.Free:
			entries[o.Num] = entry{0, 0, o.Gen + 1}
		case o.Data == nil && !o.Plain && o.Gen == 0 && shape != Table:
			packed = append(packed, o)
		default:
			entries[o.Num] = entry{1, len(out), o.Gen}
			out = Object(out, o)
		}
	}
	hidden := map[int]entry{}
	if len(packed) > 0 {
		container := next
		next++
		hidden = pack(packed, container)
		entries[container] = entry{1, len(out), 0}
		out = Object(out, objectStream(container, packed))
	}
	if prev >= 0 {
		trailer += fmt.Sprintf(" /Prev %d", prev)
	}
	return finish(out, shape, entries, hidden, trailer, next)
}

func finish(out []byte, shape Shape, entries, hidden map[int]entry, trailer string, next int) []byte {
	start := len(out)
	switch shape {
	case Table:
		out = table(out, entries, fmt.Sprintf("/Size %d %s", next, trailer))
	case Stream:
		for n, e := range hidden {
			entries[n] = e
		}
		entries[next] = entry{1, start, 0}
		out = xrefStream(out, next, entries, fmt.Sprintf("/Size %d %s", next+1, trailer))
	case Hybrid:
		// As Acrobat does: a table in which the packed objects are free, and a
		// second, empty one behind it that names the stream.
		at := len(out)
		if len(hidden) > 0 {
			out = xrefStream(out, next, hidden, fmt.Sprintf("/Size %d", next+1))
			entries[next] = entry{1, at, 0}
			for n := range hidden {
				entries[n] = entry{0, 0, 65535}
			}
			next++
		}
		start = len(out)
		out = table(out, entries, fmt.Sprintf("/Size %d %s", next, trailer))
		if len(hidden) > 0 {
			trailer = regexp.MustCompile(`/Prev \d+`).ReplaceAllString(trailer, "")
			first := start
			start = len(out)
			out = table(out, nil, fmt.Sprintf("/Size %d %s /Prev %d /XRefStm %d", next, trailer, first, at))
		}
	}
	return append(out, fmt.Sprintf("startxref\n%d\n%%%%EOF\n", start)...)
}

// Object appends "N G obj … endobj".
func Object(out []byte, o Obj) []byte {
	out = append(out, fmt.Sprintf("%d %d obj\n", o.Num, o.Gen)...)
	if o.Data == nil {
		out = append(out, o.Body...)
		return append(out, "\nendobj\n"...)
	}
	body := strings.TrimSuffix(strings.TrimSpace(o.Body), ">>")
	out = append(out, fmt.Sprintf("%s /Length %d>>\nstream\n", body, len(o.Data))...)
	out = append(out, o.Data...)
	return append(out, "\nendstream\nendobj\n"...)
}

func pack(objs []Obj, container int) map[int]entry {
	m := map[int]entry{}
	for i, o := range objs {
		m[o.Num] = entry{2, container, i}
	}
	return m
}

func objectStream(num int, objs []Obj) Obj {
	var index, body strings.Builder
	for _, o := range objs {
		fmt.Fprintf(&index, "%d %d ", o.Num, body.Len())
		body.WriteString(o.Body + "\n")
	}
	return Obj{
		Num:  num,
		Body: fmt.Sprintf("<</Type /ObjStm /N %d /First %d /Filter /FlateDecode>>", len(objs), index.Len()),
		Data: Deflate([]byte(index.String() + body.String())),
	}
}

// Deflate compresses for FlateDecode.
func Deflate(b []byte) []byte {
	var buf bytes.Buffer
	w := zlib.NewWriter(&buf)
	_, _ = w.Write(b)
	_ = w.Close()
	return buf.Bytes()
}

func runs(entries map[int]entry) [][]int {
	nums := make([]int, 0, len(entries))
	for n := range entries {
		nums = append(nums, n)
	}
	sort.Ints(nums)
	var out [][]int
	for i, n := range nums {
		if i == 0 || nums[i-1] != n-1 {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], n)
	}
	return out
}

func table(out []byte, entries map[int]entry, trailer string) []byte {
	out = append(out, "xref\n"...)
	if len(entries) == 0 {
		out = append(out, "0 0\n"...)
	}
	for _, run := range runs(entries) {
		out = append(out, fmt.Sprintf("%d %d\n", run[0], len(run))...)
		for _, n := range run {
			e := entries[n]
			c := "n"
			if e.kind == 0 {
				c = "f"
			}
			out = append(out, fmt.Sprintf("%010d %05d %s \n", e.a, e.b, c)...)
		}
	}
	return append(out, "trailer\n<<"+trailer+">>\n"...)
}

func xrefStream(out []byte, num int, entries map[int]entry, dict string) []byte {
	var index strings.Builder
	var rows []byte
	for _, run := range runs(entries) {
		fmt.Fprintf(&index, "%d %d ", run[0], len(run))
		for _, n := range run {
			e := entries[n]
			rows = append(rows, 2, byte(e.kind), byte(e.a>>24), byte(e.a>>16), byte(e.a>>8), byte(e.a), byte(e.b>>8), byte(e.b))
		}
	}
	return Object(out, Obj{
		Num: num,
		Body: fmt.Sprintf("<</Type /XRef /W [1 4 2] /Index [%s] /Filter /FlateDecode /DecodeParms <</Predictor 12 /Columns 7>> %s>>",
			strings.TrimSpace(index.String()), dict),
		Data: Deflate(up(rows, 8)),
	})
}

// up applies the PNG filter Up to rows that begin with its number.
func up(rows []byte, n int) []byte {
	out := bytes.Clone(rows)
	for i := len(rows) - n; i >= n; i -= n {
		for k := 1; k < n; k++ {
			out[i+k] = rows[i+k] - rows[i-n+k]
		}
	}
	return out
}
