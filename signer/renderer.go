package signer

import "oruro.gob.bo/suti/signer/internal/page"

// NewRenderer returns a [Renderer] that draws in a sandbox of bounded memory and
// time. cacheDir keeps the compiled sandbox between starts; it may be empty. Only
// this service may write there: what lies in it is run. Warm, called in the
// background at the start, spares the first reader the compilation.
func NewRenderer(cacheDir string) *page.Renderer {
	return page.NewRenderer(page.RendererConfig{CacheDir: cacheDir})
}
