package signer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"oruro.gob.bo/suti/internal/cache/memory"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/isolate"
	"oruro.gob.bo/suti/signer/pades"
)

// TestMain makes this program the child of signer/isolate.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "verify-worker" {
		os.Exit(isolate.Work(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// fakeVerifier answers as it is told, after it was let to.
type fakeVerifier struct {
	err     error
	started chan struct{}
	let     chan struct{}
}

// Verify implements signer.Verifier.
func (f *fakeVerifier) Verify(ctx context.Context, base io.ReaderAt, _ int64) (*pades.Report, error) {
	if _, err := base.(*os.File).Write([]byte("x")); err == nil {
		return nil, errors.New("the upload can be written to")
	}
	if f.started != nil {
		f.started <- struct{}{}
		<-f.let
	}
	if f.err != nil {
		return nil, f.err
	}
	return &pades.Report{}, nil
}

// post posts the form of /verificar from an address.
func (g *rig) post(pdf []byte, headers []string, fields ...string) (int, http.Header, string) {
	g.t.Helper()
	var b bytes.Buffer
	contentType := form(g.t, &b, pdf, fields...)
	status, h, out := g.send("POST", "/verificar", "", contentType, &b, headers...)
	return status, h, string(out)
}

// TestUnjudgedFiles: what the child says of a file, or does not, reaches people and
// programs, each with its status.
func TestUnjudgedFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err        error
		page, api  int
		code, text string
		retry      bool
	}{
		"memory":      {&isolate.LimitError{Limit: isolate.Memory}, 422, 422, "verification_too_complex", "demasiado grande o complejo", false},
		"wall":        {&isolate.LimitError{Limit: isolate.Wall}, 422, 422, "verification_too_complex", "No decimos nada de sus firmas", false},
		"parser":      {&pades.RefusedError{Code: pades.CodeLimit}, 200, 200, "", "demasiado grande o complejo", false},
		"damaged":     {&pades.RefusedError{Code: pades.CodeDamaged}, 200, 200, "", "No pudimos leer las firmas", false},
		"crash":       {fmt.Errorf("%w: exit status 2", isolate.ErrCrashed), 422, 422, "verification_failed", "El fallo es nuestro", false},
		"interrupted": {fmt.Errorf("%w: signal", isolate.ErrInterrupted), 503, 503, "verification_interrupted", "la comprobación se interrumpió", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := &fakeVerifier{err: c.err}
			g := newRig(t, dbtest.Open(t, db.SQLite, lines()), func(o *signer.Config) { o.Verifier = v })
			status, h, page := g.post(sample("x"), nil)
			if status != c.page || (h.Get("Retry-After") != "") != c.retry {
				t.Errorf("page: %d, Retry-After %q", status, h.Get("Retry-After"))
			}
			contains(t, page, c.text)
			if name != "damaged" {
				contains(t, page, "No pudimos comprobar este archivo")
			}
			lacks(t, page, "exit status", "no tiene firmas", "Vea abajo lo que dicen")
			status, h, raw := g.send("POST", "/api/v1/validations", "|", "application/pdf", bytes.NewReader(sample("x")))
			if c.api == 200 {
				var out signer.Validation
				if err := json.Unmarshal(raw, &out); err != nil || status != 200 || out.Refusal == "" || out.Report != nil {
					t.Errorf("API: %d %s %v", status, raw, err)
				}
				return
			}
			g.wantProblem(status, raw, c.api, c.code)
			if (h.Get("Retry-After") != "") != c.retry {
				t.Errorf("API: Retry-After %q", h.Get("Retry-After"))
			}
		})
	}
}

// TestRegisteredButUnjudged: a file that cannot be judged is still, byte for byte,
// the registered document, and no more is said.
func TestRegisteredButUnjudged(t *testing.T) {
	t.Parallel()
	v := &fakeVerifier{err: &isolate.LimitError{Limit: isolate.CPU}}
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()), func(o *signer.Config) { o.Verifier = v })
	st := g.request("a", sample("Resolucion"), g.w.Official)
	g.sign(st.ID, g.w.Official)
	status, _, page := g.post(g.signed(g.status(st.ID)), nil)
	if status != 422 {
		t.Errorf("status %d", status)
	}
	contains(t, page, "Es el documento registrado", "No pudimos comprobar este archivo")
	lacks(t, page, `class="note ok"`)
}

// TestPlaces: the files being judged and the uploads in hand are bounded, in all
// and for one client; a place is free again afterwards.
func TestPlaces(t *testing.T) {
	t.Parallel()
	v := &fakeVerifier{started: make(chan struct{}), let: make(chan struct{})}
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()), func(o *signer.Config) { o.Verifier, o.Judging, o.Uploads = v, 2, 3 })
	var wg sync.WaitGroup
	answers := make(chan int, 10)
	send := func() {
		wg.Go(func() {
			status, _, _ := g.post(sample("x"), nil)
			answers <- status
		})
	}
	send()
	send()
	<-v.started
	<-v.started
	send() // waits for its turn, or finds no place if it is the fourth
	send()
	if status := <-answers; status != http.StatusServiceUnavailable {
		t.Errorf("the fourth upload: %d", status)
	}
	status, h, page := g.post(sample("x"), nil)
	if status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" {
		t.Errorf("another: %d %v", status, h)
	}
	contains(t, page, "No pudimos comprobar este archivo", "hay muchos en espera")
	select {
	case <-v.started:
		t.Error("three files are judged at a time")
	default:
	}
	v.let <- struct{}{}
	<-v.started // the third's turn
	v.let <- struct{}{}
	v.let <- struct{}{}
	wg.Wait()
	close(answers)
	for status := range answers {
		if status != http.StatusOK {
			t.Errorf("an upload with a place: %d", status)
		}
	}
	go func() { <-v.started; v.let <- struct{}{} }()
	if status, _, _ := g.post(sample("x"), nil); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
}

// TestRate: a client that asks much waits; another address does not. Addresses of
// one household's IPv6 network are one client. The test's server is its proxy.
func TestRate(t *testing.T) {
	t.Parallel()
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()), func(o *signer.Config) {
		m, err := memory.New(memory.Config{Now: o.Now})
		if err != nil {
			t.Fatal(err)
		}
		o.Verifier, o.Limiter = &fakeVerifier{}, m
	})
	ask := func(from string, want int) string {
		t.Helper()
		status, h, page := g.post(sample("x"), []string{"X-Forwarded-For", from})
		if status != want || (h.Get("Retry-After") == "") != (want == 200) {
			t.Fatalf("%s: %d, want %d; Retry-After %q", from, status, want, h.Get("Retry-After"))
		}
		return page
	}
	for range 20 {
		ask("2001:db8:1:2::1", 200)
	}
	contains(t, ask("2001:db8:1:2:ffff::9", 429), "No pudimos comprobar este archivo", "en unos minutos")
	ask("2001:db8:1:3::1", 200)
	ask("192.0.2.1", 200)
	status, _, raw := g.send("POST", "/api/v1/validations", "|", "application/pdf", bytes.NewReader(sample("x")), "X-Forwarded-For", "2001:db8:1:2::1")
	g.wantProblem(status, raw, 429, "verification_rate")
	g.w.Clock.Add(20_000_000_000) // 20 s: 30 in 10 minutes
	ask("2001:db8:1:2::1", 200)
	ask("2001:db8:1:2::1", 429)
	g.page("/verificar", nil, 200) // looking is free
}

// TestMissingFile: the form comes back as our other forms do, with the fault at its
// field and the code that was typed.
func TestMissingFile(t *testing.T) {
	t.Parallel()
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()))
	for name, pdf := range map[string][]byte{"no part": nil, "none chosen": {}} {
		status, _, page := g.post(pdf, nil, "code", "ABCD-EFGH")
		if status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", name, status)
		}
		contains(t, page, "<title>Error: ", "Hay algo que corregir", `href="#file"`, "Elija el archivo PDF", `value="ABCD-EFGH"`,
			`<input type="file" id="file" name="file" aria-describedby="file-ayuda file-error" aria-invalid="true"`, `id="file-error"`)
	}
}

// TestCodeAndFile: what the page says of the file, it does not say of a code that is
// not the file's (design D26).
func TestCodeAndFile(t *testing.T) {
	t.Parallel()
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()))
	first, second := g.request("a", sample("a"), g.w.Official), g.request("b", sample("b"), g.w.Official)
	g.sign(first.ID, g.w.Official)
	g.sign(second.ID, g.w.Official)
	file := g.signed(g.status(first.ID))
	altered := bytes.Replace(file, []byte("(a)"), []byte("(o)"), 1)
	const unknown = "ZZZZ-ZZZZ-ZZZZ-ZZZZ"
	check := func(name string, pdf []byte, code string, standing signer.Standing, is signer.CodeStanding, has, not []string) {
		t.Helper()
		var v signer.Validation
		g.validate(pdf, code, &v)
		if v.Standing != standing || v.CodeStanding != is || (v.File != nil) != (standing == signer.StandsNotThat && bytes.Equal(pdf, file)) {
			t.Errorf("%s: %+v", name, v)
		}
		page := g.verify(pdf, code)
		contains(t, page, has...)
		lacks(t, page, not...)
	}
	isIt, ok := "Es el documento registrado", `class="note ok"`
	check("no code", file, "", signer.StandsRegistered, "", []string{isIt, ok}, []string{"El código que escribió"})
	check("its own", file, first.VerificationCode, signer.StandsRegistered, signer.CodeOfThis, []string{isIt, ok}, []string{"El código que escribió"})
	check("unknown", file, unknown, signer.StandsRegistered, signer.CodeUnknown,
		[]string{isIt, "El código que escribió no está registrado", "no queda comprobado", first.VerificationCode}, nil)
	check("no code at all", file, "<b>hola", signer.StandsRegistered, signer.CodeUnknown, []string{isIt, "&lt;B&gt;HOLA"}, []string{"<B>"})
	check("another's", file, second.VerificationCode, signer.StandsNotThat, signer.CodeOfAnother,
		[]string{"El código que escribió es de otro documento", "El archivo está registrado, con otro código", "Este archivo es", "El código es de", first.VerificationCode, second.VerificationCode},
		[]string{isIt, "No es el documento registrado"})
	check("unknown file", sample("c"), second.VerificationCode, signer.StandsNotThat, signer.CodeOfAnother, []string{"No es el documento registrado"}, []string{isIt, "Este archivo es<"})
	check("both unknown", sample("c"), unknown, signer.StandsUnknownCode, signer.CodeUnknown, []string{"Ese código no está registrado"}, []string{isIt, "El código que escribió"})
	check("altered, unknown", altered, unknown, signer.StandsNotThat, signer.CodeUnknown, []string{"No es el documento registrado", "El código que escribió no está registrado"}, []string{isIt})
}

// TestUploadsLeaveNothing: an upload has no name while it is judged and is gone
// afterwards, also if it is refused.
func TestUploadsLeaveNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := &fakeVerifier{started: make(chan struct{}), let: make(chan struct{})}
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()), func(o *signer.Config) { o.Verifier, o.TempDir, o.MaxVerify = v, dir, 1<<20 })
	names := func() string {
		all, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, " ")
	}
	go func() {
		<-v.started
		if left := names(); left != "" {
			t.Errorf("while judged: %s", left)
		}
		v.let <- struct{}{}
	}()
	g.post(sample("x"), nil)
	status, _, page := g.post(make([]byte, 1<<20+1), nil)
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d", status)
	}
	contains(t, page, `href="#file"`)
	if left := names(); left != "" {
		t.Errorf("afterwards: %s", left)
	}
}
