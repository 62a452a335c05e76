package audit

import (
	"context"
	"errors"
	"fmt"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// logChecker checks one log.
type logChecker struct {
	*checker
	head head
	tree logverify.Builder

	index    int64                      // of the next leaf
	stored   []logverify.Hash           // level 0 tile of the page
	actual   map[logverify.Hash]Finding // leaves that are not at their place, bounded
	expected map[logverify.Hash]int64   // hashes of places with another leaf, bounded
	wrong    []Finding                  // of those places, to be told apart at the end

	sizes []sizedNote // checkpoints not yet reached, by size
	after int64       // greatest size of checkpoint that was read
}

type sizedNote struct {
	size int64
	note []byte
}

func (c *logChecker) run(ctx context.Context) error {
	c.actual, c.expected, c.after = map[logverify.Hash]Finding{}, map[logverify.Hash]int64{}, -1
	c.tree.Emit = func(t logverify.Tile, hs []logverify.Hash) error { return c.compareTile(ctx, t, hs) }
	if err := c.checkpoints(ctx); err != nil {
		return err
	}
	size := c.head.Tree.Size
	for n := int64(0); n*logverify.TileWidth < size; n++ {
		if err := c.page(ctx, logverify.Tile{N: n, Width: logverify.WidthAt(0, n, size)}); err != nil {
			return err
		}
	}
	tiles, hashes := c.tree.Edge()
	for i, t := range tiles {
		if err := c.compareTile(ctx, t, hashes[i]); err != nil {
			return err
		}
	}
	if c.tree.Root() != c.head.Tree.Root {
		c.found(BadCheckpoint, c.head.Number, size, "", "the root of the rows is not that of the head")
	}
	c.settle()
	return c.beyond(ctx)
}

// page checks the rows under one level 0 tile.
func (c *logChecker) page(ctx context.Context, t logverify.Tile) error {
	first := t.N * logverify.TileWidth
	var rows []*row
	before := len(c.report.Findings)
	err := c.l.db.Read(ctx, func(tx *db.Tx) (err error) {
		c.report.Findings = c.report.Findings[:before] // the closure may run again
		stored, err := readTiles(tx, c.head.Number, []tileKey{{0, t.N}})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return err
		}
		c.stored = stored[tileKey{0, t.N}]
		rows, err = queryRows(tx, `SELECT `+rowColumns+` FROM audit_entry
			WHERE log_number = $1 AND leaf_index >= $2 AND leaf_index < $3 ORDER BY leaf_index`,
			c.head.Number, first, first+int64(t.Width))
		if err != nil {
			return err
		}
		return c.intents(tx, `e.log_number = $1 AND e.leaf_index >= $2 AND e.leaf_index < $3`,
			c.head.Number, first, first+int64(t.Width))
	})
	if err != nil {
		return err
	}
	for i := range t.Width {
		var r *row
		if len(rows) > 0 && rows[0].LeafIndex == first+int64(i) {
			r, rows = rows[0], rows[1:]
		}
		if err := c.leaf(ctx, r, i); err != nil {
			return err
		}
	}
	return nil
}

// leaf checks the row at the next place, nil if there is none, against the
// i-th hash of the page's tile.
func (c *logChecker) leaf(ctx context.Context, r *row, i int) error {
	var want logverify.Hash
	known := i < len(c.stored)
	if known {
		want = c.stored[i]
	}
	got := want
	if r == nil {
		c.misplaced(Finding{Removed, c.head.Number, c.index, "", "no row has this place"}, want, nil)
	} else {
		c.report.Placed++
		intact, err := c.row(ctx, r)
		if err != nil {
			return err
		}
		leaf, err := r.leaf()
		switch {
		case err != nil && intact:
			c.found(Edited, c.head.Number, c.index, r.ID, "the row makes no leaf")
		case err == nil && intact:
			got = logverify.LeafHash(leaf)
			if known && got != want {
				c.misplaced(Finding{Edited, c.head.Number, c.index, r.ID, "the leaf is not the one logged at this place"}, want, &got)
			}
		}
	}
	if known {
		got = want // a wrong row is told once; the tree goes on as it was logged
	}
	c.index++
	if err := c.tree.Append(got); err != nil {
		return err
	}
	return c.compareCheckpoints(ctx)
}

// misplaced notes a place whose row is missing or whole but not the logged
// one, to be told apart when all places are known.
func (c *logChecker) misplaced(f Finding, want logverify.Hash, got *logverify.Hash) {
	if len(c.wrong) >= MaxFindings {
		c.report.More++
		return
	}
	c.wrong = append(c.wrong, f)
	c.expected[want] = f.Index
	if got != nil {
		c.actual[*got] = f
	}
}

// settle reports the misplaced rows: one whose leaf was logged at another
// place was moved there from it; the others were edited with their commitment.
func (c *logChecker) settle() {
	from := map[int64]int64{} // present place → logged place
	for hash, f := range c.actual {
		if place, ok := c.expected[hash]; ok {
			from[f.Index] = place
		}
	}
	for _, f := range c.wrong {
		if place, ok := from[f.Index]; ok && f.Entry != "" {
			f.Kind, f.What = Reordered, fmt.Sprintf("the row was logged at place %d", place)
		}
		c.found(f.Kind, f.Log, f.Index, f.Entry, "%s", f.What)
	}
}

// beyond finds rows and checkpoints that claim places outside the tree, and a
// last checkpoint that is missing.
func (c *logChecker) beyond(ctx context.Context) error {
	var rows []*row
	var h head
	before := len(c.report.Findings)
	err := c.l.db.Read(ctx, func(tx *db.Tx) (err error) {
		c.report.Findings = c.report.Findings[:before]      // the closure may run again
		if h, err = headOf(tx, c.head.Number); err != nil { // it may have grown meanwhile
			return err
		}
		var last int64
		if err := tx.QueryRow(`SELECT coalesce(max(size), -1) FROM audit_checkpoint WHERE log_number = $1`, h.Number).Scan(&last); err != nil {
			return err
		}
		if last != h.Signed {
			c.found(BadCheckpoint, h.Number, h.Signed, "", "the last stored checkpoint is of size %d", last)
		}
		rows, err = queryRows(tx, `SELECT `+rowColumns+` FROM audit_entry
			WHERE log_number = $1 AND (leaf_index >= $2 OR leaf_index < 0) ORDER BY leaf_index LIMIT $3`,
			h.Number, h.Tree.Size, MaxFindings)
		return err
	})
	for _, r := range rows {
		c.found(Added, r.LogNumber, r.LeafIndex, r.ID, "the place is outside the tree")
	}
	return err
}

// compareTile compares a stored tile with the hashes of the rows. A tile that
// grew meanwhile must begin with them.
func (c *logChecker) compareTile(ctx context.Context, t logverify.Tile, hashes []logverify.Hash) error {
	var stored []logverify.Hash
	err := c.l.db.Read(ctx, func(tx *db.Tx) error {
		m, err := readTiles(tx, c.head.Number, []tileKey{{t.Level, t.N}})
		stored = m[tileKey{t.Level, t.N}]
		return err
	})
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	if len(stored) < t.Width {
		c.found(BadTile, c.head.Number, -1, "", "tile %s has %d hashes", t.Path(), len(stored))
		return nil
	}
	for i, h := range hashes {
		if stored[i] != h {
			c.found(BadTile, c.head.Number, -1, "", "tile %s: hash %d is not of the rows", t.Path(), i)
			return nil
		}
	}
	return nil
}

// checkpoints reads the next stored checkpoints and settles those of the present size.
func (c *logChecker) checkpoints(ctx context.Context) error {
	err := c.l.db.Read(ctx, func(tx *db.Tx) error {
		c.sizes = nil
		rows, err := tx.Query(`SELECT size, note FROM audit_checkpoint WHERE log_number = $1 AND size > $2 ORDER BY size LIMIT $3`,
			c.head.Number, c.after, checkPage)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n sizedNote
			if err := rows.Scan(&n.size, &n.note); err != nil {
				return err
			}
			c.sizes = append(c.sizes, n)
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	if len(c.sizes) > 0 {
		c.after = c.sizes[len(c.sizes)-1].size
	}
	return c.compareCheckpoints(ctx)
}

// compareCheckpoints verifies the stored checkpoints of the present size.
func (c *logChecker) compareCheckpoints(ctx context.Context) error {
	for len(c.sizes) > 0 && c.sizes[0].size <= c.index {
		n := c.sizes[0]
		c.sizes = c.sizes[1:]
		c.report.Checkpoints++
		cp, err := logverify.VerifyCheckpoint(n.note, c.head.VKey)
		switch {
		case err != nil:
			c.found(BadCheckpoint, c.head.Number, n.size, "", "%v", err)
		case cp.Size != n.size || cp.Origin != c.head.Origin:
			c.found(BadCheckpoint, c.head.Number, n.size, "", "the checkpoint is of log %q, size %d", cp.Origin, cp.Size)
		case cp.Root != c.tree.Root():
			c.found(BadCheckpoint, c.head.Number, n.size, "", "the root of the rows is not that of the checkpoint")
		}
		if len(c.sizes) == 0 {
			return c.checkpoints(ctx)
		}
	}
	return nil
}
