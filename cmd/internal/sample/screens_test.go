package sample_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"oruro.gob.bo/suti/cmd/internal/sample"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// Every page at both widths: nothing for axe to find. With -artifacts the test
// leaves pictures.
func TestScreens(t *testing.T) {
	t.Parallel()
	b := webtest.Browser(t)
	w := newWorld(t, sample.NewTramites, nil)
	br := w.browser()
	res, _ := br.fill(br.key(), nil, nil)
	look := func(base, name, path string) {
		for _, width := range []int{360, 1280} {
			b.Axe(t, base+path, width)
			png := b.Screenshot(t, base+path, width)
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+"-"+strconv.Itoa(width)+".png"), png, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, path := range []string{"/", "/mis-tramites", "/certificado", "/firmas", "/firmas/nueva"} {
		look(w.base, "tramites"+strings.ReplaceAll(path, "/", "-"), path)
	}
	look(w.base, "tramites-pendiente", res.Request.URL.Path)
	w.signing.mu.Lock()
	w.signing.state = "completed"
	w.signing.mu.Unlock()
	look(w.base, "tramites-firmado", res.Request.URL.Path)
	becas := newWorld(t, sample.NewBecas, func(c *sample.Config) {
		c.Title, c.Institution, c.OtherTitle = "Becas municipales", "Gobierno Autónomo Municipal de Oruro", "Trámites en línea"
	})
	for _, path := range []string{"/", "/mis-becas"} {
		look(becas.base, "becas"+strings.ReplaceAll(path, "/", "-"), path)
	}
}
