package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// maxAsset bounds one asset, in bytes.
const maxAsset = 1 << 20

// mediaTypes are the assets that are served; others are refused at start.
func mediaTypes() map[string]string {
	return map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
		".png": "image/png", ".webp": "image/webp", ".ico": "image/x-icon", ".wasm": "application/wasm",
		".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".json": "application/json",
	}
}

// assets are files whose address contains a hash of their content, so that
// browsers may keep them for ever.
type assets struct {
	byName map[string]*asset // as templates name them
	byPath map[string]*asset // last element of the address
}

type asset struct {
	name, served string // served is name with the hash in it
	mediaType    string
	body, zipped []byte // zipped is nil if compressing saves nothing
}

func newAssets() *assets {
	return &assets{byName: map[string]*asset{}, byPath: map[string]*asset{}}
}

// addAll adds the files at the root of fsys.
func (a *assets) addAll(fsys fs.FS) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		return a.add(path.Base(name), b)
	})
}

func (a *assets) add(name string, body []byte) error {
	ext := path.Ext(name)
	mt, ok := mediaTypes()[ext]
	if !ok || len(body) > maxAsset || plainWord(name) == "" {
		return fmt.Errorf("web: asset %q: type, size or name is not served", name)
	}
	if a.byName[name] != nil {
		return fmt.Errorf("web: asset %q is there twice", name)
	}
	sum := sha256.Sum256(body)
	as := &asset{name: name, mediaType: mt, body: body,
		served: strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext}
	if z := zip(body); len(z) < len(body)*9/10 {
		as.zipped = z
	}
	a.byName[name], a.byPath[as.served] = as, as
	return nil
}

func zip(b []byte) []byte {
	var buf bytes.Buffer
	w, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is valid
	}
	_, _ = w.Write(b) // a bytes.Buffer does not fail
	_ = w.Close()
	return buf.Bytes()
}

// url returns the address of the asset of that name.
func (a *assets) url(name string) (string, error) {
	as := a.byName[name]
	if as == nil {
		return "", fmt.Errorf("web: no asset %q", name)
	}
	return assetPath + as.served, nil
}

// serve answers GET /activos/{name}.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) error {
	as := a.byPath[r.PathValue("name")]
	if as == nil {
		return NotFound(errors.New("no such asset"))
	}
	h := w.Header()
	for _, name := range []string{"Content-Security-Policy", "Cross-Origin-Opener-Policy", "Permissions-Policy", "X-Frame-Options", "Origin-Agent-Cluster"} {
		h.Del(name)
	}
	h.Set("Content-Security-Policy", closedPolicy) // an SVG opened by itself runs nothing
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", as.mediaType)
	etag := `"` + as.served + `"`
	h.Set("ETag", etag)
	body := as.body
	if as.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			h.Set("Content-Encoding", "gzip")
			body = as.zipped
		}
	}
	if r.Header.Get("If-None-Match") == etag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, err := w.Write(body)
	return err
}

// acceptsGzip reports whether the client wants gzip (RFC 9110 §12.5.3).
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, ok := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		if !ok {
			return true
		}
		f, err := strconv.ParseFloat(q, 64)
		return err == nil && f > 0
	}
	return false
}
