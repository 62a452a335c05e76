package signer_test

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/isolate"
	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pades/report"
)

func TestTexts(t *testing.T) {
	t.Parallel()
	if err := i18n.Lint(os.DirFS("."), signer.Texts(), report.Texts(), web.Texts()); err != nil {
		t.Error(err)
	}
	texts, err := fs.Sub(signer.Texts(), ".")
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := i18n.New(map[string]fs.FS{"signer": texts, "web": web.Texts()})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range signer.Problems() {
		if !catalog.Has("signer.problem." + code) {
			t.Errorf("no text for %s", code)
		}
	}
}

// TestPageImages: the pages a person is shown are drawn once, served to signers
// only, and their hashes stand in the evidence.
func TestPageImages(t *testing.T) {
	t.Parallel()
	renderer := signer.NewRenderer("")
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()), func(c *signer.Config) { c.Renderer = renderer })
	st := g.request("a", sample("Imagen"), g.w.Official, g.w.Citizen)
	html := g.page("/firmas/"+st.ID, g.w.Official, 200)
	image := "/firmas/" + st.ID + "/documentos/1/paginas/1"
	contains(t, html, image, "Página 2")
	status, h, raw := g.send("GET", image, string(g.w.Official.ID()), "", nil)
	if _, err := png.Decode(bytes.NewReader(raw)); status != http.StatusOK || h.Get("Content-Type") != "image/png" || err != nil {
		t.Errorf("image: %d %v %v", status, h, err)
	}
	g.page(image, g.w.Other, 404)
	g.page("/firmas/"+st.ID+"/documentos/1/paginas/3", g.w.Official, 404)
	g.page("/firmas/"+st.ID+"/documentos/2", g.w.Official, 404)
	g.sign(st.ID, g.w.Official)
	contains(t, g.page("/firmas/"+st.ID, g.w.Citizen, 200), image)
	g.sign(st.ID, g.w.Citizen)
	for _, query := range []string{"", "?signer=1"} {
		_, _, raw = g.send("GET", "/api/v1/signing-requests/"+st.ID+"/evidence"+query, appA, "", nil)
		b, err := bundle.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(b.Documents[0].Pages); n != 2 {
			t.Errorf("evidence%s holds %d page images, want 2", query, n)
		}
	}
	evidence(t, g, st.ID)
}

type fixed struct{ p web.Principal }

// Principal implements web.Authenticator.
func (f *fixed) Principal(*http.Request) (web.Principal, error) { return f.p, nil }

// TestScreens looks at every page with a browser, at the widths of a phone and of
// a desk. SUTI_TEST_SCREENS names a folder for pictures of them.
func TestScreens(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a browser")
	}
	auth := &fixed{}
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()), func(c *signer.Config) {
		c.Renderer, c.Verifier, c.Limiter = signer.NewRenderer(""), trick{c.Verifier}, impatient{}
	})
	official := g.w.Official
	done := g.request("a", sample("Resolucion"), official)
	g.sign(done.ID, official)
	other := g.request("d", sample("Cuarta resolucion"), official)
	g.sign(other.ID, official)
	open := g.request("b", sample("Otra resolucion"), official, g.w.Citizen)
	declined := g.request("c", sample("Tercera"), official)
	status, _, _ := g.send("POST", "/firmas/"+declined.ID+"/rechazar", string(official.ID()), "application/x-www-form-urlencoded", strings.NewReader("reason=Falta+el+anexo"))
	if status != http.StatusSeeOther {
		t.Fatal(status)
	}
	auth.p = &webtest.Person{ID: official.ID(), FullName: official.Profile.Name.Full(), At: 1, Assurance: official.Profile.Level, Signed: g.w.Clock.Now(), Now: g.w.Clock.Now}
	h := resultServer(t, g, auth, g.signed(g.status(done.ID)), other.VerificationCode)
	chrome := webtest.Browser(t)
	faults := []string{"missing", "too-complex", "interrupted", "rate"} // of which a browser tells the status
	for name, path := range map[string]string{
		"inbox": "/firmas", "request": "/firmas/" + open.ID, "done": "/firmas/" + done.ID + "/listo", "declined": "/firmas/" + declined.ID,
		"verify": "/verificar", "code": "/verificar/" + done.VerificationCode, "good": "/resultado/bueno", "altered": "/resultado/alterado", "unknown": "/resultado/otro",
		"missing": "/resultado/falta", "unknown-code": "/resultado/codigo-desconocido", "other-code": "/resultado/codigo-ajeno",
		"too-complex": "/resultado/complejo", "interrupted": "/resultado/interrumpido", "rate": "/resultado/seguido",
	} {
		for _, width := range []int{360, 1280} {
			if dir := os.Getenv("SUTI_TEST_SCREENS"); dir != "" {
				shot := chrome.Screenshot(t, h+path, width)
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("signer-%s-%d.png", name, width)), shot, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, v := range chrome.Check(t, h+path, width) {
				told := v.Rule == "browser" && strings.Contains(v.Help, "responded with a status of") && slices.Contains(faults, name)
				if !told {
					t.Errorf("%s at %d px: %s (%s): %s\n\t%s", path, width, v.Rule, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
				}
			}
		}
	}
}

// resultServer serves the signer to a browser as one person, and the results of
// uploads at addresses that can be visited; code is that of another document.
func resultServer(t *testing.T, g *rig, auth web.Authenticator, signed []byte, code string) string {
	t.Helper()
	type upload struct {
		file []byte
		code string
	}
	files := map[string]upload{
		"bueno": {signed, ""}, "alterado": {bytes.Replace(signed, []byte("(Resolucion)"), []byte("(Resolucidn)"), 1), ""}, "otro": {sample("otro"), ""},
		"falta": {[]byte{}, "ABCD-EFGH-JKMN-PQRS"}, "codigo-desconocido": {signed, "ZZZZ-ZZZZ-ZZZZ-ZZZZ"}, "codigo-ajeno": {signed, code},
		"complejo": {[]byte(trickComplex), ""}, "interrumpido": {[]byte(trickInterrupted), ""}, "seguido": {sample("otro"), ""},
	}
	real := g.srv.Config.Handler
	g.srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := auth.Principal(r)
		if err == nil {
			r.Header.Set("X-Test-Person", string(p.Person()))
		}
		if name, ok := strings.CutPrefix(r.URL.Path, "/resultado/"); ok {
			var b bytes.Buffer
			contentType := form(t, &b, files[name].file, "code", files[name].code)
			r, err = http.NewRequestWithContext(r.Context(), http.MethodPost, "/verificar", &b)
			if err != nil {
				t.Error(err)
			}
			r.Host, r.RequestURI, r.RemoteAddr = g.host, "/verificar", "127.0.0.1:1"
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			if name == "seguido" {
				r.Header.Set("X-Forwarded-For", impatientClient)
			}
		}
		real.ServeHTTP(w, r)
	})
	return "http://" + g.host
}

// Files that trick answers as a child that cannot judge them.
const trickComplex, trickInterrupted = "complejo", "interrumpido"

// trick is a verifier with such files.
type trick struct{ signer.Verifier }

// Verify implements signer.Verifier.
func (v trick) Verify(ctx context.Context, base io.ReaderAt, size int64) (*pades.Report, error) {
	switch size {
	case int64(len(trickComplex)):
		return nil, &isolate.LimitError{Limit: isolate.Memory}
	case int64(len(trickInterrupted)):
		return nil, isolate.ErrInterrupted
	}
	return v.Verifier.Verify(ctx, base, size)
}

// impatientClient is an address that has always asked too much.
const impatientClient = "192.0.2.77"

// impatient counts for all but that one.
type impatient struct{}

// Take implements cache.Taker.
func (impatient) Take(_ context.Context, key string, _ cache.Rate, _ int) (cache.Decision, error) {
	if strings.HasSuffix(key, impatientClient) {
		return cache.Decision{RetryAfter: time.Minute}, nil
	}
	return cache.Decision{Allowed: true}, nil
}
