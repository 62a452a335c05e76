package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// Cache headers: a tile never changes, a checkpoint is always asked for anew.
const (
	cacheForever = "public, max-age=31536000, immutable"
	cacheNever   = "no-cache"
)

// maxLogPath bounds a request path below /log/, in bytes.
const maxLogPath = 96

// errNoResource is answered with 404.
var errNoResource = errors.New("audit: no such resource")

// Handler serves the logs as C2SP tlog-tiles, without authentication:
//
//	/log, /log/                         what is here, in plain text
//	/log/checkpoint                     the current log's last checkpoint
//	/log/tile/<L>/<N>[.p/<W>]           hash tiles
//	/log/tile/entries/<N>[.p/<W>]       entry bundles
//	/log/<number>/…                     the same of any log, by number
//
// Only what a published checkpoint covers is served. Errors are logged by
// the handler around it: report, if not nil, gets what became a 500.
func (l *Log) Handler(report func(*http.Request, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Access-Control-Allow-Origin", "*") // public data: a static page may verify a receipt
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		path, ok := strings.CutPrefix(r.URL.Path, "/log/")
		if r.URL.Path == "/log" {
			path, ok = "", true
		}
		if !ok || len(path) > maxLogPath {
			http.Error(w, "not found", http.StatusNotFound)
			return
		}
		res, err := l.resource(r.Context(), path)
		switch {
		case err == nil:
			res.write(w, r)
		case errors.Is(err, errNoResource):
			http.Error(w, "not found", http.StatusNotFound)
		case errors.Is(err, ErrPending):
			h.Set("Retry-After", "1")
			http.Error(w, "no checkpoint yet", http.StatusServiceUnavailable)
		default:
			if report != nil {
				report(r, err)
			}
			http.Error(w, "internal error", http.StatusInternalServerError)
		}
	})
}

// resource is what one address holds.
type resource struct {
	contentType string
	cache       string
	body        []byte
}

func (res *resource) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", res.contentType)
	h.Set("Cache-Control", res.cache)
	sum := sha256.Sum256(res.body)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(res.body)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(res.body) // a client that went away is no error of ours
	}
}

// resource returns what path, below /log/, names; errNoResource if nothing.
func (l *Log) resource(ctx context.Context, path string) (*resource, error) {
	number := int64(0) // the current log
	if first, rest, ok := strings.Cut(path, "/"); ok && first != "tile" {
		n, err := strconv.ParseUint(first, 10, 31)
		if err != nil || n == 0 || rest == "" || strconv.FormatUint(n, 10) != first {
			return nil, errNoResource
		}
		number, path = int64(n), rest
	}
	var tile logverify.Tile
	if path != logverify.CheckpointPath && path != "" {
		var err error
		if tile, err = logverify.ParseTilePath(path); err != nil {
			return nil, errNoResource
		}
	}
	var res *resource
	err := l.db.Read(ctx, func(tx *db.Tx) error {
		h, err := headByNumber(tx, number)
		if err != nil {
			return err
		}
		res, err = readResource(tx, h, path, tile)
		return err
	})
	return res, err
}

func headByNumber(q db.Querier, number int64) (head, error) {
	if number == 0 {
		h, err := currentHead(q)
		return h, pendingIfNone(err)
	}
	h, err := headOf(q, number)
	if errors.Is(err, errNoLog) {
		return h, errNoResource
	}
	return h, err
}

func readResource(q db.Querier, h head, path string, t logverify.Tile) (*resource, error) {
	if path == "" {
		return &resource{"text/plain; charset=utf-8", cacheNever, describe(h)}, nil
	}
	if h.Signed < 0 {
		return nil, ErrPending
	}
	if path == logverify.CheckpointPath {
		note, err := checkpointNote(q, h.Number, h.Signed)
		return &resource{"text/plain; charset=utf-8", cacheNever, note}, err
	}
	if !t.In(h.Signed) {
		return nil, errNoResource
	}
	var body []byte
	var err error
	if t.Entries {
		body, err = readBundle(q, h.Number, t)
	} else {
		body, err = readTile(q, h.Number, t)
	}
	return &resource{"application/octet-stream", cacheForever, body}, err
}

// describe says what a log is and where its parts are.
func describe(h head) []byte {
	return fmt.Appendf(nil, "origin: %s\nverifier key: %s\nsize: %d\nlog: %d\n\ncheckpoint: /log/checkpoint\ntiles: /log/tile/<L>/<N>[.p/<W>]\n"+
		"entries: /log/tile/entries/<N>[.p/<W>]\nany log by its number: /log/<number>/checkpoint, /log/<number>/tile/...\n"+
		"format: https://c2sp.org/tlog-tiles\n", h.Origin, h.VKey, max(0, h.Signed), h.Number)
}

// readTile returns the bytes of a hash tile at its width.
func readTile(q db.Querier, number int64, t logverify.Tile) ([]byte, error) {
	k := tileKey{t.Level, t.N}
	stored, err := readTiles(q, number, []tileKey{k})
	if err != nil {
		return nil, err
	}
	if len(stored[k]) < t.Width {
		return nil, corrupt("tile %s of log %d has %d hashes", t.Path(), number, len(stored[k]))
	}
	return logverify.TileData(stored[k][:t.Width]), nil
}

// readBundle makes an entry bundle from the rows.
func readBundle(q db.Querier, number int64, t logverify.Tile) ([]byte, error) {
	first := t.N * logverify.TileWidth
	rows, err := queryLeaves(q, `SELECT `+leafColumns+` FROM audit_entry
		WHERE log_number = $1 AND leaf_index >= $2 AND leaf_index < $3 ORDER BY leaf_index`,
		number, first, first+int64(t.Width))
	if err != nil {
		return nil, err
	}
	if len(rows) != t.Width {
		return nil, corrupt("bundle %s of log %d has %d entries", t.Path(), number, len(rows))
	}
	var b []byte
	for _, r := range rows {
		b = logverify.AppendBundle(b, r.leaf)
	}
	return b, nil
}
