package logverify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/tlog"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

// makeLog returns the files of a log of the given leaves, and its head.
func makeLog(t testing.TB, leaves []logverify.Leaf) (fstest.MapFS, logverify.Tree) {
	t.Helper()
	files := fstest.MapFS{}
	put := func(path string, b []byte) { files[path] = &fstest.MapFile{Data: bytes.Clone(b)} }
	b := logverify.Builder{Emit: func(tile logverify.Tile, hs []logverify.Hash) error {
		put(tile.Path(), logverify.TileData(hs))
		return nil
	}}
	var bundle []byte
	for i, l := range leaves {
		raw, err := l.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Append(logverify.LeafHash(raw)); err != nil {
			t.Fatal(err)
		}
		bundle = logverify.AppendBundle(bundle, raw)
		if (i+1)%logverify.TileWidth == 0 || i+1 == len(leaves) {
			put(logverify.Tile{Entries: true, N: int64(i) / 256, Width: i%256 + 1}.Path(), bundle)
			bundle = nil
		}
	}
	tiles, hashes := b.Edge()
	for i, tile := range tiles {
		put(tile.Path(), logverify.TileData(hashes[i]))
	}
	put(logverify.CheckpointPath, sign(t, b.Tree()))
	return files, b.Tree()
}

func makeLeaves(n int) []logverify.Leaf {
	var leaves []logverify.Leaf
	for i := range n {
		leaves = append(leaves, logverify.Leaf{
			Class: logverify.Classes()[i%12], Time: time.Unix(int64(1000+i-i%3), 0), Commitment: counting(i),
		})
	}
	return leaves
}

func verify(t testing.TB, files fs.FS, opts logverify.LogOptions) (*logverify.Report, error) {
	t.Helper()
	if opts.Key == "" {
		opts.Key = vkey(t, 1)
	}
	return logverify.VerifyLog(t.Context(), logverify.FSSource(files), opts)
}

func TestVerifyLogOfManySizes(t *testing.T) {
	t.Parallel()
	all := makeLeaves(700)
	var earlier [][]byte
	for _, n := range []int{0, 1, 2, 255, 256, 257, 511, 512, 700} {
		files, tree := makeLog(t, all[:n])
		earlier = append(earlier, sign(t, tree))
		var seen int64
		r, err := verify(t, files, logverify.LogOptions{Earlier: earlier, Visit: func(i int64, l logverify.Leaf, raw []byte) error {
			if i != seen || l.Commitment != counting(int(i)) {
				return fmt.Errorf("visited %d, want %d", i, seen)
			}
			seen++
			return nil
		}})
		if err != nil {
			t.Errorf("size %d: %v", n, err)
			continue
		}
		if r.Checkpoint.Tree != tree || seen != int64(n) || r.Earlier != len(earlier) || r.Continues != nil {
			t.Errorf("size %d: got %+v, visited %d", n, r, seen)
		}
		if n == 700 && (r.MaxLate != 0 || r.Classes[logverify.ClassCertificate] != 59 || !r.Last.Equal(time.Unix(1699, 0))) {
			t.Errorf("report: %+v", r)
		}
	}
}

func TestVerifyLogReportsLateLeavesAndContinuation(t *testing.T) {
	t.Parallel()
	c := logverify.Continuation{Origin: "suti.example/log", Size: 5, Root: logverify.Hash{5}}
	leaves := []logverify.Leaf{
		{Class: logverify.ClassLog, Time: time.Unix(100, 0), Public: c.Public()},
		{Class: logverify.ClassLogin, Time: time.Unix(130, 0)},
		{Class: logverify.ClassLogin, Time: time.Unix(90, 0)},
	}
	files, _ := makeLog(t, leaves)
	r, err := verify(t, files, logverify.LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Continues == nil || *r.Continues != c || r.MaxLate != 40*time.Second || !r.First.Equal(time.Unix(90, 0)) {
		t.Errorf("got %+v", r)
	}
	files, _ = makeLog(t, []logverify.Leaf{leaves[1], leaves[0]})
	if _, err := verify(t, files, logverify.LogOptions{}); !errors.Is(err, logverify.ErrLeaf) {
		t.Errorf("continuation as second leaf: got %v, want ErrLeaf", err)
	}
}

// TestVerifyLogNoticesEveryFile changes, shortens, lengthens and removes each
// published file in turn.
func TestVerifyLogNoticesEveryFile(t *testing.T) {
	t.Parallel()
	files, _ := makeLog(t, makeLeaves(300))
	for path, f := range files {
		for name, change := range map[string]func([]byte) []byte{
			"changed": func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b },
			"shorter": func(b []byte) []byte { return b[:len(b)-1] },
			"longer":  func(b []byte) []byte { return append(bytes.Clone(b), 0) },
			"removed": func([]byte) []byte { return nil },
			"huge":    func([]byte) []byte { return make([]byte, logverify.MaxBundle+1) },
		} {
			bad := fstest.MapFS{}
			for p, g := range files {
				bad[p] = g
			}
			if b := change(f.Data); b != nil {
				bad[path] = &fstest.MapFile{Data: b}
			} else {
				delete(bad, path)
			}
			_, err := verify(t, bad, logverify.LogOptions{})
			var le *logverify.LogError
			if !errors.As(err, &le) || le.Path != path && name != "changed" {
				t.Errorf("%s %s: got %v, want a LogError of that path", path, name, err)
			}
		}
	}
}

func TestVerifyLogNoticesASwapAndAFork(t *testing.T) {
	t.Parallel()
	leaves := makeLeaves(300)
	files, tree := makeLog(t, leaves)
	swapped := slices.Clone(leaves)
	swapped[10], swapped[20] = swapped[20], swapped[10]
	forked, forkedTree := makeLog(t, swapped)
	_, at100 := makeLog(t, leaves[:100])

	mixed := fstest.MapFS{}
	for p, f := range files {
		mixed[p] = f
	}
	mixed["tile/entries/000"] = forked["tile/entries/000"]
	if _, err := verify(t, mixed, logverify.LogOptions{}); !errors.Is(err, logverify.ErrTile) {
		t.Errorf("two leaves swapped: got %v, want ErrTile", err)
	}
	// The operator rewrites everything and signs it: only what others kept tells.
	if _, err := verify(t, forked, logverify.LogOptions{}); err != nil {
		t.Errorf("a fork alone: %v, want it self-consistent", err)
	}
	for name, kept := range map[string]logverify.Tree{"same size": tree, "smaller": at100} {
		if _, err := verify(t, forked, logverify.LogOptions{Earlier: [][]byte{sign(t, kept)}}); !errors.Is(err, logverify.ErrInconsistent) {
			t.Errorf("fork against a kept checkpoint, %s: got %v, want ErrInconsistent", name, err)
		}
	}
	small, _ := makeLog(t, leaves[:50])
	if _, err := verify(t, small, logverify.LogOptions{Earlier: [][]byte{sign(t, at100)}}); !errors.Is(err, logverify.ErrInconsistent) {
		t.Errorf("shrunk log: got %v, want ErrInconsistent", err)
	}
	if _, err := verify(t, files, logverify.LogOptions{Earlier: [][]byte{sign(t, forkedTree)}, Key: vkey(t, 2)}); !errors.Is(err, logverify.ErrSignature) {
		t.Errorf("other key: got %v, want ErrSignature", err)
	}
}

// TestVerifyLogFallsBackToFullTiles covers a log that dropped partial tiles
// after it had grown (C2SP tlog-tiles, "Partial Tiles").
func TestVerifyLogFallsBackToFullTiles(t *testing.T) {
	t.Parallel()
	leaves := makeLeaves(512)
	old, _ := makeLog(t, leaves[:300])
	grown, _ := makeLog(t, leaves)
	grown[logverify.CheckpointPath] = old[logverify.CheckpointPath]
	grown["tile/1/000.p/1"] = old["tile/1/000.p/1"]
	if _, err := verify(t, grown, logverify.LogOptions{}); err != nil {
		t.Error(err)
	}
	grown["tile/0/001"] = &fstest.MapFile{Data: grown["tile/0/001"].Data[:32*100]}
	if _, err := verify(t, grown, logverify.LogOptions{}); !errors.Is(err, logverify.ErrTile) {
		t.Errorf("short full tile: got %v, want ErrTile", err)
	}
}

func TestHTTPSource(t *testing.T) {
	t.Parallel()
	files, tree := makeLog(t, makeLeaves(300))
	mux := http.NewServeMux()
	mux.Handle("/log/", http.StripPrefix("/log/", http.FileServerFS(files)))
	mux.HandleFunc("/broken/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("/endless/", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	fetch := func(base string) (*logverify.Report, error) {
		src, err := logverify.HTTPSource(srv.URL+base, srv.Client())
		if err != nil {
			t.Fatal(err)
		}
		return logverify.VerifyLog(t.Context(), src, logverify.LogOptions{Key: vkey(t, 1)})
	}
	if r, err := fetch("/log/"); err != nil || r.Checkpoint.Tree != tree {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err := fetch("/nowhere"); !errors.Is(err, logverify.ErrNotFound) {
		t.Errorf("missing: got %v, want ErrNotFound", err)
	}
	if _, err := fetch("/endless"); !errors.Is(err, logverify.ErrTooLarge) {
		t.Errorf("endless: got %v, want ErrTooLarge", err)
	}
	if _, err := fetch("/broken"); err == nil || errors.Is(err, logverify.ErrNotFound) {
		t.Errorf("bad gateway: got %v, want another error", err)
	}
	for _, bad := range []string{"", "suti.example/log", "ftp://suti.example/log", "https://", "https://a/b?c=d", "https://a/b#c", ":"} {
		if _, err := logverify.HTTPSource(bad, srv.Client()); err == nil {
			t.Errorf("HTTPSource(%q) accepted", bad)
		}
	}
	if _, err := logverify.HTTPSource("https://a", nil); err == nil {
		t.Error("HTTPSource without a client accepted")
	}
}

func TestVerifyLogStops(t *testing.T) {
	t.Parallel()
	files, _ := makeLog(t, makeLeaves(300))
	boom := errors.New("boom")
	_, err := verify(t, files, logverify.LogOptions{Visit: func(int64, logverify.Leaf, []byte) error { return boom }})
	if !errors.Is(err, boom) {
		t.Errorf("visit: got %v, want its error", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = logverify.VerifyLog(ctx, logverify.FSSource(files), logverify.LogOptions{Key: vkey(t, 1), Progress: func(done, size int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v, want context.Canceled", err)
	}
}

// TestTilesServeAForeignClient proves records through x/mod's tile reader,
// which authenticates each tile against the tree's root.
func TestTilesServeAForeignClient(t *testing.T) {
	t.Parallel()
	files, tree := makeLog(t, makeLeaves(66_000))
	r := &foreignReader{files: files}
	th := tlog.TileHashReader(tlog.Tree{N: tree.Size, Hash: tlog.Hash(tree.Root)}, r)
	for _, i := range []int64{0, 1, 255, 256, 65_535, 65_536, 65_999} {
		p, err := tlog.ProveRecord(tree.Size, i, th)
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
		n := logverify.Tile{Entries: true, N: i / 256, Width: logverify.WidthAt(0, i/256, tree.Size)}
		leaves, err := logverify.ParseBundle(files[n.Path()].Data, n.Width)
		if err != nil {
			t.Fatal(err)
		}
		proof := logverify.Proof{Index: i, Hashes: hashes(p), Checkpoint: files[logverify.CheckpointPath].Data}
		if _, err := logverify.VerifyInclusion(proof, leaves[i%256], vkey(t, 1)); err != nil {
			t.Errorf("record %d: %v", i, err)
		}
	}
	if diff := cmp.Diff(r.missing, []string(nil)); diff != "" {
		t.Errorf("missing tiles: %s", diff)
	}
}

type foreignReader struct {
	files   fstest.MapFS
	missing []string
}

func (r *foreignReader) Height() int { return logverify.TileHeight }

func (r *foreignReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		// x/mod's path has the tile height after "tile/"; C2SP's has not.
		path := strings.Replace(t.Path(), "tile/8/", "tile/", 1)
		f, ok := r.files[path]
		if !ok {
			r.missing = append(r.missing, path)
			return nil, fmt.Errorf("no %s", path)
		}
		out = append(out, f.Data)
	}
	return out, nil
}

func (r *foreignReader) SaveTiles([]tlog.Tile, [][]byte) {}
