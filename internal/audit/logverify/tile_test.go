package logverify_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

// TestBuilderRootsMatchOtherImplementations compares with roots computed by
// the recursive definition of RFC 6962 §2.1 in another language, and with
// x/mod's at every size.
func TestBuilderRootsMatchOtherImplementations(t *testing.T) {
	t.Parallel()
	want := readVectors(t).CountingTrees
	var b logverify.Builder
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(ix))
		for i, x := range ix {
			out[i] = stored[x]
		}
		return out, nil
	})
	seen := 0
	for i := range 70_000 {
		h := counting(i)
		if err := b.Append(h); err != nil {
			t.Fatal(err)
		}
		hs, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(h), read)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
		if i < 1100 || i%997 == 0 {
			th, err := tlog.TreeHash(int64(i+1), read)
			if err != nil || logverify.Hash(th) != b.Root() {
				t.Fatalf("size %d: got %s, want %s (%v)", i+1, b.Root(), th, err)
			}
		}
		if w, ok := want[strconv.Itoa(i+1)]; ok {
			seen++
			if got := b.Root(); got != w {
				t.Errorf("size %d: got %s, want %s", i+1, got, w)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("compared %d vectors, want %d", seen, len(want))
	}
}

// TestBuilderTilesMatchOtherImplementation compares every tile, full and
// partial, with what x/mod says of the same tree, in one go and when the tree
// is grown in steps from its stored edge.
func TestBuilderTilesMatchOtherImplementation(t *testing.T) {
	t.Parallel()
	const size = 66_000
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(ix []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(ix))
		for i, x := range ix {
			out[i] = stored[x]
		}
		return out, nil
	})
	got := map[string]string{}
	keep := func(tile logverify.Tile, hs []logverify.Hash) error {
		got[tile.Path()] = string(logverify.TileData(hs))
		return nil
	}
	b, err := logverify.NewBuilder(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	step := 1
	for i := 0; i < size; {
		edge := map[int][]logverify.Hash{}
		tiles, hashes := b.Edge()
		for j, tile := range tiles {
			edge[tile.Level] = slices.Clone(hashes[j])
		}
		root := b.Root()
		if b, err = logverify.NewBuilder(int64(i), edge); err != nil {
			t.Fatal(err)
		}
		if b.Root() != root {
			t.Fatalf("size %d: reloaded root %s, want %s", i, b.Root(), root)
		}
		b.Emit = keep
		for range min(step, size-i) {
			h := counting(i)
			hs, err := tlog.StoredHashesForRecordHash(int64(i), tlog.Hash(h), read)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, hs...)
			if err := b.Append(h); err != nil {
				t.Fatal(err)
			}
			i++
		}
		step = step*3/2 + 1
	}
	tiles, hashes := b.Edge()
	for i, tile := range tiles {
		_ = keep(tile, hashes[i])
	}
	want := map[string]string{}
	for _, tile := range tlog.NewTiles(logverify.TileHeight, 0, size) {
		data, err := tlog.ReadTileData(tile, read)
		if err != nil {
			t.Fatal(err)
		}
		want[logverify.Tile{Level: tile.L, N: tile.N, Width: tile.W}.Path()] = string(data)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("tiles differ: got %d, want %d", len(got), len(want))
	}
}

func TestNewBuilderRefusesAWrongEdge(t *testing.T) {
	t.Parallel()
	one := []logverify.Hash{{1}}
	for name, c := range map[string]struct {
		size int64
		edge map[int][]logverify.Hash
	}{
		"negative":    {-1, nil},
		"beyond":      {logverify.MaxSize + 1, nil},
		"missing":     {1, nil},
		"other level": {1, map[int][]logverify.Hash{1: one}},
		"other width": {2, map[int][]logverify.Hash{0: one}},
		"too many":    {1, map[int][]logverify.Hash{0: one, 1: one}},
		"full tree":   {256, map[int][]logverify.Hash{0: one}},
	} {
		if _, err := logverify.NewBuilder(c.size, c.edge); !errors.Is(err, logverify.ErrTile) {
			t.Errorf("%s: got %v, want ErrTile", name, err)
		}
	}
}

// TestTilePaths uses the examples of C2SP tlog-tiles.
func TestTilePaths(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]logverify.Tile{
		"tile/0/000":                 {Width: 256},
		"tile/0/x001/x234/067":       {N: 1234067, Width: 256},
		"tile/0/273.p/112":           {N: 273, Width: 112},
		"tile/1/001.p/17":            {Level: 1, N: 1, Width: 17},
		"tile/63/999.p/255":          {Level: 63, N: 999, Width: 255},
		"tile/entries/x001/000":      {Entries: true, N: 1000, Width: 256},
		"tile/entries/x001/000.p/1":  {Entries: true, N: 1000, Width: 1},
		"tile/0/x099/x511/x627/x775": {},
	} {
		got, err := logverify.ParseTilePath(path)
		if want.Width == 0 {
			if !errors.Is(err, logverify.ErrPath) {
				t.Errorf("%s: got %+v, %v, want ErrPath", path, got, err)
			}
			continue
		}
		if err != nil || got != want || got.Path() != path {
			t.Errorf("%s: got %+v, %v, want %+v", path, got, err, want)
		}
	}
	for _, path := range []string{
		"", "checkpoint", "tile", "tile/", "tile/0", "tile/0/", "tile/0/0", "tile/0/00", "tile/0/0000", "tile/00/000", "tile/64/000",
		"tile/-1/000", "tile/+1/000", "tile/0/x000/000", "tile/0/x000", "tile/0/001/000", "tile/0/000.p/0", "tile/0/000.p/256",
		"tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p", "tile/0/000/p/1", "tile/0/000.p/1/", "/tile/0/000", "tile//0/000",
		"tile/0/+00", "tile/0/-01", "tile/0/x+01/000", "tile/0/٠٠٠", "tile/data/000", "tile/8/0/000", "tile/0/../000",
		"tile/0/x999/x999/x999/x999/999", "tile/0/x999/x999/x999/x999/x999/x999/999", "tile/entries/000.p/1.p/1",
	} {
		if got, err := logverify.ParseTilePath(path); !errors.Is(err, logverify.ErrPath) {
			t.Errorf("%q: got %+v, %v, want ErrPath", path, got, err)
		}
	}
}

func TestTilesOfATree(t *testing.T) {
	t.Parallel()
	// C2SP tlog-tiles: a tree of 70,000 has 273 full level 0 tiles, one of width
	// 112, one full level 1 tile, one of width 17, and one level 2 tile of width 1.
	want := []logverify.Tile{{Level: 0, N: 273, Width: 112}, {Level: 1, N: 1, Width: 17}, {Level: 2, N: 0, Width: 1}}
	if diff := cmp.Diff(logverify.TilesAt(70_000), want); diff != "" {
		t.Errorf("edge of 70,000 (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(logverify.TilesAt(256), []logverify.Tile{{Level: 1, N: 0, Width: 1}}); diff != "" {
		t.Errorf("edge of 256 (-got +want):\n%s", diff)
	}
	for _, c := range []struct {
		level   int
		n, size int64
		want    int
	}{
		{0, 272, 70_000, 256}, {0, 273, 70_000, 112}, {0, 274, 70_000, 0}, {1, 0, 70_000, 256}, {1, 1, 70_000, 17},
		{2, 0, 70_000, 1}, {3, 0, 70_000, 0}, {63, 0, 1 << 47, 0}, {-1, 0, 5, 0}, {0, -1, 5, 0}, {0, 0, 0, 0},
	} {
		if got := logverify.WidthAt(c.level, c.n, c.size); got != c.want {
			t.Errorf("WidthAt(%d, %d, %d) = %d, want %d", c.level, c.n, c.size, got, c.want)
		}
	}
}

func FuzzParseTilePath(f *testing.F) {
	for _, s := range []string{"tile/0/000", "tile/1/x001/234.p/7", "tile/entries/x001/x234/067", "tile/63/999.p/255", "tile/0/.p/1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tile, err := logverify.ParseTilePath(s)
		if err != nil {
			if !errors.Is(err, logverify.ErrPath) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if tile.Path() != s || tile.Width < 1 || tile.Width > 256 || tile.N < 0 || tile.Level < 0 || tile.Level > 63 {
			t.Fatalf("%q accepted as %+v", s, tile)
		}
		_ = fmt.Sprint(tile.In(1 << 47))
	})
}
