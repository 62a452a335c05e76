package page_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"os"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/page"
)

func render(t *testing.T, r *page.Renderer, pdf []byte, max int) ([]image.Image, int) {
	t.Helper()
	var out []image.Image
	total, err := r.Render(t.Context(), bytes.NewReader(pdf), int64(len(pdf)), max, func(n, w, h int, raw []byte) error {
		m, err := png.Decode(bytes.NewReader(raw))
		if err != nil || m.Bounds().Dx() != w || m.Bounds().Dy() != h || n != len(out) {
			t.Errorf("page %d: %v, %d × %d", n, err, w, h)
		}
		out = append(out, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, total
}

// ink counts dark pixels.
func ink(m image.Image) (n int) {
	for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y++ {
		for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
			if r, _, _, _ := m.At(x, y).RGBA(); r < 0x8000 {
				n++
			}
		}
	}
	return n
}

func TestRender(t *testing.T) {
	t.Parallel()
	r := page.NewRenderer(page.RendererConfig{CacheDir: t.TempDir()})
	pages, total := render(t, r, costest.Sample(costest.Options{Text: "Hola mundo"}), 30)
	if total != 2 || len(pages) != 2 {
		t.Fatalf("%d pages of %d", len(pages), total)
	}
	if b := pages[0].Bounds(); b.Dx() != 900 || b.Dy() < 1200 || b.Dy() > 1300 {
		t.Errorf("first page %v", b)
	}
	if b := pages[1].Bounds(); b.Dx() < b.Dy() {
		t.Errorf("the second page is turned: %v", b)
	}
	blank, _ := render(t, r, costest.Sample(costest.Options{Text: " "}), 1)
	if len(blank) != 1 || ink(pages[0]) < ink(blank[0])+500 {
		t.Errorf("text is not drawn: %d dark pixels, without text %d", ink(pages[0]), ink(blank[0]))
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	r := page.NewRenderer(page.RendererConfig{})
	none := func(int, int, int, []byte) error { return nil }
	if _, err := r.Render(t.Context(), bytes.NewReader([]byte("hola")), 4, 1, none); !errors.Is(err, page.ErrRender) {
		t.Errorf("no PDF: %v", err)
	}
	full := errors.New("full")
	pdf := costest.Sample(costest.Options{})
	if _, err := r.Render(t.Context(), bytes.NewReader(pdf), int64(len(pdf)), 1, func(int, int, int, []byte) error { return full }); !errors.Is(err, full) {
		t.Errorf("error of put: %v", err)
	}
	// A page that would take for ever is cut off.
	slow := costest.Sample(costest.Options{Extra: []costest.Obj{
		{Num: costest.Content1, Body: "<<>>", Data: bytes.Repeat([]byte("0 0 m 595 842 l 0 842 l 595 0 l f\n"), 400_000)}}})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := r.Render(ctx, bytes.NewReader(slow), int64(len(slow)), 1, none)
	if !errors.Is(err, page.ErrRender) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("slow page: %v", err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("cut off after %v", d)
	}
	if pages, _ := render(t, r, pdf, 1); len(pages) != 1 {
		t.Error("the renderer does not work after a cut")
	}
}

func TestRenderSeesNoFiles(t *testing.T) {
	t.Parallel()
	// The sandbox has an empty file system; a document that names a file draws nothing of it.
	name := t.TempDir() + "/secreto"
	if err := os.WriteFile(name, []byte("secreto"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := page.NewRenderer(page.RendererConfig{})
	pdf := costest.Sample(costest.Options{CatalogExtra: " /OpenAction <</S /Launch /F (" + name + ")>>"})
	if pages, _ := render(t, r, pdf, 1); len(pages) != 1 {
		t.Errorf("%d pages", len(pages))
	}
}
