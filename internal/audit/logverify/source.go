package logverify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
)

// Errors of sources.
var (
	// ErrNotFound reports a resource that the source does not have.
	ErrNotFound = errors.New("logverify: no such resource in the log")
	// ErrTooLarge reports a resource above its size limit.
	ErrTooLarge = errors.New("logverify: resource above its size limit")
)

// Source reads the published files of a tiled log (C2SP tlog-tiles). What it
// returns is not trusted.
type Source interface {
	// Fetch returns the bytes of a path below the log's prefix:
	// [CheckpointPath], or what [Tile.Path] returns. It MUST return an error
	// that wraps [ErrNotFound] if there is no such resource and [ErrTooLarge]
	// if there are more than limit bytes, without reading on.
	Fetch(ctx context.Context, path string, limit int64) ([]byte, error)
}

// FSSource reads an exported log, for instance os.DirFS of its folder.
func FSSource(fsys fs.FS) Source { return fsSource{fsys} }

type fsSource struct{ fsys fs.FS }

func (s fsSource) Fetch(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.fsys.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read log file: %w", err)
	}
	defer f.Close()
	return readLimited(f, path, limit)
}

// HTTPSource reads a log served below a base URL, for instance
// "https://suti.example/log". The client decides on time-outs, redirects and
// which addresses may be dialled.
func HTTPSource(base string, client *http.Client) (Source, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("log address %q: want http(s)://host/path without query", base)
	}
	if client == nil {
		return nil, errors.New("log source: no HTTP client")
	}
	return httpSource{strings.TrimSuffix(base, "/"), client}, nil
}

type httpSource struct {
	base   string
	client *http.Client
}

func (s httpSource) Fetch(ctx context.Context, path string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("log request: %w", err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch from log: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return readLimited(resp.Body, path, limit)
	case http.StatusNotFound, http.StatusGone:
		return nil, fmt.Errorf("%w: %s", ErrNotFound, path)
	}
	return nil, fmt.Errorf("fetch %s from log: status %d", path, resp.StatusCode)
}

func readLimited(r io.Reader, path string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %s, limit %d bytes", ErrTooLarge, path, limit)
	}
	return b, nil
}
