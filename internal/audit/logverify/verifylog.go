package logverify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// LogOptions says what [VerifyLog] checks.
type LogOptions struct {
	// Key is the log's verifier key. It MUST come from elsewhere than the log.
	Key string
	// Earlier are signed checkpoints of the same log, in any order, that it
	// must extend: those that the verifier, a witness or a receipt has kept.
	Earlier [][]byte
	// Visit, if set, sees every leaf in order. Its error ends the check.
	Visit func(index int64, leaf Leaf, raw []byte) error
	// Progress, if set, is called after each entry bundle.
	Progress func(done, size int64)
}

// Report is what a verified log showed.
type Report struct {
	Checkpoint Checkpoint
	// Classes counts the leaves of each class.
	Classes map[Class]int64
	// First and Last are the least and the greatest time of a leaf.
	First, Last time.Time
	// MaxLate is how far a leaf's time lies before that of an earlier leaf,
	// at most: the longest delay between an entry and its place in the log.
	MaxLate time.Duration
	// Continues is set if the log continues another one.
	Continues *Continuation
	// Earlier counts the earlier checkpoints that the log was shown to extend.
	Earlier int
}

// LogError says which published resource is wrong. Err is one of the
// package's sentinels or the error of the source.
type LogError struct {
	Path  string // of the checkpoint, tile or bundle
	Index int64  // of the leaf, or -1
	Err   error
}

func (e *LogError) Error() string {
	if e.Index >= 0 {
		return fmt.Sprintf("log: %s: leaf %d: %v", e.Path, e.Index, e.Err)
	}
	return fmt.Sprintf("log: %s: %v", e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *LogError) Unwrap() error { return e.Err }

// VerifyLog reads a whole log and checks it: the checkpoint's signature, each
// leaf, each hash tile recomputed from the leaves, the root against the
// checkpoint, and each earlier checkpoint. Memory does not grow with the log.
// A fault in what was published is a *[LogError].
func VerifyLog(ctx context.Context, src Source, opts LogOptions) (*Report, error) {
	signed, err := src.Fetch(ctx, CheckpointPath, MaxCheckpoint)
	if err != nil {
		return nil, &LogError{CheckpointPath, -1, err}
	}
	c, err := VerifyCheckpoint(signed, opts.Key)
	if err != nil {
		return nil, &LogError{CheckpointPath, -1, err}
	}
	v := &logVerifier{src: src, opts: opts, report: &Report{Checkpoint: c, Classes: map[Class]int64{}}}
	if err := v.takeEarlier(); err != nil {
		return nil, err
	}
	v.tree.Emit = func(t Tile, hashes []Hash) error { return v.compareTile(ctx, t, hashes) }
	if err := v.readBundles(ctx); err != nil {
		return nil, err
	}
	tiles, hashes := v.tree.Edge()
	for i, t := range tiles {
		if err := v.compareTile(ctx, t, hashes[i]); err != nil {
			return nil, err
		}
	}
	if v.tree.Root() != c.Root {
		return nil, &LogError{CheckpointPath, -1, ErrInconsistent}
	}
	return v.report, nil
}

type logVerifier struct {
	src     Source
	opts    LogOptions
	report  *Report
	tree    Builder
	earlier []Tree // sorted by size, those not yet reached
}

func (v *logVerifier) takeEarlier() error {
	for _, signed := range v.opts.Earlier {
		c, err := VerifyCheckpoint(signed, v.opts.Key)
		if err != nil {
			return fmt.Errorf("earlier checkpoint: %w", err)
		}
		if c.Size > v.report.Checkpoint.Size {
			return &LogError{CheckpointPath, -1, fmt.Errorf("%w: size %d, an earlier checkpoint has %d",
				ErrInconsistent, v.report.Checkpoint.Size, c.Size)}
		}
		v.earlier = append(v.earlier, c.Tree)
	}
	slices.SortFunc(v.earlier, func(a, b Tree) int { return int(min(max(a.Size-b.Size, -1), 1)) })
	return v.compareEarlier()
}

// compareEarlier settles the earlier checkpoints of the present size.
func (v *logVerifier) compareEarlier() error {
	for len(v.earlier) > 0 && v.earlier[0].Size == v.tree.Size() {
		if v.tree.Root() != v.earlier[0].Root {
			return &LogError{CheckpointPath, -1, fmt.Errorf("%w: at size %d", ErrInconsistent, v.tree.Size())}
		}
		v.earlier = v.earlier[1:]
		v.report.Earlier++
	}
	return nil
}

func (v *logVerifier) readBundles(ctx context.Context) error {
	size := v.report.Checkpoint.Size
	for n := int64(0); n*TileWidth < size; n++ {
		t := Tile{Entries: true, N: n, Width: WidthAt(0, n, size)}
		leaves, err := fetchBundle(ctx, v.src, t)
		if err != nil {
			return &LogError{t.Path(), -1, err}
		}
		for _, raw := range leaves {
			if err := v.leaf(t, raw); err != nil {
				return err
			}
		}
		if v.opts.Progress != nil {
			v.opts.Progress(v.tree.Size(), size)
		}
	}
	return nil
}

func (v *logVerifier) leaf(t Tile, raw []byte) error {
	index := v.tree.Size()
	l, err := ParseLeaf(raw)
	if err != nil {
		return &LogError{t.Path(), index, err}
	}
	r := v.report
	r.Classes[l.Class]++
	if index == 0 {
		r.First, r.Last = l.Time, l.Time
	}
	if l.Time.Before(r.First) {
		r.First = l.Time
	}
	if late := r.Last.Sub(l.Time); late > r.MaxLate {
		r.MaxLate = late
	}
	if l.Time.After(r.Last) {
		r.Last = l.Time
	}
	if l.Class == ClassLog {
		if c, ok := ParseContinuation(l.Public); ok {
			if index != 0 {
				return &LogError{t.Path(), index, fmt.Errorf("%w: only the first leaf can continue another log", ErrLeaf)}
			}
			r.Continues = &c
		}
	}
	if v.opts.Visit != nil {
		if err := v.opts.Visit(index, l, raw); err != nil {
			return err
		}
	}
	if err := v.tree.Append(LeafHash(raw)); err != nil {
		return err
	}
	return v.compareEarlier()
}

func (v *logVerifier) compareTile(ctx context.Context, t Tile, hashes []Hash) error {
	data, err := fetchTile(ctx, v.src, t)
	if err != nil {
		return &LogError{t.Path(), -1, err}
	}
	if !bytes.Equal(data, TileData(hashes)) {
		return &LogError{t.Path(), -1, fmt.Errorf("%w: not the hashes of the published leaves", ErrTile)}
	}
	return nil
}

// fetchBundle returns the leaves of t. A log may have dropped a partial bundle
// once the full one exists, so that is the fallback (C2SP tlog-tiles, "Partial Tiles").
func fetchBundle(ctx context.Context, src Source, t Tile) ([][]byte, error) {
	data, err := src.Fetch(ctx, t.Path(), MaxBundle)
	if !errors.Is(err, ErrNotFound) || t.Full() {
		if err != nil {
			return nil, err
		}
		return ParseBundle(data, t.Width)
	}
	full := t
	full.Width = TileWidth
	if data, err = src.Fetch(ctx, full.Path(), MaxBundle); err != nil {
		return nil, err
	}
	leaves, err := ParseBundle(data, TileWidth)
	if err != nil {
		return nil, err
	}
	return leaves[:t.Width], nil
}

// fetchTile returns the bytes of a hash tile, with the same fallback.
func fetchTile(ctx context.Context, src Source, t Tile) ([]byte, error) {
	data, err := src.Fetch(ctx, t.Path(), MaxTile)
	if !errors.Is(err, ErrNotFound) || t.Full() {
		return data, err
	}
	full := t
	full.Width = TileWidth
	if data, err = src.Fetch(ctx, full.Path(), MaxTile); err != nil {
		return nil, err
	}
	if len(data) != MaxTile {
		return nil, fmt.Errorf("%w: %d bytes in a full tile", ErrTile, len(data))
	}
	return data[:t.Width*len(Hash{})], nil
}
