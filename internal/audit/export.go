package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// ErrExport reports a folder that holds another log, or tiles that this
// database's tree does not extend. Nothing of it is overwritten.
var ErrExport = errors.New("audit: the folder holds a log that this one does not extend")

// exportMode lets a web server read what is published anyway.
const exportMode = 0o644

// ExportOptions says what [Log.Export] writes.
type ExportOptions struct {
	// Dir is the folder; it is created if absent. What an earlier export of
	// the same log left there is extended.
	Dir string
	// Number is the log's; 0 is the current one.
	Number int64
	// Progress, if set, is called with the number of leaves written.
	Progress func(done, size int64)
}

// Export writes a log's published files (C2SP tlog-tiles) into a folder, the
// checkpoint last, so that what is there verifies at any time. It returns the
// checkpoint. It refuses with [ErrExport] to replace a full tile by other bytes
// or a checkpoint by one that does not extend it.
func (l *Log) Export(ctx context.Context, o ExportOptions) (logverify.Checkpoint, error) {
	x := exporter{l: l, o: o}
	if err := x.begin(ctx); err != nil {
		return logverify.Checkpoint{}, err
	}
	size := x.cp.Size
	for n := int64(0); n*logverify.TileWidth < size; n++ {
		t := logverify.Tile{Entries: true, N: n, Width: logverify.WidthAt(0, n, size)}
		if err := x.tile(ctx, t); err != nil {
			return logverify.Checkpoint{}, err
		}
		for level := 0; ; level++ { // each level's tile that ends where this bundle ends
			t := logverify.Tile{Level: level, N: n >> (logverify.TileHeight * level)}
			t.Width = logverify.WidthAt(level, t.N, size)
			if t.Width == 0 {
				break
			}
			if err := x.tile(ctx, t); err != nil {
				return logverify.Checkpoint{}, err
			}
			if !t.Full() || (n>>(logverify.TileHeight*level))%logverify.TileWidth != logverify.TileWidth-1 {
				break
			}
		}
		if o.Progress != nil {
			o.Progress(min((n+1)*logverify.TileWidth, size), size)
		}
	}
	for _, t := range logverify.TilesAt(size) {
		if err := x.tile(ctx, t); err != nil {
			return logverify.Checkpoint{}, err
		}
	}
	if err := writeDurably(filepath.Join(o.Dir, logverify.CheckpointPath), x.note, exportMode); err != nil {
		return logverify.Checkpoint{}, fmt.Errorf("export checkpoint: %w", err)
	}
	return x.cp, nil
}

type exporter struct {
	l    *Log
	o    ExportOptions
	head head
	note []byte
	cp   logverify.Checkpoint
}

// begin reads the checkpoint and compares it with the one in the folder.
func (x *exporter) begin(ctx context.Context) error {
	if err := os.MkdirAll(x.o.Dir, 0o755); err != nil {
		return fmt.Errorf("export folder: %w", err)
	}
	there, err := os.ReadFile(filepath.Join(x.o.Dir, logverify.CheckpointPath))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("export folder: %w", err)
	}
	return x.l.db.Read(ctx, func(tx *db.Tx) error {
		if x.head, err = headByNumber(tx, x.o.Number); err != nil {
			return err
		}
		if x.head.Signed < 0 {
			return ErrPending
		}
		if x.note, err = checkpointNote(tx, x.head.Number, x.head.Signed); err != nil {
			return err
		}
		if x.cp, err = logverify.VerifyCheckpoint(x.note, x.head.VKey); err != nil {
			return fmt.Errorf("%w: stored checkpoint: %w", ErrCorrupt, err)
		}
		if there == nil {
			return nil
		}
		old, err := logverify.VerifyCheckpoint(there, x.head.VKey)
		if err != nil {
			return fmt.Errorf("%w: its checkpoint: %w", ErrExport, err)
		}
		if old.Size > x.cp.Size {
			return fmt.Errorf("%w: its size is %d, here %d", ErrExport, old.Size, x.cp.Size)
		}
		root, err := rootAt(tx, x.head.Number, old.Size)
		if err != nil {
			return err
		}
		if root != old.Root {
			return fmt.Errorf("%w: at size %d", ErrExport, old.Size)
		}
		return nil
	})
}

// tile writes one tile or bundle, unless the same is there.
func (x *exporter) tile(ctx context.Context, t logverify.Tile) error {
	path := filepath.Join(x.o.Dir, filepath.FromSlash(t.Path()))
	there, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("export folder: %w", err)
	}
	var body []byte
	err = x.l.db.Read(ctx, func(tx *db.Tx) (err error) {
		if t.Entries {
			body, err = readBundle(tx, x.head.Number, t)
		} else {
			body, err = readTile(tx, x.head.Number, t)
		}
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("export %s: %w", t.Path(), err)
	case there == nil:
	case bytes.Equal(there, body):
		return nil
	default:
		return fmt.Errorf("%w: %s", ErrExport, t.Path())
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("export folder: %w", err)
	}
	if err := writeDurably(path, body, exportMode); err != nil {
		return fmt.Errorf("export %s: %w", t.Path(), err)
	}
	return nil
}
