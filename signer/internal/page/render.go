package page

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"reflect"
	"sync"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/enums"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Bounds of a rendering.
const (
	imageWidth  = 900  // pixels, at most
	imageHeight = 1800 // pixels, at most
	memoryPages = 6144 // of 64 KiB: 384 MiB for one file
)

// ErrRender reports a file that the sandbox could not draw.
var ErrRender = errors.New("page: cannot be drawn")

// RendererConfig configures [NewRenderer].
type RendererConfig struct {
	// CacheDir keeps the compiled sandbox between starts (some 20 MB); without it
	// the first page costs some seconds after every start. Only this service may
	// write there: what lies in it is run.
	CacheDir string
}

// Renderer draws the pages of PDF files with PDFium, compiled to WebAssembly: the
// library sees no file, no network and no clock, only the bytes of one document,
// within bounded memory. A drawing that takes too long is cut off. It is safe for
// concurrent use; each file has a sandbox of its own, which is thrown away.
type Renderer struct {
	start func() (pdfium.Pool, error)
}

// NewRenderer returns a renderer that compiles the sandbox on first use; see [Renderer.Warm].
func NewRenderer(c RendererConfig) *Renderer {
	return &Renderer{start: sync.OnceValues(func() (pdfium.Pool, error) {
		rc := wazero.NewRuntimeConfig().WithCloseOnContextDone(true).WithMemoryLimitPages(memoryPages)
		if c.CacheDir != "" {
			cache, err := wazero.NewCompilationCacheWithDir(c.CacheDir)
			if err != nil {
				return nil, fmt.Errorf("page: compilation cache: %w", err)
			}
			rc = rc.WithCompilationCache(cache)
		}
		// An empty file system: the library's default would mount the whole one.
		return webassembly.Init(webassembly.Config{MaxTotal: 2, RuntimeConfig: rc, FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard})
	})}
}

// Warm compiles the sandbox, so that nobody has to wait for it.
func (r *Renderer) Warm() error {
	_, err := r.start()
	return err
}

// Render draws at most max pages, from the first, and hands each as a PNG to put.
// It returns the number of pages of the file. Errors: [ErrRender], ctx's, put's.
func (r *Renderer) Render(ctx context.Context, base io.ReaderAt, size int64, max int, put func(n, width, height int, png []byte) error) (total int, err error) {
	pool, err := r.start()
	if err != nil {
		return 0, err
	}
	in, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return 0, errors.Join(ErrRender, ctx.Err(), err)
	}
	module, err := moduleOf(in)
	if err != nil {
		return 0, errors.Join(err, in.Close())
	}
	// A call in the sandbox knows no context; closing its module cuts it off.
	stop := context.AfterFunc(ctx, func() { _ = module.CloseWithExitCode(context.Background(), 1) })
	defer func() {
		stop()
		_ = in.Close() // after a cut it has nothing left to close
		if ctx.Err() != nil {
			err = errors.Join(ErrRender, ctx.Err())
		}
	}()
	return r.render(ctx, in, io.NewSectionReader(base, 0, size), size, max, put)
}

// moduleOf returns the sandbox of an instance.
func moduleOf(in pdfium.Pdfium) (api.Module, error) {
	impl, ok := in.(interface{ GetImplementation() any })
	if !ok {
		return nil, errors.New("page: the sandbox cannot be reached")
	}
	v := reflect.ValueOf(impl.GetImplementation())
	if v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if f := v.Elem().FieldByName("Module"); f.IsValid() && f.CanInterface() {
			if m, ok := f.Interface().(api.Module); ok {
				return m, nil
			}
		}
	}
	return nil, errors.New("page: the sandbox cannot be reached")
}

func (r *Renderer) render(ctx context.Context, in pdfium.Pdfium, file io.ReadSeeker, size int64, max int, put func(n, width, height int, png []byte) error) (total int, err error) {
	defer func() {
		if p := recover(); p != nil { // the library panics on what it does not expect
			err = fmt.Errorf("%w: panic: %v", ErrRender, p)
		}
	}()
	doc, err := in.OpenDocument(&requests.OpenDocument{FileReader: file, FileReaderSize: size})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRender, err)
	}
	count, err := in.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: doc.Document})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrRender, err)
	}
	for i := range min(count.PageCount, max) {
		if err := ctx.Err(); err != nil {
			return count.PageCount, err
		}
		b, rect, err := drawPage(in, doc.Document, i)
		if err != nil {
			return count.PageCount, fmt.Errorf("%w: page %d: %w", ErrRender, i+1, err)
		}
		if err := put(i, rect.Dx(), rect.Dy(), b); err != nil {
			return count.PageCount, err
		}
	}
	return count.PageCount, nil
}

func drawPage(in pdfium.Pdfium, doc references.FPDF_DOCUMENT, n int) ([]byte, image.Rectangle, error) {
	res, err := in.RenderPageInPixels(&requests.RenderPageInPixels{Width: imageWidth, Height: imageHeight, RenderFlags: enums.FPDF_RENDER_FLAG_ANNOT,
		Page: requests.Page{ByIndex: &requests.PageByIndex{Document: doc, Index: n}}})
	if err != nil {
		return nil, image.Rectangle{}, err
	}
	defer res.Cleanup()
	var out bytes.Buffer
	err = png.Encode(&out, smallest(res.Result.Image))
	return out.Bytes(), res.Result.Image.Bounds(), err
}

// smallest returns a page without colours as shades of grey, a quarter of the bytes.
func smallest(m *image.RGBA) image.Image {
	gray := image.NewGray(m.Bounds())
	for y := range m.Bounds().Dy() {
		row := m.Pix[y*m.Stride : y*m.Stride+4*m.Bounds().Dx()]
		for x := 0; x < len(row); x += 4 {
			if row[x] != row[x+1] || row[x] != row[x+2] || row[x+3] != 0xff {
				return m
			}
			gray.Pix[y*gray.Stride+x/4] = row[x]
		}
	}
	return gray
}
