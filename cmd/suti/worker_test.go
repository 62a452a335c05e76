package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/signer/isolate"
)

// verifyServer is the whole service as it is served, over HTTP, with this program
// as the worker.
type verifyServer struct {
	t       *testing.T
	base    string
	metrics *prometheus.Registry
	log     *lockedBuffer
}

func newVerifyServer(t *testing.T, limits isolate.Limits, command ...string) *verifyServer {
	t.Helper()
	s := &verifyServer{t: t, metrics: prometheus.NewRegistry(), log: &lockedBuffer{}}
	if len(command) == 0 {
		var err error
		if command, err = workerCommand(); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.base = fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	a, err := app.New(t.Context(), app.Config{DataDir: t.TempDir(), PublicURL: s.base, Demo: true, VerifyCommand: command, VerifyLimits: limits, Metrics: s.metrics,
		Logger: slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		t.Fatal(err)
	}
	srv, err := web.NewServer(web.ServerConfig{Handler: a.Handler()})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx, 0); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// verify uploads a file to the public page.
func (s *verifyServer) verify(file []byte) (int, http.Header, string) {
	s.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	w, err := m.CreateFormFile("file", "documento.pdf")
	if err == nil {
		_, err = w.Write(file)
	}
	if err != nil || m.Close() != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.base+"/verificar", &b)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Content-Type", m.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(page)
}

func (s *verifyServer) want(name string, file []byte, status int, text string) {
	s.t.Helper()
	got, _, page := s.verify(file)
	if got != status || !strings.Contains(page, text) {
		s.t.Errorf("%s: %d, want %d and %q in\n%s", name, got, status, text, page)
	}
}

// counted reads how many children ended in a way.
func (s *verifyServer) counted(outcome string) float64 {
	s.t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if l := m.GetLabel(); f.GetName() == "suti_verify_children_total" && l[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// hostilePDFs are files that ask careless readers for all their memory, stack or
// time; bomb is the contents of a signature instead of a CMS message.
func hostilePDFs() map[string][]byte {
	table := func(objs, table string) []byte {
		head := "%PDF-1.7\n" + objs
		return fmt.Appendf(nil, "%s%s\nstartxref\n%d\n%%%%EOF\n", head, table, len(head))
	}
	stream := func(dict string) []byte {
		return table("1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n", "3 0 obj\n<</Type/XRef/Root 1 0 R/Length 4 "+dict+">>\nstream\naaaa\nendstream\nendobj")
	}
	signed := func(contents string) []byte {
		body := [...]string{"<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[3 0 R]/SigFlags 3>>>>", "<</Type/Pages/Kids[]/Count 0>>",
			"<</FT/Sig/T(Firma)/V 4 0 R>>", "<</Type/Sig/Filter/Adobe.PPKLite/SubFilter/ETSI.CAdES.detached/ByteRange[0000000000 0000000000 0000000000 0000000000]/Contents <" + contents + ">>>"}
		out, rows := "%PDF-1.7\n", "xref\n0 5\n0000000000 65535 f \n"
		for i, o := range body {
			rows += fmt.Sprintf("%010d 00000 n \n", len(out))
			out += fmt.Sprintf("%d 0 obj\n%s\nendobj\n", i+1, o)
		}
		out += fmt.Sprintf("%strailer\n<</Root 1 0 R/Size 5>>\nstartxref\n%d\n%%%%EOF\n", rows, len(out))
		from := strings.Index(out, "<"+contents)
		to := from + len(contents) + 2
		return []byte(strings.Replace(out, "[0000000000 0000000000 0000000000 0000000000]", fmt.Sprintf("[%010d %010d %010d %010d]", 0, from, to, len(out)-to), 1))
	}
	page := "1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n%s\nendobj\n"
	xref := "xref\n0 3\n0000000000 65535 f \n0000000009 00000 n \n0000000054 00000 n \ntrailer\n<</Root 1 0 R/Size 3>>"
	loop := table("1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n", "xref\n0 1\n0000000000 65535 f \ntrailer\n<</Root 1 0 R/Size 3/Prev 00>>")
	loop = bytes.Replace(loop, []byte("/Prev 00"), []byte("/Prev "+strconv.Itoa(bytes.Index(loop, []byte("xref")))), 1)
	return map[string][]byte{
		"huge /Size":        stream("/W[1 2 1]/Size 20000000000"),
		"huge /W":           stream("/W[1 9000000000 1]/Size 4"),
		"huge /Index":       stream("/W[1 2 1]/Size 4/Index[4000000000 1]"),
		"xref loop":         loop,
		"page tree loop":    table(fmt.Sprintf(page, "<</Type/Pages/Kids[2 0 R]/Count 9>>"), xref),
		"deep arrays":       table(fmt.Sprintf(page, strings.Repeat("[", 3_000_000)), xref),
		"deep dictionaries": table(fmt.Sprintf(page, strings.Repeat("<</A", 1_000_000)), xref),
		"CMS of 4 GB":       signed("3084ffffffff" + strings.Repeat("00", 5000)),
		"CMS, nested":       signed(strings.Repeat("3080", 5600/2)),
		"CMS of nothing":    signed(strings.Repeat("30820000", 1400)),
	}
}

// TestHostileFilesInAChild: the public page answers each with a sentence, and the
// next file as if nothing had been.
func TestHostileFilesInAChild(t *testing.T) {
	t.Parallel()
	s := newVerifyServer(t, isolate.Limits{})
	good := ordinaryPDF(1)
	s.want("before", good, 200, "no está registrado aquí")
	n := 0
	for name, file := range hostilePDFs() {
		status, _, page := s.verify(file)
		if status != 200 && status != 422 || strings.Contains(page, "Firma válida") {
			t.Errorf("%s: %d\n%s", name, status, page)
		}
		n++
	}
	s.want("after", good, 200, "El archivo no tiene firmas")
	if got := s.counted("report") + s.counted("refused"); got != float64(n+2) || s.counted("crashed")+s.counted("memory")+s.counted("cpu") != 0 {
		t.Errorf("%v of %d files were read or refused by the parser itself\n%s", got, n+2, s.log)
	}
}

// TestWorkerLimitsReachPeople: where the limits are tight an ordinary file exceeds
// them, and people are told so.
func TestWorkerLimitsReachPeople(t *testing.T) {
	t.Parallel()
	for outcome, l := range map[string]isolate.Limits{"memory": {Memory: 1 << 20}, "cpu": {CPU: time.Microsecond}, "report_size": {Report: 10}} {
		s := newVerifyServer(t, l)
		s.want(outcome, ordinaryPDF(1), 422, "No pudimos comprobar este archivo")
		if s.counted(outcome) != 1 {
			t.Errorf("not counted as %s\n%s", outcome, s.log)
		}
	}
}

// TestWorkerKilledFromOutside: somebody kills the child; the page says so, the server
// lives, and the next file is judged.
func TestWorkerKilledFromOutside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The first child tells its process and waits to be killed; later ones work.
	script := filepath.Join(dir, "worker")
	fifo, flag := filepath.Join(dir, "fifo"), filepath.Join(dir, "killed")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\nif mkdir %q 2>/dev/null; then echo $$ > %q; exec cat > /dev/null; fi\nexec %q \"$@\"\n", flag, fifo, self)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	s := newVerifyServer(t, isolate.Limits{}, script, workerWord)
	go func() {
		b, err := os.ReadFile(fifo)
		if err != nil {
			t.Error(err)
			return
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil || syscall.Kill(pid, syscall.SIGKILL) != nil {
			t.Errorf("kill %d: %v", pid, err)
		}
	}()
	status, h, page := s.verify(ordinaryPDF(1))
	if status != 503 || h.Get("Retry-After") == "" || !strings.Contains(page, "la comprobación se interrumpió") {
		t.Errorf("killed: %d %v\n%s", status, h, page)
	}
	s.want("the next", ordinaryPDF(1), 200, "El archivo no tiene firmas")
	if s.counted("interrupted") != 1 || s.counted("report") != 1 || !strings.Contains(s.log.String(), "ended from outside") {
		t.Errorf("log and metrics:\n%s", s.log)
	}
}

// TestServeJudgesInAChild: the production server does, with no variable of its own
// environment, and its metrics say so.
func TestServeJudgesInAChild(t *testing.T) {
	t.Parallel()
	d := startServer(t, nil, nil)
	get := func(r *http.Request) string {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s %v", r.URL.Path, res.StatusCode, b, err)
		}
		return string(b)
	}
	ask := func(method, url string, body io.Reader) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), method, url, body)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := ask(http.MethodPost, "http://"+d.listen+"/api/v1/validations", bytes.NewReader(ordinaryPDF(1)))
	r.Header.Set("Content-Type", "application/pdf")
	if got := get(r); !strings.Contains(got, `"standing":"unregistered"`) {
		t.Errorf("validation: %s", got)
	}
	if got := get(ask(http.MethodGet, "http://"+d.private+"/metrics", nil)); !strings.Contains(got, `suti_verify_children_total{outcome="report"} 1`) {
		t.Errorf("metrics:\n%s", got)
	}
}

func TestOnlyTheServerStartsAWorker(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"suti"}, {"suti", "verify"}, {"suti", "verify", workerWord}} {
		if _, ok := asWorker(args); ok {
			t.Errorf("%q is taken for a worker", args)
		}
	}
	if code, ok := asWorker([]string{"suti", workerWord}); !ok || code == exitOK {
		t.Errorf("by hand: code %d", code)
	}
}
