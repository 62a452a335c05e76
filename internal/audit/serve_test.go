package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
)

// naiveRoot is the recursive definition of RFC 6962 §2.1.
func naiveRoot(hs []logverify.Hash) logverify.Hash {
	switch len(hs) {
	case 0:
		return logverify.EmptyRoot()
	case 1:
		return hs[0]
	}
	k := 1
	for 2*k < len(hs) {
		k *= 2
	}
	return logverify.Hash(tlog.NodeHash(tlog.Hash(naiveRoot(hs[:k])), tlog.Hash(naiveRoot(hs[k:]))))
}

// naivePath is the recursive definition of RFC 6962 §2.1.1.
func naivePath(m int, hs []logverify.Hash) []logverify.Hash {
	if len(hs) == 1 {
		return nil
	}
	k := 1
	for 2*k < len(hs) {
		k *= 2
	}
	if m < k {
		return append(naivePath(m, hs[:k]), naiveRoot(hs[k:]))
	}
	return append(naivePath(m-k, hs[k:]), naiveRoot(hs[:k]))
}

func TestProofs(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		if _, err := h.log.InclusionProof(ctx, "aud_x"); !errors.Is(err, audit.ErrUnknown) {
			t.Errorf("unknown entry: got %v, want ErrUnknown", err)
		}
		var ids []string
		var roots []logverify.Hash // by number of steps
		var sizes []int64
		var hashes []logverify.Hash
		for _, n := range []int{1, 4, 251, 1, 30} {
			pending := h.appendN(n)
			if _, err := h.log.InclusionProof(ctx, pending[0]); !errors.Is(err, audit.ErrPending) {
				t.Errorf("before the Step: got %v, want ErrPending", err)
			}
			h.step(n)
			ids = append(ids, pending...)
			_, cp, err := h.log.Latest(ctx)
			if err != nil {
				t.Fatal(err)
			}
			roots, sizes = append(roots, cp.Root), append(sizes, cp.Size)
		}
		for i, id := range ids {
			r, err := h.log.InclusionProof(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			text, err := r.MarshalText()
			if err != nil {
				t.Fatal(err)
			}
			back, err := logverify.ParseReceipt(text)
			if err != nil {
				t.Fatal(err)
			}
			if _, cp, err := logverify.VerifyReceipt(back, h.seq.VerifierKey()); err != nil || cp.Size != int64(len(ids)) || back.Proof.Index != int64(i) {
				t.Fatalf("receipt of %d: place %d, %+v, %v", i, back.Proof.Index, cp, err)
			}
			hashes = append(hashes, logverify.LeafHash(back.Leaf))
		}
		for _, i := range []int{0, 5, 255, 256, 286} {
			r, err := h.log.InclusionProof(ctx, ids[i])
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprint(r.Proof.Hashes), fmt.Sprint(naivePath(i, hashes)); got != want {
				t.Errorf("path of %d: got %s, want %s", i, got, want)
			}
		}
		for i, old := range sizes {
			if want := naiveRoot(hashes[:old]); roots[i] != want {
				t.Errorf("root at %d: got %s, want %s", old, roots[i], want)
			}
			for j := i; j < len(sizes); j++ {
				p, err := h.log.ConsistencyProof(ctx, old, sizes[j])
				if err != nil {
					t.Fatal(err)
				}
				a, b := logverify.Tree{Size: old, Root: roots[i]}, logverify.Tree{Size: sizes[j], Root: roots[j]}
				if err := logverify.CheckConsistency(a, b, p); err != nil {
					t.Errorf("%d to %d: %v", old, sizes[j], err)
				}
			}
		}
		if p, err := h.log.ConsistencyProof(ctx, 0, sizes[2]); err != nil || len(p) != 0 {
			t.Errorf("from the empty tree: %v, %v", p, err)
		}
		for _, c := range [][2]int64{{-1, 5}, {5, 4}, {5, int64(len(ids)) + 1}} {
			if _, err := h.log.ConsistencyProof(ctx, c[0], c[1]); !errors.Is(err, audit.ErrSize) {
				t.Errorf("%v: got %v, want ErrSize", c, err)
			}
		}
	})
}

// TestReceiptShowsTheBody: a third party checks that a certificate's hash is
// in the log, and learns nothing else.
func TestReceiptShowsTheBody(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		e := event(1)
		e.Kind, e.Leaf = "ca.issue", bytes.Repeat([]byte{0xab}, 32)
		id := h.append(e)
		h.step(1)
		r, err := h.log.InclusionProof(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		leaf, _, err := logverify.VerifyReceipt(*r, h.seq.VerifierKey())
		if err != nil || leaf.Class != logverify.ClassCertificate || !leaf.Time.Equal(h.clock.Now().Truncate(time.Second)) {
			t.Errorf("got %+v, %v", leaf, err)
		}
		for _, s := range []string{"per_", "aud_", "cli_", "María", "obj-"} {
			if bytes.Contains(text, []byte(s)) {
				t.Errorf("the receipt tells %q", s)
			}
		}
		other := *r
		other.Body.Body = bytes.Repeat([]byte{0xac}, 32)
		if _, _, err := logverify.VerifyReceipt(other, h.seq.VerifierKey()); !errors.Is(err, logverify.ErrOpening) {
			t.Errorf("another certificate: got %v, want ErrOpening", err)
		}
		for name, s := range map[string]string{
			"no extra":     strings.Replace(string(text), "extra ", "extrb ", 1),
			"plain proof":  "c2sp.org/tlog-proof@v1\nindex 0\n\nx\n",
			"other format": "c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\n\nx\n",
			"not JSON":     "c2sp.org/tlog-proof@v1\nextra AAAA\nindex 0\n\nx\n",
		} {
			if _, err := logverify.ParseReceipt([]byte(s)); !errors.Is(err, logverify.ErrProof) {
				t.Errorf("%s: got %v, want ErrProof", name, err)
			}
		}
	})
}

func TestHandler(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(300)
		h.step(300)
		disconnected := make(chan error, 1)
		handler := h.log.Handler(func(_ *http.Request, err error) { disconnected <- err })
		get := func(method, path string, header ...string) *http.Response {
			r := httptest.NewRequest(method, path, nil)
			for i := 0; i < len(header); i += 2 {
				r.Header.Set(header[i], header[i+1])
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			return w.Result()
		}
		for path, want := range map[string]struct {
			contentType, cache string
			length             int
		}{
			"/log/checkpoint":             {"text/plain; charset=utf-8", "no-cache", -1},
			"/log/1/checkpoint":           {"text/plain; charset=utf-8", "no-cache", -1},
			"/log/tile/0/000":             {"application/octet-stream", "public, max-age=31536000, immutable", 8192},
			"/log/tile/0/001.p/44":        {"application/octet-stream", "public, max-age=31536000, immutable", 44 * 32},
			"/log/tile/0/001.p/7":         {"application/octet-stream", "public, max-age=31536000, immutable", 7 * 32},
			"/log/tile/1/000.p/1":         {"application/octet-stream", "public, max-age=31536000, immutable", 32},
			"/log/1/tile/1/000.p/1":       {"application/octet-stream", "public, max-age=31536000, immutable", 32},
			"/log/tile/entries/000":       {"application/octet-stream", "public, max-age=31536000, immutable", -1},
			"/log/tile/entries/001.p/44":  {"application/octet-stream", "public, max-age=31536000, immutable", -1},
			"/log/1/tile/entries/000.p/1": {"application/octet-stream", "public, max-age=31536000, immutable", -1},
		} {
			resp := get("GET", path)
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != want.contentType || resp.Header.Get("Cache-Control") != want.cache ||
				resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
				t.Errorf("%s: status %d, header %v", path, resp.StatusCode, resp.Header)
			}
			if want.length >= 0 && len(body) != want.length {
				t.Errorf("%s: %d bytes, want %d", path, len(body), want.length)
			}
			head := get("HEAD", path)
			if b, _ := io.ReadAll(head.Body); head.StatusCode != 200 || len(b) != 0 || head.Header.Get("Content-Length") != strconv.Itoa(len(body)) {
				t.Errorf("HEAD %s: status %d, %d bytes", path, head.StatusCode, len(b))
			}
			if again := get("GET", path, "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != 304 {
				t.Errorf("%s with its ETag: status %d, want 304", path, again.StatusCode)
			}
		}
		for _, path := range []string{
			"/", "/log/checkpoint/", "/log/0/checkpoint", "/log/2/checkpoint", "/log/01/checkpoint", "/log/1/", "/log/1",
			"/log/x/checkpoint", "/log/-1/checkpoint", "/log/tile/0/001", "/log/tile/0/001.p/45", "/log/tile/0/002.p/1", "/log/tile/1/000",
			"/log/tile/2/000.p/1", "/log/tile/1/000.p/2", "/log/tile/entries/001", "/log/tile/entries/001.p/45", "/log/tile/data/000",
			"/log/99999999999999999999/checkpoint", "/log/1/1/checkpoint", "/log/" + strings.Repeat("x", 5000), "/log/tile/0/x281/x474/x976/x710/656",
			"/checkpoint",
		} {
			if resp := get("GET", path); resp.StatusCode != 404 {
				t.Errorf("%.40s: status %d, want 404", path, resp.StatusCode)
			}
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
			if resp := get(method, "/log/checkpoint"); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: status %d, Allow %q", method, resp.StatusCode, resp.Header.Get("Allow"))
			}
		}
		// What is placed but not signed for is not served.
		h.exec(1, `DELETE FROM audit_entry WHERE leaf_index = 2`)
		if resp := get("GET", "/log/tile/entries/000"); resp.StatusCode != 500 || !errors.Is(<-disconnected, audit.ErrCorrupt) {
			t.Errorf("bundle with a removed row: status %d, want 500 and a report", resp.StatusCode)
		}
	})
}

func TestHandlerTellsWhatIsHere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(3)
		h.step(3)
		for _, path := range []string{"/log", "/log/"} {
			w := httptest.NewRecorder()
			h.log.Handler(nil).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Fatalf("%s: got %d, %v", path, w.Code, w.Header())
			}
			for _, want := range []string{"origin: " + h.cfg.Origin + "\n", "verifier key: " + h.seq.VerifierKey() + "\n", "size: 3\n", "/log/checkpoint\n", "/log/tile/"} {
				if !strings.Contains(w.Body.String(), want) {
					t.Errorf("%s: no %q in %s", path, want, w.Body)
				}
			}
		}
	})
}

func TestHandlerServesOnlyWhatIsSigned(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		src := handlerSource{h.log.Handler(nil)}
		if _, err := src.Fetch(t.Context(), "checkpoint", 1<<16); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("before the first checkpoint: got %v, want 503", err)
		}
		h.appendN(2)
		h.step(2)
		h.appendN(2)
		dir := filepath.Dir(h.cfg.HighWater)
		if err := os.RemoveAll(dir); err != nil { // placed, but not signed
			t.Fatal(err)
		}
		if n, err := h.seq.Step(t.Context()); n != 2 || err == nil {
			t.Fatalf("Step = %d, %v", n, err)
		}
		for _, path := range []string{"tile/0/000.p/3", "tile/entries/000.p/3"} {
			if _, err := src.Fetch(t.Context(), path, 1<<20); !errors.Is(err, logverify.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", path, err)
			}
		}
		if _, err := src.Fetch(t.Context(), "tile/0/000.p/2", 1<<20); err != nil {
			t.Error(err)
		}
	})
}

// httpTiles is x/mod's client over the handler.
type httpTiles struct {
	t   testing.TB
	src handlerSource
}

func (r httpTiles) Height() int { return 8 }

func (r httpTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		b, err := r.src.Fetch(r.t.Context(), strings.Replace(t.Path(), "tile/8/", "tile/", 1), 1<<20)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (httpTiles) SaveTiles([]tlog.Tile, [][]byte) {}

// TestForeignClient proves records with another implementation that only sees
// what is served.
func TestForeignClient(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		ids := h.appendN(700)
		h.step(700)
		_, cp, err := h.log.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		src := handlerSource{h.log.Handler(nil)}
		r := tlog.TileHashReader(tlog.Tree{N: cp.Size, Hash: tlog.Hash(cp.Root)}, httpTiles{t, src})
		for i := 0; i < len(ids); i += 37 {
			p, err := tlog.ProveRecord(cp.Size, int64(i), r)
			if err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
			rec, err := h.log.InclusionProof(t.Context(), ids[i])
			if err != nil {
				t.Fatal(err)
			}
			if err := tlog.CheckRecord(p, cp.Size, tlog.Hash(cp.Root), int64(i), tlog.RecordHash(rec.Leaf)); err != nil {
				t.Errorf("record %d: %v", i, err)
			}
		}
	})
}

func TestExport(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		dir := filepath.Join(t.TempDir(), "log")
		if _, err := h.log.Export(t.Context(), audit.ExportOptions{Dir: dir}); !errors.Is(err, audit.ErrPending) {
			t.Errorf("before the first checkpoint: got %v, want ErrPending", err)
		}
		var notes [][]byte
		for _, n := range []int{0, 3, 253, 300} {
			h.appendN(n)
			h.step(n)
			progress := int64(-1)
			cp, err := h.log.Export(t.Context(), audit.ExportOptions{Dir: dir, Progress: func(done, size int64) { progress = done }})
			if err != nil {
				t.Fatal(err)
			}
			if cp.Size > 0 && progress != cp.Size {
				t.Errorf("size %d: progress ended at %d", cp.Size, progress)
			}
			note, _, err := h.log.Latest(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			notes = append(notes, note)
			rep, err := logverify.VerifyLog(t.Context(), logverify.FSSource(os.DirFS(dir)), logverify.LogOptions{Key: h.seq.VerifierKey(), Earlier: notes})
			if err != nil || rep.Checkpoint != cp || rep.Earlier != len(notes) {
				t.Fatalf("size %d: %+v, %v", cp.Size, rep, err)
			}
		}
		left, err := filepath.Glob(filepath.Join(dir, ".*"))
		if err != nil || len(left) != 0 {
			t.Errorf("temporary files left: %v, %v", left, err)
		}
		refused := func(name, path string, change func([]byte) []byte) {
			t.Helper()
			p := filepath.Join(dir, filepath.FromSlash(path))
			good, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, change(good), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := h.log.Export(t.Context(), audit.ExportOptions{Dir: dir}); !errors.Is(err, audit.ErrExport) {
				t.Errorf("%s: got %v, want ErrExport", name, err)
			}
			if err := os.WriteFile(p, good, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }
		refused("other tile", "tile/0/000", flip)
		refused("other bundle", "tile/entries/001", flip)
		refused("other checkpoint", "checkpoint", flip)
		refused("checkpoint of another log", "checkpoint", func([]byte) []byte {
			b, err := logverify.SignCheckpoint(logverify.Checkpoint{Origin: testOrigin, Tree: logverify.Tree{Size: 9, Root: logverify.Hash{1}}}, testKey(1))
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
		if _, err := h.log.Export(t.Context(), audit.ExportOptions{Dir: dir}); err != nil {
			t.Errorf("after repair: %v", err)
		}
		if _, err := h.log.Export(t.Context(), audit.ExportOptions{Dir: dir, Number: 2}); err == nil {
			t.Error("export of a log that does not exist succeeded")
		}
	})
}
