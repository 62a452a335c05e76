package audit

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// head is the state of one log.
type head struct {
	Number   int64
	Origin   string
	VKey     string
	Tree     logverify.Tree
	Signed   int64  // greatest size with a stored checkpoint, -1 before the first
	Previous []byte // last checkpoint of the log that this one continues
}

const headColumns = `number, origin, vkey, size, root, signed, previous`

// errNoLog reports a database in which no log was opened yet.
var errNoLog = errors.New("audit: no log was opened yet")

func scanHead(s scanner) (head, error) {
	var h head
	var root []byte
	err := s.Scan(&h.Number, &h.Origin, &h.VKey, &h.Tree.Size, &root, &h.Signed, &h.Previous)
	if errors.Is(err, sql.ErrNoRows) {
		return head{}, errNoLog
	}
	if err != nil {
		return head{}, fmt.Errorf("log head: %w", err)
	}
	if !fill(h.Tree.Root[:], root) || h.Tree.Size < 0 || h.Tree.Size > logverify.MaxSize {
		return head{}, fmt.Errorf("%w: head of log %d", ErrCorrupt, h.Number)
	}
	return h, nil
}

// currentHead returns the log that grows, or errNoLog.
func currentHead(q db.Querier) (head, error) {
	return scanHead(q.QueryRow(`SELECT ` + headColumns + ` FROM audit_log ORDER BY number DESC LIMIT 1`))
}

// headOf returns the log of a number, or errNoLog.
func headOf(q db.Querier, number int64) (head, error) {
	return scanHead(q.QueryRow(`SELECT `+headColumns+` FROM audit_log WHERE number = $1`, number))
}

// allHeads returns every log in the order of their numbers.
func allHeads(q db.Querier) ([]head, error) {
	rows, err := q.Query(`SELECT ` + headColumns + ` FROM audit_log ORDER BY number`)
	if err != nil {
		return nil, fmt.Errorf("log heads: %w", err)
	}
	defer rows.Close()
	var out []head
	for rows.Next() {
		h, err := scanHead(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, h)
	}
	return out, rows.Err()
}

// checkpointNote returns the stored checkpoint of a size, or [ErrPending].
func checkpointNote(q db.Querier, number, size int64) ([]byte, error) {
	var note []byte
	err := q.QueryRow(`SELECT note FROM audit_checkpoint WHERE log_number = $1 AND size = $2`, number, size).Scan(&note)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrPending
	}
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	return note, nil
}

type tileKey struct {
	level int
	n     int64
}

// tileQuery bounds the tiles that one statement reads.
const tileQuery = 64

// readTiles returns the hashes of tiles, as wide as they are stored; a tile
// that is not stored is absent from the map.
func readTiles(q db.Querier, number int64, keys []tileKey) (map[tileKey][]logverify.Hash, error) {
	out := make(map[tileKey][]logverify.Hash, len(keys))
	for len(keys) > 0 {
		part := keys[:min(tileQuery, len(keys))]
		keys = keys[len(part):]
		var where strings.Builder
		args := []any{number}
		for i, k := range part {
			if i > 0 {
				where.WriteString(" OR ")
			}
			fmt.Fprintf(&where, "(level = $%d AND n = $%d)", len(args)+1, len(args)+2)
			args = append(args, k.level, k.n)
		}
		if err := readTilePart(q, where.String(), args, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readTilePart(q db.Querier, where string, args []any, out map[tileKey][]logverify.Hash) error {
	rows, err := q.Query(`SELECT level, n, width, data FROM audit_tile WHERE log_number = $1 AND (`+where+`)`, args...)
	if err != nil {
		return fmt.Errorf("log tiles: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var t logverify.Tile
		var data []byte
		if err := rows.Scan(&t.Level, &t.N, &t.Width, &data); err != nil {
			return fmt.Errorf("log tiles: %w", err)
		}
		hs, err := logverify.TileHashes(t, data)
		if err != nil {
			return fmt.Errorf("%w: tile %s: %w", ErrCorrupt, t.Path(), err)
		}
		out[tileKey{t.Level, t.N}] = hs
	}
	return rows.Err()
}

// tileReader reads tree hashes out of stored tiles. It implements
// [tlog.HashReader].
type tileReader struct {
	q      db.Querier
	number int64
}

// ReadHashes implements [tlog.HashReader]. A hash that the stored tiles do not
// hold is [ErrCorrupt]: callers ask only for trees that were committed.
func (r tileReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var keys []tileKey
	seen := map[tileKey]bool{}
	tiles := make([]tlog.Tile, len(indexes))
	for i, x := range indexes {
		t := tlog.TileForIndex(logverify.TileHeight, x)
		tiles[i] = t
		if k := (tileKey{t.L, t.N}); !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	stored, err := readTiles(r.q, r.number, keys)
	if err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		t := tiles[i]
		hs := stored[tileKey{t.L, t.N}]
		if len(hs) < t.W {
			return nil, fmt.Errorf("%w: tile %d/%d of log %d has %d hashes, %d are needed", ErrCorrupt, t.L, t.N, r.number, len(hs), t.W)
		}
		if out[i], err = tlog.HashFromTile(t, logverify.TileData(hs[:t.W]), x); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
	return out, nil
}

// rootAt recomputes the root of the first size leaves from the stored tiles.
func rootAt(q db.Querier, number, size int64) (logverify.Hash, error) {
	h, err := tlog.TreeHash(size, tileReader{q, number})
	if err != nil {
		return logverify.Hash{}, fmt.Errorf("root at %d: %w", size, err)
	}
	return logverify.Hash(h), nil
}

// loadBuilder returns a builder at the head of h, from the stored edge. A head
// that its tiles do not support is [ErrCorrupt].
func loadBuilder(q db.Querier, h head) (*logverify.Builder, error) {
	edge := logverify.TilesAt(h.Tree.Size)
	keys := make([]tileKey, len(edge))
	for i, t := range edge {
		keys[i] = tileKey{t.Level, t.N}
	}
	stored, err := readTiles(q, h.Number, keys)
	if err != nil {
		return nil, err
	}
	byLevel := map[int][]logverify.Hash{}
	for k, hs := range stored {
		byLevel[k.level] = hs
	}
	b, err := logverify.NewBuilder(h.Tree.Size, byLevel)
	if err != nil {
		return nil, fmt.Errorf("%w: log %d: %w", ErrCorrupt, h.Number, err)
	}
	if b.Root() != h.Tree.Root {
		return nil, fmt.Errorf("%w: the tiles of log %d do not give its root at size %d", ErrCorrupt, h.Number, h.Tree.Size)
	}
	return b, nil
}
