package cos

// Limits bounds what a file may make the reader do. The zero value of a field
// means the default named beside it.
type Limits struct {
	// FileSize is the greatest size of a file in bytes: 2 GiB.
	FileSize int64
	// Nesting is the greatest depth of arrays and dictionaries in one object: 64.
	Nesting int
	// ObjectSize is the greatest length in bytes of one object without its
	// stream data: 16 MiB.
	ObjectSize int
	// Nodes is the greatest number of values in one object: 400,000 (64 bytes each).
	Nodes int
	// ObjectNumber is the greatest object number: 8,388,607 (ISO 32000-1 annex C).
	ObjectNumber uint32
	// XrefBytes is the greatest size in bytes of all cross-reference sections
	// together, in the form in which they are kept (decoded, or as read from a
	// table): 64 MiB.
	XrefBytes int64
	// Subsections is the greatest number of subsections in one section: 200,000.
	Subsections int
	// Revisions is the greatest number of revisions of a file: 256. A revision
	// has at most two cross-reference sections and a hybrid part of each.
	Revisions int
	// Inflate is the greatest decoded length in bytes of one stream, and of an
	// encrypted one before it is decoded: 64 MiB.
	Inflate int64
	// InflateRatio is the greatest ratio of decoded to encoded length, applied
	// above InflateFree: 200.
	InflateRatio int64
	// InflateFree is the decoded length in bytes up to which the ratio is not
	// looked at: 4 MiB.
	InflateFree int64
	// InflateTotal is the greatest decoded length in bytes of all streams
	// decoded in the life of a File, with the encrypted length of those that
	// are encrypted: 1 GiB. It bounds the processor time that
	// a file can cost.
	InflateTotal int64
	// Extends is the greatest length of a chain of object streams linked by
	// /Extends: 8.
	Extends int
	// PageDepth is the greatest depth of the page tree: 64.
	PageDepth int
	// Pages is the greatest number of nodes visited in the page tree: 1,000,000.
	Pages int
	// Trailing is how far in bytes from the end of the file the last
	// "startxref" may stand: 4,096.
	Trailing int
	// RepairSize is the greatest size in bytes of a file that [Repair] reads: 256 MiB.
	RepairSize int64
	// RepairObjects is the greatest number of objects that [Repair] finds: 500,000.
	RepairObjects int
}

func (l Limits) withDefaults() Limits {
	def(&l.FileSize, 2<<30)
	def(&l.Nesting, 64)
	def(&l.ObjectSize, 16<<20)
	def(&l.Nodes, 400_000)
	def(&l.ObjectNumber, 8_388_607)
	def(&l.XrefBytes, 64<<20)
	def(&l.Subsections, 200_000)
	def(&l.Revisions, 256)
	def(&l.Inflate, 64<<20)
	def(&l.InflateRatio, 200)
	def(&l.InflateFree, 4<<20)
	def(&l.InflateTotal, 1<<30)
	def(&l.Extends, 8)
	def(&l.PageDepth, 64)
	def(&l.Pages, 1_000_000)
	def(&l.Trailing, 4096)
	def(&l.RepairSize, 256<<20)
	def(&l.RepairObjects, 500_000)
	return l
}

func def[T int | int64 | uint32](p *T, v T) {
	if *p == 0 {
		*p = v
	}
}
