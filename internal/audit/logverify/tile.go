package logverify

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// The shape of tiles is fixed by C2SP tlog-tiles.
const (
	// TileHeight is the number of tree levels that a tile spans.
	TileHeight = 8
	// TileWidth is the number of hashes in a full tile, or of leaves in a full bundle.
	TileWidth = 1 << TileHeight
	// MaxTile is the size of a full hash tile, in bytes.
	MaxTile = TileWidth * 32
	// maxTilePath bounds a path before it is parsed, in bytes.
	maxTilePath = 64
)

// ErrPath reports a path that names no resource of a tiled log.
var ErrPath = errors.New("logverify: not the path of a tile")

// CheckpointPath is the path of the checkpoint below a log's prefix.
const CheckpointPath = "checkpoint"

// Tile names a hash tile, or an entry bundle where Entries is set.
type Tile struct {
	// Entries marks an entry bundle; Level is then 0.
	Entries bool
	// Level counts tiles upwards from the leaves; a hash at level l stands for 256^l leaves.
	Level int
	// N is the index of the tile within its level.
	N int64
	// Width is the number of hashes or leaves, 1 to 256; below 256 the tile is partial.
	Width int
}

// Full reports whether t has all its 256 hashes.
func (t Tile) Full() bool { return t.Width == TileWidth }

// Path returns t's path below the log's prefix, for instance "tile/0/x001/234.p/7".
func (t Tile) Path() string {
	n := fmt.Sprintf("%03d", t.N%1000)
	for rest := t.N / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	level := "entries"
	if !t.Entries {
		level = strconv.Itoa(t.Level)
	}
	p := "tile/" + level + "/" + n
	if !t.Full() {
		p += ".p/" + strconv.Itoa(t.Width)
	}
	return p
}

// ParseTilePath reads the path of a tile or bundle; any other spelling, a
// level above 63 or an index beyond [MaxSize] gives [ErrPath].
func ParseTilePath(path string) (Tile, error) {
	if len(path) > maxTilePath {
		return Tile{}, fmt.Errorf("%w: %d bytes", ErrPath, len(path))
	}
	f := strings.Split(path, "/")
	if len(f) < 3 || f[0] != "tile" {
		return Tile{}, ErrPath
	}
	t := Tile{Width: TileWidth}
	if f[1] == "entries" {
		t.Entries = true
	} else {
		level, err := parseDecimal(f[1], 63)
		if err != nil {
			return Tile{}, ErrPath
		}
		t.Level = int(level)
	}
	f = f[2:]
	if i := len(f) - 2; i >= 0 && strings.HasSuffix(f[i], ".p") {
		w, err := parseDecimal(f[i+1], TileWidth-1)
		if err != nil || w == 0 {
			return Tile{}, ErrPath
		}
		t.Width = int(w)
		f[i] = strings.TrimSuffix(f[i], ".p")
		f = f[:i+1]
	}
	for _, s := range f {
		s = strings.TrimPrefix(s, "x")
		if len(s) != 3 {
			return Tile{}, ErrPath
		}
		d, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return Tile{}, ErrPath
		}
		if t.N = t.N*1000 + int64(d); t.N > MaxSize/TileWidth {
			return Tile{}, ErrPath
		}
	}
	if t.Path() != path {
		return Tile{}, ErrPath
	}
	return t, nil
}

// WidthAt returns how many hashes a tile at (level, n) has in a tree of that
// size: 0 if it does not exist, 256 if it is full.
func WidthAt(level int, n, size int64) int {
	if level < 0 || level*TileHeight > 62 || n < 0 || n > MaxSize/TileWidth {
		return 0
	}
	w := size>>(uint(level)*TileHeight) - n*TileWidth
	return int(min(max(w, 0), TileWidth))
}

// In reports whether t exists in a tree of that size, at least at its width.
func (t Tile) In(size int64) bool { return t.Width >= 1 && t.Width <= WidthAt(t.Level, t.N, size) }

// TilesAt returns the partial tiles on the right edge of a tree of that size,
// lowest level first. A level whose last tile is full has none.
func TilesAt(size int64) []Tile {
	var edge []Tile
	for level := 0; size>>(uint(level)*TileHeight) > 0; level++ {
		w := size >> (uint(level) * TileHeight)
		if w%TileWidth != 0 {
			edge = append(edge, Tile{Level: level, N: w / TileWidth, Width: int(w % TileWidth)})
		}
	}
	return edge
}

// TileHashes splits the bytes of t into its hashes, or returns an error if
// their number is not the tile's width.
func TileHashes(t Tile, data []byte) ([]Hash, error) {
	if len(data) != t.Width*len(Hash{}) {
		return nil, fmt.Errorf("%w: %d bytes in a tile of width %d", ErrTile, len(data), t.Width)
	}
	hs := make([]Hash, t.Width)
	for i := range hs {
		copy(hs[i][:], data[i*len(Hash{}):])
	}
	return hs, nil
}

// TileData joins hashes into the bytes of a tile.
func TileData(hs []Hash) []byte {
	b := make([]byte, 0, len(hs)*len(Hash{}))
	for _, h := range hs {
		b = append(b, h[:]...)
	}
	return b
}

// ErrTile reports a tile whose bytes cannot be those of the tree.
var ErrTile = errors.New("logverify: malformed tile")

// Builder grows a tree leaf by leaf and yields its tiles. It keeps only the
// right edge: at most 256 hashes a level. Its zero value is an empty tree
// without Emit. It is not safe for concurrent use.
type Builder struct {
	// Emit, if set, is called with every tile as it becomes full, lower
	// levels first. Its error is returned by Append.
	Emit func(t Tile, hashes []Hash) error

	size   int64
	levels [][]Hash // the hashes of the partial tile of each level
}

// NewBuilder continues a tree of the given size from the partial tiles of its
// right edge, keyed by level, as named by [TilesAt]. It returns [ErrTile] if
// one is missing, or too many, or of another width.
func NewBuilder(size int64, edge map[int][]Hash) (*Builder, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("%w: tree of size %d", ErrTile, size)
	}
	b := &Builder{size: size}
	want := TilesAt(size)
	if len(edge) != len(want) {
		return nil, fmt.Errorf("%w: %d edge tiles, want %d", ErrTile, len(edge), len(want))
	}
	for _, t := range want {
		hs := edge[t.Level]
		if len(hs) != t.Width {
			return nil, fmt.Errorf("%w: edge tile %s has %d hashes", ErrTile, t.Path(), len(hs))
		}
		for len(b.levels) <= t.Level {
			b.levels = append(b.levels, nil)
		}
		b.levels[t.Level] = slices.Clone(hs)
	}
	return b, nil
}

// Size returns the number of leaves.
func (b *Builder) Size() int64 { return b.size }

// Append adds the tree hash of the next leaf (see [LeafHash]).
func (b *Builder) Append(leaf Hash) error {
	if b.size >= MaxSize {
		return fmt.Errorf("%w: the tree has its greatest size", ErrTile)
	}
	b.size++
	h := leaf
	for level := 0; ; level++ {
		if level == len(b.levels) {
			b.levels = append(b.levels, nil)
		}
		b.levels[level] = append(b.levels[level], h)
		if len(b.levels[level]) < TileWidth {
			return nil
		}
		if b.Emit != nil {
			t := Tile{Level: level, N: b.size>>(uint(level+1)*TileHeight) - 1, Width: TileWidth}
			if err := b.Emit(t, b.levels[level]); err != nil {
				return err
			}
		}
		h = perfect(b.levels[level])
		b.levels[level] = nil
	}
}

// Edge returns the partial tiles of the right edge with their hashes, lowest
// level first. The hashes are the builder's own; the caller must not change them.
func (b *Builder) Edge() ([]Tile, [][]Hash) {
	tiles := TilesAt(b.size)
	hashes := make([][]Hash, len(tiles))
	for i, t := range tiles {
		hashes[i] = b.levels[t.Level]
	}
	return tiles, hashes
}

// Root returns the root hash (RFC 6962 §2.1), computed from the right edge.
func (b *Builder) Root() Hash {
	var root Hash
	have := false
	for _, level := range b.levels {
		// The hashes of a level split, from the left, into perfect trees of
		// falling size; from the right they join the root in rising order.
		for end := len(level); end > 0; {
			n := end & -end
			h := perfect(level[end-n : end])
			if have {
				h = node(h, root)
			}
			root, have = h, true
			end -= n
		}
	}
	if !have {
		return EmptyRoot()
	}
	return root
}

// Tree returns the head.
func (b *Builder) Tree() Tree { return Tree{Size: b.size, Root: b.Root()} }

// perfect returns the root over 2^k hashes.
func perfect(hs []Hash) Hash {
	if len(hs) == 1 {
		return hs[0]
	}
	return node(perfect(hs[:len(hs)/2]), perfect(hs[len(hs)/2:]))
}

func node(l, r Hash) Hash { return Hash(tlog.NodeHash(tlog.Hash(l), tlog.Hash(r))) }
